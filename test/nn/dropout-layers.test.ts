import { describe, expect, it } from "vitest";
import { Dropout, RecurrentDropoutLSTM, VariationalDropout, Zoneout } from "../../src/nn/dropout-layers.ts";
import type { LstmState } from "../../src/recurrence/kinds.ts";
import { GRUCell, LSTMCell } from "../../src/recurrence/rnn-cells.ts";
import { ones, zeros } from "../../src/tensor/create.ts";
import { Generator } from "../../src/tensor/random.ts";
import type { Tensor } from "../../src/tensor/tensor.ts";

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
});
