import { describe, expect, it } from "vitest";
import { MUT1, MUT2, MUT3 } from "../../../src/cells/gated/mut.ts";
import { Generator } from "../../../src/tensor/random.ts";
import { assign } from "../../../src/tensor/tensor.ts";
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

describe.each(names)("%s", (name) => {
  const Cell = cells[name];

  it.each([3, 4])("has the gradients of its equations, and steps that equal its scan, for %i inputs", (inputSize) =>
    accept(new Cell({ ...SIZES, inputSize, dtype: "float64", generator: new Generator(2) })),
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
