/** Spins of ±1 with energies that are known for every state: random problems, their minima, and descent into one of them. */

import type { MemristiveNetwork } from "../../src/physics/index.ts";
import type { Dice } from "./dice.ts";

/** E(s) = −½ sᵀ J s − hᵀ s. */
export interface Spins {
  readonly couplings: readonly (readonly number[])[];
  readonly fields: readonly number[];
}

/** Couplings from N(0, 1/N) and fields from N(0, std²). */
export function spinGlass(dice: Dice, N: number, std: number): Spins {
  const draws = dice.generator.normal([N, N + 1], 0, 1, "float64").toArray() as number[][];
  const coupling = (i: number, j: number) => (i === j ? 0 : (draws[Math.max(i, j)]?.[Math.min(i, j)] as number) / Math.sqrt(N));
  return {
    couplings: draws.map((_, i) => draws.map((__, j) => coupling(i, j))),
    fields: draws.map((row) => std * (row[N] as number)),
  };
}

/** What a memristive network with full "on" minimises over w in {0, 1}^m: its Lyapunov function there, as spins s = 2 w − 1, up to a constant. */
export function binaryProblem({ coupling, drive, alpha, contrast }: MemristiveNetwork): Spins {
  const squares = coupling.map((row) => row.map((value) => (alpha * contrast * value) / 4));
  const fields = squares.map((row, i) => {
    const linear = alpha / 3 - (drive[i] as number) / 2;
    return -(linear + row.reduce((sum, value) => sum + value, 0)) / 2;
  });
  return { couplings: squares.map((row, i) => row.map((value, j) => (i === j ? 0 : -value / 2))), fields };
}

function fieldsOf({ couplings, fields }: Spins, s: ArrayLike<number>): number[] {
  return couplings.map((row, i) => row.reduce((sum, J, j) => sum + J * (s[j] as number), fields[i] as number));
}

export function energyOf(problem: Spins, s: ArrayLike<number>): number {
  return -fieldsOf(problem, s).reduce((sum, l, i) => sum + ((s[i] as number) * (l + (problem.fields[i] as number))) / 2, 0);
}

/** Turns the spin whose turn gains most, until none gains anything. */
export function descend(problem: Spins, start: readonly number[]): number[] {
  const s = [...start];
  for (;;) {
    const gains = fieldsOf(problem, s).map((l, i) => -l * (s[i] as number));
    const best = gains.reduce((a, gain, i) => (gain > (gains[a] as number) ? i : a), 0);
    if (!((gains[best] as number) > 1e-12)) return s;
    s[best] = -(s[best] as number);
  }
}

/** The least energy of all 2^N states, each by one turn from another (Gray code). Their mean energy is 0. */
export function leastEnergy(problem: Spins): number {
  const N = problem.fields.length;
  const s = new Float64Array(N).fill(-1);
  const l = fieldsOf(problem, s);
  let energy = energyOf(problem, s);
  let least = energy;
  for (let k = 1; k < 2 ** N; k++) {
    const i = 31 - Math.clz32(k & -k);
    energy += 2 * (s[i] as number) * (l[i] as number);
    s[i] = -(s[i] as number);
    const column = problem.couplings[i] as readonly number[];
    for (let j = 0; j < N; j++) l[j] = (l[j] as number) + 2 * (s[i] as number) * (column[j] as number);
    least = Math.min(least, energy);
  }
  return least;
}

/** Spins at random. */
export function randomSpins(dice: Dice, N: number): number[] {
  return Array.from({ length: N }, () => (dice.chance(0.5) ? 1 : -1));
}
