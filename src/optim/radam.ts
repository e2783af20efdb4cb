import { type Coefficients, Moments, type MomentsOptions } from "./moments.ts";
import { type Group, type Parameters, power } from "./optimizer.ts";

/**
 * Adam that rectifies the variance of its early steps. With ρ∞ = 2/(1 − β₂) − 1, ρ = ρ∞ − 2t·β₂ᵗ/(1 − β₂ᵗ) and Adam's moments m, v:
 *
 *     ρ > 5:  p ← p − lr · m/(1 − β₁ᵗ) · r·√(1 − β₂ᵗ)/(√v + ε),  r² = (ρ − 4)(ρ − 2)ρ∞ / ((ρ∞ − 4)(ρ∞ − 2)ρ)
 *     else:   p ← p − lr · m/(1 − β₁ᵗ)
 *
 * Defaults: lr 0.001, betas (0.9, 0.999), eps 1e-8.
 * @see Liu, Jiang, He, Chen, Liu, Gao, Han, "On the variance of the adaptive learning rate and beyond", 2020
 */
export class RAdam extends Moments<MomentsOptions> {
  constructor(params: Parameters<MomentsOptions>, options: MomentsOptions = {}) {
    super("RAdam", params, { lr: 1e-3, weightDecay: 0, maximize: false, betas: [0.9, 0.999], eps: 1e-8 }, options);
  }

  protected override coefficients(group: Group<MomentsOptions>, { step = 0 }: Record<string, number>): Coefficients {
    const { lr, betas, eps, weightDecay } = group;
    const rate = lr / (1 - power(betas[0], step));
    const faded = power(betas[1], step);
    const limit = 2 / (1 - betas[1]) - 1;
    const rho = limit - (2 * step * faded) / (1 - faded);
    if (rho <= 5) return { ofMean: rate, scale: 0, eps: 1, decay: weightDecay };
    const rectified = Math.sqrt((((rho - 4) * (rho - 2) * limit) / ((limit - 4) * (limit - 2) * rho)) * (1 - faded));
    return { ofMean: rate * rectified, scale: 1, eps, decay: weightDecay };
  }
}
