/**
 * Owns the bytes of tensors and decides when to release them.
 *
 * A scope releases at its end what was allocated inside, except for its result.
 * Outside of scopes, blocks are released when their tensors are garbage-collected.
 */

import { MemoryLimitError, StateError } from "../base/errors.ts";
import { LIBRARY } from "../base/library.ts";
import type { Block, Heap } from "../wasm/heap.ts";
import { host, isDry } from "../wasm/host.ts";
import { recording } from "../wasm/recorder.ts";
import { unwatch, waitingBytes, watch } from "./collected.ts";

/** Number of storages made so far. */
export let storageCount = 0;

/** Number of writes to existing tensors so far. */
export let writeCount = 0;

/** The address of tensors without bytes; blocks have higher addresses. */
export const NO_BYTES = 64;

/** A block of linear memory; tensors and their views share it. */
export class Storage {
  readonly bytes: number;
  /** The heap to which the block returns, whichever host runs by then. */
  readonly heap: Heap;
  readonly #block: Block | null;
  #ptr: number;
  /** Whether it outlives the scope in which it was made. */
  pinned = false;
  /** Number of the last scope end that found this storage in the scope's result. */
  mark = 0;
  /** Whether the finalization registry watches this storage. */
  watched = false;
  /** Number of the last write to this storage, as `writeCount` counts them; 0 for none. */
  lastWrite = 0;
  #withheld: { readonly ptr: number; readonly reason: () => Error } | null = null;
  /** Storages are numbered in order of creation. */
  readonly serial: number = ++storageCount;

  constructor(bytes: number) {
    this.bytes = bytes;
    this.heap = host().heap;
    this.#block = bytes === 0 ? null : allocate(this.heap, bytes);
    this.#ptr = this.#block?.ptr ?? NO_BYTES;
    if (recording !== null) recording.blocks.push(this);
    made?.push(this);
    const scope = scopes[scopes.length - 1];
    if (scope === undefined) this.watch();
    else scope.push(this);
  }

  /** Releases the block once the storage is garbage-collected. */
  watch(): void {
    // A dry run releases what it made itself.
    if (this.#block === null || this.watched || made !== null) return;
    this.watched = true;
    watch(this, { heap: this.heap, block: this.#block });
  }

  /** Address in linear memory. @throws StateError once released */
  get ptr(): number {
    if (this.#ptr === 0) throw this.#absence();
    return this.#ptr;
  }

  get released(): boolean {
    return this.#ptr === 0 && this.#withheld === null;
  }

  /** The copy of the library that owns the block's memory. */
  get library(): string {
    return LIBRARY;
  }

  #absence(): Error {
    if (this.#withheld !== null) return this.#withheld.reason();
    return new StateError(
      "tensor: expected a live tensor, got one that was disposed or whose scope has ended " +
        "(a scope keeps what its result shows; what closures and private fields hold needs keep(tensor), or a method [heldTensors])",
    );
  }

  /** Notes a write to an existing tensor: earlier results can no longer be differentiated where a rule needs the old values. */
  noteWrite(): void {
    if (!isDry()) this.lastWrite = ++writeCount;
  }

  /** Makes every access fail with `reason` until `giveBack`. */
  withhold(reason: () => Error): void {
    this.#withheld = { ptr: this.#ptr, reason };
    this.#ptr = 0;
  }

  giveBack(): void {
    this.#ptr = this.#withheld?.ptr ?? this.#ptr;
    this.#withheld = null;
  }

  release(): void {
    // While kernel calls are recorded, addresses must stay unique; the scope around the recording releases the block.
    if (this.#ptr === 0 || recording !== null) return;
    if (this.#block !== null) this.heap.release(this.#block);
    this.#ptr = 0;
    if (this.watched) unwatch(this, this.bytes);
  }
}

function allocate(heap: Heap, bytes: number): Block {
  try {
    return heap.allocate(bytes);
  } catch (error) {
    throw error instanceof MemoryLimitError ? advised(error, heap) : error;
  }
}

/** Adds advice when most of what is live may be dead: the collector reports only between turns of the event loop. */
function advised(error: MemoryLimitError, { liveBytes }: Heap): MemoryLimitError {
  const waiting = waitingBytes();
  if (waiting < liveBytes / 2) return error;
  const advice = `${waiting} bytes wait for the garbage collector, which has its turn between tasks; scope(() => …) releases at once`;
  return new MemoryLimitError(`${error.message}; ${advice}`, { cause: error });
}

/** Small storages that have outlived their scope and are not watched yet: most are gradients, which are released by hand first. */
let waiting: Storage[] = [];
const WAITING = 64;
const SMALL_BYTES = 4096;

function watchLater(storage: Storage): void {
  if (storage.bytes > SMALL_BYTES) {
    storage.watch();
    return;
  }
  waiting.push(storage);
  if (waiting.length < WAITING) return;
  const due = waiting;
  waiting = [];
  for (const s of due) if (!s.released) s.watch();
}

let made: Storage[] | null = null;

/** Runs `fn`, then releases every storage made meanwhile, even pinned ones. */
export function releasingAll(fn: () => void): void {
  const mine: Storage[] = [];
  made = mine;
  try {
    fn();
  } finally {
    made = null;
    for (const storage of mine) storage.release();
  }
}

const scopes: Storage[][] = [];
let marks = 0;

/**
 * Runs `fn` in a scope of its own. At its end, storages that `forEachKept` finds in the result move to the outer scope; the
 * rest are released, or all if either function throws.
 */
export function withScope<R>(fn: () => R, forEachKept: (result: R, keep: (storage: Storage) => void) => void): R {
  const mark = ++marks;
  let done = false;
  const run = (): R => {
    const result = fn();
    forEachKept(result, (storage) => {
      storage.mark = mark;
    });
    done = true;
    return result;
  };
  return inScope(run, (storage) => done && storage.mark === mark);
}

/**
 * Runs `fn` in a scope of its own. If `fn` calls `release`, its storages are released at the end. If not, or if it throws
 * first, they move to the outer scope, as if there had been no scope.
 */
export function withTrialScope<R>(fn: (release: () => void) => R): R {
  let kept = true;
  const release = (): void => {
    kept = false;
  };
  return inScope(
    () => fn(release),
    () => kept,
  );
}

function inScope<R>(fn: () => R, isKept: (storage: Storage) => boolean): R {
  const scope: Storage[] = [];
  scopes.push(scope);
  try {
    return fn();
  } finally {
    scopes.pop();
    const outer = scopes[scopes.length - 1];
    for (const storage of scope) settle(storage, isKept(storage), outer);
  }
}

/** Releases a storage at the end of its scope, or moves it to the outer one. */
function settle(storage: Storage, kept: boolean, outer: Storage[] | undefined): void {
  if (storage.released) return;
  if (storage.pinned) watchLater(storage);
  else if (!kept && recording === null) storage.release();
  else if (outer === undefined) storage.watch();
  else outer.push(storage);
}
