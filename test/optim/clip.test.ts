import { describe, expect, test } from "vitest";
import { clipGradNorm, clipGradValue, totalNorm } from "../../src/optim/clip.ts";
import { keep, Tensor, tensor } from "../../src/tensor/tensor.ts";

function withGradients(...gradients: (number[] | null)[]): Tensor[] {
  return gradients.map((g) => {
    const p = keep(tensor(new Array(g?.length ?? 2).fill(0), { dtype: "float64", requiresGrad: true }));
    if (g !== null) p.grad = keep(tensor(g, { dtype: "float64" }));
    return p;
  });
}

const gradientsOf = (params: Tensor[]) => params.map((p) => (p.grad === null ? null : Array.from(p.grad.data())));

describe("clipGradNorm", () => {
  test("scales all gradients by one factor and returns the norm before", () => {
    const params = withGradients([3, 0, 0], null, [0, 4]);
    expect(clipGradNorm(params, 2.5)).toBe(5);
    const factor = 2.5 / (5 + 1e-6);
    expect(gradientsOf(params)).toEqual([[3 * factor, 0, 0], null, [0, 4 * factor]]);
  });

  test("leaves small gradients alone, to the bit", () => {
    const params = withGradients([0.3, -0.4]);
    expect(clipGradNorm(params, 1)).toBeCloseTo(0.5, 15);
    expect(gradientsOf(params)).toEqual([[0.3, -0.4]]);
  });

  test("knows the sum and the maximum as norms", () => {
    const params = withGradients([3, -1], [2]);
    expect(clipGradNorm(params, 1e9, { normType: 1 })).toBe(6);
    expect(clipGradNorm(params, 1.5, { normType: Number.POSITIVE_INFINITY })).toBe(3);
    const factor = 1.5 / (3 + 1e-6);
    expect(gradientsOf(params)).toEqual([[3 * factor, -factor], [2 * factor]]);
    expect(() => totalNorm([], 3 as 2)).toThrow(/expected norm type 1, 2 or Infinity, got 3/);
  });

  test("sums float32 squares without losing them", () => {
    const t = tensor(new Float32Array(100_001).fill(1e-3).fill(1e3, 0, 1));
    expect(totalNorm([t]) ** 2 / (1e6 + 0.1)).toBeCloseTo(1, 9);
  });

  test("shows what is not finite", () => {
    const params = withGradients([Number.NaN, 1]);
    expect(() => clipGradNorm(params, 1, { errorIfNonfinite: true })).toThrow(/expected a finite norm, got NaN/);
    expect(gradientsOf(params)).toEqual([[Number.NaN, 1]]);
    expect(clipGradNorm(params, 1)).toBe(Number.NaN);
    expect(gradientsOf(params)).toEqual([[Number.NaN, Number.NaN]]);
    expect(
      totalNorm(
        withGradients([Number.NaN, 2]).map((p) => p.grad as Tensor),
        Number.POSITIVE_INFINITY,
      ),
    ).toBe(Number.NaN);
    expect(() => clipGradNorm(params, -1)).toThrow(/expected a maxNorm of at least 0/);
  });

  test("accepts no gradients and rejects strided ones", () => {
    expect(clipGradNorm(withGradients(null, []), 1)).toBe(0);
    const [p] = withGradients([1, 2, 3, 4]) as [Tensor];
    p.grad = new Tensor((p.grad as Tensor).storage, "float64", [2], [2]);
    expect(() => clipGradNorm([p], 1)).toThrow(/expected contiguous gradients/);
  });
});

describe("clipGradValue", () => {
  test("limits every element", () => {
    const params = withGradients([3, -0.1, -7], null);
    clipGradValue(params, 0.5);
    expect(gradientsOf(params)).toEqual([[0.5, -0.1, -0.5], null]);
    expect(() => clipGradValue(params, Number.NaN)).toThrow(/expected a clipValue/);
  });
});
