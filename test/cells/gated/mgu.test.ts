import { describe, expect, it } from "vitest";
import { MGU } from "../../../src/cells/gated/mgu.ts";
import { Generator } from "../../../src/tensor/random.ts";
import { holdAgainst } from "../../oracle/equations.ts";
import { each, part, plus, logistic as sigma, times } from "../../oracle/numbers.ts";
import { accept, expectClose, fillGolden, GOLDEN, GOLDEN_TOLERANCE, runGolden, SIZES } from "../acceptance.ts";
import { recall } from "../recall.ts";

describe("MGU", () => {
  it("has the gradients of its equations, and steps that equal its scan", () =>
    accept(new MGU({ ...SIZES, dtype: "float64", generator: new Generator(2) })));

  it("is the paper's equation 5, values and derivatives", () => {
    const [I, H] = [SIZES.inputSize, SIZES.hiddenSize];
    holdAgainst(new MGU({ ...SIZES, dtype: "float64" }), (p, x, [h]) => {
      const [W, U, b] = [p.matrix("weight_ih", I), p.matrix("weight_hh", H), p.vector("bias")];
      const f = plus(times(part(W, 0, 2), x), times(part(U, 0, 2), h as number[]), part(b, 0, 2)).map(sigma);
      const forgotten = each((fi, hi) => fi * hi, f, h as number[]);
      const candidate = plus(times(part(W, 1, 2), x), times(part(U, 1, 2), forgotten), part(b, 1, 2)).map(Math.tanh);
      const next = each((fi, hi, n) => (1 - fi) * hi + fi * n, f, h as number[], candidate);
      return [next, [next]];
    });
  });

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
