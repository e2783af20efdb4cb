/**
 * Keras's files, laid out as its saving code lays them out: the tree that a reader of HDF5 gives is put together here, with the models that
 * TensorFlow.js made (fixtures/tfjs_models.mjs) and its predictions.
 */

import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import * as jsfive from "jsfive";
import { describe, expect, it } from "vitest";
import { DTypeError, FormatError } from "../../src/base/errors.ts";
import { type Hdf5Node, type Hdf5Reader, loadKeras } from "../../src/interop/keras-file.ts";
import { type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { memory } from "../../src/wasm/host.ts";
import { thrown } from "../thrown.ts";
import { stored, zipOf } from "./torch-bytes.ts";

interface Layer {
  readonly class_name: string;
  readonly config: Record<string, unknown>;
}

interface Saved {
  readonly modelTopology: { class_name: string; config: { layers: Layer[] } };
  readonly weightSpecs: { name: string; shape: number[] }[];
  readonly weightData: string;
  readonly input: { shape: number[]; values: number[] };
  readonly output: { shape: number[]; values: number[] };
}

const models = JSON.parse(readFileSync(new URL("fixtures/tfjs-models.json", import.meta.url), "utf8")) as Record<string, Saved>;

/** A node as jsfive gives it: `get` throws for what is not there. */
class Group implements Hdf5Node {
  readonly attrs: Record<string, unknown>;
  readonly #held = new Map<string, Hdf5Node>();

  constructor(attrs: Record<string, unknown> = {}) {
    this.attrs = attrs;
  }

  get keys(): string[] {
    return [...this.#held.keys()];
  }

  get(path: string): Hdf5Node {
    const [first = "", ...rest] = path.split("/");
    const node = this.#held.get(first);
    if (node === undefined) throw new Error(`${first} not found in group`);
    return rest.length === 0 ? node : (node as Group).get(rest.join("/"));
  }

  put(path: string, node: Hdf5Node): void {
    const [first = "", ...rest] = path.split("/");
    if (rest.length === 0) this.#held.set(first, node);
    else {
      const group = (this.#held.get(first) as Group | undefined) ?? new Group();
      this.#held.set(first, group);
      group.put(rest.join("/"), node);
    }
  }
}

interface Weight {
  readonly path: string;
  readonly node: Hdf5Node;
}

function weightsOf({ weightSpecs, weightData }: Saved): Weight[] {
  const values = new Float32Array(Uint8Array.from(Buffer.from(weightData, "base64")).buffer);
  let at = 0;
  return weightSpecs.map(({ name, shape }) => {
    const size = shape.reduce((a, b) => a * b, 1);
    at += size;
    return { path: name, node: { attrs: {}, shape, dtype: "<f4", value: [...values.subarray(at - size, at)] } };
  });
}

/** `model.save("m.h5")` of Keras 2. */
function keras2(saved: Saved, withConfig = true): Group {
  const root = new Group({ keras_version: "2.9.0", ...(withConfig && { model_config: JSON.stringify(saved.modelTopology) }) });
  const weights = weightsOf(saved);
  const names = saved.modelTopology.config.layers.map((layer) => layer.config.name as string);
  const group = new Group({ layer_names: names });
  for (const layer of names) {
    const own = weights.filter(({ path }) => path.startsWith(`${layer}/`));
    const held = new Group({ weight_names: own.map(({ path }) => `${path}:0`) });
    for (const { path, node } of own) held.put(`${path}:0`, node);
    group.put(layer, held);
  }
  root.put("model_weights", group);
  return root;
}

const snake: Record<string, string> = { LSTM: "lstm", GRU: "gru", SimpleRNN: "simple_rnn", Dense: "dense", Bidirectional: "bidirectional", Conv1D: "conv1d", BatchNormalization: "batch_normalization", LayerNormalization: "layer_normalization", Embedding: "embedding", ConvLSTM2D: "conv_lstm2d", Activation: "activation", Dropout: "dropout", Flatten: "flatten" }; // biome-ignore format: a table
const recurrent = ["LSTM", "GRU", "SimpleRNN", "Bidirectional", "ConvLSTM2D"];

/** `model.weights.h5` of Keras 3, whose groups are called by class and number, or by the layers' names. */
function keras3(saved: Saved, byName: boolean): Group {
  const root = new Group();
  const seen = new Map<string, number>();
  const weights = weightsOf(saved);
  for (const { class_name, config } of saved.modelTopology.config.layers) {
    const count = seen.get(class_name) ?? 0;
    seen.set(class_name, count + 1);
    const called = byName ? (config.name as string) : `${snake[class_name]}${count === 0 ? "" : `_${count}`}`;
    const numbers = new Map<string, number>();
    for (const { path, node } of weights.filter((w) => w.path.startsWith(`${config.name}/`))) {
      const direction = class_name === "Bidirectional" ? `${path.split("/")[1]?.split("_")[0]}_layer/` : "";
      const place = `layers/${called}/${direction}${recurrent.includes(class_name) ? "cell/" : ""}vars`;
      const i = numbers.get(place) ?? 0;
      numbers.set(place, i + 1);
      root.put(`${place}/${i}`, node);
    }
  }
  return root;
}

/** A reader that gives a tree, whatever the bytes. */
const readerOf = (root: Hdf5Node): Hdf5Reader => ({
  File: class {
    constructor() {
      // biome-ignore lint/correctness/noConstructorReturn: the reader's class gives the root.
      return root as never;
    }
  } as never,
});

const archive = (saved: Saved, version = "3.5.0") =>
  zipOf([
    stored("metadata.json", JSON.stringify({ keras_version: version })),
    stored("config.json", JSON.stringify(saved.modelTopology)),
    stored("model.weights.h5", [1, 2, 3]),
  ]);

function expectPredicts(model: { forward(x: Tensor): Tensor }, { input, output }: Saved, ids: boolean): void {
  const y = model.forward(tensor(ids ? Int32Array.from(input.values) : Float32Array.from(input.values), { shape: input.shape }));
  expect(y.shape).toEqual(output.shape);
  const worst = Math.max(...Array.from(y.data(), (v, i) => Math.abs(v - (output.values[i] as number))));
  expect(!(worst <= 1e-5), `largest error ${worst}`).toBe(false);
}

describe.each(Object.keys(models))("loadKeras predicts what the model predicts: %s", (name) => {
  const saved = models[name] as Saved;
  const bytes = Uint8Array.of(0x89, 0x48, 0x44, 0x46);
  const hardSigmoid = "keras2" as const;

  it("from .h5 of Keras 2, whole or weights with a description", () => {
    expectPredicts(loadKeras(bytes, { hdf5: readerOf(keras2(saved)) }), saved, name === "embedding");
    const config = JSON.stringify(saved.modelTopology);
    expectPredicts(loadKeras(bytes, { hdf5: readerOf(keras2(saved, false)), config }), saved, name === "embedding");
  });

  it("from .keras and .weights.h5 of Keras 3", () => {
    for (const byName of [false, true]) {
      const hdf5 = readerOf(keras3(saved, byName));
      expectPredicts(loadKeras(archive(saved), { hdf5, hardSigmoid }), saved, name === "embedding");
      expectPredicts(loadKeras(bytes, { hdf5, hardSigmoid, config: saved.modelTopology }), saved, name === "embedding");
    }
  });
});

/** The same models in files that HDF5's own library wrote (fixtures/keras_files.py). */
const { files } = JSON.parse(readFileSync(new URL("fixtures/keras-files.json", import.meta.url), "utf8")) as {
  files: Record<string, { keras2: string; keras3: string; compressed: string }>;
};
const unpacked = (file: string): Uint8Array => gunzipSync(Buffer.from(file, "base64"));

describe.each(Object.keys(files))("loadKeras reads, by jsfive, files that h5py wrote: %s", (name) => {
  const saved = models[name] as Saved;
  const { keras2: whole, keras3: weights, compressed } = files[name] as (typeof files)[string];

  it("of Keras 2", () => {
    expectPredicts(loadKeras(unpacked(whole), { hdf5: jsfive as Hdf5Reader }), saved, name === "embedding");
  });

  it.each([
    ["plain", weights],
    ["in compressed chunks", compressed],
  ])("of Keras 3, %s", (_, file) => {
    const options = { hdf5: jsfive as Hdf5Reader, hardSigmoid: "keras2" as const };
    expectPredicts(loadKeras(unpacked(file), { ...options, config: saved.modelTopology }), saved, name === "embedding");
    const archived = zipOf([
      stored("metadata.json", JSON.stringify({ keras_version: "3.5.0" })),
      stored("config.json", JSON.stringify(saved.modelTopology)),
      stored("model.weights.h5", unpacked(file)),
    ]);
    expectPredicts(loadKeras(archived, options), saved, name === "embedding");
  });
});

describe("loadKeras refuses", () => {
  const saved = models.lstm as Saved;
  const bytes = Uint8Array.of(0x89, 0x48, 0x44, 0x46);
  const broken = { File: class { constructor() { throw new Error("not a valid HDF5 file"); } } as never }; // biome-ignore format: one line
  const odd = (node: Partial<Hdf5Node>): Hdf5Reader => {
    const root = keras3(saved, true);
    root.put("layers/first/cell/vars/0", { attrs: {}, shape: [2, 12], dtype: "<f4", value: new Float32Array(24), ...node });
    return readerOf(root);
  };
  const load =
    (hdf5: unknown, file: Uint8Array = archive(saved)) =>
    () =>
      loadKeras(file, { hdf5: hdf5 as Hdf5Reader });

  const cases: [string, () => unknown, new (message: string) => Error, RegExp][] = [
    ["weights without a description", load(readerOf(keras2(saved, false)), bytes), FormatError, /description as config/],
    ["a tree without weights", load(readerOf(new Group())), FormatError, /no first\/kernel, no first\/recurrent_kernel/],
    ["a file that the reader refuses", load(broken), FormatError, /weights in HDF5, got "not a valid HDF5 file"/],
    ["an archive of something else", load(readerOf(new Group()), zipOf([stored("a", "b")])), FormatError, /an archive with metadata\.json/],
    [
      "a description that is no JSON",
      () => loadKeras(bytes, { hdf5: readerOf(new Group()), config: "{" }),
      FormatError,
      /the description in JSON/,
    ],
    ["another shape", load(odd({ shape: [12, 2] })), FormatError, /first\/kernel float32 \[12,2\] for floats \[12,12\]/],
    ["values that do not fill their shape", load(odd({ value: [1] })), FormatError, /first\/kernel as an array of numbers/],
    ["a group where an array should be", load(odd({ shape: undefined as never })), FormatError, /first\/kernel as an array of numbers/],
    ["whole numbers", load(odd({ dtype: "<i4" })), FormatError, /first\/kernel of floats, got "<i4"/],
    ["no reader", load(undefined), DTypeError, /hdf5 as an object/],
    ["a reader without a file", load({}), DTypeError, /hdf5\.File to be a function/],
  ];
  it.each(cases)("%s", (_, make, type, message) => {
    const before = memory().liveBytes;
    const error = thrown(make);
    expect(error).toBeInstanceOf(type);
    expect((error as Error).message).toMatch(message);
    expect(memory().liveBytes).toBe(before);
  });
});
