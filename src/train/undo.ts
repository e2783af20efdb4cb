/** What a step may change, kept so that a step that fails changes nothing. */

import { arrayOf, type TypedArray } from "../base/dtype.ts";
import type { Module } from "../nn/module.ts";
import { copyInto } from "../tensor/strided.ts";
import { assign, type Tensor, tensor } from "../tensor/tensor.ts";
import { view } from "../wasm/host.ts";

/** Copies of tensors' values in the host's memory; what is taken again and again takes no memory again. */
export class Shadow {
  #values: ReadonlyMap<Tensor, TypedArray> = new Map();

  take(tensors: Iterable<Tensor>): void {
    const values = new Map<Tensor, TypedArray>();
    for (const t of tensors) values.set(t, this.#copyOf(t));
    this.#values = values;
  }

  putBack(): void {
    for (const [t, values] of this.#values) {
      if (t.storage.released) continue;
      if (t.isContiguous) assign(t, values);
      else {
        copyInto(t, tensor(values, { shape: t.shape, dtype: t.dtype }));
        t.storage.noteWrite();
      }
    }
  }

  #copyOf(t: Tensor): TypedArray {
    if (!t.isContiguous) return t.data();
    const values = this.#values.get(t) ?? arrayOf(t.dtype, t.size);
    values.set(view(t.dtype, t.ptr, t.size));
    return values;
  }
}

/** Which modules train and which evaluate. */
export type Modes = ReadonlyMap<Module, boolean>;

export function modesOf(model: Module): Modes {
  return new Map(Array.from(model.modules(), (m) => [m, m.training]));
}

export function setModes(modes: Modes): void {
  for (const [m, training] of modes) m.training = training;
}
