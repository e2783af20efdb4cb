/** Batch normalisation: as PyTorch has it, and for sequences of different lengths. */

import { noGrad } from "../autodiff/tape.ts";
import { checkFlag, checkLengths, checkNumber, checkOptions, checkSizes, optionsOf } from "../base/checks.ts";
import type { FloatDType } from "../base/dtype.ts";
import { ShapeError } from "../base/errors.ts";
import { add, div, mul, square, sub } from "../ops/arithmetic.ts";
import { reshape, sum } from "../ops/broadcast.ts";
import { where } from "../ops/compare.ts";
import { takeRows } from "../ops/gather.ts";
import { sqrt } from "../ops/math.ts";
import { mean, variance } from "../ops/reduce.ts";
import { unsqueeze } from "../ops/shape.ts";
import { ones, zeros } from "../tensor/create.ts";
import { show } from "../tensor/shape.ts";
import { assign, checkTensor, keep, type Tensor, tensor } from "../tensor/tensor.ts";
import { type FromStateDictOptions, floatOf, fromTensors, ownOptions, type StateSource, shapeOf } from "./from-state-dict.ts";
import { Module, Parameter } from "./module.ts";
import { runningMask, zeroBeyond } from "./padding.ts";

export interface SequenceBatchNormOptions {
  /** Number of steps with statistics of their own; later steps use those of the last. By default all steps share one set. */
  readonly steps?: number;
  /** Weight of a batch in the running statistics (default 0.1). */
  readonly momentum?: number;
  /** Added to the variance (default 1e-5). */
  readonly eps?: number;
  readonly dtype?: FloatDType;
}

/** What batch normalisation has to know of sequences. */
export interface NormalizedSequence {
  /** Real steps of each sequence, null for all. Padding is never read; the output there is that of zeros. */
  readonly lengths?: readonly number[] | null;
  /** Number of earlier steps of each sequence, [B,1]; default 0. */
  readonly past?: Tensor | null;
}

/**
 * Normalises every feature over the batch and all real steps, or step by step:
 *
 *   y = w∘(x − μ)/√(σ² + ε) + b
 *
 * In training, sequences use the batch's own μ and σ², which update runningMean and runningVar [S,F] (with unbiased σ²).
 * In evaluation, and in a single step, these are used. weight w [F] starts at 1, bias b [F] at 0.
 * @see Ioffe and Szegedy, "Batch normalization: accelerating deep network training by reducing internal covariate shift", 2015, algorithm 1;
 *   over sequences: Laurent, Pereyra, Brakel, Zhang and Bengio, "Batch normalized recurrent neural networks", 2016, section 4; step by step:
 *   Cooijmans, Ballas, Laurent, Gülçehre and Courville, "Recurrent batch normalization", 2017, section 3
 * Deviates: none.
 * @example const ys = new SequenceBatchNorm(8).forward(xs, { lengths: [5, 3] });
 */
export class SequenceBatchNorm extends Module {
  readonly features: number;
  readonly steps: number | null;
  readonly momentum: number;
  readonly eps: number;
  readonly weight: Parameter;
  readonly bias: Parameter;
  readonly runningMean: Tensor;
  readonly runningVar: Tensor;

  constructor(features: number, options: SequenceBatchNormOptions = {}) {
    super();
    const {
      steps,
      momentum = 0.1,
      eps = 1e-5,
      dtype = "float32",
    } = optionsOf("SequenceBatchNorm", options, ["steps", "momentum", "eps", "dtype"]);
    checkSizes("SequenceBatchNorm", { features, steps: steps ?? 1 });
    this.features = features;
    this.steps = steps ?? null;
    this.momentum = momentum;
    this.eps = eps;
    this.weight = new Parameter(ones([features], dtype));
    this.bias = new Parameter(zeros([features], dtype));
    this.runningMean = keep(zeros([steps ?? 1, features], dtype));
    this.runningVar = keep(ones([steps ?? 1, features], dtype));
  }

  /** Normalises xs [T,B,F]. In training, all sequences need the same number of earlier steps. @throws ShapeError for anything else */
  forward(xs: Tensor, { lengths = null, past = null }: NormalizedSequence = {}): Tensor {
    if (xs.rank !== 3 || xs.dim(2) !== this.features)
      throw new ShapeError(`SequenceBatchNorm: expected xs [T,B,${this.features}], got ${show(xs.shape)}`);
    const [T, B] = [xs.dim(0), xs.dim(1)];
    if (lengths !== null) checkLengths("SequenceBatchNorm", lengths, B, T);
    const real = zeroBeyond(xs, lengths);
    if (this.training) return this.#byBatch(real, lengths, Number(past?.data()[0] ?? 0));
    const starts = past?.data() ?? new Float32Array(B);
    return this.#byRunning(real, [T, B], (i) => Math.floor(i / B) + Number(starts[i % B]));
  }

  /** Normalises one step x [B,F] by the running statistics. */
  step(x: Tensor, past: Tensor | null = null): Tensor {
    const starts = past?.data();
    return this.#byRunning(x, [x.dim(0)], (i) => Number(starts?.[i] ?? 0));
  }

  #apply(x: Tensor, mean: Tensor, variance: Tensor): Tensor {
    return add(mul(div(sub(x, mean), sqrt(add(variance, this.eps))), this.weight), this.bias);
  }

  /** Normalises each element by the running statistics of its step. */
  #byRunning(x: Tensor, shape: readonly number[], stepOf: (i: number) => number): Tensor {
    if (this.steps === null) return this.#apply(x, this.runningMean, this.runningVar);
    const last = this.steps - 1;
    const rows = Int32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.min(last, stepOf(i)));
    const index = tensor(rows, { shape });
    return this.#apply(x, takeRows(this.runningMean, index), takeRows(this.runningVar, index));
  }

  #byBatch(xs: Tensor, lengths: readonly number[] | null, first: number): Tensor {
    const [T, B] = [xs.dim(0), xs.dim(1)];
    const ends = lengths ?? new Array<number>(B).fill(T);
    const running = Array.from({ length: T }, (_, t) => ends.filter((n) => t < n).length);
    const together = this.steps === null;
    const counts = together ? [ends.reduce((a, b) => a + b, 0)] : running;
    const divisor = tensor(
      counts.map((n) => Math.max(1, n)),
      { shape: [counts.length, 1, 1], dtype: xs.dtype },
    );
    const mask = lengths && unsqueeze(runningMask(lengths, T), -1);
    const over = { axis: together ? [0, 1] : [1], keepDim: true };
    const average = (values: Tensor) => div(sum(mask ? where(mask, values, 0) : values, over), divisor);
    const mean = average(xs);
    const variance = average(square(sub(xs, mean)));
    noGrad(() => this.#remember(mean, variance, counts, first));
    return this.#apply(xs, mean, variance);
  }

  /** Moves the running statistics [S,F] towards a batch's [S,1,F], from step `first` on. */
  #remember(mean: Tensor, variance: Tensor, counts: readonly number[], first: number): void {
    const [means, variances] = [mean.data(), variance.data()];
    const [oldMeans, oldVariances] = [this.runningMean.data(), this.runningVar.data()];
    const [rows, F, m] = [this.steps ?? 1, this.features, this.momentum];
    for (const [t, n] of counts.entries()) {
      const row = this.steps === null ? 0 : first + t;
      if (n === 0 || row >= rows) continue;
      const unbiased = n > 1 ? n / (n - 1) : 1;
      for (let j = 0; j < F; j++) {
        const [to, from] = [row * F + j, t * F + j];
        oldMeans[to] = (1 - m) * Number(oldMeans[to]) + m * Number(means[from]);
        oldVariances[to] = (1 - m) * Number(oldVariances[to]) + m * unbiased * Number(variances[from]);
      }
    }
    assign(this.runningMean, oldMeans);
    assign(this.runningVar, oldVariances);
  }
}

export interface BatchNorm1dOptions {
  /** Added to the variance (default 1e-5). */
  readonly eps?: number;
  /** Weight of a batch in the running statistics (default 0.1); with null they are the mean over all batches. */
  readonly momentum?: number | null;
  /** Whether there are weight and bias (default true). */
  readonly affine?: boolean;
  /** Whether there are running statistics (default true); without them evaluation uses the batch's own, too. */
  readonly trackRunningStats?: boolean;
  readonly dtype?: FloatDType;
}

/** Options that tensors do not determine. */
export interface BatchNorm1dFromOptions extends FromStateDictOptions, Pick<BatchNorm1dOptions, "eps" | "momentum" | "dtype"> {}

/**
 * Normalises every feature over the batch, and over time where there is one: y = w∘(x − μ)/√(σ² + ε) + b.
 *
 * In training μ and σ² are the batch's own, and move `running_mean` and `running_var` (with unbiased σ²); in evaluation these are used. Names, options and
 * values are PyTorch's; `num_batches_tracked` is int32. Padding counts: for sequences of different lengths there is `SequenceBatchNorm`.
 * @see Ioffe and Szegedy, "Batch normalization: accelerating deep network training by reducing internal covariate shift", 2015, algorithm 1
 * @example const y = new BatchNorm1d(8).forward(x); // [N,8] or [N,8,L]
 */
export class BatchNorm1d extends Module {
  readonly numFeatures: number;
  readonly eps: number;
  readonly momentum: number | null;
  readonly weight: Parameter | null;
  readonly bias: Parameter | null;
  readonly runningMean: Tensor | null;
  readonly runningVar: Tensor | null;
  readonly numBatchesTracked: Tensor | null;

  constructor(numFeatures: number, options: BatchNorm1dOptions = {}) {
    super();
    const op = "BatchNorm1d";
    const known = optionsOf(op, options, ["eps", "momentum", "affine", "trackRunningStats", "dtype"]);
    const { eps = 1e-5, momentum = 0.1, affine = true, trackRunningStats = true, dtype = "float32" } = known;
    checkSizes(op, { numFeatures });
    checkNumber(op, "eps", eps, { least: 0 });
    if (momentum !== null) checkNumber(op, "momentum", momentum, { least: 0, most: 1 });
    checkFlag(op, "affine", affine);
    checkFlag(op, "trackRunningStats", trackRunningStats);
    this.numFeatures = numFeatures;
    this.eps = eps;
    this.momentum = momentum;
    this.weight = affine ? new Parameter(ones([numFeatures], dtype)) : null;
    this.bias = affine ? new Parameter(zeros([numFeatures], dtype)) : null;
    this.runningMean = trackRunningStats ? keep(zeros([numFeatures], dtype)) : null;
    this.runningVar = trackRunningStats ? keep(ones([numFeatures], dtype)) : null;
    this.numBatchesTracked = trackRunningStats ? keep(zeros([], "int32")) : null;
  }

  /** @throws ShapeError for other shapes than [N,C] and [N,C,L], and in training for a single value of each feature */
  forward(x: Tensor): Tensor {
    checkTensor("BatchNorm1d", x);
    if ((x.rank !== 2 && x.rank !== 3) || x.dim(1) !== this.numFeatures) {
      throw new ShapeError(`BatchNorm1d: expected x [N,${this.numFeatures}] or [N,${this.numFeatures},L], got ${show(x.shape)}`);
    }
    const column = (t: Tensor): Tensor => (x.rank === 2 ? t : reshape(t, [this.numFeatures, 1]));
    const [mean, variance] = this.#statistics(x);
    const y = div(sub(x, column(mean)), column(sqrt(add(variance, this.eps))));
    return this.weight === null || this.bias === null ? y : add(mul(y, column(this.weight)), column(this.bias));
  }

  #statistics(x: Tensor): [mean: Tensor, variance: Tensor] {
    const { runningMean, runningVar } = this;
    if (!this.training && runningMean !== null && runningVar !== null) return [runningMean, runningVar];
    const n = x.size / this.numFeatures;
    if (this.training && n < 2)
      throw new ShapeError(`BatchNorm1d: expected more than one value of each feature in training, got ${show(x.shape)}`);
    const axis = x.rank === 2 ? [0] : [0, 2];
    const center = mean(x, { axis });
    const spread = variance(x, { axis, correction: 0 });
    if (this.training && runningMean !== null && runningVar !== null) this.#remember(center, spread, n, [runningMean, runningVar]);
    return [center, spread];
  }

  /** Moves the running statistics towards those of a batch of n values of each feature. */
  #remember(center: Tensor, spread: Tensor, n: number, [means, variances]: readonly [Tensor, Tensor]): void {
    const tracked = this.numBatchesTracked as Tensor;
    const batches = tracked.item() + 1;
    assign(tracked, [batches]);
    const share = this.momentum ?? 1 / batches;
    const moved = (old: Tensor, now: Tensor, factor: number) => {
      const values = now.data();
      return Array.from(old.data(), (v, i) => (1 - share) * v + share * factor * (values[i] as number));
    };
    assign(means, moved(means, center, 1));
    assign(variances, moved(variances, spread, n / (n - 1)));
  }

  /**
   * Makes a layer from its tensors: `weight` and `bias`, `running_mean`, `running_var` and `num_batches_tracked`, as far as there are any.
   * @throws FormatError for anything but such tensors
   * @example const norm = BatchNorm1d.fromStateDict(parseSafetensors(bytes), { prefix: "norm" });
   */
  static fromStateDict(source: StateSource, options: BatchNorm1dFromOptions = {}): BatchNorm1d {
    const op = "BatchNorm1d.fromStateDict";
    checkOptions(op, options, ["prefix", "eps", "momentum", "dtype"]);
    return fromTensors(op, source, options, (own) => {
      const [affine, trackRunningStats] = [own.has("weight"), own.has("running_mean")];
      const first = affine ? "weight" : "running_mean";
      const [features] = shapeOf(op, own, first, ["numFeatures"]) as [number];
      return new BatchNorm1d(features, { affine, trackRunningStats, dtype: floatOf(own, first), ...ownOptions(options) });
    });
  }
}
