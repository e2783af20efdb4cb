/** The first RNN encoder-decoder: every step sees a summary of the source. */

import { checkSizes, optionsOf } from "../base/checks.ts";
import { LAYER, type LayerOptions, uniformParameter } from "../nn/layers.ts";
import type { Parameter } from "../nn/module.ts";
import { linear } from "../ops/linear.ts";
import { tanh } from "../ops/math.ts";
import { cat } from "../ops/shape.ts";
import type { Recurrence } from "../recurrence/recurrence.ts";
import type { State } from "../recurrence/state.ts";
import { zeros } from "../tensor/create.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { Bridge, Decoder, type EncoderSizes, remainingInput } from "./decoder.ts";
import { type Source, vectorOf } from "./encoder.ts";

export interface ContextDecoderOptions<S extends State> extends LayerOptions {
  readonly encoder: EncoderSizes;
  /** The cell, with input [x; c]. */
  readonly cell: Recurrence<S>;
  /** C, size of the summary c. */
  readonly contextSize: number;
}

/** The cell's state, and the summary c [B,C]. */
export type ContextState<S extends State> = { readonly cell: S; readonly context: Tensor };

/**
 * A decoder that sees a summary of the source at every step, as does its readout:
 *
 *   c = tanh(V h_S + b)      s₀ = tanh(V' c + b')      s_i = cell([y_{i−1}; c], s_{i−1})      output [s_i; y_{i−1}; c]
 *
 * `weightContext` V [C,F] of the encoder's last vector h_S [B,F] and `biasContext` b from U(±1/√F); `bridge` holds V' and b'. The
 * paper's readout is a maxout layer (`maxout` of `EncoderDecoder`).
 * @param options x [B,I], I = the cell's inputSize − C, to [B, O + I + C]
 * @throws ArgumentError for a cell whose input has no room besides the context
 * @see Cho et al., "Learning phrase representations using RNN encoder-decoder for statistical machine translation", 2014, section 2.2,
 * appendix A
 * Deviates: initial weights; any cell.
 * @example new ContextDecoder({ encoder, contextSize: 32, cell: new GRUCell({ inputSize: 16 + 32, hiddenSize: 48 }) })
 */
export class ContextDecoder<S extends State> extends Decoder<ContextState<S>> {
  readonly inputSize: number;
  readonly outputSize: number;
  readonly cell: Recurrence<S>;
  readonly weightContext: Parameter;
  readonly biasContext: Parameter;
  readonly bridge: Bridge<S>;

  constructor(given: ContextDecoderOptions<S>) {
    super();
    const { encoder, cell, contextSize: C, ...options } = optionsOf("ContextDecoder", given, ["encoder", "cell", "contextSize", ...LAYER]);
    checkSizes("ContextDecoder", { contextSize: C });
    const F = encoder.stateSize;
    this.inputSize = remainingInput("ContextDecoder", cell, C);
    this.outputSize = cell.outputSize + this.inputSize + C;
    this.cell = cell;
    this.weightContext = uniformParameter([C, F], 1 / Math.sqrt(F), options);
    this.biasContext = uniformParameter([C], 1 / Math.sqrt(F), options);
    this.bridge = new Bridge(cell, C, options);
  }

  /** Without a source: the cell's initial state and a context of zeros. */
  initialState(batch: number): ContextState<S> {
    const { dtype, shape } = this.weightContext;
    return { cell: this.cell.initialState(batch), context: zeros([batch, shape[0] as number], dtype) };
  }

  start({ last }: Source): ContextState<S> {
    const context = tanh(linear(vectorOf(last), this.weightContext, this.biasContext));
    return { cell: this.bridge.from(context), context };
  }

  step(x: Tensor, { cell, context: c }: ContextState<S>): [y: Tensor, next: ContextState<S>] {
    const [s, next] = this.cell.step(cat([x, c], 1), cell);
    return [cat([s, x, c], 1), { cell: next, context: c }];
  }
}
