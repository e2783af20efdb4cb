import { checkNumber } from "../base/checks.ts";
import { exp } from "../numerics/scalar.ts";
import { type Coefficients, Moments, type MomentsOptions } from "./moments.ts";
import { type Group, type InitialSlots, type Parameters, power, SQUARE } from "./optimizer.ts";

export interface NAdamOptions extends MomentsOptions {
  /** ψ: how fast the momentum grows to β₁. */
  readonly momentumDecay?: number;
}

/** ln 0.96: the momentum's schedule is 1 − 0.96^(t·momentumDecay)/2. */
const LOG_096 = -0.040821994520255166;

/**
 * Adam with Nesterov's momentum. With μₜ = β₁·(1 − 0.96^(t·ψ)/2), ψ the momentumDecay, and Adam's moments m, v of the gradient d:
 *
 *     p ← p − lr · [ (1 − μₜ)/(1 − Π) · d + μₜ₊₁/(1 − Π·μₜ₊₁) · m ] / (√(v/(1 − β₂ᵗ)) + ε),  Π = μ₁·…·μₜ
 *
 * Defaults: lr 0.002, betas (0.9, 0.999), eps 1e-8, momentumDecay 0.004.
 * @see Dozat, "Incorporating Nesterov momentum into Adam", 2016
 * Deviates: m decays by β₁, where the paper (from memory) has μₜ; all as in PyTorch 2. PyTorch up to 1.13 counts μₜ twice in the second
 * denominator, 1 − Π·μₜ·μₜ₊₁.
 */
export class NAdam extends Moments<NAdamOptions> {
  constructor(params: Parameters<NAdamOptions>, options: NAdamOptions = {}) {
    super("NAdam", params, { lr: 2e-3, weightDecay: 0, maximize: false, betas: [0.9, 0.999], eps: 1e-8, momentumDecay: 4e-3 }, options);
  }

  protected override checkGroup(group: Group<NAdamOptions>): void {
    super.checkGroup(group);
    checkNumber("NAdam", "momentumDecay", group.momentumDecay, { least: 0 });
  }

  protected override initial(): InitialSlots {
    return { tensors: { expAvg: 0, expAvgSq: 0 }, numbers: { muProduct: 1 }, ranges: { expAvgSq: SQUARE, muProduct: [0, 1] } };
  }

  /** Every parameter has its own product of momenta, which each step extends. */
  protected override get sharesCoefficients(): boolean {
    return false;
  }

  protected override coefficients(group: Group<NAdamOptions>, numbers: Record<string, number>): Coefficients {
    const { lr, betas, eps, weightDecay, momentumDecay } = group;
    const { step = 0, muProduct = 1 } = numbers;
    const mu = (t: number) => betas[0] * (1 - 0.5 * exp(t * momentumDecay * LOG_096));
    const [now, next] = [mu(step), mu(step + 1)];
    // PyTorch keeps the product in single precision.
    const product = Math.fround(muProduct * Math.fround(now));
    numbers.muProduct = product;
    return {
      ofMean: (lr * next) / (1 - product * next),
      ofGradient: (lr * (1 - now)) / (1 - product),
      scale: 1 / Math.sqrt(1 - power(betas[1], step)),
      eps,
      decay: weightDecay,
    };
  }
}
