import { describe, expect, test } from "vitest";
import { DTypeError, ShapeError } from "../../src/base/errors.ts";
import { sum } from "../../src/ops/broadcast.ts";
import * as ops from "../../src/ops/index.ts";
import { type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { grad } from "../../src/transforms/transforms.ts";
import { binaryRows, unaryRow } from "./elementwise.ts";
import { describeRows } from "./rows.ts";

describeRows([
  ...binaryRows("add", ops.add, (a, b) => a + b),
  ...binaryRows("sub", ops.sub, (a, b) => a - b),
  ...binaryRows("mul", ops.mul, (a, b) => a * b),
  ...binaryRows("div", ops.div, (a, b) => a / b, 0.5, 2),
  ...binaryRows("pow", ops.pow, (a, b) => a ** b, 0.3, 2),
  ...binaryRows("maximum", ops.maximum, Math.max),
  ...binaryRows("minimum", ops.minimum, Math.min),
  unaryRow("neg", ops.neg, (x) => -x),
  unaryRow("square", ops.square, (x) => x * x),
  ...[-2, -1, -0.5, 0.5, 1, 2, 2.5, 3].map((p) => unaryRow(`pow(x, ${p})`, (x) => ops.pow(x, p), (x) => x ** p, 0.3, 2)),
  unaryRow("pow(x, 3) of negative numbers", (x) => ops.pow(x, 3), (x) => x ** 3),
  unaryRow("pow(x, 0)", (x) => ops.pow(x, 0), () => 1),
]); // biome-ignore format: a table

const f64 = (values: number[]) => tensor(Float64Array.from(values));
const derivative = (fn: (...xs: Tensor[]) => Tensor, ...xs: Tensor[]) =>
  grad((...ys) => sum(fn(...ys)))(...xs).map((g) => Array.from(g.data()));

describe("at the edges", () => {
  test("equal operands share the derivative of their maximum and minimum", () => {
    const a = f64([1, 2, 3]);
    const b = f64([2, 2, 2]);
    expect(derivative(ops.maximum, a, b)).toEqual([[0, 0.5, 1], [1, 0.5, 0]]);
    expect(derivative(ops.minimum, a, b)).toEqual([[1, 0.5, 0], [0, 0.5, 1]]);
    expect(derivative((x) => ops.maximum(x, 2), a)).toEqual([[0, 0.5, 1]]);
    expect(derivative((x) => ops.minimum(2, x), a)).toEqual([[1, 0.5, 0]]);
  }); // biome-ignore format: rows

  test("powers of and with zero", () => {
    const zero = f64([0, 0, 0]);
    const exponents = f64([0, 1, 2]);
    expect(Array.from(ops.pow(zero, exponents).data())).toEqual([1, 0, 0]);
    expect(derivative(ops.pow, zero, exponents)).toEqual([
      [0, 1, 0],
      [0, 0, 0],
    ]);
    expect(derivative((x) => ops.pow(x, 0), zero)).toEqual([[0, 0, 0]]);
    expect(derivative((p) => ops.pow(0, p), exponents)).toEqual([[0, 0, 0]]);
  });

  test("a power of a negative number that is not whole is NaN", () => {
    expect(Array.from(ops.pow(f64([-8, -8]), f64([1 / 3, 3])).data())).toEqual([Number.NaN, -512]);
  });
});

describe("types and shapes", () => {
  test("int32 adds, subtracts, multiplies", () => {
    const a = tensor(Int32Array.of(7, -3));
    const b = tensor(Int32Array.of(2, 5));
    expect(Array.from(ops.add(a, b).data())).toEqual([9, 2]);
    expect(Array.from(ops.mul(ops.sub(a, b), -2).data())).toEqual([-10, 16]);
    expect(ops.maximum(a, b).dtype).toBe("int32");
    expect(ops.div(a, b).dtype).toBe("float32");
    expect(Array.from(ops.div(a, b).data())).toEqual([3.5, Math.fround(-3 / 5)]);
  });

  test("dtypes are not mixed", () => {
    const a = tensor([1, 2]);
    expect(() => ops.add(a, f64([1, 2]))).toThrow("add: expected equal dtypes, got float32 and float64");
    expect(() => ops.mul(tensor([1], { dtype: "bool" }), tensor([1], { dtype: "bool" }))).toThrow(DTypeError);
    expect(() => ops.add(1, 2)).toThrow("add: expected at least one tensor, got two numbers");
  });

  test("shapes broadcast or do not", () => {
    expect(() => ops.add(tensor([1, 2]), tensor([1, 2, 3]))).toThrow(ShapeError);
    expect(() => ops.pow(tensor([1, 2]), tensor([1, 2, 3]))).toThrow("pow: expected shapes that broadcast together, got [2] and [3]");
  });
});
