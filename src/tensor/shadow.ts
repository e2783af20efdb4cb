/** Copies values so that later writes can be undone. */

import { arrayOf, type TypedArray } from "../base/dtype.ts";
import { view } from "../wasm/host.ts";
import { copyInto } from "./strided.ts";
import { assign, type Tensor, tensor } from "./tensor.ts";

/** Copies of tensors' values in JavaScript's memory. Taking the same tensors again reuses the copies. */
export class Shadow {
  #values: ReadonlyMap<Tensor, TypedArray> = new Map();

  take(tensors: Iterable<Tensor>): void {
    const values = new Map<Tensor, TypedArray>();
    for (const t of tensors) values.set(t, this.#copyOf(t));
    this.#values = values;
  }

  putBack(): void {
    for (const [t, values] of this.#values) {
      if (t.storage.released || sameBits(t, values)) continue;
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

/** Skips unchanged values, since a write would rule out derivatives with respect to earlier values. */
function sameBits(t: Tensor, values: TypedArray): boolean {
  const now = t.isContiguous ? view(t.dtype, t.ptr, t.size) : t.data();
  return now.every((value: number, i: number) => Object.is(value, values[i]));
}
