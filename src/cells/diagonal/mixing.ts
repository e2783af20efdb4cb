/** Small formulas that gated cells share. */

import { add, mul } from "../../ops/arithmetic.ts";
import type { Tensor } from "../../tensor/tensor.ts";

/** Mixes old and new: f∘old + (1 − f)∘new. */
export function mix(f: Tensor, old: Tensor, fresh: Tensor): Tensor {
  return add(mul(f, old), mul(complement(f), fresh));
}

/** 1 − f. */
export function complement(f: Tensor): Tensor {
  return add(mul(f, -1), 1);
}
