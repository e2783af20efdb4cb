/** Diagonal recurrences against plain loops: values, and gradients by differences of the plain loops. */

import { describe, expect, it } from "vitest";
import type { FloatDType } from "../../src/base/dtype.ts";
import * as code from "../../src/wasm/codes.gen.ts";
import { call, view } from "../../src/wasm/host.ts";
import { diagonalBackward, diagonalForward } from "../../src/wasm/kernels.gen.ts";
import { expectClose, FLOATS, noise, place, room } from "./memory.ts";

type Values = readonly number[];

interface Sizes {
  readonly steps: number;
  readonly batch: number;
  readonly H: number;
  readonly lengths: Values | null;
}

interface Inputs {
  readonly g: Values;
  readonly u: Values;
  readonly h0: Values;
  readonly z: Values | null;
}

const squashings = {
  linear: { phi: (x: number) => x, code: 0, slope: 0 },
  logistic: { phi: (x: number) => 1 / (1 + Math.exp(-x)), code: code.SIGMOID, slope: code.SIGMOID_GRAD },
  tanh: { phi: Math.tanh, code: code.TANH, slope: code.TANH_GRAD },
  relu: { phi: (x: number) => Math.max(0, x), code: code.RELU, slope: code.GATE },
} as const;
type Name = keyof typeof squashings;

/** All states, row by row. */
function inTurn(name: Name, { steps, batch, H, lengths }: Sizes, { g, u, h0, z }: Inputs): number[] {
  const hs = [...h0];
  const row = batch * H;
  for (let s = 0; s < steps; s++) {
    for (let i = 0; i < row; i++) {
      const h = hs[s * row + i] as number;
      const a = squashings[name].phi((g[s * row + i] as number) + (u[i] as number) * h);
      const candidate = z?.[s * row + i];
      const next = candidate === undefined ? a : a * h + (1 - a) * candidate;
      hs.push(lengths && s >= (lengths[Math.floor(i / H)] as number) ? h : next);
    }
  }
  return hs;
}

function inputs(dtype: FloatDType, { steps, batch, H }: Sizes, mixes: boolean): Inputs {
  const row = batch * H;
  const half = (n: number, seed: number) => noise(dtype, n, seed).map((x) => x / 2);
  const g = half(steps * row, 1);
  return { g, u: half(row, 2), h0: half(row, 3), z: mixes ? half(steps * row, 4) : null };
}

/** Runs both kernels; the states, and the gradients of Σ weights∘states. */
function run(dtype: FloatDType, name: Name, sizes: Sizes, { g, u, h0, z }: Inputs, weights: Values) {
  const { steps, batch, H, lengths } = sizes;
  const n = steps * batch * H;
  const row = batch * H;
  const hs = room(dtype, n + row);
  const [gates, dh, dg, dz, work] = [room(dtype, n), room(dtype, row), room(dtype, n), room(dtype, n), room(dtype, row)];
  const at = { u: place(dtype, u), z: z ? place(dtype, z) : 0, lengths: lengths ? place("int32", lengths) : 0 };
  copy(dtype, hs.ptr, h0);
  copy(dtype, dh.ptr, new Array<number>(row).fill(0));
  const { code: squash, slope } = squashings[name];
  call(diagonalForward, dtype, steps, batch, H, squash, at.lengths, place(dtype, g), at.u, at.z, hs.ptr, gates.ptr);
  const places = [hs.ptr, gates.ptr, place(dtype, weights), dh.ptr, dg.ptr, dz.ptr, work.ptr] as const;
  call(diagonalBackward, dtype, steps, batch, H, slope, at.lengths, at.u, at.z, ...places);
  gates.read();
  work.read();
  return { hs: hs.read(), dg: dg.read(), dh: dh.read(), dz: dz.read() };
}

function copy(dtype: FloatDType, ptr: number, values: Values): void {
  view(dtype, ptr, values.length).set(values);
}

/** Central differences of Σ weights∘states for every element of one input. */
function slopes(name: Name, sizes: Sizes, given: Inputs, weights: Values, of: "g" | "h0" | "z"): number[] {
  const value = (values: Values) =>
    inTurn(name, sizes, { ...given, [of]: values }).reduce((total, h, i) => total + h * (weights[i] as number), 0);
  const x = given[of] as Values;
  return x.map((xi, i) => (value(x.with(i, xi + 1e-5)) - value(x.with(i, xi - 1e-5))) / 2e-5);
}

const shapes: Sizes[] = [
  { steps: 0, batch: 2, H: 3, lengths: null },
  { steps: 4, batch: 0, H: 3, lengths: null },
  { steps: 3, batch: 1, H: 1, lengths: null },
  { steps: 5, batch: 2, H: 4, lengths: null },
  { steps: 4, batch: 3, H: 5, lengths: [4, 0, 2] },
  { steps: 3, batch: 2, H: 11, lengths: [1, 3] },
];

describe.each(FLOATS)("diagonal recurrences, %s", (dtype) => {
  it.each(Object.keys(squashings) as Name[])("with %s, alone and mixing", (name) => {
    for (const sizes of shapes) {
      for (const mixes of [false, true]) {
        const given = inputs(dtype, sizes, mixes);
        const weights = noise(dtype, (sizes.steps + 1) * sizes.batch * sizes.H, 5);
        const got = run(dtype, name, sizes, given, weights);
        const tolerance = dtype === "float32" ? 2e-6 : 1e-8;
        expectClose(got.hs, inTurn(name, sizes, given), tolerance);
        expectClose(got.dg, slopes(name, sizes, given, weights, "g"), 5 * tolerance);
        expectClose(got.dh, slopes(name, sizes, given, weights, "h0"), 5 * tolerance);
        if (mixes) expectClose(got.dz, slopes(name, sizes, given, weights, "z"), 5 * tolerance);
        else expect(new Set(got.dz).size).toBeLessThanOrEqual(1);
      }
    }
  });
});
