import { describe, expect, it } from "vitest";
import { backward } from "../../src/autodiff/backward.ts";
import { correlation, HRNN, type SeriesNode } from "../../src/models/hrnn.ts";
import { Adam } from "../../src/optim/adam.ts";
import { Generator } from "../../src/tensor/random.ts";
import type { Tensor } from "../../src/tensor/tensor.ts";
import { checkParameter, expectClose } from "../cells/acceptance.ts";
import { type Numbers, numbersOf } from "../oracle/equations.ts";
import { each, part, plus, logistic as sigma, times, type Vector } from "../oracle/numbers.ts";

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

/** Cho et al. (2014) in PyTorch's form, layer l over one sequence: r, z, n, h' = (1 − z)∘n + z∘h. */
function gru(p: Numbers, l: number, sequence: readonly Vector[]): number[][] {
  const H = 3;
  let h = new Array<number>(H).fill(0);
  return sequence.map((x) => {
    const ofInput = plus(times(p.matrix(`gru.weight_ih_l${l}`, x.length), x), p.vector(`gru.bias_ih_l${l}`));
    const ofState = plus(times(p.matrix(`gru.weight_hh_l${l}`, H), h), p.vector(`gru.bias_hh_l${l}`));
    const [r, z] = [0, 1].map((k) => plus(part(ofInput, k, 3), part(ofState, k, 3)).map(sigma)) as [number[], number[]];
    const n = each((i, ri, s) => Math.tanh(i + ri * s), part(ofInput, 2, 3), r, part(ofState, 2, 3));
    h = each((zi, ni, hi) => (1 - zi) * ni + zi * hi, z, n, h);
    return h;
  });
}

/** The paper's section 4 for one series: mean squared error of the forecasts, and the prior's exp(α + C) Σ (θ − θ_parent)². */
function lossByHand(own: ReadonlyMap<string, Vector>, parent: ReadonlyMap<string, Vector>, alpha: number, C: number): number {
  const p = numbersOf(own);
  const [values, wanted] = [numbers(windows), numbers(next)];
  const errors = wanted.map((value, b) => {
    const sequence = [0, 1, 2, 3].map((t) => [values[6 * t + b] as number]);
    const last = gru(p, 1, gru(p, 0, sequence)).at(-1) as number[];
    return (plus(times(p.matrix("head.weight", 3), last), p.vector("head.bias"))[0] as number) - value;
  });
  const squares = (list: readonly number[]) => list.reduce((total, v) => total + v * v, 0);
  const distance = [...own].reduce((total, [name, theta]) => total + squares(each((a, b) => a - b, theta, parent.get(name) as Vector)), 0);
  return squares(errors) / errors.length + Math.exp(alpha + C) * distance;
}

describe("HRNN", () => {
  it("has the paper's loss, in plain loops from the GRU to the prior, and its derivatives", () => {
    const m = new HRNN({ tree: TREE, hiddenSize: 3, alpha: 0.7, dtype: "float64", generator: new Generator(4) });
    const of = (name: string) => new Map([...m.forecaster(name).namedParameters()].map(([key, p]) => [key, numbers(p)] as const));
    const [own, parent] = [of("rent"), of("all")];
    expectClose(m.loss("rent", windows, next), [lossByHand(own, parent, 0.7, 0.8)], 1e-9);
    backward(m.loss("rent", windows, next));
    for (const [name, p] of m.forecaster("rent").namedParameters()) {
      const found = numbers(p.grad as Tensor);
      const theta = own.get(name) as Vector;
      for (const [k, value] of theta.entries()) {
        const at = (v: number) => lossByHand(new Map(own).set(name, theta.with(k, v) as number[]), parent, 0.7, 0.8);
        expectClose([found[k] as number], [(at(value + 1e-5) - at(value - 1e-5)) / 2e-5], 1e-6, `${name}[${k}]`);
      }
    }
  });

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

  it("asks the root for its error alone, and takes series that are wholly alike or opposite", () => {
    const m = model([{ name: "all" }, { name: "up", parent: "all", correlation: 1 }, { name: "down", parent: "all", correlation: -1 }]);
    const errors = numbers(m.forecast("all", windows)).map((v, i) => (v - (numbers(next)[i] as number)) ** 2);
    expectClose(m.loss("all", windows, next), [errors.reduce((a, b) => a + b) / 6], 1e-12);
    expectClose([m.precision("up"), m.precision("down")], [Math.exp(2.5), Math.exp(0.5)], 1e-12);
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
    expect(correlation([1, 2], [5, 3])).toBeCloseTo(-1, 12);
    expect(() => correlation([1], [1, 2])).toThrow("correlation: expected at least two values");
  });
});
