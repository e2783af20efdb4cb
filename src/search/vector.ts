/** A module's parameters as one vector, for a search. */

import { DTypeError, ShapeError } from "../base/errors.ts";
import { quote } from "../base/quote.ts";
import { checkModule, type Module, type Parameter } from "../nn/module.ts";
import { assign } from "../tensor/tensor.ts";

/** The searched parameters, in the order of the vector. */
function searched(module: Module): Parameter[] {
  checkModule("search", module);
  const named = [...module.namedParameters()].filter(([, p]) => p.requiresGrad);
  return named.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)).map(([, p]) => p);
}

/**
 * The parameters of a module as one vector: sorted by their names in the state dict (by code units), each in row-major order. Frozen
 * parameters (`requiresGrad = false`) and buffers are excluded, and a tied parameter occurs once.
 * @example const search = new CMAES({ start: flatten(model), sigma: 0.5 });
 */
export function flatten(module: Module): Float64Array {
  const parts = searched(module).map((p) => p.data());
  const vector = new Float64Array(parts.reduce((n, part) => n + part.length, 0));
  let at = 0;
  for (const part of parts) {
    vector.set(part as ArrayLike<number>, at);
    at += part.length;
  }
  return vector;
}

/**
 * Writes a vector to the parameters that `flatten` reads, rounded to their dtype.
 * @returns the module
 * @throws ShapeError for another number of values, DTypeError for anything but a list of numbers; both leave the module unchanged
 * @example const cost = (v: Float64Array) => loss(unflatten(model, v));
 */
export function unflatten<M extends Module>(module: M, vector: ArrayLike<number>): M {
  const parameters = searched(module);
  const size = parameters.reduce((n, p) => n + p.size, 0);
  if (typeof vector?.length !== "number") throw new DTypeError(`unflatten: expected a vector of numbers, got ${quote(vector)}`);
  if (vector.length !== size) throw new ShapeError(`unflatten: expected ${size} values, got ${vector.length}`);
  const wrong = Array.prototype.findIndex.call(vector, (value: unknown) => typeof value !== "number");
  if (wrong !== -1) throw new DTypeError(`unflatten: expected numbers, got ${quote(vector[wrong])} at ${wrong}`);
  const values = Float64Array.from(vector);
  let at = 0;
  for (const p of parameters) {
    assign(p, values.subarray(at, at + p.size));
    at += p.size;
  }
  return module;
}
