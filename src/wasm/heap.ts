/**
 * The allocator of linear memory. It keeps its books in JavaScript, none in the memory itself.
 *
 * Sizes and addresses of blocks are multiples of 64 bytes. A small block that is released waits in a list of its size
 * for the next request of that size, so a training step that repeats itself neither searches nor splits. Larger blocks
 * merge with their free neighbours at once; a request takes the best fit and leaves the rest. Before the memory grows,
 * the small blocks merge too, so released memory can always become one piece again.
 */

import { MemoryLimitError, ShapeError } from "../base/errors.ts";

const UNIT_BITS = 6;
const UNIT = 1 << UNIT_BITS;
/** Linear memory grows by pages. */
const PAGE = 65536;
/** The range of 32-bit addresses less a page: the end of the last block must not wrap around to 0. */
export const MOST_BYTES: number = 2 ** 32 - PAGE;
/** Memory grows by at least this and by an eighth of its size: few growths, little slack. */
const MIN_GROWTH = 1 << 20;
/** Released blocks up to this size wait unmerged. */
const SMALL_BYTES = 32768;

/** A stretch of memory, live or free, linked to its neighbours. */
export class Block {
  ptr: number;
  bytes: number;
  live = true;
  /** Whether it is in a bin, and so may be split and merged. */
  free = false;
  /** Neighbours by address. */
  before: Block | null;
  after: Block | null = null;
  /** Neighbours in the bin. */
  previous: Block | null = null;
  next: Block | null = null;

  constructor(ptr: number, bytes: number, before: Block | null) {
    this.ptr = ptr;
    this.bytes = bytes;
    this.before = before;
  }
}

/** Sizes up to 32 units have a bin each; beyond, each octave has sixteen bins. */
function binOf(bytes: number): number {
  const units = Math.min(bytes / UNIT, 2 ** 31 - 1);
  if (units < 32) return units;
  const shift = 27 - Math.clz32(units);
  return 16 * shift + (units >>> shift);
}

const BINS = binOf(Number.POSITIVE_INFINITY) + 1;

export class Heap {
  liveBytes = 0;
  peakBytes = 0;
  blocks = 0;
  limit: number;
  /** End of the linear memory. */
  end: number;
  /** End of the last block; the memory beyond is in no bin. */
  #top: number;
  #highestTop: number;
  #last: Block | null = null;
  readonly #start: number;
  readonly #grow: (bytes: number) => number;
  /** Small blocks waiting for reuse, by size in units. */
  readonly #waiting: readonly Block[][] = Array.from({ length: SMALL_BYTES / UNIT + 1 }, () => []);
  #waitingBlocks = 0;
  readonly #bins: (Block | null)[] = new Array(BINS).fill(null);
  /** A bit for each bin that is not empty. */
  readonly #filled: Int32Array = new Int32Array(BINS / 32);

  /** @param grow extends the memory by at least this many bytes and returns its new end; throws if it cannot */
  constructor(start: number, end: number, limit: number, grow: (bytes: number) => number) {
    this.#start = Math.ceil(start / UNIT) * UNIT;
    this.#top = this.#start;
    this.#highestTop = this.#start;
    this.end = end;
    this.limit = limit;
    this.#grow = grow;
  }

  /** Bytes from the first block to the farthest end any block has had. */
  get reach(): number {
    return this.#highestTop - this.#start;
  }

  /**
   * A block of at least `bytes`; its contents are not cleared.
   * @throws ShapeError for anything but a number of bytes, MemoryLimitError; both leave everything unchanged
   */
  allocate(bytes: number): Block {
    const size = rounded(bytes);
    const block = this.#takeWaiting(size) ?? this.#find(size);
    block.live = true;
    this.liveBytes += block.bytes;
    if (this.liveBytes > this.peakBytes) this.peakBytes = this.liveBytes;
    this.blocks++;
    return block;
  }

  /** Takes a block back; a second release of the same block does nothing. */
  release(block: Block): void {
    if (!block.live) return;
    block.live = false;
    this.liveBytes -= block.bytes;
    this.blocks--;
    if (block.bytes > SMALL_BYTES) {
      this.#merge(block);
    } else {
      (this.#waiting[block.bytes >>> UNIT_BITS] as Block[]).push(block);
      this.#waitingBlocks++;
    }
  }

  #takeWaiting(size: number): Block | undefined {
    if (size > SMALL_BYTES) return undefined;
    const block = (this.#waiting[size >>> UNIT_BITS] as Block[]).pop();
    if (block !== undefined) this.#waitingBlocks--;
    return block;
  }

  #find(size: number): Block {
    let found = this.#fit(size);
    if (found === null && this.#top + size > this.end && this.#waitingBlocks > 0) {
      this.#mergeWaiting();
      found = this.#fit(size);
    }
    return found === null ? this.#extend(size) : this.#cut(found, size);
  }

  /** The smallest sufficient block in the bin for this size, or any block of the next filled bin. */
  #fit(size: number): Block | null {
    const own = binOf(size);
    let best: Block | null = null;
    for (let block = this.#bins[own] as Block | null; block !== null; block = block.next) {
      if (block.bytes === size) return block;
      if (block.bytes > size && (best === null || block.bytes < best.bytes)) best = block;
    }
    return best ?? this.#bins[this.#filledAfter(own)] ?? null;
  }

  /** The next filled bin after this one; −1 if there is none. */
  #filledAfter(bin: number): number {
    for (let word = (bin + 1) >>> 5, mask = -1 << (bin + 1); word < this.#filled.length; word++, mask = -1) {
      const bits = (this.#filled[word] as number) & mask;
      if (bits !== 0) return 32 * word + 31 - Math.clz32(bits & -bits);
    }
    return -1;
  }

  /** Takes a block out of its bin and puts back what exceeds the size. */
  #cut(block: Block, size: number): Block {
    this.#remove(block);
    if (block.bytes > size) {
      const rest = new Block(block.ptr + size, block.bytes - size, block);
      rest.live = false;
      link(rest, block.after);
      block.after = rest;
      block.bytes = size;
      this.#insert(rest);
    }
    return block;
  }

  /** Merges a released block with its free neighbours, or with the unused end of the memory. */
  #merge(released: Block): void {
    let block = released;
    if (block.after?.free) this.#swallow(block, block.after);
    if (block.before?.free) {
      block = block.before;
      this.#remove(block);
      this.#swallow(block, released);
    }
    if (block.after !== null) {
      this.#insert(block);
      return;
    }
    this.#top = block.ptr;
    this.#last = block.before;
    if (this.#last !== null) this.#last.after = null;
  }

  #swallow(block: Block, after: Block): void {
    if (after.free) this.#remove(after);
    block.bytes += after.bytes;
    link(block, after.after);
  }

  #mergeWaiting(): void {
    for (const list of this.#waiting) {
      for (let block = list.pop(); block !== undefined; block = list.pop()) this.#merge(block);
    }
    this.#waitingBlocks = 0;
  }

  #insert(block: Block): void {
    const bin = binOf(block.bytes);
    const first = this.#bins[bin] as Block | null;
    block.free = true;
    block.previous = null;
    block.next = first;
    if (first !== null) first.previous = block;
    this.#bins[bin] = block;
    (this.#filled[bin >>> 5] as number) |= 1 << bin;
  }

  #remove(block: Block): void {
    block.free = false;
    if (block.next !== null) block.next.previous = block.previous;
    if (block.previous !== null) {
      block.previous.next = block.next;
      return;
    }
    const bin = binOf(block.bytes);
    this.#bins[bin] = block.next;
    if (block.next === null) (this.#filled[bin >>> 5] as number) &= ~(1 << bin);
  }

  #extend(size: number): Block {
    const top = this.#top + size;
    if (top > this.end) this.#growTo(top, size);
    const block = new Block(this.#top, size, this.#last);
    if (this.#last !== null) this.#last.after = block;
    this.#last = block;
    this.#top = top;
    if (top > this.#highestTop) this.#highestTop = top;
    return block;
  }

  #growTo(top: number, asked: number): void {
    const limit = Math.floor(this.limit / PAGE) * PAGE;
    if (top > limit) {
      throw new MemoryLimitError(
        `memory: expected to stay within ${this.limit} bytes, got a request for ${asked} bytes with ${this.liveBytes} live`,
      );
    }
    const needed = top - this.end;
    const wanted = Math.min(Math.max(needed, MIN_GROWTH, (this.end - this.#start) / 8), limit - this.end);
    try {
      this.end = this.#grow(wanted);
    } catch {
      this.end = this.#grow(needed);
    }
  }
}

/** The size of the block that holds this many bytes. */
function rounded(bytes: number): number {
  // The common case, quickly. A request of 0 bytes still takes a block.
  if (bytes <= SMALL_BYTES && bytes === bytes >>> 0) return ((bytes === 0 ? 1 : bytes) + UNIT - 1) & -UNIT;
  if (!(bytes >= 0 && Number.isSafeInteger(bytes))) throw new ShapeError(`memory: expected a whole number of bytes, got ${bytes}`);
  return Math.ceil(bytes / UNIT) * UNIT;
}

/** Makes two blocks neighbours. */
function link(block: Block, after: Block | null): void {
  block.after = after;
  if (after !== null) after.before = block;
}
