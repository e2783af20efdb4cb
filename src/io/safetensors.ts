/**
 * Safetensors: named tensors in one file, without code in it.
 *
 * 8 bytes little-endian header length, a JSON header, then the raw little-endian row-major data:
 * `{"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, "__metadata__": {"key": "text"}}`.
 * A file may come from anywhere, so the whole header is checked before the first tensor is made.
 *
 * @see Hugging Face, safetensors: the format, https://github.com/huggingface/safetensors#format
 */

import { asBytes } from "../base/bytes.ts";
import { checkMap, isRecord } from "../base/checks.ts";
import { arrayOf, BYTES, type DType, type TypedArray } from "../base/dtype.ts";
import { ArgumentError, DTypeError, FormatError } from "../base/errors.ts";
import { quote, shorten } from "../base/quote.ts";
import { show, sizeOf } from "../tensor/shape.ts";
import { empty, scope, Tensor } from "../tensor/tensor.ts";
import { view } from "../wasm/host.ts";
import { membersOf, parseJson } from "./json.ts";

export interface Safetensors {
  /** By name, in the header's order. Asking for a name of `unreadable` throws a FormatError that says why. */
  readonly tensors: Map<string, Tensor>;
  /** Tensors of the file that no tensor here can hold, each with the reason: they are left out of `tensors`. */
  readonly unreadable: ReadonlyMap<string, string>;
  /** Free text by key; an object without prototype. */
  readonly metadata: Record<string, string>;
}

/** The reference implementation's limit on the header. */
const HEADER_LIMIT = 100_000_000;
/** On what the header says of one tensor, which takes less than a hundred characters. */
const ENTRY_LIMIT = 65_536;
const METADATA = "__metadata__";
/** PyTorch's limit. */
const MOST_DIMENSIONS = 64;

type Range = readonly [least: number, most: number];

/** How one element of the file is read. */
interface Format {
  readonly bytes: number;
  readonly dtype: DType;
  /** Left out where the file's bytes are the tensor's. */
  readonly read?: (data: DataView, at: number) => number;
  /** Left out where every value fits. */
  readonly range?: Range;
}

const WHOLE: Range = [-(2 ** 31), 2 ** 31 - 1];

const FORMATS: ReadonlyMap<string, Format> = new Map<string, Format>([
  ["F64", { bytes: 8, dtype: "float64" }],
  ["F32", { bytes: 4, dtype: "float32" }],
  ["F16", { bytes: 2, dtype: "float32", read: (data, at) => halfToNumber(data.getUint16(at, true)) }],
  ["BF16", { bytes: 2, dtype: "float32", read: (data, at) => bfloatToNumber(data.getUint16(at, true)) }],
  // The upper half of a binary16.
  ["F8_E5M2", { bytes: 1, dtype: "float32", read: (data, at) => halfToNumber(data.getUint8(at) << 8) }],
  ["F8_E4M3", { bytes: 1, dtype: "float32", read: (data, at) => e4m3ToNumber(data.getUint8(at)) }],
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

/** An 8-bit float with 4 bits of exponent, 3 of fraction and no infinities (Micikevicius et al., "FP8 formats for deep learning", 2022, table 1). */
function e4m3ToNumber(bits: number): number {
  const sign = bits & 0x80 ? -1 : 1;
  const exponent = (bits >> 3) & 15;
  const fraction = bits & 7;
  if (exponent === 15 && fraction === 7) return Number.NaN;
  if (exponent === 0) return sign * fraction * 2 ** -9;
  return sign * (1 + fraction / 8) * 2 ** (exponent - 7);
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

/** What other files begin with that come under a model's name. */
const OTHERS: readonly (readonly [what: string, ...starts: string[]])[] = [
  ["a page of HTML or XML, as servers answer for a wrong address", "<!", "<html", "<HTML", "<head", "<?xml"],
  ["a pointer of Git LFS, whose file `git lfs pull` fetches", "version https://git-lfs"],
  ["a zip archive, as torch.save writes; safetensors.torch.save_file writes this format", "PK\x03\x04"],
  ["a Python pickle; safetensors.torch.save_file writes this format", "\x80\x02", "\x80\x03", "\x80\x04", "\x80\x05"],
  ["gzip, to be decompressed first", "\x1f\x8b\x08"],
  ["HDF5, as Keras writes", "\x89HDF"],
  ["JSON", '{"', "{}", "{ ", "{\n", "{\r"],
];

/** What a file seems to be that is none of ours: nothing, or ` (it looks like …)`. */
function likeness(bytes: Uint8Array): string {
  const start = String.fromCharCode(...bytes.subarray(0, 64)).replace(/^\xef\xbb\xbf/, "");
  const found = OTHERS.find(([, ...starts]) => starts.some((s) => start.trimStart().startsWith(s)));
  return found ? ` (it looks like ${found[0]})` : "";
}

function readHeader(bytes: Uint8Array): Header & { readonly dataStart: number } {
  const notOurs = (expected: string, got: string): never => fail(expected, got + likeness(bytes));
  if (bytes.length < 8) notOurs("at least 8 bytes", bytes.length === 0 ? "an empty file" : `${bytes.length}`);
  const length = Number(new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true));
  if (length > HEADER_LIMIT) notOurs(`a header of at most ${HEADER_LIMIT} bytes`, `a length of ${length}`);
  const dataStart = 8 + length;
  if (dataStart > bytes.length) notOurs(`a header of ${length} bytes`, `a file with ${bytes.length - 8} bytes after the length`);
  const text = decode(bytes.subarray(8, dataStart)) ?? notOurs("a header in JSON", "bytes that are no UTF-8");
  return { ...parseHeader(text), dataStart };
}

/** The text of UTF-8 bytes, or null. */
function decode(bytes: Uint8Array): string | null {
  try {
    // A copy: decoders refuse shared memory.
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(new Uint8Array(bytes));
  } catch {
    return null;
  }
}

interface Entry {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

interface Header {
  readonly entries: Entry[];
  readonly metadata: Record<string, string>;
}

/** Member by member, so that what is wrong is found before the rest is looked at. */
function parseHeader(text: string): Header {
  const names = new Set<string>();
  const entries: Entry[] = [];
  let metadata = readMetadata(null);
  for (const [name, value] of membersOf("safetensors", "a header", text)) {
    if (names.has(name)) fail("unique names", `${quote(name)} twice`);
    names.add(name);
    if (name !== METADATA && value.length > ENTRY_LIMIT) fail(`${shorten(name)} in at most ${ENTRY_LIMIT} characters`, `${value.length}`);
    const parsed = parseJson("safetensors", "a header", value);
    if (name === METADATA) metadata = readMetadata(parsed);
    else entries.push(readEntry(name, parsed));
  }
  return { entries, metadata };
}

function isIndex(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0 && !Object.is(value, -0);
}

function readEntry(name: string, value: unknown): Entry {
  const short = shorten(name);
  if (!isRecord(value)) fail(`${short} to be an object`, quote(value));
  const { dtype, shape, data_offsets: offsets } = value;
  if (typeof dtype !== "string") fail(`${short} of dtype ${[...FORMATS.keys()].join(", ")}`, quote(dtype));
  if (!Array.isArray(shape) || !shape.every(isIndex)) fail(`${short} with a shape of whole non-negative sizes`, quote(shape));
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isIndex)) {
    fail(`${short} with data_offsets [begin, end]`, quote(offsets));
  }
  const [begin, end] = offsets as [number, number];
  const format = FORMATS.get(dtype);
  const bytes = sizeOf(shape) * (format?.bytes ?? 0);
  if (format !== undefined && end - begin !== bytes) {
    fail(`${bytes} bytes for ${short} ${dtype}${quote(shape)}`, `data_offsets ${quote(offsets)}`);
  }
  if (end < begin) fail(`${short} with data_offsets [begin, end]`, quote(offsets));
  return { name, dtype, shape, begin, end };
}

/** The data must be covered without gaps or overlaps: what no tensor names would be a hiding place. */
function checkCoverage(entries: readonly Entry[], dataBytes: number): void {
  let at = 0;
  for (const { name, begin, end } of [...entries].sort((a, b) => a.begin - b.begin || a.end - b.end)) {
    if (begin !== at) fail(`the data of ${shorten(name)} at ${at}, where the one before ends`, `data_offsets [${begin},${end}]`);
    at = end;
  }
  if (at !== dataBytes) fail(`${at} bytes of data`, `${dataBytes}`);
}

function readMetadata(value: unknown): Record<string, string> {
  const metadata: Record<string, string> = Object.create(null);
  if (value === null) return metadata;
  if (!isRecord(value)) fail(`${METADATA} to be an object`, quote(value));
  for (const [key, text] of Object.entries(value)) {
    if (typeof text !== "string") fail(`${METADATA} to hold text under ${quote(key)}`, quote(text));
    metadata[key] = text;
  }
  return metadata;
}

/** The tensor of an entry, or why there can be none. */
function readTensor({ dtype, shape, begin, end }: Entry, data: Uint8Array): Tensor | string {
  const format = FORMATS.get(dtype);
  if (format === undefined) return `expected one of dtype ${[...FORMATS.keys()].join(", ")}, got ${quote(dtype)}`;
  if (shape.length > MOST_DIMENSIONS) return `expected at most ${MOST_DIMENSIONS} dimensions, got ${shape.length}`;
  if (shape.some((d) => d >= 2 ** 31)) return `expected sizes below 2^31, got ${show(shape)}`;
  const bytes = data.subarray(begin, end);
  const values = format.read === undefined ? bytes : convert(format.read, format, bytes);
  const wrong = format.range && beyond(values, format.range);
  if (wrong !== undefined) return `expected values in [${format.range?.join(", ")}] for ${format.dtype}, got ${wrong}`;
  const t = empty(shape, format.dtype);
  view(format.read === undefined ? "bool" : t.dtype, t.ptr, values.length).set(values);
  return t;
}

function beyond(values: TypedArray, [least, most]: readonly [number, number]): number | undefined {
  for (const value of values) if (value < least || value > most) return value;
  return undefined;
}

function convert(read: (data: DataView, at: number) => number, { bytes: step, dtype, range }: Format, bytes: Uint8Array): TypedArray {
  const data = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const values = arrayOf(range === undefined ? dtype : "float64", bytes.length / step);
  for (let i = 0; i < values.length; i++) values[i] = read(data, i * step);
  return values;
}

/** The readable tensors of a file; asking for one of the others says why there is none. */
class FileTensors extends Map<string, Tensor> {
  readonly #unreadable: ReadonlyMap<string, string>;

  constructor(tensors: Iterable<[string, Tensor]>, unreadable: ReadonlyMap<string, string>) {
    super(tensors);
    this.#unreadable = unreadable;
  }

  override get(name: string): Tensor | undefined {
    const found = super.get(name);
    const reason = found === undefined ? this.#unreadable.get(name) : undefined;
    if (reason !== undefined) throw new FormatError(`safetensors: ${shorten(name)} cannot be read: ${reason}`);
    return found;
  }
}

/**
 * Reads a safetensors file: a Uint8Array, an ArrayBuffer or any other view of bytes, which are copied.
 *
 * F16, BF16, F8_E5M2 and F8_E4M3 become float32. I8, U8, I16, U16 and, where every value fits, U32, I64 and U64 become int32.
 * A tensor that none here can hold (wider integers, other dtypes, masks of other bytes than 0 and 1) does not make the file
 * useless: it is left out, and asking for it throws. Tensors live like others: until the end of the scope the call stands in.
 * @throws FormatError when the bytes are not a whole, consistent file; nothing is left allocated
 * @throws DTypeError for what is no bytes
 * @example const { tensors, metadata } = parse(await response.arrayBuffer());
 */
export function parse(source: Uint8Array | ArrayBufferLike | ArrayBufferView): Safetensors {
  const bytes = asBytes("safetensors", source);
  const { entries, metadata, dataStart } = readHeader(bytes);
  checkCoverage(entries, bytes.length - dataStart);
  const data = bytes.subarray(dataStart);
  const read = scope(() => entries.map((entry) => [entry.name, readTensor(entry, data)] as const));
  const unreadable = new Map(read.filter((pair): pair is [string, string] => typeof pair[1] === "string"));
  const tensors = new FileTensors(
    read.filter((pair): pair is [string, Tensor] => typeof pair[1] !== "string"),
    unreadable,
  );
  return { tensors, unreadable, metadata };
}

/** Halves of surrogate pairs, which no UTF-8 holds. */
const LONE_SURROGATE = /\p{Surrogate}/u;

function checkText(what: string, text: unknown): asserts text is string {
  if (typeof text !== "string") throw new ArgumentError(`safetensors: expected ${what} to be text, got ${quote(text)}`);
  if (LONE_SURROGATE.test(text)) throw new ArgumentError(`safetensors: expected ${what} in whole characters, got ${quote(text)}`);
}

function checkMetadata(metadata: Readonly<Record<string, string>>): void {
  if (!isRecord(metadata)) throw new ArgumentError(`safetensors: expected metadata to be an object of texts, got ${quote(metadata)}`);
  for (const [key, text] of Object.entries(metadata)) {
    checkText("a key of the metadata", key);
    checkText(`metadata under ${quote(key)}`, text);
  }
}

function checkNamed(name: unknown, t: unknown): void {
  checkText("a tensor's name", name);
  if (name === METADATA) throw new ArgumentError(`safetensors: expected a tensor name that is not reserved, got ${quote(name)}`);
  if (!(t instanceof Tensor)) throw new DTypeError(`safetensors: expected a tensor under ${quote(name)}, got ${quote(t)}`);
}

/**
 * Writes a safetensors file: wide elements first, so that all data is aligned, otherwise in the order of the map.
 * The same tensors give the same bytes, and whatever is written can be read.
 * @throws ArgumentError for the name that the format reserves, and for names or metadata that are no text or hold half a
 *   surrogate pair
 * @throws DTypeError, StateError for what is no tensor, or one that was released
 * @example const bytes = serialize(model.stateDict(), { made: "with tapeloop" });
 */
export function serialize(tensors: ReadonlyMap<string, Tensor>, metadata: Readonly<Record<string, string>> = {}): Uint8Array<ArrayBuffer> {
  checkMap("safetensors", "the tensors", tensors);
  checkMetadata(metadata);
  for (const [name, t] of tensors) checkNamed(name, t);
  const ordered = [...tensors].sort(([, a], [, b]) => BYTES[b.dtype] - BYTES[a.dtype]);
  // By hand: an object would put names that are whole numbers first.
  const header = Object.keys(metadata).length > 0 ? [`${JSON.stringify(METADATA)}:${JSON.stringify(metadata)}`] : [];
  let dataBytes = 0;
  for (const [name, t] of ordered) {
    const end = dataBytes + t.size * BYTES[t.dtype];
    const entry = { dtype: NAMES[t.dtype], shape: t.shape, data_offsets: [dataBytes, end] };
    header.push(`${JSON.stringify(name)}:${JSON.stringify(entry)}`);
    dataBytes = end;
  }
  const json = new TextEncoder().encode(`{${header.join(",")}}`);
  const headerBytes = Math.ceil(json.length / 8) * 8;
  if (headerBytes > HEADER_LIMIT)
    throw new ArgumentError(`safetensors: expected a header of at most ${HEADER_LIMIT} bytes, got ${headerBytes}`);
  const dataStart = 8 + headerBytes;
  const bytes = new Uint8Array(dataStart + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(headerBytes), true);
  bytes.fill(0x20, 8, dataStart).set(json, 8);
  let at = dataStart;
  for (const [, t] of ordered) {
    const { buffer, byteLength } = t.data();
    bytes.set(new Uint8Array(buffer), at);
    at += byteLength;
  }
  return bytes;
}
