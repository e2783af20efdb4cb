/** Hebbian rules: principal components against eigenvectors, selectivity against the fixed points of the equations. */

import { describe, expect, it } from "vitest";
import { ArgumentError, DTypeError, ShapeError } from "../../src/base/errors.ts";
import { HebbianLayer, type HebbianRule } from "../../src/learning/index.ts";
import { symmetricEigen } from "../../src/numerics/index.ts";
import { eye, zeros } from "../../src/tensor/create.ts";
import { Generator } from "../../src/tensor/random.ts";
import { assign, type Tensor, tensor } from "../../src/tensor/tensor.ts";

const dtype = "float64";
const I = 4;
/** Patterns whose second moments have well separated eigenvalues, in directions of their own. */
const data = (() => {
  const g = new Generator(1);
  const mixing = g.normal([I, I], 0, 1, dtype).toArray() as number[][];
  const raw = g.normal([64, I], 0, 1, dtype).toArray() as number[][];
  return raw.map((row) => mixing.map((m) => m.reduce((total, v, k) => total + v * (row[k] as number) * [2, 1, 0.5, 0.25][k]!, 0)));
})();
const x = tensor(data, { dtype });
const moments = Array.from({ length: I }, (_, i) =>
  Array.from({ length: I }, (_, j) => data.reduce((total, row) => total + (row[i] as number) * (row[j] as number), 0) / data.length),
);

const layer = (rule: HebbianRule, outputSize: number, lr: number): HebbianLayer =>
  new HebbianLayer({ inputSize: I, outputSize, rule, lr, dtype, generator: new Generator(2) });
const rowsOf = (t: Tensor): number[][] => t.toArray() as number[][];
const size = (v: readonly number[]): number => Math.sqrt(v.reduce((total, a) => total + a * a, 0));
const cosine = (a: readonly number[], b: readonly number[]): number =>
  a.reduce((total, v, i) => total + v * (b[i] as number), 0) / size(a) / size(b);

describe("HebbianLayer", () => {
  /** Eigenvectors by falling eigenvalue. */
  const components = principal();

  it.each(["hebb", "oja", "sanger", "bcm"] as const)("takes one step as its equation says: %s", (rule) => {
    const l = layer(rule, 2, 0.05);
    const w = rowsOf(l.weight);
    const theta = [1, 1];
    const B = data.length;
    const ys = data
      .map((row) => w.map((wi) => wi.reduce((total, v, k) => total + v * (row[k] as number), 0)))
      .map((y) => (rule === "bcm" ? y.map((v) => Math.max(0, v)) : y));
    const expected = w.map((wi, i) =>
      wi.map((v, k) => {
        const change = data.reduce((total, row, b) => {
          const y = ys[b] as number[];
          const yi = y[i] as number;
          const taken = {
            hebb: 0,
            bcm: 0,
            oja: yi * v,
            sanger: w.slice(0, i + 1).reduce((s, wj, j) => s + (y[j] as number) * (wj[k] as number), 0),
          }[rule];
          const post = rule === "bcm" ? yi * (yi - (theta[i] as number)) : yi;
          return total + post * ((row[k] as number) - taken);
        }, 0);
        return v + (0.05 * change) / B;
      }),
    );
    const y = rowsOf(l.learn(x));
    expect(Math.abs((y[3]?.[1] as number) - (ys[3]?.[1] as number))).toBeLessThan(1e-12);
    rowsOf(l.weight).forEach((row, i) => {
      row.forEach((v, k) => {
        expect(!(Math.abs(v - (expected[i]?.[k] as number)) <= 1e-12)).toBe(false);
      });
    });
    if (rule !== "bcm") return expect(l.threshold).toBeNull();
    const power = [0, 1].map((i) => ys.reduce((total, out) => total + (out[i] as number) ** 2, 0) / B);
    expect(Array.from((l.threshold as Tensor).data()).every((v, i) => Math.abs(v - (1 + ((power[i] as number) - 1) / 20)) < 1e-12)).toBe(
      true,
    );
  });

  it("hebb: grows without bound towards the first principal component", () => {
    const l = layer("hebb", 1, 0.05);
    const before = size(l.weight.data() as never);
    for (let i = 0; i < 200; i++) l.learn(x);
    const [w] = rowsOf(l.weight) as [number[]];
    expect(size(w) > 1e3 * before).toBe(true);
    expect(Math.abs(cosine(w, components[0] as number[])) > 1 - 1e-6).toBe(true);
  });

  it("oja: every row is the first principal component, of length 1", () => {
    const l = layer("oja", 2, 0.02);
    for (let i = 0; i < 1500; i++) l.learn(x);
    for (const w of rowsOf(l.weight)) {
      expect(!(Math.abs(size(w) - 1) <= 1e-6)).toBe(false);
      expect(!(Math.abs(Math.abs(cosine(w, components[0] as number[])) - 1) <= 1e-9)).toBe(false);
    }
  });

  it("sanger: rows are the principal components in order", () => {
    const l = layer("sanger", 3, 0.02);
    for (let i = 0; i < 6000; i++) l.learn(x);
    rowsOf(l.weight).forEach((w, i) => {
      expect(!(Math.abs(size(w) - 1) <= 1e-6)).toBe(false);
      expect(!(Math.abs(Math.abs(cosine(w, components[i] as number[])) - 1) <= 1e-9)).toBe(false);
    });
  });

  it("bcm: a unit comes to answer to one of K patterns, with K, and to no other", () => {
    // At rest with p = 1/K: y (y − θ) = 0 for each pattern and θ = E[y²] = y²/K.
    const K = 3;
    const l = new HebbianLayer({ inputSize: K, outputSize: 6, rule: "bcm", lr: 0.02, dtype, generator: new Generator(3), std: 0.5 });
    assign(l.weight, l.weight.data().map(Math.abs) as Float64Array);
    const patterns = eye(K, K, dtype);
    for (let i = 0; i < 8000; i++) l.learn(patterns);
    const answers = rowsOf(l.forward(patterns));
    const preferred = new Set<number>();
    for (let unit = 0; unit < 6; unit++) {
      const y = answers.map((row) => row[unit] as number);
      const [best, ...rest] = [...y].sort((a, b) => b - a) as [number, ...number[]];
      expect(!(Math.abs(best - K) <= 1e-3)).toBe(false);
      expect(rest.every((v) => v <= 1e-3)).toBe(true);
      expect(Math.abs((l.threshold?.data()[unit] as number) - K)).toBeLessThan(1e-2);
      preferred.add(y.indexOf(best));
    }
    expect(preferred.size > 1).toBe(true);
  });

  it("keeps its weights among its buffers, and refuses what does not fit", () => {
    const l = layer("bcm", 2, 0.1);
    expect([...l.stateDict().keys()]).toEqual(["weight", "threshold"]);
    expect(l.parameters()).toEqual([]);
    const before = rowsOf(l.weight);
    expect(() => l.learn(zeros([3, I + 1], dtype))).toThrow(ShapeError);
    expect(() => l.learn(zeros([0, I], dtype))).toThrow(ShapeError);
    expect(() => l.learn(zeros([3, I]))).toThrow(DTypeError);
    expect(() => l.learn(tensor([[1, Number.NaN, 0, 0]], { dtype }))).toThrow(
      "learn: expected finite numbers in x [1,4], got NaN at position 1",
    );
    l.lr = Number.NaN;
    expect(() => l.learn(zeros([3, I], dtype))).toThrow("learn: expected lr above 0, got NaN");
    expect(rowsOf(l.weight)).toEqual(before);
    expect(() => layer("pca" as never, 1, 0.1)).toThrow(ArgumentError);
    expect(() => layer("oja", 1, 0)).toThrow(ArgumentError);
    expect(() => new HebbianLayer({ inputSize: 2, outputSize: 1, rule: "bcm", tau: 0.5 })).toThrow(ArgumentError);
  });
});

function principal(): number[][] {
  const { values, vectors } = symmetricEigen(moments);
  return values
    .map((value, i) => ({ value, vector: vectors[i] as readonly number[] }))
    .sort((a, b) => b.value - a.value)
    .map(({ vector }) => [...vector]);
}
