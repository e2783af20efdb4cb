/** Clipping of gradients, between `backward` and the optimiser's step. */

import { checkIterable, checkOptions } from "../base/checks.ts";
import { isFloat } from "../base/dtype.ts";
import { ArgumentError, DTypeError, ShapeError, StateError } from "../base/errors.ts";
import { quote } from "../base/quote.ts";
import { show } from "../tensor/shape.ts";
import { checkTensor, empty, scope, type Tensor } from "../tensor/tensor.ts";
import { call, view } from "../wasm/host.ts";
import { axpby, clampMagnitude, dotProduct } from "../wasm/kernels.gen.ts";

/** Which norm of the gradient: the sum of magnitudes, Euclid's, or the largest magnitude. */
export type NormType = 1 | 2 | typeof Number.POSITIVE_INFINITY;

export interface ClipOptions {
  /** Which norm: 1, 2 (default) or Infinity. */
  readonly normType?: NormType;
  /** Whether to throw instead of scaling by a norm that is not finite (default false). */
  readonly errorIfNonfinite?: boolean;
}

/**
 * Scales all gradients by min(1, maxNorm/(norm + 1e-6)), with the norm of all gradients as one vector.
 * @returns the norm before scaling
 * @throws StateError with `errorIfNonfinite`, before anything changes
 * @see Pascanu, Mikolov, Bengio, "On the difficulty of training recurrent neural networks", 2013
 * @example const norm = clipGradNorm(model.parameters(), 1);
 */
export function clipGradNorm(params: Iterable<Tensor>, maxNorm: number, options: ClipOptions = {}): number {
  checkOptions("clipGradNorm", options, ["normType", "errorIfNonfinite"]);
  if (!(maxNorm >= 0)) throw new ArgumentError(`clipGradNorm: expected a maxNorm of at least 0, got ${maxNorm}`);
  const gradients = gradientsOf("clipGradNorm", params);
  const norm = totalNorm(gradients, options.normType);
  if (options.errorIfNonfinite && !Number.isFinite(norm)) throw new StateError(`clipGradNorm: expected a finite norm, got ${norm}`);
  const factor = maxNorm / (norm + 1e-6);
  // Written so that a NaN norm reaches the gradients instead of passing unseen.
  if (factor >= 1) return norm;
  for (const g of gradients) {
    call(axpby, g.dtype, g.size, 0, g.ptr, factor, g.ptr);
    g.storage.noteWrite();
  }
  return norm;
}

/** Checks a training loop's largest norm: above 0, Infinity for no limit. @throws DTypeError, ArgumentError @internal */
export function checkClipNorm(op: string, clipNorm: unknown): void {
  if (typeof clipNorm !== "number") throw new DTypeError(`${op}: expected clipNorm as a number, got ${quote(clipNorm)}`);
  if (!(clipNorm > 0)) throw new ArgumentError(`${op}: expected clipNorm above 0, got ${clipNorm}`);
}

/** Limits every element of the gradients to [−clipValue, clipValue]. */
export function clipGradValue(params: Iterable<Tensor>, clipValue: number): void {
  if (!(clipValue >= 0)) throw new ArgumentError(`clipGradValue: expected a clipValue of at least 0, got ${clipValue}`);
  for (const g of gradientsOf("clipGradValue", params)) {
    call(clampMagnitude, g.dtype, g.size, clipValue, g.ptr);
    g.storage.noteWrite();
  }
}

/** The norm of contiguous tensors taken as one vector, summed in float64. */
export function totalNorm(tensors: readonly Tensor[], normType: NormType = 2): number {
  if (normType === 2) return Math.sqrt(tensors.reduce((total, t) => total + dot(t, t), 0));
  if (normType === 1) return tensors.reduce((total, t) => total + absSum(t), 0);
  if (normType === Number.POSITIVE_INFINITY) return tensors.reduce((most, t) => Math.max(most, absMax(t)), 0);
  throw new ArgumentError(`totalNorm: expected norm type 1, 2 or Infinity, got ${normType}`);
}

/** The inner product of two contiguous tensors of one dtype and size. */
export function dot(a: Tensor, b: Tensor): number {
  checkTensor("dot", a);
  return scope(() => {
    const out = empty([], "float64");
    call(dotProduct, a.dtype, a.size, a.ptr, b.ptr, out.ptr);
    return out.item();
  });
}

export function absSum(t: Tensor): number {
  let total = 0;
  for (const x of view(t.dtype, t.ptr, t.size)) total += Math.abs(x);
  return total;
}

/** The largest absolute value; NaN if any element is NaN, 0 without elements. */
export function absMax(t: Tensor): number {
  let most = 0;
  for (const x of view(t.dtype, t.ptr, t.size)) most = Math.max(most, Math.abs(x));
  return most;
}

function gradientsOf(op: string, params: Iterable<Tensor>): Tensor[] {
  checkIterable(op, "parameters", params);
  const gradients: Tensor[] = [];
  for (const p of params) {
    checkTensor(op, p);
    const { grad } = p;
    if (grad === null) continue;
    if (!isFloat(grad.dtype)) throw new DTypeError(`${op}: expected float gradients, got ${grad.dtype}`);
    if (!grad.isContiguous) throw new ShapeError(`${op}: expected contiguous gradients, got strides ${show(grad.strides)}`);
    gradients.push(grad);
  }
  return gradients;
}
