/** Encoders: read a source sequence with any recurrence, for a decoder. */

import { optionsOf } from "../base/checks.ts";
import { ArgumentError, ShapeError } from "../base/errors.ts";
import { Module } from "../nn/module.ts";
import { checkRecurrence, checkSequence } from "../recurrence/recurrence.ts";
import type { State } from "../recurrence/state.ts";
import { show } from "../tensor/shape.ts";
import { scope, Tensor } from "../tensor/tensor.ts";
import type { StackedLayer } from "../wrappers/stacked.ts";

/** A batch of encoded source sequences, for a decoder. */
export interface Source {
  /** The encoder's output at each step, [S,B,E]; zero after a sequence's end. */
  readonly states: Tensor;
  /** Steps of each sequence, at least 1. */
  readonly lengths: readonly number[];
  /** The encoder's last state. */
  readonly last: State;
}

/**
 * The vector [B,H] that represents a state: the first tensor of a cell's state (its output, if the state contains it), of the
 * backward one for two directions, of the last one for several layers.
 * @throws ShapeError if it is no vector
 */
export function vectorOf(state: State): Tensor {
  if (state instanceof Tensor) {
    if (state.rank !== 2) throw new ShapeError(`vectorOf: expected a state with a vector [B,H], got ${show(state.shape)}`);
    return state;
  }
  const parts = Object.values(state) as State[];
  const part = Array.isArray(state) || "backward" in state ? parts.at(-1) : parts[0];
  if (part === undefined) throw new ShapeError("vectorOf: expected a state with a vector [B,H], got an empty one");
  return vectorOf(part);
}

/** The size H of the vector that represents a recurrence's state. */
export function stateSizeOf(cell: { initialState(batch: number): State }): number {
  return scope(() => vectorOf(cell.initialState(1)).dim(1));
}

export interface EncoderOptions {
  /** Whether to read sources from their ends (default false). */
  readonly reverse?: boolean;
}

/**
 * Reads source sequences with a recurrence of one direction, of both (`Bidirectional`), or of several layers:
 *
 *   e_j, h_j = recurrence(x_j, h_{j−1}),  or with `reverse`  recurrence(x_j, h_{j+1})
 *
 * Each sequence is read within its own length, so padding is never seen.
 * @see Sutskever, Vinyals and Le, "Sequence to sequence learning with neural networks", 2014, section 3.3 on reversed sources
 * Deviates: none.
 * @example
 * const gru = () => new GRUCell({ inputSize: 16, hiddenSize: 32 });
 * const encoder = new Encoder(new Bidirectional(gru(), gru()));
 */
export class Encoder extends Module {
  readonly recurrence: StackedLayer<State>;
  readonly reverse: boolean;
  readonly inputSize: number;
  /** E, size of the output per step. */
  readonly outputSize: number;
  /** Size of the vector of the last state. */
  readonly stateSize: number;

  constructor(recurrence: StackedLayer<State>, options: EncoderOptions = {}) {
    super();
    const { reverse = false } = optionsOf("Encoder", options, ["reverse"]);
    checkRecurrence("Encoder", recurrence);
    this.recurrence = recurrence;
    this.reverse = reverse;
    this.inputSize = recurrence.inputSize;
    this.outputSize = recurrence.outputSize;
    this.stateSize = stateSizeOf(recurrence);
  }

  /**
   * Reads xs [S,B,I].
   * @throws ArgumentError for sequences of length 0
   */
  encode(xs: Tensor, given?: readonly number[]): Source {
    checkSequence("encode", xs, this.inputSize, given);
    const lengths = given ?? new Array<number>(xs.dim(1)).fill(xs.dim(0));
    const empty = lengths.indexOf(0);
    if (empty >= 0) throw new ArgumentError(`encode: expected sequences of at least one step, got none at position ${empty}`);
    const [states, last] = this.recurrence.scan(xs, undefined, { lengths, reverse: this.reverse });
    return { states, lengths, last };
  }
}
