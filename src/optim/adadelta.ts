import { checkNumber } from "../base/checks.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { call } from "../wasm/host.ts";
import { adadelta } from "../wasm/kernels.gen.ts";
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

export interface AdadeltaOptions extends DecayOptions {
  /** Decay of both running averages. */
  readonly rho?: number;
  readonly eps?: number;
}

/**
 * Steps in the units of the parameter: the ratio of the root mean squares of past steps and gradients scales the gradient d:
 *
 *     v ← ρ·v + (1 − ρ)·d²,  u = d·√(x + ε)/√(v + ε),  x ← ρ·x + (1 − ρ)·u²,  p ← p − lr·u
 *
 * Defaults: lr 1, rho 0.9, eps 1e-6.
 * @see Zeiler, "ADADELTA: An adaptive learning rate method", 2012
 */
export class Adadelta extends Optimizer<AdadeltaOptions> {
  constructor(params: Parameters<AdadeltaOptions>, options: AdadeltaOptions = {}) {
    super("Adadelta", params, { lr: 1, weightDecay: 0, maximize: false, rho: 0.9, eps: 1e-6 }, options);
  }

  protected override checkGroup(group: Group<AdadeltaOptions>): void {
    super.checkGroup(group);
    checkNumber("Adadelta", "rho", group.rho, { least: 0, below: 1 });
    checkNumber("Adadelta", "eps", group.eps, { least: 0 });
  }

  protected override initial(): InitialSlots {
    return { tensors: { squareAvg: 0, accDelta: 0 }, ranges: { squareAvg: SQUARE, accDelta: [0, Number.MAX_VALUE] } };
  }

  protected override update(p: Tensor, g: Tensor, slots: Slots, group: Group<AdadeltaOptions>): void {
    const { lr, weightDecay, rho, eps } = group;
    const [square, delta] = [addressOf(slots, "squareAvg"), addressOf(slots, "accDelta")];
    call(adadelta, p.dtype, p.size, lr, signOf(group), weightDecay, rho, eps, p.ptr, g.ptr, square, delta);
  }
}
