/** The bridge to the elementwise kernel, and the form that most operations of this folder share. */

import { closedOp } from "../autodiff/define-op.ts";
import { apply, type Inputs, type Primitive } from "../autodiff/primitive.ts";
import { type DType, isFloat } from "../base/dtype.ts";
import { ArgumentError, DTypeError } from "../base/errors.ts";
import { broadcastShapes, type Shape, sameShape } from "../tensor/shape.ts";
import { checkTensor, empty, type Tensor } from "../tensor/tensor.ts";
import * as code from "../wasm/codes.gen.ts";
import { call } from "../wasm/host.ts";
import { elementwise } from "../wasm/kernels.gen.ts";
import { broadcastTo, reshape, sumTo } from "./broadcast.ts";
import { besideNumber } from "./cast.ts";

/** A tensor or a plain number. A number takes a float tensor's dtype; beside integer tensors, `besideNumber` decides. */
export type Operand = Tensor | number;

/** Most axes that fit in the kernel's argument slots. */
const MAX_AXES = 13;

/** The code of an operation for a dtype. @throws DTypeError if there is none @internal */
export function codeFor(name: string, float: number, dtype: DType): number {
  if (isFloat(dtype)) return float;
  const integer = dtype === "int32" ? code.INTEGER_CODES[float] : undefined;
  if (integer !== undefined) return integer;
  throw new DTypeError(`${name}: expected float32 or float64, got ${dtype}`);
}

const address = (x: Operand): number => (typeof x === "number" ? 0 : x.ptr);

/** The constant stride of an operand from element to element of a result of this shape; −1 if it varies. */
function strideOf(x: Operand, shape: Shape): number {
  if (typeof x === "number") return 0;
  if (!sameShape(x.shape, shape)) return -1;
  if (x.isContiguous) return 1;
  return x.strides.every((stride, i) => stride === 0 || shape[i] === 1) ? 0 : -1;
}

/** Stride of an operand along an axis of the result; 0 if it is repeated there. */
function strideAlong(x: Operand, axis: number, rank: number): number {
  if (typeof x === "number") return 0;
  const own = axis - rank + x.rank;
  return own < 0 || x.shape[own] === 1 ? 0 : (x.strides[own] as number);
}

/** Dimensions and the operands' strides, outermost axis first. Merges neighbouring axes that act as one for every operand. */
function layout(shape: Shape, operands: readonly Operand[]): number[][] {
  const axes: number[][] = [];
  for (let axis = 0; axis < shape.length; axis++) {
    const d = shape[axis] as number;
    if (d === 1) continue;
    const strides = operands.map((x) => strideAlong(x, axis, shape.length));
    const last = axes[axes.length - 1];
    if (last?.every((s, i) => i === 0 || s === (strides[i - 1] as number) * d)) {
      axes[axes.length - 1] = [(last[0] as number) * d, ...strides];
    } else axes.push([d, ...strides]);
  }
  return axes.length === 0 ? [[1, 0, 0, 0]] : axes;
}

/** out = code(a, b), with a and b broadcast to the contiguous `out`; `out` may be a itself. `dtype` is that of a and b. @internal */
export function compute(op: number, out: Tensor, dtype: DType, a: Operand, b: Operand = 0, c: Operand = 0): Tensor {
  if (out.size === 0) return out;
  const numberA = typeof a === "number" ? a : 0;
  const numberB = typeof b === "number" ? b : 0;
  const sa = strideOf(a, out.shape);
  const sb = strideOf(b, out.shape);
  const sc = strideOf(c, out.shape);
  if (sa >= 0 && sb >= 0 && sc >= 0) {
    call(elementwise, dtype, op, address(a), address(b), address(c), numberA, numberB, out.ptr, 1, out.size, sa, sb, sc);
    return out;
  }
  const axes = layout(out.shape, [a, b, c]);
  if (axes.length > MAX_AXES) throw new ArgumentError(`elementwise: expected at most ${MAX_AXES} separate axes, got ${axes.length}`);
  const slots = [0, 1, 2, 3].flatMap((row) => axes.map((axis) => axis[row] as number));
  call(elementwise, dtype, op, address(a), address(b), address(c), numberA, numberB, out.ptr, axes.length, ...slots);
  return out;
}

/** Computes an operation of one tensor (and a number). @internal */
export function unaryValue(name: string, op: number, x: Tensor, parameter = 0): Tensor {
  return compute(codeFor(name, op, x.dtype), empty(x.shape, x.dtype), x.dtype, x, parameter);
}

/** The shape with which an operand broadcasts; [] for a number. @internal */
export function shapeOf(x: Operand): Shape {
  return typeof x === "number" ? [] : x.shape;
}

/** The common dtype of two operands. @throws DTypeError if they differ, or if both are numbers @internal */
export function commonDType(name: string, a: Operand, b: Operand): DType {
  if (typeof a === "number") {
    if (typeof b === "number") throw new DTypeError(`${name}: expected at least one tensor, got two numbers`);
    checkTensor(name, b);
    return b.dtype;
  }
  checkTensor(name, a);
  if (typeof b !== "number") checkTensor(name, b);
  if (typeof b !== "number" && a.dtype !== b.dtype) throw new DTypeError(`${name}: expected equal dtypes, got ${a.dtype} and ${b.dtype}`);
  return a.dtype;
}

/** Computes an operation of two operands, broadcast. @internal */
export function binaryValue(name: string, op: number, a: Operand, b: Operand): Tensor {
  const dtype = commonDType(name, a, b);
  const chosen = codeFor(name, op, dtype);
  const shape = broadcastShapes(name, shapeOf(a), shapeOf(b));
  return compute(chosen, empty(shape, chosen >= code.FIRST_MASK ? "bool" : dtype), dtype, a, b);
}

/** Inserts axes of length 1 after K in stacked tangents [K, …shape], so that they broadcast like their tensor to a result of rank `rank`. @internal */
export function alignTangent(t: Tensor, rank: number): Tensor {
  const missing = rank + 1 - t.rank;
  if (missing <= 0) return t;
  return reshape(t, [t.dim(0), ...new Array<number>(missing).fill(1), ...t.shape.slice(1)]);
}

/** Stacked tangents of an operand, broadcast to the result's shape: [K, …shape]. @internal */
export function broadcastTangent(t: Tensor, shape: Shape): Tensor {
  const full = [t.dim(0), ...shape];
  const aligned = alignTangent(t, shape.length);
  return sameShape(aligned.shape, full) ? aligned : broadcastTo(aligned, full);
}

/**
 * Applies the derivative of an operation of one tensor: f'(x)·g for a cotangent g or stacked tangents g [K, …].
 * It is linear in g and broadcasts, so one rule serves both modes.
 * @internal
 */
export type Slope<P> = (g: Tensor, y: Tensor, x: Tensor, params: P) => Tensor | null;

/** A differentiable elementwise function of one tensor. @internal */
export function unaryOp<P = void>(name: string, forward: (x: Tensor, params: P) => Tensor, slope: Slope<P>): Primitive<P> {
  return closedOp<P>({
    name,
    forward: ([x], params) => forward(x as Tensor, params),
    vjp: (g, y, [x], params) => slope(g, y, x as Tensor, params),
    jvp: (t, y, [x], params) => slope(t, y, x as Tensor, params),
  });
}

/** Which operand of a call is a plain number, if one is: a primitive's inputs are tensors only. @internal */
export interface Numbers {
  readonly a?: number;
  readonly b?: number;
}

const NO_NUMBERS: Numbers = {};

/** The operands that are numbers. @internal */
export function numbersOf(a: Operand, b: Operand): Numbers {
  return { ...(typeof a === "number" ? { a } : {}), ...(typeof b === "number" ? { b } : {}) };
}

/** Applies the derivative with respect to one operand to a cotangent or to stacked tangents. @internal */
export type BinarySlope = (g: Tensor, y: Tensor, a: Operand, b: Operand) => Tensor | null;

/** A differentiable operation of two operands, broadcast, from its slopes with respect to a and to b. @internal */
export function binaryOp(name: string, op: number, slopes: readonly [BinarySlope, BinarySlope]): Primitive<Numbers> {
  const left = (x: Inputs, p: Numbers): Operand => p.a ?? (x[0] as Tensor);
  const right = (x: Inputs, p: Numbers): Operand => p.b ?? (x[x.length - 1] as Tensor);
  const slopeOf = (p: Numbers, i: number) => slopes[p.a === undefined ? i : 1] as BinarySlope;
  return closedOp<Numbers>({
    name,
    forward: (x, p) => binaryValue(name, op, left(x, p), right(x, p)),
    vjp(g, y, x, p, i) {
      const dx = slopeOf(p, i)(g, y, left(x, p), right(x, p));
      return dx && sumTo(dx, (x[i] as Tensor).shape);
    },
    jvp(t, y, x, p, i) {
      const dy = slopeOf(p, i)(alignTangent(t, y.rank), y, left(x, p), right(x, p));
      return dy && broadcastTangent(dy, y.shape);
    },
  });
}

/** Calls a primitive made by `binaryOp`. @internal */
export function applyBinary(op: Primitive<Numbers>, a: Operand, b: Operand): Tensor {
  if (typeof a === "number") {
    if (typeof b === "number") throw new DTypeError(`${op.name}: expected at least one tensor, got two numbers`);
    return apply(op, [besideNumber(op.name, b, a)], { a });
  }
  if (typeof b === "number") return apply(op, [besideNumber(op.name, a, b)], { b });
  return apply(op, [a, b], NO_NUMBERS);
}
