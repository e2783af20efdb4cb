/** A model from symbols to symbols: embeddings, an encoder, a decoder and a readout. */

import { noGrad } from "../autodiff/tape.ts";
import { checkLengths, checkNumber, checkOptions, checkSizes, checkWhole, optionsOf } from "../base/checks.ts";
import { ArgumentError, ShapeError } from "../base/errors.ts";
import { quote } from "../base/quote.ts";
import {
  type Autoregressive,
  type BeamOptions,
  beamSearch,
  type DecodingOptions,
  greedySearch,
  type Hypothesis,
} from "../decoding/beam-search.ts";
import { drawClasses } from "../decoding/draw.ts";
import { Embedding, LAYER, type LayerOptions, Linear } from "../nn/layers.ts";
import { crossEntropy } from "../nn/losses.ts";
import { Module } from "../nn/module.ts";
import { reshape } from "../ops/broadcast.ts";
import { amax } from "../ops/reduce.ts";
import { select } from "../ops/shape.ts";
import type { State } from "../recurrence/state.ts";
import { defaultGenerator, type Generator } from "../tensor/random.ts";
import { show } from "../tensor/shape.ts";
import { checkInt32, checkTensor, scope, type Tensor, tensor } from "../tensor/tensor.ts";
import { scheduledSampling } from "../wrappers/modes.ts";
import type { Decoder } from "./decoder.ts";
import type { Encoder } from "./encoder.ts";

/** Sequences of symbols side by side, as `padSequences` and `SequenceBatches` give them. */
export interface PaddedSymbols {
  /** int32 [T,B] */
  readonly padded: Tensor;
  /** Symbols of each sequence; null if each has T. */
  readonly lengths: readonly number[] | null;
}

/** Sequences of symbols, one per element of the batch. */
export type Sequences = readonly ArrayLike<number>[];

type Lists = readonly (readonly number[])[];

/** @throws DTypeError, ShapeError, ArgumentError */
function listsOf(op: string, sequences: Sequences | PaddedSymbols): Lists {
  if (!("padded" in sequences)) return sequences.map((sequence) => Array.from(sequence));
  const { padded, lengths } = sequences;
  checkTensor(op, padded);
  checkInt32(op, "symbols", padded);
  if (padded.rank !== 2) throw new ShapeError(`${op}: expected padded symbols [T,B], got ${show(padded.shape)}`);
  const [T, B] = padded.shape as [number, number];
  if (lengths !== null) checkLengths(op, lengths, B, T);
  const symbols = padded.data();
  return (lengths ?? new Array<number>(B).fill(T)).map((length, b) => Array.from({ length }, (_, t) => symbols[t * B + b] as number));
}

/** Target class of steps without loss. */
const NO_TARGET = -100;

/** @throws ArgumentError for numbers that are not whole, since int32 would turn them into other symbols */
function checkSymbols(sequences: Lists): void {
  sequences.forEach((sequence, b) => {
    const wrong = sequence.findIndex((symbol) => (symbol | 0) !== symbol);
    if (wrong < 0) return;
    throw new ArgumentError(`EncoderDecoder: expected symbols as whole numbers, got ${quote(sequence[wrong])} in sequence ${b}`);
  });
}

/** Joins sequences as columns, int32 [T,B], padded with a value. */
function padded(sequences: Lists, filling: number): Tensor {
  checkSymbols(sequences);
  const T = Math.max(...sequences.map((s) => s.length));
  const B = sequences.length;
  const values = Int32Array.from({ length: T * B }, (_, i) => sequences[i % B]?.[Math.floor(i / B)] ?? filling);
  return tensor(values, { shape: [T, B] });
}

/** A maxout layer of paired units, then logits: W max(U y + b, U' y + b') + c. */
class Maxout extends Module {
  readonly hidden: Linear;
  readonly output: Linear;

  constructor(inputSize: number, units: number, outputSize: number, options: LayerOptions) {
    super();
    this.hidden = new Linear(inputSize, 2 * units, options);
    this.output = new Linear(units, outputSize, options);
  }

  forward(y: Tensor): Tensor {
    const pairs = [...y.shape.slice(0, -1), this.output.inFeatures, 2];
    return this.output.forward(amax(reshape(this.hidden.forward(y), pairs), { axis: -1 }));
  }
}

export interface EncoderDecoderOptions<S extends State> extends LayerOptions {
  readonly encoder: Encoder;
  readonly decoder: Decoder<S>;
  /** Number of symbols in sources, and in targets including the end symbol. */
  readonly sourceSymbols: number;
  readonly targetSymbols: number;
  /** The target symbol that precedes the first symbol and follows the last (default 0). */
  readonly end?: number;
  /** Units of a maxout layer before the logits (Cho 2014, Bahdanau 2015); default: a linear readout. */
  readonly maxout?: number;
}

export interface SequenceLossOptions {
  /**
   * Scheduled sampling: probability that the decoder sees the true previous symbol instead of one drawn from its own
   * distribution (default 1: teacher forcing).
   */
  readonly truth?: number;
  /** Source of these draws. */
  readonly generator?: Generator;
}

/**
 * Reads a sequence of symbols and writes another:
 *
 *   state₀ = start(encode(E x_1, …, E x_S))      y_i, state_i = decoder(E' t_{i−1}, state_{i−1})      p(t_i) = softmax(W y_i + b)
 *
 * t_0 is the end symbol, which is also the last symbol of a target. Sequences are given and returned without it. The model makes `sourceEmbedding`,
 * `targetEmbedding` and `readout` to fit. With `truth` below 1, training draws symbols from the model (scheduled sampling).
 * @throws ArgumentError for sizes below 1, an end that is no symbol, a batch without sequences
 * @see Sutskever, Vinyals and Le, "Sequence to sequence learning with neural networks", 2014; Bengio, Vinyals, Jaitly and Shazeer,
 * "Scheduled sampling for sequence prediction with recurrent neural networks", 2015
 * Deviates: the caller decides how `truth` falls during training.
 * @example
 * const model = new EncoderDecoder({ encoder, decoder, sourceSymbols: 11, targetSymbols: 11 });
 * const loss = model.loss([[3, 1, 2]], [[2, 1, 3]]); // or ({ padded: xs, lengths }, { padded: ys, lengths: targetLengths })
 * const [said] = model.greedy([[3, 1, 2]], { maxLength: 11 });
 */
export class EncoderDecoder<S extends State> extends Module implements Autoregressive<S> {
  readonly encoder: Encoder;
  readonly decoder: Decoder<S>;
  readonly sourceEmbedding: Embedding;
  readonly targetEmbedding: Embedding;
  readonly readout: Linear | Maxout;
  readonly end: number;

  constructor(given: EncoderDecoderOptions<S>) {
    super();
    const {
      encoder,
      decoder,
      sourceSymbols,
      targetSymbols,
      end = 0,
      maxout,
      ...options
    } = optionsOf("EncoderDecoder", given, ["encoder", "decoder", "sourceSymbols", "targetSymbols", "end", "maxout", ...LAYER]);
    checkSizes("EncoderDecoder", { sourceSymbols, targetSymbols, ...(maxout !== undefined && { maxout }) });
    checkWhole("EncoderDecoder", "end", end, { least: 0, below: targetSymbols });
    this.encoder = encoder;
    this.decoder = decoder;
    this.sourceEmbedding = new Embedding(sourceSymbols, encoder.inputSize, options);
    this.targetEmbedding = new Embedding(targetSymbols, decoder.inputSize, options);
    const O = decoder.outputSize;
    this.readout = maxout === undefined ? new Linear(O, targetSymbols, options) : new Maxout(O, maxout, targetSymbols, options);
    this.end = end;
  }

  /** The decoder's state after reading sources, before the first target symbol. */
  encode(sources: Sequences | PaddedSymbols): S {
    return this.#encode(listsOf("encode", sources));
  }

  #encode(sources: Lists): S {
    if (sources.length === 0) throw new ArgumentError("encode: expected at least one source, got none");
    const lengths = sources.map((s) => s.length);
    return this.decoder.start(this.encoder.encode(this.sourceEmbedding.forward(padded(sources, 0)), lengths));
  }

  /** The decoder's state for a batch without sources. */
  initialState(batch: number): S {
    return this.decoder.initialState(batch);
  }

  /** From the previous symbols, int32 [B], and a state to logits [B,V] and the next state. */
  step(symbols: Tensor, state: S): [logits: Tensor, next: S] {
    const [y, next] = this.decoder.step(this.targetEmbedding.forward(symbols), state);
    return [this.readout.forward(y), next];
  }

  /** Logits [T,B,V] for targets and their end symbol, given the true symbols before each. */
  forward(sources: Sequences | PaddedSymbols, targets: Sequences | PaddedSymbols): Tensor {
    const state = this.encode(sources);
    return this.readout.forward(this.decoder.scan(this.targetEmbedding.forward(this.#before(listsOf("forward", targets))), state)[0]);
  }

  /** The symbol before each target symbol and the end, int32 [T,B]. */
  #before(targets: Lists): Tensor {
    const shifted = targets.map((t) => [this.end, ...t]);
    return padded(shifted, this.end);
  }

  /** Mean cross-entropy of the target symbols and their end symbol, in nats per symbol. */
  loss(sources: Sequences | PaddedSymbols, targets: Sequences | PaddedSymbols, options: SequenceLossOptions = {}): Tensor {
    checkOptions("loss", options, ["truth", "generator"]);
    const { truth = 1, generator = defaultGenerator() } = options;
    checkNumber("loss", "truth", truth, { least: 0, most: 1 });
    const [from, to] = [listsOf("loss", sources), listsOf("loss", targets)];
    if (from.length !== to.length) {
      throw new ArgumentError(`loss: expected as many targets as sources, got ${to.length} and ${from.length}`);
    }
    const wanted = to.map((t) => [...t, this.end]);
    const decode = (y: Tensor) => this.targetEmbedding.forward(drawClasses(this.readout.forward(y), generator));
    const state = this.#encode(from);
    const before = this.targetEmbedding.forward(this.#before(to));
    const [ys] = scheduledSampling(this.decoder, before, { truth, generator, state, decode });
    const logits = this.readout.forward(ys);
    return crossEntropy(reshape(logits, [-1, logits.dim(2)]), reshape(padded(wanted, NO_TARGET), [-1]), { ignoreIndex: NO_TARGET });
  }

  /** The likeliest symbol at each step. */
  greedy(sources: Sequences | PaddedSymbols, options: Omit<DecodingOptions, "end" | "start">): Hypothesis[] {
    checkOptions("greedy", options, ["maxLength"]);
    return scope(() => noGrad(() => greedySearch(this, this.encode(sources), { ...options, end: this.end })));
  }

  /** The likeliest targets of one source that a beam finds, best first. */
  beam(source: ArrayLike<number>, options: Omit<BeamOptions, "end" | "start">): Hypothesis[] {
    checkOptions("beam", options, ["width", "maxLength", "lengthPenalty"]);
    return scope(() => noGrad(() => beamSearch(this, this.encode([source]), { ...options, end: this.end })));
  }

  /**
   * For each pair, the weights of the source symbols for every target symbol and finally the end symbol: [T + 1][S].
   * @throws ArgumentError for a decoder without attention
   */
  alignments(sources: Sequences | PaddedSymbols, targets: Sequences | PaddedSymbols): number[][][] {
    const [from, to] = [listsOf("alignments", sources), listsOf("alignments", targets)];
    const rows = scope(() => noGrad(() => this.#alignments(from, to)));
    return from.map((source, b) => {
      const said = (to[b] as readonly number[]).length + 1;
      return rows.slice(0, said).map((row) => (row[b] as number[]).slice(0, source.length));
    });
  }

  #alignments(sources: Lists, targets: Lists): number[][][] {
    let state = this.#encode(sources);
    const before = this.#before(targets);
    return Array.from({ length: before.dim(0) }, (_, t) => {
      state = this.step(select(before, 0, t), state)[1];
      const alignment = this.decoder.alignment(state);
      if (alignment === null) throw new ArgumentError("alignments: expected a decoder with attention, got one without");
      return alignment.toArray() as number[][];
    });
  }
}
