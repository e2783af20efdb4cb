import { checkNumber } from "../base/checks.ts";
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

export interface AdagradOptions extends DecayOptions {
  /** The learning rate of step t is lr/(1 + (t − 1)·lrDecay). */
  readonly lrDecay?: number;
  /** Initial sum of squares. */
  readonly initialAccumulatorValue?: number;
  readonly eps?: number;
}

/**
 * Divides the gradient d by the root of the sum of all its squares:
 *
 *     s ← s + d²,  p ← p − lr/(1 + (t − 1)·lrDecay) · d/(√s + ε)
 *
 * Defaults: lr 0.01, eps 1e-10.
 * @see Duchi, Hazan, Singer, "Adaptive subgradient methods for online learning and stochastic optimization", 2011
 */
export class Adagrad extends Optimizer<AdagradOptions> {
  constructor(params: Parameters<AdagradOptions>, options: AdagradOptions = {}) {
    super("Adagrad", params, { lr: 0.01, weightDecay: 0, maximize: false, lrDecay: 0, initialAccumulatorValue: 0, eps: 1e-10 }, options);
  }

  protected override checkGroup(group: Group<AdagradOptions>): void {
    super.checkGroup(group);
    for (const name of ["lrDecay", "initialAccumulatorValue", "eps"] as const) checkNumber("Adagrad", name, group[name], { least: 0 });
  }

  protected override initial({ initialAccumulatorValue }: Group<AdagradOptions>): InitialSlots {
    return { tensors: { sum: initialAccumulatorValue }, ranges: { sum: SQUARE } };
  }

  protected override update(p: Tensor, g: Tensor, slots: Slots, group: Group<AdagradOptions>): void {
    const { lr, lrDecay, weightDecay, eps } = group;
    const rate = lr / (1 + ((slots.numbers.step as number) - 1) * lrDecay);
    // A sum of squares is a running mean with decay 1 and weight 1.
    call(rmsprop, p.dtype, p.size, rate, signOf(group), weightDecay, 1, 1, eps, 0, p.ptr, g.ptr, addressOf(slots, "sum"), 0, 0);
  }
}
