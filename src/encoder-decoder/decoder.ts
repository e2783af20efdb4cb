/** The base of decoders: recurrences that start from a source. */

import { checkOptions } from "../base/checks.ts";
import { ArgumentError, ShapeError } from "../base/errors.ts";
import { LAYER, type LayerOptions, uniformParameter } from "../nn/layers.ts";
import { Module, type Parameter } from "../nn/module.ts";
import { linear } from "../ops/linear.ts";
import { tanh } from "../ops/math.ts";
import { Cell, type Recurrence } from "../recurrence/recurrence.ts";
import { mapState, type State, stateTensors } from "../recurrence/state.ts";
import { sameShape, show } from "../tensor/shape.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { type Encoder, type Source, stateSizeOf, vectorOf } from "./encoder.ts";

/** The sizes of the encoder for a decoder. */
export type EncoderSizes = Pick<Encoder, "outputSize" | "stateSize">;

/**
 * A recurrence over embedded target symbols that starts from a source. Its state includes what it needs of the source, so
 * it can be stepped, scanned, streamed and reordered like any other.
 */
export abstract class Decoder<S extends State = State> extends Cell<S> {
  /** The state before the first symbol of the target. */
  abstract start(source: Source): S;

  /** The weights of the source positions in the step that led to this state, [B,S]; null for decoders without attention. */
  alignment(_state: S): Tensor | null {
    return null;
  }
}

/** The size of a cell's input without the `taken` values that the decoder supplies. */
export function remainingInput(op: string, cell: { readonly inputSize: number }, taken: number): number {
  const rest = cell.inputSize - taken;
  if (rest < 1)
    throw new ArgumentError(`${op}: expected a cell with inputSize above ${taken}, the size of the context, got ${cell.inputSize}`);
  return rest;
}

/** The cell's initial state with `h` as its vector. */
export function stateWith<S extends State>(cell: Recurrence<S>, h: Tensor): S {
  const initial = cell.initialState(h.dim(0));
  const vector = vectorOf(initial);
  return mapState((t) => (t === vector ? h : t), initial);
}

/** The vector of the first state, s₀ = tanh(W h + b), from a vector h [B,F]; W [H,F] and b [H] from U(±1/√F). */
export class Bridge<S extends State> extends Module {
  readonly weight: Parameter;
  readonly bias: Parameter;
  readonly #cell: Recurrence<S>;

  constructor(cell: Recurrence<S>, size: number, options: LayerOptions) {
    super();
    checkOptions("Bridge", options, LAYER);
    const H = stateSizeOf(cell);
    this.#cell = cell;
    this.weight = uniformParameter([H, size], 1 / Math.sqrt(size), options);
    this.bias = uniformParameter([H], 1 / Math.sqrt(size), options);
  }

  from(h: Tensor): S {
    return stateWith(this.#cell, tanh(linear(h, this.weight, this.bias)));
  }
}

/** The encoder's last state as the decoder's first. @throws ShapeError if it does not have the cell's form */
export function takenOver<S extends State>(cell: Recurrence<S>, { last, lengths }: Source): S {
  const expected = stateTensors(cell.initialState(lengths.length));
  const got = stateTensors(last);
  const shapes = (tensors: readonly Tensor[]) => tensors.map((t) => show(t.shape)).join(" ");
  if (got.length !== expected.length || !got.every((t, i) => sameShape(t.shape, (expected[i] as Tensor).shape))) {
    throw new ShapeError(`start: expected a last state of the encoder ${shapes(expected)}, as the decoder's, got ${shapes(got)}`);
  }
  return last as S;
}
