/** Reads numbers from nested and typed arrays, and checks what each dtype can hold. */

import { arrayOf, type DType, isFloat, type TypedArray } from "../base/dtype.ts";
import { DTypeError, ShapeError } from "../base/errors.ts";
import { withArticle } from "../base/quote.ts";
import { type Shape, show, sizeOf } from "./shape.ts";

/** Any typed array of numbers: floats of 16 to 64 bits, integers of 8 to 32. */
export type NumberArray = ArrayLike<number> & ArrayBufferView;

/** A number, or arrays of equal length nested to any depth; the innermost may be typed arrays. */
export type TensorData = number | boolean | NumberArray | readonly TensorData[];

/** The dtype for each kind of typed array, by name, since `instanceof` fails for arrays of another realm. */
const KINDS: Readonly<Record<string, DType>> = {
  Float16Array: "float32",
  Float32Array: "float32",
  Float64Array: "float64",
  Int8Array: "int32",
  Uint8Array: "int32",
  Uint8ClampedArray: "int32",
  Int16Array: "int32",
  Uint16Array: "int32",
  Int32Array: "int32",
  Uint32Array: "int32",
};

/** Nesting deeper than this is taken for an array that contains itself. */
const MAX_DEPTH = 64;

/** The kind of a value as an error names it: `null`, `undefined`, `a string`, `a BigInt64Array`, `a Map`. */
export function kindOf(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (typeof value !== "object") return `a ${typeof value}`;
  if ("storage" in value && "dtype" in value) return "a tensor";
  return withArticle(Object.prototype.toString.call(value).slice(8, -1));
}

/** The dtype of a typed array of numbers; undefined for anything else. */
function typedKind(data: unknown): DType | undefined {
  if (!ArrayBuffer.isView(data)) return undefined;
  if (data instanceof Float32Array) return "float32";
  if (data instanceof Float64Array) return "float64";
  return KINDS[Object.prototype.toString.call(data).slice(8, -1)];
}

/** A number or a boolean given by a caller. @throws DTypeError */
export function numberOf(op: string, value: unknown): number {
  if (typeof value === "number") return value;
  if (typeof value === "boolean") return value ? 1 : 0;
  throw new DTypeError(`${op}: expected numbers, got ${kindOf(value)}`);
}

/** The shape of nested arrays, read from the first entry of each. */
function shapeOf(op: string, data: unknown): number[] {
  const shape: number[] = [];
  let part = data;
  while (Array.isArray(part)) {
    if (shape.push(part.length) > MAX_DEPTH) throw new ShapeError(`${op}: expected at most ${MAX_DEPTH} nested arrays, got more`);
    part = part[0];
  }
  if (typedKind(part) !== undefined) shape.push((part as NumberArray).length);
  return shape;
}

/** Refuses arrays of unequal length or depth. */
function checkRegular(op: string, data: unknown, shape: Shape, depth: number): void {
  const isArray = Array.isArray(data);
  if (!isArray && typedKind(data) === undefined) {
    const value = numberOf(op, data);
    if (depth !== shape.length)
      throw new ShapeError(`${op}: expected arrays of equal depth, got the number ${value} at depth ${depth} of ${show(shape)}`);
    return;
  }
  const { length } = data as ArrayLike<unknown>;
  const expected = shape[depth];
  if (expected === undefined) throw new ShapeError(`${op}: expected a number at depth ${depth} of ${show(shape)}, got ${length} entries`);
  if (length !== expected) throw new ShapeError(`${op}: expected ${expected} entries at depth ${depth}, got ${length}`);
  const innermost = depth + 1 === shape.length;
  if (isArray) {
    for (const part of data) if (!innermost || typeof part !== "number") checkRegular(op, part, shape, depth + 1);
  } else if (!innermost) {
    throw new ShapeError(`${op}: expected arrays at depth ${depth + 1} of ${show(shape)}, got numbers`);
  }
}

/** The common dtype of the typed arrays within; undefined if there are none. */
function commonKind(op: string, data: unknown): DType | undefined {
  const kind = typedKind(data);
  if (kind !== undefined || !Array.isArray(data)) return kind;
  if (typeof data[0] === "number") return undefined;
  let common: DType | undefined;
  for (const part of data) {
    const own = commonKind(op, part);
    if (own === undefined || own === common) continue;
    if (common !== undefined) throw new DTypeError(`${op}: expected typed arrays of one kind or a dtype option, got ${common} and ${own}`);
    common = own;
  }
  return common;
}

/** Writes the numbers of regular nested arrays in row-major order; returns the next index. */
function flattenInto(op: string, data: unknown, out: Float64Array, start: number): number {
  if (typedKind(data) !== undefined) {
    out.set(data as NumberArray, start);
    return start + (data as NumberArray).length;
  }
  if (!Array.isArray(data)) {
    out[start] = numberOf(op, data);
    return start + 1;
  }
  let at = start;
  for (const part of data) {
    if (typeof part === "number") out[at++] = part;
    else at = flattenInto(op, part, out, at);
  }
  return at;
}

/** Numbers in row-major order, with their shape and the dtype to store them in. */
export interface Read {
  readonly shape: Shape;
  readonly dtype: DType;
  readonly values: ArrayLike<number>;
}

/**
 * Reads numbers, nested arrays and typed arrays, for the dtype asked for or the one that typed arrays suggest.
 * @throws ShapeError for ragged arrays; DTypeError for values that are no numbers
 */
export function readData(op: string, data: unknown, asked: DType | undefined): Read {
  const kind = typedKind(data);
  const shape = shapeOf(op, data);
  if (kind !== undefined) return { shape, dtype: asked ?? kind, values: data as NumberArray };
  if (shape.length === 0) return { shape, dtype: asked ?? "float32", values: [numberOf(op, data)] };
  checkRegular(op, data, shape, 0);
  const values = new Float64Array(sizeOf(shape));
  flattenInto(op, data, values, 0);
  return { shape, dtype: asked ?? commonKind(op, data) ?? "float32", values };
}

/** Whether int32 can hold this number. */
export function isInt32(value: number): boolean {
  return value === (value | 0);
}

/** A number as the dtype stores it: bool stores 0 or 1, and 1 for NaN. @throws DTypeError for a number that int32 cannot hold */
export function heldAs(op: string, dtype: DType, value: number): number {
  if (dtype === "bool") return value === 0 ? 0 : 1;
  if (dtype === "int32" && !isInt32(value)) throw new DTypeError(`${op}: expected whole numbers within int32, got ${value}`);
  return value;
}

/** Numbers as the dtype stores them; the same array if nothing changes. @throws DTypeError */
export function heldValues(op: string, dtype: DType, values: ArrayLike<number>): ArrayLike<number> {
  if (isFloat(dtype) || (dtype === "int32" && values instanceof Int32Array)) return values;
  const held = arrayOf(dtype, values.length);
  for (let i = 0; i < held.length; i++) held[i] = heldAs(op, dtype, values[i] as number);
  return held;
}

/** Writes a caller's numbers to a tensor's elements. @throws DTypeError before anything is written */
export function writeValues(op: string, dtype: DType, target: TypedArray, values: ArrayLike<number>): void {
  const numbers = typedKind(values) === undefined ? Float64Array.from(values, (value: unknown) => numberOf(op, value)) : values;
  target.set(heldValues(op, dtype, numbers));
}
