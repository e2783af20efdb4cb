/** Renames a tensor, so that a transform can differentiate with respect to it. */

import type { Tensor } from "../tensor/tensor.ts";
import { closedOp } from "./define-op.ts";
import { apply, type Primitive } from "./primitive.ts";

/** The identity as an operation: its result is another tensor with the same values. */
export const aliasOp: Primitive<void> = closedOp({
  name: "alias",
  forward: ([x]) => (x as Tensor).detach(),
  vjp: (g) => g,
  jvp: (t) => t,
});

/** A leaf with the values of x, for a transform to differentiate with respect to. */
export function track(x: Tensor): Tensor {
  const y = apply(aliasOp, [x], undefined);
  if (y.node === null) y.requiresGrad = true;
  return y;
}
