/** The quasi-recurrent network: causal convolutions for gates, pooling for memory. */

import { gate } from "../../autodiff/observer.ts";
import { checkOneOf, checkSizes, optionsOf } from "../../base/checks.ts";
import { LAYER, type LayerOptions, uniformParameter } from "../../nn/layers.ts";
import type { Parameter } from "../../nn/module.ts";
import { add, mul } from "../../ops/arithmetic.ts";
import { linear } from "../../ops/linear.ts";
import { sigmoid, tanh } from "../../ops/math.ts";
import { cat, split } from "../../ops/shape.ts";
import { movesAs } from "../../recurrence/recurrence.ts";
import { zeros } from "../../tensor/create.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { complement } from "./mixing.ts";
import { after, type Lengths, lastOf, linearStates, pastAfter, SequenceCell, windows } from "./sequence-cell.ts";

/** Which gates a QRNN has: forget, output, input. */
export type QRNNPooling = "f" | "fo" | "ifo";

export interface QRNNOptions extends LayerOptions {
  readonly inputSize: number;
  readonly hiddenSize: number;
  /** Number of steps that the convolution sees, the present one last (default 2). */
  readonly width?: number;
  /** Which gates to use: forget, output, input (default "fo"). */
  readonly pooling?: QRNNPooling;
  /** Steps per chunk, to run whole sequences as an associative scan; by default step after step. */
  readonly chunk?: number;
}

export type QRNNState = {
  /** [B,H] */
  readonly c: Tensor;
  /** The last width − 1 inputs [B,I], oldest first. */
  readonly past: readonly Tensor[];
};

/**
 * Quasi-recurrent network. Rows of weightIh [G·H, width·I] are in the order z f (o) (i), columns start with the oldest step.
 *
 *   X = x_{t−k+1} … x_t    z = tanh(W_z X + b_z)    f, o, i = σ(W X + b)
 *   c' = f∘c + (1 − f)∘z, or f∘c + i∘z with "ifo" pooling    h = c' with "f" pooling, else o∘c'
 *
 * The state starts from zeros, the left padding of the convolution. Weights from U(±1/√(k I)), output h [B,H].
 * Whole sequences run as one linear scan.
 * @see Bradbury, Merity, Xiong, Socher, "Quasi-recurrent neural networks", 2017, eq. 1-5
 * Deviates: there is a bias; zoneout of f is not part of the cell; initial values.
 * @example const [ys, last] = new QRNN({ inputSize: 4, hiddenSize: 8, pooling: "ifo" }).scan(xs);
 */
export class QRNN extends SequenceCell<QRNNState> {
  readonly inputSize: number;
  readonly outputSize: number;
  readonly width: number;
  readonly pooling: QRNNPooling;
  readonly chunk: number | undefined;
  readonly weightIh: Parameter;
  readonly bias: Parameter;

  constructor(given: QRNNOptions) {
    super();
    const {
      inputSize,
      hiddenSize,
      width = 2,
      pooling = "fo",
      chunk,
      ...options
    } = optionsOf("QRNN", given, ["inputSize", "hiddenSize", "width", "pooling", "chunk", ...LAYER]);
    checkSizes("QRNN", { inputSize, hiddenSize, width });
    checkOneOf("QRNN", "pooling", pooling, ["f", "fo", "ifo"]);
    this.inputSize = inputSize;
    this.outputSize = hiddenSize;
    this.width = width;
    this.pooling = pooling;
    if (chunk !== undefined) checkSizes("QRNN", { chunk });
    this.chunk = chunk;
    const rows = (1 + pooling.length) * hiddenSize;
    const bound = 1 / Math.sqrt(width * inputSize);
    this.weightIh = uniformParameter([rows, width * inputSize], bound, options);
    this.bias = uniformParameter([rows], bound, options);
  }

  /** a and b of c' = a∘c + b, and the output gate, from the windows' steps [...,I]. */
  #gates(steps: readonly Tensor[]): { f: Tensor; b: Tensor; o: Tensor | null } {
    const [z, ...sums] = split(linear(cat(steps, -1), this.weightIh, this.bias), this.outputSize, -1) as [Tensor, ...Tensor[]];
    const [f, o, i] = sums.map(sigmoid) as [Tensor, Tensor?, Tensor?];
    return { f, b: mul(i ?? complement(f), tanh(z)), o: o ?? null };
  }

  get independentUnits(): number | undefined {
    return movesAs(this, QRNN) ? this.outputSize : undefined;
  }

  initialState(batch: number): QRNNState {
    const { dtype } = this.weightIh;
    const past = Array.from({ length: this.width - 1 }, () => zeros([batch, this.inputSize], dtype));
    return { c: zeros([batch, this.outputSize], dtype), past };
  }

  step(x: Tensor, { c, past }: QRNNState): [y: Tensor, next: QRNNState] {
    const steps = [...past, x];
    const { f, b, o } = this.#gates(steps);
    const next = gate("c", add(mul(gate("f", f), c), b));
    return [o ? mul(gate("o", o), next) : next, { c: next, past: steps.slice(1) }];
  }

  whole(xs: Tensor, { c, past }: QRNNState, lengths: Lengths): [ys: Tensor, last: QRNNState] {
    const { f, b, o } = this.#gates(windows(xs, past));
    const cs = linearStates(f, b, c, this.chunk);
    return [o ? mul(o, after(cs)) : after(cs), { c: lastOf(cs, lengths), past: pastAfter(xs, past, lengths) }];
  }
}
