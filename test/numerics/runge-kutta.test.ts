import { describe, expect, it } from "vitest";
import { type AdaptiveMethod, type FixedMethod, integrate, integrateAdaptively, type Slope } from "../../src/numerics/runge-kutta.ts";
import { add, mul, neg } from "../../src/ops/arithmetic.ts";
import { cos, tanh } from "../../src/ops/math.ts";
import { scalar } from "../../src/tensor/create.ts";
import { Generator } from "../../src/tensor/random.ts";
import { type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { checkGrads } from "../../src/transforms/check-grads.ts";

/** dy/dt = −2y + cos t, y(0) = 1: y(t) = (2 cos t + sin t)/5 + 3/5 e^(−2t). */
const forced: Slope = (y, t) => add(mul(y, -2), cos(scalar(t, "float64")));
const exact = (t: number) => (2 * Math.cos(t) + Math.sin(t)) / 5 + 0.6 * Math.exp(-2 * t);
const one = () => tensor([1], { dtype: "float64" });

describe("integrate", () => {
  it.each([
    ["euler", 1],
    ["heun", 2],
    ["rk4", 4],
  ] as const)("%s has the order %i", (method: FixedMethod, order) => {
    const errors = [20, 40, 80].map((steps) => Math.abs(integrate(forced, one(), 2, { method, steps }).item() - exact(2)));
    for (const [i, error] of errors.slice(1).entries()) expect(Math.log2((errors[i] as number) / error)).toBeCloseTo(order, 0);
    expect(Math.log2((errors[1] as number) / (errors[2] as number))).toBeGreaterThan(order - 0.1);
  });

  it("is differentiated through its stages, twice", () => {
    const g = new Generator(1);
    const w = g.uniform([3], -1, 1, "float64");
    const field =
      (rate: Tensor): Slope =>
      (y) =>
        add(tanh(mul(y, rate)), neg(y));
    checkGrads((y, rate) => integrate(field(rate), y, 1.5, { method: "rk4", steps: 2 }), [g.uniform([2, 3], -1, 1, "float64"), w], {
      order: 2,
    });
  });
});

describe("integrateAdaptively", () => {
  const methods = ["bogacki-shampine", "dormand-prince"] as const;

  it.each(methods)("%s brings the error down with the tolerance, by more steps", (method: AdaptiveMethod) => {
    const runs = [1e-4, 1e-7, 1e-10].map((tolerance) => integrateAdaptively(forced, one(), 5, { method, tolerance }));
    for (const [i, { y }] of runs.entries()) expect(Math.abs(y.item() - exact(5))).toBeLessThan(10 ** (-4 - 3 * i) * 50);
    const [few, more, most] = runs.map((r) => r.accepted) as [number, number, number];
    expect(few).toBeLessThan(more);
    expect(more).toBeLessThan(most);
  });

  it.each([
    ["bogacki-shampine", 3],
    ["dormand-prince", 5],
  ] as const)("%s: a step alone has the local error of order %i + 1", (method, order) => {
    // A tolerance that accepts the first step, which is the whole interval.
    const error = (h: number) => {
      const { y, accepted } = integrateAdaptively(forced, one(), h, { method, tolerance: 1 });
      expect(accepted).toBe(1);
      return Math.abs(y.item() - exact(h));
    };
    expect(Math.log2(error(0.2) / error(0.1))).toBeGreaterThan(order + 0.7);
    expect(Math.log2(error(0.2) / error(0.1))).toBeLessThan(order + 1.4);
  });

  it("takes short steps where the solution turns quickly: the van der Pol oscillator", () => {
    // The state is [position, velocity], μ = 10.
    const field: Slope = (y) => {
      const [p, v] = Array.from(y.data()) as [number, number];
      return tensor([v, 10 * (1 - p * p) * v - p], { dtype: "float64" });
    };
    const start = tensor([2, 0], { dtype: "float64" });
    const loose = integrateAdaptively(field, start, 10, { method: "dormand-prince", tolerance: 1e-6 });
    const close = integrate(field, start, 10, { method: "rk4", steps: 10000 });
    expect(loose.accepted).toBeLessThan(400);
    expect(loose.rejected).toBeGreaterThan(0);
    for (const [i, v] of close.data().entries()) expect(Math.abs((loose.y.data()[i] as number) - v)).toBeLessThan(1e-3);
  });

  it.each([
    ["bogacki-shampine", 1e-9, 1],
    ["dormand-prince", 1e-12, 2],
  ] as const)("%s is differentiated through the accepted steps", (method, tolerance, order) => {
    const g = new Generator(2);
    const run = (y: Tensor, rate: Tensor) => integrateAdaptively((v) => add(tanh(mul(v, rate)), neg(v)), y, 1, { method, tolerance }).y;
    checkGrads(run, [g.uniform([2, 2], -1, 1, "float64"), g.uniform([2], 1, 2, "float64")], { order });
  });

  it("says where it got when steps do not suffice, when the slope is not finite, and what tolerance it wants", () => {
    const options = { method: "dormand-prince", tolerance: 1e-12, maxSteps: 3 } as const;
    expect(() => integrateAdaptively(forced, one(), 100, options)).toThrow("within 3 steps");
    expect(() => integrateAdaptively((y) => mul(y, Number.NaN), one(), 1, options)).toThrow("expected a finite slope");
    expect(() => integrateAdaptively(forced, one(), 1, { ...options, tolerance: 0 })).toThrow("expected tolerance above 0, got 0");
  });
});
