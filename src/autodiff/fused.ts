/** Primitives in two forms: kernels for the forward and the backward pass, and basic operations. */

import type { Tensor } from "../tensor/tensor.ts";
import { composedRules } from "./composed.ts";
import { dualLevel } from "./forward.ts";
import type { Evaluation, Inputs, Primitive } from "./primitive.ts";
import { isGradEnabled } from "./tape.ts";

/** An operation in both forms. */
export interface FusedOp<P> {
  readonly name: string;
  /** Outputs, from kernels. With `keep`, residuals for `backward` follow them. */
  readonly forward: (inputs: Inputs, params: P, keep: boolean) => Tensor[];
  /** Cotangents of the inputs, from kernels: values only. */
  readonly backward: (cotangents: readonly (Tensor | null)[], at: Evaluation<P>) => (Tensor | null)[];
  /** The same outputs, without residuals, in differentiable operations: for forward mode and second derivatives. */
  readonly composed: (inputs: Inputs, params: P) => Tensor[];
}

/** Makes a primitive from both forms. */
export function fusedOp<P>(op: FusedOp<P>): Primitive<P> {
  const { vjp, jvp } = composedRules(op.composed);
  return {
    name: op.name,
    closed: true,
    forward: (inputs, params) => op.forward(inputs, params, isWanted(inputs)),
    vjp(cotangents, at) {
      const given = cotangents.filter((g) => g !== null);
      const differentiable = isGradEnabled() || dualLevel([...at.inputs, ...given]) > 0;
      return differentiable ? vjp(cotangents, at) : op.backward(cotangents, at);
    },
    jvp,
    composed: op.composed,
  };
}

/** Whether the tape will ask for this evaluation's gradient. */
function isWanted(inputs: Inputs): boolean {
  return isGradEnabled() && inputs.some((x) => x.requiresGrad || x.node !== null);
}
