/** Networks at rest: recurrent backpropagation against long unrolled scans, equilibrium propagation against that. */

import { describe, expect, it } from "vitest";
import { track } from "../../src/autodiff/alias.ts";
import { gradients } from "../../src/autodiff/sweep.ts";
import { ArgumentError, StateError } from "../../src/base/errors.ts";
import { FullyRecurrentNetwork } from "../../src/cells/simple/fully-recurrent.ts";
import {
  EquilibriumNetwork,
  equilibrium,
  equilibriumPropagation,
  type FixedPointReport,
  fixedPoint,
  type GradientAlgorithm,
  usingGradients,
} from "../../src/learning/index.ts";
import { type FixedPointSolver, solveFixedPoint } from "../../src/numerics/index.ts";
import { add, mul, sub } from "../../src/ops/arithmetic.ts";
import { broadcastTo, sum } from "../../src/ops/broadcast.ts";
import { cos } from "../../src/ops/math.ts";
import { select, unsqueeze } from "../../src/ops/shape.ts";
import type { Recurrence, ScanOptions } from "../../src/recurrence/recurrence.ts";
import { LSTMCell } from "../../src/recurrence/rnn-cells.ts";
import { stateTensors } from "../../src/recurrence/state.ts";
import { onesLike, zeros } from "../../src/tensor/create.ts";
import { Generator } from "../../src/tensor/random.ts";
import { scope, type Tensor } from "../../src/tensor/tensor.ts";

const dtype = "float64";
const solvers: readonly FixedPointSolver[] = ["picard", "anderson", "broyden"];
const flat = (ts: readonly (Tensor | null)[]): number[] => ts.flatMap((t) => Array.from(t?.data() ?? [], Number));

function largest(got: readonly number[], expected: readonly number[]): number {
  expect(got.length).toBe(expected.length);
  return Math.max(...got.map((v, i) => Math.abs(v - (expected[i] as number)))) / Math.max(...expected.map(Math.abs));
}

function cosine(a: readonly number[], b: readonly number[]): number {
  const dot = (p: readonly number[], q: readonly number[]) => p.reduce((total, v, i) => total + v * (q[i] as number), 0);
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
}

/** Gradients of parameters and of one input that is there all the time, for a loss of the last output and state. */
function gradientsOf(cell: Recurrence, T: number, algorithm?: GradientAlgorithm, options: ScanOptions = {}): number[] {
  const generator = new Generator(8);
  const x = track(generator.uniform([2, cell.inputSize], -1, 1, dtype));
  const target = generator.uniform([2, cell.outputSize], -1, 1, dtype);
  const loss = (): Tensor => {
    const [ys, last] = cell.scan(broadcastTo(unsqueeze(x, 0), [T, ...x.shape]), undefined, options);
    const error = sub(select(ys, 0, T - 1), target);
    return stateTensors(last).reduce((total, s) => add(total, sum(mul(s, mul(s, s)))), sum(mul(error, error)));
  };
  const value = algorithm === undefined ? loss() : usingGradients(algorithm, cell, loss);
  return flat(gradients([value], [...cell.parameters(), x], [onesLike(value)]));
}

const networks: Readonly<Record<string, () => Recurrence>> = {
  "a network of Pineda": () =>
    new FullyRecurrentNetwork({
      inputSize: 2,
      units: 6,
      outputSize: 3,
      activation: "tanh",
      bound: 0.4,
      dtype,
      generator: new Generator(1),
    }) as never,
  "an LSTM": () => new LSTMCell({ inputSize: 2, hiddenSize: 3, dtype, generator: new Generator(2) }) as never,
  "units with an energy": () =>
    new EquilibriumNetwork({ inputSize: 2, hiddenSize: 6, activation: "tanh", dtype, generator: new Generator(3) }) as never,
};

describe("solvers of fixed points", () => {
  it.each(solvers)("find the cosine's fixed point: %s", (solver) => {
    const { z, iterations, residual } = solveFixedPoint((v) => cos(v), zeros([1], dtype), { solver, tolerance: 1e-13 });
    expect(Math.abs(z.item() - 0.7390851332151607)).toBeLessThanOrEqual(1e-12);
    expect(residual).toBeLessThanOrEqual(1e-13);
    if (solver === "picard") expect(iterations).toBeGreaterThan(60);
    else expect(iterations).toBeLessThan(12);
  });

  it("solve linear systems, where iteration alone is slow or runs away", () => {
    const generator = new Generator(4);
    const A = generator.uniform([8, 8], -0.35, 0.35, dtype);
    const b = generator.uniform([8], -1, 1, dtype);
    const f = (z: Tensor): Tensor => add(sum(mul(A, z), { axis: 1 }), b);
    const all = solvers.map((solver) => solveFixedPoint(f, zeros([8], dtype), { solver, tolerance: 1e-12, memory: 12 }));
    const [picard, anderson, broyden] = all as [(typeof all)[0], (typeof all)[0], (typeof all)[0]];
    for (const { z } of [anderson, broyden]) expect(largest(flat([z]), flat([picard.z]))).toBeLessThanOrEqual(1e-10);
    expect(anderson.iterations).toBeLessThan(picard.iterations / 2);
    expect(broyden.iterations).toBeLessThan(picard.iterations / 2);
    const away = (z: Tensor): Tensor => sub(1, mul(z, 3));
    expect(() => solveFixedPoint(away, zeros([1], dtype))).toThrow(StateError);
    for (const solver of ["anderson", "broyden"] as const) {
      expect(Math.abs(solveFixedPoint(away, zeros([1], dtype), { solver }).z.item() - 0.25)).toBeLessThanOrEqual(1e-9);
    }
  });

  it("refuse what they cannot do", () => {
    const f = (z: Tensor): Tensor => cos(z);
    const z0 = zeros([1], dtype);
    expect(() => solveFixedPoint(f, z0, { maxIterations: 3 })).toThrow(/within 3 evaluations by picard, got 0\.\d+ after 3/);
    expect(() => solveFixedPoint((z) => mul(z, Number.NaN), z0)).toThrow(StateError);
    expect(() => solveFixedPoint(f, z0, { solver: "newton" as never })).toThrow(ArgumentError);
    expect(() => solveFixedPoint(f, z0, { tolerance: 0 })).toThrow(ArgumentError);
    expect(() => solveFixedPoint(f, z0, { memory: 0 })).toThrow(ArgumentError);
    expect(() => solveFixedPoint(() => zeros([2], dtype), z0)).toThrow(/of shape/);
  });
});

describe("recurrent backpropagation", () => {
  it.each(Object.keys(networks))("is backpropagation through 500 steps: %s", (name) => {
    const cell = networks[name]?.() as Recurrence;
    const unrolled = gradientsOf(cell, 500);
    expect(Math.max(...unrolled.map(Math.abs))).toBeGreaterThan(0.1);
    for (const solver of solvers) {
      const reports: FixedPointReport[] = [];
      const found = gradientsOf(cell, 500, fixedPoint({ solver, report: (r) => reports.push(r) }));
      expect(largest(found, unrolled)).toBeLessThanOrEqual(1e-8);
      expect(reports.length).toBe(1);
      const [{ atRest, residual, iterations }] = reports as [FixedPointReport];
      expect(atRest).toBeLessThan(1e-8);
      expect(residual).toBeLessThanOrEqual(1e-10);
      expect(iterations).toBeGreaterThan(1);
      expect(iterations).toBeLessThan(400);
    }
  });

  it("refuses a network that is not at rest, and a loss on the way there", () => {
    const cell = networks["a network of Pineda"]?.() as Recurrence;
    expect(() => gradientsOf(cell, 3, fixedPoint())).toThrow(StateError);
    expect(() => gradientsOf(cell, 3, fixedPoint())).toThrow(/a state at rest, that another step changes by at most 1e-8, got a change of/);
    const early = () =>
      usingGradients(fixedPoint(), cell, () => {
        const loss = sum(cell.scan(zeros([200, 1, 2], dtype))[0]);
        return gradients([loss], cell.parameters(), [onesLike(loss)]);
      });
    expect(early).toThrow(ArgumentError);
    expect(() => fixedPoint({ rest: -1 })).toThrow(ArgumentError);
    expect(() => fixedPoint({ solver: "newton" as never })).toThrow(ArgumentError);
    expect(() => gradientsOf(cell, 500, fixedPoint({ maxIterations: 2 }))).toThrow(/within 2 evaluations/);
  });

  it("takes sequences that stop earlier, once they rest", () => {
    const cell = networks["units with an energy"]?.() as Recurrence;
    const T = 300;
    const options = { lengths: [T, 200] };
    const x = broadcastTo(unsqueeze(new Generator(8).uniform([2, 2], -1, 1, dtype), 0), [T, 2, 2]);
    const weights = new Generator(9).uniform([2, 6], 0.5, 1, dtype);
    const run = (algorithm?: GradientAlgorithm): number[] => {
      const loss = () => sum(mul(cell.scan(x, undefined, options)[1] as Tensor, weights));
      const value = algorithm === undefined ? loss() : usingGradients(algorithm, cell, loss);
      return flat(gradients([value], cell.parameters(), [onesLike(value)]));
    };
    expect(largest(run(fixedPoint()), run())).toBeLessThanOrEqual(1e-8);
  });

  it("makes a deep equilibrium of any recurrence", () => {
    const cell = networks["a network of Pineda"]?.() as Recurrence;
    const generator = new Generator(8);
    const x = track(generator.uniform([2, 2], -1, 1, dtype));
    const weights = generator.uniform([2, 3], -1, 1, dtype);
    const [ys] = cell.scan(broadcastTo(unsqueeze(x, 0), [500, 2, 2]));
    const expected = sum(mul(select(ys, 0, 499), weights));
    const inputs = [...cell.parameters(), x];
    const unrolled = flat(gradients([expected], inputs, [onesLike(expected)]));
    for (const solver of solvers) {
      const { y, iterations, residual } = equilibrium(cell, x, { solver });
      expect(residual).toBeLessThanOrEqual(1e-10);
      expect(iterations).toBeLessThan(solver === "picard" ? 200 : 60);
      const got = sum(mul(y, weights));
      expect(Math.abs(got.item() - expected.item())).toBeLessThanOrEqual(1e-9);
      expect(largest(flat(gradients([got], inputs, [onesLike(got)])), unrolled)).toBeLessThanOrEqual(1e-8);
    }
    expect(() => equilibrium(cell, x, { maxIterations: 2 })).toThrow(StateError);
  });
});

describe("equilibrium propagation", () => {
  const network = () => networks["units with an energy"]?.() as EquilibriumNetwork & Recurrence;

  it("goes down the energy that the network names", () => {
    const cell = network();
    const generator = new Generator(5);
    const [x, s] = [generator.uniform([3, 2], -1, 1, dtype), track(generator.uniform([3, 6], -1, 1, dtype))];
    const E = sum(cell.energy(x, s));
    const slope = gradients([E], [s], [onesLike(E)])[0] as Tensor;
    const step = sub(s.detach(), cell.step(x, s.detach())[1]);
    expect(largest(flat([step]), flat([mul(slope, cell.rate)]))).toBeLessThanOrEqual(1e-12);
    const W = cell.weight.toArray() as number[][];
    expect(W.every((row, i) => row.every((w, j) => w === W[j]?.[i] && (i !== j || w === 0)))).toBe(true);
    expect(Math.max(...W.flat())).toBeGreaterThan(0.1);
    const energies = Array.from({ length: 20 }, (_, T) =>
      scope(() => sum(cell.energy(x, cell.scan(broadcastTo(unsqueeze(x, 0), [T + 1, 3, 2]))[1])).item()),
    );
    expect(energies.every((e, t) => t === 0 || e <= (energies[t - 1] as number) + 1e-12)).toBe(true);
  });

  it("is recurrent backpropagation for small β, with an error that falls as β²", () => {
    for (const activation of ["tanh", "logistic"] as const) {
      const cell = new EquilibriumNetwork({
        inputSize: 2,
        hiddenSize: 6,
        activation,
        dtype,
        generator: new Generator(3),
      }) as never as Recurrence;
      const exact = gradientsOf(cell, 500, fixedPoint());
      const found = (beta: number, solver: FixedPointSolver = "anderson") =>
        gradientsOf(cell, 500, equilibriumPropagation({ beta, solver, tolerance: 1e-13, maxIterations: 3000 }));
      expect(cosine(found(1e-3), exact)).toBeGreaterThan(0.999);
      expect(largest(found(1e-3), exact)).toBeLessThanOrEqual(1e-5);
      const errors = [0.016, 0.008, 0.004].map((beta) => largest(found(beta), exact));
      for (const [i, e] of errors.slice(1).entries()) {
        const slope = Math.log2((errors[i] as number) / e);
        expect(Math.abs(slope - 2)).toBeLessThanOrEqual(0.2);
      }
      expect(largest(found(0.02, "picard"), found(0.02))).toBeLessThanOrEqual(1e-7);
    }
  });

  it("refuses what has no energy, is not at rest, or is asked on the way", () => {
    expect(() => equilibriumPropagation().scan(networks["an LSTM"]?.() as Recurrence, zeros([3, 1, 2], dtype))).toThrow(/got LSTMCell/);
    expect(() => gradientsOf(network(), 2, equilibriumPropagation())).toThrow(/a state at rest/);
    expect(() => equilibriumPropagation({ beta: 0 })).toThrow(ArgumentError);
    expect(() => equilibriumPropagation({ rate: Number.NaN })).toThrow(ArgumentError);
    expect(() => new EquilibriumNetwork({ inputSize: 1, hiddenSize: 0 })).toThrow(ArgumentError);
    expect(() => new EquilibriumNetwork({ inputSize: 1, hiddenSize: 2, rate: 2 })).toThrow(ArgumentError);
    const cell = network();
    const early = () => {
      const loss = usingGradients(equilibriumPropagation(), cell, () => sum(cell.scan(zeros([200, 1, 2], dtype))[0]));
      return gradients([loss], cell.parameters(), [onesLike(loss)]);
    };
    expect(early).toThrow(/a loss of the last output or state/);
    const wide = new (class extends EquilibriumNetwork {
      override step(x: Tensor, s: Tensor): [Tensor, Tensor] {
        const [, next] = super.step(x, s);
        return [sum(next, { axis: 1, keepDim: true }), next];
      }
    })({ inputSize: 2, hiddenSize: 3, dtype });
    const other = () => {
      const loss = usingGradients(equilibriumPropagation(), wide, () => sum(select(wide.scan(zeros([200, 1, 2], dtype))[0], 0, 199)));
      return gradients([loss], wide.parameters(), [onesLike(loss)]);
    };
    expect(other).toThrow(/puts out its state/);
  });
});
