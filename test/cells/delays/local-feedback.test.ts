import { describe, expect, it } from "vitest";
import { noGrad } from "../../../src/autodiff/tape.ts";
import { type LocalFeedback, LocalFeedbackLayer, LocalFeedbackNetwork, stepUp } from "../../../src/cells/delays/local-feedback.ts";
import { Generator } from "../../../src/tensor/random.ts";
import { assign, type Tensor, tensor } from "../../../src/tensor/tensor.ts";
import { accept, expectClose, T } from "../acceptance.ts";

type Options = ConstructorParameters<typeof LocalFeedbackLayer>[0];
const layer = (options: Partial<Options>) =>
  new LocalFeedbackLayer({ inputSize: 3, outputSize: 2, dtype: "float64", generator: new Generator(2), ...options });

const FEEDBACKS: LocalFeedback[] = ["synapse", "activation", "output"];

/** The equations with plain numbers: y_i(t) for one sequence xs[t][j]. */
function oracle(net: LocalFeedbackLayer, xs: readonly (readonly number[])[]): number[][] {
  const [I, O, P, Q] = [net.inputSize, net.outputSize, net.inputDelays, net.feedbackDelays];
  const b = (i: number, p: number, j: number) => net.weightIh.data()[(i * (P + 1) + p) * I + j] as number;
  const a = net.coefficients?.data() ?? [];
  const c = net.bias.data();
  const before = (list: readonly (readonly number[])[], t: number, k: number) => list[t]?.[k] ?? 0;
  const forward = (t: number, i: number, j: number) => {
    let total = 0;
    for (let p = 0; p <= P; p++) total += b(i, p, j) * before(xs, t - p, j);
    return total;
  };
  const v: number[][] = [];
  const s: number[][] = [];
  const y: number[][] = [];
  for (let t = 0; t < xs.length; t++) {
    v.push([]);
    s.push([]);
    y.push([]);
    for (let i = 0; i < O; i++) {
      let activation = c[i] as number;
      for (let j = 0; j < I; j++) {
        let synapse = forward(t, i, j);
        if (net.feedback === "synapse")
          for (let q = 1; q <= Q; q++) synapse += (a[((q - 1) * O + i) * I + j] as number) * before(v, t - q, i * I + j);
        v[t]?.push(synapse);
        activation += synapse;
      }
      const own = net.feedback === "activation" ? s : y;
      if (net.feedback !== "synapse") for (let q = 1; q <= Q; q++) activation += (a[(q - 1) * O + i] as number) * before(own, t - q, i);
      s[t]?.push(activation);
      y[t]?.push(Math.tanh(activation));
    }
  }
  return y;
}

function sequence(steps: number, width: number): number[][] {
  const flat = Array.from(new Generator(3).uniform([steps * width], -1, 1, "float64").data(), Number);
  return Array.from({ length: steps }, (_, t) => flat.slice(t * width, (t + 1) * width));
}

describe("LocalFeedbackLayer", () => {
  const forms = FEEDBACKS.flatMap((feedback) => [
    [`${feedback} feedback`, { feedback, inputDelays: 2, feedbackDelays: 2 }] as const,
    [`${feedback} feedback, present input only`, { feedback, feedbackDelays: 1 }] as const,
  ]);
  const others = [
    ["FIR synapses", { inputDelays: 3 }] as const,
    ["no memory", {}] as const,
    ["IIR synapses as lattices", { inputDelays: 1, feedbackDelays: 3, lattice: true }] as const,
    ["activation feedback as lattices", { feedback: "activation", feedbackDelays: 2, lattice: true }] as const,
  ];

  it.each([...forms, ...others])("%s: gradients of the equations, steps that equal the scan, the papers' sums", (_, options) => {
    accept(layer(options));
    const net = layer(options);
    const xs = sequence(9, 3);
    const [ys] = net.scan(tensor(xs.flat(), { shape: [9, 1, 3], dtype: "float64" }));
    expectClose(ys, oracle(net, xs).flat(), 1e-12);
  });

  it("filters as the transfer function says: impulse response of Back and Tsoi's filter", () => {
    const [b, a] = [
      [0.0154, 0.0462, 0.0462, 0.0154],
      [1.99, -1.572, 0.4583],
    ];
    const net = layer({ inputSize: 1, outputSize: 1, inputDelays: 3, feedbackDelays: 3, activation: "linear" });
    assign(net.weightIh, b);
    assign(net.weightFb as NonNullable<typeof net.weightFb>, a);
    assign(net.bias, [0]);
    const impulse = tensor(
      Float64Array.from({ length: 400 }, (_, t) => Number(t === 0)),
      { shape: [400, 1, 1] },
    );
    const response = Array.from(net.scan(impulse)[0].data(), Number);
    expectClose(response.slice(0, 3), [0.0154, 0.0462 + 1.99 * 0.0154, 0.0462 + 1.99 * (0.0462 + 1.99 * 0.0154) - 1.572 * 0.0154], 1e-12);
    // At frequency zero: the sum of the response is B(1)/A(1).
    const sum = (values: readonly number[]) => values.reduce((p, q) => p + q);
    expect(sum(response)).toBeCloseTo(sum(b) / (1 - sum(a)), 8);
  });

  it("forgets exponentially where the activation is fed back, and keeps a sign where the output is", () => {
    const run = (feedback: LocalFeedback, strength: number) => {
      const unit = layer({ inputSize: 1, outputSize: 1, feedback, feedbackDelays: 1 });
      assign(unit.weightIh, [1]);
      assign(unit.bias, [0]);
      assign(unit.weightFb as NonNullable<typeof unit.weightFb>, [strength]);
      const xs = Float64Array.from({ length: 1000 * 2 }, (_, k) => (k === 0 ? 1 : k === 1 ? -1 : 0));
      return Array.from(
        noGrad(() => unit.scan(tensor(xs, { shape: [1000, 2, 1] }))[0].data()),
        Number,
      );
    };
    const fading = run("activation", 0.9);
    for (const t of [1, 10, 100]) expect(Math.atanh(fading[2 * t] as number) / 0.9 ** t).toBeCloseTo(1, 10);
    expect(Math.abs(fading[1998] as number)).toBeLessThan(1e-40);
    // The fixed points of y = tanh 2y are ±0.9575.
    const latched = run("output", 2);
    expect(latched[1998]).toBeCloseTo(0.957504, 6);
    expect(latched[1999]).toBeCloseTo(-0.957504, 6);
    // Below slope one the output fades as well.
    expect(Math.abs(run("output", 0.9)[1998] as number)).toBeLessThan(1e-40);
  });

  it("keeps poles inside the unit circle by reflection coefficients, whatever they are", () => {
    const k = [0.9, -0.8, 0.7];
    const a = stepUp(tensor(k, { dtype: "float64" }));
    // By hand: 1 + 0.9z, then + (−0.8)(0.9z + z²), then + 0.7(…).
    const second = [0.9 - 0.8 * 0.9, -0.8] as const;
    const third = [second[0] + 0.7 * second[1], second[1] + 0.7 * second[0], 0.7];
    expectClose(
      a,
      third.map((c) => -c),
      1e-12,
    );
    const net = layer({ inputSize: 1, outputSize: 8, inputDelays: 0, feedbackDelays: 4, activation: "linear", lattice: true });
    assign(net.weightFb as NonNullable<typeof net.weightFb>, new Generator(5).uniform([4, 8, 1], -2, 2, "float64"));
    const impulse = tensor(
      Float64Array.from({ length: 40000 }, (_, t) => Number(t === 0)),
      { shape: [40000, 1, 1] },
    );
    assign(net.bias, new Array<number>(8).fill(0));
    // Some poles are as close as 0.9998: the second half of the response is to be far smaller than the first.
    const response = noGrad(() => net.scan(impulse)[0].data());
    for (let unit = 0; unit < 8; unit++) {
      const largest = (from: number) =>
        Math.max(...Array.from({ length: 20000 }, (_, t) => Math.abs(response[(from + t) * 8 + unit] as number)));
      expect(largest(20000)).toBeLessThan(0.05 * largest(0));
    }
  });

  it("has tanh of its weights for reflection coefficients", () => {
    const net = layer({ outputSize: 1, feedback: "activation", feedbackDelays: 2, lattice: true });
    assign(net.weightFb as NonNullable<typeof net.weightFb>, [0.7, -1.2]);
    const [k1, k2] = [Math.tanh(0.7), Math.tanh(-1.2)];
    expectClose(net.coefficients as Tensor, [-(k1 + k2 * k1), -k2], 1e-12);
    expect(layer({ lattice: true }).coefficients).toBeNull();
  });

  it("refuses what it cannot be", () => {
    expect(() => layer({ feedback: "output", feedbackDelays: 1, lattice: true })).toThrow(
      'LocalFeedbackLayer: expected feedback "synapse" or "activation" with lattice, got "output"',
    );
    expect(() => layer({ inputDelays: -1 })).toThrow("expected inputDelays to be a whole number of at least 0");
    expect(() => layer({ outputSize: 0 })).toThrow("expected outputSize");
  });
});

describe("LocalFeedbackNetwork", () => {
  it.each(FEEDBACKS)("has layer upon layer, %s feedback", (feedback) => {
    const net = new LocalFeedbackNetwork({
      sizes: [3, 4, 2],
      feedback,
      inputDelays: 1,
      feedbackDelays: 2,
      outputActivation: "tanh",
      dtype: "float64",
      generator: new Generator(2),
    });
    accept(net);
    const xs = sequence(T, 3);
    const [ys] = net.scan(tensor(xs.flat(), { shape: [T, 1, 3], dtype: "float64" }));
    expectClose(ys, net.layers.reduce((below: number[][], l) => oracle(l, below), xs).flat(), 1e-12);
  });

  it("has a linear output unless asked for another, and at least two sizes", () => {
    const net = new LocalFeedbackNetwork({ sizes: [1, 2], dtype: "float64", generator: new Generator(2) });
    const layer = net.layers[0] as LocalFeedbackLayer;
    assign(layer.weightIh, [3, -4]);
    assign(layer.bias, [0.5, 0]);
    expectClose(net.scan(tensor([[[2]]], { dtype: "float64" }))[0], [6.5, -8], 1e-12);
    const deep = new LocalFeedbackNetwork({ sizes: [1, 1, 1], dtype: "float64", generator: new Generator(2) });
    for (const { weightIh, bias } of deep.layers) {
      assign(weightIh, [3]);
      assign(bias, [0.5]);
    }
    expectClose(deep.scan(tensor([[[0.2]]], { dtype: "float64" }))[0], [3 * Math.tanh(1.1) + 0.5], 1e-12);
    expect(() => new LocalFeedbackNetwork({ sizes: [1] })).toThrow("LocalFeedbackNetwork: expected at least two sizes, got [1]");
  });
});
