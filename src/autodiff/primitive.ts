/**
 * A primitive is one differentiable operation: its value and both derivatives side by side.
 *
 * Rules use differentiable operations, so gradients of gradients come for free.
 */

import { isFloat } from "../base/dtype.ts";
import { DTypeError } from "../base/errors.ts";
import { quote } from "../base/quote.ts";
import { checkTensor, type Tensor } from "../tensor/tensor.ts";
import { box, dualLevel, unbox } from "./forward.ts";
import { observer } from "./observer.ts";
import { isGradEnabled, Node } from "./tape.ts";

/** The tensors that an operation gets. */
export type Inputs = readonly Tensor[];

/** The most general form: any number of inputs and outputs. Outputs that are not exposed are residuals. */
export interface Primitive<P = unknown> {
  readonly name: string;
  /** Computes the outputs from values alone; never records. */
  forward(inputs: Inputs, params: P): Tensor[];
  /** Cotangents of the inputs from those of the outputs; null if there is none or none is needed. */
  vjp(cotangents: readonly (Tensor | null)[], at: Evaluation<P>): (Tensor | null)[];
  /** Tangents [K, …shape] of the outputs from those of the inputs, for K directions at once. */
  jvp(tangents: readonly (Tensor | null)[], at: Evaluation<P>): (Tensor | null)[];
  /** For a fused operation: the same outputs in basic operations, which run instead while an observer watches. */
  readonly composed?: (inputs: Inputs, params: P) => Tensor[];
  /** Whether the rules depend on their arguments alone, as the library's own do. Over the same tape they then repeat the same calls. */
  readonly closed?: boolean;
}

/** The inputs, outputs and parameters of one evaluation of a primitive. */
export interface Evaluation<P = unknown> {
  readonly inputs: Inputs;
  readonly outputs: readonly Tensor[];
  readonly params: P;
  /** Which inputs need cotangents. */
  readonly needs: readonly boolean[];
}

/** Runs a primitive: computes, pushes tangents forward, records on the tape. */
export function applyAll<P>(primitive: Primitive<P>, inputs: Inputs, params: P): Tensor[] {
  if (!Array.isArray(inputs)) throw new DTypeError(`${primitive?.name ?? "apply"}: expected an array of operands, got ${quote(inputs)}`);
  for (let i = 0; i < inputs.length; i++) checkTensor(primitive.name, inputs[i]);
  if (observer !== null && primitive.composed !== undefined) return primitive.composed(inputs, params);
  const level = dualLevel(inputs);
  const outputs = level === 0 ? primitive.forward(inputs, params) : pushForward(primitive, inputs, params, level);
  if (isGradEnabled()) record(primitive, inputs, outputs, params);
  observer?.ran(primitive as Primitive, inputs, outputs, params);
  return outputs;
}

function record<P>(primitive: Primitive<P>, inputs: Inputs, outputs: Tensor[], params: P): void {
  let any = false;
  const needs = new Array<boolean>(inputs.length);
  for (let i = 0; i < inputs.length; i++) {
    const x = inputs[i] as Tensor;
    needs[i] = x.requiresGrad || x.node !== null;
    any ||= needs[i] as boolean;
  }
  if (!any) return;
  const node = new Node(primitive as Primitive, inputs, outputs, params, needs);
  for (let i = 0; i < outputs.length; i++) {
    const y = outputs[i] as Tensor;
    if (!isFloat(y.dtype)) continue;
    y.node = node;
    y.outputIndex = i;
  }
}

/** Runs a primitive with one output. */
export function apply<P>(primitive: Primitive<P>, inputs: Inputs, params: P): Tensor {
  return applyAll(primitive, inputs, params)[0] as Tensor;
}

/** Runs a primitive on tensors with tangents at `level`. */
function pushForward<P>(primitive: Primitive<P>, inputs: Inputs, params: P, level: number): Tensor[] {
  const parts = inputs.map((x) => unbox(level, x));
  const primals = parts.map((p) => p.primal);
  const outputs = applyAll(primitive, primals, params);
  const needs = parts.map((p) => p.tangent !== null);
  const tangents = primitive.jvp(
    parts.map((p) => p.tangent),
    { inputs: primals, outputs, params, needs },
  );
  return outputs.map((y, i) => {
    const t = tangents[i];
    return t ? box(level, y, t) : y;
  });
}
