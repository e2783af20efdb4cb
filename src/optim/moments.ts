/** Shared by Adam and its relatives: two running moments and one update. */

import { checkNumber } from "../base/checks.ts";
import type { DType } from "../base/dtype.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { ARGUMENT_SLOTS, call } from "../wasm/host.ts";
import { adam } from "../wasm/kernels.gen.ts";
import {
  addressOf,
  checkPair,
  type DecayOptions,
  type Group,
  type InitialSlots,
  Optimizer,
  type Slots,
  SQUARE,
  signOf,
  type Update,
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
  /** The share of the parameter that remains, for decoupled weight decay. */
  readonly shrink?: number;
  /** The L2 penalty, which is part of the gradient. */
  readonly decay?: number;
}

/** Base class of Adam, AdamW, NAdam and RAdam, which differ only in their coefficients. */
export abstract class Moments<O extends MomentsOptions> extends Optimizer<O> {
  protected override checkGroup(group: Group<O>): void {
    super.checkGroup(group);
    checkMoments(this.kind, group as Group<MomentsOptions>);
  }

  protected override initial(_group: Group<O>): InitialSlots {
    return { tensors: { expAvg: 0, expAvgSq: 0 }, ranges: { expAvgSq: SQUARE } };
  }

  protected abstract coefficients(group: Group<O>, numbers: Record<string, number>): Coefficients;

  protected override update(p: Tensor, g: Tensor, slots: Slots, group: Group<O>): void {
    this.updateAll([{ p, g, slots, group }]);
  }

  /** Whether coefficients depend only on the group and the number of the step. */
  protected get sharesCoefficients(): boolean {
    return true;
  }

  /** Neighbours with equal coefficients share one call. The first call comes when nothing can fail any more. */
  protected override updateAll(updates: readonly Update<O>[]): void {
    const calls: Listed[] = [];
    let last: Update<O> | null = null;
    for (const update of updates) {
      const { p, g, slots } = update;
      let listed = calls[calls.length - 1];
      if (listed === undefined || listed.list.length === MOST_SLOTS || !this.#goesWith(update, last)) {
        listed = { shared: this.#shared(update), list: [] };
        calls.push(listed);
      }
      last = update;
      const v = addressOf(slots, "expAvgSq");
      listed.list.push(p.size, p.ptr, g.ptr, addressOf(slots, "expAvg"), v, addressOf(slots, "maxExpAvgSq") || v);
    }
    calls.forEach(updateListed);
  }

  #goesWith({ p, slots, group }: Update<O>, last: Update<O> | null): boolean {
    if (last === null || !this.sharesCoefficients) return false;
    return group === last.group && slots.numbers.step === last.slots.numbers.step && p.dtype === last.p.dtype;
  }

  #shared({ p, slots, group }: Update<O>): Shared {
    const { ofMean, ofGradient = 0, scale, eps, shrink = 1, decay = 0 } = this.coefficients(group, slots.numbers);
    const options = group as Group<MomentsOptions>;
    const [beta1, beta2] = options.betas;
    return { dtype: p.dtype, sign: signOf(options), decay, shrink, beta1, beta2, ofMean, ofGradient, scale, eps };
  }
}

/** The arguments of a kernel call that all its parameters share. */
interface Shared extends Required<Coefficients> {
  readonly dtype: DType;
  readonly sign: number;
  readonly beta1: number;
  readonly beta2: number;
}

/** The kernel takes six numbers per parameter, after ten of its own. */
const MOST_SLOTS = 6 * Math.floor((ARGUMENT_SLOTS - 10) / 6);

/** One call of the kernel. */
interface Listed {
  readonly shared: Shared;
  readonly list: number[];
}

function updateListed({ shared, list }: Listed): void {
  const { dtype, sign, decay, shrink, beta1, beta2, ofMean, ofGradient, scale, eps } = shared;
  call(adam, dtype, list.length / 6, sign, decay, shrink, beta1, beta2, ofMean, ofGradient, scale, eps, ...list);
}

/** The options of running moments. @throws ArgumentError */
export function checkMoments(op: string, { betas, eps }: Group<MomentsOptions>): void {
  checkPair(op, "betas", betas);
  for (const [i, beta] of betas.entries()) checkNumber(op, `betas[${i}]`, beta, { least: 0, below: 1 });
  checkNumber(op, "eps", eps, { least: 0 });
}
