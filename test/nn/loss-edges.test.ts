/**
 * Every loss at the edges of what it takes. "PyTorch:" says that the number is that of the function of the same name in
 * torch.nn.functional (2.x, float32, CPU), from its definition; "worked:" that it was worked by hand.
 */

import { describe, expect, test } from "vitest";
import { backward } from "../../src/autodiff/backward.ts";
import type { FloatDType } from "../../src/base/dtype.ts";
import { ArgumentError, DTypeError, ShapeError } from "../../src/base/errors.ts";
import { ctcLoss } from "../../src/nn/ctc-loss.ts";
import { bceLoss, bceWithLogits, crossEntropy, huberLoss, klDiv, l1Loss, mseLoss, nllLoss, smoothL1Loss } from "../../src/nn/losses.ts";
import { add, mul } from "../../src/ops/arithmetic.ts";
import { sum } from "../../src/ops/broadcast.ts";
import { logSoftmax } from "../../src/ops/softmax.ts";
import { ones, zeros } from "../../src/tensor/create.ts";
import { requireGrad, type Tensor, tensor } from "../../src/tensor/tensor.ts";

const INF = Number.POSITIVE_INFINITY;
const NAN = Number.NaN;
const FLOATS: readonly FloatDType[] = ["float32", "float64"];
const int = (...values: number[]) => tensor(values, { dtype: "int32" });

type Loss = (x: Tensor, t: Tensor) => Tensor;
interface Case {
  readonly name: string;
  /** Not reduced. */
  readonly loss: Loss;
  readonly input: readonly number[];
  readonly target: readonly number[];
  readonly losses: readonly number[];
  /** Of the sum. */
  readonly byInput: readonly number[];
  readonly byTarget?: readonly number[];
}

const none = { reduction: "none" } as const;
const bce: Loss = (x, t) => bceLoss(x, t, none);
const logits: Loss = (x, t) => bceWithLogits(x, t, none);
const kl: Loss = (x, t) => klDiv(x, t, none);
const klOfLogs: Loss = (x, t) => klDiv(x, t, { ...none, logTarget: true });
const huber: Loss = (x, t) => huberLoss(x, t, none);
const smooth: Loss = (x, t) => smoothL1Loss(x, t, none);

const CASES: readonly Case[] = [
  // PyTorch: log(0) is clamped at -100, and the gradient (x - t) / max(x(1 - x), 1e-12) at ±1e12.
  { name: "bceLoss at 0 and 1", loss: bce, input: [0, 1, 0, 1], target: [0, 1, 1, 0], losses: [0, 0, 100, 100], byInput: [0, 0, -1e12, 1e12] },
  // PyTorch: -0.5·(-100) - 0.5·0 = 50; gradient (0 - 0.5) / 1e-12.
  { name: "bceLoss halfway", loss: bce, input: [0, 1], target: [0.5, 0.5], losses: [50, 50], byInput: [-5e11, 5e11], byTarget: [100, -100] },
  // worked: -log1p(-2^-30) = 2^-30 where 1 - 2^-30 rounds to 1 in float32.
  { name: "bceLoss near 0", loss: bce, input: [2 ** -30], target: [0], losses: [2 ** -30], byInput: [1] },
  // PyTorch refuses these; by its formula the gradient points back to what is a probability.
  { name: "bceLoss of what is no probability", loss: bce, input: [-0.5, 1.5, NAN], target: [1, 0, 1], losses: [NAN, NAN, NAN], byInput: [-1.5e12, 1.5e12, NAN] },
  // worked: -log σ(±∞) is 0 or ∞, its derivative σ - t; PyTorch has NaN for infinite logits.
  { name: "bceWithLogits of ±∞", loss: logits, input: [INF, -INF, INF, -INF], target: [1, 0, 0, 1], losses: [0, 0, INF, INF], byInput: [0, 0, 1, -1] },
  // PyTorch: binary_cross_entropy_with_logits([1000, -1000, 1000, -1000], [1, 0, 0, 1]).
  { name: "bceWithLogits of ±1000", loss: logits, input: [1000, -1000, 1000, -1000], target: [1, 0, 0, 1], losses: [0, 0, 1000, 1000], byInput: [0, 0, 1, -1], byTarget: [-1000, 1000, -1000, 1000] },
  { name: "bceWithLogits of NaN", loss: logits, input: [NAN], target: [0], losses: [NAN], byInput: [NAN] },
  // worked: 0·log 0 counts as 0, so that a target of 0 costs nothing whatever the input. PyTorch agrees but for the -∞.
  { name: "klDiv of targets 0 and 1", loss: kl, input: [-1, 0, -INF, -2], target: [0, 0, 0, 1], losses: [0, 0, 0, 2], byInput: [0, 0, 0, -1] },
  { name: "klDiv of what is impossible", loss: kl, input: [-INF], target: [1], losses: [INF], byInput: [-1] },
  // PyTorch: xlogy of a negative number is NaN.
  { name: "klDiv of what is no probability", loss: kl, input: [-1, -1], target: [-0.5, NAN], losses: [NAN, NAN], byInput: [0.5, NAN] },
  // worked: e^l·(l - input) is 0 at l = -∞, and where e^l underflows.
  { name: "klDiv with logTarget", loss: klOfLogs, input: [-1, -INF, 0, -INF], target: [-INF, -INF, 0, -1e4], losses: [0, 0, 0, 0], byInput: [0, 0, -1, 0], byTarget: [0, 0, 1, 0] },
  // PyTorch: smooth_l1_loss and huber_loss with beta = delta = 1; the derivative is clamp(x - t, -1, 1).
  { name: "huberLoss", loss: huber, input: [0, 1, -1, 3, INF, -INF], target: [0, 0, 0, 0, 0, 0], losses: [0, 0.5, 0.5, 2.5, INF, INF], byInput: [0, 1, -1, 1, 1, -1] },
  { name: "smoothL1Loss", loss: smooth, input: [0, 1, -1, 3, INF, -INF], target: [0, 0, 0, 0, 0, 0], losses: [0, 0.5, 0.5, 2.5, INF, INF], byInput: [0, 1, -1, 1, 1, -1] },
  // PyTorch: huber_loss(3, 0, delta=inf) is 4.5, half the square.
  { name: "huberLoss, delta ∞", loss: (x, t) => huberLoss(x, t, { ...none, delta: INF }), input: [3, 0], target: [0, 0], losses: [4.5, 0], byInput: [3, 0] },
  // PyTorch: with a beta that rounds to 0 what is left is |d|, with the derivative 0 at 0.
  { name: "smoothL1Loss, tiny beta", loss: (x, t) => smoothL1Loss(x, t, { ...none, beta: 1e-50 }), input: [3, 0], target: [0, 0], losses: [3, 0], byInput: [1, 0] },
  // PyTorch: d|d|/dd is sign(d), 0 at 0.
  { name: "l1Loss", loss: (x, t) => l1Loss(x, t, none), input: [0, 2, INF], target: [0, 0, 0], losses: [0, 2, INF], byInput: [0, 1, 1] },
  { name: "mseLoss", loss: (x, t) => mseLoss(x, t, none), input: [0, 2, INF], target: [0, 0, 0], losses: [0, 4, INF], byInput: [0, 4, INF] },
]; // biome-ignore format: a table

/** Equal, within a relative rounding of float32. */
function expectNumbers(got: Tensor | null, want: readonly number[], what: string): void {
  const values = Array.from((got as Tensor).data());
  expect(values.length, what).toBe(want.length);
  want.forEach((w, i) => {
    const g = values[i] as number;
    if (!(Object.is(g, w) || g === w || Math.abs(g - w) <= 1e-6 * Math.abs(w))) throw new Error(`${what}: expected ${w} at ${i}, got ${g}`);
  });
}

describe.each(FLOATS)("%s", (dtype) => {
  test.each(CASES.map((c) => [c.name, c] as const))("%s", (name, { loss, input, target, losses, byInput, byTarget }) => {
    const x = requireGrad(tensor([...input], { dtype }));
    const t = byTarget ? requireGrad(tensor([...target], { dtype })) : tensor([...target], { dtype });
    const each = loss(x, t);
    expectNumbers(each, losses, name);
    backward(sum(each));
    expectNumbers(x.grad, byInput, `${name}, gradient`);
    if (byTarget) expectNumbers(t.grad, byTarget, `${name}, gradient of the target`);
  });

  test("elementwise losses of nothing: the mean is NaN (PyTorch: 0 / 0), the sum 0", () => {
    for (const loss of [mseLoss, l1Loss, huberLoss, smoothL1Loss, bceLoss, bceWithLogits, klDiv]) {
      const [x, t] = [requireGrad(zeros([0, 3], dtype)), zeros([0, 3], dtype)];
      expect(loss(x, t).item()).toBeNaN();
      expect(loss(x, t, { reduction: "sum" }).item()).toBe(0);
      expect(loss(x, t, none).shape).toEqual([0, 3]);
      backward(loss(x, t, { reduction: "sum" }));
      expect(x.grad?.shape).toEqual([0, 3]);
    }
  });

  test("classes: nothing, all ignored, impossible classes, masked classes", () => {
    const rows = (...values: number[][]) => requireGrad(tensor(values, { dtype }));
    for (const loss of [crossEntropy, nllLoss]) {
      // PyTorch: the mean over no rows, and over ignored rows only, is NaN; the sum is 0 with gradient 0.
      expect(loss(zeros([0, 3], dtype), zeros([0], "int32")).item()).toBeNaN();
      expect(loss(zeros([0, 3], dtype), zeros([0], "int32"), { reduction: "sum" }).item()).toBe(0);
      const ignored = rows([1, NAN, INF], [-INF, -INF, -INF]);
      expect(loss(ignored, int(-100, -100)).item()).toBeNaN();
      const total = loss(ignored, int(-100, -100), { reduction: "sum" });
      expect(total.item()).toBe(0);
      backward(total);
      expectNumbers(ignored.grad, [0, 0, 0, 0, 0, 0], "ignored rows");
      // A row that is ignored changes nothing for the others, whatever it holds.
      const mixed = rows([NAN, -INF], [0, 0]);
      const alone = rows([0, 0]);
      const [both, one] = [loss(mixed, int(7, 1), { ignoreIndex: 7 }), loss(alone, int(1))];
      expect(both.item()).toBe(one.item());
      backward(both);
      backward(one);
      expectNumbers(mixed.grad, [0, 0, ...Array.from((alone.grad as Tensor).data())], "a row beside an ignored one");
    }
    // PyTorch: cross_entropy([[0, 0, -inf]], [0]) is log 2, with gradient softmax - onehot.
    const masked = rows([0, 0, -INF]);
    const loss = crossEntropy(masked, int(0));
    expectNumbers(loss, [Math.LN2], "a masked class");
    backward(loss);
    expectNumbers(masked.grad, [-0.5, 0.5, 0], "a masked class, gradient");
    // PyTorch: cross_entropy([[0, -inf]], [1]) is inf.
    expect(crossEntropy(rows([0, -INF]), int(1)).item()).toBe(INF);
    expect(nllLoss(rows([0, -INF]), int(1)).item()).toBe(INF);
    // PyTorch: cross_entropy([[1000, 0]], [1]) is 1000 with gradient [1, -1].
    const large = rows([1000, 0]);
    const big = crossEntropy(large, int(1));
    expect(big.item()).toBe(1000);
    backward(big);
    expectNumbers(large.grad, [1, -1], "large logits");
  });

  test("probabilities: 0·log 0 is 0, and what has probability cannot be impossible", () => {
    const x = requireGrad(tensor([[0, 0, -INF], [0, -INF, -INF]], { dtype })); // biome-ignore format: rows
    const t = tensor([[1, 0, 0], [1, 0, 0]], { dtype }); // biome-ignore format: rows
    const losses = crossEntropy(x, t, none);
    expectNumbers(losses, [Math.LN2, 0], "masked classes");
    backward(sum(losses));
    expectNumbers(x.grad, [-0.5, 0.5, 0, 0, 0, 0], "masked classes, gradient");
    expect(crossEntropy(tensor([[0, -INF]], { dtype }), tensor([[0.5, 0.5]], { dtype })).item()).toBe(INF);
    // PyTorch: label smoothing spreads probability over a masked class, which is impossible.
    expect(crossEntropy(tensor([[0, -INF]], { dtype }), tensor([[1, 0]], { dtype }), { labelSmoothing: 0.1 }).item()).toBe(INF);
    expect(crossEntropy(tensor([[0, -INF]], { dtype }), int(0), { labelSmoothing: 0.1 }).item()).toBe(INF);
    // A weight of 0 takes a class out, also a masked one.
    const weight = tensor([2, 0], { dtype });
    expectNumbers(crossEntropy(tensor([[0, -INF]], { dtype }), tensor([[0.5, 0.5]], { dtype }), { weight }), [0], "weight 0");
  });

  test("weights of bceWithLogits: a posWeight of 0 takes the positives out, also at -∞", () => {
    const x = tensor([-INF, -INF], { dtype });
    expectNumbers(bceWithLogits(x, tensor([1, 1], { dtype }), { ...none, posWeight: tensor([0, 2], { dtype }) }), [0, INF], "posWeight");
  });

  test("ctcLoss: no steps, no labels, no alignment, steps that are certain", () => {
    const uniform = requireGrad(tensor(new Array<number>(12).fill(Math.log(1 / 3)), { shape: [2, 2, 3], dtype }));
    const losses = (steps: number[], labels: number[], options = {}) =>
      ctcLoss(uniform, tensor([[1, 1], [1, 2]], { dtype: "int32" }), steps, labels, { ...none, ...options }); // biome-ignore format: two targets
    // worked: no steps read nothing for certain; no labels: the blank twice, (1/3)²; PyTorch agrees.
    expectNumbers(losses([0, 2], [0, 0]), [0, 2 * Math.log(3)], "no labels");
    // worked: one label in two steps: b1, 1b, 11 → 3/9; two different ones: 12 → 1/9; a repeated one needs three steps.
    expectNumbers(losses([2, 2], [1, 2]), [Math.log(3), 2 * Math.log(3)], "two steps");
    expectNumbers(losses([2, 0], [2, 1]), [INF, INF], "no alignment");
    expectNumbers(losses([2, 0], [2, 1], { zeroInfinity: true }), [0, 0], "no alignment, zeroInfinity");
    backward(sum(losses([2, 2], [2, 2], { zeroInfinity: true })));
    // Only the second sequence has a loss: one alignment, label 1 then label 2.
    expectNumbers(uniform.grad, [0, 0, 0, 0, -1, 0, 0, 0, 0, 0, 0, -1], "gradient");
    const certain = requireGrad(tensor([[[-INF, 0, -INF]], [[-INF, -INF, 0]]], { dtype }));
    const sure = ctcLoss(certain, int(1, 2), [2], [2], { reduction: "sum" });
    expectNumbers(sure, [0], "certain steps");
    backward(sure);
    expectNumbers(certain.grad, [0, -1, 0, 0, 0, -1], "certain steps, gradient");
    expect(ctcLoss(zeros([2, 0, 3], dtype), zeros([0, 1], "int32"), [], []).item()).toBeNaN();
    expect(ctcLoss(zeros([2, 0, 3], dtype), zeros([0, 1], "int32"), [], [], { reduction: "sum" }).item()).toBe(0);
  });

  test("a gradient goes through logSoftmax beside masked classes", () => {
    const x = requireGrad(tensor([[1, 2, -INF]], { dtype }));
    backward(add(sum(mul(nllLoss(logSoftmax(x, -1), int(0)), 2)), 0));
    const p = Math.exp(2) / (Math.exp(1) + Math.exp(2));
    expectNumbers(x.grad, [-2 * p, 2 * p, 0], "gradient");
  });
});

describe("what is refused", () => {
  test("lengths of ctcLoss that are not whole, or out of range", () => {
    const x = ones([3, 1, 2]);
    for (const wrong of [1.5, NAN, -1, 4, INF]) {
      expect(() => ctcLoss(x, int(1), [wrong], [1])).toThrow(`ctcLoss: expected whole inputLengths in [0, 3], got ${wrong} at element 0`);
      expect(() => ctcLoss(x, int(1), [3], [wrong])).toThrow(ArgumentError);
      expect(() => ctcLoss(x, int(1), tensor([wrong]), [1])).toThrow(ArgumentError);
    }
    expect(() => ctcLoss(x, int(1), [3, 3], [1])).toThrow(ShapeError);
    expect(() => ctcLoss(x, int(1), [3], [1], { blank: 0.5 })).toThrow(ArgumentError);
  });

  test("whole numbers as inputs, and options that are no numbers in range", () => {
    for (const loss of [mseLoss, l1Loss, huberLoss, smoothL1Loss, bceLoss, bceWithLogits, klDiv]) {
      for (const reduction of ["none", "mean", "sum"] as const) {
        expect(() => loss(int(1), int(0), { reduction })).toThrow(DTypeError);
      }
    }
    for (const beta of [-1, NAN, INF]) expect(() => smoothL1Loss(ones([1]), ones([1]), { beta })).toThrow(ArgumentError);
    for (const delta of [-1, 0, NAN]) expect(() => huberLoss(ones([1]), ones([1]), { delta })).toThrow(ArgumentError);
    for (const labelSmoothing of [-0.1, 1.1, NAN])
      expect(() => crossEntropy(ones([1, 2]), int(0), { labelSmoothing })).toThrow(ArgumentError);
    for (const target of [2, -1]) expect(() => nllLoss(ones([1, 2]), int(target))).toThrow(ArgumentError);
  });
});
