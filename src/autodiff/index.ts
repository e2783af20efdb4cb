/** Differentiation: `backward`, the tape and its sweep, and the tools to define operations. */

export { backward } from "./backward.ts";
export { defineOp, type JvpRule, type Op, type VjpRule } from "./define-op.ts";
export { gate } from "./observer.ts";
export { apply, applyAll, type Evaluation, type Inputs, type Primitive } from "./primitive.ts";
export { gradients, type SweepOptions } from "./sweep.ts";
export { enableGrad, noGrad } from "./tape.ts";
