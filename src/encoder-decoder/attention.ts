/** Shared by decoders with attention: the memory of the source, scores, and the weighted mean. */

import type { DType, FloatDType } from "../base/dtype.ts";
import { zeroBeyond } from "../nn/padding.ts";
import { add } from "../ops/arithmetic.ts";
import { less, where } from "../ops/compare.ts";
import { linear, matmul } from "../ops/linear.ts";
import { tanh } from "../ops/math.ts";
import { contiguous, permute, squeeze, unsqueeze } from "../ops/shape.ts";
import { softmax } from "../ops/softmax.ts";
import type { Recurrence } from "../recurrence/recurrence.ts";
import type { State } from "../recurrence/state.ts";
import { arange, ones, zeros } from "../tensor/create.ts";
import { type Tensor, tensor } from "../tensor/tensor.ts";
import type { Source } from "./encoder.ts";

/** The state of a decoder with attention. */
export type AttentionState<S extends State> = {
  readonly cell: S;
  /** The encoder's outputs, [B,S,E]. */
  readonly memory: Tensor;
  /** Keys computed from the memory once for all steps, [B,S,·]. */
  readonly keys: Tensor;
  /** Number of source positions, int32 [B,1]. */
  readonly lengths: Tensor;
  /** Weights of the positions at the last step, [B,S]; initially zeros. */
  readonly alignment: Tensor;
};

/** The encoder's outputs as [B,S,E], zero beyond each source's end, and their number. */
export function memoryOf({ states, lengths }: Source): { memory: Tensor; lengths: Tensor } {
  return {
    memory: contiguous(permute(zeroBeyond(states, lengths), [1, 0, 2])),
    lengths: tensor([...lengths], { shape: [lengths.length, 1], dtype: "int32" }),
  };
}

/** A state without a source: attends to one position of zeros. */
export function sourceless<S extends State>(
  cell: Recurrence<S>,
  batch: number,
  sizes: readonly [number, number],
  dtype: FloatDType,
): AttentionState<S> {
  const [memory, keys] = sizes.map((size) => zeros([batch, 1, size], dtype)) as [Tensor, Tensor];
  return { cell: cell.initialState(batch), memory, keys, lengths: ones([batch, 1], "int32"), alignment: zeros([batch, 1], dtype) };
}

/** vᵀ tanh(q + k_j) for a query q [B,A], keys [B,S,A] and v [1,A]: [B,S]. */
export function additiveScores(query: Tensor, keys: Tensor, v: Tensor): Tensor {
  return squeeze(linear(tanh(add(keys, unsqueeze(query, 1))), v), 2);
}

/** qᵀ k_j for a query q [B,A] and keys [B,S,A]: [B,S]. */
export function productScores(query: Tensor, keys: Tensor): Tensor {
  return squeeze(matmul(keys, unsqueeze(query, 2)), 2);
}

/** Positions 0 … S − 1. */
export function positions(S: number, dtype: DType): Tensor {
  return arange(0, S, 1, dtype);
}

/** Which of S positions are real, bool [B,S], for lengths [B,1]. */
export function real(S: number, lengths: Tensor): Tensor {
  return less(positions(S, "int32"), lengths);
}

/** Softmax over the positions in the mask; exactly 0 at all others. */
export function align(scores: Tensor, mask: Tensor): Tensor {
  return softmax(where(mask, scores, Number.NEGATIVE_INFINITY), -1);
}

/** Σ_j α_j e_j for α [B,S] and a memory [B,S,E]: [B,E]. */
export function contextOf(alignment: Tensor, memory: Tensor): Tensor {
  return squeeze(matmul(unsqueeze(alignment, 1), memory), 1);
}
