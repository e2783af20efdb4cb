/** Matrix products against plain loops: values to the last bit, edges, strides and canaries. */

import { describe, expect, it } from "vitest";
import { BYTES, type FloatDType } from "../../src/tensor/dtype.ts";
import { empty, scope } from "../../src/tensor/tensor.ts";
import { call, view } from "../../src/wasm/host.ts";
import { gemm_packed, pack_b } from "../../src/wasm/kernels.gen.ts";

const DTYPES: readonly FloatDType[] = ["float32", "float64"];
const RELAXED = process.env.TAPELOOP_KERNELS === "relaxed";
const CANARY = -777.25;

/** Values with full mantissas, the same on every run. */
function noise(n: number, seed: number): number[] {
  let state = seed >>> 0;
  return Array.from({ length: n }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}

/** Memory of the kernels holding `values`, rounded to the dtype. */
function place(dtype: FloatDType, values: readonly number[]): number {
  const { ptr } = empty([values.length], dtype);
  view(dtype, ptr, values.length).set(values);
  return ptr;
}

const rounding = (dtype: FloatDType): ((x: number) => number) => (dtype === "float32" ? Math.fround : (x) => x);

/** What every build promises up to rounding, and the deterministic build to the last bit. */
function expectProduct(dtype: FloatDType, got: ArrayLike<number>, want: readonly number[], k: number): void {
  const tolerance = RELAXED ? (k + 1) * (dtype === "float32" ? 2 ** -23 : 2 ** -52) * Math.max(1, k) : 0;
  expect(got.length).toBe(want.length);
  for (let i = 0; i < want.length; i++) {
    const error = Math.abs((got[i] as number) - (want[i] as number));
    if (!(error <= tolerance)) throw new Error(`element ${i}: expected ${want[i]}, got ${got[i]}`);
  }
}

interface Strides {
  readonly rs: number;
  readonly cs: number;
}

/** start + A·B, each product and each sum rounded to the dtype, in order of k. */
function inOrder(
  dtype: FloatDType,
  m: number,
  n: number,
  k: number,
  a: ArrayLike<number>,
  as: Strides,
  b: ArrayLike<number>,
  bs: Strides,
  start: (i: number, j: number) => number,
): number[] {
  const round = rounding(dtype);
  const out: number[] = [];
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < n; j++) {
      let sum = round(start(i, j));
      for (let kk = 0; kk < k; kk++) {
        sum = round(sum + round((a[i * as.rs + kk * as.cs] as number) * (b[kk * bs.rs + j * bs.cs] as number)));
      }
      out.push(sum);
    }
  }
  return out;
}

function rounded(dtype: FloatDType, values: number[]): number[] {
  return values.map(rounding(dtype));
}

/** m rows against a packed B; ldc = n + 3 with canaries between rows and around. */
function runPacked(
  dtype: FloatDType,
  m: number,
  n: number,
  k: number,
  a: readonly number[],
  lda: number,
  b: readonly number[],
  bs: Strides,
  c: readonly number[],
): number[] {
  return scope(() => {
    const size = BYTES[dtype];
    const nr = 32 / size;
    const aPtr = place(dtype, a);
    const bPtr = place(dtype, b);
    const packedLength = Math.ceil(n / nr) * nr * k;
    const packed = place(dtype, new Array<number>(packedLength + 2).fill(CANARY)) + size;
    call(pack_b, dtype, n, k, bPtr, bs.rs, bs.cs, packed);
    expect(view(dtype, packed - size, 1)[0]).toBe(CANARY);
    expect(view(dtype, packed + packedLength * size, 1)[0]).toBe(CANARY);
    const ldc = n + 3;
    const around = new Array<number>(m * ldc + 2).fill(CANARY);
    for (let i = 0; i < m; i++) for (let j = 0; j < n; j++) around[1 + i * ldc + j] = c[i * n + j] as number;
    const cPtr = place(dtype, around);
    call(gemm_packed, dtype, m, n, k, aPtr, lda, packed, cPtr + size, ldc);
    const out = view(dtype, cPtr, around.length);
    const got: number[] = [];
    for (let at = 0; at < around.length; at++) {
      const i = Math.floor((at - 1) / ldc);
      const j = (at - 1) % ldc;
      if (at > 0 && i < m && j < n) got.push(out[at] as number);
      else expect(out[at]).toBe(CANARY);
    }
    return got;
  });
}

describe.each(DTYPES)("packed product, %s", (dtype) => {
  const sizes = [0, 1, 3, 4, 5, 8, 11, 19, 33];
  it.each(sizes)("adds to C in order of k, m = %i", (m) => {
    for (const n of sizes) {
      for (const k of [0, 1, 2, 7, 65]) {
        const a = rounded(dtype, noise(m * (k + 2), 1));
        const b = rounded(dtype, noise(k * n + 1, 2));
        const c = rounded(dtype, noise(m * n, 3));
        for (const bs of [
          { rs: n, cs: 1 },
          { rs: 1, cs: k },
        ]) {
          const got = runPacked(dtype, m, n, k, a, k + 2, b, bs, c);
          expectProduct(
            dtype,
            got,
            inOrder(dtype, m, n, k, a, { rs: k + 2, cs: 1 }, b, bs, (i, j) => c[i * n + j] as number),
            k,
          );
        }
      }
    }
  });

  it("gives a row the same bits whatever rows go with it", () => {
    const [n, k] = [43, 1000];
    const a = rounded(dtype, noise(33 * k, 4));
    const b = rounded(dtype, noise(k * n, 5));
    const c = rounded(dtype, noise(33 * n, 6));
    const all = runPacked(dtype, 33, n, k, a, k, b, { rs: n, cs: 1 }, c);
    expectProduct(
      dtype,
      all,
      inOrder(dtype, 33, n, k, a, { rs: k, cs: 1 }, b, { rs: n, cs: 1 }, (i, j) => c[i * n + j] as number),
      k,
    );
    for (const rows of [1, 2, 3, 4, 7]) {
      for (const first of [0, 5, 33 - rows]) {
        const got = runPacked(dtype, rows, n, k, a.slice(first * k), k, b, { rs: n, cs: 1 }, c.slice(first * n));
        expect(got).toEqual(all.slice(first * n, (first + rows) * n));
      }
    }
  });
});
