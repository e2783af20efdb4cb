/** Arrays of numbers by coordinates, in plain loops: what the operations are compared with. */

import type { DType } from "../../src/base/dtype.ts";
import { sizeOf, stridesOf } from "../../src/tensor/shape.ts";
import { empty, Tensor, tensor } from "../../src/tensor/tensor.ts";
import { view } from "../../src/wasm/host.ts";

export type At = (...index: number[]) => number;

export interface Grid {
  readonly shape: readonly number[];
  readonly at: At;
}

/** The elements of a grid in row-major order. */
export function elements({ shape, at }: Grid): number[] {
  const strides = stridesOf(shape);
  return Array.from({ length: sizeOf(shape) }, (_, e) => at(...shape.map((n, axis) => Math.floor(e / (strides[axis] as number)) % n)));
}

/** Values that all differ and are exact in every float type; those of two numbers differ too. */
export function grid(shape: readonly number[], number = 0): Grid {
  const strides = stridesOf(shape);
  return { shape, at: (...index) => (index.reduce((e, i, axis) => e + i * (strides[axis] as number), 1) + 64 * number) / 8 };
}

export function tensorOf(g: Grid, dtype: DType = "float64"): Tensor {
  return tensor(elements(g), { shape: g.shape, dtype });
}

/** The same elements with gaps, the first axis innermost. */
export function stridedOf(g: Grid, dtype: DType = "float64"): Tensor {
  const reversed = stridesOf([...g.shape].reverse()).reverse();
  const strides = reversed.map((s) => 2 * s);
  const offset = 3;
  const t = empty([offset + 2 * sizeOf(g.shape) + 1], dtype);
  const all = view(dtype, t.ptr, t.size).fill(77);
  const rowMajor = stridesOf(g.shape);
  elements(g).forEach((value, e) => {
    const at = g.shape.reduce((sum, n, axis) => sum + (Math.floor(e / (rowMajor[axis] as number)) % n) * (strides[axis] as number), offset);
    all[at] = value;
  });
  return new Tensor(t.storage, dtype, g.shape, strides, offset);
}
