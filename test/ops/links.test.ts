import { describe, expect, test } from "vitest";
import { gradients } from "../../src/autodiff/sweep.ts";
import { DTypeError, ShapeError } from "../../src/base/errors.ts";
import { linkedRows, linkStep } from "../../src/ops/links.ts";
import { transpose } from "../../src/ops/shape.ts";
import { zeros } from "../../src/tensor/create.ts";
import { requireGrad, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { checkGrads } from "../../src/transforms/check-grads.ts";
import { expectClose, FLOATS, noise } from "../kernels/memory.ts";

describe.each(FLOATS)("links after a write, %s", (dtype) => {
  const tolerance = dtype === "float64" ? 1e-13 : 1e-5;

  test("rows written one after the other are linked", () => {
    const hot = (i: number) => tensor([[0, 1, 2].map((j) => Number(i === j))], { dtype });
    let links = zeros([1, 3, 3], dtype);
    for (const [row, before] of [
      [0, 2],
      [1, 0],
    ] as const)
      links = linkStep(links, hot(row), hot(before));
    // Row 0 after row 2, row 1 after row 0.
    expect(links.toArray()).toEqual([
      [
        [0, 0, 1],
        [1, 0, 0],
        [0, 0, 0],
      ],
    ]);
    // A row that is written anew forgets what it was linked with.
    expect(linkStep(links, hot(0), hot(1)).toArray()).toEqual([
      [
        [0, 1, 0],
        [0, 0, 0],
        [0, 0, 0],
      ],
    ]);
  });

  test.each([1, 2, 3, 4, 5, 8, 11])("%i rows by definition, and the gradients by it", (n) => {
    const B = 2;
    const numbers = (size: number, seed: number) => Array.from(noise(dtype, size, seed), Number);
    const [L, W, P, G] = [numbers(B * n * n, 1), numbers(B * n, 2), numbers(B * n, 3), numbers(B * n * n, 4)];
    const inputs = [tensor(L, { shape: [B, n, n], dtype }), tensor(W, { shape: [B, n], dtype }), tensor(P, { shape: [B, n], dtype })];
    const [links, w, p] = inputs.map((x) => requireGrad(x)) as [Tensor, Tensor, Tensor];
    const y = linkStep(links, w, p);
    const next = new Array<number>(B * n * n).fill(0);
    const slopes = [next.slice(), new Array<number>(B * n).fill(0), new Array<number>(B * n).fill(0)] as [number[], number[], number[]];
    for (let b = 0; b < B; b++)
      for (let i = 0; i < n; i++)
        for (let j = 0; j < n; j++) {
          if (i === j) continue;
          const [ij, bi, bj] = [(b * n + i) * n + j, b * n + i, b * n + j] as const;
          const [old, wi, wj, pj, g] = [L[ij], W[bi], W[bj], P[bj], G[ij]] as [number, number, number, number, number];
          next[ij] = (1 - wi - wj) * old + wi * pj;
          slopes[0][ij] = g * (1 - wi - wj);
          slopes[1][bi] = (slopes[1][bi] as number) + g * (pj - old);
          slopes[1][bj] = (slopes[1][bj] as number) - g * old;
          slopes[2][bj] = (slopes[2][bj] as number) + g * wi;
        }
    expectClose(y.data(), next, () => tolerance);
    const found = gradients([y], [links, w, p], [tensor(G, { shape: [B, n, n], dtype })]);
    for (const [k, slope] of slopes.entries()) expectClose(found[k]?.data() as Float64Array, slope, () => tolerance);
  });

  test("a slope of the diagonal is nobody's, whatever it is", () => {
    const links = tensor(
      [
        [
          [0, 1],
          [1, 0],
        ],
      ],
      { dtype },
    );
    const g = tensor(
      [
        [
          [NaN, 1],
          [1, Infinity],
        ],
      ],
      { dtype },
    );
    const w = requireGrad(tensor([[0.5, 0.25]], { dtype }));
    expect(gradients([linkStep(links, w, zeros([1, 2], dtype))], [w], [g])[0]?.toArray()).toEqual([[-2, -2]]);
  });

  test("strided inputs, and none", () => {
    const links = tensor(
      [
        [
          [0, 1],
          [0.5, 0],
        ],
      ],
      { dtype },
    );
    const w = tensor([[0.5, 0.25]], { dtype });
    expect(linkStep(transpose(links), w, w).toArray()).toEqual([
      [
        [0, 0.25 * 0.5 + 0.5 * 0.25],
        [0.25 + 0.25 * 0.5, 0],
      ],
    ]);
    expect(linkStep(zeros([0, 2, 2], dtype), zeros([0, 2], dtype), zeros([0, 2], dtype)).shape).toEqual([0, 2, 2]);
  });
});

test("derivatives in both modes, once and twice", () => {
  const random = (shape: number[], seed: number) =>
    tensor(
      noise(
        "float64",
        shape.reduce((a, b) => a * b),
        seed,
      ),
      { shape, dtype: "float64" },
    );
  const inputs = [random([2, 5, 5], 1), random([2, 5], 2), random([2, 5], 3)];
  checkGrads((l, w, p) => linkStep(l as Tensor, w as Tensor, p as Tensor), inputs, { order: 2, tolerance: 1e-6 });
});

test("other shapes and dtypes are refused", () => {
  expect(() => linkStep(zeros([1, 3, 2]), zeros([1, 3]), zeros([1, 3]))).toThrow(ShapeError);
  expect(() => linkStep(zeros([1, 3, 3]), zeros([1, 3]), zeros([3]))).toThrow(ShapeError);
  expect(() => linkStep(zeros([1, 3, 3]), zeros([1, 3], "float64"), zeros([1, 3]))).toThrow(DTypeError);
});

describe.each(FLOATS)("rows of sparse links, %s", (dtype) => {
  const of = (values: number[], ...shape: number[]) => tensor(values, { shape, dtype });

  test("the strongest stay in their places, new ones take those of the weakest", () => {
    // Row 0 is linked to 1 and 2, row 1 to 0, row 2 to nothing; a row itself is a free place.
    const rows = of([1, 2, 0, 1, 2, 2], 1, 3, 2);
    const links = of([0.1, 0.6, 0.5, 0, 0, 0], 1, 3, 2);
    // Row 0 is written after row 1, which is stronger than what it had; nothing else changes.
    expect(linkedRows(rows, links, of([0.5, 0, 0], 1, 3), of([0, 0.9, 0], 1, 3)).toArray()).toEqual([[[1, 2], [0, 1], [2, 2]]]);
    // Row 2 is written after rows 0 and 1, which come in order.
    expect(linkedRows(rows, links, of([0, 0, 1], 1, 3), of([0.3, 0.4, 0.2], 1, 3)).toArray()).toEqual([[[1, 2], [0, 1], [0, 1]]]);
    // One place: the stronger of two.
    expect(linkedRows(of([0, 1, 2], 1, 3, 1), zeros([1, 3, 1], dtype), of([0, 0, 1], 1, 3), of([0.3, 0.4, 0.2], 1, 3)).toArray()).toEqual([[[0], [1], [1]]]);
  }); // biome-ignore format: rows

  test("what is no row, and what is no number, reads nothing beyond the memory", () => {
    const rows = of([NaN, -1, 1e30, 7, Infinity, 0.5], 1, 3, 2);
    const next = linkedRows(rows, of([NaN, 1, 1, 1, 1, 1], 1, 3, 2), of([NaN, 1, 1], 1, 3), of([NaN, 1, Infinity], 1, 3));
    expect([...next.data()].every((row) => row >= 0 && row < 3)).toBe(true);
    expect(linkedRows(zeros([0, 3, 2], dtype), zeros([0, 3, 2], dtype), zeros([0, 3], dtype), zeros([0, 3], dtype)).shape).toEqual([
      0, 3, 2,
    ]);
  });

  test("other shapes are refused", () => {
    const [lists, vectors] = [zeros([1, 3, 2], dtype), zeros([1, 3], dtype)];
    expect(() => linkedRows(lists, zeros([1, 3, 1], dtype), vectors, vectors)).toThrow(ShapeError);
    expect(() => linkedRows(lists, lists, vectors, zeros([1, 2], dtype))).toThrow(ShapeError);
    expect(() => linkedRows(lists, lists, vectors, zeros([1, 3], "int32"))).toThrow(DTypeError);
  });
});
