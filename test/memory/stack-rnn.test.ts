import { describe, expect, it } from "vitest";
import { StackRNN, type StackRNNOptions } from "../../src/memory/stack-rnn.ts";
import { Generator } from "../../src/tensor/random.ts";
import { assign, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { checkGradients, checkStepsEqualScan, expectClose } from "../cells/acceptance.ts";
import { type Equations, holdAgainst } from "../oracle/equations.ts";
import { logistic, part, plus, times, type Vector } from "../oracle/numbers.ts";
import { rowsOf, softmax } from "./machines.ts";

const sizes = { inputSize: 2, hiddenSize: 3, capacity: 4, dtype: "float64" } as const;
const net = (options: Partial<StackRNNOptions> = {}) => new StackRNN({ ...sizes, generator: new Generator(1), ...options });

/** One number of a list after a step, as the paper's cases stand. */
function listPlace(s: Vector, j: number, [insert, left, right, stay = 0]: Vector, value: number): number {
  const head = Math.floor(s.length / 2);
  const at = (i: number) => s[i] ?? -1;
  const inserted = j === head ? value : j < head ? at(j + 1) : at(j);
  return (right as number) * at(j + 1) + (left as number) * at(j - 1) + (insert as number) * inserted + stay * at(j);
}

/** Joulin and Mikolov (2015), eq. 3-6 and those of lists, place by place. */
const equations = (cell: StackRNN): Equations => {
  const { stacks: P, capacity: C, depth, memory } = cell;
  const head = Math.floor(C / 2);
  return (p, x, [before, stacks]) => {
    const all = rowsOf(stacks as Vector, P);
    const places = Array.from({ length: depth }, (_, k) => (memory === "list" ? head - k : k));
    const top = all.flatMap((s) => places.map((i) => s[i] as number));
    const seen = plus(times(p.matrix("weight_ih", x.length), x), times(p.matrix("weight_stack", top.length), top));
    const h = (cell.weightHh === null ? seen : plus(seen, times(p.matrix("weight_hh", seen.length), before as Vector))).map(logistic);
    const values = times(p.matrix("weight_push", h.length), h).map(logistic);
    const actions = times(p.matrix("weight_action", h.length), h);
    const next = all.map((s, i) => {
      if (memory === "list") return s.map((_, j) => listPlace(s, j, softmax(part(actions, i, P)), values[i] as number));
      const [push, pop, stay = 0] = softmax(part(actions, i, P)) as [number, number, number?];
      return s.map((own, j) => push * (j === 0 ? (values[i] as number) : (s[j - 1] as number)) + pop * (j + 1 < C ? (s[j + 1] as number) : -1) + stay * own);
    }); // biome-ignore format: as the equation stands
    return [h, [h, next.flat()]];
  };
};

const kinds: Partial<StackRNNOptions>[] = [
  {},
  { stacks: 2, noop: true },
  { stacks: 3, recurrent: false, depth: 1 },
  { capacity: 1, depth: 1 },
  { memory: "list" },
  { memory: "list", stacks: 2, noop: true, capacity: 5, depth: 3 },
  { memory: "list", recurrent: false, capacity: 1, depth: 1 },
];

describe("StackRNN", () => {
  it.each(kinds)("is the paper's equations, values and derivatives, and steps that equal its scan, captured, with %j", (options) => {
    const cell = net(options);
    holdAgainst(cell, equations(cell));
    checkStepsEqualScan(cell);
  });

  it.each(["stack", "list"] as const)("has derivatives in both modes, %s", (memory) =>
    checkGradients(net({ memory, stacks: 2, noop: true })),
  );

  it("is a discrete stack where actions are certain, over a random program", () => {
    // One input pushes 1, one pushes 0, one pops; h sees the input alone.
    const cell = net({ inputSize: 3, recurrent: false, capacity: 8 });
    const big = 60;
    const eye = (n: number, scale: number) => Array.from({ length: n * n }, (_, i) => (i % (n + 1) === 0 ? scale : -scale));
    assign(cell.weightIh, eye(3, big));
    assign(cell.weightStack, new Float64Array(6));
    assign(cell.weightAction, [big, big, 0, 0, 0, big]);
    assign(cell.weightPush, [big, -big, 0]);
    const items: number[] = [];
    let state = cell.initialState(1);
    const draws = Array.from(new Generator(2).uniform([200], 0, 1, "float64").data());
    for (const draw of draws) {
      const symbol = draw < 0.45 || items.length === 8 ? 2 : draw < 0.7 ? 0 : 1;
      if (symbol === 2) items.shift();
      else items.unshift(symbol === 0 ? 1 : 0);
      state = cell.step(tensor([[0, 1, 2].map((k) => Number(k === symbol))], { dtype: "float64" }), state)[1];
      const expected = Array.from({ length: 8 }, (_, i) => items[i] ?? -1);
      expectClose(state.stacks, expected, 1e-9);
    }
  });

  it("is a list with a head where actions are certain, over a random program", () => {
    // Inputs ask for: insert 1, insert 0, left, right; h sees the input alone.
    const cell = net({ inputSize: 4, hiddenSize: 4, recurrent: false, memory: "list", capacity: 41 });
    const big = 60;
    assign(
      cell.weightIh,
      Array.from({ length: 16 }, (_, i) => (i % 5 === 0 ? big : -big)),
    );
    assign(cell.weightStack, new Float64Array(8));
    assign(cell.weightAction, [big, big, 0, 0, 0, 0, big, 0, 0, 0, 0, big]);
    assign(cell.weightPush, [big, -big, 0, 0]);
    // Nodes left of the head's and its own, the nearest last; nodes to the right, the nearest first.
    const [left, right] = [new Array<number>(60).fill(-1), new Array<number>(60).fill(-1)];
    let state = cell.initialState(1);
    const draws = Array.from(new Generator(2).uniform([18], 0, 1, "float64").data());
    for (const draw of draws) {
      const symbol = Math.floor(4 * draw);
      if (symbol < 2) left.push(1 - symbol);
      else if (symbol === 2) right.unshift(left.pop() as number);
      else left.push(right.shift() as number);
      state = cell.step(tensor([[0, 1, 2, 3].map((k) => Number(k === symbol))], { dtype: "float64" }), state)[1];
      expectClose(state.stacks, [...left.slice(-21), ...right.slice(0, 20)], 1e-9);
    }
  });

  it.each(["float32", "float64"] as const)("gives numbers where its actions are saturated, %s", (dtype) => {
    const cell = net({ dtype, stacks: 2, noop: true });
    for (const p of cell.parameters() as Tensor[]) {
      assign(
        p,
        Array.from(new Generator(4).uniform(p.shape, -1, 1, "float64").data(), (w) => 1e30 * w),
      );
    }
    const [ys, last] = cell.scan(new Generator(2).uniform([9, 2, 2], -1, 1, dtype));
    expect([...ys.data(), ...last.stacks.data()].every((v) => v >= -1 && v <= 1)).toBe(true);
  });

  it("refuses a depth beyond its stacks", () => {
    expect(() => net({ depth: 5 })).toThrow("StackRNN: expected depth of at most the capacity 4, got 5");
    expect(() => net({ memory: "list", depth: 4 })).toThrow("StackRNN: expected depth of at most 3 in a list of 4, got 4");
    expect(() => net({ memory: "tape" as never })).toThrow('StackRNN: expected memory to be one of "stack", "list", got "tape"');
    expect(() => net({ noop: 1 as never })).toThrow("StackRNN: expected noop to be true or false, got 1");
  });
});
