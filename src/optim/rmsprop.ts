import { checkFlag, checkNumber } from "../base/checks.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { call } from "../wasm/host.ts";
import { rmsprop } from "../wasm/kernels.gen.ts";
import {
  addressOf,
  type DecayOptions,
  type Group,
  type InitialSlots,
  Optimizer,
  type Parameters,
  type Slots,
  SQUARE,
  signOf,
} from "./optimizer.ts";

export interface RMSpropOptions extends DecayOptions {
  /** Decay of the running averages. */
  readonly alpha?: number;
  readonly eps?: number;
  /** Whether to divide by the standard deviation of the gradient instead of the root mean square. */
  readonly centered?: boolean;
  readonly momentum?: number;
}

/**
 * Divides the gradient d by the root of its running mean square:
 *
 *     v ← α·v + (1 − α)·d²,  a ← α·a + (1 − α)·d (centered; else a = 0)
 *     m ← momentum·m + d/(√(v − a²) + ε),  p ← p − lr·m
 *
 * Defaults: lr 0.01, alpha 0.99, eps 1e-8.
 * @see Tieleman, Hinton, "Lecture 6.5: RMSProp", 2012; centered: Graves, "Generating sequences with recurrent neural networks", 2013
 */
export class RMSprop extends Optimizer<RMSpropOptions> {
  constructor(params: Parameters<RMSpropOptions>, options: RMSpropOptions = {}) {
    const defaults = { lr: 0.01, weightDecay: 0, maximize: false, alpha: 0.99, eps: 1e-8, centered: false, momentum: 0 };
    super("RMSprop", params, defaults, options);
  }

  protected override checkGroup(group: Group<RMSpropOptions>): void {
    super.checkGroup(group);
    checkNumber("RMSprop", "alpha", group.alpha, { least: 0, below: 1 });
    checkNumber("RMSprop", "eps", group.eps, { least: 0 });
    checkNumber("RMSprop", "momentum", group.momentum, { least: 0 });
    checkFlag("RMSprop", "centered", group.centered);
  }

  protected override initial({ centered, momentum }: Group<RMSpropOptions>): InitialSlots {
    const tensors = { squareAvg: 0, ...(centered && { gradAvg: 0 }), ...(momentum > 0 && { momentumBuffer: 0 }) };
    // The difference of two infinities, square and mean, is NaN.
    return { tensors, ranges: { squareAvg: centered ? [0, Number.MAX_VALUE] : SQUARE } };
  }

  protected override update(p: Tensor, g: Tensor, slots: Slots, group: Group<RMSpropOptions>): void {
    const { lr, weightDecay, alpha, eps, momentum } = group;
    const [square, mean, buffer] = [addressOf(slots, "squareAvg"), addressOf(slots, "gradAvg"), addressOf(slots, "momentumBuffer")];
    call(rmsprop, p.dtype, p.size, lr, signOf(group), weightDecay, alpha, 1 - alpha, eps, momentum, p.ptr, g.ptr, square, mean, buffer);
  }
}
