"""PyTorch on one workload: `python3 torch_peer.py '{"cases": [...], "seconds": ...}'`. The counterpart of ../peer.mjs."""

import json
import math
import sys
import time

import torch
from torch import nn

VOCABULARY = 65
SEEDS = {"x": 6, "a": 7, "b": 8, "targets": 9, "ids": 10, "weights": 20}


def emit(**line):
    print(json.dumps(line), flush=True)


def mixed(n, seed):
    """The hash of ../inputs.mjs; products of int64 wrap around, and only their low 32 bits are kept."""
    low = 0xFFFFFFFF
    x = (torch.arange(1, n + 1, dtype=torch.int64) * 0x9E3779B1 & low) ^ (seed * 0x85EBCA6B & low)
    x = (x ^ (x >> 16)) * 0x85EBCA6B & low
    x = (x ^ (x >> 13)) * 0xC2B2AE35 & low
    return x ^ (x >> 16)


def uniform(shape, seed, bound=1.0):
    n = math.prod(shape)
    return (((mixed(n, seed).double() + 0.5) / 2**31 - 1) * bound).float().reshape(shape)


def whole(shape, seed, below):
    return (mixed(math.prod(shape), seed) % below).reshape(shape)


def recurrent(make, gates, inputs, hidden, **options):
    """A layer with the weights of all peers; only the bias of the inputs is trained."""
    layer = make(inputs, hidden, **options)
    bound = 1 / math.sqrt(hidden)
    with torch.no_grad():
        layer.weight_ih_l0.copy_(uniform([gates * hidden, inputs], 1, bound))
        layer.weight_hh_l0.copy_(uniform([gates * hidden, hidden], 2, bound))
        layer.bias_ih_l0.copy_(uniform([gates * hidden], 3, bound))
        layer.bias_hh_l0.zero_()
    layer.bias_hh_l0.requires_grad_(False)
    return layer


def linear(hidden, outputs):
    layer = nn.Linear(hidden, outputs)
    bound = 1 / math.sqrt(hidden)
    with torch.no_grad():
        layer.weight.copy_(uniform([outputs, hidden], 4, bound))
        layer.bias.copy_(uniform([outputs], 5, bound))
    return layer


def gemm(case):
    n = case["n"]
    a, b = uniform([n, n], SEEDS["a"]), uniform([n, n], SEEDS["b"])
    return (lambda: torch.mm(a, b)), (lambda: torch.mm(a, b))


def sequence(case):
    T, B, H = case["T"], case["B"], case["H"]
    layer = recurrent(nn.LSTM, 4, H, H)
    x = uniform([T, B, H], SEEDS["x"])
    return (lambda: layer(x)), (lambda: layer(x)[0][-1])


def stream(case):
    """nn.LSTMCell: the faster of PyTorch's two ways."""
    H = case["H"]
    layer = recurrent(nn.LSTM, 4, H, H)
    cell = nn.LSTMCell(H, H)
    cell.load_state_dict({name.removesuffix("_l0"): value for name, value in layer.state_dict().items()})
    x = uniform([1, H], SEEDS["x"])
    state = [(torch.zeros(1, H), torch.zeros(1, H))]

    def run():
        state[0] = cell(x, state[0])

    def result():
        for _ in range(10):
            run()
        return state[0][0]

    return run, result


def trainer(modules, loss):
    parameters = [p for m in modules for p in m.parameters() if p.requires_grad]
    adam = torch.optim.Adam(parameters, lr=1e-3)

    def step():
        with torch.enable_grad():
            adam.zero_grad()
            value = loss()
            value.backward()
            adam.step()
        return value.item()

    return step, lambda: torch.tensor([step(), step(), step()])


def characters(case):
    T, B, H = case["T"], case["B"], case["H"]
    make, gates = (nn.LSTM, 4) if case["cell"] == "LSTM" else (nn.GRU, 3)
    layer, head = recurrent(make, gates, VOCABULARY, H), linear(H, VOCABULARY)
    x = nn.functional.one_hot(whole([T, B], SEEDS["ids"], VOCABULARY), VOCABULARY).float()
    targets = whole([T * B], SEEDS["targets"], VOCABULARY)
    return trainer([layer, head], lambda: nn.functional.cross_entropy(head(layer(x)[0]).reshape(T * B, -1), targets))


def elman(case):
    T, inputs, H = case["T"], case["I"], case["H"]
    layer, head = recurrent(nn.RNN, 1, inputs, H), linear(H, 1)
    x, targets = uniform([T, 1, inputs], SEEDS["x"]), uniform([T, 1, 1], SEEDS["targets"])
    return trainer([layer, head], lambda: nn.functional.mse_loss(head(layer(x)[0]), targets))


def similarity(keys, memory):
    lengths = keys.norm(dim=-1, keepdim=True) * memory.norm(dim=-1).unsqueeze(1)
    return torch.bmm(keys, memory.transpose(1, 2)) / (lengths + 1e-8)


def content(keys, strengths, memory):
    return torch.softmax(similarity(keys, memory) * strengths.unsqueeze(-1), -1)


class Turing(nn.Module):
    """A neural Turing machine with a feed-forward controller and a head of either kind, as written by hand in PyTorch."""

    def __init__(self, case):
        super().__init__()
        self.N, self.W = case["N"], case["W"]
        W, H = self.W, case["H"]
        self.sizes = [2 * W, 2, 2, 6, 2, W, W]
        self.controller = nn.Linear(case["I"] + W, H)
        self.heads = nn.Linear(H, sum(self.sizes))
        self.output = nn.Linear(H + W, case["O"])

    def start(self, B):
        weightings = torch.zeros(B, 2, self.N)
        weightings[:, :, 0] = 1
        return torch.full((B, self.N, self.W), 1e-6), weightings, torch.zeros(B, self.W)

    def forward(self, x, state):
        memory, weightings, read = state
        B = x.shape[0]
        h = torch.tanh(self.controller(torch.cat([x, read], 1)))
        k, beta, g, s, gamma, e, a = self.heads(h).split(self.sizes, 1)
        found = content(k.reshape(B, 2, self.W), nn.functional.softplus(beta), memory)
        gated = weightings + torch.sigmoid(g).unsqueeze(2) * (found - weightings)
        shifts = torch.softmax(s.reshape(B, 2, 3), -1).unsqueeze(2)
        moved = sum(shifts[..., i] * gated.roll(i - 1, 2) for i in range(3))
        w = torch.softmax(moved.clamp(min=1e-30).log() * (1 + nn.functional.softplus(gamma)).unsqueeze(2), -1)
        at = w[:, 1].unsqueeze(2)
        memory = memory * (1 - at * torch.sigmoid(e).unsqueeze(1)) + at * a.unsqueeze(1)
        read = torch.bmm(w[:, :1], memory).squeeze(1)
        return self.output(torch.cat([h, read], 1)), (memory, w, read)


class Computer(nn.Module):
    """A differentiable neural computer with an LSTM and one read head, as written by hand in PyTorch."""

    def __init__(self, case):
        super().__init__()
        self.N, self.W, self.H = case["N"], case["W"], case["H"]
        W, H = self.W, self.H
        self.sizes = [W, 1, W, 1, W, W, 1, 1, 1, 3]
        self.controller = nn.LSTMCell(case["I"] + W, H)
        self.interface = nn.Linear(H, sum(self.sizes))
        self.output = nn.Linear(H + W, case["O"])

    def start(self, B):
        zeros = torch.zeros
        controller = zeros(B, self.H), zeros(B, self.H)
        rows = [zeros(B, self.N) for _ in range(4)]
        return zeros(B, self.N, self.W), zeros(B, self.N, self.N), rows, zeros(B, self.W), controller

    def allocation(self, usage):
        u = 1e-6 + (1 - 1e-6) * usage
        order = torch.sort((u * 1e5 + 0.5).floor(), dim=1, stable=True).indices
        rising = u.gather(1, order)
        before = torch.cat([torch.ones_like(rising[:, :1]), rising[:, :-1]], 1).cumprod(1)
        return torch.zeros_like(u).scatter(1, order, (1 - rising) * before)

    def forward(self, x, state):
        memory, links, (usage, precedence, written, reading), read, controller = state
        controller = self.controller(torch.cat([x, read], 1), controller)
        h = controller[0]
        kr, br, k, b, e, v, free, ga, gw, modes = self.interface(h).split(self.sizes, 1)
        ga, gw = torch.sigmoid(ga), torch.sigmoid(gw)
        usage = (usage + written * (1 - usage)) * (1 - torch.sigmoid(free) * reading)
        found = content(k.unsqueeze(1), 1 + nn.functional.softplus(b), memory).squeeze(1)
        w = gw * (ga * self.allocation(usage) + (1 - ga) * found)
        at = w.unsqueeze(2)
        memory = memory * (1 - at * torch.sigmoid(e).unsqueeze(1)) + at * v.unsqueeze(1)
        links = (1 - at - w.unsqueeze(1)) * links + at * precedence.unsqueeze(1)
        links = links * (1 - torch.eye(self.N))
        precedence = (1 - w.sum(1, keepdim=True)) * precedence + w
        backward, by_content, forward = torch.softmax(modes, 1).split(1, 1)
        last = reading.unsqueeze(1)
        back, ahead = torch.bmm(last, links).squeeze(1), torch.bmm(last, links.transpose(1, 2)).squeeze(1)
        looked = content(kr.unsqueeze(1), 1 + nn.functional.softplus(br), memory).squeeze(1)
        reading = backward * back + by_content * looked + forward * ahead
        read = torch.bmm(reading.unsqueeze(1), memory).squeeze(1)
        rows = [usage, precedence, w, reading]
        return self.output(torch.cat([h, read], 1)), (memory, links, rows, read, controller)


def memoryMachine(case):
    T, B, O = case["T"], case["B"], case["O"]
    machine = {"NTM": Turing, "DNC": Computer}[case["machine"]](case)
    with torch.no_grad():
        for i, weight in enumerate(machine.parameters()):
            weight.copy_(uniform(list(weight.shape), SEEDS["weights"] + i, 0.1))
    x = uniform([T, B, case["I"]], SEEDS["x"])
    targets = whole([T, B, O], SEEDS["targets"], 2).float()

    def loss():
        state, ys = machine.start(B), []
        for t in range(T):
            y, state = machine(x[t], state)
            ys.append(y)
        return nn.functional.binary_cross_entropy_with_logits(torch.stack(ys), targets)

    return trainer([machine], loss)


KINDS = {f.__name__: f for f in (gemm, sequence, stream, characters, elman, memoryMachine)}


def timed(run, repeats):
    start = time.perf_counter()
    for _ in range(repeats):
        run()
    return (time.perf_counter() - start) / repeats


def sample(run, seconds):
    """Samples of 2 ms or one run each, after a warm-up of half the time."""
    start = time.perf_counter()
    once = timed(run, 1)
    while time.perf_counter() - start < seconds / 2:
        once = timed(run, 1)
    repeats = max(1, round(0.002 / once))
    wall, cpu = time.perf_counter(), time.process_time()
    samples = []
    while len(samples) < 5 or time.perf_counter() - wall < seconds:
        samples.append(timed(run, repeats))
    return samples, min(1, (time.process_time() - cpu) / (time.perf_counter() - wall))


def compared(values):
    flat = values.flatten()
    step = -(-len(flat) // 500)
    return flat[: len(flat) // step * step : step].tolist()


def main():
    options = json.loads(sys.argv[1])
    torch.set_num_threads(options.get("threads", 1))
    emit(version=torch.__version__)
    for case in options["cases"]:
        if case["kind"] not in KINDS:
            continue
        with torch.no_grad():
            run, result = KINDS[case["kind"]](case)
            emit(case=case["name"], result=compared(result()))
            samples, core = sample(run, options["seconds"])
        emit(case=case["name"], samples=samples, core=core)


main()
