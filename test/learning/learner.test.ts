/** Learning step by step: the gradients of the whole sequence, memory that stays, and everything as bytes. */

import { describe, expect, it } from "vitest";
import { gradients } from "../../src/autodiff/sweep.ts";
import { ArgumentError, FormatError, ShapeError, StateError } from "../../src/base/errors.ts";
import { MinGRU } from "../../src/cells/index.ts";
import { type Learner, rtrl } from "../../src/learning/index.ts";
import { mul } from "../../src/ops/arithmetic.ts";
import { sum } from "../../src/ops/broadcast.ts";
import { select } from "../../src/ops/shape.ts";
import type { Recurrence } from "../../src/recurrence/recurrence.ts";
import { GRUCell, RNNCell } from "../../src/recurrence/rnn-cells.ts";
import { onesLike, zeros } from "../../src/tensor/create.ts";
import { Generator } from "../../src/tensor/random.ts";
import { scope, type Tensor } from "../../src/tensor/tensor.ts";
import { memory } from "../../src/wasm/host.ts";
import { every, spikes } from "../recurrence/every.ts";
import { expectEqual, gradientsNow, largest, NOT_FORWARD, runSteps, squareError } from "./recurrences.ts";

const [T, B] = [4, 2];
const make = (name: string): Recurrence => every[name]?.({ dtype: "float64", generator: new Generator(3) }) as Recurrence;
const gru = (): Recurrence =>
  new GRUCell({ inputSize: 2, hiddenSize: 3, dtype: "float64", generator: new Generator(1) }) as unknown as Recurrence;
const beginAt = (cell: Recurrence, batch: number): Learner => rtrl().begin?.(cell, batch) as Learner;

/** Weights of the outputs of each step: the loss is their inner product with the outputs. */
function weightsOf(cell: Recurrence): Tensor {
  return new Generator(5).uniform([T, B, cell.outputSize], -1, 1, "float64");
}

const inputsOf = (cell: Recurrence): Tensor => new Generator(4).uniform([T, B, cell.inputSize], -1, 1, "float64");

/** Gradients of the whole sequence by backpropagation through time. */
function expectedGradients(cell: Recurrence): (Tensor | null)[] {
  if (cell.parameters().length === 0) return [];
  const loss = sum(mul(cell.scan(inputsOf(cell))[0], weightsOf(cell)));
  return gradients([loss], cell.parameters(), [onesLike(loss)]);
}

const forward = Object.keys(every).filter((name) => !(name in NOT_FORWARD) && !("encoder" in make(name)));

describe("learning step by step", () => {
  it.each(forward)("adds up to the gradients of the whole sequence: %s", (name) => {
    const cell = make(name);
    const expected = expectedGradients(cell);
    const learner = beginAt(cell, B);
    const [xs, weights] = [inputsOf(cell), weightsOf(cell)];
    const ys = cell.scan(xs)[0];
    for (let t = 0; t < T; t++) {
      const y = learner.step(select(xs, 0, t), () => select(weights, 0, t));
      expectEqual([y], [select(ys, 0, t)], 1e-12);
    }
    expect(expected.some((g) => largest(g) > 0) || cell.parameters().length === 0).toBe(!spikes(name));
    expectEqual(
      cell.parameters().map((p) => p.grad),
      expected,
      1e-12,
    );
  });

  it.each(Object.keys(NOT_FORWARD))("is refused where steps do not follow each other: %s", (name) => {
    const cell = make(name);
    // Alone, a sequence does not share its steps' sizes with others.
    const batch = 2;
    expect(() => beginAt(cell, batch)).toThrow(name === "DetachEvery" ? ArgumentError : StateError);
  });
});

describe("a learner", () => {
  const xs = new Generator(6).uniform([6, 1, 2], -1, 1, "float64");
  const run = (learner: Learner, from: number, to: number): number[] => runSteps(learner, xs, from, to);

  it("goes on from bytes, to the bit, in another learner", () => {
    for (const make of [gru, () => new MinGRU({ inputSize: 2, hiddenSize: 3, dtype: "float64", generator: new Generator(1) })]) {
      const [a, b] = [make(), make()] as [Recurrence, Recurrence];
      const [first, second] = [beginAt(a, 1), beginAt(b, 1)];
      run(first, 0, 3);
      a.zeroGrad();
      second.fromBytes(first.toBytes());
      expect(run(second, 3, 6)).toEqual(run(first, 3, 6));
      expect(gradientsNow(b)).toEqual(gradientsNow(a));
      expect(gradientsNow(a).some((g) => g !== 0)).toBe(true);
    }
  });

  it("starts anew after reset, and leaves everything as it was where something fails", () => {
    const cell = gru();
    const learner = beginAt(cell, 1);
    const ys = run(learner, 0, 3);
    const expected = gradientsNow(cell);
    const bytes = learner.toBytes();
    expect(() => learner.step(zeros([2, 2], "float64"))).toThrow(ShapeError);
    expect(() => learner.step(select(xs, 0, 0), () => zeros([1, 4], "float64"))).toThrow(ShapeError);
    expect(() => learner.step(select(xs, 0, 0), (() => Promise.resolve(null)) as never)).toThrow(ShapeError);
    expect(() => learner.fromBytes(bytes.slice(1))).toThrow(FormatError);
    expect(() => {
      learner.memory = { state: zeros([1, 3], "float64"), influences: [], generators: [] };
    }).toThrow(ShapeError);
    expect(learner.toBytes()).toEqual(bytes);
    expect(gradientsNow(cell)).toEqual(expected);
    learner.reset();
    cell.zeroGrad();
    expect(run(learner, 0, 3)).toEqual(ys);
    expect(gradientsNow(cell)).toEqual(expected);
  });

  it("holds the same memory after 10,000 steps", () => {
    const cell = new RNNCell({ inputSize: 2, hiddenSize: 1, dtype: "float64", generator: new Generator(1) });
    const learner = beginAt(cell as unknown as Recurrence, 1);
    const x = select(xs, 0, 0).detach();
    const steps = (n: number): number => {
      for (let i = 0; i < n; i++) scope(() => void learner.step(x, squareError));
      return memory().liveBytes;
    };
    const before = steps(10);
    expect(steps(10_000)).toBe(before);
  }, 120_000);

  it("takes trained first states, and refuses steps that draw", () => {
    const dropped = every["StackedRNN, residual"]?.({ dtype: "float64", generator: new Generator(3) }) as Recurrence;
    expect(() => beginAt(dropped, 1)).toThrow(/random numbers/);
    dropped.eval();
    const learner = beginAt(dropped, 1);
    const x = zeros([1, dropped.inputSize], "float64");
    learner.step(x);
    const bytes = learner.toBytes();
    dropped.train();
    expect(() => learner.step(x)).toThrow(StateError);
    expect(learner.toBytes()).toEqual(bytes);
    expect(() => beginAt(gru(), 0)).toThrow(ArgumentError);
  });
});
