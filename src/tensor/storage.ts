/**
 * Who owns the bytes of a tensor, and when they go.
 *
 * Inside a scope, what was allocated is released at its end, except what the scope returns.
 * Outside every scope, blocks are released when their tensors are collected.
 */

import { StateError } from "../base/errors.ts";
import type { Block, Heap } from "../wasm/heap.ts";
import { host, isDry } from "../wasm/host.ts";
import { recording } from "../wasm/recorder.ts";
import { unwatch, watch } from "./collected.ts";

/** How many storages were made so far. */
export let storageCount = 0;

/** How many times tensors that existed already were written to so far. */
export let writeCount = 0;

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
    this.#block = bytes === 0 ? null : this.heap.allocate(bytes);
    this.#ptr = this.#block?.ptr ?? 64;
    if (recording !== null) recording.blocks.push(this);
    made?.push(this);
    const scope = scopes[scopes.length - 1];
    if (scope === undefined) this.watch();
    else scope.push(this);
  }

  /** From now on the block is released when the storage is collected. */
  watch(): void {
    if (this.#block === null || this.watched) return;
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

  #absence(): Error {
    if (this.#withheld !== null) return this.#withheld.reason();
    return new StateError("tensor: expected a live tensor, got one whose scope has ended or that was disposed");
  }

  /** Says that elements of an existing tensor were written to: what was computed from them before has no derivative by them any more. */
  noteWrite(): void {
    if (!isDry()) this.lastWrite = ++writeCount;
  }

  /** Has every access fail with `reason`, until the memory is given back. */
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

/** Opens a scope; pair with `endScope`. */
export function beginScope(): void {
  scopes.push([]);
}

/** Closes the innermost scope: storages that `forEachKept` names move to the scope outside, the rest are released. */
export function endScope(forEachKept: (keep: (storage: Storage) => void) => void): void {
  const scope = scopes.pop();
  if (scope === undefined) throw new StateError("endScope: expected an open scope, got none");
  const mark = ++marks;
  forEachKept((storage) => {
    storage.mark = mark;
  });
  const outer = scopes[scopes.length - 1];
  for (const storage of scope) {
    if (storage.released) continue;
    if (storage.pinned) watchLater(storage);
    else if (storage.mark !== mark && recording === null) storage.release();
    else if (outer === undefined) storage.watch();
    else outer.push(storage);
  }
}
