/** Echo state networks as they are used: fitted, streamed, saved, shared, and called wrongly. */

import { describe, expect, it } from "vitest";
import { ArgumentError, DTypeError, ShapeError } from "../../src/base/errors.ts";
import { parseSafetensors, serializeSafetensors } from "../../src/io/index.ts";
import { GRUCell } from "../../src/recurrence/rnn-cells.ts";
import { Stream } from "../../src/recurrence/stream.ts";
import { EchoStateNetwork, type EchoStateNetworkOptions } from "../../src/reservoirs/echo-state-network.ts";
import { fitOnline } from "../../src/reservoirs/fit-online.ts";
import { LiquidStateMachine } from "../../src/reservoirs/liquid-state-machine.ts";
import { Reservoir, type ReservoirOptions } from "../../src/reservoirs/reservoir.ts";
import { Generator } from "../../src/tensor/random.ts";
import { type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { StackedRNN } from "../../src/wrappers/stacked.ts";

const T = 60;
const numbers = (t: Tensor): number[] => Array.from(t.data(), Number);
const pool = (options: Partial<ReservoirOptions> = {}, seed = 1) =>
  new Reservoir({ inputSize: 1, hiddenSize: 20, dtype: "float64", generator: new Generator(seed), ...options });
const network = (options: Partial<EchoStateNetworkOptions> = {}, reservoir = pool(), seed = 2) =>
  new EchoStateNetwork(reservoir, { outputSize: 1, generator: new Generator(seed), ...options });
const sequence = (values: readonly number[]) => tensor([...values], { shape: [values.length, 1, 1], dtype: "float64" });
const [xs, targets] = [3, 4].map((seed) => new Generator(seed).uniform([T, 1, 1], -1, 1, "float64")) as [Tensor, Tensor];
const SHORT = { washout: 10, ridge: 1e-6 };

describe("a fitted network", () => {
  it("gives in a stream what it gives in a scan, and goes on from saved weights and a saved state in a network of another seed", () => {
    const net = network();
    net.fit(xs, targets, SHORT);
    const wanted = numbers(net.scan(xs)[0]);
    const stream = new Stream(net, { dtype: "float64" });
    const inputs = numbers(xs);
    expect(inputs.slice(0, 30).map((x) => stream.step([x])[0])).toEqual(wanted.slice(0, 30));
    const [file, state] = [serializeSafetensors(net.stateDict()), stream.toBytes()];

    const other = network({}, pool({}, 8), 9);
    other.loadStateDict(parseSafetensors(file).tensors);
    const continued = new Stream(other, { dtype: "float64" });
    continued.fromBytes(state);
    expect(inputs.slice(30).map((x) => continued.step([x])[0])).toEqual(wanted.slice(30));
  });

  it("fitted again is the same; two that share a reservoir do not disturb each other", () => {
    const reservoir = pool();
    const [a, b] = [network({}, reservoir), network({}, reservoir)];
    a.fit(xs, targets, SHORT);
    const weight = numbers(a.readout.weight);
    b.fit(xs, xs, SHORT);
    expect(numbers(a.readout.weight)).toEqual(weight);
    expect(numbers(b.readout.weight)).not.toEqual(weight);
    a.fit(xs, targets, SHORT);
    expect(numbers(a.readout.weight)).toEqual(weight);
  });

  it("has the dtype of its reservoir, and refuses another", () => {
    expect(network().readout.weight.dtype).toBe("float64");
    expect(network({}, pool({ dtype: "float32" })).readout.weight.dtype).toBe("float32");
    expect(() => network({ dtype: "float32" })).toThrow(DTypeError);
  });
});

describe("missing inputs of a deep network", () => {
  const deep = (missing: "refuse" | "mask") =>
    new EchoStateNetwork(new StackedRNN([pool({ missing }), pool({ inputSize: 21, missing }, 5)], { skip: true }), {
      outputSize: 1,
      readInput: false,
    });
  const gaps = sequence(numbers(xs).map((x, t) => (t % 7 === 3 ? Number.NaN : x)));

  it("are refused unless every layer masks them", () => {
    expect(() => deep("refuse").scan(gaps)).toThrow(ArgumentError);
    expect(() => deep("refuse").fit(gaps, targets, SHORT)).toThrow(ArgumentError);
  });

  it("are refused by a reservoir of any kind", () => {
    const gru = new GRUCell({ inputSize: 1, hiddenSize: 5, dtype: "float64", generator: new Generator(1) });
    for (const readInput of [false, true]) {
      const net = new EchoStateNetwork(gru, { outputSize: 1, readInput });
      expect(() => net.fit(gaps, targets, SHORT)).toThrow(ArgumentError);
      expect(() => net.scan(gaps)).toThrow(ArgumentError);
    }
    const liquid = new LiquidStateMachine({ inputSize: 1, grid: [2, 1, 1], dtype: "float64", generator: new Generator(1) });
    expect(() => liquid.scan(gaps)).toThrow("got NaN at step 3");
  });

  it("are NaN: what is infinite is refused by name, masked or not, as input and as target", () => {
    const broken = sequence(numbers(xs).map((x, t) => (t === 7 ? Number.POSITIVE_INFINITY : x)));
    const net = network({}, pool({ missing: "mask" }));
    expect(() => net.scan(broken)).toThrow("scan: expected finite numbers or NaN in xs [60,1,1], got Infinity at step 7");
    expect(() => net.reservoir.scan(broken)).toThrow("scan: expected finite numbers or NaN in xs [60,1,1], got Infinity at step 7");
    expect(() => net.fit(broken, targets, SHORT)).toThrow("fit: expected finite numbers or NaN in xs [60,1,1], got Infinity at step 7");
    expect(() => net.fit(xs, broken, SHORT)).toThrow("fit: expected finite numbers or NaN in targets [60,1,1], got Infinity at step 7");
    expect(() => network().fit(xs, broken, SHORT)).toThrow(
      "fit: expected finite numbers or NaN in targets [60,1,1], got Infinity at step 7",
    );
  });

  it("masked are zero to the readout, too", () => {
    const net = network({ readInput: true }, pool({ missing: "mask" }));
    const filled = sequence(numbers(gaps).map((x) => (Number.isNaN(x) ? 0 : x)));
    fitOnline(net, gaps, targets);
    const learned = numbers(net.readout.weight);
    fitOnline(net, filled, targets);
    expect(numbers(net.readout.weight)).toEqual(learned);
    net.fit(gaps, targets, SHORT);
    const fitted = numbers(net.readout.weight);
    net.fit(filled, targets, SHORT);
    expect(numbers(net.readout.weight)).toEqual(fitted);
    const ys = numbers(net.scan(gaps)[0]);
    expect(ys.every(Number.isFinite)).toBe(true);
    expect(ys).toEqual(numbers(net.scan(filled)[0]));
    const stream = new Stream(net);
    expect(numbers(gaps).map((x) => stream.step([x])[0])).toEqual(ys);
  });

  it("masked are inputs of zero", () => {
    const net = deep("mask");
    const zeros = sequence(numbers(gaps).map((x) => (Number.isNaN(x) ? 0 : x)));
    expect(numbers(net.scan(gaps)[0])).toEqual(numbers(net.scan(zeros)[0]));
    net.fit(gaps, targets, SHORT);
    const weight = numbers(net.readout.weight);
    net.fit(zeros, targets, SHORT);
    expect(numbers(net.readout.weight)).toEqual(weight);
  });
});

describe("what is no state or no weight", () => {
  it.each([{}, 5, pool().initialState(1), { reservoir: null }])("is refused before the readout changes: state %#", (state) => {
    const net = network();
    const before = numbers(net.readout.weight);
    expect(() => net.fit(xs, targets, { ...SHORT, state: state as never })).toThrow(/expected/);
    expect(() => fitOnline(net, xs, targets, { state: state as never })).toThrow(/expected/);
    expect(numbers(net.readout.weight)).toEqual(before);
  });

  it("weights are numbers, as many as there are", () => {
    const net = network();
    const before = numbers(net.readout.weight);
    expect(() => net.setReadout(null as never)).toThrow(DTypeError);
    expect(() => net.setReadout([1, 2])).toThrow(ShapeError);
    expect(() => net.setReadout(new Float64Array(22).fill(Number.NaN))).toThrow(ArgumentError);
    expect(numbers(net.readout.weight)).toEqual(before);
    net.setReadout(Array.from({ length: 22 }, (_, i) => i));
    expect(numbers(net.readout.weight)).toEqual(Array.from({ length: 21 }, (_, i) => i + 1));
    expect(numbers(net.readout.bias as Tensor)).toEqual([0]);
  });
});

describe("noise while a readout is fitted", () => {
  it("shrinks the weights as a ridge of its variance does, and is off again afterwards", () => {
    // Units without weights between them: features are tanh(w x) + ν, so XᵀX grows by rows · ν²/3 on the diagonal of the states.
    const rows = 4000;
    const inputs = new Generator(21).uniform([rows, 1, 1], -1, 1, "float64");
    const options = { hiddenSize: 1, spectralRadius: 0, connections: 1 };
    const net = network({ readInput: false }, pool({ ...options, noise: 0.3 }));
    net.fit(inputs, inputs, { washout: 0, ridge: 0 });
    const w = numbers(net.reservoir.scan(inputs)[0]);
    const u = numbers(inputs);
    const [wu, ww] = [w.reduce((sum, v, i) => sum + v * (u[i] as number), 0), w.reduce((sum, v) => sum + v * v, 0)];
    const want = wu / (ww + (rows * 0.3 ** 2) / 3);
    const got = numbers(net.readout.weight)[0] as number;
    expect(Math.abs(got - want) <= 0.03 * Math.abs(want), `${got} ${want}`).toBe(true);
    expect(Math.abs(want) < 0.95 * Math.abs(wu / ww)).toBe(true);
    expect((net.reservoir as Reservoir).noisy).toBe(false);
    // What it is used on has no noise.
    expect(numbers(net.scan(inputs)[0])).toEqual(numbers(net.scan(inputs)[0]));
  });

  it("reaches every layer of a deep network, and is off after a failure", () => {
    const layers = [pool({ noise: 0.1 }), pool({ inputSize: 21, noise: 0.1 }, 5)];
    const deep = new EchoStateNetwork(new StackedRNN(layers, { skip: true }), { outputSize: 1 });
    const quiet = new EchoStateNetwork(new StackedRNN([pool(), pool({ inputSize: 21 }, 5)], { skip: true }), { outputSize: 1 });
    deep.fit(xs, targets, SHORT);
    quiet.fit(xs, targets, SHORT);
    expect(numbers(deep.readout.weight)).not.toEqual(numbers(quiet.readout.weight));
    expect(() => deep.fit(xs, targets, { ...SHORT, state: {} as never })).toThrow(/expected/);
    expect(layers.map((layer) => layer.noisy)).toEqual([false, false]);
  });

  it("is there online as well, and off again afterwards", () => {
    const [loud, quiet] = [network({}, pool({ noise: 0.3 })), network({}, pool())];
    const a = fitOnline(loud, xs, xs);
    const b = fitOnline(quiet, xs, xs);
    expect(numbers(loud.readout.weight)).not.toEqual(numbers(quiet.readout.weight));
    expect(a.errors.every(Number.isFinite) && b.errors.every(Number.isFinite)).toBe(true);
    expect((loud.reservoir as Reservoir).noisy).toBe(false);
  });
});
