/** Tapped delay lines: the last D values of a signal, newest first, as one tensor [B,D,…]. */

import { checkWhole } from "../../base/checks.ts";
import type { DType } from "../../base/dtype.ts";
import { mul } from "../../ops/arithmetic.ts";
import { reshape, sum } from "../../ops/broadcast.ts";
import { cat, slice, unsqueeze } from "../../ops/shape.ts";
import { zeros } from "../../tensor/create.ts";
import { sizeOf } from "../../tensor/shape.ts";
import type { Tensor } from "../../tensor/tensor.ts";

/** Checks numbers of delays: whole numbers of at least 0. @throws ArgumentError */
export function checkDelays(op: string, delays: Readonly<Record<string, number>>): void {
  for (const [name, count] of Object.entries(delays)) checkWhole(op, name, count);
}

/** A line of zeros for D delays of a signal [B,…shape]. */
export function emptyLine(batch: number, delays: number, shape: readonly number[], dtype: DType): Tensor {
  return zeros([batch, delays, ...shape], dtype);
}

/** The present value, then the line: x(t), x(t−1), …, x(t−D) as [B,D+1,…]. */
export function tapsOf(x: Tensor, line: Tensor): Tensor {
  return line.dim(1) === 0 ? unsqueeze(x, 1) : cat([unsqueeze(x, 1), line], 1);
}

/** The line after a step: all taps but the oldest. */
export function advance(taps: Tensor): Tensor {
  return slice(taps, 1, 0, taps.dim(1) - 1);
}

/** Taps side by side, [B,D·n], for a matrix product. */
export function sideBySide(taps: Tensor): Tensor {
  return reshape(taps, [taps.dim(0), sizeOf(taps.shape.slice(1))]);
}

/** Σ_d c_d x(t−d) for coefficients [D,…] that broadcast to the signal's shape. */
export function weighTaps(taps: Tensor, coefficients: Tensor): Tensor {
  return sum(mul(taps, coefficients), { axis: 1 });
}
