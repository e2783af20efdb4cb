/** Adjoints in continuous time: the integrator's own is exact, the equation's comes to it with the step. */

import { describe, expect, it } from "vitest";
import { track } from "../../src/autodiff/alias.ts";
import { gradients } from "../../src/autodiff/sweep.ts";
import { ArgumentError } from "../../src/base/errors.ts";
import { CTRNN, type CTRNNOptions } from "../../src/cells/timescales/ctrnn.ts";
import { LiquidTimeConstant } from "../../src/cells/timescales/liquid.ts";
import { PearlmutterNetwork, type PearlmutterOptions } from "../../src/cells/timescales/pearlmutter.ts";
import { type AdjointMode, continuousAdjoint, type GradientAlgorithm, usingGradients } from "../../src/learning/index.ts";
import { add, mul } from "../../src/ops/arithmetic.ts";
import { sum } from "../../src/ops/broadcast.ts";
import type { Recurrence, ScanOptions } from "../../src/recurrence/recurrence.ts";
import { stateTensors } from "../../src/recurrence/state.ts";
import { onesLike, zeros } from "../../src/tensor/create.ts";
import { Generator } from "../../src/tensor/random.ts";
import { scope, type Tensor } from "../../src/tensor/tensor.ts";
import { expectSlopes } from "./slopes.ts";

const dtype = "float64";
const flat = (ts: readonly (Tensor | null)[]): number[] => ts.flatMap((t) => Array.from(t?.data() ?? [], Number));

const ctrnn = (options: Partial<CTRNNOptions> = {}): Recurrence =>
  new CTRNN({
    inputSize: 2,
    hiddenSize: 3,
    interval: 0.5,
    bound: 2,
    tau: [0.5, 2],
    dtype,
    generator: new Generator(1),
    ...options,
  }) as never;
const pearlmutter = (options: Partial<PearlmutterOptions> = {}): PearlmutterNetwork =>
  new PearlmutterNetwork({ inputSize: 2, hiddenSize: 3, bound: 2, dtype, generator: new Generator(2), ...options });

interface Asked extends ScanOptions {
  readonly T?: number;
}

/** Gradients by parameter, input and first state, of a loss of outputs and the last state. */
function gradientsOf(cell: Recurrence, { T = 6, ...options }: Asked = {}, algorithm?: GradientAlgorithm): (Tensor | null)[] {
  const [B, generator] = [2, new Generator(7)];
  const xs = track(generator.uniform([T, B, cell.inputSize], -1, 1, dtype));
  const start = stateTensors(cell.initialState(B)).map((s) => track(generator.uniform([...s.shape], -1, 1, dtype)));
  const weights = new Generator(5).uniform([T, B, cell.outputSize], -1, 1, dtype);
  const loss = (): Tensor => {
    const [ys, last] = cell.scan(xs, start as never, options);
    return add(sum(mul(ys, weights)), sum(mul(stateTensors(last)[0] as Tensor, stateTensors(last)[0] as Tensor)));
  };
  const value = algorithm === undefined ? loss() : usingGradients(algorithm, cell, loss);
  return gradients([value], [...cell.parameters(), xs, ...start], [onesLike(value)]);
}

/** The largest difference of an element over the largest value; nothing and zeros are the same. */
function distance(got: readonly (Tensor | null)[], expected: readonly (Tensor | null)[]): number {
  const differences = expected.flatMap((e, i) => {
    const [a, b] = [flat([got[i] ?? null]), flat([e])];
    return Array.from({ length: Math.max(a.length, b.length) }, (_, k) => Math.abs((a[k] ?? 0) - (b[k] ?? 0)));
  });
  return Math.max(...differences) / Math.max(...flat(expected).map(Math.abs));
}

const systems: Readonly<Record<string, () => Recurrence>> = {
  "CTRNN, euler": () => ctrnn({ method: "euler", unfolds: 4 }),
  "CTRNN, heun": () => ctrnn({ method: "heun", unfolds: 2 }),
  "CTRNN, rk4": () => ctrnn({ unfolds: 2 }),
  "CTRNN, dormand-prince": () => ctrnn({ method: "dormand-prince", tolerance: 1e-4 }),
  "CTRNN, on a line": () => ctrnn({ method: "euler", interpolation: "linear" }),
  PearlmutterNetwork: () => pearlmutter() as never,
  "PearlmutterNetwork, delays": () => pearlmutter({ maxDelay: 0.35 }) as never,
};

describe("the adjoint of the integrator", () => {
  it.each(Object.keys(systems))("is backpropagation: %s", (name) => {
    const cell = systems[name]?.() as Recurrence;
    const adaptive = name.endsWith("dormand-prince");
    for (const options of [{}, { T: 1 }, ...(adaptive ? [] : [{ reverse: true }, { lengths: [6, 2] }])]) {
      scope(() => {
        const expected = gradientsOf(cell, options);
        expect(distance(gradientsOf(cell, options, continuousAdjoint()), expected)).toBeLessThanOrEqual(1e-12);
      });
    }
  });
});

describe("the adjoint equation", () => {
  const slopeOf = (errors: readonly number[]): number => Math.log2((errors[0] as number) / (errors.at(-1) as number)) / (errors.length - 1);
  const gaps = (mode: AdjointMode, method: "euler" | "heun" | "rk4", unfolds: readonly number[]): number[] =>
    unfolds.map((n) =>
      scope(() => {
        const cell = ctrnn({ method, unfolds: n });
        return distance(gradientsOf(cell, {}, continuousAdjoint({ mode })), gradientsOf(cell, {}, continuousAdjoint()));
      }),
    );

  it.each(["stored", "reintegrated"] as const)("comes to the integrator's with the order of the method: %s", (mode) => {
    const euler = gaps(mode, "euler", [8, 16, 32]);
    expect(euler[0]).toBeGreaterThan(1e-3);
    expect(Math.abs(slopeOf(euler) - 1)).toBeLessThanOrEqual(0.2);
    // There and back again, the first error of an even order cancels.
    const second = slopeOf(gaps(mode, "heun", [4, 8, 16]));
    expect(Math.abs(second - (mode === "stored" ? 2 : 3))).toBeLessThanOrEqual(0.3);
    const fourth = gaps(mode, "rk4", [2, 4, 8]);
    expect(slopeOf(fourth)).toBeGreaterThan(3.5);
    expect(fourth[2]).toBeLessThan(1e-5);
  });

  it("says how far re-integration has come from where it began", () => {
    const gap = (tau: number, unfolds: number): number => {
      let found = Number.NaN;
      const algorithm = continuousAdjoint({ mode: "reintegrated", report: (r) => (found = r.gap) });
      scope(() => gradientsOf(ctrnn({ method: "euler", unfolds, tau: [tau, tau] }), {}, algorithm));
      return found;
    };
    const coarse = gap(1, 8);
    expect(coarse).toBeGreaterThan(1e-3);
    expect(Math.abs(Math.log2(coarse / gap(1, 16)) - 1)).toBeLessThanOrEqual(0.3);
    // Fast units forget: the way back is unstable, and errors grow by e^(3/τ).
    expect(gap(0.25, 8)).toBeGreaterThan(50 * coarse);
    expect(Math.abs(Math.log2(gap(1, 64) / gap(1, 128)) - 1)).toBeLessThanOrEqual(0.1);
  });

  it("is Pearlmutter's", () => {
    const cell = pearlmutter();
    const [T, H, h] = [40, 3, cell.interval];
    const generator = new Generator(3);
    const xs = generator.uniform([T, 1, 2], -1, 1, dtype);
    const errors = generator.uniform([T, 1, H], -1, 1, dtype);
    const [ys] = continuousAdjoint({ mode: "stored" }).scan(cell as never as Recurrence, xs);
    const parameters = [cell.weightHh, cell.bias, cell.weightIh, cell.rawTau];
    const [dW, db, dU, dRaw] = gradients([ys], parameters, [errors]).map((g) => flat([g])) as [number[], number[], number[], number[]];
    // The paper's equations on plain numbers, solved backwards by Euler's method.
    const W = cell.weightHh.toArray() as number[][];
    const [b, U] = [cell.bias.toArray() as number[], cell.weightIh.toArray() as number[][]];
    const tau = cell.tau.toArray() as number[];
    const y = [[0, 0, 0], ...((ys.toArray() as number[][][]).map(([row]) => row) as number[][])];
    const e = (errors.toArray() as number[][][]).map(([row]) => row as number[]);
    const input = (xs.toArray() as number[][][]).map(([row]) => row as number[]);
    const units = [0, 1, 2];
    const total = { W: units.map(() => [0, 0, 0]), b: [0, 0, 0], U: units.map(() => [0, 0]), tau: [0, 0, 0] };
    let z = [0, 0, 0];
    for (let t = T - 1; t >= 0; t--) {
      z = z.map((v, i) => v + (e[t]?.[i] as number));
      const at = y[t + 1] as number[];
      const net = units.map((i) => (W[i] as number[]).reduce((s, w, j) => s + w * (at[j] as number), b[i] as number));
      const s = net.map((v) => 1 / (1 + Math.exp(-v)));
      const scaled = units.map((i) => ((s[i] as number) * (1 - (s[i] as number)) * (z[i] as number)) / (tau[i] as number));
      const rise = units.map((i) => {
        const drive = (U[i] as number[]).reduce((d, u, k) => d + u * (input[t]?.[k] as number), 0);
        return ((s[i] as number) - (at[i] as number) + drive) / (tau[i] as number);
      });
      for (const i of units) {
        for (const j of units) (total.W[i] as number[])[j]! += h * (scaled[i] as number) * (at[j] as number);
        for (const k of [0, 1]) (total.U[i] as number[])[k]! += (h * (z[i] as number) * (input[t]?.[k] as number)) / (tau[i] as number);
        total.b[i]! += h * (scaled[i] as number);
        total.tau[i]! -= (h * (z[i] as number) * (rise[i] as number)) / (tau[i] as number);
      }
      // dz_i/dt = z_i/T_i − Σ_j w_ji s′(x_j) z_j / T_j
      z = z.map((v, i) => v - h * (v / (tau[i] as number) - units.reduce((d, j) => d + (W[j]?.[i] as number) * (scaled[j] as number), 0)));
    }
    const expectClose = (got: readonly number[], expected: readonly number[]): void => {
      expect(got.length).toBe(expected.length);
      got.forEach((v, i) => expect(Math.abs(v - (expected[i] as number))).toBeLessThanOrEqual(1e-12 * Math.max(1, Math.abs(v))));
    };
    expectClose(dW, total.W.flat());
    expectClose(db, total.b);
    expectClose(dU, total.U.flat());
    const raw = cell.rawTau.toArray() as number[];
    expectClose(
      dRaw,
      total.tau.map((g, i) => g / (1 + Math.exp(-(raw[i] as number)))),
    );
  });

  it("is refused where it has no meaning", () => {
    const xs = zeros([2, 1, 2], dtype);
    const run = (cell: Recurrence, mode: AdjointMode) => () => continuousAdjoint({ mode }).scan(cell, xs);
    expect(run(new LiquidTimeConstant({ inputSize: 2, hiddenSize: 2, dtype }) as never, "discrete")).toThrow(
      /in continuous time, got Liquid/,
    );
    expect(run(ctrnn({ method: "dormand-prince" }), "stored")).toThrow(/steps of one size/);
    expect(run(ctrnn({ interpolation: "linear" }), "stored")).toThrow(/y alone/);
    expect(run(pearlmutter({ maxDelay: 0.3 }) as never, "reintegrated")).toThrow(ArgumentError);
    expect(() => continuousAdjoint({ mode: "exact" as never })).toThrow(ArgumentError);
  });
});

describe("Pearlmutter's network", () => {
  it("follows its equation, delays among it", () => {
    const cell = pearlmutter({ maxDelay: 0.35 });
    const [T, h] = [30, cell.interval];
    const xs = new Generator(3).uniform([T, 1, 2], -1, 1, dtype);
    const got = (cell.scan(xs)[0].toArray() as number[][][]).map(([row]) => row as number[]);
    const [W, tau, U] = [cell.weightHh.toArray(), cell.tau.toArray(), cell.weightIh.toArray()] as [number[][], number[], number[][]];
    const [b, delays] = [cell.bias.toArray(), (cell.delays as Tensor).toArray()] as [number[], number[][]];
    const input = (xs.toArray() as number[][][]).map(([row]) => row as number[]);
    const y: number[][] = [[0, 0, 0]];
    /** y_j at a time, on a line between two steps; zero before the start. */
    const at = (j: number, time: number): number => {
      const [k, part] = [Math.floor(time / h), time / h - Math.floor(time / h)];
      return (1 - part) * (y[k]?.[j] ?? 0) + part * (y[k + 1]?.[j] ?? 0);
    };
    for (let t = 0; t < T; t++) {
      y.push(
        [0, 1, 2].map((i) => {
          const net = (W[i] as number[]).reduce((s, w, j) => s + w * at(j, t * h - (delays[i]?.[j] as number)), b[i] as number);
          const drive = (U[i] as number[]).reduce((d, u, k) => d + u * (input[t]?.[k] as number), 0);
          const now = y[t]?.[i] as number;
          return now + (h / (tau[i] as number)) * (-now + 1 / (1 + Math.exp(-net)) + drive);
        }),
      );
    }
    expect(Math.max(...delays.flat()) - Math.min(...delays.flat())).toBeGreaterThan(h);
    got.flat().forEach((v, i) => expect(Math.abs(v - (y.slice(1).flat()[i] as number))).toBeLessThanOrEqual(1e-12));
    expect((pearlmutter({ tau: 3 }).tau.toArray() as number[]).every((v) => Math.abs(v - 3) < 1e-12)).toBe(true);
    expect(cell.whyEager(xs)).toBeNull();
  });

  it("has gradients of weights, time constants and delays that finite differences have", () => {
    const cell = pearlmutter({ maxDelay: 0.35 });
    const xs = new Generator(3).uniform([12, 1, 2], -1, 1, dtype);
    const loss = (): Tensor => {
      const [ys] = cell.scan(xs);
      return sum(mul(ys, ys));
    };
    const value = usingGradients(continuousAdjoint(), cell as never as Recurrence, loss);
    const found = gradients([value], cell.parameters(), [onesLike(value)]);
    expect([...cell.namedParameters()].map(([name]) => name).sort()).toEqual(["bias", "raw_delay", "raw_tau", "weight_hh", "weight_ih"]);
    expectSlopes(cell.parameters(), found, loss, { least: 1e-7, tolerance: 1e-8 });
  });

  it("refuses what is out of range", () => {
    const make = (options: Partial<PearlmutterOptions>) => () => pearlmutter(options);
    expect(make({ hiddenSize: 0 })).toThrow(ArgumentError);
    expect(make({ interval: 0 })).toThrow(/interval above 0/);
    expect(make({ tau: 0.1 })).toThrow(/tau above 0.1/);
    expect(make({ maxDelay: -1 })).toThrow(/maxDelay above 0/);
    expect(make({ activation: "step" as never })).toThrow(ArgumentError);
  });
});
