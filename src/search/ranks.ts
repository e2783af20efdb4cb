/** Orders and ranks of costs. */

import { checkArrayLike } from "../base/checks.ts";
import { ArgumentError, DTypeError } from "../base/errors.ts";
import { quote } from "../base/quote.ts";

/** Requires costs that can be ordered. @throws DTypeError for anything but numbers, ArgumentError for NaN */
export function checkCosts(op: string, costs: ArrayLike<number>): void {
  checkArrayLike(op, "costs", costs);
  for (let i = 0; i < costs.length; i++) {
    const cost: unknown = costs[i];
    if (typeof cost !== "number") throw new DTypeError(`${op}: expected numbers as costs, got ${quote(cost)} at ${i}`);
    if (Number.isNaN(cost)) throw new ArgumentError(`${op}: expected costs that have an order, got NaN at ${i}`);
  }
}

/** Indices in order of rising cost; equal costs keep their order. */
export function orderOf(costs: ArrayLike<number>): number[] {
  // Compare, since Infinity − Infinity is NaN.
  return Array.from(costs, (_, i) => i).sort((a, b) => {
    const [x, y] = [costs[a] as number, costs[b] as number];
    return x < y ? -1 : x > y ? 1 : a - b;
  });
}

/**
 * The rank of each cost, 0 for the lowest; equal costs share the mean of their ranks.
 * @throws DTypeError for anything but numbers, ArgumentError for NaN
 */
export function averageRanks(costs: ArrayLike<number>): Float64Array {
  checkCosts("averageRanks", costs);
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

/** Ranks from −½ for the lowest cost to ½ for the highest; 0 for a single cost. @throws DTypeError, ArgumentError as `averageRanks` */
export function centredRanks(costs: ArrayLike<number>): Float64Array {
  checkCosts("centredRanks", costs);
  const last = costs.length - 1;
  return averageRanks(costs).map((rank) => (last === 0 ? 0 : rank / last - 0.5));
}
