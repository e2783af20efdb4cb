/** Functions that searches are tried on, and the loop that tries them. */

import type { AskTell, StopReason } from "../../src/search/search.ts";

export type Cost = (x: Float64Array) => number;

export const sphere: Cost = (x) => x.reduce((sum, v) => sum + v * v, 0);
export const ellipsoid: Cost = (x) => x.reduce((sum, v, i) => sum + 10 ** ((6 * i) / (x.length - 1)) * v * v, 0);
export const rosenbrock: Cost = (x) => x.subarray(1).reduce((sum, v, i) => sum + 100 * (v - x[i]! * x[i]!) ** 2 + (1 - x[i]!) ** 2, 0);
export const rastrigin: Cost = (x) => x.reduce((sum, v) => sum + 10 + v * v - 10 * Math.cos(2 * Math.PI * v), 0);

/** Runs a search to its end; the costs told, generation by generation. */
export function run(search: AskTell<Float64Array>, cost: Cost, seen?: (costs: number[]) => void): StopReason {
  for (let stop = search.stop(); ; stop = search.stop()) {
    if (stop !== null) return stop;
    const candidates = search.ask();
    const costs = candidates.map(cost);
    search.tell(candidates, costs);
    seen?.(costs);
  }
}
