import { describe, expect, test } from "vitest";
import { arrayOf, type DType, type TypedArray } from "../../src/base/dtype.ts";
import { copyInto } from "../../src/tensor/strided.ts";
import { empty, Tensor } from "../../src/tensor/tensor.ts";
import { view } from "../../src/wasm/host.ts";

const DTYPES: readonly DType[] = ["float32", "float64", "int32", "bool"];
const CANARY = 77;

/** A block of memory with a canary everywhere. */
function block(n: number, dtype: DType): Tensor {
  const t = empty([n], dtype);
  view(dtype, t.ptr, n).fill(CANARY);
  return t;
}

/** A block whose element i is i mod 97. */
function counting(n: number, dtype: DType): Tensor {
  const t = empty([n], dtype);
  const values = view(dtype, t.ptr, n);
  for (let i = 0; i < n; i++) values[i] = i % 97;
  return t;
}

interface Layout {
  readonly strides: readonly number[];
  readonly offset: number;
}

/** The same copy, element by element. */
function oracle(shape: readonly number[], source: TypedArray, from: Layout, target: TypedArray, to: Layout): void {
  const size = shape.reduce((a, b) => a * b, 1);
  for (let e = 0; e < size; e++) {
    let rest = e;
    let s = from.offset;
    let t = to.offset;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const i = rest % (shape[axis] as number);
      rest = (rest - i) / (shape[axis] as number);
      s += i * (from.strides[axis] as number);
      t += i * (to.strides[axis] as number);
    }
    target[t] = source[s] as number;
  }
}

function check(dtype: DType, shape: readonly number[], from: Layout, to: Layout, elements = 4096): void {
  const source = counting(elements, dtype);
  const target = block(elements, dtype);
  const expected = arrayOf(dtype, elements).fill(CANARY);
  oracle(shape, source.data(), from, expected, to);
  copyInto(
    new Tensor(target.storage, dtype, shape, to.strides, to.offset),
    new Tensor(source.storage, dtype, shape, from.strides, from.offset),
  );
  const got = target.data();
  expect(got.findIndex((value, i) => value !== expected[i])).toBe(-1);
}

const rowMajor = (shape: readonly number[]): number[] => shape.map((_, i) => shape.slice(i + 1).reduce((a, b) => a * b, 1));

describe.each(DTYPES)("copyStrided %s", (dtype) => {
  test.each([0, 1, 3, 4, 5, 11, 63, 64, 65, 131, 1000])("a row of %i elements, at offsets that are not aligned", (n) => {
    check(dtype, [n], { strides: [1], offset: 3 }, { strides: [1], offset: 5 });
    check(dtype, [n], { strides: [3], offset: 3 }, { strides: [1], offset: 5 });
    check(dtype, [n], { strides: [1], offset: 3 }, { strides: [4], offset: 5 });
    check(dtype, [n], { strides: [0], offset: 3 }, { strides: [1], offset: 5 });
    check(dtype, [n], { strides: [-2], offset: 4000 }, { strides: [1], offset: 5 });
  });

  const sizes = [0, 1, 3, 4, 5, 11, 31, 32, 33, 67];
  test.each(sizes)("%i rows transposed, of any length", (rows) => {
    for (const columns of sizes) {
      check(dtype, [rows, columns], { strides: [1, rows], offset: 2 }, { strides: [columns, 1], offset: 1 }, 5000);
      check(dtype, [rows, columns], { strides: [1, rows + 3], offset: 2 }, { strides: [columns + 2, 1], offset: 1 }, 5000);
    }
  });

  const shape = [3, 1, 5, 4, 7];
  test.each([
    ["a smaller box of a larger one", { strides: [540, 180, 36, 9, 1], offset: 11 }],
    ["axes in reverse", { strides: [1, 3, 3, 15, 60], offset: 2 }],
    ["source rows in the middle", { strides: [140, 9, 28, 1, 4], offset: 0 }],
    ["broadcast axes", { strides: [0, 0, 1, 0, 5], offset: 9 }],
  ])("five axes: %s", (_, from) => {
    check(dtype, shape, from, { strides: rowMajor(shape), offset: 3 });
    check(dtype, shape, from, { strides: [1200, 1, 240, 50, 7], offset: 3 });
  });

  test("seven axes, none of which merge", () => {
    const shape = [2, 3, 2, 2, 3, 2, 3];
    check(dtype, shape, { strides: [1, 2, 6, 12, 24, 72, 144], offset: 0 }, { strides: rowMajor(shape), offset: 1 });
  });
});

test("the bits of a NaN and of a negative zero are copied", () => {
  const source = empty([40], "int32");
  const bits = view("int32", source.ptr, 40);
  for (let i = 0; i < 40; i++) bits[i] = i % 2 === 0 ? 0x7fa00001 + i : -(2 ** 31);
  const target = empty([5, 8], "float32");
  copyInto(target, new Tensor(source.storage, "float32", [5, 8], [1, 5]));
  const copied = view("int32", target.ptr, 40);
  const original = view("int32", source.ptr, 40);
  for (let i = 0; i < 5; i++) for (let j = 0; j < 8; j++) expect(copied[i * 8 + j]).toBe(original[i + 5 * j]);
});
