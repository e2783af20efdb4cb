import { describe, expect, it } from "vitest";
import { ShapeError } from "../../src/base/errors.ts";
import { PushdownAutomaton, pushdownLoss } from "../../src/memory/pushdown-automaton.ts";
import { Generator } from "../../src/tensor/random.ts";
import { scope, tensor } from "../../src/tensor/tensor.ts";
import { checkGrads } from "../../src/transforms/check-grads.ts";
import { checkGradients, checkStepsEqualScan, expectClose } from "../cells/acceptance.ts";
import { type Equations, holdAgainst } from "../oracle/equations.ts";
import { logistic, type Vector } from "../oracle/numbers.ts";
import { balanced, bracketCounter, rowsOf } from "./machines.ts";

const sizes = { inputSize: 2, hiddenSize: 3, capacity: 4, dtype: "float64" } as const;

/** The automaton with its stack as a pile of slices from the top: pushing, and taking away from the top, slice by slice. */
const equations = (cell: PushdownAutomaton): Equations => {
  const { inputSize: K, hiddenSize: N, capacity: C } = cell;
  return (p, x, [s, symbols, thickness]) => {
    const pile = rowsOf(symbols as Vector, C).map((v, i) => ({ v, s: thickness?.[i] as number }));
    const reading = new Array<number>(K + 1).fill(0);
    let depth = 0;
    for (const item of pile) {
      const seen = Math.min(item.s, Math.max(0, 1 - depth));
      item.v.forEach((v, k) => {
        reading[k] = (reading[k] as number) + seen * v;
      });
      depth += item.s;
    }
    reading[K] = Math.max(0, 1 - depth);
    const products = cell.order === 3 ? x.flatMap((i) => reading.map((r) => i * r)) : [...x, ...reading];
    const W = p.matrix("weight", products.length);
    const sums = p.vector("bias").map((b, i) => {
      const terms = (s as Vector).map((sj, j) => products.reduce((total, q, k) => total + (W[i * N + j]?.[k] as number) * sj * q, 0));
      return terms.reduce((a, v) => a + v, b);
    });
    const next = sums.slice(0, N).map(logistic);
    const action = Math.tanh(sums[N] as number);
    let due = Math.max(0, -action);
    for (const item of pile) {
      const taken = Math.min(item.s, due);
      item.s -= taken;
      due -= taken;
    }
    if (action > 0) {
      const free = pile.findIndex((item) => item.s === 0);
      pile.splice(free < 0 ? C - 1 : free, 1);
      pile.unshift({ v: [...x], s: action });
    }
    const length = pile.reduce((total, item) => total + item.s, 0);
    return [
      [...next, length],
      [next, pile.flatMap((item) => item.v), pile.map((item) => item.s)],
    ];
  };
};

describe("PushdownAutomaton", () => {
  it.each([2, 3] as const)("is its equations, values and derivatives, of order %i", (order) => {
    const cell = new PushdownAutomaton({ ...sizes, order });
    holdAgainst(cell, equations(cell), { low: 0, seed: 5 });
  });

  it.each([2, 3] as const)("has derivatives in both modes, and steps that equal its scan, captured, of order %i", (order) => {
    const cell = new PushdownAutomaton({ ...sizes, order, generator: new Generator(2) });
    const thickness = tensor([[0.7, 0.4, 0.3, 0.6], [0.2, 0.5, 0.9, 0.1]], { dtype: "float64" }); // biome-ignore format: rows
    const start = cell.initialState(2);
    const symbols = new Generator(3).uniform([2, 4, 2], 0, 1, "float64");
    checkGradients(cell, { state: { units: start.units, stack: { values: symbols, strengths: thickness } } });
    checkStepsEqualScan(cell);
  });

  it("counts brackets with weights made for it, in strings of any length, as a discrete automaton does", () => {
    const cell = bracketCounter();
    const g = new Generator(3);
    for (let n = 0; n < 60; n++) {
      const length = 2 + 2 * (n % 20);
      let depth = 0;
      // Mostly balanced strings: close when something is open, half of the time.
      const word = Array.from({ length }, (_, t) => {
        const draw = g.uniform([1], 0, 1, "float64").item();
        const symbol = depth >= length - t || (depth > 0 && draw < 0.5) ? 1 : 0;
        depth += symbol === 0 ? 1 : -1;
        return draw > 0.97 ? 1 - symbol : symbol;
      });
      const xs = tensor(word.flatMap((k) => [Number(k === 0), Number(k === 1)]), { shape: [length, 1, 2], dtype: "float64" }); // biome-ignore format: one line
      const last = scope(() => Array.from(cell.scan(xs)[0].data().slice(-3)));
      const accepted = (last[0] as number) > 0.5 && (last[2] as number) < 1e-6;
      expect(accepted, word.join("")).toBe(balanced(word));
    }
  });

  it("loses nothing by popping too much, and starts in the first unit", () => {
    const cell = bracketCounter();
    const [y, next] = cell.step(tensor([[0, 1]], { dtype: "float64" }), cell.initialState(1));
    expect(Array.from(cell.initialState(2).units.data())).toEqual([1, 0, 1, 0]);
    expectClose(y, [0, 1, 0], 1e-12);
    expect(next.stack.strengths.toArray()).toEqual([new Array(40).fill(0)]);
  });

  it("refuses other orders", () => {
    expect(() => new PushdownAutomaton({ ...sizes, order: 4 as never })).toThrow(/expected order to be one of "2", "3", got "4"/);
  });
});

describe("pushdownLoss", () => {
  const last = tensor([[0.9, 0, 0.3], [0.9, 0, 0.3], [0.2, 0, 0.5]], { dtype: "float64" }); // biome-ignore format: rows
  const legal = tensor([1, 0, 0], { dtype: "float64" });

  it("is as worked by hand, with its derivative", () => {
    expectClose(pushdownLoss(last, legal), [0.5 * (0.01 + 0.09), 0.5 * 0.36, 0], 1e-12);
    checkGrads((x) => pushdownLoss(x, legal), [last]);
  });

  it("refuses other shapes", () => {
    expect(() => pushdownLoss(last, tensor([1, 0], { dtype: "float64" }))).toThrow(ShapeError);
    expect(() => pushdownLoss(last, tensor([1, 0], { dtype: "float64" }))).toThrow("pushdownLoss: expected last [B,N+1] and legal [B]");
  });
});
