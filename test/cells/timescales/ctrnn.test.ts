import { describe, expect, it } from "vitest";
import { noGrad } from "../../../src/autodiff/tape.ts";
import { CTRNN, type CTRNNOptions } from "../../../src/cells/timescales/ctrnn.ts";
import { fixedPoints } from "../../../src/dynamics/fixed-points.ts";
import { oscillation } from "../../../src/dynamics/limit-cycle.ts";
import { select } from "../../../src/ops/shape.ts";
import { zeros } from "../../../src/tensor/create.ts";
import { Generator } from "../../../src/tensor/random.ts";
import { assign, type Tensor, tensor } from "../../../src/tensor/tensor.ts";
import { type Equations, holdAgainst } from "../../oracle/equations.ts";
import { each, logistic, plus, times, type Vector } from "../../oracle/numbers.ts";
import { accept, expectClose, SIZES } from "../acceptance.ts";
import { latchError } from "../memory-tasks.ts";

const cell = (more: Partial<CTRNNOptions> = {}) =>
  new CTRNN({ ...SIZES, interval: 0.4, bound: 2, tau: [0.5, 2], dtype: "float64", generator: new Generator(2), ...more });
const numbers = (t: Tensor) => Array.from(t.data());
const inputs = new Generator(3).uniform([6, 1, 3], -1, 1, "float64");
const along = (y: readonly number[], k: readonly number[], h: number) => y.map((v, i) => v + h * (k[i] as number));

/** Beer's circuit of two units. */
function circuit(wSelf: number, more: Partial<CTRNNOptions> = {}): CTRNN {
  const c = new CTRNN({ inputSize: 1, hiddenSize: 2, interval: 0.05, dtype: "float64", ...more });
  assign(c.weightHh, [wSelf, 1, -1, wSelf]);
  c.centreCrossing();
  return c;
}

/** Output of the first unit over T steps without input. */
function run(c: CTRNN, T: number, start: readonly number[]): number[] {
  const [ys] = noGrad(() => c.scan(zeros([T, 1, 1], c.bias.dtype), [tensor([[...start]], { dtype: c.bias.dtype })]));
  return numbers(select(ys, 2, 0));
}

/** y after a step of h from time t on, by its slope f. */
type Rule = (f: (t: number, y: Vector) => number[], t: number, y: Vector, h: number) => number[];

const rules: Record<"euler" | "heun" | "rk4", Rule> = {
  euler: (f, t, y, h) => along(y, f(t, y), h),
  heun: (f, t, y, h) => {
    const k1 = f(t, y);
    const k2 = f(t + h, along(y, k1, h));
    return along(y, plus(k1, k2), h / 2);
  },
  rk4: (f, t, y, h) => {
    const k1 = f(t, y);
    const k2 = f(t + h / 2, along(y, k1, h / 2));
    const k3 = f(t + h / 2, along(y, k2, h / 2));
    const k4 = f(t + h, along(y, k3, h));
    return along(y, plus(k1, k2, k2, k3, k3, k4), h / 6);
  },
};

/** Beer's equation 1 over 0.4 in two steps; the drive is held, or comes on a line from the one before. */
function beer(method: keyof typeof rules): Equations {
  return (p, x, [y, before]) => {
    const [theta, g, tau] = [p.vector("bias"), p.vector("gain"), p.vector("log_tau").map(Math.exp)];
    const units = (at: Vector) => each((v, gj, b) => logistic(gj * (v + b)), at, g, theta);
    const drive = times(p.matrix("weight_ih", SIZES.inputSize), x);
    const slope = (t: number, at: Vector) => {
      const current = before === undefined ? drive : each((a, b) => a + (t / 0.4) * (b - a), before, drive);
      return each((net, v, I, tj) => (net - v + I) / tj, times(p.matrix("weight_hh", SIZES.hiddenSize), units(at)), at, current, tau);
    };
    let next = y as Vector;
    for (const t of [0, 0.2]) next = rules[method](slope, t, next, 0.2);
    return [units(next), before === undefined ? [next] : [next, drive]];
  };
}

describe("CTRNN", () => {
  it.each((["euler", "heun", "rk4"] as const).flatMap((method) => (["hold", "linear"] as const).map((line) => [method, line] as const)))(
    "is Beer's equation 1 by %s from any state, inputs %s, values and derivatives",
    (method, interpolation) => holdAgainst(cell({ method, unfolds: 2, interpolation }), beer(method)),
  );

  it.each(["euler", "heun", "rk4"] as const)("%s has the gradients of its equations, and steps that equal its scan", (method) =>
    accept(cell({ method, unfolds: 2 })),
  );

  it("has them with inputs on a line", () => accept(cell({ interpolation: "linear" })));

  it.each(["bogacki-shampine", "dormand-prince"] as const)("has them by the adaptive %s, step by step", (method) => {
    const adaptive = cell({ method, tolerance: 1e-8, interval: 0.1 });
    expect(adaptive.whyEager(inputs)).toContain("reads values on the host");
    accept(adaptive, { captured: false });
  });

  it("agrees with the adaptive solvers to their tolerance", () => {
    const fine = numbers(cell({ unfolds: 100 }).scan(inputs)[1][0] as Tensor);
    for (const method of ["bogacki-shampine", "dormand-prince"] as const) {
      expectClose(cell({ method, tolerance: 1e-7 }).scan(inputs)[1][0] as Tensor, fine, 1e-6);
    }
  });

  it("crosses its null surfaces at outputs of one half", () => {
    const c = cell({ centreCrossing: true, bound: 16 });
    const centre = numbers(c.bias).map((theta) => -theta);
    expectClose(c.slope(tensor([centre], { dtype: "float64" })), [0, 0, 0, 0], 1e-12);
    expectClose(c.outputs(tensor([centre], { dtype: "float64" })), [0.5, 0.5, 0.5, 0.5], 1e-12);
    expectClose(circuit(4.5).bias, [-2.75, -1.75], 1e-12);
  });

  it("draws time constants from their range", () => {
    const taus = numbers(new CTRNN({ inputSize: 1, hiddenSize: 500, tau: [0.5, 10] }).logTau).map(Math.exp);
    expect(Math.min(...taus)).toBeGreaterThanOrEqual(0.5);
    expect(Math.max(...taus)).toBeLessThanOrEqual(10.00001);
    expect(taus.reduce((a, b) => a + b) / 500).toBeCloseTo(5.25, 0);
  });

  it.each([{ inputSize: 0 }, { unfolds: 0.5 }, { interval: 0 }, { tau: [0, 1] as const }, { tau: [2, 1] as const }, { tolerance: -1 }])(
    "refuses %j",
    (wrong) => expect(() => cell(wrong)).toThrow("CTRNN: expected"),
  );

  it.each([
    [4.2, 0.424, 26.49],
    [4.5, 0.622, 29.0],
  ])("cycles with w = %d: from least to greatest output %d, period %d", (w, range, period) => {
    const found = oscillation(run(circuit(w), 8000, [3, 2]).slice(4000), { interval: 0.05 });
    expect(Math.abs(2 * found.amplitude - range)).toBeLessThan(0.005 * range);
    expect(Math.abs((found.period as number) - period)).toBeLessThan(0.005 * period);
  });

  it("rings with the period 8π and comes to rest with w = 3.8; the fixed point loses its stability at 4", () => {
    const output = run(circuit(3.8), 8000, [3, 2]);
    expect(oscillation(output.slice(6000)).amplitude).toBeLessThan(1e-4);
    expect(Math.abs((oscillation(output.slice(0, 4000), { interval: 0.05, level: 0.5 }).period as number) - 8 * Math.PI)).toBeLessThan(
      0.05,
    );
    for (const w of [3.8, 3.99, 4.01, 5]) {
      const c = circuit(w);
      const [centre] = fixedPoints((y) => c.slope(y), { starts: [[2.4, 1.4]] });
      expect(centre?.stable).toBe(w < 4);
      expect(centre?.eigenvalues[0]?.re).toBeCloseTo(w / 4 - 1, 9);
      expect(centre?.eigenvalues[0]?.im).toBeCloseTo(0.25, 9);
    }
  });

  it("has the bias of Euler's method with steps of 0.1: 29.09 and 0.627", () => {
    const found = oscillation(run(circuit(4.5, { method: "euler", interval: 0.1 }), 4000, [3, 2]).slice(2000), { interval: 0.1 });
    expect(found.period).toBeCloseTo(29.09, 1);
    expect(2 * found.amplitude).toBeCloseTo(0.627, 3);
  });

  it("keeps the period in float32 over 50000 steps", () => {
    const c = circuit(4.5, { dtype: "float32" });
    expect(oscillation(run(c, 50000, [3, 2]).slice(30000), { interval: 0.05 }).period).toBeCloseTo(29.0, 1);
  });

  it("learns to latch", () =>
    expect(latchError(cell({ inputSize: 2, hiddenSize: 16, bound: 0.5, interval: 0.5, dtype: "float32" }), 600)).toBeLessThan(0.05));
});
