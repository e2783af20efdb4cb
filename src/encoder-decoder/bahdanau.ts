/** Attention as first published: an additive score of the decoder's state before the step. */

import { checkSizes, optionsOf } from "../base/checks.ts";
import type { FloatDType } from "../base/dtype.ts";
import { LAYER, type LayerOptions } from "../nn/layers.ts";
import { Parameter } from "../nn/module.ts";
import { linear } from "../ops/linear.ts";
import { cat } from "../ops/shape.ts";
import type { Recurrence } from "../recurrence/recurrence.ts";
import type { State } from "../recurrence/state.ts";
import { zeros } from "../tensor/create.ts";
import { defaultGenerator } from "../tensor/random.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { type AttentionState, additiveScores, align, contextOf, memoryOf, real, sourceless } from "./attention.ts";
import { Bridge, Decoder, type EncoderSizes, remainingInput } from "./decoder.ts";
import { type Source, stateSizeOf, vectorOf } from "./encoder.ts";

export interface BahdanauDecoderOptions<S extends State> extends LayerOptions {
  /** The encoder's sizes; the paper's encoder is bidirectional. */
  readonly encoder: EncoderSizes;
  /** The cell, with input [x; c]; its state begins with the vector s. */
  readonly cell: Recurrence<S>;
  /** A, units of the alignment model. */
  readonly attentionSize: number;
}

/**
 * A decoder that attends to the source before each step:
 *
 *   a_ij = vᵀ tanh(W s_{i−1} + U e_j)      α_i = softmax_j(a_i)      c_i = Σ_j α_ij e_j
 *   s_i = cell([y_{i−1}; c_i], s_{i−1})      s₀ = tanh(W_s e + b)      output [s_i; y_{i−1}; c_i]
 *
 * where e is the vector of the encoder's last state, for two directions that of the backward one. Positions past a source's end have weight 0.
 * `weightQuery` W [A,H] and `weightKey` U [A,E] from N(0, 0.001²), `weightScore` v [1,A] zero, so all positions count equally at
 * first; `bridge` holds W_s and b. The memory is part of the state and is copied at every step of a scan.
 * @param options x [B,I], I = the cell's inputSize − E, to [B, O + I + E]; state `AttentionState`
 * @throws ArgumentError for a cell whose input has no room besides the context
 * @see Bahdanau, Cho and Bengio, "Neural machine translation by jointly learning to align and translate", 2015, section 3,
 * appendices A.1.2, A.2 and B.1
 * Deviates: any cell, with its own initial weights; W_s has a bias b, and its own initial weights.
 * @example new BahdanauDecoder({ encoder, attentionSize: 32, cell: new GRUCell({ inputSize: 16 + encoder.outputSize, hiddenSize: 48 }) })
 */
export class BahdanauDecoder<S extends State> extends Decoder<AttentionState<S>> {
  readonly inputSize: number;
  readonly outputSize: number;
  readonly cell: Recurrence<S>;
  readonly weightQuery: Parameter;
  readonly weightKey: Parameter;
  readonly weightScore: Parameter;
  readonly bridge: Bridge<S>;

  constructor(given: BahdanauDecoderOptions<S>) {
    super();
    const {
      encoder,
      cell,
      attentionSize: A,
      ...options
    } = optionsOf("BahdanauDecoder", given, ["encoder", "cell", "attentionSize", ...LAYER]);
    checkSizes("BahdanauDecoder", { attentionSize: A });
    const { dtype = "float32", generator = defaultGenerator() } = options;
    const E = encoder.outputSize;
    this.inputSize = remainingInput("BahdanauDecoder", cell, E);
    this.outputSize = cell.outputSize + this.inputSize + E;
    this.cell = cell;
    this.weightQuery = new Parameter(generator.normal([A, stateSizeOf(cell)], 0, 0.001, dtype));
    this.weightKey = new Parameter(generator.normal([A, E], 0, 0.001, dtype));
    this.weightScore = new Parameter(zeros([1, A], dtype));
    this.bridge = new Bridge(cell, encoder.stateSize, options);
  }

  /** Without a source: one position of zeros. */
  initialState(batch: number): AttentionState<S> {
    const { dtype, shape } = this.weightKey;
    const [A, E] = shape as [number, number];
    return sourceless(this.cell, batch, [E, A], dtype as FloatDType);
  }

  start(source: Source): AttentionState<S> {
    const { memory, lengths } = memoryOf(source);
    const alignment = zeros(memory.shape.slice(0, 2), memory.dtype);
    return { cell: this.bridge.from(vectorOf(source.last)), memory, keys: linear(memory, this.weightKey), lengths, alignment };
  }

  override alignment(state: AttentionState<S>): Tensor {
    return state.alignment;
  }

  step(x: Tensor, state: AttentionState<S>): [y: Tensor, next: AttentionState<S>] {
    const { cell, memory, keys, lengths } = state;
    const a = additiveScores(linear(vectorOf(cell), this.weightQuery), keys, this.weightScore);
    const alignment = align(a, real(memory.dim(1), lengths));
    const c = contextOf(alignment, memory);
    const [s, next] = this.cell.step(cat([x, c], 1), cell);
    return [cat([s, x, c], 1), { ...state, cell: next, alignment }];
  }
}
