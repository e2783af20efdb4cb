import { describe, expect, it } from "vitest";
import { backward } from "../../src/autodiff/backward.ts";
import { correlation, HRNN, type SeriesNode } from "../../src/models/hrnn.ts";
import { Adam } from "../../src/optim/adam.ts";
import { Generator } from "../../src/tensor/random.ts";
import type { Tensor } from "../../src/tensor/tensor.ts";
import { checkParameter, expectClose } from "../cells/acceptance.ts";

const TREE: SeriesNode[] = [
  { name: "bread", parent: "food", correlation: 0.5 },
  { name: "all" },
  { name: "food", parent: "all", correlation: -0.25 },
  { name: "rent", parent: "all", correlation: 0.8 },
];
const model = (tree = TREE) => new HRNN({ tree, hiddenSize: 3, numLayers: 2, dtype: "float64", generator: new Generator(1) });
const numbers = (t: Tensor) => Array.from(t.data());
const windows = new Generator(2).normal([4, 6, 1], 0, 1, "float64");
const next = new Generator(3).normal([6, 1], 0, 1, "float64");

describe("HRNN", () => {
  it("has parents before children, whatever the order of the list", () => {
    expect(model().order).toEqual(["all", "food", "rent", "bread"]);
    expect([...model().stateDict().keys()].filter((name) => name.startsWith("bread."))).toEqual(
      [...model().forecaster("bread").stateDict().keys()].map((name) => `bread.${name}`),
    );
  });

  it("forecasts from the last output of the series' GRU", () => {
    const m = model();
    const { gru, head } = m.forecaster("rent");
    const { output } = gru.forward(windows);
    const last = numbers(output).slice(3 * 6 * 3);
    const [w, b] = [numbers(head.weight), numbers(head.bias as Tensor)];
    const expected = Array.from({ length: 6 }, (_, i) => w.reduce((s, v, k) => s + v * (last[3 * i + k] as number), b[0] as number));
    expectClose(m.forecast("rent", windows), expected, 1e-12);
  });

  it("adds exp(α + C) times the squared distance from the parent, a sum, to a mean squared error", () => {
    const m = model();
    const error = numbers(m.forecast("bread", windows)).reduce((s, v, i) => s + (v - (numbers(next)[i] as number)) ** 2, 0) / 6;
    const distance = m
      .forecaster("bread")
      .parameters()
      .flatMap((p, i) => numbers(p).map((v, k) => (v - (numbers(m.forecaster("food").parameters()[i] as Tensor)[k] as number)) ** 2))
      .reduce((a, b) => a + b);
    expect(distance).toBeGreaterThan(1);
    expect(m.loss("bread", windows, next).item()).toBeCloseTo(error + Math.exp(1.5 + 0.5) * distance, 9);
    expect(m.precision("food")).toBeCloseTo(Math.exp(1.25), 12);
    expect(m.precision("all")).toBe(0);
    expect(m.penalty("all")).toBeNull();
  });

  it("has that loss's gradients, and none of the parent's", () => {
    const m = model();
    for (const [name, p] of m.forecaster("bread").namedParameters()) checkParameter(name, p, () => m.loss("bread", windows, next));
    backward(m.loss("bread", windows, next));
    for (const p of m.forecaster("food").parameters()) expect(p.grad).toBeNull();
    for (const p of m.forecaster("bread").parameters()) expect(p.grad).not.toBeNull();
  });

  it("starts a child from its parent, where the prior is nothing", () => {
    const m = model();
    m.inherit("bread");
    expect(m.penalty("bread")?.item()).toBe(0);
    expectClose(m.forecast("bread", windows), numbers(m.forecast("food", windows)), 0);
  });

  it("keeps a child near its parent, the nearer the more the two are alike", () => {
    const drift = (C: number) => {
      const m = model([{ name: "all" }, { name: "food", parent: "all", correlation: C }]);
      m.inherit("food");
      const optimizer = new Adam(m.forecaster("food").parameters(), { lr: 1e-2 });
      for (let i = 0; i < 60; i++) {
        optimizer.zeroGrad();
        backward(m.loss("food", windows, next));
        optimizer.step();
      }
      return (m.penalty("food")?.item() as number) / m.precision("food");
    };
    expect(drift(0.9)).toBeLessThan(drift(-0.9));
    expect(drift(-0.9)).toBeGreaterThan(1e-6);
  });

  it.each([
    [[], "one series without a parent, got 0"],
    [[{ name: "a" }, { name: "b" }], "one series without a parent, got 2"],
    [[{ name: "a" }, { name: "a", parent: "a", correlation: 0 }], "got one twice"],
    [[{ name: "a" }, { name: "b", parent: "c", correlation: 0 }], 'the parent of "b" in the tree, got "c"'],
    [[{ name: "a" }, { name: "b", parent: "a" }], 'correlation of "b"'],
    [[{ name: "a" }, { name: "b", parent: "c", correlation: 0 }, { name: "c", parent: "b", correlation: 0 }], "got a cycle"],
  ])("refuses the tree %j", (tree, message) => {
    expect(() => model(tree)).toThrow(message);
    expect(() => model().forecaster("fish")).toThrow('got "fish"');
  });
});

describe("correlation", () => {
  it("is Pearson's, over the time that both series cover", () => {
    expect(correlation([1, 2, 3], [2, 4, 6])).toBeCloseTo(1, 12);
    expect(correlation([9, 9, 1, 2, 3], [6, 4, 2])).toBeCloseTo(-1, 12);
    expect(correlation([1, 2, 4, 3], [2, 1, 3, 5])).toBeCloseTo(0.5291502622129182, 9);
    expect(correlation([1, 1, 1], [1, 2, 3])).toBe(0);
    expect(() => correlation([1], [1, 2])).toThrow("correlation: expected at least two values");
  });
});
