/** Functions of plain numbers by the library's own kernels: Math's may differ between hosts in the last bit. */

import { ArgumentError } from "../base/errors.ts";
import { quote } from "../base/quote.ts";
import * as math from "../ops/math.ts";
import { scalar } from "../tensor/create.ts";
import { scope, Tensor } from "../tensor/tensor.ts";

const ofNumber =
  (fn: (x: Tensor) => Tensor) =>
  (x: number): number =>
    scope(() => fn(scalar(x, "float64")).item());

export const exp: (x: number) => number = ofNumber(math.exp);
export const cos: (x: number) => number = ofNumber(math.cos);

/** A metric's value; a tensor of one element stands for its own. @throws ArgumentError for anything else */
export function metricOf(op: string, metric: unknown): number {
  if (typeof metric === "number") return metric;
  if (metric instanceof Tensor && metric.size === 1) return metric.item();
  throw new ArgumentError(`${op}: expected a number as metric, got ${quote(metric)}`);
}
