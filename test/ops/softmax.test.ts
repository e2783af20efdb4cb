import { describe, expect, test } from "vitest";
import { gradients } from "../../src/autodiff/sweep.ts";
import type { FloatDType } from "../../src/base/dtype.ts";
import { ArgumentError, DTypeError, ShapeError } from "../../src/base/errors.ts";
import { crossEntropy, nllLoss } from "../../src/nn/losses.ts";
import { mul } from "../../src/ops/arithmetic.ts";
import { sum } from "../../src/ops/broadcast.ts";
import { type CrossEntropyOptions, crossEntropyWithLogits, logSoftmax, softmax } from "../../src/ops/softmax.ts";
import { ones, zeros } from "../../src/tensor/create.ts";
import { requireGrad, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { checkGrads } from "../../src/transforms/check-grads.ts";
import { expectClose, FLOATS } from "../kernels/memory.ts";
import { elements, type Grid, stridedOf, tensorOf } from "./grid.ts";
import { describeRows, mapLines, type Row, waves } from "./rows.ts";
import { checkStackedTangents } from "./stacked.ts";

const total = (v: number[]): number => v.reduce((a, b) => a + b, 0);
const probabilities = (v: number[]): number[] => v.map((x) => Math.exp(x) / total(v.map(Math.exp)));

describeRows(
  [0, 1, -1].flatMap((axis): Row[] => [
    {
      name: `softmax along ${axis}`,
      shapes: [[3, 2, 7]],
      fn: (x) => softmax(x as Tensor, axis),
      expected: (x) => mapLines(x as Grid, (axis + 3) % 3, probabilities),
    },
    {
      name: `logSoftmax along ${axis}`,
      shapes: [[3, 2, 7]],
      fn: (x) => logSoftmax(x as Tensor, axis),
      expected: (x) => mapLines(x as Grid, (axis + 3) % 3, (v) => probabilities(v).map(Math.log)),
    },
  ]),
);

const f64 = (values: number[], shape: readonly number[] = [values.length]): Tensor => tensor(Float64Array.from(values), { shape });

describe("softmax at the edges", () => {
  test.each(FLOATS)("large and masked values, %s", (dtype) => {
    const x = tensor([1000, -Infinity, 1000, -1000, 999], { dtype });
    const e = Math.exp(-1);
    const p = [1, 0, 1, 0, e].map((v) => v / (2 + e));
    expectClose(softmax(x).data(), p, 1e-7);
    const logs = [0, -Infinity, 0, -2000, -1].map((v) => v - Math.log(2 + e));
    expectClose(logSoftmax(x).data(), logs, (i) => Math.abs(logs[i] as number) * 1e-7);
  });
  test("a row of nothing but -∞ is NaN, and so is one with ∞", () => {
    for (const x of [f64([-Infinity, -Infinity, -Infinity]), f64([0, Infinity])]) {
      expect([...softmax(x).data()].every(Number.isNaN)).toBe(true);
      expect([...logSoftmax(x).data()].every(Number.isNaN)).toBe(true);
    }
  });
  test("no rows and no columns", () => {
    for (const shape of [[0, 3], [3, 0]]) for (const axis of [0, 1]) {
      expect(softmax(zeros(shape), axis).shape).toEqual(shape);
      expect(logSoftmax(zeros(shape), axis).shape).toEqual(shape);
    } // biome-ignore format: two loops
  });
});

interface Case {
  readonly name: string;
  readonly options: CrossEntropyOptions;
}

const weight = f64([0.5, 2, 1.25, 0.75, 3]);
const IGNORED = 3;
const cases: readonly Case[] = [
  { name: "plain", options: {} },
  { name: "with an ignored class", options: { ignoreIndex: IGNORED } },
  { name: "smoothed", options: { labelSmoothing: 0.3 } },
  { name: "weighted", options: { weight } },
  { name: "with everything", options: { weight, labelSmoothing: 0.3, ignoreIndex: IGNORED } },
];

const C = 5;
const classes = Int32Array.of(0, 4, 3, 1, 3, 2);
const targets = (): Tensor => tensor(classes, { shape: [2, 3] });

/** −Σ_c q_c·log softmax(x)_c, written with the target distribution. */
function oracle(x: readonly number[], t: number, { weight: w, labelSmoothing: smoothing = 0, ignoreIndex }: CrossEntropyOptions): number {
  if (t === ignoreIndex) return 0;
  const factor = w?.data() ?? new Float64Array(C).fill(1);
  const logs = probabilities([...x]).map(Math.log);
  return -total(logs.map((l, c) => ((c === t ? 1 - smoothing : 0) + smoothing / C) * (factor[c] as number) * l));
}

describe.each(cases)("crossEntropyWithLogits $name", ({ options }) => {
  const weightOf = (dtype: FloatDType): CrossEntropyOptions =>
    options.weight === undefined ? options : { ...options, weight: tensor(options.weight.data(), { dtype }) };
  const loss = (x: Tensor): Tensor => crossEntropyWithLogits(x, targets(), options);
  const logits = waves([2, 3, C]);

  test.each(FLOATS)("value, %s", (dtype) => {
    const want = [...classes].map((t, r) => oracle(elements(logits).slice(r * C, (r + 1) * C), t, options));
    for (const layout of [tensorOf, stridedOf]) {
      const y = crossEntropyWithLogits(layout(logits, dtype), targets(), weightOf(dtype));
      expect(y.shape).toEqual([2, 3]);
      expectClose(y.data(), want, dtype === "float32" ? 2e-6 : 1e-14);
    }
  });
  test("derivatives", () => {
    checkGrads(loss, [tensorOf(logits)], { order: 2 });
    checkGrads(loss, [stridedOf(logits)], { order: 2 });
  });
  test("three tangents at once", () => {
    checkStackedTangents(loss, [tensorOf(logits)]);
  });
  test("the fused gradient is the composed one", () => {
    const x = requireGrad(tensorOf(logits));
    const fused = gradients([loss(x)], [x], [ones([2, 3], "float64")])[0] as Tensor;
    const composed = gradients([loss(x)], [x], [ones([2, 3], "float64")], { createGraph: true })[0] as Tensor;
    const again = gradients([sum(composed)], [x], [ones([], "float64")])[0] as Tensor;
    expectClose(fused.data(), composed.data(), 1e-15);
    // Every row's gradient sums to 0 wherever the logits are.
    expectClose(again.data(), new Float64Array(2 * 3 * C), 1e-15);
  });
});

describe("crossEntropyWithLogits at the edges", () => {
  test.each(FLOATS)("logits of size 1000, %s", (dtype) => {
    const x = requireGrad(tensor([[1000, 999, -1000], [-1000, 1000, 1000]], { dtype })); // biome-ignore format: a matrix
    const y = crossEntropyWithLogits(x, tensor(Int32Array.of(1, 0)));
    expectClose(y.data(), [1 + Math.log1p(Math.exp(-1)), 2000 + Math.log(2)], (i) => [2e-7, 2e-4][i] as number);
    const p = 1 / (1 + Math.exp(-1));
    const dx = gradients([y], [x], [ones([2], dtype)])[0] as Tensor;
    expectClose(dx.data(), [p, -p, 0, -1, 0.5, 0.5], 1e-7);
  });
  test("one row, and none", () => {
    expect(crossEntropyWithLogits(f64([0, 0]), tensor(1, { dtype: "int32" })).item()).toBeCloseTo(Math.log(2), 15);
    expect(crossEntropyWithLogits(zeros([0, 4]), tensor(new Int32Array(0))).shape).toEqual([0]);
  });
  test("rows that are ignored have no gradient, whatever is in them", () => {
    const x = requireGrad(f64([Number.NaN, 1, 0, 0], [2, 2]));
    const y = crossEntropyWithLogits(x, tensor(Int32Array.of(-100, 0)));
    expectClose(y.data(), [0, Math.log(2)], 1e-15);
    expectClose((gradients([y], [x], [ones([2], "float64")])[0] as Tensor).data(), [0, 0, -0.5, 0.5], 1e-15);
  });
});

describe("errors", () => {
  const x = tensorOf(waves([2, 3]));
  const t = tensor(Int32Array.of(0, 1));
  test.each<[string, () => unknown, abstract new (...args: never[]) => Error, string]>([
    ["softmax of integers", () => softmax(t), DTypeError, "softmax: expected x of float32 or float64, got int32"],
    ["softmax along no axis", () => softmax(x, 2), ArgumentError, "softmax: expected axis in [-2, 1], got 2"],
    [
      "float targets",
      () => crossEntropyWithLogits(x, tensor([0, 1])),
      DTypeError,
      "crossEntropyWithLogits: expected int32 targets, got float32",
    ],
    [
      "targets of another shape",
      () => crossEntropyWithLogits(x, tensor(Int32Array.of(0))),
      ShapeError,
      "crossEntropyWithLogits: expected targets of shape [2], got [1]",
    ],
    [
      "a target that is no class",
      () => crossEntropyWithLogits(x, tensor(Int32Array.of(0, 3))),
      ArgumentError,
      "crossEntropyWithLogits: expected targets in [0, 2] or -100, got 3",
    ],
    [
      "a weight of another shape",
      () => crossEntropyWithLogits(x, t, { weight: f64([1, 2]) }),
      ShapeError,
      "crossEntropyWithLogits: expected weight of shape [3], got [2]",
    ],
    [
      "a weight of another dtype",
      () => crossEntropyWithLogits(x, t, { weight: tensor([1, 2, 3]) }),
      DTypeError,
      "crossEntropyWithLogits: expected a float64 weight, got float32",
    ],
    [
      "too much smoothing",
      () => crossEntropyWithLogits(x, t, { labelSmoothing: 1.5 }),
      ArgumentError,
      "crossEntropyWithLogits: expected labelSmoothing in [0, 1], got 1.5",
    ],
  ])("%s", (_, fn, type, message) => {
    expect(fn).toThrow(type);
    expect(fn).toThrow(message);
  });
});

describe("rows that nothing asks for", () => {
  const [kept, lost] = [
    [0.5, -1, 2],
    [Number.NaN, Number.POSITIVE_INFINITY, Number.NaN],
  ];
  const targets = tensor(Int32Array.from([2, -100]));
  const picked = (x: Tensor) => nllLoss(logSoftmax(x, 1), targets);
  const fused = (x: Tensor) => crossEntropy(x, targets);

  test.each([
    ["logSoftmax and nllLoss", picked],
    ["crossEntropy", fused],
  ] as const)("%s: no gradient, whatever they hold, once and twice", (_, loss) => {
    const x = requireGrad(tensor([kept, lost], { dtype: "float64" }));
    const alone = requireGrad(tensor([kept], { dtype: "float64" }));
    const value = loss(x);
    const expected = sum(crossEntropy(alone, tensor(Int32Array.from([2]))));
    expect(Math.abs(value.item() - expected.item())).toBeLessThanOrEqual(1e-15);
    const [g] = gradients([value], [x], [ones([], "float64")], { createGraph: true }) as [Tensor];
    const [first] = gradients([expected], [alone], [ones([], "float64")], { createGraph: true }) as [Tensor];
    expectClose(g.data(), [...first.data(), 0, 0, 0], 1e-15);
    const [twice] = gradients([sum(mul(g, g))], [x], [ones([], "float64")]) as [Tensor];
    const [second] = gradients([sum(mul(first, first))], [alone], [ones([], "float64")]) as [Tensor];
    expectClose(twice.data(), [...second.data(), 0, 0, 0], 1e-15);
  });

  test("a row that is asked for passes its NaN on", () => {
    const x = requireGrad(tensor([kept, lost]));
    const [g] = gradients(
      [
        sum(
          mul(
            logSoftmax(x, 1),
            tensor(
              [
                [1, 2, 3],
                [1, 2, 3],
              ],
              { dtype: "float32" },
            ),
          ),
        ),
      ],
      [x],
      [ones([])],
    ) as [Tensor];
    expect([...g.data()].map(Number.isNaN)).toEqual([false, false, false, true, true, true]);
  });

  test("a cotangent that sums to 0 has its second derivative", () => {
    checkGrads((x, g) => logSoftmax(mul(logSoftmax(x as Tensor), g as Tensor)), [f64([0.3, -0.2, 0.9]), f64([0, 0, 0])]);
    const x = requireGrad(f64([0.3, -0.2, 0.9]));
    const g = requireGrad(f64([1, -2, 1]));
    const [dx] = gradients([logSoftmax(x)], [x], [g], { createGraph: true }) as [Tensor];
    const weights = f64([1, 10, 100]);
    const [dg] = gradients([sum(mul(dx, weights))], [g], [ones([], "float64")]) as [Tensor];
    // dx = g − p Σg, so that ∂(w·dx)/∂g_i = w_i − w·p.
    const p = softmax(x).data();
    const wp = [1, 10, 100].reduce((s, w, i) => s + w * (p[i] as number), 0);
    expectClose(dg.data(), [1 - wp, 10 - wp, 100 - wp], 1e-12);
  });
});
