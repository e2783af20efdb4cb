import { describe, expect, it } from "vitest";
import { MUT1, MUT2, MUT3 } from "../../../src/cells/gated/mut.ts";
import { Generator } from "../../../src/tensor/random.ts";
import { assign } from "../../../src/tensor/tensor.ts";
import { type Equations, holdAgainst } from "../../oracle/equations.ts";
import { each, part, plus, logistic as sigma, times } from "../../oracle/numbers.ts";
import { accept, expectClose, GOLDEN, GOLDEN_TOLERANCE, runGolden, SIZES } from "../acceptance.ts";
import { recall } from "../recall.ts";

const cells = { MUT1, MUT2, MUT3 } as const;
const names = ["MUT1", "MUT2", "MUT3"] as const;

/** Rows of the blocks z r h in the reference's parameter s, which has all three blocks whether a cell uses them or not. */
function golden(s: number, width: number, blocks: string): Float64Array {
  const size = GOLDEN.hiddenSize * width;
  return Float64Array.from(
    [...blocks].flatMap((block) => Array.from({ length: size }, (_, k) => "zrh".indexOf(block) * size + k)),
    (k) => 0.5 * Math.sin(1 + 0.7 * k + 1.3 * s),
  );
}

const blocks = { MUT1: { input: "zr", state: "rh" }, MUT2: { input: "zh", state: "zrh" }, MUT3: { input: "zrh", state: "zrh" } };
const expected = { MUT1: [0.106944, 0.004463], MUT2: [0.171621, 0.346632], MUT3: [0.171545, 0.346676] };

/** Jozefowicz, Zaremba and Sutskever (2015), the three boxes of section 4.2, line by line; `bare` is x, or its projection where sizes differ. */
const equations = (name: (typeof names)[number], I: number): Equations => {
  return (p, x, [h]) => {
    const H = (h as number[]).length;
    const W = (k: number) => times(part(p.matrix("weight_ih", I), k, blocks[name].input.length), x);
    const U = (k: number, v: readonly number[]) => times(part(p.matrix("weight_hh", H), k, blocks[name].state.length), v);
    const b = (k: number) => part(p.vector("bias"), k, 3);
    const bare = () => (I === H ? x : times(p.matrix("weight_projection", I), x));
    const step = (z: readonly number[], r: readonly number[], candidate: (reset: number[]) => number[]): [number[], number[][]] => {
      const n = candidate(each((ri, hi) => ri * hi, r, h as number[])).map(Math.tanh);
      const next = each((zi, ni, hi) => ni * zi + hi * (1 - zi), z, n, h as number[]);
      return [next, [next]];
    };
    if (name === "MUT1") {
      const z = plus(W(0), b(0)).map(sigma);
      const r = plus(W(1), U(0, h as number[]), b(1)).map(sigma);
      return step(z, r, (reset) => plus(U(1, reset), bare().map(Math.tanh), b(2)));
    }
    if (name === "MUT2") {
      const z = plus(W(0), U(0, h as number[]), b(0)).map(sigma);
      const r = plus(bare(), U(1, h as number[]), b(1)).map(sigma);
      return step(z, r, (reset) => plus(U(2, reset), W(1), b(2)));
    }
    const z = plus(W(0), U(0, (h as number[]).map(Math.tanh)), b(0)).map(sigma);
    const r = plus(W(1), U(1, h as number[]), b(1)).map(sigma);
    return step(z, r, (reset) => plus(U(2, reset), W(2), b(2)));
  };
};

describe.each(names)("%s", (name) => {
  const Cell = cells[name];

  it.each([3, 4])("has the gradients of its equations, and steps that equal its scan, for %i inputs", (inputSize) =>
    accept(new Cell({ ...SIZES, inputSize, dtype: "float64", generator: new Generator(2) })),
  );

  it.each([3, 4])("is the paper's equations, values and derivatives, for %i inputs and 4 units", (inputSize) =>
    holdAgainst(new Cell({ ...SIZES, inputSize, dtype: "float64" }), equations(name, inputSize)),
  );

  it.each(["float32", "float64"] as const)("reaches the reference values, %s", (dtype) => {
    const cell = new Cell({ ...GOLDEN, dtype });
    assign(cell.weightIh, golden(0, 3, blocks[name].input));
    assign(cell.weightHh, golden(1, 2, blocks[name].state));
    assign(cell.bias, golden(2, 1, "zrh"));
    if (!(cell instanceof MUT3) && cell.weightProjection) assign(cell.weightProjection, golden(3, 3, "z"));
    expectClose(runGolden(cell, dtype).y, expected[name], GOLDEN_TOLERANCE[dtype]);
  });

  it("learns to remember, which its initial weights do not", () => {
    const cell = () => new Cell({ inputSize: 1, hiddenSize: 12, generator: new Generator(1) });
    expect(recall(cell(), { frozen: true })).toBeGreaterThan(0.5);
    expect(recall(cell())).toBeLessThan(0.1);
  });
});

describe("MUT1 and MUT2", () => {
  it.each([MUT1, MUT2])("add the bare input where the sizes are equal", (Cell) => {
    expect(new Cell({ inputSize: 4, hiddenSize: 4 }).weightProjection).toBeNull();
    expect(new Cell({ inputSize: 3, hiddenSize: 4 }).weightProjection?.shape).toEqual([4, 3]);
  });
});
