import { describe, expect, it } from "vitest";
import { backward } from "../../../src/autodiff/backward.ts";
import { gradients } from "../../../src/autodiff/sweep.ts";
import { SimpleRecurrentNetwork } from "../../../src/cells/simple/elman.ts";
import { Linear } from "../../../src/nn/layers.ts";
import { mseLoss } from "../../../src/nn/losses.ts";
import { sum } from "../../../src/ops/broadcast.ts";
import { select, slice } from "../../../src/ops/shape.ts";
import { Adam } from "../../../src/optim/adam.ts";
import { scanSteps } from "../../../src/recurrence/recurrence.ts";
import { ones } from "../../../src/tensor/create.ts";
import { Generator } from "../../../src/tensor/random.ts";
import { type Tensor, tensor } from "../../../src/tensor/tensor.ts";
import { GradientMismatch } from "../../../src/transforms/check-grads.ts";
import { logistic, plus, rows, times } from "../../oracle/numbers.ts";
import {
  accept,
  checkGradients,
  checkParameter,
  checkStepsEqualScan,
  expectClose,
  fillGolden,
  GOLDEN,
  GOLDEN_TOLERANCE,
  leaf,
  learn,
  runGolden,
  SIZES,
} from "../acceptance.ts";

const cell = (options = {}) => new SimpleRecurrentNetwork({ ...SIZES, dtype: "float64", generator: new Generator(2), ...options });

describe("SimpleRecurrentNetwork", () => {
  it("has the gradients of its equations, and steps that equal its scan", () => accept(cell()));
  it("is captured when truncated", () => checkStepsEqualScan(cell({ truncate: "elman1" })));

  it("truncated, has other gradients than those of its equations, of the past and of parameters alike", () => {
    const net = cell({ truncate: "elman1" });
    expect(() => checkGradients(net)).toThrow(GradientMismatch);
    const xs = new Generator(3).uniform([5, 1, 3], -1, 1, "float64");
    expect(() => checkParameter("weight", net.weightHh, () => sum(net.scan(xs)[0]))).toThrow("weight[0]: expected gradient");
  });

  it.each(["float32", "float64"] as const)("with tanh and a context of zero is the tanh network, %s", (dtype) => {
    const net = cell({ ...GOLDEN, dtype, activation: "tanh", restingContext: 0 });
    fillGolden(net);
    // Two biases of the published vector are one here.
    const second = Array.from({ length: 2 }, (_, k) => 0.5 * Math.sin(1 + 0.7 * k + 1.3 * 3));
    net.loadStateDict(new Map([...net.stateDict(), ["bias", tensor(plus(Array.from(net.bias.data()), second), { dtype })]]));
    expectClose(runGolden(net, dtype).y, [-0.92784, -0.07778], GOLDEN_TOLERANCE[dtype]);
  });

  it("is the paper's recurrence from a resting context", () => {
    const net = cell();
    const xs = new Generator(3).uniform([5, 1, 3], -1, 1, "float64");
    let h = [0.5, 0.5, 0.5, 0.5];
    for (let t = 0; t < 5; t++) {
      const x = Array.from(xs.data()).slice(3 * t, 3 * t + 3);
      h = plus(times(rows(net.weightIh), x), times(rows(net.weightHh), h), Array.from(net.bias.data())).map(logistic);
    }
    expectClose(net.scan(xs)[1], h, 1e-12);
  });

  it("truncated, lets no gradient into the past, and keeps that of the present", () => {
    const net = cell({ truncate: "elman1" });
    const g = new Generator(4);
    const [xs, h0] = [leaf(g, 4, 2, 3), leaf(g, 2, 4)];
    for (const run of [net.scan.bind(net), (x: Tensor, h: Tensor) => scanSteps(net, x, h)]) {
      const [dx, dh, dw] = gradients([sum(select(run(xs, h0)[0], 0, 3))], [xs, h0, net.weightHh], [ones([], "float64")]);
      expect(Array.from(slice(dx as Tensor, 0, 0, 3).data()).every((d) => d === 0)).toBe(true);
      expect(Array.from(slice(dx as Tensor, 0, 3).data()).every((d) => d !== 0)).toBe(true);
      expect(dh == null || Array.from(dh.data()).every((d) => d === 0)).toBe(true);
      // ∂/∂U of one step: the sum over the batch of h'(1 - h') hᵀ.
      const hs = rows(select(run(xs, h0)[0], 0, 2));
      const last = rows(select(run(xs, h0)[0], 0, 3));
      const expected = [0, 1, 2, 3].flatMap((i) =>
        [0, 1, 2, 3].map((j) =>
          [0, 1].reduce((s, b) => s + (last[b]?.[i] as number) * (1 - (last[b]?.[i] as number)) * (hs[b]?.[j] as number), 0),
        ),
      );
      expectClose(dw as Tensor, expected, 1e-12);
    }
  });

  it.each(["none", "elman1"] as const)("learns the exclusive or of two bits, one after the other, truncate = %s", (truncate) => {
    const net = new SimpleRecurrentNetwork({ inputSize: 1, hiddenSize: 8, truncate, generator: new Generator(4) });
    const head = new Linear(8, 1, { generator: new Generator(2) });
    const optimizer = new Adam([...net.parameters(), ...head.parameters()], { lr: 5e-2 });
    const bits = new Generator(3);
    const error = learn(1500, () => {
      const [a, b] = [0, 1].map(() => Array.from(bits.uniform([32]).data(), (u) => (u < 0.5 ? 0 : 1))) as [number[], number[]];
      const xs = tensor([...a, ...b], { shape: [2, 32, 1], dtype: "float32" });
      const xor = tensor(
        a.map((bit, k) => bit ^ (b[k] as number)),
        { shape: [32, 1], dtype: "float32" },
      );
      const loss = mseLoss(head.forward(net.scan(xs)[1]), xor);
      optimizer.zeroGrad();
      backward(loss);
      optimizer.step();
      return loss;
    });
    // A constant, or any one bit, leaves 0.25.
    expect(error).toBeLessThan(0.01);
  });
});
