/** The first number that is none, found in fused, captured and nested models, forwards and backwards. */

import { describe, expect, it } from "vitest";
import { backward } from "../../src/autodiff/backward.ts";
import { ArgumentError, StateError } from "../../src/base/errors.ts";
import { firstNonFinite, saturation, saturationChart } from "../../src/insight/index.ts";
import { Dropout } from "../../src/nn/dropout-layers.ts";
import { Linear } from "../../src/nn/layers.ts";
import { Module } from "../../src/nn/module.ts";
import { add, mul, sub } from "../../src/ops/arithmetic.ts";
import { reshape, sum } from "../../src/ops/broadcast.ts";
import { log, sqrt } from "../../src/ops/math.ts";
import { slice } from "../../src/ops/shape.ts";
import { Cell, type Recurrence } from "../../src/recurrence/recurrence.ts";
import { GRU, LSTM, RNN } from "../../src/recurrence/rnn.ts";
import { LSTMCell, RNNCell } from "../../src/recurrence/rnn-cells.ts";
import { stateTensors } from "../../src/recurrence/state.ts";
import { ones, zeros } from "../../src/tensor/create.ts";
import { defaultGenerator, Generator } from "../../src/tensor/random.ts";
import { assign, scope, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { StackedRNN } from "../../src/wrappers/index.ts";
import { every } from "../recurrence/every.ts";

/** h' = h − x, y = log h: NaN at the first step at which h falls below 0. */
class Falling extends Cell<Tensor> {
  readonly inputSize = 1;
  readonly outputSize = 1;

  initialState(batch: number): Tensor {
    return add(zeros([batch, 1]), 3.5);
  }

  step(x: Tensor, h: Tensor): [Tensor, Tensor] {
    const next = sub(h, x);
    return [log(next), next];
  }
}

class Model extends Module {
  readonly rnn: Recurrence;
  readonly head = new Linear(1, 1, { generator: new Generator(1) });

  constructor(rnn: unknown) {
    super();
    this.rnn = rnn as Recurrence;
  }

  forward(xs: Tensor): Tensor {
    return sum(this.head.forward(this.rnn.scan(xs)[0]));
  }
}

describe("firstNonFinite", () => {
  it("names module, operation, step and element in a captured scan", () => {
    const model = new Model(new StackedRNN([new Falling() as never]));
    const xs = tensor(
      [
        [1, 1],
        [1, 1],
        [1, 1],
        [0, 1],
        [1, 1],
      ].map((row) => row.map((v) => [v])),
    );
    const found = firstNonFinite(() => model.forward(xs), { model });
    expect(found).toMatchObject({
      operation: "log",
      module: "rnn.layers.0",
      step: 3,
      pass: "forward",
      origin: "result",
      index: [1, 0],
      shape: [2, 1],
    });
    expect(found?.value).toBeNaN();
    expect(found?.message).toBe("log in rnn.layers.0 at step 3 made NaN of finite numbers, element [1,0] of [2,1]");
    // Without the model the operation is known all the same.
    expect(firstNonFinite(() => model.forward(xs))).toMatchObject({ operation: "log", module: null, step: null });
    expect(Object.hasOwn(model.rnn, "scan")).toBe(false);
  });

  it("counts steps as sequences do, backwards too", () => {
    const cell = new Falling();
    const xs = ones([6, 1, 1]);
    expect(firstNonFinite(() => cell.scan(xs, undefined, { reverse: true }), { model: cell })).toMatchObject({ module: "", step: 2 });
  });

  it("finds an explosion in a fused kernel", () => {
    const rnn = new RNN({ inputSize: 1, hiddenSize: 1, nonlinearity: "relu", bias: false });
    for (const p of rnn.parameters()) assign(p, [1e13]);
    // h = 1e13, 1e26 + …, 1e39: beyond float32 at the third step.
    const model = new Model(rnn);
    expect(firstNonFinite(() => model.forward(ones([5, 1, 1])), { model })).toMatchObject({
      module: "rnn",
      step: 2,
      value: Number.POSITIVE_INFINITY,
      origin: "result",
    });
    expect(firstNonFinite(() => model.forward(ones([5, 1, 1])), { model, kind: "nan" })).toBeNull();
  });

  it.each(["LSTM", "GRU"] as const)("tells numbers that were given from numbers that were made: %s", (name) => {
    const options = { inputSize: 2, hiddenSize: 1, numLayers: 2, generator: new Generator(2) };
    const model = new Model(name === "LSTM" ? new LSTM(options) : new GRU(options));
    const xs = new Generator(3).normal([4, 2, 2]);
    expect(firstNonFinite(() => model.forward(xs), { model })).toBeNull();
    const weight = model.stateDict().get("rnn.weight_hh_l1") as Tensor;
    const held = weight.data();
    assign(weight, held.map(() => Number.NaN) as Float32Array);
    expect(firstNonFinite(() => model.forward(xs), { model })).toMatchObject({
      module: "rnn",
      origin: "input",
      parameter: "rnn.weight_hh_l1",
      step: 0,
    });
    assign(weight, held);
    const spoiled = tensor((xs.toArray() as number[][][]).map((rows, t) => rows.map((row) => row.map((v) => (t === 2 ? Number.NaN : v)))));
    expect(firstNonFinite(() => model.forward(spoiled), { model })).toMatchObject({ origin: "input", parameter: null });
  });

  it.each(["RNN", "LSTM", "GRU", "RNNCell", "LSTMCell"] as const)("takes no offence at padding that lengths leave out: %s", (name) => {
    const sizes = { inputSize: 2, hiddenSize: 3, generator: new Generator(5) };
    const layers = { RNN, LSTM, GRU };
    const rnn = name === "RNNCell" ? new RNNCell(sizes) : name === "LSTMCell" ? new LSTMCell(sizes) : new layers[name](sizes);
    const values = Array.from(new Generator(6).normal([4, 2, 2]).data());
    const padded = (at: number[]): Tensor =>
      tensor(
        values.map((v, i) => (at.includes(i) ? Number.NaN : v)),
        { shape: [4, 2, 2] },
      );
    // The second sequence has one step: its elements [1,1,·], [2,1,·] and [3,1,·] are padding.
    const padding = [6, 7, 10, 11, 14, 15];
    for (const reverse of [false, true]) {
      const loss = (xs: Tensor): Tensor => sum((rnn as Recurrence).scan(xs, undefined, { lengths: [4, 1], reverse })[0]);
      expect(Number.isFinite(loss(padded(padding)).item())).toBe(true);
      expect(firstNonFinite(() => loss(padded(padding)), { model: rnn })).toBeNull();
      expect(firstNonFinite(() => loss(padded(padding)))).toBeNull();
      const found = firstNonFinite(() => loss(padded([...padding, 8])), { model: rnn });
      expect(found).toMatchObject({ origin: "input", parameter: null, pass: "forward", step: 2, index: [0, 0], shape: [2, 2] });
    }
  });

  it("reports what is only moved where it ends in the result", () => {
    const xs = tensor([[1, Number.NaN]]);
    expect(firstNonFinite(() => reshape(xs, [2, 1]))).toMatchObject({ operation: "reshape", origin: "input", index: [0, 1] });
    expect(firstNonFinite(() => ({ ys: [reshape(xs, [2])] }))).toMatchObject({ operation: "reshape", origin: "input" });
    expect(firstNonFinite(() => sum(slice(xs, 1, 0, 1)))).toBeNull();
    expect(firstNonFinite(() => sum(reshape(xs, [2])))).toMatchObject({ operation: "sum", origin: "input" });
  });

  it("looks through the gradient, and says whose it is", () => {
    const model = new Model(new Falling());
    const x = mul(model.head.weight, 0);
    // √0 is 0, its slope is not.
    const found = firstNonFinite(() => sum(sqrt(x)), { model });
    expect(found).toMatchObject({ pass: "backward", of: "sqrt" });
    expect(found?.message).toContain("in the gradient of sqrt");
    expect(firstNonFinite(() => void backward(sum(sqrt(mul(model.head.weight, 0)))))).toMatchObject({ pass: "backward", of: "sqrt" });
  });

  it("leaves random numbers, methods and modes as they were, whatever happens", () => {
    const model = new Model(new Dropout(0.5));
    const before = { ...defaultGenerator().state };
    expect(firstNonFinite(() => (model.rnn as unknown as Dropout).forward(ones([4])), { model })).toBeNull();
    expect(defaultGenerator().state).toEqual(before);
    expect(() =>
      firstNonFinite(
        () => {
          throw new Error("mine");
        },
        { model },
      ),
    ).toThrow("mine");
    expect(() => firstNonFinite(async () => 0)).toThrow(StateError);
    expect(() => firstNonFinite(() => 0, { kind: "infinite" as never })).toThrow(ArgumentError);
    expect(Object.keys(Object.getOwnPropertyDescriptors(model.head))).not.toContain("forward");
  });

  it.each(Object.keys(every))("sees the values of the scan itself: %s", (name) => {
    const cell = every[name]?.({ dtype: "float64", generator: new Generator(3) }) as Recurrence;
    const xs = new Generator(4).uniform([4, 2, cell.inputSize], -1, 1, "float64");
    const values = (): number[] => {
      const [ys, last] = cell.scan(xs);
      return [ys, ...stateTensors(last)].flatMap((t) => Array.from(t.data()));
    };
    let seen: number[] = [];
    const found = scope(() =>
      firstNonFinite(
        () => {
          seen = values();
        },
        { model: cell, kind: "nan" },
      ),
    );
    expect(found).toBeNull();
    if (/Dropout|Zoneout|StackedRNN/.test(name)) return;
    const expected = scope(values);
    expected.forEach((v, i) => {
      expect(!(Math.abs((seen[i] as number) - v) <= 1e-6 * Math.max(1, Math.abs(v)))).toBe(false);
    });
  });
});

describe("saturation", () => {
  it("counts values at the ends, step by step", () => {
    const rnn = new RNN({ inputSize: 1, hiddenSize: 2, bias: false });
    const dict = rnn.stateDict();
    assign(dict.get("weight_ih_l0") as Tensor, [1, 0]);
    assign(dict.get("weight_hh_l0") as Tensor, [0, 0, 0, 0]);
    // tanh 3 and tanh −3 lie within 0.1 of ±1, tanh 1 does not; the second unit is always 0.
    const [row, ...others] = saturation(rnn, () => rnn.scan(tensor([[[3]], [[1]], [[-3]], [[0]]])));
    expect(others).toEqual([]);
    expect(row).toEqual({ module: "", name: "tanh 0", low: 1 / 8, high: 1 / 8, count: 8, steps: [0.5, 0, 0.5, 0] });
    expect(saturationChart([row as never])).toContain("tanh 0");
  });

  it.each(["a layer", "a cell", "a stack"])("counts no padding: %s", (kind) => {
    const options = { inputSize: 1, hiddenSize: 2, bias: false };
    const cell = (): RNNCell => new RNNCell(options);
    const rnn = kind === "a layer" ? new RNN(options) : kind === "a cell" ? cell() : new StackedRNN([cell()]);
    for (const p of rnn.parameters()) assign(p, p.shape[1] === 1 ? [1, 0] : [0, 0, 0, 0]);
    // The first unit is tanh 3 in the first sequence, and tanh 1 at the one step of the second, with tanh 9 in its padding.
    const xs = tensor([1, 9, 9, 9, 9, 9].map((second) => [[3], [second]]));
    for (const reverse of [false, true]) {
      const rows = saturation(rnn, () => (rnn as Recurrence).scan(xs, undefined, { lengths: [5, 1], reverse }));
      expect(rows).toHaveLength(1);
      expect(rows[0]).toMatchObject({ name: "tanh 0", low: 0, high: 5 / 12, count: 12, steps: [1 / 4, 1 / 2, 1 / 2, 1 / 2, 1 / 2] });
    }
    expect(saturation(rnn, () => (rnn as Recurrence).scan(xs, undefined, { lengths: [0, 0] }))).toEqual([]);
  });

  it("finds gates that never close, and rectifiers that are dead", () => {
    const lstm = new LSTM({ inputSize: 2, hiddenSize: 3, generator: new Generator(1) });
    const bias = lstm.stateDict().get("bias_ih_l0") as Tensor;
    assign(
      bias,
      Array.from(bias.data(), (v, i) => (i >= 3 && i < 6 ? 20 : v)),
    );
    const rows = saturation(lstm, () => lstm.scan(new Generator(2).normal([5, 4, 2])));
    expect(rows.every(({ count }) => count % (5 * 4 * 3) === 0)).toBe(true);
    const open = rows.filter(({ name }) => name.startsWith("sigmoid")).reduce((total, { high, count }) => total + high * count, 0);
    expect(open >= 60).toBe(true);
    const dead = new RNN({ inputSize: 1, hiddenSize: 2, nonlinearity: "relu", bias: false });
    for (const p of dead.parameters()) assign(p, new Float32Array(p.size).fill(-1));
    expect(saturation(dead, () => dead.scan(ones([3, 1, 1])))[0]).toMatchObject({ name: "relu 0", low: 1, high: 0 });
    expect(() => saturation(dead, () => 0, { margin: 0.5 })).toThrow(ArgumentError);
  });
});
