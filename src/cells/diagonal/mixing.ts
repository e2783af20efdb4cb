/** Small formulas shared by gated cells. */

import { add, minimum, mul } from "../../ops/arithmetic.ts";
import { exp } from "../../ops/math.ts";
import type { Tensor } from "../../tensor/tensor.ts";

/** Mixes old and new: f∘old + (1 − f)∘new. */
export function mix(f: Tensor, old: Tensor, fresh: Tensor): Tensor {
  return add(mul(f, old), mul(complement(f), fresh));
}

/** 1 − f. */
export function complement(f: Tensor): Tensor {
  return add(mul(f, -1), 1);
}

/** e^x for a rate or a time constant. It is constant above e^80, since an infinite value would turn gradients into 0·∞. */
export function rate(x: Tensor): Tensor {
  return exp(minimum(x, 80));
}
