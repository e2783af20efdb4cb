/** The liquid time-constant network: leaky differential equations whose time constants depend on the input. */

import { checkNumber, checkSizes, optionsOf } from "../../base/checks.ts";
import { ArgumentError } from "../../base/errors.ts";
import { LAYER, type LayerOptions, uniformParameter } from "../../nn/layers.ts";
import { Parameter } from "../../nn/module.ts";
import { add, div, mul } from "../../ops/arithmetic.ts";
import { linear } from "../../ops/linear.ts";
import { sigmoid } from "../../ops/math.ts";
import { slice } from "../../ops/shape.ts";
import { Cell } from "../../recurrence/recurrence.ts";
import { zeros } from "../../tensor/create.ts";
import { checkTensor, type Tensor } from "../../tensor/tensor.ts";
import { rate } from "../diagonal/mixing.ts";

export interface LiquidOptions extends LayerOptions {
  readonly inputSize: number;
  readonly hiddenSize: number;
  /** Time between two inputs (default 1). */
  readonly interval?: number;
  /** Whether the last input is the time since the previous one, replacing `interval` (default false). */
  readonly timed?: boolean;
  /** Solver steps in that time (default 6). */
  readonly unfolds?: number;
}

/** Splits inputs [B,I] into the visible inputs and the elapsed time, a number or [B,1]. */
export function seenAndTime(input: Tensor, interval: number, timed: boolean): [seen: Tensor, time: Tensor | number] {
  if (!timed) return [input, interval];
  checkTensor("step", input);
  const I = input.dim(1);
  return [slice(input, 1, 0, I - 1), slice(input, 1, I - 1)];
}

/** Number of visible inputs. @throws ArgumentError if there is nothing but the time, or for an interval that is not positive */
export function checkTime(op: string, inputSize: number, interval: number, timed: boolean): number {
  checkNumber(op, "interval", interval, { above: 0 });
  if (timed && inputSize < 2) throw new ArgumentError(`${op}: expected an input beside the time, got inputSize ${inputSize}`);
  return timed ? inputSize - 1 : inputSize;
}

/**
 * Liquid time-constant network, solved by the fused implicit-explicit Euler step, `unfolds` times per input with δ = interval/unfolds:
 *
 *   dx/dt = −(1/τ + f)∘x + f∘A    f = σ(W I + R x + μ)
 *   x' = (x + δ f∘A) / (1 + δ (1/τ + f))
 *
 * With `timed` the interval is the last input. Parameters weightIh [H,I], weightHh [H,H], bias [H] (μ), logTau [H] (τ = exp(logTau), so positive), reversal [H] (A); state and
 * output x [B,H] from zero. Weights from U(±1/√H), τ = 1, A from U(±1). As f is positive, x stays within [min(0, A), max(0, A)].
 * @see Hasani, Lechner, Amini, Rus, Grosu, "Liquid time-constant networks", 2021, eq. 1-3, algorithm 1 and theorem 2
 * Deviates: f, which the paper leaves open, is a logistic layer of all inputs and states; initial values.
 * @example const [x1] = new LiquidTimeConstant({ inputSize: 4, hiddenSize: 8, interval: 0.1 }).step(input, x);
 */
export class LiquidTimeConstant extends Cell<Tensor> {
  readonly inputSize: number;
  readonly outputSize: number;
  readonly interval: number;
  readonly timed: boolean;
  readonly unfolds: number;
  readonly weightIh: Parameter;
  readonly weightHh: Parameter;
  readonly bias: Parameter;
  readonly logTau: Parameter;
  readonly reversal: Parameter;

  constructor(given: LiquidOptions) {
    super();
    const {
      inputSize,
      hiddenSize,
      interval = 1,
      timed = false,
      unfolds = 6,
      ...options
    } = optionsOf("LiquidTimeConstant", given, ["inputSize", "hiddenSize", "interval", "timed", "unfolds", ...LAYER]);
    checkSizes("LiquidTimeConstant", { inputSize, hiddenSize, unfolds });
    const seen = checkTime("LiquidTimeConstant", inputSize, interval, timed);
    this.inputSize = inputSize;
    this.outputSize = hiddenSize;
    this.interval = interval;
    this.timed = timed;
    this.unfolds = unfolds;
    const bound = 1 / Math.sqrt(hiddenSize);
    this.weightIh = uniformParameter([hiddenSize, seen], bound, options);
    this.weightHh = uniformParameter([hiddenSize, hiddenSize], bound, options);
    this.bias = uniformParameter([hiddenSize], bound, options);
    this.logTau = new Parameter(zeros([hiddenSize], options.dtype ?? "float32"));
    this.reversal = uniformParameter([hiddenSize], 1, options);
  }

  initialState(batch: number): Tensor {
    return zeros([batch, this.outputSize], this.bias.dtype);
  }

  step(input: Tensor, state: Tensor): [y: Tensor, next: Tensor] {
    const [seen, time] = seenAndTime(input, this.interval, this.timed);
    const delta = typeof time === "number" ? time / this.unfolds : div(time, this.unfolds);
    const leak = rate(mul(this.logTau, -1));
    const drive = linear(seen, this.weightIh, this.bias);
    let x = state;
    for (let k = 0; k < this.unfolds; k++) {
      const f = sigmoid(add(drive, linear(x, this.weightHh)));
      x = div(add(x, mul(mul(f, this.reversal), delta)), add(mul(add(leak, f), delta), 1));
    }
    return [x, x];
  }
}
