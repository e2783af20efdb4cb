/**
 * Layers models of TensorFlow.js: `model.json`, and shards with the bytes of its weights.
 *
 * @see TensorFlow.js, tfjs-core/src/io/types.ts (WeightsManifestConfig) and io_utils.ts (decodeWeights)
 */

import { asBytes, joinBytes, textOf } from "../base/bytes.ts";
import { isRecord, optionsOf } from "../base/checks.ts";
import { FormatError } from "../base/errors.ts";
import { quote, shorten } from "../base/quote.ts";
import { elementBytes, elementsOf, tensorOf } from "../io/elements.ts";
import { parseJson } from "../io/json.ts";
import { sizeOf } from "../tensor/shape.ts";
import { scope, type Tensor, tensor } from "../tensor/tensor.ts";
import type { KerasModel } from "./keras-layers.ts";
import { type Arrays, type KerasOptions, type LayerSpec, modelOf, topologyOf, variableOf } from "./keras-model.ts";

const OP = "loadTfjs";

type Bytes = Uint8Array | ArrayBufferLike | ArrayBufferView;

/** The shards in the order of the manifest's paths (one of all bytes will do), or by path. */
export type Shards = Bytes | readonly Bytes[] | Readonly<Record<string, Bytes>>;

/** A model file: as text, as bytes or as the object it holds. */
export type ModelJson = string | Bytes | object;

/** The contents of a model of TensorFlow.js. */
export interface TfjsFile {
  /** By the names of the manifest: `lstm/kernel`; widened, and quantised ones as the numbers that they stand for. */
  readonly tensors: Map<string, Tensor>;
  /** What the file says beside its weights. */
  readonly json: Readonly<Record<string, unknown>>;
}

const DTYPES: Readonly<Record<string, string>> = { float32: "F32", float16: "F16", int32: "I32", bool: "BOOL", uint8: "U8", uint16: "U16" };

function fail(expected: string, got: unknown): never {
  throw new FormatError(`${OP}: expected ${expected}, got ${quote(got)}`);
}

/** Whether a value is an object and not bytes. Asks for the tag, since buffers of another realm fail `instanceof`. */
function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return Object.prototype.toString.call(value) === "[object Object]";
}

function objectOf(source: ModelJson): Readonly<Record<string, unknown>> {
  const value = isObject(source)
    ? source
    : parseJson(OP, "a model file", typeof source === "string" ? source : textOf(asBytes(OP, source)));
  return isRecord(value) ? value : fail("a model file with an object", value);
}

interface Group {
  readonly paths: readonly string[];
  readonly weights: readonly Readonly<Record<string, unknown>>[];
}

function groupOf(value: unknown): Group {
  const { paths, weights } = isRecord(value) ? value : {};
  const sound = Array.isArray(paths) && paths.every((p) => typeof p === "string") && Array.isArray(weights) && weights.every(isRecord);
  return sound ? { paths, weights } : fail("a group of the manifest with paths and weights", value);
}

/** Shards in order, whatever form they came in. */
function shardBytes(shards: Shards, paths: readonly string[]): Uint8Array[] {
  if (Array.isArray(shards)) {
    if (shards.length !== paths.length) fail(`${paths.length} shards, for ${paths.join(", ")}`, shards.length);
    return shards.map((shard) => asBytes(OP, shard));
  }
  if (!isObject(shards)) return [asBytes(OP, shards)];
  return paths.map((path) =>
    Object.hasOwn(shards, path) ? asBytes(OP, shards[path]) : fail(`a shard ${shorten(path)}`, Object.keys(shards)),
  );
}

interface Weight {
  readonly name: string;
  readonly shape: readonly number[];
  /** Of the file's elements. */
  readonly format: string;
  readonly scale: number;
  readonly min: number;
}

function weightOf(value: Readonly<Record<string, unknown>>): Weight {
  const { name, shape, dtype, quantization } = value;
  if (typeof name !== "string") fail("a weight with a name", value);
  if (!Array.isArray(shape) || !shape.every((d) => Number.isSafeInteger(d) && d >= 0))
    fail(`${shorten(name)} with a shape of whole sizes`, shape);
  const { dtype: stored = dtype, scale = 1, min = 0 } = isRecord(quantization) ? quantization : {};
  if (typeof stored !== "string" || !Object.hasOwn(DTYPES, stored))
    fail(`${shorten(name)} of dtype ${Object.keys(DTYPES).join(", ")}`, stored);
  if (!Number.isFinite(scale) || !Number.isFinite(min)) fail(`${shorten(name)} with a scale and a least value`, quantization);
  return { name, shape, format: DTYPES[stored] as string, scale: scale as number, min: min as number };
}

function readWeight({ name, shape, format, scale, min }: Weight, bytes: Uint8Array): Tensor {
  if (format !== "U8" && format !== "U16") {
    const made = tensorOf(format, shape, bytes);
    return typeof made === "string" ? fail(`${shorten(name)} that can be read`, made) : made;
  }
  const elements = elementsOf(format, bytes);
  if (typeof elements === "string") fail(`${shorten(name)} that can be read`, elements);
  // As TensorFlow.js: in float64, and rounded once.
  return tensor(
    Float32Array.from(elements.values as Int32Array, (q) => q * scale + min),
    { shape: [...shape] },
  );
}

function readGroup({ weights }: Group, bytes: Uint8Array, tensors: Map<string, Tensor>): number {
  let at = 0;
  for (const value of weights) {
    const weight = weightOf(value);
    if (tensors.has(weight.name)) fail("unique names of weights", weight.name);
    const end = at + sizeOf(weight.shape) * (elementBytes(weight.format) as number);
    if (!(end <= bytes.length)) fail(`${end} bytes of weights up to ${shorten(weight.name)}`, bytes.length);
    tensors.set(weight.name, readWeight(weight, bytes.subarray(at, end)));
    at = end;
  }
  return at;
}

/**
 * The weights of a TensorFlow.js model by the names of its manifest, of a graph model too.
 * @throws FormatError for a file that is none, shards that are too short or too long, and dtypes that none here can hold; nothing stays allocated
 * @throws DTypeError for shards that are no bytes
 * @example const { tensors } = parseTfjs(await response.json(), [shard]);
 */
export function parseTfjs(modelJson: ModelJson, shards: Shards): TfjsFile {
  const json = objectOf(modelJson);
  const { weightsManifest } = json;
  if (!Array.isArray(weightsManifest)) fail("a model file with a weightsManifest", Object.keys(json));
  const groups = weightsManifest.map(groupOf);
  const paths = groups.flatMap((group) => group.paths);
  const parts = shardBytes(shards, paths);
  const byGroup = parts.length === paths.length;
  return scope(() => {
    const tensors = new Map<string, Tensor>();
    let rest = joinBytes(byGroup ? [] : parts);
    let next = 0;
    for (const group of groups) {
      const bytes = byGroup ? joinBytes(parts.slice(next, next + group.paths.length)) : rest;
      next += group.paths.length;
      const used = readGroup(group, bytes, tensors);
      if (byGroup && used !== bytes.length) fail(`${used} bytes in ${group.paths.join(", ")}`, bytes.length);
      rest = byGroup ? rest : rest.subarray(used);
    }
    if (rest.length > 0) fail("no bytes after the last weight", rest.length);
    return { tensors, json };
  });
}

/** The weights of each layer: the first part of a name that is a layer's tells whose it is, the last part which one. */
function byLayer(specs: readonly LayerSpec[], tensors: ReadonlyMap<string, Tensor>): Map<string, Arrays> {
  const kinds = new Map(specs.map(({ name, className }) => [name, className]));
  const found = new Map<string, Map<string, Tensor>>();
  for (const [name, t] of tensors) {
    const parts = name.split("/");
    const layer = parts.find((part) => kinds.has(part)) ?? name;
    const arrays = found.get(layer) ?? new Map<string, Tensor>();
    found.set(layer, arrays);
    arrays.set(variableOf(name, kinds.get(layer) === "Bidirectional"), t);
  }
  return found;
}

/**
 * A layers model of TensorFlow.js: its layers in order by name, each with its weights and with Keras's meaning; `forward` runs a chain of them.
 *
 * Recurrent layers with the usual activations get the library's own cells (`LSTMCell`, `GRUCell`, `RNNCell`), others a `KerasCell`; a GRU may reset
 * before or after the product. Inputs are batch first, masks of an Embedding with mask_zero go along, `stateful` layers keep their state until
 * `resetStates()`. Dropout does nothing, and BatchNormalization uses the statistics that it came with.
 *
 * @param shards the shards in the order of the manifest's paths, one of all bytes, or an object by path
 * @throws FormatError for a layer or a setting that is not built, which it names; for weights that are missing, unknown or misshapen, all of which
 *   it names; and as `parseTfjs` does
 * @example
 * const model = loadTfjs(await (await fetch("model.json")).json(), [await (await fetch("group1-shard1of1.bin")).arrayBuffer()]);
 * const y = model.forward(x);
 */
export function loadTfjs(modelJson: ModelJson, shards: Shards, options: KerasOptions = {}): KerasModel {
  const { hardSigmoid } = optionsOf(OP, options, ["hardSigmoid"]);
  return scope(() => {
    const { tensors, json } = parseTfjs(modelJson, shards);
    const { modelTopology } = json;
    const { model_config: inner, keras_version: version } = isRecord(modelTopology) ? modelTopology : {};
    const { specs, branches } = topologyOf(OP, inner ?? modelTopology);
    const hard = hardSigmoid ?? (typeof version === "string" && version.startsWith("3") ? "keras3" : "keras2");
    return modelOf(OP, specs, branches, byLayer(specs, tensors), hard);
  });
}
