/** Echo state networks as they are used: fitted, streamed, saved, shared, and called wrongly. */

import { describe, expect, it } from "vitest";
import { backward } from "../../src/autodiff/backward.ts";
import { ArgumentError, DTypeError, ShapeError } from "../../src/base/errors.ts";
import { HopfieldLayer } from "../../src/energy/hopfield-layer.ts";
import { parseSafetensors, serializeSafetensors } from "../../src/io/index.ts";
import { Module } from "../../src/nn/module.ts";
import { square, sub } from "../../src/ops/arithmetic.ts";
import { mean } from "../../src/ops/reduce.ts";
import { cat } from "../../src/ops/shape.ts";
import { Adam } from "../../src/optim/adam.ts";
import { GRUCell } from "../../src/recurrence/rnn-cells.ts";
import { Stream } from "../../src/recurrence/stream.ts";
import { EchoStateNetwork, type EchoStateNetworkOptions } from "../../src/reservoirs/echo-state-network.ts";
import { fitOnline } from "../../src/reservoirs/fit-online.ts";
import { LiquidStateMachine } from "../../src/reservoirs/liquid-state-machine.ts";
import { Reservoir, type ReservoirOptions } from "../../src/reservoirs/reservoir.ts";
import { zeros } from "../../src/tensor/create.ts";
import { Generator } from "../../src/tensor/random.ts";
import { assign, scope, type Tensor, tensor } from "../../src/tensor/tensor.ts";
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

describe("outputs through a function", () => {
  const inverses = { tanh: Math.atanh, logistic: (y: number) => Math.log(y / (1 - y)) };
  const functions = { tanh: Math.tanh, logistic: (x: number) => 1 / (1 + Math.exp(-x)) };
  const within = numbers(targets).map((y) => 0.5 + 0.4 * y);
  const near = (got: readonly number[], want: readonly number[], most: number) => {
    expect(got.length).toBe(want.length);
    got.forEach((v, i) => {
      expect(Math.abs(v - (want[i] as number)) <= most, `${i}: ${v} ${want[i]}`).toBe(true);
    });
  };

  it.each(["tanh", "logistic"] as const)("%s: the readout is fitted to what targets are before it, at once and online", (outputActivation) => {
    const [net, plain] = [network({ outputActivation }), network()];
    const before = sequence(within.map(inverses[outputActivation]));
    net.fit(xs, sequence(within), SHORT);
    plain.fit(xs, before, SHORT);
    near(numbers(net.readout.weight), numbers(plain.readout.weight), 1e-9);
    const ys = numbers(net.scan(xs)[0]);
    near(ys, numbers(plain.scan(xs)[0]).map(functions[outputActivation]), 1e-10);
    const stream = new Stream(net);
    expect(numbers(xs).map((x) => stream.step([x])[0])).toEqual(ys);

    const { errors } = fitOnline(net, xs, sequence(within));
    const other = fitOnline(plain, xs, before);
    near(numbers(net.readout.weight), numbers(plain.readout.weight), 1e-9);
    // The first prediction is 0, and errors are those of outputs.
    near([errors[0] as number, other.errors[0] as number], [Math.abs(functions[outputActivation](0) - (within[0] as number)), Math.abs(numbers(before)[0] as number)], 1e-12);
  }); // biome-ignore format: long

  it("come back into the reservoir as they are put out", () => {
    const net = network({ outputActivation: "tanh", feedback: true }, pool({ inputSize: 2 }));
    const x = tensor([[0.3]], { dtype: "float64" });
    const [y, { y: fed }] = net.step(x, net.initialState(1));
    expect(numbers(fed as Tensor)).toEqual(numbers(y));
    const { state } = net.fit(xs, sequence(within), SHORT);
    expect(numbers(state.y as Tensor)).toEqual(within.slice(-1));
  });

  it("refuse targets that they do not reach, and other functions, with nothing changed", () => {
    const net = network({ outputActivation: "tanh" });
    const weight = numbers(net.readout.weight);
    const words = 'expected targets in (-1, 1), as "tanh" puts out, got 1';
    const wrong = sequence(within.map((y, t) => (t === 20 ? 1 : y)));
    expect(() => net.fit(xs, wrong, SHORT)).toThrow(`fit: ${words}`);
    expect(() => fitOnline(net, xs, wrong)).toThrow(`fitOnline: ${words}`);
    expect(numbers(net.readout.weight)).toEqual(weight);
    expect(() => network({ outputActivation: "relu" as never })).toThrow(
      'expected outputActivation to be one of "linear", "tanh", "logistic"',
    );
    // Targets that are missing are left out as ever.
    const gaps = (values: readonly number[]) => sequence(values.map((y, t) => (t % 9 === 4 ? Number.NaN : y)));
    expect(net.fit(xs, gaps(within), SHORT).rows).toBe(network().fit(xs, gaps(within), SHORT).rows);
  });
});

describe("a generator of a sine", () => {
  const wave = (n: number) => 0.5 * Math.sin(n / 4);
  const driven = (seed: number) =>
    network({ feedback: true, readInput: false }, pool({ hiddenSize: 60, leak: 0.5, rate: 0.6, noise: 1e-4 }, seed), seed);

  it("runs on its own output for a thousand steps, and goes on from bytes in a network of another seed", () => {
    const net = driven(1);
    const targets = sequence(Array.from({ length: 1200 }, (_, n) => wave(n)));
    const { state } = net.fit(zeros([1200, 1, 0], "float64"), targets);
    const stream = new Stream(net, { dtype: "float64" });
    stream.state = state;
    let saved = new Uint8Array(0);
    const free = Array.from({ length: 1000 }, (_, n) => {
      if (n === 600) saved = stream.toBytes();
      return stream.step([])[0] as number;
    });
    const error = free.reduce((sum, y, n) => sum + (y - wave(1200 + n)) ** 2, 0) / 1000;
    expect(error < 1e-6, `${error}`).toBe(true);
    const other = driven(2);
    other.loadStateDict(parseSafetensors(serializeSafetensors(net.stateDict())).tensors);
    const continued = new Stream(other, { dtype: "float64" });
    continued.fromBytes(saved);
    expect(free.slice(600).map(() => continued.step([])[0])).toEqual(free.slice(600));
  });
});

/** A network of units that are not trained, then a Hopfield layer over what it put out in time. */
class Model extends Module {
  readonly network = new EchoStateNetwork(pool({ inputSize: 2, noise: 0.1 }), { outputSize: 6, generator: new Generator(2) });
  readonly memory = new HopfieldLayer({ inputSize: 6, heads: 2, updates: 2, dtype: "float64", generator: new Generator(3) });

  forward(xs: Tensor): Tensor {
    return this.memory.forward(this.network.scan(xs)[0]);
  }
}

describe("a model with an echo state network and a Hopfield layer", () => {
  const inputs = new Generator(5).normal([7, 3, 2], 0, 1, "float64");
  const wanted = cat([inputs, inputs, inputs], 2);
  const loss = (model: Model) => mean(square(sub(model.forward(inputs), wanted)));

  it("has the gradients of finite differences through both, and none in the reservoir", () => {
    const model = new Model();
    backward(loss(model));
    const { weight } = model.network.readout;
    for (const at of [0, 31, 100]) {
      const values = numbers(weight);
      const moved = (d: number) => {
        assign(
          weight,
          values.map((w, i) => (i === at ? w + d : w)),
        );
        return loss(model).item();
      };
      const slope = (moved(1e-5) - moved(-1e-5)) / 2e-5;
      assign(weight, values);
      expect(Math.abs((weight.grad?.data()[at] as number) - slope) <= 1e-8, `${at}`).toBe(true);
    }
    expect([...model.network.reservoir.parameters()].map((p) => p.grad)).toEqual([null, null, null, null]);
  });

  it("learns by steps of what is trained", () => {
    const model = new Model();
    const before = numbers((model.network.reservoir as Reservoir).weightIh);
    const trained = model.parameters().filter((p) => p.requiresGrad);
    const optimizer = new Adam(trained, { lr: 0.05 });
    const first = loss(model).item();
    for (let k = 0; k < 40; k++) {
      scope(() => {
        optimizer.zeroGrad();
        backward(loss(model));
        optimizer.step();
      });
    }
    expect(loss(model).item()).toBeLessThan(0.5 * first);
    expect(numbers((model.network.reservoir as Reservoir).weightIh)).toEqual(before);
  });
});
