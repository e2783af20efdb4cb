/** Turning the weights of a model to int8, and such models as files. */

import { BYTES } from "../base/dtype.ts";
import { FormatError } from "../base/errors.ts";
import { list, shorten } from "../base/quote.ts";
import { parse, serializeWritten, type Written, writtenTensor } from "../io/safetensors.ts";
import { checkModule, type Module, Parameter } from "../nn/module.ts";
import { sameShape, show } from "../tensor/shape.ts";
import { copyOf } from "../tensor/strided.ts";
import { keep, scope, type Tensor } from "../tensor/tensor.ts";
import { Layer, layerOf, obstacleOf, type Weight } from "./layers.ts";
import { QuantizedMatrix, roundRows } from "./matrix.ts";

/** What became of a model. */
export interface Quantization<M extends Module = Module> {
  /** The model that was given. */
  readonly model: M;
  /** Names of the weights that are int8 now. */
  readonly quantized: readonly string[];
  /** Parameters that are floats still, and why. */
  readonly kept: readonly { readonly name: string; readonly reason: string }[];
  /** Bytes of the state dict before and after. */
  readonly bytes: { readonly before: number; readonly after: number };
}

/** The layers of a model whose weights are or can be int8, with their names, and why others' parameters cannot. */
interface Found {
  readonly layers: readonly { readonly name: string; readonly layer: Layer }[];
  readonly reasons: ReadonlyMap<Tensor, string>;
}

function layersIn(model: Module): Found {
  const layers: { name: string; layer: Layer }[] = [];
  const reasons = new Map<Tensor, string>();
  for (const [name, module] of model.namedModules()) {
    const layer = layerOf(module);
    const obstacle = layer instanceof Layer ? firstObstacle(layer) : layer;
    if (layer instanceof Layer && obstacle === null) layers.push({ name, layer });
    else if (obstacle !== null) for (const p of module.parameters()) reasons.set(p, obstacle);
  }
  return { layers, reasons };
}

/** A layer is int8 as a whole or not at all. */
function firstObstacle(layer: Layer): string | null {
  for (const [name, weight] of layer.matrices) {
    const obstacle = obstacleOf(weight);
    if (obstacle !== null) return `of ${name}: ${obstacle}`;
  }
  return null;
}

/** Bytes of all tensors, each once. */
function bytesIn(model: Module): number {
  return [...new Set(model.stateDict().values())].reduce((bytes, t) => bytes + t.size * BYTES[t.dtype], 0);
}

/** Puts matrices in the place of the weights they were made of, and copies in that of the layers' other parameters. */
function convert<M extends Module>(model: M, { layers, reasons }: Found, made: ReadonlyMap<Weight, QuantizedMatrix>): Quantization<M> {
  const before = bytesIn(model);
  const quantized: string[] = [];
  for (const { name, layer } of layers) {
    layer.replace((own, weight) => {
      const matrix = made.get(weight);
      if (matrix === undefined) return weight instanceof Parameter ? keep(copyOf(weight)) : weight;
      keep(matrix.values);
      keep(matrix.scales);
      quantized.push(name === "" ? own : `${name}.${own}`);
      return matrix;
    });
  }
  model.eval();
  const kept = Array.from(model.namedParameters(), ([name, p]) => ({ name, reason: reasons.get(p) ?? "its module has no form in int8" }));
  return { model, quantized, kept, bytes: { before, after: bytesIn(model) } };
}

/**
 * Turns the weights of `Linear`, `Embedding`, `RNN`, `LSTM`, `GRU` and their cells to int8, wherever they are in a model: each row
 * w ≈ q·scale with q in [−127, 127] and scale = max |w| / 127. It takes a quarter of the bytes and is faster where a step waits for its weights,
 * as in a `Stream`. Everything else of the model works as before, in float32.
 *
 * The model itself is changed, as by PyTorch's `quantize_`; load its state dict into a second one to keep the floats. It is a snapshot: who still
 * holds a parameter and changes it changes nothing here. The model is for inference from now on (`eval`): derivatives through such a
 * layer are a StateError. Biases stay floats, no parameters any more. A layer that cannot be int8 as a whole stays as it is and is listed: in float64, with
 * numbers that are not finite, with more than 65,536 columns, or of a subclass with a forward or step of its own. A second call changes nothing.
 *
 * Inputs are rounded to 15 bits by the largest of each row at every call (to fewer above 1,024 columns), and sums are exact: outputs
 * have the same bits on every host, on the relaxed kernels too but for the gates.
 * @throws DTypeError for what is no module
 * @see Wu, Judd, Zhang, Isaev and Micikevicius, "Integer quantization for deep learning inference", 2020, section 3 (symmetric, by row; cited from memory)
 * @example
 * const { quantized, kept } = quantize(lstm);
 * const stream = new Stream(lstm);
 */
export function quantize<M extends Module>(model: M): Quantization<M> {
  checkModule("quantize", model);
  return scope(() => {
    const found = layersIn(model);
    const made = new Map<Weight, QuantizedMatrix>();
    for (const { layer } of found.layers) {
      for (const [name, weight] of layer.matrices) {
        if (weight instanceof QuantizedMatrix || made.has(weight)) continue;
        const [rows, columns] = weight.shape as [number, number];
        made.set(weight, new QuantizedMatrix(roundRows(weight.data(), columns), layer.partsOf(name, rows)));
      }
    }
    return convert(model, found, made);
  });
}

// ---------------------------------------------------------------- files

/** Names in files, and in the state dict. */
const VALUES = ".values";
const SCALES = ".scales";

/**
 * A model with int8 weights as a safetensors file: for the weight NAME the tensors NAME.values (I8 [O,I]) and NAME.scales (F32 [O]);
 * everything else as in `serialize`.
 * @throws as `serialize` does
 * @example await writeFile("model.safetensors", serializeQuantized(model));
 */
export function serializeQuantized(model: Module, metadata: Readonly<Record<string, string>> = {}): Uint8Array<ArrayBuffer> {
  checkModule("serializeQuantized", model);
  const matrices = new Map<Tensor, QuantizedMatrix>();
  for (const module of model.modules()) if (module instanceof QuantizedMatrix) matrices.set(module.values, module);
  const entries = Array.from(model.stateDict(), ([name, t]): Written => {
    const matrix = matrices.get(t);
    if (matrix === undefined) return writtenTensor(name, t);
    const shape = [matrix.rowCount, matrix.columns];
    return { ...writtenTensor(name, t), dtype: "I8", shape, width: 1, bytes: () => new Uint8Array(matrix.toRows().values.buffer) };
  });
  return serializeWritten(entries, metadata);
}

/**
 * Reads what `serializeQuantized` wrote into a model of the same sizes, whose weights may be floats or int8: those that are int8 in the
 * file are int8 then, as after `quantize`. All names and shapes are checked before anything is changed.
 * @throws FormatError for bytes that are no safetensors file, for missing and unknown names, for values beyond ±127 and scales that are not finite
 * @throws ShapeError, DTypeError for tensors that do not fit
 * @example const model = new CharModel({ vocabSize, hidden: 192 });
 * loadQuantized(model, await readFile("model.safetensors"));
 */
export function loadQuantized<M extends Module>(model: M, source: Uint8Array | ArrayBufferLike | ArrayBufferView): Quantization<M> {
  checkModule("loadQuantized", model);
  return scope(() => {
    const { tensors } = parse(source);
    const { layers, reasons } = layersIn(model);
    const inFile = layers.filter(({ name, layer }) => isQuantizedIn(tensors, name, layer));
    const places = new Map(inFile.flatMap(({ layer }) => [...layer.matrices].map(([name, weight]) => [weight, { layer, name }] as const)));
    const named = namedWeights(model, places);
    checkNames(tensors, named);
    const rest = new Map(Array.from(named.floats, (name) => [name, tensors.get(name) as Tensor]));
    const made = new Map<Weight, QuantizedMatrix>();
    for (const [name, weight] of named.weights) {
      const place = places.get(weight) as Place;
      const matrix = readMatrix(tensors, name, weight, place);
      const other = made.get(weight);
      if (other === undefined) made.set(weight, matrix);
      else if (!isSame(matrix, other))
        throw new FormatError(`loadQuantized: expected one value for ${shorten(name)}, which is tied, got two`);
    }
    model.loadStateDict(rest, { strict: false });
    return convert(model, { layers: inFile, reasons }, made);
  });
}

/** Where a weight is. */
interface Place {
  readonly layer: Layer;
  readonly name: string;
}

function isQuantizedIn(tensors: ReadonlyMap<string, Tensor>, path: string, layer: Layer): boolean {
  return [...layer.matrices.keys()].some((name) => tensors.has(`${path === "" ? name : `${path}.${name}`}${VALUES}`));
}

/** Under which names a file has a model's weights: those to be int8, and other tensors. */
interface NamedWeights {
  readonly weights: ReadonlyMap<string, Weight>;
  readonly floats: readonly string[];
}

function namedWeights(model: Module, places: ReadonlyMap<Weight, Place>): NamedWeights {
  const stored = new Map<Tensor, QuantizedMatrix>();
  for (const weight of places.keys()) {
    if (!(weight instanceof QuantizedMatrix)) continue;
    stored.set(weight.values, weight);
    stored.set(weight.scales, weight);
  }
  const weights = new Map<string, Weight>();
  const floats: string[] = [];
  for (const [name, t] of model.stateDict()) {
    const matrix = stored.get(t);
    if (matrix !== undefined) weights.set(name.slice(0, name.lastIndexOf(".")), matrix);
    else if (places.has(t)) weights.set(name, t);
    else floats.push(name);
  }
  return { weights, floats };
}

function checkNames(tensors: ReadonlyMap<string, Tensor>, { weights, floats }: NamedWeights): void {
  const wanted = new Set([...floats, ...[...weights.keys()].flatMap((name) => [name + VALUES, name + SCALES])]);
  const missing = [...wanted].filter((name) => !tensors.has(name));
  const unknown = [...tensors.keys()].filter((name) => !wanted.has(name));
  if (missing.length + unknown.length === 0) return;
  throw new FormatError(`loadQuantized: expected the model's own names, got missing: ${list(missing)}; unknown: ${list(unknown)}`);
}

function readMatrix(tensors: ReadonlyMap<string, Tensor>, name: string, weight: Weight, { layer, name: own }: Place): QuantizedMatrix {
  const [rows, columns] = weight instanceof QuantizedMatrix ? [weight.rowCount, weight.columns] : (weight.shape as [number, number]);
  const values = numbersOf(tensors, name + VALUES, [rows, columns], "values in [-127, 127]", (x) => x >= -127 && x <= 127);
  const scales = numbersOf(tensors, name + SCALES, [rows], "finite scales", Number.isFinite);
  return new QuantizedMatrix({ columns, values: Int8Array.from(values), scales: Float32Array.from(scales) }, layer.partsOf(own, rows));
}

/** The numbers of a tensor of the file. */
function numbersOf(
  tensors: ReadonlyMap<string, Tensor>,
  name: string,
  shape: readonly number[],
  expected: string,
  fits: (x: number) => boolean,
): ArrayLike<number> {
  const t = tensors.get(name) as Tensor;
  const whole = shape.length === 2;
  if (!sameShape(t.shape, shape)) throw new FormatError(`loadQuantized: expected ${shorten(name)} ${show(shape)}, got ${show(t.shape)}`);
  if (t.dtype !== (whole ? "int32" : "float32")) {
    throw new FormatError(`loadQuantized: expected ${shorten(name)} of ${whole ? "I8" : "F32"}, got ${t.dtype}`);
  }
  const data = t.data();
  const wrong = data.find((x: number) => !fits(x));
  if (wrong !== undefined) throw new FormatError(`loadQuantized: expected ${expected} in ${shorten(name)}, got ${wrong}`);
  return data;
}

function isSame(a: QuantizedMatrix, b: QuantizedMatrix): boolean {
  const [x, y] = [a.toRows(), b.toRows()];
  return x.values.every((v, i) => v === y.values[i]) && x.scales.every((v, i) => v === y.scales[i]);
}
