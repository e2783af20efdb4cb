/** Units that fall silent after they have fired: a feed-forward network that knows the order of what it sees. */

import { checkNumber, checkSizes, checkWhole, optionsOf } from "../base/checks.ts";
import { type Activation, activationOf } from "../cells/activations.ts";
import { LAYER, type LayerOptions, uniformParameter } from "../nn/layers.ts";
import type { Parameter } from "../nn/module.ts";
import { sub } from "../ops/arithmetic.ts";
import { clamp, greater, lessEqual, logicalAnd, where } from "../ops/compare.ts";
import { linear } from "../ops/linear.ts";
import { Cell } from "../recurrence/recurrence.ts";
import { zeros } from "../tensor/create.ts";
import { defaultGenerator, type Generator } from "../tensor/random.ts";
import type { Tensor } from "../tensor/tensor.ts";

export interface SilencingLayerOptions extends LayerOptions {
  readonly inputSize: number;
  readonly hiddenSize: number;
  /** Steps for which a unit is silent after it has fired (default 3); with 0 this is a plain layer. */
  readonly duration?: number;
  /** θ, above which a unit has fired (default 0.5). */
  readonly threshold?: number;
  /** With which probability a unit that has fired falls silent (default 1). Below 1 steps draw from `generator`, and run operation by operation. */
  readonly probability?: number;
  /** f (default "relu"). */
  readonly activation?: Activation;
}

/**
 * A layer whose units fall silent for `duration` steps after they have fired:
 *
 *   m = 1[q ≤ 0]      z = f(W x + b)∘m      q' = d where z > θ, with a probability p, else max(q − 1, 0)
 *
 * Thus what is presented passes through sub-networks that depend on what was presented just before, without a weight that feeds back.
 * `weight` W [H,I] and `bias` b [H] from U(±1/√I). State: q [B,H], how many steps each unit is still silent. The masks are constants to derivatives.
 * @param options x [B,I] to z [B,H]; a classifier is a `Linear` on it
 * @throws ArgumentError for sizes below 1, options out of range
 * @see Hodassman, Meir, Kisos, Ben-Noam, Tugendhaft, Goldental, Vardi and Kanter, "Brain inspired neuronal silencing mechanism to enable reliable
 * sequence identification", Scientific Reports 12, 2022
 * Deviates: a minimal reading. The paper measures the mechanism in cultured neurons and applies it to perceptrons and convolutional networks on
 * digits; its durations, thresholds, probabilities and sizes were not at hand.
 * @example const [zs] = new SilencingLayer({ inputSize: 64, hiddenSize: 100 }).scan(xs);
 */
export class SilencingLayer extends Cell<Tensor> {
  readonly inputSize: number;
  readonly outputSize: number;
  readonly duration: number;
  readonly threshold: number;
  readonly probability: number;
  readonly generator: Generator;
  readonly weight: Parameter;
  readonly bias: Parameter;
  readonly #f: (x: Tensor) => Tensor;

  constructor(options: SilencingLayerOptions) {
    super();
    const {
      inputSize: I,
      hiddenSize: H,
      duration = 3,
      threshold = 0.5,
      probability = 1,
      activation = "relu",
      generator = defaultGenerator(),
    } = optionsOf("SilencingLayer", options, ["inputSize", "hiddenSize", "duration", "threshold", "probability", "activation", ...LAYER]);
    checkSizes("SilencingLayer", { inputSize: I, hiddenSize: H });
    checkWhole("SilencingLayer", "duration", duration);
    checkNumber("SilencingLayer", "threshold", threshold);
    checkNumber("SilencingLayer", "probability", probability, { least: 0, most: 1 });
    this.#f = activationOf(activation);
    this.inputSize = I;
    this.outputSize = H;
    this.duration = duration;
    this.threshold = threshold;
    this.probability = probability;
    this.generator = generator;
    this.weight = uniformParameter([H, I], 1 / Math.sqrt(I), options);
    this.bias = uniformParameter([H], 1 / Math.sqrt(I), options);
  }

  initialState(batch: number): Tensor {
    return zeros([batch, this.outputSize], this.bias.dtype);
  }

  step(x: Tensor, q: Tensor): [y: Tensor, next: Tensor] {
    const z = where(lessEqual(q, 0), this.#f(linear(x, this.weight, this.bias)), 0);
    const fired = greater(z, this.threshold);
    const { probability: p, generator } = this;
    const silenced = p === 1 ? fired : logicalAnd(fired, generator.bernoulli(z.shape, p, "bool"));
    const next = where(silenced, this.duration, clamp(sub(q, 1), 0, this.duration));
    return [z, next];
  }
}
