import { describe, expect, it } from "vitest";
import { ArgumentError, DTypeError, FormatError, StateError } from "../../src/base/errors.ts";
import { parse, serialize } from "../../src/io/safetensors.ts";
import { Tensor, tensor } from "../../src/tensor/tensor.ts";
import { memory } from "../../src/wasm/host.ts";
import { thrown } from "../thrown.ts";

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
    expect(only({ dtype: "I8", shape: [3] }, new Uint8Array([0, 127, 128])).data()).toEqual(new Int32Array([0, 127, -128]));
    expect(only({ dtype: "I16", shape: [2] }, bytesOf(new Int16Array([-32768, 300]))).data()).toEqual(new Int32Array([-32768, 300]));
    expect(only({ dtype: "U16", shape: [2] }, bytesOf(new Uint16Array([65535, 300]))).data()).toEqual(new Int32Array([65535, 300]));
    expect(only({ dtype: "U32", shape: [2] }, bytesOf(new Uint32Array([2 ** 31 - 1, 3]))).data()).toEqual(new Int32Array([2 ** 31 - 1, 3]));
    expect(only({ dtype: "U64", shape: [1] }, bytesOf(new BigUint64Array([7n]))).data()).toEqual(new Int32Array([7]));
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
    ["an empty file", zeros(0), /expected at least 8 bytes, got an empty file/],
    ["a truncated length", zeros(7), /expected at least 8 bytes, got 7/],
    ["a header beyond the file", file("{}", [], 3), /expected a header of 3 bytes, got a file with 2/],
    ["an enormous header", file("{}", [], 2 ** 40), /at most 100000000 bytes, got a length of 1099511627776/],
    ["a header that is no JSON", file("{nope"), /expected a header in JSON/],
    ["a header that is no UTF-8", file("{}", [0xff], 3), /expected a header in JSON/],
    ["an array as header", file("[]"), /expected a header in JSON, got "\[\]" at character 0/],
    ["a header that ends early", file('{"x":{"dtype":"F32"'), /expected a header in JSON/],
    ["a second value after the header", file("{} {}"), /expected a header in JSON, got "\{\}" at character 3/],
    ["a comma too many", file("{,}"), /expected a header in JSON/],
    ["a header with a byte order mark", file("\uFEFF{}"), /expected a header in JSON/],
    ["null as an entry", file('{"x":null}'), /expected x to be an object, got null/],
    ["no dtype", fileOf({ x: { shape: [1], data_offsets: [0, 4] } }, zeros(4)), /got undefined/],
    ["a negative size", fileOf({ x: f32(0, 4, [-1, -1]) }, zeros(4)), /whole non-negative sizes, got \[-1,-1\]/],
    ["a fractional size", fileOf({ x: f32(0, 4, [0.5, 2]) }, zeros(4)), /whole non-negative sizes/],
    ["a size as text", fileOf({ x: f32(0, 4, ["1"]) }, zeros(4)), /whole non-negative sizes/],
    ["a size of minus zero", file('{"x":{"dtype":"F32","shape":[-0],"data_offsets":[0,0]}}'), /whole non-negative sizes/],
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
    ["metadata that is no object", fileOf({ __metadata__: [] }), /__metadata__ to be an object/],
    ["metadata that is no text", fileOf({ __metadata__: { step: 3 } }), /to hold text under "step", got 3/],
  ];
  it.each(hostile)("rejects %s", (_, bytes, message) => {
    const before = memory().liveBytes;
    expect(() => parse(bytes)).toThrow(FormatError);
    expect(() => parse(bytes)).toThrow(message);
    expect(memory().liveBytes).toBe(before);
  });

  it("leaves out what no tensor can hold, and says why when it is asked for", () => {
    const u32 = bytesOf(new Uint32Array([2 ** 31]));
    const data = [
      ...new Uint8Array(4),
      ...bytesOf(new BigInt64Array([2n ** 31n])),
      ...bytesOf(new BigUint64Array([2n ** 63n])),
      ...u32,
      2,
      0,
      0,
    ];
    const entry = (dtype: string, begin: number, end: number, shape = [1]) => ({ dtype, shape, data_offsets: [begin, end] });
    const { tensors, unreadable } = parse(
      fileOf(
        {
          w: entry("F32", 0, 4),
          large: entry("I64", 4, 12),
          larger: entry("U64", 12, 20),
          unsigned: entry("U32", 20, 24),
          mask: entry("BOOL", 24, 25),
          packed: entry("F4", 25, 27, [4]),
          far: entry("F32", 27, 27, [2 ** 40, 0]),
          deep: entry("F32", 27, 27, [...new Array(64).fill(1), 0]),
        },
        data,
      ),
    );
    expect([...tensors.keys()]).toEqual(["w"]);
    const reasons = {
      large: /large cannot be read: expected values in \[-2147483648, 2147483647\] for int32, got 2147483648/,
      larger: /got 9223372036854776000/,
      unsigned: /got 2147483648/,
      mask: /expected values in \[0, 1\] for bool, got 2/,
      packed: /expected one of dtype F64, .*, got "F4"/,
      far: /expected sizes below 2\^31, got \[1099511627776,0\]/,
      deep: /expected at most 64 dimensions, got 65/,
    };
    expect([...unreadable.keys()]).toEqual(Object.keys(reasons));
    for (const [name, reason] of Object.entries(reasons)) {
      expect(() => tensors.get(name)).toThrow(FormatError);
      expect(() => tensors.get(name)).toThrow(reason);
    }
    expect(tensors.get("other")).toBeUndefined();
    expect(tensors.has("large")).toBe(false);
  });

  it("takes what Python's reader takes: space around, no metadata, any name, fields it does not know", () => {
    const names = ["__proto__", "constructor", "a.constructor.b", "prototype", "", "2", "10", "\u0000", "\ud83d\ude00"];
    const entries = names.map((name) => `${JSON.stringify(name)}:{"dtype":"F32","shape":[0],"data_offsets":[0,0],"more":{"a":[[1]]}}`);
    const { tensors, metadata } = parse(file(` \n{ "__metadata__" : null , ${entries.join(" , ")} } \t`));
    expect([...tensors.keys()]).toEqual(names);
    expect(Object.keys(metadata)).toEqual([]);
    expect([...parse(serialize(tensors)).tensors.keys()]).toEqual(names);
  });

  it("takes bytes in every form that hosts hand them out", () => {
    const bytes = serialize(new Map([["x", tensor([1, 2])]]), { a: "b" });
    const shared = new SharedArrayBuffer(bytes.length);
    new Uint8Array(shared).set(bytes);
    const within = Buffer.concat([Buffer.from([1, 2, 3]), bytes]).subarray(3);
    const forms = [bytes.buffer, shared, new DataView(bytes.buffer), new Uint8Array(shared), within, new Float64Array(bytes.buffer)];
    for (const form of forms) expect(parse(form).tensors.get("x")?.toArray()).toEqual([1, 2]);
    for (const other of ["text", [1, 2], null, undefined, 7, new Blob([bytes]), { length: 9 }]) {
      expect(() => parse(other as unknown as Uint8Array)).toThrow(DTypeError);
    }
  });

  const latin1 = (text: string) => Uint8Array.from(text, (c) => c.charCodeAt(0));
  it.each([
    ["a page", "<!DOCTYPE html><html><body>Not found", /HTML/],
    ["a page behind space", "\n\n  <html>", /HTML/],
    ["a Git LFS pointer", "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a", /Git LFS/],
    ["what torch.save writes", "PK\x03\x04\x00\x00\x08\x08\x00\x00\x00\x00", /zip archive, as torch.save writes/],
    ["a pickle", "\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", /pickle/],
    ["gzip with a time of zero", `\x1f\x8b\x08\x00\x00\x00\x00\x00${"\xff".repeat(600_000)}`, /gzip/],
    ["an answer in JSON", '{"error":"not found"}', /JSON\)/],
    ["a Keras file", "\x89HDF\r\n\x1a\n\x00\x00", /HDF5/],
  ])("gives a hint for %s", (_, text, hint) => {
    expect(() => parse(latin1(text))).toThrow(FormatError);
    expect(() => parse(latin1(text))).toThrow(hint);
  });

  it("gives no hint for a damaged file of its own", () => {
    const bytes = serialize(new Map([["a", tensor([1])]]));
    expect(() => parse(bytes.subarray(0, 20))).toThrow(/got a file with 12 bytes after the length$/);
  });

  it("reads F8_E5M2 and F8_E4M3: normal, subnormal, zeros, infinities, NaN", () => {
    const e5m2 = new Uint8Array([0x3c, 0xbd, 0x01, 0x7b, 0x80, 0x7c, 0xfc, 0x7f]);
    const wide = [1, -1.25, 2 ** -16, 57344, -0, Infinity, -Infinity, NaN];
    expect([...only({ dtype: "F8_E5M2", shape: [8] }, e5m2).data()]).toEqual(wide);
    const e4m3 = new Uint8Array([0x38, 0xb9, 0x01, 0x7e, 0x80, 0x7f, 0xff, 0x08]);
    expect([...only({ dtype: "F8_E4M3", shape: [8] }, e4m3).data()]).toEqual([1, -1.125, 2 ** -9, 448, -0, NaN, NaN, 2 ** -6]);
  });

  it("keeps messages short, however long what they speak of", () => {
    const long = "n".repeat(1e6);
    const bad = [
      file(`{"${long}":null}`),
      fileOf({ [long]: f32(0, 0) }),
      fileOf({ x: { dtype: long, shape: 1, data_offsets: [0, 0] } }),
      fileOf({ __metadata__: { [long]: [long] } }),
      file(`{"${long}":{},"${long}":{}}`),
      file(long),
      file("[".repeat(1e6)),
    ];
    for (const bytes of bad) {
      const error = thrown(() => parse(bytes));
      expect(error).toBeInstanceOf(FormatError);
      expect((error as Error).message.length).toBeLessThan(400);
    }
    const { tensors } = parse(fileOf({ [long]: { dtype: long.slice(0, 1000), shape: [], data_offsets: [0, 0] } }));
    expect((thrown(() => tensors.get(long)) as Error).message.length).toBeLessThan(400);
  });

  it("refuses an enormous header at the first member that is wrong", () => {
    const million = 1e6;
    const headers = [`{"x":[${"[],".repeat(million)}[]]}`, `{"x":${'{"a":'.repeat(million)}`, `{${'"k":0,'.repeat(million)}"j":0}`];
    for (const header of headers) {
      const bytes = file(header);
      const before = process.memoryUsage().heapUsed;
      const began = process.cpuUsage().user;
      expect(() => parse(bytes)).toThrow(FormatError);
      // Building its value takes half a second and a hundred megabytes.
      expect(process.cpuUsage().user - began).toBeLessThan(400_000);
      expect(process.memoryUsage().heapUsed - before).toBeLessThan(60e6);
    }
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
    expect(() => parse(file(`{"__metadata__":${'{"a":'.repeat(3000)}"b"${"}".repeat(3000)}}`))).toThrow(/nested at most 127 deep/);
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
      ["mask", tensor([1, 0, 1], { dtype: "bool" })],
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
        ["a", tensor([1], { dtype: "bool" })],
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

  it("rejects what could not be read again, with nothing written", () => {
    const one = tensor(1);
    const named = (name: unknown, t: unknown = one) => new Map([[name, t]]) as Map<string, Tensor>;
    for (const name of ["__metadata__", "\ud800", "a\udc00b", 5]) expect(() => serialize(named(name))).toThrow(ArgumentError);
    for (const metadata of [{ step: 3 }, { a: null }, { a: "\udfff" }, { "\ud800": "a" }, { a: undefined }, ["a"], "text", null]) {
      expect(() => serialize(new Map(), metadata as unknown as Record<string, string>)).toThrow(ArgumentError);
    }
    for (const t of [null, [1], new Float32Array(1)]) expect(() => serialize(named("a", t))).toThrow(DTypeError);
    for (const tensors of [{ a: one }, [["a", one]], null]) {
      expect(() => serialize(tensors as unknown as Map<string, Tensor>)).toThrow(DTypeError);
    }
    const gone = tensor([1]);
    gone.dispose();
    expect(() => serialize(named("a", gone))).toThrow(StateError);
  });

  it("writes names and texts of whole characters as they are", () => {
    const metadata = Object.fromEntries([
      ["\ud83d\ude00", "\u0000 \ud83d\ude00 \uffff"],
      ["__proto__", "own"],
    ]);
    const back = parse(serialize(new Map([["\ud83d\ude00", tensor(1)]]), metadata));
    expect([...back.tensors.keys()]).toEqual(["\ud83d\ude00"]);
    expect(Object.entries(back.metadata)).toEqual(Object.entries(metadata));
  });
});
