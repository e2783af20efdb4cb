/** Files of torch.save: fixtures/torch_files.py makes them with Python's pickle and zipfile; damaged and hostile ones are put together here. */

import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { DTypeError, FormatError } from "../../src/base/errors.ts";
import { parseTorch } from "../../src/interop/torch.ts";
import { serialize } from "../../src/io/safetensors.ts";
import { RNN } from "../../src/recurrence/rnn.ts";
import { tensor } from "../../src/tensor/tensor.ts";
import { memory } from "../../src/wasm/host.ts";
import { thrown } from "../thrown.ts";
import { namedPickle, pickleOf, stored, tensorPickle, zipOf } from "./torch-bytes.ts";

const encoded = JSON.parse(readFileSync(new URL("fixtures/torch-files.json", import.meta.url), "utf8")) as Record<string, string>;
const file = (name: string): Uint8Array => Uint8Array.from(Buffer.from(encoded[name] as string, "base64"));

describe("parseTorch", () => {
  it.each(["state_dict", "state_dict_protocol_4", "state_dict_legacy"])("reads %s", (name) => {
    const { tensors, unreadable } = parseTorch(file(name));
    expect(unreadable.size).toBe(0);
    expect(Array.from(tensors, ([key, t]) => [key, t.dtype, t.shape, [...t.data()]])).toEqual([
      ["rnn.weight_ih_l0", "float32", [4, 2], [0.5, -0.25, 1.5, 2, -1, 0.125, 0.75, 3]],
      ["rnn.weight_hh_l0", "float32", [4, 4], Array.from({ length: 16 }, (_, i) => Math.fround(0.1 * i))],
      ["rnn.bias_ih_l0", "float32", [4], [1, 2, 3, 4]],
      ["rnn.bias_hh_l0", "float32", [4], [-1, -2, -3, -4]],
    ]);
  });

  it("reads everything that stands around a state dict", () => {
    const { value, tensors } = parseTorch(file("checkpoint"));
    const root = value as Map<string, unknown>;
    const plain = Object.fromEntries([...root].filter(([, v]) => !(v instanceof Map)));
    expect(plain).toEqual({
      epoch: 7,
      best: 0.25,
      name: "réseau",
      done: true,
      large: 2 ** 40,
      huge: 2n ** 70n,
      negative: -3,
      nothing: null,
      shape: [2, 3],
    });
    expect([...tensors.keys()]).toEqual([
      "state_dict.rnn.weight_ih_l0",
      "state_dict.rnn.weight_hh_l0",
      "state_dict.rnn.bias_ih_l0",
      "state_dict.rnn.bias_hh_l0",
      "optimizer.state.0.step",
      "optimizer.state.0.exp_avg",
    ]);
    expect([tensors.get("optimizer.state.0.step")?.shape, tensors.get("optimizer.state.0.step")?.item()]).toEqual([[], 10]);
    const groups = (root.get("optimizer") as Map<string, unknown>).get("param_groups") as Map<string, unknown>[];
    expect(Object.fromEntries(groups[0] as Map<string, unknown>)).toEqual({ lr: 0.001, betas: [0.9, 0.999], params: [0] });
  });

  it("keeps the values of views of a shared storage", () => {
    const { tensors } = parseTorch(file("views"));
    expect(Object.fromEntries(Array.from(tensors, ([name, t]) => [name, t.toArray()]))).toEqual({
      transposed: [[0, 4, 8], [1, 5, 9], [2, 6, 10], [3, 7, 11]], // biome-ignore format: a matrix
      column: [1, 5, 9],
      row: [4, 5, 6, 7],
      expanded: [[11, 11, 11], [11, 11, 11]], // biome-ignore format: a matrix
      empty: [],
      scalar: 5,
      whole: [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]], // biome-ignore format: a matrix
    });
    expect(tensors.get("empty")?.shape).toEqual([0, 5]);
  });

  it("reads every storage class, and tells what none here can hold", () => {
    const { tensors, unreadable, value } = parseTorch(file("dtypes"));
    const read = Object.fromEntries(Array.from(tensors, ([name, t]) => [name, [t.dtype, ...t.data()]]));
    expect(read).toEqual({
      double: ["float64", 0.1, -1e300],
      half: ["float32", 1, -2, 2 ** -24],
      bfloat16: ["float32", 1, -3.140625],
      long: ["int32", -5, 2 ** 31 - 1],
      int: ["int32", -7],
      short: ["int32", -300],
      char: ["int32", -128],
      byte: ["int32", 255],
      bool: ["bool", 1, 0],
    });
    expect([...unreadable.keys()]).toEqual(["wide"]);
    expect(() => tensors.get("wide")).toThrow(/parseTorch: wide cannot be read: expected values in .* got 2147483648/);
    expect((value as Map<string, unknown>).get("wide")).toBe(null);
  });

  it("makes one tensor of what is tied, and one of a file that is a tensor", () => {
    const { tensors } = parseTorch(file("tied"));
    expect(tensors.get("embedding.weight")).toBe(tensors.get("head.weight"));
    expect(tensors.get("head.weight")?.toArray()).toEqual([[1, 2], [3, 4]]); // biome-ignore format: a matrix
    expect(parseTorch(file("tensor_alone")).tensors.get("")?.toArray()).toEqual([1, 2]);
  });

  it("fills a layer, whose state dict is the file's again", () => {
    const rnn = RNN.fromStateDict(parseTorch(file("checkpoint")), { prefix: "state_dict.rnn" });
    expect([rnn.inputSize, rnn.hiddenSize]).toEqual([2, 4]);
    expect(rnn.parameters().map((p) => [...p.data()])).toEqual(
      Array.from(parseTorch(file("state_dict")).tensors.values(), (t) => [...t.data()]),
    );
  });

  it("reads an archive whose numbers have 64 bits, with a comment at its end", () => {
    const data = new Uint8Array(Float32Array.of(1, 2, 3).buffer);
    const pickle = namedPickle([["w", tensorPickle({ elements: 3, shape: [3], strides: [1] })]]);
    const entries = [stored("m/data.pkl", pickle), stored("m/data/0", data), stored("m/version", "3\n")];
    for (const options of [{}, { wide: true }, { comment: "made by hand" }]) {
      expect(parseTorch(zipOf(entries, options)).tensors.get("w")?.toArray()).toEqual([1, 2, 3]);
    }
  });

  it("takes bytes in every form, and refuses what is none", () => {
    const bytes = file("state_dict");
    const shared = new Uint8Array(new SharedArrayBuffer(bytes.length));
    shared.set(bytes);
    for (const form of [bytes.buffer, shared, Buffer.concat([Buffer.from("abc"), bytes]).subarray(3), new DataView(bytes.buffer)]) {
      expect(parseTorch(form).tensors.size).toBe(4);
    }
    expect(() => parseTorch("model.pt" as unknown as Uint8Array)).toThrow(DTypeError);
  });
});

describe("parseTorch refuses", () => {
  const archive = (pickle: Uint8Array, elements = 4) =>
    zipOf([stored("m/data.pkl", pickle), stored("m/data/0", new Uint8Array(4 * elements))]);
  const one = (t: Parameters<typeof tensorPickle>[0]) => archive(namedPickle([["w", tensorPickle(t)]]));
  const flat = { elements: 4, shape: [4], strides: [1] };
  const good = namedPickle([["w", tensorPickle(flat)]]);
  const data = stored("m/data/0", new Uint8Array(16));
  const huge = "\xff\xff\xff\x7f";

  const cases: [string, () => Uint8Array, RegExp][] = [
    ["a class, which it names", () => file("a_class"), /got the name types\.SimpleNamespace, which/],
    ["a call, which it names", () => file("a_call"), /got the name __builtin__\.print, which/],
    ["os.system", () => archive(pickleOf("cos\nsystem\n(X\x02\x00\x00\x00lstR")), /got the name os\.system/],
    ["os.system by the stack", () => archive(pickleOf("\x8c\x02os\x8c\x06system\x93")), /got the name os\.system/],
    ["a module that is no text", () => archive(pickleOf("}\x8c\x06system\x93")), /got the name \[object Map\]/],
    ["an opcode, which it names", () => archive(pickleOf("ios\nsystem\n")), /got INST \(0x69\) at byte 2/],
    ["another opcode", () => archive(pickleOf("N0N")), /got POP \(0x30\)/],
    ["a new object", () => archive(pickleOf("ctorch\nSize\n)\x81")), /got NEWOBJ \(0x81\)/],
    ["no opcode", () => archive(pickleOf("\xfe")), /got none \(0xfe\)/],
    ["a storage class that is unknown", () => one({ ...flat, storage: "ComplexFloatStorage" }), /got the name torch\.ComplexFloatStorage/],
    ["Object's own names", () => archive(pickleOf("ctorch\nconstructor\n")), /got the name torch\.constructor/],
    ["a class that is no call", () => archive(pickleOf("ctorch\nFloatStorage\n)R")), /calls of what it names/],
    ["a class as data", () => archive(pickleOf("ctorch\nFloatStorage\n")), /plain data, got a class/],
    ["a function as data", () => archive(pickleOf("}X\x01\x00\x00\x00actorch\nSize\ns")), /plain data, got a class at "a"/],
    [
      "a storage as data",
      () => archive(pickleOf("(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x04tQ")),
      /plain data/,
    ],
    ["a reference to something else", () => archive(pickleOf("(X\x06\x00\x00\x00moduletQ")), /references to storages/],
    [
      "a view beyond its storage",
      () => one({ ...flat, offset: 1 }),
      /"w" within the 4 elements of its storage, got offset 1, sizes \[4\], strides \[1\]/,
    ],
    ["strides beyond its storage", () => one({ ...flat, strides: [2] }), /within the 4 elements/],
    [
      "strides that overflow",
      () => one({ ...flat, shape: [2 ** 31 - 1, 2], strides: [2 ** 31 - 1, 2 ** 31 - 1] }),
      /within the 4 elements/,
    ],
    ["negative sizes", () => one({ ...flat, shape: [-1] }), /an offset, sizes and as many strides/],
    ["a negative offset", () => one({ ...flat, offset: -1 }), /an offset, sizes/],
    ["another number of strides", () => one({ ...flat, strides: [] }), /as many strides/],
    ["a storage that the file says is longer", () => one({ ...flat, elements: 5 }), /5 elements of F32 in storage "0", got 16 bytes/],
    ["a storage that is not there", () => one({ ...flat, key: "1" }), /storage "1" of "w" in the file, got none/],
    [
      "a bomb: one element, 2^60 times",
      () => one({ elements: 4, shape: [2 ** 30, 2 ** 30], strides: [0, 0] }),
      /no more memory than their file/,
    ],
    [
      "a bomb of many views",
      () =>
        archive(
          namedPickle(
            Array.from({ length: 50 }, (_, i) => [
              `w${i}`,
              tensorPickle({ elements: 4, offset: i % 4, shape: [1, 200_000 + i], strides: [0, 0] }),
            ]),
          ),
        ),
      /no more memory/,
    ],
    ["a list that holds itself", () => archive(pickleOf("]q\x00h\x00a")), /nested at most 64 deep/],
    ["a dictionary that holds itself", () => archive(pickleOf("}q\x00X\x01\x00\x00\x00ah\x00s")), /nested at most 64 deep/],
    [
      "lists of lists, doubled at each level",
      () => archive(pickleOf("]q\x00", ...Array.from({ length: 40 }, () => "](h\x00h\x00eq\x00"))),
      /shared over and over/,
    ],
    ["deep nesting", () => archive(pickleOf("(".repeat(100_000), "t".repeat(100_000))), /nested at most 64 deep/],
    ["millions of dictionaries", () => archive(pickleOf("}".repeat(300_000))), /at most 131072 dictionaries/],
    ["millions of lists", () => archive(pickleOf("]".repeat(1_100_000))), /at most 1048576 lists/],
    ["a text longer than the file", () => archive(pickleOf(`X${huge}abc`)), /2147483647 more bytes/],
    ["an integer of many bytes", () => archive(pickleOf(`\x8b${huge}`)), /integers of at most 64 bytes/],
    ["a line without end", () => archive(pickleOf(`c${"a".repeat(1000)}`)), /a line of at most 256 bytes/],
    ["nothing on the stack", () => archive(pickleOf("")), /a value for each opcode/],
    ["an end without a beginning", () => archive(pickleOf("t")), /groups that begin/],
    ["a value from below a group", () => archive(pickleOf("](Na")), /a list at byte|a value for each/],
    ["an odd number of keys and values", () => archive(pickleOf("}(NNNu")), /a value for each key/],
    ["a list as a key", () => archive(pickleOf("}]Ns")), /keys that are text or numbers/],
    ["a memory that is empty", () => archive(pickleOf("h\x05")), /what was remembered, got number 5/],
    ["nothing to remember", () => archive(pickleOf("q\x00")), /something to remember/],
    ["attributes of a list", () => archive(pickleOf("]}b")), /a dictionary with attributes/],
    ["pairs that are none", () => archive(pickleOf("ccollections\nOrderedDict\n(](K\x01etR")), /keys that are text/],
    [
      "one name for two tensors",
      () =>
        archive(
          namedPickle([
            ["a.b", tensorPickle(flat)],
            ["a", `}X\x01\x00\x00\x00b${tensorPickle(flat)}s`],
          ]),
        ),
      /unique names of tensors, got "a\.b" twice/,
    ],
    ["big-endian data", () => zipOf([stored("m/data.pkl", good), data, stored("m/byteorder", "big")]), /little-endian data, got "big"/],
    ["an archive of something else", () => zipOf([stored("word/document.xml", "")]), /one data\.pkl, got 0/],
    ["two pickles", () => zipOf([stored("a/data.pkl", good), stored("b/data.pkl", good)]), /one data\.pkl, got 2/],
    ["a compressed entry", () => zipOf([stored("m/data.pkl", good, { method: 8 }), data]), /"m\/data\.pkl" compressed by method 8/],
    ["an encrypted entry", () => zipOf([stored("m/data.pkl", good, { flags: 1 }), data]), /not encrypted/],
    ["one name for two entries", () => zipOf([stored("m/data.pkl", good), data, data]), /unique names in the archive/],
    [
      "entries over each other",
      () => zipOf([stored("m/data.pkl", good), data, stored("m/data/1", new Uint8Array(16), { start: 0 })]),
      /entries side by side/,
    ],
    [
      "an entry longer than the file",
      () => zipOf([stored("m/data.pkl", good), stored("m/data/0", new Uint8Array(16), { size: 1e6 })]),
      /within \d+ bytes, got an end/,
    ],
    [
      "an entry behind the file",
      () => zipOf([stored("m/data.pkl", good, { start: 1e9 })]),
      /the header of "m\/data\.pkl" at byte 1000000000/,
    ],
    ["2^60 bytes", () => zipOf([stored("m/data.pkl", good, { size: 2 ** 60 })], { wide: true }), /within \d+ bytes/],
    ["more entries than there are", () => zipOf([stored("m/data.pkl", good)], { count: 60_000 }), /60000 entries in the directory, got 1/],
    ["2^60 entries", () => zipOf([stored("m/data.pkl", good)], { wide: true, count: 2 ** 60 }), /entries in the directory, got 1/],
    ["safetensors", () => serialize(new Map([["w", tensor([1])]])), /a file of torch\.save/],
    ["an empty file", () => new Uint8Array(0), /a file of torch\.save/],
    ["an old file of another magic", () => pickleOf("K\x01"), /a file of torch\.save/],
  ];
  it.each(cases)("%s", (_, make, message) => {
    const bytes = make();
    const before = memory();
    const began = process.cpuUsage().user;
    const error = thrown(() => parseTorch(bytes));
    expect(process.cpuUsage().user - began).toBeLessThan(1_000_000);
    expect(error).toBeInstanceOf(FormatError);
    expect((error as Error).message).toMatch(message);
    expect((error as Error).message.length).toBeLessThan(600);
    expect([memory().liveBytes, memory().blocks]).toEqual([before.liveBytes, before.blocks]);
    expect(memory().linearBytes - before.linearBytes).toBeLessThan(64e6);
  });

  it.each(["state_dict", "state_dict_protocol_4", "state_dict_legacy"])("every truncation of %s", (name) => {
    const bytes = file(name);
    for (let n = 0; n < bytes.length; n++) expect(() => parseTorch(bytes.subarray(0, n)), `${n} bytes`).toThrow(FormatError);
  });
});
