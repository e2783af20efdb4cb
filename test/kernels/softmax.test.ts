/** Softmax, log-sum-exp and cross-entropy of rows against plain f64 loops. */

import { describe, it } from "vitest";
import { call } from "../../src/wasm/host.ts";
import { crossEntropyGradRows, crossEntropyRows, logSoftmaxRows, logSumExpRows, softmaxRows } from "../../src/wasm/kernels.gen.ts";
import { epsilonOf, expectClose, FLOATS, noise, place, room } from "./memory.ts";

const ROWS = 3;
const IGNORED = -1;
const total = (v: readonly number[]): number => v.reduce((a, b) => a + b, 0);
const rowsOf = (x: readonly number[], n: number): number[][] => Array.from({ length: ROWS }, (_, r) => x.slice(r * n, (r + 1) * n));

const logSum = (row: readonly number[]): number => {
  const top = Math.max(...row);
  return top + Math.log(total(row.map((v) => Math.exp(v - top))));
};

/** The target of each row, spread by ε and weighted; nothing in ignored rows. */
function target(n: number, t: number, smoothing: number, weights: readonly number[] | null): number[] {
  return Array.from({ length: n }, (_, c) => {
    const share = (c === t ? 1 - smoothing : 0) + smoothing / n;
    return t === IGNORED ? 0 : share * (weights?.[c] ?? 1);
  });
}

describe.each(FLOATS)("rows, %s", (dtype) => {
  const epsilon = epsilonOf(dtype);

  describe.each([1, 2, 3, 4, 5, 7, 8, 9, 65, 300])("of %i", (n) => {
    const x = noise(dtype, ROWS * n, n).map((v) => 8 * v);
    // A result is off by its rounding and by that of the differences x - max, up to 16 here, in exponents and logarithms.
    const tolerance = 20 * epsilon;

    it("softmax", () => {
      const y = room(dtype, ROWS * n);
      call(softmaxRows, dtype, ROWS, n, place(dtype, x), y.ptr);
      const want = rowsOf(x, n).flatMap((row) => row.map((v) => Math.exp(v - logSum(row))));
      expectClose(y.read(), want, tolerance);
    });

    it("log-softmax", () => {
      const y = room(dtype, ROWS * n);
      call(logSoftmaxRows, dtype, ROWS, n, place(dtype, x), y.ptr);
      expectClose(y.read(), rowsOf(x, n).flatMap((row) => row.map((v) => v - logSum(row))), tolerance); // biome-ignore format: one line
    });

    it("log-sum-exp", () => {
      const y = room(dtype, ROWS);
      call(logSumExpRows, dtype, ROWS, n, place(dtype, x), y.ptr);
      expectClose(y.read(), rowsOf(x, n).map(logSum), tolerance);
    });

    it("cross-entropy and its gradient", () => {
      const targets = [n - 1, IGNORED, 0];
      const g = [0.5, 3, -1.25];
      const weights = noise(dtype, n, 9).map((v) => 1 + v / 2);
      for (const smoothing of [0, 0.25]) {
        for (const w of [null, weights]) {
          const [xs, ts, ws] = [place(dtype, x), place("int32", targets), w === null ? 0 : place(dtype, w)];
          const [loss, stats, dx] = [room(dtype, ROWS), room(dtype, 2 * ROWS), room(dtype, ROWS * n)];
          call(crossEntropyRows, dtype, ROWS, n, xs, ts, IGNORED, smoothing, ws, loss.ptr, stats.ptr);
          call(crossEntropyGradRows, dtype, ROWS, n, xs, ts, IGNORED, smoothing, ws, stats.ptr, place(dtype, g), dx.ptr);
          const q = targets.map((t) => target(n, t, smoothing, w));
          const rows = rowsOf(x, n);
          const losses = rows.map((row, r) => total(row.map((v, c) => (q[r]?.[c] as number) * (logSum(row) - v))));
          const slopes = rows.flatMap((row, r) =>
            row.map((v, c) => (g[r] as number) * (total(q[r] as number[]) * Math.exp(v - logSum(row)) - (q[r]?.[c] as number))),
          );
          stats.read();
          expectClose(loss.read(), losses, 4 * tolerance);
          expectClose(dx.read(), slopes, 4 * tolerance);
        }
      }
    });
  });

  it("no rows write nothing", () => {
    const y = room(dtype, 0);
    for (const kernel of [softmaxRows, logSoftmaxRows, logSumExpRows]) call(kernel, dtype, 0, 5, place(dtype, []), y.ptr);
    y.read();
  });
});
