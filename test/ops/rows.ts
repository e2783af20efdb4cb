/** One row an operation: its value against plain loops, its derivatives against finite differences. */

import { describe, expect, test } from "vitest";
import type { Primitive } from "../../src/autodiff/primitive.ts";
import type { DType } from "../../src/base/dtype.ts";
import { primitives } from "../../src/ops/table.ts";
import { stridesOf } from "../../src/tensor/shape.ts";
import type { Tensor } from "../../src/tensor/tensor.ts";
import { checkGrads } from "../../src/transforms/check-grads.ts";
import { expectClose } from "../kernels/memory.ts";
import { elements, type Grid, stridedOf, tensorOf } from "./grid.ts";
import { checkStackedTangents } from "./stacked.ts";

export interface Row {
  readonly name: string;
  readonly shapes: readonly (readonly number[])[];
  readonly fn: (...xs: Tensor[]) => Tensor;
  readonly expected: (...xs: Grid[]) => Grid;
  /** Values of input `number`; `waves` unless given. */
  readonly inputs?: (shape: readonly number[], number: number) => Grid;
}

type Layout = (g: Grid, dtype?: DType) => Tensor;

/** Roundings allowed for a value of size 1: sums of some tens of terms. */
const TOLERANCE: Partial<Record<DType, number>> = { float32: 2e-6, float64: 4e-15 };

/** Values between -1 and 1 by coordinates, different for every input. */
export function waves(shape: readonly number[], number = 0): Grid {
  const strides = stridesOf(shape);
  return { shape, at: (...index) => Math.sin(1 + 7 * number + 1.7 * index.reduce((e, i, axis) => e + i * (strides[axis] as number), 0)) };
}

/** The grid whose elements are those of `values` in row-major order. */
export function gridOf(shape: readonly number[], values: ArrayLike<number>): Grid {
  const strides = stridesOf(shape);
  return { shape, at: (...index) => values[index.reduce((e, i, axis) => e + i * (strides[axis] as number), 0)] as number };
}

/** Each value of `fn` over the elements along the axes, in row-major order. */
export function reduceGrid(x: Grid, axes: readonly number[], keepDim: boolean, fn: (values: number[]) => number): Grid {
  const kept = x.shape.flatMap((_, i) => (axes.includes(i) ? [] : [i]));
  const over: Grid = { shape: axes.map((a) => x.shape[a] as number), at: () => 0 };
  const shape = keepDim ? x.shape.map((d, i) => (axes.includes(i) ? 1 : d)) : kept.map((i) => x.shape[i] as number);
  const values = elements({
    shape: kept.map((i) => x.shape[i] as number),
    at: (...outer) => {
      const place = (inner: number[]) =>
        x.shape.map((_, i) => (axes.includes(i) ? inner[axes.indexOf(i)] : outer[kept.indexOf(i)]) as number);
      const collected: number[] = [];
      elements({ shape: over.shape, at: (...inner) => collected.push(x.at(...place(inner))) });
      return fn(collected);
    },
  });
  return gridOf(shape, values);
}

/** The lines along one axis, each put through `fn`. */
export function mapLines(x: Grid, axis: number, fn: (line: number[]) => number[]): Grid {
  return {
    shape: x.shape,
    at: (...index) => {
      const line = Array.from({ length: x.shape[axis] as number }, (_, k) => x.at(...index.with(axis, k)));
      return fn(line)[index[axis] as number] as number;
    },
  };
}

function inputsOf(row: Row, layout: Layout, dtype: DType): Tensor[] {
  return row.shapes.map((shape, i) => layout((row.inputs ?? waves)(shape, i), dtype));
}

function checkValue(row: Row, layout: Layout, dtype: DType): void {
  const y = row.fn(...inputsOf(row, layout, dtype));
  const rounded = row.shapes.map((shape, i) => gridOf(shape, tensorOf((row.inputs ?? waves)(shape, i), dtype).data()));
  const expected = row.expected(...rounded);
  expect(y.dtype).toBe(dtype);
  expect(y.shape).toEqual(expected.shape);
  const want = elements(expected);
  expectClose(y.data(), want, (i) => (TOLERANCE[dtype] as number) * Math.max(1, Math.abs(want[i] as number)));
}

/** Runs `run` and fails unless it runs the primitive of that name. */
export function expectUse(name: string, run: () => void): void {
  const primitive = primitives[name] as Primitive<never> & { forward: Primitive<never>["forward"] };
  const { forward } = primitive;
  let used = 0;
  primitive.forward = (inputs, params) => {
    used++;
    return forward(inputs, params);
  };
  try {
    run();
  } finally {
    primitive.forward = forward;
  }
  expect(used, name).toBeGreaterThan(0);
}

export function describeRows(rows: readonly Row[]): void {
  describe.each(rows)("$name", (row) => {
    test.each(["float32", "float64"] as const)("value, %s", (dtype) => {
      checkValue(row, tensorOf, dtype);
      checkValue(row, stridedOf, dtype);
    });
    test("derivatives", () => {
      const check = () => checkGrads(row.fn, inputsOf(row, tensorOf, "float64"), { order: 2 });
      // A row that is called as a primitive is that primitive's.
      const name = row.name.split(",")[0] as string;
      if (name in primitives) expectUse(name, check);
      else check();
    });
    test("derivatives of strided inputs", () => checkGrads(row.fn, inputsOf(row, stridedOf, "float64"), { order: 2 }));
    test("three tangents at once", () => checkStackedTangents(row.fn, inputsOf(row, tensorOf, "float64")));
  });
}
