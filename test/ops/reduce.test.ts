import { describe, expect, test } from "vitest";
import { gradients } from "../../src/autodiff/sweep.ts";
import { ArgumentError, DTypeError, ShapeError } from "../../src/base/errors.ts";
import { square } from "../../src/ops/arithmetic.ts";
import { reshape } from "../../src/ops/broadcast.ts";
import * as ops from "../../src/ops/index.ts";
import { ones, zeros } from "../../src/tensor/create.ts";
import { requireGrad, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { checkGrads } from "../../src/transforms/check-grads.ts";
import { type Grid, stridedOf, tensorOf } from "./grid.ts";
import { describeRows, gridOf, mapLines, type Row, reduceGrid, waves } from "./rows.ts";

const add = (a: number, b: number): number => a + b;
const total = (v: number[]): number => v.reduce(add, 0);
const average = (v: number[]): number => total(v) / v.length;
const spreadOf = (v: number[], correction: number): number => total(v.map((x) => (x - average(v)) ** 2)) / (v.length - correction);

type Reduce = (x: Tensor, options?: ops.ReduceOptions) => Tensor;

/** A reduction over all axes, over each, over two neighbours, over two that are apart, and of a scalar. */
function reductionRows(name: string, op: Reduce, value: (v: number[]) => number, inputs?: Row["inputs"]): Row[] {
  const overs: readonly (readonly number[] | undefined)[] = [undefined, [0], [1], [-1], [0, 1], [-1, 0], [1, 2]];
  const rows = overs.map((axis, i): Row => {
    const keepDim = i % 2 === 1;
    const axes = (axis ?? [0, 1, 2]).map((a) => (a + 3) % 3).sort();
    const options = { axis: axis?.length === 1 ? axis[0] : axis, keepDim };
    return {
      name: `${name} over ${axis ?? "all"}${keepDim ? ", kept" : ""}`,
      shapes: [[3, 4, 5]],
      fn: (x) => op(x as Tensor, options),
      expected: (x) => reduceGrid(x as Grid, axes, keepDim, value),
      ...(inputs && { inputs }),
    };
  });
  const scalar: Row = {
    name: `${name} of a scalar`,
    shapes: [[]],
    fn: (x) => op(x as Tensor),
    expected: (x) => gridOf([], [value([(x as Grid).at()])]),
  };
  return [...rows, { ...scalar, ...(inputs && { inputs }) }];
}

/** Some zeros: one in most lines, two in a few. */
const withZeros = (shape: readonly number[], number: number): Grid => {
  const { at } = waves(shape, number);
  return { shape, at: (...index) => (index.reduce((e, i) => 3 * e + 2 * i, 1) % 5 === 0 ? 0 : at(...index)) };
};
const factors = (shape: readonly number[], number: number): Grid => {
  const { at } = waves(shape, number);
  return { shape, at: (...index) => 1 + at(...index) / 2 };
};
const p3 = (x: Tensor, options?: ops.ReduceOptions): Tensor => ops.norm(x, { ...options, p: 3 });
const withP =
  (p: number) =>
  (x: Tensor, options?: ops.ReduceOptions): Tensor =>
    ops.norm(x, { ...options, p });

describeRows([
  ...reductionRows("sum", ops.sum, total),
  ...reductionRows("mean", ops.mean, average),
  ...reductionRows("amax", ops.amax, (v) => Math.max(...v)),
  ...reductionRows("amin", ops.amin, (v) => Math.min(...v)),
  ...reductionRows("max", ops.max, (v) => Math.max(...v)),
  ...reductionRows("min", ops.min, (v) => Math.min(...v)),
  ...reductionRows("logSumExp", ops.logSumExp, (v) => Math.log(total(v.map(Math.exp)))),
  ...reductionRows("prod", ops.prod, (v) => v.reduce((a, b) => a * b, 1), factors),
  ...reductionRows("prod with zeros", ops.prod, (v) => v.reduce((a, b) => a * b, 1), withZeros),
  ...reductionRows("norm", ops.norm, (v) => Math.hypot(...v)),
  ...reductionRows("norm 1", withP(1), (v) => total(v.map(Math.abs))),
  ...reductionRows("norm ∞", withP(Infinity), (v) => Math.max(...v.map(Math.abs))),
  ...reductionRows("norm -∞", withP(-Infinity), (v) => Math.min(...v.map(Math.abs))),
  ...reductionRows("norm 3", p3, (v) => Math.cbrt(total(v.map((x) => Math.abs(x) ** 3)))),
]);

const spreads: Row[] = [0, 1].flatMap((correction) => [
  {
    name: `variance with correction ${correction}`,
    shapes: [[3, 4, 5]],
    fn: (x) => ops.variance(x as Tensor, { axis: 1, correction }),
    expected: (x) => reduceGrid(x as Grid, [1], false, (v) => spreadOf(v, correction)),
  },
  {
    name: `std with correction ${correction}`,
    shapes: [[3, 4, 5]],
    fn: (x) => ops.std(x as Tensor, { axis: [0, 2], correction, keepDim: true }),
    expected: (x) => reduceGrid(x as Grid, [0, 2], true, (v) => Math.sqrt(spreadOf(v, correction))),
  },
]);

const running = (line: number[], join: (a: number, b: number) => number): number[] => line.map((_, k) => line.slice(0, k + 1).reduce(join));

const scans: Row[] = [0, 1, -1].flatMap((axis) => {
  const at = (axis + 3) % 3;
  const product = (x?: Grid): Grid => mapLines(x as Grid, at, (line) => running(line, (a, b) => a * b));
  return [
    {
      name: `cumsum along ${axis}`,
      shapes: [[3, 4, 5]],
      fn: (x?: Tensor) => ops.cumsum(x as Tensor, { axis }),
      expected: (x?: Grid) => mapLines(x as Grid, at, (line) => running(line, add)),
    },
    {
      name: `cumprod along ${axis}`,
      shapes: [[3, 4, 5]],
      fn: (x?: Tensor) => ops.cumprod(x as Tensor, { axis }),
      expected: product,
      inputs: factors,
    },
    {
      name: `cumprod with zeros along ${axis}`,
      shapes: [[3, 4, 5]],
      fn: (x?: Tensor) => ops.cumprod(x as Tensor, { axis }),
      expected: product,
      inputs: withZeros,
    },
    {
      name: `linearScan along ${axis}`,
      shapes: [
        [3, 4, 5],
        [3, 4, 5],
      ],
      fn: (a?: Tensor, b?: Tensor) => ops.linearScan(a as Tensor, b as Tensor, { axis }),
      expected: (a?: Grid, b?: Grid) => {
        const factor = (index: number[], k: number) => (a as Grid).at(...index.with(at, k));
        const term = (index: number[], k: number) => (b as Grid).at(...index.with(at, k));
        const upTo = (index: number[], k: number): number =>
          k === 0 ? term(index, 0) : factor(index, k) * upTo(index, k - 1) + term(index, k);
        return { shape: [3, 4, 5], at: (...index) => upTo(index, index[at] as number) };
      },
    },
  ];
});

describeRows([
  ...spreads,
  ...scans,
  { name: "sumTo", shapes: [[2, 3, 4]], fn: (x) => ops.sumTo(x as Tensor, [3, 1]), expected: (x) => gridOf([3, 1], reduceAll(x as Grid)) },
  { name: "sumTo its own shape", shapes: [[2, 3]], fn: (x) => ops.sumTo(x as Tensor, [2, 3]), expected: (x) => x as Grid },
]);

function reduceAll(x: Grid): number[] {
  return [0, 1, 2].map((i) => total([0, 1].flatMap((o) => [0, 1, 2, 3].map((j) => x.at(o, i, j)))));
}

const f64 = (values: number[], shape: readonly number[] = [values.length]): Tensor => tensor(Float64Array.from(values), { shape });

/** The gradient of the sum of fn(x). */
function slope(fn: (x: Tensor) => Tensor, x: Tensor): number[] {
  const leaf = requireGrad(x.detach());
  const y = fn(leaf);
  return [...(gradients([y], [leaf], [ones(y.shape, y.dtype)])[0] as Tensor).data()];
}

describe("where elements tie", () => {
  const x = f64([3, 1, 3, 2, 1, 3], [2, 3]);
  test("amax and amin share the derivative, max and min along an axis give it to the first", () => {
    expect(slope((v) => ops.amax(v), x)).toEqual([1 / 3, 0, 1 / 3, 0, 0, 1 / 3]);
    expect(slope((v) => ops.amax(v, { axis: 1 }), x)).toEqual([0.5, 0, 0.5, 0, 0, 1]);
    expect(slope((v) => ops.amin(v), x)).toEqual([0, 0.5, 0, 0, 0.5, 0]);
    expect(slope((v) => ops.max(v), x)).toEqual([1 / 3, 0, 1 / 3, 0, 0, 1 / 3]);
    expect(slope((v) => ops.max(v, { axis: 1 }), x)).toEqual([1, 0, 0, 0, 0, 1]);
    expect(slope((v) => ops.min(v, { axis: 0 }), f64([1, 1], [2, 1]))).toEqual([1, 0]);
  });
});

describe("argmax and argmin", () => {
  const x = f64([1, 5, 5, 0, -2, 7, -2, 7], [2, 4]);
  test.each([tensorOf, stridedOf])("the first of ties", (layout) => {
    const t = layout(gridOf([2, 4], x.data()), "float32");
    expect(ops.argmax(t).toArray()).toBe(5);
    expect(ops.argmin(t, { keepDim: true }).toArray()).toEqual([[4]]);
    expect(ops.argmax(t, { axis: -1 }).toArray()).toEqual([1, 1]);
    expect(ops.argmin(t, { axis: 1, keepDim: true }).toArray()).toEqual([[3], [0]]);
    expect(ops.argmax(t, { axis: 0 }).toArray()).toEqual([0, 1, 0, 1]);
    expect(ops.argmax(t).dtype).toBe("int32");
  });
  test("the first NaN counts as largest and as smallest", () => {
    const nan = f64([1, Number.NaN, 9, Number.NaN]);
    expect(ops.argmax(nan).item()).toBe(1);
    expect(ops.argmin(nan).item()).toBe(1);
    expect(ops.max(nan, { axis: 0 }).item()).toBeNaN();
    expect(ops.amin(nan).item()).toBeNaN();
  });
  test("infinities are found", () => {
    expect(ops.argmax(f64([-Infinity, -Infinity])).item()).toBe(0);
    expect(ops.argmin(f64([3, -Infinity, Infinity])).item()).toBe(1);
  });
});

describe("nothing to reduce", () => {
  test("sum is 0, prod 1, mean and variance NaN, logSumExp -∞", () => {
    const x = zeros([2, 0, 3], "float64");
    expect(ops.sum(x, { axis: 1 }).toArray()).toEqual([[0, 0, 0], [0, 0, 0]]); // biome-ignore format: a matrix
    expect(ops.prod(x).item()).toBe(1);
    expect(ops.mean(x).item()).toBeNaN();
    expect(ops.variance(x).item()).toBeNaN();
    expect(ops.logSumExp(x).item()).toBe(-Infinity);
    expect(ops.sum(x, { axis: 0 }).shape).toEqual([0, 3]);
    expect(ops.amax(x, { axis: 0 }).shape).toEqual([0, 3]);
    expect(ops.argmax(x, { axis: 2 }).shape).toEqual([2, 0]);
    expect(ops.cumsum(x, { axis: 1 }).shape).toEqual([2, 0, 3]);
    expect(ops.cumprod(x, { axis: 1 }).shape).toEqual([2, 0, 3]);
  });
  test("derivatives have its shape", () => {
    const x = zeros([2, 0, 3], "float64");
    for (const fn of [ops.sum, ops.prod, ops.logSumExp, ops.norm]) expect(slope((v) => fn(v, { axis: 1 }), x)).toEqual([]);
    expect(slope((v) => ops.cumprod(v, { axis: 1 }), x)).toEqual([]);
    checkGrads((v) => square(ops.sum(v)), [x], { order: 2 });
  });
  test("the largest of nothing is an error", () => {
    const x = zeros([2, 0]);
    expect(() => ops.amax(x, { axis: 1 })).toThrow(new ShapeError("amax: expected axes that are not empty, got axes [1] of x [2,0]"));
    expect(() => ops.max(x, { axis: 1 })).toThrow(ShapeError);
    expect(() => ops.min(x)).toThrow(ShapeError);
    expect(() => ops.argmin(x)).toThrow(ShapeError);
  });
  test("no axes leave x as it is", () => {
    const x = tensorOf(waves([2, 3]));
    expect(ops.sum(x, { axis: [] }).toArray()).toEqual(x.toArray());
  });
});

describe("at the edges", () => {
  test("std and norm of equal or zero elements have derivative 0", () => {
    expect(slope((v) => ops.std(v), f64([2, 2, 2]))).toEqual([0, 0, 0]);
    expect(slope((v) => ops.norm(v), f64([0, 0]))).toEqual([0, 0]);
    expect(slope((v) => ops.norm(v, { p: 3 }), f64([0, 0]))).toEqual([0, 0]);
    expect(ops.norm(f64([0, 3, 0, -4]), { p: 0 }).item()).toBe(2);
  });
  test("the unbiased variance of one element is NaN", () => {
    expect(ops.variance(f64([5])).item()).toBeNaN();
    expect(ops.variance(f64([5]), { correction: 0 }).item()).toBe(0);
  });
  test("logSumExp neither overflows nor loses infinities", () => {
    const near = (1000 + Math.log(2)).toPrecision(14);
    expect(
      ops
        .logSumExp(f64([1000, 1000]))
        .item()
        .toPrecision(14),
    ).toBe(near);
    expect(ops.logSumExp(f64([-Infinity, -Infinity])).item()).toBe(-Infinity);
    expect(ops.logSumExp(f64([1, Infinity])).item()).toBe(Infinity);
    expect(ops.logSumExp(f64([1, Number.NaN])).item()).toBeNaN();
    expect(slope((v) => ops.logSumExp(v, { axis: 1 }), f64([-Infinity, -Infinity, 0, -Infinity], [2, 2]))).toEqual([0, 0, 1, 0]);
  });
  test("products run through infinities", () => {
    expect(ops.cumprod(f64([Infinity, 2, -1]), { axis: 0 }).toArray()).toEqual([Infinity, Infinity, -Infinity]);
  });
  test("long sums keep their digits in float32", () => {
    const n = 300_000;
    const x = tensor(new Float32Array(n).fill(0.1));
    const exact = n * Math.fround(0.1);
    for (const t of [x, reshape(x, [n / 3, 3])]) {
      expect(Math.abs(ops.sum(ops.sum(t, { axis: 0 })).item() / exact - 1)).toBeLessThan(1e-6);
    }
  });
});

describe("errors", () => {
  const x = tensorOf(waves([2, 3]));
  test.each<[string, () => unknown, abstract new (...args: never[]) => Error, string]>([
    ["an axis too far", () => ops.sum(x, { axis: 2 }), ArgumentError, "sum: expected axis in [-2, 1], got 2"],
    ["an axis twice", () => ops.sum(x, { axis: [1, -1] }), ArgumentError, "sum: expected different axes, got [1,-1]"],
    ["integers", () => ops.mean(tensor(Int32Array.of(1))), DTypeError, "mean: expected x of float32 or float64, got int32"],
    ["integers again", () => ops.argmax(tensor(Int32Array.of(1))), DTypeError, "argmax: expected x of float32 or float64, got int32"],
    ["sumTo another shape", () => ops.sumTo(x, [3, 3]), ShapeError, "sumTo: expected a shape that broadcasts to [2,3], got [3,3]"],
    ["sumTo a higher rank", () => ops.sumTo(x, [1, 2, 3]), ShapeError, "sumTo: expected a shape that broadcasts to [2,3], got [1,2,3]"],
    ["cumsum", () => ops.cumsum(x, { axis: 2 }), ArgumentError, "cumsum: expected axis in [-2, 1], got 2"],
    ["norm", () => ops.norm(x, { p: Number.NaN }), ArgumentError, "norm: expected p to be a number, got NaN"],
    [
      "linearScan of two shapes",
      () => ops.linearScan(ops.sum(x, { axis: 0 }), x, { axis: 0 }),
      ShapeError,
      "linearScan: expected a and b of one shape, got [3] and [2,3]",
    ],
  ])("%s", (_, fn, type, message) => {
    expect(fn).toThrow(type);
    expect(fn).toThrow(message);
  });
});
