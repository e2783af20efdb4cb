import { describe, expect, it } from "vitest";
import { ClosedFormContinuousTime, type ClosedFormOptions } from "../../../src/cells/timescales/closed-form.ts";
import { type LiquidOptions, LiquidTimeConstant } from "../../../src/cells/timescales/liquid.ts";
import { mul } from "../../../src/ops/arithmetic.ts";
import { reshape } from "../../../src/ops/broadcast.ts";
import { cat } from "../../../src/ops/shape.ts";
import { full } from "../../../src/tensor/create.ts";
import { Generator } from "../../../src/tensor/random.ts";
import type { Tensor } from "../../../src/tensor/tensor.ts";
import { type Equations, holdAgainst } from "../../oracle/equations.ts";
import { each, logistic, plus, rows, times, type Vector } from "../../oracle/numbers.ts";
import { accept, expectClose, SIZES } from "../acceptance.ts";
import { latchError } from "../memory-tasks.ts";

const options = { ...SIZES, dtype: "float64" } as const;
const liquid = (more: Partial<LiquidOptions> = {}) => new LiquidTimeConstant({ ...options, generator: new Generator(2), ...more });
const closed = (more: Partial<ClosedFormOptions> = {}) =>
  new ClosedFormContinuousTime({ ...options, generator: new Generator(2), ...more });
const numbers = (t: Tensor) => Array.from(t.data());
const sequence = (n: number) => new Generator(3).uniform([n, 1, 3], -1, 1, "float64");
const inputs = (n: number) => rows(reshape(sequence(n), [n, 3]));

/** dx/dt of the liquid time-constant network. */
function slope(cell: LiquidTimeConstant, input: readonly number[], x: readonly number[]): number[] {
  const f = plus(times(rows(cell.weightIh), input), times(rows(cell.weightHh), x), numbers(cell.bias)).map(logistic);
  const [logTau, a] = [numbers(cell.logTau), numbers(cell.reversal)];
  return f.map((fj, j) => -(Math.exp(-(logTau[j] as number)) + fj) * (x[j] as number) + fj * (a[j] as number));
}

/** The classical Runge-Kutta method with n steps an interval. */
function solve(cell: LiquidTimeConstant, xs: readonly (readonly number[])[], n: number): number[] {
  const dt = cell.interval / n;
  const moved = (x: readonly number[], k: readonly number[], d: number) => x.map((v, j) => v + d * (k[j] as number));
  let x = [0, 0, 0, 0];
  for (const input of xs) {
    for (let i = 0; i < n; i++) {
      const k1 = slope(cell, input, x);
      const k2 = slope(cell, input, moved(x, k1, dt / 2));
      const k3 = slope(cell, input, moved(x, k2, dt / 2));
      const k4 = slope(cell, input, moved(x, k3, dt));
      x = x.map((v, j) => v + (dt / 6) * ((k1[j] as number) + 2 * (k2[j] as number) + 2 * (k3[j] as number) + (k4[j] as number)));
    }
  }
  return x;
}

/** What is seen of an input and the time that passes. */
const seen = (x: Vector, timed: boolean): [seen: Vector, time: number] => (timed ? [x.slice(0, 3), x[3] as number] : [x, 0.8]);

/** Algorithm 1 of the liquid networks with three steps an input: f = σ(W I + R x + μ), then the fused step. */
const fused =
  (timed: boolean): Equations =>
  (p, input, [start]) => {
    const [I, time] = seen(input, timed);
    const [tau, A] = [p.vector("log_tau").map(Math.exp), p.vector("reversal")];
    const delta = time / 3;
    let x = start as Vector;
    for (let k = 0; k < 3; k++) {
      const f = plus(times(p.matrix("weight_ih", 3), I), times(p.matrix("weight_hh", 4), x), p.vector("bias")).map(logistic);
      x = each((v, fj, a, t) => (v + delta * fj * a) / (1 + delta * (1 / t + fj)), x, f, A, tau);
    }
    return [x, [x]];
  };

/** The closed form: x' = σ(−(f t + τ))∘g + (1 − σ(−(f t + τ)))∘h behind a backbone of five units. */
const closedForm =
  (timed: boolean): Equations =>
  (p, input, [x]) => {
    const [I, t] = seen(input, timed);
    const layer = (name: string, v: Vector) => plus(times(p.matrix(`${name}.weight`, v.length), v), p.vector(`${name}.bias`));
    const s = layer("backbone", [...I, ...(x as Vector)]).map((v) => 1.7159 * Math.tanh((2 / 3) * v));
    const [g, h] = [layer("g", s).map(Math.tanh), layer("h", s).map(Math.tanh)];
    const gate = each((f, tau) => logistic(-(f * t + tau)), layer("f", s), layer("tau", s));
    const next = each((k, a, b) => k * a + (1 - k) * b, gate, g, h);
    return [next, [next]];
  };

describe("LiquidTimeConstant", () => {
  it.each([false, true])("is algorithm 1 from any state, values and derivatives; timed = %s", (timed) =>
    holdAgainst(liquid({ interval: 0.8, unfolds: 3, timed, inputSize: timed ? 4 : 3 }), fused(timed)),
  );

  it("has the gradients of its equations, and steps that equal its scan", () => accept(liquid({ interval: 0.7, unfolds: 3 })));

  it("converges to the solution of the differential equation, the error in proportion to the step", () => {
    const exact = solve(liquid(), inputs(5), 50);
    const errors = [50, 100, 200].map((unfolds) => {
      const x = numbers(liquid({ unfolds }).scan(sequence(5))[1]);
      return Math.max(...x.map((v, j) => Math.abs(v - (exact[j] as number))));
    }) as [number, number, number];
    expect(errors[2]).toBeLessThan(1e-3);
    expect(errors[0] / errors[1]).toBeCloseTo(2, 1);
    expect(errors[1] / errors[2]).toBeCloseTo(2, 1);
  });

  it("stays within the bounds of its reversal potentials under any input", () => {
    const cell = liquid();
    const bounds = numbers(cell.reversal);
    const ys = rows(reshape(cell.scan(mul(sequence(200), 100))[0], [200, 4]));
    for (const y of ys) {
      y.forEach((v, j) => {
        expect(v).toBeGreaterThanOrEqual(Math.min(0, bounds[j] as number));
        expect(v).toBeLessThanOrEqual(Math.max(0, bounds[j] as number));
      });
    }
  });

  it("learns to latch", () =>
    expect(latchError(liquid({ inputSize: 2, hiddenSize: 16, interval: 0.5, dtype: "float32" }), 600)).toBeLessThan(0.05));
});

describe("ClosedFormContinuousTime", () => {
  it.each([false, true])("is the paper's equation from any state, values and derivatives; timed = %s", (timed) =>
    holdAgainst(closed({ interval: 0.8, backboneSize: 5, timed, inputSize: timed ? 4 : 3 }), closedForm(timed)),
  );

  it("has the gradients of its equations, and steps that equal its scan", () => accept(closed({ backboneSize: 5, interval: 0.7 })));

  it("learns to latch", () => expect(latchError(closed({ inputSize: 2, hiddenSize: 16, dtype: "float32" }), 600)).toBeLessThan(0.05));
});

describe.each([
  ["LiquidTimeConstant", (more: { interval?: number; timed?: boolean; inputSize?: number }) => liquid({ unfolds: 2, ...more })],
  ["ClosedFormContinuousTime", (more: { interval?: number; timed?: boolean; inputSize?: number }) => closed(more)],
] as const)("%s with times among its inputs", (_, build) => {
  it("has the gradients of its equations, that of the times too", () => accept(build({ timed: true, inputSize: 4 })));

  it("is the cell of that interval", () => {
    const timed = build({ timed: true, inputSize: 4 });
    for (const interval of [0.3, 2]) {
      const plain = build({ interval });
      plain.loadStateDict(timed.stateDict());
      const xs = sequence(5);
      const given = cat([xs, full([5, 1, 1], interval, "float64")], -1);
      expectClose(timed.scan(given)[0], numbers(plain.scan(xs)[0]), 1e-12);
    }
  });

  it("needs an input beside the time, one is enough, and time that passes", () => {
    expect(() => build({ timed: true, inputSize: 1 })).toThrow("expected an input beside the time");
    expect(build({ timed: true, inputSize: 2 }).scan(full([1, 1, 2], 1, "float64"))[0].shape).toEqual([1, 1, 4]);
    expect(build({ inputSize: 1 }).scan(full([1, 1, 1], 1, "float64"))[0].shape).toEqual([1, 1, 4]);
    for (const interval of [0, -1, Number.NaN]) expect(() => build({ interval })).toThrow("expected interval above 0");
  });
});
