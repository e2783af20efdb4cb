/** The liquid time-constant network: a leaky ordinary differential equation whose time constant depends on the input. */

import { checkSizes, type LayerOptions, uniformParameter } from "../nn/layers.ts";
import { Parameter } from "../nn/module.ts";
import { Cell } from "../nn/recurrence.ts";
import { add, div, mul } from "../ops/arithmetic.ts";
import { linear } from "../ops/linear.ts";
import { exp, sigmoid } from "../ops/math.ts";
import { zeros } from "../tensor/create.ts";
import { ArgumentError } from "../tensor/errors.ts";
import type { Tensor } from "../tensor/tensor.ts";

export interface LiquidOptions extends LayerOptions {
  readonly inputSize: number;
  readonly hiddenSize: number;
  /** Time between two inputs (default 1). */
  readonly interval?: number;
  /** Solver steps in that time (default 6). */
  readonly unfolds?: number;
}

/**
 * Liquid time-constant network, solved by the fused implicit-explicit Euler step, `unfolds` times an input with δ = interval/unfolds:
 *
 *   dx/dt = −(1/τ + f)∘x + f∘A    f = σ(W I + R x + μ)
 *   x' = (x + δ f∘A) / (1 + δ (1/τ + f))
 *
 * Parameters weightIh [H,I], weightHh [H,H], bias [H] (μ), logTau [H] (τ = exp(logTau), so positive), reversal [H] (A); state and
 * output x [B,H] from zero. Weights from U(±1/√H), τ = 1, A from U(±1). As f is positive, x stays within [min(0, A), max(0, A)].
 * @see Hasani, Lechner, Amini, Rus, Grosu, "Liquid time-constant networks", 2021, eq. 1-3, algorithm 1 and theorem 2
 * Deviates: f is the logistic function of all inputs and states; the paper leaves it open.
 * @example const [x1] = new LiquidTimeConstant({ inputSize: 4, hiddenSize: 8, interval: 0.1 }).step(input, x);
 */
export class LiquidTimeConstant extends Cell<Tensor> {
  readonly inputSize: number;
  readonly outputSize: number;
  readonly interval: number;
  readonly unfolds: number;
  readonly weightIh: Parameter;
  readonly weightHh: Parameter;
  readonly bias: Parameter;
  readonly logTau: Parameter;
  readonly reversal: Parameter;

  constructor({ inputSize, hiddenSize, interval = 1, unfolds = 6, ...options }: LiquidOptions) {
    super();
    checkSizes("LiquidTimeConstant", { inputSize, hiddenSize, unfolds });
    if (!(interval > 0)) throw new ArgumentError(`LiquidTimeConstant: expected a positive interval, got ${interval}`);
    this.inputSize = inputSize;
    this.outputSize = hiddenSize;
    this.interval = interval;
    this.unfolds = unfolds;
    const bound = 1 / Math.sqrt(hiddenSize);
    this.weightIh = uniformParameter([hiddenSize, inputSize], bound, options);
    this.weightHh = uniformParameter([hiddenSize, hiddenSize], bound, options);
    this.bias = uniformParameter([hiddenSize], bound, options);
    this.logTau = new Parameter(zeros([hiddenSize], options.dtype ?? "float32"));
    this.reversal = uniformParameter([hiddenSize], 1, options);
  }

  initialState(batch: number): Tensor {
    return zeros([batch, this.outputSize], this.bias.dtype);
  }

  step(input: Tensor, state: Tensor): [y: Tensor, next: Tensor] {
    const delta = this.interval / this.unfolds;
    const leak = exp(mul(this.logTau, -1));
    const drive = linear(input, this.weightIh, this.bias);
    let x = state;
    for (let k = 0; k < this.unfolds; k++) {
      const f = sigmoid(add(drive, linear(x, this.weightHh)));
      x = div(add(x, mul(mul(f, this.reversal), delta)), add(mul(add(leak, f), delta), 1));
    }
    return [x, x];
  }
}
