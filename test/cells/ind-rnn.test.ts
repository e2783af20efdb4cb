import { describe, expect, it } from "vitest";
import { clipRecurrentWeights, DeepIndRNN, IndRNN, ResidualIndRNN } from "../../src/cells/ind-rnn.ts";
import { select } from "../../src/ops/shape.ts";
import { Generator } from "../../src/tensor/random.ts";
import { assign } from "../../src/tensor/tensor.ts";
import { accept, expectClose, fillGolden, GOLDEN, GOLDEN_TOLERANCE, plus, rows, runGolden, SIZES, times } from "./acceptance.ts";
import { recall } from "./recall.ts";

const float64 = { ...SIZES, dtype: "float64", recurrentRange: [-1, 1] } as const;
const generator = () => new Generator(2);

describe("IndRNN", () => {
  it.each(["relu", "tanh"] as const)("has the gradients of its equations, and steps that equal its scan, with %s", (activation) =>
    accept(new IndRNN({ ...float64, activation, generator: generator() })),
  );

  it.each(["float32", "float64"] as const)("reaches the reference values, %s", (dtype) => {
    const cell = new IndRNN({ ...GOLDEN, dtype });
    fillGolden(cell);
    assign(cell.bias, Float64Array.of(0.5, 0.5));
    expectClose(runGolden(cell, dtype).y, [0.131297, 0.938853], GOLDEN_TOLERANCE[dtype]);
  });

  it("draws recurrent weights from the given range", () => {
    const u = new IndRNN({ inputSize: 2, hiddenSize: 500, recurrentRange: [0.9, 1.1], generator: generator() }).weightHh.data();
    expect(Math.min(...u)).toBeGreaterThanOrEqual(0.9);
    expect(Math.min(...u)).toBeLessThan(0.91);
    expect(Math.max(...u)).toBeLessThan(1.1);
    expect(Math.max(...u)).toBeGreaterThan(1.09);
  });
});

describe("clipRecurrentWeights", () => {
  it("brings every layer's weights back to γ^(1/T) and leaves the others", () => {
    const net = new DeepIndRNN({ inputSize: 2, hiddenSize: 3, layers: 2, dtype: "float64", generator: generator() });
    for (const { weightHh } of net.layers) assign(weightHh, Float64Array.of(-3, 0.25, 1.5));
    const before = net.layers.map(({ weightIh }) => Array.from(weightIh.data()));
    clipRecurrentWeights(net, { steps: 4, gamma: 3 });
    for (const { weightHh } of net.layers) expectClose(weightHh, [-(3 ** 0.25), 0.25, 3 ** 0.25], 1e-15);
    expect(net.layers.map(({ weightIh }) => Array.from(weightIh.data()))).toEqual(before);
  });

  it("bounds the growth over the sequence by 2 unless told otherwise", () => {
    const cell = new IndRNN({ inputSize: 1, hiddenSize: 1, dtype: "float64", recurrentRange: [5, 6] });
    clipRecurrentWeights(cell, { steps: 100 });
    expectClose([cell.weightHh.item() ** 100], [2], 1e-9);
  });

  it("refuses sequences without steps", () => {
    const cell = new IndRNN({ inputSize: 1, hiddenSize: 1 });
    expect(() => clipRecurrentWeights(cell, { steps: 0 })).toThrow("clipRecurrentWeights: expected steps ≥ 1");
  });
});

describe("DeepIndRNN", () => {
  it.each([false, true])("has the gradients of its equations, and steps that equal its scan, normalize = %s", (normalize) =>
    accept(new DeepIndRNN({ ...float64, activation: "tanh", layers: 2, normalize, generator: generator() })),
  );

  it("is layer upon layer", () => {
    const net = new DeepIndRNN({ ...float64, layers: 3, generator: generator() });
    const xs = new Generator(3).uniform([5, 1, 3], -1, 1, "float64");
    const state = net.layers.map(() => [0, 0, 0, 0]);
    let y: number[] = [];
    for (let t = 0; t < 5; t++) {
      y = Array.from(xs.data()).slice(3 * t, 3 * t + 3);
      for (const [l, { weightIh, weightHh, bias }] of net.layers.entries()) {
        const kept = (state[l] as number[]).map((h, i) => h * (weightHh.data()[i] as number));
        y = plus(times(rows(weightIh), y), kept, Array.from(bias.data())).map((v) => Math.max(0, v));
        state[l] = y;
      }
    }
    expectClose(select(net.scan(xs)[0], 0, 4), y, 1e-12);
  });

  it("learns to remember, which its initial weights do not", () => {
    const options = { steps: 12, updates: 400, lr: 1e-2 };
    const net = () => new DeepIndRNN({ inputSize: 1, hiddenSize: 20, layers: 2, recurrentRange: [0, 0.8], generator: new Generator(1) });
    const trained = net();
    expect(recall(net(), { ...options, frozen: true })).toBeGreaterThan(0.5);
    expect(recall(trained, { ...options, afterUpdate: () => clipRecurrentWeights(trained, { steps: 12 }) })).toBeLessThan(0.1);
  });
});

describe("ResidualIndRNN", () => {
  it("has the gradients of its equations, and steps that equal its scan", () =>
    accept(new ResidualIndRNN({ ...float64, activation: "tanh", blocks: 2, generator: generator() })));

  it("with silent blocks is its embedding", () => {
    const net = new ResidualIndRNN({ ...float64, blocks: 2, generator: generator() });
    for (const { weight, bias } of net.outputs) {
      assign(weight, new Float64Array(16));
      if (bias) assign(bias, new Float64Array(4));
    }
    const xs = new Generator(3).uniform([5, 2, 3], -1, 1, "float64");
    expectClose(net.scan(xs)[0], Array.from(net.embed.forward(xs).data()), 1e-12);
  });

  it("learns with six layers, which its initial weights do not", () => {
    const net = () =>
      new ResidualIndRNN({ inputSize: 1, hiddenSize: 12, blocks: 3, recurrentRange: [0, 0.7], generator: new Generator(1) });
    const trained = net();
    const options = { steps: 8, updates: 300, lr: 1e-2 };
    expect(recall(net(), { ...options, frozen: true })).toBeGreaterThan(0.5);
    expect(recall(trained, { ...options, afterUpdate: () => clipRecurrentWeights(trained, { steps: 8 }) })).toBeLessThan(0.1);
  });
});
