/** Gates that do not look at the state, so that sequences are trained in parallel: MinGRU, MinLSTM. */

import { checkSizes, type LayerOptions, uniformParameter } from "../nn/layers.ts";
import type { Parameter } from "../nn/module.ts";
import { add, div, mul } from "../ops/arithmetic.ts";
import { greaterEqual, where } from "../ops/compare.ts";
import { linear } from "../ops/linear.ts";
import { sigmoid } from "../ops/math.ts";
import { split } from "../ops/shape.ts";
import { zeros } from "../tensor/create.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { complement, LinearCell, lastOf, linearStates } from "./linear-cell.ts";

export interface MinRNNOptions extends LayerOptions {
  readonly inputSize: number;
  readonly hiddenSize: number;
  /** Whether there are biases (default true). */
  readonly bias?: boolean;
  /** Whether the candidate goes through g, which keeps states positive as the log-space form needs (default false). */
  readonly logSpace?: boolean;
}

/** g(v) = v + ½ for v ≥ 0, σ(v) below: positive and continuous. */
function positive(v: Tensor): Tensor {
  return where(greaterEqual(v, 0), add(v, 0.5), sigmoid(v));
}

/** What the two have in common: everything but the gates. */
abstract class MinRNN extends LinearCell<Tensor> {
  readonly inputSize: number;
  readonly outputSize: number;
  readonly logSpace: boolean;
  /** [G·H, I]: gates, then the candidate. */
  readonly weightIh: Parameter;
  readonly bias: Parameter | null;

  constructor(op: string, gates: number, { inputSize, hiddenSize, bias = true, logSpace = false, ...options }: MinRNNOptions) {
    super();
    checkSizes(op, { inputSize, hiddenSize });
    this.inputSize = inputSize;
    this.outputSize = hiddenSize;
    this.logSpace = logSpace;
    const bound = 1 / Math.sqrt(inputSize);
    this.weightIh = uniformParameter([(gates + 1) * hiddenSize, inputSize], bound, options);
    this.bias = bias ? uniformParameter([(gates + 1) * hiddenSize], bound, options) : null;
  }

  /** What is kept of the state and what is taken of the candidate, from the sums (gates first, then the candidate). */
  protected abstract shares(sums: readonly Tensor[]): [keep: Tensor, take: Tensor];

  /** a and b of h' = a∘h + b, for x [...,I]. */
  #coefficients(x: Tensor): [a: Tensor, b: Tensor] {
    const sums = split(linear(x, this.weightIh, this.bias ?? undefined), this.outputSize, -1);
    const candidate = sums.at(-1) as Tensor;
    const [keep, take] = this.shares(sums);
    return [keep, mul(take, this.logSpace ? positive(candidate) : candidate)];
  }

  initialState(batch: number): Tensor {
    return zeros([batch, this.outputSize], this.weightIh.dtype);
  }

  step(x: Tensor, h: Tensor): [y: Tensor, next: Tensor] {
    const [a, b] = this.#coefficients(x);
    const next = add(mul(a, h), b);
    return [next, next];
  }

  protected whole(xs: Tensor, h0: Tensor): [ys: Tensor, last: Tensor] {
    const hs = linearStates(...this.#coefficients(xs), h0);
    return [hs, lastOf(hs)];
  }
}

/**
 * The gated recurrent unit without its recurrent products; rows of weightIh [2H,I] in the order z h̃, from U(±1/√I).
 *
 *   z = σ(W_z x + b_z)    h̃ = W_h x + b_h, or g of it with `logSpace`    h' = (1 − z)∘h + z∘h̃
 *
 * State and output are h [B,H], from zero. Whole sequences run as one linear scan.
 * @see Feng, Tung, Ahmed, Bengio, Hajimirsadeghi, "Were RNNs all we needed?", 2024, section 3.1 and appendix B
 * Deviates: the initial state is used as it is, not passed through g; states are scanned as values, which cannot overflow, not as logarithms.
 * @example const [ys, h] = new MinGRU({ inputSize: 4, hiddenSize: 8 }).scan(xs);
 */
export class MinGRU extends MinRNN {
  constructor(options: MinRNNOptions) {
    super("MinGRU", 1, options);
  }

  protected shares([z]: readonly Tensor[]): [keep: Tensor, take: Tensor] {
    const take = sigmoid(z as Tensor);
    return [complement(take), take];
  }
}

/**
 * The LSTM without recurrent products, output gate and squashing; rows of weightIh [3H,I] in the order f i h̃, from U(±1/√I).
 *
 *   f, i = σ(W x + b)    f', i' = f/(f + i), i/(f + i)    h̃ = W_h x + b_h, or g of it with `logSpace`
 *   h' = f'∘h + i'∘h̃
 *
 * State and output are h [B,H], from zero. Whole sequences run as one linear scan.
 * @see Feng, Tung, Ahmed, Bengio, Hajimirsadeghi, "Were RNNs all we needed?", 2024, section 3.2 and appendix B
 * Deviates: as MinGRU.
 * @example const [ys, h] = new MinLSTM({ inputSize: 4, hiddenSize: 8 }).scan(xs);
 */
export class MinLSTM extends MinRNN {
  constructor(options: MinRNNOptions) {
    super("MinLSTM", 2, options);
  }

  protected shares(sums: readonly Tensor[]): [keep: Tensor, take: Tensor] {
    const [f, i] = sums.slice(0, 2).map(sigmoid) as [Tensor, Tensor];
    const keep = div(f, add(f, i));
    return [keep, complement(keep)];
  }
}
