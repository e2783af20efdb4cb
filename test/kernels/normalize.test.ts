/** Layer normalisation of rows against plain f64 loops. */

import { describe, it } from "vitest";
import { call } from "../../src/wasm/host.ts";
import { layerNormGradRows, layerNormRows } from "../../src/wasm/kernels.gen.ts";
import { epsilonOf, expectClose, FLOATS, noise, place, room } from "./memory.ts";

const ROWS = 3;
const EPS = 1e-3;
const total = (v: readonly number[]): number => v.reduce((a, b) => a + b, 0);

interface Run {
  readonly y: number[];
  readonly dx: number[];
  readonly dw: number[];
  readonly db: number[];
}

function oracle(n: number, x: readonly number[], g: readonly number[], w: readonly number[] | null, b: readonly number[] | null): Run {
  const run: Run = { y: [], dx: [], dw: new Array<number>(n).fill(0), db: new Array<number>(n).fill(0) };
  for (let r = 0; r < ROWS; r++) {
    const row = x.slice(r * n, (r + 1) * n);
    const dy = g.slice(r * n, (r + 1) * n);
    const mean = total(row) / n;
    const rstd = 1 / Math.sqrt(total(row.map((v) => (v - mean) ** 2)) / n + EPS);
    const xh = row.map((v) => (v - mean) * rstd);
    const h = dy.map((v, i) => v * (w?.[i] ?? 1));
    const [meanH, meanHX] = [total(h) / n, total(h.map((v, i) => v * (xh[i] as number))) / n];
    run.y.push(...xh.map((v, i) => v * (w?.[i] ?? 1) + (b?.[i] ?? 0)));
    run.dx.push(...h.map((v, i) => rstd * (v - meanH - (xh[i] as number) * meanHX)));
    dy.forEach((v, i) => {
      run.dw[i] = (run.dw[i] as number) + v * (xh[i] as number);
      run.db[i] = (run.db[i] as number) + v;
    });
  }
  return run;
}

describe.each(FLOATS)("layer norm, %s", (dtype) => {
  it.each([0, 1, 2, 3, 4, 5, 7, 8, 9, 33, 600])("rows of %i", (n) => {
    const [x, g] = [noise(dtype, ROWS * n, n + 1), noise(dtype, ROWS * n, n + 2)];
    const [w, b] = [noise(dtype, n, n + 3), noise(dtype, n, n + 4)];
    for (const [weight, bias] of [[w, b], [null, b], [w, null], [null, null]] as const) {
      const [xs, ws, bs] = [place(dtype, x), weight === null ? 0 : place(dtype, weight), bias === null ? 0 : place(dtype, bias)];
      const [y, stats, dx, dw, db] = [room(dtype, ROWS * n), room(dtype, 2 * ROWS), room(dtype, ROWS * n), room(dtype, n), room(dtype, n)];
      call(layerNormRows, dtype, ROWS, n, EPS, xs, ws, bs, y.ptr, stats.ptr);
      call(layerNormGradRows, dtype, ROWS, n, place(dtype, g), xs, ws, stats.ptr, dx.ptr, dw.ptr, db.ptr);
      stats.read();
      const want = oracle(n, x, g, weight, bias);
      // rstd is up to 1/√EPS = 32: where a row is almost constant, it carries the rounding of the mean into the result.
      const tolerance = 200 * epsilonOf(dtype);
      expectClose(y.read(), want.y, tolerance);
      expectClose(dx.read(), want.dx, 32 * tolerance);
      expectClose(dw.read(), want.dw, tolerance);
      expectClose(db.read(), want.db, tolerance);
    } // biome-ignore format: pairs
  });
});
