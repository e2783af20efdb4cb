import { describe, expect, it } from "vitest";
import { type ContinuousList, type End, emptyList, popped, pushed, readAt } from "../../src/memory/continuous-list.ts";
import { NeuralDeque, type NeuralListOptions, NeuralQueue, NeuralStack } from "../../src/memory/neural-stack.ts";
import { Generator } from "../../src/tensor/random.ts";
import { assign, scope, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { checkGradients, checkStepsEqualScan, expectClose } from "../cells/acceptance.ts";
import { type Equations, holdAgainst } from "../oracle/equations.ts";
import { logistic, type Vector } from "../oracle/numbers.ts";
import { affine, controllerBy, cut, rowsOf } from "./machines.ts";

/** An item: how much of it is there, and what it is. */
type Item = { s: number; v: Vector };

/** Grefenstette et al. (2015), eq. 2, over items that begin at the end in question. */
function pop(items: readonly Item[], u: number): Item[] {
  let before = 0;
  return items.map(({ s, v }) => {
    const left = Math.max(0, s - Math.max(0, u - before));
    before += s;
    return { s: left, v };
  });
}

/** Their eq. 3. */
function read(items: readonly Item[], W: number): number[] {
  let before = 0;
  const r = new Array<number>(W).fill(0);
  for (const { s, v } of items) {
    const weight = Math.min(s, Math.max(0, 1 - before));
    for (let j = 0; j < W; j++) r[j] = (r[j] as number) + weight * (v[j] as number);
    before += s;
  }
  return r;
}

/** Items seen from an end. */
const from = (end: End, items: readonly Item[]): Item[] => (end === "top" ? [...items] : [...items].reverse());

/** A push into C rows: it takes the first free row, or else that of the last item. */
function push(items: readonly Item[], item: Item): Item[] {
  const free = items.findIndex(({ s }) => s === 0);
  return [item, ...items.toSpliced(free < 0 ? items.length - 1 : free, 1)];
}

const ENDS = { NeuralStack: ["top"], NeuralQueue: ["bottom"], NeuralDeque: ["top", "bottom"] } as const;
const PUSHES = { NeuralStack: ["top"], NeuralQueue: ["top"], NeuralDeque: ["top", "bottom"] } as const;
const cells = { NeuralStack, NeuralQueue, NeuralDeque } as const;
const names = ["NeuralStack", "NeuralQueue", "NeuralDeque"] as const;

const sizes = { inputSize: 2, outputSize: 2, hiddenSize: 3, valueSize: 2, capacity: 3, dtype: "float64" } as const;

const equations = (name: (typeof names)[number], cell: NeuralStack): Equations => {
  const [W, C, ends] = [cell.valueSize, cell.capacity, ENDS[name]];
  return (p, x, [values, strengths, r, ...state]) => {
    const [h, next] = controllerBy(cell.controller, p, [...x, ...(r as Vector)], state);
    const [d, u, v] = cut(affine(p, "actions", h), [ends.length, ends.length, ends.length * W]) as [Vector, Vector, Vector];
    let items: Item[] = rowsOf(values as Vector, C).map((row, i) => ({ s: strengths?.[i] as number, v: row }));
    for (const [i, end] of ends.entries()) items = from(end, pop(from(end, items), logistic(u[i] as number)));
    for (const [i, end] of PUSHES[name].entries()) {
      const item = { s: logistic(d[i] as number), v: (rowsOf(v, ends.length)[i] as number[]).map(Math.tanh) };
      items = from(end, push(from(end, items), item));
    }
    const y = affine(p, "output", h).map(Math.tanh);
    const seen = ends.flatMap((end) => read(from(end, items), W));
    return [y, [items.flatMap(({ v: value }) => [...value]), items.map(({ s }) => s), seen, ...next]];
  };
};

describe.each(names)("%s", (name) => {
  const make = (options: Partial<NeuralListOptions> = {}) => new cells[name]({ ...sizes, generator: new Generator(1), ...options });

  it.each([{}, { controller: "feedforward", capacity: 6 }, { capacity: 1, valueSize: 1 }] as const)(
    "is the paper's equations, values and derivatives, with %j",
    (options) => {
      const cell = make(options);
      holdAgainst(cell, equations(name, cell), { low: 0, seed: 3 });
    },
  );

  it("has derivatives in both modes, and steps that equal its scan, captured", () => {
    const cell = make({ controller: "feedforward" });
    const strengths = tensor([[0.7, 0.4, 0.3], [0.2, 0.5, 0.9]], { dtype: "float64" }); // biome-ignore format: rows
    checkGradients(cell, { state: { ...cell.initialState(2), strengths } });
    checkStepsEqualScan(make());
  });

  it("pushes more than it pops at first", () => {
    const K = ENDS[name].length;
    expect(Array.from((make().actions.bias as Tensor).data()).slice(K, 2 * K)).toEqual(new Array(K).fill(-1));
    expect(() => make({ capacity: 0 })).toThrow(`${name}: expected capacity to be a whole number of at least 1, got 0`);
    expect(() => make({ popBias: Number.NaN })).toThrow(`${name}: expected popBias`);
  });

  it.each(["float32", "float64"] as const)("gives numbers where its gates are saturated, %s", (dtype) => {
    const cell = make({ dtype, controller: "feedforward" });
    for (const scale of [0, 1e-30, 1e4, 1e30]) {
      assign(
        cell.actions.weight,
        Array.from(new Generator(4).uniform(cell.actions.weight.shape, -1, 1, "float64").data(), (w) => w * scale),
      );
      const [ys, last] = cell.scan(new Generator(2).uniform([9, 2, 2], -1, 1, dtype));
      for (const t of [ys, last.values, last.strengths, last.read]) expect(Array.from(t.data()).every(Number.isFinite)).toBe(true);
      expect(Array.from(last.strengths.data()).every((s) => s >= 0 && s <= 1)).toBe(true);
    }
  });
});

const one = (value: number) => tensor([[value]], { dtype: "float64" });
const strengthsOf = ({ strengths }: ContinuousList) => Array.from(strengths.data(), Number);

/** One step of a list with one end to pop from, in place of a controller. */
function act(list: ContinuousList, { u, d, v }: { u: number; d: number; v: Vector }, end: End): ContinuousList {
  const left = { ...list, strengths: popped(list.strengths, one(u), end) };
  return pushed(left, tensor([[...v]], { dtype: "float64" }), one(d), "top");
}

describe("continuous lists", () => {
  it.each<[End, number[][], number[][]]>([
    ["top", [[0.8], [0.7, 0.5], [0.3, 0, 0.9]], [[0.8], [0.5, 0.5], [0.1, 0, 0.9]]],
    ["bottom", [[0.8], [0.7, 0.5], [0, 0.3, 0.9]], [[0.8], [0.7, 0.3], [0, 0.3, 0.7]]],
  ])("pops, pushes and reads as worked by hand at the %s", (end, strengths, weights) => {
    let list = emptyList([1, 3, 3], "float64");
    const gates = [[0, 0.8], [0.1, 0.5], [0.9, 0.9]] as const; // biome-ignore format: rows
    for (const [t, [u, d]] of gates.entries()) {
      list = act(list, { u, d, v: [0, 1, 2].map((i) => Number(i === t)) }, end);
      // What is left of the values that are gone is a free row: the paper's list keeps it in place.
      const expected = (strengths[t] as number[]).filter((s) => s > 0).reverse();
      expectClose(
        strengthsOf(list).filter((s) => s > 1e-12),
        expected,
        1e-12,
      );
      const read = Array.from(readAt(list, end).data(), Number);
      expectClose(read, [0, 1, 2].map((i) => weights[t]?.[i] ?? 0), 1e-12); // biome-ignore format: one line
    }
  });

  it.each<End>(["top", "bottom"])("are lists that grow without end, in as many rows as items are there at once, at the %s", (end) => {
    const g = new Generator(7);
    const C = 8;
    let list = emptyList([1, C, 2], "float64");
    // From the top, as long as the sequence.
    let items: Item[] = [];
    let most = 0;
    for (let t = 0; t < 200; t++) {
      const [u, d, ...v] = Array.from(g.uniform([4], 0, 1, "float64").data(), Number) as [number, number, number, number];
      items = [{ s: d, v }, ...from(end, pop(from(end, items), 1.1 * u))];
      list = scope(() => act(list, { u: 1.1 * u, d, v }, end));
      most = Math.max(most, items.filter(({ s }) => s > 0).length);
      expectClose(readAt(list, end), read(from(end, items), 2), 1e-12, `step ${t}`);
    }
    expect(most).toBeLessThanOrEqual(C);
    expect(most).toBeGreaterThan(3);
  });

  it.each<[string, End, (items: number[]) => number | undefined]>([
    ["a stack", "top", (items) => items.pop()],
    ["a queue", "bottom", (items) => items.shift()],
  ])("are %s where strengths are 0 and 1, over random programs, to the bit", (_, end, take) => {
    for (const seed of [1, 2, 3]) {
      const g = new Generator(seed);
      const C = 5;
      let list = emptyList([1, C, 1], "float64");
      const items: number[] = [];
      const program = Array.from(g.uniform([300], 0, 1, "float64").data(), Number);
      for (const [t, draw] of program.entries()) {
        const push = draw < 0.5 && items.length < C;
        if (push) items.push(t + 1);
        else take(items);
        list = scope(() => act(list, { u: Number(!push), d: Number(push), v: [t + 1] }, end));
        expect(readAt(list, end).item()).toBe((end === "top" ? items.at(-1) : items[0]) ?? 0);
        expect(strengthsOf(list).filter((s) => s === 1).length).toBe(items.length);
      }
    }
  });

  it("lose the oldest where there are too many, and nothing by a push of strength 0", () => {
    let list = emptyList([1, 2, 1], "float64");
    for (const v of [1, 2, 3]) list = act(list, { u: 0, d: 1, v: [v] }, "top");
    list = act(list, { u: 0, d: 0, v: [4] }, "top");
    expect(Array.from(list.values.data())).toEqual([3, 2]);
    expect(strengthsOf(list)).toEqual([1, 1]);
  });
});
