/** Keras models from the description of their layers and the arrays of their weights. */

import { checkList, checkObject, checkOneOf, isRecord, optionsOf } from "../base/checks.ts";
import { isFloat } from "../base/dtype.ts";
import { FormatError } from "../base/errors.ts";
import { list, quote, shorten } from "../base/quote.ts";
import { floatOf } from "../nn/from-state-dict.ts";
import { Embedding, LayerNorm, Linear } from "../nn/layers.ts";
import { reshape } from "../ops/broadcast.ts";
import { permute, transpose } from "../ops/shape.ts";
import type { Recurrence } from "../recurrence/recurrence.ts";
import { GRUCell, LSTMCell, RNNCell } from "../recurrence/rnn-cells.ts";
import type { State } from "../recurrence/state.ts";
import { ones, zeros } from "../tensor/create.ts";
import { type Shape, sameShape, show } from "../tensor/shape.ts";
import { copyOf } from "../tensor/strided.ts";
import { checkTensor, scope, type Tensor } from "../tensor/tensor.ts";
import { type Activation, activationOf, GATES, type HardSigmoid, KerasCell, KerasConvCell, type Kind } from "./keras-cells.ts";
import {
  KerasBatchNorm,
  KerasBidirectional,
  KerasConv1D,
  KerasConvLSTM,
  KerasDense,
  KerasEmbedding,
  KerasFunction,
  type KerasLayer,
  KerasLayerNorm,
  KerasModel,
  KerasRecurrent,
  type KerasSequence,
  type KerasSequenceOptions,
  MERGES,
} from "./keras-layers.ts";
import { importWeights } from "./layouts.ts";

export type Arrays = ReadonlyMap<string, Tensor>;

type Config = Readonly<Record<string, unknown>>;

/** A layer as a model's configuration describes it. */
export interface LayerSpec {
  readonly className: string;
  readonly name: string;
  readonly config: Config;
}

export interface KerasOptions {
  /** What "hard_sigmoid" means: by default what it means in the version that wrote the file. */
  readonly hardSigmoid?: HardSigmoid;
}

/** What a layer needs, and the layer made of it once all of it is there. */
interface Plan {
  readonly shapes: Readonly<Record<string, Shape>>;
  make(): KerasLayer;
}

/** A layer on the way from its description. */
class Builder {
  readonly spec: LayerSpec;
  readonly arrays: Arrays;
  readonly hard: HardSigmoid;
  readonly #op: string;

  constructor(op: string, spec: LayerSpec, arrays: Arrays, hard: HardSigmoid) {
    this.#op = op;
    this.spec = spec;
    this.arrays = arrays;
    this.hard = hard;
  }

  get name(): string {
    return this.spec.name;
  }

  refuse(setting: string, expected: string, got: unknown): never {
    const { className, name } = this.spec;
    throw new FormatError(
      `${this.#op}: expected layer ${quote(name)} (${shorten(className)}) with ${setting} ${expected}, got ${quote(got)}`,
    );
  }

  get(setting: string): unknown {
    return this.spec.config[setting];
  }

  /** A setting, or its default if it is left out; null stays null. */
  given(setting: string, otherwise: unknown): unknown {
    const value = this.get(setting);
    return value === undefined ? otherwise : value;
  }

  size(setting: string): number {
    const value = this.get(setting);
    const whole = Number.isSafeInteger(value) && (value as number) >= 1 && (value as number) < 2 ** 31;
    return whole ? (value as number) : this.refuse(setting, "as a whole number of at least 1", value);
  }

  flag(setting: string, otherwise: boolean): boolean {
    const value = this.get(setting) ?? otherwise;
    return typeof value === "boolean" ? value : this.refuse(setting, "true or false", value);
  }

  number(setting: string, otherwise: number): number {
    const value = this.get(setting) ?? otherwise;
    return Number.isFinite(value) ? (value as number) : this.refuse(setting, "as a number", value);
  }

  /** One whole number an axis, or a single one for all axes. */
  extent(setting: string, axes: number, otherwise: number): number[] {
    const value = this.get(setting) ?? otherwise;
    const values = Array.isArray(value) ? value : new Array<unknown>(axes).fill(value);
    const whole = values.length === axes && values.every((n) => Number.isSafeInteger(n) && n >= 1 && n < 2 ** 31);
    return whole ? (values as number[]) : this.refuse(setting, `as ${axes} whole numbers of at least 1`, value);
  }

  word<T extends string>(setting: string, words: readonly T[], otherwise: T): T {
    const value = this.given(setting, otherwise);
    return words.includes(value as T) ? (value as T) : this.refuse(setting, `as one of ${words.join(", ")}`, value);
  }

  /** Refuses a setting whose meaning is not built. */
  only(setting: string, ...allowed: readonly unknown[]): void {
    const value = this.get(setting);
    if (value === undefined || value === null || allowed.some((a) => JSON.stringify(a) === JSON.stringify(value))) return;
    this.refuse(setting, allowed.map((a) => JSON.stringify(a)).join(" or "), value);
  }

  activation(setting: string, otherwise: string | null): Activation {
    const value = this.given(setting, otherwise);
    return activationOf(value, this.hard) ?? this.refuse(setting, "that is known", value);
  }

  /** A size that only an array tells: 1 where there is none, which is told as missing. */
  sizeOf(array: string, axis: number): number {
    return this.arrays.get(array)?.shape[axis] ?? 1;
  }

  array(name: string): Tensor {
    return this.arrays.get(name) as Tensor;
  }

  /** An array of one's own, since those of the file go with the scope. */
  copy(name: string): Tensor {
    return copyOf(this.array(name));
  }

  optional(name: string): Tensor | null {
    return this.arrays.has(name) ? this.copy(name) : null;
  }
}

function biasShape(b: Builder, size: number): Record<string, Shape> {
  return b.flag("use_bias", true) ? { bias: [size] } : {};
}

function densePlan(b: Builder): Plan {
  const units = b.size("units");
  const inFeatures = b.sizeOf("kernel", 0);
  const activation = b.activation("activation", null);
  return {
    shapes: { kernel: [inFeatures, units], ...biasShape(b, units) },
    make() {
      const bias = b.arrays.has("bias");
      const linear = new Linear(inFeatures, units, { bias, dtype: floatOf(b.arrays, "kernel") });
      const weights = new Map([["weight", transpose(b.array("kernel"))]]);
      if (bias) weights.set("bias", b.array("bias"));
      linear.loadStateDict(weights);
      return new KerasDense(b.name, linear, activation);
    },
  };
}

function embeddingPlan(b: Builder): Plan {
  const [rows, columns] = [b.size("input_dim"), b.size("output_dim")];
  const maskZero = b.flag("mask_zero", false);
  return {
    shapes: { embeddings: [rows, columns] },
    make() {
      const embedding = new Embedding(rows, columns, { dtype: floatOf(b.arrays, "embeddings") });
      embedding.loadStateDict(new Map([["weight", b.array("embeddings")]]));
      return new KerasEmbedding(b.name, embedding, maskZero);
    },
  };
}

/** Scale and shift of a normalisation, those that it has. */
function affineShapes(b: Builder, size: number): Record<string, Shape> {
  return { ...(b.flag("scale", true) && { gamma: [size] }), ...(b.flag("center", true) && { beta: [size] }) };
}

/** The axis that is normalised, if the file counts it from the front: whether it is the last depends on the input. Null for the last of any. */
function lastAxis(b: Builder): number | null {
  const given = b.get("axis") ?? -1;
  const axis = Array.isArray(given) && given.length === 1 ? given[0] : given;
  if (axis === -1) return null;
  return Number.isSafeInteger(axis) && axis >= 1 ? axis : b.refuse("axis", "-1, the last one", given);
}

function layerNormPlan(b: Builder): Plan {
  b.only("rms_scaling", false);
  const axis = lastAxis(b);
  const [scale, center] = [b.flag("scale", true), b.flag("center", true)];
  const source = scale ? "gamma" : "beta";
  const size = b.sizeOf(source, 0);
  const eps = b.number("epsilon", 1e-3);
  if (!scale && !center) b.refuse("scale or center", "true, which tell its size", false);
  return {
    shapes: affineShapes(b, size),
    make() {
      const dtype = floatOf(b.arrays, source);
      const norm = new LayerNorm(size, { eps, dtype });
      norm.loadStateDict(
        new Map([
          ["weight", scale ? b.array("gamma") : ones([size], dtype)],
          ["bias", center ? b.array("beta") : zeros([size], dtype)],
        ]),
      );
      return new KerasLayerNorm(b.name, norm, axis);
    },
  };
}

function batchNormPlan(b: Builder): Plan {
  const size = b.sizeOf("moving_mean", 0);
  const axis = lastAxis(b);
  const epsilon = b.number("epsilon", 1e-3);
  return {
    shapes: { ...affineShapes(b, size), moving_mean: [size], moving_variance: [size] },
    make: () => {
      const arrays = {
        gamma: b.optional("gamma"),
        beta: b.optional("beta"),
        mean: b.copy("moving_mean"),
        variance: b.copy("moving_variance"),
      };
      return new KerasBatchNorm(b.name, arrays, epsilon, axis);
    },
  };
}

function conv1dPlan(b: Builder): Plan {
  b.only("data_format", "channels_last");
  const filters = b.size("filters");
  const [kernel] = b.extent("kernel_size", 1, 1) as [number];
  const [stride] = b.extent("strides", 1, 1) as [number];
  const [dilation] = b.extent("dilation_rate", 1, 1) as [number];
  const [groups] = b.extent("groups", 1, 1) as [number];
  const padding = b.word("padding", ["valid", "same", "causal"], "valid");
  if (padding === "same" && stride !== 1) b.refuse("strides", 'of 1 under padding "same"', stride);
  const options = { stride, dilation, groups, padding, activation: b.activation("activation", null) };
  return {
    shapes: { kernel: [kernel, b.sizeOf("kernel", 1), filters], ...biasShape(b, filters) },
    make: () => new KerasConv1D(b.name, copyOf(permute(b.array("kernel"), [2, 1, 0])), b.optional("bias"), options),
  };
}

function sequenceOptions(b: Builder): KerasSequenceOptions {
  b.only("time_major", false);
  return {
    returnSequences: b.flag("return_sequences", false),
    goBackwards: b.flag("go_backwards", false),
    stateful: b.flag("stateful", false),
    zeroOutputForMask: b.flag("zero_output_for_mask", false),
  };
}

/** Activations of the library's own cells, which have kernels of their own: tanh and sigmoid, or of a SimpleRNN tanh or relu. */
function hasKernel(b: Builder, kind: Kind): boolean {
  const activation = b.given("activation", "tanh");
  if (kind === "SimpleRNN") return activation === "tanh" || activation === "relu";
  return activation === "tanh" && b.given("recurrent_activation", RECURRENT_ACTIVATION) === RECURRENT_ACTIVATION;
}

/** Keras's default since version 2.3. Files always name it. */
const RECURRENT_ACTIVATION = "sigmoid";

const recurrentPlan =
  (kind: Kind) =>
  (b: Builder): Plan => {
    const H = b.size("units");
    const I = b.sizeOf("kernel", 0);
    const rows = GATES[kind] * H;
    const resetAfter = kind === "GRU" && b.flag("reset_after", b.arrays.get("bias")?.rank === 2);
    const bias = b.flag("use_bias", true) ? { bias: resetAfter ? [2, rows] : [rows] } : {};
    const activation = b.activation("activation", "tanh");
    const recurrentActivation = b.activation("recurrent_activation", RECURRENT_ACTIVATION);
    const options = sequenceOptions(b);
    const own = hasKernel(b, kind);
    return {
      shapes: { kernel: [I, rows], recurrent_kernel: [H, rows], ...bias },
      make() {
        const cell = own ? ownCell(b, kind, I, H, resetAfter) : kerasCell(b, kind, { resetAfter, activation, recurrentActivation });
        return new KerasRecurrent(b.name, cell, options);
      },
    };
  };

function ownCell(b: Builder, kind: Kind, inputSize: number, hiddenSize: number, resetAfter: boolean): Recurrence<State> {
  const sizes = {
    inputSize,
    hiddenSize,
    bias: b.arrays.has("bias"),
    biases: resetAfter ? 2 : 1,
    dtype: floatOf(b.arrays, "kernel"),
  } as const;
  const made = {
    LSTM: () => new LSTMCell(sizes),
    GRU: () => new GRUCell({ ...sizes, resetAfter }),
    SimpleRNN: () => new RNNCell({ ...sizes, nonlinearity: b.get("activation") === "relu" ? "relu" : "tanh" }),
  }[kind]();
  importWeights(made, "keras", b.arrays);
  return made as Recurrence<State>;
}

type CellFunctions = Pick<KerasCell, "resetAfter" | "activation" | "recurrentActivation">;

function kerasCell(b: Builder, kind: Kind, functions: CellFunctions): Recurrence<State> {
  const arrays = { kernel: b.copy("kernel"), recurrentKernel: b.copy("recurrent_kernel"), bias: b.optional("bias") };
  return new KerasCell({ kind, ...arrays, ...functions });
}

function convLstmPlan(b: Builder): Plan {
  b.only("data_format", "channels_last");
  b.only("strides", 1, [1, 1]);
  b.only("dilation_rate", 1, [1, 1]);
  const F = b.size("filters");
  const [rows, columns] = b.extent("kernel_size", 2, 1) as [number, number];
  const padding = b.word("padding", ["valid", "same"], "valid");
  const functions = {
    activation: b.activation("activation", "tanh"),
    recurrentActivation: b.activation("recurrent_activation", "hard_sigmoid"),
  };
  const options = sequenceOptions(b);
  const filters = (name: string): Tensor => copyOf(permute(b.array(name), [3, 2, 0, 1]));
  return {
    shapes: { kernel: [rows, columns, b.sizeOf("kernel", 2), 4 * F], recurrent_kernel: [rows, columns, F, 4 * F], ...biasShape(b, 4 * F) },
    make() {
      const weights = { weightIh: filters("kernel"), weightHh: filters("recurrent_kernel"), bias: b.optional("bias") };
      return new KerasConvLSTM(b.name, new KerasConvCell({ ...weights, padding, ...functions }), options);
    },
  };
}

/** The parts of a Bidirectional, before the names of their arrays: "forward_layer.kernel". */
export const DIRECTIONS = ["forward_layer", "backward_layer"] as const;

function bidirectionalPlan(op: string, b: Builder): Plan {
  const mergeMode = b.word("merge_mode", MERGES, "concat");
  const plans = DIRECTIONS.map((direction, i) => {
    const inner = specOf(op, b.get(direction) ?? b.get("layer"), b.name);
    if (!["SimpleRNN", "LSTM", "GRU", "ConvLSTM2D"].includes(inner.className))
      b.refuse("layer", "of SimpleRNN, LSTM, GRU or ConvLSTM2D", inner.className);
    // What reads backwards is described by the same words as the other, unless it is described by itself.
    const turned =
      i === 1 && b.get(direction) === undefined ? { ...inner.config, go_backwards: inner.config.go_backwards !== true } : inner.config;
    const arrays = new Map(
      Array.from(b.arrays).flatMap(([name, t]) =>
        name.startsWith(`${direction}.`) ? [[name.slice(direction.length + 1), t] as const] : [],
      ),
    );
    return planOf(op, { ...inner, config: turned }, arrays, b.hard);
  });
  const shapes = plans.flatMap((plan, i) =>
    Object.entries(plan.shapes).map(([name, shape]) => [`${DIRECTIONS[i]}.${name}`, shape] as const),
  );
  return {
    shapes: Object.fromEntries(shapes),
    make: () =>
      new KerasBidirectional(b.name, plans.map((plan) => plan.make() as KerasSequence) as [KerasSequence, KerasSequence], mergeMode),
  };
}

const functionPlan =
  (run: (b: Builder) => (x: Tensor) => Tensor, keepsMask = true) =>
  (b: Builder): Plan => {
    const made = run(b);
    return { shapes: {}, make: () => new KerasFunction(b.name, made, keepsMask) };
  };

const asIs = functionPlan(() => (x) => x);

const PLANS: Readonly<Record<string, (b: Builder) => Plan>> = {
  Activation: functionPlan((b) => b.activation("activation", null)),
  BatchNormalization: batchNormPlan,
  Conv1D: conv1dPlan,
  ConvLSTM2D: convLstmPlan,
  Dense: densePlan,
  Dropout: asIs,
  Embedding: embeddingPlan,
  Flatten: functionPlan(() => (x) => reshape(x, [x.dim(0), x.size / Math.max(1, x.dim(0))]), false),
  GRU: recurrentPlan("GRU"),
  GaussianDropout: asIs,
  GaussianNoise: asIs,
  InputLayer: asIs,
  LSTM: recurrentPlan("LSTM"),
  LayerNormalization: layerNormPlan,
  SimpleRNN: recurrentPlan("SimpleRNN"),
  SpatialDropout1D: asIs,
};

function planOf(op: string, spec: LayerSpec, arrays: Arrays, hard: HardSigmoid): Plan {
  const builder = new Builder(op, spec, arrays, hard);
  if (spec.className === "Bidirectional") return bidirectionalPlan(op, builder);
  if (Object.hasOwn(PLANS, spec.className)) return (PLANS[spec.className] as (b: Builder) => Plan)(builder);
  const known = [...Object.keys(PLANS), "Bidirectional"].sort().join(", ");
  throw new FormatError(`${op}: expected layers of ${known}, got ${quote(spec.name)} (${shorten(spec.className)})`);
}

/** What is wrong with the arrays of a layer, in words. */
function problemsOf(name: string, shapes: Readonly<Record<string, Shape>>, arrays: Arrays): string[] {
  const called = (array: string): string => `${shorten(name)}/${shorten(array)}`;
  const missing = Object.keys(shapes).filter((array) => !arrays.has(array));
  const unknown = [...arrays.keys()].filter((array) => !Object.hasOwn(shapes, array));
  const wrong = [...arrays].flatMap(([array, t]) => {
    const expected = Object.hasOwn(shapes, array) ? shapes[array] : undefined;
    if (expected === undefined || (sameShape(t.shape, expected) && isFloat(t.dtype) && t.size > 0)) return [];
    return [`${called(array)} ${t.dtype} ${shorten(show(t.shape))} for floats ${show(expected)}`];
  });
  return [...missing.map((array) => `no ${called(array)}`), ...unknown.map((array) => `unknown ${called(array)}`), ...wrong];
}

/**
 * Makes a model of layers and their arrays. Everything is checked before the first layer is made.
 * @param arraysOf each layer's arrays, by the names that Keras gives the variables of a layer
 * @throws FormatError for a layer or a setting that is not built, which it names, and for arrays that are missing, unknown or misshapen, all of which
 *   it names
 */
export function modelOf(
  op: string,
  specs: readonly LayerSpec[],
  branches: string | null,
  arraysOf: ReadonlyMap<string, Arrays>,
  hard: HardSigmoid,
): KerasModel {
  checkOneOf(op, "hardSigmoid", hard, ["keras2", "keras3"]);
  const names = specs.map(({ name }) => name);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) throw new FormatError(`${op}: expected unique names of layers, got ${quote(twice)} twice`);
  const none: Arrays = new Map();
  const plans = specs.map((spec) => ({ spec, plan: planOf(op, spec, arraysOf.get(spec.name) ?? none, hard) }));
  const problems = plans.flatMap(({ spec, plan }) => problemsOf(spec.name, plan.shapes, arraysOf.get(spec.name) ?? none));
  const strange = [...arraysOf.keys()]
    .filter((name) => !names.includes(name))
    .map((name) => `weights of ${quote(name)}, which is no layer`);
  if (problems.length + strange.length > 0)
    throw new FormatError(`${op}: expected each layer's weights, got ${list([...problems, ...strange])}`);
  return scope(() => new KerasModel(new Map(plans.map(({ spec, plan }) => [spec.name, plan.make()] as const)), branches));
}

/** Which of a layer's arrays a path means: `lstm/lstm_cell/kernel:0` → `kernel`, of a Bidirectional with its direction before it. */
export function variableOf(path: string, bidirectional: boolean): string {
  const variable = path.slice(path.lastIndexOf("/") + 1).replace(/:0$/, "");
  // The last part that names a direction: the layer's own name may begin like one.
  const direction = bidirectional ? /^(?:.*\/)?(forward|backward)_/.exec(path)?.[1] : undefined;
  return direction === undefined ? variable : `${direction}_layer.${variable}`;
}

/** A layer's description, from JSON. @throws FormatError */
export function specOf(op: string, value: unknown, otherwise = ""): LayerSpec {
  const { class_name: className, config } = isRecord(value) ? value : {};
  if (typeof className !== "string" || !isRecord(config))
    throw new FormatError(`${op}: expected a layer with class_name and config, got ${quote(value)}`);
  const name = config.name ?? otherwise;
  if (typeof name !== "string" || name === "") throw new FormatError(`${op}: expected a layer with a name, got ${quote(value)}`);
  return { className, name, config };
}

export interface Topology {
  readonly specs: readonly LayerSpec[];
  /** Why the layers are no chain; null where they are. */
  readonly branches: string | null;
}

/** The layers of a Sequential or functional model, from its JSON. @throws FormatError */
export function topologyOf(op: string, model: unknown): Topology {
  const { class_name: className, config } = isRecord(model) ? model : {};
  const layers = isRecord(config) ? config.layers : config;
  if (typeof className !== "string" || !Array.isArray(layers))
    throw new FormatError(`${op}: expected a model with class_name and layers, got ${quote(model)}`);
  const specs = layers.map((layer) => specOf(op, layer, isRecord(layer) && typeof layer.name === "string" ? layer.name : ""));
  return { specs, branches: className === "Sequential" ? null : branchesOf(specs, layers) };
}

function branchesOf(specs: readonly LayerSpec[], layers: readonly unknown[]): string | null {
  for (const [i, { name }] of specs.entries()) {
    const { inbound_nodes: nodes } = layers[i] as { inbound_nodes?: unknown };
    const sources = sourcesOf(nodes, 0);
    const chained = i === 0 ? sources.length === 0 : sources.length === 1 && sources[0] === specs[i - 1]?.name;
    if (!chained) return `${shorten(name)} after ${list(sources)}`;
  }
  return null;
}

const DEEPEST = 32;

/** The layers that a layer reads: wherever its nodes hold ["name", 0, 0, …]. */
function sourcesOf(value: unknown, depth: number): string[] {
  if (depth > DEEPEST || typeof value !== "object" || value === null) return [];
  if (Array.isArray(value) && typeof value[0] === "string" && typeof value[1] === "number" && typeof value[2] === "number")
    return [value[0]];
  return Object.values(value).flatMap((part) => sourcesOf(part, depth + 1));
}

/** A layer as Keras's `get_config` describes it, with its weights by the names of its variables. */
export interface DescribedLayer {
  readonly class_name: string;
  readonly config: Readonly<Record<string, unknown>>;
  /** `kernel`, `recurrent_kernel`, `bias`; of a Bidirectional `forward_layer.kernel`, …; none unless given. */
  readonly weights?: ReadonlyMap<string, Tensor> | Readonly<Record<string, Tensor>>;
}

/**
 * A chain of Keras layers from their descriptions and arrays in Keras's layout; see `loadTfjs` for what they do. A layer without a name is called
 * by its class and its place: `LSTM_0`.
 * @throws FormatError for a layer or a setting that is not built, which it names; for weights that are missing, unknown or misshapen, all of which
 *   it names
 * @throws DTypeError for weights that are no tensors
 * @example
 * const model = kerasModel([{ class_name: "Dense", config: { units: 1 }, weights: { kernel: tensor([[1], [2]]), bias: tensor([0]) } }]);
 * const y = model.forward(x);
 */
export function kerasModel(layers: readonly DescribedLayer[], options: KerasOptions = {}): KerasModel {
  const op = "kerasModel";
  const { hardSigmoid = "keras2" } = optionsOf(op, options, ["hardSigmoid"]);
  checkList(op, "the layers", layers);
  const specs = layers.map((layer, i) => specOf(op, layer, `${shorten(String(layer?.class_name))}_${i}`));
  const arraysOf = new Map(specs.map(({ name }, i) => [name, weightsOf(op, name, layers[i]?.weights ?? {})] as const));
  return modelOf(op, specs, null, arraysOf, hardSigmoid);
}

function weightsOf(op: string, name: string, weights: ReadonlyMap<string, Tensor> | Readonly<Record<string, Tensor>>): Arrays {
  checkObject(op, `the weights of ${quote(name)}`, weights);
  const arrays = new Map<string, Tensor>(weights instanceof Map ? weights : Object.entries(weights));
  for (const t of arrays.values()) checkTensor(op, t);
  return arrays;
}
