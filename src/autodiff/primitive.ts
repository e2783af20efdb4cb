/**
 * A primitive: one differentiable operation, its value and both derivatives side by side.
 *
 * Rules are written in differentiable operations, so that gradients of gradients follow by themselves.
 */

import { isFloat } from "../base/dtype.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { accumulate } from "./accumulate.ts";
import { dualLevel, pushForward } from "./forward.ts";
import { isRecording, Node } from "./tape.ts";

export type Inputs = readonly Tensor[];

/** The most general form: any number of inputs and outputs. Outputs nobody exposes are residuals. */
export interface Primitive<P = unknown> {
  readonly name: string;
  /** Computes the outputs from values alone; never records. */
  forward(inputs: Inputs, params: P): Tensor[];
  /** Cotangents of the inputs from those of the outputs; null where there is none or none is needed. */
  vjp(cotangents: readonly (Tensor | null)[], at: Evaluation<P>): (Tensor | null)[];
  /** Tangents [K, …shape] of the outputs from those of the inputs, for K directions at once. */
  jvp(tangents: readonly (Tensor | null)[], at: Evaluation<P>): (Tensor | null)[];
}

/** A primitive's inputs, outputs and parameters at one evaluation. */
export interface Evaluation<P = unknown> {
  readonly inputs: Inputs;
  readonly outputs: readonly Tensor[];
  readonly params: P;
  /** Which inputs' cotangents are wanted. */
  readonly needs: readonly boolean[];
}

/** Runs a primitive: computes, pushes tangents forward, records on the tape. */
export function applyAll<P>(primitive: Primitive<P>, inputs: Inputs, params: P): Tensor[] {
  const level = dualLevel(inputs);
  const outputs = level === 0 ? primitive.forward(inputs, params) : pushForward(primitive, inputs, params, level);
  if (isRecording()) record(primitive, inputs, outputs, params);
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

/** The cotangent of one input: `g` has the output's shape, the result the input's. */
export type VjpRule<P> = (g: Tensor, y: Tensor, x: Inputs, params: P, index: number) => Tensor | null;
/** The output's tangent [K, …y.shape] due to one input's tangent `t` [K, …x.shape]. */
export type JvpRule<P> = (t: Tensor, y: Tensor, x: Inputs, params: P, index: number) => Tensor | null;

/** The usual form: one output, one rule an input (or one rule for all, told the input's index). */
export interface Op<P> {
  readonly name: string;
  readonly forward: (x: Inputs, params: P) => Tensor;
  readonly vjp: VjpRule<P> | readonly VjpRule<P>[];
  readonly jvp: JvpRule<P> | readonly JvpRule<P>[];
}

/** Makes a primitive from per-input rules. */
export function defineOp<P = void>(op: Op<P>): Primitive<P> {
  const { vjp, jvp } = op;
  const vjpOf = typeof vjp === "function" ? () => vjp : (i: number) => vjp[i] as VjpRule<P>;
  const jvpOf = typeof jvp === "function" ? () => jvp : (i: number) => jvp[i] as JvpRule<P>;
  return {
    name: op.name,
    forward: (inputs, params) => [op.forward(inputs, params)],
    vjp([g], { inputs, outputs, params, needs }) {
      const found = new Array<Tensor | null>(inputs.length).fill(null);
      if (!g) return found;
      for (let i = 0; i < inputs.length; i++) {
        if (needs[i]) found[i] = vjpOf(i)(g, outputs[0] as Tensor, inputs, params, i);
      }
      return found;
    },
    jvp(tangents, { inputs, outputs, params }) {
      let total: Tensor | null = null;
      for (let i = 0; i < inputs.length; i++) {
        const t = tangents[i];
        if (!t) continue;
        const part = jvpOf(i)(t, outputs[0] as Tensor, inputs, params, i);
        if (part !== null) total = total === null ? part : accumulate(total, part);
      }
      return [total];
    },
  };
}

/** Runs a primitive of one output. */
export function apply<P>(primitive: Primitive<P>, inputs: Inputs, params: P): Tensor {
  return applyAll(primitive, inputs, params)[0] as Tensor;
}
