"""PyTorch on one workload: `python3 torch_peer.py '{"cases": [...], "seconds": ...}'`. The counterpart of ../peer.mjs."""

import json
import math
import sys
import time

import torch
from torch import nn

torch.set_num_threads(1)
VOCABULARY = 65
SEEDS = {"x": 6, "a": 7, "b": 8, "targets": 9, "ids": 10}


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


KINDS = {f.__name__: f for f in (gemm, sequence, stream, characters, elman)}


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
