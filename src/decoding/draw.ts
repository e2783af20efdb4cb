/** Samples from a model's logits. */

import { checkMethods } from "../base/checks.ts";
import type { FloatDType } from "../base/dtype.ts";
import { neg, sub } from "../ops/arithmetic.ts";
import { log } from "../ops/math.ts";
import { argmax } from "../ops/reduce.ts";
import type { Generator } from "../tensor/random.ts";
import { checkTensor, type Tensor } from "../tensor/tensor.ts";

/** Samples a class for each row [B,C] from its softmax, int32 [B]: the greatest of logits plus Gumbel noise −log(−log u). Without a gradient. */
export function drawClasses(logits: Tensor, generator: Generator): Tensor {
  checkMethods("drawClasses", "a generator", generator, ["uniform"]);
  checkTensor("drawClasses", logits);
  const u = generator.uniform(logits.shape, 0, 1, logits.dtype as FloatDType);
  return argmax(sub(logits.detach(), log(neg(log(u)))), { axis: 1 });
}
