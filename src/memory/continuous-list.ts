/**
 * A list whose items are there to a degree: what stacks, queues and deques share whose operations have derivatives.
 *
 * Row 0 of the values [B,C,W] is the top, row C − 1 the bottom. An item's strength, in [0, 1], is how much of it is left. Items keep their order; rows
 * of strength 0 may lie between them, and are taken by what is pushed next. So C rows hold all items of a sequence of any length, as long as no more
 * than C of them are there at once; what is pushed beyond that drops the item at the other end.
 */

import type { DType } from "../base/dtype.ts";
import { minimum, sub } from "../ops/arithmetic.ts";
import { cast } from "../ops/cast.ts";
import { equal, greater, logicalAnd, where } from "../ops/compare.ts";
import { matmul } from "../ops/linear.ts";
import { relu } from "../ops/math.ts";
import { cumsum } from "../ops/reduce.ts";
import { cat, flip, slice, squeeze, unsqueeze } from "../ops/shape.ts";
import { zeros } from "../tensor/create.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** Values [B,C,W], and how much of each is there [B,C]. */
export type ContinuousList = { readonly values: Tensor; readonly strengths: Tensor };

/** Where something is done. */
export type End = "top" | "bottom";

/** A list of B sequences without items. */
export function emptyList([B, C, W]: readonly [number, number, number], dtype: DType): ContinuousList {
  return { values: zeros([B, C, W], dtype), strengths: zeros([B, C], dtype) };
}

/** Everything moved one row away from an end, with `first` in the row left free: [B,C,…] with [B,1,…]. */
function movedFrom(end: End, x: Tensor, first: Tensor): Tensor {
  const C = x.dim(1);
  return end === "top" ? cat([first, slice(x, 1, 0, C - 1)], 1) : cat([slice(x, 1, 1, C), first], 1);
}

/** For each row, the sum of those nearer to an end. */
function sumBefore(end: End, x: Tensor): Tensor {
  const none = zeros([x.dim(0), 1], x.dtype);
  const sums = end === "top" ? cumsum(x, { axis: 1 }) : flip(cumsum(flip(x, 1), { axis: 1 }), 1);
  return movedFrom(end, sums, none);
}

/** Strengths [B,C] after a pop of u [B,1] from an end: s_i − max(0, u − Σ s_j), Σ over the items before, but not below 0. */
export function popped(strengths: Tensor, u: Tensor, end: End): Tensor {
  return relu(sub(strengths, relu(sub(u, sumBefore(end, strengths)))));
}

/** A list after a push of v [B,W] with strength d [B,1] onto an end; a push of strength 0 changes nothing. */
export function pushed({ values, strengths }: ContinuousList, v: Tensor, d: Tensor, end: End): ContinuousList {
  // What lies before the first free row moves on by one.
  const free = cast(equal(strengths, 0), strengths.dtype);
  const moves = logicalAnd(equal(sumBefore(end, free), 0), greater(d, 0));
  return {
    values: where(unsqueeze(moves, 2), movedFrom(end, values, unsqueeze(v, 1)), values),
    strengths: where(moves, movedFrom(end, strengths, d), strengths),
  };
}

/** What is read at an end: the items there, up to a strength of 1 in all, [B,W]. */
export function readAt({ values, strengths }: ContinuousList, end: End): Tensor {
  const weights = minimum(strengths, relu(sub(1, sumBefore(end, strengths))));
  return squeeze(matmul(unsqueeze(weights, 1), values), 1);
}
