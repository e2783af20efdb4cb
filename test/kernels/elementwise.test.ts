import { describe, expect, test } from "vitest";
import type { DType } from "../../src/base/dtype.ts";
import { DTypeError } from "../../src/base/errors.ts";
import { codeFor, compute } from "../../src/ops/elementwise.ts";
import { empty, Tensor, tensor } from "../../src/tensor/tensor.ts";
import * as code from "../../src/wasm/codes.gen.ts";
import { call, view } from "../../src/wasm/host.ts";
import { convert, elementwise, maskLogic } from "../../src/wasm/kernels.gen.ts";
import { elements, type Grid, stridedOf, tensorOf } from "../ops/grid.ts";
import { erf } from "../oracle/erf.ts";
import { epsilonOf, expectClose, FLOATS, noise, place, room, rounding } from "./memory.ts";

/** Around one vector of f32 or f64, and around a block of staged elements. */
const SIZES = [0, 1, 2, 3, 4, 5, 7, 8, 9, 11, 127, 128, 129, 131, 259];

type Fn = (a: number, b: number) => number;
const sigmoid: Fn = (x) => 1 / (1 + Math.exp(-x));

/** What cancels inside is measured against the size of its first operand. */
const CANCELS = new Set([code.GELU, code.TANH_GRAD, code.SIGMOID_GRAD]);

/** Operation, plain formula, machine epsilons allowed. */
const FLOAT_ROWS: readonly (readonly [string, number, Fn, number])[] = [
  ["neg", code.NEG, (a) => -a, 0],
  ["abs", code.ABS, Math.abs, 0],
  ["sign", code.SIGN, Math.sign, 0],
  ["square", code.SQUARE, (a) => a * a, 0.5],
  ["sqrt", code.SQRT, Math.sqrt, 0.5],
  ["rsqrt", code.RSQRT, (a) => 1 / Math.sqrt(a), 1.5],
  ["reciprocal", code.RECIPROCAL, (a) => 1 / a, 0.5],
  ["relu", code.RELU, (a) => Math.max(a, 0), 0],
  ["leakyRelu", code.LEAKY_RELU, (a, b) => (a > 0 ? a : a * b), 0.5],
  ["elu", code.ELU, (a, b) => (a > 0 ? a : b * Math.expm1(a)), 3],
  ["softplus", code.SOFTPLUS, (a) => Math.max(a, 0) + Math.log1p(Math.exp(-Math.abs(a))), 2],
  ["silu", code.SILU, (a) => a * sigmoid(a, 0), 3],
  ["gelu", code.GELU, (a) => (a / 2) * (1 + erf(a / Math.SQRT2)), 2],
  ["add", code.ADD, (a, b) => a + b, 0.5],
  ["sub", code.SUB, (a, b) => a - b, 0.5],
  ["mul", code.MUL, (a, b) => a * b, 0.5],
  ["div", code.DIV, (a, b) => a / b, 0.5],
  ["maximum", code.MAXIMUM, Math.max, 0],
  ["minimum", code.MINIMUM, Math.min, 0],
  ["share", code.SHARE, (a, b) => (a < b ? 0 : a === b ? 0.5 : 1), 0],
  ["gate", code.GATE, (a, b) => (b > 0 ? a : 0), 0],
  ["tanhGrad", code.TANH_GRAD, (a, b) => a * (1 - b * b), 1],
  ["sigmoidGrad", code.SIGMOID_GRAD, (a, b) => a * (b * (1 - b)), 1],
]; // biome-ignore format: a table

const COMPARISONS: readonly (readonly [string, number, (a: number, b: number) => boolean])[] = [
  ["equal", code.EQUAL, (a, b) => a === b],
  ["notEqual", code.NOT_EQUAL, (a, b) => a !== b],
  ["less", code.LESS, (a, b) => a < b],
  ["lessEqual", code.LESS_EQUAL, (a, b) => a <= b],
];

const POSITIVE = new Set([code.SQRT, code.RSQRT]);

describe.each(FLOATS)("contiguous, %s", (dtype) => {
  const round = rounding(dtype);

  test.each(FLOAT_ROWS)("%s", (_, op, fn, units) => {
    for (const n of SIZES) {
      const a = noise(dtype, n, 1).map((v) => (POSITIVE.has(op) ? Math.abs(v) : v));
      const b = noise(dtype, n, 2).map((v, i) => (i % 5 === 0 ? (a[i] as number) : v));
      const y = room(dtype, n);
      call(elementwise, dtype, op, place(dtype, a), place(dtype, b), 0, 0, 0, y.ptr, 1, n, 1, 1, 0);
      const want = a.map((v, i) => fn(v, b[i] as number));
      const size = (i: number) => Math.max(Math.abs(want[i] as number), CANCELS.has(op) ? Math.abs(a[i] as number) : 0);
      expectClose(y.read(), want.map(round), (i) => units * epsilonOf(dtype) * size(i));
    }
  });

  test.each([
    ["add", code.ADD],
    ["tanh", code.TANH],
    ["div", code.DIV],
  ] as const)("%s onto its own operand", (_, op) => {
    for (const n of SIZES) {
      const a = noise(dtype, n, 3);
      const b = noise(dtype, n, 4);
      const apart = room(dtype, n);
      const y = room(dtype, n);
      view(dtype, y.ptr, n).set(a);
      const other = place(dtype, b);
      call(elementwise, dtype, op, y.ptr, other, 0, 0, 0, apart.ptr, 1, n, 1, 1, 0);
      call(elementwise, dtype, op, y.ptr, other, 0, 0, 0, y.ptr, 1, n, 1, 1, 0);
      expect(y.read()).toEqual(apart.read());
    }
  });

  test("numbers stand for either operand", () => {
    for (const n of SIZES) {
      const x = noise(dtype, n, 5);
      const left = room(dtype, n);
      const right = room(dtype, n);
      call(elementwise, dtype, code.SUB, 0, place(dtype, x), 0, 2.5, 0, left.ptr, 1, n, 0, 1, 0);
      call(elementwise, dtype, code.SUB, place(dtype, x), 0, 0, 0, 2.5, right.ptr, 1, n, 1, 0, 0);
      expect(left.read()).toEqual(x.map((v) => round(2.5 - v)));
      expect(right.read()).toEqual(x.map((v) => round(v - 2.5)));
    }
  });

  test.each(COMPARISONS)("%s", (_, op, fn) => {
    for (const n of SIZES) {
      const a = noise(dtype, n, 6).map((v, i) => (i % 7 === 3 ? Number.NaN : v));
      const b = noise(dtype, n, 7).map((v, i) => (i % 3 === 0 ? (a[i] as number) : v));
      const y = room("bool", n);
      call(elementwise, dtype, op, place(dtype, a), place(dtype, b), 0, 0, 0, y.ptr, 1, n, 1, 1, 0);
      expect(y.read()).toEqual(a.map((v, i) => Number(fn(v, b[i] as number))));
    }
  });

  test("select", () => {
    for (const n of SIZES) {
      const a = noise(dtype, n, 8);
      const b = noise(dtype, n, 9);
      const c = a.map((_, i) => Number(i % 3 === 1));
      const y = room(dtype, n);
      call(elementwise, dtype, code.SELECT, place(dtype, a), place(dtype, b), place("bool", c), 0, 0, y.ptr, 1, n, 1, 1, 1);
      expect(y.read()).toEqual(a.map((v, i) => (c[i] ? v : (b[i] as number))));
    }
  });

  test("NaN passes through maximum, minimum and relu; signs of zero through sign", () => {
    const x = [Number.NaN, 1, Number.NaN, 0, -0];
    const y = room(dtype, 5);
    for (const op of [code.MAXIMUM, code.MINIMUM]) {
      call(elementwise, dtype, op, place(dtype, x), place(dtype, [1, Number.NaN, Number.NaN, 1, 1]), 0, 0, 0, y.ptr, 1, 5, 1, 1, 0);
      expect(y.read().slice(0, 3)).toEqual([Number.NaN, Number.NaN, Number.NaN]);
    }
    call(elementwise, dtype, code.RELU, place(dtype, x), 0, 0, 0, 0, y.ptr, 1, 5, 1, 0, 0);
    expect(y.read().slice(0, 3)).toEqual([Number.NaN, 1, Number.NaN]);
    call(elementwise, dtype, code.SIGN, place(dtype, x), 0, 0, 0, 0, y.ptr, 1, 5, 1, 0, 0);
    expect(y.read()).toEqual([Number.NaN, 1, Number.NaN, 0, -0]);
  });
});

/** Values that differ by coordinates and tell the operands apart. */
function table(shape: readonly number[], number: number): Grid {
  return { shape, at: (...index) => index.reduce((sum, i, axis) => sum + i * (axis + 1) * 3, number * 100) };
}

/** Where an operand is read for a coordinate of the result. */
function broadcastAt(x: Grid, index: readonly number[]): number {
  const lead = index.length - x.shape.length;
  return x.at(...x.shape.map((d, axis) => (d === 1 ? 0 : (index[lead + axis] as number))));
}

describe("strides", () => {
  const cases: readonly (readonly [readonly number[], readonly number[], readonly number[]])[] = [
    [[3, 5], [3, 5], [5]],
    [[3, 5], [3, 1], [3, 5]],
    [[3, 5], [3, 1], [1, 5]],
    [[2, 3, 260], [3, 260], [2, 1, 260]],
    [[2, 3, 260], [260], [3, 1]],
    [[2, 3, 4, 5], [2, 1, 4, 1], [3, 1, 5]],
    [[2, 2, 2, 2, 3], [2, 1, 2, 1, 3], [2, 2, 1, 1]],
    [[4, 1, 3], [], [4, 1, 3]],
    [[1], [1], [1]],
    [[], [], []],
    [[2, 0, 3], [2, 1, 3], [3]],
  ]; // biome-ignore format: a table

  test.each(cases)("%j = f(%j, %j)", (shape, a, b) => {
    const [left, right] = [table(a, 1), table(b, 2)];
    const want = elements({ shape, at: (...index) => broadcastAt(left, index) - broadcastAt(right, index) });
    for (const dtype of ["float32", "float64", "int32"] as const) {
      for (const layoutA of [tensorOf, stridedOf]) {
        for (const layoutB of [tensorOf, stridedOf]) {
          const y = empty(shape, dtype);
          compute(codeFor("sub", code.SUB, dtype), y, dtype, layoutA(left, dtype), layoutB(right, dtype));
          expect(Array.from(y.data())).toEqual(want);
        }
      }
    }
  });

  test("masks of any strides choose", () => {
    const shape = [3, 4, 150];
    const c: Grid = { shape: [4, 150], at: (i = 0, j = 0) => Number((i + j) % 3 === 0) };
    const a = table([3, 1, 150], 1);
    const want = elements({ shape, at: (...index) => (broadcastAt(c, index) ? broadcastAt(a, index) : -1) });
    for (const layout of [tensorOf, stridedOf]) {
      for (const dtype of ["float32", "float64", "int32"] as const) {
        const y = compute(codeFor("where", code.SELECT, dtype), empty(shape, dtype), dtype, layout(a, dtype), -1, layout(c, "bool"));
        expect(Array.from(y.data())).toEqual(want);
      }
    }
  });

  test("negative strides, and comparison across blocks", () => {
    const n = 300;
    const x = tensor(
      Float32Array.from({ length: n }, (_, i) => i),
      {},
    );
    const backwards = new Tensor(x.storage, "float32", [n], [-1], n - 1);
    const y = compute(code.LESS, empty([n], "bool"), "float32", x, backwards);
    expect(Array.from(y.data())).toEqual(Array.from({ length: n }, (_, i) => Number(i < n - 1 - i)));
  });
});

describe("int32", () => {
  const a = [5, -7, 2 ** 31 - 1, -(2 ** 31), 0, 3, 70000];
  const b = [2, -7, 1, -1, 9, -3, 70000];
  test.each([
    ["add", code.INT_ADD, (x: number, y: number) => (x + y) | 0],
    ["sub", code.INT_SUB, (x: number, y: number) => (x - y) | 0],
    ["mul", code.INT_MUL, Math.imul],
    ["maximum", code.INT_MAXIMUM, Math.max],
    ["minimum", code.INT_MINIMUM, Math.min],
    ["neg", code.INT_NEG, (x: number) => -x | 0],
    ["abs", code.INT_ABS, (x: number) => Math.abs(x) | 0],
    ["square", code.INT_SQUARE, (x: number) => Math.imul(x, x)],
  ] as const)("%s wraps", (_, op, fn) => {
    const y = room("int32", a.length);
    call(elementwise, "int32", op, place("int32", a), place("int32", b), 0, 0, 0, y.ptr, 1, a.length, 1, 1, 0);
    expect(y.read()).toEqual(a.map((x, i) => fn(x, b[i] as number) + 0));
  });

  test.each([
    ["equal", code.INT_EQUAL, (x: number, y: number) => x === y],
    ["notEqual", code.INT_NOT_EQUAL, (x: number, y: number) => x !== y],
    ["less", code.INT_LESS, (x: number, y: number) => x < y],
    ["lessEqual", code.INT_LESS_EQUAL, (x: number, y: number) => x <= y],
  ] as const)("%s, also with a number", (_, op, fn) => {
    const y = room("bool", a.length);
    call(elementwise, "int32", op, place("int32", a), place("int32", b), 0, 0, 0, y.ptr, 1, a.length, 1, 1, 0);
    expect(y.read()).toEqual(a.map((x, i) => Number(fn(x, b[i] as number))));
    call(elementwise, "int32", op, place("int32", a), 0, 0, 0, 3, y.ptr, 1, a.length, 1, 0, 0);
    expect(y.read()).toEqual(a.map((x) => Number(fn(x, 3))));
  });

  test("has no quotients, powers or functions", () => {
    expect(() => codeFor("div", code.DIV, "int32")).toThrow(DTypeError);
    expect(() => codeFor("tanh", code.TANH, "int32")).toThrow("tanh: expected float32 or float64, got int32");
    expect(() => codeFor("add", code.ADD, "bool")).toThrow(DTypeError);
  });
});

describe("masks and conversion", () => {
  test("logic", () => {
    for (const n of [0, 1, 15, 16, 17, 35]) {
      const a = Array.from({ length: n }, (_, i) => Number(i % 2 === 0));
      const b = Array.from({ length: n }, (_, i) => Number(i % 3 === 0));
      const formulas: Fn[] = [(x, y) => x & y, (x, y) => x | y, (x, y) => x ^ y];
      for (const [op, fn] of formulas.entries()) {
        const y = room("bool", n);
        call(maskLogic, "int32", op, n, place("bool", a), place("bool", b), y.ptr);
        expect(y.read()).toEqual(a.map((x, i) => fn(x, b[i] as number)));
      }
    }
  });

  const TYPES: readonly DType[] = ["float32", "float64", "int32", "bool"];
  const formulas: Readonly<Record<DType, (v: number) => number>> = {
    float32: Math.fround,
    float64: (v) => v,
    int32: (v) => (Number.isNaN(v) ? 0 : Math.max(-(2 ** 31), Math.min(2 ** 31 - 1, Math.trunc(v))) + 0),
    bool: (v) => Number(v !== 0),
  };
  const values: Readonly<Record<DType, readonly number[]>> = {
    float32: [0, 1.5, -2.75, 3e9, -3e9, Number.NaN],
    float64: [0, 1.1, -2.75, 3e9, -3e300, Number.NaN],
    int32: [0, 1, -5, 2 ** 31 - 1, 2 ** 24 + 1],
    bool: [0, 1, 1, 0],
  };
  test.each(TYPES.flatMap((from) => TYPES.map((to) => [from, to] as const)))("%s to %s", (from, to) => {
    const source = values[from];
    const y = room(to, source.length);
    call(convert, "int32", TYPES.indexOf(from), TYPES.indexOf(to), source.length, place(from, source), y.ptr);
    const held = from === "float32" ? source.map(Math.fround) : source;
    expect(y.read()).toEqual(held.map(formulas[to]));
  });
});
