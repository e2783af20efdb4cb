/**
 * What flows through a graph: tensors of floats and of truth values in the kernels' memory, whole numbers in plain arrays.
 *
 * Whole numbers in a model are mostly shapes and indices, which the host reads to decide what to call; so they stay with the host, and
 * no kernel is called for them. An int64 is exact up to 2^53 and rounded beyond (ends of slices are often 2^63 - 1). Narrower ones wrap.
 * Truth values may be either: those that kernels compare stay where they are. Half floats are widened to float32.
 */

import type { TypedArray } from "../base/dtype.ts";
import { DTypeError, MemoryLimitError, ShapeError } from "../base/errors.ts";
import { type Shape, show, sizeOf } from "../tensor/shape.ts";
import { Tensor, tensor } from "../tensor/tensor.ts";
import { isInt32 } from "../tensor/values.ts";

/** The types of elements that stay with the host, and the arrays they lie in. */
const ARRAYS = {
  bool: Uint8Array,
  uint8: Uint8Array,
  int8: Int8Array,
  uint16: Uint16Array,
  int16: Int16Array,
  uint32: Uint32Array,
  int32: Int32Array,
  uint64: Float64Array,
  int64: Float64Array,
} as const;

export type WholeType = keyof typeof ARRAYS;
export type FloatType = "float32" | "float64";
export type ElementType = WholeType | FloatType;

/** Least and most of the whole numbers of 8 and 16 bits. */
export const NARROW_RANGES: Partial<Record<WholeType, readonly [least: number, most: number]>> = {
  uint8: [0, 255],
  int8: [-128, 127],
  uint16: [0, 65535],
  int16: [-32768, 32767],
};

export type Numbers = InstanceType<(typeof ARRAYS)[WholeType]>;

/** Elements that an array of the host may have; fewer while a model is read. */
let most = 2 ** 26;

/** Runs `fn` with arrays of at most so many elements. */
export function withMostElements<R>(elements: number, fn: () => R): R {
  const before = most;
  most = elements;
  try {
    return fn();
  } finally {
    most = before;
  }
}

/** @throws MemoryLimitError */
export function checkRoom(size: number): void {
  if (!(size <= most)) throw new MemoryLimitError(`onnx: expected at most ${most} elements in an array of the host, got ${size}`);
}

/** Whole numbers or truth values of some shape, in row-major order. Nobody writes to them once they are passed on. */
export class HostArray {
  readonly type: WholeType;
  readonly shape: Shape;
  readonly data: Numbers;

  /** Of these values, or of zeros. */
  constructor(type: WholeType, shape: Shape, values?: ArrayLike<number>) {
    const size = sizeOf(shape);
    checkRoom(size);
    const Kind = ARRAYS[type];
    this.type = type;
    this.shape = shape;
    this.data = values === undefined ? new Kind(size) : values instanceof Kind ? (values as Numbers) : Kind.from(values);
  }

  get size(): number {
    return this.data.length;
  }

  get rank(): number {
    return this.shape.length;
  }
}

export type Value = Tensor | HostArray;

export function typeOf(value: Value): ElementType {
  return value instanceof HostArray ? value.type : (value.dtype as ElementType);
}

/** A list of int64. */
export function int64s(values: readonly number[], shape: Shape = [values.length]): HostArray {
  return new HostArray("int64", shape, values);
}

/** Whole numbers and truth values as the host has them. @throws DTypeError for floats */
export function hostArray(value: Value, what: string): HostArray {
  if (value instanceof HostArray) return value;
  if (value.dtype !== "bool") throw new DTypeError(`${what}: expected whole numbers, got ${value.dtype}`);
  return new HostArray("bool", value.shape, numbersOf(value));
}

/** The elements of anything as numbers, in order. */
export function numbersOf(value: Value): Numbers | TypedArray {
  if (value instanceof HostArray) return value.data;
  checkRoom(value.size);
  return value.data();
}

/** The whole numbers of a list, or the one of a scalar. */
export function listOf(value: Value, what: string): number[] {
  if (value.rank > 1) throw new ShapeError(`${what}: expected one axis, got ${show(value.shape)}`);
  return Array.from(hostArray(value, what).data);
}

/** The one number that a value of any type holds. */
export function numberOf(value: Value, what: string): number {
  if (value.size !== 1) throw new ShapeError(`${what}: expected one element, got ${show(value.shape)}`);
  return numbersOf(value)[0] as number;
}

/** Whether kernels compute with a value: whole numbers and what belongs to them stay with the host. */
export function isDevice(value: Value | null): value is Tensor {
  return value instanceof Tensor && value.dtype !== "bool";
}

/** A float tensor. @throws DTypeError */
export function floats(value: Value, what: string): Tensor {
  if (isDevice(value)) return value;
  throw new DTypeError(`${what}: expected floats, got ${typeOf(value)}`);
}

/** Truth values where kernels read them. */
export function mask(value: Value): Tensor {
  return value instanceof Tensor ? value : tensor(value.data, { shape: value.shape, dtype: "bool" });
}

/** Whole numbers where kernels read them: int32. @throws DTypeError for others */
export function indices(value: HostArray, what: string): Tensor {
  const { data } = value;
  const wrong = data instanceof Int32Array ? undefined : data.find((n) => !isInt32(n));
  if (wrong !== undefined) throw new DTypeError(`${what}: expected whole numbers within int32, got ${wrong}`);
  return tensor(data instanceof Int32Array ? data : Int32Array.from(data), { shape: value.shape });
}

/** A value as a caller gets it: whole numbers as int32. @throws DTypeError for whole numbers beyond */
export function asTensor(value: Value, what: string): Tensor {
  if (value instanceof Tensor) return value;
  return value.type === "bool" ? mask(value) : indices(value, what);
}
