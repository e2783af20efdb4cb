import { describe, expect, it } from "vitest";
import { ArgumentError, FormatError } from "../../src/base/errors.ts";
import { parse, serialize } from "../../src/io/safetensors.ts";
import { Tensor, tensor } from "../../src/tensor/tensor.ts";
import { memory } from "../../src/wasm/host.ts";

/** A file from a header text and data bytes, written without the library. */
function file(header: string, data: ArrayLike<number> = [], claimed?: number): Uint8Array {
  const json = new TextEncoder().encode(header);
  const bytes = new Uint8Array(8 + json.length + data.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(claimed ?? json.length), true);
  bytes.set(json, 8);
  bytes.set(data, 8 + json.length);
  return bytes;
}

function fileOf(entries: Record<string, unknown>, data: ArrayLike<number> = []): Uint8Array {
  return file(JSON.stringify(entries), data);
}

const bytesOf = (view: ArrayBufferView) => new Uint8Array(view.buffer, view.byteOffset, view.byteLength);

function only(entry: { dtype: string; shape: number[] }, data: Uint8Array): Tensor {
  const { tensors } = parse(fileOf({ x: { ...entry, data_offsets: [0, data.length] } }, data));
  return tensors.get("x") as Tensor;
}

describe("parse", () => {
  it("reads every dtype", () => {
    expect(only({ dtype: "F32", shape: [2] }, bytesOf(new Float32Array([1.5, -0]))).data()).toEqual(new Float32Array([1.5, -0]));
    expect(only({ dtype: "F64", shape: [1, 2] }, bytesOf(new Float64Array([0.1, 1e300]))).data()).toEqual(new Float64Array([0.1, 1e300]));
    expect(only({ dtype: "I32", shape: [2] }, bytesOf(new Int32Array([-5, 7]))).data()).toEqual(new Int32Array([-5, 7]));
    expect(only({ dtype: "I64", shape: [2] }, bytesOf(new BigInt64Array([-(2n ** 31n), 2n ** 31n - 1n]))).data()).toEqual(
      new Int32Array([-(2 ** 31), 2 ** 31 - 1]),
    );
    expect(only({ dtype: "U8", shape: [3] }, new Uint8Array([0, 7, 255])).data()).toEqual(new Int32Array([0, 7, 255]));
    const mask = only({ dtype: "BOOL", shape: [2] }, new Uint8Array([1, 0]));
    expect([mask.dtype, ...mask.data()]).toEqual(["bool", 1, 0]);
  });

  it("reads F16: normal, subnormal, zeros, infinities, NaN", () => {
    const bits = new Uint16Array([0x3c00, 0xc000, 0x0001, 0x03ff, 0x0400, 0x7bff, 0x8000, 0x7c00, 0xfc00, 0x7e00, 0x3555]);
    const expected = [1, -2, 2 ** -24, 1023 * 2 ** -24, 2 ** -14, 65504, -0, Infinity, -Infinity, NaN, 0.333251953125];
    const x = only({ dtype: "F16", shape: [bits.length] }, bytesOf(bits));
    expect(x.dtype).toBe("float32");
    expect([...x.data()]).toEqual(expected);
  });

  it("reads BF16", () => {
    const bits = new Uint16Array([0x3f80, 0xc049, 0x0001, 0x7f80, 0x8000]);
    const expected = [1, -3.140625, 2 ** -133, Infinity, -0];
    expect([...only({ dtype: "BF16", shape: [5] }, bytesOf(bits)).data()]).toEqual(expected);
  });

  it("reads scalars, empty tensors, a padded header, data at any address, and an empty file", () => {
    const entries = { s: { dtype: "F64", shape: [], data_offsets: [0, 8] }, e: { dtype: "F32", shape: [3, 0], data_offsets: [8, 8] } };
    const plain = file(`${JSON.stringify(entries)}   `, bytesOf(new Float64Array([2.5])));
    const shifted = new Uint8Array(plain.length + 1);
    shifted.set(plain, 1);
    const { tensors, metadata } = parse(shifted.subarray(1));
    expect(tensors.get("s")?.item()).toBe(2.5);
    expect(tensors.get("e")?.shape).toEqual([3, 0]);
    expect(Object.keys(metadata)).toEqual([]);
    expect(parse(file("{}")).tensors.size).toBe(0);
  });

  const f32 = (begin: number, end: number, shape: unknown = [1]) => ({ dtype: "F32", shape, data_offsets: [begin, end] });
  const zeros = (n: number) => new Uint8Array(n);
  const hostile: [string, Uint8Array, RegExp][] = [
    ["an empty file", zeros(0), /expected at least 8 bytes, got 0/],
    ["a truncated length", zeros(7), /expected at least 8 bytes, got 7/],
    ["a header beyond the file", file("{}", [], 3), /expected a header of 3 bytes, got a file with 2/],
    ["an enormous header", file("{}", [], 2 ** 40), /at most 100000000 bytes, got a length of 1099511627776/],
    ["a header that is no JSON", file("{nope"), /expected a header in JSON/],
    ["a header that is no UTF-8", file("{}", [0xff], 3), /expected a header in JSON/],
    ["an array as header", file("[]"), /expected a JSON object/],
    ["space before the header", file(" {}"), /expected a JSON object/],
    ["null as an entry", file('{"x":null}'), /expected x to be an object, got null/],
    [
      "an unknown dtype",
      fileOf({ x: { dtype: "F8_E4M3", shape: [1], data_offsets: [0, 1] } }, [0]),
      /expected x of dtype F64, .*got "F8_E4M3"/,
    ],
    ["no dtype", fileOf({ x: { shape: [1], data_offsets: [0, 4] } }, zeros(4)), /got undefined/],
    ["a negative size", fileOf({ x: f32(0, 4, [-1, -1]) }, zeros(4)), /whole non-negative sizes, got \[-1,-1\]/],
    ["a fractional size", fileOf({ x: f32(0, 4, [0.5, 2]) }, zeros(4)), /whole non-negative sizes/],
    ["a size as text", fileOf({ x: f32(0, 4, ["1"]) }, zeros(4)), /whole non-negative sizes/],
    ["a size no address reaches", fileOf({ x: f32(0, 0, [2 ** 40, 0]) }), /whole non-negative sizes/],
    ["a shape that is no array", fileOf({ x: f32(0, 4, 1) }, zeros(4)), /whole non-negative sizes, got 1/],
    ["offsets past the data", fileOf({ x: f32(0, 8, [2]) }, zeros(4)), /expected 8 bytes of data, got 4/],
    ["reversed offsets", fileOf({ x: f32(4, 0) }, zeros(4)), /expected 4 bytes for x F32\[1\], got data_offsets \[4,0\]/],
    ["negative offsets", fileOf({ x: f32(-4, 0) }, zeros(4)), /data_offsets \[begin, end\], got \[-4,0\]/],
    ["three offsets", fileOf({ x: { dtype: "F32", shape: [1], data_offsets: [0, 4, 8] } }, zeros(4)), /data_offsets \[begin, end\]/],
    ["offsets that do not fit the shape", fileOf({ x: f32(0, 8) }, zeros(8)), /expected 4 bytes for x/],
    ["overlapping tensors", fileOf({ x: f32(0, 8, [2]), y: f32(4, 8) }, zeros(8)), /expected the data of y at 8/],
    ["a hole", fileOf({ x: f32(0, 4), y: f32(8, 12) }, zeros(12)), /expected the data of y at 4/],
    ["bytes after the last tensor", fileOf({ x: f32(0, 4) }, zeros(5)), /expected 4 bytes of data, got 5/],
    [
      "a name twice",
      file('{"x":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},"\\u0078":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}'),
      /"x" twice/,
    ],
    ["an entry's key twice", file('{"x":{"dtype":"F32","dtype":"F32","shape":[0],"data_offsets":[0,0]}}'), /"dtype" twice/],
    ["__proto__ as a name", file('{"__proto__":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}'), /no object reserves, got "__proto__"/],
    ["a path through a constructor", fileOf({ "a.constructor.b": f32(0, 0, [0]) }), /no object reserves/],
    ["metadata that is no object", fileOf({ __metadata__: [] }), /__metadata__ to be an object/],
    ["metadata that is no text", fileOf({ __metadata__: { step: 3 } }), /to hold text under "step", got 3/],
    [
      "an integer too large",
      fileOf({ x: { dtype: "I64", shape: [1], data_offsets: [0, 8] } }, bytesOf(new BigInt64Array([2n ** 31n]))),
      /32-bit integers, got 2147483648/,
    ],
    ["a mask of twos", fileOf({ x: { dtype: "BOOL", shape: [1], data_offsets: [0, 1] } }, [2]), /expected x to hold 0 or 1, got 2/],
  ];
  it.each(hostile)("rejects %s", (_, bytes, message) => {
    const before = memory().liveBytes;
    expect(() => parse(bytes)).toThrow(FormatError);
    expect(() => parse(bytes)).toThrow(message);
    expect(memory().liveBytes).toBe(before);
  });

  it("rejects every truncation of a good file", () => {
    const bytes = serialize(
      new Map([
        [
          "w",
          tensor([
            [1, 2],
            [3, 4],
          ]),
        ],
        ["i", tensor([1], { dtype: "int32" })],
      ]),
      { a: "b" },
    );
    for (let n = 0; n < bytes.length; n++) expect(() => parse(bytes.subarray(0, n)), `${n} bytes`).toThrow(FormatError);
  });

  it("does not mistake braces, quotes and colons in names for structure", () => {
    const names = ['a"b', "{", "}:", 'x\\"', '{"x":1}', "ä€😀"];
    const { tensors } = parse(fileOf(Object.fromEntries(names.map((n) => [n, f32(0, 0, [0])]))));
    expect([...tensors.keys()]).toEqual(names);
  });

  it("survives texts of many megabytes and nesting of any depth", () => {
    const long = '"\\\\'.repeat(3e6);
    expect(parse(serialize(new Map(), { long })).metadata.long).toBe(long);
    const deep = "[".repeat(1e5) + "]".repeat(1e5);
    expect(() => parse(file(`{"x":{"dtype":"F32","shape":${deep},"data_offsets":[0,4]}}`, zeros(4)))).toThrow(FormatError);
    expect(() => parse(file(`{"x":${deep}}`))).toThrow(FormatError);
  });

  it("keeps __proto__ in metadata harmless", () => {
    const { metadata } = parse(file('{"__metadata__":{"__proto__":"polluted"}}'));
    expect(Reflect.get(metadata, "__proto__")).toBe("polluted");
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });
});

describe("serialize", () => {
  it("goes round with parse, dtype by dtype, with odd sizes and views", () => {
    const base = tensor([
      [1, 2, 3],
      [4, 5, 6],
    ]);
    const transposed = new Tensor(base.storage, "float32", [3, 2], [1, 3]);
    const tensors = new Map([
      ["mask", tensor(new Uint8Array([1, 0, 1]))],
      ["w.f32", transposed],
      ["w.f64", tensor(new Float64Array([Math.PI, Number.MIN_VALUE, -0]))],
      ["scalar", tensor(7, { dtype: "int32" })],
      ["none", tensor(new Float32Array(0), { shape: [0, 4] })],
    ]);
    const metadata = { step: "12", text: 'quotes " and \n ends' };
    const bytes = serialize(tensors, metadata);
    const back = parse(bytes);
    expect({ ...back.metadata }).toEqual(metadata);
    expect([...back.tensors.keys()].sort()).toEqual([...tensors.keys()].sort());
    for (const [name, t] of tensors) {
      const b = back.tensors.get(name) as Tensor;
      expect([name, b.dtype, b.shape, b.data()]).toEqual([name, t.dtype, t.shape, t.data()]);
    }
    expect(serialize(back.tensors, back.metadata)).toEqual(bytes);
  });

  it("aligns the data of every tensor to its element", () => {
    const bytes = serialize(
      new Map([
        ["a", tensor(new Uint8Array([1]))],
        ["b", tensor(1)],
        ["c", tensor(1, { dtype: "float64" })],
      ]),
    );
    const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
    expect(length % 8).toBe(0);
    const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
    expect(Object.entries(header).map(([name, e]) => [name, (e as { data_offsets: number[] }).data_offsets])).toEqual([
      ["c", [0, 8]],
      ["b", [8, 12]],
      ["a", [12, 13]],
    ]);
  });

  it("rejects reserved names", () => {
    for (const name of ["__metadata__", "__proto__", "a.prototype"]) {
      expect(() => serialize(new Map([[name, tensor(1)]]))).toThrow(ArgumentError);
    }
  });
});
