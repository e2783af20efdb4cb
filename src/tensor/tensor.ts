/// <reference lib="esnext.disposable" preserve="true" />
/** Tensors: a shape, a dtype and strides over a block of linear memory. */

import type { Dual } from "../autodiff/forward.ts";
import type { Node } from "../autodiff/tape.ts";
import { checkFunction, checkOptions, finished } from "../base/checks.ts";
import { arrayOf, BYTES, type DType, isFloat, type TypedArray, widthOf } from "../base/dtype.ts";
import { ArgumentError, DTypeError, ShapeError, StateError } from "../base/errors.ts";
import { LIBRARY } from "../base/library.ts";
import { quote } from "../base/quote.ts";
import { read, view } from "../wasm/host.ts";
import { cannotReplay, recording } from "../wasm/recorder.ts";
import { forEachPart } from "./parts.ts";
import { printTensor } from "./print.ts";
import { checkShape, type Shape, show, sizeOf, stridesOf } from "./shape.ts";
import { Storage, withScope } from "./storage.ts";
import { heldValues, kindOf, readData, type TensorData, writeValues } from "./values.ts";

/** Numbers of one dtype in a shape: a view of memory, which is released when nothing refers to it. Make them by `tensor`, `zeros` and the like. */
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: Symbol.dispose is defined below, where the host has it.
export class Tensor {
  readonly shape: Shape;
  readonly dtype: DType;
  readonly storage: Storage;
  /** Distance in elements between neighbours along each axis. */
  readonly strides: Shape;
  /** Index of the first element within the storage. */
  readonly offset: number;
  readonly size: number;
  /** The tape's node that made this tensor; null for leaves. */
  node: Node | null = null;
  /** Which of the node's outputs this is. */
  outputIndex = 0;
  /** Whether this leaf needs a gradient. */
  requiresGrad = false;
  /** The tangent this tensor carries in forward mode. */
  dual: Dual | null = null;
  /** Gradient accumulated by `backward`; leaves only. */
  grad: Tensor | null = null;

  constructor(storage: Storage, dtype: DType, shape: Shape, strides?: Shape, offset = 0, size?: number) {
    if (!(storage instanceof Storage)) refuse("tensor", { storage, dtype });
    this.storage = storage;
    this.dtype = dtype;
    this.shape = shape;
    this.strides = strides ?? stridesOf(shape);
    this.offset = offset;
    this.size = size ?? sizeOf(shape);
  }

  get rank(): number {
    return this.shape.length;
  }

  /** Address of the first element. @throws StateError once released */
  get ptr(): number {
    return this.storage.ptr + this.offset * BYTES[this.dtype];
  }

  /** Whether the elements lie in row-major order without gaps. */
  get isContiguous(): boolean {
    let step = 1;
    for (let i = this.shape.length - 1; i >= 0; i--) {
      if (this.shape[i] !== 1 && this.strides[i] !== step) return false;
      step *= this.shape[i] as number;
    }
    return true;
  }

  /** The dimension of an axis; negative axes count from the end. */
  dim(axis: number): number {
    const d = this.shape[axis < 0 ? axis + this.shape.length : axis];
    if (d === undefined) throw new ShapeError(`dim: expected an axis of ${show(this.shape)}, got ${axis}`);
    return d;
  }

  /** A copy of the elements in row-major order. */
  data(): TypedArray {
    const out = arrayOf(this.dtype, this.size);
    if (this.isContiguous) out.set(view(this.dtype, this.ptr, this.size));
    else gatherStrided(this, out);
    return out;
  }

  /** The element of a tensor of size one. */
  item(): number {
    if (this.size !== 1) throw new ShapeError(`item: expected one element, got ${show(this.shape)}`);
    return read(this.dtype, this.ptr);
  }

  /** The elements as nested arrays, or a number for a scalar. */
  toArray(): NestedArray {
    return nest(this.data(), this.shape, 0, 0);
  }

  /** The same values, off the tape and without tangents. */
  detach(): Tensor {
    return new Tensor(this.storage, this.dtype, this.shape, this.strides, this.offset);
  }

  /** Releases the memory now, for all views of it. You never need to call it. */
  dispose(): void {
    this.storage.release();
  }

  toString(): string {
    return printTensor(this);
  }
}

// Early releases of Node 20 lack Symbol.dispose, but they cannot run `using` either.
if (typeof Symbol.dispose === "symbol") {
  Object.defineProperty(Tensor.prototype, Symbol.dispose, { value: Tensor.prototype.dispose });
}

/** Makes console.log show a class's objects as text, in Node and Bun, and in Deno. @internal */
export function showAsText(prototype: object): void {
  for (const name of ["nodejs.util.inspect.custom", "Deno.customInspect"]) {
    const value = function (this: object): string {
      return this.toString();
    };
    Object.defineProperty(prototype, Symbol.for(name), { value, configurable: true, writable: true });
  }
}

showAsText(Tensor.prototype);

export interface Tensor {
  [Symbol.dispose](): void;
}

/** What turns a value into a tensor, for a message. @internal */
export function whatToDo(value: unknown): string {
  if (value instanceof Promise) return ": await it first";
  return Array.isArray(value) || ArrayBuffer.isView(value) ? ": wrap it in tensor()" : "";
}

/** Throws the error for anything but a tensor of this copy of the library. */
function refuse(op: string, value: unknown): never {
  if (!isForeign(value)) throw new DTypeError(`${op}: expected a tensor, got ${kindOf(value)}${whatToDo(value)}`);
  const { library = "another version" } = (value.storage ?? {}) as Partial<Storage>;
  throw new StateError(
    `${op}: expected a tensor of this copy of the library (${LIBRARY}), got one of ${library === LIBRARY ? "another copy of it" : library}: ` +
      "each copy has a memory of its own. Import one entry of one version; between copies pass data(), not tensors",
  );
}

/** Whether a value is a tensor of another copy of the library. */
function isForeign(value: unknown): value is Tensor {
  return (
    typeof value === "object" &&
    value !== null &&
    "storage" in value &&
    "dtype" in value &&
    !(value instanceof Tensor && value.storage instanceof Storage)
  );
}

/**
 * Checks an operand. Kernels take addresses, which mean nothing in another copy's memory.
 * @throws StateError for a tensor of another copy of the library; DTypeError for anything but a tensor
 */
export function checkTensor(op: string, value: unknown): asserts value is Tensor {
  if (!(value instanceof Tensor)) refuse(op, value);
}

/** Requires int32: classes, symbols, indices. @throws DTypeError */
export function checkInt32(op: string, name: string, x: Tensor): void {
  if (x.dtype === "int32") return;
  throw new DTypeError(`${op}: expected int32 ${name}, got ${x.dtype}: make them by tensor(values, { dtype: "int32" })`);
}

/** Checks a list of operands. @throws DTypeError for anything but an array of tensors; StateError for tensors of another copy */
export function checkTensors(op: string, name: string, values: unknown): asserts values is readonly Tensor[] {
  if (!Array.isArray(values)) throw new DTypeError(`${op}: expected ${name} to be an array of tensors, got ${quote(values)}`);
  for (const value of values) checkTensor(op, value);
}

/** A tensor without NaN and infinities: data that weights learn from. Reads every element. @throws ArgumentError */
export function checkFinite(op: string, name: string, t: Tensor): void {
  const values = t.data();
  const at = values.findIndex((v) => !Number.isFinite(v));
  if (at >= 0) throw new ArgumentError(`${op}: expected finite numbers in ${name} ${show(t.shape)}, got ${values[at]} at position ${at}`);
}

/** Refuses tensors of another copy of the library; accepts everything else. @throws StateError */
export function refuseForeign(op: string, value: unknown): void {
  if (isForeign(value)) refuse(op, value);
}

/** Numbers in arrays, one level for each axis. */
export type NestedArray = number | NestedArray[];

function nest(data: TypedArray, shape: Shape, axis: number, start: number): NestedArray {
  if (axis === shape.length) return data[start] as number;
  const step = sizeOf(shape.slice(axis + 1));
  return Array.from({ length: shape[axis] as number }, (_, i) => nest(data, shape, axis + 1, start + i * step));
}

/** Reads a view element by element. */
function gatherStrided(t: Tensor, out: TypedArray): void {
  if (t.size === 0) return;
  const last = t.strides.reduce((sum, s, i) => sum + s * ((t.shape[i] as number) - 1), 0);
  const source = view(t.dtype, t.ptr, last + 1);
  const index = new Array<number>(t.rank).fill(0);
  let at = 0;
  for (let i = 0; i < out.length; i++) {
    out[i] = source[at] as number;
    for (let axis = t.rank - 1; axis >= 0; axis--) {
      at += t.strides[axis] as number;
      index[axis] = (index[axis] as number) + 1;
      if ((index[axis] as number) < (t.shape[axis] as number)) break;
      at -= (t.strides[axis] as number) * (t.shape[axis] as number);
      index[axis] = 0;
    }
  }
}

/** A new tensor with arbitrary contents, for operations that write every element. */
export function empty(shape: Shape, dtype: DType = "float32"): Tensor {
  const size = checkShape("tensor", shape);
  return new Tensor(new Storage(size * widthOf(dtype)), dtype, shape, stridesOf(shape), 0, size);
}

export interface TensorOptions {
  readonly dtype?: DType;
  readonly requiresGrad?: boolean;
}

/**
 * Makes a tensor from a number, from nested arrays (rows may be typed arrays), or from a flat array and a `shape`.
 *
 * The dtype is the given one, else follows typed arrays among the data (Float64Array makes float64, integer
 * arrays including Uint8Array make int32), else is float32. bool stores 1 for everything but 0; int32 takes whole numbers only.
 * @throws ShapeError for ragged arrays or data that does not fill `shape`; DTypeError for values that are no numbers, or that the dtype cannot hold
 * @example tensor([[1, 2], [3, 4]]).shape // [2, 2]
 * @example tensor([Float32Array.of(1, 2), Float32Array.of(3, 4)]).shape // [2, 2]
 */
export function tensor(data: TensorData, options: TensorOptions & { readonly shape?: Shape } = {}): Tensor {
  checkOptions("tensor", options, ["dtype", "requiresGrad", "shape"]);
  const { values, dtype, shape: own } = readData("tensor", data, options.dtype);
  const { shape = own } = options;
  checkShape("tensor", shape);
  if (values.length !== sizeOf(shape)) {
    throw new ShapeError(`tensor: expected ${sizeOf(shape)} elements for shape ${show(shape)}, got ${values.length}`);
  }
  const held = heldValues("tensor", dtype, values);
  const t = empty(shape, dtype);
  hostView(t).set(held);
  if (options.requiresGrad) requireGrad(t);
  return t;
}

/** Marks a leaf that needs a gradient. @throws DTypeError for integers and masks */
export function requireGrad(t: Tensor): Tensor {
  checkTensor("requireGrad", t);
  if (!isFloat(t.dtype)) throw new DTypeError(`requireGrad: expected a float tensor, got ${t.dtype}`);
  if (t.node !== null) throw new StateError("requireGrad: expected a leaf, got the result of an operation");
  t.requiresGrad = true;
  return t;
}

/** A fresh tensor's elements, for JavaScript to write before any kernel uses them. If kernel calls are being recorded, they count as constants. */
export function hostView(t: Tensor): TypedArray {
  recording?.beforeWrite(t.storage);
  return view(t.dtype, t.ptr, t.size);
}

/** Overwrites a tensor's elements in place, outside the tape. */
export function assign(target: Tensor, source: Tensor | ArrayLike<number>): void {
  cannotReplay("writes values from the host");
  checkTensor("assign", target);
  if (typeof source !== "object" || source === null || !("length" in source)) checkTensor("assign", source);
  const flat = source instanceof Tensor ? source.data() : source;
  if (flat.length !== target.size)
    throw new ShapeError(`assign: expected ${target.size} elements for ${show(target.shape)}, got ${flat.length}`);
  if (!target.isContiguous) throw new ShapeError(`assign: expected a contiguous target, got strides ${show(target.strides)}`);
  writeValues("assign", target.dtype, view(target.dtype, target.ptr, target.size), flat);
  target.storage.noteWrite();
}

/** Visits every tensor that can be found in a result. */
export function forEachTensor(value: unknown, visit: (t: Tensor) => void): void {
  forEachPart(value, (part) => {
    if (!(part instanceof Tensor)) return true;
    visit(part);
    return false;
  });
}

function keepAll(t: Tensor, keep: (s: Storage) => void): void {
  keep(t.storage);
  if (t.grad !== null) keep(t.grad.storage);
  for (let dual = t.dual; dual !== null; dual = dual.primal.dual) keepAll(dual.tangent, keep);
}

/**
 * Runs `fn` and releases every tensor made inside, except those in its result: in arrays, maps, sets and fields of
 * objects of any kind, at any depth. It cannot see into closures and private fields: list those tensors in a method `[heldTensors]`,
 * or `keep` them.
 * @throws StateError when `fn` is asynchronous or a generator
 * @example const y = scope(() => add(mul(a, b), c)); // releases the product, keeps y
 */
export function scope<R>(fn: () => R): R {
  checkFunction("scope", "fn", fn);
  return withScope(
    () => finished("scope", fn()),
    (result, keep) => forEachTensor(result, (t) => keepAll(t, keep)),
  );
}

/** Keeps a tensor beyond its scope: parameters, optimiser state. */
export function keep<T extends Tensor>(t: T): T {
  checkTensor("keep", t);
  t.storage.pinned = true;
  return t;
}

/** Scratch memory for kernels, released with its scope like any tensor. */
export function scratch(bytes: number): number {
  return new Storage(bytes).ptr;
}

/** A copy of a tensor's raw bytes. */
export function bytesOf(t: Tensor): Uint8Array<ArrayBuffer> {
  checkTensor("bytesOf", t);
  if (!t.isContiguous) throw new ShapeError(`bytesOf: expected a contiguous tensor, got strides ${show(t.strides)}`);
  return view("bool", t.ptr, t.size * BYTES[t.dtype]).slice() as Uint8Array<ArrayBuffer>;
}
