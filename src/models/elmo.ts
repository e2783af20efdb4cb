/** ELMo: language models in both directions, and mixtures of their layers' vectors for each word. */

import { checkSizes, optionsOf } from "../base/checks.ts";
import { ShapeError } from "../base/errors.ts";
import { LAYER, type LayerOptions, Linear } from "../nn/layers.ts";
import { crossEntropy } from "../nn/losses.ts";
import { checkModule, Module, Parameter } from "../nn/module.ts";
import { zeroBeyond } from "../nn/padding.ts";
import { add, mul } from "../ops/arithmetic.ts";
import { reshape, sum } from "../ops/broadcast.ts";
import { cat, slice, stack } from "../ops/shape.ts";
import { softmax } from "../ops/softmax.ts";
import type { LstmState } from "../recurrence/kinds.ts";
import type { ScanOptions } from "../recurrence/recurrence.ts";
import { LSTMCell } from "../recurrence/rnn-cells.ts";
import { ones, zeros } from "../tensor/create.ts";
import { show } from "../tensor/shape.ts";
import { checkInt32, type Tensor, tensor } from "../tensor/tensor.ts";
import { StackedRNN } from "../wrappers/stacked.ts";

/** Maps a written word to a vector: a `CharacterEncoder`, or an `Embedding` with a size. */
export type WordEncoder = Module & { readonly outputSize: number; forward(ids: Tensor): Tensor };

export interface BidirectionalLanguageModelOptions extends LayerOptions {
  readonly encoder: WordEncoder;
  /** V, number of words to predict. */
  readonly vocabSize: number;
  /** H, cells per LSTM. */
  readonly hiddenSize: number;
  /** L, number of layers (default 2). */
  readonly numLayers?: number;
}

/** Number of real words of each sentence. */
export type SentenceOptions = Pick<ScanOptions, "lengths">;

/**
 * Two language models, one from left to right and one from right to left, which share only the encoder and the softmax of words:
 *
 *   x_t = encoder(word t)    f¹ = LSTM(x)    fˡ = LSTM(fˡ⁻¹) + fˡ⁻¹ for l ≥ 2, and b likewise from the end
 *   p(w_t₊₁ | w_≤t) = softmax(W f^L_t + c)    p(w_t₋₁ | w_≥t) = softmax(W b^L_t + c)
 *
 * The LSTMs have H cells, projected to R, the size of x. `forwardLayers.layers.l`, `backwardLayers.layers.l` (see `LSTMCell`), `softmax` W [V,R].
 * The directions stay separate in all layers: a second layer that read both would see the word that it has to predict.
 * @throws ShapeError unless R < H
 * @see Peters, Neumann, Iyyer, Gardner, Clark, Lee and Zettlemoyer, "Deep contextualized word representations", 2018, section 3.1; there
 * L = 2, H = 4096, R = 512
 * Deviates: a full softmax in place of a sampled one; cells and projections are not clipped, which is `StateClip`.
 * @example
 * const model = new BidirectionalLanguageModel({ encoder, vocabSize: 50, hiddenSize: 32 });
 * const loss = model.loss(encoder.forward(characters), words);
 * const vectors = new ELMo(3).forward(model.layers(encoder.forward(characters)));
 */
export class BidirectionalLanguageModel extends Module {
  readonly encoder: WordEncoder;
  readonly forwardLayers: StackedRNN<LstmState>;
  readonly backwardLayers: StackedRNN<LstmState>;
  readonly softmax: Linear;

  constructor(given: BidirectionalLanguageModelOptions) {
    super();
    const {
      encoder,
      vocabSize,
      hiddenSize,
      numLayers = 2,
      ...options
    } = optionsOf("BidirectionalLanguageModel", given, ["encoder", "vocabSize", "hiddenSize", "numLayers", ...LAYER]);
    checkModule("BidirectionalLanguageModel", encoder);
    checkSizes("BidirectionalLanguageModel", { vocabSize, hiddenSize, numLayers });
    const R = encoder.outputSize;
    if (!(R < hiddenSize))
      throw new ShapeError(`BidirectionalLanguageModel: expected an encoder of less than ${hiddenSize} values, got ${R}`);
    const cell = () => new LSTMCell({ inputSize: R, hiddenSize, projSize: R, ...options });
    const layers = () => new StackedRNN(Array.from({ length: numLayers }, cell), { residual: true });
    this.encoder = encoder;
    this.forwardLayers = layers();
    this.backwardLayers = layers();
    this.softmax = new Linear(R, vocabSize, options);
  }

  /**
   * The vectors of each layer for each word, starting with the words' own.
   * @param xs encoded words [T,B,R]
   * @returns L + 1 tensors [T,B,2R], h_t,0 = [x_t; x_t] and h_t,l = [fˡ_t; bˡ_t]; zeros beyond a sentence's end
   */
  layers(xs: Tensor, options: SentenceOptions = {}): Tensor[] {
    const [fs, bs] = this.#directions(xs, options);
    const words = zeroBeyond(xs, options.lengths);
    return [cat([words, words], 2), ...fs.map((f, l) => cat([f, bs[l] as Tensor], 2))];
  }

  /**
   * Mean negative log-probability of a word given the words before it, plus that given the words after it, in nats. A sentence's first word is not
   * predicted from the left, and its last not from the right; the caller may add words that mark both ends.
   * @param xs encoded words [T,B,R], T ≥ 2
   * @param words int32 [T,B]
   */
  loss(xs: Tensor, words: Tensor, { lengths }: SentenceOptions = {}): Tensor {
    const [T, B] = xs.shape as [number, number];
    checkInt32("loss", "words", words);
    if (T < 2 || show(words.shape) !== show([T, B]))
      throw new ShapeError(`loss: expected words [T,B] of at least two steps for xs ${show(xs.shape)}, got ${show(words.shape)}`);
    const [fs, bs] = this.#directions(xs, lengths ? { lengths } : {});
    const known = realWords(words, lengths);
    const left = this.#surprise(slice(fs.at(-1) as Tensor, 0, 0, T - 1), slice(known, 0, 1));
    const right = this.#surprise(slice(bs.at(-1) as Tensor, 0, 1), beforeAnother(known));
    return add(left, right);
  }

  #directions(xs: Tensor, options: SentenceOptions): [forward: Tensor[], backward: Tensor[]] {
    const [fs] = this.forwardLayers.scanLayers(xs, undefined, options);
    const [bs] = this.backwardLayers.scanLayers(xs, undefined, { ...options, reverse: true });
    return [fs, bs];
  }

  #surprise(h: Tensor, words: Tensor): Tensor {
    const count = words.size;
    return crossEntropy(reshape(this.softmax.forward(h), [count, -1]), reshape(words, [count]), { ignoreIndex: NONE });
  }
}

/** Marks the absence of a word. */
const NONE = -1;

/** The words of each sentence, with `none` beyond its end. */
function realWords(words: Tensor, lengths: readonly number[] | undefined): Tensor {
  if (lengths === undefined) return words;
  const B = words.dim(1);
  return tensor(
    Int32Array.from(words.data(), (word, i) => (Math.floor(i / B) < (lengths[i % B] as number) ? word : NONE)),
    { shape: words.shape },
  );
}

/** All words but those of the last step, with `none` where no word follows. */
function beforeAnother(words: Tensor): Tensor {
  const [T, B] = words.shape as [number, number];
  const all = words.data();
  return tensor(
    Int32Array.from({ length: (T - 1) * B }, (_, i) => (all[i + B] === NONE ? NONE : (all[i] as number))),
    { shape: [T - 1, B] },
  );
}

/**
 * The vector of each word for a task: a trained mixture of the layers of a language model:
 *
 *   ELMo_t = γ Σ_j softmax(s)_j h_t,j
 *
 * `weights` s [L+1] start at zero, `scale` γ at one.
 * @param layers L + 1
 * @see Peters et al., "Deep contextualized word representations", 2018, eq. 1
 * Deviates: layers are not normalised before they are mixed, which the paper does in some cases.
 * @example const vectors = new ELMo(3).forward(model.layers(xs)); // [T,B,2R]
 */
export class ELMo extends Module {
  readonly weights: Parameter;
  readonly scale: Parameter;

  constructor(layers: number, options: Pick<LayerOptions, "dtype"> = {}) {
    super();
    const { dtype = "float32" } = optionsOf("ELMo", options, ["dtype"]);
    this.weights = new Parameter(zeros([layers], dtype));
    this.scale = new Parameter(ones([1], dtype));
  }

  /** Tensors of one shape to one of it. */
  forward(layers: readonly Tensor[]): Tensor {
    const n = this.weights.size;
    if (layers.length !== n) throw new ShapeError(`ELMo: expected ${n} layers, got ${layers.length}`);
    const shares = reshape(softmax(this.weights, 0), [n, ...new Array<number>((layers[0] as Tensor).rank).fill(1)]);
    return mul(this.scale, sum(mul(shares, stack(layers)), { axis: 0 }));
  }
}
