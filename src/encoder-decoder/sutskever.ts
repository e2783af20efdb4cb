/** Sequence to sequence without attention: the whole source passes through one state. */

import { checkOneOf, optionsOf } from "../base/checks.ts";
import { LAYER, type LayerOptions } from "../nn/layers.ts";
import { checkRecurrence, type Recurrence } from "../recurrence/recurrence.ts";
import type { State } from "../recurrence/state.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { Bridge, Decoder, type EncoderSizes, takenOver } from "./decoder.ts";
import { type Source, vectorOf } from "./encoder.ts";

export interface StateDecoderOptions<S extends State> extends LayerOptions {
  readonly encoder: EncoderSizes;
  readonly cell: Recurrence<S>;
  /**
   * "state" (default): the encoder's last state is the decoder's first, as published; both are cells of one kind and size.
   * "linear": s₀ = tanh(W h + b) of the encoder's last vector h, for cells of different sizes.
   */
  readonly start?: "state" | "linear";
}

/**
 * A decoder that starts from the encoder's last state:
 *
 *   s₀ = h_S      s_i = cell(y_{i−1}, s_{i−1})      p(y_i) = softmax(W s_i)
 *
 * The paper reads its sources backwards (`reverse` of `Encoder`), draws all parameters from U(±0.08), and searches with a beam.
 * @param options x [B,I] to the cell's output; the cell's state
 * @throws ShapeError from `start` if the states differ in form
 * @see Sutskever, Vinyals and Le, "Sequence to sequence learning with neural networks", 2014, section 2; figure 1
 * Deviates: initial weights are the cell's own; "linear" is not in the paper.
 * @example new StateDecoder({ encoder, cell: new LSTMCell({ inputSize: 16, hiddenSize: 32 }) })
 */
export class StateDecoder<S extends State> extends Decoder<S> {
  readonly inputSize: number;
  readonly outputSize: number;
  readonly cell: Recurrence<S>;
  readonly bridge: Bridge<S> | null;

  constructor(given: StateDecoderOptions<S>) {
    super();
    const { encoder, cell, start = "state", ...options } = optionsOf("StateDecoder", given, ["encoder", "cell", "start", ...LAYER]);
    checkRecurrence("StateDecoder", cell);
    this.inputSize = cell.inputSize;
    this.outputSize = cell.outputSize;
    this.cell = cell;
    checkOneOf("StateDecoder", "start", start, ["state", "linear"]);
    this.bridge = start === "linear" ? new Bridge(cell, encoder.stateSize, options) : null;
  }

  initialState(batch: number): S {
    return this.cell.initialState(batch);
  }

  start(source: Source): S {
    return this.bridge?.from(vectorOf(source.last)) ?? takenOver(this.cell, source);
  }

  step(x: Tensor, state: S): [y: Tensor, next: S] {
    return this.cell.step(x, state);
  }
}
