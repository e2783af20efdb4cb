/** Unbiased online recurrent optimization: the influence as one outer product, exact on average. */

import { checkNumber, checkOptions } from "../base/checks.ts";
import { add, mul, sub } from "../ops/arithmetic.ts";
import { dot } from "../ops/linear.ts";
import { zeros } from "../tensor/create.ts";
import { checkGenerator, defaultGenerator, type Generator } from "../tensor/random.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { GradientAlgorithm } from "./algorithm.ts";
import { forwardAlgorithm } from "./forward.ts";
import { type Influence, refuseStart, type Setting } from "./influence.ts";
import { push } from "./step-derivatives.ts";

export interface UoroOptions {
  /** Added to norms in divisors (default 1e-7). With 0, a norm of zero leaves its factor at 1. */
  readonly epsilon?: number;
  /** Source of random signs, drawn during `backward`; default: the default generator. */
  readonly generator?: Generator;
}

/** G ≈ s̃·θ̃ᵀ: s̃ [S], θ̃ [P]. */
type OuterProduct = { readonly s: Tensor; readonly theta: Tensor };

/** The Euclidean norm of a vector. */
export function norm(x: Tensor): number {
  return Math.sqrt(dot(x, x).item());
}

/** √(a/b), which balances factors of sizes a and b; 1 if there is nothing to balance. */
export function balance(a: number, b: number, epsilon = 0): number {
  if (epsilon > 0) return Math.sqrt(a / (b + epsilon)) + epsilon;
  const ratio = Math.sqrt(a / b);
  return Number.isFinite(ratio) && ratio > 0 ? ratio : 1;
}

/** n random signs, +1 or −1. */
export function signs(n: number, dtype: Tensor["dtype"], generator: Generator): Tensor {
  return sub(mul(generator.bernoulli([n], 0.5, dtype), 2), 1);
}

function outerProduct({ S, P, dtype }: Setting, epsilon: number, generator: Generator): Influence<OuterProduct> {
  return {
    initial: { s: zeros([S], dtype), theta: zeros([P], dtype) },
    generator,
    // (λᵀs̃)·θ̃ + g
    gradient(step, { s, theta }, dys, dNext) {
      const { state: lambda, parameters: g } = step.pull(dys, dNext);
      return add(mul(theta, dot(lambda, s)), g);
    },
    next(step, { s, theta }) {
      const nu = signs(S, dtype, generator);
      const pushed = push(step, s);
      const { parameters: pulled } = step.pull(null, nu);
      const rho0 = balance(norm(theta), norm(pushed), epsilon);
      const rho1 = balance(norm(pulled), norm(nu), epsilon);
      return {
        s: add(mul(pushed, rho0), mul(nu, rho1)),
        theta: add(mul(theta, 1 / rho0), mul(pulled, 1 / rho1)),
      };
    },
  };
}

/**
 * Unbiased online recurrent optimization: a random outer product approximates the influence G = ∂s/∂θ. Its mean over the signs is G, so
 * gradients are right on average but noisy, the more so with more units and longer memory.
 *
 *   ν ∈ {−1, 1}^S, fresh at every step
 *   s̃' = ρ₀·J s̃ + ρ₁·ν        θ̃' = θ̃/ρ₀ + Iᵀν/ρ₁
 *   ρ₀ = √(‖θ̃‖/(‖J s̃‖ + ε)) + ε        ρ₁ = √(‖Iᵀν‖/(‖ν‖ + ε)) + ε
 *   ∂E_t/∂θ ≈ (λᵀs̃)·θ̃ + g        λ, g: the error swept back through its own step, to the state before it and to the parameters
 *
 * O(P) operations per step (two sweeps and one forward derivative of a step) and O(S + P) memory. Each sequence of a batch has its own signs.
 * Give the generator to `fit` as well, so that its checkpoints include it.
 * @throws ArgumentError for an `epsilon` below 0, and during the scan for recurrences with a trained first state
 * @see Tallec and Ollivier, "Unbiased online recurrent optimization", 2018 (arXiv 1702.05043), algorithm 1
 * Deviates: none.
 * @example fit(model, batches, { gradients: uoro({ generator }), … })
 */
export function uoro(options: UoroOptions = {}): GradientAlgorithm {
  checkOptions("uoro", options, ["epsilon", "generator"]);
  const { epsilon = 1e-7, generator } = options;
  checkNumber("uoro", "epsilon", epsilon, { least: 0 });
  checkGenerator("uoro", generator);
  return forwardAlgorithm("uoro", (setting) => {
    refuseStart(setting);
    return outerProduct(setting, epsilon, generator ?? defaultGenerator()) as Influence;
  });
}
