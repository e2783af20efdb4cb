import { describe, expect, test } from "vitest";
import { BYTES, type DType, type FloatDType } from "../../src/base/dtype.ts";
import { empty, type Tensor } from "../../src/tensor/tensor.ts";
import { call, view } from "../../src/wasm/host.ts";
import { addElements, addRows, gatherElements, gatherRows, scatterElements } from "../../src/wasm/kernels.gen.ts";

const CANARY = 99;
const GUARD = 5;

/** n elements with canaries on both sides; not aligned to vectors. */
class Guarded {
  readonly tensor: Tensor;
  readonly n: number;

  constructor(n: number, dtype: DType, value: (i: number) => number) {
    this.n = n;
    this.tensor = empty([n + 2 * GUARD], dtype);
    this.all().fill(CANARY);
    for (let i = 0; i < n; i++) this.all()[GUARD + i] = value(i);
  }

  all(): ReturnType<typeof view> {
    return view(this.tensor.dtype, this.tensor.ptr, this.tensor.size);
  }

  get ptr(): number {
    return this.tensor.ptr + GUARD * BYTES[this.tensor.dtype];
  }

  values(): number[] {
    return Array.from(this.all().subarray(GUARD, GUARD + this.n));
  }

  check(expected: ArrayLike<number>): void {
    const outside = [...this.all().subarray(0, GUARD), ...this.all().subarray(GUARD + this.n)];
    expect(outside).toEqual(new Array(2 * GUARD).fill(CANARY));
    expect(this.values()).toEqual(Array.from(expected));
  }
}

/** A fixed sequence that visits indices below n unevenly. */
const scrambled = (n: number) => (i: number) => (i * i + 3 * i) % n;
/** Sums of a few of these are exact in every float type. */
const quarter = (i: number) => ((i * 7) % 64) / 4;
const whole = (i: number) => (i * 7) % 64;

// outer, n, m, inner
const SIZES: readonly (readonly [number, number, number, number])[] = [
  [1, 1, 1, 1],
  [1, 7, 5, 1],
  [3, 4, 9, 1],
  [2, 3, 5, 2],
  [2, 5, 3, 3],
  [1, 4, 6, 4],
  [2, 4, 6, 5],
  [3, 2, 4, 11],
  [1, 3, 5, 64],
  [1, 3, 5, 67],
  [0, 3, 4, 2],
  [2, 3, 0, 4],
  [2, 3, 4, 0],
];

describe.each(["float32", "float64", "int32", "bool"] as const)("copies of %s", (dtype) => {
  test.each(SIZES)("gatherElements [%i,%i→%i,%i]", (outer, n, m, inner) => {
    const index = new Guarded(outer * m * inner, "int32", scrambled(n));
    const x = new Guarded(outer * n * inner, dtype, whole);
    const y = new Guarded(outer * m * inner, dtype, () => 1);
    call(gatherElements, "int32", BYTES[dtype], outer, n, m, inner, index.ptr, x.ptr, y.ptr);
    const [at, from] = [index.values(), x.values()];
    y.check(at.map((row, e) => from[(Math.floor(e / (m * inner)) * n + row) * inner + (e % inner)] as number));
  });

  test.each(SIZES)("scatterElements [%i,%i←%i,%i]", (outer, n, m, inner) => {
    const index = new Guarded(outer * m * inner, "int32", scrambled(n));
    const x = new Guarded(outer * m * inner, dtype, whole);
    const y = new Guarded(outer * n * inner, dtype, () => 1);
    const expected = y.values();
    index.values().forEach((row, e) => {
      expected[(Math.floor(e / (m * inner)) * n + row) * inner + (e % inner)] = x.values()[e] as number;
    });
    call(scatterElements, "int32", BYTES[dtype], outer, n, m, inner, index.ptr, x.ptr, y.ptr);
    y.check(expected);
  });

  test.each(SIZES)("gatherRows [%i,%i→%i,%i], with zeros for no row", (outer, n, m, inner) => {
    const index = new Guarded(m, "int32", (i) => (i % 4 === 1 ? -1 : scrambled(n)(i)));
    const x = new Guarded(outer * n * inner, dtype, whole);
    const y = new Guarded(outer * m * inner, dtype, () => 1);
    const from = x.values();
    const expected = y.values().map((_, e) => {
      const row = index.values()[Math.floor(e / inner) % m] as number;
      return row < 0 ? 0 : (from[(Math.floor(e / (m * inner)) * n + row) * inner + (e % inner)] as number);
    });
    call(gatherRows, "int32", outer, n, m, inner * BYTES[dtype], index.ptr, x.ptr, y.ptr);
    y.check(expected);
  });
});

describe.each<FloatDType>(["float32", "float64"])("sums of %s", (dtype) => {
  test.each(SIZES)("addElements [%i,%i←%i,%i]", (outer, n, m, inner) => {
    const index = new Guarded(outer * m * inner, "int32", scrambled(n));
    const x = new Guarded(outer * m * inner, dtype, quarter);
    const y = new Guarded(outer * n * inner, dtype, (i) => i);
    const expected = y.values();
    index.values().forEach((row, e) => {
      const to = (Math.floor(e / (m * inner)) * n + row) * inner + (e % inner);
      expected[to] = (expected[to] as number) + quarter(e);
    });
    call(addElements, dtype, outer, n, m, inner, index.ptr, x.ptr, y.ptr);
    y.check(expected);
  });

  test.each(SIZES)("addRows [%i,%i←%i,%i], nothing for no row", (outer, n, m, inner) => {
    const index = new Guarded(m, "int32", (i) => (i % 4 === 1 ? -1 : scrambled(n)(i)));
    const x = new Guarded(outer * m * inner, dtype, quarter);
    const y = new Guarded(outer * n * inner, dtype, (i) => i);
    const expected = y.values();
    x.values().forEach((value, e) => {
      const row = index.values()[Math.floor(e / inner) % m] as number;
      const to = (Math.floor(e / (m * inner)) * n + row) * inner + (e % inner);
      if (row >= 0) expected[to] = (expected[to] as number) + value;
    });
    call(addRows, dtype, outer, n, m, inner, index.ptr, x.ptr, y.ptr);
    y.check(expected);
  });
});
