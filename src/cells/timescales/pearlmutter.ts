/** Pearlmutter's continuous-time network, with learned time constants and delays. */

import { checkNumber, checkSizes, optionsOf } from "../../base/checks.ts";
import { LAYER, type LayerOptions, uniformParameter } from "../../nn/layers.ts";
import { Parameter } from "../../nn/module.ts";
import { add, div, mul, sub } from "../../ops/arithmetic.ts";
import { reshape } from "../../ops/broadcast.ts";
import { linear } from "../../ops/linear.ts";
import { abs, expm1, log, relu, sigmoid, softplus } from "../../ops/math.ts";
import { permute } from "../../ops/shape.ts";
import { Cell } from "../../recurrence/recurrence.ts";
import { arange, full, zeros } from "../../tensor/create.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { type Activation, activationOf } from "../activations.ts";
import { advance, emptyLine, sideBySide, tapsOf } from "../delays/delay-line.ts";

export interface PearlmutterOptions extends LayerOptions {
  readonly inputSize: number;
  readonly hiddenSize: number;
  /** Δt, the time of a step (default 0.1). */
  readonly interval?: number;
  /** The longest delay of a connection, in units of time; default no delays. */
  readonly maxDelay?: number;
  /** s (default "logistic"). */
  readonly activation?: Activation;
  /** Initial time constants (default 1); above `interval`. */
  readonly tau?: number;
  /** Bound of the uniform initial weights (default 1/√H). */
  readonly bound?: number;
}

/**
 * Continuous-time network whose connections have delays, solved by Euler's method with steps Δt:
 *
 *   T_i dy_i/dt = −y_i + s(x_i) + I_i      x_i = Σ_j w_ij y_j(t − τ_ij) + b_i
 *
 * `weightHh` w [H,H] from unit j (column) to unit i (row), `bias` b [H], `weightIh` [H,I] (I = weightIh·x), all from U(±1/√H); `rawTau` [H], T = Δt + softplus(rawTau), so
 * a step never overshoots; `rawDelay` [H,H] (null without delays), τ = maxDelay·σ(rawDelay), starting near the middle. Between
 * steps the past is interpolated linearly, so delays are trained like weights. State: y [B,H] and, with delays, past values of y [B,D,H], newest first,
 * D = ⌈maxDelay/Δt⌉, from zero.
 * @param options x [B,I] to y [B,H] after the step
 * @throws ArgumentError for sizes below 1, an interval or a delay that is not positive, a time constant that is not above the interval
 * @see Pearlmutter, "Learning state space trajectories in recurrent neural networks", Neural Computation 1, 1989, eq. 1, and "Gradient calculations for
 * dynamic recurrent neural networks: a survey", IEEE Transactions on Neural Networks 6, 1995, section IV for delays
 * Deviates: how T and τ are bounded; initial values; what the paper calls w_ji is w_ij here.
 * @example const [ys] = new PearlmutterNetwork({ inputSize: 1, hiddenSize: 4, maxDelay: 1 }).scan(xs);
 */
export class PearlmutterNetwork extends Cell<readonly Tensor[]> {
  readonly inputSize: number;
  readonly outputSize: number;
  readonly interval: number;
  readonly maxDelay: number | null;
  readonly method = "euler";
  readonly unfolds = 1;
  readonly weightIh: Parameter;
  readonly weightHh: Parameter;
  readonly bias: Parameter;
  readonly rawTau: Parameter;
  readonly rawDelay: Parameter | null;
  readonly #f: (x: Tensor) => Tensor;

  constructor(options: PearlmutterOptions) {
    super();
    const {
      inputSize: I,
      hiddenSize: H,
      interval = 0.1,
      maxDelay = null,
      tau = 1,
      bound = 1 / Math.sqrt(H),
    } = optionsOf("PearlmutterNetwork", options, [
      "inputSize",
      "hiddenSize",
      "interval",
      "maxDelay",
      "activation",
      "tau",
      "bound",
      ...LAYER,
    ]);
    checkSizes("PearlmutterNetwork", { inputSize: I, hiddenSize: H });
    checkNumber("PearlmutterNetwork", "interval", interval, { above: 0 });
    checkNumber("PearlmutterNetwork", "tau", tau, { above: interval });
    checkNumber("PearlmutterNetwork", "bound", bound, { least: 0 });
    if (maxDelay !== null) checkNumber("PearlmutterNetwork", "maxDelay", maxDelay, { above: 0 });
    this.inputSize = I;
    this.outputSize = H;
    this.interval = interval;
    this.maxDelay = maxDelay;
    this.#f = activationOf(options.activation ?? "logistic");
    this.weightIh = uniformParameter([H, I], bound, options);
    this.weightHh = uniformParameter([H, H], bound, options);
    this.bias = uniformParameter([H], bound, options);
    // The inverse of softplus.
    this.rawTau = new Parameter(log(expm1(full([H], tau - interval, this.bias.dtype))));
    this.rawDelay = maxDelay === null ? null : uniformParameter([H, H], 1, options);
  }

  /** T [H], in units of time. */
  get tau(): Tensor {
    return add(softplus(this.rawTau), this.interval);
  }

  /** τ [H,H], in units of time; null without delays. */
  get delays(): Tensor | null {
    return this.rawDelay && mul(sigmoid(this.rawDelay), this.maxDelay as number);
  }

  /** D, number of past values to keep. */
  get #depth(): number {
    return this.maxDelay === null ? 0 : Math.ceil(this.maxDelay / this.interval);
  }

  initialState(batch: number): readonly Tensor[] {
    const y = zeros([batch, this.outputSize], this.bias.dtype);
    return this.rawDelay === null ? [y] : [y, emptyLine(batch, this.#depth, [this.outputSize], this.bias.dtype)];
  }

  /** The outputs for states y: the states themselves. */
  outputs(y: Tensor): Tensor {
    return y;
  }

  /** I, the inputs of the units, from x [B,I]. */
  drive(x: Tensor): Tensor {
    return linear(x, this.weightIh);
  }

  /** dy/dt of a network without delays, with inputs I of its units (default 0). */
  slope(y: Tensor, drive?: Tensor): Tensor {
    return this.#rise(y, linear(y, this.weightHh, this.bias), drive);
  }

  #rise(y: Tensor, x: Tensor, drive?: Tensor): Tensor {
    const net = sub(this.#f(x), y);
    return div(drive === undefined ? net : add(net, drive), this.tau);
  }

  /** Weights of all taps [H,(D+1)·H]: each connection interpolates between the two steps around its delay. */
  #tapWeights(delays: Tensor): Tensor {
    const [H, D] = [this.outputSize, this.#depth];
    const tap = reshape(arange(0, D + 1, 1, this.bias.dtype), [D + 1, 1, 1]);
    const share = relu(sub(1, abs(sub(div(delays, this.interval), tap))));
    return reshape(permute(mul(share, this.weightHh), [1, 0, 2]), [H, (D + 1) * H]);
  }

  step(x: Tensor, [y, past]: readonly Tensor[]): [y: Tensor, next: readonly Tensor[]] {
    const now = y as Tensor;
    const { delays } = this;
    const taps = past && tapsOf(now, past);
    const net =
      taps === undefined || delays === null
        ? linear(now, this.weightHh, this.bias)
        : linear(sideBySide(taps), this.#tapWeights(delays), this.bias);
    const y1 = add(now, mul(this.#rise(now, net, this.drive(x)), this.interval));
    return [y1, taps === undefined ? [y1] : [y1, advance(taps)]];
  }
}
