import { describe, expect, it } from "vitest";
import { gradients } from "../../../src/autodiff/sweep.ts";
import { HierarchicalRNN, type HierarchicalRNNOptions } from "../../../src/cells/timescales/hierarchical.ts";
import { select, slice } from "../../../src/ops/shape.ts";
import { zeros } from "../../../src/tensor/create.ts";
import { Generator } from "../../../src/tensor/random.ts";
import { requireGrad, type Tensor } from "../../../src/tensor/tensor.ts";
import { holdAgainst } from "../../oracle/equations.ts";
import { each, logistic, plus, rows, times, type Vector } from "../../oracle/numbers.ts";
import { accept, expectClose } from "../acceptance.ts";
import { recall } from "../recall.ts";

const LEVELS = [
  { size: 3, period: 1 },
  { size: 2, period: 2 },
  { size: 4, period: 5 },
];
const net = (more: Partial<HierarchicalRNNOptions> = {}) =>
  new HierarchicalRNN({ inputSize: 3, levels: LEVELS, dtype: "float64", generator: new Generator(2), ...more });
const numbers = (t: Tensor) => Array.from(t.data());

/** The states after each step, level by level, in plain numbers. */
function run(cell: HierarchicalRNN, xs: number[][], mean: boolean, f = Math.tanh): number[][] {
  let h = LEVELS.map(({ size }) => new Array<number>(size).fill(0));
  const seen: number[][][] = LEVELS.map(() => []);
  return xs.map((x, t) => {
    const next: number[][] = [];
    for (const [l, { period }] of LEVELS.entries()) {
      const below = next[l - 1] ?? x;
      seen[l]?.push(below);
      // The last `period` values of the level below; those before the first step are zero.
      const window = (seen[l] as number[][]).slice(-period);
      const from = mean ? plus(...window).map((v) => v / period) : below;
      const { weightIh, weightHh, bias } = cell.levels[l] as (typeof cell.levels)[number];
      const updated = plus(times(rows(weightIh), [...from, ...(h[l + 1] ?? [])]), times(rows(weightHh), h[l] as number[]), numbers(bias));
      next.push(t % period === 0 ? updated.map(f) : (h[l] as number[]));
    }
    h = next;
    return next.flat();
  });
}

describe("HierarchicalRNN", () => {
  it.each(["last", "mean"] as const)("is its equation from any state, clocks and sums among it, values and derivatives (%s)", (window) =>
    holdAgainst(net({ window }), (p, x, state) => {
      const [h, wait, sums] = [state.slice(0, 3), state[3] as Vector, state.slice(4)];
      const next: Vector[] = [];
      const left: Vector[] = [];
      for (const [l, { period }] of LEVELS.entries()) {
        const below = next[l - 1] ?? x;
        const due = (wait[l] as number) < 0.5;
        const total = window === "mean" ? plus(sums[l] as Vector, below) : [];
        if (window === "mean") left.push(due ? total.map(() => 0) : total);
        const seen = [...(window === "mean" ? total.map((v) => v / period) : below), ...(h[l + 1] ?? [])];
        const own = h[l] as Vector;
        const W = p.matrix(`levels.${l}.weight_ih`, seen.length);
        const U = p.matrix(`levels.${l}.weight_hh`, own.length);
        const updated = plus(times(W, seen), times(U, own), p.vector(`levels.${l}.bias`)).map(Math.tanh);
        next.push(due ? updated : own);
      }
      const clocks = each((w, rest) => (w < 0.5 ? rest : w - 1), wait, [0, 1, 4]);
      return [next.flat(), [...next, clocks, ...left]];
    }),
  );

  it.each(["last", "mean"] as const)("has the gradients of its equations, and steps that equal its scan (%s)", (window) => {
    const cell = net({ window });
    const { wait, h, sums } = cell.initialState(2);
    const g = new Generator(4);
    const random = (t: Tensor) => g.uniform(t.shape, -1, 1, "float64");
    accept(cell, { state: { h: h.map(random), wait, sums: sums.map(random) } });
  });

  it.each(["last", "mean"] as const)(
    "updates each level at multiples of its period, from the level below and the one above (%s)",
    (window) => {
      const cell = net({ window });
      const xs = new Generator(3).uniform([13, 1, 3], -1, 1, "float64");
      const [ys] = cell.scan(xs);
      const inputs = Array.from({ length: 13 }, (_, t) => numbers(select(xs, 0, t)));
      for (const [t, h] of run(cell, inputs, window === "mean").entries()) expectClose(select(ys, 0, t), h, 1e-12, `step ${t}`);
    },
  );

  it("has the activation that it is given", () => {
    const cell = net({ activation: "logistic" });
    const xs = new Generator(3).uniform([7, 1, 3], -1, 1, "float64");
    const inputs = Array.from({ length: 7 }, (_, t) => numbers(select(xs, 0, t)));
    expectClose(cell.scan(xs)[0], run(cell, inputs, false, logistic).flat(), 1e-12);
  });

  it("passes gradients unchanged through what is kept", () => {
    const cell = net({ levels: [{ size: 3, period: 4 }] });
    const h = requireGrad(new Generator(5).uniform([1, 3], -1, 1, "float64"));
    const state = { ...cell.initialState(1), h: [h] };
    // The first step of four updates; the next three keep.
    const [, after] = cell.scan(zeros([1, 1, 3], "float64"), state);
    const kept = { ...after, h: [h] };
    const [ys] = cell.scan(zeros([3, 1, 3], "float64"), kept);
    const seed = new Generator(6).uniform([1, 3], -1, 1, "float64");
    expectClose(gradients([select(ys, 0, 2)], [h], [seed])[0] as Tensor, numbers(seed), 0);
  });

  it("goes on where it was left", () => {
    const cell = net({ window: "mean" });
    const xs = new Generator(3).uniform([11, 2, 3], -1, 1, "float64");
    const [whole] = cell.scan(xs);
    const [, middle] = cell.scan(slice(xs, 0, 0, 4));
    expectClose(cell.scan(slice(xs, 0, 4), middle)[0], numbers(slice(whole, 0, 4)), 1e-12);
  });

  it.each([
    { levels: [] },
    { levels: [{ size: 0, period: 1 }] },
    { levels: [{ size: 1, period: 1.5 }] },
    { inputSize: 0 },
    { window: "median" as "mean" },
  ])("refuses %j", (wrong) => expect(() => net(wrong)).toThrow(/HierarchicalRNN.*: expected/));

  it("learns to remember, which its initial weights do not", () => {
    const levels = [
      { size: 6, period: 1 },
      { size: 6, period: 4 },
    ];
    const cell = () => new HierarchicalRNN({ inputSize: 1, levels, generator: new Generator(1) });
    expect(recall(cell(), { steps: 24, frozen: true })).toBeGreaterThan(0.5);
    expect(recall(cell(), { steps: 24 })).toBeLessThan(0.1);
  });
});
