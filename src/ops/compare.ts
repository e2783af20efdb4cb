/** Comparisons, masks and selection by masks. */

import { closedOp } from "../autodiff/define-op.ts";
import { observer } from "../autodiff/observer.ts";
import { apply, type Inputs, type Primitive } from "../autodiff/primitive.ts";
import { ArgumentError } from "../base/errors.ts";
import { broadcastShapes, type Shape } from "../tensor/shape.ts";
import { dense } from "../tensor/strided.ts";
import { checkTensor, empty, Tensor } from "../tensor/tensor.ts";
import * as code from "../wasm/codes.gen.ts";
import { call } from "../wasm/host.ts";
import { maskLogic } from "../wasm/kernels.gen.ts";
import { sumTo } from "./broadcast.ts";
import { asFloat, besideNumber, cast, toCompare } from "./cast.ts";
import { binaryValue, broadcastTangent, codeFor, commonDType, compute, numbersOf, type Operand, shapeOf, unaryOp } from "./elementwise.ts";

// ---------------------------------------------------------------- comparisons (bool, no derivative)

/** Masks compare as the numbers 0 and 1. Integers compare exactly with every number. */
function compared(name: string, op: number, a: Operand, b: Operand): Tensor {
  if (typeof b === "number") return typeof a === "number" ? comparison(name, op, a, b) : comparison(name, op, toCompare(name, a, b), b);
  if (typeof a === "number") return comparison(name, op, a, toCompare(name, b, a));
  const areMasks = commonDType(name, a, b) === "bool";
  return areMasks ? comparison(name, op, cast(a, "int32"), cast(b, "int32")) : comparison(name, op, a, b);
}

function comparison(name: string, op: number, a: Operand, b: Operand): Tensor {
  const y = binaryValue(name, op, a, b);
  observer?.found?.("compare", [a, b].filter((x) => typeof x !== "number") as Tensor[], y, { op, ...numbersOf(a, b) });
  return y;
}

/** a = b, element by element, as a bool tensor. */
export function equal(a: Operand, b: Operand): Tensor {
  return compared("equal", code.EQUAL, a, b);
}

/** a ≠ b; NaN differs from everything, even from itself. */
export function notEqual(a: Operand, b: Operand): Tensor {
  return compared("notEqual", code.NOT_EQUAL, a, b);
}

/** a < b. */
export function less(a: Operand, b: Operand): Tensor {
  return compared("less", code.LESS, a, b);
}

/** a ≤ b. */
export function lessEqual(a: Operand, b: Operand): Tensor {
  return compared("lessEqual", code.LESS_EQUAL, a, b);
}

/** a > b. */
export function greater(a: Operand, b: Operand): Tensor {
  return compared("greater", code.LESS, b, a);
}

/** a ≥ b. */
export function greaterEqual(a: Operand, b: Operand): Tensor {
  return compared("greaterEqual", code.LESS_EQUAL, b, a);
}

/** Whether each element is NaN. */
// biome-ignore lint/suspicious/noShadowRestrictedNames: the name users know
export function isNaN(x: Tensor): Tensor {
  return notEqual(x, x);
}

// ---------------------------------------------------------------- masks

/** A tensor as a mask: masks as they are, numbers as true where they are not 0. */
function truth(op: string, x: Tensor): Tensor {
  checkTensor(op, x);
  return x.dtype === "bool" ? x : notEqual(x, 0);
}

/** x broadcast to the full shape, in row-major order. */
function spread(x: Tensor, shape: Shape): Tensor {
  const lead = shape.length - x.rank;
  const strides = shape.map((_, i) => (i < lead || x.shape[i - lead] === 1 ? 0 : (x.strides[i - lead] as number)));
  return dense(new Tensor(x.storage, x.dtype, shape, strides, x.offset));
}

const AND = 0;
const OR = 1;
const XOR = 2;

function combined(name: string, op: number, a: Tensor, b: Tensor): Tensor {
  checkTensor(name, a);
  checkTensor(name, b);
  const shape = broadcastShapes(name, a.shape, b.shape);
  const y = empty(shape, "bool");
  const [left, right] = [truth(name, a), truth(name, b)];
  call(maskLogic, "int32", op, y.size, spread(left, shape).ptr, spread(right, shape).ptr, y.ptr);
  observer?.found?.(name, [left, right], y, undefined);
  return y;
}

/** Logical and; numbers count as true where they are not 0. */
export function logicalAnd(a: Tensor, b: Tensor): Tensor {
  return combined("logicalAnd", AND, a, b);
}

/** Logical or. */
export function logicalOr(a: Tensor, b: Tensor): Tensor {
  return combined("logicalOr", OR, a, b);
}

/** Logical exclusive or. */
export function logicalXor(a: Tensor, b: Tensor): Tensor {
  return combined("logicalXor", XOR, a, b);
}

/** Logical not; true where a number is 0. */
export function logicalNot(x: Tensor): Tensor {
  return equal(x, 0);
}

// ---------------------------------------------------------------- choice

/** The alternatives that are plain numbers. Those that are tensors follow the condition in the inputs. */
interface Choice {
  readonly a?: number;
  readonly b?: number;
}

function chosen([condition, ...tensors]: Inputs, { a, b }: Choice): Tensor {
  const c = condition as Tensor;
  const left = a ?? (tensors[0] as Tensor);
  const right = b ?? (tensors[tensors.length - 1] as Tensor);
  const dtype = typeof left === "number" && typeof right === "number" ? "float32" : commonDType("where", left, right);
  const shape = broadcastShapes("where", c.shape, broadcastShapes("where", shapeOf(left), shapeOf(right)));
  return compute(codeFor("where", code.SELECT, dtype), empty(shape, dtype), dtype, left, right, c);
}

/** Cotangent or tangents of input i: g where the condition chose that input, else 0. */
function keptBy(g: Tensor, condition: Tensor, { a }: Choice, i: number): Tensor {
  return i === 1 && a === undefined ? where(condition, g, 0) : where(condition, 0, g);
}

export const whereOp: Primitive<Choice> = closedOp<Choice>({
  name: "where",
  forward: chosen,
  vjp: (g, _y, x, params, i) => (i === 0 ? null : sumTo(keptBy(g, x[0] as Tensor, params, i), (x[i] as Tensor).shape)),
  jvp: (t, y, x, params, i) => (i === 0 ? null : keptBy(broadcastTangent(t, y.shape), x[0] as Tensor, params, i)),
});

/**
 * a where the condition is true, else b; all three broadcast. The derivative goes to the chosen one.
 * @param condition bool, or numbers, which are true where they are not 0
 * @example where(greater(x, 0), x, 0)
 */
export function where(condition: Tensor, a: Operand, b: Operand): Tensor {
  const mask = truth("where", condition);
  if (typeof a === "number") {
    return typeof b === "number" ? apply(whereOp, [mask], { a, b }) : apply(whereOp, [mask, besideNumber("where", b, a)], { a });
  }
  return typeof b === "number" ? apply(whereOp, [mask, besideNumber("where", a, b)], { b }) : apply(whereOp, [mask, a, b], {});
}

/** x with `value` where the mask is true. */
export function maskedFill(x: Tensor, mask: Tensor, value: number): Tensor {
  return where(mask, value, x);
}

interface Range {
  readonly min: number;
  readonly max: number;
}

/** x promoted to meet both bounds, except -∞ below and ∞ above, which limit nothing. @internal */
export function besideBounds(op: string, x: Tensor, { min, max }: Range): Tensor {
  const bounds = [min, max].filter((bound, i) => bound !== (i === 0 ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY));
  return bounds.every(Number.isInteger) ? bounds.reduce((y, bound) => besideNumber(op, y, bound), x) : asFloat(x);
}

/** x limited to [min, max]. @internal */
export function limited(name: string, x: Tensor, { min, max }: Range): Tensor {
  return binaryValue(name, code.MINIMUM, binaryValue(name, code.MAXIMUM, x, min), max);
}

export const clampOp: Primitive<Range> = unaryOp<Range>(
  "clamp",
  (x, range) => limited("clamp", x, range),
  (g, _y, x, { min, max }) => where(logicalAnd(greaterEqual(x, min), lessEqual(x, max)), g, 0),
);

/**
 * x limited to [min, max]; NaN stays NaN. The derivative is 1 within and on the bounds.
 * @throws ArgumentError when min > max or a bound is NaN
 */
export function clamp(x: Tensor, min: number = Number.NEGATIVE_INFINITY, max: number = Number.POSITIVE_INFINITY): Tensor {
  if (!(min <= max)) throw new ArgumentError(`clamp: expected min <= max, got ${min} and ${max}`);
  return apply(clampOp, [besideBounds("clamp", x, { min, max })], { min, max });
}

/** The primitives of this file, by name. */
export const primitives: Readonly<Record<string, Primitive<never>>> = { where: whereOp, clamp: clampOp };
