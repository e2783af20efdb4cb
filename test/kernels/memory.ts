/** Inputs and guarded outputs in the kernels' memory, for tests that call kernels directly. */

import { BYTES, type DType, type FloatDType } from "../../src/base/dtype.ts";
import { empty } from "../../src/tensor/tensor.ts";
import { view } from "../../src/wasm/host.ts";

export const FLOATS: readonly FloatDType[] = ["float32", "float64"];
export const RELAXED: boolean = process.env.TAPELOOP_KERNELS === "relaxed";

const CANARY = -77;
const GUARD = 8;

/** Rounds to the dtype. */
export function rounding(dtype: FloatDType): (x: number) => number {
  return dtype === "float32" ? Math.fround : (x) => x;
}

/** Distance from 1 to the next number. */
export function epsilonOf(dtype: FloatDType): number {
  return dtype === "float32" ? 2 ** -23 : 2 ** -52;
}

/** Values in (-1, 1) that the dtype holds exactly, the same on every run. */
export function noise(dtype: FloatDType, n: number, seed: number): number[] {
  const round = rounding(dtype);
  let state = seed >>> 0;
  return Array.from({ length: n }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return round((state - 2 ** 31) / 2 ** 31);
  });
}

/** Address of a copy of `values`, one element off the vectors' alignment. */
export function place(dtype: DType, values: ArrayLike<number>): number {
  const ptr = empty([values.length + 1], dtype).ptr + BYTES[dtype];
  view(dtype, ptr, values.length).set(values);
  return ptr;
}

export interface Output {
  readonly ptr: number;
  /** The values written. @throws when something beside them was written too */
  read(): number[];
}

/** Room for n elements between canaries. */
export function room(dtype: DType, n: number): Output {
  const canary = dtype === "bool" ? 77 : CANARY;
  const { ptr: start } = empty([n + 2 * GUARD], dtype);
  view(dtype, start, n + 2 * GUARD).fill(canary);
  return {
    ptr: start + GUARD * BYTES[dtype],
    read() {
      const all = Array.from(view(dtype, start, n + 2 * GUARD));
      const guards = [...all.slice(0, GUARD), ...all.slice(GUARD + n)];
      if (guards.some((c) => c !== canary)) throw new Error(`expected untouched canaries, got ${guards}`);
      return all.slice(GUARD, GUARD + n);
    },
  };
}

/** Holds values to an absolute bound; NaN and infinities must be equal. @throws naming the first element that is off */
export function expectClose(got: ArrayLike<number>, want: ArrayLike<number>, tolerance: number | ((i: number) => number)): void {
  if (got.length !== want.length) throw new Error(`expected ${want.length} elements, got ${got.length}`);
  for (let i = 0; i < want.length; i++) {
    const [a, e] = [got[i] as number, want[i] as number];
    if (Object.is(a, e)) continue;
    const bound = typeof tolerance === "number" ? tolerance : tolerance(i);
    if (!(Math.abs(a - e) <= bound)) throw new Error(`element ${i}: expected ${e}, got ${a} (allowed ${bound})`);
  }
}
