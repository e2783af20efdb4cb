/**
 * Safetensors: named tensors in one file, without code in it.
 *
 * 8 bytes little-endian header length, a JSON header, then the raw little-endian row-major data:
 * `{"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, "__metadata__": {"key": "text"}}`.
 * A file may come from anywhere, so the whole header is checked before the first tensor is made.
 *
 * @see Hugging Face, safetensors: the format, https://github.com/huggingface/safetensors#format
 */

import { arrayOf, BYTES, type DType } from "../base/dtype.ts";
import { ArgumentError, FormatError } from "../base/errors.ts";
import { show, sizeOf } from "../tensor/shape.ts";
import { empty, scope, type Tensor } from "../tensor/tensor.ts";
import { view } from "../wasm/host.ts";
import { quote } from "./quote.ts";

export interface Safetensors {
  readonly tensors: Map<string, Tensor>;
  /** Free text by key; an object without prototype. */
  readonly metadata: Record<string, string>;
}

/** The reference implementation's limit on the header. */
const HEADER_LIMIT = 100_000_000;
const METADATA = "__metadata__";
/** Names are often unfolded into objects along their dots; these must not be. */
const FORBIDDEN = new Set(["__proto__", "prototype", "constructor"]);

interface Format {
  /** Bytes of one element in the file. */
  readonly bytes: number;
  readonly dtype: DType;
  /** Reads one element; left out where the file's bytes are the tensor's. */
  readonly read?: (data: DataView, at: number) => number;
}

const FORMATS: ReadonlyMap<string, Format> = new Map<string, Format>([
  ["F64", { bytes: 8, dtype: "float64" }],
  ["F32", { bytes: 4, dtype: "float32" }],
  ["F16", { bytes: 2, dtype: "float32", read: (data, at) => halfToNumber(data.getUint16(at, true)) }],
  ["BF16", { bytes: 2, dtype: "float32", read: (data, at) => bfloatToNumber(data.getUint16(at, true)) }],
  ["I64", { bytes: 8, dtype: "int32", read: (data, at) => Number(data.getBigInt64(at, true)) }],
  ["I32", { bytes: 4, dtype: "int32" }],
  ["U8", { bytes: 1, dtype: "int32", read: (data, at) => data.getUint8(at) }],
  ["BOOL", { bytes: 1, dtype: "bool" }],
]);

const NAMES: Readonly<Record<DType, string>> = { float64: "F64", float32: "F32", int32: "I32", bool: "BOOL" };

/** IEEE 754 binary16 to a number. */
function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

const word = new DataView(new ArrayBuffer(4));

/** bfloat16 is the upper half of a float32. */
function bfloatToNumber(bits: number): number {
  word.setUint32(0, bits << 16);
  return word.getFloat32(0);
}

function fail(expected: string, got: string): never {
  throw new FormatError(`safetensors: expected ${expected}, got ${got}`);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Where a string of the (valid) JSON text ends that begins at `start`. */
function endOfString(json: string, start: number): number {
  let end = start;
  do {
    end = json.indexOf('"', end + 1);
  } while (isEscaped(json, end));
  return end;
}

/** Whether an odd number of backslashes stands before a place. */
function isEscaped(json: string, at: number): boolean {
  let before = at;
  while (json[before - 1] === "\\") before--;
  return (at - before) % 2 === 1;
}

/** The first key that an object of the (valid) JSON text holds twice: JSON.parse would keep the last one in silence. */
function repeatedKey(json: string): string | null {
  const open: Set<string>[] = [];
  const colon = /\s*:/y;
  for (let at = 0; at < json.length; at++) {
    const c = json[at];
    if (c === "{") open.push(new Set());
    if (c === "}") open.pop();
    if (c !== '"') continue;
    const start = at;
    at = endOfString(json, start);
    colon.lastIndex = at + 1;
    if (!colon.test(json)) continue;
    const name = JSON.parse(json.slice(start, at + 1)) as string;
    const keys = open[open.length - 1] as Set<string>;
    if (keys.has(name)) return name;
    keys.add(name);
  }
  return null;
}

function readHeader(bytes: Uint8Array): { header: Record<string, unknown>; dataStart: number } {
  if (bytes.length < 8) fail("at least 8 bytes", `${bytes.length}`);
  const length = Number(new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true));
  if (length > HEADER_LIMIT) fail(`a header of at most ${HEADER_LIMIT} bytes`, `a length of ${length}`);
  const dataStart = 8 + length;
  if (dataStart > bytes.length) fail(`a header of ${length} bytes`, `a file with ${bytes.length - 8} bytes after the length`);
  const header = parseJson(bytes.subarray(8, dataStart));
  return { header, dataStart };
}

function parseJson(bytes: Uint8Array): Record<string, unknown> {
  let text: string;
  let header: unknown;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    header = JSON.parse(text);
  } catch (cause) {
    throw new FormatError(`safetensors: expected a header in JSON, got ${(cause as Error).message}`, { cause });
  }
  if (!isObject(header) || !text.startsWith("{")) fail("a JSON object as header", quote(header));
  const repeated = repeatedKey(text);
  if (repeated !== null) fail("unique names", `${quote(repeated)} twice`);
  return header;
}

interface Entry {
  readonly name: string;
  readonly format: Format;
  readonly shape: number[];
  readonly begin: number;
  readonly end: number;
}

function isIndex(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function checkName(name: string): void {
  if (name.split(".").some((part) => FORBIDDEN.has(part))) fail("a tensor name that no object reserves", quote(name));
}

function readEntry(name: string, value: unknown): Entry {
  checkName(name);
  if (!isObject(value)) fail(`${name} to be an object`, quote(value));
  const { dtype, shape, data_offsets: offsets } = value;
  const format = FORMATS.get(dtype as string);
  if (format === undefined) fail(`${name} of dtype ${[...FORMATS.keys()].join(", ")}`, quote(dtype));
  if (!Array.isArray(shape) || !shape.every((d) => isIndex(d) && d < 2 ** 31)) {
    fail(`${name} with a shape of whole non-negative sizes`, quote(shape));
  }
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isIndex)) {
    fail(`${name} with data_offsets [begin, end]`, quote(offsets));
  }
  const [begin, end] = offsets as [number, number];
  const bytes = sizeOf(shape) * format.bytes;
  if (end - begin !== bytes) fail(`${bytes} bytes for ${name} ${dtype}${show(shape)}`, `data_offsets ${quote(offsets)}`);
  return { name, format, shape, begin, end };
}

/** The data must be covered without gaps or overlaps: what no tensor names would be a hiding place. */
function checkCoverage(entries: readonly Entry[], dataBytes: number): void {
  let at = 0;
  for (const { name, begin, end } of [...entries].sort((a, b) => a.begin - b.begin || a.end - b.end)) {
    if (begin !== at) fail(`the data of ${name} at ${at}, where the one before ends`, `data_offsets [${begin},${end}]`);
    at = end;
  }
  if (at !== dataBytes) fail(`${at} bytes of data`, `${dataBytes}`);
}

function readMetadata(value: unknown): Record<string, string> {
  const metadata: Record<string, string> = Object.create(null);
  if (value === undefined) return metadata;
  if (!isObject(value)) fail(`${METADATA} to be an object`, quote(value));
  for (const [key, text] of Object.entries(value)) {
    if (typeof text !== "string") fail(`${METADATA} to hold text under ${quote(key)}`, quote(text));
    metadata[key] = text;
  }
  return metadata;
}

function readTensor({ name, format, shape, begin, end }: Entry, data: Uint8Array): Tensor {
  const bytes = data.subarray(begin, end);
  const t = empty(shape, format.dtype);
  if (format.dtype === "bool" && bytes.some((b) => b > 1)) fail(`${name} to hold 0 or 1`, String(bytes.find((b) => b > 1)));
  if (format.read === undefined) view("bool", t.ptr, bytes.length).set(bytes);
  else view(t.dtype, t.ptr, t.size).set(convert(name, format.read, format, bytes, t.size));
  return t;
}

function convert(
  name: string,
  read: (data: DataView, at: number) => number,
  format: Format,
  bytes: Uint8Array,
  size: number,
): ArrayLike<number> {
  const data = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const values = arrayOf(format.dtype, size);
  for (let i = 0; i < size; i++) {
    const value = read(data, i * format.bytes);
    if (format.dtype === "int32" && (value | 0) !== value) fail(`${name} to hold 32-bit integers`, String(value));
    values[i] = value;
  }
  return values;
}

/**
 * Reads a safetensors file. F16 and BF16 become float32; I64 and U8 become int32.
 * @throws FormatError when the bytes are not a whole, consistent file; nothing is left allocated
 * @example const { tensors, metadata } = parse(new Uint8Array(await response.arrayBuffer()));
 */
export function parse(bytes: Uint8Array): Safetensors {
  const { header, dataStart } = readHeader(bytes);
  const metadata = readMetadata(header[METADATA]);
  const entries = Object.entries(header)
    .filter(([name]) => name !== METADATA)
    .map(([name, value]) => readEntry(name, value));
  checkCoverage(entries, bytes.length - dataStart);
  const data = bytes.subarray(dataStart);
  const tensors = scope(() => new Map(entries.map((entry) => [entry.name, readTensor(entry, data)])));
  return { tensors, metadata };
}

/**
 * Writes a safetensors file: wide elements first, so that all data is aligned, otherwise in the order of the map.
 * The same tensors give the same bytes.
 * @throws ArgumentError for a name the format or JavaScript objects reserve
 * @example const bytes = serialize(model.stateDict(), { made: "with tapeloop" });
 */
export function serialize(tensors: ReadonlyMap<string, Tensor>, metadata: Readonly<Record<string, string>> = {}): Uint8Array<ArrayBuffer> {
  const ordered = [...tensors].sort(([, a], [, b]) => BYTES[b.dtype] - BYTES[a.dtype]);
  const header: Record<string, unknown> = Object.create(null);
  if (Object.keys(metadata).length > 0) header[METADATA] = metadata;
  let dataBytes = 0;
  for (const [name, t] of ordered) {
    if (name === METADATA || name.split(".").some((part) => FORBIDDEN.has(part))) {
      throw new ArgumentError(`safetensors: expected a tensor name that is not reserved, got ${quote(name)}`);
    }
    const end = dataBytes + t.size * BYTES[t.dtype];
    header[name] = { dtype: NAMES[t.dtype], shape: t.shape, data_offsets: [dataBytes, end] };
    dataBytes = end;
  }
  const json = new TextEncoder().encode(JSON.stringify(header));
  const dataStart = 8 + Math.ceil(json.length / 8) * 8;
  const bytes = new Uint8Array(dataStart + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(dataStart - 8), true);
  bytes.fill(0x20, 8, dataStart).set(json, 8);
  let at = dataStart;
  for (const [, t] of ordered) {
    const { buffer, byteLength } = t.data();
    bytes.set(new Uint8Array(buffer), at);
    at += byteLength;
  }
  return bytes;
}
