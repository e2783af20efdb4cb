/** Values kept aside, so that what was written meanwhile can be undone. */

import { arrayOf, type TypedArray } from "../base/dtype.ts";
import { view } from "../wasm/host.ts";
import { copyInto } from "./strided.ts";
import { assign, type Tensor, tensor } from "./tensor.ts";

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

/** What is as it was is not written to: a write is what makes a derivative by earlier values impossible. */
function sameBits(t: Tensor, values: TypedArray): boolean {
  const now = t.isContiguous ? view(t.dtype, t.ptr, t.size) : t.data();
  return now.every((value: number, i: number) => Object.is(value, values[i]));
}
