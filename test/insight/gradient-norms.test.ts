/** Norms of gradients through time: three ways to one Jacobian, orthogonal weights whose decay is known, gates whose product is known. */

import { describe, expect, it } from "vitest";
import { ArgumentError, ShapeError } from "../../src/base/errors.ts";
import { IndRNN } from "../../src/cells/index.ts";
import { lyapunovExponents } from "../../src/dynamics/index.ts";
import { gradientChart, gradientNorms, influenceChart, stateInfluence, stateJacobian } from "../../src/insight/index.ts";
import { eigenvalues } from "../../src/numerics/eigenvalues.ts";
import { orthonormalRows } from "../../src/numerics/matrix.ts";
import { sum } from "../../src/ops/broadcast.ts";
import { select, slice } from "../../src/ops/shape.ts";
import type { Recurrence } from "../../src/recurrence/recurrence.ts";
import { GRUCell, LSTMCell, RNNCell } from "../../src/recurrence/rnn-cells.ts";
import { mapState, type State, stateToVector } from "../../src/recurrence/state.ts";
import { zeros } from "../../src/tensor/create.ts";
import { Generator } from "../../src/tensor/random.ts";
import { assign, type Tensor } from "../../src/tensor/tensor.ts";

const dtype = "float64";
const [I, H, T] = [2, 3, 6];
const sizes = { inputSize: I, hiddenSize: H, dtype } as const;
const any = (cell: unknown): Recurrence => cell as Recurrence;
const cells: Record<string, (seed: number) => Recurrence> = {
  RNNCell: (seed) => any(new RNNCell({ ...sizes, generator: new Generator(seed) })),
  LSTMCell: (seed) => any(new LSTMCell({ ...sizes, generator: new Generator(seed) })),
  GRUCell: (seed) => any(new GRUCell({ ...sizes, generator: new Generator(seed) })),
  IndRNN: (seed) => any(new IndRNN({ ...sizes, activation: "tanh", generator: new Generator(seed) })),
};
const xs = new Generator(1).normal([T, 1, I], 0, 0.5, dtype);
const started = (cell: Recurrence): State => mapState((s) => new Generator(2).uniform(s.shape, -0.5, 0.5, dtype), cell.initialState(1));
const rowsOf = (m: Tensor): number[][] => m.toArray() as number[][];
const near = (a: number, b: number, tolerance: number): boolean => Math.abs(a - b) <= tolerance * Math.max(1, Math.abs(b));

/** A tanh network with W = ρ·Q for an orthogonal Q. */
function scaled(n: number, rho: number): RNNCell {
  const cell = new RNNCell({ inputSize: I, hiddenSize: n, dtype, generator: new Generator(3) });
  const { rows } = orthonormalRows(rowsOf(new Generator(4).normal([n, n], 0, 1, dtype)));
  assign(
    cell.weightHh,
    Float64Array.from(rows.flat(), (v) => rho * v),
  );
  for (const bias of [cell.biasIh, cell.biasHh]) if (bias !== null) assign(bias, new Float64Array(n));
  return cell;
}

describe("stateJacobian", () => {
  it.each(Object.keys(cells))("is one matrix by tangents, by sweeps and as a product: %s", (name) => {
    const cell = (cells[name] as (seed: number) => Recurrence)(5);
    const state = started(cell);
    const [forward, reverse, product] = (["forward", "reverse", "product"] as const).map((mode) =>
      rowsOf(stateJacobian(cell, xs, { state, mode })),
    ) as [number[][], number[][], number[][]];
    expect(forward.flat().some((v) => v !== 0)).toBe(true);
    forward.forEach((row, i) => {
      row.forEach((v, j) => {
        expect(near(v, reverse[i]?.[j] as number, 1e-12) && near(v, product[i]?.[j] as number, 1e-12)).toBe(true);
      });
    });
  });

  it("is diag(1 − h²)·W for a step of tanh units", () => {
    const cell = scaled(H, 0.9);
    const state = new Generator(6).uniform([1, H], -1, 1, dtype);
    const x = slice(xs, 0, 0, 1);
    const h = Array.from(cell.step(select(x, 0, 0), state)[0].data());
    const w = rowsOf(cell.weightHh);
    const found = rowsOf(stateJacobian(cell, x, { state }));
    found.forEach((row, i) => {
      row.forEach((v, j) => {
        expect(near(v, (1 - (h[i] as number) ** 2) * (w[i]?.[j] as number), 1e-14)).toBe(true);
      });
    });
  });

  it("has the determinant that the Lyapunov exponents add up to", () => {
    const cell = scaled(H, 0.9);
    const state = new Generator(6).uniform([1, H], -1, 1, dtype);
    const still = zeros([T, 1, I], dtype);
    const exponents = lyapunovExponents(cell, { steps: T, state, every: 1 });
    const values = eigenvalues(rowsOf(stateJacobian(cell, still, { state, mode: "product" })));
    const logDet = values.reduce((total, { re, im }) => total + Math.log(Math.sqrt(re * re + im * im)), 0);
    expect(near(exponents.reduce((a, b) => a + b, 0) * T, logDet, 1e-9)).toBe(true);
  });
});

describe("stateInfluence", () => {
  it.each([0.5, 0.9, 1, 1.3])("decays by ρ a step where W is ρ times a rotation and units are at 0: ρ = %d", (rho) => {
    const { spectral, frobenius, horizon } = stateInfluence(scaled(16, rho), zeros([40, 1, I], dtype));
    spectral.forEach((s, k) => {
      expect(!(Math.abs(s - k * Math.log(rho)) <= 1e-9)).toBe(false);
      expect(!(Math.abs((frobenius[k] as number) - s - Math.log(16) / 2) <= 1e-9)).toBe(false);
    });
    expect(horizon).toBe(rho < 1 ? Math.ceil(-1 / Math.log(rho) - 1e-9) : null);
    // Squashed units lose more than W alone.
    const busy = stateInfluence(scaled(16, rho), new Generator(7).normal([40, 1, I], 0, 0.5, dtype));
    expect((busy.spectral[40] as number) < 40 * Math.log(rho)).toBe(true);
  });

  it("is the largest singular value of the product, and does not underflow", () => {
    const cell = (cells.LSTMCell as (seed: number) => Recurrence)(8);
    const state = started(cell);
    const { spectral, frobenius } = stateInfluence(cell, xs, { state });
    const D = rowsOf(stateJacobian(cell, xs, { state }));
    const gram = D.map((_, i) => D.map((_, j) => D.reduce((total, row) => total + (row[i] as number) * (row[j] as number), 0)));
    expect(near(spectral[T] as number, Math.log(eigenvalues(gram)[0]?.re as number) / 2, 1e-9)).toBe(true);
    expect(near(frobenius[T] as number, Math.log(D.flat().reduce((total, v) => total + v * v, 0)) / 2, 1e-12)).toBe(true);
    const long = stateInfluence(scaled(4, 0.1), zeros([400, 1, I], dtype));
    expect(near(long.spectral[400] as number, 400 * Math.log(0.1), 1e-9)).toBe(true);
    const dead = scaled(4, 0);
    expect(stateInfluence(dead, zeros([2, 1, I], dtype)).spectral).toEqual([0, Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY]);
  });

  it("refuses batches and states of whole numbers", () => {
    const cell = scaled(4, 1);
    expect(() => stateInfluence(cell, zeros([3, 2, I], dtype))).toThrow(ShapeError);
    expect(() => stateJacobian(cell, zeros([3, 1, I + 1], dtype))).toThrow(ShapeError);
    expect(() => stateJacobian(cell, xs, { mode: "backward" as never })).toThrow(ArgumentError);
  });
});

describe("gradientNorms", () => {
  it.each(Object.keys(cells))("are those of the Jacobians' product with the loss's gradient: %s", (name) => {
    const cell = (cells[name] as (seed: number) => Recurrence)(9);
    const [all] = gradientNorms(cell, xs, (_, last) => sum(stateToVector(last)));
    const norms = (all as { norms: readonly number[] }).norms;
    expect(norms.length).toBe(T + 1);
    for (let t = 0; t <= T; t++) {
      let state = cell.initialState(1);
      for (let k = 0; k < t; k++) state = cell.step(select(xs, 0, k), state)[1];
      const D = t === T ? null : rowsOf(stateJacobian(cell, slice(xs, 0, t, T), { state }));
      const n = D?.length ?? all?.norms.length;
      const g = D === null ? null : Array.from({ length: n as number }, (_, j) => D.reduce((total, row) => total + (row[j] as number), 0));
      const expected =
        g === null ? Math.sqrt(stateToVector(cell.initialState(1)).size) : Math.sqrt(g.reduce((total, v) => total + v * v, 0));
      expect(near(norms[t] as number, expected, 1e-12)).toBe(true);
    }
  });

  it("are the products of the forget gates where nothing else leads back", () => {
    const cell = new LSTMCell({ ...sizes, hiddenSize: 1, generator: new Generator(10) });
    assign(cell.weightHh, new Float64Array(4));
    const parts = gradientNorms(cell, xs, (_, { c }) => sum(c));
    expect(parts.map((p) => p.name)).toEqual(["all", "h", "c"]);
    const [w, b] = [rowsOf(cell.weightIh), [cell.biasIh, cell.biasHh].map((t) => t?.data()[1] as number)];
    const x = xs.toArray() as number[][][];
    const forget = x.map(([row]) => {
      const a = (w[1] as number[]).reduce((total, v, i) => total + v * (row?.[i] as number), (b[0] as number) + (b[1] as number));
      return 1 / (1 + Math.exp(-a));
    });
    const c = parts[2]?.norms as number[];
    for (let t = 0; t <= T; t++)
      expect(
        near(
          c[t] as number,
          forget.slice(t).reduce((p, f) => p * f, 1),
          1e-13,
        ),
      ).toBe(true);
    expect(parts[1]?.norms).toEqual(new Array(T + 1).fill(0));
    expect(parts[0]?.norms).toEqual(c);
  });

  it("are drawn", () => {
    const [elman, lstm] = ["RNNCell", "LSTMCell"].map((name) => (cells[name] as (seed: number) => Recurrence)(9)) as [
      Recurrence,
      Recurrence,
    ];
    const loss = (ys: Tensor) => sum(select(ys, 0, T - 1));
    const norms = {
      Elman: gradientNorms(elman, xs, loss)[0]?.norms as number[],
      LSTM: gradientNorms(lstm, xs, loss)[0]?.norms as number[],
    };
    const svg = gradientChart(norms, { title: "Gradients" });
    expect(svg).toMatch(/^<svg[\s\S]*Elman[\s\S]*<\/svg>\n$/);
    expect(svg).not.toContain("NaN");
    expect(influenceChart({ Elman: stateInfluence(elman, xs) })).toContain("steps back");
    expect(() => gradientNorms(elman, xs, (ys) => ys)).toThrow(ShapeError);
  });
});
