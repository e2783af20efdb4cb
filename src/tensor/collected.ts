/**
 * Releases the blocks of storages that were collected, and has the host collect in time.
 *
 * To a host's collector a storage is an object of some hundred bytes: by itself it would not look for dead ones before
 * linear memory is full. So it is shown what waits for it: for every few MiB that no scope will release, an ArrayBuffer of
 * that size is held, which hosts count and no one touches. Once a collection has been, they are let go.
 */

import type { Block, Heap } from "../wasm/heap.ts";

/** A block, and where it goes back to, whatever host is running then. */
export interface Held {
  readonly heap: Heap;
  readonly block: Block;
}

const MIB = 2 ** 20;
/** How much of linear memory may wait for the collector: at most this, and a quarter of a memory limit. */
const MOST_WAITING = 64 * MIB;
/** V8 collects when this much has come outside of its own heap since the last time. */
const PRESSURE = 64 * MIB;
/** Ballast comes in pieces of at least this. */
const PIECE = 8 * MIB;
/** More than this does not help: the host has collected, and only its event loop can tell. */
const MOST_BALLAST = 4 * PRESSURE;

/** Bytes that wait for a collection: watched since the last one, and not released by hand. */
let waiting = 0;
let ballast: ArrayBuffer[] = [];
let ballastBytes = 0;
/** Whether an object is registered only to tell of the next collection. */
let listening = false;

/** Hosts commit resizable buffers page by page, so untouched ones cost nothing. Older hosts ignore the option. */
const Resizable = ArrayBuffer as new (bytes: number, options: { readonly maxByteLength: number }) => ArrayBuffer;

let registry: FinalizationRegistry<Held | null> | null = null;

/** Has a block released when its owner is collected, on hosts that tell (Workers do since compatibility date 2025-05-05). */
export function watch(owner: WeakKey, held: Held): void {
  if (typeof FinalizationRegistry !== "function") return;
  registry ??= new FinalizationRegistry(collected);
  registry.register(owner, held, owner);
  waiting += held.block.bytes;
  press(held.heap.limit);
}

/** For an owner whose block was released by hand. */
export function unwatch(owner: WeakKey, bytes: number): void {
  registry?.unregister(owner);
  waiting = Math.max(0, waiting - bytes);
}

function collected(held: Held | null): void {
  if (held !== null) {
    held.heap.release(held.block);
    return;
  }
  waiting = 0;
  ballast = [];
  ballastBytes = 0;
  listening = false;
}

function press(limit: number): void {
  const due = waiting * (PRESSURE / Math.min(MOST_WAITING, limit / 4)) - ballastBytes;
  if (due < PIECE || ballastBytes >= MOST_BALLAST) return;
  if (!listening) registry?.register({}, null);
  listening = true;
  const bytes = Math.ceil(Math.min(due, MOST_BALLAST - ballastBytes));
  ballastBytes += bytes;
  try {
    ballast.push(new Resizable(bytes, { maxByteLength: bytes }));
  } catch {
    // A host that has no room for it will collect without.
  }
}

/** How many bytes of live blocks only the collector will release. */
export function waitingBytes(): number {
  return waiting;
}
