/** Deep independently recurrent networks: stacks, residual blocks, dense blocks, with layer or batch normalisation. */

import { checkSizes } from "../../base/checks.ts";
import { ArgumentError } from "../../base/errors.ts";
import { SequenceBatchNorm } from "../../nn/batch-norm.ts";
import { LayerNorm, Linear } from "../../nn/layers.ts";
import { add } from "../../ops/arithmetic.ts";
import { cat } from "../../ops/shape.ts";
import { zeros } from "../../tensor/create.ts";
import { type Tensor, tensor } from "../../tensor/tensor.ts";
import { IndRNN, type IndRNNOptions } from "./ind-rnn.ts";
import { type Lengths, SequenceCell } from "./sequence-cell.ts";

/** "layer": each vector by itself; "sequence": over the batch and its real steps; "step": over the batch, step by step. */
export type IndRNNNorm = "none" | "layer" | "sequence" | "step";

export interface IndRNNNetOptions extends IndRNNOptions {
  /** How layers are normalised. */
  readonly norm?: IndRNNNorm;
  /** How many steps have statistics of their own with "step" (later ones share the last's). */
  readonly normSteps?: number;
}

/** What a network says about one of its layers. */
interface LayerPlan {
  readonly inputSize: number;
  readonly hiddenSize: number;
}

/** Where a layer is normalised: what goes into it, W x + b before the recurrence, or what comes out. */
type NormPlace = "input" | "before" | "after";

/** Runs layer l on its input. */
type RunLayer = (u: Tensor, l: number) => Tensor;

/** A normalisation at one step after `past` steps, or of a whole sequence. */
type Normalize = (norm: LayerNorm | SequenceBatchNorm, x: Tensor) => Tensor;

function checkCount(op: string, what: string, count: number): void {
  if (!(Number.isInteger(count) && count >= 1)) throw new ArgumentError(`${op}: expected at least one ${what}, got ${count}`);
}

function normOf(op: string, features: number, { norm, normSteps, dtype = "float32" }: IndRNNNetOptions): LayerNorm | SequenceBatchNorm {
  if (norm === "layer") return new LayerNorm(features, { dtype });
  if (norm === "sequence") return new SequenceBatchNorm(features, { dtype });
  if (normSteps === undefined) throw new ArgumentError(`${op}: expected normSteps with norm "step", got none`);
  return new SequenceBatchNorm(features, { dtype, steps: normSteps });
}

/** What the networks have in common: a flow of data through layers of IndRNN, the same for a step and a sequence. */
abstract class IndRNNNet extends SequenceCell<readonly Tensor[]> {
  readonly inputSize: number;
  readonly layers: readonly IndRNN[];
  readonly norms: readonly (LayerNorm | SequenceBatchNorm)[];
  readonly #place: NormPlace;
  /** Whether the state counts steps, for statistics of their own. */
  readonly #counts: boolean;

  constructor(op: string, options: IndRNNNetOptions, plans: readonly LayerPlan[], place: NormPlace, lastRange?: readonly [number, number]) {
    super();
    checkSizes(op, { inputSize: options.inputSize, hiddenSize: options.hiddenSize });
    this.inputSize = options.inputSize;
    this.#place = place;
    this.#counts = options.norm === "step";
    this.layers = plans.map((plan, l) => {
      const range = l === plans.length - 1 ? (lastRange ?? options.recurrentRange) : options.recurrentRange;
      return new IndRNN({ ...options, ...plan, ...(range && { recurrentRange: range }) });
    });
    const isNormal = options.norm !== undefined && options.norm !== "none";
    const size = (plan: LayerPlan) => (place === "input" ? plan.inputSize : plan.hiddenSize);
    this.norms = isNormal ? plans.map((plan) => normOf(op, size(plan), options)) : [];
  }

  /** The output, from the input [...,I] and what runs a layer. */
  protected abstract flow(x: Tensor, run: RunLayer): Tensor;

  /** Zeros. */
  initialState(batch: number): readonly Tensor[] {
    const states = this.layers.map((layer) => layer.initialState(batch));
    return this.#counts ? [...states, zeros([batch, 1], "int32")] : states;
  }

  /** The flow, with a normalisation and a way to advance a layer. */
  #through(x: Tensor, normalize: Normalize, advance: (layer: IndRNN, sums: Tensor, l: number) => Tensor): Tensor {
    const at = (place: NormPlace, u: Tensor, l: number) => {
      const norm = this.#place === place ? this.norms[l] : undefined;
      return norm ? normalize(norm, u) : u;
    };
    return this.flow(x, (u, l) => {
      const layer = this.layers[l] as IndRNN;
      const sums = at("before", layer.sums(at("input", u, l)), l);
      return at("after", advance(layer, sums, l), l);
    });
  }

  /** x [B,I], h [B,H] of each layer, and the number of steps so far (int32 [B,1]) with "step". */
  step(x: Tensor, state: readonly Tensor[]): [y: Tensor, next: readonly Tensor[]] {
    const past = this.#past(state);
    const next: Tensor[] = [];
    const y = this.#through(
      x,
      (norm, u) => (norm instanceof LayerNorm ? norm.forward(u) : norm.step(u, past)),
      (layer, sums, l) => {
        next[l] = layer.advance(sums, state[l] as Tensor);
        return next[l];
      },
    );
    return [y, past ? [...next, add(past, 1)] : next];
  }

  whole(xs: Tensor, state: readonly Tensor[], lengths: Lengths): [ys: Tensor, last: readonly Tensor[]] {
    const past = this.#past(state);
    const last: Tensor[] = [];
    const ys = this.#through(
      xs,
      (norm, u) => (norm instanceof LayerNorm ? norm.forward(u) : norm.forward(u, { lengths, past })),
      (layer, sums, l) => {
        const [hs, h] = layer.advanceAll(sums, state[l] as Tensor, lengths);
        last[l] = h;
        return hs;
      },
    );
    return [ys, past ? [...last, add(past, stepsOf(xs, lengths))] : last];
  }

  #past(state: readonly Tensor[]): Tensor | null {
    return this.#counts ? (state[this.layers.length] as Tensor) : null;
  }
}

/** How many steps each sequence has, [B,1]. */
function stepsOf(xs: Tensor, lengths: Lengths): Tensor {
  const [T, B] = [xs.dim(0), xs.dim(1)];
  return tensor(lengths ? [...lengths] : new Array<number>(B).fill(T), { shape: [B, 1], dtype: "int32" });
}

export interface DeepIndRNNOptions extends IndRNNNetOptions {
  readonly layers: number;
  /** Where the last layer's recurrent weights are drawn from (default `recurrentRange`): near 1 where the last output has to tell of all steps. */
  readonly lastRecurrentRange?: readonly [low: number, high: number];
  /** Whether a layer is normalised before the recurrence and its activation, or after (default "after"). */
  readonly normAt?: "before" | "after";
}

/**
 * Layers of IndRNN on one another, each reading what the one below puts out:
 *
 *   y⁰ = x    yˡ = hˡ    hˡ' = φ(N(W yˡ⁻¹ + b) + u∘hˡ) with `normAt: "before"`, else yˡ = N(hˡ) and no N within
 *
 * `norm` says what N is (default "none"); batch statistics leave padded steps out. State: h of each layer, and with "step" the number of steps.
 * @see Li, Li, Cook, Zhu and Gao, "Independently recurrent neural network (IndRNN): building a longer and deeper RNN", 2018, fig. 1b;
 *   initial weights of the last layer, section 4; Li, Li, Cook and Gao, "Deep independently recurrent neural network (IndRNN)", 2019
 * Deviates: none.
 * @example const [ys] = new DeepIndRNN({ inputSize: 2, hiddenSize: 40, layers: 2, norm: "sequence" }).scan(xs);
 */
export class DeepIndRNN extends IndRNNNet {
  readonly outputSize: number;

  constructor(options: DeepIndRNNOptions) {
    const { inputSize, hiddenSize, layers, normAt = "after", lastRecurrentRange } = options;
    checkCount("DeepIndRNN", "layer", layers);
    const plans = Array.from({ length: layers }, (_, l) => ({ inputSize: l === 0 ? inputSize : hiddenSize, hiddenSize }));
    super("DeepIndRNN", options, plans, normAt, lastRecurrentRange);
    this.outputSize = hiddenSize;
  }

  protected flow(x: Tensor, run: RunLayer): Tensor {
    return this.layers.reduce((below, _, l) => run(below, l), x);
  }
}

export interface ResidualIndRNNOptions extends IndRNNNetOptions {
  /** Residual blocks, of two layers each. */
  readonly blocks: number;
}

/**
 * Blocks of two IndRNN layers around which the input is carried on.
 *
 *   y⁰ = W_e x    yᵏ = yᵏ⁻¹ + F₂(F₁(yᵏ⁻¹))    F(y) = linear(IndRNN(N(y)))
 *
 * `norm` says what N is (default "layer"). State: as in DeepIndRNN; the output is the last block's.
 * @see Li, Li, Cook, Zhu and Gao, "Independently recurrent neural network (IndRNN): building a longer and deeper RNN", 2018, section 4, fig. 1c
 * Deviates: layer normalisation by default, where the paper has "sequence" or "step".
 * @example const [ys] = new ResidualIndRNN({ inputSize: 2, hiddenSize: 40, blocks: 3 }).scan(xs);
 */
export class ResidualIndRNN extends IndRNNNet {
  readonly outputSize: number;
  readonly embed: Linear;
  readonly outputs: readonly Linear[];

  constructor(options: ResidualIndRNNOptions) {
    const { inputSize, hiddenSize, blocks } = options;
    checkCount("ResidualIndRNN", "block", blocks);
    const plans = Array.from({ length: 2 * blocks }, () => ({ inputSize: hiddenSize, hiddenSize }));
    super("ResidualIndRNN", { ...options, norm: options.norm ?? "layer" }, plans, "input");
    this.outputSize = hiddenSize;
    this.embed = new Linear(inputSize, hiddenSize, options);
    this.outputs = this.layers.map(() => new Linear(hiddenSize, hiddenSize, options));
  }

  protected flow(x: Tensor, run: RunLayer): Tensor {
    const through = (u: Tensor, l: number) => (this.outputs[l] as Linear).forward(run(u, l));
    let y = this.embed.forward(x);
    for (let l = 0; l < this.layers.length; l += 2) y = add(y, through(through(y, l), l + 1));
    return y;
  }
}

export interface DenseIndRNNOptions extends IndRNNNetOptions {
  /** How many dense layers each block has. */
  readonly blocks: readonly number[];
  /** Units that each dense layer adds, k. */
  readonly growth: number;
  /** Units of a dense layer's first half, as a multiple of k (default 4). */
  readonly bottleneck?: number;
  readonly normAt?: "before" | "after";
}

/**
 * Blocks whose layers read everything before them in the block; R is a normalised IndRNN layer, its units in brackets:
 *
 *   y⁰ = R(x) [H]    yⁱ⁺¹ = [yⁱ; R(R(yⁱ) [4k]) [k]] in a block    y⁰ = R(y) [half as many units] between blocks
 *
 * `hiddenSize` H is the first layer's; `norm` is "sequence" unless given. State: h of each layer in order of execution, as in DeepIndRNN.
 * @see Li, Li, Cook and Gao, "Deep independently recurrent neural network (IndRNN)", 2019, densely connected IndRNN
 * Deviates: dropout is not part of it.
 * @example const [ys] = new DenseIndRNN({ inputSize: 2, hiddenSize: 16, blocks: [2, 2], growth: 8 }).scan(xs);
 */
export class DenseIndRNN extends IndRNNNet {
  readonly outputSize: number;
  readonly blocks: readonly number[];

  constructor(options: DenseIndRNNOptions) {
    const { inputSize, hiddenSize, blocks, growth, bottleneck = 4, normAt = "after" } = options;
    checkCount("DenseIndRNN", "block", blocks.length);
    for (const count of blocks) checkCount("DenseIndRNN", "layer in each block", count);
    checkSizes("DenseIndRNN", { growth, bottleneck });
    const plans: LayerPlan[] = [];
    let width = inputSize;
    const layer = (size: number, reads = width) => plans.push({ inputSize: reads, hiddenSize: size });
    for (const [k, count] of blocks.entries()) {
      const first = k === 0 ? hiddenSize : Math.max(1, width >> 1);
      layer(first);
      width = first;
      for (let i = 0; i < count; i++) {
        layer(bottleneck * growth);
        layer(growth, bottleneck * growth);
        width += growth;
      }
    }
    super("DenseIndRNN", { ...options, norm: options.norm ?? "sequence" }, plans, normAt);
    this.outputSize = width;
    this.blocks = blocks;
  }

  protected flow(x: Tensor, run: RunLayer): Tensor {
    let l = 0;
    let y = x;
    for (const count of this.blocks) {
      y = run(y, l++);
      for (let i = 0; i < count; i++) y = cat([y, run(run(y, l++), l++)], -1);
    }
    return y;
  }
}
