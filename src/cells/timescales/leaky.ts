/** Leaky rate units: each forgets at a fixed rate and sees all others. */

import { checkNumber, checkSizes, optionsOf } from "../../base/checks.ts";
import { LAYER, type LayerOptions, uniformParameter } from "../../nn/layers.ts";
import type { Parameter } from "../../nn/module.ts";
import { add, mul } from "../../ops/arithmetic.ts";
import { linear } from "../../ops/linear.ts";
import { Cell } from "../../recurrence/recurrence.ts";
import { zeros } from "../../tensor/create.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { type Activation, activationOf } from "../activations.ts";

export interface LeakyRNNOptions extends LayerOptions {
  readonly inputSize: number;
  readonly hiddenSize: number;
  /** Time constant in steps, at least 1 (default 10); 1 gives a simple recurrent network. */
  readonly tau?: number;
  /** φ (default "tanh"). */
  readonly activation?: Activation;
}

/**
 * Leaky rate units: a continuous-time recurrent network in Euler steps:
 *
 *   h' = (1 − 1/τ) h + 1/τ φ(W x + U h + b)        y = h'
 *
 * `weightIh` W [H,I], `weightHh` U [H,H], `bias` b [H], all from U(±1/√H); h starts at zero.
 * @param options x [B,I] to y [B,H]; state h [B,H]
 * @throws ArgumentError for sizes below 1 and a τ below 1
 * @see Murray, "Local online learning in recurrent networks with random feedback", eLife 8, 2019, eq. 1
 * Deviates: a bias; initial weights; τ = 10 is the paper's.
 * @example const [hs] = new LeakyRNN({ inputSize: 1, hiddenSize: 8, tau: 5 }).scan(xs);
 */
export class LeakyRNN extends Cell<Tensor> {
  readonly inputSize: number;
  readonly outputSize: number;
  readonly tau: number;
  readonly weightIh: Parameter;
  readonly weightHh: Parameter;
  readonly bias: Parameter;
  readonly #f: (x: Tensor) => Tensor;

  constructor(options: LeakyRNNOptions) {
    super();
    const {
      inputSize: I,
      hiddenSize: H,
      tau = 10,
    } = optionsOf("LeakyRNN", options, ["inputSize", "hiddenSize", "tau", "activation", ...LAYER]);
    checkSizes("LeakyRNN", { inputSize: I, hiddenSize: H });
    checkNumber("LeakyRNN", "tau", tau, { least: 1 });
    this.inputSize = I;
    this.outputSize = H;
    this.tau = tau;
    this.#f = activationOf(options.activation ?? "tanh");
    const draw = (...shape: number[]) => uniformParameter(shape, 1 / Math.sqrt(H), options);
    this.weightIh = draw(H, I);
    this.weightHh = draw(H, H);
    this.bias = draw(H);
  }

  initialState(batch: number): Tensor {
    return zeros([batch, this.outputSize], this.weightHh.dtype);
  }

  step(x: Tensor, h: Tensor): [y: Tensor, next: Tensor] {
    const rate = this.#f(add(linear(x, this.weightIh, this.bias), linear(h, this.weightHh)));
    const h1 = add(mul(h, 1 - 1 / this.tau), mul(rate, 1 / this.tau));
    return [h1, h1];
  }
}
