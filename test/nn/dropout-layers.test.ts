import { describe, expect, it } from "vitest";
import { ArgumentError } from "../../src/base/errors.ts";
import { RecurrentDropoutLSTM } from "../../src/cells/gated/recurrent-dropout.ts";
import { ConvLSTM, type ConvLSTMState, DeepIndRNN, QRNN, type QRNNState } from "../../src/cells/index.ts";
import { Dropout, VariationalDropout } from "../../src/nn/dropout-layers.ts";
import { Linear } from "../../src/nn/layers.ts";
import type { LstmState } from "../../src/recurrence/kinds.ts";
import { GRUCell, LSTMCell } from "../../src/recurrence/rnn-cells.ts";
import { ones, zeros } from "../../src/tensor/create.ts";
import { Generator } from "../../src/tensor/random.ts";
import { assign, type Tensor } from "../../src/tensor/tensor.ts";
import { MooreMachine } from "../../src/wrappers/machines.ts";
import { Zoneout } from "../../src/wrappers/zoneout.ts";

const generator = new Generator(9);
const numbers = (t: Tensor) => Array.from(t.data());

describe("Dropout modules", () => {
  it("drop in training, in evaluation not", () => {
    for (const layer of [new Dropout(0.5, { generator }), new VariationalDropout(0.5, { generator })]) {
      const x = ones([20, 3, 40]);
      const y = numbers(layer.forward(x));
      const zero = y.filter((v) => v === 0).length / y.length;
      expect(zero).toBeGreaterThan(0.35);
      expect(zero).toBeLessThan(0.65);
      expect(new Set(y)).toEqual(new Set([0, 2]));
      expect(layer.eval().forward(x)).toBe(x);
    }
  });

  it("VariationalDropout repeats its mask over time", () => {
    const y = new VariationalDropout(0.5, { generator }).forward(ones([5, 2, 10])).toArray() as number[][][];
    for (const step of y) expect(step).toEqual(y[0]);
  });

  it("reject probabilities outside [0, 1]", () => {
    expect(() => new Dropout(1.5)).toThrow(/p in \[0, 1\], got 1.5/);
    expect(() => new Zoneout(new GRUCell({ inputSize: 1, hiddenSize: 1 }), Number.NaN)).toThrow(/got NaN/);
  });
});

describe("RecurrentDropoutLSTM", () => {
  const cell = new RecurrentDropoutLSTM(0.5, { inputSize: 3, hiddenSize: 6, generator, dtype: "float64" });
  const x = generator.uniform([4, 3], -1, 1, "float64");
  const state = { h: generator.uniform([4, 6], -1, 1, "float64"), c: generator.uniform([4, 6], -1, 1, "float64") };

  it("is the LSTM in evaluation", () => {
    const [y, next] = cell.eval().step(x, state);
    const [y0, next0] = cell.cell.step(x, state);
    numbers(y).forEach((v, i) => expect(Math.abs(v - (numbers(y0)[i] as number))).toBeLessThan(1e-14));
    numbers(next.c).forEach((v, i) => expect(Math.abs(v - (numbers(next0.c)[i] as number))).toBeLessThan(1e-14));
    cell.train();
  });

  it("never erases the memory: where the candidate is dropped, c' = f∘c", () => {
    const [, plain] = cell.eval().step(x, state);
    cell.train();
    const [, dropped] = cell.step(x, state);
    // c' − f∘c is 0 where g is dropped and doubled where it is kept.
    const noInput = new RecurrentDropoutLSTM(1, { inputSize: 3, hiddenSize: 6, dtype: "float64" });
    noInput.cell.loadStateDict(cell.cell.stateDict());
    const [, kept] = noInput.step(x, state);
    const [p, d, k] = [plain.c, dropped.c, kept.c].map(numbers) as [number[], number[], number[]];
    const ratios = d.map((v, i) => (v - (k[i] as number)) / ((p[i] as number) - (k[i] as number)));
    const off = ratios.map((r) => Math.min(Math.abs(r), Math.abs(r - 2)));
    expect(Math.max(...off)).toBeLessThan(1e-9);
    expect(new Set(ratios.map(Math.round))).toEqual(new Set([0, 2]));
  });
});

describe("Zoneout", () => {
  const inner = new LSTMCell({ inputSize: 3, hiddenSize: 50, generator });
  const x = generator.uniform([4, 3], -1, 1);
  const state: LstmState = { h: generator.uniform([4, 50], -1, 1), c: generator.uniform([4, 50], -1, 1) };
  const [, next] = inner.step(x, state);

  it("keeps each element of h and of c with its own probability", () => {
    const [y, mixed] = new Zoneout<LstmState>(inner, [0.2, 0.8], { generator }).step(x, state);
    expect(numbers(y)).toEqual(numbers(mixed.h));
    for (const [name, p] of [
      ["h", 0.2],
      ["c", 0.8],
    ] as const) {
      const [old, fresh, got] = [state[name], next[name], mixed[name]].map(numbers) as [number[], number[], number[]];
      expect(got.every((v, i) => v === old[i] || v === fresh[i])).toBe(true);
      const share = got.filter((v, i) => v === old[i]).length / got.length;
      expect(Math.abs(share - p)).toBeLessThan(0.12);
    }
  });

  it("takes the expectation in evaluation", () => {
    const [, mixed] = new Zoneout<LstmState>(inner, 0.25).eval().step(x, state);
    const expected = numbers(next.h).map((v, i) => 0.75 * v + 0.25 * (numbers(state.h)[i] as number));
    numbers(mixed.h).forEach((v, i) => expect(Math.abs(v - (expected[i] as number))).toBeLessThan(1e-6));
  });

  it("scans sequences, and has the parameters of what it wraps", () => {
    const cell = new Zoneout<LstmState>(inner, 0.1, { generator });
    const [ys] = cell.scan(generator.uniform([5, 2, 3]));
    expect(ys.shape).toEqual([5, 2, 50]);
    expect([...cell.stateDict().keys()]).toEqual(["cell.weight_ih", "cell.weight_hh", "cell.bias_ih", "cell.bias_hh"]);
    expect(cell.whyEager(zeros([5, 2, 3]))).toBe("draws random numbers");
    expect(cell.eval().whyEager(zeros([5, 2, 3]))).toBeNull();
  });

  it("is refused where the output is not the first tensor of the state: a reading goes around it", () => {
    const cell = new GRUCell({ inputSize: 2, hiddenSize: 3, generator });
    expect(() => new Zoneout(new MooreMachine(cell, new Linear(3, 2)), 0.1)).toThrow(
      /puts out the first tensor of its state, got MooreMachine/,
    );
    // Of one size, too: it would put out h in the place of what is read off it.
    expect(() => new Zoneout(new MooreMachine(cell, new Linear(3, 3)), 0.1)).toThrow(ArgumentError);
    expect(() => new Zoneout<QRNNState>(new QRNN({ inputSize: 2, hiddenSize: 3 }), 0.1)).toThrow(ArgumentError);
    // And where the output is only the beginning of the state.
    const firstTwo = new Linear(3, 2, { bias: false });
    assign(firstTwo.weight, [1, 0, 0, 0, 1, 0]);
    expect(() => new Zoneout(new MooreMachine(cell, firstTwo), 0.1)).toThrow(ArgumentError);
    const inside = new MooreMachine(new Zoneout(cell, 0.1, { generator }), new Linear(3, 2));
    expect(inside.scan(zeros([4, 2, 2]))[0].shape).toEqual([4, 2, 2]);
  });

  it("asks that without a trace: modes and random numbers are as they were", () => {
    const dropping = new RecurrentDropoutLSTM(0.5, { inputSize: 2, hiddenSize: 3, generator });
    dropping.cell.eval();
    const before = generator.state;
    new Zoneout<LstmState>(dropping, 0.1, { generator });
    expect(generator.state).toEqual(before);
    expect([dropping.training, dropping.cell.training]).toEqual([true, false]);
  });

  it("tells a state's tensors by name, keeps the shape of outputs, and leaves whole numbers alone", () => {
    const [y, mixed] = new Zoneout<LstmState>(inner, [0, 1]).step(x, { c: state.c, h: state.h });
    expect(numbers(y)).toEqual(numbers(next.h));
    expect(numbers(mixed.c)).toEqual(numbers(state.c));
    const images = new Zoneout<ConvLSTMState>(new ConvLSTM({ height: 2, width: 3, inputChannels: 1, hiddenChannels: 2 }), 0.5);
    expect(images.scan(zeros([2, 4, 6]))[0].shape).toEqual([2, 4, images.outputSize]);
    const counting = new Zoneout(
      new DeepIndRNN({ inputSize: 2, hiddenSize: 3, layers: 1, norm: "step", normSteps: 2, normAt: "before" }).eval(),
      1,
    );
    const [, [h, steps]] = counting.step(zeros([1, 2]), counting.initialState(1)) as [Tensor, [Tensor, Tensor]];
    expect([numbers(h), numbers(steps)]).toEqual([[0, 0, 0], [1]]);
  });
});
