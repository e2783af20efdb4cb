/** MinGRU and MinLSTM: their gates do not see the state, so sequences can be computed in parallel. */

import { gate } from "../../autodiff/observer.ts";
import { checkSizes, optionsOf } from "../../base/checks.ts";
import { LAYER, type LayerOptions, uniformParameter } from "../../nn/layers.ts";
import type { Parameter } from "../../nn/module.ts";
import { add, mul, neg, sub } from "../../ops/arithmetic.ts";
import { greaterEqual, where } from "../../ops/compare.ts";
import { linear } from "../../ops/linear.ts";
import { exp, log, logSigmoid, relu, sigmoid, softplus } from "../../ops/math.ts";
import { logLinearScan } from "../../ops/prefix-scan.ts";
import { cumsum } from "../../ops/reduce.ts";
import { split } from "../../ops/shape.ts";
import { movesAs } from "../../recurrence/recurrence.ts";
import { zeros } from "../../tensor/create.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { complement } from "./mixing.ts";
import { after, type Lengths, lastOf, linearStates, SequenceCell, startingFrom } from "./sequence-cell.ts";

export interface MinRNNOptions extends LayerOptions {
  readonly inputSize: number;
  readonly hiddenSize: number;
  /** Whether to add biases (default true). */
  readonly bias?: boolean;
  /** Whether to pass the candidate through g, which keeps states positive, and run whole sequences in log space (default false). */
  readonly logSpace?: boolean;
  /** Steps per chunk, to run whole sequences as an associative scan; by default step after step. */
  readonly chunk?: number;
}

/** What a step keeps of the state, takes of the candidate, and offers as candidate; as logarithms or as values. */
interface Shares {
  readonly keep: Tensor;
  readonly take: Tensor;
}

/** g(v) = v + ½ for v ≥ 0, else σ(v): positive and continuous. */
function positive(v: Tensor): Tensor {
  return where(greaterEqual(v, 0), add(v, 0.5), sigmoid(v));
}

/** log g(v), computed from v: log(v + ½) for v ≥ 0, else log σ(v). */
function logPositive(v: Tensor): Tensor {
  return where(greaterEqual(v, 0), log(add(relu(v), 0.5)), logSigmoid(v));
}

/** Shared by the two: everything but the gates. */
abstract class MinRNN extends SequenceCell<Tensor> {
  readonly inputSize: number;
  readonly outputSize: number;
  readonly logSpace: boolean;
  readonly chunk: number | undefined;
  /** Gates, then the candidate: [G·H, I]. */
  readonly weightIh: Parameter;
  readonly bias: Parameter | null;

  constructor(op: string, gates: number, given: MinRNNOptions) {
    super();
    const {
      inputSize,
      hiddenSize,
      bias = true,
      logSpace = false,
      chunk,
      ...options
    } = optionsOf(op, given, ["inputSize", "hiddenSize", "bias", "logSpace", "chunk", ...LAYER]);
    checkSizes(op, { inputSize, hiddenSize });
    this.inputSize = inputSize;
    this.outputSize = hiddenSize;
    this.logSpace = logSpace;
    if (chunk !== undefined) checkSizes(op, { chunk });
    this.chunk = chunk;
    const bound = 1 / Math.sqrt(inputSize);
    this.weightIh = uniformParameter([(gates + 1) * hiddenSize, inputSize], bound, options);
    this.bias = bias ? uniformParameter([(gates + 1) * hiddenSize], bound, options) : null;
  }

  get independentUnits(): number | undefined {
    const own = [MinGRU, MinLSTM].some((Class) => movesAs(this, Class, ["step", "shares"]));
    return own ? this.outputSize : undefined;
  }

  /** The shares of the state to keep and of the candidate to take, from the sums (gates first, then the candidate). */
  protected abstract shares(sums: readonly Tensor[]): Shares;

  /** The logarithms of these shares, computed directly. */
  protected abstract logShares(sums: readonly Tensor[]): Shares;

  #sums(x: Tensor): Tensor[] {
    return split(linear(x, this.weightIh, this.bias ?? undefined), this.outputSize, -1);
  }

  /** a and b of h' = a∘h + b, for x [...,I]. */
  #coefficients(x: Tensor): [a: Tensor, b: Tensor] {
    const sums = this.#sums(x);
    const candidate = sums.at(-1) as Tensor;
    const { keep, take } = this.shares(sums);
    return [keep, mul(take, this.logSpace ? positive(candidate) : candidate)];
  }

  /** All states [T+1,B,H]: the inputs' part, as sums of positive numbers in log space, plus what remains of h0. */
  #logStates(xs: Tensor, h0: Tensor): Tensor {
    const sums = this.#sums(xs);
    const { keep, take } = this.logShares(sums);
    const offered = add(take, logPositive(sums.at(-1) as Tensor));
    const fromInputs = exp(logLinearScan(keep, offered, { axis: 0 }));
    return startingFrom(h0, add(fromInputs, mul(exp(cumsum(keep, { axis: 0 })), h0)));
  }

  initialState(batch: number): Tensor {
    return zeros([batch, this.outputSize], this.weightIh.dtype);
  }

  step(x: Tensor, h: Tensor): [y: Tensor, next: Tensor] {
    const [a, b] = this.#coefficients(x);
    const next = add(mul(gate("f", a), h), b);
    return [next, next];
  }

  whole(xs: Tensor, h0: Tensor, lengths: Lengths): [ys: Tensor, last: Tensor] {
    const hs = this.logSpace ? this.#logStates(xs, h0) : linearStates(...this.#coefficients(xs), h0, this.chunk);
    return [after(hs), lastOf(hs, lengths)];
  }
}

/**
 * A gated recurrent unit without recurrent products. Rows of weightIh [2H,I] are in the order z h̃, from U(±1/√I).
 *
 *   z = σ(W_z x + b_z)    h̃ = W_h x + b_h, or g of it with `logSpace`    h' = (1 − z)∘h + z∘h̃
 *
 * State and output are h [B,H], from zero. Whole sequences run as one linear scan, over logarithms with `logSpace`.
 * @see Feng, Tung, Ahmed, Bengio, Hajimirsadeghi, "Were RNNs all we needed?", 2024, section 3.1 and appendix B
 * Deviates: the initial state is used as it is, not passed through g; there are biases unless `bias` is false; initial values.
 * @example const [ys, h] = new MinGRU({ inputSize: 4, hiddenSize: 8 }).scan(xs);
 */
export class MinGRU extends MinRNN {
  constructor(options: MinRNNOptions) {
    super("MinGRU", 1, options);
  }

  protected shares([z]: readonly Tensor[]): Shares {
    const take = sigmoid(z as Tensor);
    return { keep: complement(take), take };
  }

  protected logShares([z]: readonly Tensor[]): Shares {
    return { keep: logSigmoid(neg(z as Tensor)), take: logSigmoid(z as Tensor) };
  }
}

/**
 * An LSTM without recurrent products, output gate and squashing. Rows of weightIh [3H,I] are in the order f i h̃, from U(±1/√I).
 *
 *   f, i = σ(W x + b)    f', i' = f/(f + i), i/(f + i)    h̃ = W_h x + b_h, or g of it with `logSpace`
 *   h' = f'∘h + i'∘h̃
 *
 * State and output are h [B,H], from zero. Whole sequences run as in MinGRU.
 * @see Feng, Tung, Ahmed, Bengio, Hajimirsadeghi, "Were RNNs all we needed?", 2024, section 3.2 and appendix B
 * Deviates: as MinGRU.
 * @example const [ys, h] = new MinLSTM({ inputSize: 4, hiddenSize: 8 }).scan(xs);
 */
export class MinLSTM extends MinRNN {
  constructor(options: MinRNNOptions) {
    super("MinLSTM", 2, options);
  }

  protected shares(sums: readonly Tensor[]): Shares {
    const keep = sigmoid(logRatio(sums));
    return { keep, take: complement(keep) };
  }

  protected logShares(sums: readonly Tensor[]): Shares {
    const ratio = logRatio(sums);
    return { keep: logSigmoid(ratio), take: logSigmoid(neg(ratio)) };
  }
}

/** log f − log i. Its logistic function is f/(f + i), and it stays finite where both gates are closed and the quotient would be 0/0. */
function logRatio(sums: readonly Tensor[]): Tensor {
  const [f, i] = sums as [Tensor, Tensor, Tensor];
  return sub(softplus(neg(i)), softplus(neg(f)));
}
