/** Windows over long sequences, for truncated backpropagation through time. */

import { checkArrayLike, checkOptions, checkSizes } from "../base/checks.ts";
import { ArgumentError } from "../base/errors.ts";
import { quote } from "../base/quote.ts";
import { type Tensor, tensor } from "../tensor/tensor.ts";
import { type Batches, type Cursor, checkEpochs, EpochPass, type Pass } from "./batches.ts";

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

/** The id at a place. Read as it is needed, since a book is long. @throws ArgumentError for what int32 would change */
function checkedId(ids: ArrayLike<number>, place: number): number {
  const id = ids[place] as number;
  if ((id | 0) === id) return id;
  throw new ArgumentError(`WindowBatches: expected ids to be whole numbers of 32 bits, got ${quote(id)} at position ${place}`);
}

/**
 * A sequence of ids cut into B parallel streams, read together in windows of T steps. Each window continues the
 * one before, so that the state can be carried while the gradient stops. Every iteration is a pass of its own.
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

  /** @throws ArgumentError when the sequence is too short for one step of every stream */
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
