/** Who becomes a parent: each method as the probabilities that it gives to all. */

import { checkOneOf, checkWhole } from "../base/checks.ts";
import { ArgumentError } from "../base/errors.ts";
import { power } from "../optim/optimizer.ts";
import { averageRanks, checkCosts } from "./ranks.ts";

export const SELECTIONS = ["roulette", "tournament", "rank"] as const;
export type Selection = (typeof SELECTIONS)[number];

/** Costs below this count as this: the fitness is at most its reciprocal. */
const LEAST_COST = 1e-12;

/** 1/cost: with the mean squared error as cost, the classic fitness of a network. */
export function fitnessOf(cost: number): number {
  return 1 / Math.max(cost, LEAST_COST);
}

/**
 * The probability with which each of a population is selected, by its costs.
 *
 * - "roulette": in proportion to the fitness 1/cost (costs of at least 0)
 * - "rank": in proportion to n − rank, rank 0 being the best
 * - "tournament": that of winning among `size` that were drawn with replacement, equal ones having equal chances
 *
 * Equal costs have equal probabilities in all three.
 * @throws DTypeError for costs that are no numbers; ArgumentError for NaN, for another method, for a size below 1, for a roulette's costs below 0
 * @see Holland, "Adaptation in natural and artificial systems", 1975; Baker, "Adaptive selection methods for genetic algorithms", 1985;
 *   Goldberg and Deb, "A comparative analysis of selection schemes used in genetic algorithms", 1991
 */
export function selectionProbabilities(costs: ArrayLike<number>, method: Selection, size = 3): Float64Array {
  checkCosts("selectionProbabilities", costs);
  checkOneOf("selectionProbabilities", "method", method, SELECTIONS);
  checkWhole("selectionProbabilities", "size", size, { least: 1 });
  const negative = method === "roulette" ? Array.from(costs).find((cost) => cost < 0) : undefined;
  if (negative !== undefined)
    throw new ArgumentError(`selectionProbabilities: expected costs of at least 0, whose reciprocals are fitnesses, got ${negative}`);
  const n = costs.length;
  const ranks = averageRanks(costs);
  if (method === "tournament") {
    // Those before a rank, and those that share it: its mean lies in their middle.
    const shares = Float64Array.from(ranks, (rank) => ranks.reduce((ties, other) => ties + (other === rank ? 1 : 0), 0));
    return ranks.map((rank, i) => {
      const ties = shares[i] as number;
      const before = rank - (ties - 1) / 2;
      // The best drawn is of this rank: none is better, and not all are worse.
      return (power((n - before) / n, size) - power((n - before - ties) / n, size)) / ties;
    });
  }
  const weights = method === "rank" ? ranks.map((rank) => n - rank) : Float64Array.from(costs, fitnessOf);
  const sum = weights.reduce((a, b) => a + b, 0);
  // All of them cost infinitely much.
  return sum === 0 ? weights.fill(1 / n) : weights.map((w) => w / sum);
}

/** Which of them a uniform number u in [0, 1) falls on. */
export function pickBy(probabilities: ArrayLike<number>, u: number): number {
  let rest = u;
  let last = 0;
  for (let i = 0; i < probabilities.length; i++) {
    const p = probabilities[i] as number;
    if (p > 0) last = i;
    if (rest < p) return i;
    rest -= p;
  }
  // Rounding left a little beyond the last.
  return last;
}
