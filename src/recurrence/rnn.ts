/** RNN, LSTM and GRU layers for whole sequences, stacked or bidirectional, with PyTorch's options and parameter names. */

import { observer } from "../autodiff/observer.ts";
import { checkNoMore, checkNumber, checkOptions, checkSizes } from "../base/checks.ts";
import type { FloatDType } from "../base/dtype.ts";
import { ShapeError, StateError } from "../base/errors.ts";
import { type FromStateDictOptions, fromTensors, type OwnTensors, ownOptions, type StateSource } from "../nn/from-state-dict.ts";
import type { LayerOptions } from "../nn/layers.ts";
import { Module, type Parameter } from "../nn/module.ts";
import { reshape } from "../ops/broadcast.ts";
import { dropout } from "../ops/dropout.ts";
import type { Nonlinearity } from "../ops/recurrent.ts";
import { cat, select, stack, transpose } from "../ops/shape.ts";
import { zeros } from "../tensor/create.ts";
import type { MemoryPlan } from "../tensor/dry-run.ts";
import { defaultGenerator, type Generator } from "../tensor/random.ts";
import { show } from "../tensor/shape.ts";
import { checkTensor, type Tensor } from "../tensor/tensor.ts";
import { inferCell, inferStack } from "./inferred.ts";
import {
  checkRecurrentOptions,
  checkState,
  type ElmanNetOptions,
  elmanKind,
  type GruNetOptions,
  gruKind,
  type LstmNetOptions,
  type LstmState,
  lstmKind,
  makeWeights,
  RECURRENT,
  type RecurrentKind,
  type RecurrentOptions,
  type RecurrentWeights,
  WEIGHT_NAMES,
} from "./kinds.ts";
import { packing } from "./packing.ts";
import { type PlanOptions, planScan } from "./plan.ts";
import { checkScanned, type Recurrence, SCAN, type ScanOptions } from "./recurrence.ts";
import type { State } from "./state.ts";

export interface StackedOptions extends RecurrentOptions {
  /** Default 1. */
  readonly numLayers?: number;
  /** Whether sequences are [B,T,…] instead of [T,B,…] (default false). */
  readonly batchFirst?: boolean;
  /** Probability of dropping an element between two layers in training (default 0). */
  readonly dropout?: number;
  /** Whether a second set of weights reads the sequence backwards; the outputs are concatenated (default false). */
  readonly bidirectional?: boolean;
}

const STACKED = [...RECURRENT, "numLayers", "batchFirst", "dropout", "bidirectional"] as const;

export interface ForwardOptions<S> {
  /** Initial state; default zeros. */
  readonly state?: S;
  /** Real steps of each sequence. Beyond them outputs are zero; the last state is the one at the sequence's end. */
  readonly lengths?: readonly number[];
}

export interface ForwardResult<S> {
  /** The last layer's outputs [T,B,D·O]; [B,T,D·O] with `batchFirst`, [T,D·O] for an input without a batch axis. */
  readonly output: Tensor;
  /** Last states [numLayers·D,B,·], layer by layer, forward before reverse; without B for an input without a batch axis. */
  readonly state: S;
}

/** A layer's end of the names of its parameters. */
function suffixOf(layer: number, direction: number): string {
  return `l${layer}${direction === 1 ? "_reverse" : ""}`;
}

function nameOf(key: keyof RecurrentWeights, layer: number, direction: number): string {
  return `${WEIGHT_NAMES[key]}_${suffixOf(layer, direction)}`;
}

class RecurrentLayers<S extends State> extends Module implements Recurrence<S> {
  readonly inputSize: number;
  readonly hiddenSize: number;
  readonly outputSize: number;
  readonly numLayers: number;
  readonly batchFirst: boolean;
  readonly dropout: number;
  readonly bidirectional: boolean;
  readonly #kind: RecurrentKind<S>;
  readonly #dtype: FloatDType;
  /** Source of the dropout masks; default: the default generator. */
  readonly generator: Generator | undefined;
  /** The weights by layer and direction. */
  readonly #weights: readonly RecurrentWeights[][];

  constructor(op: string, kind: RecurrentKind<S>, options: StackedOptions) {
    super();
    checkRecurrentOptions(op, options);
    const { numLayers = 1, dropout = 0, bidirectional = false } = options;
    checkSizes(op, { numLayers });
    checkNumber(op, "dropout", dropout, { least: 0, below: 1 });
    const directions = bidirectional ? 2 : 1;
    this.inputSize = options.inputSize;
    this.hiddenSize = options.hiddenSize;
    this.outputSize = directions * (kind.stateSizes[0] as number);
    this.numLayers = numLayers;
    this.batchFirst = options.batchFirst ?? false;
    this.dropout = dropout;
    this.bidirectional = bidirectional;
    this.#kind = kind;
    this.#dtype = options.dtype ?? "float32";
    this.generator = options.generator;
    this.#weights = Array.from({ length: numLayers }, (_, layer) =>
      Array.from({ length: directions }, (_, d) => this.#addWeights(layer, d, options)),
    );
  }

  #addWeights(layer: number, direction: number, options: StackedOptions): RecurrentWeights {
    const weights = makeWeights(this.#kind, layer === 0 ? this.inputSize : this.outputSize, options);
    for (const key of Object.keys(WEIGHT_NAMES) as (keyof RecurrentWeights)[]) {
      const parameter = weights[key];
      if (parameter) this.register(nameOf(key, layer, direction), parameter);
    }
    return weights;
  }

  /** Replaces each weight, possibly by itself. @internal */
  replaceWeights(replace: (name: string, weight: Parameter) => Parameter): void {
    this.#weights.forEach((directions, layer) => {
      directions.forEach((weights, d) => {
        const replaced = Object.entries(weights).map(([key, weight]: [string, Parameter | null]) => {
          if (weight === null) return [key, null];
          const name = nameOf(key as keyof RecurrentWeights, layer, d);
          const part = replace(name, weight);
          this.replaceRegistered(name, part);
          return [key, part];
        });
        directions[d] = Object.fromEntries(replaced) as RecurrentWeights;
      });
    });
  }

  /** Zeros [numLayers·D,B,·]. */
  initialState(batch: number): S {
    const lead = [this.numLayers * (this.bidirectional ? 2 : 1), batch];
    return this.#kind.stateOf(this.#kind.stateSizes.map((size) => zeros([...lead, size], this.#dtype)));
  }

  /**
   * Runs whole sequences.
   * @param xs [T,B,I], [B,T,I] with `batchFirst`, or [T,I] for one sequence without a batch axis; or int32 of one axis less:
   *   indices below I that stand for one-hot vectors, so that the input product is a look-up
   * @throws ShapeError for a sequence without steps and for shapes that do not fit
   * @throws ArgumentError for lengths outside [0, T], and for indices that are out of range
   */
  forward(xs: Tensor, options: ForwardOptions<S> = {}, ...more: readonly []): ForwardResult<S> {
    checkOptions("forward", options, ["state", "lengths"]);
    checkNoMore("forward", more);
    checkTensor("forward", xs);
    if (xs.rank === (isIndex(xs) ? 1 : 2)) return this.#forwardUnbatched(xs, options);
    const { state: initial, ...scanning } = options;
    const [ys, state] = this.scan(this.batchFirst ? swapLeading(xs) : xs, initial, scanning);
    return { output: this.batchFirst ? swapLeading(ys) : ys, state };
  }

  #forwardUnbatched(xs: Tensor, options: ForwardOptions<S>): ForwardResult<S> {
    const withBatch = (x: Tensor): Tensor => reshape(x, [x.dim(0), 1, ...x.shape.slice(1)]);
    const withoutBatch = (x: Tensor): Tensor => reshape(x, [x.dim(0), x.dim(2)]);
    const { state: given, ...scanning } = options;
    const initial = given && this.#kind.stateOf(this.#kind.tensorsOf(given).map(withBatch));
    const [ys, state] = this.scan(withBatch(xs), initial, scanning);
    return { output: withoutBatch(ys), state: this.#kind.stateOf(this.#kind.tensorsOf(state).map(withoutBatch)) };
  }

  get readsIndices(): boolean {
    return true;
  }

  /** The bytes that a scan over [time, batch, inputSize], or a training step on it, will need. */
  plan(options: PlanOptions): MemoryPlan {
    return planScan(this, options);
  }

  /** One time step, from x [B,I] (or indices [B]) and a state to y [B,O] and the next state. @throws StateError if bidirectional */
  step(x: Tensor, state?: S): [y: Tensor, next: S];
  step(x: Tensor, state: S): [y: Tensor, next: S]; // the interface's signature, from which TypeScript infers the state's type
  step(x: Tensor, state?: S): [y: Tensor, next: S] {
    if (this.bidirectional) throw new StateError("step: expected a layer of one direction, got a bidirectional one");
    if (!isIndex(x) && (x.rank !== 2 || x.dim(1) !== this.inputSize)) {
      throw new ShapeError(`step: expected x [B,${this.inputSize}], got ${show(x.shape)}`);
    }
    const [ys, next] = this.scan(reshape(x, [1, ...x.shape]), state);
    return [reshape(ys, [x.dim(0), this.outputSize]), next];
  }

  /** Whole sequences, always time-major: xs [T,B,I] (or indices [T,B]) to ys [T,B,O] and the last state. */
  scan(xs: Tensor, state?: S, options: ScanOptions = {}): [ys: Tensor, last: S] {
    checkOptions("scan", options, SCAN);
    checkScanned(this, xs, options.lengths);
    const [T, B] = xs.shape as [number, number];
    const directions = this.bidirectional ? 2 : 1;
    const initial = this.#kind.tensorsOf(state ?? this.initialState(B));
    checkState("scan", initial, [this.numLayers * directions, B], this.#kind.stateSizes);
    const { rows, pack, unpack, sort, restore } = packing(T, B, options.lengths, options.reverse ?? false);
    const last: Tensor[][] = initial.map(() => []);
    let x = pack(xs);
    this.#weights.forEach((weights, layer) => {
      const outputs = weights.map((w, d) => {
        const start = initial.map((s) => sort(select(s, 0, layer * directions + d)));
        const walk = { ...rows, reverse: rows.reverse !== (d === 1) };
        const run = () => this.#kind.run(w, x, start, walk);
        const { lengths } = options;
        const [ys, ...end] = observer?.layer?.({ name: suffixOf(layer, d), reverse: walk.reverse, lengths, unpack }, run) ?? run();
        end.forEach((s, i) => {
          last[i]?.push(restore(s));
        });
        return ys as Tensor;
      });
      x = outputs.length === 1 ? (outputs[0] as Tensor) : cat(outputs, 1);
      if (layer < this.numLayers - 1) x = this.#drop(x);
    });
    return [unpack(x), this.#kind.stateOf(last.map(stacked))];
  }

  #drop(x: Tensor): Tensor {
    return dropout(x, this.dropout, { training: this.training, generator: this.generator ?? defaultGenerator() });
  }
}

/** Whether an input holds indices of one-hot vectors. */
function isIndex(x: Tensor): boolean {
  checkTensor("scan", x);
  return x.dtype === "int32";
}

/** Stacks tensors along a new first axis; a single one, the usual case, is not copied. */
function stacked(parts: readonly Tensor[]): Tensor {
  const first = parts[0] as Tensor;
  return parts.length === 1 ? reshape(first, [1, ...first.shape]) : stack(parts);
}

function swapLeading(x: Tensor): Tensor {
  return transpose(x, 0, 1);
}

/** Options that the weights do not tell. */
export interface LayersFromOptions extends FromStateDictOptions, LayerOptions, Pick<StackedOptions, "biases" | "batchFirst" | "dropout"> {}

const FROM = ["prefix", "biases", "dtype", "generator", "batchFirst", "dropout"] as const;

/** Everything else about layers, but for what only an LSTM has. */
function inferLayers(op: string, own: OwnTensors, gates: number) {
  const stack = inferStack(own);
  const { cell, lstm } = inferCell(op, own, gates, stack);
  return { layers: { ...cell, ...stack }, lstm };
}

export interface RNNOptions extends StackedOptions, ElmanNetOptions {}

export interface RNNFromOptions extends LayersFromOptions, ElmanNetOptions {}

/**
 * Simple recurrent layers: h' = φ(W_ih x + b_ih + W_hh h + b_hh), φ = tanh or relu.
 * The state is h [numLayers·D,B,H].
 * @see Elman, "Finding structure in time", 1990
 * @example const { output, state } = new RNN({ inputSize: 4, hiddenSize: 8 }).forward(xs);
 */
export class RNN extends RecurrentLayers<Tensor> {
  readonly nonlinearity: Nonlinearity;

  constructor(options: RNNOptions) {
    checkOptions("RNN", options, ["nonlinearity", ...STACKED]);
    super("RNN", elmanKind(options.hiddenSize, options), options);
    this.nonlinearity = options.nonlinearity ?? "tanh";
  }

  /**
   * Layers of the sizes, directions and biases that their weights have, with these weights, named as PyTorch names them.
   * @param source a state dict, or a file of tensors
   * @throws FormatError for what are no such weights; missing, unknown and misshapen ones are named in one error
   * @example const rnn = RNN.fromStateDict(parseSafetensors(bytes), { prefix: "encoder.rnn" });
   */
  static fromStateDict(source: StateSource, options: RNNFromOptions = {}): RNN {
    const op = "RNN.fromStateDict";
    checkOptions(op, options, ["nonlinearity", ...FROM]);
    return fromTensors(op, source, options, (own) => new RNN({ ...inferLayers(op, own, 1).layers, ...ownOptions(options) }));
  }
}

export interface LSTMOptions extends StackedOptions, LstmNetOptions {}

/**
 * Layers of long short-term memory, with optional peepholes and projections; equations: `LSTMCell`.
 * The state is { h [numLayers·D,B,P], c [numLayers·D,B,H] }.
 * @see Hochreiter and Schmidhuber, "Long short-term memory", 1997; more sources at `lstmSequence`
 * @example
 * const lstm = new LSTM({ inputSize: 4, hiddenSize: 8, numLayers: 2 });
 * const { output, state } = lstm.forward(xs, { lengths: [7, 3, 5] });
 * const [y, next] = lstm.step(x, state);
 */
export class LSTM extends RecurrentLayers<LstmState> {
  constructor(options: LSTMOptions) {
    checkOptions("LSTM", options, ["projSize", "peepholes", ...STACKED]);
    super("LSTM", lstmKind("LSTM", options.hiddenSize, options), options);
  }

  /**
   * Layers of the sizes, directions and biases that their weights have, with these weights, named as PyTorch names them.
   * @param source a state dict, or a file of tensors
   * @throws FormatError for what are no such weights; missing, unknown and misshapen ones are named in one error
   * @example const lstm = LSTM.fromStateDict(parseSafetensors(bytes), { prefix: "encoder.rnn" });
   */
  static fromStateDict(source: StateSource, options: LayersFromOptions = {}): LSTM {
    const op = "LSTM.fromStateDict";
    checkOptions(op, options, [...FROM]);
    return fromTensors(op, source, options, (own) => {
      const { layers, lstm } = inferLayers(op, own, 4);
      return new LSTM({ ...layers, ...lstm, ...ownOptions(options) });
    });
  }
}

export interface GRUOptions extends StackedOptions, GruNetOptions {}

export interface GRUFromOptions extends LayersFromOptions, GruNetOptions {}

/**
 * Layers of gated recurrent units; equations: `GRUCell`. The state is h [numLayers·D,B,H].
 * @see Cho et al., "Learning phrase representations using RNN encoder-decoder for statistical machine translation", 2014
 * @example const { output, state } = new GRU({ inputSize: 4, hiddenSize: 8, bidirectional: true }).forward(xs);
 */
export class GRU extends RecurrentLayers<Tensor> {
  readonly resetAfter: boolean;

  constructor(options: GRUOptions) {
    checkOptions("GRU", options, ["resetAfter", ...STACKED]);
    super("GRU", gruKind(options.hiddenSize, options), options);
    this.resetAfter = options.resetAfter ?? true;
  }

  /**
   * Layers of the sizes, directions and biases that their weights have, with these weights, named as PyTorch names them.
   * @param source a state dict, or a file of tensors
   * @throws FormatError for what are no such weights; missing, unknown and misshapen ones are named in one error
   * @example const gru = GRU.fromStateDict(parseSafetensors(bytes), { prefix: "encoder.rnn" });
   */
  static fromStateDict(source: StateSource, options: GRUFromOptions = {}): GRU {
    const op = "GRU.fromStateDict";
    checkOptions(op, options, ["resetAfter", ...FROM]);
    return fromTensors(op, source, options, (own) => new GRU({ ...inferLayers(op, own, 3).layers, ...ownOptions(options) }));
  }
}
