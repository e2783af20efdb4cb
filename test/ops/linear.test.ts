import { describe, expect, test } from "vitest";
import { backward } from "../../src/autodiff/backward.ts";
import type { DType } from "../../src/base/dtype.ts";
import { ArgumentError, DTypeError, ShapeError } from "../../src/base/errors.ts";
import { broadcastTo, sum } from "../../src/ops/broadcast.ts";
import * as ops from "../../src/ops/index.ts";
import { select, transpose } from "../../src/ops/shape.ts";
import { ones } from "../../src/tensor/create.ts";
import { sizeOf, stridesOf } from "../../src/tensor/shape.ts";
import { assign, requireGrad, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { checkGrads } from "../../src/transforms/check-grads.ts";
import { elements, type Grid, stridedOf, tensorOf } from "./grid.ts";

/** Values between -1 and 1 by coordinates, different for every operand. */
function waves(shape: readonly number[], number: number): Grid {
  const strides = stridesOf(shape);
  return { shape, at: (...index) => Math.sin(1 + 7 * number + 1.7 * index.reduce((e, i, axis) => e + i * (strides[axis] as number), 0)) };
}

/** Sum of products by index letters, in plain loops over the values of all letters; axes of one broadcast. */
function products(equation: string, ...operands: Grid[]): Grid {
  const [inputs, output = ""] = equation.split("->") as [string, string];
  const terms = inputs.split(",");
  const letters = [...new Set([...output, ...inputs.replaceAll(",", "")])];
  const sizeOfLetter = (l: string) =>
    Math.max(...terms.flatMap((t, o) => [...t].flatMap((x, i) => (x === l ? [operands[o]?.shape[i] ?? 0] : []))));
  const sizes = letters.map((l) =>
    terms.some((t, o) => [...t].some((x, i) => x === l && operands[o]?.shape[i] === 0)) ? 0 : sizeOfLetter(l),
  );
  const shape = sizes.slice(0, output.length);
  const inner = sizes.slice(output.length);
  const strides = stridesOf(inner);
  const at = (...index: number[]) => {
    let total = 0;
    for (let e = 0; e < sizeOf(inner); e++) {
      const values = [...index, ...inner.map((n, i) => Math.floor(e / (strides[i] as number)) % n)];
      const factor = (t: string, o: number) => {
        const { shape: s, at: value } = operands[o] as Grid;
        return value(...[...t].map((l, i) => (s[i] === 1 ? 0 : (values[letters.indexOf(l)] as number))));
      };
      total += terms.reduce((product, t, o) => product * factor(t, o), 1);
    }
    return total;
  };
  return { shape, at };
}

const plus = (a: Grid, b: Grid): Grid => ({
  shape: a.shape,
  at: (...i) => a.at(...i) + b.at(...b.shape.map((n, axis) => (n === 1 ? 0 : (i[axis + a.shape.length - b.shape.length] as number)))),
});

interface Row {
  readonly name: string;
  readonly shapes: readonly (readonly number[])[];
  readonly fn: (...xs: Tensor[]) => Tensor;
  readonly expected: (...xs: Grid[]) => Grid;
}

/** A row whose value is a sum of products of its inputs. */
const row = (name: string, equation: string, shapes: Row["shapes"], fn: Row["fn"]): Row => ({
  name,
  shapes,
  fn,
  expected: (...xs) => products(equation, ...xs),
});
const einsumRow = (equation: string, shapes: Row["shapes"], spelled = equation): Row =>
  row(`einsum ${equation}`, spelled, shapes, (...xs) => ops.einsum(equation, ...xs));

const rows: readonly Row[] = [
  row("matmul, vector·vector", "i,i->", [[5], [5]], ops.matmul),
  row("matmul, vector·matrix", "i,ij->j", [[5], [5, 3]], ops.matmul),
  row("matmul, matrix·vector", "ij,j->i", [[3, 5], [5]], ops.matmul),
  row(
    "matmul, matrix·matrix",
    "ij,jk->ik",
    [
      [3, 5],
      [5, 9],
    ],
    ops.matmul,
  ),
  row("matmul, vector·batch", "i,bij->bj", [[5], [2, 5, 3]], ops.matmul),
  row("matmul, batch·vector", "bij,j->bi", [[2, 3, 5], [5]], ops.matmul),
  row(
    "matmul, batch·matrix",
    "bij,jk->bik",
    [
      [2, 3, 5],
      [5, 4],
    ],
    ops.matmul,
  ),
  row(
    "matmul, matrix·batch",
    "ij,bjk->bik",
    [
      [3, 5],
      [2, 5, 4],
    ],
    ops.matmul,
  ),
  row(
    "matmul, batch·batch",
    "bij,bjk->bik",
    [
      [2, 3, 5],
      [2, 5, 4],
    ],
    ops.matmul,
  ),
  row(
    "matmul, broadcast batches",
    "abij,abjk->abik",
    [
      [2, 1, 3, 5],
      [1, 3, 5, 2],
    ],
    ops.matmul,
  ),
  row(
    "matmul, batches of different rank",
    "abij,bjk->abik",
    [
      [2, 3, 2, 4],
      [3, 4, 2],
    ],
    ops.matmul,
  ),
  row(
    "matmul, three batch axes that do not merge",
    "abcij,abcjk->abcik",
    [
      [2, 2, 3, 2, 3],
      [2, 1, 3, 3, 2],
    ],
    ops.matmul,
  ),
  row(
    "matmul, transposed views",
    "ji,kj->ik",
    [
      [5, 3],
      [4, 5],
    ],
    (a, b) => ops.matmul(transpose(a), transpose(b)),
  ),
  row("matmul, an operand repeated by stride 0", "j,jk->k", [[5], [5, 4]], (a, b) => select(ops.matmul(broadcastTo(a, [3, 5]), b), 0, 1)),
  row(
    "matmul, no rows",
    "ij,jk->ik",
    [
      [0, 5],
      [5, 4],
    ],
    ops.matmul,
  ),
  row(
    "matmul, nothing to sum",
    "ij,jk->ik",
    [
      [3, 0],
      [0, 4],
    ],
    ops.matmul,
  ),
  row(
    "matmul, no batches",
    "bij,bjk->bik",
    [
      [0, 3, 2],
      [0, 2, 4],
    ],
    ops.matmul,
  ),
  row(
    "bmm",
    "bij,bjk->bik",
    [
      [3, 2, 5],
      [3, 5, 4],
    ],
    ops.bmm,
  ),
  row("dot", "i,i->", [[11], [11]], ops.dot),
  row("outer", "i,j->ij", [[4], [3]], ops.outer),
  {
    name: "addmm",
    shapes: [
      [3, 4],
      [3, 5],
      [5, 4],
    ],
    fn: ops.addmm,
    expected: (c, a, b) => plus(products("ij,jk->ik", a as Grid, b as Grid), c as Grid),
  },
  {
    name: "addmm with a row to start from",
    shapes: [[4], [3, 5], [5, 4]],
    fn: ops.addmm,
    expected: (c, a, b) => plus(products("ij,jk->ik", a as Grid, b as Grid), c as Grid),
  },
  {
    name: "addmm with a column to start from",
    shapes: [
      [3, 1],
      [3, 0],
      [0, 4],
    ],
    fn: ops.addmm,
    expected: (c, a, b) => plus(products("ij,jk->ik", a as Grid, b as Grid), c as Grid),
  },
  row(
    "linear without bias",
    "ri,oi->ro",
    [
      [3, 5],
      [4, 5],
    ],
    ops.linear,
  ),
  ...([[], [1], [7], [2, 3], [0, 3], [2, 1, 3]] as const).map((lead): Row => {
    const letters = "abc".slice(0, lead.length);
    return {
      name: `linear on [${[...lead, 5].join(",")}]`,
      shapes: [[...lead, 5], [9, 5], [9]],
      fn: ops.linear,
      expected: (x, w, b) => plus(products(`${letters}i,oi->${letters}o`, x as Grid, w as Grid), b as Grid),
    };
  }),
  row(
    "linear of a transposed batch",
    "tbi,oi->bto",
    [
      [3, 2, 5],
      [4, 5],
    ],
    (x, w) => ops.linear(transpose(x, 0, 1), w),
  ),
  row(
    "bilinear without bias",
    "ri,oij,rj->ro",
    [
      [3, 2],
      [5, 2, 4],
      [3, 4],
    ],
    (x1, w, x2) => ops.bilinear(x1, x2, w),
  ),
  {
    name: "bilinear",
    shapes: [[2, 3, 2], [2, 3, 4], [5, 2, 4], [5]],
    fn: ops.bilinear,
    expected: (x1, x2, w, b) => plus(products("abi,abj,oij->abo", x1 as Grid, x2 as Grid, w as Grid), b as Grid),
  },
  {
    name: "bilinear of single vectors",
    shapes: [[2], [4], [3, 2, 4], [3]],
    fn: ops.bilinear,
    expected: (x1, x2, w, b) => plus(products("i,j,oij->o", x1 as Grid, x2 as Grid, w as Grid), b as Grid),
  },
  einsumRow("ij,jk->ik", [
    [3, 4],
    [4, 2],
  ]),
  einsumRow(
    "ij,jk",
    [
      [3, 4],
      [4, 2],
    ],
    "ij,jk->ik",
  ),
  einsumRow(
    "ba,cb",
    [
      [3, 4],
      [2, 3],
    ],
    "ba,cb->ac",
  ),
  einsumRow("bij,bjk->ikb", [
    [2, 3, 4],
    [2, 4, 2],
  ]),
  einsumRow("bhqd,bhkd->bhqk", [
    [2, 2, 3, 4],
    [2, 2, 5, 4],
  ]),
  einsumRow("i,j->ji", [[3], [4]]),
  einsumRow("ij,ij->", [
    [3, 4],
    [3, 4],
  ]),
  einsumRow("ij,ij->ij", [
    [3, 4],
    [3, 4],
  ]),
  einsumRow("ij,kl->jl", [
    [3, 2],
    [2, 4],
  ]),
  einsumRow("ij->ji", [[3, 4]]),
  einsumRow("ij->", [[3, 4]]),
  einsumRow("ii", [[4, 4]], "ii->"),
  einsumRow("ii->i", [[4, 4]]),
  einsumRow("iji,jk->ik", [
    [3, 2, 3],
    [2, 4],
  ]),
  einsumRow("iii->i", [[3, 3, 3]]),
  einsumRow("ij,jk,kl->il", [
    [2, 3],
    [3, 4],
    [4, 2],
  ]),
  einsumRow("bn,anm,bm->ba", [
    [2, 3],
    [4, 3, 2],
    [2, 2],
  ]),
  einsumRow("i,i,i->i", [[4], [4], [4]]),
  einsumRow(
    "...ij,...jk->...ik",
    [
      [2, 3, 4],
      [2, 4, 2],
    ],
    "bij,bjk->bik",
  ),
  einsumRow(
    "...ij,jk",
    [
      [2, 2, 3, 4],
      [4, 2],
    ],
    "abij,jk->abik",
  ),
  einsumRow("...i,i", [[2, 3, 4], [4]], "abi,i->ab"),
  einsumRow(
    "...i,...i->...",
    [
      [2, 1, 4],
      [3, 4],
    ],
    "abi,bi->ab",
  ),
  einsumRow("ij,jk->ik", [
    [3, 1],
    [4, 2],
  ]),
  einsumRow("ij,jk->ik", [
    [3, 0],
    [0, 2],
  ]),
];

/** Every element within a bound of the plain loops' value; the sums of the rows above are short. */
function expectClose(got: Tensor, want: Grid, tolerance: number): void {
  expect(got.shape).toEqual(want.shape);
  const values = got.data();
  for (const [e, expected] of elements(want).entries()) {
    if (!(Math.abs((values[e] as number) - expected) <= tolerance)) throw new Error(`element ${e}: expected ${expected}, got ${values[e]}`);
  }
}

const TOLERANCE: Readonly<Record<string, number>> = { float32: 4e-6, float64: 1e-14 };

describe.each(rows)("$name", ({ shapes, fn, expected }) => {
  const grids = shapes.map((shape, number) => waves(shape, number));
  const want = expected(...grids);

  test.each(["float32", "float64"] as DType[])("values, %s", (dtype) => {
    expectClose(fn(...grids.map((g) => tensorOf(g, dtype))), want, TOLERANCE[dtype] as number);
    expectClose(fn(...grids.map((g) => stridedOf(g, dtype))), want, TOLERANCE[dtype] as number);
  });

  test("derivatives", () => {
    checkGrads(
      fn,
      grids.map((g) => tensorOf(g)),
      { order: 2 },
    );
  });

  test("derivatives of strided inputs", () => {
    checkGrads(
      fn,
      grids.map((g) => stridedOf(g)),
    );
  });
});

describe("linear", () => {
  const size = { rows: 33, inputs: 65, outputs: 43 };
  const x = tensorOf(waves([size.rows, size.inputs], 0), "float32");
  const w = tensorOf(waves([size.outputs, size.inputs], 1), "float32");
  const b = tensorOf(waves([size.outputs], 2), "float32");

  test("gives a row the same bits alone and in a batch", () => {
    const all = ops.linear(x, w, b).data();
    for (const i of [0, 7, 32]) {
      const alone = ops.linear(select(x, 0, i), w, b).data();
      expect([...alone]).toEqual([...all.subarray(i * size.outputs, (i + 1) * size.outputs)]);
    }
  });

  test("gives the bits of addmm with the bias as its start", () => {
    expect([...ops.linear(x, w, b).data()]).toEqual([...ops.addmm(b, x, transpose(w)).data()]);
  });

  test("a weight used twice gets both gradients", () => {
    const weight = requireGrad(tensor([[2]]));
    const input = tensor([[3]]);
    backward(sum(ops.linear(ops.linear(input, weight), weight)));
    expect(weight.grad?.item()).toBe(12);
  });

  test("does not depend on what the memory held before", () => {
    for (let i = 0; i < 4; i++) assign(ops.linear(x, w), new Array<number>(size.rows * size.outputs).fill(Number.NaN));
    expect(ops.linear(x, w).data().every(Number.isFinite)).toBe(true);
  });
});

describe("errors", () => {
  const a = ones([2, 3]);
  const cases: readonly [string, () => Tensor, new (message: string) => Error, RegExp][] = [
    ["inner sizes", () => ops.matmul(a, ones([4, 2])), ShapeError, /matmul: expected equal inner sizes, got a \[2,3\], b \[4,2\]/],
    ["a scalar", () => ops.matmul(a, ones([])), ShapeError, /matmul/],
    ["batches", () => ops.matmul(ones([2, 3, 4]), ones([3, 4, 2])), ShapeError, /matmul: expected shapes that broadcast/],
    ["dtypes", () => ops.matmul(a, ones([3, 2], "float64")), DTypeError, /matmul: .* got a float32, b float64/],
    ["integers", () => ops.linear(ones([2, 3], "int32"), ones([2, 3], "int32")), DTypeError, /linear/],
    ["a bias of another size", () => ops.linear(a, ones([4, 3]), ones([3])), ShapeError, /linear: expected .* bias \[3\]/],
    ["a weight of another width", () => ops.linear(a, ones([3, 2])), ShapeError, /linear/],
    ["bmm of matrices", () => ops.bmm(a, a), ShapeError, /bmm/],
    ["dot of unequal vectors", () => ops.dot(ones([2]), ones([3])), ShapeError, /dot/],
    ["outer of a matrix", () => ops.outer(a, ones([3])), ShapeError, /outer/],
    ["a start that does not broadcast", () => ops.addmm(ones([3, 2]), a, ones([3, 2])), ShapeError, /addmm/],
    ["bilinear with other leading axes", () => ops.bilinear(ones([2, 3]), ones([3, 4]), ones([5, 3, 4])), ShapeError, /bilinear/],
    ["einsum, too few operands", () => ops.einsum("ij,jk->ik", a), ArgumentError, /einsum/],
    ["einsum, a digit", () => ops.einsum("i1->i", a), ArgumentError, /einsum/],
    ["einsum, two arrows", () => ops.einsum("ij->i->j", a), ArgumentError, /einsum/],
    ["einsum, an unknown output", () => ops.einsum("ij->ik", a), ArgumentError, /einsum/],
    ["einsum, an output twice", () => ops.einsum("ij->ii", a), ArgumentError, /einsum/],
    ["einsum, another rank", () => ops.einsum("ijk->i", a), ShapeError, /einsum/],
    ["einsum, sizes", () => ops.einsum("ij,jk->ik", a, ones([4, 2])), ShapeError, /einsum: expected one size for "j"/],
    ["einsum, a diagonal of a rectangle", () => ops.einsum("ii->i", a), ShapeError, /einsum/],
  ];
  test.each(cases)("%s", (_name, fn, type, message) => {
    expect(fn).toThrow(type);
    expect(fn).toThrow(message);
  });
});
