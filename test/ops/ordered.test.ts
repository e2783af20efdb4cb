import { describe, expect, test } from "vitest";
import { gradients } from "../../src/autodiff/sweep.ts";
import { DTypeError, ShapeError } from "../../src/base/errors.ts";
import { orderedSums } from "../../src/ops/ordered.ts";
import { transpose } from "../../src/ops/shape.ts";
import { zeros } from "../../src/tensor/create.ts";
import { requireGrad, tensor } from "../../src/tensor/tensor.ts";
import { expectClose, FLOATS, noise } from "../kernels/memory.ts";

/** The definition: by hand, for one row. */
function byDefinition(x: readonly number[], comesBefore: (j: number, i: number) => boolean): number[] {
  return x.map((_, i) => x.reduce((sum, v, j) => (comesBefore(j, i) ? sum + v : sum), 0));
}

describe.each(FLOATS)("sums over what comes before, %s", (dtype) => {
  const tolerance = dtype === "float64" ? 1e-14 : 1e-6;

  test("as worked by hand, with equal keys in order", () => {
    const x = tensor([1, 2, 4, 8], { dtype });
    expect(orderedSums(x, tensor([3, 1, 3, 2], { dtype })).toArray()).toEqual([10, 0, 11, 2]);
    expect(orderedSums(x, tensor([5, 5, 5, 5], { dtype })).toArray()).toEqual([0, 1, 3, 7]);
  });

  test.each([1, 2, 3, 4, 5, 7, 8, 9, 17])("rows of %i by definition, and their gradients the sums over what comes after", (n) => {
    const [values, cotangents] = [noise(dtype, 3 * n, 1), noise(dtype, 3 * n, 2)].map((v) => Array.from(v, Number));
    // Few different keys, so that many are equal.
    const order = Array.from(noise(dtype, 3 * n, 3), (v) => Math.round(4 * Number(v)));
    const x = requireGrad(tensor(values as number[], { shape: [3, n], dtype }));
    const keys = tensor(order, { shape: [3, n], dtype });
    const y = orderedSums(x, keys);
    const [dx] = gradients([y], [x], [tensor(cotangents as number[], { shape: [3, n], dtype })]);
    for (let row = 0; row < 3; row++) {
      const of = (all: ArrayLike<number>) => Array.from(all).slice(row * n, (row + 1) * n);
      const k = of(order);
      const before = (j: number, i: number) => (k[j] as number) < (k[i] as number) || (k[j] === k[i] && j < i);
      expectClose(of(y.data() as Float64Array), byDefinition(of(values as number[]), before), () => tolerance);
      const after = byDefinition(of(cotangents as number[]), (j, i) => before(i, j));
      expectClose(of(dx?.data() as Float64Array), after, () => tolerance);
    }
  });

  test("infinities count where they come before, and nowhere else", () => {
    const y = orderedSums(tensor([-Infinity, 1, 2], { dtype }), tensor([2, 1, 3], { dtype }));
    expect(y.toArray()).toEqual([1, 0, -Infinity]);
  });

  test("strided and empty inputs", () => {
    const x = transpose(tensor([[1], [2]], { dtype }), 0, 1);
    expect(orderedSums(x, transpose(tensor([[1], [0]], { dtype }), 0, 1)).toArray()).toEqual([[2, 0]]);
    expect(orderedSums(zeros([0, 3], dtype), zeros([0, 3], dtype)).shape).toEqual([0, 3]);
    expect(orderedSums(zeros([2, 0], dtype), zeros([2, 0], dtype)).shape).toEqual([2, 0]);
  });
});

test("keys of another shape or dtype are refused", () => {
  expect(() => orderedSums(zeros([2, 3]), zeros([3]))).toThrow(ShapeError);
  expect(() => orderedSums(zeros([3]), zeros([3], "float64"))).toThrow(DTypeError);
  expect(() => orderedSums(zeros([3], "int32"), zeros([3], "int32"))).toThrow(DTypeError);
});
