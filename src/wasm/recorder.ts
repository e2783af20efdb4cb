/** What a recording of kernel calls sees: the calls, the memory they were given, and what cannot be replayed. */

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

export class Recording {
  readonly calls: RecordedCall[] = [];
  /** Every block allocated while recording; none is released before the recording ends. */
  readonly blocks: Block[] = [];
  /** Blocks whose contents were written by JavaScript: constants of the recorded step. */
  readonly constants: Set<Block> = new Set();
  /** Why the recorded calls alone would not do the same again; null if they would. */
  obstacle: string | null = null;
}

/** The recording in progress. */
export let recording: Recording | null = null;

/** Records every kernel call of `fn`. Recordings do not nest. */
export function record<R>(fn: () => R): { readonly result: R; readonly recording: Recording } {
  const mine = new Recording();
  recording = mine;
  try {
    return { result: fn(), recording: mine };
  } finally {
    recording = null;
  }
}

/** Says that what is being done depends on more than kernel calls. */
export function cannotReplay(reason: string): void {
  if (recording !== null) recording.obstacle ??= reason;
}
