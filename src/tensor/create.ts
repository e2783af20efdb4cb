/** Makes tensors of constants and ranges. */

import { checkSizes } from "../base/checks.ts";
import { type DType, isFloat } from "../base/dtype.ts";
import { ArgumentError } from "../base/errors.ts";
import { call, checkComputable } from "../wasm/host.ts";
import { fill } from "../wasm/kernels.gen.ts";
import { checkShape, type Shape } from "./shape.ts";
import { checkTensor, empty, hostView, type Tensor } from "./tensor.ts";
import { heldAs, numberOf } from "./values.ts";

function filled(op: string, shape: Shape, value: number, dtype: DType): Tensor {
  checkShape(op, shape);
  checkComputable(op, dtype);
  const held = heldAs(op, dtype, numberOf(op, value));
  const t = empty(shape, dtype);
  if (isFloat(dtype)) call(fill, dtype, t.size, held, t.ptr);
  else hostView(t).fill(held);
  return t;
}

/** A tensor filled with one value. @throws DTypeError for a value that an int32 tensor cannot hold */
export function full(shape: Shape, value: number, dtype: DType = "float32"): Tensor {
  return filled("full", shape, value, dtype);
}

/** A tensor of zeros. */
export function zeros(shape: Shape, dtype: DType = "float32"): Tensor {
  return filled("zeros", shape, 0, dtype);
}

/** A tensor of ones. */
export function ones(shape: Shape, dtype: DType = "float32"): Tensor {
  return filled("ones", shape, 1, dtype);
}

/** Zeros in the shape and dtype of another tensor. */
export function zerosLike(x: Tensor): Tensor {
  checkTensor("zerosLike", x);
  return full(x.shape, 0, x.dtype);
}

/** Ones in the shape and dtype of another tensor. */
export function onesLike(x: Tensor): Tensor {
  checkTensor("onesLike", x);
  return full(x.shape, 1, x.dtype);
}

/** A scalar tensor: plain numbers given as operands become one. */
export function scalar(value: number, dtype: DType = "float32"): Tensor {
  return full([], value, dtype);
}

/** The values start, start + step, …, up to but excluding stop. */
export function arange(start: number, stop: number, step = 1, dtype: DType = "float32"): Tensor {
  if (!(step !== 0 && [start, stop, step].every(Number.isFinite))) {
    throw new ArgumentError(`arange: expected finite bounds and a finite step other than 0, got ${start}, ${stop}, ${step}`);
  }
  const n = Math.max(0, Math.ceil((stop - start) / step));
  return sequence("arange", n, dtype, (i) => start + i * step);
}

/** A tensor of n numbers, computed one by one. */
function sequence(op: string, n: number, dtype: DType, at: (i: number) => number): Tensor {
  checkShape(op, [n]);
  const t = empty([n], dtype);
  const out = hostView(t);
  for (let i = 0; i < n; i++) out[i] = heldAs(op, dtype, at(i));
  return t;
}

/** `count` values from start to stop, both included. */
export function linspace(start: number, stop: number, count: number, dtype: DType = "float32"): Tensor {
  checkSizes("linspace", { count });
  return sequence("linspace", count, dtype, (i) => (count === 1 ? start : start + ((stop - start) * i) / (count - 1)));
}

/** The identity matrix [n, m]. */
export function eye(n: number, m: number = n, dtype: DType = "float32"): Tensor {
  checkShape("eye", [n, m]);
  const t = empty([n, m], dtype);
  const out = hostView(t).fill(0);
  for (let i = 0; i < Math.min(n, m); i++) out[i * m + i] = 1;
  return t;
}
