/** The closed-form continuous-time network: the solution of a liquid time-constant network, without a solver. */

import { gate } from "../../autodiff/observer.ts";
import { checkSizes, optionsOf } from "../../base/checks.ts";
import { LAYER, type LayerOptions, Linear } from "../../nn/layers.ts";
import { add, mul } from "../../ops/arithmetic.ts";
import { sigmoid, tanh } from "../../ops/math.ts";
import { cat } from "../../ops/shape.ts";
import { Cell } from "../../recurrence/recurrence.ts";
import { zeros } from "../../tensor/create.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { mix } from "../diagonal/mixing.ts";
import { checkTime, seenAndTime } from "./liquid.ts";

export interface ClosedFormOptions extends LayerOptions {
  readonly inputSize: number;
  readonly hiddenSize: number;
  /** Size of the backbone layer (default hiddenSize). */
  readonly backboneSize?: number;
  /** Time t between two inputs (default 1). */
  readonly interval?: number;
  /** Whether the last input is the time since the previous one, replacing `interval` (default false). */
  readonly timed?: boolean;
}

/**
 * Closed-form continuous-time network: a gate moves from one proposal to another as time passes.
 *
 *   s = 1.7159·tanh(⅔ (W [I; x] + b))    g, h = tanh(W s + b)    f, τ = W s + b
 *   x' = σ(−(f t + τ))∘g + (1 − σ(−(f t + τ)))∘h
 *
 * With `timed` t is the last input. Layers backbone [·,I+H], and g, h, f, tau [H,·]; state and output x [B,H] from zero; weights as in `Linear`.
 * @see Hasani, Lechner, Amini, Liebenwein, Ray, Tschaikowski, Teschl, Rus, "Closed-form continuous-time neural networks", 2022
 * Deviates: the time's offset τ has its own head, as in the authors' code; the backbone has one layer.
 * @example const [x1] = new ClosedFormContinuousTime({ inputSize: 4, hiddenSize: 8, interval: 0.1 }).step(input, x);
 */
export class ClosedFormContinuousTime extends Cell<Tensor> {
  readonly inputSize: number;
  readonly outputSize: number;
  readonly interval: number;
  readonly timed: boolean;
  readonly backbone: Linear;
  readonly g: Linear;
  readonly h: Linear;
  readonly f: Linear;
  readonly tau: Linear;

  constructor(given: ClosedFormOptions) {
    super();
    const {
      inputSize,
      hiddenSize,
      backboneSize = hiddenSize,
      interval = 1,
      timed = false,
      ...options
    } = optionsOf("ClosedFormContinuousTime", given, ["inputSize", "hiddenSize", "backboneSize", "interval", "timed", ...LAYER]);
    checkSizes("ClosedFormContinuousTime", { inputSize, hiddenSize, backboneSize });
    const seen = checkTime("ClosedFormContinuousTime", inputSize, interval, timed);
    this.inputSize = inputSize;
    this.outputSize = hiddenSize;
    this.interval = interval;
    this.timed = timed;
    const head = () => new Linear(backboneSize, hiddenSize, options);
    this.backbone = new Linear(seen + hiddenSize, backboneSize, options);
    this.g = head();
    this.h = head();
    this.f = head();
    this.tau = head();
  }

  initialState(batch: number): Tensor {
    return zeros([batch, this.outputSize], this.backbone.weight.dtype);
  }

  step(input: Tensor, x: Tensor): [y: Tensor, next: Tensor] {
    const [seen, t] = seenAndTime(input, this.interval, this.timed);
    const s = mul(tanh(mul(this.backbone.forward(cat([seen, x], 1)), 2 / 3)), 1.7159);
    const time = add(mul(this.f.forward(s), t), this.tau.forward(s));
    const next = mix(gate("time", sigmoid(mul(time, -1))), tanh(this.g.forward(s)), tanh(this.h.forward(s)));
    return [next, next];
  }
}
