/** The same tensor under a new name, so that it can be differentiated with respect to. */

import type { Tensor } from "../tensor/tensor.ts";
import { closedOp } from "./define-op.ts";
import { apply, type Primitive } from "./primitive.ts";

/** The same values under a new name: what a functional transform differentiates with respect to. */
export const aliasOp: Primitive<void> = closedOp({
  name: "alias",
  forward: ([x]) => (x as Tensor).detach(),
  vjp: (g) => g,
  jvp: (t) => t,
});

/** A leaf with the values of x: what a transform differentiates with respect to. */
export function track(x: Tensor): Tensor {
  const y = apply(aliasOp, [x], undefined);
  if (y.node === null) y.requiresGrad = true;
  return y;
}
