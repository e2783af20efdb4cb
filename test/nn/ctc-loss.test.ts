import { describe, expect, test } from "vitest";
import type { FloatDType } from "../../src/base/dtype.ts";
import { ArgumentError, DTypeError, ShapeError } from "../../src/base/errors.ts";
import { type CtcOptions, ctcLoss } from "../../src/nn/ctc-loss.ts";
import { mul } from "../../src/ops/arithmetic.ts";
import { sum } from "../../src/ops/broadcast.ts";
import { composedCtc, ctc } from "../../src/ops/ctc.ts";
import { transpose } from "../../src/ops/shape.ts";
import { logSoftmax } from "../../src/ops/softmax.ts";
import { type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { checkGrads } from "../../src/transforms/check-grads.ts";
import { grad, vjp } from "../../src/transforms/transforms.ts";
import { expectClose, FLOATS, noise } from "../kernels/memory.ts";
import { enumerateAlignments } from "../oracle/ctc.ts";

const int = (values: number[], shape: number[] = [values.length]) => tensor(values, { dtype: "int32", shape });

function logits(shape: [number, number, number], dtype: FloatDType = "float64", seed = 1): Tensor {
  return tensor(noise(dtype, shape[0] * shape[1] * shape[2], seed), { shape, dtype });
}

const BLANK = 0;
const TARGETS = [[1, 2, 1], [2, 2], []];
const STEPS = [5, 4, 3];
const LENGTHS = TARGETS.map((t) => t.length);
const PADDED = () => int([1, 2, 1, 2, 2, 0, 0, 0, 0], [3, 3]);

function lossOf(options: CtcOptions = {}): (logProbs: Tensor) => Tensor {
  return (logProbs) => ctcLoss(logProbs, PADDED(), STEPS, LENGTHS, options);
}

/** Losses by definition, from logits through log-softmax. */
function enumerated(x: Tensor): number[] {
  const rows = logSoftmax(x, -1).toArray() as number[][][];
  return TARGETS.map(
    (target, n) =>
      enumerateAlignments(
        rows.slice(0, STEPS[n]).map((batch) => batch[n] as number[]),
        target,
        BLANK,
      ).loss,
  );
}

describe.each(FLOATS)("ctcLoss %s", (dtype) => {
  const tolerance = dtype === "float64" ? 1e-13 : 2e-6;

  test("is the negative logarithm of the sum over all alignments, reduced as asked", () => {
    const x = logits([5, 3, 3], dtype);
    const each = enumerated(x);
    const logProbs = logSoftmax(x, -1);
    const total = each.reduce((a, b) => a + b, 0);
    const mean = each.reduce((a, l, n) => a + l / Math.max(1, LENGTHS[n] as number), 0) / 3;
    expectClose(lossOf({ reduction: "none" })(logProbs).data(), each, tolerance);
    expectClose(lossOf({ reduction: "sum" })(logProbs).data(), [total], 3 * tolerance);
    expectClose(lossOf()(logProbs).data(), [mean], tolerance);
    expect(lossOf()(logProbs).dtype).toBe(dtype);
  });

  test("targets one after the other, and lengths as tensors, are the same", () => {
    const logProbs = logSoftmax(logits([5, 3, 3], dtype), -1);
    const flat = ctcLoss(logProbs, int([1, 2, 1, 2, 2]), int(STEPS), int(LENGTHS), { reduction: "none" });
    expect(flat.data()).toEqual(lossOf({ reduction: "none" })(logProbs).data());
  });

  test("the gradient takes every log-probability as free: minus the occupancies", () => {
    const x = logSoftmax(logits([5, 3, 3], dtype), -1);
    const [y, pullback] = vjp(lossOf({ reduction: "none" }), [x]);
    const weights = tensor([1, -2, 0.5], { dtype });
    const dx = (pullback(weights)[0] as Tensor).toArray() as number[][][];
    const rows = x.toArray() as number[][][];
    TARGETS.forEach((target, n) => {
      const { occupancy } = enumerateAlignments(
        rows.slice(0, STEPS[n]).map((b) => b[n] as number[]),
        target,
        BLANK,
      );
      for (let t = 0; t < 5; t++) {
        const want = (occupancy[t] ?? [0, 0, 0]).map((o) => -o * (weights.data()[n] as number));
        expectClose(dx[t]?.[n] as number[], want, 4 * tolerance);
      }
    });
    expect(y.shape).toEqual([3]);
  });

  test("sequences without an alignment: infinite loss, or none, and a gradient of zeros", () => {
    const x = logSoftmax(logits([3, 2, 3], dtype), -1);
    const targets = int([1, 1, 1, 2, 0, 0], [2, 3]);
    const loss = (options: CtcOptions) => (z: Tensor) => ctcLoss(z, targets, [3, 3], [3, 1], options);
    const each = loss({ reduction: "none" })(x).data();
    expect(each[0]).toBe(Number.POSITIVE_INFINITY);
    expect(loss({})(x).item()).toBe(Number.POSITIVE_INFINITY);
    expect(loss({ reduction: "none", zeroInfinity: true })(x).toArray()).toEqual([0, each[1]]);
    for (const zeroInfinity of [true, false]) {
      const dx = (grad(loss({ reduction: "sum", zeroInfinity }))(x)[0] as Tensor).toArray() as number[][][];
      for (const step of dx) {
        expect(step[0]?.map(Math.abs)).toEqual([0, 0, 0]);
        expect(step[1]?.reduce((a, b) => a + b)).toBeCloseTo(-1, 5);
      }
    }
  });

  test("a log-probability that is no number gives a loss that is none", () => {
    const x = tensor([Number.NaN, -1, -1, -1], { shape: [2, 1, 2], dtype });
    expect(ctcLoss(x, int([1], [1, 1]), [2], [1], { zeroInfinity: true }).item()).toBe(Number.NaN);
  });

  test("batches and steps of size zero", () => {
    expect(ctcLoss(logits([4, 0, 3], dtype), int([], [0, 2]), [], [], { reduction: "none" }).shape).toEqual([0]);
    const none = ctcLoss(logits([0, 2, 3], dtype), int([1], [1]), [0, 0], [1, 0], { reduction: "none" });
    expect(none.toArray()).toEqual([Number.POSITIVE_INFINITY, 0]);
  });

  test("reads log-probabilities through a view", () => {
    const x = logits([3, 5, 3], dtype);
    const turned = transpose(logSoftmax(x, -1), 0, 1);
    const copy = tensor(turned.data(), { shape: turned.shape, dtype });
    expect(lossOf({ reduction: "none" })(turned).data()).toEqual(lossOf({ reduction: "none" })(copy).data());
  });
});

describe("derivatives of ctcLoss", () => {
  test.each(["mean", "sum", "none"] as const)("with respect to free log-probabilities, %s", (reduction) => {
    checkGrads(lossOf({ reduction }), [logSoftmax(logits([5, 3, 3]), -1)], { order: 2 });
  });

  test("through log-softmax", () => {
    checkGrads((x) => lossOf({ reduction: "none" })(logSoftmax(x, -1)), [logits([5, 3, 3])], { order: 2 });
  });

  test("where some sequences have no alignment", () => {
    const loss = (x: Tensor) => ctcLoss(x, int([1, 1, 1, 2, 0, 0], [2, 3]), [3, 3], [3, 1], { zeroInfinity: true });
    checkGrads(loss, [logSoftmax(logits([4, 2, 3]), -1)], { order: 2 });
  });

  test("the composed form has the same values and gradients", () => {
    const labels = { blank: 0, targets: PADDED(), inputLengths: int(STEPS), targetLengths: int(LENGTHS) };
    const x = logSoftmax(logits([5, 3, 3]), -1);
    const weights = tensor([1, -2, 0.5], { dtype: "float64" });
    const results = [ctc, composedCtc].map((form) => {
      const [y, pullback] = vjp((z) => form(z, labels), [x]);
      return [...y.data(), ...(pullback(weights)[0] as Tensor).data()];
    });
    expectClose(results[0] as number[], results[1] as number[], 1e-13);
  });

  test("third derivatives go on through the composed form", () => {
    const x = logSoftmax(logits([3, 1, 3]), -1);
    const loss = (z: Tensor) => ctcLoss(z, int([1, 2], [1, 2]), [3], [2]);
    const v = logits([3, 1, 3], "float64", 5);
    const along = (f: (z: Tensor) => Tensor) => (z: Tensor) => sum(mul(grad(f)(z)[0] as Tensor, v));
    checkGrads(along(loss), [x], { order: 2 });
  });
});

describe("ctcLoss rejects", () => {
  const x = () => logits([4, 2, 3]);
  const targets = () => int([1, 2, 2, 0], [2, 2]);
  test.each([
    ["logProbs without three axes", () => ctcLoss(int([1]), targets(), [4, 4], [2, 1]), ShapeError],
    ["integer logProbs", () => ctcLoss(int([0, 0], [2, 1, 1]), int([], [1, 0]), [2], [0]), DTypeError],
    ["a blank that is no class", () => ctcLoss(x(), targets(), [4, 4], [2, 1], { blank: 3 }), ArgumentError],
    ["a label that is no class", () => ctcLoss(x(), int([1, 3, 1, 1], [2, 2]), [4, 4], [2, 1]), ArgumentError],
    ["a label that is the blank", () => ctcLoss(x(), int([1, 0, 1, 1], [2, 2]), [4, 4], [2, 1]), ArgumentError],
    ["float targets", () => ctcLoss(x(), tensor([[1], [1]]), [4, 4], [1, 1]), DTypeError],
    ["targets of another batch", () => ctcLoss(x(), int([1, 1, 1], [3, 1]), [4, 4], [1, 1]), ShapeError],
    ["targets too short for their lengths", () => ctcLoss(x(), int([1, 1]), [4, 4], [2, 1]), ShapeError],
    ["more steps than there are", () => ctcLoss(x(), targets(), [5, 4], [2, 1]), ArgumentError],
    ["negative lengths", () => ctcLoss(x(), targets(), [4, 4], [-1, 1]), ArgumentError],
    ["fewer lengths than sequences", () => ctcLoss(x(), targets(), [4], [2, 1]), ShapeError],
    ["an unknown reduction", () => ctcLoss(x(), targets(), [4, 4], [2, 1], { reduction: "max" as "sum" }), ArgumentError],
  ])("%s", (_, run, error) => {
    expect(run).toThrow(error);
    expect(run).toThrow(/^(ctcLoss): expected .*, got /);
  });
});
