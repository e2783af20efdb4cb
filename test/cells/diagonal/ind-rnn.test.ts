import { describe, expect, it } from "vitest";
import { DeepIndRNN, DenseIndRNN, type IndRNNNorm, ResidualIndRNN } from "../../../src/cells/diagonal/deep-ind-rnn.ts";
import { clipRecurrentWeights, IndRNN, type IndRNNRecurrence } from "../../../src/cells/diagonal/ind-rnn.ts";
import type { Linear } from "../../../src/nn/layers.ts";
import type { Module } from "../../../src/nn/module.ts";
import { runningMask } from "../../../src/nn/padding.ts";
import { reshape } from "../../../src/ops/broadcast.ts";
import { where } from "../../../src/ops/compare.ts";
import { slice } from "../../../src/ops/shape.ts";
import { zeros } from "../../../src/tensor/create.ts";
import { Generator } from "../../../src/tensor/random.ts";
import { assign } from "../../../src/tensor/tensor.ts";
import { holdAgainst } from "../../oracle/equations.ts";
import { each, plus, times as product, logistic as sigma, plus as sumOf, times, type Vector } from "../../oracle/numbers.ts";
import { accept, B, checkGradients, expectClose, fillGolden, GOLDEN, GOLDEN_TOLERANCE, runGolden, SIZES } from "../acceptance.ts";
import { recall } from "../recall.ts";

const float64 = { ...SIZES, dtype: "float64", recurrentRange: [-1, 1] } as const;
const generator = () => new Generator(2);

/** Random states of layers. */
function hidden(layers: number, size: number) {
  const g = new Generator(9);
  return Array.from({ length: layers }, () => g.uniform([B, size], -0.5, 0.5, "float64"));
}

/** Gives running statistics and scales values that a normalisation cannot hide. */
function disturb(net: Module): void {
  const g = new Generator(8);
  for (const [name, t] of net.stateDict()) if (name.includes("norms")) assign(t, g.uniform(t.shape, 0.5, 1.5, "float64"));
}

describe("IndRNN", () => {
  it.each(["relu", "tanh"] as const)("has the gradients of its equations, and steps that equal its scan, with %s", (activation) =>
    accept(new IndRNN({ ...float64, activation, generator: generator() })),
  );

  it.each([
    ["relu", (v: number) => Math.max(0, v)],
    ["tanh", Math.tanh],
    ["logistic", sigma],
    ["linear", (v: number) => v],
  ] as const)("is the paper's equation 2, values and derivatives, with %s", (activation, phi) =>
    holdAgainst(new IndRNN({ ...float64, activation }), (p, x, [h]) => {
      const carried = each((u, hi) => u * hi, p.vector("weight_hh"), h as number[]);
      const next = sumOf(product(p.matrix("weight_ih", SIZES.inputSize), x), carried, p.vector("bias")).map(phi);
      return [next, [next]];
    }),
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

it("IndRNN draws W from N(0, 2/I), or from the deviation that it is given", () => {
  const deviation = (weightStd?: number) => {
    const w = Array.from(
      new IndRNN({ inputSize: 50, hiddenSize: 400, generator: generator(), ...(weightStd && { weightStd }) }).weightIh.data(),
      Number,
    );
    return Math.sqrt(w.reduce((total, v) => total + v * v, 0) / w.length);
  };
  // 20,000 numbers: half a percent of error in their deviation.
  expect(deviation() / Math.sqrt(2 / 50)).toBeCloseTo(1, 1);
  expect(deviation(0.01) / 0.01).toBeCloseTo(1, 1);
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
    for (const gamma of [0, -1]) expect(() => clipRecurrentWeights(cell, { steps: 5, gamma })).toThrow(`gamma > 0, got 5 and ${gamma}`);
  });
});

describe("DeepIndRNN", () => {
  it.each<[IndRNNNorm, "before" | "after"]>([
    ["none", "after"],
    ["layer", "before"],
    ["layer", "after"],
    ["sequence", "before"],
    ["sequence", "after"],
    ["step", "before"],
    ["step", "after"],
  ])("has the gradients of its equations, and steps that equal its scan, norm %s %s the recurrence", (norm, normAt) => {
    const net = new DeepIndRNN({ ...float64, activation: "tanh", layers: 2, norm, normSteps: 4, normAt, generator: generator() });
    disturb(net);
    // With two sequences a batch's variance may come close to zero, where differences lose digits: not with this seed.
    const state = norm === "step" ? { state: [...hidden(2, 4), zeros([B, 1], "int32")], seed: 4 } : {};
    checkGradients(net, state);
    accept(net.eval(), { ...state, captured: norm !== "step" });
  });

  it.each(["before", "after"] as const)("learns nothing from padded steps, batch normalisation %s the recurrence", (normAt) => {
    for (const norm of ["sequence", "step"] as const) {
      const net = new DeepIndRNN({ ...float64, layers: 2, norm, normSteps: 6, normAt, generator: generator() });
      const xs = new Generator(3).uniform([6, 3, 3], -1, 1, "float64");
      const lengths = [6, 2, 4];
      const garbage = where(reshape(runningMask(lengths, 6), [6, 3, 1]), xs, 1e6);
      const outputs = [xs, garbage].map((x) => Array.from(net.scan(x, undefined, { lengths })[0].data()));
      expect(outputs[1]).toEqual(outputs[0]);
      expect(outputs[0]?.slice(2 * 12 + 4, 2 * 12 + 8)).toEqual([0, 0, 0, 0]);
    }
  });

  it("goes on counting where it was left, each sequence at its own step, with the statistics of these steps", () => {
    const net = new DeepIndRNN({ ...float64, activation: "tanh", layers: 2, norm: "step", normSteps: 5, generator: generator() });
    disturb(net);
    net.eval();
    const xs = new Generator(3).uniform([6, 2, 3], -1, 1, "float64");
    const [whole, end] = net.scan(xs);
    const [, [, , count]] = net.scan(xs, undefined, { lengths: [2, 4] });
    expect(count?.toArray()).toEqual([[2], [4]]);
    const [, middle] = net.scan(slice(xs, 0, 0, 2));
    const [rest, last] = net.scan(slice(xs, 0, 2), middle);
    expectClose(rest, Array.from(slice(whole, 0, 2).data()), 1e-12);
    expect([end, last].map((state) => state[2]?.toArray())).toEqual([
      [[6], [6]],
      [[6], [6]],
    ]);
  });

  it.each([0, 1.5, Number.NaN])("and ResidualIndRNN refuse %d layers or blocks", (count) => {
    expect(() => new DeepIndRNN({ ...SIZES, layers: count })).toThrow(`DeepIndRNN: expected at least one layer, got ${count}`);
    expect(() => new ResidualIndRNN({ ...SIZES, blocks: count })).toThrow(`ResidualIndRNN: expected at least one block, got ${count}`);
  });

  it("draws recurrent weights from its range, the last layer's from their own", () => {
    const range = { recurrentRange: [0, 0.5], lastRecurrentRange: [0.9, 1] } as const;
    const weights = (more: object) =>
      new DeepIndRNN({ inputSize: 1, hiddenSize: 50, layers: 2, ...more }).layers.map(({ weightHh }) =>
        Array.from(weightHh.data(), Number),
      );
    const [first, last] = weights(range) as [number[], number[]];
    expect([Math.max(...first) < 0.5, Math.min(...last) >= 0.9]).toEqual([true, true]);
    const [, same] = weights({ recurrentRange: [0, 0.5] }) as [number[], number[]];
    expect(Math.max(...same)).toBeLessThan(0.5);
    expect(Math.max(...(weights({})[1] as number[]))).toBeGreaterThan(0.8);
  });

  it.each([
    ["none", "after"],
    ["layer", "before"],
    ["layer", "after"],
  ] as const)("is layer upon layer (fig. 1b) from any state, values and derivatives, norm %s %s the recurrence", (norm, normAt) =>
    holdAgainst(new DeepIndRNN({ ...float64, activation: "tanh", layers: 3, norm, normAt }), (p, x, hs) => {
      const normalised = (l: number, v: Vector) => {
        if (norm === "none") return v;
        const mean = v.reduce((a, b) => a + b) / v.length;
        const variance = v.reduce((total, vi) => total + (vi - mean) ** 2, 0) / v.length;
        const scaled = v.map((vi) => (vi - mean) / Math.sqrt(variance + 1e-5));
        return each((n, w, b) => n * w + b, scaled, p.vector(`norms.${l}.weight`), p.vector(`norms.${l}.bias`));
      };
      const next: Vector[] = [];
      let y = x;
      for (const [l, h] of hs.entries()) {
        const sums = plus(times(p.matrix(`layers.${l}.weight_ih`, y.length), y), p.vector(`layers.${l}.bias`));
        const kept = each((u, hi) => u * hi, p.vector(`layers.${l}.weight_hh`), h);
        next.push(plus(normAt === "before" ? normalised(l, sums) : sums, kept).map(Math.tanh));
        y = normAt === "after" ? normalised(l, next[l] as Vector) : (next[l] as Vector);
      }
      return [y, next];
    }),
  );

  it("learns to remember, which its initial weights do not", () => {
    const options = { steps: 12, updates: 400, lr: 1e-2 };
    const net = () => new DeepIndRNN({ inputSize: 1, hiddenSize: 20, layers: 2, recurrentRange: [0, 0.8], generator: new Generator(4) });
    const trained = net();
    expect(recall(net(), { ...options, frozen: true })).toBeGreaterThan(0.5);
    expect(recall(trained, { ...options, afterUpdate: () => clipRecurrentWeights(trained, { steps: 12 }) })).toBeLessThan(0.1);
  });
});

describe("ResidualIndRNN", () => {
  it.each<[IndRNNNorm, "before" | "after"]>([
    ["none", "before"],
    ["layer", "before"],
    ["layer", "after"],
    ["sequence", "before"],
    ["sequence", "after"],
  ])("has the gradients of its equations, and steps that equal its scan, norm %s %s the recurrence", (norm, normAt) => {
    const net = new ResidualIndRNN({ ...float64, activation: "tanh", blocks: 2, norm, normAt, weightStd: 0.5, generator: generator() });
    disturb(net);
    checkGradients(net);
    accept(net.eval());
  });

  it("with silent blocks is a recurrence of its embedding", () => {
    const net = new ResidualIndRNN({ ...float64, blocks: 2, norm: "none", weightStd: 0.5, generator: generator() });
    for (const { weight } of net.outputs) assign(weight, new Float64Array(16));
    const xs = new Generator(3).uniform([5, 2, 3], -1, 1, "float64");
    expectClose(net.scan(xs)[0], Array.from((net.layers[4] as IndRNNRecurrence).scan(net.embed.forward(xs))[0].data()), 1e-12);
  });

  it("draws what mixes from U(±√(6/(65 fan-in))), biases zero, and the last recurrence from its own range", () => {
    const range = { recurrentRange: [0, 0.5], lastRecurrentRange: [0.9, 1] } as const;
    const net = new ResidualIndRNN({ inputSize: 3, hiddenSize: 100, blocks: 1, ...range, generator: generator() });
    for (const [layer, fanIn] of [
      [net.embed, 3],
      [net.outputs[0] as Linear, 100],
    ] as const) {
      const bound = Math.sqrt(6 / (65 * fanIn));
      const largest = Math.max(...Array.from(layer.weight.data(), Math.abs));
      expect(largest).toBeLessThanOrEqual(bound);
      expect(largest).toBeGreaterThan(0.95 * bound);
      expect(layer.bias?.data().every((v) => v === 0)).toBe(true);
    }
    const [first, , last] = net.layers.map(({ weightHh }) => Array.from(weightHh.data()));
    expect(Math.max(...(first as number[]))).toBeLessThan(0.5);
    expect(Math.min(...(last as number[]))).toBeGreaterThanOrEqual(0.9);
    expect(net.norms.length).toBe(3);
  });

  it("has its last recurrence clipped with the others", () => {
    const net = new ResidualIndRNN({ inputSize: 1, hiddenSize: 1, blocks: 1 });
    for (const { weightHh } of net.layers) assign(weightHh, [9]);
    clipRecurrentWeights(net, { steps: 1 });
    expect(net.layers.map(({ weightHh }) => weightHh.item())).toEqual([2, 2, 2]);
  });

  it("learns with seven layers, which its initial weights do not", () => {
    const net = () =>
      new ResidualIndRNN({ inputSize: 1, hiddenSize: 12, blocks: 3, recurrentRange: [0, 0.7], generator: new Generator(1) });
    const trained = net();
    const options = { steps: 8, updates: 300, lr: 1e-2 };
    expect(recall(net(), { ...options, frozen: true })).toBeGreaterThan(0.5);
    expect(recall(trained, { ...options, afterUpdate: () => clipRecurrentWeights(trained, { steps: 8 }) })).toBeLessThan(0.1);
  });
});

describe("DenseIndRNN", () => {
  const build = () => new DenseIndRNN({ ...float64, activation: "tanh", blocks: [2, 1], growth: 2, bottleneck: 2, generator: generator() });

  it("has the gradients of its equations, and steps that equal its scan", () => {
    const net = build();
    disturb(net);
    checkGradients(net);
    accept(net.eval());
  });

  it("reads everything before it in a block, and halves it between blocks", () => {
    const net = build();
    expect(net.layers.map((layer) => [layer.inputSize, layer.outputSize])).toEqual([
      [3, 4],
      [4, 4],
      [4, 2],
      [6, 4],
      [4, 2],
      [8, 4],
      [4, 4],
      [4, 2],
    ]);
    const wide = new DenseIndRNN({ inputSize: 3, hiddenSize: 4, blocks: [2, 1, 1], growth: 3 });
    // 4 + 2·3 are halved to 5, 5 + 3 to 4.
    expect(wide.layers.map((layer) => layer.outputSize)).toEqual([4, 12, 3, 12, 3, 5, 12, 3, 4, 12, 3]);
    expect(wide.outputSize).toBe(7);
    expect(net.outputSize).toBe(6);
    expect(net.scan(new Generator(3).uniform([5, 2, 3], -1, 1, "float64"))[0].shape).toEqual([5, 2, 6]);
  });

  it("refuses blocks without layers, and statistics of steps that it cannot count", () => {
    expect(() => new DenseIndRNN({ ...SIZES, blocks: [2, 0], growth: 2 })).toThrow(
      "DenseIndRNN: expected at least one layer in each block",
    );
    expect(() => new DenseIndRNN({ ...SIZES, blocks: [1], growth: 2, norm: "step" })).toThrow(
      'expected normSteps with norm "step", got none',
    );
  });
});
