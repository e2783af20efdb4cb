/** Elements of files, widened to those of tensors: half precision to float32, integers of any width to int32. */

import { arrayOf, BYTES, type DType, type TypedArray } from "../base/dtype.ts";
import { bfloatToBits, e4m3ToBits, halfToBits } from "../base/half.ts";
import { quote } from "../base/quote.ts";
import { show } from "../tensor/shape.ts";
import { empty, type Tensor } from "../tensor/tensor.ts";
import { view } from "../wasm/host.ts";

/** PyTorch's limit. */
const MOST_DIMENSIONS = 64;

type Range = readonly [least: number, most: number];
type Read = (data: DataView, at: number) => number;

/** How one element of the file is read: as it is, as a number, or as the bits of a float32, so that NaN keeps its own. */
interface Format {
  readonly bytes: number;
  readonly dtype: DType;
  readonly read?: Read;
  readonly bits?: Read;
  /** Left out where every value fits. */
  readonly range?: Range;
}

const WHOLE: Range = [-(2 ** 31), 2 ** 31 - 1];

/** By the names that safetensors gives them. */
const FORMATS: ReadonlyMap<string, Format> = new Map<string, Format>([
  ["F64", { bytes: 8, dtype: "float64" }],
  ["F32", { bytes: 4, dtype: "float32" }],
  ["F16", { bytes: 2, dtype: "float32", bits: (data, at) => halfToBits(data.getUint16(at, true)) }],
  ["BF16", { bytes: 2, dtype: "float32", bits: (data, at) => bfloatToBits(data.getUint16(at, true)) }],
  // The upper half of a binary16.
  ["F8_E5M2", { bytes: 1, dtype: "float32", bits: (data, at) => halfToBits(data.getUint8(at) << 8) }],
  ["F8_E4M3", { bytes: 1, dtype: "float32", bits: (data, at) => e4m3ToBits(data.getUint8(at)) }],
  ["I64", { bytes: 8, dtype: "int32", read: (data, at) => Number(data.getBigInt64(at, true)), range: WHOLE }],
  ["U64", { bytes: 8, dtype: "int32", read: (data, at) => Number(data.getBigUint64(at, true)), range: WHOLE }],
  ["I32", { bytes: 4, dtype: "int32" }],
  ["U32", { bytes: 4, dtype: "int32", read: (data, at) => data.getUint32(at, true), range: WHOLE }],
  ["I16", { bytes: 2, dtype: "int32", read: (data, at) => data.getInt16(at, true) }],
  ["U16", { bytes: 2, dtype: "int32", read: (data, at) => data.getUint16(at, true) }],
  ["I8", { bytes: 1, dtype: "int32", read: (data, at) => data.getInt8(at) }],
  ["U8", { bytes: 1, dtype: "int32", read: (data, at) => data.getUint8(at) }],
  ["BOOL", { bytes: 1, dtype: "bool", range: [0, 1] }],
]);

/** What files call the dtypes of tensors. */
export const NAMES: Readonly<Record<DType, string>> = { float64: "F64", float32: "F32", int32: "I32", bool: "BOOL" };

/** The names of all formats, as messages list them. */
export const FORMAT_NAMES: string = [...FORMATS.keys()].join(", ");

/** Bytes of an element; undefined for a dtype that is not known. */
export function elementBytes(dtype: string): number | undefined {
  return FORMATS.get(dtype)?.bytes;
}

export interface Elements {
  readonly dtype: DType;
  readonly values: TypedArray;
}

/**
 * Elements as an array of a tensor's dtype, or why there can be none. It is a view of the file's bytes where they are such an array already and
 * lie at an address that fits.
 */
export function elementsOf(dtype: string, bytes: Uint8Array): Elements | string {
  const format = FORMATS.get(dtype);
  if (format === undefined) return `expected one of dtype ${FORMAT_NAMES}, got ${quote(dtype)}`;
  const values = valuesOf(format, bytes);
  const wrong = format.range && beyond(values, format.range);
  if (wrong !== undefined) return `expected values in [${format.range?.join(", ")}] for ${format.dtype}, got ${wrong}`;
  return { dtype: format.dtype, values };
}

/** A tensor of such elements, or why there can be none. */
export function tensorOf(dtype: string, shape: readonly number[], bytes: Uint8Array): Tensor | string {
  const known = FORMATS.has(dtype);
  if (known && shape.length > MOST_DIMENSIONS) return `expected at most ${MOST_DIMENSIONS} dimensions, got ${shape.length}`;
  if (known && shape.some((d) => d >= 2 ** 31)) return `expected sizes below 2^31, got ${show(shape)}`;
  const elements = elementsOf(dtype, bytes);
  if (typeof elements === "string") return elements;
  const t = empty(shape, elements.dtype);
  view(t.dtype, t.ptr, t.size).set(elements.values);
  return t;
}

function valuesOf({ read, bits, bytes: step, dtype, range }: Format, bytes: Uint8Array): TypedArray {
  if (read === undefined && bits === undefined) return viewOf(dtype, bytes);
  const values = arrayOf(range === undefined ? dtype : "float64", bytes.length / step);
  const target = bits === undefined ? values : new Uint32Array(values.buffer);
  const data = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const next = (bits ?? read) as Read;
  for (let i = 0; i < target.length; i++) target[i] = next(data, i * step);
  return values;
}

const KINDS = { float64: Float64Array, float32: Float32Array, int32: Int32Array, bool: Uint8Array };

function viewOf(dtype: DType, bytes: Uint8Array): TypedArray {
  const { buffer, byteOffset } = bytes.byteOffset % BYTES[dtype] === 0 ? bytes : bytes.slice();
  return new KINDS[dtype](buffer as ArrayBuffer, byteOffset, bytes.length / BYTES[dtype]);
}

function beyond(values: TypedArray, [least, most]: Range): number | undefined {
  for (const value of values) if (value < least || value > most) return value;
  return undefined;
}
