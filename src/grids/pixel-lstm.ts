/** LSTM layers over images, whose pixels see only those that precede them in raster order. */

import { checkNumber, checkOptions, checkSizes, optionsOf } from "../base/checks.ts";
import type { FloatDType } from "../base/dtype.ts";
import { glorotUniform } from "../nn/init.ts";
import { LAYER, type LayerOptions } from "../nn/layers.ts";
import { Module, Parameter } from "../nn/module.ts";
import { add, mul } from "../ops/arithmetic.ts";
import { linear } from "../ops/linear.ts";
import { sigmoid, tanh } from "../ops/math.ts";
import { cat, flip, permute, select, split, stack, unsqueeze } from "../ops/shape.ts";
import { zeros, zerosLike } from "../tensor/create.ts";
import { defaultGenerator } from "../tensor/random.ts";
import { assign, type Tensor } from "../tensor/tensor.ts";
import { antiDiagonals, fromAntiDiagonals, LineRule, shifted } from "./lines.ts";
import { MaskedConv2d } from "./masked-conv.ts";

export interface PixelLSTMOptions extends LayerOptions {
  readonly inputChannels: number;
  readonly hiddenChannels: number;
  /** Number of colours of the image, which divide the channels (default 1). */
  readonly colors?: number;
  /** Initial bias of the forget gates (default 1). */
  readonly forgetBias?: number;
}

const PIXEL_LSTM = ["inputChannels", "hiddenChannels", "colors", "forgetBias", ...LAYER] as const;

/** Output h and cell c of a line, [B, places, H] each. */
export type PixelLSTMState = { readonly h: Tensor; readonly c: Tensor };

/** The memory of a layer that reads an image pixel by pixel in raster order. */
export interface RasterMemory {
  /** States of the row above, and of this row so far. */
  readonly above: readonly PixelLSTMState[];
  readonly row: readonly PixelLSTMState[];
  /** States of the scan from the right for the row above, if there is such a scan. */
  readonly right: readonly PixelLSTMState[];
  /** Inputs of this row so far, [B, inputChannels] each. */
  readonly inputs: readonly Tensor[];
  /** State of the pixels around the image. */
  readonly outside: PixelLSTMState;
}

/** A layer over images that can also run pixel by pixel, for sampling. */
export interface PixelLayer extends Module {
  /** x [B, inputChannels, H, W] to [B, hiddenChannels, H, W]. */
  forward(x: Tensor): Tensor;
  /** The memory before the first pixel of images of this width. */
  begin(batch: number, width: number): RasterMemory;
  /** Runs the next pixel in raster order, from x [B, inputChannels] to h [B, hiddenChannels]. Pure. */
  pixel(x: Tensor, memory: RasterMemory): [h: Tensor, next: RasterMemory];
}

function emptyMemory(outside: PixelLSTMState, width: number): RasterMemory {
  const line = new Array<PixelLSTMState>(width).fill(outside);
  return { above: line, row: [], right: line, inputs: [], outside };
}

/** The memory after one more pixel. At the end of a row, that row becomes the one above. */
function remembered(memory: RasterMemory, x: Tensor, now: PixelLSTMState): RasterMemory {
  const row = [...memory.row, now];
  if (row.length === memory.above.length) return { ...memory, above: row, row: [], inputs: [] };
  return { ...memory, row, inputs: [...memory.inputs, x] };
}

/** The output of a convolution over the row [B, channels] … at its last pixel, [B, outputChannels]. */
export function lastPixel(conv: MaskedConv2d, pixels: readonly Tensor[]): Tensor {
  return select(select(conv.forward(unsqueeze(stack(pixels, 2), 2)), 3, -1), 2, 0);
}

/**
 * An LSTM whose step is a line of pixels. The input-to-state part is a masked convolution of the whole image, the state-to-state part
 * a convolution of the line before.
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
  /** Positions of the taps in the line before: a pixel reads its places p − s. */
  readonly #shifts: readonly number[];

  constructor(op: string, width: number, shifts: readonly number[], options: PixelLSTMOptions) {
    super();
    const { inputChannels, hiddenChannels: H, colors = 1, forgetBias = 1, ...layer } = optionsOf(op, options, PIXEL_LSTM);
    checkNumber(op, "forgetBias", forgetBias);
    checkSizes(op, { inputChannels, hiddenChannels: H });
    this.#hidden = H;
    this.#shifts = shifts;
    const sizes = { inputChannels, outputChannels: 4 * H, kernelSize: [1, width], blocks: 4 } as const;
    this.inputToState = new MaskedConv2d({ ...sizes, mask: "B", colors, ...layer });
    assign(this.inputToState.bias, this.inputToState.bias.data().fill(forgetBias, H, 2 * H));
    this.weightHh = new Parameter(zeros([4 * H, shifts.length * H], layer.dtype ?? "float32"));
    glorotUniform(this.weightHh, { generator: layer.generator ?? defaultGenerator() });
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
    return this.lstm(x, taps, before.c);
  }

  /** The equation, from K_is ∗ x, the outputs h₋₁ under the taps of K_ss, and c₋₁, with any leading axes. */
  protected lstm(x: Tensor, taps: readonly Tensor[], before: Tensor): PixelLSTMState {
    const sums = add(x, linear(cat(taps, -1), this.weightHh));
    const [i, f, g, o] = split(sums, this.#hidden, -1) as [Tensor, Tensor, Tensor, Tensor];
    const c = add(mul(sigmoid(f), before), mul(sigmoid(i), tanh(g)));
    return { h: mul(sigmoid(o), tanh(c)), c };
  }

  /** State of a pixel outside the image, [B, H] each. */
  outside(batch: number): PixelLSTMState {
    const zero = () => zeros([batch, this.#hidden], this.dtype);
    return { h: zero(), c: zero() };
  }

  /** x [B, inputChannels, H, W] to [B, hiddenChannels, H, W]. */
  abstract forward(x: Tensor): Tensor;
}

/**
 * Row LSTM: the steps are rows, from top to bottom. A pixel sees three pixels of the row above, and so a
 * triangle of its predecessors. K_is is one by three, masked; K_ss [4H,3H] reads the places above left, above and above right.
 *
 * x [B, inputChannels, H, W] to [B, hiddenChannels, H, W]. Glorot's uniform weights, biases zero but for the forget gate's.
 * @throws ArgumentError for sizes below 1
 * @see van den Oord, Kalchbrenner, Kavukcuoglu, "Pixel recurrent neural networks", ICML 2016, section 3.1, eq. 3
 * Deviates: K_is has a bias; the order of the gates (the paper's is o f i g).
 * @example new RowLSTM({ inputChannels: 24, hiddenChannels: 12 }).forward(features)
 */
export class RowLSTM extends PixelLSTM implements PixelLayer {
  constructor(options: PixelLSTMOptions) {
    super("RowLSTM", 3, [1, 0, -1], options);
  }

  forward(x: Tensor): Tensor {
    const rows = permute(this.inputToState.forward(x), [2, 0, 3, 1]);
    return permute(this.run(rows), [1, 3, 0, 2]);
  }

  begin(batch: number, width: number): RasterMemory {
    return emptyMemory(this.outside(batch), width);
  }

  pixel(x: Tensor, memory: RasterMemory): [h: Tensor, next: RasterMemory] {
    const { above, row, inputs, outside } = memory;
    const [left, up, right] = [-1, 0, 1].map((d) => above[row.length + d] ?? outside) as [PixelLSTMState, PixelLSTMState, PixelLSTMState];
    const own = lastPixel(this.inputToState, [inputs.at(-1) ?? zerosLike(x), x]);
    const now = this.lstm(own, [left.h, up.h, right.h], up.c);
    return [now.h, remembered(memory, x, now)];
  }
}

/**
 * Diagonal LSTM: the steps are anti-diagonals from the upper left corner, so a pixel sees the whole rectangle above
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

  /** Runs one pixel [B, inputChannels], from the states of the pixel above it and of the preceding one beside it. */
  pixel(x: Tensor, up: PixelLSTMState, beside: PixelLSTMState): PixelLSTMState {
    return this.lstm(lastPixel(this.inputToState, [x]), [up.h, beside.h], beside.c);
  }
}

/**
 * The sum of diagonal LSTMs from the upper left and from the upper right corner: every pixel sees all its predecessors. The map from the
 * right is shifted down by a row first, since a pixel's right neighbours in its own row are not its predecessors.
 *
 * x [B, inputChannels, H, W] to [B, hiddenChannels, H, W].
 * @throws ArgumentError for sizes below 1
 * @see van den Oord, Kalchbrenner, Kavukcuoglu, "Pixel recurrent neural networks", ICML 2016, section 3.2
 * Deviates: none.
 * @example new DiagonalBiLSTM({ inputChannels: 24, hiddenChannels: 12 }).forward(features)
 */
export class DiagonalBiLSTM extends Module implements PixelLayer {
  readonly left: DiagonalLSTM;
  readonly right: DiagonalLSTM;

  constructor(options: PixelLSTMOptions) {
    super();
    checkOptions("DiagonalBiLSTM", options, PIXEL_LSTM);
    this.left = new DiagonalLSTM(options);
    this.right = new DiagonalLSTM(options);
  }

  forward(x: Tensor): Tensor {
    const fromRight = flip(this.right.forward(flip(x, 3)), 3);
    return add(this.left.forward(x), shifted(fromRight, 2, 1));
  }

  begin(batch: number, width: number): RasterMemory {
    return emptyMemory(this.left.outside(batch), width);
  }

  pixel(x: Tensor, memory: RasterMemory): [h: Tensor, next: RasterMemory] {
    const { above, row, right, outside } = memory;
    const c = row.length;
    const now = this.left.pixel(x, above[c] as PixelLSTMState, row[c - 1] ?? outside);
    const next = remembered(memory, x, now);
    const ended = next.row.length === 0;
    const h = add(now.h, (right[c] as PixelLSTMState).h);
    return [h, ended ? { ...next, right: this.#fromRight([...memory.inputs, x], memory) } : next];
  }

  /** The states of the scan from the right for a whole row, which the row below will see. */
  #fromRight(inputs: readonly Tensor[], { right, outside }: RasterMemory): PixelLSTMState[] {
    let beside = outside;
    const states = inputs.map((_, n) => {
      const c = inputs.length - 1 - n;
      beside = this.right.pixel(inputs[c] as Tensor, right[c] as PixelLSTMState, beside);
      return beside;
    });
    return states.reverse();
  }
}
