/** Mamba's recurrence: a state space model whose step size, input and output maps depend on the input. */

import { checkSizes, optionsOf } from "../../base/checks.ts";
import { LAYER, type LayerOptions, uniformParameter } from "../../nn/layers.ts";
import { Parameter } from "../../nn/module.ts";
import { add, mul, neg, sub } from "../../ops/arithmetic.ts";
import { sum } from "../../ops/broadcast.ts";
import { linear } from "../../ops/linear.ts";
import { exp, log, silu, softplus } from "../../ops/math.ts";
import { select, split, unsqueeze } from "../../ops/shape.ts";
import { arange, ones, zeros } from "../../tensor/create.ts";
import { defaultGenerator } from "../../tensor/random.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { rate } from "./mixing.ts";
import { after, type Lengths, lastOf, linearStates, pastAfter, SequenceCell, windows } from "./sequence-cell.ts";

export interface SelectiveScanOptions extends LayerOptions {
  /** Channels D, in and out. */
  readonly inputSize: number;
  /** Size N of each channel's state (default 16). */
  readonly stateSize?: number;
  /** Rank of the step size's projection (default ⌈D/16⌉). */
  readonly rank?: number;
  /** Steps per chunk, to run whole sequences as an associative scan; by default step after step. */
  readonly chunk?: number;
}

/**
 * Selective state space on D channels, with a state h [B,D,N] from zero:
 *
 *   Δ = softplus(W_Δ (W_r x) + b_Δ)    B, C = W_B x, W_C x    A = −exp(aLog)
 *   h'[d,n] = exp(Δ_d A[d,n])·h[d,n] + Δ_d B_n x_d    y_d = Σ_n C_n h'[d,n] + D_d x_d
 *
 * Parameters weightX [R+2N, D] with rows W_r, W_B, W_C, weightDt [D,R] and biasDt [D] (Δ), aLog [D,N], skip [D] (the paper's D).
 * aLog starts as log 1 … log N in each channel, skip as ones, b_Δ so that Δ is log-uniform on [10⁻³, 10⁻¹], W_Δ from U(±1/√R),
 * weightX from U(±1/√D). Whole sequences run as one linear scan.
 * @see Gu, Dao, "Mamba: Linear-time sequence modeling with selective state spaces", 2023, algorithm 2 and section 3.6
 * Deviates: none from the authors' code (B is discretised by Euler's rule there, not by zero-order hold as in the paper's eq. 4).
 * @example const [ys, h] = new SelectiveScan({ inputSize: 8 }).scan(xs);
 */
export class SelectiveScan extends SequenceCell<Tensor> {
  readonly inputSize: number;
  readonly outputSize: number;
  readonly stateSize: number;
  readonly rank: number;
  readonly chunk: number | undefined;
  readonly weightX: Parameter;
  readonly weightDt: Parameter;
  readonly biasDt: Parameter;
  readonly aLog: Parameter;
  readonly skip: Parameter;

  constructor(given: SelectiveScanOptions) {
    super();
    const {
      inputSize,
      stateSize = 16,
      rank = Math.ceil(inputSize / 16),
      chunk,
      ...options
    } = optionsOf("SelectiveScan", given, ["inputSize", "stateSize", "rank", "chunk", ...LAYER]);
    checkSizes("SelectiveScan", { inputSize, stateSize, rank });
    this.inputSize = inputSize;
    this.outputSize = inputSize;
    this.stateSize = stateSize;
    this.rank = rank;
    if (chunk !== undefined) checkSizes("SelectiveScan", { chunk });
    this.chunk = chunk;
    const { dtype = "float32" } = options;
    this.weightX = uniformParameter([rank + 2 * stateSize, inputSize], 1 / Math.sqrt(inputSize), options);
    this.weightDt = uniformParameter([inputSize, rank], 1 / Math.sqrt(rank), options);
    this.biasDt = new Parameter(stepBias(inputSize, options));
    this.aLog = new Parameter(mul(ones([inputSize, 1], dtype), log(arange(1, stateSize + 1, 1, dtype))));
    this.skip = new Parameter(ones([inputSize], dtype));
  }

  /** a and b [...,D,N] of h' = a∘h + b, and C [...,1,N], for x [...,D]. */
  #coefficients(x: Tensor): { a: Tensor; b: Tensor; c: Tensor } {
    const N = this.stateSize;
    const [low, b, c] = split(linear(x, this.weightX), [this.rank, N, N], -1) as [Tensor, Tensor, Tensor];
    const delta = softplus(linear(low, this.weightDt, this.biasDt));
    const a = exp(neg(mul(unsqueeze(delta, -1), rate(this.aLog))));
    return { a, b: mul(unsqueeze(mul(delta, x), -1), unsqueeze(b, -2)), c: unsqueeze(c, -2) };
  }

  #output(c: Tensor, h: Tensor, x: Tensor): Tensor {
    return add(sum(mul(c, h), { axis: -1 }), mul(this.skip, x));
  }

  initialState(batch: number): Tensor {
    return zeros([batch, this.inputSize, this.stateSize], this.skip.dtype);
  }

  step(x: Tensor, h: Tensor): [y: Tensor, next: Tensor] {
    const { a, b, c } = this.#coefficients(x);
    const next = add(mul(a, h), b);
    return [this.#output(c, next, x), next];
  }

  whole(xs: Tensor, h0: Tensor, lengths: Lengths): [ys: Tensor, last: Tensor] {
    const { a, b, c } = this.#coefficients(xs);
    const hs = linearStates(a, b, h0, this.chunk);
    return [this.#output(c, after(hs), xs), lastOf(hs, lengths)];
  }
}

/** b with softplus(b) log-uniform on [10⁻³, 10⁻¹]: b = Δ + log(1 − exp(−Δ)). */
function stepBias(size: number, { dtype = "float32", generator = defaultGenerator() }: LayerOptions): Tensor {
  const delta = exp(generator.uniform([size], Math.log(1e-3), Math.log(1e-1), dtype));
  return add(delta, log(neg(sub(exp(neg(delta)), 1))));
}

export interface MambaOptions extends SelectiveScanOptions {
  /** Inner channels, as a multiple of inputSize (default 2). */
  readonly expand?: number;
  /** Number of steps that the convolution sees, the present one last (default 4). */
  readonly width?: number;
}

export type MambaState = {
  /** [B,E,N] */
  readonly h: Tensor;
  /** The last width − 1 inputs of the convolution [B,E], oldest first. */
  readonly past: readonly Tensor[];
};

/**
 * Mamba's block: E = expand·D channels of a selective scan behind a causal convolution, gated by a second branch.
 *
 *   u, z = W_in x    v_t = silu(b + Σ_j w_j∘u_{t−k+1+j})    y = W_out (scan(v)∘silu(z))
 *
 * Parameters weightIn [2E,D], weightConv [E,k], biasConv [E], weightOut [D,E] from U(±1/√fan-in), and those of `ssm`.
 * Input and output [B,D]; the state starts from zeros. Whole sequences run as one linear scan.
 * @see Gu, Dao, "Mamba: Linear-time sequence modeling with selective state spaces", 2023, section 3.4 and figure 3
 * Deviates: none; normalisation and residual path around the block are the caller's.
 * @example const [ys, last] = new Mamba({ inputSize: 8 }).scan(xs);
 */
export class Mamba extends SequenceCell<MambaState> {
  readonly inputSize: number;
  readonly outputSize: number;
  readonly width: number;
  readonly weightIn: Parameter;
  readonly weightConv: Parameter;
  readonly biasConv: Parameter;
  readonly ssm: SelectiveScan;
  readonly weightOut: Parameter;

  constructor(given: MambaOptions) {
    super();
    const {
      inputSize,
      expand = 2,
      width = 4,
      rank = Math.ceil(inputSize / 16),
      ...options
    } = optionsOf("Mamba", given, ["expand", "width", "inputSize", "stateSize", "rank", "chunk", ...LAYER]);
    const { stateSize = 16, chunk = 1 } = options;
    checkSizes("Mamba", { inputSize, expand, width, rank, stateSize, chunk });
    const E = expand * inputSize;
    this.inputSize = inputSize;
    this.outputSize = inputSize;
    this.width = width;
    this.weightIn = uniformParameter([2 * E, inputSize], 1 / Math.sqrt(inputSize), options);
    this.weightConv = uniformParameter([E, width], 1 / Math.sqrt(width), options);
    this.biasConv = uniformParameter([E], 1 / Math.sqrt(width), options);
    this.ssm = new SelectiveScan({ ...options, rank, inputSize: E });
    this.weightOut = uniformParameter([inputSize, E], 1 / Math.sqrt(E), options);
  }

  #branches(x: Tensor): [u: Tensor, z: Tensor] {
    return split(linear(x, this.weightIn), this.ssm.inputSize, -1) as [Tensor, Tensor];
  }

  /** The depthwise convolution of the steps [...,E] that it sees. */
  #convolve(steps: readonly Tensor[]): Tensor {
    const terms = steps.map((u, j) => mul(u, select(this.weightConv, 1, j)));
    return silu(terms.reduce((total, term) => add(total, term), this.biasConv as Tensor));
  }

  initialState(batch: number): MambaState {
    const past = Array.from({ length: this.width - 1 }, () => zeros([batch, this.ssm.inputSize], this.weightIn.dtype));
    return { h: this.ssm.initialState(batch), past };
  }

  step(x: Tensor, { h, past }: MambaState): [y: Tensor, next: MambaState] {
    const [u, z] = this.#branches(x);
    const steps = [...past, u];
    const [v, next] = this.ssm.step(this.#convolve(steps), h);
    return [linear(mul(v, silu(z)), this.weightOut), { h: next, past: steps.slice(1) }];
  }

  whole(xs: Tensor, { h, past }: MambaState, lengths: Lengths): [ys: Tensor, last: MambaState] {
    const [us, zs] = this.#branches(xs);
    const [vs, last] = this.ssm.whole(this.#convolve(windows(us, past)), h, lengths);
    return [linear(mul(vs, silu(zs)), this.weightOut), { h: last, past: pastAfter(us, past, lengths) }];
  }
}
