/** Reductions over axes: which axes, what shape results, and how kernels walk over them. Values only. */

import { optionsOf } from "../base/checks.ts";
import { type DType, isFloat } from "../base/dtype.ts";
import { ArgumentError, DTypeError } from "../base/errors.ts";
import { axisOf, type Shape, show, sizeOf, stridesOf } from "../tensor/shape.ts";
import { dense } from "../tensor/strided.ts";
import { empty, Tensor } from "../tensor/tensor.ts";
import { call } from "../wasm/host.ts";
import { joinAxis, sumAxis } from "../wasm/kernels.gen.ts";

export interface ReduceOptions {
  /** The axis or axes to reduce; default all. */
  readonly axis?: number | readonly number[] | undefined;
  /** Keeps the reduced axes, with length one. */
  readonly keepDim?: boolean | undefined;
}

/** The names of `ReduceOptions`. @internal */
export const REDUCE = ["axis", "keepDim"] as const;

/** Resolves axes: sorted, all different. @internal */
export interface Reduction {
  readonly axes: readonly number[];
  readonly keepDim: boolean;
}

/** @internal */
export function checkFloat(op: string, x: Tensor): void {
  if (!isFloat(x.dtype)) throw new DTypeError(`${op}: expected x of float32 or float64, got ${x.dtype}`);
}

/** @internal */
export function reductionOf(op: string, x: Tensor, options: ReduceOptions): Reduction {
  const { axis, keepDim = false } = optionsOf(op, options, REDUCE);
  checkFloat(op, x);
  return { axes: axesOf(op, x, axis), keepDim };
}

function axesOf(op: string, x: Tensor, axis: ReduceOptions["axis"]): number[] {
  if (axis === undefined) return x.shape.map((_, i) => i);
  if (typeof axis === "number") return [axisOf(op, axis, x.rank)];
  const axes = axis.map((a) => axisOf(op, a, x.rank)).sort((a, b) => a - b);
  if (new Set(axes).size !== axes.length) throw new ArgumentError(`${op}: expected different axes, got ${show(axis)}`);
  return axes;
}

/** The shape with reduced axes of length one. @internal */
export function keptShape(shape: Shape, axes: readonly number[]): number[] {
  return shape.map((d, i) => (axes.includes(i) ? 1 : d));
}

/** @internal */
export function reducedShape(shape: Shape, { axes, keepDim }: Reduction): number[] {
  return keepDim ? keptShape(shape, axes) : shape.filter((_, i) => !axes.includes(i));
}

/** The same reduction of a stack [K, …]. @internal */
export function stacked({ axes, keepDim }: Reduction): ReduceOptions {
  return { axis: axes.map((a) => a + 1), keepDim };
}

/** A tensor's sizes as [outer, axis, inner], where axes `first` to `last` count as one. @internal */
export function viewAround(shape: Shape, first: number, last: number = first): [outer: number, axis: number, inner: number] {
  return [sizeOf(shape.slice(0, first)), sizeOf(shape.slice(first, last + 1)), sizeOf(shape.slice(last + 1))];
}

/** Calls a kernel that reduces [outer, axis, inner] at x to [outer, inner] at y. @internal */
export type AxisReducer = (dtype: DType, outer: number, axis: number, inner: number, x: number, y: number) => void;

export const summing: AxisReducer = (dtype, ...args) => call(sumAxis, dtype, ...args);
export const joining =
  (op: number): AxisReducer =>
  (dtype, ...args) =>
    call(joinAxis, dtype, op, ...args);

/** Index in the list at which its last run of neighbouring axes begins. */
function lastRun(axes: readonly number[]): number {
  let start = axes.length - 1;
  while (start > 0 && axes[start - 1] === (axes[start] as number) - 1) start--;
  return start;
}

/** Reduces one run of neighbouring axes after another, from the last to the first. @internal */
export function reduceWith(reducer: AxisReducer, x: Tensor, reduction: Reduction): Tensor {
  let y = dense(x);
  let axes = reduction.axes;
  if (axes.length > 0 && axes.length === x.rank) return reduceAll(reducer, y, reduction);
  while (axes.length > 0) {
    const start = lastRun(axes);
    const run = axes.slice(start);
    const out = empty(keptShape(y.shape, run), x.dtype);
    reducer(x.dtype, ...viewAround(y.shape, run[0] as number, run[run.length - 1]), y.ptr, out.ptr);
    y = out;
    axes = axes.slice(0, start);
  }
  const shape = reducedShape(x.shape, reduction);
  return new Tensor(y.storage, y.dtype, shape, stridesOf(shape), y.offset);
}

/** The options of reducing everything in one run. */
function reduceAll(reducer: AxisReducer, x: Tensor, { axes, keepDim }: Reduction): Tensor {
  const y = empty(keepDim ? axes.map(() => 1) : [], x.dtype);
  reducer(x.dtype, 1, x.size, 1, x.ptr, y.ptr);
  return y;
}
