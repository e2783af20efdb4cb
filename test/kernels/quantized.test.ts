/** Products with int8 weights against plain loops over whole numbers: to the bit, on every build. */

import { describe, expect, it } from "vitest";
import { scope } from "../../src/tensor/tensor.ts";
import { call } from "../../src/wasm/host.ts";
import { quantizedColumns, quantizedProduct, quantizedRows } from "../../src/wasm/kernels.gen.ts";
import { noise, place, room } from "./memory.ts";

const { fround } = Math;

/**
 * Weights, row-major, as the kernels have them: vectors of eight rows and two columns, of which the first four rows are high bytes, the others low ones,
 * plus 128; four vectors side by side, the last ones alone.
 */
function panels(w: Int8Array, n: number, k: number): Uint8Array {
  const pairs = Math.ceil(k / 2);
  const packed = new Uint8Array(Math.ceil(n / 8) * pairs * 16);
  const together = Math.floor(n / 32) * 4;
  for (let o = 0; o < n; o++) {
    const vector = Math.floor(o / 8);
    for (let j = 0; j < k; j++) {
      const pair = Math.floor(j / 2);
      const at = vector < together ? (Math.floor(vector / 4) * pairs + pair) * 4 + (vector % 4) : vector * pairs + pair;
      const isLow = o % 8 >= 4;
      packed[at * 16 + (o % 4) * 4 + (j % 2) * 2 + (isLow ? 0 : 1)] = (w[o * k + j] as number) + (isLow ? 128 : 0);
    }
  }
  return packed;
}

/** The nearest whole number, ties to even. */
function nearest(x: number): number {
  const low = Math.floor(x);
  return x - low > 0.5 || (x - low === 0.5 && low % 2 !== 0) ? low + 1 : low;
}

/** What the kernel is to compute, in f32 where it does and in whole numbers where it does. */
function expected(x: number[], w: Int8Array, scales: number[], bias: number[] | null): number[] {
  const k = x.length;
  const limit = 2 ** Math.min(14, 24 - Math.ceil(Math.log2(k)));
  const largest = Math.max(...x.map(Math.abs));
  const inverse = largest >= fround(1e-30) ? fround(limit / largest) : 0;
  const q = x.map((v) => nearest(fround(v * inverse)));
  const xScale = fround(largest / limit);
  return scales.map((scale, o) => {
    const sum = q.reduce((s, v, j) => s + v * (w[o * k + j] as number), 0);
    if (!(Math.abs(sum) < 2 ** 31)) throw new Error(`expected a sum within int32, got ${sum}`);
    return fround((bias?.[o] ?? 0) + fround(fround(sum) * fround(scale * xScale)));
  });
}

function run(m: number, n: number, k: number, x: number[], w: Int8Array, scales: number[], bias: number[] | null): number[] {
  return scope(() => {
    const y = room("float32", m * n);
    const work = room("float32", m * (Math.ceil(k / 8) * 4 + 2));
    const at = [place("float32", x), place("bool", panels(w, n, k)), place("float32", scales), bias ? place("float32", bias) : 0] as const;
    call(quantizedProduct, "float32", m, n, k, ...at, y.ptr, work.ptr);
    work.read();
    return y.read();
  });
}

const weights = (n: number, k: number, seed: number) => Int8Array.from(noise("float32", n * k, seed), (v) => Math.round(v * 127));
const rowsOf = (x: number[], k: number) => Array.from({ length: x.length / k }, (_, r) => x.slice(r * k, (r + 1) * k));

describe("quantizedProduct", () => {
  it.each([
    [1, 1, 1],
    [1, 15, 3],
    [2, 16, 4],
    [3, 17, 5],
    [1, 33, 7],
    [2, 4, 8],
    [5, 52, 9],
    [1, 31, 130],
    [2, 32, 6],
    [3, 71, 11],
    [2, 96, 3],
    [4, 18, 515],
    [1, 5, 1000],
    [1, 3, 65_536],
  ])("has the bits of loops over whole numbers: %i × %i × %i", (m, n, k) => {
    const x = noise("float32", m * k, 3).map((v, i) => fround(v * (1 + (i % 7))));
    const [w, scales, bias] = [weights(n, k, 5), noise("float32", n, 7), noise("float32", n, 11)];
    expect(run(m, n, k, x, w, scales, bias)).toEqual(rowsOf(x, k).flatMap((row) => expected(row, w, scales, bias)));
    expect(run(m, n, k, x, w, scales, null)).toEqual(rowsOf(x, k).flatMap((row) => expected(row, w, scales, null)));
  });

  it.each([511, 512, 513, 4096, 65_536])("keeps the largest sums of %i products within int32", (k) => {
    for (const weight of [127, -127]) {
      const [x, w] = [new Array<number>(k).fill(fround(0.3)), new Int8Array(k).fill(weight)];
      expect(run(1, 1, k, x, w, [1], null)).toEqual(expected(x, w, [1], null));
    }
  });

  it("gives one-hot vectors the bits of columns", () => {
    const [n, k] = [37, 1025];
    const [w, scales, bias] = [weights(n, k, 6), noise("float32", n, 7), noise("float32", n, 8)];
    for (const j of [0, 3, 1024]) {
      const column = scales.map((s, o) => fround((bias[o] as number) + fround((w[o * k + j] as number) * s)));
      expect(run(1, n, k, new Array(k).fill(0).with(j, 1), w, scales, bias)).toEqual(column);
    }
  });

  it("takes zeros, and what is too small to be told from them", () => {
    const w = weights(4, 6, 2);
    for (const tiny of [0, 1e-31, 2 ** -149]) {
      const y = run(1, 4, 6, new Array(6).fill(tiny), w, [1, 2, 3, 4], [5, 6, 7, 8]);
      expect(y).toEqual([5, 6, 7, 8]);
    }
    expect(run(1, 4, 6, new Array(6).fill(fround(1e-29)), w, [1, 1, 1, 1], null).every((v) => v !== 0)).toBe(true);
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])(
    "gives NaN for a row that holds %d, and for no other",
    (bad) => {
      const w = weights(20, 11, 2);
      const x = noise("float32", 33, 4);
      const scales = new Array<number>(20).fill(1);
      const clean = run(3, 20, 11, x, w, scales, null);
      for (const place of [0, 5, 10]) {
        const y = run(3, 20, 11, x.with(11 + place, bad), w, scales, null);
        expect(y.slice(20, 40).every(Number.isNaN)).toBe(true);
        expect([...y.slice(0, 20), ...y.slice(40)]).toEqual([...clean.slice(0, 20), ...clean.slice(40)]);
      }
    },
  );

  it("does nothing for no rows and no outputs", () => {
    expect(run(0, 3, 4, [], weights(3, 4, 1), [1, 1, 1], null)).toEqual([]);
    expect(run(2, 0, 4, noise("float32", 8, 1), weights(0, 4, 1), [], null)).toEqual([]);
  });
});

describe("quantizedRows, quantizedColumns", () => {
  it.each([
    [1, 1],
    [16, 4],
    [35, 7],
    [75, 5],
  ])("reads what lies at %i × %i", (n, k) => {
    const [w, scales, bias] = [weights(n, k, 9), noise("float32", n, 10), noise("float32", n, 12)];
    const index = [n - 1, 0, n >> 1];
    const columns = [k - 1, 0, k >> 1];
    scope(() => {
      const packed = place("bool", panels(w, n, k));
      const [rows, gathered] = [room("float32", 3 * k), room("float32", 3 * n)];
      call(quantizedRows, "float32", 3, n, k, place("int32", index), packed, place("float32", scales), rows.ptr);
      expect(rows.read()).toEqual(
        index.flatMap((o) => Array.from({ length: k }, (_, j) => fround((w[o * k + j] as number) * (scales[o] as number)))),
      );
      const at = [place("int32", columns), packed, place("float32", scales), place("float32", bias)] as const;
      call(quantizedColumns, "float32", 3, n, k, ...at, gathered.ptr);
      expect(gathered.read()).toEqual(
        columns.flatMap((j) => scales.map((s, o) => fround((bias[o] as number) + fround((w[o * k + j] as number) * s)))),
      );
    });
  });
});
