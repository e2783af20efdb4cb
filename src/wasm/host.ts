/**
 * The host of the kernels: instantiation, linear memory and its views, and the one function
 * through which every kernel is called.
 *
 * Importing does nothing: the first use instantiates the module synchronously, unless `ready` did so before.
 */

import { arrayOf, BYTES, type DType, type TypedArray } from "../base/dtype.ts";
import { ArgumentError, DTypeError, MemoryLimitError, StateError } from "../base/errors.ts";
import { HAS_FLOAT64, LIBRARY } from "../base/library.ts";
import { defaultKernels } from "./binary.ts";
import { Heap, MOST_BYTES } from "./heap.ts";
import { type Kernel, philox } from "./kernels.gen.ts";
import { instantiate, instantiateSync, type KernelExports, type KernelSource } from "./loader.ts";
import { cannotReplay, recording } from "./recorder.ts";

/** Number of 8-byte slots from which kernels read their arguments. */
export const ARGUMENT_SLOTS = 64;

/** What runs kernels and holds their memory. */
interface Host {
  readonly heap: Heap;
  /** Where kernels find their arguments. */
  readonly argsPtr: number;
  /** All of memory as 8-byte slots. */
  readonly f64: Float64Array;
  readonly run: (id: number, args: number) => void;
  view(dtype: DType, ptr: number, length: number): TypedArray;
  read(dtype: DType, ptr: number): number;
}

class WasmHost implements Host {
  readonly heap: Heap;
  readonly argsPtr: number;
  /** Threads replace these two: the same addresses in a memory that is shared, and kernels over it. */
  run: (id: number, args: number) => void;
  memory: WebAssembly.Memory;
  #u8!: Uint8Array;
  #i32!: Int32Array;
  #f32!: Float32Array;
  f64!: Float64Array;

  constructor({ memory, run, heapBase }: KernelExports, limit: number) {
    const { byteLength } = memory.buffer;
    if (byteLength > limit) {
      throw new MemoryLimitError(`memory: expected a limit of at least the ${byteLength} bytes to start with, got ${limit}`);
    }
    this.memory = memory;
    this.run = run;
    this.argsPtr = (heapBase() + 63) & ~63;
    this.heap = new Heap(this.argsPtr + 8 * ARGUMENT_SLOTS, byteLength, Math.min(limit, MOST_BYTES), (bytes) => this.#grow(bytes));
    this.refresh();
  }

  /** Makes new views after the memory has grown, which detaches the old ones. */
  refresh(): void {
    const { buffer } = this.memory;
    this.#u8 = new Uint8Array(buffer);
    this.#i32 = new Int32Array(buffer);
    this.#f32 = new Float32Array(buffer);
    this.f64 = new Float64Array(buffer);
  }

  view(dtype: DType, ptr: number, length: number): TypedArray {
    const start = ptr / BYTES[dtype];
    if (dtype === "float32") return this.#f32.subarray(start, start + length);
    if (dtype === "float64") return this.f64.subarray(start, start + length);
    if (dtype === "int32") return this.#i32.subarray(start, start + length);
    return this.#u8.subarray(start, start + length);
  }

  read(dtype: DType, ptr: number): number {
    if (dtype === "float32") return this.#f32[ptr >>> 2] as number;
    if (dtype === "float64") return this.f64[ptr >>> 3] as number;
    if (dtype === "int32") return this.#i32[ptr >>> 2] as number;
    return this.#u8[ptr >>> 0] as number;
  }

  #grow(bytes: number): number {
    const pages = Math.ceil(bytes / 65536);
    try {
      this.memory.grow(pages);
    } catch (cause) {
      throw new MemoryLimitError(
        `memory: expected room for ${bytes} more bytes, got a host that refuses (live: ${this.heap.liveBytes} bytes)`,
        { cause },
      );
    }
    this.refresh();
    return this.memory.buffer.byteLength;
  }
}

/** Addresses of a dry run lie above every real address. */
const DRY_START = 2 ** 40;

/** Counts bytes without computing: memory is endless and empty, kernels do nothing. Real memory can be read, not written. */
class DryHost implements Host {
  readonly heap: Heap = new Heap(DRY_START, DRY_START, Number.POSITIVE_INFINITY, (bytes) => this.heap.end + bytes);
  readonly argsPtr = 0;
  readonly f64: Float64Array = new Float64Array(ARGUMENT_SLOTS);
  /** Restores what the dry run changed outside. */
  readonly undo: (() => void)[] = [];
  readonly #real: Host;

  constructor(real: Host) {
    this.#real = real;
  }

  readonly run = (): void => undefined;

  view(dtype: DType, ptr: number, length: number): TypedArray {
    return ptr < DRY_START ? this.#real.view(dtype, ptr, length).slice() : arrayOf(dtype, length);
  }

  read(dtype: DType, ptr: number): number {
    return ptr < DRY_START ? this.#real.read(dtype, ptr) : 0;
  }
}

/** The host that computes. */
let real: WasmHost | null = null;
/** The host in use: `real`, except during a dry run. */
let current: Host | null = null;
let limit = Number.POSITIVE_INFINITY;

/** The running host, made on first use. */
export function host(): Host {
  return current ?? use(instantiateSync(defaultKernels()));
}

/** Whether a view made by `view` still shows the memory: it has neither grown nor been replaced. */
export function isCurrent({ buffer }: TypedArray): boolean {
  return real?.f64.buffer === buffer;
}

/** The host that computes, for whoever replaces its memory. @internal */
export function realHost(): WasmHost {
  host();
  return real as WasmHost;
}

function use(kernels: KernelExports): Host {
  real = new WasmHost(kernels, limit);
  current = real;
  return real;
}

/** @throws StateError while tensors live, since their bytes are in the old kernels' memory */
function checkUnused(op: string): void {
  if (current instanceof DryHost) throw new StateError(`${op}: expected no dry run in progress, got one`);
  if (current === null || current.heap.liveBytes === 0) return;
  throw new StateError(`${op}: expected to run before the first tensor, got ${current.heap.liveBytes} live bytes`);
}

/**
 * Runs the library on another build of the kernels: the relaxed one, or a module that the host has compiled.
 * @throws StateError while tensors live, and if the host does not let the kernels run: the message says what to allow
 * @throws FormatError for bytes or a module other than this version's kernels, and for the kernels of another entry
 */
export function init(source: KernelSource): void {
  checkUnused("init");
  use(instantiateSync(source));
}

/**
 * Loads the kernels without blocking the thread; afterwards everything is synchronous. Needed only where a page may not
 * compile a module of their size synchronously (Chrome before 115), or to fetch the kernels. A second call does nothing
 * unless it brings other kernels.
 * @param source another build, or a response with it (compiled while it downloads); by default the embedded kernels
 * @throws StateError, FormatError as `init` does
 *
 * @example
 * import { LSTM, ready } from "tapeloop";
 * await ready();
 * const lstm = new LSTM({ inputSize: 4, hiddenSize: 8 });
 */
export async function ready(source?: KernelSource | Response | PromiseLike<KernelSource | Response>): Promise<void> {
  if (source === undefined && current !== null) return;
  const kernels = await instantiate((await source) ?? defaultKernels());
  // Another call, or the first tensor, may have been faster.
  if (source === undefined && current !== null) return;
  checkUnused("ready");
  use(kernels);
}

/**
 * Refuses float64 in the small entry, which can store and read such tensors but not compute with them. Call it before
 * allocating a result.
 * @throws DTypeError
 */
export function checkComputable(op: string, dtype: DType): void {
  if (HAS_FLOAT64 || dtype !== "float64") return;
  throw new DTypeError(`${op}: expected float32, the only float dtype that ${LIBRARY} computes in, got ${dtype}`);
}

function float64Of(kernel: number): number {
  checkComputable("call", "float64");
  return kernel + 1;
}

/**
 * Calls a kernel. Its arguments are numbers in memory slots, so a call can be recorded and replayed.
 * float64 runs the kernel's f64 instance, every other dtype its f32 instance.
 */
export function call<A extends readonly number[]>(kernel: Kernel<A>, dtype: DType, ...args: A): void {
  const id = dtype === "float64" ? float64Of(kernel) : kernel;
  if (recording !== null && id === philox) cannotReplay("draws random numbers");
  if (recording === null) runKernel(id, args);
  else recording.calls.push({ id, args });
}

/** Runs a kernel, whether calls are recorded or not. */
export function runKernel(id: number, args: readonly number[]): void {
  const h = current ?? host();
  const base = h.argsPtr >>> 3;
  const slots = h.f64;
  for (let i = 0; i < args.length; i++) slots[base + i] = args[i] as number;
  h.run(id, h.argsPtr);
}

/** Runs a kernel whose arguments are in slots at an address of their own. */
export function runAt(kernel: number, args: number): void {
  (current as Host).run(kernel, args);
}

/** Runs `fn` with kernels that do nothing and memory that is only counted; `fn` receives that heap. Dry runs do not nest. */
export function withoutKernels(fn: (heap: Heap) => void): void {
  const before = host();
  if (before instanceof DryHost) throw new StateError("dryRun: expected no dry run in progress, got one");
  const dry = new DryHost(before);
  current = dry;
  try {
    fn(dry.heap);
  } finally {
    current = before;
    for (const undo of dry.undo) undo();
  }
}

/** Calls `undo` when the current dry run ends; does nothing outside one. */
export function afterDryRun(undo: () => void): void {
  if (current instanceof DryHost) current.undo.push(undo);
}

/** Whether a dry run is in progress. */
export function isDry(): boolean {
  return current instanceof DryHost;
}

/** A typed view of linear memory; valid until the next allocation. */
export function view(dtype: DType, ptr: number, length: number): TypedArray {
  recording?.beforeRead(ptr, "reads values on the host");
  return (current ?? host()).view(dtype, ptr, length);
}

/** The number at an address. */
export function read(dtype: DType, ptr: number): number {
  recording?.beforeRead(ptr, "reads a value on the host");
  return (current ?? host()).read(dtype, ptr);
}

/** What the library's memory holds. */
export interface MemoryInfo {
  /** Bytes held by live tensors. */
  readonly liveBytes: number;
  /** Largest `liveBytes` so far. */
  readonly peakBytes: number;
  /** Size of the linear memory. */
  readonly linearBytes: number;
  /** Number of live blocks. */
  readonly blocks: number;
}

/** The memory that tensors of this copy of the library hold now. */
export function memory(): MemoryInfo {
  const { heap } = host();
  return { liveBytes: heap.liveBytes, peakBytes: heap.peakBytes, linearBytes: heap.end, blocks: heap.blocks };
}

/**
 * Limits the linear memory, in bytes; an allocation beyond throws a MemoryLimitError.
 * @throws ArgumentError for anything but a positive number, and for less than the present size (memory cannot shrink)
 */
export function setMemoryLimit(bytes: number): void {
  if (!(typeof bytes === "number" && bytes > 0)) {
    throw new ArgumentError(`setMemoryLimit: expected a positive number of bytes, got ${String(bytes)}`);
  }
  const has = real?.heap.end ?? 0;
  if (bytes < has) throw new ArgumentError(`setMemoryLimit: expected at least the ${has} bytes the memory has already, got ${bytes}`);
  limit = bytes;
  if (real !== null) real.heap.limit = Math.min(bytes, MOST_BYTES);
}
