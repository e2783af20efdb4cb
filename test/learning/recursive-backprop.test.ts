/** Recursive backpropagation against autodiff, and its causal form against the paper's sums on plain numbers. */

import { describe, expect, it } from "vitest";
import { track } from "../../src/autodiff/alias.ts";
import { gradients } from "../../src/autodiff/sweep.ts";
import { ArgumentError } from "../../src/base/errors.ts";
import { LocalFeedbackLayer, LocalFeedbackNetwork, type LocalFeedbackNetworkOptions } from "../../src/cells/delays/local-feedback.ts";
import { crbp, type GradientAlgorithm, projectPoles, rbp, usingGradients } from "../../src/learning/index.ts";
import { contracted, poles, polesInside } from "../../src/numerics/index.ts";
import { add, mul } from "../../src/ops/arithmetic.ts";
import { sum } from "../../src/ops/broadcast.ts";
import type { Recurrence, ScanOptions } from "../../src/recurrence/recurrence.ts";
import { RNNCell } from "../../src/recurrence/rnn-cells.ts";
import { mapState, type State, stateTensors } from "../../src/recurrence/state.ts";
import { onesLike, zeros } from "../../src/tensor/create.ts";
import { Generator } from "../../src/tensor/random.ts";
import { assign, scope, type Tensor, tensor } from "../../src/tensor/tensor.ts";

const dtype = "float64";

function network(options: Omit<LocalFeedbackNetworkOptions, "dtype" | "generator">, seed = 3): LocalFeedbackNetwork {
  const net = new LocalFeedbackNetwork({ ...options, dtype, generator: new Generator(seed) });
  const generator = new Generator(seed + 1);
  // Poles that are felt over many steps.
  for (const { weightFb } of net.layers) if (weightFb) assign(weightFb, generator.uniform([...weightFb.shape], -0.4, 0.4, dtype).data());
  return net;
}

interface Found {
  readonly all: readonly (Tensor | null)[];
  readonly parameters: readonly (Tensor | null)[];
}

/** Gradients by parameter, input and first state of a loss of all outputs, and of the last state if `ends`. */
function gradientsOf(cell: Recurrence, options: ScanOptions & { T?: number; ends?: boolean } = {}, algorithm?: GradientAlgorithm): Found {
  const { T = 9, ends = true, ...scanOptions } = options;
  const [B, generator] = [2, new Generator(7)];
  const xs = track(generator.uniform([T, B, cell.inputSize], -1, 1, dtype));
  const start = mapState((s) => track(generator.uniform([...s.shape], -1, 1, dtype)), cell.initialState(B));
  const loss = (): Tensor => {
    const [ys, last] = cell.scan(xs, start as State, scanOptions);
    const score = sum(mul(ys, new Generator(5).uniform([...ys.shape], -1, 1, dtype)));
    return ends ? stateTensors(last).reduce((total, s) => add(total, sum(mul(s, s))), score) : score;
  };
  const value = algorithm === undefined ? loss() : usingGradients(algorithm, cell, loss);
  const parameters = cell.parameters();
  const all = gradients([value], [...parameters, xs, ...stateTensors(start)], [onesLike(value)]);
  return { all, parameters: all.slice(0, parameters.length) };
}

const flat = (ts: readonly (Tensor | null)[]): number[] => ts.flatMap((t) => Array.from(t?.data() ?? [], Number));

/** The largest difference over the largest value. */
function distance(got: readonly (Tensor | null)[], expected: readonly (Tensor | null)[]): number {
  const [a, b] = [flat(got), flat(expected)];
  if (a.length !== b.length) return Number.NaN;
  const size = Math.max(...b.map(Math.abs));
  return Math.max(...a.map((v, i) => Math.abs(v - (b[i] as number)))) / size;
}

const any = (cell: unknown) => cell as Recurrence;

const cells: Readonly<Record<string, () => Recurrence>> = {
  "a layer": () =>
    any(new LocalFeedbackLayer({ inputSize: 3, outputSize: 2, inputDelays: 2, feedbackDelays: 2, dtype, generator: new Generator(1) })),
  static: () => any(network({ sizes: [2, 3, 2] })),
  FIR: () => any(network({ sizes: [2, 3, 2], inputDelays: 3 })),
  IIR: () => any(network({ sizes: [2, 3, 3, 1], inputDelays: 2, feedbackDelays: 3 })),
  "feedback alone": () => any(network({ sizes: [1, 2, 1], feedbackDelays: 1 })),
  lattice: () => any(network({ sizes: [2, 2, 1], inputDelays: 1, feedbackDelays: 3, lattice: true })),
  "other functions": () =>
    any(network({ sizes: [2, 3, 1], inputDelays: 1, feedbackDelays: 2, activation: "logistic", outputActivation: "tanh" })),
};

describe("recursive backpropagation", () => {
  it.each(Object.keys(cells))("is the gradient: %s", (name) => {
    const cell = cells[name]?.() as Recurrence;
    // Two steps are fewer than the lines are long.
    const scans = [{}, { T: 2 }, { T: 1 }, { reverse: true }, { lengths: [9, 4] }, { lengths: [0, 2], reverse: true }];
    for (const options of scans) {
      scope(() => {
        const expected = gradientsOf(cell, options);
        expect(flat(expected.parameters).some((g) => Math.abs(g) > 1e-3)).toBe(true);
        expect(distance(gradientsOf(cell, options, rbp()).all, expected.all)).toBeLessThanOrEqual(1e-12);
      });
    }
  });

  it("leaves frozen parameters and what lies beyond a sequence's end alone", () => {
    const net = network({ sizes: [1, 2, 1], inputDelays: 1, feedbackDelays: 1 });
    const [first] = net.parameters();
    (first as Tensor).requiresGrad = false;
    const expected = gradientsOf(any(net));
    const got = gradientsOf(any(net), {}, rbp());
    expect(got.parameters[0]).toBeNull();
    expect(distance(got.all, expected.all)).toBeLessThanOrEqual(1e-12);
    const xs = tensor(
      [
        [[1], [2]],
        [[3], [Number.NaN]],
      ],
      { dtype },
    );
    const [ys] = rbp().scan(net, xs, undefined, { lengths: [2, 1] });
    const [g] = gradients([sum(ys)], [(net.layers[0] as LocalFeedbackLayer).bias], [zeros([], dtype)]);
    expect(flat([g as Tensor]).every(Number.isFinite)).toBe(true);
  });

  it("agrees in float32", () => {
    const net = new LocalFeedbackNetwork({ sizes: [2, 4, 1], inputDelays: 2, feedbackDelays: 2, generator: new Generator(3) });
    const xs = new Generator(4).uniform([50, 3, 2], -1, 1);
    const run = (algorithm?: GradientAlgorithm) => {
      const [ys] = algorithm === undefined ? net.scan(xs) : algorithm.scan(net, xs);
      const loss = sum(mul(ys, ys));
      return gradients([loss], net.parameters(), [onesLike(loss)]);
    };
    expect(distance(run(rbp()), run())).toBeLessThanOrEqual(1e-5);
  });
});

// ---- The causal form, from the paper's definition on plain numbers ----

type Rows = number[][];
interface PlainLayer {
  /** [O][P+1][I], [Q][O][I], [O] */
  readonly b: number[][][];
  readonly a: number[][][];
  readonly c: number[];
  readonly linear: boolean;
}

function plain({ weightIh, weightFb, bias }: LocalFeedbackLayer, linear: boolean): PlainLayer {
  return { b: weightIh.toArray() as number[][][], a: (weightFb?.toArray() ?? []) as number[][][], c: bias.toArray() as number[], linear };
}

/** Σ over taps of a signal that is zero before time 0. */
const at = (signal: readonly number[], t: number): number => signal[t] ?? 0;

/** w(p) for p < L, and v(1) … v(I), of the synapse from j to i. */
const taps = (layer: PlainLayer, i: number, j: number) => ({
  w: (layer.b[i] as Rows).map((row) => row[j] as number),
  v: layer.a.map((rows) => (rows[i] as number[])[j] as number),
});

/** The recursion y[t] = u[t] + Σ_r v(r) y[t−r]: forward signals and the paper's traces alike. */
function recursion(u: readonly number[], v: readonly number[]): number[] {
  const y: number[] = [];
  for (const [t, value] of u.entries()) y.push(v.reduce((total, c, r) => total + c * at(y, t - r - 1), value));
  return y;
}

interface PlainGradient {
  readonly db: number[][][];
  readonly da: number[][][];
  readonly dc: number[];
}

/** Gradients of Σ_t Σ_i e_i[t] y_i[t] by local traces and truncated sums over the future: Campolucci et al. 1999. */
function paper(layers: readonly PlainLayer[], xs: Rows, errors: Rows, Q: number): PlainGradient[] {
  const T = (xs[0] as number[]).length;
  const steps = Array.from({ length: T }, (_, t) => t);
  const inputs: Rows[] = [xs];
  const slopes: Rows[] = [];
  const synapses: number[][][][] = [];
  for (const layer of layers) {
    const x = inputs.at(-1) as Rows;
    const y = layer.c.map((_, i) =>
      x.map((signal, j) => {
        const { w, v } = taps(layer, i, j);
        return recursion(
          steps.map((t) => w.reduce((total, c, p) => total + c * at(signal, t - p), 0)),
          v,
        );
      }),
    );
    const s = layer.c.map((c, i) => steps.map((t) => (y[i] as Rows).reduce((total, signal) => total + (signal[t] as number), c)));
    synapses.push(y);
    slopes.push(s.map((row) => row.map((value) => (layer.linear ? 1 : 1 - Math.tanh(value) ** 2))));
    inputs.push(layer.linear ? s : s.map((row) => row.map(Math.tanh)));
  }
  let error = errors;
  return layers
    .map((_, k) => layers.length - 1 - k)
    .map((l) => {
      const layer = layers[l] as PlainLayer;
      const x = inputs[l] as Rows;
      const delta = error.map((row, i) => row.map((e, t) => e * ((slopes[l] as Rows)[i] as number[])[t]!));
      const along = (i: number, trace: readonly number[]) => steps.reduce((total, t) => total + (delta[i] as number[])[t]! * trace[t]!, 0);
      const shifted = (signal: readonly number[], p: number) => steps.map((t) => at(signal, t - p));
      const gradient: PlainGradient = {
        dc: delta.map((row) => row.reduce((u, z) => u + z, 0)),
        db: layer.b.map((rows, i) =>
          rows.map((row, p) => row.map((_, j) => along(i, recursion(shifted(x[j] as number[], p), taps(layer, i, j).v)))),
        ),
        da: layer.a.map((rows, r) =>
          rows.map((row, i) =>
            row.map((_, j) => along(i, recursion(shifted((synapses[l] as number[][][])[i]![j]!, r + 1), taps(layer, i, j).v))),
          ),
        ),
      };
      error = x.map((_, j) =>
        steps.map((t) => {
          let total = 0;
          for (const [i, row] of delta.entries()) {
            const { w, v } = taps(layer, i, j);
            const k = recursion(
              Array.from({ length: T }, (_, p) => at(w, p)),
              v,
            );
            for (let p = 0; p <= Q && t + p < T; p++) total += (row[t + p] as number) * (k[p] as number);
          }
          return total;
        }),
      );
      return gradient;
    })
    .reverse();
}

/** Gradients of one sequence from zero lines, and by the paper. */
function compared(net: LocalFeedbackNetwork, Q: number, T = 12): [got: number[], expected: number[], exact: number[]] {
  const generator = new Generator(11);
  const xs = generator.uniform([T, 1, net.inputSize], -1, 1, dtype);
  const errors = generator.uniform([T, 1, net.outputSize], -1, 1, dtype);
  const run = (algorithm?: GradientAlgorithm) => {
    const [ys] = algorithm === undefined ? net.scan(xs) : algorithm.scan(net, xs);
    return gradients([ys], net.parameters(), [errors]);
  };
  const byChannel = (x: Tensor): Rows =>
    Array.from({ length: x.dim(2) }, (_, j) => Array.from({ length: T }, (_, t) => Number(x.data()[t * x.dim(2) + j])));
  const layers = net.layers.map((layer, l) => plain(layer, l === net.layers.length - 1));
  const found = paper(layers, byChannel(xs), byChannel(errors), Q);
  const byName: Record<string, unknown> = {};
  for (const [l, g] of found.entries())
    Object.assign(byName, { [`layers.${l}.weight_ih`]: g.db, [`layers.${l}.bias`]: g.dc, [`layers.${l}.weight_fb`]: g.da });
  const expected = [...net.namedParameters()].flatMap(([name]) => (byName[name] as number[]).flat(9) as number[]);
  return [flat(run(crbp({ Q }))), expected, flat(run())];
}

function largest(a: readonly number[], b: readonly number[]): number {
  if (a.length !== b.length) return Number.NaN;
  return Math.max(...a.map((v, i) => Math.abs(v - (b[i] as number)))) / Math.max(...b.map(Math.abs));
}

describe("causal recursive backpropagation", () => {
  const iir = () => network({ sizes: [2, 3, 2, 1], inputDelays: 2, feedbackDelays: 2 });

  it("is the paper's double sum and traces, for every Q", () => {
    for (const Q of [0, 1, 2, 4, 8, 11, 50]) {
      const [got, expected] = compared(iir(), Q);
      expect(largest(got, expected)).toBeLessThanOrEqual(1e-12);
    }
  });

  it("comes closer to the gradient with Q, and is it when Q covers the sequence", () => {
    const errors = [0, 2, 4, 8].map((Q) => {
      const [got, , exact] = compared(iir(), Q);
      return largest(got, exact);
    });
    expect(errors[0]).toBeGreaterThan(0.05);
    errors.slice(1).forEach((e, i) => {
      expect(e).toBeLessThan((errors[i] as number) * 0.7);
    });
    for (const options of [{}, { T: 2 }, { lengths: [9, 4], reverse: true }]) {
      expect(distance(gradientsOf(any(iir()), options, crbp({ Q: 9 })).all, gradientsOf(any(iir()), options).all)).toBeLessThanOrEqual(
        1e-12,
      );
    }
  });

  it("without feedback and with Q as long as the taps is temporal backpropagation", () => {
    const fir = network({ sizes: [1, 3, 1], inputDelays: 3 });
    const exact = gradientsOf(any(fir));
    expect(distance(gradientsOf(any(fir), {}, crbp({ Q: 3 })).all, exact.all)).toBeLessThanOrEqual(1e-12);
    expect(distance(gradientsOf(any(fir), {}, crbp({ Q: 2 })).all, exact.all)).toBeGreaterThan(1e-3);
    // Wan's δ_j(t) = f′(s_j(t)) Σ_i Σ_p δ_i(t+p) w_ij(p) is the paper's sum with k = w.
    const [got, expected, autodiff] = compared(fir, 3);
    expect(largest(got, expected)).toBeLessThanOrEqual(1e-12);
    expect(largest(expected, autodiff)).toBeLessThanOrEqual(1e-12);
  });

  it("with Q = 0 lets errors go down at once only, as Back and Tsoi do", () => {
    // In the last layer alone nothing is cut off; in a layer below a past filter that is all there is leaves nothing.
    const net = iir();
    const [got, , exact] = compared(net, 0);
    const sizes = net.parameters().map((p) => p.size);
    const below = sizes.slice(0, -3).reduce((u, z) => u + z, 0);
    expect(largest(got.slice(below), exact.slice(below))).toBeLessThanOrEqual(1e-12);
    const top = net.layers.at(-1) as LocalFeedbackLayer;
    const values = top.weightIh.toArray() as number[][][];
    assign(
      top.weightIh,
      tensor(
        values.map((rows) => rows.map((row, p) => row.map((w) => (p === 0 ? 0 : w)))),
        { dtype },
      ).data(),
    );
    const [silent, , loud] = compared(net, 0);
    expect(silent.slice(0, below).every((g) => g === 0)).toBe(true);
    expect(Math.max(...loud.slice(0, below).map(Math.abs))).toBeGreaterThan(1e-3);
  });

  it("takes a Q a layer, and refuses what is none", () => {
    const net = iir();
    const exact = gradientsOf(any(net));
    expect(distance(gradientsOf(any(net), {}, crbp({ Q: [9, 9] })).all, exact.all)).toBeLessThanOrEqual(1e-12);
    const [lower, upper] = [
      [0, 9],
      [9, 0],
    ].map((Q) => gradientsOf(any(net), {}, crbp({ Q })).parameters);
    expect(distance(lower as Tensor[], upper as Tensor[])).toBeGreaterThan(1e-3);
    expect(() => crbp({ Q: -1 })).toThrow(ArgumentError);
    expect(() => crbp({ Q: 1.5 })).toThrow(/Q to be a whole number/);
    expect(() => crbp({ Q: [1, 2, 3] }).scan(net, zeros([3, 1, 2], dtype))).toThrow(/2 in all, got 3/);
    expect(() => rbp().scan(any(new RNNCell({ inputSize: 2, hiddenSize: 2 })), zeros([3, 1, 2]))).toThrow(/got RNNCell/);
    const output = new LocalFeedbackLayer({ inputSize: 2, outputSize: 1, feedbackDelays: 1, feedback: "output" });
    expect(() => rbp().scan(output, zeros([3, 1, 2]))).toThrow(/feedback of output/);
  });
});

describe("poles", () => {
  const radius = (a: readonly number[]) => Math.max(0, ...poles(a).map(({ re, im }) => Math.sqrt(re * re + im * im)));

  it("are inside a circle if and only if Jury's test says so", () => {
    const generator = new Generator(5);
    let [inside, outside] = [0, 0];
    for (let i = 0; i < 600; i++) {
      const Q = 1 + (i % 6);
      const a = Array.from(generator.uniform([Q], -1.4, 1.4, dtype).data(), Number);
      for (const r of [0.7, 1, 1.3]) {
        const verdict = polesInside(a, r);
        if (Math.abs(radius(a) - r) > 1e-9) expect(verdict).toBe(radius(a) < r);
        if (verdict) inside++;
        else outside++;
      }
    }
    expect(Math.min(inside, outside)).toBeGreaterThan(200);
    expect(polesInside([1.5, -0.9])).toBe(true);
    expect(polesInside([1])).toBe(false);
    expect(polesInside([Number.NaN])).toBe(false);
    expect(polesInside([])).toBe(true);
  });

  it("come to the circle and not further", () => {
    const generator = new Generator(6);
    for (let i = 0; i < 200; i++) {
      const a = Array.from(generator.uniform([1 + (i % 5)], -2, 2, dtype).data(), Number);
      const drawn = contracted(a, 0.9);
      if (radius(a) < 0.9) expect(drawn).toEqual(a);
      else expect(Math.abs(radius(drawn) - 0.9)).toBeLessThanOrEqual(1e-6);
    }
    expect(() => contracted([Number.NaN])).toThrow(ArgumentError);
    expect(() => contracted([1], 0)).toThrow(ArgumentError);
  });

  it("of a network are drawn in, filter by filter", () => {
    const net = new LocalFeedbackNetwork({ sizes: [1, 2, 1], feedbackDelays: 2 });
    const [hidden, top] = net.layers as [LocalFeedbackLayer, LocalFeedbackLayer];
    assign(hidden.weightFb as Tensor, [0.5, 2.5, 0.2, -1]);
    assign(top.weightFb as Tensor, [0.1, 0.1, 0.1, 0.1]);
    const before = Array.from((top.weightFb as Tensor).data());
    expect(projectPoles(net, { radius: 0.95 })).toBe(1);
    const [a1, a2, a3, a4] = Array.from((hidden.weightFb as Tensor).data(), Number) as [number, number, number, number];
    expect([a1, a3].map((v) => Math.round(v * 1e6) / 1e6)).toEqual([0.5, 0.2]);
    expect(radius([a2, a4])).toBeCloseTo(0.95, 5);
    expect(Array.from((top.weightFb as Tensor).data())).toEqual(before);
    expect(projectPoles(net, { radius: 0.96 })).toBe(0);
    expect(() => projectPoles(net, { radius: 1.1 })).toThrow(ArgumentError);
    expect(projectPoles(new LocalFeedbackNetwork({ sizes: [1, 1], feedbackDelays: 2, lattice: true }))).toBe(0);
  });
});
