import { describe, expect, it } from "vitest";
import { ArgumentError, ShapeError, StateError } from "../../src/base/errors.ts";
import { symmetricEigen } from "../../src/numerics/eigenvalues.ts";
import { solve } from "../../src/numerics/matrix.ts";
import { RecursiveLeastSquares } from "../../src/numerics/recursive-least-squares.ts";
import { RidgeRegression } from "../../src/numerics/ridge.ts";
import { slice } from "../../src/ops/shape.ts";
import { Generator } from "../../src/tensor/random.ts";
import { type Tensor, tensor } from "../../src/tensor/tensor.ts";

interface Problem {
  readonly x: number[][];
  readonly y: number[][];
  readonly xs: Tensor;
  readonly ys: Tensor;
}

/** T rows of F features and two noisy targets that depend on some of them. */
function problem(T: number, F: number, seed: number): Problem {
  const g = new Generator(seed);
  const xs = g.normal([T, F], 0, 1, "float64");
  const noise = g.normal([T, 2], 0, 0.5, "float64").toArray() as number[][];
  const x = xs.toArray() as number[][];
  const y = x.map((row, t) =>
    [0, 1].map((o) => row.slice(0, 5).reduce((sum, v, i) => sum + v * (1 + o - 0.3 * i), 0) + (noise[t]?.[o] as number)),
  );
  return { x, y, xs, ys: tensor(y, { dtype: "float64" }) };
}

const gramOf = (x: number[][], ridge: number) =>
  (x[0] as number[]).map((_, i) =>
    (x[0] as number[]).map((__, j) => x.reduce((sum, row) => sum + (row[i] as number) * (row[j] as number), i === j ? ridge : 0)),
  );

/** (XᵀX + λ)⁻¹ Xᵀ y by elimination. */
function closedForm({ x, y }: Problem, ridge: number): number[] {
  return [0, 1].flatMap((o) => {
    const moments = (x[0] as number[]).map((_, i) => x.reduce((sum, row, t) => sum + (row[i] as number) * (y[t]?.[o] as number), 0));
    return solve(gramOf(x, ridge), moments) as number[];
  });
}

function errorOf({ x, y }: Pick<Problem, "x" | "y">, weight: ArrayLike<number>): number {
  const F = (x[0] as number[]).length;
  const squares = x.flatMap((row, t) =>
    [0, 1].map((o) => (row.reduce((sum, v, i) => sum + v * (weight[o * F + i] as number), 0) - (y[t]?.[o] as number)) ** 2),
  );
  return squares.reduce((a, b) => a + b, 0) / squares.length;
}

function expectWeights(got: ArrayLike<number>, want: ArrayLike<number>, most: number): void {
  expect(got.length).toBe(want.length);
  for (let i = 0; i < want.length; i++)
    expect(Math.abs((got[i] as number) - (want[i] as number)) <= most, `${i}: ${got[i]} ${want[i]}`).toBe(true);
}

describe("ridge regression", () => {
  it.each([
    [40, 1],
    [40, 2],
    [40, 3],
    [60, 12],
    [10, 25],
  ])("%i rows of %i features: the closed form", (T, F) => {
    const p = problem(T, Math.max(F, 5), 1);
    const regression = new RidgeRegression(Math.max(F, 5), 2);
    regression.add(p.xs, p.ys);
    for (const ridge of [1e-3, 0.5, 30]) {
      const fit = regression.solve(ridge);
      expectWeights(fit.weight, closedForm(p, ridge), 1e-9);
      expect(Math.abs(fit.meanSquaredError - errorOf(p, fit.weight)) <= 1e-10).toBe(true);
    }
  });

  it("of one and two features, and rows in pieces as at once", () => {
    const one = new RidgeRegression(1, 1);
    one.add(tensor([[1], [2]]), tensor([[1], [3]]));
    expectWeights(one.solve(1).weight, [7 / 6], 1e-12);
    const regression = new RidgeRegression(2, 1);
    for (const [a, b, y] of [
      [1, 0, 1],
      [1, 1, 3],
      [1, 2, 5],
    ])
      regression.add(tensor([[a as number, b as number]]), tensor([[y as number]]));
    expectWeights(regression.solve(0).weight, [1, 2], 1e-12);
    expect(regression.rows).toBe(3);
  });

  it("degrees of freedom: Σ d/(d + λ) over the eigenvalues d of XᵀX", () => {
    const p = problem(30, 8, 2);
    const regression = new RidgeRegression(8, 2);
    regression.add(p.xs, p.ys);
    const { values } = symmetricEigen(
      gramOf(p.x, 0).map((row, i, g) => row.map((_, j) => (j < i ? (g[j]?.[i] as number) : (row[j] as number)))),
    );
    for (const ridge of [0, 0.1, 5]) {
      const expected = values.reduce((sum, d) => sum + d / (d + ridge), 0);
      expect(Math.abs(regression.solve(ridge).degrees - expected) <= 1e-9).toBe(true);
    }
  });

  it("cross-validation finds a λ about as good on new rows as the best of a grid", () => {
    const p = problem(60, 40, 3);
    const fresh = problem(400, 40, 4);
    const regression = new RidgeRegression(40, 2);
    regression.add(p.xs, p.ys);
    const found = errorOf(fresh, regression.solve().weight);
    const best = Math.min(...Array.from({ length: 30 }, (_, i) => errorOf(fresh, regression.solve(10 ** (i / 4 - 4)).weight)));
    expect(found <= 1.1 * best, `${found} ${best}`).toBe(true);
  });

  it("no jump of the error where there are as many features as rows; without a penalty there is one", () => {
    const T = 40;
    const sweep = (ridge: number | "gcv") =>
      [20, 30, 36, 39, 40, 41, 44, 50, 80].map((F) => {
        const errors = [1, 2, 3, 4].map((seed) => {
          const train = problem(T, F, 10 + seed);
          const regression = new RidgeRegression(F, 2);
          regression.add(train.xs, train.ys);
          return errorOf(problem(300, F, 20 + seed), regression.solve(ridge).weight);
        });
        return errors.reduce((a, b) => a + b, 0) / errors.length;
      });
    const smooth = sweep("gcv");
    smooth.forEach((e, i) => {
      const [before, after] = [smooth[i - 1] ?? e, smooth[i + 1] ?? e];
      expect(e <= 1.25 * Math.max(before, after), smooth.join(" ")).toBe(true);
    });
    const peaked = sweep(1e-9);
    expect((peaked[4] as number) > 3 * Math.max(peaked[0] as number, peaked[8] as number), peaked.join(" ")).toBe(true);
  });

  it("refuses what cannot be fitted", () => {
    const regression = new RidgeRegression(2, 1);
    expect(() => regression.solve(1)).toThrow(StateError);
    expect(() => regression.add(tensor([[1, 2, 3]]), tensor([[1]]))).toThrow(ShapeError);
    expect(() => regression.add(tensor([[1, 2]]), tensor([[1], [2]]))).toThrow(ShapeError);
    expect(() => regression.add(tensor([[1, Number.NaN]]), tensor([[1]]))).toThrow(ArgumentError);
    expect(regression.rows).toBe(0);
    regression.add(
      tensor([
        [1, 2],
        [2, 4],
      ]),
      tensor([[1], [2]]),
    );
    expect(() => regression.solve(0)).toThrow("ridge above the rounding error");
    expect(() => regression.solve(-1)).toThrow(ArgumentError);
    expectWeights(regression.solve(1e-9).weight, [0.2, 0.4], 1e-6);
    expect(() => new RidgeRegression(0, 1)).toThrow(ArgumentError);
  });
});

describe("recursive least squares", () => {
  it("without forgetting: ridge regression, whatever the order of the rows", () => {
    const p = problem(50, 12, 6);
    const rls = new RecursiveLeastSquares(12, 2, { ridge: 0.3 });
    for (const t of p.x.keys()) rls.update(p.x[49 - t] as number[], p.y[49 - t] as number[]);
    expectWeights(rls.weight, closedForm(p, 0.3), 1e-10);
  });

  it("with forgetting: rows weighed by φ^(T−t), the penalty by φ^T", () => {
    const p = problem(30, 6, 7);
    const [phi, ridge] = [0.9, 0.5];
    const rls = new RecursiveLeastSquares(6, 2, { ridge, forgetting: phi });
    p.x.forEach((row, t) => {
      rls.update(row, p.y[t] as number[]);
    });
    const weighed = (m: number[][]) => m.map((row, t) => row.map((v) => v * Math.sqrt(phi ** (29 - t))));
    expectWeights(rls.weight, closedForm({ ...p, x: weighed(p.x), y: weighed(p.y) }, ridge * phi ** 30), 1e-9);
  });

  it("returns the error before the update, and refuses rows that do not fit", () => {
    const rls = new RecursiveLeastSquares(2, 1, { ridge: 1e-6 });
    expect([...rls.update([1, 0], [1])]).toEqual([1]);
    rls.update([1, 1], [3]);
    rls.update([1, 2], [5]);
    expectWeights(rls.predict([1, 10]), [21], 1e-4);
    const before = rls.weight.slice();
    expect(() => rls.update([1], [1])).toThrow(ShapeError);
    expect(() => rls.update([1, 2], [1, 2])).toThrow(ShapeError);
    expect(() => rls.update([1, Number.NaN], [1])).toThrow(ArgumentError);
    expect(() => rls.update([1, 2], [Number.NaN])).toThrow(ArgumentError);
    expect(rls.weight).toEqual(before);
    expect(() => new RecursiveLeastSquares(2, 1, { forgetting: 0 })).toThrow(ArgumentError);
  });

  it("slices of a longer sequence may be added", () => {
    const p = problem(40, 5, 8);
    const whole = new RidgeRegression(5, 2);
    whole.add(p.xs, p.ys);
    const parts = new RidgeRegression(5, 2);
    for (let t = 0; t < 40; t += 16) parts.add(slice(p.xs, 0, t, Math.min(40, t + 16)), slice(p.ys, 0, t, Math.min(40, t + 16)));
    expectWeights(parts.solve(0.1).weight, whole.solve(0.1).weight, 1e-12);
  });
});
