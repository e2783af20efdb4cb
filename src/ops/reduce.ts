/** Reductions over axes, and running totals. */

import { closedOp } from "../autodiff/define-op.ts";
import { observer } from "../autodiff/observer.ts";
import { apply, type Inputs, type Primitive } from "../autodiff/primitive.ts";
import { optionsOf } from "../base/checks.ts";
import { ArgumentError, DTypeError, ShapeError } from "../base/errors.ts";
import { axisOf, sameShape, show, sizeOf } from "../tensor/shape.ts";
import { dense } from "../tensor/strided.ts";
import { checkTensor, empty, type Tensor } from "../tensor/tensor.ts";
import * as code from "../wasm/codes.gen.ts";
import { call } from "../wasm/host.ts";
import { argLargest, logSumExpRows, scanAxis } from "../wasm/kernels.gen.ts";
import { add, div, mul, square, sub } from "./arithmetic.ts";
import { broadcastTo, reshape, spread, sum, sumOp } from "./broadcast.ts";
import { cast } from "./cast.ts";
import { equal, maskedFill, notEqual, where } from "./compare.ts";
import { gather } from "./gather.ts";
import { abs, exp, pow, sqrt } from "./math.ts";
import {
  type AxisReducer,
  checkFloat,
  joining,
  keptShape,
  REDUCE,
  type ReduceOptions,
  type Reduction,
  reducedShape,
  reduceWith,
  reductionOf,
  stacked,
  viewAround,
} from "./reduction.ts";
import { flip, pad, permute, slice } from "./shape.ts";

export type { ReduceOptions };

/** Number of elements of x that go into one element of the result. */
function countOf(x: Tensor, axes: readonly number[]): number {
  return axes.length === x.rank ? x.size : axes.reduce((n, a) => n * x.dim(a), 1);
}

/** Requires a non-empty set to take an extreme of. */
function checkNotEmpty(op: string, x: Tensor, axes: readonly number[]): void {
  if (countOf(x, axes) === 0) throw new ShapeError(`${op}: expected axes that are not empty, got axes ${show(axes)} of x ${show(x.shape)}`);
}

// ---------------------------------------------------------------- means

/** The mean over axes; NaN over an empty axis. */
export function mean(x: Tensor, options: ReduceOptions = {}): Tensor {
  checkTensor("mean", x);
  const reduction = reductionOf("mean", x, options);
  return div(apply(sumOp, [x], reduction), countOf(x, reduction.axes));
}

export interface VarianceOptions extends ReduceOptions {
  /** Subtracted from the number of elements in the divisor: 1 (default) is unbiased, 0 gives the mean of squares. */
  readonly correction?: number;
}

/** Σ (x - mean)² / (n - correction) over axes; NaN if the divisor is 0. */
export function variance(x: Tensor, options: VarianceOptions = {}): Tensor {
  checkTensor("variance", x);
  const { correction = 1, ...over } = optionsOf("variance", options, ["correction", ...REDUCE]);
  const { axes, keepDim } = reductionOf("variance", x, over);
  const centered = sub(x, mean(x, { axis: axes, keepDim: true }));
  const divisor = Math.max(0, countOf(x, axes) - correction);
  return div(sum(square(centered), { axis: axes, keepDim }), divisor);
}

/** The square root of the variance; its derivative is taken as 0 where all elements are equal. */
export function std(x: Tensor, options: VarianceOptions = {}): Tensor {
  checkTensor("std", x);
  return awayFromZero(variance(x, options), sqrt);
}

/** fn, but 0 with derivative 0 at 0, where the derivative of a root is infinite. */
function awayFromZero(x: Tensor, fn: (x: Tensor) => Tensor): Tensor {
  const zero = equal(x, 0);
  return where(zero, 0, fn(where(zero, 1, x)));
}

/**
 * The vector norm (Σ |x|^p)^(1/p) over axes: p is 2 by default, Infinity for the largest and -Infinity for the
 * smallest |x|, 0 for the number of non-zero elements. The derivative is taken as 0 where the norm is 0.
 */
export function norm(x: Tensor, options: ReduceOptions & { readonly p?: number } = {}): Tensor {
  checkTensor("norm", x);
  const { p = 2, ...over } = optionsOf("norm", options, ["p", ...REDUCE]);
  checkFloat("norm", x);
  if (Number.isNaN(p)) throw new ArgumentError(`norm: expected p to be a number, got ${p}`);
  if (p === 2) return awayFromZero(sum(square(x), over), sqrt);
  if (p === 1) return sum(abs(x), over);
  if (p === 0) return sum(cast(notEqual(x, 0), x.dtype), over);
  if (p === Infinity) return amax(abs(x), over);
  if (p === -Infinity) return amin(abs(x), over);
  return awayFromZero(sum(pow(abs(x), p), over), (total) => pow(total, 1 / p));
}

// ---------------------------------------------------------------- the largest and the smallest

function extremeOp(name: string, reducer: AxisReducer): Primitive<Reduction> {
  /** 1 / (number of ties) where x is the extreme, 0 elsewhere. */
  const shares = (x: Tensor, y: Tensor, axes: readonly number[]): Tensor => {
    const ties = cast(equal(x, reshape(y, keptShape(x.shape, axes))), x.dtype);
    return div(ties, sum(ties, { axis: axes, keepDim: true }));
  };
  return closedOp<Reduction>({
    name,
    forward: ([x], reduction) => reduceWith(reducer, x as Tensor, reduction),
    vjp: (g, y, [x], { axes }) => mul(spread(g, (x as Tensor).shape, axes), shares(x as Tensor, y, axes)),
    jvp: (t, y, [x], reduction) => sum(mul(t, shares(x as Tensor, y, reduction.axes)), stacked(reduction)),
  });
}

const amaxOp: Primitive<Reduction> = extremeOp("amax", joining(code.MAXIMUM));
const aminOp: Primitive<Reduction> = extremeOp("amin", joining(code.MINIMUM));

function extreme(op: Primitive<Reduction>, x: Tensor, options: ReduceOptions): Tensor {
  const reduction = reductionOf(op.name, x, options);
  checkNotEmpty(op.name, x, reduction.axes);
  return apply(op, [x], reduction);
}

/** The largest element over axes, or NaN if any is NaN; ties share the derivative evenly. @throws ShapeError over an empty axis */
export function amax(x: Tensor, options: ReduceOptions = {}): Tensor {
  checkTensor("amax", x);
  return extreme(amaxOp, x, options);
}

/** The smallest element over axes, or NaN if any is NaN; ties share the derivative evenly. @throws ShapeError over an empty axis */
export function amin(x: Tensor, options: ReduceOptions = {}): Tensor {
  checkTensor("amin", x);
  return extreme(aminOp, x, options);
}

export interface ArgOptions {
  /** The axis to reduce; without it, x is flattened. */
  readonly axis?: number | undefined;
  readonly keepDim?: boolean | undefined;
}

function argExtreme(op: string, sign: number, x: Tensor, options: ArgOptions): Tensor {
  const reduction = reductionOf(op, x, options);
  const { axis } = options;
  checkNotEmpty(op, x, reduction.axes);
  const y = empty(reducedShape(x.shape, reduction), "int32");
  const seen = axis === undefined ? ([1, x.size, 1] as const) : viewAround(x.shape, axisOf(op, axis, x.rank));
  call(argLargest, x.dtype, ...seen, sign, dense(x).ptr, y.ptr);
  observer?.found?.(op, [x], y, reduction);
  return y;
}

/** The index (int32) of the first largest element along an axis, or in x flattened; NaN counts as largest. */
export function argmax(x: Tensor, options: ArgOptions = {}): Tensor {
  checkTensor("argmax", x);
  return argExtreme("argmax", 1, x, options);
}

/** The index (int32) of the first smallest element along an axis, or in x flattened; NaN counts as smallest. */
export function argmin(x: Tensor, options: ArgOptions = {}): Tensor {
  checkTensor("argmin", x);
  return argExtreme("argmin", -1, x, options);
}

/** The elements along one axis at the indices of `argmax` or `argmin`. */
function pick(x: Tensor, axis: number, index: Tensor, keepDim = false): Tensor {
  const picked = gather(x, axis, index);
  return keepDim ? picked : reshape(picked, picked.shape.toSpliced(axisOf("gather", axis, x.rank), 1));
}

/**
 * The largest element along one axis, with the derivative going to the first of ties, as `argmax` finds it;
 * without an axis, as `amax`. @throws ShapeError over an empty axis
 */
export function max(x: Tensor, options: ReduceOptions = {}): Tensor {
  checkTensor("max", x);
  const { axis, keepDim } = optionsOf("max", options, REDUCE);
  if (typeof axis !== "number") return amax(x, options);
  return pick(x, axis, argmax(x, { axis, keepDim: true }), keepDim);
}

/** The smallest element; derivatives as in `max`. @throws ShapeError over an empty axis */
export function min(x: Tensor, options: ReduceOptions = {}): Tensor {
  checkTensor("min", x);
  const { axis, keepDim } = optionsOf("min", options, REDUCE);
  if (typeof axis !== "number") return amin(x, options);
  return pick(x, axis, argmin(x, { axis, keepDim: true }), keepDim);
}

// ---------------------------------------------------------------- log-sum-exp

/** x with the reduced axes moved to the end and merged: [rows, n]. */
function rowsOf(x: Tensor, axes: readonly number[]): Tensor {
  const kept = x.shape.flatMap((_, i) => (axes.includes(i) ? [] : [i]));
  return reshape(permute(x, [...kept, ...axes]), [sizeOf(kept.map((i) => x.dim(i))), countOf(x, axes)]);
}

const logSumExpOp: Primitive<void> = closedOp({
  name: "logSumExp",
  forward([x]) {
    const rows = dense(x as Tensor);
    const y = empty([rows.dim(0)], rows.dtype);
    call(logSumExpRows, rows.dtype, rows.dim(0), rows.dim(1), rows.ptr, y.ptr);
    return y;
  },
  vjp: (g, y, [x]) => mul(reshape(g, [g.size, 1]), weightsOf(x as Tensor, y)),
  jvp: (t, y, [x]) => sum(mul(t, weightsOf(x as Tensor, y)), { axis: -1 }),
});

/** exp(x - y) for rows x and their log-sums y; 0 in rows of only -∞. */
function weightsOf(x: Tensor, y: Tensor): Tensor {
  return exp(sub(x, reshape(maskedFill(y, equal(y, -Infinity), 0), [y.size, 1])));
}

/** log Σ exp(x) over axes, without overflow; -∞ over an empty axis. */
export function logSumExp(x: Tensor, options: ReduceOptions = {}): Tensor {
  checkTensor("logSumExp", x);
  const reduction = reductionOf("logSumExp", x, options);
  return reshape(apply(logSumExpOp, [rowsOf(x, reduction.axes)], undefined), reducedShape(x.shape, reduction));
}

// ---------------------------------------------------------------- running totals and products

/** @internal */
export interface Scan {
  readonly axis: number;
  readonly reverse: boolean;
}

/** The inputs are the factors and the terms, or only the terms if all factors are 1. @internal */
export function scanValue(inputs: Inputs, { axis, reverse }: Scan, kind: number = code.LINEAR_SCAN): Tensor {
  const [a, b] = inputs.length === 2 ? [dense(inputs[0] as Tensor), dense(inputs[1] as Tensor)] : [null, dense(inputs[0] as Tensor)];
  const y = empty(b.shape, b.dtype);
  call(scanAxis, b.dtype, kind, ...viewAround(b.shape, axis), reverse ? 1 : 0, a === null ? 0 : a.ptr, b.ptr, y.ptr);
  return y;
}

const cumsumOp: Primitive<Scan> = closedOp<Scan>({
  name: "cumsum",
  forward: scanValue,
  vjp: (g, _y, _x, { axis, reverse }) => apply(cumsumOp, [g], { axis, reverse: !reverse }),
  jvp: (t, _y, _x, { axis, reverse }) => apply(cumsumOp, [t], { axis: axis + 1, reverse }),
});

/** The cumulative sums of x along an axis. */
export function cumsum(x: Tensor, options: { readonly axis: number }): Tensor {
  const { axis } = optionsOf("cumsum", options, ["axis"]);
  checkTensor("cumsum", x);
  checkFloat("cumsum", x);
  return apply(cumsumOp, [x], { axis: axisOf("cumsum", axis, x.rank), reverse: false });
}

/** Moves each element to the next place along the axis (or the previous, with `reverse`) and fills the free place with `first`. @internal */
export function moved(x: Tensor, { axis, reverse }: Scan, first: number): Tensor {
  const n = x.dim(axis);
  if (n === 0) return x;
  const padding = x.shape.map((_, i) => [i === axis && !reverse ? 1 : 0, i === axis && reverse ? 1 : 0] as const);
  return pad(reverse ? slice(x, axis, 1, n) : slice(x, axis, 0, n - 1), padding, first);
}

/** [a, b] of y[k] = a[k]·y[k-1] + b[k]. The transpose runs the recurrence backwards, with the factors shifted by one. */
const linearScanOp: Primitive<Scan> = {
  name: "linearScan",
  closed: true,
  forward: (inputs, scan) => [scanValue(inputs, scan)],
  vjp([g], { inputs, outputs, params, needs }) {
    if (!g) return [null, null];
    const back = { axis: params.axis, reverse: !params.reverse };
    const db = apply(linearScanOp, [moved(inputs[0] as Tensor, back, 1), g], back);
    return [needs[0] ? mul(db, moved(outputs[0] as Tensor, params, 0)) : null, db];
  },
  jvp([ta, tb], { inputs, outputs, params }) {
    const a = inputs[0] as Tensor;
    const t = (ta ?? tb) as Tensor;
    const stackedScan = { axis: params.axis + 1, reverse: params.reverse };
    const fromA = ta ? mul(ta, moved(outputs[0] as Tensor, params, 0)) : null;
    const terms = fromA && tb ? add(fromA, tb) : ((fromA ?? tb) as Tensor);
    return [apply(linearScanOp, [broadcastTo(a, [t.dim(0), ...a.shape]), terms], stackedScan)];
  },
};

/** @internal */
export function checkScanned(op: string, a: Tensor, b: Tensor): void {
  checkFloat(op, b);
  if (!sameShape(a.shape, b.shape)) throw new ShapeError(`${op}: expected a and b of one shape, got ${show(a.shape)} and ${show(b.shape)}`);
  if (a.dtype !== b.dtype) throw new DTypeError(`${op}: expected a and b of one dtype, got ${a.dtype} and ${b.dtype}`);
}

/**
 * The linear recurrence y[k] = a[k]·y[k-1] + b[k] along an axis, with y[0] = b[0]; a[0] is not used.
 * @param a factors, of the shape and dtype of b
 * @example linearScan(decay, inputs, { axis: 0 }); // a leaky integrator over time
 */
export function linearScan(a: Tensor, b: Tensor, options: { readonly axis: number }): Tensor {
  const { axis } = optionsOf("linearScan", options, ["axis"]);
  checkTensor("linearScan", a);
  checkScanned("linearScan", a, b);
  return apply(linearScanOp, [a, b], { axis: axisOf("linearScan", axis, b.rank), reverse: false });
}

/** The cumulative products of x along an axis; derivatives are right at zeros too. */
export function cumprod(x: Tensor, options: { readonly axis: number }): Tensor {
  const { axis } = optionsOf("cumprod", options, ["axis"]);
  checkTensor("cumprod", x);
  checkFloat("cumprod", x);
  const along = axisOf("cumprod", axis, x.rank);
  const rest = x.shape.map((d, i) => [0, i === along ? Math.max(0, d - 1) : 0] as const);
  return linearScan(x, pad(slice(x, along, 0, 1), rest), { axis: along });
}

const prodOp: Primitive<void> = closedOp({
  name: "prod",
  forward: ([x]) => reduceWith(joining(code.MUL), x as Tensor, { axes: [(x as Tensor).rank - 1], keepDim: false }),
  vjp: (g, _y, [x]) => mul(reshape(g, [...g.shape, 1]), productsOfOthers(x as Tensor)),
  jvp: (t, _y, [x]) => sum(mul(t, productsOfOthers(x as Tensor)), { axis: -1 }),
});

/** For each element of a row, the product of the others: those before times those after. */
function productsOfOthers(x: Tensor): Tensor {
  const scan = { axis: x.rank - 1, reverse: false };
  const before = (rows: Tensor) => cumprod(moved(rows, scan, 1), { axis: -1 });
  return mul(before(x), flip(before(flip(x, -1)), -1));
}

/** The product over axes; 1 over an empty axis. Derivatives are right at zeros too. */
export function prod(x: Tensor, options: ReduceOptions = {}): Tensor {
  checkTensor("prod", x);
  const reduction = reductionOf("prod", x, options);
  return reshape(apply(prodOp, [rowsOf(x, reduction.axes)], undefined), reducedShape(x.shape, reduction));
}

export const primitives: Readonly<Record<string, Primitive<never>>> = {
  amax: amaxOp, amin: aminOp, prod: prodOp, logSumExp: logSumExpOp, cumsum: cumsumOp, linearScan: linearScanOp,
}; // biome-ignore format: a list
