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
import { checkFlag, checkMap, isRecord, optionsOf } from "../base/checks.ts";
import { BYTES, isFloat } from "../base/dtype.ts";
import { ArgumentError, DTypeError, FormatError } from "../base/errors.ts";
import { numberToHalf } from "../base/half.ts";
import { quote, shorten } from "../base/quote.ts";
import { sizeOf } from "../tensor/shape.ts";
import { scope, Tensor } from "../tensor/tensor.ts";
import { elementBytes, FORMAT_NAMES, NAMES, tensorOf } from "./elements.ts";
import { type FileTensors, sorted } from "./file-tensors.ts";
import { membersOf, parseJson } from "./json.ts";

/** The contents of a safetensors file. */
export interface Safetensors extends FileTensors {
  /** Free text by key; an object without prototype. */
  readonly metadata: Record<string, string>;
}

/** The reference implementation's limit on the header. */
const HEADER_LIMIT = 100_000_000;
/** On what the header says of one tensor, which takes less than a hundred characters. */
const ENTRY_LIMIT = 65_536;
const METADATA = "__metadata__";

function fail(expected: string, got: string): never {
  throw new FormatError(`safetensors: expected ${expected}, got ${got}`);
}

/** What other files begin with that come under a model's name. */
const OTHERS: readonly (readonly [what: string, ...starts: string[]])[] = [
  ["a page of HTML or XML, as servers answer for a wrong address", "<!", "<html", "<HTML", "<head", "<?xml"],
  ["a pointer of Git LFS, whose file `git lfs pull` fetches", "version https://git-lfs"],
  ["a zip archive, as torch.save writes, which parseTorch reads", "PK\x03\x04"],
  ["a Python pickle, as torch.save once wrote, which parseTorch reads", "\x80\x02", "\x80\x03", "\x80\x04", "\x80\x05"],
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

/** Bytes of the length that stands before the header. */
const LENGTH_BYTES = 8;

/**
 * Where the data begins in a file of so many bytes.
 * @param start its first bytes, or all
 * @throws FormatError
 * @internal
 */
export function dataStartOf(start: Uint8Array, fileBytes: number): number {
  const notOurs = (expected: string, got: string): never => fail(expected, got + likeness(start));
  if (start.length < LENGTH_BYTES) notOurs(`at least ${LENGTH_BYTES} bytes`, start.length === 0 ? "an empty file" : `${start.length}`);
  const length = Number(new DataView(start.buffer, start.byteOffset, LENGTH_BYTES).getBigUint64(0, true));
  if (length > HEADER_LIMIT) notOurs(`a header of at most ${HEADER_LIMIT} bytes`, `a length of ${length}`);
  const dataStart = LENGTH_BYTES + length;
  if (dataStart > fileBytes) notOurs(`a header of ${length} bytes`, `a file with ${fileBytes - LENGTH_BYTES} bytes after the length`);
  return dataStart;
}

/**
 * What a file consists of.
 * @param start the file up to its data, or more
 * @throws FormatError
 * @internal
 */
export function headerOf(start: Uint8Array, dataStart: number, fileBytes: number): Header {
  const text = decode(start.subarray(LENGTH_BYTES, dataStart)) ?? fail("a header in JSON", `bytes that are no UTF-8${likeness(start)}`);
  const header = parseHeader(text);
  checkCoverage(header.entries, fileBytes - dataStart);
  return header;
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

/** What the header says of a tensor. @internal */
export interface Entry {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

/** @internal */
export interface Header {
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
  if (typeof dtype !== "string") fail(`${short} of dtype ${FORMAT_NAMES}`, quote(dtype));
  if (!Array.isArray(shape) || !shape.every(isIndex)) fail(`${short} with a shape of whole non-negative sizes`, quote(shape));
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isIndex)) {
    fail(`${short} with data_offsets [begin, end]`, quote(offsets));
  }
  const [begin, end] = offsets as [number, number];
  const width = elementBytes(dtype);
  const bytes = sizeOf(shape) * (width ?? 0);
  if (width !== undefined && end - begin !== bytes) {
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
  const dataStart = dataStartOf(bytes, bytes.length);
  const { entries, metadata } = headerOf(bytes, dataStart, bytes.length);
  const data = bytes.subarray(dataStart);
  const read = scope(() =>
    entries.map(({ name, dtype, shape, begin, end }) => [name, tensorOf(dtype, shape, data.subarray(begin, end))] as const),
  );
  return { ...sorted("safetensors", read), metadata };
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

/** What is written under a name. @internal */
export interface Written {
  readonly name: string;
  /** The format's word. */
  readonly dtype: string;
  readonly shape: readonly number[];
  /** Of an element. */
  readonly width: number;
  /** Little-endian, row-major. */
  bytes(): Uint8Array;
}

/** A tensor as it is. @internal */
export function writtenTensor(name: string, t: Tensor): Written {
  checkNamed(name, t);
  return { name, dtype: NAMES[t.dtype], shape: t.shape, width: BYTES[t.dtype], bytes: () => new Uint8Array(t.data().buffer) };
}

/** A tensor with its floats in half the bytes or a quarter. @throws ArgumentError for numbers beyond their range */
function writtenHalf(name: string, t: Tensor): Written {
  const plain = writtenTensor(name, t);
  if (!isFloat(t.dtype)) return plain;
  return { ...plain, dtype: "F16", width: 2, bytes: () => new Uint8Array(halvesOf(name, t).buffer) };
}

function halvesOf(name: string, t: Tensor): Uint16Array<ArrayBuffer> {
  return Uint16Array.from(t.data(), (x) => {
    const half = numberToHalf(x);
    if (!Number.isFinite(x) || (half & 0x7c00) !== 0x7c00) return half;
    throw new ArgumentError(`safetensors: expected ${shorten(name)} within ±65504 to be written as float16, got ${x}`);
  });
}

export interface SerializeOptions {
  /**
   * Whether floats are written as F16, in half the bytes: rounded to 11 bits, and widened to float32 when they are read. Default false.
   */
  readonly float16?: boolean;
}

/**
 * Writes a safetensors file: wide elements first, so that all data is aligned, otherwise in the order of the map.
 * The same tensors give the same bytes, and whatever is written can be read.
 * @throws ArgumentError for the name that the format reserves, for names or metadata that are no text or hold half a
 *   surrogate pair, and for numbers beyond the range of float16
 * @throws DTypeError, StateError for what is no tensor, or one that was released
 * @example const bytes = serializeSafetensors(model.stateDict(), { made: "with tapeloop" });
 */
export function serialize(
  tensors: ReadonlyMap<string, Tensor>,
  metadata: Readonly<Record<string, string>> = {},
  options: SerializeOptions = {},
): Uint8Array<ArrayBuffer> {
  const { float16 = false } = optionsOf("safetensors", options, ["float16"]);
  checkFlag("safetensors", "float16", float16);
  checkMap("safetensors", "the tensors", tensors);
  return serializeWritten(
    Array.from(tensors, ([name, t]) => (float16 ? writtenHalf(name, t) : writtenTensor(name, t))),
    metadata,
  );
}

/** The file of these entries, wide elements first. @internal */
export function serializeWritten(entries: readonly Written[], metadata: Readonly<Record<string, string>>): Uint8Array<ArrayBuffer> {
  checkMetadata(metadata);
  const ordered = [...entries].sort((a, b) => b.width - a.width);
  // By hand: an object would put names that are whole numbers first.
  const header = Object.keys(metadata).length > 0 ? [`${JSON.stringify(METADATA)}:${JSON.stringify(metadata)}`] : [];
  let dataBytes = 0;
  for (const { name, dtype, shape, width } of ordered) {
    const end = dataBytes + sizeOf(shape) * width;
    header.push(`${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: [dataBytes, end] })}`);
    dataBytes = end;
  }
  const json = new TextEncoder().encode(`{${header.join(",")}}`);
  const headerBytes = Math.ceil(json.length / 8) * 8;
  if (headerBytes > HEADER_LIMIT)
    throw new ArgumentError(`safetensors: expected a header of at most ${HEADER_LIMIT} bytes, got ${headerBytes}`);
  const dataStart = LENGTH_BYTES + headerBytes;
  const bytes = new Uint8Array(dataStart + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(headerBytes), true);
  bytes.fill(0x20, LENGTH_BYTES, dataStart).set(json, LENGTH_BYTES);
  let at = dataStart;
  for (const entry of ordered) {
    const data = entry.bytes();
    bytes.set(data, at);
    at += data.length;
  }
  return bytes;
}
