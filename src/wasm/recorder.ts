/** Records kernel calls instead of running them, and the memory that is allocated meanwhile. */

import { StateError } from "../base/errors.ts";
import { mayWrite, refersTo } from "./calls.ts";

/** A kernel call: its id (with the dtype's bit) and its argument slots. */
export interface RecordedCall {
  readonly id: number;
  readonly args: readonly number[];
}

/** A block of linear memory, as storages see it. */
export interface Block {
  readonly ptr: number;
  readonly bytes: number;
  /** Whether it outlives the scope in which it was made. */
  pinned: boolean;
}

/**
 * Kernel calls that are noted, not run. When something needs their results, or depends on more than kernel calls, the
 * recording ends: `interrupted` may run the noted calls or throw, and later calls run at once.
 */
export class Recording {
  readonly calls: RecordedCall[] = [];
  /** Blocks allocated while recording; none is released before the recording ends. */
  readonly blocks: Block[] = [];
  /** Blocks that JavaScript wrote: constants of the recorded step. */
  readonly constants: Set<Block> = new Set();
  /** Why replaying the recorded calls would not do the same again; null if it would. */
  obstacle: string | null = null;
  readonly #interrupted: (reason: string) => void;
  /** An earlier recording whose calls have not run either. */
  readonly #before: Recording | null;

  constructor(interrupted: (reason: string) => void, before: Recording | null = null) {
    this.#interrupted = interrupted;
    this.#before = before;
  }

  /**
   * Records what `fn` does, or just runs it if the recording was interrupted before.
   * @throws StateError during another recording, whose calls would be lost
   */
  during<R>(fn: () => R): R {
    if (this.obstacle !== null) return fn();
    if (recording !== null) throw new StateError("record: expected no recording in progress, got one: recordings do not nest");
    recording = this;
    try {
      return fn();
    } finally {
      recording = null;
    }
  }

  interrupt(reason: string): void {
    this.obstacle ??= reason;
    recording = null;
    this.#interrupted(reason);
  }

  /** Called before the host reads memory that noted calls have yet to write. */
  beforeRead(ptr: number, reason: string): void {
    if (this.isPending(ptr)) this.interrupt(reason);
  }

  /** Called before the host writes a new block: that makes a constant, unless a noted call uses the present contents. */
  beforeWrite(block: Block): void {
    const used = this.calls.some((c) => refersTo(c, (address) => contains(block, address)));
    if (used) this.interrupt("writes values from the host");
    else this.constants.add(block);
  }

  /** Whether a noted call has yet to write to an address. */
  isPending(ptr: number): boolean {
    const block = this.#blockAt(ptr);
    if (block !== undefined) return !this.constants.has(block) || this.calls.some((c) => mayWrite(c, (target) => contains(block, target)));
    const writesOutside = this.calls.some((c) => mayWrite(c, (target) => target !== 0 && this.#blockAt(target) === undefined));
    return writesOutside || (this.#before?.isPending(ptr) ?? false);
  }

  #blockAt(ptr: number): Block | undefined {
    return this.blocks.find((block) => contains(block, ptr));
  }
}

function contains(block: Block, ptr: number): boolean {
  return ptr >= block.ptr && ptr < block.ptr + block.bytes;
}

/** The recording in progress. */
export let recording: Recording | null = null;

/** Declares that the current work depends on more than kernel calls. */
export function cannotReplay(reason: string): void {
  recording?.interrupt(reason);
}
