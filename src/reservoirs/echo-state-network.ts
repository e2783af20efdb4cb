/** The echo state network: a reservoir and a linear readout, which alone is trained. */

import { noGrad } from "../autodiff/tape.ts";
import { checkArrayLike, checkFlag, checkNumber, checkOneOf, checkSizes, checkWhole, optionsOf } from "../base/checks.ts";
import { type FloatDType, isFloat } from "../base/dtype.ts";
import { ArgumentError, DTypeError, ShapeError, StateError } from "../base/errors.ts";
import { quote } from "../base/quote.ts";
import { LAYER, type LayerOptions, Linear, layerOptions } from "../nn/layers.ts";
import type { Module } from "../nn/module.ts";
import { type Ridge, RidgeRegression } from "../numerics/ridge.ts";
import { add, mul, sub } from "../ops/arithmetic.ts";
import { reshape } from "../ops/broadcast.ts";
import { takeRows } from "../ops/gather.ts";
import { log, sigmoid, tanh } from "../ops/math.ts";
import { cat, select, slice } from "../ops/shape.ts";
import { Cell, checkRecurrence, type ScanOptions, startOf } from "../recurrence/recurrence.ts";
import { detachState, type State, stateTensors } from "../recurrence/state.ts";
import { ones, zeros } from "../tensor/create.ts";
import { show } from "../tensor/shape.ts";
import { assign, checkTensor, scope, type Tensor, tensor } from "../tensor/tensor.ts";
import { checkScan, masked, Reservoir, refuseMissing, withNoise } from "./reservoir.ts";

export interface EchoStateNetworkOptions extends LayerOptions {
  readonly outputSize: number;
  /** That of the reservoir's state, which is the default. */
  readonly dtype?: FloatDType;
  /** Whether the reservoir also reads the last output, as its last inputs (default false). */
  readonly feedback?: boolean;
  /** Whether the readout also reads the input (default true). */
  readonly readInput?: boolean;
  /** fout, the function of the outputs (default "linear"). */
  readonly outputActivation?: OutputActivation;
}

/** The functions of outputs that have an inverse, which targets go through before they are fitted. */
const OUTPUTS = {
  linear: { low: Number.NEGATIVE_INFINITY, high: Number.POSITIVE_INFINITY, of: (x: Tensor) => x, inverse: (y: Tensor) => y },
  tanh: { low: -1, high: 1, of: tanh, inverse: (y: Tensor) => mul(sub(log(add(1, y)), log(sub(1, y))), 0.5) },
  logistic: { low: 0, high: 1, of: sigmoid, inverse: (y: Tensor) => sub(log(y), log(sub(1, y))) },
} as const;

/** fout: none, or one with an inverse: tanh, or "logistic", 1/(1 + e⁻ˣ). */
export type OutputActivation = keyof typeof OUTPUTS;

/** The reservoir's state, and with feedback the last output. */
export interface EchoStateNetworkState<S extends State> {
  readonly [name: string]: State;
  readonly reservoir: S;
}

export interface FitReadoutOptions<S extends State> {
  /** Steps at the beginning that are run and not fitted, while the reservoir forgets its start (default 100). */
  readonly washout?: number;
  /** λ, or "gcv" (the default): the one that cross-validation finds best; see `RidgeRegression`. */
  readonly ridge?: Ridge;
  /** The state before the first step. */
  readonly state?: EchoStateNetworkState<S>;
  /** Steps that are run and summed at a time (default 256): memory is that of so many. */
  readonly chunk?: number;
}

/** How the fit of a readout went. */
export interface ReadoutFit<S extends State> {
  /** The λ that was used. */
  readonly ridge: number;
  /** How many weights the fit has the freedom of. */
  readonly degrees: number;
  /** Mean square error of the fit, in float64, over the rows it was made of; before fout, where there is one. */
  readonly meanSquaredError: number;
  /** Rows of the regression: steps times sequences, less the washout and the targets that are NaN. */
  readonly rows: number;
  /** The state after the last step, fed with the targets: from here the network can run freely. */
  readonly state: EchoStateNetworkState<S>;
}

/** A recurrence with any state. */
export interface AnyReservoir<S extends State> extends Module {
  readonly inputSize: number;
  readonly outputSize: number;
  initialState(batch: number): S;
  step(x: Tensor, state: never): [y: Tensor, next: S];
  scan(xs: Tensor, state?: never, options?: ScanOptions): [ys: Tensor, last: S];
}

/**
 * Echo state network: a reservoir r and a linear readout,
 *
 *   (h, s') = r([x; y₋₁], s)        y = fout(Wout [x; h] + bout)
 *
 * y₋₁ with `feedback` only, x in the readout unless `readInput` is false, with 0 for inputs that are missing if the reservoir masks them. Any recurrence
 * is a reservoir: a `Reservoir`; for a deep network a `StackedRNN` of several with `skip`, which puts out all layers' states; a `LiquidStateMachine`; an
 * untrained GRU. `readout` [O, I + N] is the only trained part, usually by `fit`, a ridge regression in float64 in one pass. It trains by gradient as well:
 * an optimiser takes `readout.parameters()`, since those of a `Reservoir` need no gradient.
 * The state is that of the reservoir, and y₋₁ with feedback.
 * @param reservoir of inputSize I, with feedback I + O
 * @param options x [B,I] to y [B,O]
 * @throws ShapeError for a reservoir that is too small for the feedback; ArgumentError for sizes below 1; DTypeError for another dtype than the reservoir's
 * @see Jaeger, "The echo state approach to analysing and training recurrent neural networks", GMD report 148, 2001; Jaeger and Haas, "Harnessing
 * nonlinearity", Science 304, 2004. Deep: Gallicchio, Micheli and Pedrelli, "Deep reservoir computing", 2017
 * @example
 * const network = new EchoStateNetwork(new Reservoir({ inputSize: 1, hiddenSize: 100 }), { outputSize: 1 });
 * const { state } = network.fit(xs, targets, { washout: 100 });
 * const [ys] = network.scan(more, state);
 */
export class EchoStateNetwork<S extends State = Tensor> extends Cell<EchoStateNetworkState<S>> {
  readonly inputSize: number;
  readonly outputSize: number;
  readonly reservoir: AnyReservoir<S>;
  readonly readout: Linear;
  readonly feedback: boolean;
  readonly readInput: boolean;
  readonly outputActivation: OutputActivation;
  /** Whether inputs may be missing: every layer of the reservoir masks them. */
  readonly #masks: boolean;

  constructor(reservoir: AnyReservoir<S>, options: EchoStateNetworkOptions) {
    super();
    checkRecurrence("EchoStateNetwork", reservoir);
    const {
      outputSize: O,
      feedback = false,
      readInput = true,
      outputActivation = "linear",
    } = optionsOf("EchoStateNetwork", options, ["outputSize", "feedback", "readInput", "outputActivation", ...LAYER]);
    checkSizes("EchoStateNetwork", { outputSize: O });
    checkFlag("EchoStateNetwork", "feedback", feedback);
    checkFlag("EchoStateNetwork", "readInput", readInput);
    checkOneOf("EchoStateNetwork", "outputActivation", outputActivation, Object.keys(OUTPUTS) as OutputActivation[]);
    const I = reservoir.inputSize - (feedback ? O : 0);
    if (I < 0)
      throw new ShapeError(`EchoStateNetwork: expected a reservoir that reads ${O} outputs, got one of inputSize ${reservoir.inputSize}`);
    this.inputSize = I;
    this.outputSize = O;
    this.reservoir = reservoir;
    this.feedback = feedback;
    this.readInput = readInput;
    this.outputActivation = outputActivation;
    const layers = [...reservoir.modules()].filter((module) => module instanceof Reservoir);
    this.#masks = layers.length > 0 && layers.every(({ missing }) => missing === "mask");
    const own = dtypeOf(reservoir);
    const dtype = options.dtype ?? own;
    if (dtype !== own) {
      throw new DTypeError(`EchoStateNetwork: expected ${own}, as the reservoir has, got ${quote(dtype)}`);
    }
    this.readout = new Linear(reservoir.outputSize + (readInput ? I : 0), O, { ...layerOptions(options), dtype });
  }

  initialState(batch: number): EchoStateNetworkState<S> {
    const reservoir = this.reservoir.initialState(batch);
    return this.feedback ? { reservoir, y: zeros([batch, this.outputSize], this.readout.weight.dtype) } : { reservoir };
  }

  step(x: Tensor, state: EchoStateNetworkState<S>): [y: Tensor, next: EchoStateNetworkState<S>] {
    const read = this.feedback ? cat([x, state.y as Tensor], 1) : x;
    const [h, reservoir] = this.reservoir.step(read, state.reservoir as never);
    const y = this.output.of(this.readout.forward(this.features(x, h)));
    return [y, this.feedback ? { reservoir, y } : { reservoir }];
  }

  /** What the readout reads, for inputs x [...,I] and states h [...,N]. */
  features(x: Tensor, h: Tensor): Tensor {
    if (!this.readInput) return h;
    return cat([this.#masks ? masked(x) : x, h], -1);
  }

  /** What fout makes of outputs, and what it made them of. @internal */
  get output(): (typeof OUTPUTS)[OutputActivation] {
    return OUTPUTS[this.outputActivation];
  }

  override scan(xs: Tensor, state?: EchoStateNetworkState<S>, options: ScanOptions = {}): [ys: Tensor, last: EchoStateNetworkState<S>] {
    checkScan(xs, this.inputSize, options, this.#masks);
    return super.scan(xs, state, options);
  }

  /**
   * Fits the readout by ridge regression, in one pass: λ counts for all weights, that of the bias among them. With feedback the reservoir reads
   * the targets in place of the outputs (teacher forcing). Reservoirs with `noise` add it. Steps whose targets are NaN are run and left out of the fit.
   * The readout is changed when all is known, and rounded to its dtype: use float64 where errors are to be small.
   * @param xs [T,B,I]
   * @param targets [T,B,O]
   * @throws ShapeError for other shapes; ArgumentError for a washout that leaves nothing, inputs and targets that are not finite (but for
   *   NaN in inputs that the reservoir masks, and in targets without feedback), targets that fout does not reach; StateError for a λ too small
   */
  fit(xs: Tensor, targets: Tensor, options: FitReadoutOptions<S> = {}): ReadoutFit<S> {
    const { washout = 100, ridge = "gcv", chunk = 256 } = optionsOf("fit", options, ["washout", "ridge", "state", "chunk"]);
    this.checkPair("fit", xs, targets);
    checkWhole("fit", "washout", washout);
    checkWhole("fit", "chunk", chunk, { least: 1 });
    const T = xs.dim(0);
    if (washout >= T) throw new ArgumentError(`fit: expected a washout below the ${T} steps, got ${washout}`);
    const regression = new RidgeRegression(this.readout.inFeatures + 1, this.outputSize);
    let state = startOf(this, xs, options.state);
    for (let from = 0; from < T; from += chunk) {
      const to = Math.min(T, from + chunk);
      state = scope(() =>
        noGrad(() => {
          const [features, next] = this.#forced(slice(xs, 0, from, to), slice(targets, 0, from, to), state);
          const first = Math.max(0, washout - from);
          if (first < to - from) {
            addRows(regression, slice(features, 0, first, to - from), this.output.inverse(slice(targets, 0, from + first, to)));
          }
          return next;
        }),
      );
    }
    if (regression.rows === 0) throw new StateError("fit: expected targets that are numbers after the washout, got none");
    const found = regression.solve(ridge);
    this.setReadout(found.weight);
    return { ridge: found.ridge, degrees: found.degrees, meanSquaredError: found.meanSquaredError, rows: regression.rows, state };
  }

  /** Features of all steps, the reservoir being fed with the targets; and the state after them. */
  #forced(xs: Tensor, targets: Tensor, state: EchoStateNetworkState<S>): [features: Tensor, next: EchoStateNetworkState<S>] {
    const run = (inputs: Tensor) => withNoise(this.reservoir, () => this.reservoir.scan(inputs, state.reservoir as never));
    if (!this.feedback) {
      const [hs, reservoir] = run(xs);
      return [this.features(xs, hs), { reservoir: detachState(reservoir) }];
    }
    const steps = xs.dim(0);
    const first = reshape(state.y as Tensor, [1, ...(state.y as Tensor).shape]);
    const before = steps === 1 ? first : cat([first, slice(targets, 0, 0, steps - 1)], 0);
    const [hs, reservoir] = run(cat([xs, before], 2));
    return [this.features(xs, hs), { reservoir: detachState(reservoir), y: select(targets, 0, steps - 1) }];
  }

  /**
   * Takes weights [O, features + 1] row by row, the bias first.
   * @throws DTypeError for what is no array; ShapeError for another number of weights; ArgumentError for one that is not finite
   */
  setReadout(weight: ArrayLike<number>): void {
    const [F, O] = [this.readout.inFeatures, this.outputSize];
    checkArrayLike("setReadout", "the weights", weight);
    if (weight.length !== O * (F + 1)) throw new ShapeError(`setReadout: expected ${O * (F + 1)} weights, got ${weight.length}`);
    for (let i = 0; i < weight.length; i++) checkNumber("setReadout", "the weights", weight[i] as number);
    const { bias } = this.readout;
    scope(() => {
      if (bias !== null)
        assign(
          bias,
          Float64Array.from({ length: O }, (_, o) => weight[o * (F + 1)] as number),
        );
      assign(
        this.readout.weight,
        Float64Array.from({ length: O * F }, (_, e) => weight[Math.floor(e / F) * (F + 1) + 1 + (e % F)] as number),
      );
    });
  }

  /** Inputs and targets of one length, batch and dtype, the inputs finite where they have to be. @internal */
  checkPair(op: string, xs: Tensor, targets: Tensor): void {
    checkTensor(op, xs);
    checkTensor(op, targets);
    const fits = xs.rank === 3 && targets.rank === 3 && xs.dim(2) === this.inputSize && targets.dim(2) === this.outputSize;
    if (!fits || xs.dim(0) !== targets.dim(0) || xs.dim(1) !== targets.dim(1)) {
      const expected = `xs [T,B,${this.inputSize}] and targets [T,B,${this.outputSize}]`;
      throw new ShapeError(`${op}: expected ${expected}, got ${show(xs.shape)} and ${show(targets.shape)}`);
    }
    refuseMissing(op, "xs", xs, this.#masks);
    refuseMissing(op, "targets", targets, !this.feedback);
    const { low, high } = this.output;
    const beyond = targets.data().find((v) => Number(v) <= low || Number(v) >= high);
    if (beyond !== undefined) {
      throw new ArgumentError(`${op}: expected targets in (${low}, ${high}), as "${this.outputActivation}" puts out, got ${beyond}`);
    }
  }
}

/** The dtype of a reservoir's state; float32 where it has none. */
function dtypeOf<S extends State>(reservoir: AnyReservoir<S>): FloatDType {
  return (
    scope(() =>
      stateTensors(reservoir.initialState(1))
        .map((s) => s.dtype)
        .find(isFloat),
    ) ?? "float32"
  );
}

/** Adds the rows whose targets are all numbers, each with a one in front. */
function addRows(regression: RidgeRegression, features: Tensor, targets: Tensor): void {
  const F = features.dim(-1);
  const rows = features.size / F;
  const [x, y] = [reshape(features, [rows, F]), reshape(targets, [rows, regression.outputs])];
  const values = y.data();
  const known = Array.from({ length: rows }, (_, i) => i).filter((i) => {
    return values.subarray(i * regression.outputs, (i + 1) * regression.outputs).every((v) => !Number.isNaN(Number(v)));
  });
  const index = tensor(Int32Array.from(known));
  const all = cat([ones([rows, 1], x.dtype), x], 1);
  if (known.length === rows) regression.add(all, y);
  else if (known.length > 0) regression.add(takeRows(all, index), takeRows(y, index));
}
