/** Generative models of images, pixel by pixel. */

import { noGrad } from "../autodiff/tape.ts";
import { glorotUniform } from "../nn/init.ts";
import { checkSizes, type LayerOptions } from "../nn/layers.ts";
import { bceWithLogits, crossEntropy } from "../nn/losses.ts";
import { Module, Parameter } from "../nn/module.ts";
import { add, div, mul } from "../ops/arithmetic.ts";
import { cast } from "../ops/compare.ts";
import { linear } from "../ops/linear.ts";
import { relu, sigmoid, tanh } from "../ops/math.ts";
import { cat, flip, permute, reshape, select, split } from "../ops/shape.ts";
import { softmax } from "../ops/softmax.ts";
import { zeros } from "../tensor/create.ts";
import type { FloatDType } from "../tensor/dtype.ts";
import { ArgumentError, ShapeError } from "../tensor/errors.ts";
import { defaultGenerator, type Generator } from "../tensor/random.ts";
import { show } from "../tensor/shape.ts";
import { assign, scope, type Tensor, tensor } from "../tensor/tensor.ts";
import { antiDiagonals, fromAntiDiagonals, LineRule, shifted } from "./lines.ts";
import { MaskedConv2d } from "./masked-conv.ts";

export interface PixelLSTMOptions extends LayerOptions {
  readonly inputChannels: number;
  readonly hiddenChannels: number;
  /** Colours of the image, into which channels are cut (default 1). */
  readonly colors?: number;
  /** Bias of the forget gates at first (default 1). */
  readonly forgetBias?: number;
}

/** Output h and cell c of a line, [B, places, H] each. */
export type PixelLSTMState = { readonly h: Tensor; readonly c: Tensor };

/**
 * LSTM whose step is a line of pixels: the input-to-state part is a masked convolution of the whole image, the state-to-state part
 * one of the line before.
 *
 *   i, f, o = σ(K_ss ∗ h₋₁ + K_is ∗ x)    g = tanh(K_ss ∗ h₋₁ + K_is ∗ x)    c = f∘c₋₁ + i∘g    h = o∘tanh(c)
 *
 * Gates in the order i f g o. `inputToState.weight` K_is [4H,C,1,k] masked B; `weightHh` K_ss [4H,k'·H], the taps side by side.
 */
abstract class PixelLSTM extends LineRule<PixelLSTMState> {
  readonly inputToState: MaskedConv2d;
  readonly weightHh: Parameter;
  protected readonly stateNames = ["h", "c"] as const;
  readonly #hidden: number;
  /** Where the taps lie in the line before: a pixel reads its places p − s. */
  readonly #shifts: readonly number[];

  constructor(op: string, width: number, shifts: readonly number[], options: PixelLSTMOptions) {
    super();
    const { inputChannels, hiddenChannels: H, colors = 1, forgetBias = 1, ...layer } = options;
    checkSizes(op, { inputChannels, hiddenChannels: H });
    this.#hidden = H;
    this.#shifts = shifts;
    const sizes = { inputChannels, outputChannels: 4 * H, kernelSize: [1, width], blocks: 4 } as const;
    this.inputToState = new MaskedConv2d({ ...sizes, mask: "B", colors, ...layer });
    assign(this.inputToState.bias, this.inputToState.bias.data().fill(forgetBias, H, 2 * H));
    this.weightHh = new Parameter(zeros([4 * H, shifts.length * H], layer.dtype ?? "float32"));
    glorotUniform(this.weightHh, layer);
  }

  protected get inputWidth(): number {
    return 4 * this.#hidden;
  }

  protected get outputWidth(): number {
    return this.#hidden;
  }

  protected get dtype(): FloatDType {
    return this.weightHh.dtype as FloatDType;
  }

  protected recurrentWeights(): readonly Parameter[] {
    return [this.weightHh];
  }

  protected advance(x: Tensor, before: PixelLSTMState): PixelLSTMState {
    const taps = this.#shifts.map((s) => shifted(before.h, 1, s));
    const sums = add(x, linear(cat(taps, -1), this.weightHh));
    const [i, f, g, o] = split(sums, this.#hidden, -1) as [Tensor, Tensor, Tensor, Tensor];
    const c = add(mul(sigmoid(f), before.c), mul(sigmoid(i), tanh(g)));
    return { h: mul(sigmoid(o), tanh(c)), c };
  }

  /** x [B, inputChannels, H, W] to [B, hiddenChannels, H, W]. */
  abstract forward(x: Tensor): Tensor;
}

/**
 * Row LSTM: the rows, from top to bottom, are the steps. A pixel sees the three pixels above it in the row before, and so a
 * triangle of what precedes it. K_is is one by three, masked; K_ss [4H,3H] reads the places to the left, above and to the right.
 *
 * x [B, inputChannels, H, W] to [B, hiddenChannels, H, W]. Glorot's uniform weights, biases zero but for the forget gate's.
 * @throws ArgumentError for sizes below 1
 * @see van den Oord, Kalchbrenner, Kavukcuoglu, "Pixel recurrent neural networks", ICML 2016, section 3.1, eq. 3
 * Deviates: K_is has a bias; the order of the gates (the paper's is o f i g).
 * @example new RowLSTM({ inputChannels: 24, hiddenChannels: 12 }).forward(features)
 */
export class RowLSTM extends PixelLSTM {
  constructor(options: PixelLSTMOptions) {
    super("RowLSTM", 3, [1, 0, -1], options);
  }

  forward(x: Tensor): Tensor {
    const rows = permute(this.inputToState.forward(x), [2, 0, 3, 1]);
    return permute(this.run(rows), [1, 3, 0, 2]);
  }
}

/**
 * Diagonal LSTM: the anti-diagonals, from the upper left corner, are the steps, so that a pixel sees the whole rectangle above
 * and to the left. K_is is one by one; K_ss [4H,2H] reads the pixel above and the pixel to the left, and c₋₁ is that of the latter.
 *
 * x [B, inputChannels, H, W] to [B, hiddenChannels, H, W]. Glorot's uniform weights, biases zero but for the forget gate's.
 * @throws ArgumentError for sizes below 1
 * @see van den Oord, Kalchbrenner, Kavukcuoglu, "Pixel recurrent neural networks", ICML 2016, section 3.2
 * Deviates: K_is has a bias; the order of the gates (the paper's is o f i g).
 * @example new DiagonalLSTM({ inputChannels: 24, hiddenChannels: 12 }).forward(features)
 */
export class DiagonalLSTM extends PixelLSTM {
  constructor(options: PixelLSTMOptions) {
    super("DiagonalLSTM", 1, [1, 0], options);
  }

  forward(x: Tensor): Tensor {
    const diagonals = antiDiagonals(permute(this.inputToState.forward(x), [0, 2, 3, 1]));
    return permute(fromAntiDiagonals(this.run(diagonals)), [0, 3, 1, 2]);
  }
}

/**
 * Diagonal LSTMs from the upper left and from the upper right corner, added: every pixel sees all that precedes it. The map from the
 * right is moved down by a row first, because a pixel's right neighbours in its own row are not among its predecessors.
 *
 * x [B, inputChannels, H, W] to [B, hiddenChannels, H, W].
 * @throws ArgumentError for sizes below 1
 * @see van den Oord, Kalchbrenner, Kavukcuoglu, "Pixel recurrent neural networks", ICML 2016, section 3.2
 * Deviates: none.
 * @example new DiagonalBiLSTM({ inputChannels: 24, hiddenChannels: 12 }).forward(features)
 */
export class DiagonalBiLSTM extends Module {
  readonly left: DiagonalLSTM;
  readonly right: DiagonalLSTM;

  constructor(options: PixelLSTMOptions) {
    super();
    this.left = new DiagonalLSTM(options);
    this.right = new DiagonalLSTM(options);
  }

  forward(x: Tensor): Tensor {
    const fromRight = flip(this.right.forward(flip(x, 3)), 3);
    return add(this.left.forward(x), shifted(fromRight, 2, 1));
  }
}

export interface PixelRNNOptions extends LayerOptions {
  /** Which layers: rows or diagonals. */
  readonly kind: "row" | "diagonal";
  /** h; feature maps have twice as many. A multiple of `colors`. */
  readonly hiddenChannels: number;
  /** Residual layers (default 1). */
  readonly layers?: number;
  /** Colours of a pixel, in the order in which they are predicted (default 1). */
  readonly colors?: number;
  /** Values a colour can have, 0 … levels − 1: 2 (default) are predicted by a logistic unit, more by a softmax. */
  readonly levels?: number;
  /** Side of the first convolution (default 7). */
  readonly inputKernel?: number;
}

export interface SampleOptions {
  readonly count: number;
  readonly height: number;
  readonly width: number;
  /** The default generator unless given. */
  readonly generator?: Generator;
}

/** An LSTM layer and its way back to the width of its input, to which it is added. */
class ResidualLayer extends Module {
  readonly lstm: RowLSTM | DiagonalBiLSTM;
  readonly projection: MaskedConv2d;

  constructor(kind: PixelRNNOptions["kind"], hiddenChannels: number, options: LayerOptions & { readonly colors: number }) {
    super();
    const width = 2 * hiddenChannels;
    const sizes = { inputChannels: width, hiddenChannels, ...options };
    this.lstm = kind === "row" ? new RowLSTM(sizes) : new DiagonalBiLSTM(sizes);
    this.projection = new MaskedConv2d({ inputChannels: hiddenChannels, outputChannels: width, kernelSize: [1, 1], mask: "B", ...options });
  }

  forward(x: Tensor): Tensor {
    return add(x, this.projection.forward(this.lstm.forward(x)));
  }
}

/**
 * Images as a product of the distributions of their pixels, each given those before it in raster order, and of a pixel's colours in order:
 *
 *   p(x) = Π_{r,c} Π_k p(x_{rck} | pixels above and to the left, earlier colours of this pixel)
 *
 * A convolution masked A to 2h features; LSTM layers with h features, projected back to 2h and added to their input; two
 * one-by-one convolutions masked B, each after a ReLU; a logistic unit or a softmax for each colour. Images are whole numbers 0 … levels − 1
 * as floats, x [B, colors, H, W], and enter divided by levels − 1; any height and width will do.
 *
 * Row layers see a triangle that widens upwards, by a column a row on each side. Diagonal layers see all that precedes a pixel but for the last pixel of
 * the row above, which no feature of that row has seen yet: the first convolution has to reach it.
 * @throws ArgumentError for sizes below 1, fewer than two levels, even `inputKernel`, or `hiddenChannels` that is no multiple of `colors`
 * @see van den Oord, Kalchbrenner, Kavukcuoglu, "Pixel recurrent neural networks", ICML 2016, section 3 and table 1
 * Deviates: the last convolutions are 2h wide (the paper: 32 features for MNIST, 1024 for photographs).
 * @example
 * const model = new PixelRNN({ kind: "diagonal", hiddenChannels: 12 });
 * const nats = model.nll(images);                                    // to be minimised
 * const fresh = model.sample({ count: 16, height: 8, width: 8 });    // [16,1,8,8]
 */
export class PixelRNN extends Module {
  readonly colors: number;
  readonly levels: number;
  readonly input: MaskedConv2d;
  readonly layers: readonly ResidualLayer[];
  readonly hidden: MaskedConv2d;
  readonly output: MaskedConv2d;

  constructor({ kind, hiddenChannels, layers = 1, colors = 1, levels = 2, inputKernel = 7, ...options }: PixelRNNOptions) {
    super();
    checkSizes("PixelRNN", { hiddenChannels, layers, colors, levels, inputKernel });
    if (levels < 2) throw new ArgumentError(`PixelRNN: expected at least 2 levels, got ${levels}`);
    this.colors = colors;
    this.levels = levels;
    const width = 2 * hiddenChannels;
    const shared = { colors, ...options };
    this.input = new MaskedConv2d({
      inputChannels: colors,
      outputChannels: width,
      kernelSize: [inputKernel, inputKernel],
      mask: "A",
      ...shared,
    });
    this.layers = Array.from({ length: layers }, () => new ResidualLayer(kind, hiddenChannels, shared));
    const pointwise = (outputChannels: number) =>
      new MaskedConv2d({ inputChannels: width, outputChannels, kernelSize: [1, 1], mask: "B", ...shared });
    this.hidden = pointwise(width);
    this.output = pointwise(colors * (levels === 2 ? 1 : levels));
  }

  /**
   * Scores of every pixel, each from its predecessors alone.
   * @param x [B, colors, H, W]
   * @returns logits of 1 [B, colors, H, W] for two levels, else of all levels [B, colors, levels, H, W]
   * @throws ShapeError
   */
  forward(x: Tensor): Tensor {
    if (x.rank !== 4 || x.dim(1) !== this.colors || x.size === 0) {
      throw new ShapeError(`forward: expected x [B,${this.colors},H,W] that is not empty, got ${show(x.shape)}`);
    }
    const [B, K, H, W] = x.shape as [number, number, number, number];
    const first = this.input.forward(div(x, this.levels - 1));
    const features = this.layers.reduce((y, layer) => layer.forward(y), first);
    const scores = this.output.forward(relu(this.hidden.forward(relu(features))));
    return this.levels === 2 ? scores : reshape(scores, [B, K, this.levels, H, W]);
  }

  /** −log p(x) in nats per image, the mean over the batch. */
  nll(x: Tensor): Tensor {
    const scores = this.forward(x);
    const total =
      this.levels === 2
        ? bceWithLogits(scores, x, { reduction: "sum" })
        : crossEntropy(permute(scores, [0, 2, 1, 3, 4]), cast(x, "int32"), { reduction: "sum" });
    return div(total, x.dim(0));
  }

  /**
   * Images drawn pixel by pixel, colour by colour; for each only the rows down to its own are computed, since nothing below counts.
   * @returns [count, colors, height, width], whole numbers as floats
   */
  sample({ count, height, width, generator = defaultGenerator() }: SampleOptions): Tensor {
    checkSizes("sample", { count, height, width });
    const images = new Float64Array(count * this.colors * height * width);
    const at = (n: number, color: number, pixel: number) => (n * this.colors + color) * height * width + pixel;
    for (let pixel = 0; pixel < height * width; pixel++) {
      const rows = Math.floor(pixel / width) + 1;
      for (let color = 0; color < this.colors; color++) {
        const above = this.#upTo(images, [count, height, width], rows);
        const values = this.#draw(above, [rows - 1, pixel % width, color], generator);
        for (const [n, value] of values.entries()) images[at(n, color, pixel)] = value;
      }
    }
    return tensor(images, { shape: [count, this.colors, height, width], dtype: this.input.bias.dtype });
  }

  /** The first rows of the images so far, [count, colors, rows, width] in row-major order. */
  #upTo(images: Float64Array, [count, height, width]: readonly [number, number, number], rows: number): Tensor {
    const maps = Array.from({ length: count * this.colors }, (_, m) => images.subarray(m * height * width, (m * height + rows) * width));
    const values = new Float64Array(maps.length * rows * width);
    for (const [m, map] of maps.entries()) values.set(map, m * rows * width);
    return tensor(values, { shape: [count, this.colors, rows, width], dtype: this.input.bias.dtype });
  }

  /** A value of one colour of one pixel for each image. */
  #draw(x: Tensor, [row, column, color]: readonly [number, number, number], generator: Generator): number[] {
    const chances = scope(() =>
      noGrad(() => {
        const scores = select(select(select(this.forward(x), -1, column), -1, row), 1, color);
        return Array.from(this.levels === 2 ? sigmoid(scores).data() : softmax(scores, 1).data(), Number);
      }),
    );
    const draws = scope(() => Array.from(generator.uniform([x.dim(0)], 0, 1, "float64").data(), Number));
    return draws.map((u, n) => (this.levels === 2 ? Number(u < (chances[n] as number)) : this.#level(chances, n, u)));
  }

  /** The level at which image n's chances add up to more than u. */
  #level(chances: readonly number[], n: number, u: number): number {
    let rest = u;
    for (let level = 0; level < this.levels - 1; level++) {
      rest -= chances[n * this.levels + level] as number;
      if (rest < 0) return level;
    }
    return this.levels - 1;
  }
}
