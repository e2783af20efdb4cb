/** Derivatives of whole functions: grad, vjp, jvp, jacobian, hvp, and the check of gradients. */

export { type CheckGradsOptions, checkGrads, GradientMismatch } from "./check-grads.ts";
export { grad, hvp, type JacobianOptions, jacobian, jvp, jvpStacked, type TensorFunction, valueAndGrad, vjp } from "./transforms.ts";
