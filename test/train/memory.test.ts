import { expect, it } from "vitest";
import { backward } from "../../src/autodiff/backward.ts";
import { gradients } from "../../src/autodiff/sweep.ts";
import { Linear } from "../../src/nn/layers.ts";
import { mseLoss } from "../../src/nn/losses.ts";
import { Module } from "../../src/nn/module.ts";
import { sum } from "../../src/ops/broadcast.ts";
import { Adam } from "../../src/optim/adam.ts";
import { RNN } from "../../src/recurrence/rnn.ts";
import { ones, zeros } from "../../src/tensor/create.ts";
import { Generator } from "../../src/tensor/random.ts";
import { scope, type Tensor } from "../../src/tensor/tensor.ts";
import { memory } from "../../src/wasm/host.ts";

const generator = new Generator(3);

class Small extends Module {
  readonly rnn = new RNN({ inputSize: 1, hiddenSize: 4, generator });
  readonly head = new Linear(4, 1, { generator });
  forward(xs: Tensor): Tensor {
    return this.head.forward(this.rnn.forward(xs).output);
  }
}

it("100,000 training steps leave live bytes and linear memory flat, and nobody disposes of anything", () => {
  const model = new Small();
  const parameters = model.parameters();
  const optimizer = new Adam(parameters, { lr: 1e-3 });
  const xs = generator.uniform([3, 2, 1], -1, 1);
  const target = generator.uniform([3, 2, 1], -1, 1);
  const seed = ones([]);
  const step = () =>
    scope(() => {
      const loss = mseLoss(model.forward(xs), target);
      optimizer.step(gradients([loss], parameters, [seed]));
      return loss.item();
    });
  const first = step();
  const { liveBytes, linearBytes, blocks } = memory();
  let last = first;
  for (let i = 0; i < 100_000; i++) last = step();
  expect(memory()).toMatchObject({ liveBytes, linearBytes, blocks });
  expect(last).toBeLessThan(first / 2);
}, 300_000);

it("training on sequences of ever other lengths takes little more than it needs at most at once", () => {
  const lstm = new RNN({ inputSize: 32, hiddenSize: 256, generator });
  const optimizer = new Adam(lstm.parameters());
  const lengths = generator.integers([60], 10, 601).data();
  for (const T of lengths) {
    scope(() => {
      backward(sum(lstm.forward(zeros([T, 8, 32])).output));
      optimizer.step();
    });
    lstm.zeroGrad();
  }
  const { peakBytes, linearBytes } = memory();
  expect(peakBytes).toBeGreaterThan(8 * 2 ** 20);
  expect(linearBytes).toBeLessThan(1.6 * peakBytes);
});
