/** Judging predictions of bits. */

import type { Tensor } from "../src/tensor/tensor.ts";

/** Share of the logits whose sign says what the targets, 0 or 1, are. */
export function bitAccuracy(logits: Tensor, targets: Tensor): number {
  const wanted = targets.data();
  const right = Array.from(logits.data(), (logit, i) => logit > 0 === (wanted[i] as number) > 0.5);
  return right.filter(Boolean).length / right.length;
}
