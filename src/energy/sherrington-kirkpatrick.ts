/** The spin glass of Sherrington and Kirkpatrick. */

import { checkNumber, checkWhole, optionsOf } from "../base/checks.ts";
import { checkGenerator, defaultGenerator, type Generator } from "../tensor/random.ts";
import { scope, type Tensor, tensor } from "../tensor/tensor.ts";
import { Ising } from "./ising.ts";

export interface SherringtonKirkpatrickOptions {
  /** Spins N. */
  readonly size: number;
  /** J₀: the couplings' mean is J₀/N (default 0). */
  readonly mean?: number;
  /** Draws the couplings (default the default generator). */
  readonly generator?: Generator;
}

/**
 * An Ising model in which every two spins are coupled at random: J_ij ~ N(J₀/N, 1/N), drawn once.
 *
 * With J₀ = 0 it freezes at T = 1. Its ground state has −0.7632 of energy per spin for N → ∞ (Parisi); at finite N about
 * −0.7632 + 0.70 N^(−2/3).
 * @throws ArgumentError for a size below 1, and a mean that is not finite; DTypeError for what is no generator
 * @see Sherrington and Kirkpatrick, "Solvable model of a spin-glass", 1975
 * @example
 * const glass = new SherringtonKirkpatrick({ size: 200, generator: new Generator(1) });
 * const { energy } = glass.anneal(ones([200]), { sweeps: 300, from: 1.2 });
 */
export class SherringtonKirkpatrick extends Ising {
  constructor(options: SherringtonKirkpatrickOptions) {
    const { size, mean = 0, generator } = optionsOf("SherringtonKirkpatrick", options, ["size", "mean", "generator"]);
    checkWhole("SherringtonKirkpatrick", "size", size, { least: 1 });
    checkNumber("SherringtonKirkpatrick", "mean", mean);
    checkGenerator("SherringtonKirkpatrick", generator);
    super({ couplings: drawn(size, mean, generator ?? defaultGenerator()) });
  }
}

function drawn(N: number, mean: number, generator: Generator): Tensor {
  const values = scope(() => generator.normal([(N * (N - 1)) / 2], mean / N, 1 / Math.sqrt(N), "float64").data());
  const J = new Float64Array(N * N);
  let next = 0;
  for (let i = 0; i < N; i++) {
    for (let j = 0; j < i; j++, next++) J[i * N + j] = J[j * N + i] = Number(values[next]);
  }
  return tensor(J, { shape: [N, N] });
}
