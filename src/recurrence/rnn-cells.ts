/**
 * The work horses as cells: RNNCell, LSTMCell, GRUCell.
 *
 * A step is a sequence of one, so that streaming, batches and whole sequences give the same values to the last bit.
 */

import { checkSizes } from "../base/checks.ts";
import { ArgumentError, ShapeError } from "../base/errors.ts";
import { type LayerOptions, uniformParameter } from "../nn/layers.ts";
import { Module, type Parameter } from "../nn/module.ts";
import { add } from "../ops/arithmetic.ts";
import { embedding } from "../ops/gather.ts";
import { linear } from "../ops/linear.ts";
import { elmanSequence, gruSequence, lstmSequence, type Nonlinearity, type PackedRows } from "../ops/recurrent.ts";
import { cat, slice, transpose } from "../ops/shape.ts";
import { zeros } from "../tensor/create.ts";
import type { MemoryPlan } from "../tensor/dry-run.ts";
import { sameShape, show } from "../tensor/shape.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { packing } from "./packing.ts";
import { type PlanOptions, planScan } from "./plan.ts";
import { checkSequence, type Recurrence, type ScanOptions } from "./recurrence.ts";

// ---- What cells and layers share ----

/** The weights of one layer in one direction. */
export interface RecurrentWeights {
  /** [G·H, I] for G gates. */
  readonly weightIh: Parameter;
  /** [G·H, P]; P = H without a projection. */
  readonly weightHh: Parameter;
  /** [G·H] each. */
  readonly biasIh: Parameter | null;
  readonly biasHh: Parameter | null;
  /** [P,H], the projection. */
  readonly weightHr: Parameter | null;
  /** [3,H]: of the gates i, f and o. */
  readonly weightPeephole: Parameter | null;
}

export interface RecurrentOptions extends LayerOptions {
  readonly inputSize: number;
  readonly hiddenSize: number;
  /** Whether there are biases (default true). */
  readonly bias?: boolean;
  /** One bias, on the side of the input, or two as in PyTorch (default). */
  readonly biases?: 1 | 2;
}

export interface ElmanNetOptions {
  /** Default "tanh". */
  readonly nonlinearity?: Nonlinearity;
}

export interface LstmNetOptions {
  /** Size of the projected output; 0 (default) for none. */
  readonly projSize?: number;
  /** Whether the gates see the cell (default false). */
  readonly peepholes?: boolean;
}

export interface GruNetOptions {
  /** Whether the reset gate is applied after the recurrent product (default, as in PyTorch) or before it, as published first. */
  readonly resetAfter?: boolean;
}

/** A kind of recurrence: what its weights look like and how packed rows run through it. */
export interface RecurrentKind {
  readonly gates: number;
  /** Size of each tensor of the state; the first is the output. */
  readonly stateSizes: readonly number[];
  readonly peepholes: boolean;
  /** x [N,I], or int32 indices [N], and state tensors [B,·] to [ys, …last state]. */
  run(w: RecurrentWeights, x: Tensor, state: readonly Tensor[], rows: PackedRows): Tensor[];
}

export function elmanKind(hiddenSize: number, { nonlinearity = "tanh" }: ElmanNetOptions): RecurrentKind {
  return {
    gates: 1,
    stateSizes: [hiddenSize],
    peepholes: false,
    run(w, x, [h0], rows) {
      const gx = inputSums(x, w.weightIh, sumOfBiases(w));
      const { ys, h } = elmanSequence(gx, w.weightHh, h0 as Tensor, { ...rows, nonlinearity });
      return [ys, h];
    },
  };
}

export function lstmKind(op: string, hiddenSize: number, { projSize = 0, peepholes = false }: LstmNetOptions): RecurrentKind {
  if (!(Number.isInteger(projSize) && projSize >= 0 && projSize < hiddenSize)) {
    throw new ArgumentError(`${op}: expected projSize in [0, ${hiddenSize - 1}] for hiddenSize ${hiddenSize}, got ${projSize}`);
  }
  return {
    gates: 4,
    stateSizes: [projSize || hiddenSize, hiddenSize],
    peepholes,
    run(w, x, [h0, c0], rows) {
      const gx = inputSums(x, w.weightIh, sumOfBiases(w));
      const options = { ...rows, ...(w.weightHr && { weightHr: w.weightHr }), ...(w.weightPeephole && { peepholes: w.weightPeephole }) };
      const { ys, h, c } = lstmSequence(gx, w.weightHh, h0 as Tensor, c0 as Tensor, options);
      return [ys, h, c];
    },
  };
}

export function gruKind(hiddenSize: number, { resetAfter = true }: GruNetOptions): RecurrentKind {
  return {
    gates: 3,
    stateSizes: [hiddenSize],
    peepholes: false,
    run(w, x, [h0], rows) {
      const split = resetAfter && w.biasHh !== null;
      const gx = inputSums(x, w.weightIh, split ? gruInputBias(w, hiddenSize) : sumOfBiases(w));
      const bias = split ? { bias: slice(w.biasHh as Tensor, 0, 2 * hiddenSize) } : {};
      const { ys, h } = gruSequence(gx, w.weightHh, h0 as Tensor, { ...rows, resetAfter, ...bias });
      return [ys, h];
    },
  };
}

/** x·Wᵀ + b for x [N,I], or for indices [N] the same of the one-hot vectors that they stand for: rows of Wᵀ + b. */
function inputSums(x: Tensor, weight: Tensor, bias: Tensor | undefined): Tensor {
  if (x.dtype !== "int32") return linear(x, weight, bias);
  const rows = transpose(weight);
  return embedding(x, bias ? add(rows, bias) : rows);
}

function sumOfBiases({ biasIh, biasHh }: RecurrentWeights): Tensor | undefined {
  if (biasIh === null) return undefined;
  return biasHh === null ? biasIh : add(biasIh, biasHh);
}

/** Both biases of r and z, and the input's of n: the other stays inside the reset. */
function gruInputBias({ biasIh, biasHh }: RecurrentWeights, H: number): Tensor {
  const forRz = add(slice(biasIh as Tensor, 0, 0, 2 * H), slice(biasHh as Tensor, 0, 0, 2 * H));
  return cat([forRz, slice(biasIh as Tensor, 0, 2 * H)]);
}

/** New weights from U(±1/√H), drawn in PyTorch's order. */
export function makeWeights(kind: RecurrentKind, inputSize: number, options: RecurrentOptions): RecurrentWeights {
  const { hiddenSize: H, bias = true, biases = 2 } = options;
  const rows = kind.gates * H;
  const P = kind.stateSizes[0] as number;
  const draw = (...shape: number[]): Parameter => uniformParameter(shape, 1 / Math.sqrt(H), options);
  return {
    weightIh: draw(rows, inputSize),
    weightHh: draw(rows, P),
    biasIh: bias ? draw(rows) : null,
    biasHh: bias && biases === 2 ? draw(rows) : null,
    weightHr: P === H ? null : draw(P, H),
    weightPeephole: kind.peepholes ? draw(3, H) : null,
  };
}

export function checkRecurrentOptions(op: string, { inputSize, hiddenSize, biases = 2 }: RecurrentOptions): void {
  checkSizes(op, { inputSize, hiddenSize });
  if (biases !== 1 && biases !== 2) throw new ArgumentError(`${op}: expected biases to be 1 or 2, got ${biases}`);
}

/** Checks the state's tensors against [...lead, size] of each. */
export function checkState(op: string, state: readonly Tensor[], lead: readonly number[], sizes: readonly number[]): void {
  state.forEach((s, i) => {
    const expected = [...lead, sizes[i] as number];
    if (!sameShape(s.shape, expected)) {
      throw new ShapeError(`${op}: expected state ${"hc"[i]} ${show(expected)}, got ${show(s.shape)}`);
    }
  });
}

// ---- Cells ----

/** The state of an LSTM: its output and its cell. */
export type LstmState = { readonly h: Tensor; readonly c: Tensor };

abstract class FusedCell<S extends Tensor | LstmState> extends Module implements Recurrence<S> {
  readonly inputSize: number;
  readonly hiddenSize: number;
  readonly outputSize: number;
  readonly weightIh: Parameter;
  readonly weightHh: Parameter;
  readonly biasIh: Parameter | null;
  readonly biasHh: Parameter | null;
  readonly weightHr: Parameter | null;
  readonly weightPeephole: Parameter | null;
  readonly #kind: RecurrentKind;

  constructor(op: string, kind: RecurrentKind, options: RecurrentOptions) {
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

  protected abstract tensorsOf(state: S): readonly Tensor[];
  protected abstract stateOf(tensors: readonly Tensor[]): S;

  /** Zeros. */
  initialState(batch: number): S {
    return this.stateOf(this.#kind.stateSizes.map((size) => zeros([batch, size], this.weightHh.dtype)));
  }

  /** One time step: x [B,I] and the state, zeros unless given, to y [B,O] and the next state. */
  step(x: Tensor, state?: S): [y: Tensor, next: S];
  step(x: Tensor, state: S): [y: Tensor, next: S]; // the interface's own form, from which types of states are inferred
  step(x: Tensor, state: S = this.initialState(x.dim(0))): [y: Tensor, next: S] {
    const batch = x.dim(0);
    if (x.rank !== 2 || x.dim(1) !== this.inputSize) {
      throw new ShapeError(`step: expected x [B,${this.inputSize}], got ${show(x.shape)}`);
    }
    const [y, ...next] = this.#run("step", x, this.tensorsOf(state), { batchSizes: [batch] }, batch);
    return [y as Tensor, this.stateOf(next)];
  }

  /** A whole sequence xs [T,B,I] to ys [T,B,O] and each sequence's last state, in one kernel. */
  scan(xs: Tensor, state?: S, options: ScanOptions = {}): [ys: Tensor, last: S] {
    checkSequence("scan", xs, this.inputSize, options.lengths);
    const [T, B] = xs.shape as [number, number];
    const packed = packing(T, B, options.lengths, options.reverse ?? false);
    const initial = this.tensorsOf(state ?? this.initialState(B));
    const [ys, ...last] = this.#run("scan", packed.pack(xs), initial.map(packed.sort), packed.rows, B);
    return [packed.unpack(ys as Tensor), this.stateOf(last.map(packed.restore))];
  }

  /** Bytes that a scan over [time, batch, inputSize], or a training step on it, will need. */
  plan(options: PlanOptions): MemoryPlan {
    return planScan(this, options);
  }

  #run(op: string, x: Tensor, state: readonly Tensor[], rows: PackedRows, batch: number): Tensor[] {
    checkState(op, state, [batch], this.#kind.stateSizes);
    return this.#kind.run(this, x, state, rows);
  }
}

/** Cells whose state is their output. */
abstract class OutputCell extends FusedCell<Tensor> {
  protected override tensorsOf(state: Tensor): readonly Tensor[] {
    return [state];
  }

  protected override stateOf([h]: readonly Tensor[]): Tensor {
    return h as Tensor;
  }
}

export interface RNNCellOptions extends RecurrentOptions, ElmanNetOptions {}

/**
 * h' = φ(W_ih x + b_ih + W_hh h + b_hh), φ = tanh or relu; weights from U(±1/√H).
 * @see Elman, "Finding structure in time", 1990
 * @example const [y, h] = new RNNCell({ inputSize: 4, hiddenSize: 8 }).step(x, state);
 */
export class RNNCell extends OutputCell {
  constructor(options: RNNCellOptions) {
    super("RNNCell", elmanKind(options.hiddenSize, options), options);
  }
}

export interface LSTMCellOptions extends RecurrentOptions, LstmNetOptions {}

/**
 * Long short-term memory; gates in the order i f g o, weights from U(±1/√H).
 *
 *   i, f, o = σ(W x + b + R h + p∘c), o with the new c    g = tanh(W x + b + R h)
 *   c' = f∘c + i∘g    h' = o∘tanh(c'), projected by W_hr where `projSize` is given
 *
 * @see Hochreiter and Schmidhuber, "Long short-term memory", 1997; further `lstmSequence`
 * @example const [y, { h, c }] = new LSTMCell({ inputSize: 4, hiddenSize: 8 }).step(x, state);
 */
export class LSTMCell extends FusedCell<LstmState> {
  constructor(options: LSTMCellOptions) {
    super("LSTMCell", lstmKind("LSTMCell", options.hiddenSize, options), options);
  }

  protected override tensorsOf(state: LstmState): readonly Tensor[] {
    return [state.h, state.c];
  }

  protected override stateOf([h, c]: readonly Tensor[]): LstmState {
    return { h: h as Tensor, c: c as Tensor };
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
 * @example const [y, h] = new GRUCell({ inputSize: 4, hiddenSize: 8 }).step(x, state);
 */
export class GRUCell extends OutputCell {
  readonly resetAfter: boolean;

  constructor(options: GRUCellOptions) {
    super("GRUCell", gruKind(options.hiddenSize, options), options);
    this.resetAfter = options.resetAfter ?? true;
  }
}
