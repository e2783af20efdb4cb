/** Encodes words letter by letter. */

import { checkList, checkNumber, checkSizes, checkWhole, optionsOf } from "../base/checks.ts";
import { ArgumentError, ShapeError } from "../base/errors.ts";
import { Embedding, LAYER, type LayerOptions, Linear, uniformParameter } from "../nn/layers.ts";
import { Module, type Parameter } from "../nn/module.ts";
import { add, mul, sub } from "../ops/arithmetic.ts";
import { reshape } from "../ops/broadcast.ts";
import { conv1d } from "../ops/conv.ts";
import { relu, sigmoid } from "../ops/math.ts";
import { amax } from "../ops/reduce.ts";
import { cat, transpose } from "../ops/shape.ts";
import { show } from "../tensor/shape.ts";
import { assign, checkInt32, type Tensor } from "../tensor/tensor.ts";

export interface HighwayOptions extends LayerOptions {
  /** Initial bias of the gate (default −2, which carries nearly everything). */
  readonly gateBias?: number;
}

/**
 * A layer whose gate carries part of the input around it:
 *
 *   s' = r∘relu(W_h s + b_h) + (1 − r)∘s    r = σ(W_r s + b_r)
 *
 * `transform` W_h, b_h and `gate` W_r, b_r are linear layers n → n; b_r starts at `gateBias`.
 * @param size n; s is [..., n]
 * @see Srivastava, Greff and Schmidhuber, "Highway networks", 2015, eq. 3
 * Deviates: none.
 * @example const s = new Highway(32).forward(x);
 */
export class Highway extends Module {
  readonly transform: Linear;
  readonly gate: Linear;

  constructor(size: number, given: HighwayOptions = {}) {
    super();
    const { gateBias = -2, ...options } = optionsOf("Highway", given, ["gateBias", ...LAYER]);
    checkNumber("Highway", "gateBias", gateBias);
    this.transform = new Linear(size, size, options);
    this.gate = new Linear(size, size, options);
    assign(this.gate.bias as Parameter, new Float64Array(size).fill(gateBias));
  }

  forward(s: Tensor): Tensor {
    const r = sigmoid(this.gate.forward(s));
    return add(mul(r, relu(this.transform.forward(s))), mul(sub(1, r), s));
  }
}

/** The filters of one width. */
class Filters extends Module {
  readonly width: number;
  /** [count, d, width] */
  readonly weight: Parameter;
  readonly bias: Parameter;

  constructor(width: number, count: number, embeddingSize: number, options: LayerOptions) {
    super();
    this.width = width;
    const bound = 1 / Math.sqrt(embeddingSize * width);
    this.weight = uniformParameter([count, embeddingSize, width], bound, options);
    this.bias = uniformParameter([count], bound, options);
  }

  /** The largest response over a word, from x [N,d,W] to [N,count]. */
  forward(x: Tensor): Tensor {
    return amax(conv1d(x, this.weight, this.bias), { axis: 2 });
  }
}

function checkFilter(filter: readonly [width: number, count: number]): void {
  checkList("CharacterEncoder", "a filter", filter);
  const [width, count] = filter;
  checkSizes("CharacterEncoder", { width, count });
}

export interface CharacterEncoderOptions extends LayerOptions {
  /** C, number of characters, including end-of-word marks and padding. */
  readonly characters: number;
  /** d */
  readonly embeddingSize: number;
  /** Widths and numbers of filters: [[1, 32], [2, 32], …]. */
  readonly filters: readonly (readonly [width: number, count: number])[];
  /** Number of highway layers (default 2). */
  readonly highways?: number;
  /** Size of a word's vector. */
  readonly outputSize: number;
}

/**
 * Computes a vector for each word from its characters:
 *
 *   e_i = row c_i of the embedding    f_w = relu(max_i (F_w ⋆ e)_i + b_w) for each width w
 *   s = highways([f_1; f_2; …])       x = W s + b
 *
 * `embedding` [C,d] from N(0, 1); `filters.k.weight` [n,d,w] from U(±1/√(d w)); `highways.k`, `projection` as initialised by these layers.
 * All positions of a word are read, even its padding up to W.
 * @throws ArgumentError for no filters; forward: DTypeError for ids that are not int32, ShapeError for words shorter than the widest filter
 * @see Kim, Jernite, Sontag and Rush, "Character-aware neural language models", 2016, section 2; Peters et al., "Deep contextualized
 * word representations", 2018, section 3.4: 2,048 filters of widths 1 to 7, two highway layers, a projection to 512
 * Deviates: none from the form of 2018; that of 2016 has tanh in place of relu.
 * @example
 * const encoder = new CharacterEncoder({ characters: 30, embeddingSize: 8, filters: [[1, 16], [2, 16]], outputSize: 16 });
 * const words = encoder.forward(ids); // [T,B,W] to [T,B,16]
 */
export class CharacterEncoder extends Module {
  readonly outputSize: number;
  readonly embedding: Embedding;
  readonly filters: readonly Filters[];
  readonly highways: readonly Highway[];
  readonly projection: Linear;

  constructor(given: CharacterEncoderOptions) {
    super();
    const {
      characters,
      embeddingSize,
      filters,
      highways = 2,
      outputSize,
      ...options
    } = optionsOf("CharacterEncoder", given, ["characters", "embeddingSize", "filters", "highways", "outputSize", ...LAYER]);
    checkList("CharacterEncoder", "filters", filters);
    if (filters.length === 0) throw new ArgumentError("CharacterEncoder: expected filters of at least one width, got none");
    for (const filter of filters) checkFilter(filter);
    checkSizes("CharacterEncoder", { characters, embeddingSize, outputSize });
    checkWhole("CharacterEncoder", "highways", highways);
    const features = filters.reduce((sum, [, count]) => sum + count, 0);
    this.outputSize = outputSize;
    this.embedding = new Embedding(characters, embeddingSize, options);
    this.filters = filters.map(([width, count]) => new Filters(width, count, embeddingSize, options));
    this.highways = Array.from({ length: highways }, () => new Highway(features, options));
    this.projection = new Linear(features, outputSize, options);
  }

  /** From characters [..., W], int32, to words [..., outputSize]. */
  forward(ids: Tensor): Tensor {
    const widest = Math.max(...this.filters.map((f) => f.width));
    const W = ids.rank === 0 ? 0 : ids.dim(-1);
    checkInt32("CharacterEncoder", "ids", ids);
    if (W < widest) throw new ShapeError(`CharacterEncoder: expected ids of at least ${widest} characters a word, got ${show(ids.shape)}`);
    const lead = ids.shape.slice(0, -1);
    const x = transpose(this.embedding.forward(reshape(ids, [-1, W])), 1, 2);
    const features = relu(
      cat(
        this.filters.map((f) => f.forward(x)),
        1,
      ),
    );
    const s = this.highways.reduce((value, highway) => highway.forward(value), features);
    return reshape(this.projection.forward(s), [...lead, this.outputSize]);
  }
}
