/** The tensors of a file, of which some may be such that none here can hold them. */

import { FormatError } from "../base/errors.ts";
import { shorten } from "../base/quote.ts";
import type { Tensor } from "../tensor/tensor.ts";

export interface FileTensors {
  /** By name, in the file's order. Asking for a name of `unreadable` throws a FormatError that says why. */
  readonly tensors: Map<string, Tensor>;
  /** Tensors of the file that no tensor here can hold, each with the reason: they are left out of `tensors`. */
  readonly unreadable: ReadonlyMap<string, string>;
}

/** Of a tensor that none here can hold. */
export function cannotRead(op: string, name: string, reason: string): FormatError {
  return new FormatError(`${op}: ${shorten(name)} cannot be read: ${reason}`);
}

/** Tells those that could be read from the reasons of the others. */
export function sorted(op: string, read: Iterable<readonly [name: string, tensor: Tensor | string]>): FileTensors {
  const tensors = new Map<string, Tensor>();
  const unreadable = new Map<string, string>();
  for (const [name, t] of read) {
    if (typeof t === "string") unreadable.set(name, t);
    else tensors.set(name, t);
  }
  return { tensors: new ReadableTensors(op, tensors, unreadable), unreadable };
}

/** Asking for one of the others says why there is none. */
class ReadableTensors extends Map<string, Tensor> {
  readonly #op: string;
  readonly #unreadable: ReadonlyMap<string, string>;

  constructor(op: string, tensors: ReadonlyMap<string, Tensor>, unreadable: ReadonlyMap<string, string>) {
    super(tensors);
    this.#op = op;
    this.#unreadable = unreadable;
  }

  override get(name: string): Tensor | undefined {
    const found = super.get(name);
    const reason = found === undefined ? this.#unreadable.get(name) : undefined;
    if (reason !== undefined) throw cannotRead(this.#op, name, reason);
    return found;
  }
}
