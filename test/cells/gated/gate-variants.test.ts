import { describe, expect, it } from "vitest";
import { GRU1, GRU2, GRU3 } from "../../../src/cells/gated/gate-variants.ts";
import { Generator } from "../../../src/tensor/random.ts";
import { logistic, plus, rows, times } from "../../oracle/numbers.ts";
import { accept, expectClose, fillGolden, GOLDEN, goldenInputs, runGolden, SIZES } from "../acceptance.ts";
import { recall } from "../recall.ts";

const cells = { GRU1, GRU2, GRU3 } as const;

/** What the paper's gates see: U_g h and b_g of gate number g, or nothing. */
type Gate = (cell: GRU1 | GRU2 | GRU3, gate: number, h: readonly number[]) => number[];
const H = GOLDEN.hiddenSize;
const block = <V>(values: readonly V[], g: number) => values.slice(g * H, (g + 1) * H);
const state: Gate = ({ weightHh }, g, h) => times(block(rows(weightHh), g), h);
const constant: Gate = ({ bias }, g) => block(Array.from(bias.data()), g);
const gates = {
  GRU1: (cell, g, h) => plus(state(cell, g, h), constant(cell, g, h)),
  GRU2: state,
  GRU3: constant,
} satisfies Record<string, Gate>;

describe.each(["GRU1", "GRU2", "GRU3"] as const)("%s", (name) => {
  const Cell = cells[name];

  it("has the gradients of its equations, and steps that equal its scan", () =>
    accept(new Cell({ ...SIZES, dtype: "float64", generator: new Generator(2) })));

  it("is the paper's recurrence", () => {
    const cell = new Cell({ ...GOLDEN, dtype: "float64" });
    fillGolden(cell);
    const bias = Array.from(cell.bias.data()).slice(-H);
    const u = rows(cell.weightHh).slice(-H);
    let h: number[] = [0, 0];
    for (const x of rowsOfInputs()) {
      const r = gates[name](cell, 0, h).map(logistic);
      const z = gates[name](cell, 1, h).map(logistic);
      const reset = h.map((v, i) => v * (r[i] as number));
      const n = plus(times(rows(cell.weightIh), x), times(u, reset), bias).map(Math.tanh);
      h = h.map((v, i) => (1 - (z[i] as number)) * v + (z[i] as number) * (n[i] as number));
    }
    expectClose(runGolden(cell, "float64").y, h, 1e-12);
  });

  it("has the paper's number of parameters", () => {
    const [I, n] = [5, 7];
    const gru = 3 * (n * n + n * I + n);
    const saved = { GRU1: n * I, GRU2: n * I + n, GRU3: n * I + n * n }[name];
    const count = new Cell({ inputSize: I, hiddenSize: n }).parameters().reduce((total, p) => total + p.size, 0);
    expect(count).toBe(gru - 2 * saved);
  });

  it("learns to remember, which its initial weights do not", () => {
    const cell = () => new Cell({ inputSize: 1, hiddenSize: 12, generator: new Generator(1) });
    expect(recall(cell(), { frozen: true })).toBeGreaterThan(0.5);
    expect(recall(cell(), { updates: 600 })).toBeLessThan(0.1);
  });
});

function rowsOfInputs(): number[][] {
  const flat = Array.from(goldenInputs("float64").data());
  return Array.from({ length: 4 }, (_, t) => flat.slice(3 * t, 3 * t + 3));
}
