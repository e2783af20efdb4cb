/** A long time lag and nothing to help: the first symbol comes again at the end, with the same symbols in between every time. */

import { type Tensor, tensor } from "../../src/tensor/tensor.ts";
import type { Dice } from "./dice.ts";
import { oneHot } from "./one-hot.ts";

export interface LagBatch {
  /** x or y, a₁ … a₍p₋₁₎ as unit vectors [p,B,p+1]. */
  readonly xs: Tensor;
  /** What comes next, int32 [p·B]; the last is the first symbol again. */
  readonly targets: Tensor;
}

/**
 * @param p the lag: steps before the symbol that has to be remembered
 * @see Hochreiter and Schmidhuber, "Long short-term memory", 1997, section 5.2, task 2a
 */
export function lagBatch(dice: Dice, p: number, batch: number): LagBatch {
  const firsts = Array.from({ length: batch }, () => dice.below(2));
  const at = (t: number, b: number) => (t % p === 0 ? (firsts[b] as number) : t + 1);
  const codes = (from: number) => Array.from({ length: p * batch }, (_, k) => at(from + Math.floor(k / batch), k % batch));
  return { xs: oneHot(codes(0), [p, batch], p + 1), targets: tensor(codes(1), { dtype: "int32" }) };
}
