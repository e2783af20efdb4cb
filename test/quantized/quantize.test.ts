/** Models with int8 weights: against the same models with the rounded weights as floats, and against the floats they were made of. */

import { describe, expect, it } from "vitest";
import { backward } from "../../src/autodiff/backward.ts";
import { noGrad } from "../../src/autodiff/tape.ts";
import { DTypeError, StateError } from "../../src/base/errors.ts";
import { WindowBatches } from "../../src/data/windows.ts";
import { bitsPerCharacter, CharModel } from "../../src/models/char-model.ts";
import { Embedding, LayerNorm, Linear, Sequential } from "../../src/nn/layers.ts";
import { Module } from "../../src/nn/module.ts";
import { sum } from "../../src/ops/broadcast.ts";
import { Adam } from "../../src/optim/adam.ts";
import { QuantizedMatrix, roundRows } from "../../src/quantized/matrix.ts";
import { quantize } from "../../src/quantized/quantize.ts";
import type { ScanOptions } from "../../src/recurrence/recurrence.ts";
import { GRU, LSTM, RNN } from "../../src/recurrence/rnn.ts";
import { GRUCell, LSTMCell, RNNCell } from "../../src/recurrence/rnn-cells.ts";
import { type State, stateTensors } from "../../src/recurrence/state.ts";
import { Stream } from "../../src/recurrence/stream.ts";
import { Generator } from "../../src/tensor/random.ts";
import { assign, scope, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { memory } from "../../src/wasm/host.ts";
import { thrown } from "../thrown.ts";

/** What every recurrent layer and cell here has. */
interface Scanned extends Module {
  readonly inputSize: number;
  readonly outputSize: number;
  initialState(batch: number): State;
  step(x: Tensor, state: State): [Tensor, State];
  scan(xs: Tensor, state?: State, options?: ScanOptions): [Tensor, State];
}

const I = 7;
const sizes = { inputSize: I, hiddenSize: 13 };
const recurrent: Readonly<Record<string, (generator: Generator) => unknown>> = {
  LSTM: (generator) => new LSTM({ ...sizes, generator }),
  "LSTM, two layers, one bias": (generator) => new LSTM({ ...sizes, numLayers: 2, biases: 1, generator }),
  "LSTM, projected, peepholes": (generator) => new LSTM({ ...sizes, projSize: 5, peepholes: true, numLayers: 2, generator }),
  "LSTM, wide, no bias": (generator) => new LSTM({ inputSize: I, hiddenSize: 48, bias: false, generator }),
  GRU: (generator) => new GRU({ ...sizes, numLayers: 2, generator }),
  "GRU, reset before": (generator) => new GRU({ ...sizes, resetAfter: false, generator }),
  "GRU, no bias": (generator) => new GRU({ ...sizes, bias: false, generator }),
  RNN: (generator) => new RNN({ ...sizes, generator }),
  "RNN, relu": (generator) => new RNN({ ...sizes, nonlinearity: "relu", numLayers: 2, generator }),
  LSTMCell: (generator) => new LSTMCell({ ...sizes, projSize: 3, generator }),
  GRUCell: (generator) => new GRUCell({ ...sizes, generator }),
  RNNCell: (generator) => new RNNCell({ ...sizes, generator }),
};
const bidirectional: typeof recurrent = {
  "LSTM, both directions": (generator) => new LSTM({ ...sizes, numLayers: 2, bidirectional: true, generator }),
  "GRU, both directions": (generator) => new GRU({ ...sizes, bidirectional: true, generator }),
};
const every = Object.entries({ ...recurrent, ...bidirectional });

/** The same model with int8 weights, and with these weights as floats. */
function twins<M extends Module>(make: (generator: Generator) => unknown): { int8: M; floats: M } {
  const [int8, floats] = [make(new Generator(3)) as M, make(new Generator(3)) as M];
  quantize(int8);
  const matrices = new Map<Tensor, QuantizedMatrix>();
  for (const module of int8.modules()) if (module instanceof QuantizedMatrix) matrices.set(module.values, module);
  const state = new Map<string, Tensor>();
  for (const [name, t] of int8.stateDict()) {
    if (name.endsWith(".scales")) continue;
    const matrix = matrices.get(t);
    if (matrix === undefined) state.set(name, t);
    else state.set(name.slice(0, -".values".length), dequantized(matrix));
  }
  floats.loadStateDict(state);
  return { int8, floats: floats.eval() };
}

function dequantized(matrix: QuantizedMatrix): Tensor {
  const { values, scales, columns } = matrix.toRows();
  return tensor(
    Array.from(values, (q, i) => q * (scales[Math.floor(i / columns)] as number)),
    { shape: [scales.length, columns] },
  );
}

const random = (shape: number[], seed: number) => new Generator(seed).uniform(shape, -2, 2);

function expectNear(got: Tensor, want: Tensor, bound: number): void {
  expect(got.shape).toEqual(want.shape);
  const [a, b] = [got.data(), want.data()];
  for (let i = 0; i < a.length; i++) {
    const error = Math.abs((a[i] as number) - (b[i] as number));
    if (!(error <= bound)) throw new Error(`element ${i}: expected ${b[i]}, got ${a[i]} (allowed ${bound})`);
  }
}

function expectSame(got: Iterable<Tensor>, want: Iterable<Tensor>): void {
  expect(Array.from(got, (t) => Array.from(t.data()))).toEqual(Array.from(want, (t) => Array.from(t.data())));
}

describe("the weights of a row", () => {
  it("are at most half a step from what they were, and the largest is met", () => {
    const weight = new Generator(1).normal([9, 31], 0, 1).data();
    const { values, scales } = roundRows(weight, 31);
    for (let i = 0; i < weight.length; i++) {
      const scale = scales[Math.floor(i / 31)] as number;
      expect(Math.abs((values[i] as number) * scale - (weight[i] as number)) <= scale * 0.5001).toBe(true);
    }
    for (let row = 0; row < 9; row++) expect(Math.max(...values.slice(row * 31, row * 31 + 31).map(Math.abs))).toBe(127);
  });

  it("may all be zero, or below the normal floats", () => {
    expect(roundRows([0, -0, 0, 1], 2)).toEqual({
      columns: 2,
      values: Int8Array.of(0, 0, 0, 127),
      scales: Float32Array.of(0, 1 / 127),
    });
    const { values, scales } = roundRows([2 ** -149, 0, 200 * 2 ** -149, -(200 * 2 ** -149)], 2);
    expect(Array.from(values)).toEqual([0, 0, 100, -100]);
    expect(Array.from(scales)).toEqual([0, 2 * 2 ** -149]);
  });

  it("come back from panels as they were", () => {
    for (const [rows, columns, parts] of [
      [1, 1, [1]],
      [39, 5, [26, 13]],
      [48, 16, [48]],
    ] as const) {
      const values = Int8Array.from({ length: rows * columns }, (_, i) => (i * 37) % 256);
      const scales = Float32Array.from({ length: rows }, (_, i) => i);
      expect(new QuantizedMatrix({ columns, values, scales }, parts).toRows()).toEqual({ columns, values, scales });
    }
  });
});

describe("quantized Linear and Embedding", () => {
  it("are within the bound of what rounding can do", () => {
    const [int8, floats] = [new Linear(50, 21, { generator: new Generator(2) }), new Linear(50, 21, { generator: new Generator(2) })];
    quantize(int8);
    const x = random([3, 2, 50], 5);
    const [y, want] = [int8.forward(x), floats.forward(x)];
    expect(y.shape).toEqual([3, 2, 21]);
    const [w, values] = [floats.weight.data(), x.data()];
    for (let r = 0; r < 6; r++) {
      const row = Array.from(values.slice(r * 50, r * 50 + 50), Math.abs);
      const xStep = Math.max(...row) / 16384;
      for (let o = 0; o < 21; o++) {
        const weights = Array.from(w.slice(o * 50, o * 50 + 50), Math.abs);
        const wStep = Math.max(...weights) / 127;
        const bound = row.reduce((s, v, j) => s + (v * wStep + ((weights[j] as number) + wStep) * xStep) / 2, 1e-5);
        const error = Math.abs((y.data()[r * 21 + o] as number) - (want.data()[r * 21 + o] as number));
        expect(error <= bound).toBe(true);
      }
    }
  });

  it("are those of the rounded weights", () => {
    const { int8, floats } = twins<Linear>((generator) => new Linear(600, 9, { bias: false, generator }));
    expectNear(int8.forward(random([4, 600], 1)), floats.forward(random([4, 600], 1)), 2e-3);
    const tables = twins<Embedding>((generator) => new Embedding(35, 6, { paddingIdx: 2, generator }));
    const index = tensor(
      [
        [34, 0, 2],
        [17, 15, 16],
      ],
      { dtype: "int32" },
    );
    expectSame([tables.int8.forward(index)], [tables.floats.forward(index)]);
    expect(() => tables.int8.forward(tensor([35], { dtype: "int32" }))).toThrow("expected indices in [0, 34], got 35");
  });

  it("refuse what does not fit", () => {
    const layer = new Linear(4, 3);
    quantize(layer);
    expect(() => layer.forward(tensor([1, 2, 3]))).toThrow("quantizedLinear: expected x [...,4], got [3]");
    expect(() => layer.forward(tensor(Float64Array.of(1, 2, 3, 4)))).toThrow(DTypeError);
    expect(() => quantize({} as never)).toThrow(DTypeError);
  });
});

describe("quantized recurrent layers", () => {
  it.each(every)("%s computes what the rounded weights say", (_, make) => {
    const { int8, floats } = twins<Scanned>(make);
    expect(int8.parameters()).toEqual([]);
    for (const options of [{}, { reverse: true }, { lengths: [6, 0, 4] }]) {
      const xs = random([6, 3, I], 9);
      const [[ys, last], [wantedYs, wantedLast]] = noGrad(() => [int8.scan(xs, undefined, options), floats.scan(xs, undefined, options)]);
      expectNear(ys, wantedYs, 3e-4);
      const [a, b] = [stateTensors(last), stateTensors(wantedLast)];
      a.forEach((s, i) => {
        expectNear(s, b[i] as Tensor, 3e-4);
      });
    }
  });

  it.each(Object.entries(recurrent))("%s has the same bits step by step, in streams, in batches and twice", (_, make) => {
    const model = make(new Generator(3)) as Scanned;
    quantize(model);
    const [T, B] = [5, 3];
    const xs = random([T, B, I], 9);
    const [ys, last] = model.scan(xs);
    expectSame([model.scan(xs)[0]], [ys]);
    const streams = [new Stream(model as never, { batch: B }), new Stream(model as never, { batch: B })];
    const ones = Array.from({ length: B }, () => new Stream(model as never));
    expect(streams[0]?.whyEager).toBe(null);
    let state = model.initialState(B);
    for (let t = 0; t < T; t++) {
      const x = xs.data().slice(t * B * I, (t + 1) * B * I);
      const want = Array.from(ys.data().slice(t * B * model.outputSize, (t + 1) * B * model.outputSize));
      const [y, next] = model.step(tensor(x, { shape: [B, I] }), state);
      state = next;
      expect(Array.from(y.data())).toEqual(want);
      for (const stream of streams) expect(Array.from(stream.step(x))).toEqual(want);
      expect(ones.flatMap((one, b) => Array.from(one.step(x.slice(b * I, (b + 1) * I))))).toEqual(want);
    }
    expectSame(stateTensors(state), stateTensors(last));
    expectSame(stateTensors((streams[1] as Stream<State>).state), stateTensors(last));
  });

  it("give one-hot vectors the bits of their indices", () => {
    const model = new CharModel({ vocabSize: 9, hidden: 21, seed: 4 });
    quantize(model);
    const ids = [3, 8, 0, 5];
    const whole = model.forward(tensor(ids, { shape: [4, 1], dtype: "int32" }))[0].data();
    const stream = new Stream(model);
    expect(stream.whyEager).toBe(null);
    const steps = ids.flatMap((id) => Array.from(stream.step(new Float32Array(9).fill(1, id, id + 1))));
    expect(steps).toEqual(Array.from(whole));
  });

  it("look up one-hot vectors that come as indices", () => {
    const { int8, floats } = twins<LSTM>((generator) => new LSTM({ ...sizes, numLayers: 2, generator }));
    const ids = tensor(
      [
        [6, 0],
        [3, 3],
        [1, 5],
      ],
      { dtype: "int32" },
    );
    expectNear(int8.forward(ids).output, floats.forward(ids).output, 3e-4);
    expect(() => int8.forward(tensor([[7, 0]], { dtype: "int32" }))).toThrow("expected indices in [0, 6], got 7");
  });

  it("take batchFirst, sequences without batch, and a given state", () => {
    const { int8, floats } = twins<GRU>((generator) => new GRU({ ...sizes, batchFirst: true, generator }));
    expectNear(int8.forward(random([3, 4, I], 1)).output, floats.forward(random([3, 4, I], 1)).output, 3e-4);
    const state = random([1, 3, 13], 4);
    expectNear(int8.forward(random([3, 4, I], 1), { state }).state, floats.forward(random([3, 4, I], 1), { state }).state, 3e-4);
    expectNear(int8.forward(random([4, I], 1)).output, floats.forward(random([4, I], 1)).output, 3e-4);
  });

  it("give NaN for NaN, in its own sequence only, and refuse what does not fit", () => {
    const model = new LSTM({ ...sizes, generator: new Generator(3) });
    quantize(model);
    const xs = random([2, 2, I], 1);
    const clean = model.scan(xs)[0].data();
    const values = xs.data();
    values[3] = Number.NaN;
    const ys = model.scan(tensor(values, { shape: xs.shape }))[0].data();
    expect(ys.slice(0, 13).every(Number.isNaN)).toBe(true);
    expect(Array.from(ys.slice(13, 26))).toEqual(Array.from(clean.slice(13, 26)));
    expect(() => model.scan(random([2, 2, 6], 1))).toThrow("scan: expected xs [T,B,7], got [2,2,6]");
    expect(() => model.scan(tensor(new Float64Array(14), { shape: [1, 2, I] }))).toThrow(DTypeError);
  });

  it("leave no memory behind", () => {
    const model = new LSTM({ ...sizes, generator: new Generator(3) });
    quantize(model);
    const xs = random([4, 2, I], 1);
    const run = () => scope(() => void model.scan(xs));
    run();
    const before = memory().liveBytes;
    for (let i = 0; i < 20; i++) run();
    expect(memory().liveBytes).toBe(before);
  });
});

/** Layers out of sight, tied ones, and some that have no form in int8. */
class Tagger extends Module {
  readonly table: Embedding;
  readonly head: Linear;
  readonly norm = new LayerNorm(8);
  readonly exact = new Linear(8, 2, { dtype: "float64" });
  readonly broken: Linear;
  readonly twice = new Twice(8, 8);
  readonly #hidden: LSTM;

  constructor(generator: Generator) {
    super();
    this.table = new Embedding(20, 8, { generator });
    this.head = new Linear(8, 20, { bias: false, generator });
    (this.head as { weight: unknown }).weight = this.table.weight;
    this.broken = new Linear(2, 2, { generator });
    assign(this.broken.weight, [1, 2, Number.NaN, 3]);
    this.#hidden = this.register("hidden", new LSTM({ inputSize: 8, hiddenSize: 8, generator }));
  }

  forward(ids: Tensor): Tensor {
    return this.head.forward(this.norm.forward(this.#hidden.forward(this.table.forward(ids)).output));
  }
}

class Twice extends Linear {
  override forward(x: Tensor): Tensor {
    return super.forward(super.forward(x));
  }
}

describe("quantize", () => {
  it("finds layers wherever they are, keeps what has no form in int8 and says why", () => {
    const [model, floats] = [new Tagger(new Generator(1)), new Tagger(new Generator(1))];
    const { quantized, kept, bytes } = quantize(model);
    expect([...quantized].sort()).toEqual(["head.weight", "hidden.weight_hh_l0", "hidden.weight_ih_l0", "table.weight"]);
    expect(new Set(kept.map(({ name, reason }) => `${name}: ${reason}`))).toEqual(
      new Set([
        "norm.weight: its module has no form in int8",
        "norm.bias: its module has no form in int8",
        "exact.weight: of weight: it is of float64",
        "exact.bias: of weight: it is of float64",
        "broken.weight: of weight: it holds numbers that are not finite",
        "broken.bias: of weight: it holds numbers that are not finite",
        "twice.weight: it is a Linear with a forward of its own",
        "twice.bias: it is a Linear with a forward of its own",
      ]),
    );
    expect(bytes.after < bytes.before).toBe(true);
    const held = model as unknown as { table: { weight: unknown }; head: { weight: unknown } };
    expect(held.table.weight instanceof QuantizedMatrix && held.table.weight === held.head.weight).toBe(true);
    const ids = tensor([[1], [19], [4]], { dtype: "int32" });
    expectNear(model.forward(ids), floats.eval().forward(ids), 0.15);
    expect(model.training).toBe(false);
  });

  it("does nothing the second time", () => {
    const model = new Sequential(new Linear(5, 4), new Linear(4, 3));
    expect(quantize(model).quantized).toEqual(["0.weight", "1.weight"]);
    const y = model.forward(random([2, 5], 1));
    const again = quantize(model);
    expect([again.quantized, again.kept, again.bytes.before - again.bytes.after]).toEqual([[], [], 0]);
    expectSame([model.forward(random([2, 5], 1))], [y]);
  });

  it("is a snapshot: former parameters change nothing", () => {
    const layer = new Linear(5, 4);
    const { weight, bias } = layer;
    quantize(layer);
    const y = layer.forward(random([5], 1));
    assign(weight, new Float32Array(20));
    assign(bias as Tensor, new Float32Array(4));
    expectSame([layer.forward(random([5], 1))], [y]);
  });

  it("takes a quarter of the bytes", () => {
    const { bytes } = quantize(new LSTM({ inputSize: 256, hiddenSize: 256 }));
    expect(bytes.before).toBe(4 * (2 * 1024 * 256 + 2048));
    expect(bytes.after).toBe(2 * 1024 * 256 + 4 * 2048 + 4 * 2048);
  });

  it("refuses derivatives, and leaves nothing to train", () => {
    const model = new Sequential(new Linear(5, 4), new Linear(4, 3));
    quantize(model);
    const x = tensor([1, 2, 3, 4, 5], { requiresGrad: true });
    const error = thrown(() => backward(sum(model.forward(x))));
    expect(error).toBeInstanceOf(StateError);
    expect((error as Error).message).toContain("quantizedLinear: expected weights of floats to differentiate");
    const lstm = new LSTM({ ...sizes });
    quantize(lstm);
    const xs = tensor(random([2, 1, I], 1).data(), { shape: [2, 1, I], requiresGrad: true });
    expect(thrown(() => backward(sum(lstm.forward(xs).output)))).toBeInstanceOf(StateError);
    expect(() => new Adam(lstm.parameters())).toThrow();
  });
});

describe("a character model", () => {
  it("needs at most 1 % more bits", () => {
    const text = Array.from({ length: 3000 }, (_, i) => `${(i * i * 7 + 13 * i) % 97}, `).join("");
    const ids = Int32Array.from(text, (c) => " ,0123456789".indexOf(c));
    const make = () => new CharModel({ vocabSize: 12, hidden: 40, seed: 2 });
    const model = make();
    const optimizer = new Adam(model.parameters(), { lr: 1e-2 });
    let steps = 0;
    for (const window of new WindowBatches(ids, { batch: 16, window: 24, epochs: 4 })) {
      if (++steps > 90) break;
      scope(() => {
        optimizer.zeroGrad();
        backward(model.loss(window)[0]);
        optimizer.step();
      });
    }
    const bits = () => noGrad(() => bitsPerCharacter(model, ids.subarray(0, 2000), { batch: 2, window: 50 }));
    const before = bits();
    quantize(model);
    const after = bits();
    expect(before < 2).toBe(true);
    expect(after <= before * 1.01).toBe(true);
    expect(after).not.toBe(before);
  });
});
