import { describe, expect, it } from "vitest";
import { ClosedFormContinuousTime, type ClosedFormOptions } from "../../../src/cells/timescales/closed-form.ts";
import { type LiquidOptions, LiquidTimeConstant } from "../../../src/cells/timescales/liquid.ts";
import type { Linear } from "../../../src/nn/layers.ts";
import { mul } from "../../../src/ops/arithmetic.ts";
import { reshape } from "../../../src/ops/broadcast.ts";
import { cat } from "../../../src/ops/shape.ts";
import { full } from "../../../src/tensor/create.ts";
import { Generator } from "../../../src/tensor/random.ts";
import type { Tensor } from "../../../src/tensor/tensor.ts";
import { logistic, plus, rows, times } from "../../oracle/numbers.ts";
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

describe("LiquidTimeConstant", () => {
  it("has the gradients of its equations, and steps that equal its scan", () => accept(liquid({ interval: 0.7, unfolds: 3 })));

  it("is the paper's fused step", () => {
    const cell = liquid({ interval: 0.8, unfolds: 4 });
    cell.loadStateDict(new Map([...cell.stateDict(), ["log_tau", new Generator(7).uniform([4], -1, 1, "float64")]]));
    const [leak, a] = [numbers(cell.logTau).map((v) => Math.exp(-v)), numbers(cell.reversal)];
    let x = [0, 0, 0, 0];
    for (const input of inputs(5)) {
      for (let k = 0; k < 4; k++) {
        const f = plus(times(rows(cell.weightIh), input), times(rows(cell.weightHh), x), numbers(cell.bias)).map(logistic);
        x = x.map((v, j) => (v + 0.2 * (f[j] as number) * (a[j] as number)) / (1 + 0.2 * ((leak[j] as number) + (f[j] as number))));
      }
    }
    expectClose(cell.scan(sequence(5))[1], x, 1e-12);
  });

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
  it("has the gradients of its equations, and steps that equal its scan", () => accept(closed({ backboneSize: 5, interval: 0.7 })));

  it("is the paper's equation", () => {
    const cell = closed({ interval: 0.7, backboneSize: 5 });
    const layer = (l: Linear, x: readonly number[]) => plus(times(rows(l.weight), x), numbers(l.bias as Tensor));
    let x = [0, 0, 0, 0];
    for (const input of inputs(5)) {
      const s = layer(cell.backbone, [...input, ...x]).map((v) => 1.7159 * Math.tanh((2 / 3) * v));
      const [g, h, f, tau] = [cell.g, cell.h, cell.f, cell.tau].map((l) => layer(l, s)) as [number[], number[], number[], number[]];
      x = g.map((gj, j) => {
        const gate = logistic(-((f[j] as number) * 0.7 + (tau[j] as number)));
        return gate * Math.tanh(gj) + (1 - gate) * Math.tanh(h[j] as number);
      });
    }
    expectClose(cell.scan(sequence(5))[1], x, 1e-12);
  });

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

  it("needs an input beside the time", () =>
    expect(() => build({ timed: true, inputSize: 1 })).toThrow("expected an input beside the time"));
});
