/**
 * Size-class allocator over linear memory.
 *
 * Blocks are rounded up to four classes an octave (at most a quarter wasted), aligned to 64 bytes, and kept
 * on a free list per class, so that a training step that repeats itself never grows the memory.
 */

import { MemoryLimitError } from "../base/errors.ts";

const MIN_CLASS_BYTES = 64;
/** Growth is at least this, and an eighth of what is there: few growths, little slack. */
const MIN_GROWTH = 1 << 20;
/** Linear memory grows by pages. */
const PAGE = 65536;

/** Index of the smallest class that holds `bytes`. */
function classOf(bytes: number): number {
  if (bytes <= MIN_CLASS_BYTES) return 0;
  const octave = 31 - Math.clz32((bytes - 1) >>> 6);
  const base = MIN_CLASS_BYTES * (1 << octave);
  return 4 * octave + Math.ceil((4 * (bytes - base)) / base);
}

/** Bytes of each class that 32-bit addresses can have. */
const CLASS_BYTES: readonly number[] = Array.from({ length: 4 * 27 }, (_, index) => {
  const base = MIN_CLASS_BYTES * 2 ** (index >> 2);
  return Math.ceil((base + (base * (index & 3)) / 4) / 64) * 64;
});

function classBytes(index: number): number {
  return CLASS_BYTES[index] as number;
}

export class Heap {
  liveBytes = 0;
  peakBytes = 0;
  blocks = 0;
  limit: number;
  /** End of the linear memory. */
  end: number;
  #top: number;
  readonly #start: number;
  readonly #grow: (bytes: number) => number;
  readonly #free: number[][] = [];

  constructor(start: number, end: number, limit: number, grow: (bytes: number) => number) {
    this.#start = Math.ceil(start / 64) * 64;
    this.#top = this.#start;
    this.end = end;
    this.limit = limit;
    this.#grow = grow;
  }

  /** Bytes from the first block to the end of the last: live ones and those between them. */
  get reach(): number {
    return this.#top - this.#start;
  }

  /** A block of at least `bytes`; its contents are whatever was there. @throws MemoryLimitError */
  allocate(bytes: number): number {
    const index = classOf(bytes);
    const ptr = this.#free[index]?.pop() ?? this.#borrow(index) ?? this.#extend(index);
    this.liveBytes += classBytes(index);
    if (this.liveBytes > this.peakBytes) this.peakBytes = this.liveBytes;
    this.blocks++;
    return ptr;
  }

  /** Returns a block; `bytes` is what was asked for. */
  release(ptr: number, bytes: number): void {
    const index = classOf(bytes);
    this.liveBytes -= classBytes(index);
    this.blocks--;
    this.#list(index).push(ptr);
  }

  #list(index: number): number[] {
    while (this.#free.length <= index) this.#free.push([]);
    return this.#free[index] as number[];
  }

  /** Splits a free block of a class exactly twice as large. */
  #borrow(index: number): number | undefined {
    const size = classBytes(index);
    if (classBytes(index + 4) !== 2 * size) return undefined;
    const ptr = this.#free[index + 4]?.pop();
    if (ptr !== undefined) this.#list(index).push(ptr + size);
    return ptr;
  }

  #extend(index: number): number {
    const ptr = this.#top;
    const top = ptr + classBytes(index);
    if (top > this.end) this.#growTo(top, classBytes(index));
    this.#top = top;
    return ptr;
  }

  #growTo(top: number, asked: number): void {
    const limit = Math.floor(this.limit / PAGE) * PAGE;
    if (top > limit) {
      throw new MemoryLimitError(
        `memory: expected to stay within ${this.limit} bytes, got a request for ${asked} bytes with ${this.liveBytes} live`,
      );
    }
    const wanted = Math.max(top - this.end, MIN_GROWTH, this.end / 8);
    this.end = this.#grow(Math.min(wanted, limit - this.end));
  }
}
