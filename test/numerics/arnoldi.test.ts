import { describe, expect, it } from "vitest";
import { ArgumentError, ShapeError } from "../../src/base/errors.ts";
import { arnoldi, modulus } from "../../src/numerics/arnoldi.ts";
import { type ComplexNumber, eigenvalues } from "../../src/numerics/eigenvalues.ts";
import type { Matrix } from "../../src/numerics/matrix.ts";
import { noise } from "../kernels/memory.ts";

const timesOf = (m: Matrix) => (x: Float64Array) => Float64Array.from(m, (row) => row.reduce((sum, v, j) => sum + v * (x[j] as number), 0));

function expectValue(got: ComplexNumber | undefined, re: number, im: number, most = 1e-9): void {
  expect(
    Math.abs((got?.re ?? Number.NaN) - re) <= most && Math.abs(Math.abs(got?.im ?? Number.NaN) - Math.abs(im)) <= most,
    JSON.stringify(got),
  ).toBe(true);
}

describe("eigenvalues by products", () => {
  it("a rotation, where a power iteration goes round for ever", () => {
    const { values, converged, residual } = arnoldi(
      timesOf([
        [0, -2],
        [2, 0],
      ]),
      2,
    );
    expectValue(values[0], 0, 2);
    expect(converged).toBe(true);
    expect(residual <= 1e-12).toBe(true);
  });

  it("the second difference of 80 points: 4 sin²(kπ/(2·81)), close together at the end", () => {
    const n = 80;
    const times = (x: Float64Array) => x.map((v, i) => 2 * v - (x[i - 1] ?? 0) - (x[i + 1] ?? 0));
    const { values, converged } = arnoldi(times, n, { dimension: 50, tolerance: 1e-6 });
    expect(converged).toBe(true);
    expectValue(values[0], 4 * Math.sin((n * Math.PI) / (2 * (n + 1))) ** 2, 0, 1e-6);
  });

  it("a ring: the roots of one, and all of them where the subspace closes", () => {
    const { values, residual } = arnoldi((x) => x.map((_, i) => 0.5 * (x[(i + 11) % 12] as number)), 12);
    expect(values.length).toBe(12);
    for (const value of values) expect(Math.abs(modulus(value) - 0.5) <= 1e-10).toBe(true);
    expect(residual <= 1e-10).toBe(true);
  });

  it("a random matrix, as all its eigenvalues have it", () => {
    const n = 50;
    const elements = noise("float64", n * n, 3);
    const m = Array.from({ length: n }, (_, i) => elements.slice(i * n, (i + 1) * n));
    const all = eigenvalues(m).sort((a, b) => modulus(b) - modulus(a));
    const { values, converged, residual } = arnoldi(timesOf(m), n, { dimension: 20, tolerance: 1e-9 });
    expect(converged).toBe(true);
    expectValue(values[0], all[0]?.re as number, all[0]?.im as number, 1e-7);
    expect(residual <= 1e-9 * modulus(values[0] as ComplexNumber)).toBe(true);
  });

  it("zero, one number, and what does not converge says so", () => {
    expect(arnoldi((x) => x.map(() => 0), 5)).toMatchObject({ residual: 0, converged: true });
    expectValue(arnoldi((x) => x.map((v) => -3 * v), 1).values[0], -3, 0);
    const slow = arnoldi((x) => x.map((v, i) => v * (1 - 1e-6 * i)), 300, { dimension: 3, maxRestarts: 2 });
    expect(slow.converged).toBe(false);
    expect(slow.residual > 0).toBe(true);
    expect(slow.products).toBe(6);
  });

  it("refuses what is no product", () => {
    expect(() => arnoldi((x) => x.subarray(1), 3)).toThrow(ShapeError);
    expect(() => arnoldi((x) => x.map(() => Number.NaN), 3)).toThrow(ArgumentError);
    expect(() => arnoldi((x) => x, 0)).toThrow(ArgumentError);
    expect(() => arnoldi((x) => x, 3, { tolerance: 0 })).toThrow(ArgumentError);
  });
});
