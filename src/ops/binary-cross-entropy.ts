/** Cross-entropy of probabilities with targets; logarithms and slopes stay finite at 0 and 1. */

import { closedOp } from "../autodiff/define-op.ts";
import { apply, type Primitive } from "../autodiff/primitive.ts";
import { noGrad } from "../autodiff/tape.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { add, div, maximum, mul, neg, sub } from "./arithmetic.ts";
import { log, log1p } from "./math.ts";

/** Logarithms are clamped at the first, and divisors x·(1 − x) are at least the second: PyTorch's numbers. */
const LEAST_LOG = -100;
const LEAST_PRODUCT = 1e-12;

const cut = (logs: Tensor): Tensor => maximum(logs, LEAST_LOG);

function lossesOf(x: Tensor, t: Tensor): Tensor {
  return neg(add(mul(t, cut(log(x))), mul(sub(1, t), cut(log1p(neg(x))))));
}

/** g·(x − t) / (x·(1 − x)), the derivative by the input; g may be stacked tangents. */
function byInput(g: Tensor, x: Tensor, t: Tensor): Tensor {
  return mul(g, div(sub(x, t), maximum(mul(x, sub(1, x)), LEAST_PRODUCT)));
}

function byTarget(g: Tensor, x: Tensor): Tensor {
  return mul(g, sub(cut(log1p(neg(x))), cut(log(x))));
}

const binaryCrossEntropyOp: Primitive<void> = closedOp({
  name: "binaryCrossEntropy",
  forward: ([x, t]) => noGrad(() => lossesOf(x as Tensor, t as Tensor)),
  vjp: [(g, _y, [x, t]) => byInput(g, x as Tensor, t as Tensor), (g, _y, [x]) => byTarget(g, x as Tensor)],
  jvp: [(g, _y, [x, t]) => byInput(g, x as Tensor, t as Tensor), (g, _y, [x]) => byTarget(g, x as Tensor)],
});

/** −t·log x − (1−t)·log(1−x), elementwise, for tensors of one shape and dtype. @internal */
export function binaryCrossEntropy(x: Tensor, t: Tensor): Tensor {
  return apply(binaryCrossEntropyOp, [x, t], undefined);
}

/** The primitives of this file, by name. */
export const primitives: Readonly<Record<string, Primitive<never>>> = { binaryCrossEntropy: binaryCrossEntropyOp };
