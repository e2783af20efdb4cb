/**
 * Owns the bytes of tensors, and decides when they are released.
 *
 * Inside a scope, what was allocated is released at its end, except what the scope returns.
 * Outside every scope, blocks are released when their tensors are collected.
 */

import { MemoryLimitError, StateError } from "../base/errors.ts";
import { LIBRARY } from "../base/library.ts";
import type { Block, Heap } from "../wasm/heap.ts";
import { host, isDry } from "../wasm/host.ts";
import { recording } from "../wasm/recorder.ts";
import { unwatch, waitingBytes, watch } from "./collected.ts";

/** How many storages were made so far. */
export let storageCount = 0;

/** How many times tensors that existed already were written to so far. */
export let writeCount = 0;

/** The address of what has no bytes; those of all blocks lie above. */
export const NO_BYTES = 64;

/** A block of linear memory; tensors and their views share it. */
export class Storage {
  readonly bytes: number;
  /** Where the block goes back to, whatever host is running then. */
  readonly heap: Heap;
  readonly #block: Block | null;
  #ptr: number;
  /** Kept beyond the scope it was made in. */
  pinned = false;
  /** Number of the scope end that found this storage in its result. */
  mark = 0;
  /** Whether the registry knows this storage. */
  watched = false;
  /** Number of the last write to tensors that existed already; 0 for none. */
  lastWrite = 0;
  #withheld: { readonly ptr: number; readonly reason: () => Error } | null = null;
  /** Storages are numbered as they are made. */
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

  /** From now on the block is released when the storage is collected. */
  watch(): void {
    // What a dry run makes it releases itself.
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

  /** The copy of the library in whose memory the block lies. */
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

  /** Notes that elements of an existing tensor were overwritten: earlier results can no longer be differentiated with respect to them. */
  noteWrite(): void {
    if (!isDry()) this.lastWrite = ++writeCount;
  }

  /** Makes every access fail with `reason`, until the memory is given back. */
  withhold(reason: () => Error): void {
    this.#withheld = { ptr: this.#ptr, reason };
    this.#ptr = 0;
  }

  giveBack(): void {
    this.#ptr = this.#withheld?.ptr ?? this.#ptr;
    this.#withheld = null;
  }

  release(): void {
    // Addresses stay unique while kernel calls are recorded; the scope around the recording releases.
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

/** Says so when most of what is live may be dead: the collector works between turns of the event loop only. */
function advised(error: MemoryLimitError, { liveBytes }: Heap): MemoryLimitError {
  const waiting = waitingBytes();
  if (waiting < liveBytes / 2) return error;
  const advice = `${waiting} bytes wait for the garbage collector, which has its turn between tasks; scope(() => …) releases at once`;
  return new MemoryLimitError(`${error.message}; ${advice}`, { cause: error });
}

/** Small storages that have outlived their scope and wait to be watched: gradients are mostly released by hand before it comes to that. */
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

/** Runs `fn` and then releases every storage made meanwhile, pinned or not. */
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
 * Runs `fn` in a scope of its own: at its end, storages that `forEachKept` names for its result move to the scope outside, the
 * rest are released; all of them if either throws.
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
 * Runs `fn` in a scope of its own. Where `fn` calls `release`, its storages are released at the end; otherwise, and where it throws
 * before that, they move to the scope outside as if there had been none.
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

/** Where a storage goes at the end of its scope. */
function settle(storage: Storage, kept: boolean, outer: Storage[] | undefined): void {
  if (storage.released) return;
  if (storage.pinned) watchLater(storage);
  else if (!kept && recording === null) storage.release();
  else if (outer === undefined) storage.watch();
  else outer.push(storage);
}
