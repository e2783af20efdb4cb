/** Recording of kernel calls: they are noted instead of being run, together with the memory that is given out meanwhile. */

import { StateError } from "../base/errors.ts";
import { mayWrite, refersTo } from "./calls.ts";

/** One kernel call: the id (with its dtype's bit) and the argument slots. */
export interface RecordedCall {
  readonly id: number;
  readonly args: readonly number[];
}

/** A block of linear memory, as the storage layer knows it. */
export interface Block {
  readonly ptr: number;
  readonly bytes: number;
  /** Whether it outlives the scope it was made in. */
  pinned: boolean;
}

/**
 * Kernel calls that are noted and not run. As soon as something needs their results, or depends on more than kernel calls,
 * the recording ends: `interrupted` is called, which may run what was noted or throw, and what follows is run as it comes.
 */
export class Recording {
  readonly calls: RecordedCall[] = [];
  /** Every block allocated while recording; none is released before the recording ends. */
  readonly blocks: Block[] = [];
  /** Blocks whose contents were written by JavaScript: constants of the recorded step. */
  readonly constants: Set<Block> = new Set();
  /** Why the recorded calls alone would not do the same again; null if they would. */
  obstacle: string | null = null;
  readonly #interrupted: (reason: string) => void;
  /** A recording whose calls have not been run either. */
  readonly #before: Recording | null;

  constructor(interrupted: (reason: string) => void, before: Recording | null = null) {
    this.#interrupted = interrupted;
    this.#before = before;
  }

  /**
   * Records what `fn` does, or lets it be done if the recording was interrupted before.
   * @throws StateError while another recording is in progress, whose calls would be lost
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

  /** The host looks at memory: what the noted calls would have written there must be there first. */
  beforeRead(ptr: number, reason: string): void {
    if (this.isPending(ptr)) this.interrupt(reason);
  }

  /** The host writes a block that is new: a constant, unless a noted call uses what is there now. */
  beforeWrite(block: Block): void {
    const { ptr, bytes } = block;
    const used = this.calls.some((c) => refersTo(c, (address) => address >= ptr && address < ptr + bytes));
    if (used) this.interrupt("writes values from the host");
    else this.constants.add(block);
  }

  /** Whether what will be at an address is not there yet. */
  isPending(ptr: number): boolean {
    const block = this.#blockAt(ptr);
    if (block !== undefined) return !this.constants.has(block);
    const writesOutside = this.calls.some((c) => mayWrite(c, (target) => target !== 0 && this.#blockAt(target) === undefined));
    return writesOutside || (this.#before?.isPending(ptr) ?? false);
  }

  #blockAt(ptr: number): Block | undefined {
    return this.blocks.find((b) => ptr >= b.ptr && ptr < b.ptr + b.bytes);
  }
}

/** The recording in progress. */
export let recording: Recording | null = null;

/** Says that what is being done depends on more than kernel calls. */
export function cannotReplay(reason: string): void {
  recording?.interrupt(reason);
}
