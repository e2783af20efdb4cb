/** Kalman filter training: recursive least squares on linear models, and what its covariances have to stay. */

import { describe, expect, it } from "vitest";
import { ArgumentError, FormatError, ShapeError, StateError } from "../../src/base/errors.ts";
import { LeakyRNN, RMLP } from "../../src/cells/index.ts";
import { KalmanFilter, type KalmanFilterOptions, rtrl, usingGradients } from "../../src/learning/index.ts";
import { Linear, Sequential } from "../../src/nn/layers.ts";
import type { Module } from "../../src/nn/module.ts";
import { solve } from "../../src/numerics/matrix.ts";
import { slice } from "../../src/ops/shape.ts";
import { zeros } from "../../src/tensor/create.ts";
import { Generator } from "../../src/tensor/random.ts";
import { scope, type Tensor, tensor } from "../../src/tensor/tensor.ts";

const dtype = "float64";
const o = (seed = 3) => ({ dtype, generator: new Generator(seed) }) as const;

const weightsOf = (model: Module): number[] => model.parameters().flatMap((p) => Array.from(p.data()));

function expectClose(got: readonly number[], expected: readonly number[], tolerance: number): void {
  expect(got.length).toBe(expected.length);
  got.forEach((g, i) => {
    expect(
      !(Math.abs(g - (expected[i] as number)) <= tolerance * Math.max(1, Math.abs(expected[i] as number))),
      `${i}: ${g}, ${expected[i]}`,
    ).toBe(false);
  });
}

describe("on a linear model", () => {
  const [I, N, epsilon] = [4, 40, 0.1];
  const data = new Generator(7);
  const X = Array.from({ length: N }, () => Array.from(data.normal([I], 0, 1, dtype).data()));
  const d = X.map((x, i) => Math.sin(i) + x.reduce((total, v, k) => total + v * (k - 1.5), 0));

  /** w₀ + (XᵀX + εI)⁻¹ Xᵀ(d − X w₀) */
  function ridge(w0: readonly number[]): number[] {
    const rest = X.map((x, i) => (d[i] as number) - x.reduce((total, v, k) => total + v * (w0[k] as number), 0));
    const matrix = w0.map((_, a) =>
      w0.map((_w, b) => X.reduce((total, x) => total + (x[a] as number) * (x[b] as number), a === b ? epsilon : 0)),
    );
    const right = w0.map((_, a) => X.reduce((total, x, i) => total + (x[a] as number) * (rest[i] as number), 0));
    return (solve(matrix, right) as number[]).map((v, k) => v + (w0[k] as number));
  }

  /** Recursive least squares over plain numbers. */
  function leastSquares(w0: readonly number[]): { w: number[]; P: number[][] } {
    let w = [...w0];
    let P = w.map((_, a) => w.map((_w, b) => (a === b ? 1 / epsilon : 0)));
    X.forEach((x, i) => {
      const Px = P.map((row) => row.reduce((total, p, k) => total + p * (x[k] as number), 0));
      const gain = Px.map((p) => p / (1 + x.reduce((total, v, k) => total + v * (Px[k] as number), 0)));
      const error = (d[i] as number) - x.reduce((total, v, k) => total + v * (w[k] as number), 0);
      w = w.map((v, k) => v + (gain[k] as number) * error);
      P = P.map((row, a) => row.map((p, b) => p - (gain[a] as number) * (Px[b] as number)));
    });
    return { w, P };
  }

  it.each([false, true])("is recursive least squares, and ridge regression, with Joseph's form %s", (joseph) => {
    const model = new Linear(I, 1, { bias: false, ...o() });
    const w0 = weightsOf(model);
    const filter = new KalmanFilter(model, { epsilon, processNoise: 0, joseph });
    X.forEach((x, i) => {
      const mse = filter.update(model.forward(tensor(x, { shape: [1, I], dtype })), tensor([d[i] as number], { shape: [1, 1], dtype }));
      expect(mse).toBeGreaterThan(0);
    });
    const { w, P } = leastSquares(w0);
    expectClose(weightsOf(model), w, 1e-9);
    expectClose(weightsOf(model), ridge(w0), 1e-9);
    expectClose(Array.from((filter.covariances[0] as Tensor).data()), P.flat(), 1e-9);
  });

  it("takes several streams at once as it takes them one after the other", () => {
    const [one, many] = [new Linear(I, 1, { bias: false, ...o() }), new Linear(I, 1, { bias: false, ...o() })];
    const options: KalmanFilterOptions = { epsilon, processNoise: 0 };
    const [a, b] = [new KalmanFilter(one, options), new KalmanFilter(many, options)];
    for (let i = 0; i < N; i += 4) {
      const rows = X.slice(i, i + 4);
      rows.forEach((x, k) => {
        a.update(one.forward(tensor(x, { shape: [1, I], dtype })), tensor([d[i + k] as number], { shape: [1, 1], dtype }));
      });
      b.update(many.forward(tensor(rows.flat(), { shape: [4, I], dtype })), tensor(d.slice(i, i + 4), { shape: [4, 1], dtype }));
    }
    expectClose(weightsOf(many), weightsOf(one), 1e-9);
  });
});

describe("on a recurrent network", () => {
  const xs = new Generator(5).uniform([6, 2, 3], -1, 1, dtype);
  const targets = new Generator(6).uniform([6, 2, 1], -1, 1, dtype);
  const make = () => new RMLP({ layout: "3-4R-1", ...o() });
  const train = (options: KalmanFilterOptions, updates = 5): { model: RMLP; filter: KalmanFilter } => {
    const model = make();
    const filter = new KalmanFilter(model, options);
    for (let i = 0; i < updates; i++) scope(() => filter.update(model.scan(xs)[0], targets));
    return { model, filter };
  };

  it("has groups for all, for tensors and for nodes; a model of one group is the global one", () => {
    const sizes = (groups: "global" | "tensor" | "node") => new KalmanFilter(make(), { groups }).covariances.map((P) => P.dim(0));
    expect(sizes("global")).toEqual([12 + 16 + 4 + 4 + 1]);
    expect(sizes("tensor").sort((a, b) => a - b)).toEqual([1, 4, 4, 12, 16]);
    expect(sizes("node")).toEqual([8, 8, 8, 8, 5]);
    const linear = (groups: "global" | "tensor" | "node") => {
      const model = new Linear(3, 1, { bias: false, ...o() });
      const filter = new KalmanFilter(model, { groups });
      for (let t = 0; t < 6; t++) filter.update(model.forward(slice(xs, 0, t, t + 1)), slice(targets, 0, t, t + 1));
      return weightsOf(model);
    };
    for (const groups of ["tensor", "node"] as const) expect(linear(groups)).toEqual(linear("global"));
  });

  it("leaves out what groups have in common, and learns all the same", () => {
    const before = train({}, 1).model;
    const first = scope(() => new KalmanFilter(before).update(before.scan(xs)[0], targets));
    for (const groups of ["global", "tensor", "node"] as const) {
      const { model, filter } = train({ groups }, 20);
      expect(scope(() => filter.update(model.scan(xs)[0], targets))).toBeLessThan(0.5 * first);
    }
    expect(weightsOf(train({ groups: "node" }).model)).not.toEqual(weightsOf(train({}).model));
  });

  it("takes the derivatives of another gradient algorithm", () => {
    const [a, b] = [make(), make()];
    const [f, g] = [new KalmanFilter(a), new KalmanFilter(b)];
    f.update(a.scan(xs)[0], targets);
    g.update(
      usingGradients(rtrl(), b, () => b.scan(xs)[0]),
      targets,
    );
    expectClose(weightsOf(b), weightsOf(a), 1e-9);
  });

  it.each([
    { joseph: false, updates: 10_000 },
    { joseph: true, updates: 2000 },
  ])("keeps covariances symmetric and positive definite over $updates updates, with Joseph's form $joseph", ({ joseph, updates }) => {
    const model = new LeakyRNN({ inputSize: 2, hiddenSize: 2, tau: 2, ...o() });
    const filter = new KalmanFilter(model, { joseph, lr: 100, processNoise: 1e-8 });
    const stream = new Generator(9);
    let state = model.initialState(1);
    for (let t = 0; t < updates; t++) {
      state = scope(() => {
        const [y, next] = model.step(stream.normal([1, 2], 0, 1, dtype), state);
        filter.update(y, stream.uniform([1, 2], -0.5, 0.5, dtype));
        return next.detach();
      });
    }
    const P = filter.covariances[0] as Tensor;
    const n = P.dim(0);
    const rows = Array.from({ length: n }, (_, i) => Array.from(P.data()).slice(i * n, (i + 1) * n));
    rows.forEach((row, i) => {
      row.forEach((value, j) => {
        expect(Object.is(value, rows[j]?.[i])).toBe(true);
      });
    });
    expect(cholesky(rows)).toBe(true);
  });

  it("keeps float32 weights in float32 and covariances in float64", () => {
    const model = new Sequential(new Linear(3, 2, { generator: new Generator(1) }));
    const filter = new KalmanFilter(model);
    filter.update(model.forward(zeros([1, 3])), zeros([1, 2]));
    expect(model.parameters().every((p) => p.dtype === "float32")).toBe(true);
    expect(filter.covariances.every((P) => P.dtype === "float64")).toBe(true);
  });

  it("weighs observations by their variances", () => {
    const [a, b] = [make(), make()];
    const variances = tensor(new Array(12).fill(0.25), { shape: [6, 2, 1], dtype });
    new KalmanFilter(a, { lr: 4 }).update(a.scan(xs)[0], targets);
    new KalmanFilter(b).update(b.scan(xs)[0], targets, { variances });
    expect(weightsOf(b)).toEqual(weightsOf(a));
  });

  it("goes on from its stored covariances", () => {
    const { model, filter } = train({}, 3);
    const saved = new Map(
      [...filter.stateDict()].map(([name, t]) => [name, tensor(Float64Array.from(t.data()), { shape: t.shape, dtype })]),
    );
    const copy = make();
    copy.loadStateDict(model.stateDict());
    const resumed = new KalmanFilter(copy);
    resumed.loadStateDict(saved);
    scope(() => filter.update(model.scan(xs)[0], targets));
    scope(() => resumed.update(copy.scan(xs)[0], targets));
    expect(weightsOf(copy)).toEqual(weightsOf(model));
    expect(() => resumed.loadStateDict(new Map())).toThrow(FormatError);
    expect(() => resumed.loadStateDict(new Map([["covariance.0", zeros([2, 2], dtype)]]))).toThrow(FormatError);
    const bad = tensor(new Array(37 * 37).fill(Number.NaN), { shape: [37, 37], dtype });
    expect(() => resumed.loadStateDict(new Map([["covariance.0", bad]]))).toThrow(FormatError);
  });

  it("refuses what cannot be, and changes nothing", () => {
    const model = make();
    const filter = new KalmanFilter(model);
    const before = weightsOf(model);
    const [ys] = model.scan(xs);
    expect(() => filter.update(ys, slice(targets, 0, 1))).toThrow(ShapeError);
    expect(() => filter.update(ys.detach(), targets)).toThrow(StateError);
    expect(() => filter.update(ys, tensor(new Array(12).fill(Number.NaN), { shape: [6, 2, 1], dtype }))).toThrow(
      /finite outputs and targets/,
    );
    expect(weightsOf(model)).toEqual(before);
    filter.lr = 0;
    expect(() => filter.update(ys, targets)).toThrow(ArgumentError);
    expect(() => new KalmanFilter(make(), { lr: -1 })).toThrow(ArgumentError);
    expect(() => new KalmanFilter(make(), { epsilon: 0 })).toThrow(ArgumentError);
    expect(() => new KalmanFilter(make(), { groups: "layer" as never })).toThrow(ArgumentError);
    const frozen = make();
    for (const p of frozen.parameters()) p.requiresGrad = false;
    expect(() => new KalmanFilter(frozen)).toThrow(/trained parameters/);
  });
});

/** Whether a symmetric matrix is positive definite. */
function cholesky(rows: readonly (readonly number[])[]): boolean {
  const L = rows.map((row) => row.map(() => 0));
  for (let i = 0; i < rows.length; i++) {
    for (let j = 0; j <= i; j++) {
      let rest = rows[i]?.[j] as number;
      for (let k = 0; k < j; k++) rest -= (L[i]?.[k] as number) * (L[j]?.[k] as number);
      if (i === j && !(rest > 0)) return false;
      (L[i] as number[])[j] = i === j ? Math.sqrt(rest) : rest / (L[j]?.[j] as number);
    }
  }
  return true;
}
