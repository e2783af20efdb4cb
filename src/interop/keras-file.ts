/**
 * Keras's own files: `.keras`, a zip archive with a description and weights in HDF5, `.h5` of Keras 2, and weights alone.
 *
 * @see Keras 3, keras/src/saving/saving_lib.py; Keras 2, keras/saving/legacy/hdf5_format.py
 */

import { asBytes, textOf } from "../base/bytes.ts";
import { checkFunction, checkObject, isRecord, optionsOf } from "../base/checks.ts";
import { FormatError } from "../base/errors.ts";
import { list, quote, shorten } from "../base/quote.ts";
import { parseJson } from "../io/json.ts";
import { sizeOf } from "../tensor/shape.ts";
import { scope, type Tensor, tensor } from "../tensor/tensor.ts";
import type { KerasModel } from "./keras-layers.ts";
import { type Arrays, DIRECTIONS, type KerasOptions, type LayerSpec, modelOf, topologyOf, variableOf } from "./keras-model.ts";
import { isZip, storedEntries } from "./zip.ts";

const OP = "loadKeras";

/** A group or a data set of an HDF5 file, as jsfive gives it. */
export interface Hdf5Node {
  readonly attrs: Readonly<Record<string, unknown>>;
  /** Of a group. */
  readonly keys?: readonly string[];
  get?(path: string): Hdf5Node | null | undefined;
  /** Of a data set. */
  readonly shape?: readonly number[];
  readonly dtype?: unknown;
  readonly value?: ArrayLike<number>;
}

/** A reader of HDF5: the package jsfive is one. */
export interface Hdf5Reader {
  readonly File: new (data: ArrayBuffer, name: string) => Hdf5Node;
}

export interface KerasFileOptions extends KerasOptions {
  /** What reads HDF5; the library has no such reader of its own. */
  readonly hdf5: Hdf5Reader;
  /** The description of the model (`model.to_json()`), for a file of weights alone. */
  readonly config?: string | object;
}

function fail(expected: string, got: unknown): never {
  throw new FormatError(`${OP}: expected ${expected}, got ${quote(got)}`);
}

/** What a layer's weights are called, in the order in which Keras 3 numbers them. */
const VARIABLES: Readonly<Record<string, readonly string[]>> = {
  BatchNormalization: ["gamma", "beta", "moving_mean", "moving_variance"],
  Conv1D: ["kernel", "bias"],
  ConvLSTM2D: ["kernel", "recurrent_kernel", "bias"],
  Dense: ["kernel", "bias"],
  Embedding: ["embeddings"],
  GRU: ["kernel", "recurrent_kernel", "bias"],
  LSTM: ["kernel", "recurrent_kernel", "bias"],
  LayerNormalization: ["gamma", "beta"],
  SimpleRNN: ["kernel", "recurrent_kernel", "bias"],
};

/** The setting that takes a variable away. */
const SETTINGS: Readonly<Record<string, string>> = { bias: "use_bias", gamma: "scale", beta: "center" };

function variablesOf(className: string, config: Readonly<Record<string, unknown>>): string[] {
  const all = Object.hasOwn(VARIABLES, className) ? (VARIABLES[className] as readonly string[]) : [];
  return all.filter((name) => config[SETTINGS[name] ?? ""] !== false);
}

const textAt = (node: Hdf5Node, name: string): string | null => {
  const value = node.attrs?.[name];
  return typeof value === "string" ? value.replace(/\0+$/, "") : null;
};

function namesAt(node: Hdf5Node, name: string): string[] {
  const value = node.attrs?.[name];
  return Array.isArray(value) ? value.map((text) => String(text).replace(/\0+$/, "")) : [];
}

/** A group or data set by its path; null where there is none, for which readers throw. */
function at(node: Hdf5Node, path: string): Hdf5Node | null {
  try {
    return node.get?.(path) ?? null;
  } catch {
    return null;
  }
}

function readArray(node: Hdf5Node, name: string): Tensor {
  const { shape, dtype, value } = node;
  if (!Array.isArray(shape) || value === undefined || value.length !== sizeOf(shape))
    fail(`${shorten(name)} as an array of numbers`, shape);
  if (typeof dtype !== "string" || !/^[<>|]?f[248]$/.test(dtype)) fail(`${shorten(name)} of floats`, dtype);
  return tensor(dtype.endsWith("8") ? Float64Array.from(value) : Float32Array.from(value), { shape: [...shape] });
}

/** `SimpleRNN` → `simple_rnn`, as Keras 3 calls what a container holds. */
function snake(className: string): string {
  return className
    .replace(/\W+/g, "")
    .replace(/(.)([A-Z][a-z]+)/g, "$1_$2")
    .replace(/([a-z])([A-Z])/g, "$1_$2")
    .toLowerCase();
}

/** Keras 3: `layers/NAME/vars/0`, of recurrent layers `layers/NAME/cell/vars/0`; NAME is the layer's, or its class and a number. */
function numbered(root: Hdf5Node, specs: readonly LayerSpec[]): Map<string, Arrays> {
  const found = new Map<string, Arrays>();
  const seen = new Map<string, number>();
  for (const { name, className, config } of specs) {
    const called = snake(className);
    const count = seen.get(called) ?? 0;
    seen.set(called, count + 1);
    const group = at(root, `layers/${name}`) ?? at(root, `layers/${count === 0 ? called : `${called}_${count}`}`);
    if (group !== null) found.set(name, layerArrays(group, name, className, config));
  }
  return found;
}

function layerArrays(group: Hdf5Node, name: string, className: string, config: Readonly<Record<string, unknown>>): Map<string, Tensor> {
  const arrays = new Map<string, Tensor>();
  if (className === "Bidirectional") {
    const { class_name: inner, config: own } = isRecord(config.layer) ? config.layer : {};
    for (const direction of DIRECTIONS) {
      const part = at(group, direction);
      if (part === null) continue;
      const held = layerArrays(part, `${name}/${direction}`, String(inner), isRecord(own) ? own : {});
      for (const [variable, t] of held) arrays.set(`${direction}.${variable}`, t);
    }
    return arrays;
  }
  for (const [i, variable] of variablesOf(className, config).entries()) {
    const node = at(group, `cell/vars/${i}`) ?? at(group, `vars/${i}`);
    if (node !== null) arrays.set(variable, readArray(node, `${name}/${variable}`));
  }
  return arrays;
}

/** Keras 2: a group a layer, which lists the names of its weights. */
function named(root: Hdf5Node, specs: readonly LayerSpec[]): Map<string, Arrays> {
  const kinds = new Map(specs.map(({ name, className }) => [name, className]));
  const found = new Map<string, Arrays>();
  for (const layer of namesAt(root, "layer_names")) {
    const group = at(root, layer) ?? fail(`a group of layer ${shorten(layer)}`, root.keys);
    const weights = namesAt(group, "weight_names");
    if (weights.length === 0) continue;
    const arrays = weights.map((path) => {
      const node = at(group, path) ?? fail(`a data set ${shorten(path)}`, group.keys);
      return [variableOf(path, kinds.get(layer) === "Bidirectional"), readArray(node, path)] as const;
    });
    found.set(layer, new Map(arrays));
  }
  return found;
}

interface Parts {
  readonly weights: Uint8Array;
  readonly config: unknown;
  readonly version: string | null;
}

function readArchive(bytes: Uint8Array): Parts {
  const entries = storedEntries(OP, bytes);
  const entry = (name: string): Uint8Array => entries.get(name) ?? fail(`an archive with ${name}`, list([...entries.keys()]));
  const metadata = parseJson(OP, "metadata.json", textOf(entry("metadata.json")));
  const version = isRecord(metadata) && typeof metadata.keras_version === "string" ? metadata.keras_version : null;
  return { weights: entry("model.weights.h5"), config: parseJson(OP, "config.json", textOf(entry("config.json"))), version };
}

/** Opens a file with the reader, whose complaints are about the file. */
function open({ File }: Hdf5Reader, bytes: Uint8Array): Hdf5Node {
  try {
    return new File(bytes.slice().buffer as ArrayBuffer, "weights.h5");
  } catch (cause) {
    throw new FormatError(`${OP}: expected weights in HDF5, got ${quote((cause as Error)?.message)}`, { cause });
  }
}

/**
 * A model from a file of Keras: `.keras`, `.h5` with the whole model, or weights alone with the model's description as `config`. What its layers do
 * and which there are is said at `loadTfjs`. The reader of HDF5 is handed in: `npm install jsfive`.
 *
 * @throws FormatError for a file that is none, a layer or a setting that is not built, which it names, and weights that are missing, unknown or
 *   misshapen, all of which it names
 * @throws DTypeError for a reader that is none
 * @example
 * import * as hdf5 from "jsfive";
 * const model = loadKeras(await readFile("model.keras"), { hdf5 });
 * const y = model.forward(x);
 */
export function loadKeras(source: Uint8Array | ArrayBufferLike | ArrayBufferView, options: KerasFileOptions): KerasModel {
  const { hdf5, hardSigmoid, config } = optionsOf(OP, options, ["hdf5", "hardSigmoid", "config"]);
  const bytes = asBytes(OP, source);
  checkObject(OP, "hdf5", hdf5);
  checkFunction(OP, "hdf5.File", hdf5.File);
  const archive = isZip(bytes) ? readArchive(bytes) : null;
  const root = open(hdf5, archive?.weights ?? bytes);
  const own = archive?.config ?? textAt(root, "model_config") ?? undefined;
  const described = config ?? own ?? fail("the model's description as config, for a file of weights alone", undefined);
  const { specs, branches } = topologyOf(OP, typeof described === "string" ? parseJson(OP, "the description", described) : described);
  const version = archive?.version ?? textAt(root, "keras_version") ?? "3";
  return scope(() => {
    const weights = at(root, "model_weights") ?? root;
    const arrays = namesAt(weights, "layer_names").length > 0 ? named(weights, specs) : numbered(weights, specs);
    return modelOf(OP, specs, branches, arrays, hardSigmoid ?? (version.startsWith("3") ? "keras3" : "keras2"));
  });
}
