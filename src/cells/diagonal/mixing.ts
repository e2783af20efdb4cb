/** Small formulas that gated cells share. */

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

/** e^x, of a rate or a time constant. Above e^80, as good as infinite, it is constant: an infinite one would make 0·∞ of a gradient. */
export function rate(x: Tensor): Tensor {
  return exp(minimum(x, 80));
}
