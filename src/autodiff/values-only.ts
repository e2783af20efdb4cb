/**
 * Operations without derivatives. In the small entries this file replaces the tape, the sweep, forward mode and the makers
 * of primitives; its build (scripts/small-entry.mjs) drops the rules of operations.
 */

import { checkFunction } from "../base/checks.ts";
import { StateError } from "../base/errors.ts";
import { LIBRARY } from "../base/library.ts";
import { checkTensor, type Tensor } from "../tensor/tensor.ts";
import { checkComputable } from "../wasm/host.ts";

/** An operation whose rules were left out. */
interface Values<P> {
  readonly name: string;
  forward(inputs: readonly Tensor[], params: P): Tensor[];
}

export function applyAll<P>(primitive: Values<P>, inputs: readonly Tensor[], params: P): Tensor[] {
  for (const x of inputs) {
    checkTensor(primitive.name, x);
    checkComputable(primitive.name, x.dtype);
  }
  return primitive.forward(inputs, params);
}

export function apply<P>(primitive: Values<P>, inputs: readonly Tensor[], params: P): Tensor {
  return applyAll(primitive, inputs, params)[0] as Tensor;
}

export function closedOp<P>({ name, forward }: { name: string; forward: (x: readonly Tensor[], params: P) => Tensor }): Values<P> {
  return { name, forward: (inputs, params) => [forward(inputs, params)] };
}

export function fusedOp<P>(op: { name: string; forward: (x: readonly Tensor[], params: P, keep: boolean) => Tensor[] }): Values<P> {
  return { name: op.name, forward: (inputs, params) => op.forward(inputs, params, false) };
}

export const composedRules = (): object => ({});

export const isGradEnabled = (): boolean => false;

/** Nothing is ever recorded. */
export function noGrad<R>(fn: () => R): R {
  checkFunction("noGrad", "fn", fn);
  return fn();
}

export function enableGrad<R>(fn: () => R): R {
  checkFunction("enableGrad", "fn", fn);
  throw new StateError(`enableGrad: expected an entry with gradients, got ${LIBRARY}`);
}

/** Runs `fn` without recording, and refuses to record. */
export function withGradMode<R>(on: boolean, fn: () => R): R {
  return on ? enableGrad(fn) : fn();
}

export function gradients(): never {
  throw new StateError(`gradients: expected an entry with gradients, got ${LIBRARY}`);
}

export const Node: { readonly next: number } = { next: 0 };
