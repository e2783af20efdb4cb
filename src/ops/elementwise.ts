/** The bridge to the elementwise kernel, and the two forms most operations of this folder have. */

import { apply, defineOp, type Primitive } from "../autodiff/primitive.ts";
import { BYTES, type DType } from "../tensor/dtype.ts";
import { DTypeError } from "../tensor/errors.ts";
import { broadcastShapes, type Shape, sameShape } from "../tensor/shape.ts";
import { empty, type Tensor } from "../tensor/tensor.ts";
import { call } from "../wasm/host.ts";
import { elementwise } from "../wasm/kernels.gen.ts";
import { sumTo } from "./reduce.ts";
import { broadcastTo, reshape } from "./shape.ts";

/** A tensor, or a plain number, which takes the dtype of what it meets. */
export type Operand = Tensor | number;

/** Dimensions of a result with the strides of each operand along them. */
interface Layout {
  readonly dims: number[];
  readonly strides: [number[], number[]];
}

const NONE: Shape = [];

/** Strides of an operand along the axes of `shape`: 0 where it is repeated. */
function broadcastStrides(x: Operand, shape: Shape): Shape {
  if (typeof x === "number") return new Array<number>(shape.length).fill(0);
  const lead = shape.length - x.rank;
  return shape.map((_, i) => (i < lead || x.shape[i - lead] === 1 ? 0 : (x.strides[i - lead] as number)));
}

/** Merges axes that every operand runs through as if they were one, and drops axes of size 1. */
function collapse(shape: Shape, a: Shape, b: Shape): Layout {
  const dims: number[] = [];
  const strides: [number[], number[]] = [[], []];
  for (let i = 0; i < shape.length; i++) {
    const d = shape[i] as number;
    if (d === 1) continue;
    const sa = a[i] as number;
    const sb = b[i] as number;
    const last = dims.length - 1;
    if (last >= 0 && strides[0][last] === sa * d && strides[1][last] === sb * d) {
      dims[last] = (dims[last] as number) * d;
      strides[0][last] = sa;
      strides[1][last] = sb;
    } else {
      dims.push(d);
      strides[0].push(sa);
      strides[1].push(sb);
    }
  }
  return { dims, strides };
}

const isDense = (x: Operand, shape: Shape) => typeof x === "number" || (x.isContiguous && sameShape(x.shape, shape));
const address = (x: Operand) => (typeof x === "number" ? 0 : x.ptr);
const step = (x: Operand) => (typeof x === "number" ? 0 : 1);

/** out = code(a, b), with a and b broadcast to the contiguous `out`. */
export function compute(code: number, out: Tensor, a: Operand, b: Operand = 0): Tensor {
  if (out.size === 0) return out;
  const value = typeof a === "number" ? a : typeof b === "number" ? b : 0;
  if (isDense(a, out.shape) && isDense(b, out.shape)) {
    call(elementwise, out.dtype, code, 1, 1, out.size, address(a), 0, 0, step(a), address(b), 0, 0, step(b), value, out.ptr);
    return out;
  }
  const { dims, strides } = collapse(out.shape, broadcastStrides(a, out.shape), broadcastStrides(b, out.shape));
  const [sa, sb] = strides;
  const bytes = BYTES[out.dtype];
  const walk = (axis: number, pa: number, pb: number, py: number): void => {
    const left = dims.length - axis;
    if (left > 3) {
      const inner = dims.slice(axis + 1).reduce((n, d) => n * d, bytes);
      for (let i = 0; i < (dims[axis] as number); i++) {
        walk(axis + 1, pa + i * (sa[axis] as number) * bytes, pb + i * (sb[axis] as number) * bytes, py + i * inner);
      }
      return;
    }
    const at = (list: number[], k: number, otherwise: number) => (k > left ? otherwise : (list[dims.length - k] as number));
    call(
      elementwise, out.dtype, code, at(dims, 3, 1), at(dims, 2, 1), at(dims, 1, 1),
      pa, at(sa, 3, 0), at(sa, 2, 0), at(sa, 1, 0), pb, at(sb, 3, 0), at(sb, 2, 0), at(sb, 1, 0), value, py,
    ); // biome-ignore format: one operand a line
  };
  walk(0, address(a), address(b), out.ptr);
  return out;
}

/** The value of an operation of one tensor (and a number). */
export function unaryValue(code: number, x: Tensor, b: number = 0): Tensor {
  return compute(code, empty(x.shape, x.dtype), x, b);
}

const shapeOf = (x: Operand) => (typeof x === "number" ? NONE : x.shape);

/** The dtype two operands share. @throws DTypeError when they differ */
export function commonDType(name: string, a: Operand, b: Operand): DType {
  if (typeof a === "number") return typeof b === "number" ? "float32" : b.dtype;
  if (typeof b !== "number" && a.dtype !== b.dtype) throw new DTypeError(`${name}: expected equal dtypes, got ${a.dtype} and ${b.dtype}`);
  return a.dtype;
}

/** The value of an operation of two operands, broadcast. */
export function binaryValue(name: string, code: number, a: Operand, b: Operand, dtype: DType = commonDType(name, a, b)): Tensor {
  return compute(code, empty(broadcastShapes(name, shapeOf(a), shapeOf(b)), dtype), a, b);
}

/** Tangents [K, …shape] with axes of size 1 after K, so that they broadcast like their tensor in a result of rank `rank`. */
export function alignTangent(t: Tensor, rank: number): Tensor {
  const missing = rank + 1 - t.rank;
  if (missing <= 0) return t;
  return reshape(t, [t.dim(0), ...new Array<number>(missing).fill(1), ...t.shape.slice(1)]);
}

/** A tangent that a rule left smaller than the result, at its full size [K, …shape]. */
export function fullTangent(t: Tensor, k: number, shape: Shape): Tensor {
  const full = [k, ...shape];
  return sameShape(t.shape, full) ? t : broadcastTo(t, full);
}

/** Which operand of a call is a plain number; the other one, or both, are the primitive's inputs. */
interface Numbers {
  readonly a: number | null;
  readonly b: number | null;
}

const BOTH_TENSORS: Numbers = { a: null, b: null };

/** d(result)/d(operand) times g (or a tangent), before broadcasting is undone. */
export type Slope = (g: Tensor, y: Tensor, a: Operand, b: Operand) => Tensor | null;

export interface BinaryOp {
  readonly name: string;
  readonly code: number;
  /** The derivative with respect to a, and to b, applied to a cotangent; by linearity also to a tangent. */
  readonly slopes: readonly [Slope, Slope];
}

export interface BinaryPrimitive {
  (a: Operand, b: Operand): Tensor;
  readonly primitive: Primitive<Numbers>;
}

/** A differentiable operation of two operands, broadcast. */
export function binaryOp({ name, code, slopes }: BinaryOp): Primitive<Numbers> {
  const left = (x: readonly Tensor[], p: Numbers): Operand => p.a ?? (x[0] as Tensor);
  const right = (x: readonly Tensor[], p: Numbers): Operand => p.b ?? (x[x.length - 1] as Tensor);
  const slope = (p: Numbers, i: number) => slopes[p.a === null ? i : 1] as Slope;
  return defineOp<Numbers>({
    name,
    forward: (x, p) => binaryValue(name, code, left(x, p), right(x, p)),
    vjp(g, y, x, p, i) {
      const dx = slope(p, i)(g, y, left(x, p), right(x, p));
      return dx && sumTo(dx, (x[i] as Tensor).shape);
    },
    jvp(t, y, x, p, i) {
      const dy = slope(p, i)(alignTangent(t, y.rank), y, left(x, p), right(x, p));
      return dy && fullTangent(dy, t.dim(0), y.shape);
    },
  });
}

/** Calls a primitive made by `binaryOp`. */
export function applyBinary(op: Primitive<Numbers>, a: Operand, b: Operand): Tensor {
  if (typeof a === "number") {
    if (typeof b === "number") throw new DTypeError(`${op.name}: expected at least one tensor, got two numbers`);
    return apply(op, [b], { a, b: null });
  }
  if (typeof b === "number") return apply(op, [a], { a: null, b });
  return apply(op, [a, b], BOTH_TENSORS);
}
