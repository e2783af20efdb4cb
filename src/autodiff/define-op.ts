/** The usual way to make a primitive: one output, and one rule per input for each mode. */

import { checkObject, finished } from "../base/checks.ts";
import { checkTensor, type Tensor } from "../tensor/tensor.ts";
import { accumulate } from "./accumulate.ts";
import type { Inputs, Primitive } from "./primitive.ts";

/** The cotangent of one input: `g` has the output's shape, the result the input's. */
export type VjpRule<P> = (g: Tensor, y: Tensor, x: Inputs, params: P, index: number) => Tensor | null;
/** The output's tangent [K, …y.shape] due to one input's tangent `t` [K, …x.shape]. */
export type JvpRule<P> = (t: Tensor, y: Tensor, x: Inputs, params: P, index: number) => Tensor | null;

/** The usual form: one output, and one rule per input (or one for all, which receives the input's index). */
export interface Op<P> {
  readonly name: string;
  readonly forward: (x: Inputs, params: P) => Tensor;
  readonly vjp: VjpRule<P> | readonly VjpRule<P>[];
  readonly jvp: JvpRule<P> | readonly JvpRule<P>[];
}

/**
 * Makes a primitive from per-input rules.
 *
 * In a scan of three steps or more, rules run when the scan does, for two steps; their kernel calls are repeated for the others, and when the
 * gradient is asked for. So a variable outside a rule counts as it was at the scan. A rule that fails there, reads values on the host, draws random
 * numbers or sets fields of the module makes the scan run step by step; then it runs when the gradient is asked for, with its values.
 */
export function defineOp<P = void>(op: Op<P>): Primitive<P> {
  checkObject("defineOp", "an operation", op);
  return primitiveOf(op, false);
}

/** The same for the library's own operations, whose rules depend on their arguments alone. @internal */
export function closedOp<P = void>(op: Op<P>): Primitive<P> {
  return primitiveOf(op, true);
}

/** What a rule of one's own gives, which may be anything, as a promise. @throws DTypeError, StateError */
function checkFound(name: string, found: Tensor | null): Tensor | null {
  if (found !== null) checkTensor(`a rule of ${name}`, finished(`a rule of ${name}`, found));
  return found;
}

function primitiveOf<P>(op: Op<P>, closed: boolean): Primitive<P> {
  const { vjp, jvp } = op;
  const checked = (found: Tensor | null) => (closed ? found : checkFound(op.name, found));
  const vjpOf = typeof vjp === "function" ? () => vjp : (i: number) => vjp[i] as VjpRule<P>;
  const jvpOf = typeof jvp === "function" ? () => jvp : (i: number) => jvp[i] as JvpRule<P>;
  return {
    name: op.name,
    closed,
    forward: (inputs, params) => [op.forward(inputs, params)],
    vjp([g], { inputs, outputs, params, needs }) {
      const found = new Array<Tensor | null>(inputs.length).fill(null);
      if (!g) return found;
      for (let i = 0; i < inputs.length; i++) {
        if (needs[i]) found[i] = checked(vjpOf(i)(g, outputs[0] as Tensor, inputs, params, i));
      }
      return found;
    },
    jvp(tangents, { inputs, outputs, params }) {
      let total: Tensor | null = null;
      for (let i = 0; i < inputs.length; i++) {
        const t = tangents[i];
        if (!t) continue;
        const part = checked(jvpOf(i)(t, outputs[0] as Tensor, inputs, params, i));
        if (part !== null) total = total === null ? part : accumulate(total, part);
      }
      return [total];
    },
  };
}
