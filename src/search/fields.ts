/**
 * The state of a search: numbers, vectors and lists of vectors by name, also as bytes. The bytes are a safetensors file with a
 * checksum. Its tensors are float64, so every number keeps its bits, even NaN and infinity.
 */

import { isRecord } from "../base/checks.ts";
import { FormatError } from "../base/errors.ts";
import { quote, shorten } from "../base/quote.ts";
import { parseJson } from "../io/json.ts";
import { parse } from "../io/safetensors.ts";
import { checkSeal, serializeSealed } from "../io/sealed.ts";
import { scope, type Tensor, tensor } from "../tensor/tensor.ts";

export type Field = number | Float64Array | readonly Float64Array[];
export type Fields = Readonly<Record<string, Field>>;

const FORMAT = "tapeloop-search-1";
const METADATA = ["format", "kind", "options", "lists"] as const;

/** Identifies a saved search: its method, and the options it was made with. */
export interface Identity {
  readonly kind: string;
  readonly options: string;
}

const vectorTensor = (v: Float64Array): Tensor => tensor(v, { shape: [v.length], dtype: "float64" });

/** A field as tensors: a number has no axis, an element of a list has its index in the name. */
function tensorsOf([name, field]: readonly [string, Field]): [string, Tensor][] {
  if (typeof field === "number") return [[name, tensor(field, { dtype: "float64" })]];
  if (field instanceof Float64Array) return [[name, vectorTensor(field)]];
  return field.map((v, i) => [`${name}.${i}`, vectorTensor(v)]);
}

export function fieldsToBytes({ kind, options }: Identity, fields: Fields): Uint8Array<ArrayBuffer> {
  const lists = Object.entries(fields).flatMap(([name, f]) => (Array.isArray(f) ? [[name, f.length]] : []));
  const metadata = { format: FORMAT, kind, options, lists: JSON.stringify(Object.fromEntries(lists)) };
  return scope(() => serializeSealed(new Map(Object.entries(fields).flatMap(tensorsOf)), metadata));
}

/** Reads the bytes of `fieldsToBytes`, for a search with the same method and options. @throws FormatError */
export function fieldsFromBytes(expected: Identity, bytes: Uint8Array): FieldReader {
  return scope(() => {
    const { tensors, unreadable, metadata } = parse(bytes);
    const { format, kind, options, lists = "" } = metadata;
    if (format !== FORMAT) refuse(`format "${FORMAT}"`, format);
    checkSeal("restore", bytes, metadata, METADATA);
    if (kind !== expected.kind) refuse(`the state of ${expected.kind}`, kind);
    if (options !== expected.options) refuseOptions(expected.options, options);
    if (unreadable.size > 0) refuse("numbers that can be read", [...unreadable.keys()]);
    const lengths = parseJson("restore", "the lengths of lists", lists);
    if (!isRecord(lengths)) return refuse("the lengths of lists", lengths);
    const plain = new Map<string, { readonly rank: number; readonly values: Float64Array }>();
    for (const [name, t] of tensors) {
      if (t.dtype !== "float64" || t.rank > 1) refuse(`float64 numbers as ${shorten(name)}`, `${t.dtype} with ${t.rank} axes`);
      plain.set(name, { rank: t.rank, values: Float64Array.from(t.data()) });
    }
    return new FieldReader(plain, lengths);
  });
}

/** Names the first option that differs. */
function refuseOptions(expected: string, saved: unknown): never {
  const read = (text: unknown): unknown => (typeof text === "string" ? parseJson("restore", "the options", text) : text);
  const [own, got] = [read(expected), read(saved)];
  if (!isRecord(own) || !isRecord(got)) refuse("the options of a search", got);
  const differs = [...Object.keys(own), ...Object.keys(got)].find((name) => JSON.stringify(own[name]) !== JSON.stringify(got[name]));
  if (differs === undefined) refuse("options in the order of this search", saved);
  refuse(`the state of a search with ${differs} ${quote(own[differs])}`, `one with ${differs} ${quote(got[differs])}`);
}

function refuse(expected: string, got: unknown): never {
  throw new FormatError(`restore: expected ${shorten(expected)}, got ${typeof got === "string" ? shorten(got) : quote(got)}`);
}

/** Bounds of numbers, which must be finite unless `infinite` allows +∞ (for costs not yet known). */
export interface FieldRange {
  readonly least?: number;
  readonly most?: number;
  readonly whole?: boolean;
  readonly infinite?: boolean;
}

/** Reads and checks fields one by one; at the end, refuses any that were not asked for. */
export class FieldReader {
  readonly #plain: ReadonlyMap<string, { readonly rank: number; readonly values: Float64Array }>;
  readonly #lists: Readonly<Record<string, unknown>>;
  readonly #asked: Set<string>;
  readonly #prefix: string;

  constructor(
    plain: ReadonlyMap<string, { readonly rank: number; readonly values: Float64Array }>,
    lists: Readonly<Record<string, unknown>>,
    prefix = "",
    asked: Set<string> = new Set(),
  ) {
    this.#plain = plain;
    this.#lists = lists;
    this.#prefix = prefix;
    this.#asked = asked;
  }

  /** A reader of the fields whose names begin with `prefix` and a dot. */
  within(prefix: string): FieldReader {
    return new FieldReader(this.#plain, this.#lists, `${this.#prefix}${prefix}.`, this.#asked);
  }

  number(name: string, range: FieldRange = {}): number {
    const [value] = this.#take(name, 0);
    this.#check(name, [value as number], range);
    return value as number;
  }

  /** @param length length of the vector; default any */
  vector(name: string, length?: number, range: FieldRange = {}): Float64Array {
    const values = this.#take(name, 1);
    if (length !== undefined && values.length !== length) this.refuse(name, `${length} numbers`, values.length);
    this.#check(name, values, range);
    return values;
  }

  /** Vectors of one length, or of any. @param count number of vectors; default any */
  list(name: string, { count, length, ...range }: FieldRange & { readonly count?: number; readonly length?: number } = {}): Float64Array[] {
    const full = this.#prefix + name;
    const saved = Object.hasOwn(this.#lists, full) ? this.#lists[full] : undefined;
    // Limit the number to those that exist: a claimed length of 2³² would take forever.
    if (!(Number.isSafeInteger(saved) && (saved as number) >= 0 && (saved as number) <= this.#plain.size))
      this.refuse(name, "a list", saved);
    if (count !== undefined && saved !== count) this.refuse(name, `${count} vectors`, saved);
    return Array.from({ length: saved as number }, (_, i) => this.vector(`${name}.${i}`, length, range));
  }

  refuse(name: string, expected: string, got: unknown): never {
    return refuse(`${expected} as ${shorten(name)}`, got);
  }

  /** @throws FormatError for fields that were not read */
  end(): void {
    const unknown = [...this.#plain.keys()].filter((name) => !this.#asked.has(name));
    if (unknown.length > 0) refuse("nothing more", unknown);
  }

  #take(name: string, rank: number): Float64Array {
    const found = this.#plain.get(this.#prefix + name);
    if (found === undefined) return refuse(`a value ${name}`, "none");
    if (found.rank !== rank) this.refuse(name, rank === 0 ? "a number" : "a vector", `one with ${found.rank} axes`);
    this.#asked.add(this.#prefix + name);
    return found.values;
  }

  #check(name: string, values: ArrayLike<number>, { least, most, whole = false, infinite = false }: FieldRange): void {
    for (let i = 0; i < values.length; i++) {
      const v = values[i] as number;
      const finite = Number.isFinite(v) || (infinite && v === Number.POSITIVE_INFINITY);
      const within = (least === undefined || v >= least) && (most === undefined || v <= most);
      if (!finite || !within || (whole && !Number.isInteger(v))) this.refuse(name, "numbers in their range", v);
    }
  }
}
