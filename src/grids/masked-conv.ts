/** Convolutions that see only pixels that precede theirs in raster order. */

import { checkList, checkOneOf, checkSizes, optionsOf } from "../base/checks.ts";
import type { FloatDType } from "../base/dtype.ts";
import { ArgumentError } from "../base/errors.ts";
import { glorotUniform } from "../nn/init.ts";
import { LAYER, type LayerOptions } from "../nn/layers.ts";
import { Module, Parameter } from "../nn/module.ts";
import { mul } from "../ops/arithmetic.ts";
import { conv2d } from "../ops/conv.ts";
import { zeros } from "../tensor/create.ts";
import { defaultGenerator } from "../tensor/random.ts";
import { keep, type Tensor, tensor } from "../tensor/tensor.ts";

/** The features of its own pixel that an output sees: "A" only those of earlier colours, "B" also those of its own colour. */
export type MaskType = "A" | "B";

export interface MaskedConv2dOptions extends LayerOptions {
  readonly inputChannels: number;
  readonly outputChannels: number;
  /** Odd height and width of the filters. */
  readonly kernelSize: readonly [height: number, width: number];
  readonly mask: MaskType;
  /** Number of colours of the image (default 1). Channels are divided into as many equal groups, in order. */
  readonly colors?: number;
  /** Blocks of output channels, such as the gates of an LSTM; each is divided into colours separately (default 1). */
  readonly blocks?: number;
}

/** The colour of each of `count` channels in `blocks` blocks. */
function colorsOf(name: string, count: number, blocks: number, colors: number): number[] {
  const width = count / blocks;
  if (!Number.isInteger(width / colors)) {
    throw new ArgumentError(`MaskedConv2d: expected ${name} to be a multiple of ${blocks * colors} (blocks times colours), got ${count}`);
  }
  return Array.from({ length: count }, (_, k) => Math.floor(((k % width) * colors) / width));
}

/** A mask: 1 where a weight [O, I, kh, kw] reads the past, 0 where it would read its own target or the future. */
function maskOf(outputs: readonly number[], inputs: readonly number[], [kh, kw]: readonly [number, number], type: MaskType): number[] {
  const centre = Math.floor((kh * kw) / 2);
  const sees = (to: number, from: number) => (type === "A" ? from < to : from <= to);
  return outputs.flatMap((to) =>
    inputs.flatMap((from) => Array.from({ length: kh * kw }, (_, tap) => Number(tap < centre || (tap === centre && sees(to, from))))),
  );
}

/**
 * Convolution of images by filters that are zero right of the centre and below it. At the centre, features of colour k
 * feed outputs of later colours (mask A) or of the same and later colours (mask B). Images keep their size.
 *
 * x [B, inputChannels, H, W] to [B, outputChannels, H, W]; `weight` [O,I,kh,kw], `bias` [O]. Glorot's uniform weights, zero bias.
 * @throws ArgumentError for even filters, and for channels that do not divide into colours
 * @see van den Oord, Kalchbrenner, Kavukcuoglu, "Pixel recurrent neural networks", ICML 2016, section 3.4
 * Deviates: none.
 * @example new MaskedConv2d({ inputChannels: 1, outputChannels: 24, kernelSize: [7, 7], mask: "A" }).forward(images)
 */
export class MaskedConv2d extends Module {
  readonly weight: Parameter;
  readonly bias: Parameter;
  readonly #mask: Tensor;

  constructor(given: MaskedConv2dOptions) {
    super();
    const {
      inputChannels: I,
      outputChannels: O,
      kernelSize,
      mask,
      colors = 1,
      blocks = 1,
      ...options
    } = optionsOf("MaskedConv2d", given, ["inputChannels", "outputChannels", "kernelSize", "mask", "colors", "blocks", ...LAYER]);
    checkList("MaskedConv2d", "kernelSize", kernelSize);
    const [height, width] = kernelSize;
    checkOneOf("MaskedConv2d", "mask", mask, ["A", "B"]);
    checkSizes("MaskedConv2d", { inputChannels: I, outputChannels: O, height, width, colors, blocks });
    if (height % 2 === 0 || width % 2 === 0) throw new ArgumentError(`MaskedConv2d: expected odd filters, got ${height} by ${width}`);
    const dtype: FloatDType = options.dtype ?? "float32";
    const taps = maskOf(colorsOf("outputChannels", O, blocks, colors), colorsOf("inputChannels", I, 1, colors), kernelSize, mask);
    this.#mask = keep(tensor(taps, { shape: [O, I, height, width], dtype }));
    this.weight = new Parameter(zeros([O, I, height, width], dtype));
    glorotUniform(this.weight, { generator: options.generator ?? defaultGenerator() });
    this.bias = new Parameter(zeros([O], dtype));
  }

  forward(x: Tensor): Tensor {
    return conv2d(x, mul(this.weight, this.#mask), this.bias, { padding: "same" });
  }
}
