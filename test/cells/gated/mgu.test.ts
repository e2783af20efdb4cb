import { describe, expect, it } from "vitest";
import { MGU } from "../../../src/cells/gated/mgu.ts";
import { Generator } from "../../../src/tensor/random.ts";
import { accept, expectClose, fillGolden, GOLDEN, GOLDEN_TOLERANCE, runGolden, SIZES } from "../acceptance.ts";
import { recall } from "../recall.ts";

describe("MGU", () => {
  it("has the gradients of its equations, and steps that equal its scan", () =>
    accept(new MGU({ ...SIZES, dtype: "float64", generator: new Generator(2) })));

  it.each(["float32", "float64"] as const)("reaches the reference values, %s", (dtype) => {
    const cell = new MGU({ ...GOLDEN, dtype });
    fillGolden(cell);
    expectClose(runGolden(cell, dtype).y, [-0.349352, -0.497744], GOLDEN_TOLERANCE[dtype]);
  });

  it("learns to remember, which its initial weights do not", () => {
    const cell = () => new MGU({ inputSize: 1, hiddenSize: 12, generator: new Generator(1) });
    expect(recall(cell(), { frozen: true })).toBeGreaterThan(0.5);
    expect(recall(cell())).toBeLessThan(0.1);
  });
});
