/** Heads that send errors back by other weights than their own. */

import { describe, expect, it } from "vitest";
import { track } from "../../src/autodiff/alias.ts";
import { backward } from "../../src/autodiff/backward.ts";
import { gradients } from "../../src/autodiff/sweep.ts";
import { ArgumentError } from "../../src/base/errors.ts";
import { BroadcastLinear } from "../../src/learning/index.ts";
import { Linear } from "../../src/nn/layers.ts";
import { mul } from "../../src/ops/arithmetic.ts";
import { sum } from "../../src/ops/broadcast.ts";
import { matmul } from "../../src/ops/linear.ts";
import { SGD } from "../../src/optim/sgd.ts";
import { Generator } from "../../src/tensor/random.ts";
import { scope, type Tensor } from "../../src/tensor/tensor.ts";

const dtype = "float64";
const make = (feedback: "random" | "adaptive") => new BroadcastLinear(4, 3, { feedback, dtype, generator: new Generator(1) });
const x = new Generator(2).uniform([5, 2, 4], -1, 1, dtype);
const d = new Generator(3).uniform([5, 2, 3], -1, 1, dtype);
const numbers = (t: Tensor | null | undefined): number[] => Array.from((t as Tensor).data());

describe("BroadcastLinear", () => {
  it.each(["random", "adaptive"] as const)(
    "has a linear layer's values and weights' gradients, and sends errors back by B: %s",
    (feedback) => {
      const head = make(feedback);
      const linear = new Linear(4, 3, { dtype });
      linear.weight.data();
      linear.loadStateDict(new Map([...head.stateDict()].filter(([name]) => name !== "feedback")));
      const input = track(x);
      const y = head.forward(input);
      expect(numbers(y)).toEqual(numbers(linear.forward(x)));
      const [dx, dW, db] = gradients([y], [input, head.weight, head.bias as Tensor], [d]);
      const [expectedW, expectedB] = gradients([linear.forward(x)], [linear.weight, linear.bias as Tensor], [d]);
      expect(numbers(dW)).toEqual(numbers(expectedW));
      expect(numbers(db)).toEqual(numbers(expectedB));
      expect(numbers(dx)).toEqual(numbers(matmul(d, head.feedback)));
    },
  );

  it("gives adaptive feedback the gradient of the weights, and random feedback none", () => {
    const adaptive = make("adaptive");
    backward(sum(mul(adaptive.forward(x), d)));
    expect(numbers(adaptive.feedback.grad)).toEqual(numbers(adaptive.weight.grad));
    const random = make("random");
    backward(sum(mul(random.forward(x), d)));
    expect(random.feedback.grad).toBeNull();
    expect(random.parameters().length).toBe(2);
    expect([...random.stateDict().keys()]).toContain("feedback");
  });

  it("brings adaptive feedback and weights together under weight decay", () => {
    const head = make("adaptive");
    const apart = () => Math.max(...numbers(head.weight).map((w, i) => Math.abs(w - (head.feedback.data()[i] as number))));
    const before = apart();
    const optimizer = new SGD(head.parameters(), { lr: 0.1, weightDecay: 0.1 });
    for (let i = 0; i < 100; i++) {
      scope(() => {
        optimizer.zeroGrad();
        backward(sum(mul(head.forward(x), d)));
        optimizer.step();
      });
    }
    // The difference shrinks by 1 − lr·decay an update.
    expect(!(Math.abs(apart() - before * 0.99 ** 100) <= 1e-9)).toBe(false);
  });

  it("refuses other words and sizes", () => {
    expect(() => new BroadcastLinear(4, 3, { feedback: "fixed" as never })).toThrow(ArgumentError);
    expect(() => new BroadcastLinear(0, 3)).toThrow(ArgumentError);
  });
});
