/** Packs batches of sequences into rows: sorted by falling length, time-major, without padding. */

import { reshape } from "../ops/broadcast.ts";
import { scatterRows, takeRows } from "../ops/gather.ts";
import type { PackedRows } from "../ops/recurrent.ts";
import { type Tensor, tensor } from "../tensor/tensor.ts";

/** Packs and unpacks a batch [T,B,…]. */
export interface Packing {
  readonly rows: PackedRows;
  /** Packs [T,B,…] to rows [N,…]. */
  pack(xs: Tensor): Tensor;
  /** Unpacks rows [N,O] to [T,B,O], with zeros beyond each sequence's end. */
  unpack(rows: Tensor): Tensor;
  /** Reorders a state [B,…] to the order of the packed sequences. */
  sort(state: Tensor): Tensor;
  /** Reorders a state [B,…] of packed sequences back to their original order. */
  restore(state: Tensor): Tensor;
}

/** Packs by the sequences' lengths. Without lengths, or if all equal T, nothing moves. */
export function packing(T: number, B: number, lengths: readonly number[] | undefined, reverse: boolean): Packing {
  if (lengths === undefined || lengths.every((n) => n === T)) return dense(T, B, reverse);
  const order = lengths.map((_, b) => b).sort((a, b) => (lengths[b] as number) - (lengths[a] as number) || a - b);
  const batchSizes = Array.from({ length: T }, (_, t) => lengths.filter((n) => n > t).length);
  const rowOf = batchSizes.flatMap((count, t) => order.slice(0, count).map((b) => t * B + b));
  const place = new Array<number>(B);
  order.forEach((b, i) => {
    place[b] = i;
  });
  const index = (values: readonly number[]): Tensor => tensor([...values], { dtype: "int32", shape: [values.length] });
  const padded = index(rowOf);
  const sorted = index(order);
  const restored = index(place);
  return {
    rows: { batchSizes, reverse },
    pack: (xs) => takeRows(flatten(xs), padded),
    unpack: (rows) => reshape(scatterRows(rows, padded, T * B), [T, B, rows.dim(1)]),
    sort: (state) => takeRows(state, sorted),
    restore: (state) => takeRows(state, restored),
  };
}

function dense(T: number, B: number, reverse: boolean): Packing {
  return {
    rows: { batchSizes: new Array<number>(T).fill(B), reverse },
    pack: flatten,
    unpack: (rows) => reshape(rows, [T, B, rows.dim(1)]),
    sort: (state) => state,
    restore: (state) => state,
  };
}

function flatten(xs: Tensor): Tensor {
  const [T, B, ...rest] = xs.shape as [number, number, ...number[]];
  return reshape(xs, [T * B, ...rest]);
}
