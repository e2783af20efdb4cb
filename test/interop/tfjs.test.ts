/** Layers models of TensorFlow.js: fixtures/tfjs_models.mjs made them and ran them with TensorFlow.js itself. */

import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { noGrad } from "../../src/autodiff/tape.ts";
import { ArgumentError, DTypeError, FormatError } from "../../src/base/errors.ts";
import { numberToHalf } from "../../src/base/half.ts";
import type { KerasRecurrent } from "../../src/interop/keras-layers.ts";
import { loadTfjs, parseTfjs } from "../../src/interop/tfjs.ts";
import { GRUCell, LSTMCell, RNNCell } from "../../src/recurrence/rnn-cells.ts";
import { type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { memory } from "../../src/wasm/host.ts";
import { thrown } from "../thrown.ts";

interface Values {
  readonly shape: number[];
  readonly values: number[];
}

interface Saved {
  readonly modelTopology: { model_config?: unknown; config: { layers: { class_name: string; config: Record<string, unknown> }[] } };
  readonly weightSpecs: { name: string; shape: number[]; dtype: string; quantization?: object }[];
  readonly weightData: string;
  readonly input: Values;
  readonly output: Values;
}

const models = JSON.parse(readFileSync(new URL("fixtures/tfjs-models.json", import.meta.url), "utf8")) as Record<string, Saved>;
const saved = (name: string): Saved => structuredClone(models[name] as Saved);
const dataOf = ({ weightData }: Saved): Uint8Array => Uint8Array.from(Buffer.from(weightData, "base64"));
const jsonOf = ({ modelTopology, weightSpecs }: Saved, paths = ["a.bin"]) => ({
  modelTopology,
  weightsManifest: [{ paths, weights: weightSpecs }],
});
const load = (model: Saved) => loadTfjs(jsonOf(model), dataOf(model));

function inputOf({ input }: Saved, ids: boolean): Tensor {
  return tensor(ids ? Int32Array.from(input.values) : Float32Array.from(input.values), { shape: input.shape });
}

function expectClose(y: Tensor, { shape, values }: Values, tolerance = 1e-5): void {
  expect(y.shape).toEqual(shape);
  const worst = Math.max(...Array.from(y.data(), (v, i) => Math.abs(v - (values[i] as number))));
  expect(!(worst <= tolerance), `largest error ${worst}`).toBe(false);
}

describe("loadTfjs computes what TensorFlow.js computes", () => {
  it.each(Object.keys(models))("%s", (name) => {
    const model = saved(name);
    const y = noGrad(() => load(model).forward(inputOf(model, name === "embedding")));
    expectClose(y, model.output);
  });

  it("with the library's own cells where their activations are its own", () => {
    const cellOf = (model: string, layer: string) => (load(saved(model)).layer(layer) as KerasRecurrent).cell;
    expect(cellOf("lstm", "first")).toBeInstanceOf(LSTMCell);
    expect(cellOf("gru", "gru_GRU1")).toBeInstanceOf(GRUCell);
    expect(cellOf("rnn", "simple_rnn_SimpleRNN1")).toBeInstanceOf(RNNCell);
    expect(cellOf("rnn", "simple_rnn_SimpleRNN2")).not.toBeInstanceOf(RNNCell);
  });

  it("from text, bytes, an array of shards, shards by path, and one of all bytes", () => {
    const model = saved("lstm");
    const bytes = dataOf(model);
    const json = jsonOf(model, ["a.bin", "b.bin"]);
    const [a, b] = [bytes.slice(0, 101), bytes.slice(101)];
    const text = JSON.stringify(json);
    const forms = [
      loadTfjs(text, [a, b]),
      loadTfjs(new TextEncoder().encode(text), { "b.bin": b.buffer, "a.bin": a }),
      loadTfjs(json, bytes.buffer),
      loadTfjs({ ...json, modelTopology: { model_config: model.modelTopology } }, bytes),
    ];
    for (const m of forms) expectClose(m.forward(inputOf(model, false)), model.output);
  });

  it.each(["forward_both", "backward_both"])("with both directions of a layer called %s", (called) => {
    const text = JSON.stringify(saved("bidirectional"));
    const first = saved("bidirectional").modelTopology.config.layers[0]?.config.name as string;
    const model = JSON.parse(text.replaceAll(`"${first}"`, `"${called}"`).replaceAll(`"${first}/`, `"${called}/`)) as Saved;
    expectClose(load(model).forward(inputOf(model, false)), model.output);
  });

  it("from several groups of the manifest", () => {
    const model = saved("lstm");
    const bytes = dataOf(model);
    const [first, ...rest] = model.weightSpecs;
    const cut = 4 * 24;
    const weightsManifest = [
      { paths: ["g1.bin"], weights: [first] },
      { paths: ["g2a.bin", "g2b.bin"], weights: rest },
    ];
    const json = { modelTopology: model.modelTopology, weightsManifest };
    for (const shards of [bytes, [bytes.slice(0, cut), bytes.slice(cut, cut + 9), bytes.slice(cut + 9)]]) {
      expectClose(loadTfjs(json, shards).forward(inputOf(model, false)), model.output);
    }
  });
});

describe("parseTfjs", () => {
  it("gives quantised weights as the numbers that they stand for", () => {
    const weights = [
      { name: "a", shape: [3], dtype: "float32", quantization: { dtype: "uint8", scale: 0.5, min: -1 } },
      { name: "b", shape: [2], dtype: "float32", quantization: { dtype: "uint16", scale: 0.001, min: 3 } },
      { name: "c", shape: [2], dtype: "float32", quantization: { dtype: "float16" } },
      { name: "d", shape: [1], dtype: "int32" },
      { name: "e", shape: [2], dtype: "bool" },
      { name: "f", shape: [], dtype: "float32" },
    ];
    const shard = Uint8Array.from([
      ...[0, 1, 255],
      ...new Uint8Array(Uint16Array.of(1, 65535).buffer),
      ...new Uint8Array(Uint16Array.of(0x3c00, 0x8001).buffer),
      ...new Uint8Array(Int32Array.of(-9).buffer),
      ...[1, 0],
      ...new Uint8Array(Float32Array.of(0.1).buffer),
    ]);
    const { tensors, json } = parseTfjs({ weightsManifest: [{ paths: ["s"], weights }], format: "graph-model" }, shard);
    expect(Object.fromEntries(Array.from(tensors, ([name, t]) => [name, [t.dtype, ...t.data()]]))).toEqual({
      a: ["float32", -1, -0.5, 126.5],
      b: ["float32", Math.fround(3.001), Math.fround(68.535)],
      c: ["float32", 1, -(2 ** -24)],
      d: ["int32", -9],
      e: ["bool", 1, 0],
      f: ["float32", Math.fround(0.1)],
    });
    expect(json.format).toBe("graph-model");
  });

  it("loads a model of half precision", () => {
    const model = saved("lstm");
    const values = new Float32Array(dataOf(model).buffer);
    const halves = Uint16Array.from(values, numberToHalf);
    const weightSpecs = model.weightSpecs.map((w) => ({ ...w, quantization: { dtype: "float16" } }));
    const y = loadTfjs(jsonOf({ ...model, weightSpecs }), new Uint8Array(halves.buffer)).forward(inputOf(model, false));
    expectClose(y, model.output, 1e-3);
  });
});

describe("loadTfjs refuses", () => {
  const changed =
    (change: (layers: { class_name: string; config: Record<string, unknown> }[], model: Saved) => void, name = "lstm") =>
    () => {
      const model = saved(name);
      change(model.modelTopology.config.layers, model);
      return load(model);
    };
  const set = (setting: string, value: unknown, name = "lstm") =>
    changed((layers) => {
      (layers[0] as { config: Record<string, unknown> }).config[setting] = value;
    }, name);

  const cases: [string, () => unknown, new (message: string) => Error, RegExp][] = [
    [
      "a layer that is not built",
      changed((l) => Object.assign(l[0] as object, { class_name: "MultiHeadAttention" })),
      FormatError,
      /got "first" \(MultiHeadAttention\)/,
    ],
    [
      "Object's own names as a layer",
      changed((l) => Object.assign(l[0] as object, { class_name: "constructor" })),
      FormatError,
      /got "first" \(constructor\)/,
    ],
    [
      "an activation that is unknown",
      set("activation", "snake"),
      FormatError,
      /layer "first" \(LSTM\) with activation that is known, got "snake"/,
    ],
    ["an activation by class", set("activation", { class_name: "X", config: {} }), FormatError, /activation that is known/],
    [
      "a recurrent activation that is unknown",
      set("recurrent_activation", "toString"),
      FormatError,
      /recurrent_activation that is known, got "toString"/,
    ],
    ["time first", set("time_major", true), FormatError, /layer "first" \(LSTM\) with time_major false, got true/],
    ["no units", set("units", 0), FormatError, /units as a whole number of at least 1, got 0/],
    ["billions of units", set("units", 2 ** 30), FormatError, /first\/kernel float32 \[2,12\] for floats \[2,4294967296\]/],
    ["units as text", set("units", "3"), FormatError, /units as a whole number/],
    ["a flag that is none", set("use_bias", 1), FormatError, /use_bias true or false, got 1/],
    [
      "channels first",
      set("data_format", "channels_first", "convolution"),
      FormatError,
      /Conv1D\) with data_format "channels_last", got "channels_first"/,
    ],
    ["windows with strides of the same size", set("strides", [2], "convolution"), FormatError, /strides of 1 under padding "same", got 2/],
    [
      "an axis in the middle",
      changed((l) => Object.assign((l[1] as { config: object }).config, { axis: 0 }), "convolution"),
      FormatError,
      /BatchNormalization\) with axis -1/,
    ],
    ["a bias that the layer does not have", set("use_bias", false), FormatError, /unknown first\/bias/],
    [
      "a reset after the product with a bias for one before",
      set("reset_after", true, "gru"),
      FormatError,
      /gru_GRU1\/bias float32 \[9\] for floats \[2,9\]/,
    ],
    [
      "two directions of something else",
      changed(
        (l) => Object.assign((l[0] as { config: object }).config, { layer: { class_name: "Dense", config: { name: "d", units: 1 } } }),
        "bidirectional",
      ),
      FormatError,
      /Bidirectional\) with layer of SimpleRNN/,
    ],
    ["directions that are not joined", set("merge_mode", null, "bidirectional"), FormatError, /merge_mode as one of concat/],
    [
      "a layer without a name",
      changed((l) => Object.assign((l[0] as { config: object }).config, { name: "" })),
      FormatError,
      /a layer with a name/,
    ],
    [
      "two layers of one name",
      changed((l) => Object.assign((l[1] as { config: object }).config, { name: "first" })),
      FormatError,
      /unique names of layers, got "first" twice/,
    ],
    [
      "everything that is wrong with weights, at once",
      changed((_, m) => {
        const [a, b, c] = m.weightSpecs as unknown as [{ name: string; shape: number[] }, { name: string }, { name: string }];
        a.shape = [12, 2];
        b.name = "first/other";
        c.name = "third/bias";
      }),
      FormatError,
      /no first\/recurrent_kernel, no first\/bias, unknown first\/other, first\/kernel float32 \[12,2\] for floats \[12,12\].*, weights of "third\/bias"/,
    ],
    [
      "a model that is none",
      () => loadTfjs({ weightsManifest: [], modelTopology: 3 }, []),
      FormatError,
      /a model with class_name and layers, got 3/,
    ],
    [
      "a graph model",
      () => loadTfjs({ weightsManifest: [], modelTopology: { node: [] } }, []),
      FormatError,
      /a model with class_name and layers/,
    ],
    ["no manifest", () => loadTfjs({}, []), FormatError, /with a weightsManifest/],
    ["no JSON", () => loadTfjs("<html>", []), FormatError, /a model file in JSON/],
    ["no model at all", () => loadTfjs(null as unknown as string, []), DTypeError, /expected bytes/],
    ["shards that are no bytes", () => loadTfjs(jsonOf(saved("lstm")), ["text" as unknown as Uint8Array]), DTypeError, /expected bytes/],
    ["shards that are nothing", () => loadTfjs(jsonOf(saved("lstm")), null as unknown as Uint8Array), DTypeError, /expected bytes/],
    [
      "a shard too few",
      () => loadTfjs(jsonOf(saved("lstm"), ["a", "b"]), [dataOf(saved("lstm"))]),
      FormatError,
      /2 shards, for a, b, got 1/,
    ],
    [
      "a shard of another path",
      () => loadTfjs(jsonOf(saved("lstm")), { "b.bin": dataOf(saved("lstm")) }),
      FormatError,
      /a shard a\.bin, got \["b\.bin"\]/,
    ],
    [
      "bytes that are too few",
      () => loadTfjs(jsonOf(saved("lstm")), dataOf(saved("lstm")).slice(1)),
      FormatError,
      /bytes of weights up to head\/bias/,
    ],
    [
      "bytes that are too many",
      () => loadTfjs(jsonOf(saved("lstm")), new Uint8Array(9999)),
      FormatError,
      /expected \d+ bytes in a\.bin, got 9999/,
    ],
    [
      "a weight of 2^60 elements",
      changed((_, m) => Object.assign(m.weightSpecs[0] as object, { shape: [2 ** 30, 2 ** 30] })),
      FormatError,
      /bytes of weights up to first\/kernel/,
    ],
    [
      "negative sizes",
      changed((_, m) => Object.assign(m.weightSpecs[0] as object, { shape: [-1, -24] })),
      FormatError,
      /first\/kernel with a shape of whole sizes/,
    ],
    [
      "texts as weights",
      changed((_, m) => Object.assign(m.weightSpecs[0] as object, { dtype: "string" })),
      FormatError,
      /first\/kernel of dtype float32, .*, got "string"/,
    ],
    [
      "a quantisation without end",
      changed((_, m) => Object.assign(m.weightSpecs[0] as object, { quantization: { dtype: "uint8", scale: null, min: 0 } })),
      FormatError,
      /first\/kernel with a scale/,
    ],
    [
      "weights of one name",
      changed((_, m) => Object.assign(m.weightSpecs[1] as object, { name: "first/kernel" })),
      FormatError,
      /unique names of weights/,
    ],
    [
      "a hard sigmoid of another version",
      () => loadTfjs(jsonOf(saved("lstm")), dataOf(saved("lstm")), { hardSigmoid: "keras4" as never }),
      ArgumentError,
      /hardSigmoid to be one of "keras2", "keras3"/,
    ],
    [
      "an option that it does not know",
      () => loadTfjs(jsonOf(saved("lstm")), dataOf(saved("lstm")), { hard: 1 } as never),
      ArgumentError,
      /hard/,
    ],
    ["a name that no layer has", () => load(saved("lstm")).layer("third"), ArgumentError, /one of first, second, head, got "third"/],
  ];
  it.each(cases)("%s", (_, make, type, message) => {
    const error = thrown(make);
    expect(error).toBeInstanceOf(type);
    expect((error as Error).message).toMatch(message);
  });

  it("and leaves nothing allocated", () => {
    for (const [, make] of cases.slice(0, -1)) {
      const before = memory().liveBytes;
      thrown(make);
      expect(memory().liveBytes).toBe(before);
    }
  });
});

describe("functional models", () => {
  const layer = (class_name: string, name: string, config: object, from: unknown) => ({
    class_name,
    name,
    config: { name, ...config },
    inbound_nodes: from,
  });
  const weights = [
    { name: "d/kernel", shape: [2, 1], dtype: "float32" },
    { name: "e/dense/kernel", shape: [1, 1], dtype: "float32" },
  ];
  const shard = new Uint8Array(Float32Array.of(1, 2, 10).buffer);
  const model = (second: unknown) => ({
    modelTopology: {
      keras_version: "2.9.0",
      model_config: {
        class_name: "Functional",
        config: {
          layers: [
            layer("InputLayer", "i", {}, []),
            layer("Dense", "d", { units: 1, use_bias: false }, [[["i", 0, 0, {}]]]),
            layer("Dense", "e", { units: 1, use_bias: false }, second),
          ],
        },
      },
    },
    weightsManifest: [{ paths: ["s"], weights }],
  });

  it("are run where their layers are a chain, in the words of Keras 2 and 3", () => {
    const keras3 = [{ args: [{ class_name: "__keras_tensor__", config: { shape: [null, 1], keras_history: ["d", 0, 0] } }], kwargs: {} }];
    for (const nodes of [[[["d", 0, 0, {}]]], keras3]) {
      const loaded = loadTfjs(model(nodes), shard);
      expect([...loaded.layers.keys()]).toEqual(["i", "d", "e"]);
      expect(loaded.forward(tensor([[3, 4]])).toArray()).toEqual([[110]]);
    }
  });

  it("give their layers where they branch, and say why they cannot be run", () => {
    const loaded = loadTfjs(model([[["i", 0, 0, {}]]]), shard);
    expect(
      loaded
        .layer("d")
        .forward(tensor([[3, 4]]))
        .toArray(),
    ).toEqual([[11]]);
    expect(() => loaded.forward(tensor([[3, 4]]))).toThrow(/a chain of layers, got e after i$/);
  });
});
