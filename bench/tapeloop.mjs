// This library on every workload, by its public API.

import { createRequire } from "node:module";
import {
  Adam,
  add,
  assign,
  backward,
  bceWithLogits,
  Cell,
  crossEntropy,
  embedding,
  gruSequence,
  init,
  Linear,
  LSTM,
  LSTMCell,
  linear,
  lstmSequence,
  matmul,
  mean,
  mseLoss,
  mul,
  noGrad,
  Parameter,
  RNN,
  reshape,
  Stream,
  scope,
  sigmoid,
  split,
  square,
  tanh,
  tensor,
  transpose,
  zeros,
} from "tapeloop";
import { DNC, NTM } from "tapeloop/memory";
import { quantize } from "tapeloop/quantized";
import { headWeights, recurrentWeights, SEEDS, uniform, whole } from "./inputs.mjs";
import { raggedLengths, VOCABULARY } from "./workloads.mjs";

const LEARNING_RATE = 1e-3;

const random = (shape, seed, bound) =>
  tensor(
    uniform(
      shape.reduce((a, b) => a * b, 1),
      seed,
      bound,
    ),
    { shape },
  );
const ids = (shape, seed, below) => tensor(whole(shape[0] * shape[1], seed, below), { shape, dtype: "int32" });

/** Runs without the tape and releases what it made. */
const inference = (fn) => scope(() => noGrad(fn));

function gemm({ n }) {
  const [a, b] = [random([n, n], SEEDS.a), random([n, n], SEEDS.b)];
  return { run: () => scope(() => void matmul(a, b)), result: () => scope(() => matmul(a, b).data()) };
}

/** A layer with the given weights, and only one bias trained, as peers have it. */
function lstmLayer(I, H) {
  const layer = new LSTM({ inputSize: I, hiddenSize: H, biases: 1 });
  const { weightIh, weightHh, bias } = recurrentWeights(4, I, H);
  load(layer, { weight_ih_l0: weightIh, weight_hh_l0: weightHh, bias_ih_l0: bias });
  return layer;
}

function load(module, values) {
  const state = module.stateDict();
  for (const [name, numbers] of Object.entries(values)) assign(state.get(name), numbers);
}

/** The outputs of the last step of ys [T,B,H]. */
const lastStep = (ys, B, H) => ys.data().slice(-B * H);

function sequence({ T, B, H }) {
  const layer = lstmLayer(H, H).eval();
  const xs = random([T, B, H], SEEDS.x);
  return {
    run: () => inference(() => void layer.forward(xs).output.data()),
    result: () => inference(() => lastStep(layer.forward(xs).output, B, H)),
  };
}

function stream({ H, int8 = false }) {
  const layer = lstmLayer(H, H).eval();
  if (int8) quantize(layer);
  const steps = new Stream(layer);
  if (steps.whyEager !== null) throw new Error(`Stream runs eagerly: ${steps.whyEager}`);
  const x = uniform(H, SEEDS.x);
  const result = () => {
    steps.reset();
    for (let i = 0; i < 9; i++) steps.step(x);
    return steps.step(x).slice();
  };
  return { run: () => void steps.step(x), result };
}

/** A training step of `loss`; returns the loss. */
function trainer(parameters, loss) {
  const adam = new Adam(parameters, { lr: LEARNING_RATE });
  const step = () =>
    scope(() => {
      adam.zeroGrad();
      const value = loss();
      backward(value);
      adam.step();
      return value.item();
    });
  const release = () => adam.zeroGrad();
  return {
    run: () => {
      step();
      release();
    },
    result: () => [step(), step(), step()],
  };
}

/** Embedding look-ups stand for the one-hot product: W_ihᵀ + b has a row for each character. */
function characters({ cell, T, B, H }) {
  const gates = cell === "LSTM" ? 4 : 3;
  const weights = recurrentWeights(gates, VOCABULARY, H);
  const parameter = (values, shape) => new Parameter(tensor(values, { shape }));
  const weightIh = parameter(weights.weightIh, [gates * H, VOCABULARY]);
  const weightHh = parameter(weights.weightHh, [gates * H, H]);
  const bias = parameter(weights.bias, [gates * H]);
  const head = headWeights(H, VOCABULARY);
  const [headWeight, headBias] = [parameter(head.weight, [VOCABULARY, H]), parameter(head.bias, [VOCABULARY])];
  const [inputs, targets] = [ids([T, B], SEEDS.ids, VOCABULARY), reshape(ids([T, B], SEEDS.targets, VOCABULARY), [T * B])];
  const [h0, c0] = [zeros([B, H]), zeros([B, H])];
  const rows = { batchSizes: new Array(T).fill(B) };
  const recurrence = (gx) => (cell === "LSTM" ? lstmSequence(gx, weightHh, h0, c0, rows) : gruSequence(gx, weightHh, h0, rows));
  return trainer([weightIh, weightHh, bias, headWeight, headBias], () => {
    const gx = reshape(embedding(inputs, add(transpose(weightIh, 0, 1), bias)), [T * B, gates * H]);
    return crossEntropy(linear(recurrence(gx).ys, headWeight, headBias), targets);
  });
}

function elman({ T, I, H }) {
  const layer = new RNN({ inputSize: I, hiddenSize: H, biases: 1 });
  const { weightIh, weightHh, bias } = recurrentWeights(1, I, H);
  load(layer, { weight_ih_l0: weightIh, weight_hh_l0: weightHh, bias_ih_l0: bias });
  const head = new Linear(H, 1);
  load(head, headWeights(H, 1));
  const [xs, targets] = [random([T, 1, I], SEEDS.x), random([T, 1, 1], SEEDS.targets)];
  return trainer([...layer.parameters(), ...head.parameters()], () => mseLoss(head.forward(layer.forward(xs).output), targets));
}

/** An LSTM as anyone would write it. */
class TenLines extends Cell {
  constructor(inputSize, hiddenSize, weights) {
    super();
    Object.assign(this, { inputSize, outputSize: hiddenSize });
    this.weightIh = new Parameter(tensor(weights.weightIh, { shape: [4 * hiddenSize, inputSize] }));
    this.weightHh = new Parameter(tensor(weights.weightHh, { shape: [4 * hiddenSize, hiddenSize] }));
    this.biasIh = new Parameter(tensor(weights.bias));
  }

  initialState(batch) {
    return { h: zeros([batch, this.outputSize]), c: zeros([batch, this.outputSize]) };
  }

  step(x, { h, c }) {
    const sums = add(linear(x, this.weightIh, this.biasIh), linear(h, this.weightHh));
    const [i, f, g, o] = split(sums, this.outputSize, 1);
    const next = add(mul(sigmoid(f), c), mul(sigmoid(i), tanh(g)));
    const y = mul(sigmoid(o), tanh(next));
    return [y, { h: y, c: next }];
  }
}

function fusedCell(H) {
  const cell = new LSTMCell({ inputSize: H, hiddenSize: H, biases: 1 });
  const { weightIh, weightHh, bias } = recurrentWeights(4, H, H);
  load(cell, { weight_ih: weightIh, weight_hh: weightHh, bias_ih: bias });
  return cell;
}

function customCell({ form, T, B, H }) {
  const cell = form === "fused" ? fusedCell(H) : new TenLines(H, H, recurrentWeights(4, H, H));
  const xs = random([T, B, H], SEEDS.x);
  const why = cell.whyEager?.(xs) ?? null;
  if (why !== null) throw new Error(`the step runs eagerly: ${why}`);
  return trainer(cell.parameters(), () => mean(square(cell.scan(xs)[0])));
}

function ragged({ mode, full, T, B, H }) {
  const layer = lstmLayer(H, H);
  const xs = random([T, B, H], SEEDS.x);
  const lengths = raggedLengths({ T, B, full });
  const forward = () => layer.forward(xs, { lengths });
  if (mode === "training") return trainer(layer.parameters(), () => mean(square(forward().output)));
  return {
    run: () => inference(() => void forward().output.data()),
    result: () => inference(() => forward().state.h.data()),
  };
}

/** Words of bits to be put out as they come in: a loss like that of copying. */
function memoryMachine({ machine, T, B, N, W, I, O, H }) {
  const sizes = { inputSize: I, outputSize: O, hiddenSize: H, memorySize: N, wordSize: W };
  const controller = machine === "NTM" ? "feedforward" : "lstm";
  const cell = new { NTM, DNC }[machine]({ ...sizes, controller });
  for (const [i, weight] of cell.parameters().entries()) assign(weight, uniform(weight.size, SEEDS.weights + i, 0.1));
  const xs = random([T, B, I], SEEDS.x);
  const targets = tensor(Float32Array.from(whole(T * B * O, SEEDS.targets, 2)), { shape: [T, B, O] });
  const why = cell.whyEager(xs);
  if (why !== null) throw new Error(`the step runs eagerly: ${why}`);
  return trainer(cell.parameters(), () => bceWithLogits(cell.scan(xs)[0], targets));
}

export async function open({ kernels, threads = 1 }) {
  if (threads > 1) {
    const got = await (await import("tapeloop/threads")).useThreads(threads);
    if (got.threads !== threads) throw new Error(`expected ${threads} threads, got one: ${got.reason}`);
  }
  if (kernels === "relaxed") init((await import("tapeloop/relaxed")).relaxedKernels());
  const { version } = createRequire(import.meta.url)("tapeloop/package.json");
  return { version, kinds: { gemm, sequence, stream, characters, elman, customCell, ragged, memoryMachine } };
}
