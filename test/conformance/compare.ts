/** How a computed tensor is compared with a stored one, and within which limits. */

import { isFloat } from "../../src/base/dtype.ts";
import { sameShape, show } from "../../src/tensor/shape.ts";
import type { Tensor } from "../../src/tensor/tensor.ts";

export type Precision = "f64" | "f32";
export type Role = "value" | "gradient" | "trajectory" | "lbfgs";

/** Largest errors allowed. They belong to the data (its README) and are not ours to change. */
const LIMITS: Readonly<Record<Role, Readonly<Record<Precision, number>>>> = {
  value: { f64: 1e-10, f32: 1e-5 },
  gradient: { f64: 1e-8, f32: 1e-4 },
  trajectory: { f64: 1e-9, f32: 1e-4 },
  lbfgs: { f64: 1e-7, f32: 1e-3 },
};

/** max|a − e| / max(max|e|, 1e-3); an infinity is right only where it is expected. NaN when either side has one. */
export function relativeError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  let difference = 0;
  let scale = 1e-3;
  for (let i = 0; i < expected.length; i++) {
    const e = expected[i] as number;
    const a = actual[i] as number;
    if (Math.abs(e) === Number.POSITIVE_INFINITY) {
      if (a !== e) return Number.POSITIVE_INFINITY;
      continue;
    }
    difference = Math.max(difference, Math.abs(a - e));
    scale = Math.max(scale, Math.abs(e));
  }
  return difference / scale;
}

/** Why `actual` is not `expected`, or null when it is. */
export function mismatch(actual: Tensor, expected: Tensor, role: Role, precision: Precision): string | null {
  if (!sameShape(actual.shape, expected.shape)) return `expected shape ${show(expected.shape)}, got ${show(actual.shape)}`;
  if (!isFloat(expected.dtype)) return integerMismatch(actual, expected);
  if (actual.dtype !== expected.dtype) return `expected ${expected.dtype}, got ${actual.dtype}`;
  const error = relativeError(actual.data(), expected.data());
  const limit = LIMITS[role][precision];
  return error <= limit ? null : `expected an error of at most ${limit}, got ${error.toExponential(2)}`;
}

function integerMismatch(actual: Tensor, expected: Tensor): string | null {
  if (isFloat(actual.dtype)) return `expected ${expected.dtype}, got ${actual.dtype}`;
  const e = expected.data();
  const at = actual.data().findIndex((a, i) => a !== e[i]);
  return at < 0 ? null : `expected ${e[at]} at element ${at}, got ${actual.data()[at]}`;
}
