import type { Tensor } from "../tensor/tensor.ts";
import { call } from "../wasm/host.ts";
import { adamax } from "../wasm/kernels.gen.ts";
import { checkMoments, type MomentsOptions } from "./moments.ts";
import { addressOf, type Group, type InitialSlots, Optimizer, type Parameters, power, type Slots, SQUARE, signOf } from "./optimizer.ts";

/**
 * Adam with the running maximum of the gradient d in place of its mean square:
 *
 *     m ← β₁·m + (1 − β₁)·d,  u ← max(β₂·u, |d| + ε),  p ← p − lr/(1 − β₁ᵗ) · m/u
 *
 * Defaults: lr 0.002, betas (0.9, 0.999), eps 1e-8.
 * @see Kingma, Ba, "Adam: A method for stochastic optimization", 2015, section 7.1
 */
export class Adamax extends Optimizer<MomentsOptions> {
  constructor(params: Parameters<MomentsOptions>, options: MomentsOptions = {}) {
    super("Adamax", params, { lr: 2e-3, weightDecay: 0, maximize: false, betas: [0.9, 0.999], eps: 1e-8 }, options);
  }

  protected override checkGroup(group: Group<MomentsOptions>): void {
    super.checkGroup(group);
    checkMoments("Adamax", group);
  }

  protected override initial(): InitialSlots {
    return { tensors: { expAvg: 0, expInf: 0 }, ranges: { expInf: SQUARE } };
  }

  protected override update(p: Tensor, g: Tensor, slots: Slots, group: Group<MomentsOptions>): void {
    const { lr, betas, eps, weightDecay } = group;
    const [beta1, beta2] = betas;
    const rate = lr / (1 - power(beta1, slots.numbers.step as number));
    const [m, u] = [addressOf(slots, "expAvg"), addressOf(slots, "expInf")];
    call(adamax, p.dtype, p.size, rate, signOf(group), weightDecay, beta1, beta2, eps, p.ptr, g.ptr, m, u);
  }
}
