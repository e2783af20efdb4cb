/** Matrix products against plain loops: values to the last bit, edges, strides and canaries. */

import { describe, expect, it } from "vitest";
import { BYTES, type FloatDType } from "../../src/base/dtype.ts";
import { empty, scope } from "../../src/tensor/tensor.ts";
import { call, view } from "../../src/wasm/host.ts";
import { gemm, gemmPanels, packWeights, sumProducts } from "../../src/wasm/kernels.gen.ts";

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
  const tolerance = RELAXED ? (k + 1) * (dtype === "float32" ? 2 ** -23 : 2 ** -52) : 0;
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
  bias: readonly number[] | null = null,
  beta = 1,
): number[] {
  return scope(() => {
    const size = BYTES[dtype];
    const nr = 32 / size;
    const aPtr = place(dtype, a);
    const bPtr = place(dtype, b);
    const packedLength = Math.ceil(n / nr) * nr * k;
    const packed = place(dtype, new Array<number>(packedLength + 2).fill(CANARY)) + size;
    call(packWeights, dtype, n, k, bPtr, bs.rs, bs.cs, packed);
    expect(view(dtype, packed - size, 1)[0]).toBe(CANARY);
    expect(view(dtype, packed + packedLength * size, 1)[0]).toBe(CANARY);
    const ldc = n + 3;
    const around = new Array<number>(m * ldc + 2).fill(CANARY);
    for (let i = 0; i < m; i++) for (let j = 0; j < n; j++) around[1 + i * ldc + j] = c[i * n + j] as number;
    const cPtr = place(dtype, around);
    call(gemmPanels, dtype, m, n, k, aPtr, lda, packed, cPtr + size, ldc, bias ? place(dtype, bias) : 0, beta);
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
  const sizes = [0, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 19, 33];
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

  it.each([...sizes, 141])("starts from a bias or zeros, m = %i", (m) => {
    for (const n of [1, 8, 11, 70]) {
      for (const k of [1, 7, 300]) {
        const a = rounded(dtype, noise(m * k, 1));
        const b = rounded(dtype, noise(k * n, 2));
        const bias = rounded(dtype, noise(n, 3));
        const junk = new Array<number>(m * n).fill(Number.NaN);
        for (const start of [bias, null]) {
          const got = runPacked(dtype, m, n, k, a, k, b, { rs: n, cs: 1 }, junk, start, 0);
          const as = { rs: k, cs: 1 };
          expectProduct(
            dtype,
            got,
            inOrder(dtype, m, n, k, a, as, b, { rs: n, cs: 1 }, (_, j) => (start ? (start[j] as number) : 0)),
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

interface Product {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly as: Strides;
  readonly bs: Strides;
  readonly a: readonly number[];
  readonly b: readonly number[];
  readonly bias?: readonly number[];
  /** The present value of C: given, it is added to; else C holds NaN. */
  readonly c?: readonly number[];
}

/** One product with canaries around C and between its rows. */
function runGemm(dtype: FloatDType, { m, n, k, as, bs, a, b, bias, c }: Product): number[] {
  return scope(() => {
    const ldc = n + 2;
    const around = new Array<number>(m * ldc + 2).fill(CANARY);
    for (let i = 0; i < m; i++) for (let j = 0; j < n; j++) around[1 + i * ldc + j] = c ? (c[i * n + j] as number) : Number.NaN;
    const cPtr = place(dtype, around);
    const biasPtr = bias ? place(dtype, bias) : 0;
    const [aPtr, bPtr] = [place(dtype, a), place(dtype, b)];
    call(gemm, dtype, m, n, k, aPtr, as.rs, as.cs, bPtr, bs.rs, bs.cs, cPtr + BYTES[dtype], ldc, biasPtr, c ? 1 : 0, 1, 0, 0, 0);
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

/** Row-major, transposed, row-major with gaps, and both strides above one. */
const layouts = (rows: number, columns: number): Strides[] => [
  { rs: columns, cs: 1 },
  { rs: 1, cs: rows },
  { rs: columns + 3, cs: 1 },
  { rs: 2 * columns + 1, cs: 2 },
];
const extent = (rows: number, columns: number, { rs, cs }: Strides): number =>
  rows === 0 || columns === 0 ? 0 : (rows - 1) * rs + (columns - 1) * cs + 1;

describe.each(DTYPES)("gemm, %s", (dtype) => {
  const sizes = [0, 1, 2, 3, 4, 5, 8, 9, 19];
  it.each(sizes)("every layout, bias and beta, m = %i", (m) => {
    for (const n of sizes) {
      for (const k of [0, 1, 4, 9]) {
        const bias = rounded(dtype, noise(n, 3));
        const c = rounded(dtype, noise(m * n, 4));
        for (const as of layouts(m, k)) {
          for (const bs of layouts(k, n)) {
            const a = rounded(dtype, noise(extent(m, k, as), 1));
            const b = rounded(dtype, noise(extent(k, n, bs), 2));
            const product = { m, n, k, as, bs, a, b };
            const want = (start: (i: number, j: number) => number) => inOrder(dtype, m, n, k, a, as, b, bs, start);
            expectProduct(
              dtype,
              runGemm(dtype, product),
              want(() => 0),
              k,
            );
            expectProduct(
              dtype,
              runGemm(dtype, { ...product, bias }),
              want((_, j) => bias[j] as number),
              k,
            );
            expectProduct(
              dtype,
              runGemm(dtype, { ...product, c }),
              want((i, j) => c[i * n + j] as number),
              k,
            );
          }
        }
      }
    }
  });

  // Across every block boundary: k over 256, columns over one packed block of B, rows over one of A.
  it.each([
    [1, 530, 700],
    [530, 1, 700],
    [33, 43, 1000],
    [140, 75, 300],
    [21, 530, 270],
    [17, 64, 64],
  ])("blocked sums run in order of k, %i × %i × %i", (m, n, k) => {
    for (const [i, as] of layouts(m, k).entries()) {
      for (const [j, bs] of layouts(k, n).entries()) {
        if (i > 1 && j > 1) continue;
        const a = rounded(dtype, noise(extent(m, k, as), 1));
        const b = rounded(dtype, noise(extent(k, n, bs), 2));
        expectProduct(
          dtype,
          runGemm(dtype, { m, n, k, as, bs, a, b }),
          inOrder(dtype, m, n, k, a, as, b, bs, () => 0),
          k,
        );
      }
    }
  });

  it("gives a row the same bits whatever rows go with it, in every layout", () => {
    const [m, n, k] = [33, 43, 1000];
    for (const as of layouts(m, k)) {
      for (const bs of layouts(k, n)) {
        const a = rounded(dtype, noise(extent(m, k, as), 5));
        const b = rounded(dtype, noise(extent(k, n, bs), 6));
        const all = runGemm(dtype, { m, n, k, as, bs, a, b });
        for (const rows of [1, 2, 4, 7]) {
          const first = m - rows;
          const got = runGemm(dtype, { m: rows, n, k, as, bs, a: a.slice(first * as.rs), b });
          expect(got).toEqual(all.slice(first * n));
        }
      }
    }
  });

  it("reads a broadcast operand through strides of zero", () => {
    const [m, n, k] = [5, 9, 6];
    const a = rounded(dtype, noise(k, 1));
    const b = rounded(dtype, noise(n, 2));
    for (const bs of [
      { rs: 0, cs: 1 },
      { rs: 1, cs: 0 },
      { rs: 0, cs: 0 },
    ]) {
      const as = { rs: 0, cs: 1 };
      for (const rows of [1, m]) {
        expectProduct(
          dtype,
          runGemm(dtype, { m: rows, n, k, as, bs, a, b }),
          inOrder(dtype, rows, n, k, a, as, b, bs, () => 0),
          k,
        );
      }
    }
  });

  it("runs a batch with a shared operand and a bias", () => {
    const [batch, m, n, k] = [3, 5, 9, 7];
    const a = rounded(dtype, noise(batch * m * k, 1));
    const b = rounded(dtype, noise(k * n, 2));
    const bias = rounded(dtype, noise(n, 3));
    const got = scope(() => {
      const cPtr = place(dtype, new Array<number>(batch * m * n).fill(Number.NaN));
      const [aPtr, bPtr, biasPtr] = [place(dtype, a), place(dtype, b), place(dtype, bias)];
      call(gemm, dtype, m, n, k, aPtr, k, 1, bPtr, n, 1, cPtr, n, biasPtr, 0, batch, m * k, 0, m * n);
      return [...view(dtype, cPtr, batch * m * n)];
    });
    const want = inOrder(dtype, batch * m, n, k, a, { rs: k, cs: 1 }, b, { rs: n, cs: 1 }, (_, j) => bias[j] as number);
    expectProduct(dtype, got, want, k);
  });

  it("lets NaN and infinity of the operands through and nothing of the padding", () => {
    const [m, n, k] = [5, 9, 3];
    const a = new Array<number>(m * k).fill(1);
    const b = new Array<number>(k * n).fill(2);
    a[0] = Number.POSITIVE_INFINITY;
    b[n - 1] = Number.NaN;
    const got = runGemm(dtype, { m, n, k, as: { rs: k, cs: 1 }, bs: { rs: n, cs: 1 }, a, b });
    expect(got).toEqual(inOrder(dtype, m, n, k, a, { rs: k, cs: 1 }, b, { rs: n, cs: 1 }, () => 0));
  });
});

describe.each(DTYPES)("products added to one matrix, %s", (dtype) => {
  const width = BYTES[dtype];
  const nr = 32 / width;

  /** The same products one by one: each from zero, then added. */
  function oneByOne(count: number, m: number, n: number, k: number, a: number, aNext: number, b: number, bNext: number, c: number): void {
    const round = rounding(dtype);
    const total = view(dtype, c, m * n);
    const part = empty([m * n], dtype);
    for (let p = 0; p < count; p++) {
      call(gemm, dtype, m, n, k, a + p * aNext * width, 1, m, b + p * bNext * width, n, 1, part.ptr, n, 0, 0, 1, 0, 0, 0);
      const made = view(dtype, part.ptr, m * n);
      made.forEach((x, i) => {
        total[i] = round((total[i] as number) + x);
      });
    }
  }

  it.each([
    [1, 1, 1, 1],
    [3, 2, 2, 1],
    [2, 5, nr - 1, 3],
    [5, 6, nr, 64],
    [9, 7, nr + 1, 32],
    [3, 13, 2 * nr + 3, 100],
    [2, 134, nr + 3, 256],
    [17, 135, 3, 15],
    [300, 9, nr + 2, 1],
    [3, 8, 32 * nr + 5, 2],
  ])("has the bits of %i products of %i × %i × %i one by one, forwards and backwards", (count, m, n, k) => {
    scope(() => {
      for (const backwards of [false, true]) {
        const [aSize, bSize] = [m * k + 3, n * k];
        const a = place(dtype, noise(count * aSize, 5));
        const b = place(dtype, noise(count * bSize, 6));
        const first = backwards ? b + (count - 1) * bSize * width : b;
        const bNext = backwards ? -bSize : bSize;
        const start = noise(m * n, 7);
        const got = place(dtype, [CANARY, ...start, CANARY]);
        const want = place(dtype, start);
        oneByOne(count, m, n, k, a, aSize, first, bNext, want);
        call(sumProducts, dtype, count, m, n, k, a, 1, m, aSize, first, n, 1, bNext, got + width, n);
        expect(Array.from(view(dtype, got, m * n + 2))).toEqual([CANARY, ...view(dtype, want, m * n), CANARY]);
      }
    });
  });

  it("adds nothing for no products, and to rows that lie apart", () => {
    scope(() => {
      const [m, n, k, ldc] = [3, 4, 2, 6];
      const a = place(dtype, noise(m * k, 1));
      const b = place(dtype, noise(n * k, 2));
      const c = place(dtype, new Array<number>(m * ldc).fill(CANARY));
      call(sumProducts, dtype, 0, m, n, k, a, k, 1, 0, b, n, 1, 0, c, ldc);
      expect(new Set(view(dtype, c, m * ldc))).toEqual(new Set([CANARY]));
      call(sumProducts, dtype, 1, m, n, k, a, k, 1, 0, b, n, 1, 0, c, ldc);
      const strides = [
        { rs: k, cs: 1 },
        { rs: n, cs: 1 },
      ] as const;
      const product = inOrder(dtype, m, n, k, view(dtype, a, m * k), strides[0], view(dtype, b, n * k), strides[1], () => 0);
      const round = rounding(dtype);
      const want = product.map((x) => round(CANARY + x));
      const rows = Array.from(view(dtype, c, m * ldc));
      const inside = rows.filter((_, i) => i % ldc < n);
      expectProduct(
        dtype,
        inside.map((x) => x / CANARY),
        want.map((x) => x / CANARY),
        k,
      );
      expect(new Set(rows.filter((_, i) => i % ldc >= n))).toEqual(new Set([CANARY]));
    });
  });
});
