/** Models with int8 weights as files, and floats in half their bytes. */

import { describe, expect, it } from "vitest";
import { ArgumentError, FormatError, ShapeError } from "../../src/base/errors.ts";
import { parse, serialize } from "../../src/io/safetensors.ts";
import { CharModel } from "../../src/models/char-model.ts";
import { Embedding, LayerNorm, Linear } from "../../src/nn/layers.ts";
import { Module } from "../../src/nn/module.ts";
import { loadQuantized, quantize, serializeQuantized } from "../../src/quantized/quantize.ts";
import { GRU, LSTM } from "../../src/recurrence/rnn.ts";
import { Stream } from "../../src/recurrence/stream.ts";
import { Generator } from "../../src/tensor/random.ts";
import { scope, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { memory } from "../../src/wasm/host.ts";

class Model extends Module {
  readonly table: Embedding;
  readonly lstm: LSTM;
  readonly gru: GRU;
  readonly norm = new LayerNorm(5);
  readonly head: Linear;

  constructor(seed: number) {
    super();
    const generator = new Generator(seed);
    this.table = new Embedding(9, 6, { generator });
    this.lstm = new LSTM({ inputSize: 6, hiddenSize: 11, projSize: 7, peepholes: true, numLayers: 2, generator });
    this.gru = new GRU({ inputSize: 7, hiddenSize: 5, generator });
    this.head = new Linear(5, 9, { generator });
  }

  forward(ids: Tensor): Tensor {
    const hidden = this.gru.forward(this.lstm.forward(this.table.forward(ids)).output).output;
    return this.head.forward(this.norm.forward(hidden));
  }
}

const ids = tensor(
  [
    [1, 8],
    [0, 3],
    [5, 5],
  ],
  { dtype: "int32" },
);
const outputs = (model: Model) => scope(() => Array.from(model.forward(ids).data()));

const saved = new Model(1);
quantize(saved);
const want = outputs(saved);
const file = serializeQuantized(saved, { made: "here" });

/** The header of a safetensors file. */
function headerOf(bytes: Uint8Array): Record<string, { dtype: string; shape: number[] }> {
  const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
  return JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
}

/** The file with other tensors. */
function changed(change: (tensors: Map<string, Tensor>) => void): Uint8Array {
  const tensors = new Map(parse(file).tensors);
  change(tensors);
  return serialize(tensors);
}

describe("a file of int8 weights", () => {
  it("has the matrices as I8 with a scale a row, by name", () => {
    const header = headerOf(file);
    expect(header.__metadata__).toEqual({ made: "here" });
    const shapes = Object.entries(header).flatMap(([name, { dtype, shape }]) => (shape ? [`${name} ${dtype} ${shape}`] : []));
    expect(shapes.filter((line) => line.includes("I8"))).toEqual(
      expect.arrayContaining([
        "table.weight.values I8 9,6",
        "lstm.weight_ih_l0.values I8 44,6",
        "lstm.weight_hh_l1.values I8 44,7",
        "lstm.weight_hr_l0.values I8 7,11",
        "gru.weight_hh_l0.values I8 15,5",
        "head.weight.values I8 9,5",
      ]),
    );
    expect(shapes).toContain("lstm.weight_hr_l0.scales F32 7");
    expect(shapes).toContain("lstm.weight_peephole_l0 F32 3,11");
    expect(shapes).toContain("head.bias F32 9");
    const { tensors } = parse(file);
    const values = tensors.get("head.weight.values")?.data() as Int32Array;
    const scales = tensors.get("head.weight.scales")?.data() as Float32Array;
    const weight = new Model(1).head.weight.data();
    expect(
      weight.every(
        (w, i) =>
          Math.abs((values[i] as number) * (scales[Math.floor(i / 5)] as number) - w) <= 0.501 * (scales[Math.floor(i / 5)] as number),
      ),
    ).toBe(true);
  });

  it("takes a quarter of the bytes", () => {
    const lstm = new LSTM({ inputSize: 256, hiddenSize: 256 });
    const floats = serialize(lstm.stateDict()).length;
    quantize(lstm);
    expect(serializeQuantized(lstm).length < 0.26 * floats + 1000).toBe(true);
  });

  it("loads into a model of floats and into one of int8, with the same bits", () => {
    const model = new Model(2);
    const { quantized, kept } = loadQuantized(model, file);
    expect(quantized.length).toBe(10);
    expect(kept.map(({ name }) => name)).toEqual(["norm.weight", "norm.bias"]);
    expect(outputs(model)).toEqual(want);
    const other = new Model(3);
    quantize(other);
    expect(outputs(other)).not.toEqual(want);
    loadQuantized(other, file);
    expect(outputs(other)).toEqual(want);
    expect(serializeQuantized(other, { made: "here" })).toEqual(file);
    expect(scope(() => Array.from(new Stream(model.gru).step(new Float32Array(7).fill(1))))).toEqual(
      scope(() => Array.from(new Stream(saved.gru).step(new Float32Array(7).fill(1)))),
    );
  });

  it("has what a state dict of this library needs, too", () => {
    const model = new Model(2);
    quantize(model);
    model.loadStateDict(saved.stateDict());
    expect(outputs(model)).toEqual(want);
  });

  it("serves whole models and layers alone", () => {
    const model = new CharModel({ vocabSize: 7, hidden: 10, seed: 1 });
    quantize(model);
    const again = new CharModel({ vocabSize: 7, hidden: 10, seed: 5 });
    loadQuantized(again, serializeQuantized(model));
    const text = tensor([[1], [6], [2]], { dtype: "int32" });
    expect(Array.from(again.forward(text)[0].data())).toEqual(Array.from(model.forward(text)[0].data()));
    const layer = new Linear(3, 2);
    loadQuantized(layer, serializeQuantized(quantize(new Linear(3, 2, { generator: new Generator(4) })).model));
    expect(layer.parameters()).toEqual([]);
  });

  it.each<[string, (tensors: Map<string, Tensor>) => void, unknown, string]>([
    ["a missing scale", (t) => t.delete("head.weight.scales"), FormatError, "missing: head.weight.scales"],
    ["a missing matrix of a layer", (t) => t.delete("lstm.weight_hr_l1.values"), FormatError, "missing: lstm.weight_hr_l1.values"],
    ["an unknown name", (t) => t.set("extra", tensor([1])), FormatError, "unknown: extra"],
    [
      "another shape",
      (t) => t.set("head.weight.values", tensor([[1, 2]], { dtype: "int32" })),
      FormatError,
      "expected head.weight.values [9,5], got [1,2]",
    ],
    ["other scales", (t) => t.set("head.weight.scales", tensor([1])), FormatError, "expected head.weight.scales [9], got [1]"],
    [
      "numbers beyond int8",
      (t) => t.set("head.weight.values", tensor(new Int32Array(45).fill(-128), { shape: [9, 5] })),
      FormatError,
      "in [-127, 127]",
    ],
    [
      "floats for int8",
      (t) => t.set("head.weight.values", tensor(new Float32Array(45), { shape: [9, 5] })),
      FormatError,
      "of I8, got float32",
    ],
    [
      "a scale that is not finite",
      (t) => t.set("gru.weight_hh_l0.scales", tensor(new Float32Array(15).fill(Number.NaN))),
      FormatError,
      "finite scales",
    ],
    ["a bias of another size", (t) => t.set("head.bias", tensor([1])), ShapeError, "head.bias"],
  ])("is refused with %s, and nothing is loaded", (_, change, Kind, message) => {
    const model = new Model(2);
    const before = outputs(model);
    const bytes = changed(change);
    const live = memory().liveBytes;
    expect(() => loadQuantized(model, bytes)).toThrow(Kind as typeof FormatError);
    expect(() => loadQuantized(model, bytes)).toThrow(message);
    expect(memory().liveBytes).toBe(live);
    expect(outputs(model)).toEqual(before);
    expect(model.parameters().length).toBe(new Model(2).parameters().length);
  });

  it("of other sizes, or of nothing, is refused", () => {
    expect(() => loadQuantized(new Linear(3, 2), file)).toThrow(FormatError);
    expect(() => loadQuantized(new Linear(3, 2), new Uint8Array(3))).toThrow(FormatError);
  });
});

describe("floats as float16", () => {
  it("are the nearest of float16, and come back as float32", () => {
    // Bits by hand: 1, the largest, the least normal and subnormal, ties to even below and above, -0.
    const cases: [number, number][] = [
      [1, 0x3c00],
      [65504, 0x7bff],
      [65519, 0x7bff],
      [2 ** -14, 0x0400],
      [2 ** -24, 0x0001],
      [2 ** -25, 0x0000],
      [3 * 2 ** -25, 0x0002],
      [2 ** -14 - 2 ** -26, 0x0400],
      [1 + 2 ** -11, 0x3c00],
      [1 + 3 * 2 ** -11, 0x3c02],
      [2 - 2 ** -12, 0x4000],
      [-2.5, 0xc100],
      [-0, 0x8000],
      [Number.POSITIVE_INFINITY, 0x7c00],
      [Number.NaN, 0x7e00],
    ];
    const bytes = serialize(new Map([["x", tensor(cases.map(([x]) => x))]]), {}, { float16: true });
    expect(headerOf(bytes).x?.dtype).toBe("F16");
    expect(Array.from(new Uint16Array(bytes.slice(bytes.length - 2 * cases.length).buffer))).toEqual(cases.map(([, bits]) => bits));
    const back = parse(bytes).tensors.get("x") as Tensor;
    expect(back.dtype).toBe("float32");
    expect(back.data()[1]).toBe(65504);
  });

  it("meet every float16 there is", () => {
    const every = Uint16Array.from({ length: 65_536 }, (_, i) => i).filter((i) => (i & 0x7c00) !== 0x7c00);
    const plain = serialize(new Map([["x", tensor(new Float32Array(every.length))]]), {}, { float16: true });
    plain.set(new Uint8Array(every.buffer), plain.length - 2 * every.length);
    expect(serialize(parse(plain).tensors, {}, { float16: true })).toEqual(plain);
  });

  it("halve a model's bytes; integers stay", () => {
    const tensors = new Map<string, Tensor>([...new Model(1).stateDict(), ["ids", ids]]);
    const [halves, whole] = [serialize(tensors, {}, { float16: true }), serialize(tensors)];
    const data = (bytes: Uint8Array) => bytes.length - Number(new DataView(bytes.buffer).getBigUint64(0, true)) - 8;
    expect(data(halves) - 24).toBe((data(whole) - 24) / 2);
    expect(headerOf(halves).ids?.dtype).toBe("I32");
  });

  it("are refused where they are too large", () => {
    expect(() => serialize(new Map([["x", tensor([1, 65520])]]), {}, { float16: true })).toThrow(ArgumentError);
    expect(() => serialize(new Map([["x", tensor([1])]]), {}, { half: true } as never)).toThrow("half");
  });
});
