/** The parts of a model that training manages: weights, gradients, generators. */

import { FormatError, ShapeError } from "../base/errors.ts";
import { list, quote } from "../base/quote.ts";
import type { Module } from "../nn/module.ts";
import { defaultGenerator, Generator } from "../tensor/random.ts";
import { sameShape, show } from "../tensor/shape.ts";
import type { Tensor } from "../tensor/tensor.ts";

export type Weights = ReadonlyMap<string, Tensor>;

/** The generators found automatically, each once: the default one, and those in public fields of modules. */
export function generatorsOf(model: Module): Generator[] {
  const fields = Array.from(model.modules(), (m) => Object.values(m).flat() as unknown[]).flat();
  return [...new Set([defaultGenerator(), ...fields.filter((value) => value instanceof Generator)])];
}

export function forgetGradients(params: readonly Tensor[]): void {
  for (const p of params) {
    p.grad?.dispose();
    p.grad = null;
  }
}

/** Checks that a checkpoint's tensors match a model's, including dtypes, and that trained ones are finite. @throws FormatError, ShapeError */
export function checkWeights(what: string, weights: Weights, own: Weights, trained: ReadonlySet<Tensor>): void {
  const unlike = [...own.keys()].filter((name) => !weights.has(name)).concat([...weights.keys()].filter((name) => !own.has(name)));
  if (unlike.length > 0) throw new FormatError(`checkpoint: expected ${what} of this model, got other names: ${list(unlike)}`);
  for (const [name, target] of own) {
    const t = weights.get(name) as Tensor;
    const { shape, dtype } = target;
    if (!sameShape(t.shape, shape)) throw new ShapeError(`checkpoint: expected ${what} ${name} ${show(shape)}, got ${quote(t.shape)}`);
    if (t.dtype !== dtype) throw new FormatError(`checkpoint: expected ${what} ${name} of dtype ${dtype}, got ${t.dtype}`);
    if (trained.has(target) && !t.data().every((value) => Number.isFinite(value))) {
      throw new FormatError(`checkpoint: expected finite ${what}, got others in ${name}`);
    }
  }
}
