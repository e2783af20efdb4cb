/** The convolutional LSTM, for sequences of images: convolutions replace products. */

import { gate } from "../../autodiff/observer.ts";
import { checkSizes, optionsOf } from "../../base/checks.ts";
import { LAYER, type LayerOptions, uniformParameter } from "../../nn/layers.ts";
import { Parameter } from "../../nn/module.ts";
import { add, mul } from "../../ops/arithmetic.ts";
import { reshape } from "../../ops/broadcast.ts";
import { conv2d } from "../../ops/conv.ts";
import { sigmoid, tanh } from "../../ops/math.ts";
import { select, split } from "../../ops/shape.ts";
import { Cell } from "../../recurrence/recurrence.ts";
import { zeros } from "../../tensor/create.ts";
import { checkTensor, type Tensor } from "../../tensor/tensor.ts";

export interface ConvLSTMOptions extends LayerOptions {
  readonly height: number;
  readonly width: number;
  readonly inputChannels: number;
  readonly hiddenChannels: number;
  /** Side of the square filters (default 3); images keep their size. */
  readonly kernelSize?: number;
}

export type ConvLSTMState = {
  /** [B,K,height,width] each. */
  readonly h: Tensor;
  readonly c: Tensor;
};

/**
 * Convolutional LSTM (∗: convolution, ∘: by element) on images of C channels, with a state of K channels:
 *
 *   i, f = σ(W_x ∗ X + W_h ∗ H + W_c∘C + b)    C' = f∘C + i∘tanh(W_x ∗ X + W_h ∗ H + b)
 *   o = σ(W_x ∗ X + W_h ∗ H + W_c∘C' + b)    H' = o∘tanh(C')
 *
 * Gates in the order i f g o: weightIh [4K,C,k,k], weightHh [4K,K,k,k], bias [4K]; weightPeephole [3,K,height,width] (W_c of i, f, o).
 * Images are flattened at input and output: x [B, C·height·width], y [B, K·height·width]. The state starts from zero,
 * and zeros surround the images. Filters and bias from U(±1/√(K k²)), peepholes zero.
 * @see Shi, Chen, Wang, Yeung, Wong, Woo, "Convolutional LSTM network: a machine learning approach for precipitation nowcasting", 2015, eq. 3
 * Deviates: initial values, which the paper does not give.
 * @example const [ys] = new ConvLSTM({ height: 8, width: 8, inputChannels: 1, hiddenChannels: 4 }).scan(frames);
 */
export class ConvLSTM extends Cell<ConvLSTMState> {
  readonly inputSize: number;
  readonly outputSize: number;
  readonly height: number;
  readonly width: number;
  readonly inputChannels: number;
  readonly hiddenChannels: number;
  readonly weightIh: Parameter;
  readonly weightHh: Parameter;
  readonly weightPeephole: Parameter;
  readonly bias: Parameter;

  constructor(given: ConvLSTMOptions) {
    super();
    const {
      height,
      width,
      inputChannels,
      hiddenChannels,
      kernelSize = 3,
      ...options
    } = optionsOf("ConvLSTM", given, ["height", "width", "inputChannels", "hiddenChannels", "kernelSize", ...LAYER]);
    checkSizes("ConvLSTM", { height, width, inputChannels, hiddenChannels, kernelSize });
    this.height = height;
    this.width = width;
    this.inputChannels = inputChannels;
    this.hiddenChannels = hiddenChannels;
    this.inputSize = inputChannels * height * width;
    this.outputSize = hiddenChannels * height * width;
    const bound = 1 / (Math.sqrt(hiddenChannels) * kernelSize);
    const filters = (channels: number) => uniformParameter([4 * hiddenChannels, channels, kernelSize, kernelSize], bound, options);
    this.weightIh = filters(inputChannels);
    this.weightHh = filters(hiddenChannels);
    this.weightPeephole = new Parameter(zeros([3, hiddenChannels, height, width], options.dtype ?? "float32"));
    this.bias = uniformParameter([4 * hiddenChannels], bound, options);
  }

  initialState(batch: number): ConvLSTMState {
    const zero = () => zeros([batch, this.hiddenChannels, this.height, this.width], this.bias.dtype);
    return { h: zero(), c: zero() };
  }

  step(x: Tensor, { h, c }: ConvLSTMState): [y: Tensor, next: ConvLSTMState] {
    checkTensor("step", x);
    const image = reshape(x, [x.dim(0), this.inputChannels, this.height, this.width]);
    const same = { padding: "same" } as const;
    const sums = add(conv2d(image, this.weightIh, this.bias, same), conv2d(h, this.weightHh, undefined, same));
    const [si, sf, sg, so] = split(sums, this.hiddenChannels, 1) as [Tensor, Tensor, Tensor, Tensor];
    const seeing = (k: number, sum: Tensor, cell: Tensor) => sigmoid(add(sum, mul(select(this.weightPeephole, 0, k), cell)));
    const c1 = gate("c", add(mul(gate("f", seeing(1, sf, c)), c), mul(gate("i", seeing(0, si, c)), tanh(sg))));
    const h1 = mul(gate("o", seeing(2, so, c1)), tanh(c1));
    return [reshape(h1, [x.dim(0), this.outputSize]), { h: h1, c: c1 }];
  }
}
