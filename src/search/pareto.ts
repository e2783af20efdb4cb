/** Orders of candidates that cost several things at once. */

import { checkArrayLike, checkWhole } from "../base/checks.ts";
import { ShapeError } from "../base/errors.ts";
import { orderOf } from "./ranks.ts";

/** Costs of n candidates, K of each, one candidate after the other. */
interface Costs {
  readonly values: ArrayLike<number>;
  readonly objectives: number;
  readonly count: number;
}

function costsOf(op: string, values: ArrayLike<number>, objectives: number): Costs {
  checkArrayLike(op, "costs", values);
  checkWhole(op, "objectives", objectives, { least: 1 });
  if (values.length % objectives !== 0)
    throw new ShapeError(`${op}: expected ${objectives} costs of each candidate, got ${values.length} in all`);
  return { values, objectives, count: values.length / objectives };
}

const costOf = ({ values, objectives }: Costs, i: number, k: number): number => values[i * objectives + k] as number;

/** Whether i costs no more than j in anything, and less in something. */
function dominates(costs: Costs, i: number, j: number): boolean {
  let isLess = false;
  for (let k = 0; k < costs.objectives; k++) {
    const [a, b] = [costOf(costs, i, k), costOf(costs, j, k)];
    if (a > b) return false;
    isLess ||= a < b;
  }
  return isLess;
}

/**
 * The front of each candidate: 0 for those that no other dominates, 1 for those that only these do, and so on. O(K·n²).
 * @param costs K of each candidate, one candidate after the other
 * @see Deb, Pratap, Agarwal and Meyarivan, "A fast and elitist multiobjective genetic algorithm: NSGA-II", 2002, section III.A
 * @example paretoFronts([1, 4, 2, 2, 3, 3], 2) // [0, 0, 1]
 */
export function paretoFronts(costs: ArrayLike<number>, objectives: number): number[] {
  const all = costsOf("paretoFronts", costs, objectives);
  const places = Array.from({ length: all.count }, (_, i) => i);
  const worse = places.map((i) => places.filter((j) => dominates(all, i, j)));
  const above = new Array<number>(all.count).fill(0);
  for (const j of worse.flat()) above[j] = (above[j] as number) + 1;
  const fronts = new Array<number>(all.count).fill(0);
  let front = places.filter((i) => above[i] === 0);
  for (let rank = 0; front.length > 0; rank++) {
    const next: number[] = [];
    for (const i of front) {
      fronts[i] = rank;
      for (const j of worse[i] as number[]) {
        above[j] = (above[j] as number) - 1;
        if (above[j] === 0) next.push(j);
      }
    }
    front = next;
  }
  return fronts;
}

/** How far apart the neighbours of each candidate of a front are, summed over the costs as shares of their ranges; ∞ at the ends. */
function crowding(costs: Costs, front: readonly number[]): Map<number, number> {
  const distances = new Map(front.map((i) => [i, 0]));
  for (let k = 0; k < costs.objectives; k++) {
    const own = front.map((i) => costOf(costs, i, k));
    const order = orderOf(own);
    const range = (own[order.at(-1) as number] as number) - (own[order[0] as number] as number);
    order.forEach((place, at) => {
      const i = front[place] as number;
      const [before, after] = [order[at - 1], order[at + 1]];
      const isEnd = before === undefined || after === undefined;
      // Costs that are all alike, or infinite, tell nothing apart.
      const gap = isEnd
        ? Number.POSITIVE_INFINITY
        : range > 0 && range < Number.POSITIVE_INFINITY
          ? ((own[after] as number) - (own[before] as number)) / range
          : 0;
      distances.set(i, (distances.get(i) as number) + gap);
    });
  }
  return distances;
}

/**
 * Candidates from the best to the worst: by their fronts, and within a front those first that have the most room around them. With one cost this is the
 * order of costs.
 * @param costs K of each candidate, one candidate after the other
 * @see Deb, Pratap, Agarwal and Meyarivan, 2002, sections III.A and III.B
 * @example paretoOrder([1, 4, 2, 2, 3, 3, 4, 1], 2) // the ends of the front, what lies between them, and what (2, 2) dominates: [0, 3, 1, 2]
 */
export function paretoOrder(costs: ArrayLike<number>, objectives: number): number[] {
  const all = costsOf("paretoOrder", costs, objectives);
  if (objectives === 1) return orderOf(costs);
  const fronts = paretoFronts(costs, objectives);
  const last = Math.max(-1, ...fronts);
  return Array.from({ length: last + 1 }, (_, rank) => fronts.flatMap((front, i) => (front === rank ? [i] : []))).flatMap((front) => {
    const distances = crowding(all, front);
    return orderOf(front.map((i) => -(distances.get(i) as number))).map((place) => front[place] as number);
  });
}
