/** Numeric series: scaling, and windows with the values that follow them. */

import { checkOptions, checkSizes, checkWhole, isRecord } from "../base/checks.ts";
import { arrayOf, type FloatDType, isFloat } from "../base/dtype.ts";
import { ArgumentError, DTypeError, FormatError, ShapeError } from "../base/errors.ts";
import { quote } from "../base/quote.ts";
import { Generator } from "../tensor/random.ts";
import { show } from "../tensor/shape.ts";
import { checkTensor, scope, type Tensor, tensor } from "../tensor/tensor.ts";
import { type Batches, type Cursor, checkEpochs, EpochPass, type Pass } from "./batches.ts";

/** A scaler's parameters, as plain data. */
export interface ScalerState {
  readonly shift: readonly number[];
  readonly scale: readonly number[];
}

/**
 * One linear map per feature: y = (x − shift) / scale, with features along the last axis.
 * Fit it on the training part only, and apply it to the others.
 * @example
 * const scaler = Scaler.standard(train);
 * const prediction = scaler.inverse(model.forward(scaler.transform(x)));
 */
export class Scaler {
  readonly shift: readonly number[];
  readonly scale: readonly number[];

  /** @throws FormatError unless there is one finite shift and one finite scale other than 0 for each feature */
  constructor(state: ScalerState) {
    const { shift, scale } = (isRecord(state) ? state : {}) as Partial<ScalerState>;
    const lists = Array.isArray(shift) && Array.isArray(scale) && shift.length === scale.length && shift.length > 0;
    if (!lists || !shift.every(Number.isFinite) || !scale.every((s) => Number.isFinite(s) && s !== 0)) {
      throw new FormatError(`Scaler: expected finite shifts and scales other than 0, got ${quote(shift)} and ${quote(scale)}`);
    }
    this.shift = [...shift];
    this.scale = [...scale];
  }

  /** Mean 0 and standard deviation 1 (over N); a constant feature is only shifted. */
  static standard(x: Tensor): Scaler {
    const columns = columnsOf(x);
    const shift = columns.map(mean);
    // For equal values, rounding of the mean would leave a small deviation instead of 0.
    const isConstant = columns.map((c) => c.every((v) => v === c[0]));
    const scale = columns.map((c, f) => (isConstant[f] ? 1 : Math.sqrt(mean(c.map((v) => squared(v - (shift[f] as number))))) || 1));
    return new Scaler({ shift: shift.map((m, f) => (isConstant[f] ? (columns[f]?.[0] as number) : m)), scale });
  }

  /** Maps the least value to `low` and the greatest to `high`; a constant feature goes to `low`. */
  static minMax(x: Tensor, low = 0, high = 1): Scaler {
    if (!(low < high && Number.isFinite(high - low))) throw new ArgumentError(`minMax: expected low < high, got ${low} and ${high}`);
    const bounds = columnsOf(x).map((c) => [c.reduce((a, b) => Math.min(a, b)), c.reduce((a, b) => Math.max(a, b))] as const);
    const scale = bounds.map(([least, greatest]) => (greatest - least || 1) / (high - low));
    return new Scaler({ shift: bounds.map(([least], f) => least - low * (scale[f] as number)), scale });
  }

  get features(): number {
    return this.shift.length;
  }

  transform(x: Tensor): Tensor {
    return this.#map("transform", x, (v, shift, scale) => (v - shift) / scale);
  }

  /** Undoes `transform`; with `features`, x holds only these features, in this order. */
  inverse(x: Tensor, features?: readonly number[]): Tensor {
    return this.#map("inverse", x, (v, shift, scale) => v * scale + shift, features);
  }

  toJSON(): ScalerState {
    return { shift: this.shift, scale: this.scale };
  }

  #map(op: string, x: Tensor, f: (v: number, shift: number, scale: number) => number, features = allFeatures(this.features)): Tensor {
    checkFloat(op, x);
    const width = features.length;
    if (x.shape.at(-1) !== width) throw new ShapeError(`${op}: expected ${width} features on the last axis, got ${show(x.shape)}`);
    checkFeatures(op, features, this.features);
    const shifts = features.map((i) => this.shift[i] as number);
    const scales = features.map((i) => this.scale[i] as number);
    const values = x.data();
    for (let i = 0; i < values.length; i++) {
      values[i] = f(values[i] as number, shifts[i % width] as number, scales[i % width] as number);
    }
    return tensor(values, { shape: x.shape, dtype: x.dtype });
  }
}

function allFeatures(n: number): readonly number[] {
  return Array.from({ length: n }, (_, i) => i);
}

function checkFeatures(op: string, features: readonly number[], limit: number): void {
  for (const i of features) {
    if (!(Number.isInteger(i) && i >= 0 && i < limit)) throw new ArgumentError(`${op}: expected features in [0, ${limit - 1}], got ${i}`);
  }
}

function checkFloat(op: string, x: Tensor): FloatDType {
  if (!isFloat(x.dtype)) throw new DTypeError(`${op}: expected a float tensor, got ${x.dtype}`);
  return x.dtype;
}

/** The features of x [..., F], each as one array. @throws ArgumentError for no rows or a value that is not finite */
function columnsOf(x: Tensor): Float64Array[] {
  checkTensor("Scaler", x);
  checkFloat("Scaler", x);
  const F = x.shape.at(-1) ?? 0;
  if (F === 0 || x.size === 0) throw new ShapeError(`Scaler: expected rows of features [..., F], got ${show(x.shape)}`);
  const values = x.data();
  const columns = Array.from({ length: F }, () => new Float64Array(x.size / F));
  values.forEach((v: number, i: number) => {
    if (!Number.isFinite(v))
      throw new ArgumentError(`Scaler: expected finite values, got ${v} in row ${Math.floor(i / F)}, feature ${i % F}`);
    (columns[i % F] as Float64Array)[Math.floor(i / F)] = v;
  });
  return columns;
}

/** A power by products, since the result of ** depends on the host. */
function squared(x: number): number {
  return x * x;
}

function mean(values: Float64Array): number {
  return values.reduce((a, b) => a + b) / values.length;
}

export interface SeriesOptions {
  /** Steps per window (T). */
  readonly window: number;
  /** Number of steps after it to predict (default 1). */
  readonly horizon?: number;
  /** Steps from one window to the next (default 1). */
  readonly stride?: number;
  /** Windows per batch (B). */
  readonly batch: number;
  /** Which features to predict; default all. */
  readonly targets?: readonly number[];
  /** Seed for a new random order each epoch; default: order of time. */
  readonly shuffle?: number;
  /** Number of epochs; default endless. */
  readonly epochs?: number;
  /** Whether to skip the last batch of an epoch if it is smaller than the others. */
  readonly dropLast?: boolean;
}

/** A batch of windows into a series, with what comes after each. */
export interface SeriesWindow {
  /** [T,B,F] */
  readonly inputs: Tensor;
  /** The predicted features in the steps after the window, [horizon,B,K]. */
  readonly targets: Tensor;
  /** Always true: windows do not continue each other. */
  readonly fresh: true;
}

/**
 * Batches of windows of a series [N,F] with the values that follow them. Every iteration is an independent pass.
 * @throws ArgumentError when the series is shorter than window + horizon
 * @example for (const { inputs, targets } of new SeriesWindows(x, { window: 48, horizon: 12, batch: 32, shuffle: 1, epochs: 1 })) …
 */
export class SeriesWindows implements Batches<SeriesWindow> {
  /** Number of windows. */
  readonly count: number;
  readonly epochs: number;
  readonly #values: ArrayLike<number>;
  readonly #dtype: FloatDType;
  readonly #features: number;
  readonly #options: Required<Omit<SeriesOptions, "shuffle" | "epochs" | "dropLast">>;
  readonly #shuffle: number | undefined;
  /** Number of windows per epoch. */
  readonly #used: number;
  /** The order of the latest epoch. */
  #order: { readonly epoch: number; readonly windows: ArrayLike<number> } | null = null;

  constructor(series: Tensor, options: SeriesOptions) {
    checkTensor("SeriesWindows", series);
    checkOptions(
      "SeriesWindows",
      options,
      ["window", "horizon", "stride", "batch", "targets", "shuffle", "epochs", "dropLast"],
      ["shuffle"],
    );
    const { window, horizon = 1, stride = 1, batch, shuffle, epochs = Number.POSITIVE_INFINITY, dropLast = false } = options;
    checkSizes("SeriesWindows", { window, horizon, stride, batch });
    if (shuffle !== undefined) checkWhole("SeriesWindows", "shuffle", shuffle, {});
    if (series.rank !== 2) throw new ShapeError(`SeriesWindows: expected a series [N,F], got ${show(series.shape)}`);
    const [N, F] = series.shape as [number, number];
    const targets = options.targets ?? allFeatures(F);
    checkFeatures("SeriesWindows", targets, F);
    this.#dtype = checkFloat("SeriesWindows", series);
    this.count = Math.max(0, Math.floor((N - window - horizon) / stride) + 1);
    this.#used = dropLast ? this.count - (this.count % batch) : this.count;
    if (this.#used === 0) {
      throw new ArgumentError(
        `SeriesWindows: expected at least ${dropLast ? batch : 1} windows of ${window} + ${horizon} steps, got ${this.count} in ${N} steps`,
      );
    }
    this.#values = series.data();
    this.#features = F;
    this.#options = { window, horizon, stride, batch, targets };
    this.#shuffle = shuffle;
    this.epochs = checkEpochs("SeriesWindows", epochs);
  }

  [Symbol.iterator](): Pass<SeriesWindow> {
    return this.#pass();
  }

  /** @throws FormatError */
  from(cursor: Cursor): Pass<SeriesWindow> {
    return this.#pass(cursor);
  }

  #pass(cursor?: Cursor): Pass<SeriesWindow> {
    const batch = (epoch: number, start: number, end: number) => this.#batch(epoch, start, end);
    return new EpochPass({ count: this.#used, width: this.#options.batch, epochs: this.epochs, batch }, cursor);
  }

  #batch(epoch: number, from: number, to: number): SeriesWindow {
    const { window, horizon, stride, targets } = this.#options;
    const starts = Array.from({ length: to - from }, (_, i) => this.#window(epoch, from + i) * stride);
    const after = starts.map((s) => s + window);
    return {
      inputs: this.#cut(starts, window, allFeatures(this.#features)),
      targets: this.#cut(after, horizon, targets),
      fresh: true,
    };
  }

  /** The window at a position of an epoch; the order depends only on seed and epoch. */
  #window(epoch: number, position: number): number {
    if (this.#shuffle === undefined) return position;
    if (this.#order?.epoch !== epoch) {
      const generator = Generator.fromState({ seed: BigInt(this.#shuffle), stream: BigInt(epoch), counter: 0 });
      this.#order = { epoch, windows: scope(() => generator.permutation(this.count).data()) };
    }
    return this.#order.windows[position] as number;
  }

  /** `steps` steps from each start, as [steps, B, features]. */
  #cut(starts: readonly number[], steps: number, features: readonly number[]): Tensor {
    const values = arrayOf(this.#dtype, steps * starts.length * features.length);
    let i = 0;
    for (let t = 0; t < steps; t++) {
      for (const start of starts) {
        for (const f of features) values[i++] = this.#values[(start + t) * this.#features + f] as number;
      }
    }
    return tensor(values, { shape: [steps, starts.length, features.length], dtype: this.#dtype });
  }
}
