/** Models over sequences, described as a list of layers. */

import { checkLengths, checkList, checkNumber, checkOptions, checkWhole, isRecord } from "../base/checks.ts";
import type { FloatDType } from "../base/dtype.ts";
import { ArgumentError } from "../base/errors.ts";
import { list, quote } from "../base/quote.ts";
import { Dropout } from "../nn/dropout-layers.ts";
import { Embedding, LayerNorm, Linear } from "../nn/layers.ts";
import { Module } from "../nn/module.ts";
import { runningMask } from "../nn/padding.ts";
import { div } from "../ops/arithmetic.ts";
import { reshape, sum } from "../ops/broadcast.ts";
import { where } from "../ops/compare.ts";
import { takeRows } from "../ops/gather.ts";
import { gelu, relu, sigmoid, silu, tanh } from "../ops/math.ts";
import { mean } from "../ops/reduce.ts";
import { cat, select } from "../ops/shape.ts";
import { softmax } from "../ops/softmax.ts";
import { GRU, LSTM, RNN } from "../recurrence/rnn.ts";
import type { Generator } from "../tensor/random.ts";
import type { Shape } from "../tensor/shape.ts";
import { checkTensor, Tensor, tensor } from "../tensor/tensor.ts";

/** Options of recurrent layers, as in `LSTM`. */
export interface RecurrentSpec {
  readonly numLayers?: number;
  readonly bidirectional?: boolean;
  readonly dropout?: number;
}

/**
 * A layer, as plain data. Sizes are those of the outputs; input sizes follow from the layer before.
 *
 * `"last"` is the last state of the recurrent layer before, or the last real step; `"mean"` is the mean over the real steps. Both make one
 * vector of a sequence.
 */
export type LayerSpec =
  | { readonly embedding: number }
  | { readonly linear: number }
  | { readonly dropout: number }
  | ({ readonly rnn: number } & RecurrentSpec)
  | ({ readonly lstm: number } & RecurrentSpec)
  | ({ readonly gru: number } & RecurrentSpec)
  | "layerNorm"
  | "last"
  | "mean"
  | keyof typeof ACTIVATIONS;

const ACTIVATIONS = { tanh, relu, sigmoid, silu, gelu, softmax: (x: Tensor) => softmax(x) };

/** A model of layers as plain data. */
export interface SequenceSpec {
  /** Number of features of a step, or of ids for a model that begins with an embedding. */
  readonly inputSize: number;
  readonly layers: readonly LayerSpec[];
}

export interface SequenceOptions extends SequenceSpec {
  readonly dtype?: FloatDType;
  /** Where initial weights come from (default the default generator). */
  readonly generator?: Generator;
}

export interface SequenceForwardOptions {
  /** Real steps of each sequence (default all). */
  readonly lengths?: readonly number[];
}

/** What goes from layer to layer. */
interface Flow {
  readonly value: Tensor;
  readonly lengths: readonly number[] | undefined;
  /** The last state of the recurrent layer before, [B,F]; null after any other. */
  readonly last: Tensor | null;
}

/** A layer in use. */
interface Stage {
  readonly outputSize: number;
  /** Whether what comes out has no time. */
  readonly isVector: boolean;
  readonly module: Module | null;
  /** Names and shapes of its weights. */
  readonly shapes: ReadonlyMap<string, Shape>;
  readonly run: (flow: Flow) => Tensor | Flow;
}

interface Place {
  readonly index: number;
  readonly size: number;
  readonly isVector: boolean;
  readonly common: { readonly dtype: FloatDType; readonly generator?: Generator };
}

const refuse = (expected: string, got: unknown): never => {
  throw new ArgumentError(`sequence: expected ${expected}, got ${quote(got)}`);
};

const GATES = { rnn: 1, gru: 3, lstm: 4 } as const;
type RecurrentKind = keyof typeof GATES;
const RECURRENT = { rnn: RNN, gru: GRU, lstm: LSTM };

/** Weights of recurrent layers, named and shaped as PyTorch has them. */
function recurrentShapes(kind: RecurrentKind, inputSize: number, H: number, layers: number, directions: number): Map<string, Shape> {
  const rows = GATES[kind] * H;
  const shapes = new Map<string, Shape>();
  for (let layer = 0; layer < layers; layer++) {
    for (const suffix of ["", "_reverse"].slice(0, directions)) {
      shapes.set(`weight_ih_l${layer}${suffix}`, [rows, layer === 0 ? inputSize : directions * H]);
      shapes.set(`weight_hh_l${layer}${suffix}`, [rows, H]);
      shapes.set(`bias_ih_l${layer}${suffix}`, [rows]);
      shapes.set(`bias_hh_l${layer}${suffix}`, [rows]);
    }
  }
  return shapes;
}

function recurrentStage(kind: RecurrentKind, spec: { readonly [name: string]: unknown }, place: Place, build: boolean): Stage {
  if (place.isVector) refuse(`${kind} over a sequence`, "one after last or mean");
  checkOptions(
    "sequence",
    spec as unknown as RecurrentSpec & Record<RecurrentKind, unknown>,
    [kind, "numLayers", "bidirectional", "dropout"] as never,
  );
  const { numLayers = 1, bidirectional = false, dropout = 0 } = spec as RecurrentSpec;
  const H = sizeOf(kind, spec[kind]);
  checkWhole("sequence", "numLayers", numLayers, { least: 1 });
  const directions = bidirectional === true ? 2 : 1;
  const sizes = { inputSize: place.size, hiddenSize: H, numLayers, bidirectional, dropout };
  const layers = build ? new RECURRENT[kind]({ ...sizes, ...place.common } as never) : null;
  return {
    outputSize: directions * H,
    isVector: false,
    module: layers,
    shapes: recurrentShapes(kind, place.size, H, numLayers, directions),
    run({ value, lengths }) {
      const { output, state } = (layers as RNN).forward(value, lengths === undefined ? {} : { lengths });
      const h = kind === "lstm" ? (state as unknown as { readonly h: Tensor }).h : state;
      const tops = Array.from({ length: directions }, (_, d) => select(h, 0, (numLayers - 1) * directions + d));
      return { value: output, lengths, last: cat(tops, 1) };
    },
  };
}

function sizeOf(name: string, size: unknown): number {
  checkWhole("sequence", name, size as number, { least: 1 });
  return size as number;
}

/** The last real step of each sequence of [T,B,F]. */
function lastSteps(value: Tensor, lengths: readonly number[] | undefined): Tensor {
  const [T, B, F] = value.shape as [number, number, number];
  if (lengths === undefined) return select(value, 0, T - 1);
  const rows = lengths.map((n, b) => Math.max(0, n - 1) * B + b);
  return takeRows(reshape(value, [T * B, F]), tensor(Int32Array.from(rows)));
}

/** The mean over the real steps of [T,B,F]; zeros for a sequence without any. */
function meanOfSteps(value: Tensor, lengths: readonly number[] | undefined): Tensor {
  const [T, B] = value.shape as [number, number, number];
  if (lengths === undefined) return mean(value, { axis: 0 });
  const counts = tensor(
    lengths.map((n) => [Math.max(1, n)]),
    { dtype: value.dtype },
  );
  return div(sum(where(reshape(runningMask(lengths, T), [T, B, 1]), value, 0), { axis: 0 }), counts);
}

const NO_SHAPES: ReadonlyMap<string, Shape> = new Map();

function namedStage(name: string, { size, isVector, common }: Place, build: boolean): Stage {
  const plain = { outputSize: size, isVector, module: null, shapes: NO_SHAPES };
  if (name === "layerNorm") {
    const norm = build ? new LayerNorm(size, { dtype: common.dtype }) : null;
    const shapes = new Map<string, Shape>([
      ["weight", [size]],
      ["bias", [size]],
    ]);
    return { ...plain, module: norm, shapes, run: ({ value }) => (norm as LayerNorm).forward(value) };
  }
  if (name === "last" || name === "mean") {
    if (isVector) refuse(`${name} over a sequence`, "one after last or mean");
    const run = ({ value, lengths, last }: Flow) => (name === "mean" ? meanOfSteps(value, lengths) : (last ?? lastSteps(value, lengths)));
    return { ...plain, isVector: true, run };
  }
  const activation = Object.hasOwn(ACTIVATIONS, name) ? ACTIVATIONS[name as keyof typeof ACTIVATIONS] : undefined;
  if (activation === undefined) return refuse(`a layer such as layerNorm, last, mean, ${Object.keys(ACTIVATIONS).join(", ")}`, name);
  return { ...plain, run: ({ value }) => activation(value) };
}

function stageOf(spec: unknown, place: Place, build: boolean): Stage {
  if (typeof spec === "string") return namedStage(spec, place, build);
  if (!isRecord(spec)) return refuse("a layer as a name or an object", spec);
  const { size, isVector, common, index } = place;
  const kind = (["rnn", "lstm", "gru"] as const).find((name) => name in spec);
  if (kind !== undefined) return recurrentStage(kind, spec, place, build);
  const names = Object.keys(spec);
  if (names.length !== 1) refuse("a layer of one kind", spec);
  if ("dropout" in spec) {
    checkNumber("sequence", "dropout", spec.dropout as number, { least: 0, below: 1 });
    const { generator } = common;
    const dropout = build ? new Dropout(spec.dropout as number, generator === undefined ? {} : { generator }) : null;
    return { outputSize: size, isVector, module: dropout, shapes: NO_SHAPES, run: ({ value }) => (dropout as Dropout).forward(value) };
  }
  if ("embedding" in spec) {
    if (index > 0) refuse("an embedding as the first layer", `one at ${index}`);
    const width = sizeOf("embedding", spec.embedding);
    const table = build ? new Embedding(size, width, common) : null;
    const shapes = new Map<string, Shape>([["weight", [size, width]]]);
    return { outputSize: width, isVector, module: table, shapes, run: ({ value }) => (table as Embedding).forward(value) };
  }
  if (!("linear" in spec))
    return refuse("a layer such as { embedding }, { lstm }, { gru }, { rnn }, { linear } or { dropout }", list(names));
  const width = sizeOf("linear", spec.linear);
  const layer = build ? new Linear(size, width, common) : null;
  const shapes = new Map<string, Shape>([
    ["weight", [width, size]],
    ["bias", [width]],
  ]);
  return { outputSize: width, isVector, module: layer, shapes, run: ({ value }) => (layer as Linear).forward(value) };
}

/** All layers, or with `build` false what is known of them before anything is made. @throws ArgumentError, DTypeError */
function stagesOf({ inputSize, layers }: SequenceSpec, common: Place["common"], build: boolean): Stage[] {
  checkWhole("sequence", "inputSize", inputSize, { least: 1 });
  checkList("sequence", "layers", layers);
  if (layers.length === 0) throw new ArgumentError("sequence: expected at least one layer, got none");
  const stages: Stage[] = [];
  for (const [index, spec] of layers.entries()) {
    const { outputSize, isVector } = stages.at(-1) ?? { outputSize: inputSize, isVector: false };
    stages.push(stageOf(spec, { index, size: outputSize, isVector, common }, build));
  }
  return stages;
}

/** The names and shapes of a model's weights, from its plain data. @throws ArgumentError, DTypeError @internal */
export function shapesOfSequence(spec: SequenceSpec): Map<string, Shape> {
  const stages = stagesOf(spec, { dtype: "float32" }, false);
  return new Map(stages.flatMap(({ shapes }, i) => Array.from(shapes, ([name, shape]) => [`${i}.${name}`, shape] as const)));
}

/**
 * Layers on top of each other, made from plain data: what `serializeModel` can save whole.
 * @example
 * const model = sequence({ inputSize: vocabulary.size, layers: [{ embedding: 16 }, { lstm: 32, bidirectional: true }, "last", { linear: 5 }] });
 * const logits = model.forward(ids, { lengths }); // ids int32 [T,B] to [B,5]
 */
export class SequenceModel extends Module {
  /** What it was made from. */
  readonly spec: SequenceSpec;
  readonly inputSize: number;
  readonly outputSize: number;
  readonly #stages: readonly Stage[];
  readonly #dtype: FloatDType;

  /** @throws ArgumentError, DTypeError for invalid layers, before a weight is made */
  constructor(options: SequenceOptions) {
    super();
    checkOptions("sequence", options, ["inputSize", "layers", "dtype", "generator"]);
    const { inputSize, layers, dtype = "float32", generator } = options;
    const common = { dtype, ...(generator && { generator }) };
    stagesOf({ inputSize, layers }, common, false);
    this.#stages = stagesOf({ inputSize, layers }, common, true);
    this.#dtype = dtype;
    this.spec = JSON.parse(JSON.stringify({ inputSize, layers })) as SequenceSpec;
    this.inputSize = inputSize;
    this.outputSize = (this.#stages.at(-1) as Stage).outputSize;
    for (const [i, { module }] of this.#stages.entries()) if (module !== null) this.register(String(i), module);
  }

  get dtype(): FloatDType {
    return this.#dtype;
  }

  /**
   * @param xs [T,B,I], or int32 ids [T,B] for a model that begins with an embedding
   * @returns [T,B,O], or [B,O] after `"last"` or `"mean"`
   * @throws ShapeError for another number of lengths than B; ArgumentError for lengths outside [0, T]
   */
  forward(xs: Tensor, options: SequenceForwardOptions = {}): Tensor {
    checkTensor("forward", xs);
    checkOptions("forward", options, ["lengths"]);
    const { lengths } = options;
    if (lengths !== undefined) checkLengths("forward", lengths, xs.dim(1), xs.dim(0));
    let flow: Flow = { value: xs, lengths, last: null };
    for (const { run } of this.#stages) {
      const next = run(flow);
      flow = next instanceof Tensor ? { ...flow, value: next, last: null } : next;
    }
    return flow.value;
  }
}

/** The same as `new SequenceModel(options)`. */
export function sequence(options: SequenceOptions): SequenceModel {
  return new SequenceModel(options);
}
