import { describe, expect, test } from "vitest";
import type { FloatDType } from "../../src/base/dtype.ts";
import * as code from "../../src/wasm/codes.gen.ts";
import { call } from "../../src/wasm/host.ts";
import { elementwise } from "../../src/wasm/kernels.gen.ts";
import { erf } from "../oracle/erf.ts";
import { FLOATS, place, room } from "./memory.ts";

interface Row {
  readonly name: string;
  readonly op: number;
  readonly fn: (x: number) => number;
  readonly min?: number;
  readonly max?: number;
  /** [x, f(x)]: where only one value will do. */
  readonly exact: readonly (readonly [number, number])[];
}

const inf = Number.POSITIVE_INFINITY;
const nan = Number.NaN;
const stable = (x: number) => (x < 0 ? Math.exp(x) / (1 + Math.exp(x)) : 1 / (1 + Math.exp(-x)));

/** Odd functions keep the sign of zero. */
const odd = (at: number): readonly (readonly [number, number])[] => [
  [0, 0],
  [-0, -0],
  [inf, at],
  [-inf, -at],
  [nan, nan],
];

const rows: readonly Row[] = [
  { name: "exp", op: code.EXP, fn: Math.exp, min: 0, exact: [[0, 1], [-0, 1], [inf, inf], [-inf, 0], [nan, nan], [800, inf], [-800, 0]] },
  { name: "expm1", op: code.EXPM1, fn: Math.expm1, min: -1, exact: [[0, 0], [-0, -0], [inf, inf], [-inf, -1], [nan, nan], [-100, -1]] },
  { name: "log", op: code.LOG, fn: Math.log, exact: [[1, 0], [0, -inf], [-0, -inf], [-1, nan], [-inf, nan], [inf, inf], [nan, nan]] },
  { name: "log1p", op: code.LOG1P, fn: Math.log1p, exact: [[0, 0], [-0, -0], [-1, -inf], [-2, nan], [-inf, nan], [inf, inf], [nan, nan]] },
  { name: "tanh", op: code.TANH, fn: Math.tanh, min: -1, max: 1, exact: [...odd(1), [40, 1], [-40, -1]] },
  { name: "sigmoid", op: code.SIGMOID, fn: stable, min: 0, max: 1, exact: [[0, 0.5], [-0, 0.5], [inf, 1], [-inf, 0], [nan, nan], [60, 1]] },
  { name: "erf", op: code.ERF, fn: erf, min: -1, max: 1, exact: [...odd(1), [7, 1], [-7, -1]] },
  { name: "sin", op: code.SIN, fn: Math.sin, min: -1, max: 1, exact: odd(nan) },
  { name: "cos", op: code.COS, fn: Math.cos, min: -1, max: 1, exact: [[0, 1], [-0, 1], [inf, nan], [-inf, nan], [nan, nan]] },
]; // biome-ignore format: a table

/** The kernel's values, one padded vector at the end. */
function values(op: number, dtype: FloatDType, xs: ArrayLike<number>): number[] {
  const y = room(dtype, xs.length);
  call(elementwise, dtype, op, place(dtype, xs), 0, 0, 0, 0, y.ptr, 1, xs.length, 1, 0, 0);
  return y.read();
}

const MANTISSA: Readonly<Record<FloatDType, number>> = { float32: 23, float64: 52 };
const LOWEST: Readonly<Record<FloatDType, number>> = { float32: -126, float64: -1022 };
const HIGHEST: Readonly<Record<FloatDType, number>> = { float32: 127, float64: 1023 };

/** Unit of the last place of v. */
function unitOf(v: number, dtype: FloatDType): number {
  let e = LOWEST[dtype];
  if (v !== 0) e = Math.max(e, Math.floor(Math.log2(Math.abs(v))));
  if (e > LOWEST[dtype] && 2 ** e > Math.abs(v)) e--;
  return 2 ** (Math.min(e, HIGHEST[dtype]) - MANTISSA[dtype]);
}

/** |got - want| in units of want's last place; an infinity counts as the number after the largest one. */
function unitsOff(got: number, want: number, dtype: FloatDType): number {
  const top = dtype === "float32" ? 2 ** 128 : Number.MAX_VALUE;
  const bounded = (v: number) => Math.max(-top, Math.min(top, v));
  return Math.abs(bounded(got) - bounded(want)) / unitOf(want, dtype);
}

/** Floats of all magnitudes: every pattern of the upper bits, the lower ones scattered. */
function floats32(): Float32Array {
  const patterns = Uint32Array.from({ length: 1 << 18 }, (_, i) => (i << 14) + ((Math.imul(i, 0x9e3779b1) >>> 18) & 0x3fff));
  return new Float32Array(patterns.buffer);
}

/** Where the functions do something, and every power of two. */
function floats64(): Float64Array {
  const near = Array.from(
    { length: 60_000 },
    (_, i) => (i % 2 === 0 ? 1 : -1) * (i % 3 === 0 ? 750 : i % 3 === 1 ? 40 : 2) * ((i * 0.6180339887498949) % 1),
  );
  const sizes = Array.from({ length: 2046 }, (_, i) => (i % 2 === 0 ? 1.37 : -1.37) * 2 ** (i - 1022));
  return Float64Array.from([...near, ...sizes]);
}

describe.each(rows)("$name", ({ op, fn, exact, min = -inf, max = inf }) => {
  test.each(FLOATS)("special values, %s", (dtype) => {
    const got = values(
      op,
      dtype,
      exact.map(([x]) => x),
    );
    for (const [i, [x, want]] of exact.entries()) expect(Object.is(got[i], want), `at ${x}: expected ${want}, got ${got[i]}`).toBe(true);
  });

  // The double functions of the host are themselves off by up to one unit of double.
  test.each([
    ["float32", floats32(), 2],
    ["float64", floats64(), 3],
  ] as const)("within its range and two units of the last place, %s", (dtype, xs, bound) => {
    const got = values(op, dtype, xs);
    let worst = 0;
    let at = nan;
    for (let i = 0; i < xs.length; i++) {
      const [x, y] = [xs[i] as number, got[i] as number];
      const want = fn(x);
      if (Number.isNaN(want)) {
        if (!Number.isNaN(y)) throw new Error(`at ${x}: expected NaN, got ${y}`);
        continue;
      }
      if (!(y >= min && y <= max)) throw new Error(`at ${x}: expected a value in [${min}, ${max}], got ${y}`);
      const off = unitsOff(y, want, dtype);
      if (!(off <= worst)) [worst, at] = [off, x];
    }
    expect(worst, `at ${at}`).toBeLessThanOrEqual(bound);
  });

  test.each(FLOATS)("the same bits in every lane and in the padded end, %s", (dtype) => {
    const xs = [0.3, -1.7, 4.1, 0.9, -0.2, 2.2, 11];
    const together = values(op, dtype, xs);
    for (const [i, x] of xs.entries()) expect(Object.is(values(op, dtype, [x])[0], together[i]), `at ${x}`).toBe(true);
  });
});

describe("signs and subnormals", () => {
  test.each([code.TANH, code.ERF, code.SIN, code.EXPM1, code.LOG1P])("function %i is the identity on subnormals", (op) => {
    const tiny = 2 ** -149;
    for (const x of [tiny, -tiny, 5 * tiny]) {
      const want = op === code.ERF ? Math.fround((2 / Math.sqrt(Math.PI)) * x) : x;
      expect(values(op, "float32", [x])[0]).toBe(want);
    }
    expect(values(op, "float64", [-(2 ** -1074)])[0]).toBe(-(2 ** -1074));
  });

  test("results may be subnormal", () => {
    expect(values(code.EXP, "float32", [-103])[0]).toBe(Math.fround(Math.exp(-103)));
    expect(values(code.SIGMOID, "float32", [-103])[0]).toBe(Math.fround(Math.exp(-103)));
    expect(values(code.EXP, "float64", [-745])[0]).toBe(2 ** -1074);
    expect(values(code.LOG, "float32", [2 ** -149])[0]).toBe(Math.fround(-149 * Math.LN2));
  });

  test("huge arguments of sin and cos", () => {
    const huge = [1e22, 2 ** 120, -(2 ** 1023), Number.MAX_VALUE, 6381956970095103 * 2 ** 797];
    const sines = values(code.SIN, "float64", huge);
    const cosines = values(code.COS, "float64", huge);
    huge.forEach((x, i) => {
      expect(unitsOff(sines[i] as number, Math.sin(x), "float64"), `sin ${x}`).toBeLessThanOrEqual(3);
      expect(unitsOff(cosines[i] as number, Math.cos(x), "float64"), `cos ${x}`).toBeLessThanOrEqual(3);
    });
  });
});

describe("pow", () => {
  function powers(dtype: FloatDType, xs: readonly number[], ys: readonly number[]): number[] {
    const out = room(dtype, xs.length);
    call(elementwise, dtype, code.POW, place(dtype, xs), place(dtype, ys), 0, 0, 0, out.ptr, 1, xs.length, 1, 1, 0);
    return out.read();
  }

  const special: readonly (readonly [number, number, number])[] = [
    [nan, 0, 1], [1, nan, 1], [1, inf, 1], [-1, inf, 1], [-1, -inf, 1], [nan, 1, nan], [2, nan, nan],
    [0, 3, 0], [-0, 3, -0], [-0, 2, 0], [0, -3, inf], [-0, -3, -inf], [-0, -2, inf], [0, 0.5, 0], [-0, -0.5, inf],
    [inf, 2, inf], [inf, -2, 0], [-inf, 3, -inf], [-inf, 2, inf], [-inf, -3, -0], [-inf, -2, 0], [-inf, 0.5, inf],
    [2, inf, inf], [2, -inf, 0], [0.5, inf, 0], [0.5, -inf, inf], [-2, inf, inf],
    [-8, 1 / 3, nan], [-2, 0.5, nan], [-2, 3, -8], [-2, 2, 4], [-2, -1, -0.5], [3, 4, 81], [7, 1, 7],
  ]; // biome-ignore format: a table
  test.each(FLOATS)("special values, %s", (dtype) => {
    const got = powers(
      dtype,
      special.map(([x]) => x),
      special.map(([, y]) => y),
    );
    for (const [i, [x, y, want]] of special.entries()) {
      expect(Object.is(got[i], want), `${x}^${y}: expected ${want}, got ${got[i]}`).toBe(true);
    }
  });

  test.each([
    ["float32", 1],
    ["float64", 3],
  ] as const)("within units of the last place, %s", (dtype, bound) => {
    const count = 50_000;
    const round = dtype === "float32" ? Math.fround : (v: number) => v;
    const xs = Array.from({ length: count }, (_, i) => round(2 ** (((i * 0.7548776662466927) % 1) * 40 - 20)));
    const ys = Array.from({ length: count }, (_, i) => round((((i * 0.5698402909980532) % 1) - 0.5) * (i % 4 === 0 ? 300 : 8)));
    const got = powers(dtype, xs, ys);
    let worst = 0;
    for (let i = 0; i < count; i++) {
      const want = (xs[i] as number) ** (ys[i] as number);
      const off = unitsOff(got[i] as number, want, dtype);
      if (!(off <= worst)) worst = off;
    }
    expect(worst).toBeLessThanOrEqual(bound);
  });
});
