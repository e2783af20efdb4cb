import { describe, expect, it } from "vitest";
import { CrossCoupledPerceptron } from "../../src/learning/index.ts";
import { Generator } from "../../src/tensor/random.ts";
import { assign, tensor } from "../../src/tensor/tensor.ts";
import { thrown } from "../thrown.ts";

describe("the cross-coupled perceptron", () => {
  it("learns what follows what, by hand", () => {
    const net = new CrossCoupledPerceptron({ inputSize: 2, units: 2, excitatory: 1, inhibitory: 0, threshold: 1, lr: 0.5, decay: 0.25 });
    assign(net.weight, [1, 0, 0, 1]);
    // Point 0, then point 1: unit 0, then unit 1. The coupling from 0 to 1 grows by η.
    expect(net.learn(tensor([[[1, 0]], [[0, 1]]])).toArray()).toEqual([[[1, 0]], [[0, 1]]]);
    expect(net.coupling.toArray()).toEqual([[0, 0], [0.5, 0]]); // biome-ignore format: short
    // Again: 0.5 · ¾ after the first step, · ¾ + ½ after the second.
    net.learn(tensor([[[1, 0]], [[0, 1]]]));
    expect(net.coupling.toArray()).toEqual([[0, 0], [0.78125, 0]]); // biome-ignore format: short
    net.learn(tensor([[[1, 0]], [[0, 1]]]));
    net.learn(tensor([[[1, 0]], [[0, 1]]]));
    // 0.939 and 1.028: now the coupling alone reaches the threshold.
    expect(net.scan(tensor([[[1, 0]], [[0, 0]]]))[0].toArray()).toEqual([[[1, 0]], [[0, 1]]]);
    assign(net.coupling, [0, 0, 1, 0]);
    expect(net.scan(tensor([[[1, 0]], [[0, 0]], [[0, 0]]]))[0].toArray()).toEqual([[[1, 0]], [[0, 1]], [[0, 0]]]);
  });

  it("changes by the mean over a batch, in plain loops", () => {
    const [I, A, B, T] = [12, 7, 3, 4];
    const make = () => new CrossCoupledPerceptron({ inputSize: I, units: A, excitatory: 3, inhibitory: 2, threshold: 1, lr: 0.3, decay: 0.1, generator: new Generator(2) });
    const net = make();
    const xs = new Generator(3).bernoulli([T, B, I], 0.5);
    const C = net.weight.toArray() as number[][];
    for (const row of C) expect([row.filter((c) => c === 1).length, row.filter((c) => c === -1).length]).toEqual([3, 2]);
    const V = Array.from({ length: A }, () => new Array<number>(A).fill(0));
    let state = Array.from({ length: B }, () => new Array<number>(A).fill(0));
    const got = net.learn(xs).toArray() as number[][][];
    for (const [t, batch] of (xs.toArray() as number[][][]).entries()) {
      const next = batch.map((x, b) =>
        C.map((row, i) => {
          const field = row.reduce((sum, c, j) => sum + c * (x[j] as number), 0) + (state[b] as number[]).reduce((sum, a, k) => sum + (V[i]?.[k] as number) * a, 0);
          return Number(field >= 1);
        }),
      );
      expect(got[t]).toEqual(next);
      for (let i = 0; i < A; i++) {
        for (let k = 0; k < A; k++) {
          const together = next.reduce((sum, a, b) => sum + (a[i] as number) * (state[b]?.[k] as number), 0) / B;
          (V[i] as number[])[k] = 0.9 * (V[i]?.[k] as number) + 0.3 * together;
        }
      }
      state = next;
    }
    for (const [i, row] of (net.coupling.toArray() as number[][]).entries()) for (const [k, v] of row.entries()) expect(Math.abs(v - (V[i]?.[k] as number)) <= 1e-6).toBe(true);
    expect(V.flat().some((v) => v > 0)).toBe(true);
  }); // biome-ignore format: long

  it.each<[string, () => unknown, string]>([
    ["no units", () => new CrossCoupledPerceptron({ inputSize: 3, units: 0 }), "expected units to be a whole number of at least 1, got 0"],
    ["more connections than points", () => new CrossCoupledPerceptron({ inputSize: 8, units: 2 }), "expected inhibitory to be a whole number in [0, 3], got 5"],
    ["a negative rate", () => new CrossCoupledPerceptron({ inputSize: 10, units: 2, lr: -1 }), "expected lr of at least 0, got -1"],
    ["a sequence of other points", () => new CrossCoupledPerceptron({ inputSize: 10, units: 2 }).learn(tensor([[[1]]])), "learn: expected xs [T,B,10] of at least one step, got [1,1,1]"],
    ["a gap", () => new CrossCoupledPerceptron({ inputSize: 1, units: 2, excitatory: 1, inhibitory: 0 }).learn(tensor([[[Number.NaN]]])), "learn: expected finite numbers in xs [1,1,1], got NaN at position 0"],
  ])("refuses %s", (_, call, message) => {
    expect((thrown(call) as Error).message).toContain(message);
  }); // biome-ignore format: a table
});
