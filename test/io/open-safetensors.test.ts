import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ArgumentError, DTypeError, FormatError } from "../../src/base/errors.ts";
import { openFile } from "../../src/io/files.ts";
import { type ByteRanges, openSafetensors } from "../../src/io/open-safetensors.ts";
import { parse, serialize } from "../../src/io/safetensors.ts";
import { LSTM } from "../../src/recurrence/rnn.ts";
import { Generator } from "../../src/tensor/random.ts";
import { tensor } from "../../src/tensor/tensor.ts";
import { memory } from "../../src/wasm/host.ts";

const lstm = new LSTM({ inputSize: 3, hiddenSize: 4, generator: new Generator(1) });
const tensors = new Map([
  ...Array.from(lstm.stateDict(), ([name, t]) => [`rnn.${name}`, t] as const),
  ["ids", tensor([1, 2, 3], { dtype: "int32" })],
  ["none", tensor([], { shape: [0, 2] })],
]);
const bytes = serialize(tensors, { format: "pt" });
const dataStart = 8 + Number(new DataView(bytes.buffer).getBigUint64(0, true));

/** A file from a header and data, written without the library. */
function fileOf(entries: object, data: ArrayLike<number>): Uint8Array<ArrayBuffer> {
  const json = new TextEncoder().encode(JSON.stringify(entries));
  const file = new Uint8Array(8 + json.length + data.length);
  new DataView(file.buffer).setBigUint64(0, BigInt(json.length), true);
  file.set(json, 8);
  file.set(data, 8 + json.length);
  return file;
}

/** A file that says which of its ranges were asked for. */
function watched(file: Uint8Array): ByteRanges & { readonly asked: [number, number][] } {
  const asked: [number, number][] = [];
  return {
    size: file.length,
    asked,
    read: async (begin, end) => {
      asked.push([begin, end]);
      return file.slice(begin, end);
    },
  };
}

describe("openSafetensors", () => {
  let folder = "";
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "open-"));
    await writeFile(join(folder, "model.safetensors"), bytes);
  });
  afterAll(() => rm(folder, { recursive: true }));

  it("gives what the reader of whole files gives, from bytes, a Blob, a file and ranges", async () => {
    const handle = await openFile(join(folder, "model.safetensors"));
    for (const source of [bytes, bytes.buffer, new Blob([bytes]), watched(bytes), handle]) {
      const file = await openSafetensors(source);
      const whole = parse(bytes);
      expect([...file.info.keys()]).toEqual([...whole.tensors.keys()]);
      expect(file.metadata).toEqual(whole.metadata);
      expect(file.info.get("rnn.weight_ih_l0")).toEqual({ dtype: "F32", shape: [16, 3], bytes: 192 });
      for (const [name, t] of await file.tensors()) {
        expect([t.dtype, t.shape]).toEqual([whole.tensors.get(name)?.dtype, whole.tensors.get(name)?.shape]);
        expect(t.data()).toEqual(whole.tensors.get(name)?.data());
        expect(await file.data(name)).toEqual(t.data());
      }
    }
    await handle.close();
  });

  it("reads of a large file its header and the one tensor that is asked for", async () => {
    const data = new Uint8Array(1_000_000 + 8);
    data.set(new Uint8Array(Float32Array.of(1.5, -2).buffer), 1_000_000);
    const source = watched(
      fileOf(
        {
          big: { dtype: "U8", shape: [1_000_000], data_offsets: [0, 1_000_000] },
          x: { dtype: "F32", shape: [2], data_offsets: [1_000_000, 1_000_008] },
        },
        data,
      ),
    );
    const file = await openSafetensors(source);
    expect((await file.tensor("x")).toArray()).toEqual([1.5, -2]);
    expect(source.asked).toEqual([
      [0, 65536],
      [source.size - 8, source.size],
    ]);
  });

  it("asks again for a header that is longer than the first request", async () => {
    const many = new Map(Array.from({ length: 2000 }, (_, i) => [`layer.${i}.weight`, tensor([i])]));
    const source = watched(serialize(many));
    const file = await openSafetensors(source);
    expect(file.info.size).toBe(2000);
    expect(source.asked.length).toBe(2);
    expect((await file.tensor("layer.1234.weight")).toArray()).toEqual([1234]);
  });

  it("gives views of the file's own bytes where they lie at an address that fits, and copies elsewhere", async () => {
    const file = await openSafetensors(bytes);
    const view = await file.data("rnn.weight_ih_l0");
    expect(view.buffer).toBe(bytes.buffer);
    expect(view.byteOffset).toBe(dataStart);
    const shifted = new Uint8Array(bytes.length + 1);
    shifted.set(bytes, 1);
    const copy = await (await openSafetensors(shifted.subarray(1))).data("rnn.weight_ih_l0");
    expect(copy.buffer).not.toBe(shifted.buffer);
    expect(copy).toEqual(view);
  });

  it("widens half precision, and keeps the bits of NaN", async () => {
    const halves = Uint16Array.of(0x0001, 0x7d55, 0xfc00, 0x7fc1);
    const entry = (dtype: string, at: number) => ({ dtype, shape: [2], data_offsets: [at, at + 4] });
    const file = fileOf({ a: entry("F16", 0), b: entry("BF16", 4) }, new Uint8Array(halves.buffer));
    const bitsOf = (t: { data(): ArrayLike<number> }) => [...new Uint32Array((t.data() as Float32Array).slice().buffer)];
    const opened = await openSafetensors(file);
    expect(bitsOf(await opened.tensor("a"))).toEqual([0x33800000, 0x7faaa000]);
    expect(bitsOf(await opened.tensor("b"))).toEqual([0xfc000000, 0x7fc10000]);
    expect(bitsOf(parse(file).tensors.get("a") as never)).toEqual([0x33800000, 0x7faaa000]);
  });

  it("loads a module from the tensors under a prefix", async () => {
    const source = watched(bytes);
    const file = await openSafetensors(source);
    const loaded = LSTM.fromStateDict(await file.tensors("rnn."), { prefix: "rnn" });
    expect(loaded.parameters().map((p) => p.data())).toEqual(lstm.parameters().map((p) => p.data()));
    expect(source.asked.length).toBe(5);
  });

  it("refuses what it cannot read, and leaves nothing allocated", async () => {
    const file = await openSafetensors(bytes);
    await expect(file.tensor("other")).rejects.toThrow(ArgumentError);
    await expect(file.tensor("other")).rejects.toThrow(/one of the names rnn.weight_ih_l0, .*, got "other"/);
    const odd = fileOf(
      { w: { dtype: "F32", shape: [1], data_offsets: [0, 4] }, x: { dtype: "F4", shape: [2], data_offsets: [4, 5] } },
      new Uint8Array(5),
    );
    const before = memory().liveBytes;
    await expect((await openSafetensors(odd)).tensors()).rejects.toThrow(/x cannot be read: expected one of dtype/);
    expect(memory().liveBytes).toBe(before);
    const bad: [unknown, new (message: string) => Error, RegExp][] = [
      [new Uint8Array(3), FormatError, /at least 8 bytes, got 3/],
      [new Blob(["PK\x03\x04aaaaaaaaaaaa"]), FormatError, /zip/],
      [bytes.subarray(0, bytes.length - 1), FormatError, /bytes of data/],
      [bytes.subarray(0, 40), FormatError, /expected a header of/],
      [{ size: bytes.length, read: () => new Uint8Array(4) }, FormatError, /expected the bytes 0 to \d+ of the source, got 4 bytes/],
      [{ size: -1, read: () => bytes }, DTypeError, /size in bytes/],
      [{ size: "8", read: () => bytes }, DTypeError, /size in bytes/],
      [{ size: 8, read: () => "text" }, DTypeError, /expected bytes/],
      ["model.safetensors", DTypeError, /expected bytes/],
      [null, DTypeError, /expected bytes/],
    ];
    for (const [source, type, message] of bad) {
      await expect(openSafetensors(source as Uint8Array)).rejects.toThrow(type);
      await expect(openSafetensors(source as Uint8Array)).rejects.toThrow(message);
    }
  });

  it("refuses every truncation as the reader of whole files does", async () => {
    for (let n = 0; n < bytes.length; n += 7)
      await expect(openSafetensors(bytes.subarray(0, n)), `${n} bytes`).rejects.toThrow(FormatError);
  });
});
