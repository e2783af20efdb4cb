import { describe, expect, it } from "vitest";
import { gradients } from "../../../src/autodiff/sweep.ts";
import { MLSTM, type MLSTMOptions, type MLSTMState, SLSTM, type SLSTMOptions } from "../../../src/cells/gated/xlstm.ts";
import { add, mul } from "../../../src/ops/arithmetic.ts";
import { reshape, sum } from "../../../src/ops/broadcast.ts";
import { slice } from "../../../src/ops/shape.ts";
import { scanSteps } from "../../../src/recurrence/recurrence.ts";
import { ones } from "../../../src/tensor/create.ts";
import { Generator } from "../../../src/tensor/random.ts";
import { assign, type Tensor } from "../../../src/tensor/tensor.ts";
import { logistic, plus, rows, times } from "../../oracle/numbers.ts";
import { accept, B, expectClose, fillGolden, GOLDEN, GOLDEN_TOLERANCE, runGolden, SIZES } from "../acceptance.ts";
import { latchError } from "../memory-tasks.ts";

const options = { ...SIZES, dtype: "float64" } as const;
const slstm = (more: Partial<SLSTMOptions> = {}) => new SLSTM({ ...options, generator: new Generator(2), ...more });
const mlstm = (more: Partial<MLSTMOptions> = {}) => new MLSTM({ ...options, generator: new Generator(2), ...more });
const numbers = (t: Tensor) => Array.from(t.data());
const sequence = (n: number) => new Generator(3).uniform([n, 1, 3], -1, 1, "float64");

describe("SLSTM", () => {
  it.each([
    [1, "sigmoid"],
    [2, "sigmoid"],
    [2, "exp"],
  ] as const)("has the gradients of its equations, and steps that equal its scan; %i heads, forget gate %s", (heads, forgetGate) => {
    const g = new Generator(6);
    const part = (low: number, high: number) => g.uniform([B, 4], low, high, "float64");
    accept(slstm({ heads, forgetGate }), { state: { h: part(-1, 1), c: part(-1, 1), n: part(0.5, 1), m: part(-0.5, 0.5) } });
  });

  it.each(["float32", "float64"] as const)("reaches its golden vector, %s", (dtype) => {
    const cell = slstm({ ...GOLDEN, dtype });
    fillGolden([cell.weightIh, cell.weightHh, cell.bias]);
    expectClose(runGolden(cell, dtype).y, [0.12099, 0.293978], GOLDEN_TOLERANCE[dtype]);
  });

  it.each(["sigmoid", "exp"] as const)("is the paper's recurrence before stabilisation, with two heads; forget gate %s", (forgetGate) => {
    const cell = slstm({ heads: 2, forgetGate });
    const r = Array.from({ length: 2 }, (_, k) => rows(reshape(slice(cell.weightHh, 0, k, k + 1), [8, 2])));
    const zero = () => [0, 0, 0, 0];
    let [h, c, n] = [zero(), zero(), zero()];
    const expected = rows(reshape(sequence(5), [5, 3])).flatMap((x) => {
      const fromInput = plus(times(rows(cell.weightIh), x), numbers(cell.bias));
      const fromState = [0, 1].map((k) => times(r[k] as number[][], h.slice(2 * k, 2 * k + 2)));
      const sum = (gate: number, j: number) => (fromInput[4 * gate + j] as number) + (fromState[j >> 1]?.[2 * gate + (j % 2)] as number);
      const f = (j: number) => (forgetGate === "exp" ? Math.exp(sum(1, j)) : logistic(sum(1, j)));
      c = c.map((old, j) => f(j) * old + Math.exp(sum(0, j)) * Math.tanh(sum(2, j)));
      n = n.map((old, j) => f(j) * old + Math.exp(sum(0, j)));
      h = c.map((now, j) => (logistic(sum(3, j)) * now) / (n[j] as number));
      return h;
    });
    expectClose(cell.scan(sequence(5))[0], expected, 1e-12);
  });

  it.each([-300, 300])("bears input gates of %i in float32", (bias) => {
    const cell = slstm({ dtype: "float32" });
    assign(cell.bias, [...new Array<number>(4).fill(bias), ...numbers(cell.bias).slice(4)]);
    const values = numbers(cell.scan(new Generator(3).uniform([50, 1, 3], -1, 1))[0]);
    expect(values.every((v) => Number.isFinite(v) && Math.abs(v) <= 1)).toBe(true);
    expect(values.some((v) => v !== 0)).toBe(true);
  });

  it("learns to latch", () => expect(latchError(slstm({ inputSize: 2, hiddenSize: 16, dtype: "float32" }))).toBeLessThan(0.05));
});

describe("MLSTM", () => {
  it.each([1, 2])("has the gradients of its equations, and steps that equal its scan; %i heads", (heads) => {
    const cell = mlstm({ heads });
    assign(cell.weightGates, numbers(new Generator(5).uniform([2 * heads, 3], -1, 1, "float64")));
    accept(cell);
  });

  it.each([0, 4])("is the paper's parallel form, with two heads; input gates raised by %i", (raised) => {
    const cell = mlstm({ heads: 2 });
    assign(cell.weightGates, numbers(new Generator(5).uniform([4, 3], -2, 2, "float64")));
    assign(
      cell.biasGates,
      numbers(cell.biasGates).map((b, k) => (k < 2 ? b + raised : b - 3)),
    );
    const [T, d] = [9, 2];
    const inputs = rows(reshape(sequence(T), [T, 3]));
    const sums = inputs.map((x) => plus(times(rows(cell.weightIh), x), numbers(cell.bias)));
    const gates = inputs.map((x) => plus(times(rows(cell.weightGates), x), numbers(cell.biasGates)));
    const part = (block: number, t: number, head: number) => (sums[t] as number[]).slice(4 * block + d * head, 4 * block + d * head + d);
    const dot = (a: readonly number[], b: readonly number[]) => a.reduce((total, v, j) => total + v * (b[j] as number), 0);
    const attend = (t: number, head: number): number[] => {
      const weights = Array.from({ length: t + 1 }, (_, s) => {
        const kept = gates.slice(s + 1, t + 1).reduce((product, g) => product * logistic(g[2 + head] as number), 1);
        const taken = Math.exp(gates[s]?.[head] as number);
        return (kept * taken * dot(part(0, t, head), part(1, s, head))) / Math.sqrt(d);
      });
      const size = Math.max(Math.abs(weights.reduce((a, b) => a + b)), 1);
      const read = weights.map((w, s) => part(2, s, head).map((v) => (w * v) / size)).reduce((a, b) => plus(a, b));
      return part(3, t, head).map((o, j) => logistic(o) * (read[j] as number));
    };
    const expected = Array.from({ length: T }, (_, t) => [...attend(t, 0), ...attend(t, 1)]).flat();
    expectClose(cell.scan(sequence(T))[0], expected, 1e-12);
  });

  it.each([1, 2, 4])("in chunks of %i it is its steps, gradients and all, over ragged batches too", (chunk) => {
    const cell = mlstm({ heads: 2, chunk });
    assign(cell.weightGates, numbers(new Generator(5).uniform([4, 3], -1, 1, "float64")));
    accept(cell, { captured: true });
    const xs = new Generator(3).uniform([7, 3, 3], -1, 1, "float64");
    const lengths = [7, 0, 3];
    const gradientsOf = ([ys, last]: [Tensor, MLSTMState]) => {
      const loss = [ys, last.c, last.n, last.m].map((y) => sum(mul(y, new Generator(6).uniform(y.shape, -1, 1, "float64"))));
      return gradients([loss.reduce((a, b) => add(a, b))], cell.parameters(), [ones([], "float64")]).flatMap((g) => numbers(g as Tensor));
    };
    const found = gradientsOf(cell.scan(xs, undefined, { lengths }));
    expectClose(found, gradientsOf(scanSteps(cell, xs, undefined, { lengths })), 1e-10);
  });

  it("is its steps over 2,000 steps whose forget gates' product is no float32", () => {
    const cell = mlstm({ heads: 2, dtype: "float32" });
    assign(cell.biasGates, [0, 0, 1, 3]);
    const xs = new Generator(3).uniform([2000, 1, 3], -2, 2);
    const [expected, last] = scanSteps(cell, xs);
    const [ys, state] = cell.scan(xs);
    expectClose(ys, numbers(expected), 1e-5);
    expectClose(state.c, numbers(last.c), 1e-5);
  });

  it("bears large input gates in float32", () => {
    const cell = mlstm({ dtype: "float32" });
    assign(cell.biasGates, [300, 5]);
    const values = numbers(cell.scan(mul(new Generator(3).uniform([50, 1, 3], -1, 1), 3))[0]);
    expect(values.every(Number.isFinite)).toBe(true);
    expect(values.some((v) => v !== 0)).toBe(true);
  });

  it("learns to latch", () => expect(latchError(mlstm({ inputSize: 2, hiddenSize: 16, heads: 2, dtype: "float32" }))).toBeLessThan(0.05));
});
