/** Associative scans: values against plain loops, in chunks against steps, over ten thousand steps without underflow. */

import { describe, expect, it } from "vitest";
import { gradients } from "../../src/autodiff/sweep.ts";
import type { FloatDType } from "../../src/base/dtype.ts";
import { ArgumentError, DTypeError, ShapeError } from "../../src/base/errors.ts";
import { log } from "../../src/ops/math.ts";
import { chunkedScan, complexScan, logLinearScan, maxScan } from "../../src/ops/prefix-scan.ts";
import { diagonalSequence } from "../../src/ops/recurrent.ts";
import { linearScan } from "../../src/ops/reduce.ts";
import { transpose } from "../../src/ops/shape.ts";
import { ones, zeros } from "../../src/tensor/create.ts";
import { Generator } from "../../src/tensor/random.ts";
import { requireGrad, type Tensor } from "../../src/tensor/tensor.ts";
import { checkGrads } from "../../src/transforms/check-grads.ts";

const random = new Generator(11);
const some = (...shape: number[]) => random.uniform(shape, -1, 1, "float64");
const numbers = (t: Tensor | null | undefined) => Array.from((t as Tensor).data(), Number);

function expectClose(got: readonly number[], want: readonly number[], tolerance: number): void {
  expect(got.length).toBe(want.length);
  for (const [i, w] of want.entries()) {
    const error = Math.abs((got[i] as number) - w);
    if (!(error <= tolerance)) throw new Error(`element ${i}: expected ${w}, got ${got[i]}`);
  }
}

/** Value and both gradients of a scan under weights g. */
function everything(scan: (a: Tensor, b: Tensor) => Tensor, a: Tensor, b: Tensor, g: Tensor): number[][] {
  const [ga, gb] = [requireGrad(a), requireGrad(b)];
  const y = scan(ga, gb);
  return [y, ...gradients([y], [ga, gb], [g])].map(numbers);
}

describe("chunkedScan", () => {
  it.each<[number, number, FloatDType, number]>([
    [1000, 32, "float32", 1e-5],
    [1000, 64, "float32", 1e-5],
    [1000, 100, "float32", 1e-5],
    [1000, 7, "float64", 1e-12],
    [5, 64, "float64", 1e-12],
    [0, 4, "float64", 0],
  ])("of %i steps in chunks of %i is the scan step after step, and so is its gradient, %s", (n, chunk, dtype, tolerance) => {
    const g = new Generator(7);
    const [a, b, weights] = [g.uniform([n, 8], 0, 1, dtype), g.uniform([n, 8], -1, 1, dtype), g.uniform([n, 8], -1, 1, dtype)];
    const want = everything((x, y) => linearScan(x, y, { axis: 0 }), a, b, weights);
    const got = everything((x, y) => chunkedScan(x, y, { axis: 0, chunk }), a, b, weights);
    for (const [i, values] of want.entries()) expectClose(got[i] as number[], values, tolerance);
  });

  it.each([0, 1, -1])("runs along axis %i, differentiable twice", (axis) => {
    checkGrads((a, b) => chunkedScan(a as Tensor, b as Tensor, { axis, chunk: 2 }), [some(3, 5, 2), some(3, 5, 2)], { order: 2 });
    checkGrads((a, b) => chunkedScan(transpose(a as Tensor), b as Tensor, { axis, chunk: 2 }), [some(5, 3), some(3, 5)]);
  });

  it("loses nothing over 10,000 steps whose factors' product underflows, float32", () => {
    const n = 10_000;
    const g = new Generator(8);
    const [a, b] = [g.uniform([n, 4], 0.2, 0.999), g.uniform([n, 4], -1, 1)];
    const [av, bv] = [numbers(a), numbers(b)];
    const want = [...bv];
    for (let k = 4; k < 4 * n; k++) want[k] = (av[k] as number) * (want[k - 4] as number) + (bv[k] as number);
    expectClose(numbers(chunkedScan(a, b, { axis: 0, chunk: 64 })), want, 1e-5);
    expectClose(numbers(linearScan(a, b, { axis: 0 })), want, 1e-5);
  });

  it("refuses empty chunks and operands that differ", () => {
    expect(() => chunkedScan(some(2), some(2), { axis: 0, chunk: 0 })).toThrow(ArgumentError);
    expect(() => chunkedScan(some(2), some(3), { axis: 0, chunk: 1 })).toThrow(
      "chunkedScan: expected a and b of one shape, got [2] and [3]",
    );
  });
});

describe("complexScan", () => {
  it("is the recurrence over complex numbers", () => {
    const [a, b] = [some(6, 2, 3), some(6, 2, 3)];
    const [av, bv] = [numbers(a), numbers(b)];
    const want = [...bv];
    for (let t = 1; t < 6; t++) {
      for (let j = 0; j < 3; j++) {
        const [re, im, before] = [6 * t + j, 6 * t + 3 + j, 6 * (t - 1) + j];
        const [x, y] = [want[before] as number, want[before + 3] as number];
        want[re] = (av[re] as number) * x - (av[im] as number) * y + (bv[re] as number);
        want[im] = (av[re] as number) * y + (av[im] as number) * x + (bv[im] as number);
      }
    }
    expectClose(numbers(complexScan(a, b)), want, 1e-14);
  });

  it("has its gradients, twice, and those of views", () => {
    checkGrads((a, b) => complexScan(a as Tensor, b as Tensor), [some(4, 2, 3), some(4, 2, 3)], { order: 2 });
    checkGrads((a, b) => complexScan(transpose(a as Tensor), b as Tensor), [some(4, 3, 2), some(4, 2, 3)]);
    checkGrads((a, b) => complexScan(a as Tensor, b as Tensor), [some(0, 2, 3), some(0, 2, 3)]);
  });

  it("refuses what has no two planes", () => {
    expect(() => complexScan(some(4, 3), some(4, 3))).toThrow(
      new ShapeError("complexScan: expected real and imaginary parts [T,2,…], got [4,3]"),
    );
  });
});

describe("maxScan", () => {
  it("is the largest of what comes and of what is carried on", () => {
    const [a, b] = [some(50, 2), some(50, 2)];
    const [av, bv] = [numbers(a), numbers(b)];
    const want = [...bv];
    for (let k = 2; k < 100; k++) want[k] = Math.max((av[k] as number) + (want[k - 2] as number), bv[k] as number);
    expect(numbers(maxScan(a, b, { axis: 0 }))).toEqual(want);
  });

  it.each([0, 1])("has its gradients along axis %i, twice, and those of views", (axis) => {
    checkGrads((a, b) => maxScan(a as Tensor, b as Tensor, { axis }), [some(4, 5), some(4, 5)], { order: 2 });
    checkGrads((a, b) => maxScan(transpose(a as Tensor), b as Tensor, { axis }), [some(5, 4), some(4, 5)]);
    checkGrads((a, b) => maxScan(a as Tensor, b as Tensor, { axis }), [some(0, 3), some(0, 3)]);
  });

  it("shares the derivative where both are equal", () => {
    const [a, b] = [requireGrad(zeros([3], "float64")), requireGrad(zeros([3], "float64"))];
    const [da, db] = gradients([maxScan(a, b, { axis: 0 })], [a, b], [ones([3], "float64")]).map(numbers);
    expectClose(da as number[], [0, 0.75, 0.5], 1e-12);
    expectClose(db as number[], [1.75, 0.75, 0.5], 1e-12);
  });
});

describe("logLinearScan", () => {
  it("is the logarithm of the scan, and differentiable twice", () => {
    const [a, b] = [random.uniform([40, 3], 0.1, 0.9, "float64"), random.uniform([40, 3], 0.1, 2, "float64")];
    expectClose(numbers(logLinearScan(log(a), log(b), { axis: 0 })), numbers(log(linearScan(a, b, { axis: 0 }))), 1e-12);
    checkGrads((x, y) => logLinearScan(x as Tensor, y as Tensor, { axis: 1 }), [some(2, 4), some(2, 4)], { order: 2 });
  });

  it("keeps its precision over 10,000 steps, and terms that no float32 holds", () => {
    const n = 10_000;
    const g = new Generator(9);
    const [a, b] = [g.uniform([n], -2, -0.01), g.uniform([n], -400, 400)];
    const [av, bv] = [numbers(a), numbers(b)];
    let last = bv[0] as number;
    const want = bv.map((term, t) => {
      if (t === 0) return last;
      const carried = (av[t] as number) + last;
      const top = Math.max(carried, term);
      last = top + Math.log(Math.exp(carried - top) + Math.exp(term - top));
      return last;
    });
    // Half a unit of float32 at 400 is 1.5e-5, and a chain of sums of that size is rounded at each step.
    expectClose(numbers(logLinearScan(a, b, { axis: 0 })), want, 2e-3);
  });
});

describe("diagonalSequence", () => {
  const lengths = [4, 0, 2];
  it.each(["linear", "logistic", "tanh"] as const)(
    "with %s has its gradients, twice, alone and mixing, with and without lengths",
    (activation) => {
      for (const given of [null, lengths]) {
        const options = { activation, lengths: given };
        const [g, u, h, z] = [some(4, 3, 2), some(2), some(3, 2), some(4, 3, 2)];
        checkGrads((...x) => diagonalSequence(x[0] as Tensor, x[1] as Tensor, x[2] as Tensor, options), [g, u, h], { order: 2 });
        checkGrads((...x) => diagonalSequence(x[0] as Tensor, x[1] as Tensor, x[2] as Tensor, options, x[3]), [g, u, h, z], { order: 2 });
      }
    },
  );

  it("takes views and sequences without steps", () => {
    const options = { activation: "tanh" } as const;
    checkGrads(
      (g, u, h) => diagonalSequence(transpose(g as Tensor), u as Tensor, h as Tensor, options),
      [some(4, 2, 3), some(2), some(3, 2)],
    );
    checkGrads((g, u, h) => diagonalSequence(g as Tensor, u as Tensor, h as Tensor, options), [some(0, 3, 2), some(2), some(3, 2)]);
  });

  it("refuses what does not fit", () => {
    const options = { activation: "relu" } as const;
    const run =
      (g: Tensor, u: Tensor, h: Tensor, more = {}) =>
      () =>
        diagonalSequence(g, u, h, { ...options, ...more });
    expect(run(some(4, 2), some(2), some(3, 2))).toThrow(new ShapeError("diagonalSequence: expected g [T,B,H], got [4,2]"));
    expect(run(some(4, 3, 2), some(3), some(3, 2))).toThrow(new ShapeError("diagonalSequence: expected u [2], got [3]"));
    expect(run(some(4, 3, 2), some(2), random.uniform([3, 2]))).toThrow(DTypeError);
    expect(run(some(4, 3, 2), some(2), some(3, 2), { lengths: [1, 5, 0] })).toThrow(ArgumentError);
  });
});
