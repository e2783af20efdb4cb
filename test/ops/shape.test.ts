import { describe, expect, test } from "vitest";
import { backward } from "../../src/autodiff/backward.ts";
import { gradients } from "../../src/autodiff/sweep.ts";
import type { DType } from "../../src/base/dtype.ts";
import { ArgumentError, DTypeError, ShapeError } from "../../src/base/errors.ts";
import { add, mul, square } from "../../src/ops/arithmetic.ts";
import { sum } from "../../src/ops/broadcast.ts";
import * as ops from "../../src/ops/index.ts";
import { requireGrad, scope, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { checkGrads } from "../../src/transforms/check-grads.ts";
import { memory } from "../../src/wasm/host.ts";
import { elements, type Grid, grid, stridedOf, tensorOf } from "./grid.ts";
import { checkStackedTangents } from "./stacked.ts";

interface Row {
  readonly name: string;
  readonly shapes: readonly (readonly number[])[];
  readonly fn: (...xs: Tensor[]) => Tensor;
  readonly expected: (...xs: Grid[]) => Grid;
}

const x234 = [[2, 3, 4]];
const x35 = [[3, 5]];

const rows: readonly Row[] = [
  { name: "contiguous", shapes: x234, fn: (x) => ops.contiguous(x), expected: (x) => x },
  {
    name: "reshape",
    shapes: x234,
    fn: (x) => ops.reshape(x, [4, -1]),
    expected: (x) => ({ shape: [4, 6], at: (i, j) => elements(x)[6 * Number(i) + Number(j)] as number }),
  },
  {
    name: "reshape that splits axes of a view",
    shapes: [[4, 6]],
    fn: (x) => ops.reshape(x, [2, 2, 3, 2]),
    expected: (x) => ({ shape: [2, 2, 3, 2], at: (i = 0, j = 0, k = 0, l = 0) => x.at(2 * i + j, 2 * k + l) }),
  },
  {
    name: "reshape of a permuted tensor",
    shapes: x234,
    fn: (x) => ops.reshape(ops.transpose(x, 0, 2), [8, 3]),
    expected: (x) => ({
      shape: [8, 3],
      at: (i = 0, j = 0) => x.at((3 * i + j) % 2, Math.floor((3 * i + j) / 2) % 3, Math.floor((3 * i + j) / 6)),
    }),
  },
  {
    name: "reshape without elements",
    shapes: [[2, 0, 3]],
    fn: (x) => ops.reshape(x, [0, 5]),
    expected: () => ({ shape: [0, 5], at: () => 0 }),
  },
  {
    name: "unsqueeze",
    shapes: x35,
    fn: (x) => ops.unsqueeze(x, -1),
    expected: (x) => ({ shape: [3, 5, 1], at: (i = 0, j = 0) => x.at(i, j) }),
  },
  {
    name: "squeeze",
    shapes: [[3, 1, 5]],
    fn: (x) => ops.squeeze(x, -2),
    expected: (x) => ({ shape: [3, 5], at: (i = 0, j = 0) => x.at(i, 0, j) }),
  },
  { name: "squeeze all", shapes: [[1, 3, 1]], fn: (x) => ops.squeeze(x), expected: (x) => ({ shape: [3], at: (i = 0) => x.at(0, i, 0) }) },
  {
    name: "permute",
    shapes: x234,
    fn: (x) => ops.permute(x, [2, 0, -2]),
    expected: (x) => ({ shape: [4, 2, 3], at: (i = 0, j = 0, k = 0) => x.at(j, k, i) }),
  },
  {
    name: "transpose",
    shapes: x234,
    fn: (x) => ops.transpose(x),
    expected: (x) => ({ shape: [2, 4, 3], at: (i = 0, j = 0, k = 0) => x.at(i, k, j) }),
  },
  {
    name: "expand",
    shapes: [[3, 1]],
    fn: (x) => ops.expand(x, [4, -1, 2]),
    expected: (x) => ({ shape: [4, 3, 2], at: (_i = 0, j = 0) => x.at(j, 0) }),
  },
  {
    name: "broadcastTo of a scalar",
    shapes: [[]],
    fn: (x) => ops.broadcastTo(x, [2, 2]),
    expected: (x) => ({ shape: [2, 2], at: () => x.at() }),
  },
  {
    name: "broadcastTo nothing",
    shapes: [[1, 3]],
    fn: (x) => ops.broadcastTo(x, [0, 3]),
    expected: () => ({ shape: [0, 3], at: () => 0 }),
  },
  {
    name: "select",
    shapes: x234,
    fn: (x) => ops.select(x, 1, -1),
    expected: (x) => ({ shape: [2, 4], at: (i = 0, j = 0) => x.at(i, 2, j) }),
  },
  {
    name: "slice",
    shapes: x35,
    fn: (x) => ops.slice(x, 1, 1, -1),
    expected: (x) => ({ shape: [3, 3], at: (i = 0, j = 0) => x.at(i, j + 1) }),
  },
  {
    name: "slice by steps",
    shapes: x35,
    fn: (x) => ops.slice(x, -1, undefined, 99, 2),
    expected: (x) => ({ shape: [3, 3], at: (i = 0, j = 0) => x.at(i, 2 * j) }),
  },
  {
    name: "slice backwards",
    shapes: x35,
    fn: (x) => ops.slice(x, 1, -1, 0, -2),
    expected: (x) => ({ shape: [3, 2], at: (i = 0, j = 0) => x.at(i, 4 - 2 * j) }),
  },
  {
    name: "slice backwards to the first",
    shapes: x35,
    fn: (x) => ops.slice(x, 0, undefined, undefined, -1),
    expected: (x) => ({ shape: [3, 5], at: (i = 0, j = 0) => x.at(2 - i, j) }),
  },
  { name: "empty slice", shapes: x35, fn: (x) => ops.slice(x, 0, 2, 2), expected: () => ({ shape: [0, 5], at: () => 0 }) },
  {
    name: "unstack, not every entry used",
    shapes: x234,
    fn: (x) => {
      const [a, , c] = ops.unstack(x, 1) as [Tensor, Tensor, Tensor];
      return add(a, square(c));
    },
    expected: (x) => ({ shape: [2, 4], at: (i = 0, j = 0) => x.at(i, 0, j) + x.at(i, 2, j) ** 2 }),
  },
  {
    name: "stack",
    shapes: [
      [2, 3],
      [2, 3],
    ],
    fn: (a, b) => ops.stack([a, b, a], -1),
    expected: (a, b) => ({ shape: [2, 3, 3], at: (i = 0, j = 0, k = 0) => (k === 1 ? b : a).at(i, j) }),
  },
  {
    name: "cat",
    shapes: [
      [2, 1, 3],
      [2, 0, 3],
      [2, 4, 3],
    ],
    fn: (a, b, c) => ops.cat([a, b, c], -2),
    expected: (a, _b, c) => ({ shape: [2, 5, 3], at: (i = 0, j = 0, k = 0) => (j < 1 ? a.at(i, j, k) : c.at(i, j - 1, k)) }),
  },
  {
    name: "cat of one tensor twice",
    shapes: [[2, 2]],
    fn: (a) => ops.cat([a, a], 0),
    expected: (a) => ({ shape: [4, 2], at: (i = 0, j = 0) => a.at(i % 2, j) }),
  },
  {
    name: "split by sizes",
    shapes: x35,
    fn: (x) => {
      const [a, none, b] = ops.split(x, [1, 0, 3, 1], -1) as [Tensor, Tensor, Tensor];
      return add(mul(a, b), sum(none));
    },
    expected: (x) => ({ shape: [3, 3], at: (i = 0, j = 0) => x.at(i, 0) * x.at(i, j + 1) }),
  },
  {
    name: "split evenly",
    shapes: x35,
    fn: (x) => ops.split(x, 2, 1)[2] as Tensor,
    expected: (x) => ({ shape: [3, 1], at: (i = 0) => x.at(i, 4) }),
  },
  {
    name: "chunk",
    shapes: [[7, 2]],
    fn: (x) => ops.cat(ops.chunk(x, 3).reverse()),
    expected: (x) => ({ shape: [7, 2], at: (i = 0, j = 0) => x.at(i < 1 ? 6 : i < 4 ? i + 2 : i - 4, j) }),
  },
  {
    name: "flip",
    shapes: x234,
    fn: (x) => ops.flip(x, [0, -1]),
    expected: (x) => ({ shape: [2, 3, 4], at: (i = 0, j = 0, k = 0) => x.at(1 - i, j, 3 - k) }),
  },
  {
    name: "roll",
    shapes: x35,
    fn: (x) => ops.roll(x, 7, -1),
    expected: (x) => ({ shape: [3, 5], at: (i = 0, j = 0) => x.at(i, (j + 3) % 5) }),
  },
  {
    name: "roll backwards, flattened",
    shapes: x35,
    fn: (x) => ops.roll(x, -4),
    expected: (x) => ({ shape: [3, 5], at: (i = 0, j = 0) => elements(x)[(5 * i + j + 4) % 15] as number }),
  },
  {
    name: "pad",
    shapes: x234,
    fn: (x) =>
      ops.pad(
        x,
        [
          [0, 3],
          [1, 2],
        ],
        0.5,
      ),
    expected: (x) => ({ shape: [2, 6, 7], at: (i = 0, j = 0, k = 0) => (j < 3 && k >= 1 && k < 5 ? x.at(i, j, k - 1) : 0.5) }),
  },
  {
    name: "pad of nothing",
    shapes: [[0, 2]],
    fn: (x) =>
      ops.pad(x, [
        [1, 1],
        [0, 0],
      ]),
    expected: () => ({ shape: [2, 2], at: () => 0 }),
  },
  {
    name: "repeat",
    shapes: [[2, 3]],
    fn: (x) => ops.repeat(x, [2, 1, 3]),
    expected: (x) => ({ shape: [2, 2, 9], at: (_i = 0, j = 0, k = 0) => x.at(j, k % 3) }),
  },
  {
    name: "tril",
    shapes: x234,
    fn: (x) => ops.tril(x, -1),
    expected: (x) => ({ shape: [2, 3, 4], at: (b = 0, i = 0, j = 0) => (j <= i - 1 ? x.at(b, i, j) : 0) }),
  },
  {
    name: "triu",
    shapes: x35,
    fn: (x) => ops.triu(x, 1),
    expected: (x) => ({ shape: [3, 5], at: (i = 0, j = 0) => (j >= i + 1 ? x.at(i, j) : 0) }),
  },
  { name: "diagonal", shapes: x35, fn: (x) => ops.diagonal(x, 1), expected: (x) => ({ shape: [3], at: (i = 0) => x.at(i, i + 1) }) },
  {
    name: "diagonal below, of other axes",
    shapes: [[4, 2, 3]],
    fn: (x) => ops.diagonal(x, -2, -3, 2),
    expected: (x) => ({ shape: [2, 2], at: (i = 0, j = 0) => x.at(j + 2, i, j) }),
  },
  { name: "diagonal outside", shapes: x35, fn: (x) => ops.diagonal(x, 9), expected: () => ({ shape: [0], at: () => 0 }) },
];

function checkRow(row: Row, make: (g: Grid, dtype?: DType) => Tensor, dtype: DType): void {
  const grids = row.shapes.map((shape, i) => grid(shape, i));
  const want = row.expected(...grids);
  const got = row.fn(...grids.map((g) => make(g, dtype)));
  expect(got.shape).toEqual(want.shape);
  expect(got.dtype).toBe(dtype);
  expect(Array.from(got.data())).toEqual(elements(want));
}

describe.each(rows)("$name", (row) => {
  test.each(["float32", "float64"] as const)("value, %s", (dtype) => checkRow(row, tensorOf, dtype));
  test.each(["float32", "float64"] as const)("value of a strided input, %s", (dtype) => checkRow(row, stridedOf, dtype));
  test("derivatives", () => {
    // Multiplied by itself, so that second derivatives are not zero.
    const fn = (...xs: Tensor[]) => square(row.fn(...xs));
    const grids = row.shapes.map((shape, i) => grid(shape, i));
    checkGrads(
      fn,
      grids.map((g) => tensorOf(g)),
      { order: 2 },
    );
    checkGrads(
      fn,
      grids.map((g) => stridedOf(g)),
      { order: 2 },
    );
  });
  test("three tangents at once", () => {
    const inputs = row.shapes.map((shape, i) => tensorOf(grid(shape, i)));
    checkStackedTangents((...xs) => square(row.fn(...xs)), inputs);
  });
});

test("integers and masks move like floats", () => {
  const i = tensor(Int32Array.of(1, -2, 3, 2 ** 31 - 1, 5, 6), { shape: [2, 3] });
  expect(ops.contiguous(ops.transpose(i)).toArray()).toEqual([
    [1, 2 ** 31 - 1],
    [-2, 5],
    [3, 6],
  ]);
  expect(
    ops
      .pad(
        i,
        [
          [1, 0],
          [0, 0],
        ],
        -1,
      )
      .toArray(),
  ).toEqual([
    [-1, -1, -1],
    [1, -2, 3],
    [2 ** 31 - 1, 5, 6],
  ]);
  const b = tensor([true, false, false], { dtype: "bool" });
  expect(ops.cat([b, ops.flip(b, 0)]).toArray()).toEqual([1, 0, 0, 0, 0, 1]);
});

describe("views", () => {
  const x = tensorOf(grid([4, 6]));
  test.each<[string, (x: Tensor) => Tensor]>([
    ["reshape", (t) => ops.reshape(t, [2, 2, 6])],
    ["reshape of a slice", (t) => ops.reshape(ops.slice(t, 1, 0, 4), [4, 2, 2])],
    ["unsqueeze of a transpose", (t) => ops.unsqueeze(ops.transpose(t), 1)],
    ["slice", (t) => ops.slice(t, 0, 1, 4, 2)],
    ["select", (t) => ops.select(t, 1, 3)],
    ["broadcastTo", (t) => ops.broadcastTo(t, [5, 4, 6])],
    ["unstack", (t) => ops.unstack(t)[2] as Tensor],
    ["chunk", (t) => ops.chunk(t, 2, 1)[1] as Tensor],
    ["diagonal", (t) => ops.diagonal(t)],
  ])("%s copies nothing", (_, fn) => {
    const before = memory().liveBytes;
    expect(fn(x).storage).toBe(x.storage);
    expect(memory().liveBytes).toBe(before);
  });

  test("a reshape that strides cannot express is a copy", () => {
    const y = ops.reshape(ops.transpose(x), [24]);
    expect(y.storage).not.toBe(x.storage);
  });
});

test("the gradient of a walk over many steps is linear in their number", () => {
  scope(() => {
    const steps = 10_000;
    const x = requireGrad(tensorOf({ shape: [steps, 1, 3], at: (t = 0) => t % 5 }, "float32"));
    const before = memory();
    const ys = ops.stack(ops.unstack(x).map((xt) => square(xt)));
    backward(sum(ys));
    expect(Array.from(x.grad?.data() ?? [])).toEqual(elements({ shape: [steps, 1, 3], at: (t = 0) => 2 * (t % 5) }));
    // Each step's little tensors take a block of 64 bytes; one full gradient a step would be 1.2 GB.
    expect(memory().peakBytes - before.liveBytes).toBeLessThan(200 * steps * 4);
  });
});

test("no gradient reaches the parts of a split that were not used", () => {
  const x = requireGrad(tensorOf(grid([2, 4])));
  const [, b] = ops.chunk(x, 2, 1) as [Tensor, Tensor];
  const [dx] = gradients(
    [b],
    [x],
    [
      tensor(
        [
          [1, 2],
          [3, 4],
        ],
        { dtype: "float64" },
      ),
    ],
  );
  expect(dx?.toArray()).toEqual([
    [0, 0, 1, 2],
    [0, 0, 3, 4],
  ]);
});

describe("errors", () => {
  const x = tensorOf(grid([2, 3]));
  test.each<[string, () => unknown, abstract new (...args: never[]) => Error, string]>([
    ["reshape", () => ops.reshape(x, [4]), ShapeError, "reshape: expected a shape of 6 elements for x [2,3], got [4]"],
    [
      "reshape with two open axes",
      () => ops.reshape(x, [-1, -1]),
      ShapeError,
      "reshape: expected a shape of 6 elements for x [2,3], got [-1,-1]",
    ],
    [
      "reshape that does not divide",
      () => ops.reshape(x, [4, -1]),
      ShapeError,
      "reshape: expected a shape of 6 elements for x [2,3], got [4,-1]",
    ],
    ["reshape of nothing with an open axis", () => ops.reshape(ops.slice(x, 0, 0, 0), [0, -1]), ShapeError, "reshape: expected"],
    ["permute", () => ops.permute(x, [0, 0]), ArgumentError, "permute: expected axes to name each of 2 axes once, got [0,0]"],
    ["transpose", () => ops.transpose(x, 0, 2), ArgumentError, "transpose: expected axis in [-2, 1], got 2"],
    ["broadcastTo", () => ops.broadcastTo(x, [2, 4]), ShapeError, "broadcastTo: expected a shape that x [2,3] broadcasts to, got [2,4]"],
    [
      "expand of a new axis to -1",
      () => ops.expand(x, [-1, 2, 3]),
      ShapeError,
      "broadcastTo: expected whole non-negative dimensions, got [-1,2,3]",
    ],
    ["select", () => ops.select(x, 1, 3), ArgumentError, "select: expected an index in [-3, 2] for axis 1 of x [2,3], got 3"],
    [
      "slice",
      () => ops.slice(x, 0, 0, 2, 0),
      ArgumentError,
      "slice: expected whole bounds and a step other than 0, got start 0, end 2, step 0",
    ],
    ["stack", () => ops.stack([x, ops.transpose(x)]), ShapeError, "stack: expected equal shapes, got [2,3] and [3,2]"],
    ["stack of none", () => ops.stack([]), ArgumentError, "stack: expected at least one tensor, got none"],
    ["cat", () => ops.cat([x, ops.transpose(x)]), ShapeError, "cat: expected shapes equal but for axis 0, got [2,3] and [3,2]"],
    [
      "cat of two dtypes",
      () => ops.cat([x, tensor([[1, 2, 3]])]),
      DTypeError,
      "cat: expected tensors of one dtype, got float64 and float32",
    ],
    ["split", () => ops.split(x, [1, 3], 1), ShapeError, "split: expected sizes that add up to 3 (axis 1 of x [2,3]), got [1,3]"],
    ["split by none", () => ops.split(x, 0), ArgumentError, "split: expected size to be a whole number of at least 1, got 0"],
    ["chunk", () => ops.chunk(x, 0), ArgumentError, "chunk: expected chunks to be a whole number of at least 1, got 0"],
    ["roll", () => ops.roll(x, 0.5), ArgumentError, "roll: expected a whole shift, got 0.5"],
    ["pad", () => ops.pad(x, [[0, -1]]), ArgumentError, "pad: expected whole non-negative amounts for at most 2 axes, got [[0,-1]]"],
    ["repeat", () => ops.repeat(x, [2]), ShapeError, "repeat: expected at least 2 repeats for x [2,3], got [2]"],
    ["tril", () => ops.tril(tensor([1])), ShapeError, "tril: expected at least 2 axes, got x [1]"],
    ["diagonal", () => ops.diagonal(x, 0, 1, -1), ArgumentError, "diagonal: expected two different axes and a whole offset, got 1, -1, 0"],
  ])("%s", (_, fn, type, message) => {
    expect(fn).toThrow(type);
    expect(fn).toThrow(message);
  });
});

describe("lists of parts", () => {
  test("belong to the caller: changing one does not change the tape", () => {
    const x = requireGrad(tensor([1, 2, 3, 4], { dtype: "float64" }));
    for (const parts of [ops.split(x, 2, 0), ops.unstack(x)]) {
      const y = sum(parts[0] as Tensor);
      parts.pop();
      expect(gradients([y], [x], [tensor(1, { dtype: "float64" })])[0]?.data()[0]).toBe(1);
    }
  });
});
