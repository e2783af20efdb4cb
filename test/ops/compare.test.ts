import { describe, expect, test } from "vitest";
import { ArgumentError, DTypeError, ShapeError } from "../../src/base/errors.ts";
import { sum } from "../../src/ops/broadcast.ts";
import * as ops from "../../src/ops/index.ts";
import { permute } from "../../src/ops/shape.ts";
import { type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { checkGrads } from "../../src/transforms/check-grads.ts";
import { grad } from "../../src/transforms/transforms.ts";
import { binaryRows, broadcast, unaryRow } from "./elementwise.ts";
import { elements, grid, stridedOf, tensorOf } from "./grid.ts";
import { describeRows } from "./rows.ts";

const mask = tensor([1, 0, 0, 1, 1], { dtype: "bool" });
const holds = [1, 0, 0, 1, 1];

describeRows([
  {
    name: "where",
    shapes: [[3, 5], [3, 5]],
    fn: (a, b) => ops.where(mask, a, b),
    expected: (a, b) => ({ shape: [3, 5], at: (i = 0, j = 0) => (holds[j] ? a.at(i, j) : b.at(i, j)) }),
  },
  {
    name: "where of smaller alternatives",
    shapes: [[3, 1], [2, 1, 1]],
    fn: (a, b) => ops.where(mask, a, b),
    expected: (a, b) => ({ shape: [2, 3, 5], at: (h = 0, i = 0, j = 0) => (holds[j] ? a.at(i, 0) : b.at(h, 0, 0)) }),
  },
  {
    name: "where with a number first",
    shapes: [[3, 5]],
    fn: (x) => ops.where(mask, 2, x),
    expected: (x) => ({ shape: [3, 5], at: (i = 0, j = 0) => (holds[j] ? 2 : x.at(i, j)) }),
  },
  {
    name: "where with a number last",
    shapes: [[3, 1]],
    fn: (x) => ops.where(mask, x, -1),
    expected: (x) => ({ shape: [3, 5], at: (i = 0, j = 0) => (holds[j] ? x.at(i, 0) : -1) }),
  },
  {
    name: "maskedFill",
    shapes: [[3, 5]],
    fn: (x) => ops.maskedFill(x, mask, -7),
    expected: (x) => ({ shape: [3, 5], at: (i = 0, j = 0) => (holds[j] ? -7 : x.at(i, j)) }),
  },
  unaryRow("clamp", (x) => ops.clamp(x, -0.5, 0.75), (x) => Math.max(-0.5, Math.min(0.75, x))),
  unaryRow("clamp from below", (x) => ops.clamp(x, 0.25), (x) => Math.max(0.25, x)),
]); // biome-ignore format: a table

describe("comparisons", () => {
  const table = [
    ["equal", ops.equal, (a: number, b: number) => a === b],
    ["notEqual", ops.notEqual, (a: number, b: number) => a !== b],
    ["less", ops.less, (a: number, b: number) => a < b],
    ["lessEqual", ops.lessEqual, (a: number, b: number) => a <= b],
    ["greater", ops.greater, (a: number, b: number) => a > b],
    ["greaterEqual", ops.greaterEqual, (a: number, b: number) => a >= b],
  ] as const;

  describe.each(table)("%s", (name, fn, formula) => {
    test.each(["float32", "float64", "int32"] as const)("broadcast and strided, %s", (dtype) => {
      for (const { shapes } of binaryRows(name, fn, Number)) {
        const grids = shapes.map((shape) => ({ shape, at: (...index: number[]) => index.reduce((s, i) => (s * 3 + i) % 4, shape.length) }));
        const want = elements(broadcast((a, b = 1.5) => Number(formula(a as number, b)))(...grids));
        if (shapes.length < 2) continue;
        for (const layout of [tensorOf, stridedOf]) {
          const [a, b] = grids.map((g) => layout(g, dtype)) as [Tensor, Tensor];
          const y = fn(a, b);
          expect(y.dtype).toBe("bool");
          expect(Array.from(y.data())).toEqual(want);
        }
      }
      const x = tensorOf(grid([7]), "float64");
      expect(Array.from(fn(x, 0.5).data())).toEqual(Array.from(x.data(), (v) => Number(formula(v, 0.5))));
      expect(Array.from(fn(0.5, x).data())).toEqual(Array.from(x.data(), (v) => Number(formula(0.5, v))));
    });

    test("of masks", () => {
      const a = tensor([0, 0, 1, 1], { dtype: "bool" });
      const b = tensor([0, 1, 0, 1], { dtype: "bool" });
      expect(Array.from(fn(a, b).data())).toEqual([formula(0, 0), formula(0, 1), formula(1, 0), formula(1, 1)].map(Number));
      expect(Array.from(fn(a, 1).data())).toEqual([0, 0, 1, 1].map((v) => Number(formula(v, 1))));
    });
  });

  test("NaN equals nothing", () => {
    const x = tensor([1, Number.NaN, Number.POSITIVE_INFINITY]);
    expect(Array.from(ops.equal(x, x).data())).toEqual([1, 0, 1]);
    expect(Array.from(ops.isNaN(x).data())).toEqual([0, 1, 0]);
    expect(Array.from(ops.lessEqual(x, Number.NaN).data())).toEqual([0, 0, 0]);
  });

  test("dtypes are not mixed", () => {
    expect(() => ops.less(tensor([1]), tensor(Int32Array.of(1)))).toThrow("less: expected equal dtypes, got float32 and int32");
    expect(() => ops.less(tensor([1, 2]), tensor([1, 2, 3]))).toThrow(ShapeError);
  });
});

describe("logic", () => {
  const a = tensor(
    [
      [0, 0],
      [1, 1],
    ],
    { dtype: "bool" },
  );
  const b = tensor([0, 1], { dtype: "bool" });

  test("broadcasts", () => {
    expect(ops.logicalAnd(a, b).toArray()).toEqual([[0, 0], [0, 1]]);
    expect(ops.logicalOr(a, b).toArray()).toEqual([[0, 1], [1, 1]]);
    expect(ops.logicalXor(a, b).toArray()).toEqual([[0, 1], [1, 0]]);
    expect(ops.logicalNot(a).toArray()).toEqual([[1, 1], [0, 0]]);
    expect(ops.logicalOr(permute(a, [1, 0]), b).toArray()).toEqual([[0, 1], [0, 1]]);
  }); // biome-ignore format: rows

  test("numbers hold where they are not 0", () => {
    expect(Array.from(ops.logicalAnd(tensor([0, 2, Number.NaN]), tensor(Int32Array.of(1, 1, 1))).data())).toEqual([0, 1, 1]);
    expect(Array.from(ops.logicalNot(tensor([0, 2])).data())).toEqual([1, 0]);
    expect(Array.from(ops.where(tensor([0, 3]), 1, 2).data())).toEqual([2, 1]);
  });
});

describe("choice", () => {
  test("the unchosen side's infinite slope does not matter", () => {
    const x = tensor(Float64Array.of(0, 4));
    const [g] = grad((t) => sum(ops.where(ops.greater(t as Tensor, 1), t as Tensor, 0)))(x);
    expect(Array.from((g as Tensor).data())).toEqual([0, 1]);
  });

  test("clamp passes the derivative from bound to bound, both included; NaN stays", () => {
    const x = tensor(Float64Array.of(-2, -1, 0, 1, 2));
    const [g] = grad((t) => sum(ops.clamp(t as Tensor, -1, 1)))(x);
    expect(Array.from((g as Tensor).data())).toEqual([0, 1, 1, 1, 0]);
    expect(ops.clamp(tensor([Number.NaN]), 0, 1).item()).toBeNaN();
    expect(() => ops.clamp(x, 1, -1)).toThrow(ArgumentError);
    expect(() => ops.clamp(x, Number.NaN)).toThrow(ArgumentError);
  });

  test("int32 and two numbers", () => {
    expect(Array.from(ops.where(mask, tensor(Int32Array.of(1, 2, 3, 4, 5)), -1).data())).toEqual([1, -1, -1, 4, 5]);
    expect(ops.where(mask, 1, 0).dtype).toBe("float32");
    expect(() => ops.where(mask, tensor([1]), tensor(Int32Array.of(1)))).toThrow(DTypeError);
    expect(() => ops.where(mask, tensor([1, 2]), 0)).toThrow("where: expected shapes that broadcast together");
  });
});

describe("cast", () => {
  test("values", () => {
    const x = tensor(Float64Array.of(-1.5, 0, 2.75, 3e10));
    expect(Array.from(ops.cast(x, "int32").data())).toEqual([-1, 0, 2, 2 ** 31 - 1]);
    expect(Array.from(ops.cast(x, "bool").data())).toEqual([1, 0, 1, 1]);
    expect(Array.from(ops.cast(x, "float32").data())).toEqual([-1.5, 0, 2.75, Math.fround(3e10)]);
    expect(ops.cast(x, "float64")).toBe(x);
    expect(ops.cast(permute(tensor([[1, 2], [3, 4]]), [1, 0]), "int32").toArray()).toEqual([[1, 3], [2, 4]]);
  }); // biome-ignore format: rows

  test("derivatives come back in the dtype they left in", () => {
    const x = tensor([1, 2]);
    const [g] = grad((t) => sum(ops.cast(t as Tensor, "float64")))(x);
    expect((g as Tensor).dtype).toBe("float32");
    const y = tensor(Float64Array.of(0.5, -0.25));
    // float32 in between rounds to 2^-24: the step is long, and the difference only as good as that.
    checkGrads((t) => ops.cast(ops.cast(t, "float32"), "float64"), [y], { epsilon: 2 ** -10, tolerance: 1e-4 });
  });
});
