/** Primitives with a kernel of their own for the backward pass, beside the same in basic operations. */

import { add } from "../ops/arithmetic.ts";
import { scalar } from "../tensor/create.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { box, dualLevel, unbox, withLevel } from "./forward.ts";
import type { Evaluation, Inputs, Primitive } from "./primitive.ts";
import { isRecording } from "./tape.ts";
import { innerProduct, vjp } from "./transforms.ts";

/** An operation in both forms. */
export interface FusedOp<P> {
  readonly name: string;
  /** Values from kernels. With `keep`, followed by residuals for `backward`. */
  readonly forward: (inputs: Inputs, params: P, keep: boolean) => Tensor[];
  /** Cotangents of the inputs from kernels: values only. */
  readonly backward: (cotangents: readonly (Tensor | null)[], at: Evaluation<P>) => (Tensor | null)[];
  /** The same outputs, without residuals, in differentiable operations: for forward mode and second derivatives. */
  readonly composed: (inputs: Inputs, params: P) => Tensor[];
}

/** Makes a primitive of both forms. */
export function fusedOp<P>(op: FusedOp<P>): Primitive<P> {
  return {
    name: op.name,
    forward: (inputs, params) => op.forward(inputs, params, isWanted(inputs)),
    vjp(cotangents, at) {
      const given = cotangents.filter((g) => g !== null);
      const differentiable = isRecording() || dualLevel([...at.inputs, ...given]) > 0;
      return differentiable ? composedVjp(op, cotangents, at) : op.backward(cotangents, at);
    },
    jvp(tangents, { inputs, params }) {
      return withLevel((level) => {
        const boxed = inputs.map((x, i) => (tangents[i] ? box(level, x, tangents[i]) : x));
        return op.composed(boxed, params).map((y) => unbox(level, y).tangent);
      });
    },
  };
}

/** Whether the tape will ask for this evaluation's gradient. */
function isWanted(inputs: Inputs): boolean {
  return isRecording() && inputs.some((x) => x.requiresGrad || x.node !== null);
}

function composedVjp<P>(op: FusedOp<P>, cotangents: readonly (Tensor | null)[], { inputs, params }: Evaluation<P>): Tensor[] {
  const weighed = (...xs: Tensor[]): Tensor =>
    op
      .composed(xs, params)
      .flatMap((y, i) => (cotangents[i] ? [innerProduct(y, cotangents[i])] : []))
      .reduce((a, b) => add(a, b));
  const [total, pullback] = vjp(weighed, inputs);
  return pullback(scalar(1, total.dtype), { createGraph: true });
}
