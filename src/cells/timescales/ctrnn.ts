/** The continuous-time recurrent network: leaky units, each with its own time constant, and a choice of solvers. */

import { checkNumber, checkOneOf, checkSizes, optionsOf } from "../../base/checks.ts";
import { ArgumentError } from "../../base/errors.ts";
import { LAYER, type LayerOptions, uniformParameter } from "../../nn/layers.ts";
import { Parameter } from "../../nn/module.ts";
import { type AdaptiveMethod, type FixedMethod, integrate, integrateAdaptively } from "../../numerics/runge-kutta.ts";
import { add, div, mul, sub } from "../../ops/arithmetic.ts";
import { sum } from "../../ops/broadcast.ts";
import { linear } from "../../ops/linear.ts";
import { log, sigmoid } from "../../ops/math.ts";
import { Cell } from "../../recurrence/recurrence.ts";
import { ones, zeros } from "../../tensor/create.ts";
import { assign, type Tensor } from "../../tensor/tensor.ts";
import { rate } from "../diagonal/mixing.ts";

export interface CTRNNOptions extends LayerOptions {
  readonly inputSize: number;
  readonly hiddenSize: number;
  /** Time between two inputs (default 1). */
  readonly interval?: number;
  /** The solver (default "rk4"). */
  readonly method?: FixedMethod | AdaptiveMethod;
  /** Number of equal steps in that time, for "euler", "heun" and "rk4" (default 1); keep a step below a fifth of the least τ. */
  readonly unfolds?: number;
  /** Largest error per step, for "bogacki-shampine" and "dormand-prince" (default 1e-6). */
  readonly tolerance?: number;
  /** The input between two steps: this step's ("hold", default), or linear from the last one to this one ("linear"). */
  readonly interpolation?: "hold" | "linear";
  /** Bound of the uniform initial weights and biases (default 1/√H). */
  readonly bound?: number;
  /** Range of the uniform initial time constants (default [1, 1]). */
  readonly tau?: readonly [least: number, greatest: number];
  /** Whether to start with the biases of `centreCrossing` (default false). */
  readonly centreCrossing?: boolean;
}

/**
 * Continuous-time recurrent network:
 *
 *   τ_i dy_i/dt = −y_i + Σ_j w_ij o_j + I_i(t)      o_j = σ(g_j (y_j + θ_j))
 *
 * `weightHh` w [H,H] from unit j (column) to unit i (row), `bias` θ [H], `gain` g [H], `logTau` [H] (τ = exp(logTau), so positive),
 * `weightIh` [H,I] (I(t) = weightIh·x). Weights and biases from U(±1/√H), g = 1, τ = 1; Beer draws w and θ from U(±16), τ from
 * U(0.5, 10). State: y [B,H] from zero, and with linear interpolation the last I; the output is o [B,H]. Every solver is differentiated
 * through all its stages. Adaptive solvers read their error, so `scan` runs them step by step.
 * @param options x [B,I] to o [B,H]
 * @throws ArgumentError for sizes below 1, an interval, time constants or a tolerance that are not positive
 * @see Beer, "On the dynamics of small continuous-time recurrent neural networks", Adaptive Behavior 3, 1995, eq. 1
 * Deviates: inputs come through weights; initial weights; what Beer calls w_ji is w_ij here.
 * @example const [o] = new CTRNN({ inputSize: 1, hiddenSize: 2, interval: 0.1 }).scan(xs);
 */
export class CTRNN extends Cell<readonly Tensor[]> {
  readonly inputSize: number;
  readonly outputSize: number;
  readonly interval: number;
  readonly method: FixedMethod | AdaptiveMethod;
  readonly unfolds: number;
  readonly weightIh: Parameter;
  readonly weightHh: Parameter;
  readonly bias: Parameter;
  readonly gain: Parameter;
  readonly logTau: Parameter;
  readonly #options: CTRNNOptions;

  constructor(options: CTRNNOptions) {
    super();
    const {
      inputSize: I,
      hiddenSize: H,
      interval = 1,
      unfolds = 1,
      bound = 1 / Math.sqrt(H),
      dtype = "float32",
    } = optionsOf("CTRNN", options, [
      "inputSize",
      "hiddenSize",
      "interval",
      "method",
      "unfolds",
      "tolerance",
      "interpolation",
      "bound",
      "tau",
      "centreCrossing",
      ...LAYER,
    ]);
    checkSizes("CTRNN", { inputSize: I, hiddenSize: H, unfolds });
    checkOneOf("CTRNN", "method", options.method ?? "rk4", ["euler", "heun", "rk4", "bogacki-shampine", "dormand-prince"]);
    checkOneOf("CTRNN", "interpolation", options.interpolation ?? "hold", ["hold", "linear"]);
    const [least, greatest] = options.tau ?? [1, 1];
    for (const [name, value] of Object.entries({ interval, tau: least, tolerance: options.tolerance ?? 1 })) {
      checkNumber("CTRNN", name, value, { above: 0 });
    }
    if (!(greatest >= least)) throw new ArgumentError(`CTRNN: expected tau from least to greatest, got [${least}, ${greatest}]`);
    checkNumber("CTRNN", "bound", bound, { least: 0 });
    this.inputSize = I;
    this.outputSize = H;
    this.interval = interval;
    this.#options = options;
    this.method = options.method ?? "rk4";
    this.unfolds = unfolds;
    this.weightIh = uniformParameter([H, I], bound, options);
    this.weightHh = uniformParameter([H, H], bound, options);
    this.bias = uniformParameter([H], bound, options);
    this.gain = new Parameter(ones([H], dtype));
    const place = uniformParameter([H], 1, options).detach();
    this.logTau = new Parameter(log(add(mul(place, (greatest - least) / 2), (least + greatest) / 2)));
    if (options.centreCrossing) this.centreCrossing();
  }

  /** Sets θ_i = −Σ_j w_ij / 2, so that the null surfaces of all units cross where every output is ½, the middle of its range. */
  centreCrossing(): void {
    assign(this.bias, mul(sum(this.weightHh.detach(), { axis: 1 }), -0.5));
  }

  initialState(batch: number): readonly Tensor[] {
    const y = zeros([batch, this.outputSize], this.bias.dtype);
    return this.#options.interpolation === "linear" ? [y, zeros(y.shape, y.dtype)] : [y];
  }

  /** o = σ(g∘(y + θ)) for states y [...,H]. */
  outputs(y: Tensor): Tensor {
    return sigmoid(mul(this.gain, add(y, this.bias)));
  }

  /** dy/dt for states y [...,H] with inputs `drive` = I(t) of the units, which broadcast (default 0). */
  slope(y: Tensor, drive?: Tensor): Tensor {
    const net = sub(linear(this.outputs(y), this.weightHh), y);
    return div(drive === undefined ? net : add(net, drive), rate(this.logTau));
  }

  /** I, the inputs of the units, from x [B,I]. */
  drive(x: Tensor): Tensor {
    return linear(x, this.weightIh);
  }

  step(x: Tensor, [y, before]: readonly Tensor[]): [o: Tensor, next: readonly Tensor[]] {
    const drive = this.drive(x);
    const rise = before === undefined ? null : sub(drive, before);
    const driveAt = (t: number) => (rise === null ? drive : add(before as Tensor, mul(rise, t / this.interval)));
    const y1 = this.#solve((state, t) => this.slope(state, driveAt(t)), y as Tensor);
    return [this.outputs(y1), before === undefined ? [y1] : [y1, drive]];
  }

  #solve(slope: (y: Tensor, t: number) => Tensor, y: Tensor): Tensor {
    const { method, unfolds } = this;
    const { tolerance = 1e-6 } = this.#options;
    if (method === "bogacki-shampine" || method === "dormand-prince") {
      return integrateAdaptively(slope, y, this.interval, { method, tolerance }).y;
    }
    return integrate(slope, y, this.interval, { method, steps: unfolds });
  }
}
