import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ArgumentError, DTypeError, MemoryLimitError, ShapeError } from "../../src/base/errors.ts";
import { Linear } from "../../src/nn/layers.ts";
import { add } from "../../src/ops/arithmetic.ts";
import { broadcastTo } from "../../src/ops/broadcast.ts";
import { cast } from "../../src/ops/cast.ts";
import { matmul, outer } from "../../src/ops/linear.ts";
import { pad, repeat } from "../../src/ops/shape.ts";
import { arange, eye, full, linspace, ones, scalar, zeros } from "../../src/tensor/create.ts";
import { dryRun } from "../../src/tensor/dry-run.ts";
import { Generator } from "../../src/tensor/random.ts";
import { empty, scope, scratch, tensor } from "../../src/tensor/tensor.ts";
import { jacobian } from "../../src/transforms/transforms.ts";
import { init, memory, setMemoryLimit } from "../../src/wasm/host.ts";

const generator = new Generator(1);
const column = ones([65537, 1]);
const row = ones([1, 16384]);
const small = ones([2]);

let before = memory();
let random = generator.state;
beforeEach(() => {
  before = memory();
  random = generator.state;
});
afterEach(() => {
  const { liveBytes, blocks } = memory();
  expect({ liveBytes, blocks }).toEqual({ liveBytes: before.liveBytes, blocks: before.blocks });
  expect(generator.state).toEqual(random);
  expect(scope(() => add(small, 1).toArray())).toEqual([2, 2]);
});

function expectError(error: new () => Error, message: RegExp, fn: () => unknown): void {
  const attempt = () => scope(() => void fn());
  expect(attempt).toThrow(error as never);
  expect(attempt).toThrow(message);
}

describe("sizes that cannot be are an error at once, and nothing is changed", () => {
  const cases: [string, RegExp, () => unknown][] = [
    ["empty NaN", /whole non-negative dimensions, got \[NaN\]/, () => empty([Number.NaN])],
    ["empty of halves", /whole/, () => empty([1.5, 2])],
    ["empty of two negatives", /whole/, () => empty([-1, -2])],
    ["empty beyond all numbers", /2\^29/, () => empty([2 ** 600, 2 ** 600, 0])],
    ["empty of no shape", /shape/, () => empty(undefined as never)],
    ["tensor", /whole/, () => tensor([1], { shape: [Number.NaN] })],
    ["full", /2\^29/, () => full([2 ** 29 + 1], 1)],
    ["zeros", /whole/, () => zeros([Number.POSITIVE_INFINITY])],
    ["arange", /arange: expected at most 2\^29 elements/, () => arange(0, 1, 1e-12)],
    ["arange without end", /arange/, () => arange(0, 1, Number.MIN_VALUE)],
    ["linspace", /2\^29/, () => linspace(0, 1, 1e12)],
    ["eye", /2\^29/, () => eye(1e6)],
    ["eye NaN", /whole/, () => eye(Number.NaN)],
    ["scratch", /whole number of bytes, got NaN/, () => scratch(Number.NaN)],
    ["uniform", /2\^29/, () => generator.uniform([1e12])],
    ["normal", /whole/, () => generator.normal([Number.NaN])],
    ["bernoulli", /whole/, () => generator.bernoulli([0.5], 0.5)],
    ["integers", /2\^29/, () => generator.integers([1e12], 0, 3)],
    ["permutation", /2\^29/, () => generator.permutation(1e12)],
    ["add by broadcasting", /2\^29 elements, got \[65537,16384\]/, () => add(column, row)],
    ["matmul", /2\^29 elements, got \[65537,16384\]/, () => matmul(column, row)],
    ["outer", /2\^29 elements, got \[65537,16384\]/, () => outer(ones([65537]), ones([16384]))],
    ["repeat", /2\^29/, () => repeat(small, [1e10])],
    ["repeat NaN", /whole/, () => repeat(small, [Number.NaN])],
    ["broadcastTo", /2\^29/, () => broadcastTo(ones([1]), [2 ** 40])],
    ["pad", /2\^29/, () => pad(small, [[0, 1e12]])],
    ["a layer", /2\^29/, () => new Linear(1e6, 1e6)],
    ["jacobian", /jacobian: .*2\^29/, () => jacobian((x) => x, zeros([1e5]))],
  ];
  it.each(cases)("%s", (_, message, fn) => expectError(ShapeError, message, fn));

  it.each([Number.NaN, Number.POSITIVE_INFINITY, 0])("arange with a step of %d", (step) =>
    expectError(ArgumentError, /arange: expected finite bounds and a finite step other than 0/, () => arange(0, 3, step)),
  );
});

describe("an unknown dtype is an error that names the four", () => {
  const cases: [string, (dtype: never) => unknown][] = [
    ["tensor", (dtype) => tensor([1], { dtype })],
    ["empty", (dtype) => empty([2], dtype)],
    ["full", (dtype) => full([2], 1, dtype)],
    ["scalar", (dtype) => scalar(1, dtype)],
    ["arange", (dtype) => arange(0, 3, 1, dtype)],
    ["eye", (dtype) => eye(3, 3, dtype)],
    ["cast", (dtype) => cast(small, dtype)],
    ["bernoulli", (dtype) => generator.bernoulli([2], 0.5, dtype)],
  ];
  it.each(cases)("%s", (_, make) => {
    for (const dtype of ["float16", "constructor", 7]) {
      expectError(DTypeError, /float32, float64, int32 or bool, got/, () => make(dtype as never));
    }
  });
});

describe("more than 4 GiB", () => {
  it("is an error with no limit set, too, and live bytes stay", () => {
    expectError(MemoryLimitError, /within 4294901760 bytes, got a request for 4294967296 bytes with \d+ live/, () => scratch(2 ** 32));
    expect(memory().linearBytes).toBe(before.linearBytes);
  });

  it("can be planned", () => {
    expect(dryRun(() => void [empty([2 ** 29], "float64"), empty([2 ** 29], "float64")]).peakBytes).toBe(2 ** 33);
  });
});

describe("setMemoryLimit", () => {
  it.each([0, -1, Number.NaN, undefined, null, "1000000000", 10n, {}])("refuses %s", (bytes) => {
    expect(() => setMemoryLimit(bytes as number)).toThrow(ArgumentError);
    expect(() => setMemoryLimit(bytes as number)).toThrow(/expected a positive number of bytes/);
  });

  it("refuses less than there is, which cannot shrink, and takes exactly that", () => {
    const { linearBytes } = memory();
    expect(() => setMemoryLimit(linearBytes - 1)).toThrow(
      `expected at least the ${linearBytes} bytes the memory has already, got ${linearBytes - 1}`,
    );
    setMemoryLimit(linearBytes);
    try {
      expectError(MemoryLimitError, /within/, () => scratch(linearBytes));
    } finally {
      setMemoryLimit(Number.POSITIVE_INFINITY);
    }
  });

  it("holds for the real memory when it is set during a dry run, in which kernels stay as they are", () => {
    const { linearBytes } = memory();
    try {
      dryRun(() => {
        setMemoryLimit(linearBytes);
        expect(() => init(new Uint8Array())).toThrow(/expected no dry run in progress/);
      });
      expectError(MemoryLimitError, /within/, () => scratch(linearBytes));
    } finally {
      setMemoryLimit(Number.POSITIVE_INFINITY);
    }
  });
});
