/** Windows as columns, and back, against plain loops. */

import { describe, expect, it } from "vitest";
import { call } from "../../src/wasm/host.ts";
import { foldPlanes, unfoldPlanes } from "../../src/wasm/kernels.gen.ts";
import { expectClose, FLOATS, noise, place, room } from "./memory.ts";

interface Axis {
  readonly size: number;
  readonly kernel: number;
  readonly stride: number;
  readonly dilation: number;
  readonly before: number;
  readonly count: number;
}

const PLANES = 2;

/** Windows that hang over both ends, with steps of one and more. */
function axisOf(size: number, stride: number, dilation: number): Axis {
  const [kernel, before, after] = [3, 4, 3];
  const count = Math.floor((size + before + after - dilation * (kernel - 1) - 1) / stride) + 1;
  return { size, kernel, stride, dilation, before, count };
}

const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

/** For each element of the columns in order, where it comes from in x; -1 outside. */
function sources(rows: Axis, columns: Axis): number[] {
  const place1 = (a: Axis, window: number, k: number) => window * a.stride - a.before + k * a.dilation;
  const all: number[] = [];
  for (const p of range(PLANES)) {
    for (const i of range(rows.kernel)) {
      for (const j of range(columns.kernel)) {
        for (const u of range(rows.count)) {
          for (const v of range(columns.count)) {
            const [r, c] = [place1(rows, u, i), place1(columns, v, j)];
            const inside = r >= 0 && r < rows.size && c >= 0 && c < columns.size;
            all.push(inside ? (p * rows.size + r) * columns.size + c : -1);
          }
        }
      }
    }
  }
  return all;
}

describe.each(FLOATS)("windows, %s", (dtype) => {
  it.each([1, 2, 3, 4, 5, 8, 9, 11])("of images %i wide", (width) => {
    for (const stride of [1, 2, 3]) {
      for (const dilation of [1, 2]) {
        const [rows, columns] = [axisOf(3, 2, 1), axisOf(width, stride, dilation)];
        const from = sources(rows, columns);
        const n = PLANES * rows.size * columns.size;
        const sizes = [
          PLANES, rows.size, columns.size, rows.kernel, columns.kernel, rows.count, columns.count,
          rows.stride, columns.stride, rows.dilation, columns.dilation, rows.before, columns.before,
        ] as const; // biome-ignore format: the kernels' order

        const x = noise(dtype, n, width);
        const unfolded = room(dtype, from.length);
        call(unfoldPlanes, dtype, ...sizes, place(dtype, x), unfolded.ptr);
        expect(unfolded.read()).toEqual(from.map((i) => (i < 0 ? 0 : x[i])));

        const g = noise(dtype, from.length, width + 1);
        const folded = room(dtype, n);
        call(foldPlanes, dtype, ...sizes, place(dtype, g), folded.ptr);
        const want = new Array<number>(n).fill(0);
        from.forEach((i, e) => {
          if (i >= 0) want[i] = (want[i] as number) + (g[e] as number);
        });
        expectClose(folded.read(), want, dtype === "float32" ? 1e-6 : 1e-15);
      }
    }
  });
});
