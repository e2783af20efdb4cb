/** The equations of energy models in plain loops, and states to try them on. */

import { Generator } from "../../src/tensor/random.ts";
import { type Tensor, tensor } from "../../src/tensor/tensor.ts";

export type Rows = readonly (readonly number[])[];

/** P random patterns of ±1. */
export function randomPatterns(seed: number, P: number, N: number): number[][] {
  const bits = new Generator(seed).bernoulli([P, N], 0.5).data();
  return Array.from({ length: P }, (_, p) => Array.from({ length: N }, (__, i) => 2 * Number(bits[p * N + i]) - 1));
}

/** A random symmetric matrix with nothing on its diagonal. */
export function randomCouplings(seed: number, N: number): number[][] {
  const values = new Generator(seed).normal([N, N], 0, 1, "float64").data();
  return Array.from({ length: N }, (_, i) =>
    Array.from({ length: N }, (__, j) => (i === j ? 0 : Number(values[Math.min(i, j) * N + Math.max(i, j)]))),
  );
}

export function rowsOf(t: Tensor): number[][] {
  const [M, N] = t.shape as [number, number];
  const values = Array.from(t.data(), Number);
  return Array.from({ length: M }, (_, i) => values.slice(i * N, (i + 1) * N));
}

/** −½ sᵀJs − hᵀs, term by term. */
export function pairwiseEnergy(J: Rows, h: readonly number[], s: readonly number[]): number {
  let E = 0;
  for (let i = 0; i < s.length; i++) {
    E -= (h[i] as number) * (s[i] as number);
    for (let j = 0; j < i; j++) E -= (J[i]?.[j] as number) * (s[i] as number) * (s[j] as number);
  }
  return E;
}

/** All states of N units, the first unit changing fastest. */
export function allStates(N: number, low: -1 | 0 = -1): number[][] {
  return Array.from({ length: 2 ** N }, (_, code) => Array.from({ length: N }, (__, i) => ((code >> i) & 1 ? 1 : low)));
}

/** Which of `allStates` a state is. */
export function codeOf(s: ArrayLike<number>): number {
  return Array.from(s).reduce((code, v, i) => code + (v === 1 ? 2 ** i : 0), 0);
}

/** exp(−E/T) / Z over given energies. */
export function boltzmann(energies: readonly number[], T: number): number[] {
  const least = Math.min(...energies);
  const weights = energies.map((E) => Math.exp(-(E - least) / T));
  const Z = weights.reduce((a, b) => a + b, 0);
  return weights.map((w) => w / Z);
}

export const float64 = (data: number[] | number[][]): Tensor => tensor(data, { dtype: "float64" });

/** Half the sum of differences of two distributions. */
export function variation(p: readonly number[], q: readonly number[]): number {
  return p.reduce((sum, v, i) => sum + Math.abs(v - (q[i] as number)), 0) / 2;
}
