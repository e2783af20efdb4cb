import { describe, expect, test } from "vitest";
import { gradients } from "../../src/autodiff/sweep.ts";
import type { DType } from "../../src/base/dtype.ts";
import { ArgumentError, DTypeError, ShapeError } from "../../src/base/errors.ts";
import { square } from "../../src/ops/arithmetic.ts";
import * as ops from "../../src/ops/gather.ts";
import { requireGrad, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { checkGrads } from "../../src/transforms/check-grads.ts";
import { jvp, vjp } from "../../src/transforms/transforms.ts";
import { elements, type Grid, grid, stridedOf, tensorOf } from "./grid.ts";
import { checkStackedTangents } from "./stacked.ts";

interface Row {
  readonly name: string;
  readonly shapes: readonly (readonly number[])[];
  /** The index arrays, made in the same layout as the inputs. */
  readonly indices: readonly Grid[];
  readonly fn: (xs: readonly Tensor[], indices: readonly Tensor[]) => Tensor;
  readonly expected: (xs: readonly Grid[], indices: readonly Grid[]) => Grid;
}

/** A grid of indices below n, with repetitions. */
function indexGrid(shape: readonly number[], n: number): Grid {
  const order = grid(shape);
  return { shape, at: (...i) => (order.at(...i) * 8 * 5) % n };
}

/** The sum (or the last) of the sources that land on each element of `base`. */
function landed(
  base: Grid,
  source: Grid,
  target: (...i: number[]) => readonly number[],
  merge: (old: number, value: number) => number,
): Grid {
  const values = new Map<string, number>();
  const coordinates: number[][] = [];
  elements({ shape: source.shape, at: (...i) => coordinates.push(i) });
  for (const i of coordinates) {
    const key = target(...i).join();
    values.set(key, merge(values.get(key) ?? base.at(...target(...i)), source.at(...i)));
  }
  return { shape: base.shape, at: (...i) => values.get(i.join()) ?? base.at(...i) };
}

const last = (_old: number, value: number): number => value;
const total = (old: number, value: number): number => old + value;
const zero = (shape: readonly number[]): Grid => ({ shape, at: () => 0 });

const rows: readonly Row[] = [
  {
    name: "gather",
    shapes: [[2, 3, 4]],
    indices: [indexGrid([2, 5, 4], 3)],
    fn: ([x], [i]) => ops.gather(x as Tensor, -2, i as Tensor),
    expected: ([x], [i]) => ({ shape: [2, 5, 4], at: (a = 0, b = 0, c = 0) => (x as Grid).at(a, (i as Grid).at(a, b, c), c) }),
  },
  {
    name: "gather from a corner",
    shapes: [[4, 5]],
    indices: [indexGrid([3, 2], 5)],
    fn: ([x], [i]) => ops.gather(x as Tensor, 1, i as Tensor),
    expected: ([x], [i]) => ({ shape: [3, 2], at: (a = 0, b = 0) => (x as Grid).at(a, (i as Grid).at(a, b)) }),
  },
  {
    name: "gather nothing",
    shapes: [[4, 5]],
    indices: [indexGrid([0, 5], 4)],
    fn: ([x], [i]) => ops.gather(x as Tensor, 0, i as Tensor),
    expected: () => zero([0, 5]),
  },
  {
    name: "scatter, with elements that meet",
    shapes: [
      [3, 4],
      [3, 6],
    ],
    indices: [indexGrid([3, 6], 4)],
    fn: ([x, s], [i]) => ops.scatter(x as Tensor, 1, i as Tensor, s as Tensor),
    expected: ([x, s], [i]) => landed(x as Grid, s as Grid, (a = 0, b = 0) => [a, (i as Grid).at(a, b)], last),
  },
  {
    name: "scatter into a corner",
    shapes: [
      [3, 4],
      [2, 3],
    ],
    indices: [indexGrid([2, 3], 3)],
    fn: ([x, s], [i]) => ops.scatter(x as Tensor, 0, i as Tensor, s as Tensor),
    expected: ([x, s], [i]) => landed(x as Grid, s as Grid, (a = 0, b = 0) => [(i as Grid).at(a, b), b], last),
  },
  {
    name: "scatterAdd",
    shapes: [
      [4, 3, 2],
      [6, 3, 2],
    ],
    indices: [indexGrid([6, 3, 2], 4)],
    fn: ([x, s], [i]) => ops.scatterAdd(x as Tensor, 0, i as Tensor, s as Tensor),
    expected: ([x, s], [i]) => landed(x as Grid, s as Grid, (a = 0, b = 0, c = 0) => [(i as Grid).at(a, b, c), b, c], total),
  },
  {
    name: "scatterAdd into a corner",
    shapes: [
      [4, 5],
      [2, 7],
    ],
    indices: [indexGrid([2, 7], 5)],
    fn: ([x, s], [i]) => ops.scatterAdd(x as Tensor, -1, i as Tensor, s as Tensor),
    expected: ([x, s], [i]) => landed(x as Grid, s as Grid, (a = 0, b = 0) => [a, (i as Grid).at(a, b)], total),
  },
  {
    name: "indexSelect",
    shapes: [[2, 3, 5]],
    indices: [indexGrid([7], 3)],
    fn: ([x], [i]) => ops.indexSelect(x as Tensor, 1, i as Tensor),
    expected: ([x], [i]) => ({ shape: [2, 7, 5], at: (a = 0, b = 0, c = 0) => (x as Grid).at(a, (i as Grid).at(b), c) }),
  },
  {
    name: "indexSelect along the last axis",
    shapes: [[3, 4]],
    indices: [indexGrid([6], 4)],
    fn: ([x], [i]) => ops.indexSelect(x as Tensor, -1, i as Tensor),
    expected: ([x], [i]) => ({ shape: [3, 6], at: (a = 0, b = 0) => (x as Grid).at(a, (i as Grid).at(b)) }),
  },
  {
    name: "indexAdd",
    shapes: [
      [2, 3, 5],
      [2, 7, 5],
    ],
    indices: [indexGrid([7], 3)],
    fn: ([x, s], [i]) => ops.indexAdd(x as Tensor, 1, i as Tensor, s as Tensor),
    expected: ([x, s], [i]) => landed(x as Grid, s as Grid, (a = 0, b = 0, c = 0) => [a, (i as Grid).at(b), c], total),
  },
  {
    name: "takeRows",
    shapes: [[4, 3]],
    indices: [indexGrid([2, 5], 4)],
    fn: ([x], [i]) => ops.takeRows(x as Tensor, i as Tensor),
    expected: ([x], [i]) => ({ shape: [2, 5, 3], at: (a = 0, b = 0, c = 0) => (x as Grid).at((i as Grid).at(a, b), c) }),
  },
  {
    name: "takeRows of a vector",
    shapes: [[4]],
    indices: [indexGrid([5], 4)],
    fn: ([x], [i]) => ops.takeRows(x as Tensor, i as Tensor),
    expected: ([x], [i]) => ({ shape: [5], at: (a = 0) => (x as Grid).at((i as Grid).at(a)) }),
  },
  {
    name: "takeRows of none",
    shapes: [[0, 3]],
    indices: [indexGrid([0], 1)],
    fn: ([x], [i]) => ops.takeRows(x as Tensor, i as Tensor),
    expected: () => zero([0, 3]),
  },
  {
    name: "scatterRows",
    shapes: [[2, 5, 3]],
    indices: [indexGrid([2, 5], 4)],
    fn: ([x], [i]) => ops.scatterRows(x as Tensor, i as Tensor, 6),
    expected: ([x], [i]) => landed(zero([6, 3]), x as Grid, (a = 0, b = 0, c = 0) => [(i as Grid).at(a, b), c], total),
  },
  {
    name: "embedding",
    shapes: [[5, 3]],
    indices: [indexGrid([2, 3], 5)],
    fn: ([w], [i]) => ops.embedding(i as Tensor, w as Tensor),
    expected: ([w], [i]) => ({ shape: [2, 3, 3], at: (a = 0, b = 0, c = 0) => (w as Grid).at((i as Grid).at(a, b), c) }),
  },
  {
    name: "maskedSelect",
    shapes: [[3, 4]],
    indices: [],
    fn: ([x]) => ops.maskedSelect(x as Tensor, tensor([true, false, false, true], { dtype: "bool" })),
    expected: ([x]) => ({ shape: [6], at: (e = 0) => (x as Grid).at(e >> 1, e % 2 === 0 ? 0 : 3) }),
  },
  {
    name: "maskedSelect of none",
    shapes: [[3, 4]],
    indices: [],
    fn: ([x]) => ops.maskedSelect(x as Tensor, tensor([false], { dtype: "bool" })),
    expected: () => zero([0]),
  },
  {
    name: "index by entries and stretches",
    shapes: [[4, 5, 3]],
    indices: [],
    fn: ([x]) => ops.index(x as Tensor, [{ start: 1 }, { step: 2 }, -1]),
    expected: ([x]) => ({ shape: [3, 3], at: (a = 0, b = 0) => (x as Grid).at(a + 1, 2 * b, 2) }),
  },
  {
    name: "index by two tensors that broadcast",
    shapes: [[4, 5, 3]],
    indices: [indexGrid([6, 1], 4), indexGrid([2], 5)],
    fn: ([x], [i, j]) => ops.index(x as Tensor, [i as Tensor, j as Tensor]),
    expected: ([x], [i, j]) => ({
      shape: [6, 2, 3],
      at: (a = 0, b = 0, c = 0) => (x as Grid).at((i as Grid).at(a, 0), (j as Grid).at(b), c),
    }),
  },
  {
    name: "index by tensors with an axis between",
    shapes: [[4, 5, 3]],
    indices: [indexGrid([6], 4), indexGrid([6], 3)],
    fn: ([x], [i, j]) => ops.index(x as Tensor, [i as Tensor, null, j as Tensor]),
    expected: ([x], [i, j]) => ({ shape: [6, 5], at: (a = 0, b = 0) => (x as Grid).at((i as Grid).at(a), b, (j as Grid).at(a)) }),
  },
  {
    name: "index by a tensor of the second axis, counted from the end",
    shapes: [[2, 5, 3]],
    indices: [{ shape: [4], at: (a = 0) => -1 - a }],
    fn: ([x], [i]) => ops.index(x as Tensor, [null, i as Tensor]),
    expected: ([x]) => ({ shape: [2, 4, 3], at: (a = 0, b = 0, c = 0) => (x as Grid).at(a, 4 - b, c) }),
  },
];

type Make = (g: Grid, dtype?: DType) => Tensor;

function checkRow(row: Row, make: Make, dtype: DType): void {
  const grids = row.shapes.map((shape, i) => grid(shape, i));
  const want = row.expected(grids, row.indices);
  const got = row.fn(
    grids.map((g) => make(g, dtype)),
    row.indices.map((i) => make(i, "int32")),
  );
  expect(got.shape).toEqual(want.shape);
  expect(Array.from(got.data())).toEqual(elements(want));
}

function checkDerivatives(row: Row, make: Make): void {
  const indices = row.indices.map((i) => make(i, "int32"));
  const inputs = row.shapes.map((shape, i) => make(grid(shape, i)));
  checkGrads((...xs) => square(row.fn(xs, indices)), inputs, { order: 2 });
}

describe.each(rows)("$name", (row) => {
  test.each(["float32", "float64"] as const)("value, %s", (dtype) => {
    checkRow(row, tensorOf, dtype);
    checkRow(row, stridedOf, dtype);
  });
  test("derivatives", () => checkDerivatives(row, tensorOf));
  test("derivatives of strided inputs", () => checkDerivatives(row, stridedOf));
  test("three tangents at once", () => {
    const indices = row.indices.map((i) => tensorOf(i, "int32"));
    const inputs = row.shapes.map((shape, i) => tensorOf(grid(shape, i)));
    checkStackedTangents((...xs) => square(row.fn(xs, indices)), inputs);
  });
});

test("integers and masks are gathered and scattered", () => {
  const i = tensor(Int32Array.of(2, 0, 1), { shape: [3] });
  const x = tensor(Int32Array.of(7, 8, 2 ** 31 - 1));
  expect(ops.gather(x, 0, i).toArray()).toEqual([2 ** 31 - 1, 7, 8]);
  expect(ops.scatter(x, 0, i, x).toArray()).toEqual([8, 2 ** 31 - 1, 7]);
  const mask = tensor([true, true, false], { dtype: "bool" });
  expect(ops.gather(mask, 0, i).toArray()).toEqual([0, 1, 1]);
  expect(ops.takeRows(mask, i).toArray()).toEqual([0, 1, 1]);
});

test("the gradient of a row may be divided by how often it is read", () => {
  const weight = tensor([1, 2, 3, 4], { shape: [4, 1], dtype: "float64" });
  const index = tensor(Int32Array.of(2, 0, 2, 3, 3, 2), { shape: [2, 3] });
  const lookUp = (w: Tensor) => ops.embedding(index, w, { scaleGradByFreq: true, paddingIdx: 0 });
  const [y, pullback] = vjp(lookUp, [weight]);
  expect(y.data()).toEqual(Float64Array.of(3, 1, 3, 4, 4, 3));
  const g = tensor(Float64Array.of(1, 2, 3, 4, 5, 6), { shape: [2, 3, 1] });
  const dw = pullback(g)[0]?.data() ?? [];
  expect(dw.length).toBe(4);
  [0, 0, 10 / 3, 4.5].forEach((want, i) => {
    expect(dw[i]).toBeCloseTo(want, 14);
  });
  expect(jvp(lookUp, [weight], [weight])[1].data()).toEqual(Float64Array.of(1, 0, 1, 2, 2, 1));
  expect(ops.embedding(tensor(new Int32Array(0)), weight, { scaleGradByFreq: true }).shape).toEqual([0, 1]);
});

test("the padding row is read and has no derivative", () => {
  const weight = requireGrad(
    tensor(
      [
        [1, 2],
        [3, 4],
        [5, 6],
      ],
      { dtype: "float64" },
    ),
  );
  const index = tensor(Int32Array.of(2, 0, 2, 1, 1, 2));
  const lookUp = (w: Tensor) => ops.embedding(index, w, { paddingIdx: -1 });
  const y = lookUp(weight);
  expect(y.toArray()).toEqual([
    [5, 6],
    [1, 2],
    [5, 6],
    [3, 4],
    [3, 4],
    [5, 6],
  ]);
  const ones = tensor(new Float64Array(12).fill(1), { shape: [6, 2] });
  expect(gradients([y], [weight], [ones])[0]?.toArray()).toEqual([
    [1, 1],
    [2, 2],
    [0, 0],
  ]);
  const tangent = tensor(
    [
      [1, 1],
      [2, 2],
      [9, 9],
    ],
    { dtype: "float64" },
  );
  expect(jvp(lookUp, [weight], [tangent])[1].toArray()).toEqual([
    [0, 0],
    [1, 1],
    [0, 0],
    [2, 2],
    [2, 2],
    [0, 0],
  ]);
});

test("only the last of the elements that meet in a scatter has a gradient", () => {
  const x = requireGrad(tensor([1, 2, 3], { dtype: "float64" }));
  const source = requireGrad(tensor([10, 20, 30, 40], { dtype: "float64" }));
  const y = ops.scatter(x, 0, tensor(Int32Array.of(0, 2, 0, 2)), source);
  expect(y.toArray()).toEqual([30, 2, 40]);
  const [dx, ds] = gradients([y], [x, source], [tensor([5, 6, 7], { dtype: "float64" })]);
  expect(dx?.toArray()).toEqual([0, 6, 0]);
  expect(ds?.toArray()).toEqual([0, 0, 5, 7]);
});

test("indices that are limited to their range in place of being checked, and the transpose", () => {
  const x = tensor([[[1, 2, 3], [4, 5, 6]]], { dtype: "float64" }); // biome-ignore format: rows
  const places = tensor([[[2, 0, 7, -1], [NaN, 1.5, 1, Infinity]]], { dtype: "float64" }); // biome-ignore format: rows
  expect(ops.gatherWithin(x, places).toArray()).toEqual([[[3, 1, 3, 1], [4, 5, 5, 6]]]); // biome-ignore format: rows
  const y = tensor([[[1, 2, 4, 8], [1, 2, 4, 8]]], { dtype: "float64" }); // biome-ignore format: rows
  expect(ops.scatterSumWithin(y, places, 3).toArray()).toEqual([[[10, 0, 5], [1, 6, 8]]]); // biome-ignore format: rows
  checkGrads((v) => ops.gatherWithin(v as Tensor, places), [x], { order: 2 });
  checkGrads((v) => square(ops.scatterSumWithin(v as Tensor, places, 3)), [y], { order: 2 });
});

describe("errors", () => {
  const x = tensorOf(grid([2, 3]));
  const ints = (values: number[], shape = [values.length]): Tensor => tensor(Int32Array.from(values), { shape });
  test.each<[string, () => unknown, abstract new (...args: never[]) => Error, string]>([
    [
      "gather too far",
      () => ops.gather(x, 1, ints([0, 1, 2, 3], [2, 2])),
      ArgumentError,
      "gather: expected indices in [0, 2], got 3 at [1,1] of index [2,2]",
    ],
    [
      "gather below zero",
      () => ops.gather(x, 1, ints([-1], [1, 1])),
      ArgumentError,
      "gather: expected indices in [0, 2], got -1 at [0,0] of index [1,1]",
    ],
    ["gather by floats", () => ops.gather(x, 1, tensor([[0]])), DTypeError, "gather: expected int32 indices, got float32"],
    [
      "gather of another rank",
      () => ops.gather(x, 1, ints([0])),
      ShapeError,
      "gather: expected an index no larger than x [2,3] but for axis 1, got [1]",
    ],
    [
      "scatter from another shape",
      () => ops.scatter(x, 0, ints([0], [1, 1]), x),
      ShapeError,
      "scatter: expected a source of the index's shape [1,1], got [2,3]",
    ],
    [
      "scatter of another dtype",
      () => ops.scatter(x, 0, ints([0], [1, 1]), tensor([[1]])),
      DTypeError,
      "scatter: expected x and source of one dtype, got float64 and float32",
    ],
    [
      "scatterAdd of integers",
      () => ops.scatterAdd(ints([1]), 0, ints([0]), ints([1])),
      DTypeError,
      "scatterAdd: expected a float tensor, got int32",
    ],
    [
      "indexSelect by a matrix",
      () => ops.indexSelect(x, 0, ints([0], [1, 1])),
      ShapeError,
      "indexSelect: expected an index of one axis, got [1,1]",
    ],
    [
      "indexAdd from another shape",
      () => ops.indexAdd(x, 0, ints([0]), x),
      ShapeError,
      "indexAdd: expected a source of shape [1,3], got [2,3]",
    ],
    [
      "takeRows too far",
      () => ops.takeRows(x, ints([0, 1, 1, 2], [2, 2])),
      ArgumentError,
      "takeRows: expected indices in [0, 1], got 2 at [1,1] of index [2,2]",
    ],
    ["takeRows of a scalar", () => ops.takeRows(tensor(1), ints([0])), ShapeError, "takeRows: expected at least one axis, got a scalar"],
    [
      "scatterRows from another shape",
      () => ops.scatterRows(x, ints([0]), 2),
      ShapeError,
      "scatterRows: expected rows of the shape of x's leading axes [2,3], got [1]",
    ],
    ["embedding of a vector", () => ops.embedding(ints([0]), tensor([1])), ShapeError, "embedding: expected weight [N,D], got [1]"],
    [
      "embedding too far",
      () => ops.embedding(ints([2]), x),
      ArgumentError,
      "embedding: expected indices in [0, 1], got 2 at [0] of index [1]",
    ],
    [
      "embedding padded too far",
      () => ops.embedding(ints([0]), x, { paddingIdx: 2 }),
      ArgumentError,
      "embedding: expected paddingIdx in [-2, 1], got 2",
    ],
    ["maskedSelect by numbers", () => ops.maskedSelect(x, tensor([1])), DTypeError, "maskedSelect: expected a bool mask, got float32"],
    ["index of too many axes", () => ops.index(x, [0, 0, 0]), ShapeError, "index: expected at most 2 specs for x [2,3], got 3"],
    [
      "index too far",
      () => ops.index(x, [null, ints([0, -4])]),
      ArgumentError,
      "index: expected indices in [-3, 2] for axis 1, got -4 at [1]",
    ],
  ])("%s", (_, fn, type, message) => {
    expect(fn).toThrow(type);
    expect(fn).toThrow(message);
  });
});
