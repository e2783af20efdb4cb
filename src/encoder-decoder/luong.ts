/** Attention after the step: products as scores, input feeding, and a window around a predicted position. */

import { checkOneOf, checkSizes, optionsOf } from "../base/checks.ts";
import type { FloatDType } from "../base/dtype.ts";
import { ArgumentError } from "../base/errors.ts";
import { LAYER, type LayerOptions, layerOptions, uniformParameter } from "../nn/layers.ts";
import { Module, type Parameter } from "../nn/module.ts";
import { mul, square, sub } from "../ops/arithmetic.ts";
import { cast } from "../ops/cast.ts";
import { lessEqual, logicalAnd } from "../ops/compare.ts";
import { linear } from "../ops/linear.ts";
import { abs, exp, sigmoid, tanh } from "../ops/math.ts";
import { cat, slice } from "../ops/shape.ts";
import { checkRecurrence, type Recurrence } from "../recurrence/recurrence.ts";
import type { State } from "../recurrence/state.ts";
import { zeros } from "../tensor/create.ts";
import type { Tensor } from "../tensor/tensor.ts";
import {
  type AttentionState,
  additiveScores,
  align,
  contextOf,
  memoryOf,
  positions,
  productScores,
  real,
  sourceless,
} from "./attention.ts";
import { Bridge, Decoder, type EncoderSizes, remainingInput, takenOver } from "./decoder.ts";
import { type Source, vectorOf } from "./encoder.ts";

/** How Luong's attention compares the decoder's state with the source: h·s, h·W s, or v·tanh(W [h; s]). */
export type LuongScore = "dot" | "general" | "concat";

export interface LuongDecoderOptions<S extends State> extends LayerOptions {
  readonly encoder: EncoderSizes;
  /** The cell, with input [x; h̃], or x without input feeding. */
  readonly cell: Recurrence<S>;
  /** Default "general". "dot" needs a cell whose output has the size of the encoder's. */
  readonly score?: LuongScore;
  /** A, units of the score "concat" (default: the size of the cell's output). */
  readonly attentionSize?: number;
  /** Size of h̃ (default: the size of the cell's output). */
  readonly outputSize?: number;
  /** Input feeding: whether the cell sees the last h̃ (default true). */
  readonly inputFeeding?: boolean;
  /** D: attends only to positions within D of a predicted one (local-p); default all positions (global). */
  readonly window?: number;
  /** "state" (default): the decoder starts from the encoder's last state. "linear": from tanh(W h + b) of its vector. */
  readonly start?: "state" | "linear";
}

/** The state of a decoder with attention, and its last output h̃ [B,O]. */
export type LuongState<S extends State> = AttentionState<S> & { readonly attentional: Tensor };

/** Where to look: p = S σ(vᵀ tanh(W s)) for s [B,H] and lengths S [B,1]; `weightPosition` W [H,H], `weightPredict` v [1,H] from U(±0.1). */
class PredictedPosition extends Module {
  readonly weightPosition: Parameter;
  readonly weightPredict: Parameter;

  constructor(H: number, options: LayerOptions) {
    super();
    this.weightPosition = uniformParameter([H, H], 0.1, options);
    this.weightPredict = uniformParameter([1, H], 0.1, options);
  }

  forward(s: Tensor, lengths: Tensor): Tensor {
    return mul(lengths, sigmoid(linear(tanh(linear(s, this.weightPosition)), this.weightPredict)));
  }
}

/**
 * A decoder that attends to the source after each step, with the step's result:
 *
 *   s_i = cell([y_{i−1}; h̃_{i−1}], s_{i−1})      α_i = softmax_j(score(s_i, e_j))      c_i = Σ_j α_ij e_j      h̃_i = tanh(W_c [c_i; s_i])
 *   score: dot s·e      general sᵀ W_a e      concat vᵀ tanh(W_a [s; e])
 *   local: p_i = S σ(v_pᵀ tanh(W_p s_i)); only |j − p_i| ≤ D count, and α_ij is multiplied by exp(−(j − p_i)²/2σ²), σ = D/2
 *
 * with positions j from 0, and S the length of the source. The output is h̃; h̃₀ = 0. Positions past a source's end have weight 0.
 * `weightAlign` W_a ([H,E] for general, [A,H+E] for concat), `weightScore` v [1,A], `weightCombine` W_c [O,E+H],
 * `position.weightPosition` W_p [H,H], `position.weightPredict` v_p [1,H], all from U(±0.1). The memory is part of the state and is copied at every step of a scan.
 * @throws ArgumentError for sizes that do not fit
 * @see Luong, Pham and Manning, "Effective approaches to attention-based neural machine translation", 2015, eq. 5-10, sections 3.1-3.3
 * Deviates: positions count from 0; any cell, with its own initial weights; "linear" is not in the paper.
 * @example new LuongDecoder({ encoder, cell: new GRUCell({ inputSize: 16 + 48, hiddenSize: 48 }), start: "linear" })
 */
export class LuongDecoder<S extends State> extends Decoder<LuongState<S>> {
  readonly inputSize: number;
  readonly outputSize: number;
  readonly cell: Recurrence<S>;
  readonly score: LuongScore;
  readonly inputFeeding: boolean;
  readonly window: number | null;
  readonly weightAlign: Parameter | null;
  readonly weightScore: Parameter | null;
  readonly weightCombine: Parameter;
  readonly position: PredictedPosition | null;
  readonly bridge: Bridge<S> | null;
  readonly #memorySize: number;

  constructor(options: LuongDecoderOptions<S>) {
    super();
    const {
      encoder,
      cell,
      score = "general",
      inputFeeding = true,
      window,
      start = "state",
    } = optionsOf("LuongDecoder", options, [
      "encoder",
      "cell",
      "score",
      "attentionSize",
      "outputSize",
      "inputFeeding",
      "window",
      "start",
      ...LAYER,
    ]);
    checkRecurrence("LuongDecoder", cell);
    const [H, E] = [cell.outputSize, encoder.outputSize];
    const { outputSize = H, attentionSize: A = H } = options;
    checkSizes("LuongDecoder", { outputSize, attentionSize: A });
    checkOneOf("LuongDecoder", "score", score, ["dot", "general", "concat"]);
    checkOneOf("LuongDecoder", "start", start, ["state", "linear"]);
    if (score === "dot" && H !== E) throw new ArgumentError(`LuongDecoder: expected a cell of output size ${E} for score "dot", got ${H}`);
    if (window !== undefined && !(window >= 1)) throw new ArgumentError(`LuongDecoder: expected a window of at least 1, got ${window}`);
    const draw = (...shape: number[]) => uniformParameter(shape, 0.1, options);
    this.inputSize = inputFeeding ? remainingInput("LuongDecoder", cell, outputSize) : cell.inputSize;
    this.outputSize = outputSize;
    this.cell = cell;
    this.score = score;
    this.inputFeeding = inputFeeding;
    this.window = window ?? null;
    this.weightAlign = score === "dot" ? null : score === "general" ? draw(H, E) : draw(A, H + E);
    this.weightScore = score === "concat" ? draw(1, A) : null;
    this.weightCombine = draw(outputSize, E + H);
    this.position = window === undefined ? null : new PredictedPosition(H, options);
    this.bridge = start === "linear" ? new Bridge(cell, encoder.stateSize, layerOptions(options)) : null;
    this.#memorySize = E;
  }

  /** Without a source: one position of zeros. */
  initialState(batch: number): LuongState<S> {
    const dtype = this.weightCombine.dtype as FloatDType;
    const E = this.#memorySize;
    const state = sourceless(this.cell, batch, [E, this.score === "dot" ? E : (this.weightAlign?.dim(0) as number)], dtype);
    return { ...state, attentional: zeros([batch, this.outputSize], dtype) };
  }

  start(source: Source): LuongState<S> {
    const { memory, lengths } = memoryOf(source);
    const { dtype, shape } = memory;
    return {
      cell: this.bridge?.from(vectorOf(source.last)) ?? takenOver(this.cell, source),
      memory,
      keys: this.#keys(memory),
      lengths,
      alignment: zeros(shape.slice(0, 2), dtype),
      attentional: zeros([shape[0] as number, this.outputSize], dtype),
    };
  }

  override alignment(state: LuongState<S>): Tensor {
    return state.alignment;
  }

  step(x: Tensor, state: LuongState<S>): [y: Tensor, next: LuongState<S>] {
    const { memory, keys, lengths } = state;
    const [s, cell] = this.cell.step(this.inputFeeding ? cat([x, state.attentional], 1) : x, state.cell);
    const alignment = this.#align(s, keys, lengths);
    const c = contextOf(alignment, memory);
    const attentional = tanh(linear(cat([c, s], 1), this.weightCombine));
    return [attentional, { ...state, cell, alignment, attentional }];
  }

  /** The part of the scores that depends only on the source. */
  #keys(memory: Tensor): Tensor {
    if (this.weightAlign === null) return memory;
    return linear(memory, this.score === "general" ? this.weightAlign : slice(this.weightAlign, 1, this.cell.outputSize));
  }

  #scores(s: Tensor, keys: Tensor): Tensor {
    if (this.weightAlign === null || this.weightScore === null) return productScores(s, keys);
    return additiveScores(linear(s, slice(this.weightAlign, 1, 0, this.cell.outputSize)), keys, this.weightScore);
  }

  #align(s: Tensor, keys: Tensor, lengths: Tensor): Tensor {
    const scores = this.#scores(s, keys);
    const S = keys.dim(1);
    const mask = real(S, lengths);
    if (this.position === null) return align(scores, mask);
    const D = this.window as number;
    const distance = sub(positions(S, s.dtype), this.position.forward(s, cast(lengths, s.dtype)));
    const near = lessEqual(abs(distance), D);
    return mul(align(scores, logicalAnd(mask, near)), exp(mul(square(distance), -2 / D ** 2)));
  }
}
