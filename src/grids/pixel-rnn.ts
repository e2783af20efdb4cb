/** Generative models of images, pixel by pixel. */

import { noGrad } from "../autodiff/tape.ts";
import { checkOneOf, checkSizes, optionsOf } from "../base/checks.ts";
import { ArgumentError, ShapeError } from "../base/errors.ts";
import { LAYER, type LayerOptions } from "../nn/layers.ts";
import { bceWithLogits, crossEntropy } from "../nn/losses.ts";
import { Module } from "../nn/module.ts";
import { add, div } from "../ops/arithmetic.ts";
import { reshape } from "../ops/broadcast.ts";
import { cast } from "../ops/cast.ts";
import { relu, sigmoid } from "../ops/math.ts";
import { permute, select } from "../ops/shape.ts";
import { softmax } from "../ops/softmax.ts";
import { defaultGenerator, type Generator } from "../tensor/random.ts";
import { show } from "../tensor/shape.ts";
import { checkTensor, scope, type Tensor, tensor } from "../tensor/tensor.ts";
import { MaskedConv2d } from "./masked-conv.ts";
import { DiagonalBiLSTM, lastPixel, type PixelLayer, type RasterMemory, RowLSTM } from "./pixel-lstm.ts";

export interface PixelRNNOptions extends LayerOptions {
  /** Kind of layers: rows or diagonals. */
  readonly kind: "row" | "diagonal";
  /** h; feature maps have twice as many. A multiple of `colors`. */
  readonly hiddenChannels: number;
  /** Residual layers (default 1). */
  readonly layers?: number;
  /** Colours of a pixel, in the order in which they are predicted (default 1). */
  readonly colors?: number;
  /** Number of values of a colour, 0 … levels − 1. A logistic unit predicts 2 (default), a softmax more. */
  readonly levels?: number;
  /** Side of the first convolution (default 7). */
  readonly inputKernel?: number;
}

export interface SampleOptions {
  readonly count: number;
  readonly height: number;
  readonly width: number;
  /** Source of random numbers; default: the default generator. */
  readonly generator?: Generator;
}

/** An LSTM layer, and its projection back to the width of its input, to which it is added. */
class ResidualLayer extends Module {
  readonly lstm: PixelLayer;
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

  pixel(x: Tensor, memory: RasterMemory): [y: Tensor, next: RasterMemory] {
    const [h, next] = this.lstm.pixel(x, memory);
    return [add(x, lastPixel(this.projection, [h])), next];
  }
}

/**
 * Models images as a product of distributions of their pixels, each given those before it in raster order, and of a pixel's colours in order:
 *
 *   p(x) = Π_{r,c} Π_k p(x_{rck} | pixels above and to the left, earlier colours of this pixel)
 *
 * A convolution masked A to 2h features; LSTM layers with h features, projected back to 2h and added to their input; two
 * one-by-one convolutions masked B, each after a ReLU; a logistic unit or a softmax for each colour. Images are whole numbers 0 … levels − 1
 * as floats, x [B, colors, H, W], of any height and width. The network sees them divided by levels − 1.
 *
 * Row layers see a triangle that widens upwards, by a column per row on each side. Diagonal layers see all of a pixel's predecessors except the last pixel of
 * the row above, which no feature of that row has seen yet; the first convolution has to reach it.
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

  constructor(given: PixelRNNOptions) {
    super();
    const {
      kind,
      hiddenChannels,
      layers = 1,
      colors = 1,
      levels = 2,
      inputKernel = 7,
      ...options
    } = optionsOf("PixelRNN", given, ["kind", "hiddenChannels", "layers", "colors", "levels", "inputKernel", ...LAYER]);
    checkOneOf("PixelRNN", "kind", kind, ["row", "diagonal"]);
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
   * Scores of every pixel, each from its predecessors only.
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

  /** −log p(x) in nats per image, averaged over the batch. With two levels, x may hold probabilities of 1. @throws ArgumentError for values other than 0 … levels − 1 */
  nll(x: Tensor): Tensor {
    this.#checkLevels(x);
    const scores = this.forward(x);
    const total =
      this.levels === 2
        ? bceWithLogits(scores, x, { reduction: "sum" })
        : crossEntropy(permute(scores, [0, 2, 1, 3, 4]), cast(x, "int32"), { reduction: "sum" });
    return div(total, x.dim(0));
  }

  #checkLevels(x: Tensor): void {
    checkTensor("PixelRNN", x);
    const soft = this.levels === 2;
    const wrong = Array.from(x.data(), Number).find((v) => !(v >= 0 && v <= this.levels - 1 && (soft || Number.isInteger(v))));
    if (wrong === undefined) return;
    throw new ArgumentError(`PixelRNN: expected images of ${soft ? "" : "whole "}numbers 0 to ${this.levels - 1}, got ${wrong}`);
  }

  /**
   * Samples images pixel by pixel, colour by colour. The layers remember a row, so nothing is computed twice except for the colours of one pixel.
   * @returns [count, colors, height, width], whole numbers as floats
   * @throws ArgumentError for sizes below 1
   */
  sample(options: SampleOptions): Tensor {
    const {
      count,
      height,
      width,
      generator = defaultGenerator(),
    } = optionsOf("sample", options, ["count", "height", "width", "generator"]);
    checkSizes("sample", { count, height, width });
    const canvas = new Canvas(count, this.colors, height, width);
    let memories = this.layers.map(({ lstm }) => lstm.begin(count, width));
    for (let pixel = 0; pixel < height * width; pixel++) {
      let after = memories;
      for (let color = 0; color < this.colors; color++) {
        const draws = scope(() => Array.from(generator.uniform([count], 0, 1, "float64").data(), Number));
        const next = scope(() => noGrad(() => this.#pixel(canvas, pixel, color, memories)));
        canvas.paint(pixel, color, (n) => this.#level(next.chances, n, draws[n] as number));
        after = next.memories;
      }
      memories = after;
    }
    return tensor(canvas.values, { shape: canvas.shape, dtype: this.input.bias.dtype });
  }

  /** Probabilities for one colour of the next pixel: of 1 for each image, or of all levels, image by image. */
  #pixel(canvas: Canvas, pixel: number, color: number, before: readonly RasterMemory[]): { chances: number[]; memories: RasterMemory[] } {
    const { values, shape, column } = canvas.around(pixel, this.input.weight.dim(2) >> 1);
    const seen = this.input.forward(div(tensor(values, { shape, dtype: this.input.bias.dtype }), this.levels - 1));
    let features = select(select(seen, 3, column), 2, -1);
    const memories = this.layers.map((layer, k) => {
      const [y, next] = layer.pixel(features, before[k] as RasterMemory);
      features = y;
      return next;
    });
    const scores = lastPixel(this.output, [relu(lastPixel(this.hidden, [relu(features)]))]);
    const own = select(reshape(scores, [shape[0], this.colors, -1]), 1, color);
    return { chances: Array.from((this.levels === 2 ? sigmoid(own) : softmax(own, 1)).data(), Number), memories };
  }

  /** Picks the value of image n by a number u in [0, 1), each value with its probability. */
  #level(chances: readonly number[], n: number, u: number): number {
    if (this.levels === 2) return Number(u < (chances[n] as number));
    let rest = u;
    for (let level = 0; level < this.levels - 1; level++) {
      rest -= chances[n * this.levels + level] as number;
      if (rest < 0) return level;
    }
    return this.levels - 1;
  }
}

/** Images being sampled. */
class Canvas {
  readonly shape: readonly [count: number, colors: number, height: number, width: number];
  readonly values: Float64Array;

  constructor(count: number, colors: number, height: number, width: number) {
    this.shape = [count, colors, height, width];
    this.values = new Float64Array(count * colors * height * width);
  }

  paint(pixel: number, color: number, value: (n: number) => number): void {
    const [count, colors, height, width] = this.shape;
    for (let n = 0; n < count; n++) this.values[(n * colors + color) * height * width + pixel] = value(n);
  }

  /** The surroundings of a pixel within `reach`, its own row last, and the pixel's column in them. */
  around(pixel: number, reach: number): { values: Float64Array; shape: [number, number, number, number]; column: number } {
    const [count, colors, height, width] = this.shape;
    const [r, c] = [Math.floor(pixel / width), pixel % width];
    const [top, left, right] = [Math.max(0, r - reach), Math.max(0, c - reach), Math.min(width, c + reach + 1)];
    const [h, w] = [r - top + 1, right - left];
    const values = new Float64Array(count * colors * h * w);
    for (let line = 0; line < count * colors * h; line++) {
      const from = (Math.floor(line / h) * height + top + (line % h)) * width;
      values.set(this.values.subarray(from + left, from + right), line * w);
    }
    return { values, shape: [count, colors, h, w], column: c - left };
  }
}
