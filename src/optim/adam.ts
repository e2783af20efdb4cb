import { checkFlag } from "../base/checks.ts";
import { type Coefficients, Moments, type MomentsOptions } from "./moments.ts";
import { type Group, type InitialSlots, type Parameters, power, SQUARE } from "./optimizer.ts";

export interface AdamOptions extends MomentsOptions {
  /** Divides by the largest mean square so far. */
  readonly amsgrad?: boolean;
}

/** Adam and AdamW, which differ in their weight decay. */
abstract class AdamFamily extends Moments<AdamOptions> {
  protected constructor(kind: string, params: Parameters<AdamOptions>, weightDecay: number, options: AdamOptions) {
    super(kind, params, { lr: 1e-3, weightDecay, maximize: false, betas: [0.9, 0.999], eps: 1e-8, amsgrad: false }, options);
  }

  protected override checkGroup(group: Group<AdamOptions>): void {
    super.checkGroup(group);
    checkFlag(this.kind, "amsgrad", group.amsgrad);
  }

  protected override initial(group: Group<AdamOptions>): InitialSlots {
    const tensors = { expAvg: 0, expAvgSq: 0, ...(group.amsgrad && { maxExpAvgSq: 0 }) };
    return { tensors, ranges: { expAvgSq: SQUARE, maxExpAvgSq: SQUARE } };
  }

  protected override coefficients(group: Group<AdamOptions>, { step = 0 }: Record<string, number>): Coefficients {
    const { lr, betas, eps } = group;
    return { ofMean: lr / (1 - power(betas[0], step)), scale: 1 / Math.sqrt(1 - power(betas[1], step)), eps, ...this.weightDecay(group) };
  }

  protected abstract weightDecay(group: Group<AdamOptions>): Pick<Coefficients, "decay" | "shrink">;
}

/**
 * Adam: the running mean of the gradient d over the root of its running mean square, both corrected for starting at 0:
 *
 *     m ← β₁·m + (1 − β₁)·d,  v ← β₂·v + (1 − β₂)·d²
 *     p ← p − lr · m/(1 − β₁ᵗ) / (√(v/(1 − β₂ᵗ)) + ε)
 *
 * Defaults: lr 0.001, betas (0.9, 0.999), eps 1e-8; weightDecay is an L2 penalty.
 * @see Kingma, Ba, "Adam: A method for stochastic optimization", 2015; amsgrad: Reddi, Kale, Kumar,
 *   "On the convergence of Adam and beyond", 2018
 */
export class Adam extends AdamFamily {
  constructor(params: Parameters<AdamOptions>, options: AdamOptions = {}) {
    super("Adam", params, 0, options);
  }

  protected override weightDecay(group: Group<AdamOptions>): Pick<Coefficients, "decay"> {
    return { decay: group.weightDecay };
  }
}

/**
 * Adam with decoupled weight decay: p ← (1 − lr·weightDecay)·p before Adam's step. Default weightDecay 0.01.
 * @see Loshchilov, Hutter, "Decoupled weight decay regularization", 2019
 */
export class AdamW extends AdamFamily {
  constructor(params: Parameters<AdamOptions>, options: AdamOptions = {}) {
    super("AdamW", params, 0.01, options);
  }

  protected override weightDecay(group: Group<AdamOptions>): Pick<Coefficients, "shrink"> {
    return { shrink: 1 - group.lr * group.weightDecay };
  }
}
