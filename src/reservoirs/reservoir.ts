/** The reservoir of an echo state network: a large random recurrent network that is not trained. */

import { checkArrayLike, checkNumber, checkOneOf, checkOptions, checkSizes, optionsOf } from "../base/checks.ts";
import type { FloatDType } from "../base/dtype.ts";
import { ArgumentError, ShapeError } from "../base/errors.ts";
import { type Activation, activationOf } from "../cells/activations.ts";
import { LAYER, type LayerOptions, layerOptions, uniformParameter } from "../nn/layers.ts";
import { type Module, Parameter } from "../nn/module.ts";
import { fillBeyond } from "../nn/padding.ts";
import { SparseLinear } from "../nn/sparse-linear.ts";
import { add, mul } from "../ops/arithmetic.ts";
import { isNaN as isMissing, where } from "../ops/compare.ts";
import { linear } from "../ops/linear.ts";
import type { SparseMatrix } from "../ops/sparse.ts";
import { Cell, checkSequence, SCAN, type ScanOptions } from "../recurrence/recurrence.ts";
import { full, ones, zeros } from "../tensor/create.ts";
import { checkGenerator, defaultGenerator, type Generator } from "../tensor/random.ts";
import { show } from "../tensor/shape.ts";
import { assign, scope, type Tensor } from "../tensor/tensor.ts";
import { randomSparse, sparseRowsOf } from "./random-matrix.ts";
import { effectiveRadius, expectedRadius, type Spectrum, scaleFor, spectrum } from "./spectrum.ts";

export interface ReservoirOptions extends LayerOptions {
  readonly inputSize: number;
  readonly hiddenSize: number;
  /** Of the effective matrix (1 − a) I + γ W (default 0.9), which is W without a leak. */
  readonly spectralRadius?: number;
  /** What the radius is that of: with "weights", of W alone, whatever the leak (default "effective"). */
  readonly radiusOf?: "effective" | "weights";
  /** Leaking rate a in (0, 1] (default 1: no leak). */
  readonly leak?: number;
  /** γ, the part of what f says that a step adds (default a). Jaeger and Haas have γ = δC and a = δCa of a step δ, a time constant C and a decay a. */
  readonly rate?: number;
  /** Which units see each other: `connections` at random each, or unit i unit i − 1 alone, in a ring (default "random"). */
  readonly topology?: "random" | "ring";
  /** Units that each unit sees, with "random" (default 10, at most all). */
  readonly connections?: number;
  /** Input weights are from U(±inputScale), one for all inputs or one for each (default 1). */
  readonly inputScale?: number | readonly number[];
  /** Biases are from U(±biasScale) (default 0). */
  readonly biasScale?: number;
  /** f (default "tanh"). */
  readonly activation?: Activation;
  /** ν: while a readout is fitted, each unit's f has noise from U(−ν, ν) added to it at every step (default 0). See `noisy`. */
  readonly noise?: number;
  /**
   * What an input of NaN is: an error of `scan` and `fit`, or an input that says nothing at that step (default "refuse"). A single `step`, and so a
   * `Stream`, does not look: without a mask the state is NaN from then on.
   */
  readonly missing?: "refuse" | "mask";
}

const OPTIONS = [
  "inputSize",
  "hiddenSize",
  "spectralRadius",
  "radiusOf",
  "leak",
  "rate",
  "topology",
  "connections",
  "inputScale",
  "biasScale",
  "activation",
  "noise",
  "missing",
  ...LAYER,
] as const;

/** What was found out about a reservoir when it was made. */
export interface ReservoirReport {
  /** Spectral radius of W. */
  readonly weightRadius: number;
  /** Spectral radius of (1 − a) I + γ W. */
  readonly effectiveRadius: number;
  /** Whether the eigenvalue that the radius is set by was found as well as `spectrum` means to; if not, its residual says how well. */
  readonly converged: boolean;
  readonly residual: number;
  /** Whether states stay bounded whatever the radius, as with "tanh". */
  readonly bounded: boolean;
  /** What to think about, in words; empty if there is nothing. */
  readonly warnings: readonly string[];
}

/** Activations whose states cannot grow without bound. */
const BOUNDED: readonly unknown[] = ["tanh", "logistic"];

/** The ring: unit i sees unit i − 1. */
function ring(n: number, dtype: "float32" | "float64"): SparseMatrix {
  const rows = Array.from({ length: n }, (_, i) => Int32Array.of((i + n - 1) % n));
  return sparseRowsOf(n, rows, ones([n], dtype));
}

function frozen(p: Parameter): Parameter {
  p.requiresGrad = false;
  return p;
}

/** Inputs with 0 where they are missing. */
export function masked(x: Tensor): Tensor {
  return where(isMissing(x), 0, x);
}

/** @throws ArgumentError for a sequence with an element that is NaN or infinite; with `gaps`, only for infinite ones */
export function refuseMissing(op: string, name: string, xs: Tensor, gaps = false): void {
  const values = xs.data();
  const at = values.findIndex((v) => !Number.isFinite(v) && !(gaps && Number.isNaN(v)));
  if (at < 0) return;
  const step = Math.floor(at / Math.max(1, values.length / xs.dim(0)));
  const expected = gaps ? "finite numbers or NaN" : "finite numbers";
  throw new ArgumentError(`${op}: expected ${expected} in ${name} ${show(xs.shape)}, got ${values[at]} at step ${step}`);
}

/** Checks the sequence of a `scan`, whose real steps have to be finite, or NaN where that is masked. @throws ShapeError, DTypeError, ArgumentError */
export function checkScan(xs: Tensor, inputSize: number, options: ScanOptions, masks: boolean): void {
  checkOptions("scan", options, SCAN);
  checkSequence("scan", xs, inputSize, options.lengths);
  refuseMissing("scan", "xs", fillBeyond(xs, options.lengths), masks);
}

/**
 * A reservoir of leaky units, sparsely and randomly connected:
 *
 *   h' = (1 − a) h + γ (f(g∘(Win x + W h) + b) + ν)        y = h'
 *
 * `weightIh` Win [N,I], `weightHh` W [N,N] sparse, `bias` b [N], `gain` g [N] (ones, until `intrinsicPlasticity` changes them). h starts at zero.
 * The elements of W are drawn from U(−1, 1) (ones in a ring) and scaled to the spectral radius. All are parameters that need no gradient;
 * what is to be trained is let go by `requiresGrad = true`. What is trained usually is a readout: see `EchoStateNetwork`.
 *
 * The radius is that of the effective matrix, which multiplies a small state from step to step. Below 1 a "tanh" network without input forgets
 * its start; the echo state property needs neither less nor more than that in general. `report` has what was found, and warnings: with "linear",
 * "relu" and functions of one's own states grow without bound from a radius of 1 on.
 *
 * Noise ν in the state makes a readout robust against small errors of the state, those of its own feedback above all. `fit` and `fitOnline` of an
 * `EchoStateNetwork` switch it on while they run the reservoir. `step`, `scan` and streams have it only with `noisy = true`, and then run
 * operation by operation.
 * @param options x [B,I] to y [B,N]; state h [B,N]
 * @throws ArgumentError for options out of range, a radius that no scale of W gives, and in `scan` for inputs of NaN unless they are masked
 * @see Jaeger, "The echo state approach to analysing and training recurrent neural networks", GMD report 148, 2001 (noise: from memory);
 * Jaeger and Haas, "Harnessing nonlinearity", Science 304, 2004 (γ, from memory); Lukoševičius, "A practical guide to applying echo state networks",
 * 2012, eq. 2-3; rings: Rodan and Tiňo, "Minimum complexity echo state network", 2011
 * Deviates: every unit has the same number of inputs.
 * @example
 * const reservoir = new Reservoir({ inputSize: 1, hiddenSize: 100, leak: 0.3 });
 * reservoir.report.effectiveRadius; // 0.9
 */
export class Reservoir extends Cell<Tensor> {
  readonly inputSize: number;
  readonly outputSize: number;
  readonly leak: number;
  readonly rate: number;
  readonly noise: number;
  /** Where noise comes from: the generator that drew the weights. */
  readonly generator: Generator;
  /** Whether `step` adds noise (default false). */
  noisy = false;
  readonly missing: "refuse" | "mask";
  readonly weightIh: Parameter;
  readonly weightHh: SparseLinear;
  readonly bias: Parameter;
  readonly gain: Parameter;
  readonly activation: Activation;
  readonly report: ReservoirReport;
  readonly #f: (x: Tensor) => Tensor;

  constructor(options: ReservoirOptions) {
    super();
    const { inputSize: I, hiddenSize: N, leak = 1, biasScale = 0, activation = "tanh" } = optionsOf("Reservoir", options, OPTIONS);
    const { topology = "random", connections = Math.min(10, N), dtype = "float32", missing = "refuse" } = options;
    const { rate = leak, noise = 0, generator = defaultGenerator() } = options;
    checkSizes("Reservoir", { inputSize: I, hiddenSize: N, connections });
    checkNumber("Reservoir", "leak", leak, { above: 0, most: 1 });
    checkNumber("Reservoir", "rate", rate, { above: 0 });
    checkNumber("Reservoir", "noise", noise, { least: 0 });
    checkGenerator("Reservoir", generator);
    checkNumber("Reservoir", "biasScale", biasScale, { least: 0 });
    checkOneOf("Reservoir", "topology", topology, ["random", "ring"]);
    checkRadius(options);
    const scales = inputScales(options);
    checkOneOf("Reservoir", "missing", missing, ["refuse", "mask"]);
    this.inputSize = I;
    this.outputSize = N;
    this.leak = leak;
    this.rate = rate;
    this.noise = noise;
    this.generator = generator;
    this.missing = missing;
    this.activation = activation;
    this.#f = activationOf(activation);
    this.weightIh = frozen(inputWeights(options, scales));
    const matrix = topology === "ring" ? ring(N, dtype) : randomSparse(N, N, connections, layerOptions(options));
    this.report = scaleMatrix(matrix, options);
    this.weightHh = new SparseLinear(matrix);
    frozen(this.weightHh.values);
    this.bias = frozen(biasScale === 0 ? new Parameter(zeros([N], dtype)) : uniformParameter([N], biasScale, options));
    this.gain = frozen(new Parameter(full([N], 1, dtype)));
  }

  initialState(batch: number): Tensor {
    return zeros([batch, this.outputSize], this.bias.dtype);
  }

  /** Win x + W h: what the gain multiplies. */
  net(x: Tensor, h: Tensor): Tensor {
    return add(linear(this.missing === "mask" ? masked(x) : x, this.weightIh), this.weightHh.forward(h));
  }

  step(x: Tensor, h: Tensor): [y: Tensor, next: Tensor] {
    const h1 = this.moved(h, this.#f(add(mul(this.gain, this.net(x, h)), this.bias)));
    return [h1, h1];
  }

  /** The state after h, for what f says. @internal */
  moved(h: Tensor, f: Tensor): Tensor {
    const { leak, rate, noise, generator } = this;
    const said = this.noisy && noise > 0 ? add(f, generator.uniform(f.shape, -noise, noise, f.dtype as FloatDType)) : f;
    const part = rate === 1 ? said : mul(said, rate);
    return leak === 1 ? part : add(mul(h, 1 - leak), part);
  }

  override scan(xs: Tensor, state?: Tensor, options: ScanOptions = {}): [ys: Tensor, last: Tensor] {
    checkScan(xs, this.inputSize, options, this.missing === "mask");
    return super.scan(xs, state, options);
  }
}

/** The scale of each input. */
function inputScales({ inputSize: I, inputScale = 1 }: ReservoirOptions): readonly number[] {
  if (typeof inputScale !== "number") checkArrayLike("Reservoir", "inputScale", inputScale);
  const scales = typeof inputScale === "number" ? new Array<number>(I).fill(inputScale) : inputScale;
  if (scales.length !== I) throw new ShapeError(`Reservoir: expected an inputScale for each of ${I} inputs, got ${scales.length}`);
  for (const scale of scales) checkNumber("Reservoir", "inputScale", scale, { least: 0 });
  return scales;
}

function inputWeights(options: ReservoirOptions, scales: readonly number[]): Parameter {
  const { inputSize: I, hiddenSize: N, dtype = "float32" } = options;
  const weight = uniformParameter([N, I], 1, { ...options, dtype });
  scope(() =>
    assign(
      weight,
      Float64Array.from(weight.data(), (w, e) => Number(w) * (scales[e % I] as number)),
    ),
  );
  return weight;
}

/** What the radius has to be, whatever W is. */
function checkRadius({ leak = 1, spectralRadius = 0.9, radiusOf = "effective" }: ReservoirOptions): void {
  checkOneOf("Reservoir", "radiusOf", radiusOf, ["effective", "weights"]);
  checkNumber("Reservoir", "spectralRadius", spectralRadius, { least: 0 });
  if (spectralRadius === 0 || spectralRadius > 1 - leak || radiusOf === "weights") return;
  throw new ArgumentError(
    `Reservoir: expected a spectralRadius that a scale of W gives, got ${spectralRadius}: a leak of ${leak} leaves ${1 - leak} already`,
  );
}

/** Scales W to the radius asked for, and says what it is then. */
function scaleMatrix(matrix: SparseMatrix, options: ReservoirOptions): ReservoirReport {
  const { leak = 1, rate = leak, spectralRadius = 0.9, radiusOf = "effective", hiddenSize } = options;
  const [ofLeaky, part] = radiusOf === "effective" ? [leak, rate / leak] : [1, 1];
  const found = spectralRadius === 0 ? null : spectrum(matrix, ofLeaky, spectralRadius / (expectedRadius(matrix) || 1));
  const leaky = found === null ? 0 : scaleFor(found.values, ofLeaky, spectralRadius);
  if (leaky === null) {
    const why = `${hiddenSize} units whose W has no eigenvalue but 0`;
    throw new ArgumentError(`Reservoir: expected a spectralRadius that a scale of W gives, got ${spectralRadius} for ${why}`);
  }
  // With γ in place of a, W has to be that much smaller.
  const scale = leaky / part;
  scope(() =>
    assign(
      matrix.values,
      Float64Array.from(matrix.values.data(), (w) => Number(w) * scale),
    ),
  );
  return reportOf(found, scale, options);
}

function reportOf(found: Spectrum | null, scale: number, options: ReservoirOptions): ReservoirReport {
  const { leak = 1, rate = leak, activation = "tanh" } = options;
  const values = found?.values ?? [];
  const radius = effectiveRadius(values, leak, (scale * rate) / leak);
  const bounded = BOUNDED.includes(activation);
  const report = {
    weightRadius: scale * effectiveRadius(values),
    effectiveRadius: found === null ? 1 - leak : radius,
    converged: found?.converged ?? true,
    residual: found?.residual ?? 0,
    bounded,
  };
  const warnings: string[] = [];
  if (!report.converged) warnings.push(`the spectral radius is known to a residual of ${report.residual} only`);
  // Rounding does not make 1 of what was asked to be less.
  if (!bounded && report.effectiveRadius >= 1 - 1e-9) {
    warnings.push(`states may grow without bound: the effective radius is ${report.effectiveRadius}, and the units do not saturate`);
  }
  return { ...report, warnings };
}

/** Runs a function while all reservoirs within a module add their noise. @internal */
export function withNoise<R>(network: Module, fn: () => R): R {
  const quiet = [...network.modules()].filter((module): module is Reservoir => module instanceof Reservoir && !module.noisy);
  for (const reservoir of quiet) reservoir.noisy = true;
  try {
    return fn();
  } finally {
    for (const reservoir of quiet) reservoir.noisy = false;
  }
}
