/** Metrics as plain numbers. */

import { ArgumentError } from "../base/errors.ts";
import { quote } from "../base/quote.ts";
import { Tensor } from "../tensor/tensor.ts";

/** A metric's value, from a number or a tensor of one element. @throws ArgumentError for anything else */
export function metricOf(op: string, metric: unknown): number {
  if (typeof metric === "number") return metric;
  if (metric instanceof Tensor && metric.size === 1) return metric.item();
  throw new ArgumentError(`${op}: expected a number as metric, got ${quote(metric)}`);
}
