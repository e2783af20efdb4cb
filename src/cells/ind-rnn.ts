/** Independently recurrent networks: single layers, deep stacks, residual blocks. */

import { heNormal } from "../nn/init.ts";
import { checkSizes, LayerNorm, Linear } from "../nn/layers.ts";
import { type Module, Parameter } from "../nn/module.ts";
import { Cell } from "../nn/recurrence.ts";
import { add, mul } from "../ops/arithmetic.ts";
import { linear } from "../ops/linear.ts";
import { diagonalSequence } from "../ops/recurrent.ts";
import { zeros } from "../tensor/create.ts";
import { ArgumentError } from "../tensor/errors.ts";
import { defaultGenerator } from "../tensor/random.ts";
import { assign, type Tensor } from "../tensor/tensor.ts";
import { type Activation, activations } from "./activations.ts";
import type { HiddenCellOptions } from "./hidden-cell.ts";
import { after, type Lengths, lastOf, SequenceCell } from "./sequence-cell.ts";

export interface IndRNNOptions extends HiddenCellOptions {
  /** φ (default "relu"). */
  readonly activation?: Activation;
  /** Where the recurrent weights are drawn from, uniformly (default [0, 1]). */
  readonly recurrentRange?: readonly [low: number, high: number];
}

/**
 * A layer whose units see of the past only their own.
 *
 *   h' = φ(W x + u∘h + b)
 *
 * weightIh = W [H,I] from N(0, 2/I), weightHh = u [H], bias = b [H] zero; h starts at zero.
 * Over T steps a gradient is multiplied by u^T: after each update, `clipRecurrentWeights` keeps this below γ.
 * @see Li, Li, Cook, Zhu and Gao, "Independently recurrent neural network (IndRNN): building a longer and deeper RNN", 2018, eq. 2
 * Deviates: none.
 * @example const [y, h] = new IndRNN({ inputSize: 4, hiddenSize: 8 }).step(x, state);
 */
export class IndRNN extends SequenceCell<Tensor> {
  readonly inputSize: number;
  readonly hiddenSize: number;
  readonly outputSize: number;
  readonly activation: Activation;
  readonly weightIh: Parameter;
  readonly weightHh: Parameter;
  readonly bias: Parameter;

  constructor(options: IndRNNOptions) {
    super();
    const { inputSize: I, hiddenSize: H, dtype = "float32", generator = defaultGenerator(), activation = "relu" } = options;
    const [low, high] = options.recurrentRange ?? [0, 1];
    checkSizes("IndRNN", { inputSize: I, hiddenSize: H });
    this.inputSize = I;
    this.hiddenSize = H;
    this.outputSize = H;
    this.activation = activation;
    this.weightIh = new Parameter(heNormal(zeros([H, I], dtype), { generator }));
    this.weightHh = new Parameter(generator.uniform([H], low, high, dtype));
    this.bias = new Parameter(zeros([H], dtype));
  }

  /** Zeros. */
  initialState(batch: number): Tensor {
    return zeros([batch, this.hiddenSize], this.bias.dtype);
  }

  /** x [B,I], h [B,H]. */
  step(x: Tensor, h: Tensor): [y: Tensor, next: Tensor] {
    const phi = activations[this.activation];
    const next = phi(add(linear(x, this.weightIh, this.bias), mul(this.weightHh, h)));
    return [next, next];
  }

  /** One kernel for all steps, and one for their gradients. */
  whole(xs: Tensor, h0: Tensor, lengths: Lengths): [ys: Tensor, last: Tensor] {
    const sums = linear(xs, this.weightIh, this.bias);
    const hs = diagonalSequence(sums, this.weightHh, h0, { activation: this.activation, lengths });
    return [after(hs), lastOf(hs, null)];
  }
}

export interface RecurrentClipOptions {
  /** Length T of the sequences. */
  readonly steps: number;
  /** Largest growth over all steps (default 2). */
  readonly gamma?: number;
}

/**
 * Brings the recurrent weights of every IndRNN in a module back to |u| ≤ γ^(1/T); call it after each update.
 * @see Li, Li, Cook, Zhu and Gao, 2018, section 3.1
 * @throws ArgumentError unless T ≥ 1 and γ > 0
 */
export function clipRecurrentWeights(module: Module, { steps, gamma = 2 }: RecurrentClipOptions): void {
  if (!(steps >= 1 && gamma > 0))
    throw new ArgumentError(`clipRecurrentWeights: expected steps ≥ 1 and gamma > 0, got ${steps} and ${gamma}`);
  const bound = gamma ** (1 / steps);
  for (const part of module.modules()) {
    if (part instanceof IndRNN)
      assign(
        part.weightHh,
        part.weightHh.data().map((u) => Math.min(bound, Math.max(-bound, u))),
      );
  }
}

export interface DeepIndRNNOptions extends IndRNNOptions {
  readonly layers: number;
  /** Whether each layer's output is normalised (default false). */
  readonly normalize?: boolean;
}

/**
 * Layers of IndRNN on one another, y⁰ = x and yˡ = norm(IndRNNˡ(yˡ⁻¹)); the output is the last layer's.
 *
 * State: h of each layer.
 * @see Li, Li, Cook, Zhu and Gao, "Independently recurrent neural network (IndRNN): building a longer and deeper RNN", 2018, fig. 1b
 * Deviates: layer instead of batch normalisation, which has no statistics for padded steps to enter.
 * @example const [ys] = new DeepIndRNN({ inputSize: 2, hiddenSize: 40, layers: 2 }).scan(xs);
 */
export class DeepIndRNN extends Cell<readonly Tensor[]> {
  readonly inputSize: number;
  readonly outputSize: number;
  readonly layers: readonly IndRNN[];
  readonly norms: readonly LayerNorm[];

  constructor(options: DeepIndRNNOptions) {
    super();
    const { hiddenSize: H, layers, normalize = false } = options;
    checkLayers("DeepIndRNN", layers);
    this.inputSize = options.inputSize;
    this.outputSize = H;
    this.layers = Array.from({ length: layers }, (_, l) => new IndRNN({ ...options, inputSize: l === 0 ? options.inputSize : H }));
    this.norms = normalize ? this.layers.map(() => new LayerNorm(H, options)) : [];
  }

  /** Zeros. */
  initialState(batch: number): readonly Tensor[] {
    return this.layers.map((layer) => layer.initialState(batch));
  }

  /** x [B,I], h [B,H] of each layer. */
  step(x: Tensor, state: readonly Tensor[]): [y: Tensor, next: readonly Tensor[]] {
    const next: Tensor[] = [];
    const y = this.layers.reduce((below, layer, l) => {
      const [h] = layer.step(below, state[l] as Tensor);
      next.push(h);
      return this.norms[l]?.forward(h) ?? h;
    }, x);
    return [y, next];
  }
}

export interface ResidualIndRNNOptions extends IndRNNOptions {
  /** Residual blocks, of two layers each. */
  readonly blocks: number;
}

/**
 * Blocks of two IndRNN layers around which the input is carried on.
 *
 *   y⁰ = W_e x    yᵏ = yᵏ⁻¹ + F₂(F₁(yᵏ⁻¹))    F(y) = linear(IndRNN(norm(y)))
 *
 * State: h of each layer; the output is the last block's.
 * @see Li, Li, Cook, Zhu and Gao, "Independently recurrent neural network (IndRNN): building a longer and deeper RNN", 2018, section 4, fig. 1c
 * Deviates: layer instead of batch normalisation.
 * @example const [ys] = new ResidualIndRNN({ inputSize: 2, hiddenSize: 40, blocks: 3 }).scan(xs);
 */
export class ResidualIndRNN extends Cell<readonly Tensor[]> {
  readonly inputSize: number;
  readonly outputSize: number;
  readonly embed: Linear;
  readonly norms: readonly LayerNorm[];
  readonly layers: readonly IndRNN[];
  readonly outputs: readonly Linear[];

  constructor(options: ResidualIndRNNOptions) {
    super();
    const { inputSize, hiddenSize: H, blocks } = options;
    checkLayers("ResidualIndRNN", blocks);
    this.inputSize = inputSize;
    this.outputSize = H;
    this.embed = new Linear(inputSize, H, options);
    this.layers = Array.from({ length: 2 * blocks }, () => new IndRNN({ ...options, inputSize: H }));
    this.norms = this.layers.map(() => new LayerNorm(H, options));
    this.outputs = this.layers.map(() => new Linear(H, H, options));
  }

  /** Zeros. */
  initialState(batch: number): readonly Tensor[] {
    return this.layers.map((layer) => layer.initialState(batch));
  }

  /** x [B,I], h [B,H] of each layer. */
  step(x: Tensor, state: readonly Tensor[]): [y: Tensor, next: readonly Tensor[]] {
    const next: Tensor[] = [];
    let y = this.embed.forward(x);
    for (let l = 0; l < this.layers.length; l += 2) y = add(y, this.#through(l + 1, this.#through(l, y, state, next), state, next));
    return [y, next];
  }

  /** F of layer l; its new state goes to `next`. */
  #through(l: number, y: Tensor, state: readonly Tensor[], next: Tensor[]): Tensor {
    const [h] = (this.layers[l] as IndRNN).step((this.norms[l] as LayerNorm).forward(y), state[l] as Tensor);
    next.push(h);
    return (this.outputs[l] as Linear).forward(h);
  }
}

function checkLayers(op: string, count: number): void {
  if (!(Number.isInteger(count) && count >= 1)) throw new ArgumentError(`${op}: expected at least one layer, got ${count}`);
}
