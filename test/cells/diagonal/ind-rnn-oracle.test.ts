/**
 * Deep IndRNNs against plain loops over numbers, batch normalisation included: Li, Li, Cook, Zhu and Gao (2018), eq. 2 and fig. 1b and c; Li, Li,
 * Cook and Gao (2019) for the order within a block, the last recurrence and dense blocks; Ioffe and Szegedy (2015), algorithm 1, for the norms.
 */

import { describe, expect, it } from "vitest";
import { DeepIndRNN, DenseIndRNN, type IndRNNNorm, ResidualIndRNN } from "../../../src/cells/diagonal/deep-ind-rnn.ts";
import type { IndependentUnits, IndRNN } from "../../../src/cells/diagonal/ind-rnn.ts";
import { SequenceBatchNorm } from "../../../src/nn/batch-norm.ts";
import type { LayerNorm, Linear } from "../../../src/nn/layers.ts";
import type { Parameter } from "../../../src/nn/module.ts";
import { Generator } from "../../../src/tensor/random.ts";
import { assign, type Tensor } from "../../../src/tensor/tensor.ts";

/** Numbers [T][B][F]. */
type Sequences = number[][][];
type Place = "before" | "after";

const [T, LENGTHS] = [6, [6, 3, 5]] as const;
const B = LENGTHS.length;

interface Setting {
  readonly norm: IndRNNNorm;
  readonly normAt: Place;
  readonly training: boolean;
}

const numbers = (t: Tensor) => Array.from(t.data(), Number);
const average = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;
const spread = (values: readonly number[]) => average(values.map((v) => (v - average(values)) ** 2));
const each = (xs: Sequences, f: (x: number[], t: number, b: number) => number[]): Sequences =>
  xs.map((row, t) => row.map((x, b) => f(x, t, b)));

/** W x + b */
function mixed(xs: Sequences, weight: Parameter, bias: Parameter): Sequences {
  const [w, b, I] = [numbers(weight), numbers(bias), weight.dim(1)];
  return each(xs, (x) => b.map((bias, i) => x.reduce((sum, v, j) => sum + (w[i * I + j] as number) * v, bias)));
}

/** h' = tanh(x + u∘h) from zero. */
function recurred(xs: Sequences, { weightHh }: IndependentUnits): Sequences {
  const u = numbers(weightHh);
  const h = Array.from({ length: B }, () => u.map(() => 0));
  return each(xs, (x, _, b) => {
    h[b] = x.map((v, i) => Math.tanh(v + (u[i] as number) * ((h[b] as number[])[i] as number)));
    return h[b];
  });
}

/** Which values of feature i a value is normalised by: those of its vector, of all real steps, or of the real ones at its step. */
function company(xs: Sequences, { norm }: Setting, t: number, b: number, i: number): number[] {
  if (norm === "layer") return xs[t]?.[b] as number[];
  const steps = norm === "step" ? [t] : xs.map((_, s) => s);
  return steps.flatMap((s) => LENGTHS.flatMap((length, k) => (s < length ? [xs[s]?.[k]?.[i] as number] : [])));
}

function normalised(xs: Sequences, by: LayerNorm | SequenceBatchNorm | undefined, setting: Setting): Sequences {
  if (by === undefined) return xs;
  const [w, bias] = [numbers(by.weight as Tensor), numbers(by.bias as Tensor)];
  const running = by instanceof SequenceBatchNorm && !setting.training ? by : null;
  const [means, variances] = [
    numbers(running?.runningMean ?? (by.weight as Tensor)),
    numbers(running?.runningVar ?? (by.weight as Tensor)),
  ];
  const F = w.length;
  return each(xs, (x, t, b) =>
    x.map((v, i) => {
      if (t >= (LENGTHS[b] as number)) return 0;
      const row = running ? Math.min(t, running.runningMean.dim(0) - 1) * F + i : 0;
      const all = company(xs, setting, t, b, i);
      const [mean, variance] = running ? [means[row] as number, variances[row] as number] : [average(all), spread(all)];
      return ((v - mean) / Math.sqrt(variance + 1e-5)) * (w[i] as number) + (bias[i] as number);
    }),
  );
}

/** R: recurrence number l of a network, with its normalisation. */
function layer(net: DeepIndRNN | ResidualIndRNN | DenseIndRNN, xs: Sequences, l: number, setting: Setting): Sequences {
  const units = net.layers[l] as IndependentUnits;
  const norm = (place: Place, x: Sequences) => (setting.normAt === place ? normalised(x, net.norms[l], setting) : x);
  const { weightIh, bias } = units as IndRNN;
  const sums = weightIh === undefined ? xs : mixed(xs, weightIh, bias);
  return norm("after", recurred(norm("before", sums), units));
}

/** y ← R(y) */
function deep(net: DeepIndRNN, xs: Sequences, setting: Setting): Sequences {
  return net.layers.reduce((y, _, l) => layer(net, y, l, setting), xs);
}

/** y⁰ = W₀ x, y ← y + W R(W R(y)), R(y) at the end. */
function residual(net: ResidualIndRNN, xs: Sequences, setting: Setting): Sequences {
  const through = (y: Sequences, { weight, bias }: Linear) => mixed(y, weight, bias as Parameter);
  let y = through(xs, net.embed);
  for (let l = 0; l + 1 < net.layers.length; l += 2) {
    const half = through(layer(net, y, l, setting), net.outputs[l] as Linear);
    const whole = through(layer(net, half, l + 1, setting), net.outputs[l + 1] as Linear);
    y = each(y, (v, t, b) => v.map((a, i) => a + (whole[t]?.[b]?.[i] as number)));
  }
  return layer(net, y, net.layers.length - 1, setting);
}

/** In each block y ← [y; R(R(y))], with a layer before it. */
function dense(net: DenseIndRNN, xs: Sequences, setting: Setting): Sequences {
  let [l, y] = [0, xs];
  for (const count of net.blocks) {
    y = layer(net, y, l++, setting);
    for (let i = 0; i < count; i++) {
      const added = layer(net, layer(net, y, l, setting), l + 1, setting);
      l += 2;
      y = each(y, (v, t, b) => [...v, ...(added[t]?.[b] ?? [])]);
    }
  }
  return y;
}

const settings = (["none", "layer", "sequence", "step"] as const).flatMap((norm) =>
  (["before", "after"] as const).flatMap((normAt) => [true, false].map((training): Setting => ({ norm, normAt, training }))),
);
const options = { inputSize: 3, hiddenSize: 4, activation: "tanh", dtype: "float64", recurrentRange: [-1, 1], weightStd: 0.6 } as const;

const systems = {
  DeepIndRNN: { make: (o: object) => new DeepIndRNN({ ...options, layers: 2, ...o }), oracle: deep },
  ResidualIndRNN: { make: (o: object) => new ResidualIndRNN({ ...options, blocks: 2, ...o }), oracle: residual },
  DenseIndRNN: { make: (o: object) => new DenseIndRNN({ ...options, blocks: [2, 1], growth: 2, bottleneck: 2, ...o }), oracle: dense },
} as const;

describe.each(Object.keys(systems) as (keyof typeof systems)[])("%s", (name) => {
  it.each(settings)(
    "is what its equations say, ragged batches among them: norm $norm $normAt the recurrence, training $training",
    (setting) => {
      const { make, oracle } = systems[name];
      const { norm, normAt, training } = setting;
      const net = make({ norm, normAt, normSteps: 4, generator: new Generator(2) });
      // Scales, offsets, biases and running statistics that leave nothing hidden.
      const g = new Generator(8);
      for (const [key, t] of net.stateDict()) if (/norms|bias/.test(key)) assign(t, g.uniform(t.shape, 0.5, 1.5, "float64"));
      net.train(training);
      const xs = new Generator(3).uniform([T, B, 3], -1, 1, "float64");
      const flat = numbers(xs);
      const input = Array.from({ length: T }, (_, t) =>
        Array.from({ length: B }, (_, b) => flat.slice(3 * (t * B + b), 3 * (t * B + b) + 3)),
      );
      const expected = (oracle as (n: typeof net, x: Sequences, s: Setting) => Sequences)(net, input, setting);
      const got = numbers(net.scan(xs, undefined, { lengths: LENGTHS })[0]);
      const width = net.outputSize;
      for (const [t, b, i] of places(width)) {
        const wanted = t < (LENGTHS[b] as number) ? (expected[t]?.[b]?.[i] as number) : 0;
        const error = Math.abs((got[(t * B + b) * width + i] as number) - wanted);
        if (!(error <= 1e-10)) throw new Error(`step ${t}, row ${b}, unit ${i}: expected ${wanted}, got ${got[(t * B + b) * width + i]}`);
      }
      expect(got.length).toBe(T * B * width);
    },
  );
});

function places(width: number): [t: number, b: number, i: number][] {
  return Array.from({ length: T * B * width }, (_, k) => [Math.floor(k / (B * width)), Math.floor(k / width) % B, k % width]);
}
