/** Finds and replaces the padding in batches of sequences of different lengths. */

import { reshape } from "../ops/broadcast.ts";
import { where } from "../ops/compare.ts";
import { takeRows } from "../ops/gather.ts";
import { type Tensor, tensor } from "../tensor/tensor.ts";

/** Whether each sequence still runs at each step: bool [T,B]. */
export function runningMask(lengths: readonly number[], T: number): Tensor {
  const B = lengths.length;
  const mask = new Uint8Array(T * B);
  for (const [b, n] of lengths.entries()) for (let t = 0; t < n && t < T; t++) mask[t * B + b] = 1;
  return tensor(mask, { shape: [T, B], dtype: "bool" });
}

/** ys [T,B,…] with zeros after each sequence's end, as in the output of every scan. */
export function zeroBeyond(ys: Tensor, lengths: readonly number[] | undefined | null): Tensor {
  const T = ys.dim(0);
  if (!lengths?.some((n) => n < T)) return ys;
  const mask = runningMask(lengths, T);
  return where(reshape(mask, [...mask.shape, ...new Array<number>(ys.rank - 2).fill(1)]), ys, 0);
}

/**
 * xs [T,B,…] with each sequence's padding replaced by its last real step. Computation beyond the end then runs on
 * ordinary values: the padding is never an operand, so 0·NaN cannot reach a gradient. A sequence without steps takes
 * the values of another one, or zeros if none has any.
 */
export function fillBeyond(xs: Tensor, lengths: readonly number[] | undefined | null): Tensor {
  const [T, B, ...rest] = xs.shape as [number, number, ...number[]];
  if (!lengths?.some((n) => n < T)) return xs;
  const mask = reshape(runningMask(lengths, T), [T, B, ...rest.map(() => 1)]);
  const other = lengths.findIndex((n) => n > 0);
  if (other < 0) return where(mask, xs, 0);
  const last = lengths.map((n, b) => (n > 0 ? (n - 1) * B + b : ((lengths[other] as number) - 1) * B + other));
  return where(mask, xs, takeRows(reshape(xs.detach(), [T * B, ...rest]), tensor(Int32Array.from(last))));
}
