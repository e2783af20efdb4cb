/** Reductions over axes and running totals. */

import { apply, defineOp, type Primitive } from "../autodiff/primitive.ts";
import { isFloat } from "../tensor/dtype.ts";
import { ArgumentError, DTypeError, ShapeError } from "../tensor/errors.ts";
import { axisOf, type Shape, sameShape, show, sizeOf, stridesOf } from "../tensor/shape.ts";
import { dense } from "../tensor/strided.ts";
import { empty, Tensor } from "../tensor/tensor.ts";
import { call } from "../wasm/host.ts";
import { type Kernel, sumAxis } from "../wasm/kernels.gen.ts";
import { div } from "./arithmetic.ts";
import { broadcastTo, reshape } from "./shape.ts";

export interface ReduceOptions {
  /** The axis or axes that go; all of them unless given. */
  readonly axis?: number | readonly number[];
  /** Leaves the reduced axes as dimensions of one. */
  readonly keepDim?: boolean;
}

/** Axes resolved: rising, without repetition. */
interface Reduction {
  readonly axes: readonly number[];
  readonly keepDim: boolean;
}

function reductionOf(op: string, x: Tensor, { axis, keepDim = false }: ReduceOptions): Reduction {
  if (!isFloat(x.dtype)) throw new DTypeError(`${op}: expected x of float32 or float64, got ${x.dtype}`);
  return { axes: axesOf(op, x, axis), keepDim };
}

function axesOf(op: string, x: Tensor, axis: ReduceOptions["axis"]): number[] {
  if (axis === undefined) return x.shape.map((_, i) => i);
  const list = typeof axis === "number" ? [axis] : axis;
  const axes = list.map((a) => axisOf(op, a, x.rank)).sort((a, b) => a - b);
  if (new Set(axes).size !== axes.length) throw new ArgumentError(`${op}: expected different axes, got ${show(list)}`);
  return axes;
}

/** The shape with the reduced axes as ones. */
function keptShape(shape: Shape, axes: readonly number[]): number[] {
  return shape.map((d, i) => (axes.includes(i) ? 1 : d));
}

function reducedShape(shape: Shape, { axes, keepDim }: Reduction): number[] {
  return keepDim ? keptShape(shape, axes) : shape.filter((_, i) => !axes.includes(i));
}

/** The same reduction of a stack [K, …]. */
function stacked({ axes, keepDim }: Reduction): ReduceOptions {
  return { axis: axes.map((a) => a + 1), keepDim };
}

/** Undoes a reduction's change of shape: y, or its cotangent, spread over x's shape. */
function spread(y: Tensor, shape: Shape, axes: readonly number[]): Tensor {
  return broadcastTo(reshape(y, keptShape(shape, axes)), shape);
}

/** A tensor [outer, axis, inner], seen from the axes first to last taken as one. */
function viewAround(shape: Shape, first: number, last: number): [outer: number, axis: number, inner: number] {
  return [sizeOf(shape.slice(0, first)), sizeOf(shape.slice(first, last + 1)), sizeOf(shape.slice(last + 1))];
}

type AxisKernel = Kernel<[outer: number, axis: number, inner: number, x: number, y: number]>;

/** Reduces run after run of neighbouring axes, from the last to the first. */
function reduceWith(kernel: AxisKernel, x: Tensor, reduction: Reduction): Tensor {
  let y = dense(x);
  let axes = reduction.axes;
  while (axes.length > 0) {
    const last = axes[axes.length - 1] as number;
    const first = axes.find((a, i) => last - a === axes.length - 1 - i) as number;
    const out = empty(keptShape(y.shape, axes.slice(axes.indexOf(first))), x.dtype);
    call(kernel, x.dtype, ...viewAround(y.shape, first, last), y.ptr, out.ptr);
    y = out;
    axes = axes.slice(0, axes.indexOf(first));
  }
  const shape = reducedShape(x.shape, reduction);
  return new Tensor(y.storage, y.dtype, shape, stridesOf(shape), y.offset);
}

const sumOp: Primitive<Reduction> = defineOp<Reduction>({
  name: "sum",
  forward: ([x], reduction) => reduceWith(sumAxis, x as Tensor, reduction),
  vjp: (g, _y, [x], { axes }) => spread(g, (x as Tensor).shape, axes),
  jvp: (t, _y, _x, reduction) => sum(t, stacked(reduction)),
});

/**
 * The sum over axes; 0 over an empty axis.
 * @example sum(x, { axis: -1, keepDim: true });
 */
export function sum(x: Tensor, options: ReduceOptions = {}): Tensor {
  return apply(sumOp, [x], reductionOf("sum", x, options));
}

/** The mean over axes; NaN over an empty axis. */
export function mean(x: Tensor, options: ReduceOptions = {}): Tensor {
  const total = sum(x, options);
  return div(total, countOf("mean", x, options));
}

/** How many elements of x go into one of the result. */
function countOf(op: string, x: Tensor, { axis }: ReduceOptions): number {
  return axesOf(op, x, axis).reduce((n, a) => n * x.dim(a), 1);
}

/**
 * Undoes broadcasting: sums x down to `shape`, from which x's shape may be reached by broadcasting.
 * @throws ShapeError when it may not
 */
export function sumTo(x: Tensor, shape: Shape): Tensor {
  if (sameShape(x.shape, shape)) return x;
  const added = x.rank - shape.length;
  const axes = x.shape.flatMap((d, i) => (i < added || (shape[i - added] === 1 && d !== 1) ? [i] : []));
  const kept = keptShape(x.shape, axes).slice(Math.max(added, 0));
  if (!sameShape(kept, shape)) throw new ShapeError(`sumTo: expected a shape that broadcasts to ${show(x.shape)}, got ${show(shape)}`);
  return reshape(sum(x, { axis: axes, keepDim: true }), shape);
}

export const primitives: Readonly<Record<string, Primitive<never>>> = { sum: sumOp };
