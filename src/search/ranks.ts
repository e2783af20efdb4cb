/** Orders and ranks of costs. */

import { checkArrayLike } from "../base/checks.ts";
/** Places from the least to the greatest cost; of equal ones the first comes first. */
export function orderOf(costs: ArrayLike<number>): number[] {
  // Infinity − Infinity is no number: compared, not subtracted.
  return Array.from(costs, (_, i) => i).sort((a, b) => {
    const [x, y] = [costs[a] as number, costs[b] as number];
    return x < y ? -1 : x > y ? 1 : a - b;
  });
}

/** The rank of each cost, 0 for the least; equal ones have the mean of the ranks that they take up. */
export function averageRanks(costs: ArrayLike<number>): Float64Array {
  checkArrayLike("averageRanks", "costs", costs);
  const order = orderOf(costs);
  const ranks = new Float64Array(order.length);
  for (let from = 0; from < order.length; ) {
    let to = from;
    while (to + 1 < order.length && costs[order[to + 1] as number] === costs[order[from] as number]) to++;
    for (let k = from; k <= to; k++) ranks[order[k] as number] = (from + to) / 2;
    from = to + 1;
  }
  return ranks;
}

/** Ranks from −½ for the least cost to ½ for the greatest; of one cost alone, 0. */
export function centredRanks(costs: ArrayLike<number>): Float64Array {
  checkArrayLike("centredRanks", "costs", costs);
  const last = costs.length - 1;
  return averageRanks(costs).map((rank) => (last === 0 ? 0 : rank / last - 0.5));
}
