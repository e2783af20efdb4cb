/** Every update kernel against a plain loop, at sizes around a vector, with canaries. */
import { describe, expect, test } from "vitest";
import { BYTES, type FloatDType } from "../../src/base/dtype.ts";
import { tensor } from "../../src/tensor/tensor.ts";
import { call } from "../../src/wasm/host.ts";
import * as kernels from "../../src/wasm/kernels.gen.ts";

interface Case {
  readonly name: string;
  /** Calls the kernel on arrays at the addresses. */
  run(dtype: FloatDType, n: number, at: number[]): void;
  /** The same on one element of each array: returns their new values. */
  oracle(x: number[]): number[];
  /** First values: "+" must not be negative, "1+" not below 1. */
  readonly arrays: readonly ("±" | "+" | "1+")[];
}

const cases: Case[] = [
  {
    name: "sgd",
    arrays: ["±", "±"],
    run: (d, n, [p = 0, g = 0]) => call(kernels.sgd, d, n, 0.1, -1, 0.2, 0.9, 1, 0, 1, p, g, 0),
    oracle: ([p = 0, g = 0]) => [p - 0.1 * (-g + 0.2 * p), g],
  },
  {
    name: "sgd with momentum",
    arrays: ["±", "±", "±"],
    run: (d, n, [p = 0, g = 0, m = 0]) => call(kernels.sgd, d, n, 0.1, 1, 0.2, 0.9, 0.7, 0, 1, p, g, m),
    oracle: ([p = 0, g = 0, m = 0]) => {
      const v = 0.9 * m + 0.7 * (g + 0.2 * p);
      return [p - 0.1 * v, g, v];
    },
  },
  {
    name: "sgd with momentum and look-ahead",
    arrays: ["±", "±", "±"],
    run: (d, n, [p = 0, g = 0, m = 0]) => call(kernels.sgd, d, n, 0.1, 1, 0, 0.9, 1, 1, 0.9, p, g, m),
    oracle: ([p = 0, g = 0, m = 0]) => {
      const v = 0.9 * m + g;
      return [p - 0.1 * (g + 0.9 * v), g, v];
    },
  },
  {
    name: "rmsprop",
    arrays: ["±", "±", "+"],
    run: (d, n, [p = 0, g = 0, v = 0]) => call(kernels.rmsprop, d, n, 0.1, 1, 0.2, 0.9, 0.1, 1e-3, 0, p, g, v, 0, 0),
    oracle: ([p = 0, g = 0, v = 0]) => {
      const e = g + 0.2 * p;
      const v1 = 0.9 * v + 0.1 * e * e;
      return [p - (0.1 * e) / (Math.sqrt(v1) + 1e-3), g, v1];
    },
  },
  {
    name: "rmsprop centred, with momentum",
    arrays: ["±", "±", "1+", "±", "±"],
    run: (d, n, [p = 0, g = 0, v = 0, a = 0, m = 0]) => call(kernels.rmsprop, d, n, 0.1, 1, 0, 0.5, 0.5, 1e-3, 0.8, p, g, v, a, m),
    oracle: ([p = 0, g = 0, v = 0, a = 0, m = 0]) => {
      const v1 = 0.5 * v + 0.5 * g * g;
      const a1 = 0.5 * a + 0.5 * g;
      const m1 = 0.8 * m + g / (Math.sqrt(Math.max(0, v1 - a1 * a1)) + 1e-3);
      return [p - 0.1 * m1, g, v1, a1, m1];
    },
  },
  {
    name: "rmsprop that forgets nothing",
    arrays: ["±", "±", "+"],
    run: (d, n, [p = 0, g = 0, s = 0]) => call(kernels.rmsprop, d, n, 0.1, 1, 0.2, 1, 1, 1e-3, 0, p, g, s, 0, 0),
    oracle: ([p = 0, g = 0, s = 0]) => {
      const e = g + 0.2 * p;
      return [p - (0.1 * e) / (Math.sqrt(s + e * e) + 1e-3), g, s + e * e];
    },
  },
  {
    name: "adadelta",
    arrays: ["±", "±", "+", "+"],
    run: (d, n, [p = 0, g = 0, v = 0, x = 0]) => call(kernels.adadelta, d, n, 0.5, 1, 0.2, 0.9, 1e-3, p, g, v, x),
    oracle: ([p = 0, g = 0, v = 0, x = 0]) => {
      const e = g + 0.2 * p;
      const v1 = 0.9 * v + 0.1 * e * e;
      const u = (e * Math.sqrt(x + 1e-3)) / Math.sqrt(v1 + 1e-3);
      return [p - 0.5 * u, g, v1, 0.9 * x + 0.1 * u * u];
    },
  },
  {
    name: "adam",
    arrays: ["±", "±", "±", "+", "+"],
    run: (d, n, [p = 0, g = 0, m = 0, v = 0, t = 0]) =>
      call(kernels.adam, d, 1, 1, 0.2, 0.95, 0.9, 0.8, 0.1, 0.05, 1.5, 1e-3, n, p, g, m, v, t),
    oracle: ([p = 0, g = 0, m = 0, v = 0, t = 0]) => {
      const w = 0.95 * p;
      const e = g + 0.2 * w;
      const m1 = 0.9 * m + 0.1 * e;
      const v1 = 0.8 * v + 0.2 * e * e;
      const t1 = Math.max(t, v1);
      return [w - (0.1 * m1 + 0.05 * e) / (1.5 * Math.sqrt(t1) + 1e-3), g, m1, v1, t1];
    },
  },
  {
    name: "adam whose largest square is the square",
    arrays: ["±", "±", "±", "+"],
    run: (d, n, [p = 0, g = 0, m = 0, v = 0]) => call(kernels.adam, d, 1, -1, 0, 1, 0.9, 0.8, 0.1, 0, 1, 1e-3, n, p, g, m, v, v),
    oracle: ([p = 0, g = 0, m = 0, v = 0]) => {
      const m1 = 0.9 * m - 0.1 * g;
      const v1 = 0.8 * v + 0.2 * g * g;
      return [p - (0.1 * m1) / (Math.sqrt(v1) + 1e-3), g, m1, v1];
    },
  },
  {
    name: "adamax",
    arrays: ["±", "±", "±", "+"],
    run: (d, n, [p = 0, g = 0, m = 0, u = 0]) => call(kernels.adamax, d, n, 0.1, 1, 0.2, 0.9, 0.8, 1e-3, p, g, m, u),
    oracle: ([p = 0, g = 0, m = 0, u = 0]) => {
      const e = g + 0.2 * p;
      const m1 = 0.9 * m + 0.1 * e;
      const u1 = Math.max(0.8 * u, Math.abs(e) + 1e-3);
      return [p - (0.1 * m1) / u1, g, m1, u1];
    },
  },
  {
    name: "rprop",
    arrays: ["±", "±", "±", "+"],
    run: (d, n, [p = 0, g = 0, last = 0, s = 0]) => call(kernels.rprop, d, n, 1, 0.5, 1.25, 0.25, 0.75, p, g, last, s),
    oracle: ([p = 0, g = 0, last = 0, s = 0]) => {
      const sign = Math.sign(g * last);
      const s1 = Math.min(0.75, Math.max(0.25, s * (sign > 0 ? 1.25 : sign < 0 ? 0.5 : 1)));
      const e = sign < 0 ? 0 : g;
      return [p - Math.sign(e) * s1, g, e, s1];
    },
  },
  {
    name: "axpby",
    arrays: ["±", "±"],
    run: (d, n, [x = 0, y = 0]) => call(kernels.axpby, d, n, 1.5, x, -0.5, y),
    oracle: ([x = 0, y = 0]) => [x, 1.5 * x - 0.5 * y],
  },
  {
    name: "clampMagnitude",
    arrays: ["±"],
    run: (d, n, [x = 0]) => call(kernels.clampMagnitude, d, n, 0.4, x),
    oracle: ([x = 0]) => [Math.max(-0.4, Math.min(0.4, x))],
  },
];

const CANARY = 1234.5;
const PAD = 4;

/** A value in [−1, 1] that no two places share; every seventh is zero. */
function valueAt(array: number, i: number): number {
  return i % 7 === 3 ? 0 : Math.sin(1 + 12.9898 * i + 78.233 * array);
}

describe.each(["float32", "float64"] as const)("%s", (dtype) => {
  const L = dtype === "float32" ? 4 : 2;
  const tolerance = dtype === "float32" ? 2e-6 : 1e-14;

  describe.each(cases)("$name", ({ arrays, run, oracle }) => {
    test.each([0, 1, L - 1, L, L + 1, 2 * L + 3, 9 * L])("of %i elements", (n) => {
      const before = arrays.map((kind, a) =>
        Array.from({ length: n }, (_, i) => {
          const signed = valueAt(a, i);
          const value = kind === "±" ? signed : Math.abs(signed) + (kind === "1+" ? 1 : 0);
          return dtype === "float32" ? Math.fround(value) : value;
        }),
      );
      const guard = new Array<number>(PAD).fill(CANARY);
      const memory = before.map((values) => tensor([...guard, ...values, ...guard], { dtype }));
      run(
        dtype,
        n,
        memory.map((t) => t.ptr + PAD * BYTES[dtype]),
      );
      const after = memory.map((t) => Array.from(t.data()));
      after.forEach((all) => {
        expect([...all.slice(0, PAD), ...all.slice(PAD + n)]).toEqual([...guard, ...guard]);
      });
      for (let i = 0; i < n; i++) {
        const expected = oracle(before.map((values) => values[i] as number));
        expected.forEach((e, a) => {
          const error = Math.abs((after[a]?.[PAD + i] as number) - e) / Math.max(1, Math.abs(e));
          if (!(error <= tolerance)) throw new Error(`array ${a}[${i}]: expected ${e}, got ${after[a]?.[PAD + i]}`);
        });
      }
    });
  });

  test.each([0, 1, L - 1, L, L + 1, 2 * L + 3, 1000])("dotProduct sums %i products in f64", (n) => {
    const [x, y] = [0, 1].map((a) => tensor(Array.from({ length: n }, (_, i) => valueAt(a, i)).concat(CANARY), { dtype }));
    const out = tensor([CANARY, CANARY, CANARY], { dtype: "float64" });
    if (x === undefined || y === undefined) throw new Error("unreachable");
    call(kernels.dotProduct, dtype, n, x.ptr, y.ptr, out.ptr + 8);
    let expected = 0;
    for (let i = 0; i < n; i++) expected += (x.data()[i] as number) * (y.data()[i] as number);
    const [left, sum, right] = Array.from(out.data());
    expect([left, right]).toEqual([CANARY, CANARY]);
    expect(!(Math.abs((sum as number) - expected) <= 1e-12 * Math.max(1, n))).toBe(false);
  });

  test("NaN and infinities come through", () => {
    const x = tensor([Number.NaN, Number.POSITIVE_INFINITY, -1, Number.NEGATIVE_INFINITY, 0.2], { dtype });
    call(kernels.clampMagnitude, dtype, 5, 0.5, x.ptr);
    expect(Array.from(x.data(), (v) => Math.round(v * 10) / 10)).toEqual([Number.NaN, 0.5, -0.5, -0.5, 0.2]);
  });
});
