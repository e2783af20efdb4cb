/** Professor forcing: teaches a network to behave on its own outputs as on the teacher's. */

import { checkNumber, checkSizes, optionsOf } from "../base/checks.ts";
import { ShapeError } from "../base/errors.ts";
import { LAYER, type LayerOptions, Linear } from "../nn/layers.ts";
import { bceWithLogits } from "../nn/losses.ts";
import { Module } from "../nn/module.ts";
import { zeroBeyond } from "../nn/padding.ts";
import { add, div } from "../ops/arithmetic.ts";
import { reshape, sum } from "../ops/broadcast.ts";
import { GRU } from "../recurrence/rnn.ts";
import { full } from "../tensor/create.ts";
import { sameShape, show } from "../tensor/shape.ts";
import { type Tensor, tensor } from "../tensor/tensor.ts";

export interface ProfessorForcingOptions extends LayerOptions {
  /** F: size of the behaviour of a step, such as hidden state and output. */
  readonly behaviorSize: number;
  /** Units of the discriminator per direction. */
  readonly hiddenSize: number;
  /** The discriminator learns only while its accuracy is below this (default 0.99). */
  readonly discriminatorBelow?: number;
  /** The network learns from the discriminator only while its accuracy is above this (default 0.75). */
  readonly generatorAbove?: number;
  /** Whether to add the optional second term, which makes forced running look free as well (default false). */
  readonly both?: boolean;
}

/** The losses of professor forcing, for two optimisers. */
export interface ProfessorLosses {
  /** Loss for the discriminator's optimiser; null while its accuracy is too high. It has no gradient with respect to the network. */
  readonly discriminator: Tensor | null;
  /** To add to the network's own loss; null while the discriminator's accuracy is too low. It has no gradient with respect to the discriminator. */
  readonly generator: Tensor | null;
  /** The discriminator's accuracy over both halves of the batch. */
  readonly accuracy: number;
}

/**
 * The discriminator of professor forcing: a bidirectional GRU over a behaviour [T,B,F], the mean of its outputs over time, and a linear layer
 * that predicts whether the network was forced. With D the probability that it was,
 *
 *   C_d = −log D(forced) − log(1 − D(free))      C_f = −log D(free)      C_t = −log(1 − D(forced)), with `both`
 *
 * each averaged over the batch. The discriminator learns from C_d only while its accuracy is below 0.99, the network from C_f (+ C_t) in addition to
 * its own loss only while the accuracy is above 0.75. A step costs about three times a step of teacher forcing.
 * @see Lamb, Goyal, Zhang, Zhang, Courville and Bengio, "Professor forcing: a new algorithm for training recurrent networks", 2016, section 3
 * @example
 * const professor = new ProfessorForcing({ behaviorSize: H + O, hiddenSize: 16 });
 * const [hs] = rnn.scan(inputs);                                   // forced
 * const [free] = freeRun(rnn, first, T, { decode });               // on its own
 * const { generator, discriminator } = professor.losses(hs, free);
 */
export class ProfessorForcing extends Module {
  readonly gru: GRU;
  readonly head: Linear;
  readonly discriminatorBelow: number;
  readonly generatorAbove: number;
  readonly both: boolean;

  constructor(options: ProfessorForcingOptions) {
    super();
    const {
      behaviorSize,
      hiddenSize,
      discriminatorBelow = 0.99,
      generatorAbove = 0.75,
      both = false,
      ...layer
    } = optionsOf("ProfessorForcing", options, ["behaviorSize", "hiddenSize", "discriminatorBelow", "generatorAbove", "both", ...LAYER]);
    checkSizes("ProfessorForcing", { behaviorSize, hiddenSize });
    checkNumber("ProfessorForcing", "discriminatorBelow", discriminatorBelow, { least: 0, most: 1 });
    checkNumber("ProfessorForcing", "generatorAbove", generatorAbove, { least: 0, most: 1 });
    this.gru = new GRU({ inputSize: behaviorSize, hiddenSize, bidirectional: true, ...layer });
    this.head = new Linear(2 * hiddenSize, 1, layer);
    this.discriminatorBelow = discriminatorBelow;
    this.generatorAbove = generatorAbove;
    this.both = both;
  }

  /** log D/(1 − D) of each sequence [B]. */
  forward(behavior: Tensor, lengths?: readonly number[]): Tensor {
    const [ys] = this.gru.scan(behavior, undefined, { ...(lengths !== undefined && { lengths }) });
    const [T, B] = ys.shape as [number, number];
    const count = tensor(lengths?.map((n) => Math.max(1, n)) ?? new Array<number>(B).fill(T), { shape: [B, 1], dtype: ys.dtype });
    return reshape(this.head.forward(div(sum(zeroBeyond(ys, lengths), { axis: 0 }), count)), [B]);
  }

  /**
   * The losses for a batch of behaviours, forced and free.
   * @param forced [T,B,F] @param free [T',B,F]; sampled parts, such as drawn symbols, are constants
   * @param lengths of both; default full length
   * @throws ShapeError for behaviours of another size or of different batch sizes
   */
  losses(forced: Tensor, free: Tensor, lengths?: readonly number[]): ProfessorLosses {
    if (forced.rank !== 3 || free.rank !== 3 || !sameShape(forced.shape.slice(1), free.shape.slice(1)))
      throw new ShapeError(`ProfessorForcing: expected behaviours [T,B,F] of one batch, got ${show(forced.shape)} and ${show(free.shape)}`);
    const [real, own] = [this.forward(forced.detach(), lengths), this.forward(free.detach(), lengths)];
    const right = [...Array.from(real.data(), (z) => z > 0), ...Array.from(own.data(), (z) => z < 0)];
    const accuracy = right.filter(Boolean).length / Math.max(1, right.length);
    return {
      discriminator: accuracy < this.discriminatorBelow ? add(says(real, 1), says(own, 0)) : null,
      generator: accuracy > this.generatorAbove ? this.#asConstant(() => this.#taught(forced, free, lengths)) : null,
      accuracy,
    };
  }

  #taught(forced: Tensor, free: Tensor, lengths: readonly number[] | undefined): Tensor {
    const looksForced = says(this.forward(free, lengths), 1);
    return this.both ? add(looksForced, says(this.forward(forced, lengths), 0)) : looksForced;
  }

  /** Runs the discriminator without gradients for itself. */
  #asConstant<R>(fn: () => R): R {
    const trained = this.parameters().filter((p) => p.requiresGrad);
    for (const p of trained) p.requiresGrad = false;
    try {
      return fn();
    } finally {
      for (const p of trained) p.requiresGrad = true;
    }
  }
}

/** Mean over the batch of −log of the probability that the discriminator gives to the truth. */
function says(logits: Tensor, truth: 0 | 1): Tensor {
  return bceWithLogits(logits, full(logits.shape, truth, logits.dtype));
}
