/**
 * The host of the kernels: instantiation, linear memory and its views, and the one function
 * through which every kernel is called.
 *
 * Nothing happens at import: the module is instantiated on first use, synchronously.
 */

import { BYTES, type DType } from "../tensor/dtype.ts";
import { MemoryLimitError, StateError } from "../tensor/errors.ts";
import { defaultModule } from "./binary.ts";
import { Heap } from "./heap.ts";
import { type Kernel, philox } from "./kernels.gen.ts";
import { instantiateSync } from "./loader.ts";
import { cannotReplay, recording } from "./recorder.ts";

interface KernelExports {
  readonly memory: WebAssembly.Memory;
  run(id: number, args: number): void;
  heapBase(): number;
}

/** Kernels read their arguments from this many 8-byte slots. */
export const ARGUMENT_SLOTS = 64;

class Host {
  readonly heap: Heap;
  readonly argsPtr: number;
  readonly run: (id: number, args: number) => void;
  #memory: WebAssembly.Memory;
  u8!: Uint8Array;
  i32!: Int32Array;
  f32!: Float32Array;
  f64!: Float64Array;

  constructor(module: WebAssembly.Module, limit: number) {
    const { memory, run, heapBase } = instantiateSync(module, {}).exports as unknown as KernelExports;
    this.#memory = memory;
    this.run = run;
    this.argsPtr = (heapBase() + 63) & ~63;
    this.heap = new Heap(this.argsPtr + 8 * ARGUMENT_SLOTS, memory.buffer.byteLength, limit, (bytes) => this.#grow(bytes));
    this.refresh();
  }

  /** Takes new views after the memory grew: the old ones are detached. */
  refresh(): void {
    const { buffer } = this.#memory;
    this.u8 = new Uint8Array(buffer);
    this.i32 = new Int32Array(buffer);
    this.f32 = new Float32Array(buffer);
    this.f64 = new Float64Array(buffer);
  }

  #grow(bytes: number): number {
    const pages = Math.ceil(bytes / 65536);
    try {
      this.#memory.grow(pages);
    } catch (cause) {
      throw new MemoryLimitError(
        `memory: expected room for ${bytes} more bytes, got a host that refuses (live: ${this.heap.liveBytes} bytes)`,
        { cause },
      );
    }
    this.refresh();
    return this.#memory.buffer.byteLength;
  }
}

let current: Host | null = null;
let limit = Number.POSITIVE_INFINITY;

/** The running host, made on first use. */
export function host(): Host {
  if (current === null) current = new Host(defaultModule(), limit);
  return current;
}

/**
 * Runs the library on another build of the kernels (the relaxed one, or a module the host compiled itself).
 * @throws StateError while tensors live: their bytes are in the old kernels' memory.
 */
export function init(source: WebAssembly.Module | BufferSource): void {
  if (current !== null && current.heap.liveBytes > 0) {
    throw new StateError(`init: expected to run before the first tensor, got ${current.heap.liveBytes} live bytes`);
  }
  const module = source instanceof WebAssembly.Module ? source : new WebAssembly.Module(source);
  current = new Host(module, limit);
}

/**
 * Calls one kernel. The arguments are numbers in memory slots, so that a call can be recorded and replayed.
 * float64 runs the kernel's f64 instance, every other dtype its f32 instance.
 */
export function call<A extends readonly number[]>(kernel: Kernel<A>, dtype: DType, ...args: A): void {
  const h = current ?? host();
  const base = h.argsPtr >>> 3;
  const slots = h.f64;
  for (let i = 0; i < args.length; i++) slots[base + i] = args[i] as number;
  const id = kernel + (dtype === "float64" ? 1 : 0);
  if (recording !== null) {
    recording.calls.push({ id, args });
    if (id === philox) cannotReplay("draws random numbers");
  }
  h.run(id, h.argsPtr);
}

/** A typed view of linear memory; valid until the next allocation. */
export function view(dtype: DType, ptr: number, length: number): Float32Array | Float64Array | Int32Array | Uint8Array {
  const h = host();
  const start = ptr / BYTES[dtype];
  if (dtype === "float32") return h.f32.subarray(start, start + length);
  if (dtype === "float64") return h.f64.subarray(start, start + length);
  if (dtype === "int32") return h.i32.subarray(start, start + length);
  return h.u8.subarray(start, start + length);
}

export interface MemoryInfo {
  /** Bytes held by live tensors. */
  readonly liveBytes: number;
  /** Most bytes ever live at once. */
  readonly peakBytes: number;
  /** Size of the linear memory. */
  readonly linearBytes: number;
  /** Live blocks. */
  readonly blocks: number;
}

/** What the tensors of this module hold at the moment. */
export function memory(): MemoryInfo {
  const { heap } = host();
  return { liveBytes: heap.liveBytes, peakBytes: heap.peakBytes, linearBytes: heap.end, blocks: heap.blocks };
}

/** Limits the linear memory, in bytes; passing it throws a MemoryLimitError. */
export function setMemoryLimit(bytes: number): void {
  if (!(bytes > 0)) throw new MemoryLimitError(`setMemoryLimit: expected a positive number of bytes, got ${bytes}`);
  limit = bytes;
  if (current !== null) current.heap.limit = bytes;
}
