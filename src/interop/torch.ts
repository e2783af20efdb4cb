/**
 * What torch.save writes, read as data: a zip archive with a pickle and the storages of tensors, or before PyTorch 1.6 five pickles and then the
 * storages.
 *
 * @see PyTorch, torch/serialization.py (`_save`, `_legacy_save`) and torch/_utils.py (`_rebuild_tensor_v2`, `_rebuild_parameter`)
 */

import { asBytes, textOf } from "../base/bytes.ts";
import { FormatError } from "../base/errors.ts";
import { quote, shorten } from "../base/quote.ts";
import { elementBytes, tensorOf } from "../io/elements.ts";
import { type FileTensors, sorted } from "../io/file-tensors.ts";
import { show, sizeOf } from "../tensor/shape.ts";
import { scope, type Tensor } from "../tensor/tensor.ts";
import { type Pickled, unpickle } from "./pickle.ts";
import { isZip, storedEntries } from "./zip.ts";

/** What was saved: dictionaries are Maps, lists and tuples arrays, integers beyond 2^53 bigints; null for tensors that cannot be read. */
export type TorchValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | Tensor
  | readonly TorchValue[]
  | ReadonlyMap<string | number, TorchValue>;

/** A file of PyTorch. Tensors go by the keys on the way to them, joined by dots: `state_dict.lstm.weight_ih_l0`; one that was saved alone by "". */
export interface TorchFile extends FileTensors {
  readonly value: TorchValue;
}

const OP = "parseTorch";

/** PyTorch's storage classes, by the names of their elements in safetensors. */
const STORAGES: Readonly<Record<string, string>> = {
  DoubleStorage: "F64",
  FloatStorage: "F32",
  HalfStorage: "F16",
  BFloat16Storage: "BF16",
  LongStorage: "I64",
  IntStorage: "I32",
  ShortStorage: "I16",
  CharStorage: "I8",
  ByteStorage: "U8",
  BoolStorage: "BOOL",
};

const DTYPES = /^torch\.(?:float(?:16|32|64)|bfloat16|u?int(?:8|16|32|64)|bool|complex(?:64|128))$/;

/** The class of a storage's elements. */
class StorageClass {
  readonly dtype: string;

  constructor(dtype: string) {
    this.dtype = dtype;
  }
}

/** Elements that a pickle refers to, by the key of the storage that has them. */
class StoragePart {
  readonly key: string;
  readonly dtype: string;
  /** Elements of the whole storage, unless this is a part. */
  readonly size: number;
  readonly start: number;

  constructor(key: string, dtype: string, size: number, start = 0) {
    this.key = key;
    this.dtype = dtype;
    this.size = size;
    this.start = start;
  }
}

/** A tensor before its elements are looked at. */
class Rebuilt {
  readonly storage: StoragePart;
  readonly offset: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];

  constructor(storage: StoragePart, offset: number, shape: readonly number[], strides: readonly number[]) {
    this.storage = storage;
    this.offset = offset;
    this.shape = shape;
    this.strides = strides;
  }
}

function fail(expected: string, got: string): never {
  throw new FormatError(`${OP}: expected ${expected}, got ${got}`);
}

function isWhole(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isWholes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every(isWhole);
}

function rebuildTensor(args: readonly Pickled[]): Rebuilt {
  const [storage, offset, shape, strides] = args;
  if (!(storage instanceof StoragePart)) fail("a tensor of a storage", quote(storage));
  if (!isWhole(offset) || !isWholes(shape) || !isWholes(strides) || shape.length !== strides.length) {
    fail("a tensor with an offset, sizes and as many strides", quote([offset, shape, strides]));
  }
  return new Rebuilt(storage, offset, shape, strides);
}

function rebuildParameter([tensor]: readonly Pickled[]): Rebuilt {
  return tensor instanceof Rebuilt ? tensor : fail("a parameter of a tensor", quote(tensor));
}

/** Everything that a file may name. */
const GLOBALS: ReadonlyMap<string, (args: readonly Pickled[]) => Pickled> = new Map<string, (args: readonly Pickled[]) => Pickled>([
  ["collections.OrderedDict", ([pairs = []]) => dictionaryOf(pairs)],
  ["torch._utils._rebuild_tensor", rebuildTensor],
  ["torch._utils._rebuild_tensor_v2", rebuildTensor],
  ["torch._utils._rebuild_parameter", rebuildParameter],
  ["torch.Size", ([sizes]) => (isWholes(sizes) ? sizes : fail("sizes", quote(sizes)))],
  ["torch.device", (args) => args.map(String).join(":")],
]);

/** Python 2 pickled an ordered dictionary by its pairs. */
function dictionaryOf(pairs: Pickled): Pickled {
  if (!Array.isArray(pairs)) fail("the pairs of a dictionary", quote(pairs));
  return new Map(
    pairs.map((pair) => {
      const [key, value] = Array.isArray(pair) ? pair : [];
      if (typeof key !== "string" && typeof key !== "number") fail("keys that are text or numbers", quote(key));
      return [key, value as Pickled] as const;
    }),
  );
}

function globalOf(name: string): ((args: readonly Pickled[]) => Pickled) | Pickled | undefined {
  const storage = /^torch\.(\w+)$/.exec(name)?.[1] ?? "";
  if (Object.hasOwn(STORAGES, storage)) return new StorageClass(STORAGES[storage] as string);
  return DTYPES.test(name) ? name : GLOBALS.get(name);
}

/** ("storage", class, key, device, elements), and where it is a part of another: (its key, first element, elements). */
function storageOf(id: Pickled): StoragePart {
  const [kind, type, key, , size, part = null] = Array.isArray(id) ? id : [];
  const known = kind === "storage" && type instanceof StorageClass && typeof key === "string" && isWhole(size);
  if (!known) fail("references to storages", quote(id));
  if (part === null) return new StoragePart(key, type.dtype, size);
  const [, start, elements] = Array.isArray(part) ? part : [];
  if (!isWhole(start) || !isWhole(elements) || start + elements > size) fail(`a part of a storage of ${size} elements`, quote(part));
  return new StoragePart(key, type.dtype, elements, start);
}

interface Contents {
  readonly root: Pickled;
  readonly storages: ReadonlyMap<string, Uint8Array>;
}

/**
 * Reads a file of torch.save (`.pt`, `.pth`, `.bin`) without executing anything: tensors, parameters, dictionaries, lists, tuples, numbers and
 * texts. Views keep their values, and what shares a storage in one form becomes one tensor. Elements are widened as by `parseSafetensors`.
 *
 * The checksums of the archive are not looked at.
 * @throws FormatError for a name or an opcode beyond these, which it names; for a damaged file; for tensors that reach out of their storage, or
 *   that take far more memory than the file. Nothing is left allocated
 * @throws DTypeError for what is no bytes
 * @example const lstm = LSTM.fromStateDict(parseTorch(bytes), { prefix: "state_dict.lstm" });
 */
export function parseTorch(source: Uint8Array | ArrayBufferLike | ArrayBufferView): TorchFile {
  const bytes = asBytes(OP, source);
  const { root, storages } = isZip(bytes) ? readArchive(bytes) : readLegacy(bytes);
  return scope(() => {
    const reader = new TensorReader(storages, bytes.length);
    const value = reader.valueOf(root, "", 0);
    return { ...sorted(OP, reader.read), value };
  });
}

const PICKLE = /^(.*\/)?data\.pkl$/;

function readArchive(bytes: Uint8Array): Contents {
  const entries = storedEntries(OP, bytes);
  const names = [...entries.keys()].filter((name) => PICKLE.test(name));
  const [name] = names;
  if (name === undefined || names.length > 1) fail("an archive with one data.pkl", `${names.length}`);
  const folder = PICKLE.exec(name)?.[1] ?? "";
  const order = entries.get(`${folder}byteorder`);
  if (order !== undefined && textOf(order).trim() !== "little") fail("little-endian data", quote(textOf(order)));
  const storages = new Map<string, Uint8Array>();
  for (const [entry, data] of entries) if (entry.startsWith(`${folder}data/`)) storages.set(entry.slice(folder.length + 5), data);
  const { value } = unpickle(OP, entries.get(name) as Uint8Array, 0, { global: globalOf, persistent: storageOf });
  return { root: value, storages };
}

const MAGIC = 0x1950a86a20f9469cfc6cn;

function readLegacy(bytes: Uint8Array): Contents {
  const parts = new Map<string, StoragePart>();
  const persistent = (id: Pickled): StoragePart => {
    const part = storageOf(id);
    const known = parts.get(part.key);
    if (known !== undefined && known.dtype !== part.dtype) fail(`storage ${quote(part.key)} of ${known.dtype}`, part.dtype);
    parts.set(part.key, part);
    return part;
  };
  let at = 0;
  const next = (): Pickled => {
    const { value, end } = unpickle(OP, bytes, at, { global: globalOf, persistent });
    at = end;
    return value;
  };
  if (bytes[0] !== 0x80 || next() !== MAGIC) fail("a file of torch.save", `one that begins with ${quote([...bytes.subarray(0, 4)])}`);
  const version = next();
  if (version !== 1001) fail("version 1001", quote(version));
  const system = next();
  if (!(system instanceof Map) || system.get("little_endian") !== true) fail("little-endian data", quote(system));
  const root = next();
  const keys = next();
  if (!Array.isArray(keys)) fail("the keys of the storages", quote(keys));
  return { root, storages: readStorages(bytes, at, keys, parts) };
}

/** One after another, each behind its number of elements. */
function readStorages(
  bytes: Uint8Array,
  first: number,
  keys: readonly Pickled[],
  parts: ReadonlyMap<string, StoragePart>,
): Map<string, Uint8Array> {
  const data = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const storages = new Map<string, Uint8Array>();
  let at = first;
  for (const key of keys) {
    const part = parts.get(String(key));
    if (part === undefined) fail("keys of storages that tensors have", quote(key));
    if (at + 8 > bytes.length) fail(`storage ${quote(key)} at byte ${at}`, `the end at ${bytes.length}`);
    const end = at + 8 + Number(data.getBigUint64(at, true)) * (elementBytes(part.dtype) as number);
    if (!(end <= bytes.length)) fail(`storage ${quote(key)} within ${bytes.length} bytes`, `an end at ${end}`);
    storages.set(part.key, bytes.subarray(at + 8, end));
    at = end;
  }
  return storages;
}

/** As deep as checkpoints nest. */
const DEEPEST = 64;
/** Bytes that tensors may take for each of the file: views may lie over each other, and elements are widened. */
const FACTOR = 16;
const SPARE_BYTES = 2 ** 20;
/** Values to walk over: what is shared is met more than once. */
const SPARE_VALUES = 2 ** 16;

/** Makes the tensors of a pickled value. */
class TensorReader {
  readonly read = new Map<string, Tensor | string>();
  readonly #storages: ReadonlyMap<string, Uint8Array>;
  readonly #made = new Map<string, Tensor | string>();
  #bytesLeft: number;
  #valuesLeft: number;

  constructor(storages: ReadonlyMap<string, Uint8Array>, fileBytes: number) {
    this.#storages = storages;
    this.#bytesLeft = FACTOR * fileBytes + SPARE_BYTES;
    this.#valuesLeft = fileBytes + SPARE_VALUES;
  }

  /** @param path the keys that lead to it */
  valueOf(value: Pickled, path: string, depth: number): TorchValue {
    if (depth > DEEPEST) fail(`values nested at most ${DEEPEST} deep`, `${shorten(path)}.…`);
    if (--this.#valuesLeft < 0) fail("values that are not shared over and over", "too many");
    const inner = (key: string | number, part: Pickled): TorchValue =>
      this.valueOf(part, path === "" ? String(key) : `${path}.${key}`, depth + 1);
    if (value instanceof Rebuilt) return this.#tensorAt(path, value);
    if (value instanceof Map) return new Map(Array.from(value, ([key, part]) => [key, inner(key, part)] as const));
    if (Array.isArray(value)) return value.map((part, i) => inner(i, part));
    const plain = value === null || typeof value !== "object" || value instanceof Uint8Array;
    return plain && typeof value !== "function" ? (value as TorchValue) : fail("tensors and plain data", `a class at ${quote(path)}`);
  }

  #tensorAt(path: string, { storage, offset, shape, strides }: Rebuilt): Tensor | null {
    if (this.read.has(path)) fail("unique names of tensors", `${quote(path)} twice`);
    const place = JSON.stringify([storage.key, storage.dtype, storage.start + offset, shape, strides]);
    const made = this.#made.get(place) ?? this.#make(path, storage, offset, shape, strides);
    this.#made.set(place, made);
    this.read.set(path, made);
    return typeof made === "string" ? null : made;
  }

  #make(path: string, storage: StoragePart, offset: number, shape: readonly number[], strides: readonly number[]): Tensor | string {
    const { key, dtype, size, start } = storage;
    const width = elementBytes(dtype) as number;
    const data = this.#storages.get(key);
    if (data === undefined) fail(`storage ${quote(key)} of ${quote(path)} in the file`, "none");
    if (!(start + size <= data.length / width))
      fail(`${start + size} elements of ${dtype} in storage ${quote(key)}`, `${data.length} bytes`);
    const elements = sizeOf(shape);
    const last = offset + shape.reduce((sum, d, i) => sum + Math.max(0, d - 1) * (strides[i] as number), 0);
    if (elements > 0 && !(last < size)) {
      fail(`${quote(path)} within the ${size} elements of its storage`, `offset ${offset}, sizes ${show(shape)}, strides ${show(strides)}`);
    }
    this.#bytesLeft -= elements * Math.max(width, 4);
    if (!(this.#bytesLeft >= 0)) fail("tensors that take no more memory than their file may stand for", `${show(shape)} at ${quote(path)}`);
    return tensorOf(dtype, shape, gathered(data.subarray(start * width), width, offset, shape, strides, elements));
  }
}

/** The elements of a strided view in row-major order: a part of the data where they lie so. */
function gathered(
  data: Uint8Array,
  width: number,
  offset: number,
  shape: readonly number[],
  strides: readonly number[],
  elements: number,
): Uint8Array {
  if (elements === 0) return new Uint8Array(0);
  if (isRowMajor(shape, strides)) return data.subarray(offset * width, (offset + elements) * width);
  const bytes = new Uint8Array(elements * width);
  const index = shape.map(() => 0);
  let from = offset;
  for (let i = 0; i < elements; i++) {
    for (let b = 0; b < width; b++) bytes[i * width + b] = data[from * width + b] as number;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const stride = strides[axis] as number;
      from += stride;
      index[axis] = (index[axis] as number) + 1;
      if ((index[axis] as number) < (shape[axis] as number)) break;
      from -= stride * (index[axis] as number);
      index[axis] = 0;
    }
  }
  return bytes;
}

function isRowMajor(shape: readonly number[], strides: readonly number[]): boolean {
  let expected = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    const size = shape[axis] as number;
    if (size !== 1 && strides[axis] !== expected) return false;
    expected *= size;
  }
  return true;
}
