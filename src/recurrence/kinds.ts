/** Shared by the layers and cells of RNN, LSTM and GRU: weights, the form of the state, and how sequences run. */

import { checkOneOf, checkSizes, checkWhole } from "../base/checks.ts";
import { ArgumentError, ShapeError } from "../base/errors.ts";
import { LAYER, type LayerOptions, uniformParameter } from "../nn/layers.ts";
import type { Parameter } from "../nn/module.ts";
import { storedIn } from "../nn/stored-matrix.ts";
import { add } from "../ops/arithmetic.ts";
import { takeRows } from "../ops/gather.ts";
import { linear } from "../ops/linear.ts";
import { elmanSequence, gruSequence, lstmSequence, type Nonlinearity, type PackedRows } from "../ops/recurrent.ts";
import { cat, slice, transpose } from "../ops/shape.ts";
import { sameShape, show } from "../tensor/shape.ts";
import { checkTensor, type Tensor } from "../tensor/tensor.ts";
import type { State } from "./state.ts";

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
  /** Of the gates i, f and o: [3,H]. */
  readonly weightPeephole: Parameter | null;
}

/** PyTorch's name of each weight. */
export const WEIGHT_NAMES: Readonly<Record<keyof RecurrentWeights, string>> = {
  weightIh: "weight_ih",
  weightHh: "weight_hh",
  biasIh: "bias_ih",
  biasHh: "bias_hh",
  weightHr: "weight_hr",
  weightPeephole: "weight_peephole",
};

export interface RecurrentOptions extends LayerOptions {
  readonly inputSize: number;
  readonly hiddenSize: number;
  /** Whether to add biases (default true). */
  readonly bias?: boolean;
  /** 1 for one bias, on the input's side; 2 for two as in PyTorch (default). */
  readonly biases?: 1 | 2;
}

/** The names of `RecurrentOptions`. @internal */
export const RECURRENT = ["inputSize", "hiddenSize", "bias", "biases", ...LAYER] as const;

export interface ElmanNetOptions {
  /** Default "tanh". */
  readonly nonlinearity?: Nonlinearity;
}

export interface LstmNetOptions {
  /** Size of the projected output; 0 (default) for no projection. */
  readonly projSize?: number;
  /** Whether the gates see the cell, through peepholes (default false). */
  readonly peepholes?: boolean;
}

export interface GruNetOptions {
  /** Whether to apply the reset gate after the recurrent product (default, as in PyTorch) or before it, as first published. */
  readonly resetAfter?: boolean;
}

/** The state of an LSTM: its output and its cell. */
export type LstmState = { readonly h: Tensor; readonly c: Tensor };

/** A kind of recurrence: the form of its weights and its state, and how it runs over packed rows. */
export interface RecurrentKind<S extends State> {
  readonly gates: number;
  /** Size of each tensor of the state; the first is the output. */
  readonly stateSizes: readonly number[];
  readonly peepholes: boolean;
  /** Converts between a state and its tensors, in the order of `stateSizes`. */
  tensorsOf(state: S): readonly Tensor[];
  stateOf(tensors: readonly Tensor[]): S;
  /** Runs x [N,I], or int32 indices [N], from state tensors [B,·]; returns [ys, …last state]. */
  run(w: RecurrentWeights, x: Tensor, state: readonly Tensor[], rows: PackedRows): Tensor[];
}

export function elmanKind(hiddenSize: number, { nonlinearity = "tanh" }: ElmanNetOptions): RecurrentKind<Tensor> {
  checkOneOf("RNN", "nonlinearity", nonlinearity, ["tanh", "relu"]);
  return {
    gates: 1,
    stateSizes: [hiddenSize],
    peepholes: false,
    tensorsOf: (h) => [h],
    stateOf: ([h]) => h as Tensor,
    run(w, x, [h0], rows) {
      const gx = inputSums(x, w.weightIh, sumOfBiases(w));
      const [start, options] = [h0 as Tensor, { ...rows, nonlinearity }];
      const { ys, h } = storedIn(w.weightHh)?.elman(gx, start, options) ?? elmanSequence(gx, w.weightHh, start, options);
      return [ys, h];
    },
  };
}

export function lstmKind(op: string, hiddenSize: number, { projSize = 0, peepholes = false }: LstmNetOptions): RecurrentKind<LstmState> {
  checkSizes(op, { hiddenSize });
  checkWhole(op, "projSize", projSize, { least: 0, below: hiddenSize });
  return {
    gates: 4,
    stateSizes: [projSize || hiddenSize, hiddenSize],
    peepholes,
    tensorsOf: ({ h, c }) => [h, c],
    stateOf: ([h, c]) => ({ h: h as Tensor, c: c as Tensor }),
    run(w, x, [h0, c0], rows) {
      const gx = inputSums(x, w.weightIh, sumOfBiases(w));
      const options = { ...rows, ...(w.weightHr && { weightHr: w.weightHr }), ...(w.weightPeephole && { peepholes: w.weightPeephole }) };
      const start = [h0 as Tensor, c0 as Tensor] as const;
      const { ys, h, c } = storedIn(w.weightHh)?.lstm(gx, ...start, options) ?? lstmSequence(gx, w.weightHh, ...start, options);
      return [ys, h, c];
    },
  };
}

export function gruKind(hiddenSize: number, { resetAfter = true }: GruNetOptions): RecurrentKind<Tensor> {
  return {
    gates: 3,
    stateSizes: [hiddenSize],
    peepholes: false,
    tensorsOf: (h) => [h],
    stateOf: ([h]) => h as Tensor,
    run(w, x, [h0], rows) {
      const split = resetAfter && w.biasHh !== null;
      const gx = inputSums(x, w.weightIh, split ? gruInputBias(w, hiddenSize) : sumOfBiases(w));
      const bias = split ? { bias: slice(w.biasHh as Tensor, 0, 2 * hiddenSize) } : {};
      const [start, options] = [h0 as Tensor, { ...rows, resetAfter, ...bias }];
      const { ys, h } = storedIn(w.weightHh)?.gru(gx, start, options) ?? gruSequence(gx, w.weightHh, start, options);
      return [ys, h];
    },
  };
}

/** x·Wᵀ + b for x [N,I], or rows of Wᵀ + b for indices [N] that stand for one-hot vectors. */
function inputSums(x: Tensor, weight: Tensor, bias: Tensor | undefined): Tensor {
  const stored = storedIn(weight);
  if (stored !== null) return x.dtype === "int32" ? stored.columnsAt(x, bias) : stored.linear(x, bias);
  if (x.dtype !== "int32") return linear(x, weight, bias);
  const rows = transpose(weight);
  return takeRows(bias ? add(rows, bias) : rows, x);
}

function sumOfBiases({ biasIh, biasHh }: RecurrentWeights): Tensor | undefined {
  if (biasIh === null) return undefined;
  return biasHh === null ? biasIh : add(biasIh, biasHh);
}

/** Both biases of r and z, and the input's bias of n; the recurrent bias of n stays inside the reset. */
function gruInputBias({ biasIh, biasHh }: RecurrentWeights, H: number): Tensor {
  const forRz = add(slice(biasIh as Tensor, 0, 0, 2 * H), slice(biasHh as Tensor, 0, 0, 2 * H));
  return cat([forRz, slice(biasIh as Tensor, 0, 2 * H)]);
}

/** New weights from U(±1/√H), in PyTorch's order. */
export function makeWeights(
  kind: Pick<RecurrentKind<State>, "gates" | "stateSizes" | "peepholes">,
  inputSize: number,
  options: RecurrentOptions,
): RecurrentWeights {
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

/** Checks that each tensor of the state has shape [...lead, size]. */
export function checkState(op: string, state: readonly Tensor[], lead: readonly number[], sizes: readonly number[]): void {
  state.forEach((s, i) => {
    checkTensor(op, s);
    const expected = [...lead, sizes[i] as number];
    if (!sameShape(s.shape, expected)) {
      throw new ShapeError(`${op}: expected state ${"hc"[i]} ${show(expected)}, got ${show(s.shape)}`);
    }
  });
}
