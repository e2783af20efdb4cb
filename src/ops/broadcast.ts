/** Reshaping, repeating along axes and summing over them. Each is the derivative of another, so they share a file, below all families. */

import { closedOp } from "../autodiff/define-op.ts";
import { apply, type Primitive } from "../autodiff/primitive.ts";
import { checkList } from "../base/checks.ts";
import { ShapeError } from "../base/errors.ts";
import { checkShape, type Shape, sameShape, show, sizeOf, stridesOf } from "../tensor/shape.ts";
import { dense } from "../tensor/strided.ts";
import { checkTensor, Tensor } from "../tensor/tensor.ts";
import { keptShape, type ReduceOptions, type Reduction, reduceWith, reductionOf, stacked, summing } from "./reduction.ts";

/** A view of the elements of x. @internal */
export function viewOf(x: Tensor, shape: Shape, strides: Shape, offset: number = x.offset): Tensor {
  return new Tensor(x.storage, x.dtype, shape, strides, offset);
}

/** Strides that view x in another shape without a copy; null if there are none. */
function stridesFor(x: Tensor, shape: Shape): Shape | null {
  if (x.isContiguous || x.size === 0) return stridesOf(shape);
  const strides = new Array<number>(shape.length).fill(1);
  let out = shape.length - 1;
  for (let axis = x.shape.length - 1; axis >= 0; axis--) {
    // A run of axes [axis … inner] that acts as one axis.
    const step = x.strides[axis] as number;
    let run = x.shape[axis] as number;
    if (run === 1) continue;
    while (axis > 0 && (x.shape[axis - 1] === 1 || x.strides[axis - 1] === step * run)) run *= x.shape[--axis] as number;
    let filled = 1;
    for (; out >= 0 && filled < run; out--) {
      strides[out] = step * filled;
      filled *= shape[out] as number;
    }
    if (filled !== run) return null;
  }
  return strides;
}

const reshapeOp: Primitive<Shape> = closedOp<Shape>({
  name: "reshape",
  forward([x], shape) {
    const source = x as Tensor;
    const strides = stridesFor(source, shape);
    return strides === null ? viewOf(dense(source), shape, stridesOf(shape), 0) : viewOf(source, shape, strides);
  },
  vjp: (g, _y, [x]) => reshape(g, (x as Tensor).shape),
  jvp: (t, y) => reshape(t, [t.shape[0] as number, ...y.shape]),
});

/** Replaces the one -1 by the dimension that the size leaves. */
function inferred(x: Tensor, shape: Shape): Shape {
  const open = shape.indexOf(-1);
  if (open < 0) return shape;
  const known = sizeOf(shape) / -1;
  const rest = known === 0 ? Number.NaN : x.size / known;
  return shape.with(open, rest);
}

/**
 * The same elements, in row-major order, in another shape: a view if strides allow it, else a copy.
 * @param shape with at most one -1, whose size is inferred
 * @throws ShapeError when the sizes differ
 * @example reshape(x, [2, -1])
 */
export function reshape(x: Tensor, shape: Shape): Tensor {
  checkTensor("reshape", x);
  checkList("reshape", "the shape", shape);
  if (sameShape(x.shape, shape)) return x;
  const target = inferred(x, shape);
  if (sizeOf(target) !== x.size || target.some((d) => !(d >= 0 && Number.isInteger(d)))) {
    throw new ShapeError(`reshape: expected a shape of ${x.size} elements for x ${show(x.shape)}, got ${show(shape)}`);
  }
  return apply(reshapeOp, [x], target);
}

const broadcastOp: Primitive<Shape> = closedOp<Shape>({
  name: "broadcastTo",
  forward([x], shape) {
    const source = x as Tensor;
    const lead = shape.length - source.rank;
    const strides = shape.map((_, i) => (i < lead || source.shape[i - lead] === 1 ? 0 : (source.strides[i - lead] as number)));
    return viewOf(source, shape, strides);
  },
  vjp: (g, _y, [x]) => sumTo(g, (x as Tensor).shape),
  jvp(t, y, [x]) {
    const [k, ...shape] = t.shape as [number, ...number[]];
    const lead = new Array<number>(y.rank - (x as Tensor).rank).fill(1);
    return broadcastTo(reshape(t, [k, ...lead, ...shape]), [k, ...y.shape]);
  },
});

/** Repeats x along axes of length one and along new leading axes, by NumPy's rule. The result is a view. */
export function broadcastTo(x: Tensor, shape: Shape): Tensor {
  checkTensor("broadcastTo", x);
  checkList("broadcastTo", "the shape", shape);
  if (sameShape(x.shape, shape)) return x;
  checkShape("broadcastTo", shape);
  const lead = shape.length - x.rank;
  if (lead < 0 || x.shape.some((d, i) => d !== 1 && d !== shape[i + lead])) {
    throw new ShapeError(`broadcastTo: expected a shape that x ${show(x.shape)} broadcasts to, got ${show(shape)}`);
  }
  return apply(broadcastOp, [x], shape);
}

/** Broadcasts the result of a reduction, or its cotangent, back to x's shape. @internal */
export function spread(y: Tensor, shape: Shape, axes: readonly number[]): Tensor {
  return broadcastTo(reshape(y, keptShape(shape, axes)), shape);
}

export const sumOp: Primitive<Reduction> = closedOp<Reduction>({
  name: "sum",
  forward: ([x], reduction) => reduceWith(summing, x as Tensor, reduction),
  vjp: (g, _y, [x], { axes }) => spread(g, (x as Tensor).shape, axes),
  jvp: (t, _y, _x, reduction) => sum(t, stacked(reduction)),
});

/**
 * The sum over axes; 0 over an empty axis. Sums rows pairwise, always in the same order.
 * @example sum(x, { axis: -1, keepDim: true });
 */
export function sum(x: Tensor, options: ReduceOptions = {}): Tensor {
  checkTensor("sum", x);
  return apply(sumOp, [x], reductionOf("sum", x, options));
}

/**
 * Undoes broadcasting: sums x down to a shape that broadcasts to x's.
 * @throws ShapeError if it does not
 */
export function sumTo(x: Tensor, shape: Shape): Tensor {
  checkTensor("sumTo", x);
  checkList("sumTo", "the shape", shape);
  if (sameShape(x.shape, shape)) return x;
  const added = x.rank - shape.length;
  const axes = x.shape.flatMap((d, i) => (i < added || (shape[i - added] === 1 && d !== 1) ? [i] : []));
  const kept = keptShape(x.shape, axes).slice(Math.max(added, 0));
  if (!sameShape(kept, shape)) throw new ShapeError(`sumTo: expected a shape that broadcasts to ${show(x.shape)}, got ${show(shape)}`);
  return reshape(sum(x, { axis: axes, keepDim: true }), shape);
}

/** The primitives of this file, by name. */
export const primitives: Readonly<Record<string, Primitive<never>>> = { reshape: reshapeOp, broadcastTo: broadcastOp, sum: sumOp };
