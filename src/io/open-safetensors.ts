/** Single tensors of a large safetensors file, without the rest of it. */

import { asBytes } from "../base/bytes.ts";
import { checkText } from "../base/checks.ts";
import type { TypedArray } from "../base/dtype.ts";
import { ArgumentError, DTypeError, FormatError } from "../base/errors.ts";
import { list, quote, shorten } from "../base/quote.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { elementsOf, tensorOf } from "./elements.ts";
import { cannotRead } from "./file-tensors.ts";
import { dataStartOf, type Entry, headerOf } from "./safetensors.ts";

type Bytes = Uint8Array | ArrayBufferLike | ArrayBufferView;

/** A file of which parts can be had: one that is open, one behind HTTP range requests. */
export interface ByteRanges {
  /** In bytes. */
  readonly size: number;
  /** The bytes from `begin` up to `end`, all of them. */
  read(begin: number, end: number): Bytes | Promise<Bytes>;
}

/** What a file says of a tensor. */
export interface TensorInfo {
  /** As the format names it: "F32", "BF16". */
  readonly dtype: string;
  readonly shape: readonly number[];
  /** In the file. */
  readonly bytes: number;
}

/** Bytes of the first request: the header of a file of some hundred tensors is among them. */
const FIRST = 65_536;

/**
 * A safetensors file whose header has been read.
 * @example
 * const file = await openSafetensors(blob);
 * const weight = await file.tensor("encoder.weight_ih_l0");
 * const lstm = LSTM.fromStateDict(await file.tensors("encoder."), { prefix: "encoder" });
 */
export class SafetensorsFile {
  /** By name, in the header's order. */
  readonly info: ReadonlyMap<string, TensorInfo>;
  /** Free text by key; an object without prototype. */
  readonly metadata: Readonly<Record<string, string>>;
  readonly #source: ByteRanges;
  readonly #dataStart: number;
  readonly #entries: ReadonlyMap<string, Entry>;

  /** @internal */
  constructor(source: ByteRanges, dataStart: number, entries: readonly Entry[], metadata: Record<string, string>) {
    this.info = new Map(entries.map(({ name, dtype, shape, begin, end }) => [name, { dtype, shape, bytes: end - begin }]));
    this.metadata = metadata;
    this.#source = source;
    this.#dataStart = dataStart;
    this.#entries = new Map(entries.map((entry) => [entry.name, entry]));
  }

  /**
   * One tensor; half precision and integers are widened as by `parseSafetensors`. It belongs to no scope.
   * @throws ArgumentError for a name that the file does not have
   * @throws FormatError for a tensor that none here can hold, and for a source that gives other bytes than it was asked for
   */
  async tensor(name: string): Promise<Tensor> {
    const { dtype, shape, bytes } = await this.#read(name);
    return readable(name, tensorOf(dtype, shape, bytes));
  }

  /** Every tensor whose name begins so, by its whole name; one request each. @throws as `tensor` does */
  async tensors(prefix = ""): Promise<Map<string, Tensor>> {
    checkText("openSafetensors", "prefix", prefix);
    const tensors = new Map<string, Tensor>();
    try {
      for (const name of this.info.keys()) if (name.startsWith(prefix)) tensors.set(name, await this.tensor(name));
    } catch (error) {
      for (const t of tensors.values()) t.dispose();
      throw error;
    }
    return tensors;
  }

  /**
   * A tensor's elements on the side of the host. Where the file is in memory and has them as float32, float64, int32 or bool at an address
   * that fits, as all writers see to, this is a view of the file: nothing is copied.
   * @throws as `tensor` does
   */
  async data(name: string): Promise<TypedArray> {
    const { dtype, bytes } = await this.#read(name);
    return readable(name, elementsOf(dtype, bytes)).values;
  }

  async #read(name: string): Promise<Entry & { readonly bytes: Uint8Array }> {
    const entry = this.#entries.get(name);
    if (entry === undefined) {
      throw new ArgumentError(`safetensors: expected one of the names ${list([...this.info.keys()])}, got ${quote(name)}`);
    }
    return { ...entry, bytes: await readRange(this.#source, this.#dataStart + entry.begin, this.#dataStart + entry.end) };
  }
}

function readable<T>(name: string, read: T | string): T {
  if (typeof read === "string") throw cannotRead("safetensors", name, read);
  return read;
}

async function readRange(source: ByteRanges, begin: number, end: number): Promise<Uint8Array> {
  if (begin === end) return new Uint8Array(0);
  const bytes = asBytes("openSafetensors", await source.read(begin, end));
  if (bytes.length === end - begin) return bytes;
  throw new FormatError(`openSafetensors: expected the bytes ${begin} to ${end} of the source, got ${bytes.length} bytes`);
}

/**
 * Opens a safetensors file: its header is read and checked, no tensor before it is asked for. The source is bytes, a Blob or File, or anything
 * else of which ranges can be read, as `openFile` of `tapeloop/node` gives them.
 * @throws FormatError when the header is none, or does not fit the file's size
 * @throws DTypeError for a source that is none of these
 * @example const file = await openSafetensors({ size, read: (begin, end) => fetchRange(url, begin, end) });
 */
export async function openSafetensors(source: Bytes | Blob | ByteRanges): Promise<SafetensorsFile> {
  const ranges = rangesOf(source);
  const { size } = ranges;
  if (!(Number.isSafeInteger(size) && size >= 0))
    throw new DTypeError(`openSafetensors: expected a size in bytes, got ${shorten(String(size))}`);
  const first = await readRange(ranges, 0, Math.min(size, FIRST));
  const dataStart = dataStartOf(first, size);
  const start = dataStart <= first.length ? first : await readRange(ranges, 0, dataStart);
  const { entries, metadata } = headerOf(start, dataStart, size);
  return new SafetensorsFile(ranges, dataStart, entries, metadata);
}

function rangesOf(source: Bytes | Blob | ByteRanges): ByteRanges {
  const held = source as { size?: unknown; read?: unknown; arrayBuffer?: unknown; slice?: unknown } | null;
  if (typeof held?.read === "function") return source as ByteRanges;
  if (typeof held?.arrayBuffer === "function") {
    const blob = source as Blob;
    return { size: blob.size, read: (begin, end) => blob.slice(begin, end).arrayBuffer() };
  }
  const bytes = asBytes("openSafetensors", source);
  return { size: bytes.length, read: (begin, end) => bytes.subarray(begin, end) };
}
