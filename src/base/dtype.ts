import { DTypeError } from "./errors.ts";

/** Element types: arithmetic in float32 and float64, indices in int32, masks in bool (one byte). */
export type DType = "float32" | "float64" | "int32" | "bool";
/** The dtypes of numbers with a fraction. */
export type FloatDType = "float32" | "float64";

/** The arrays in which values of a dtype come and go. */
export type TypedArray = Float32Array | Float64Array | Int32Array | Uint8Array;

export const BYTES: Readonly<Record<DType, number>> = { float32: 4, float64: 8, int32: 4, bool: 1 };

/** Bytes per element. @throws DTypeError for anything but a dtype */
export function widthOf(dtype: DType): number {
  const width: unknown = BYTES[dtype];
  if (typeof width === "number") return width;
  throw new DTypeError(`dtype: expected float32, float64, int32 or bool, got ${String(dtype).slice(0, 40)}`);
}

/** A typed array for this dtype. */
export function arrayOf(dtype: DType, size: number): TypedArray {
  if (dtype === "float32") return new Float32Array(size);
  if (dtype === "float64") return new Float64Array(size);
  if (dtype === "int32") return new Int32Array(size);
  return new Uint8Array(size);
}

export function isFloat(dtype: DType): dtype is FloatDType {
  return dtype === "float32" || dtype === "float64";
}
