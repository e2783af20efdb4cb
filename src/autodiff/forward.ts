/**
 * Forward mode.
 *
 * A tensor that carries a tangent is a box around its primal: `dual` names the level, the primal and the
 * tangent [K, …shape] for K directions at once. An operation unboxes the highest level, runs on the primals
 * (which may be boxes of lower levels) and boxes the result, so nested derivatives cannot be confused.
 */

import type { Tensor } from "../tensor/tensor.ts";

export interface Dual {
  readonly level: number;
  readonly primal: Tensor;
  /** [K, …shape]; never null, since a tensor without a tangent is not boxed. */
  readonly tangent: Tensor;
}

let depth = 0;

/** Runs `fn` with a new level of forward differentiation. */
export function withLevel<R>(fn: (level: number) => R): R {
  depth++;
  try {
    return fn(depth);
  } finally {
    depth--;
  }
}

/** The highest level among the inputs' tangents; 0 for plain tensors. */
export function dualLevel(inputs: readonly Tensor[]): number {
  if (depth === 0) return 0;
  let level = 0;
  for (const x of inputs) if (x.dual !== null && x.dual.level > level) level = x.dual.level;
  return level;
}

/** Boxes a primal with its tangent. */
export function box(level: number, primal: Tensor, tangent: Tensor): Tensor {
  const boxed = primal.detach();
  boxed.dual = { level, primal, tangent };
  return boxed;
}

/** The primal and tangent of a tensor at a level. */
export function unbox(level: number, x: Tensor): { primal: Tensor; tangent: Tensor | null } {
  if (x.dual === null || x.dual.level !== level) return { primal: x, tangent: null };
  return { primal: x.dual.primal, tangent: x.dual.tangent };
}
