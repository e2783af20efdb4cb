/** Batches of sequences of different lengths: which elements are padding, and what replaces them. */

import { reshape } from "../ops/broadcast.ts";
import { where } from "../ops/compare.ts";
import { takeRows } from "../ops/gather.ts";
import { type Tensor, tensor } from "../tensor/tensor.ts";

/** Which sequences of the batch are still running at each step: bool [T,B]. */
export function runningMask(lengths: readonly number[], T: number): Tensor {
  const B = lengths.length;
  const mask = new Uint8Array(T * B);
  for (const [b, n] of lengths.entries()) for (let t = 0; t < n && t < T; t++) mask[t * B + b] = 1;
  return tensor(mask, { shape: [T, B], dtype: "bool" });
}

/** Zeros in ys [T,B,…] after each sequence's end, as every scan puts out. */
export function zeroBeyond(ys: Tensor, lengths: readonly number[] | undefined | null): Tensor {
  const T = ys.dim(0);
  if (!lengths?.some((n) => n < T)) return ys;
  const mask = runningMask(lengths, T);
  return where(reshape(mask, [...mask.shape, ...new Array<number>(ys.rank - 2).fill(1)]), ys, 0);
}

/**
 * xs [T,B,…] with each sequence's last real step in the place of its padding. Computation beyond a sequence's end then runs on
 * values like its own: whatever the padding holds is never an operand, and 0·NaN cannot reach a gradient. A sequence without steps takes
 * those of another one, zeros where none has any.
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
