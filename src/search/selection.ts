/** Selection of parents: each method gives the probabilities of all members. */

import { checkOneOf, checkWhole } from "../base/checks.ts";
import { ArgumentError } from "../base/errors.ts";
import { power } from "../optim/optimizer.ts";
import { averageRanks, checkCosts } from "./ranks.ts";

export const SELECTIONS = ["roulette", "tournament", "rank"] as const;
/** How a genetic algorithm chooses parents. */
export type Selection = (typeof SELECTIONS)[number];

/** Lowest effective cost, so that fitness is at most its reciprocal. */
const LEAST_COST = 1e-12;

/** 1/cost: with the mean squared error as cost, the classic fitness of a network. */
export function fitnessOf(cost: number): number {
  return 1 / Math.max(cost, LEAST_COST);
}

/**
 * The probability of selecting each member of a population, from their costs.
 *
 * - "roulette": in proportion to the fitness 1/cost (costs of at least 0)
 * - "rank": in proportion to n − rank, rank 0 being the best
 * - "tournament": that of winning among `size` members drawn with replacement, where ties have equal chances
 *
 * Equal costs have equal probabilities in all three.
 * @throws DTypeError for costs that are no numbers; ArgumentError for NaN, an unknown method, a size below 1, and costs below 0 with "roulette"
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
    // Members before a rank, and members that share it, whose mean the rank is.
    const shares = Float64Array.from(ranks, (rank) => ranks.reduce((ties, other) => ties + (other === rank ? 1 : 0), 0));
    return ranks.map((rank, i) => {
      const ties = shares[i] as number;
      const before = rank - (ties - 1) / 2;
      // The best member drawn has this rank: none is better, and not all are worse.
      return (power((n - before) / n, size) - power((n - before - ties) / n, size)) / ties;
    });
  }
  const weights = method === "rank" ? ranks.map((rank) => n - rank) : Float64Array.from(costs, fitnessOf);
  const sum = weights.reduce((a, b) => a + b, 0);
  // All costs are infinite.
  return sum === 0 ? weights.fill(1 / n) : weights.map((w) => w / sum);
}

/** The member that a uniform number u in [0, 1) selects. */
export function pickBy(probabilities: ArrayLike<number>, u: number): number {
  let rest = u;
  let last = 0;
  for (let i = 0; i < probabilities.length; i++) {
    const p = probabilities[i] as number;
    if (p > 0) last = i;
    if (rest < p) return i;
    rest -= p;
  }
  // Rounding may leave u just beyond the last.
  return last;
}
