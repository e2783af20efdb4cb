import { describe, expect, it } from "vitest";
import { ArgumentError, ShapeError, StateError } from "../../src/base/errors.ts";
import { solve } from "../../src/numerics/matrix.ts";
import type { Ridge } from "../../src/numerics/ridge.ts";
import { slice } from "../../src/ops/shape.ts";
import { scanSteps } from "../../src/recurrence/recurrence.ts";
import { Stream } from "../../src/recurrence/stream.ts";
import { EchoStateNetwork, type EchoStateNetworkOptions } from "../../src/reservoirs/echo-state-network.ts";
import { fitOnline } from "../../src/reservoirs/fit-online.ts";
import { Reservoir, type ReservoirOptions } from "../../src/reservoirs/reservoir.ts";
import { zeros } from "../../src/tensor/create.ts";
import { Generator } from "../../src/tensor/random.ts";
import { type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { StackedRNN } from "../../src/wrappers/stacked.ts";

const numbers = (t: Tensor) => Array.from(t.data(), Number);
const column = (values: readonly number[]) => tensor([...values], { shape: [values.length, 1, 1], dtype: "float64" });

function reservoir(options: Partial<ReservoirOptions> = {}): Reservoir {
  return new Reservoir({
    inputSize: 1,
    hiddenSize: 15,
    connections: 4,
    dtype: "float64",
    generator: new Generator(1),
    biasScale: 0.2,
    ...options,
  });
}

function network(options: Partial<EchoStateNetworkOptions> = {}, of: Partial<ReservoirOptions> = {}): EchoStateNetwork {
  return new EchoStateNetwork(reservoir(of), { outputSize: 1, dtype: "float64", generator: new Generator(2), ...options });
}

/** Inputs, and as targets a product of past ones. */
function task(T: number, seed = 5) {
  const u = numbers(new Generator(seed).uniform([T], -1, 1, "float64"));
  return { xs: column(u), ys: column(u.map((v, t) => 0.5 * (u[t - 1] ?? 0) + 0.2 * v * (u[t - 2] ?? 0))) };
}

/** The weights (bias first) by elimination in the normal equations of rows [1; x; h]. */
function closedForm(rows: readonly (readonly number[])[], ys: readonly number[], ridge: number): number[] {
  const F = (rows[0] as readonly number[]).length;
  const gram = Array.from({ length: F }, (_, i) =>
    Array.from({ length: F }, (__, j) => rows.reduce((sum, row) => sum + (row[i] as number) * (row[j] as number), i === j ? ridge : 0)),
  );
  return solve(
    gram,
    Array.from({ length: F }, (_, i) => rows.reduce((sum, row, t) => sum + (row[i] as number) * (ys[t] as number), 0)),
  ) as number[];
}

/** The state of the first sequence at a step. */
const firstOf = (hs: readonly (readonly (readonly number[])[])[], t: number) => hs[t]?.[0] ?? [];

const readoutOf = ({ readout }: EchoStateNetwork) => [...numbers(readout.bias as Tensor), ...numbers(readout.weight)];

function expectNear(got: readonly number[], want: readonly number[], most: number): void {
  expect(got.length).toBe(want.length);
  want.forEach((w, i) => {
    expect(Math.abs((got[i] as number) - w) <= most, `${i}: ${got[i]} ${w}`).toBe(true);
  });
}

describe("fit", () => {
  it("is ridge regression on [1; x; h] after the washout, whatever the chunks", () => {
    const { xs, ys } = task(120);
    const net = network();
    const hs = net.reservoir.scan(xs)[0].toArray() as number[][][];
    const rows = numbers(xs).map((x, t) => [1, x, ...firstOf(hs, t)]);
    const want = closedForm(rows.slice(30), numbers(ys).slice(30), 1e-2);
    for (const chunk of [7, 30, 31, 500]) {
      const fit = net.fit(xs, ys, { washout: 30, ridge: 1e-2, chunk });
      expectNear(readoutOf(net), want, 1e-9);
      expect(fit).toMatchObject({ rows: 90, ridge: 1e-2 });
      expect(numbers(fit.state.reservoir)).toEqual(hs[119]?.[0]);
      const [read] = net.scan(xs);
      const errors = numbers(read).map((v, t) => v - (numbers(ys)[t] as number));
      const mse = errors.slice(30).reduce((sum, e) => sum + e * e, 0) / 90;
      expect(Math.abs(fit.meanSquaredError - mse) <= 1e-9).toBe(true);
    }
  });

  it("leaves out steps whose targets are missing", () => {
    const { xs, ys } = task(100);
    const gaps = numbers(ys).map((y, t) => (t % 3 === 0 ? Number.NaN : y));
    const net = network({ readInput: false });
    const hs = net.reservoir.scan(xs)[0].toArray() as number[][][];
    expect(net.fit(xs, column(gaps), { washout: 10, ridge: 0.1 }).rows).toBe(60);
    const kept = gaps.map((_, t) => t).filter((t) => t >= 10 && t % 3 !== 0);
    const want = closedForm(
      kept.map((t) => [1, ...firstOf(hs, t)]),
      kept.map((t) => gaps[t] as number),
      0.1,
    );
    expectNear(readoutOf(net), want, 1e-10);
  });

  it("with feedback reads the targets, and the state after it runs freely", () => {
    const sine = Array.from({ length: 400 }, (_, n) => 0.5 * Math.sin(n / 4));
    const net = network({ feedback: true }, { inputSize: 1, hiddenSize: 30, connections: 6, spectralRadius: 0.8 });
    expect(net.inputSize).toBe(0);
    const { state } = net.fit(zeros([300, 1, 0], "float64"), column(sine.slice(0, 300)), { washout: 50, ridge: 1e-8 });
    expect(numbers(state.y as Tensor)).toEqual([sine[299]]);
    const [ys] = net.scan(zeros([100, 1, 0], "float64"), state);
    expectNear(numbers(ys), sine.slice(300), 2e-3);
    const stream = new Stream(net);
    stream.state = state;
    expect(stream.whyEager).toBe(null);
    expect(Array.from({ length: 5 }, () => stream.step([])[0])).toEqual(numbers(ys).slice(0, 5));
  });

  it("of several sequences at once is that of their rows together", () => {
    const [a, b] = [task(80, 3), task(80, 4)];
    const both = (x: Tensor, y: Tensor) =>
      tensor(
        numbers(x).flatMap((v, t) => [v, numbers(y)[t] as number]),
        { shape: [80, 2, 1], dtype: "float64" },
      );
    const net = network({}, { hiddenSize: 5 });
    net.fit(both(a.xs, b.xs), both(a.ys, b.ys), { washout: 20, ridge: 0.3 });
    const rows = [a, b].flatMap(({ xs }) => {
      const hs = net.reservoir.scan(xs)[0].toArray() as number[][][];
      return numbers(xs)
        .map((x, t) => [1, x, ...firstOf(hs, t)])
        .slice(20);
    });
    expectNear(readoutOf(net), closedForm(rows, [...numbers(a.ys).slice(20), ...numbers(b.ys).slice(20)], 0.3), 1e-9);
  });

  it("refuses what cannot be fitted, and leaves the readout as it was", () => {
    const { xs, ys } = task(50);
    const net = network();
    const before = readoutOf(net);
    expect(() => net.fit(xs, ys, { washout: 50 })).toThrow(ArgumentError);
    expect(() => net.fit(xs, slice(ys, 0, 0, 49))).toThrow(ShapeError);
    expect(() => net.fit(column(numbers(xs).with(7, Number.NaN)), ys, { washout: 5 })).toThrow("got NaN at step 7");
    expect(() => net.fit(xs, column(new Array(50).fill(Number.NaN)), { washout: 5 })).toThrow(StateError);
    expect(() => net.fit(xs, ys, { washout: 5, ridge: -1 })).toThrow(ArgumentError);
    expect(() => net.scan(column([Number.NaN]))).toThrow(ArgumentError);
    expect(readoutOf(net)).toEqual(before);
    expect(() => network({ feedback: true, outputSize: 3 })).toThrow(ShapeError);
  });

  it("no jump of the error where the units become as many as the steps; with next to no penalty there is one", () => {
    const errorWith = (N: number, ridge: Ridge) => {
      const each = [1, 2, 3].map((seed) => {
        const noise = numbers(new Generator(50 + seed).normal([400], 0, 0.1, "float64"));
        const { xs, ys } = task(400, seed);
        const noisy = column(numbers(ys).map((y, t) => y + (noise[t] as number)));
        const net = network({}, { hiddenSize: N, connections: 8, generator: new Generator(seed) });
        const { state } = net.fit(slice(xs, 0, 0, 150), slice(noisy, 0, 0, 150), { washout: 50, ridge });
        const [read] = net.scan(slice(xs, 0, 150, 400), state);
        const truth = numbers(ys).slice(150);
        return numbers(read).reduce((sum, v, t) => sum + (v - (truth[t] as number)) ** 2, 0) / 250;
      });
      return each.reduce((a, b) => a + b, 0) / 3;
    };
    const errors = [40, 70, 90, 97, 98, 99, 104, 120, 160].map((N) => errorWith(N, "gcv"));
    expect(Math.max(...errors) <= 2 * Math.min(...errors), errors.join(" ")).toBe(true);
    expect(errorWith(98, 1e-9) > 10 * errorWith(40, 1e-9)).toBe(true);
  });
});

describe("a network", () => {
  it("runs by replay as step by step; a deep one by StackedRNN, whose readout sees all layers", () => {
    const layers = [reservoir(), reservoir({ inputSize: 16, hiddenSize: 6, generator: new Generator(7) })];
    const deep = new EchoStateNetwork(new StackedRNN(layers, { skip: true }), { outputSize: 2, dtype: "float64" });
    expect(deep.readout.inFeatures).toBe(1 + 15 + 6);
    const xs = task(12).xs;
    for (const net of [network(), deep] as EchoStateNetwork[]) {
      expect(net.whyEager(xs)).toBe(null);
      expect(net.scan(xs)[0].toArray()).toEqual(scanSteps(net, xs)[0].toArray());
    }
    const { ys } = task(200);
    const { rows } = new EchoStateNetwork(new StackedRNN(layers, { skip: true }), { outputSize: 1, dtype: "float64" }).fit(
      task(200).xs,
      ys,
    );
    expect(rows).toBe(100);
  });
});

describe("fitOnline", () => {
  it("on targets ends where fit does with the same λ", () => {
    const { xs, ys } = task(150);
    const [online, offline] = [network(), network()];
    const { errors, changes } = fitOnline(online, xs, ys, { ridge: 1e-2, washout: 20 });
    offline.fit(xs, ys, { ridge: 1e-2, washout: 20 });
    expectNear(readoutOf(online), readoutOf(offline), 1e-8);
    expect(errors.length).toBe(150);
    expect((changes[140] as number) < (changes[21] as number)).toBe(true);
    expect(changes[10]).toBe(0);
  });

  it("with forgetting follows targets that change, where plain least squares does not", () => {
    const { xs } = task(600);
    const turned = column(numbers(xs).map((_, t) => (t < 300 ? 0.5 : -0.5) * (numbers(xs)[t - 1] ?? 0)));
    const lastErrors = (forgetting: number) => {
      const { errors } = fitOnline(network(), xs, turned, { forgetting, ridge: 1e-2 });
      return errors.subarray(550).reduce((a, b) => a + b, 0) / 50;
    };
    expect(lastErrors(0.98) < 0.2 * lastErrors(1)).toBe(true);
  });

  it("FORCE: a chaotic network on its own output learns a pattern and keeps it", () => {
    const pattern = (n: number) => 0.6 * Math.sin(n / 8) + 0.3 * Math.sin(n / 4);
    const net = network(
      { feedback: true, readInput: false },
      { hiddenSize: 150, connections: 15, spectralRadius: 1.3, leak: 0.3, radiusOf: "weights" },
    );
    const T = 1500;
    const targets = column(Array.from({ length: T }, (_, n) => pattern(n)));
    const none = (steps: number) => zeros([steps, 1, 0], "float64");
    const untrained = numbers(net.scan(none(200))[0]);
    const { state, errors } = fitOnline(net, none(T), targets, { feedback: "output", ridge: 1 });
    // Errors are small from the first steps on, not only at the end: that is how FORCE differs.
    expect(errors.subarray(20, 200).every((e) => e < 0.5)).toBe(true);
    const free = numbers(net.scan(none(200), state)[0]);
    const worst = (read: readonly number[]) => Math.max(...read.map((v, n) => Math.abs(v - pattern(T + n))));
    expect(worst(free) < 0.1, `${worst(free)}`).toBe(true);
    expect(worst(untrained) > 0.5).toBe(true);
  });

  it("refuses batches and values that are missing", () => {
    const xs = zeros([5, 2, 1], "float64");
    expect(() => fitOnline(network(), xs, xs)).toThrow("expected one sequence");
    for (const washout of [2, 5]) {
      expect(() => fitOnline(network(), column([1, 2]), column([1, 1]), { washout })).toThrow("expected a washout below the 2 steps");
    }
    expect(() => fitOnline(network(), column([1, 2]), column([1, Number.NaN]))).toThrow("expected finite numbers in targets");
    expect(() => fitOnline(network(), column([1, Number.NaN]), column([1, 1]))).toThrow(ArgumentError);
    expect(() => fitOnline(network(), column([1, 1]), column([1, Number.NaN]))).toThrow(ArgumentError);
  });
});
