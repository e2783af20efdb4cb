/** Deep independently recurrent networks: stacks, residual blocks, dense blocks, with layer or batch normalisation. */

import { checkList, checkNumber, checkOneOf, checkSizes, optionsOf } from "../../base/checks.ts";
import { ArgumentError } from "../../base/errors.ts";
import { SequenceBatchNorm } from "../../nn/batch-norm.ts";
import { calculateGain, constant, heUniform, normal } from "../../nn/init.ts";
import { LAYER, LayerNorm, Linear, layerOptions } from "../../nn/layers.ts";
import type { Parameter } from "../../nn/module.ts";
import { add } from "../../ops/arithmetic.ts";
import { cat } from "../../ops/shape.ts";
import { zeros } from "../../tensor/create.ts";
import { defaultGenerator } from "../../tensor/random.ts";
import { type Tensor, tensor } from "../../tensor/tensor.ts";
import { checkRange, type IndependentUnits, IndRNN, type IndRNNOptions, IndRNNRecurrence } from "./ind-rnn.ts";
import { type Lengths, SequenceCell } from "./sequence-cell.ts";

/** "layer": each vector separately; "sequence": over the batch and its real steps; "step": over the batch, step by step. */
export type IndRNNNorm = "none" | "layer" | "sequence" | "step";

export interface IndRNNNetOptions extends IndRNNOptions {
  /** How to normalise layers. */
  readonly norm?: IndRNNNorm;
  /** Number of steps with statistics of their own, with "step"; later ones share those of the last. */
  readonly normSteps?: number;
}

const IND_RNN_NET = [
  "inputSize", "hiddenSize", "weightStd", "activation", "recurrentRange", "norm", "normSteps", "normAt", ...LAYER,
] as const; // biome-ignore format: a list

/** How a network describes one of its layers. */
interface LayerPlan {
  readonly hiddenSize: number;
  /** Number of inputs of the layer's own weights W; without it the layer is only the recurrence. */
  readonly inputSize?: number;
}

/** Where to normalise a layer: the input of the recurrence (W x + b), or its output. */
type NormPlace = "before" | "after";

/** Runs layer l on its input. */
type RunLayer = (u: Tensor, l: number) => Tensor;

/** Normalises one step after `past` steps, or a whole sequence. */
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

/** Shared by the networks: a flow of data through layers of IndRNN, the same for a step and a sequence. */
abstract class IndRNNNet extends SequenceCell<readonly Tensor[]> {
  readonly inputSize: number;
  readonly layers: readonly IndependentUnits[];
  readonly norms: readonly (LayerNorm | SequenceBatchNorm)[];
  readonly #place: NormPlace;
  /** Whether the state counts steps, for statistics per step. */
  readonly #counts: boolean;

  constructor(op: string, options: IndRNNNetOptions, plans: readonly LayerPlan[], place: NormPlace, lastRange?: readonly [number, number]) {
    super();
    checkSizes(op, { inputSize: options.inputSize, hiddenSize: options.hiddenSize });
    checkOneOf(op, "norm", options.norm ?? "none", ["none", "layer", "sequence", "step"]);
    checkOneOf(op, "normAt", place, ["before", "after"]);
    checkRange(op, "lastRecurrentRange", lastRange);
    if (options.weightStd !== undefined) checkNumber(op, "weightStd", options.weightStd, { least: 0 });
    if (options.normSteps !== undefined) checkSizes(op, { normSteps: options.normSteps });
    // Norms draw no random numbers, so they come first: what they refuse is refused before the layers draw any.
    const isNormal = options.norm !== undefined && options.norm !== "none";
    this.norms = isNormal ? plans.map((plan) => normOf(op, plan.hiddenSize, options)) : [];
    this.inputSize = options.inputSize;
    this.#place = place;
    this.#counts = options.norm === "step";
    this.layers = plans.map((plan, l) => {
      const range = l === plans.length - 1 ? (lastRange ?? options.recurrentRange) : options.recurrentRange;
      const { inputSize, hiddenSize } = plan;
      const { activation, weightStd } = options;
      const own = { ...layerOptions(options), hiddenSize, ...(activation && { activation }), ...(range && { recurrentRange: range }) };
      if (inputSize === undefined) return new IndRNNRecurrence(own);
      return new IndRNN({ ...own, inputSize, ...(weightStd !== undefined && { weightStd }) });
    });
  }

  /** Computes the output from the input [...,I] and a function that runs a layer. */
  protected abstract flow(x: Tensor, run: RunLayer): Tensor;

  /** Zeros. */
  initialState(batch: number): readonly Tensor[] {
    const states = this.layers.map((layer) => layer.initialState(batch));
    return this.#counts ? [...states, zeros([batch, 1], "int32")] : states;
  }

  /** Runs the flow, with a normalisation and a way to advance a layer. */
  #through(x: Tensor, normalize: Normalize, advance: (layer: IndependentUnits, sums: Tensor, l: number) => Tensor): Tensor {
    const at = (place: NormPlace, u: Tensor, l: number) => {
      const norm = this.#place === place ? this.norms[l] : undefined;
      return norm ? normalize(norm, u) : u;
    };
    return this.flow(x, (u, l) => {
      const layer = this.layers[l] as IndependentUnits;
      const sums = at("before", layer.sums(u), l);
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

/** Number of steps of each sequence, [B,1]. */
function stepsOf(xs: Tensor, lengths: Lengths): Tensor {
  const [T, B] = [xs.dim(0), xs.dim(1)];
  return tensor(lengths ? [...lengths] : new Array<number>(B).fill(T), { shape: [B, 1], dtype: "int32" });
}

export interface DeepIndRNNOptions extends IndRNNNetOptions {
  readonly layers: number;
  /** Range of the last layer's initial recurrent weights (default `recurrentRange`): near 1 if the last output must summarise all steps. */
  readonly lastRecurrentRange?: readonly [low: number, high: number];
  /** Whether to normalise a layer before the recurrence and its activation, or after (default "after"). */
  readonly normAt?: "before" | "after";
}

/**
 * A stack of IndRNN layers, each reading the output of the one below:
 *
 *   y⁰ = x    yˡ = hˡ    hˡ' = φ(N(W yˡ⁻¹ + b) + u∘hˡ) with `normAt: "before"`, else yˡ = N(hˡ) and no N within
 *
 * `norm` chooses N (default "none"); batch statistics exclude padding. State: h of each layer, and with "step" the number of steps.
 * @see Li, Li, Cook, Zhu and Gao, "Independently recurrent neural network (IndRNN): building a longer and deeper RNN", 2018, fig. 1b;
 *   initial weights of the last layer, section 4; Li, Li, Cook and Gao, "Deep independently recurrent neural network (IndRNN)", 2019
 * Deviates: none.
 * @example const [ys] = new DeepIndRNN({ inputSize: 2, hiddenSize: 40, layers: 2, norm: "sequence" }).scan(xs);
 */
export class DeepIndRNN extends IndRNNNet {
  declare readonly layers: readonly IndRNN[];
  readonly outputSize: number;

  constructor(options: DeepIndRNNOptions) {
    const {
      inputSize,
      hiddenSize,
      layers,
      normAt = "after",
      lastRecurrentRange,
    } = optionsOf("DeepIndRNN", options, ["layers", "lastRecurrentRange", ...IND_RNN_NET]);
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
  /** Range of the last layer's initial recurrent weights (default `recurrentRange`): near 1 if the last output must summarise all steps. */
  readonly lastRecurrentRange?: readonly [low: number, high: number];
  /** Whether to normalise before the recurrence and its activation, or after (default "before"). */
  readonly normAt?: "before" | "after";
}

/**
 * Residual blocks of two layers, each layer a recurrence followed by its weights, and one more recurrence at the end:
 *
 *   y⁰ = W₀ x + b₀    yᵏ = yᵏ⁻¹ + F₂(F₁(yᵏ⁻¹))    F(y) = W R(y) + b    R(y): h' = φ(N(y) + u∘h)    output R(yᴷ)
 *
 * With `normAt: "after"` R is N(h') with h' = φ(y + u∘h). `norm` chooses N (default "sequence"). The W [H,H] and W₀ [H,I] are drawn from
 * U(±√(6/(65 fan-in))), or N(0, `weightStd`²), biases are zero. State: h of each recurrence in order of execution, as in DeepIndRNN.
 * @see Li, Li, Cook, Zhu and Gao, "Independently recurrent neural network (IndRNN): building a longer and deeper RNN", 2018, section 4, fig. 1c;
 *   order within a block, the last recurrence and initial weights: Li, Li, Cook and Gao, "Deep independently recurrent neural network (IndRNN)",
 *   2019, and the authors' program for it
 * Deviates: without dropout.
 * @example const [ys] = new ResidualIndRNN({ inputSize: 2, hiddenSize: 40, blocks: 3 }).scan(xs);
 */
export class ResidualIndRNN extends IndRNNNet {
  declare readonly layers: readonly IndRNNRecurrence[];
  readonly outputSize: number;
  readonly embed: Linear;
  /** W of each layer but the last. */
  readonly outputs: readonly Linear[];

  constructor(options: ResidualIndRNNOptions) {
    const {
      inputSize,
      hiddenSize,
      blocks,
      normAt = "before",
      lastRecurrentRange,
    } = optionsOf("ResidualIndRNN", options, ["blocks", "lastRecurrentRange", ...IND_RNN_NET]);
    checkCount("ResidualIndRNN", "block", blocks);
    const plans = Array.from({ length: 2 * blocks + 1 }, () => ({ hiddenSize }));
    super("ResidualIndRNN", { ...options, norm: options.norm ?? "sequence" }, plans, normAt, lastRecurrentRange);
    this.outputSize = hiddenSize;
    this.embed = mixing(inputSize, options);
    this.outputs = Array.from({ length: 2 * blocks }, () => mixing(hiddenSize, options));
  }

  protected flow(x: Tensor, run: RunLayer): Tensor {
    const through = (u: Tensor, l: number) => (this.outputs[l] as Linear).forward(run(u, l));
    const last = this.outputs.length;
    let y = this.embed.forward(x);
    for (let l = 0; l < last; l += 2) y = add(y, through(through(y, l), l + 1));
    return run(y, last);
  }
}

/** Initial weights between recurrences: He's uniform ones for leaky units of slope 8, as the authors draw them. */
function mixing(inputSize: number, options: ResidualIndRNNOptions): Linear {
  const { hiddenSize, weightStd, generator = defaultGenerator() } = options;
  const layer = new Linear(inputSize, hiddenSize, layerOptions(options));
  if (weightStd === undefined) heUniform(layer.weight, { gain: calculateGain("leakyRelu", 8), generator });
  else normal(layer.weight, { std: weightStd, generator });
  constant(layer.bias as Parameter, 0);
  return layer;
}

export interface DenseIndRNNOptions extends IndRNNNetOptions {
  /** Number of dense layers in each block. */
  readonly blocks: readonly number[];
  /** Units that each dense layer adds, k. */
  readonly growth: number;
  /** Units of a dense layer's first half, as a multiple of k (default 4). */
  readonly bottleneck?: number;
  readonly normAt?: "before" | "after";
}

/**
 * Blocks whose layers read the outputs of all earlier layers of the block. R is a normalised IndRNN layer, its number of units in brackets:
 *
 *   y⁰ = R(x) [H]    yⁱ⁺¹ = [yⁱ; R(R(yⁱ) [4k]) [k]] in a block    y⁰ = R(y) [half as many units] between blocks
 *
 * `hiddenSize` H is the first layer's; `norm` defaults to "sequence". State: h of each layer in order of execution, as in DeepIndRNN.
 * @see Li, Li, Cook and Gao, "Deep independently recurrent neural network (IndRNN)", 2019, densely connected IndRNN
 * Deviates: without dropout.
 * @example const [ys] = new DenseIndRNN({ inputSize: 2, hiddenSize: 16, blocks: [2, 2], growth: 8 }).scan(xs);
 */
export class DenseIndRNN extends IndRNNNet {
  declare readonly layers: readonly IndRNN[];
  readonly outputSize: number;
  readonly blocks: readonly number[];

  constructor(options: DenseIndRNNOptions) {
    const {
      inputSize,
      hiddenSize,
      blocks,
      growth,
      bottleneck = 4,
      normAt = "after",
    } = optionsOf("DenseIndRNN", options, ["blocks", "growth", "bottleneck", ...IND_RNN_NET]);
    checkList("DenseIndRNN", "blocks", blocks);
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
