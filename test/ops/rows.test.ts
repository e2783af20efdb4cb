import { describe, expect, test } from "vitest";
import { gradients } from "../../src/autodiff/sweep.ts";
import { DTypeError, ShapeError } from "../../src/base/errors.ts";
import { writeRows } from "../../src/ops/rows.ts";
import { transpose } from "../../src/ops/shape.ts";
import { zeros } from "../../src/tensor/create.ts";
import { requireGrad, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { expectClose, FLOATS, noise } from "../kernels/memory.ts";

type Sizes = readonly [B: number, K: number, N: number, W: number];

/** Values and gradients by the definition, element by element. */
function byDefinition([B, K, N, W]: Sizes, numbers: readonly (readonly number[])[]) {
  const [M, w, e, a, g] = numbers.map((list) => (i: number) => list[i] as number) as [At, At, At, At, At];
  const [y, dM, dw, de, da] = [B * N * W, B * N * W, B * K * N, B * K * W, B * K * W].map((n) => new Array<number>(n).fill(0)) as Lists;
  const add = (list: number[], i: number, v: number) => {
    list[i] = (list[i] as number) + v;
  };
  for (let i = 0; i < B * N * W; i++) {
    const [b, n, j] = [Math.floor(i / (N * W)), Math.floor(i / W) % N, i % W];
    const heads = Array.from({ length: K }, (_, k) => [(b * K + k) * N + n, (b * K + k) * W + j] as const);
    const rest = (but: number) => heads.reduce((p, [row, word], k) => (k === but ? p : p * (1 - w(row) * e(word))), 1);
    add(y, i, M(i) * rest(-1) + heads.reduce((sum, [row, word]) => sum + w(row) * a(word), 0));
    add(dM, i, g(i) * rest(-1));
    for (const [k, [row, word]] of heads.entries()) {
      const lost = g(i) * M(i) * rest(k);
      add(dw, row, g(i) * a(word) - lost * e(word));
      add(de, word, -lost * w(row));
      add(da, word, g(i) * w(row));
    }
  }
  return { y, slopes: [dM, dw, de, da] };
}

type At = (i: number) => number;
type Lists = [number[], number[], number[], number[], number[]];

describe.each(FLOATS)("writing to rows, %s", (dtype) => {
  const tolerance = dtype === "float64" ? 1e-13 : 1e-5;

  test("as worked by hand: all erase, then all add", () => {
    const memory = tensor(
      [
        [
          [1, 2],
          [3, 4],
        ],
      ],
      { dtype },
    );
    const w = tensor(
      [
        [
          [1, 0],
          [0.5, 1],
        ],
      ],
      { dtype },
    );
    const erase = tensor(
      [
        [
          [1, 0],
          [0.5, 1],
        ],
      ],
      { dtype },
    );
    const added = tensor(
      [
        [
          [10, 20],
          [30, 40],
        ],
      ],
      { dtype },
    );
    expect(writeRows(memory, w, erase, added).toArray()).toEqual([
      [
        [25, 41],
        [31.5, 40],
      ],
    ]);
  });

  test.each([
    [1, 1, 1, 1],
    [2, 1, 3, 5],
    [1, 2, 5, 4],
    [2, 3, 2, 7],
    [1, 1, 8, 20],
  ])("batch %i, %i heads, %i rows of %i by definition, and the gradients by it", (B, K, N, W) => {
    const shapes = [
      [B, N, W],
      [B, K, N],
      [B, K, W],
      [B, K, W],
      [B, N, W],
    ];
    const numbers = shapes.map((shape, i) =>
      Array.from(
        noise(
          dtype,
          shape.reduce((p, n) => p * n),
          i + 1,
        ),
        Number,
      ),
    );
    const [g, ...inputs] = [4, 0, 1, 2, 3].map((i) => requireGrad(tensor(numbers[i] as number[], { shape: shapes[i] as number[], dtype })));
    const y = writeRows(...(inputs as [Tensor, Tensor, Tensor, Tensor]));
    const want = byDefinition([B, K, N, W], numbers);
    expectClose(y.data(), want.y, () => tolerance);
    const found = gradients([y], inputs, [g as Tensor]);
    for (const [i, slope] of want.slopes.entries()) expectClose(found[i]?.data() as Float64Array, slope, () => tolerance);
  });

  test("strided inputs, and none", () => {
    const memory = tensor(
      [
        [
          [1, 2],
          [3, 4],
        ],
      ],
      { dtype },
    );
    const [w, none, added] = [[[0, 1]], [[0, 0]], [[5, 6]]].map((x) => tensor([x], { dtype })) as [Tensor, Tensor, Tensor];
    expect(writeRows(transpose(memory), w, none, added).toArray()).toEqual([
      [
        [1, 3],
        [7, 10],
      ],
    ]);
    expect(writeRows(zeros([0, 3, 2], dtype), zeros([0, 1, 3], dtype), zeros([0, 1, 2], dtype), zeros([0, 1, 2], dtype)).shape).toEqual([
      0, 3, 2,
    ]);
  });
});

test("other shapes and dtypes are refused", () => {
  const [M, w, v] = [zeros([1, 3, 2]), zeros([1, 1, 3]), zeros([1, 1, 2])];
  expect(() => writeRows(M, zeros([1, 3]), v, v)).toThrow(ShapeError);
  expect(() => writeRows(M, zeros([1, 1, 2]), v, v)).toThrow(ShapeError);
  expect(() => writeRows(M, w, v, zeros([1, 1, 3]))).toThrow(ShapeError);
  expect(() => writeRows(M, w, v, zeros([1, 1, 2], "float64"))).toThrow(DTypeError);
});
