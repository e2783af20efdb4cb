/** Windows over long sequences, for truncated backpropagation through time. */

import { checkArrayLike, checkOptions, checkSizes } from "../base/checks.ts";
import { ArgumentError } from "../base/errors.ts";
import { quote } from "../base/quote.ts";
import { type Tensor, tensor } from "../tensor/tensor.ts";
import { type Batches, type Cursor, checkEpochs, EpochPass, type Pass } from "./batches.ts";

export interface WindowOptions {
  /** Number of parallel streams (B). */
  readonly batch: number;
  /** Steps per window (T). */
  readonly window: number;
  /** Number of epochs; default endless. */
  readonly epochs?: number;
  /** Whether to skip the last window of an epoch if it is shorter than the others. */
  readonly dropLast?: boolean;
}

/** A batch of windows into parallel streams of symbols. */
export interface SymbolWindow {
  /** Symbols [T,B], int32. */
  readonly inputs: Tensor;
  /** The symbol after each [T,B], int32. */
  readonly targets: Tensor;
  /** Whether the window begins its streams, so that the previous window's state does not apply. */
  readonly fresh: boolean;
}

/** The id at a place; read on demand, since a book is long. @throws ArgumentError for a number that int32 would change */
function checkedId(ids: ArrayLike<number>, place: number): number {
  const id = ids[place] as number;
  if ((id | 0) === id) return id;
  throw new ArgumentError(`WindowBatches: expected ids to be whole numbers of 32 bits, got ${quote(id)} at position ${place}`);
}

/**
 * A sequence of ids cut into B parallel streams, read together in windows of T steps. Each window continues the
 * previous one, so the state can be carried on while gradients stop. Every iteration is an independent pass.
 *
 * @see R. J. Williams & J. Peng (1990), An efficient gradient-based algorithm for on-line training of recurrent
 * network trajectories.
 * @example for (const { inputs, targets, fresh } of new WindowBatches(ids, { batch: 32, window: 64, epochs: 1 })) …
 */
export class WindowBatches implements Batches<SymbolWindow> {
  readonly batch: number;
  readonly window: number;
  readonly epochs: number;
  /** Steps per stream and epoch. */
  readonly streamLength: number;
  /** Distance between the starts of streams. */
  readonly #stride: number;
  readonly #ids: ArrayLike<number>;

  /** @throws ArgumentError if the sequence is too short for one step of every stream */
  constructor(ids: ArrayLike<number>, options: WindowOptions) {
    checkArrayLike("WindowBatches", "ids", ids);
    checkOptions("WindowBatches", options, ["batch", "window", "epochs", "dropLast"]);
    const { batch, window, epochs = Number.POSITIVE_INFINITY, dropLast = false } = options;
    checkSizes("WindowBatches", { batch, window });
    this.#ids = ids;
    this.batch = batch;
    this.window = window;
    this.epochs = checkEpochs("WindowBatches", epochs);
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

  [Symbol.iterator](): Pass<SymbolWindow> {
    return this.#pass();
  }

  /** @throws FormatError */
  from(cursor: Cursor): Pass<SymbolWindow> {
    return this.#pass(cursor);
  }

  #pass(cursor?: Cursor): Pass<SymbolWindow> {
    const batch = (_: number, start: number, end: number) => ({
      inputs: this.#cut(start, end),
      targets: this.#cut(start + 1, end + 1),
      fresh: start === 0,
    });
    return new EpochPass({ count: this.streamLength, width: this.window, epochs: this.epochs, batch }, cursor);
  }

  /** Steps start … end − 1 of every stream, as [T,B]. */
  #cut(start: number, end: number): Tensor {
    const values = new Int32Array((end - start) * this.batch);
    for (let t = start, i = 0; t < end; t++) {
      for (let b = 0; b < this.batch; b++) values[i++] = checkedId(this.#ids, b * this.#stride + t);
    }
    return tensor(values, { shape: [end - start, this.batch] });
  }
}
