/**
 * Releases the blocks of collected storages, and makes the host's collector run in time.
 *
 * The host's collector sees a storage as an object of about a hundred bytes, so on its own it would not run before
 * linear memory is full. To press it, we hold ballast: for every few MiB that no scope will release, an ArrayBuffer of
 * that size, which hosts count and nobody touches. After a collection the ballast is dropped.
 */

import type { Block, Heap } from "../wasm/heap.ts";

/** A block, and the heap to which it returns, whichever host runs by then. */
export interface Held {
  readonly heap: Heap;
  readonly block: Block;
}

const MIB = 2 ** 20;
/** Most linear memory that may wait for the collector: this, or a quarter of the memory limit if that is less. */
const MOST_WAITING = 64 * MIB;
/** V8 collects when its external memory has grown by this much since the last collection. */
const PRESSURE = 64 * MIB;
/** Smallest piece of ballast. */
const PIECE = 8 * MIB;
/** Most ballast. More does not help: by then the host has collected, but can report it only between turns of its event loop. */
const MOST_BALLAST = 4 * PRESSURE;

/** Bytes waiting for a collection: watched since the last one and not released by hand. */
let waiting = 0;
let ballast: ArrayBuffer[] = [];
let ballastBytes = 0;
/** Whether an object is registered whose only purpose is to report the next collection. */
let listening = false;

/** Hosts commit resizable buffers page by page, so untouched ones cost nothing. Older hosts ignore the option. */
const Resizable = ArrayBuffer as new (bytes: number, options: { readonly maxByteLength: number }) => ArrayBuffer;

let registry: FinalizationRegistry<Held | null> | null = null;

/** Releases a block when its owner is collected, on hosts that report it (Workers do since compatibility date 2025-05-05). */
export function watch(owner: WeakKey, held: Held): void {
  if (typeof FinalizationRegistry !== "function") return;
  registry ??= new FinalizationRegistry(collected);
  registry.register(owner, held, owner);
  waiting += held.block.bytes;
  press(held.heap.limit);
}

/** Stops watching an owner whose block was released by hand. */
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
    // A host without room for the ballast will collect anyway.
  }
}

/** Bytes of live blocks that only the collector will release. */
export function waitingBytes(): number {
  return waiting;
}
