import { checkFlag, checkIterable, checkNumber, checkObject, checkOptions, finished } from "../base/checks.ts";
import { ArgumentError, DTypeError, FormatError, ShapeError } from "../base/errors.ts";
import { quote } from "../base/quote.ts";
import { checkInPlace, noteExchange } from "../nn/exchanged.ts";
import { sameShape, show } from "../tensor/shape.ts";
import { assign, checkTensor, checkTensors, empty, keep, type Tensor } from "../tensor/tensor.ts";
import { call } from "../wasm/host.ts";
import { axpby } from "../wasm/kernels.gen.ts";

export interface EMAOptions {
  /** Share of the old average that each update keeps (default 0.999). */
  readonly decay?: number;
  /** Whether to keep less at first (default false): update t, counted from 0, has decay min(decay, (1 + t)/(10 + t)), so the first keeps a tenth. */
  readonly warmUp?: boolean;
}

export interface EMAState {
  readonly updates: number;
  readonly averages: readonly Tensor[];
}

/**
 * Exponential moving average of parameters, for evaluation:
 *
 *     a ← decay·a + (1 − decay)·p   after every step; a starts as p
 *
 * @see Polyak, Juditsky, "Acceleration of stochastic approximation by averaging", 1992
 * @example
 * const ema = new EMA(model.parameters(), { decay: 0.99 });
 * optimizer.step();
 * ema.update();
 * const score = ema.withAverages(() => evaluate(model));
 */
export class EMA {
  readonly decay: number;
  readonly #warmUp: boolean;
  readonly #params: readonly Tensor[];
  readonly #averages: readonly Tensor[];
  #updates = 0;
  /** Whether parameters and averages are currently exchanged. */
  #swapped = false;

  constructor(params: Iterable<Tensor>, options: EMAOptions = {}) {
    checkIterable("EMA", "parameters", params);
    checkOptions("EMA", options, ["decay", "warmUp"]);
    const { decay = 0.999, warmUp = false } = options;
    checkNumber("EMA", "decay", decay, { least: 0, most: 1 });
    checkFlag("EMA", "warmUp", warmUp);
    this.decay = decay;
    this.#warmUp = warmUp;
    this.#params = [...params];
    if (this.#params.length === 0) throw new ArgumentError("EMA: expected at least one parameter, got none");
    for (const p of this.#params) {
      checkTensor("EMA", p);
      if (!p.isContiguous) throw new ShapeError(`EMA: expected contiguous parameters, got strides ${show(p.strides)} for ${show(p.shape)}`);
    }
    if (new Set(this.#params).size < this.#params.length) {
      throw new ArgumentError("EMA: expected every parameter once, got one that occurs twice");
    }
    checkInPlace("EMA", this.#params);
    this.#averages = this.#params.map((p) => {
      const copy = keep(empty(p.shape, p.dtype));
      assign(copy, p);
      return copy;
    });
  }

  /** The averaged parameters. */
  get parameters(): readonly Tensor[] {
    return this.#params;
  }

  /** Adds the parameters' present values to the averages. @throws StateError while they are exchanged; DTypeError for a parameter cast since */
  update(): void {
    checkInPlace("EMA.update", this.#params);
    this.#averages.forEach(({ dtype }, i) => {
      const p = this.#params[i] as Tensor;
      if (p.dtype !== dtype) throw new DTypeError(`EMA.update: expected parameter ${i} to be ${dtype} as at first, got ${p.dtype}`);
    });
    const t = this.#updates++;
    const decay = this.#warmUp ? Math.min(this.decay, (1 + t) / (10 + t)) : this.decay;
    this.#averages.forEach((average, i) => {
      call(axpby, average.dtype, average.size, 1 - decay, (this.#params[i] as Tensor).ptr, decay, average.ptr);
      average.storage.noteWrite();
    });
  }

  /** Exchanges parameters and averages; a second call undoes the first. */
  swap(): void {
    // A released tensor throws before anything is exchanged.
    for (const t of [...this.#params, ...this.#averages]) void t.ptr;
    this.#averages.forEach((average, i) => {
      const p = this.#params[i] as Tensor;
      const values = p.data();
      assign(p, average);
      assign(average, values);
    });
    this.#swapped = !this.#swapped;
    noteExchange(this.#params, this.#swapped);
  }

  /**
   * Runs a function with the averages in place of the parameters; such calls nest. Meanwhile optimisers refuse to step.
   * @throws StateError when `fn` is asynchronous or a generator
   */
  withAverages<R>(fn: () => R): R {
    return this.#with(true, "EMA.withAverages", fn);
  }

  /** Runs a function with the parameters in their own place, even inside `withAverages`. @internal */
  withParameters<R>(fn: () => R): R {
    return this.#with(false, "EMA.withParameters", fn);
  }

  #with<R>(averages: boolean, op: string, fn: () => R): R {
    const before = this.#swapped;
    if (before !== averages) this.swap();
    try {
      return finished(op, fn());
    } finally {
      if (this.#swapped !== before) this.swap();
    }
  }

  /** The tensors that hold the averages now. */
  get #present(): readonly Tensor[] {
    return this.#swapped ? this.#params : this.#averages;
  }

  /** The present state; its tensors are the averages themselves. */
  stateDict(): EMAState {
    return { updates: this.#updates, averages: this.#present };
  }

  /** Whether parameters and averages are currently exchanged. */
  get swapped(): boolean {
    return this.#swapped;
  }

  /** @throws FormatError for averages of other parameters @internal */
  checkStateDict(state: EMAState): void {
    checkObject("EMA", "a state", state);
    const { updates, averages } = state;
    if (!(Number.isSafeInteger(updates) && updates >= 0)) {
      throw new FormatError(`EMA: expected updates to be a whole number of at least 0, got ${quote(updates)}`);
    }
    checkTensors("EMA", "averages", averages);
    if (averages.length !== this.#averages.length) {
      throw new FormatError(`EMA: expected ${this.#averages.length} averages, got ${averages.length}`);
    }
    this.#averages.forEach((own, i) => {
      const { shape, dtype } = averages[i] as Tensor;
      if (sameShape(shape, own.shape) && dtype === own.dtype) return;
      throw new FormatError(`EMA: expected average ${i} to be ${own.dtype} ${show(own.shape)}, got ${dtype} ${show(shape)}`);
    });
  }

  /** @throws FormatError for averages of other parameters; leaves everything unchanged */
  loadStateDict(state: EMAState): void {
    this.checkStateDict(state);
    this.#present.forEach((own, i) => {
      assign(own, state.averages[i] as Tensor);
    });
    this.#updates = state.updates;
  }
}
