/** Every operation that takes a plain number, on tensors of every dtype, against the same in numbers of the host. */

import { describe, expect, test } from "vitest";
import type { DType } from "../../src/base/dtype.ts";
import { DTypeError } from "../../src/base/errors.ts";
import type { Operand } from "../../src/ops/elementwise.ts";
import * as ops from "../../src/ops/index.ts";
import { Tensor, tensor } from "../../src/tensor/tensor.ts";

const ELEMENTS: Readonly<Record<DType, readonly number[]>> = {
  float32: [0, -0, 1, -1.5, Math.fround(0.1), 3, Number.NaN, Number.POSITIVE_INFINITY, -16777216],
  float64: [0, -0, 1, -1.5, 0.1, 3, Number.NaN, Number.NEGATIVE_INFINITY, 2 ** 53],
  int32: [0, 1, -1, 3, -7, 16777217, 2 ** 31 - 1, -(2 ** 31)],
  bool: [0, 1],
};
const NUMBERS = [
  0, -0, 1, 2, 3, -1, -3, 0.5, 1.5, -1.5, 0.1, 16777216.5, 2 ** 31 - 1, -(2 ** 31), 2 ** 31, -(2 ** 31) - 1, 2147483646.5, 1e30, -1e300,
  Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY,
]; // biome-ignore format: a list

const isInt32 = (n: number) => Number.isInteger(n) && n >= -(2 ** 31) && n < 2 ** 31;

/**
 * The dtype of a tensor beside a number: PyTorch's `torch.result_type`, where a number that is not whole is a Python float
 * (int32 and 0.5 give float32, bool and 2 an integer, bool and 0.5 float32, float64 and any number float64). "refused" where
 * PyTorch says "value cannot be converted to type int without overflow".
 */
function promoted(dtype: DType, n: number): DType | "refused" {
  if (dtype === "float32" || dtype === "float64") return dtype;
  if (isInt32(n)) return "int32";
  return Number.isInteger(n) ? "refused" : "float32";
}

/** A number as a dtype holds it. */
const as = (dtype: DType, n: number) => (dtype === "float32" ? Math.fround(n) : dtype === "int32" ? n | 0 : n);

type Formula = (a: number, b: number) => number;

/** C's pow, which differs from the host's at 1 and -1. */
const power: Formula = (a, b) => (a === 1 || b === 0 || (a === -1 && Math.abs(b) === Number.POSITIVE_INFINITY) ? 1 : a ** b);
/** A tensor's power by a number: as in PyTorch, those by 0.5 and -0.5 are roots, which differ from C's pow at -0 and -∞. */
const powerBy: Formula = (a, b) => (b === 0.5 ? Math.sqrt(a) : b === -0.5 ? 1 / Math.sqrt(a) : power(a, b));

interface Arithmetic {
  readonly fn: (a: Operand, b: Operand) => Tensor;
  readonly formula: Formula;
  /** Where a number on the right is computed otherwise. */
  readonly byNumber?: Formula;
  /** On int32, where it is not the formula's value wrapped. */
  readonly int?: Formula;
  /** Where int32 has no such operation, or makes a float of it. */
  readonly result?: (dtype: DType | "refused", a: Operand, b: Operand) => DType | "refused";
  readonly tolerance?: number;
}

const ARITHMETIC: Readonly<Record<string, Arithmetic>> = {
  add: { fn: ops.add, formula: (a, b) => a + b },
  sub: { fn: ops.sub, formula: (a, b) => a - b },
  mul: { fn: ops.mul, formula: (a, b) => a * b, int: Math.imul },
  // torch.tensor([3], dtype=torch.int32) / 2 is tensor([1.5]): division of whole numbers is float32.
  div: { fn: ops.div, formula: (a, b) => a / b, result: (dtype) => (dtype === "float64" ? dtype : "float32") },
  maximum: { fn: ops.maximum, formula: Math.max },
  minimum: { fn: ops.minimum, formula: Math.min },
  pow: {
    fn: ops.pow,
    formula: power,
    byNumber: powerBy,
    int: (a, _two) => Math.imul(a, a),
    result: (dtype, _a, b) => (dtype === "int32" && b !== 2 ? "refused" : dtype),
    tolerance: 2 ** -22,
  },
};

const COMPARISONS: Readonly<Record<string, { readonly fn: (a: Operand, b: Operand) => Tensor; readonly formula: (a: number, b: number) => boolean }>> = {
  equal: { fn: ops.equal, formula: (a, b) => a === b },
  notEqual: { fn: ops.notEqual, formula: (a, b) => a !== b },
  less: { fn: ops.less, formula: (a, b) => a < b },
  lessEqual: { fn: ops.lessEqual, formula: (a, b) => a <= b },
  greater: { fn: ops.greater, formula: (a, b) => a > b },
  greaterEqual: { fn: ops.greaterEqual, formula: (a, b) => a >= b },
}; // biome-ignore format: a table

const DTYPES = Object.keys(ELEMENTS) as DType[];
const make = (dtype: DType) => tensor([...ELEMENTS[dtype]], { dtype });

/** Elements alike to the sign of zero (which whole numbers lack), or within a relative error. */
function expectElements(y: Tensor, dtype: DType, want: readonly number[], what: string, tolerance = 0): void {
  expect(y.dtype, what).toBe(dtype);
  const got = y.data();
  expect(got.length, what).toBe(want.length);
  want.forEach((w, i) => {
    const g = got[i] as number;
    const near = tolerance > 0 && Number.isFinite(w) && Math.abs(g - w) <= tolerance * Math.abs(w);
    if (!(near || Object.is(g, w) || (dtype === "int32" && g === w))) throw new Error(`${what}: expected ${w} at ${i}, got ${g}`);
  });
}

function expectRefused(run: () => Tensor, what: string): void {
  expect(run, what).toThrow(DTypeError);
}

describe.each(Object.entries(ARITHMETIC))("%s", (name, { fn, formula, byNumber = formula, int, result = (d) => d, tolerance = 0 }) => {
  test.each(DTYPES)("of %s and a number, in both orders", (dtype) => {
    const x = make(dtype);
    for (const n of NUMBERS) {
      for (const swapped of [false, true]) {
        const [a, b]: [Operand, Operand] = swapped ? [n, x] : [x, n];
        const what = `${name}(${swapped ? `${n}, ${dtype}` : `${dtype}, ${n}`})`;
        const wanted = result(promoted(dtype, n), a, b);
        if (wanted === "refused") {
          expectRefused(() => fn(a, b), what);
          continue;
        }
        const of = wanted === "int32" && int !== undefined ? int : swapped ? formula : byNumber;
        const want = ELEMENTS[dtype].map((e) => {
          const [left, right] = swapped ? [as(wanted, n), as(wanted, e)] : [as(wanted, e), as(wanted, n)];
          return as(wanted, of(left, right));
        });
        expectElements(fn(a, b), wanted, want, what, tolerance);
      }
    }
  });
});

describe.each(Object.entries(COMPARISONS))("%s", (name, { fn, formula }) => {
  // A float32 tensor compares with the number as float32 has it, as in PyTorch: torch.tensor(0.1) == 0.1 is true.
  test.each(DTYPES)("of %s and a number, in both orders: whole numbers compare exactly", (dtype) => {
    const x = make(dtype);
    for (const n of NUMBERS) {
      const number = dtype === "float32" ? Math.fround(n) : n;
      expectElements(fn(x, n), "bool", ELEMENTS[dtype].map((e) => Number(formula(e, number))), `${name}(${dtype}, ${n})`);
      expectElements(fn(n, x), "bool", ELEMENTS[dtype].map((e) => Number(formula(number, e))), `${name}(${n}, ${dtype})`);
    } // biome-ignore format: two lines that differ in the order
  });
});

describe("choice and bounds", () => {
  const mask = (n: number) =>
    tensor(
      Array.from({ length: n }, (_, i) => i % 2),
      { dtype: "bool" },
    );

  test.each(DTYPES)("where and maskedFill of %s and a number", (dtype) => {
    const x = make(dtype);
    const elements = ELEMENTS[dtype];
    for (const n of NUMBERS) {
      const wanted = promoted(dtype, n);
      const forms: [string, () => Tensor, (i: number) => boolean][] = [
        [`where(mask, ${dtype}, ${n})`, () => ops.where(mask(x.size), x, n), (i) => i % 2 === 0],
        [`where(mask, ${n}, ${dtype})`, () => ops.where(mask(x.size), n, x), (i) => i % 2 === 1],
        [`maskedFill(${dtype}, mask, ${n})`, () => ops.maskedFill(x, mask(x.size), n), (i) => i % 2 === 1],
      ];
      for (const [what, run, isNumber] of forms) {
        if (wanted === "refused") expectRefused(run, what);
        else expectElements(run(), wanted, elements.map((e, i) => as(wanted, isNumber(i) ? n : e)), what); // biome-ignore format: one case
      }
    }
  });

  test("where of two numbers is float32", () => {
    for (const n of NUMBERS) {
      expectElements(ops.where(mask(2), n, 0.25), "float32", [0.25, Math.fround(n)], `where(mask, ${n}, 0.25)`);
    }
  });

  // torch.clamp(torch.tensor([1, 2, 3]), 0.5, 2.5) is tensor([1.0, 2.0, 2.5]).
  const limits: [string, (x: Tensor, min: number, max: number) => Tensor][] = [["clamp", ops.clamp], ["hardTanh", ops.hardTanh]]; // biome-ignore format: a table
  test.each(limits)("%s limits whole numbers by what is not whole", (name, fn) => {
    for (const dtype of DTYPES) {
      for (const min of NUMBERS) {
        for (const max of NUMBERS) {
          if (!(min <= max)) continue;
          const bounds = [min, max].filter((n, i) => n !== (i === 0 ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY));
          const results = bounds.map((n) => promoted(dtype, n));
          const float = results.includes("float32");
          const what = `${name}(${dtype}, ${min}, ${max})`;
          if (results.includes("refused") && !float) {
            expectRefused(() => fn(make(dtype), min, max), what);
            continue;
          }
          const wanted = float ? "float32" : dtype === "bool" && bounds.length > 0 ? "int32" : dtype;
          if (wanted === "bool") continue;
          const hold = (n: number) => (Number.isFinite(n) ? as(wanted, n) : n);
          const want = ELEMENTS[dtype].map((e) => as(wanted, Math.min(hold(max), Math.max(hold(min), as(wanted, e)))));
          expectElements(fn(make(dtype), min, max), wanted, want, what);
        }
      }
    }
  });

  test("pad keeps the dtype, and refuses what it does not hold", () => {
    for (const dtype of DTYPES) {
      for (const n of NUMBERS) {
        const what = `pad(${dtype}, ${n})`;
        const run = () => ops.pad(make(dtype), [[1, 0]], n);
        if (dtype === "int32" && !isInt32(n)) expectRefused(run, what);
        else expectElements(run(), dtype, [dtype === "bool" ? Number(n !== 0) : as(dtype, n), ...ELEMENTS[dtype]], what);
      }
    }
  });
});

describe("functions of floats with a number beside", () => {
  test.each([
    ["leakyRelu", (x: Tensor) => ops.leakyRelu(x, 0.5)],
    ["elu", (x: Tensor) => ops.elu(x, 0.5)],
    ["softplus", (x: Tensor) => ops.softplus(x, 0.5)],
    ["norm", (x: Tensor) => ops.norm(x, { p: 0.5 })],
    ["variance", (x: Tensor) => ops.variance(x, { correction: 0.5 })],
    ["std", (x: Tensor) => ops.std(x, { correction: 0.5 })],
    ["layerNorm", (x: Tensor) => ops.layerNorm(x, [x.size], { eps: 0.5 })],
    ["dropout", (x: Tensor) => ops.dropout(x, 0.5)],
    ["dropoutMask", (x: Tensor) => ops.dropoutMask(x, 0.5)],
    ["recurrentDropout", (x: Tensor) => ops.recurrentDropout(x, 0.5)],
    ["variationalDropout", (x: Tensor) => ops.variationalDropout(x, 0.5)],
    ["zoneout", (x: Tensor) => ops.zoneout(x, x, 0.5)],
  ] as const)("%s refuses whole numbers", (_, fn) => {
    expectRefused(() => fn(make("int32")), "int32");
    expectRefused(() => fn(make("bool")), "bool");
  });
});

/** What a function makes of its arguments; undefined where it refuses them. */
function resultOf(fn: (...args: unknown[]) => unknown, ...args: unknown[]): Tensor | undefined {
  try {
    const y = fn(...args);
    return y instanceof Tensor ? y : undefined;
  } catch {
    return undefined;
  }
}

test.each(Object.entries(ops))("%s leaves a number beside whole ones out, makes a float of it or refuses it", (name, fn) => {
  const call = fn as (...args: unknown[]) => unknown;
  for (const dtype of ["int32", "bool"] as const) {
    for (const n of [0.5, Number.NaN]) {
      const x = tensor([0, 1, 1], { dtype });
      for (const args of [
        [x, n],
        [n, x],
        [x, n, n],
      ]) {
        const y = resultOf(call, ...args);
        if (y === undefined || y.dtype === "float32") continue;
        // Comparisons have rows above; others may have taken no notice of the number.
        if (name in COMPARISONS) continue;
        expect(Array.from(y.data()), `${name}(${args.map(String)})`).toEqual(Array.from((resultOf(call, x) as Tensor).data()));
      }
    }
  }
});
