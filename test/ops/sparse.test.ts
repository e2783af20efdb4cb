import { describe, expect, test } from "vitest";
import { gradients } from "../../src/autodiff/sweep.ts";
import { ArgumentError, DTypeError, ShapeError } from "../../src/base/errors.ts";
import { linear, matmul } from "../../src/ops/linear.ts";
import { select } from "../../src/ops/shape.ts";
import { type SparseMatrix, sparseLinear, toDense, toSparse } from "../../src/ops/sparse.ts";
import { zeros } from "../../src/tensor/create.ts";
import { assign, requireGrad, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { checkGrads } from "../../src/transforms/check-grads.ts";
import { expectClose, FLOATS, noise, RELAXED } from "../kernels/memory.ts";
import { stridedOf } from "./grid.ts";
import { waves } from "./rows.ts";

/** A matrix of which about a third is not zero: rows of every length, some empty. */
function patchy(rows: number, columns: number, dtype: "float32" | "float64", seed: number): Tensor {
  const at = noise(dtype, rows * columns, seed);
  const kept = at.map((v, e) => (Math.floor(e / columns) % 5 === 3 || Math.abs(v) > 0.35 + 0.1 * (Math.floor(e / columns) % 3) ? 0 : v));
  return tensor(kept, { shape: [rows, columns], dtype });
}

const SIZES = [
  [1, 1],
  [3, 5],
  [4, 9],
  [9, 4],
  [13, 40],
] as const;

describe.each(FLOATS)("sparse products, %s", (dtype) => {
  test.each(SIZES)("[%i,%i] as the dense ones, and each sample as alone", (m, n) => {
    const w = patchy(m, n, dtype, 3);
    const s = toSparse(w);
    expect(toDense(s).toArray()).toEqual(w.toArray());
    for (const batch of [0, 1, 3, 6]) {
      const x = tensor(noise(dtype, batch * n, 5), { shape: [batch, n], dtype });
      const back = tensor(noise(dtype, batch * m, 7), { shape: [batch, m], dtype });
      const got = [sparseLinear(x, s), sparseLinear(back, s, { transposed: true })] as const;
      const want = [linear(x, w), matmul(back, w)] as const;
      const most = dtype === "float64" ? 1e-14 : 4e-6;
      for (const i of [0, 1] as const) {
        expect(got[i].shape).toEqual(want[i].shape);
        expectClose(got[i].data(), Array.from(want[i].data(), Number), () => most);
      }
      for (let b = 0; b < batch; b++) expect(sparseLinear(select(x, 0, b), s).toArray()).toEqual(select(got[0], 0, b).toArray());
    }
  });

  test.skipIf(RELAXED)("to the bit where the sums have the same order: rows shorter than two vectors, and transposed", () => {
    const w = patchy(30, 40, dtype, 3);
    const few = tensor(
      Array.from(w.data(), (v, e) => (e % 40 < 3 ? Number(v) : 0)),
      { shape: [30, 40], dtype },
    );
    const x = tensor(noise(dtype, 80, 5), { shape: [2, 40], dtype });
    const back = tensor(noise(dtype, 60, 5), { shape: [2, 30], dtype });
    const bits = (t: Tensor) => Array.from(t.data(), (v) => Number(v) + 0);
    expect(bits(sparseLinear(x, toSparse(few)))).toEqual(bits(linear(x, few)));
    expect(bits(sparseLinear(back, toSparse(w), { transposed: true }))).toEqual(bits(matmul(back, w)));
  });
});

test("a vector, more axes, strided inputs, elements in one place", () => {
  const w = patchy(4, 6, "float64", 3);
  const s = toSparse(w);
  const x = stridedOf(waves([2, 3, 6]), "float64");
  expect(sparseLinear(x, s).shape).toEqual([2, 3, 4]);
  expectClose(sparseLinear(x, s).data(), Array.from(linear(x, w).data(), Number), () => 1e-14);
  expect(
    sparseLinear(
      tensor([1, 2]),
      toSparse(
        tensor([
          [0, 3],
          [4, 0],
        ]),
      ),
    ).toArray(),
  ).toEqual([6, 4]);
  const twice = {
    size: [1, 2] as const,
    crowIndices: tensor([0, 3], { dtype: "int32" }),
    colIndices: tensor([1, 0, 1], { dtype: "int32" }),
    values: tensor([1, 10, 2]),
  };
  expect(toDense(twice).toArray()).toEqual([[10, 3]]);
  expect(sparseLinear(zeros([2, 0]), toSparse(zeros([3, 0]))).toArray()).toEqual([
    [0, 0, 0],
    [0, 0, 0],
  ]);
});

test.each([false, true])("derivatives against finite differences, both orders and modes (transposed: %s)", (transposed) => {
  const s = toSparse(patchy(5, 4, "float64", 9));
  const x = tensor(noise("float64", 15, 2), { shape: [3, 5], dtype: "float64" });
  const fn = (input: Tensor, values: Tensor) => sparseLinear(input, { ...s, values }, { transposed });
  const narrow = tensor(noise("float64", 12, 2), { shape: [3, 4], dtype: "float64" });
  checkGrads(fn as (...xs: Tensor[]) => Tensor, [transposed ? x : narrow, s.values], { order: 2, tolerance: 1e-6 });
});

test("a value's gradient is that of its place in the dense matrix", () => {
  const w = requireGrad(patchy(5, 4, "float64", 9));
  const s = toSparse(w);
  const values = requireGrad(s.values);
  const x = tensor(noise("float64", 8, 2), { shape: [2, 4], dtype: "float64" });
  const seed = tensor(noise("float64", 10, 4), { shape: [2, 5], dtype: "float64" });
  const [dv] = gradients([sparseLinear(x, s)], [values], [seed]) as [Tensor];
  const [dw] = gradients([linear(x, w)], [w], [seed]) as [Tensor];
  const [rows, columns] = [s.crowIndices.data(), s.colIndices.data()];
  const places = Array.from(columns, (j, p) => 4 * (Array.from(rows).findIndex((start) => start > p) - 1) + (j as number));
  places.forEach((place, p) => {
    expect(Math.abs((dv.data()[p] as number) - (dw.data()[place] as number)) <= 1e-15).toBe(true);
  });
});

test("what is no matrix, or has indices out of range, is refused before the kernel runs; also after a write", () => {
  const good = toSparse(
    tensor([
      [0, 3],
      [4, 0],
    ]),
  );
  const int = (...values: number[]) => tensor(values, { dtype: "int32" });
  const x = tensor([1, 2]);
  const refused = (part: Partial<SparseMatrix>, error: new (m: string) => Error) =>
    expect(() => sparseLinear(x, { ...good, ...part })).toThrow(error);
  refused({ colIndices: int(0, 2) }, ArgumentError);
  refused({ colIndices: int(0, -1) }, ArgumentError);
  refused({ crowIndices: int(0, 2, 1) }, ArgumentError);
  refused({ crowIndices: int(1, 1, 2) }, ArgumentError);
  refused({ crowIndices: int(0, 2) }, ShapeError);
  refused({ crowIndices: tensor([0, 1, 2]) }, DTypeError);
  refused({ values: tensor([1]) }, ShapeError);
  refused({ values: tensor([1, 2], { dtype: "float64" }) }, DTypeError);
  refused({ size: [2, 1] }, ArgumentError);
  expect(() => sparseLinear(tensor([1, 2, 3]), good)).toThrow(ShapeError);
  expect(() => toSparse(int(1))).toThrow(DTypeError);
  expect(() => toSparse(x)).toThrow(ShapeError);
  expect(sparseLinear(x, good).toArray()).toEqual([6, 4]);
  assign(good.colIndices, [0, 7]);
  expect(() => sparseLinear(x, good)).toThrow("sparseLinear: expected colIndices in [0, 1], got 7");
});
