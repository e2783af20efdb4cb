/** The sizes of RNN, LSTM and GRU from their weights' names and shapes. */

import type { FloatDType } from "../base/dtype.ts";
import { FormatError } from "../base/errors.ts";
import { floatOf, type OwnTensors, shapeOf } from "../nn/from-state-dict.ts";
import { show } from "../tensor/shape.ts";

/** What weights tell of a cell. */
export interface InferredCell {
  readonly inputSize: number;
  readonly hiddenSize: number;
  readonly bias: boolean;
  readonly dtype: FloatDType;
}

/** What only those of an LSTM have. */
export interface InferredLstm {
  /** 0 for none. */
  readonly projSize: number;
  readonly peepholes: boolean;
}

export interface InferredStack {
  readonly numLayers: number;
  readonly bidirectional: boolean;
}

const NAME = /^(?:weight|bias)_[a-z]+_l(\d+)(_reverse)?$/;

/** Layers and directions by name. Each layer has at least one tensor, so a larger number comes from a wrong name and is no size. */
export function inferStack(own: OwnTensors): InferredStack {
  const names = [...own.keys()].flatMap((name) => [NAME.exec(name) ?? []]);
  const last = names.reduce((most, [, layer]) => Math.max(most, Number(layer ?? 0)), 0);
  return { numLayers: 1 + Math.min(last, own.size), bidirectional: names.some(([, , reverse]) => reverse !== undefined) };
}

/** A module is made although weights are missing, so that `loadStateDict` can name them: with at most SPARE times the elements there are, and SMALL more. */
const SPARE = 4;
const SMALL = 2 ** 16;

/**
 * The sizes that the first weights tell; whether the others agree is left to `loadStateDict`, which names all that do not.
 * @throws FormatError without the first weights, or with some for which a module would be far larger than what is there
 */
export function inferCell(
  op: string,
  own: OwnTensors,
  gates: number,
  stack?: InferredStack,
): { readonly cell: InferredCell; readonly lstm: InferredLstm } {
  const suffix = stack === undefined ? "" : "_l0";
  const [rows, I] = shapeOf(op, own, `weight_ih${suffix}`, [`${gates}·H`, "I"]) as [number, number];
  const [, width] = shapeOf(op, own, `weight_hh${suffix}`, [`${gates}·H`, "H"]) as [number, number];
  const H = Math.ceil(rows / gates);
  const projSize = own.has(`weight_hr${suffix}`) ? Math.min(width, H - 1) : 0;
  checkPresent(op, own, gates * H, I, projSize || H, stack ?? { numLayers: 1, bidirectional: false });
  const has = (name: string): boolean => own.has(name + suffix);
  const cell = {
    inputSize: I,
    hiddenSize: H,
    bias: has("bias_ih") || has("bias_hh"),
    dtype: floatOf(own, `weight_ih${suffix}`),
  };
  return { cell, lstm: { projSize, peepholes: has("weight_peephole") } };
}

function checkPresent(op: string, own: OwnTensors, rows: number, I: number, P: number, { numLayers, bidirectional }: InferredStack): void {
  const D = bidirectional ? 2 : 1;
  const wanted = D * rows * (I + P) + (numLayers - 1) * D * rows * (D * P + P);
  const present = [...own.values()].reduce((sum, t) => sum + t.size, 0);
  if (wanted <= SPARE * present + SMALL) return;
  const layers = `${numLayers} layers of weights ${show([rows, I])} and ${show([rows, P])}`;
  throw new FormatError(`${op}: expected ${layers} with ${wanted} elements, got ${present} elements in all`);
}
