import { describe, expect, test } from "vitest";
import { backward } from "../../src/autodiff/backward.ts";
import type { FloatDType } from "../../src/base/dtype.ts";
import { ArgumentError, DTypeError, ShapeError } from "../../src/base/errors.ts";
import {
  bceLoss,
  bceWithLogits,
  type ClassOptions,
  type CrossEntropyOptions,
  crossEntropy,
  huberLoss,
  klDiv,
  l1Loss,
  mseLoss,
  nllLoss,
  type Reduction,
  smoothL1Loss,
} from "../../src/nn/losses.ts";
import { mul, square, sub } from "../../src/ops/arithmetic.ts";
import { sigmoid } from "../../src/ops/math.ts";
import { mean } from "../../src/ops/reduce.ts";
import { transpose } from "../../src/ops/shape.ts";
import { softmax } from "../../src/ops/softmax.ts";
import { requireGrad, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { checkGrads } from "../../src/transforms/check-grads.ts";
import { grad } from "../../src/transforms/transforms.ts";
import { expectClose, FLOATS, noise } from "../kernels/memory.ts";

const REDUCTIONS: readonly Reduction[] = ["mean", "sum", "none"];

function random(shape: number[], dtype: FloatDType = "float64", seed = 1, scale = 1): Tensor {
  const values = noise(
    dtype,
    shape.reduce((a, b) => a * b, 1),
    seed,
  ).map((x) => x * scale);
  return tensor(values, { shape, dtype });
}

const int = (values: number[], shape: number[] = [values.length]) => tensor(values, { dtype: "int32", shape });

/** The single losses as the reduction leaves them. */
function reduced(losses: readonly number[], reduction: Reduction, count: number = losses.length): number[] {
  const total = losses.reduce((a, b) => a + b, 0);
  if (reduction === "none") return [...losses];
  return [reduction === "sum" ? total : total / count];
}

const zip = (a: Tensor, b: Tensor, f: (a: number, b: number) => number) => Array.from(a.data(), (x, i) => f(x, b.data()[i] as number));

interface Elementwise {
  readonly loss: (input: Tensor, target: Tensor, options?: { reduction?: Reduction }) => Tensor;
  readonly formula: (x: number, t: number) => number;
  /** The range of inputs and targets, as a map from (−1, 1). */
  readonly input?: (x: Tensor) => Tensor;
  readonly target?: (x: Tensor) => Tensor;
}

const huber = (d: number, delta: number) => (Math.abs(d) <= delta ? (d * d) / 2 : delta * (Math.abs(d) - delta / 2));
const xlogy = (t: number) => (t === 0 ? 0 : t * Math.log(t));

const ELEMENTWISE: Readonly<Record<string, Elementwise>> = {
  mseLoss: { loss: mseLoss, formula: (x, t) => (x - t) ** 2 },
  l1Loss: { loss: l1Loss, formula: (x, t) => Math.abs(x - t) },
  huberLoss: { loss: huberLoss, formula: (x, t) => huber(x - t, 1) },
  "huberLoss, delta 0.3": { loss: (x, t, o) => huberLoss(x, t, { ...o, delta: 0.3 }), formula: (x, t) => huber(x - t, 0.3) },
  smoothL1Loss: { loss: smoothL1Loss, formula: (x, t) => huber(x - t, 1) },
  "smoothL1Loss, beta 0.3": { loss: (x, t, o) => smoothL1Loss(x, t, { ...o, beta: 0.3 }), formula: (x, t) => huber(x - t, 0.3) / 0.3 },
  "smoothL1Loss, beta 0": { loss: (x, t, o) => smoothL1Loss(x, t, { ...o, beta: 0 }), formula: (x, t) => Math.abs(x - t) },
  bceLoss: {
    loss: bceLoss,
    formula: (p, t) => -t * Math.log(p) - (1 - t) * Math.log(1 - p),
    input: sigmoid,
    target: sigmoid,
  },
  bceWithLogits: {
    loss: bceWithLogits,
    formula: (x, t) => -t * Math.log(1 / (1 + Math.exp(-x))) - (1 - t) * Math.log(1 / (1 + Math.exp(x))),
    target: sigmoid,
  },
  klDiv: { loss: klDiv, formula: (x, t) => xlogy(t) - t * x, target: sigmoid },
  "klDiv, logTarget": { loss: (x, t, o) => klDiv(x, t, { ...o, logTarget: true }), formula: (x, t) => Math.exp(t) * (t - x) },
};

describe.each(Object.keys(ELEMENTWISE))("%s", (name) => {
  const { loss, formula, input = (x) => x, target = (x) => x } = ELEMENTWISE[name] as Elementwise;

  test.each(FLOATS)("is the formula, reduced as asked: %s", (dtype) => {
    const tolerance = dtype === "float64" ? 1e-14 : 2e-6;
    for (const shape of [[3, 4], [], [7], [0], [2, 3, 2]]) {
      const [x, t] = [input(random(shape, dtype, 1)), target(random(shape, dtype, 2))];
      const each = zip(x, t, formula);
      for (const reduction of REDUCTIONS) {
        const y = loss(x, t, { reduction });
        expect(y.shape).toEqual(reduction === "none" ? shape : []);
        expect(y.dtype).toBe(dtype);
        expectClose(y.data(), reduced(each, reduction), tolerance * Math.max(1, each.length));
      }
      expect(loss(x, t).toArray()).toEqual(loss(x, t, { reduction: "mean" }).toArray());
    }
  });

  test("has the derivatives of the formula, for input and target", () => {
    const [x, t] = [random([3, 4], "float64", 1), random([3, 4], "float64", 2)];
    for (const reduction of REDUCTIONS) checkGrads((a, b) => loss(input(a), target(b), { reduction }), [x, t], { order: 2 });
    checkGrads((a, b) => loss(input(transpose(a)), target(transpose(b))), [x, t], { order: 2 });
    checkGrads((a, b) => loss(input(a), target(b), { reduction: "sum" }), [random([0, 2]), random([0, 2])]);
  });

  test("rejects shapes, dtypes and reductions that do not fit", () => {
    const x = random([2, 3]);
    expect(() => loss(x, random([3]))).toThrow(ShapeError);
    expect(() => loss(x, random([2, 3], "float32"))).toThrow(DTypeError);
    expect(() => loss(input(x), target(x), { reduction: "max" as Reduction })).toThrow(ArgumentError);
  });
});

test("options out of range are rejected", () => {
  const x = random([2, 3]);
  for (const value of [-1, Number.NaN]) {
    expect(() => smoothL1Loss(x, x, { beta: value })).toThrow(ArgumentError);
    expect(() => huberLoss(x, x, { delta: value })).toThrow(ArgumentError);
    expect(() => crossEntropy(x, int([0, 0]), { labelSmoothing: value })).toThrow(ArgumentError);
  }
  expect(() => huberLoss(x, x, { delta: 0 })).toThrow(ArgumentError);
});

test.each(FLOATS)("the mean square error in one operation has the bits of the one in four: %s", (dtype) => {
  const run = (loss: (x: Tensor, t: Tensor) => Tensor) => {
    const [x, t] = [requireGrad(random([3, 87], dtype, 1)), requireGrad(random([3, 87], dtype, 2))];
    const y = loss(x, t);
    backward(mul(y, 0.3));
    return [y, x.grad, t.grad].map((v) => Array.from((v as Tensor).data()));
  };
  expect(run(mseLoss)).toEqual(run((x, t) => mean(square(sub(x, t)))));
});

test("the mean of no losses is not a number", () => {
  expect(mseLoss(random([0]), random([0])).item()).toBe(Number.NaN);
});

describe("binary cross-entropy", () => {
  test.each(FLOATS)("stays finite for probabilities of exactly 0 and 1: %s", (dtype) => {
    const p = tensor([0, 1, 0, 1], { dtype });
    const t = tensor([0, 1, 1, 0], { dtype });
    expectClose(bceLoss(p, t, { reduction: "none" }).data(), [0, 0, 100, 100], dtype === "float64" ? 1e-12 : 0.05);
    for (const g of (grad((x) => bceLoss(x, t, { reduction: "sum" }))(p)[0] as Tensor).data()) expect(Number.isFinite(g)).toBe(true);
  });

  test.each(FLOATS)("with logits is exact where probabilities round to 0 and 1: %s", (dtype) => {
    const x = tensor([-1000, 1000, -50, 50], { dtype });
    const t = tensor([1, 1, 0, 1], { dtype });
    const small = Math.log1p(Math.exp(-50));
    expectClose(bceWithLogits(x, t, { reduction: "none" }).data(), [1000, 0, small, small], (i) => (i < 2 ? 0 : small * 1e-6));
    const dx = (grad((z) => bceWithLogits(z, t, { reduction: "sum" }))(x)[0] as Tensor).data();
    expectClose(dx, [-1, 0, Math.exp(-50), -Math.exp(-50)], Math.exp(-50) * 1e-6);
  });

  test("weights broadcast; posWeight counts the positives' part only", () => {
    const [x, t] = [random([2, 3], "float64", 1), sigmoid(random([2, 3], "float64", 2))];
    const weight = tensor([[2], [0.5]], { dtype: "float64" });
    const posWeight = tensor([1, 3, 0.2], { dtype: "float64" });
    const w = [2, 2, 2, 0.5, 0.5, 0.5];
    const pw = [1, 3, 0.2, 1, 3, 0.2];
    const parts = Array.from(x.data(), (xi, i) => {
      const ti = t.data()[i] as number;
      return (w[i] as number) * ((pw[i] as number) * ti * Math.log1p(Math.exp(-xi)) + (1 - ti) * Math.log1p(Math.exp(xi)));
    });
    expectClose(bceWithLogits(x, t, { weight, posWeight, reduction: "none" }).data(), parts, 1e-14);
    const plain = Array.from(bceLoss(sigmoid(x), t, { reduction: "none" }).data(), (l, i) => l * (w[i] as number));
    expectClose(bceLoss(sigmoid(x), t, { weight }).data(), reduced(plain, "mean"), 1e-14);
    checkGrads((a, b, c, d) => bceWithLogits(a, sigmoid(b), { weight: c, posWeight: d }), [x, t, weight, posWeight], { order: 2 });
  });
});

describe("klDiv", () => {
  test("batchmean divides by the first axis", () => {
    const [x, t] = [random([4, 3]), softmax(random([4, 3], "float64", 2), -1)];
    expect(klDiv(x, t, { reduction: "batchmean" }).item()).toBeCloseTo(klDiv(x, t, { reduction: "sum" }).item() / 4, 14);
  });

  test("a target of zero costs nothing, and its derivative is finite", () => {
    const [x, t] = [tensor([-1, -2], { dtype: "float64" }), tensor([0, 1], { dtype: "float64" })];
    expect(klDiv(x, t, { reduction: "none" }).toArray()).toEqual([0, 2]);
    for (const g of grad((a, b) => klDiv(a, b))(x, t)) for (const v of g.data()) expect(Number.isFinite(v)).toBe(true);
  });
});

/** Cross-entropy in plain loops: logits [M][C], one distribution a row (zeros for an ignored row). */
function plainCrossEntropy(rows: number[][], target: number[][], smoothing: number, weight: number[]): number[] {
  return rows.map((row, i) => {
    const largest = Math.max(...row);
    const norm = largest + Math.log(row.reduce((sum, x) => sum + Math.exp(x - largest), 0));
    const t = target[i] as number[];
    if (t.every((p) => p === 0)) return 0;
    return row.reduce(
      (sum, x, c) => sum + ((1 - smoothing) * (t[c] as number) + smoothing / row.length) * (weight[c] as number) * (norm - x),
      0,
    );
  });
}

const CLASSES = 5;
const oneHot = (classes: readonly number[], ignored: number) =>
  classes.map((y) => Array.from({ length: CLASSES }, (_, c) => (y === c && y !== ignored ? 1 : 0)));

const CLASS_OPTIONS: Readonly<Record<string, CrossEntropyOptions & { readonly weighted?: boolean }>> = {
  plain: {},
  "an index ignored": { ignoreIndex: 2 },
  "a negative index ignored": { ignoreIndex: -1 },
  smoothed: { labelSmoothing: 0.1 },
  weighted: { weighted: true },
  everything: { weighted: true, labelSmoothing: 0.3, ignoreIndex: 2 },
};

describe.each(Object.keys(CLASS_OPTIONS))("crossEntropy of classes, %s", (name) => {
  const { weighted = false, ...options } = CLASS_OPTIONS[name] as CrossEntropyOptions & { readonly weighted?: boolean };
  const { ignoreIndex = -100, labelSmoothing = 0 } = options;
  const values = [0.5, 2, 1, 0.25, 3];
  const weightOf = (dtype: FloatDType) => (weighted ? { weight: tensor(values, { dtype }) } : {});
  const classes = ignoreIndex === -1 ? [4, -1, 2, 0, -1, 1] : [4, 2, 2, 0, 3, 1];

  test.each(FLOATS)("%s", (dtype) => {
    const x = random([6, CLASSES], dtype, 1, 3);
    const w = weighted ? values : values.map(() => 1);
    const each = plainCrossEntropy(x.toArray() as number[][], oneHot(classes, ignoreIndex), labelSmoothing, w);
    const count = classes.reduce((sum, c) => sum + (c === ignoreIndex ? 0 : (w[c] as number)), 0);
    for (const reduction of REDUCTIONS) {
      const y = crossEntropy(x, int(classes), { ...options, ...weightOf(dtype), reduction });
      expectClose(y.data(), reduced(each, reduction, count), dtype === "float64" ? 1e-13 : 2e-5);
    }
  });

  test("derivatives", () => {
    for (const reduction of REDUCTIONS) {
      const loss = (x: Tensor) => crossEntropy(x, int(classes), { ...options, ...weightOf("float64"), reduction });
      checkGrads(loss, [random([6, CLASSES])], { order: 2 });
    }
  });

  test("rows may have any shape, with the classes second", () => {
    const x = random([2, 3, CLASSES], "float64", 1, 3);
    const rows = crossEntropy(tensor(x.data(), { shape: [6, CLASSES] }), int(classes), { ...options, ...weightOf("float64") });
    const all = { ...options, ...weightOf("float64") };
    const sequence = crossEntropy(transpose(x), int(classes, [2, 3]), all);
    expectClose(sequence.data(), rows.data(), 1e-14);
    const none = crossEntropy(transpose(x), int(classes, [2, 3]), { ...all, reduction: "none" });
    expect(none.shape).toEqual([2, 3]);
    checkGrads((z) => crossEntropy(transpose(z), int(classes, [2, 3]), all), [x], { order: 2 });
  });
});

describe("crossEntropy", () => {
  test.each([0, 0.2])("of probabilities, smoothing %d", (labelSmoothing) => {
    const [x, p] = [random([4, CLASSES], "float64", 1, 2), softmax(random([4, CLASSES], "float64", 2), -1)];
    const weight = tensor([0.5, 2, 1, 0.25, 3], { dtype: "float64" });
    const each = plainCrossEntropy(x.toArray() as number[][], p.toArray() as number[][], labelSmoothing, [...weight.data()]);
    for (const reduction of REDUCTIONS) {
      expectClose(crossEntropy(x, p, { labelSmoothing, weight, reduction }).data(), reduced(each, reduction), 1e-13);
    }
    checkGrads((a, b, w) => crossEntropy(a, softmax(b, -1), { labelSmoothing, weight: w }), [x, p, weight], { order: 2 });
  });

  test("of one row without a batch", () => {
    const x = random([CLASSES]);
    const each = plainCrossEntropy([x.toArray() as number[]], oneHot([3], -100), 0, new Array<number>(CLASSES).fill(1));
    const y = crossEntropy(x, int([3], []), { reduction: "none" });
    expect(y.shape).toEqual([]);
    expectClose(y.data(), each, 1e-14);
  });

  test.each(FLOATS)("of logits of any size is finite: %s", (dtype) => {
    const x = tensor(
      [
        [1e4, -1e4, 0],
        [-1e30, 0, 1e30],
      ],
      { dtype },
    );
    const want = [2e4, dtype === "float32" ? Math.fround(1e30) : 1e30];
    expectClose(crossEntropy(x, int([1, 1]), { reduction: "none" }).data(), want, 0);
  });

  test("with every target ignored the mean has no value and the sum is zero", () => {
    const x = random([2, 3]);
    expect(crossEntropy(x, int([-100, -100])).item()).toBe(Number.NaN);
    expect(crossEntropy(x, int([-100, -100]), { reduction: "sum" }).item()).toBe(0);
  });

  test.each([
    ["a class out of range", () => crossEntropy(random([2, 3]), int([0, 3])), ArgumentError],
    ["a negative class", () => nllLoss(random([2, 3]), int([0, -1])), ArgumentError],
    ["another number of targets", () => crossEntropy(random([2, 3]), int([0])), ShapeError],
    ["masks as target", () => crossEntropy(random([2, 3]), tensor([true, false], { dtype: "bool" })), DTypeError],
    ["a scalar", () => crossEntropy(random([]), int([0], [])), ShapeError],
    ["weights of another number of classes", () => crossEntropy(random([2, 3]), int([0, 1]), { weight: random([2]) }), ShapeError],
    ["weights of another dtype", () => nllLoss(random([2, 3]), int([0, 1]), { weight: random([3], "float32") }), DTypeError],
  ])("rejects %s", (_, run, error) => {
    expect(run).toThrow(error);
    expect(run).toThrow(/^(crossEntropy|nllLoss): expected .*, got /);
  });
});

describe("nllLoss", () => {
  const OPTIONS: readonly ClassOptions[] = [{}, { ignoreIndex: 1 }, { weight: tensor([0.5, 2, 3], { dtype: "float64" }) }];

  test.each(OPTIONS.map((o, i) => [i, o] as const))("picks each row's class, options %d", (_, options) => {
    const x = random([4, 3]);
    const classes = [2, 1, 0, 1];
    const w = classes.map((c) => (c === options.ignoreIndex ? 0 : (options.weight?.data()[c] ?? 1)));
    const each = classes.map((c, i) => -(w[i] as number) * ((x.toArray() as number[][])[i]?.[c] as number));
    const count = w.reduce((a, b) => a + b, 0);
    for (const reduction of REDUCTIONS) {
      expectClose(nllLoss(x, int(classes), { ...options, reduction }).data(), reduced(each, reduction, count), 1e-14);
    }
    checkGrads((z) => nllLoss(z, int(classes), options), [x], { order: 2 });
  });

  test("impossible classes that are ignored cost nothing", () => {
    const x = tensor(
      [
        [-1, Number.NEGATIVE_INFINITY],
        [-1, Number.NEGATIVE_INFINITY],
      ],
      { dtype: "float64" },
    );
    expect(nllLoss(x, int([0, 0]), { ignoreIndex: 0, reduction: "sum" }).item()).toBe(0);
    expect(nllLoss(x, int([0, 1])).item()).toBe(Number.POSITIVE_INFINITY);
  });
});
