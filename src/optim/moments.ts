/** What Adam and its relatives share: two running moments and one update. */

import type { Tensor } from "../tensor/tensor.ts";
import { call } from "../wasm/host.ts";
import { adam } from "../wasm/kernels.gen.ts";
import {
  addressOf,
  type DecayOptions,
  type Group,
  type InitialSlots,
  Optimizer,
  type Parameters,
  requireAtLeast,
  requireFraction,
  type Slots,
  signOf,
} from "./optimizer.ts";

export interface MomentsOptions extends DecayOptions {
  /** Decay of the mean and of the mean square of the gradient. */
  readonly betas?: readonly [number, number];
  readonly eps?: number;
}

/**
 * One step's coefficients. With m and v the moments of the gradient d after this step:
 *
 *     p ← shrink·p − (ofMean·m + ofGradient·d)/(scale·√v + eps)
 */
export interface Coefficients {
  readonly ofMean: number;
  readonly ofGradient?: number;
  readonly scale: number;
  readonly eps: number;
  /** What is left of the parameter itself: weight decay apart from the gradient. */
  readonly shrink?: number;
  /** The L2 penalty within the gradient. */
  readonly decay?: number;
}

/** Base of Adam, AdamW, NAdam and RAdam: they differ in their coefficients only. */
export abstract class Moments<O extends MomentsOptions> extends Optimizer<O> {
  protected constructor(kind: string, params: Parameters<O>, options: Omit<Group<O>, "params">) {
    super(kind, params, options);
    for (const { betas, eps } of this.groups as readonly Group<MomentsOptions>[]) {
      for (const [i, beta] of betas.entries()) requireFraction(this.kind, `betas[${i}]`, beta);
      requireAtLeast(this.kind, "eps", eps, 0);
    }
  }

  protected override initial(_group: Group<O>): InitialSlots {
    return { tensors: { expAvg: 0, expAvgSq: 0 } };
  }

  protected abstract coefficients(group: Group<O>, numbers: Record<string, number>): Coefficients;

  protected override update(p: Tensor, g: Tensor, slots: Slots, group: Group<O>): void {
    const { ofMean, ofGradient = 0, scale, eps, shrink = 1, decay = 0 } = this.coefficients(group, slots.numbers);
    const options = group as Group<MomentsOptions>;
    const [beta1, beta2] = options.betas;
    const [m, v] = [addressOf(slots, "expAvg"), addressOf(slots, "expAvgSq")];
    const most = addressOf(slots, "maxExpAvgSq") || v;
    call(adam, p.dtype, p.size, signOf(options), decay, shrink, beta1, beta2, ofMean, ofGradient, scale, eps, p.ptr, g.ptr, m, v, most);
  }
}
