/** Axis reductions against plain loops, with the order of joining followed to the last bit. */

import { describe, expect, it } from "vitest";
import type { FloatDType } from "../../src/base/dtype.ts";
import { scope } from "../../src/tensor/tensor.ts";
import * as code from "../../src/wasm/codes.gen.ts";
import { call } from "../../src/wasm/host.ts";
import { argLargest, joinAxis, scanAxis, sumAxis } from "../../src/wasm/kernels.gen.ts";
import { epsilonOf, expectClose, FLOATS, noise, place, room, rounding } from "./memory.ts";

const RUN = 256;

interface Reducer {
  readonly name: string;
  /** Code of the joining kernel; null for sums. */
  readonly op: number | null;
  readonly start: number;
  readonly join: (a: number, b: number) => number;
}

const REDUCERS: readonly Reducer[] = [
  { name: "sum", op: null, start: 0, join: (a, b) => a + b },
  { name: "product", op: code.MUL, start: 1, join: (a, b) => a * b },
  { name: "maximum", op: code.MAXIMUM, start: -Infinity, join: Math.max },
  { name: "minimum", op: code.MINIMUM, start: Infinity, join: Math.min },
];

/** A row in the documented order: pairwise runs, four vectors, the rest through the first, lanes from left to right. */
function rowInOrder(dtype: FloatDType, { start, join }: Reducer, x: readonly number[]): number {
  const round = rounding(dtype);
  const both = (a: number, b: number) => round(join(a, b));
  const lanes = dtype === "float32" ? 4 : 2;
  const row = (from: number, n: number): number => {
    if (n > RUN) {
      const half = Math.ceil(Math.floor(n / 2) / RUN) * RUN;
      return both(row(from, half), row(from + half, n - half));
    }
    const partial = new Array<number>(4 * lanes).fill(start);
    const put = (slot: number, i: number) => {
      partial[slot] = both(partial[slot] as number, x[from + i] as number);
    };
    const whole = Math.floor(n / (4 * lanes)) * 4 * lanes;
    for (let i = 0; i < whole; i++) put(i % (4 * lanes), i);
    for (let i = whole; i < n; i++) put(i % lanes, i);
    const [a, b, c, d] = [0, 1, 2, 3].map((v) => partial.slice(v * lanes, (v + 1) * lanes)) as [number[], number[], number[], number[]];
    const vector = a.map((_, l) => both(both(a[l] as number, b[l] as number), both(c[l] as number, d[l] as number)));
    return vector.reduce(both);
  };
  return row(0, x.length);
}

/** A column in the documented order: runs of rows, joined in order. */
function columnInOrder(dtype: FloatDType, { start, join }: Reducer, column: readonly number[]): number {
  const round = rounding(dtype);
  const both = (a: number, b: number) => round(join(a, b));
  let total = start;
  for (let k = 0; k < column.length; k += RUN) total = both(total, column.slice(k, k + RUN).reduce(both, start));
  return total;
}

const range = (n: number) => Array.from({ length: n }, (_, i) => i);

function reduced(dtype: FloatDType, reducer: Reducer, x: readonly number[], outer: number, axis: number, inner: number): number[] {
  const order = inner === 1 ? rowInOrder : columnInOrder;
  return range(outer).flatMap((o) =>
    range(inner).map((j) =>
      order(
        dtype,
        reducer,
        range(axis).map((k) => x[(o * axis + k) * inner + j] as number),
      ),
    ),
  );
}

describe.each(FLOATS)("reductions over an axis, %s", (dtype) => {
  describe.each(REDUCERS)("$name", (reducer) => {
    const run = (x: readonly number[], outer: number, axis: number, inner: number): number[] =>
      scope(() => {
        const y = room(dtype, outer * inner);
        const args = [outer, axis, inner, place(dtype, x), y.ptr] as const;
        if (reducer.op === null) call(sumAxis, dtype, ...args);
        else call(joinAxis, dtype, reducer.op, ...args);
        return y.read();
      });

    it.each([0, 1, 2, 3, 4, 5, 15, 16, 17, 35, 255, 256, 257, 515, 1100])("rows of %i", (n) => {
      const x = noise(dtype, 3 * n, n + 1);
      expect(run(x, 3, n, 1)).toEqual(reduced(dtype, reducer, x, 3, n, 1));
    });

    it.each([0, 2, 3, 4, 5, 11, 16, 17, 35])("columns, %i of them", (inner) => {
      for (const axis of [0, 1, 2, 3, 257]) {
        const x = noise(dtype, 2 * axis * inner, 7 * axis + inner);
        expect(run(x, 2, axis, inner)).toEqual(reduced(dtype, reducer, x, 2, axis, inner));
      }
    });

    it("carries NaN through", () => {
      for (const [axis, inner] of [
        [21, 1],
        [3, 7],
      ] as const) {
        const x = noise(dtype, axis * inner, 3);
        x[x.length - 1] = Number.NaN;
        expect(run(x, 1, axis, inner)[inner - 1]).toBeNaN();
      }
    });
  });

  it("sums a million values to within a few roundings", () => {
    const n = 1_000_003;
    const x = noise(dtype, n, 5).map(Math.abs);
    const exact = x.reduce((a, b) => a + b, 0);
    const got = scope(() => {
      const y = room(dtype, 1);
      call(sumAxis, dtype, 1, n, 1, place(dtype, x), y.ptr);
      return y.read();
    });
    // The f64 loop beside it is itself off by up to n·2⁻⁵³ of the total, at worst.
    expectClose(got, [exact], exact * (4 * epsilonOf(dtype) + n * 2 ** -53));
  });
});

/** Around the lanes of both types. */
const WIDTHS = [0, 1, 2, 3, 4, 5, 8, 11];

describe.each(FLOATS)("the place of the largest, %s", (dtype) => {
  it.each(WIDTHS)("columns, %i of them", (inner) => {
    for (const sign of [1, -1]) {
      const [outer, axis] = [2, 5];
      const x = noise(dtype, outer * axis * inner, inner + 1).map((v) => Math.round(2 * v));
      const y = room("int32", outer * inner);
      call(argLargest, dtype, outer, axis, inner, sign, place(dtype, x), y.ptr);
      const want = range(outer).flatMap((o) =>
        range(inner).map((j) => {
          const column = range(axis).map((k) => sign * (x[(o * axis + k) * inner + j] as number));
          return column.indexOf(Math.max(...column));
        }),
      );
      expect(y.read()).toEqual(want);
    }
  });
});

describe.each(FLOATS)("the linear recurrence, %s", (dtype) => {
  const round = rounding(dtype);

  /** y[k] = a[k]·y[k-1] + b[k], every product and sum rounded. */
  const inTurn = (
    a: readonly number[] | null,
    b: readonly number[],
    outer: number,
    axis: number,
    inner: number,
    reverse: boolean,
    kind = 0,
  ): number[] => {
    const y = [...b];
    const half = inner >> 1;
    const order = reverse ? range(axis).reverse() : range(axis);
    for (const o of range(outer)) {
      order.slice(1).forEach((k, before) => {
        for (const j of range(inner)) {
          const at = (o * axis + k) * inner + j;
          const last = (shift: number) => y[(o * axis + (order[before] as number)) * inner + j + shift] as number;
          const factor = (shift: number) => (a === null ? 1 : (a[at + shift] as number));
          const product = (p: number, q: number) => round(factor(p) * last(q));
          const term = b[at] as number;
          if (kind === 2) y[at] = Math.max(round(factor(0) + last(0)), term);
          else if (kind === 0) y[at] = round(product(0, 0) + term);
          else if (j < half) y[at] = round(round(product(0, 0) - product(half, half)) + term);
          else y[at] = round(round(product(-half, 0) + product(0, -half)) + term);
        }
      });
    }
    return y;
  };

  it.each(WIDTHS)("columns, %i of them", (inner) => {
    for (const axis of [0, 1, 2, 7]) {
      const n = 2 * axis * inner;
      const [a, b] = [noise(dtype, n, 3), noise(dtype, n, 4)];
      for (const factors of [a, null]) {
        for (const reverse of [false, true]) {
          const y = room(dtype, n);
          const from = factors === null ? 0 : place(dtype, factors);
          call(scanAxis, dtype, 0, 2, axis, inner, reverse ? 1 : 0, from, place(dtype, b), y.ptr);
          expect(y.read()).toEqual(inTurn(factors, b, 2, axis, inner, reverse));
        }
      }
    }
  });

  it.each([
    ["complex numbers", 1],
    ["maxima", 2],
  ] as const)("%s", (_, kind) => {
    for (const inner of [0, 2, 6, 8, 10, 2 * 128 + 4, 4 * 128 + 2]) {
      for (const axis of [0, 1, 2, 5]) {
        const n = 2 * axis * inner;
        const [a, b] = [noise(dtype, n, 5), noise(dtype, n, 6)];
        for (const reverse of [false, true]) {
          const y = room(dtype, n);
          call(scanAxis, dtype, kind, 2, axis, inner, reverse ? 1 : 0, place(dtype, a), place(dtype, b), y.ptr);
          expect(y.read()).toEqual(inTurn(a, b, 2, axis, inner, reverse, kind));
        }
      }
    }
  });
});
