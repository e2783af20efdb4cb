/** Numbers from outside: what `tensor`, `full` and `assign` read, and what each dtype holds of it. */

import { runInNewContext } from "node:vm";
import { describe, expect, it } from "vitest";
import type { DType } from "../../src/base/dtype.ts";
import { DTypeError, ShapeError } from "../../src/base/errors.ts";
import { parse, serialize } from "../../src/io/safetensors.ts";
import { cast } from "../../src/ops/cast.ts";
import { pad } from "../../src/ops/shape.ts";
import { arange, eye, full, linspace, ones, scalar, zeros } from "../../src/tensor/create.ts";
import { assign, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import type { TensorData } from "../../src/tensor/values.ts";

const DTYPES: readonly DType[] = ["float32", "float64", "int32", "bool"];
const values = (t: Tensor) => Array.from(t.data());

describe("typed arrays", () => {
  const kinds: [new (values: number[]) => ArrayLike<number> & ArrayBufferView, DType][] = [
    [Float32Array, "float32"],
    [Float64Array, "float64"],
    [Int8Array, "int32"],
    [Uint8Array, "int32"],
    [Uint8ClampedArray, "int32"],
    [Int16Array, "int32"],
    [Uint16Array, "int32"],
    [Int32Array, "int32"],
    [Uint32Array, "int32"],
  ];
  it.each(kinds.map(([kind, dtype]) => [kind.name, kind, dtype] as const))("%s", (_, kind, dtype) => {
    const t = tensor(new kind([3, 0, 255 % 128]));
    expect([t.dtype, t.shape, values(t)]).toEqual([dtype, [3], [3, 0, 127]]);
    for (const asked of DTYPES) {
      const held = asked === "bool" ? [1, 0, 1] : [3, 0, 127];
      expect([tensor(new kind([3, 0, 127]), { dtype: asked }).dtype, values(tensor(new kind([3, 0, 127]), { dtype: asked }))]).toEqual([asked, held]);
    } // biome-ignore format: one case
  });

  it("keep their kind from another realm", () => {
    for (const [kind, dtype] of kinds) {
      const foreign = runInNewContext(`new ${kind.name}([1, 2])`) as Float32Array;
      expect(foreign).not.toBeInstanceOf(kind);
      const t = tensor(foreign);
      expect([t.dtype, values(t)]).toEqual([dtype, [1, 2]]);
    }
    expect(tensor(runInNewContext("[[1, 2], [3, 4]]") as number[][]).toArray()).toEqual([[1, 2], [3, 4]]);
    expect(tensor(runInNewContext("[Float64Array.of(1, 2), Float64Array.of(3, 4)]") as Float64Array[]).dtype).toBe("float64");
  }); // biome-ignore format: rows

  it("are a Float16Array where there is one", () => {
    const Half = (globalThis as { Float16Array?: new (values: number[]) => Float32Array }).Float16Array;
    if (Half === undefined) return;
    const t = tensor(new Half([1.5, -2]));
    expect([t.dtype, values(t)]).toEqual(["float32", [1.5, -2]]);
  });

  it("are Node's buffers: integers, like any Uint8Array", () => {
    const t = tensor(Buffer.from([0, 200, 255]));
    expect([t.dtype, values(t)]).toEqual(["int32", [0, 200, 255]]);
  });

  it("of 32 unsigned bits fit into int32 or are refused", () => {
    expect(values(tensor(Uint32Array.of(2 ** 31 - 1)))).toEqual([2 ** 31 - 1]);
    expect(() => tensor(Uint32Array.of(1, 2 ** 31))).toThrow(new DTypeError("tensor: expected whole numbers within int32, got 2147483648"));
    expect(values(tensor(Uint32Array.of(2 ** 31), { dtype: "float64" }))).toEqual([2 ** 31]);
  });

  it("of other things than numbers are refused", () => {
    expect(() => tensor(new BigInt64Array([1n]) as never)).toThrow(new DTypeError("tensor: expected numbers, got a BigInt64Array"));
    expect(() => tensor(new BigUint64Array([1n]) as never)).toThrow(DTypeError);
    expect(() => tensor(new DataView(new ArrayBuffer(8)) as never)).toThrow(new DTypeError("tensor: expected numbers, got a DataView"));
    expect(() => tensor(new ArrayBuffer(8) as never)).toThrow(new DTypeError("tensor: expected numbers, got an ArrayBuffer"));
  });
});

describe("nested arrays", () => {
  it("may have typed rows, which give their dtype", () => {
    const rows = [Float32Array.of(1, 2, 3), Float32Array.of(4, 5, 6)];
    const batch = tensor(rows);
    expect([batch.dtype, batch.shape, batch.toArray()]).toEqual(["float32", [2, 3], [[1, 2, 3], [4, 5, 6]]]);
    expect(tensor([[Float64Array.of(0.1)], [Float64Array.of(0.2)]]).toArray()).toEqual([[[0.1]], [[0.2]]]);
    expect(tensor([Int32Array.of(1), Uint8Array.of(2)]).dtype).toBe("int32");
    expect(tensor([Float64Array.of(0.1), [0.2]]).toArray()).toEqual([[0.1], [0.2]]);
    expect(tensor([[0.2], Float64Array.of(0.1)]).toArray()).toEqual([[0.2], [0.1]]);
    expect(tensor(rows, { shape: [3, 2] }).toArray()).toEqual([[1, 2], [3, 4], [5, 6]]);
    expect(tensor([new Float32Array(0), new Float32Array(0)]).shape).toEqual([2, 0]);
    expect(() => tensor([Float32Array.of(1), Float64Array.of(1)])).toThrow("tensor: expected typed arrays of one kind or a dtype option, got float32 and float64");
    expect(tensor([Float32Array.of(0.5), Float64Array.of(0.1)], { dtype: "float64" }).toArray()).toEqual([[0.5], [0.1]]);
  }); // biome-ignore format: rows

  it("of unequal length or depth are refused", () => {
    const ragged: [unknown, string][] = [
      [[[1, 2], [3]], "expected 2 entries at depth 1, got 1"],
      [[[1], [2, 3]], "expected 1 entries at depth 1, got 2"],
      [[[1, 2], 3], "expected arrays of equal depth, got the number 3 at depth 1 of [2,2]"],
      [[1, [2]], "expected a number at depth 1 of [2], got 1 entries"],
      [[1, Float32Array.of(2)], "expected a number at depth 1 of [2], got 1 entries"],
      [[Float32Array.of(1, 2), Float32Array.of(3)], "expected 2 entries at depth 1, got 1"],
      [[Float32Array.of(1, 2), 3], "expected arrays of equal depth, got the number 3 at depth 1 of [2,2]"],
      [[[[1], [2]], [Float32Array.of(3), Float32Array.of(4, 5)]], "expected 1 entries at depth 2, got 2"],
      [[[[1], [2]], Float32Array.of(3, 4)], "expected arrays at depth 2 of [2,2,1], got numbers"],
      [[[], [1]], "expected 0 entries at depth 1, got 1"],
    ]; // biome-ignore format: a table
    for (const [data, message] of ragged) expect(() => tensor(data as TensorData)).toThrow(new ShapeError(`tensor: ${message}`));
    const circle: unknown[] = [];
    circle.push(circle);
    expect(() => tensor(circle as never)).toThrow(ShapeError);
  });

  it("hold numbers and booleans, nothing else", () => {
    const holed = [1, 2, 3];
    delete holed[1];
    const wrong: [unknown, string][] = [
      [holed, "undefined"],
      [[1, null], "null"],
      [null, "null"],
      [undefined, "undefined"],
      ["1", "a string"],
      [["1", "2"], "a string"],
      [[1n], "a bigint"],
      [{ length: 2, 0: 1, 1: 2 }, "an Object"],
      [new Map([[0, 1]]), "a Map"],
      [new Set([1]), "a Set"],
      [[new Date(0)], "a Date"],
      [() => 1, "a function"],
      [tensor([1]), "a tensor"],
      [[tensor([1])], "a tensor"],
    ];
    for (const [data, kind] of wrong) expect(() => tensor(data as never)).toThrow(new DTypeError(`tensor: expected numbers, got ${kind}`));
    expect(tensor([true, 2] as never).toArray()).toEqual([1, 2]);
  });
});

describe("shapes", () => {
  it("are arrays of whole numbers", () => {
    const make: [string, (shape: never) => Tensor][] = [
      ["zeros", zeros],
      ["ones", ones],
      ["full", (shape) => full(shape, 1)],
      ["tensor", (shape) => tensor([1, 2, 3], { shape })],
    ];
    for (const [name, fn] of make) {
      expect(() => fn(3 as never)).toThrow(new ShapeError(`${name}: expected a shape as an array of dimensions, got number`));
      for (const shape of ["3", null, Int32Array.of(3), {}, [1.5], [-1], ["3"], [Number.NaN], [null]]) {
        expect(() => fn(shape as never), `${name}(${String(shape)})`).toThrow(ShapeError);
      }
    }
    expect(() => eye(1.5)).toThrow(ShapeError);
    expect(() => arange(0, 3, Number.NaN)).toThrow(/arange/);
  });
});

describe("what a dtype holds", () => {
  it("bool: 0 and 1 only, whoever writes", () => {
    const odd = [0, -0, 255, 2, 0.5, Number.NaN, -1, Number.POSITIVE_INFINITY, 1e-320];
    const held = [0, 0, 1, 1, 1, 1, 1, 1, 1];
    const target = zeros([odd.length], "bool");
    assign(target, odd);
    expect(values(target)).toEqual(held);
    assign(target, tensor(odd, { dtype: "float64" }));
    expect(values(target)).toEqual(held);
    expect(values(tensor(odd, { dtype: "bool" }))).toEqual(held);
    expect(values(cast(tensor(odd, { dtype: "float64" }), "bool"))).toEqual(held);
    expect(odd.map((v) => full([1], v, "bool").item())).toEqual(held);
    expect(odd.map((v) => scalar(v, "bool").item())).toEqual(held);
    expect(odd.map((v) => values(pad(tensor([1], { dtype: "bool" }), [[1, 0]], v))[0])).toEqual(held);
    expect(values(arange(0, 3, 1, "bool"))).toEqual([0, 1, 1]);
    expect(values(linspace(-1, 1, 3, "bool"))).toEqual([1, 0, 1]);
    expect(values(tensor(Uint8Array.of(0, 2, 255), { dtype: "bool" }))).toEqual([0, 1, 1]);
  });

  it("bool: what was bytes comes back from a file", () => {
    const mask = tensor(Uint8Array.of(0, 2, 255), { dtype: "bool" });
    const bytes = tensor(Uint8Array.of(0, 2, 255));
    const { tensors } = parse(serialize(new Map([["mask", mask], ["bytes", bytes]]))); // biome-ignore format: two entries
    expect([tensors.get("mask")?.dtype, values(tensors.get("mask") as Tensor)]).toEqual(["bool", [0, 1, 1]]);
    expect([tensors.get("bytes")?.dtype, values(tensors.get("bytes") as Tensor)]).toEqual(["int32", [0, 2, 255]]);
  });

  it("int32: whole numbers within its range, others are refused and nothing is written", () => {
    for (const wrong of [0.5, -1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 31, -(2 ** 31) - 1, 1e300]) {
      const target = tensor([1, 2], { dtype: "int32" });
      const message = `expected whole numbers within int32, got ${wrong}`;
      expect(() => tensor([1, wrong], { dtype: "int32" })).toThrow(new DTypeError(`tensor: ${message}`));
      expect(() => full([2], wrong, "int32")).toThrow(new DTypeError(`full: ${message}`));
      expect(() => scalar(wrong, "int32")).toThrow(DTypeError);
      for (const source of [[5, wrong], Float64Array.of(5, wrong), tensor([5, wrong], { dtype: "float64" })]) {
        expect(() => assign(target, source)).toThrow(new DTypeError(`assign: ${message}`));
      }
      expect(values(target)).toEqual([1, 2]);
    }
    expect(() => arange(0, 1, 0.25, "int32")).toThrow(DTypeError);
    expect(() => linspace(0, 1, 3, "int32")).toThrow(DTypeError);
    expect(values(linspace(0, 4, 3, "int32"))).toEqual([0, 2, 4]);
    expect(values(tensor([-0, 2 ** 31 - 1, -(2 ** 31)], { dtype: "int32" }))).toEqual([0, 2 ** 31 - 1, -(2 ** 31)]);
  });

  it("floats: any number; what is none is refused before anything is written", () => {
    const target = tensor([1, 2]);
    for (const wrong of [["a", "b"], "ab", [1, null], [1, undefined], new BigInt64Array(2)]) {
      expect(() => assign(target, wrong as never)).toThrow(DTypeError);
    }
    expect(values(target)).toEqual([1, 2]);
    expect(() => full([1], "1" as never)).toThrow(new DTypeError("full: expected numbers, got a string"));
    expect(() => full([1], undefined as never)).toThrow(DTypeError);
    assign(target, [true, 0.5] as never);
    expect(values(target)).toEqual([1, 0.5]);
  });
});
