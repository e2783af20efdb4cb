import { describe, expect, it } from "vitest";
import { backward } from "../../../src/autodiff/backward.ts";
import { gradients } from "../../../src/autodiff/sweep.ts";
import { FullyRecurrentNetwork } from "../../../src/cells/simple/fully-recurrent.ts";
import { JordanNetwork } from "../../../src/cells/simple/jordan.ts";
import { mseLoss } from "../../../src/nn/losses.ts";
import { sum } from "../../../src/ops/broadcast.ts";
import { slice } from "../../../src/ops/shape.ts";
import { Adam } from "../../../src/optim/adam.ts";
import { ones } from "../../../src/tensor/create.ts";
import { Generator } from "../../../src/tensor/random.ts";
import { assign, scope, type Tensor, tensor } from "../../../src/tensor/tensor.ts";
import { logistic, rows, times } from "../../oracle/numbers.ts";
import { accept, expectClose, learn } from "../acceptance.ts";

const mask = () =>
  tensor(
    Float64Array.from({ length: 32 }, (_, k) => ((k * k + 1) % 3 === 1 ? 0 : 1)),
    { shape: [4, 8], dtype: "float64" },
  );
const net = (options = {}) =>
  new FullyRecurrentNetwork({ inputSize: 3, units: 4, dtype: "float64", generator: new Generator(2), ...options });

describe("FullyRecurrentNetwork", () => {
  it("has the gradients of its equations, and steps that equal its scan", () => {
    accept(net());
    accept(net({ mask: mask(), outputSize: 2, activation: "tanh" }));
  });

  it("is the paper's recurrence under a mask", () => {
    const cell = net({ mask: mask() });
    const xs = new Generator(3).uniform([5, 1, 3], -1, 1, "float64");
    const M = rows(mask());
    const W = rows(cell.weight).map((row, i) => row.map((w, j) => w * (M[i]?.[j] as number)));
    let y = [0, 0, 0, 0];
    for (let t = 0; t < 5; t++) y = times(W, [...Array.from(xs.data()).slice(3 * t, 3 * t + 3), 1, ...y]).map(logistic);
    expectClose(cell.scan(xs)[1], y, 1e-12);
  });

  it("gives no gradient to weights that are masked out, and one to all others", () => {
    const cell = net({ mask: mask() });
    const xs = new Generator(3).uniform([5, 2, 3], -1, 1, "float64");
    const [dw] = gradients([sum(cell.scan(xs)[0])], [cell.weight], [ones([], "float64")]) as [Tensor];
    expect(Array.from(dw.data(), (d) => Number(d !== 0))).toEqual(Array.from(mask().data()));
  });

  it("is Jordan's network under that mask, with outputs that see the hidden units without delay", () => {
    const options = { inputSize: 3, dtype: "float64" as const, generator: new Generator(5) };
    const jordan = new JordanNetwork({ ...options, hiddenSize: 3, outputSize: 2, hiddenActivation: "logistic" });
    // Units: two outputs, then three hidden.
    const [x, c, bh] = [rows(jordan.weightIh), rows(jordan.weightCh), Array.from(jordan.biasH.data())];
    const [o, bo] = [rows(jordan.weightHo), Array.from(jordan.biasO.data())];
    const outputs = o.map((row, k) => [0, 0, 0, bo[k] as number, 0, 0, ...row]);
    const hidden = x.map((row, k) => [...row, bh[k] as number, ...(c[k] as number[]), 0, 0, 0]);
    const weight = [...outputs, ...hidden].flat();
    const mask = tensor(
      weight.map((w) => Number(w !== 0)),
      { shape: [5, 9], dtype: "float64" },
    );
    const immediate = tensor(
      Array.from({ length: 25 }, (_, k) => Number(k < 10)),
      { shape: [5, 5], dtype: "float64" },
    );
    const cell = new FullyRecurrentNetwork({ ...options, units: 5, outputSize: 2, mask, immediate });
    assign(cell.weight, weight);
    const xs = new Generator(3).uniform([5, 2, 3], -1, 1, "float64");
    expectClose(cell.scan(xs)[0], Array.from(jordan.scan(xs)[0].data()), 1e-12);
    accept(cell);
    expect(() => net({ immediate: ones([4, 4]) })).toThrow("to have no cycle");
  });

  it("lets a signal through a chain of units in one step", () => {
    // Unit 0 sees unit 1, which sees unit 2, which sees the input.
    const mask = tensor([0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0], { shape: [3, 5], dtype: "float64" });
    const immediate = tensor([0, 1, 0, 0, 0, 1, 0, 0, 0], { shape: [3, 3], dtype: "float64" });
    const cell = new FullyRecurrentNetwork({
      inputSize: 1,
      units: 3,
      outputSize: 1,
      mask,
      immediate,
      activation: "tanh",
      dtype: "float64",
    });
    assign(cell.weight, new Array(15).fill(0.9));
    const [y] = cell.step(tensor([[0.8]], { dtype: "float64" }), cell.initialState(1));
    expectClose(y, [Math.tanh(0.9 * Math.tanh(0.9 * Math.tanh(0.9 * 0.8)))], 1e-12);
    accept(cell);
  });

  it("names what does not fit", () => {
    expect(() => net({ mask: ones([4, 7]) })).toThrow("FullyRecurrentNetwork: expected mask [4,8], got [4,7]");
    expect(() => net({ outputSize: 5 })).toThrow("FullyRecurrentNetwork: expected outputSize of at most 4 units, got 5");
  });

  it("learns exclusive or with a delay of two, which it cannot with a delay of one", { timeout: 20000 }, () => {
    expect(pipelinedXor(2)).toBeGreaterThan(0.99);
    expect(pipelinedXor(1)).toBeLessThan(0.78);
  });
});

/** Share of right signs on fresh ticks: the first unit at t + delay - 1 against x1(t) xor x2(t), read after that step. */
function pipelinedXor(delay: number): number {
  const cell = new FullyRecurrentNetwork({ inputSize: 2, units: 4, outputSize: 1, generator: new Generator(1) });
  const optimizer = new Adam(cell.parameters(), { lr: 3e-2 });
  const g = new Generator(3);
  const batch = (T: number, B: number) => {
    const bits = g
      .uniform([T, B, 2])
      .data()
      .map((u) => (u < 0.5 ? 0 : 1));
    const target = Float32Array.from({ length: (T - delay + 1) * B }, (_, k) => (bits[2 * k] as number) ^ (bits[2 * k + 1] as number));
    return { xs: tensor(bits, { shape: [T, B, 2] }), targets: tensor(target, { shape: [T - delay + 1, B, 1] }) };
  };
  learn(1200, () => {
    const { xs, targets } = batch(8, 32);
    const loss = mseLoss(slice(cell.scan(xs)[0], 0, delay - 1), targets);
    optimizer.zeroGrad();
    backward(loss);
    optimizer.step();
    return loss;
  });
  return scope(() => {
    const { xs, targets } = batch(1000, 1);
    const expected = targets.data();
    const ys = slice(cell.scan(xs)[0], 0, delay - 1).data();
    return ys.filter((y, k) => y > 0.5 === (expected[k] as number) > 0.5).length / ys.length;
  });
}
