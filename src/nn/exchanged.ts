/** Parameters whose averages are in their place at the moment: nothing may train, average or save these as weights. */

import { StateError } from "../base/errors.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** How many averages were exchanged with a parameter. */
const exchanges = new WeakMap<Tensor, number>();

/** Notes that averages took the place of parameters, or left it. */
export function noteExchange(params: readonly Tensor[], begins: boolean): void {
  for (const p of params) exchanges.set(p, (exchanges.get(p) ?? 0) + (begins ? 1 : -1));
}

/** @throws StateError for parameters with averages in their place */
export function checkInPlace(op: string, params: Iterable<Tensor>): void {
  for (const p of params) {
    if (!exchanges.get(p)) continue;
    throw new StateError(`${op}: expected the parameters in their place, got their averages there: swap() first`);
  }
}
