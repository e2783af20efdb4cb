/** Tensors written to between the forward pass and the sweep: a rule that reads them fails, one that does not goes on. */

import { describe, expect, it } from "vitest";
import { backward } from "../../src/autodiff/backward.ts";
import { gradients } from "../../src/autodiff/sweep.ts";
import { StateError } from "../../src/base/errors.ts";
import { MGU } from "../../src/cells/gated/mgu.ts";
import { SequenceBatchNorm } from "../../src/nn/batch-norm.ts";
import { Linear } from "../../src/nn/layers.ts";
import { crossEntropy } from "../../src/nn/losses.ts";
import { Parameter } from "../../src/nn/module.ts";
import * as ops from "../../src/ops/index.ts";
import * as optim from "../../src/optim/index.ts";
import { scanSteps } from "../../src/recurrence/recurrence.ts";
import { GRU, LSTM, RNN } from "../../src/recurrence/rnn.ts";
import { full, ones } from "../../src/tensor/create.ts";
import { dryRun } from "../../src/tensor/dry-run.ts";
import { Generator } from "../../src/tensor/random.ts";
import { assign, requireGrad, type Tensor, tensor } from "../../src/tensor/tensor.ts";

const WORDS = "one of the variables needed for gradient computation has been modified by an inplace operation";
const leaf = (...values: number[]) => requireGrad(tensor(values));
const values = (t: Tensor | null | undefined) => Array.from((t as Tensor).data());

function expectRefused(run: () => unknown): void {
  expect(run).toThrow(StateError);
  expect(run).toThrow(WORDS);
}

describe("a rule that reads what was written to", () => {
  it("fails with PyTorch's words instead of giving another function's derivative", () => {
    // d(w²)/dw = 2w: 12 at 6; 204 would be the slope at 102.
    const w = leaf(6);
    const loss = ops.sum(ops.mul(w, w));
    assign(w, [102]);
    expect(() => backward(loss)).toThrow(
      new StateError(
        `backward: expected the tensors that mul was computed with as they were, got a float32 [1] written to since: ${WORDS}`,
      ),
    );
    expect(w.grad).toBeNull();
    expect(values(w)).toEqual([102]);
    backward(ops.sum(ops.mul(w, w)));
    expect(values(w.grad)).toEqual([204]);
  });

  it("fails whatever was written: an input, an output, a constant, an index, a target, a view of them", () => {
    const cases: (() => [y: Tensor, written: Tensor])[] = [
      () => [ops.exp(leaf(1)), null as never],
      () => {
        const x = leaf(1);
        return [ops.square(x), x];
      },
      () => {
        const y = ops.mul(ops.mul(leaf(1, 2), 1), leaf(3, 4));
        return [ops.sum(ops.mul(y, y)), y];
      },
      () => {
        const c = tensor([3]);
        return [ops.mul(leaf(1), c), c];
      },
      () => {
        const w = leaf(1, 2, 3, 4);
        return [ops.mul(ops.select(ops.reshape(w, [2, 2]), 0, 1), leaf(1, 1)), w];
      },
      () => {
        const w = leaf(1, 2, 3, 4);
        return [ops.mul(w, leaf(1, 1, 1, 1)), ops.reshape(w, [2, 2])];
      },
      () => {
        const index = tensor([[1]], { dtype: "int32" });
        return [ops.gather(requireGrad(tensor([[1, 2]])), 1, index), index];
      },
      () => {
        const target = tensor([1], { dtype: "int32" });
        return [crossEntropy(requireGrad(tensor([[1, 2]])), target), target];
      },
      () => {
        const weight = tensor([1, 2]);
        const target = tensor([1], { dtype: "int32" });
        return [crossEntropy(requireGrad(tensor([[1, 2]])), target, { weight }), weight];
      },
      () => {
        const mask = tensor([true, false], { dtype: "bool" });
        return [ops.where(mask, leaf(1, 2), 0), mask];
      },
      () => {
        const w = requireGrad(tensor([[1, 2], [3, 4]])); // biome-ignore format: rows
        return [ops.matmul(leaf(1, 2), w), w];
      },
    ];
    for (const make of cases) {
      const [y, written] = make();
      const target = written ?? y;
      assign(target, values(target));
      expectRefused(() => backward(ops.sum(y)));
    }
  });

  it("fails in the sweep of a sweep", () => {
    const x = leaf(2);
    const [g] = gradients([ops.mul(ops.square(x), x)], [x], [ones([1])], { createGraph: true });
    assign(x, [3]);
    expectRefused(() => backward(ops.sum(g as Tensor)));
  });

  it("fails for gradients that another sweep has added to, or that were clipped", () => {
    const penalty = (p: Tensor): Tensor => ops.sum(ops.mul(p.grad as Tensor, p));
    const p = new Parameter(tensor([3, 4]));
    backward(ops.sum(ops.square(p)));
    const loss = penalty(p);
    backward(ops.sum(p));
    expectRefused(() => backward(loss));
    for (const clip of [() => optim.clipGradNorm([p], 1), () => optim.clipGradValue([p], 0.5)]) {
      const again = penalty(p);
      clip();
      expectRefused(() => backward(again));
    }
  });
});

describe("a rule that does not read it", () => {
  it("goes on, with the right derivative", () => {
    const derivative = (fn: (w: Tensor) => [y: Tensor, written: Tensor]): number[] => {
      const w = leaf(0.5, -2);
      const [y, written] = fn(w);
      assign(written, new Array<number>(written.size).fill(7));
      backward(ops.sum(y));
      return values(w.grad);
    };
    expect(derivative((w) => [ops.add(w, tensor([1, 2])), w])).toEqual([1, 1]);
    // d(3w)/dw = 3 reads neither.
    expect(derivative((w) => [ops.mul(w, 3), w])).toEqual([3, 3]);
    // The derivative by w reads the constant alone, in PyTorch, too.
    expect(derivative((w) => [ops.mul(w, tensor([5, 6])), w])).toEqual([5, 6]);
    // relu reads its result, not its input.
    expect(derivative((w) => [ops.relu(w), w])).toEqual([1, 0]);
    expect(derivative((w) => [ops.reshape(w, [2, 1]), w])).toEqual([1, 1]);
  });

  it("linear: the bias is free, the weight unless the input wants a gradient, the input unless the weight does", () => {
    const make = () => ({ x: requireGrad(tensor([[1, 2]])), w: requireGrad(tensor([[3, 4]])), b: leaf(5) });
    const { x, w, b } = make();
    const y = ops.linear(x, w, b);
    assign(b, [0]);
    backward(ops.sum(y));
    expect([values(x.grad), values(w.grad), values(b.grad)]).toEqual([[3, 4], [1, 2], [1]]);
    const one = make();
    const first = ops.linear(one.x.detach(), one.w, one.b);
    assign(one.w, [0, 0]);
    backward(ops.sum(first));
    expect(values(one.w.grad)).toEqual([1, 2]);
    const two = make();
    const second = ops.linear(two.x, two.w, two.b);
    assign(two.w, [0, 0]);
    expectRefused(() => backward(ops.sum(second)));
  });

  it("goes on where only the caller's cotangent was written to", () => {
    const w = leaf(2, 3);
    const y = ops.mul(w, 4);
    assign(w, [1, 10]);
    expect(values(gradients([y], [w], [w])[0])).toEqual([4, 40]);
  });

  it("running statistics of batch norm may move in between", () => {
    const norm = new SequenceBatchNorm(2);
    const xs = new Generator(1).normal([3, 4, 2], 0, 1);
    const gradient = (between: () => void): number[] => {
      const x = requireGrad(tensor(xs.data(), { shape: xs.shape }));
      const loss = ops.sum(ops.square(ops.mul(norm.forward(x), x)));
      between();
      backward(loss);
      return values(x.grad);
    };
    expect(gradient(() => norm.forward(xs))).toEqual(gradient(() => undefined));
  });

  it("a dry run writes nothing", () => {
    const w = leaf(6);
    const loss = ops.sum(ops.mul(w, w));
    dryRun(() => assign(w, [1]));
    backward(loss);
    expect(values(w.grad)).toEqual([12]);
  });
});

describe("whoever writes to weights", () => {
  const makers: [string, (params: Tensor[]) => { step(gradients?: Tensor[]): void }][] = [
    ["SGD", (p) => new optim.SGD(p, { lr: 0.1 })],
    ["SGD with momentum", (p) => new optim.SGD(p, { lr: 0.1, momentum: 0.9 })],
    ["Adam", (p) => new optim.Adam(p)],
    ["AdamW", (p) => new optim.AdamW(p)],
    ["NAdam", (p) => new optim.NAdam(p)],
    ["RAdam", (p) => new optim.RAdam(p)],
    ["Adamax", (p) => new optim.Adamax(p)],
    ["Adagrad", (p) => new optim.Adagrad(p)],
    ["Adadelta", (p) => new optim.Adadelta(p)],
    ["RMSprop", (p) => new optim.RMSprop(p)],
    ["Rprop", (p) => new optim.Rprop(p)],
  ];
  it.each(makers)("%s", (_, make) => {
    const w = new Parameter(tensor([1, 2]));
    const optimizer = make([w]);
    const loss = ops.sum(ops.square(w));
    optimizer.step([ones([2])]);
    expectRefused(() => backward(loss));
    // Loss, sweep, step, as often as one likes.
    for (let i = 0; i < 3; i++) {
      w.grad = null;
      backward(ops.sum(ops.square(w)));
      expect(values(w.grad)).toEqual(values(w).map((v) => Math.fround(2 * v)));
      optimizer.step();
    }
  });

  it("LBFGS, EMA, loadStateDict, assign", () => {
    const writers: ((layer: Linear) => void)[] = [
      (layer) => {
        const lbfgs = new optim.LBFGS(layer.parameters());
        lbfgs.step(() => {
          lbfgs.zeroGrad();
          const y = ops.sum(ops.square(layer.forward(ones([1, 2]))));
          backward(y);
          return y;
        });
      },
      (layer) => new optim.EMA(layer.parameters()).swap(),
      (layer) => layer.loadStateDict(new Linear(2, 3).stateDict()),
      (layer) => assign(layer.weight, values(layer.weight)),
    ];
    for (const write of writers) {
      const layer = new Linear(2, 3);
      const loss = ops.sum(ops.square(layer.forward(requireGrad(ones([1, 2])))));
      write(layer);
      expectRefused(() => backward(loss));
    }
    const ema = new optim.EMA([new Parameter(ones([2]))], { decay: 0.5 });
    const average = ema.stateDict().averages[0] as Tensor;
    const loss = ops.sum(ops.mul(leaf(1, 2), average));
    ema.update();
    expectRefused(() => backward(loss));
  });
});

describe("recurrent layers", () => {
  const xs = () => new Generator(5).normal([4, 2, 3], 0, 1);
  const layers: [string, () => LSTM | GRU | RNN][] = [
    ["LSTM", () => new LSTM({ inputSize: 3, hiddenSize: 2 })],
    ["GRU", () => new GRU({ inputSize: 3, hiddenSize: 2 })],
    ["RNN", () => new RNN({ inputSize: 3, hiddenSize: 2 })],
  ];
  it.each(layers)("%s: the kernels' backward reads the recurrent weights", (_, make) => {
    const layer = make();
    const loss = ops.sum(layer.forward(xs()).output);
    const recurrent = layer.stateDict().get("weight_hh_l0") as Tensor;
    assign(recurrent, values(recurrent));
    expectRefused(() => backward(loss));
    backward(ops.sum(layer.forward(xs()).output));
  });

  it("captured scans read the weights they were run with", () => {
    const cell = new MGU({ inputSize: 3, hiddenSize: 2 });
    const before = ops.sum(cell.scan(xs())[0]);
    const recurrent = cell.stateDict().get("weight_hh") as Parameter;
    assign(recurrent, values(recurrent));
    expectRefused(() => backward(before));
    // Where no gradient goes to the inputs, their weights are not read, and neither are they eagerly.
    const outputs = [cell.scan(xs())[0], scanSteps(cell, xs())[0]];
    const weight = cell.stateDict().get("weight_ih") as Parameter;
    assign(weight, values(ones(weight.shape)));
    const [captured, eager] = outputs.map((ys) => gradients([ys], [weight], [ones(ys.shape)])[0] as Tensor) as [Tensor, Tensor];
    expect(values(captured)).toEqual(values(eager));
    const optimizer = new optim.SGD(cell.parameters(), { lr: 0.1 });
    for (let i = 0; i < 3; i++) {
      optimizer.zeroGrad();
      backward(ops.sum(cell.scan(xs())[0]));
      optimizer.step();
    }
  });
});

it("memory withheld from a rule is given back", () => {
  const w = leaf(6);
  const loss = ops.sum(ops.mul(w, w));
  const { ptr } = w;
  assign(w, [7]);
  expectRefused(() => backward(loss));
  expect([w.ptr, w.storage.released]).toEqual([ptr, false]);
  w.dispose();
  expect(() => backward(loss)).toThrow("expected a live tensor");
  expect(full([1], 1).item()).toBe(1);
});
