/** Windows over long sequences, for truncated backpropagation through time. */

import { ArgumentError } from "../base/errors.ts";
import { type Tensor, tensor } from "../tensor/tensor.ts";
import { type Batches, type Cursor, cursorField } from "./batches.ts";

export interface WindowOptions {
  /** Streams read side by side (B). */
  readonly batch: number;
  /** Steps of a window (T). */
  readonly window: number;
  /** How often to read everything; without end unless given. */
  readonly epochs?: number;
  /** Leaves out the last window of an epoch when it is shorter than the others. */
  readonly dropLast?: boolean;
}

export interface SymbolWindow {
  /** Symbols [T,B], int32. */
  readonly inputs: Tensor;
  /** The symbol after each [T,B], int32. */
  readonly targets: Tensor;
  /** Whether the window begins its streams: the state of the window before does not apply. */
  readonly fresh: boolean;
}

/**
 * A sequence of ids cut into B parallel streams, read together in windows of T steps. Each window continues the
 * one before, so that the state can be carried while the gradient stops.
 *
 * @see R. J. Williams & J. Peng (1990), An efficient gradient-based algorithm for on-line training of recurrent
 * network trajectories.
 * @example for (const { inputs, targets, fresh } of new WindowBatches(ids, { batch: 32, window: 64, epochs: 1 })) …
 */
export class WindowBatches implements Batches<SymbolWindow> {
  readonly batch: number;
  readonly window: number;
  readonly epochs: number;
  /** Steps of each stream in an epoch. */
  readonly streamLength: number;
  /** Where stream b starts, in multiples of b. */
  readonly #stride: number;
  readonly #ids: ArrayLike<number>;
  #epoch = 0;
  #position = 0;

  /** @throws ArgumentError when the sequence is too short for one step of every stream */
  constructor(ids: ArrayLike<number>, options: WindowOptions) {
    const { batch, window, epochs = Number.POSITIVE_INFINITY, dropLast = false } = options;
    for (const [name, size] of Object.entries({ batch, window })) {
      if (!(Number.isInteger(size) && size >= 1)) throw new ArgumentError(`WindowBatches: expected ${name} of at least 1, got ${size}`);
    }
    this.#ids = ids;
    this.batch = batch;
    this.window = window;
    this.epochs = epochs;
    this.#stride = Math.floor((ids.length - 1) / batch);
    this.streamLength = dropLast ? this.#stride - (this.#stride % window) : this.#stride;
    if (this.streamLength < 1) {
      const least = batch * (dropLast ? window : 1) + 1;
      throw new ArgumentError(`WindowBatches: expected at least ${least} symbols for ${batch} streams, got ${ids.length}`);
    }
  }

  get windowsPerEpoch(): number {
    return Math.ceil(this.streamLength / this.window);
  }

  get cursor(): Cursor {
    return { epoch: this.#epoch, position: this.#position };
  }

  set cursor(cursor: Cursor) {
    const epoch = cursorField(cursor, "epoch", Number.POSITIVE_INFINITY);
    this.#position = cursorField(cursor, "position", this.streamLength);
    this.#epoch = epoch;
  }

  *[Symbol.iterator](): Generator<SymbolWindow> {
    while (this.#epoch < this.epochs) yield this.#next();
  }

  #next(): SymbolWindow {
    const start = this.#position;
    const end = Math.min(start + this.window, this.streamLength);
    const wraps = end === this.streamLength;
    this.#position = wraps ? 0 : end;
    if (wraps) this.#epoch++;
    return { inputs: this.#cut(start, end), targets: this.#cut(start + 1, end + 1), fresh: start === 0 };
  }

  /** Steps start … end − 1 of every stream, as [T,B]. */
  #cut(start: number, end: number): Tensor {
    const values = new Int32Array((end - start) * this.batch);
    for (let t = start, i = 0; t < end; t++) {
      for (let b = 0; b < this.batch; b++) values[i++] = this.#ids[b * this.#stride + t] as number;
    }
    return tensor(values, { shape: [end - start, this.batch] });
  }
}
