/** The square-lattice Ising model in the limit of infinite size, without a field and with J = 1: what simulations should come near to. */

import { checkNumber } from "../base/checks.ts";
import { exp } from "../numerics/scalar.ts";

/** T_c = 2 / ln(1 + √2). */
export const CRITICAL_TEMPERATURE = 2.269185314213022;

/** The infinite square lattice at one temperature, exactly. */
export interface OnsagerSolution {
  /** |m| per spin; 0 from T_c on. */
  readonly magnetization: number;
  /** Energy per spin. */
  readonly energy: number;
}

function sinh(x: number): number {
  const e = exp(x);
  return (e - 1 / e) / 2;
}

function cosh(x: number): number {
  const e = exp(x);
  return (e + 1 / e) / 2;
}

/** The arithmetic-geometric mean of 1 and any number from 1e-16 on has all its digits after so many steps. */
const MEANS = 16;

/** The complete elliptic integral of the first kind times 2/π, for the complementary modulus: 1 / AGM(1, k'). */
function ellipticPart(complement: number): number {
  let [a, b] = [1, complement];
  for (let k = 0; k < MEANS; k++) [a, b] = [(a + b) / 2, Math.sqrt(a * b)];
  return 1 / a;
}

/**
 * Magnetisation and energy per spin at a temperature:
 *
 *     m = (1 − sinh⁻⁴(2/T))^(1/8) below T_c        e = −coth(2K) [1 + (2/π)(2 tanh²(2K) − 1) K₁(k)],  K = 1/T,  k = 2 sinh(2K) / cosh²(2K)
 *
 * @throws ArgumentError for a temperature below 0.1, where e^(4/T) runs out of digits
 * @see Onsager, "Crystal statistics. I. A two-dimensional model with an order-disorder transition", 1944 (energy)
 * @see Yang, "The spontaneous magnetization of a two-dimensional Ising model", 1952
 * @example onsager(2).magnetization // 0.9113…
 */
export function onsager(temperature: number): OnsagerSolution {
  checkNumber("onsager", "temperature", temperature, { least: 0.1 });
  const [s, c] = [sinh(2 / temperature), cosh(2 / temperature)];
  const tanh2 = (s / c) * (s / c);
  // k'² = 1 − k² = (2 tanh² − 1)²
  const energy = -(c / s) * (1 + (2 * tanh2 - 1) * ellipticPart(Math.abs(2 * tanh2 - 1)));
  const eighth = Math.max(0, 1 - 1 / (s * s * s * s));
  const magnetization = temperature < CRITICAL_TEMPERATURE ? Math.sqrt(Math.sqrt(Math.sqrt(eighth))) : 0;
  return { magnetization, energy };
}
