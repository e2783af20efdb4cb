import { checkOptions } from "../base/checks.ts";
import { ShapeError } from "../base/errors.ts";
import { type FromStateDictOptions, fromTensors, ownOptions, type StateSource } from "../nn/from-state-dict.ts";
import type { LayerOptions } from "../nn/layers.ts";
import { Module, type Parameter } from "../nn/module.ts";
import type { PackedRows } from "../ops/recurrent.ts";
import { zeros } from "../tensor/create.ts";
import type { MemoryPlan } from "../tensor/dry-run.ts";
import { show } from "../tensor/shape.ts";
import { checkTensor, type Tensor } from "../tensor/tensor.ts";
import { inferCell } from "./inferred.ts";
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
} from "./kinds.ts";
import { packing } from "./packing.ts";
import { type PlanOptions, planScan } from "./plan.ts";
import { checkSequence, movesAs, type Recurrence, SCAN, type ScanOptions, scanSteps } from "./recurrence.ts";
import type { State } from "./state.ts";

class FusedCell<S extends State> extends Module implements Recurrence<S> {
  readonly inputSize: number;
  readonly hiddenSize: number;
  readonly outputSize: number;
  readonly weightIh: Parameter;
  readonly weightHh: Parameter;
  readonly biasIh: Parameter | null;
  readonly biasHh: Parameter | null;
  readonly weightHr: Parameter | null;
  readonly weightPeephole: Parameter | null;
  readonly #kind: RecurrentKind<S>;

  constructor(op: string, kind: RecurrentKind<S>, options: RecurrentOptions) {
    super();
    checkRecurrentOptions(op, options);
    this.inputSize = options.inputSize;
    this.hiddenSize = options.hiddenSize;
    this.outputSize = kind.stateSizes[0] as number;
    const w = makeWeights(kind, options.inputSize, options);
    this.weightIh = w.weightIh;
    this.weightHh = w.weightHh;
    this.biasIh = w.biasIh;
    this.biasHh = w.biasHh;
    this.weightHr = w.weightHr;
    this.weightPeephole = w.weightPeephole;
    this.#kind = kind;
  }

  /** Zeros. */
  initialState(batch: number): S {
    return this.#kind.stateOf(this.#kind.stateSizes.map((size) => zeros([batch, size], this.weightHh.dtype)));
  }

  /** One time step, from x [B,I] and a state (default zeros) to y [B,O] and the next state. */
  step(x: Tensor, state?: S): [y: Tensor, next: S];
  step(x: Tensor, state: S): [y: Tensor, next: S]; // the interface's signature, from which TypeScript infers the state's type
  step(x: Tensor, given?: S): [y: Tensor, next: S] {
    checkTensor("step", x);
    const batch = x.dim(0);
    const state = given ?? this.initialState(batch);
    if (x.rank !== 2 || x.dim(1) !== this.inputSize) {
      throw new ShapeError(`step: expected x [B,${this.inputSize}], got ${show(x.shape)}`);
    }
    const [y, ...next] = this.#run("step", x, this.#kind.tensorsOf(state), { batchSizes: [batch] }, batch);
    return [y as Tensor, this.#kind.stateOf(next)];
  }

  /** A whole sequence, from xs [T,B,I] to ys [T,B,O] and each sequence's last state, in one kernel. */
  scan(xs: Tensor, state?: S, options: ScanOptions = {}): [ys: Tensor, last: S] {
    checkOptions("scan", options, SCAN);
    // The kernel does not know a subclass's step.
    if (!movesAs(this, FusedCell)) return scanSteps(this, xs, state, options);
    checkSequence("scan", xs, this.inputSize, options.lengths);
    const [T, B] = xs.shape as [number, number];
    const packed = packing(T, B, options.lengths, options.reverse ?? false);
    const initial = this.#kind.tensorsOf(state ?? this.initialState(B));
    const [ys, ...last] = this.#run("scan", packed.pack(xs), initial.map(packed.sort), packed.rows, B);
    return [packed.unpack(ys as Tensor), this.#kind.stateOf(last.map(packed.restore))];
  }

  /** The bytes that a scan over [time, batch, inputSize], or a training step on it, will need. */
  plan(options: PlanOptions): MemoryPlan {
    return planScan(this, options);
  }

  #run(op: string, x: Tensor, state: readonly Tensor[], rows: PackedRows, batch: number): Tensor[] {
    checkState(op, state, [batch], this.#kind.stateSizes);
    return this.#kind.run(this, x, state, rows);
  }
}

/** Options that the weights do not tell. */
export interface CellFromOptions extends FromStateDictOptions, LayerOptions, Pick<RecurrentOptions, "biases"> {}

const FROM = ["prefix", "biases", "dtype", "generator"] as const;

export interface RNNCellOptions extends RecurrentOptions, ElmanNetOptions {}

/**
 * h' = φ(W_ih x + b_ih + W_hh h + b_hh), φ = tanh or relu; weights from U(±1/√H).
 * @see Elman, "Finding structure in time", 1990
 * Deviates: tanh units, two biases and the full gradient, as in PyTorch. `SimpleRecurrentNetwork` follows the paper.
 * @example const [y, h] = new RNNCell({ inputSize: 4, hiddenSize: 8 }).step(x, state);
 */
export class RNNCell extends FusedCell<Tensor> {
  constructor(options: RNNCellOptions) {
    checkOptions("RNNCell", options, ["nonlinearity", ...RECURRENT]);
    super("RNNCell", elmanKind(options.hiddenSize, options), options);
  }

  /**
   * A cell of the sizes and biases that its weights have, with these weights.
   * @throws FormatError, ShapeError as `RNN.fromStateDict`
   * @example const cell = RNNCell.fromStateDict(model.stateDict(), { prefix: "cell" });
   */
  static fromStateDict(source: StateSource, options: CellFromOptions & ElmanNetOptions = {}): RNNCell {
    const op = "RNNCell.fromStateDict";
    checkOptions(op, options, ["nonlinearity", ...FROM]);
    return fromTensors(op, source, options, (own) => new RNNCell({ ...inferCell(op, own, 1).cell, ...ownOptions(options) }));
  }
}

export interface LSTMCellOptions extends RecurrentOptions, LstmNetOptions {}

/**
 * Long short-term memory; gates in the order i f g o, weights from U(±1/√H).
 *
 *   i, f, o = σ(W x + b + R h + p∘c), o with the new c    g = tanh(W x + b + R h)
 *   c' = f∘c + i∘g    h' = o∘tanh(c'), projected by W_hr if `projSize` is given
 *
 * @see Hochreiter and Schmidhuber, "Long short-term memory", 1997; more sources at `lstmSequence`
 * Deviates: a forget gate, two biases and the full gradient, as in PyTorch. `LSTM1997` follows the paper.
 * @example const [y, { h, c }] = new LSTMCell({ inputSize: 4, hiddenSize: 8 }).step(x, state);
 */
export class LSTMCell extends FusedCell<LstmState> {
  constructor(options: LSTMCellOptions) {
    checkOptions("LSTMCell", options, ["projSize", "peepholes", ...RECURRENT]);
    super("LSTMCell", lstmKind("LSTMCell", options.hiddenSize, options), options);
  }

  /**
   * A cell of the sizes and biases that its weights have, with these weights.
   * @throws FormatError, ShapeError as `LSTM.fromStateDict`
   * @example const cell = LSTMCell.fromStateDict(model.stateDict(), { prefix: "cell" });
   */
  static fromStateDict(source: StateSource, options: CellFromOptions = {}): LSTMCell {
    const op = "LSTMCell.fromStateDict";
    checkOptions(op, options, [...FROM]);
    return fromTensors(op, source, options, (own) => {
      const { cell, lstm } = inferCell(op, own, 4);
      return new LSTMCell({ ...cell, ...lstm, ...ownOptions(options) });
    });
  }
}

export interface GRUCellOptions extends RecurrentOptions, GruNetOptions {}

/**
 * Gated recurrent units; gates in the order r z n, weights from U(±1/√H).
 *
 *   r, z = σ(W x + b + R h + b')    h' = n + z∘(h - n)
 *   n = tanh(W_n x + b_n + r∘(R_n h + b'_n)), or with `resetAfter: false` tanh(W_n x + b_n + R_n (r∘h) + b'_n)
 *
 * @see Cho et al., "Learning phrase representations using RNN encoder-decoder for statistical machine translation", 2014
 * Deviates: two biases, and the reset after the recurrent product unless `resetAfter` is false, as in PyTorch.
 * @example const [y, h] = new GRUCell({ inputSize: 4, hiddenSize: 8 }).step(x, state);
 */
export class GRUCell extends FusedCell<Tensor> {
  readonly resetAfter: boolean;

  constructor(options: GRUCellOptions) {
    checkOptions("GRUCell", options, ["resetAfter", ...RECURRENT]);
    super("GRUCell", gruKind(options.hiddenSize, options), options);
    this.resetAfter = options.resetAfter ?? true;
  }

  /**
   * A cell of the sizes and biases that its weights have, with these weights.
   * @throws FormatError, ShapeError as `GRU.fromStateDict`
   * @example const cell = GRUCell.fromStateDict(model.stateDict(), { prefix: "cell" });
   */
  static fromStateDict(source: StateSource, options: CellFromOptions & GruNetOptions = {}): GRUCell {
    const op = "GRUCell.fromStateDict";
    checkOptions(op, options, ["resetAfter", ...FROM]);
    return fromTensors(op, source, options, (own) => new GRUCell({ ...inferCell(op, own, 3).cell, ...ownOptions(options) }));
  }
}
