/** Independently recurrent networks: single layers, and the units that deeper networks are built from. */

import { checkList, checkNumber, checkOneOf, checkOptions, checkSizes, optionsOf } from "../../base/checks.ts";
import { ArgumentError } from "../../base/errors.ts";
import { heNormal } from "../../nn/init.ts";
import { LAYER } from "../../nn/layers.ts";
import { checkModule, type Module, Parameter } from "../../nn/module.ts";
import { add, mul } from "../../ops/arithmetic.ts";
import { linear } from "../../ops/linear.ts";
import { diagonalSequence } from "../../ops/recurrent.ts";
import { movesAs } from "../../recurrence/recurrence.ts";
import { zeros } from "../../tensor/create.ts";
import { defaultGenerator } from "../../tensor/random.ts";
import { assign, type Tensor } from "../../tensor/tensor.ts";
import { type ActivationName, activations } from "../activations.ts";
import type { HiddenCellOptions } from "../gated/hidden-cell.ts";
import { after, type Lengths, lastOf, SequenceCell } from "./sequence-cell.ts";

export interface IndRNNOptions extends HiddenCellOptions {
  /** Initial standard deviation of W (default √(2/I)). Use a smaller one for long sequences, over which units near u = 1 sum everything. */
  readonly weightStd?: number;
  /** φ (default "relu"). */
  readonly activation?: ActivationName;
  /** Range of the initial recurrent weights, which are uniform (default [0, 1]). */
  readonly recurrentRange?: readonly [low: number, high: number];
}

/** Units that each see only their own past: h' = φ(s + u∘h), from the input projection s of a step. */
export abstract class IndependentUnits extends SequenceCell<Tensor> {
  abstract readonly hiddenSize: number;
  abstract readonly activation: ActivationName;
  /** u [H] */
  abstract readonly weightHh: Parameter;

  /** The input projection s [...,H], from x [...,I]. */
  abstract sums(x: Tensor): Tensor;

  get outputSize(): number {
    return this.hiddenSize;
  }

  get independentUnits(): number | undefined {
    const own = [IndRNN, IndRNNRecurrence].some((Class) => movesAs(this, Class, ["step", "sums", "advance"]));
    return own ? this.hiddenSize : undefined;
  }

  /** Zeros. */
  initialState(batch: number): Tensor {
    return zeros([batch, this.hiddenSize], this.weightHh.dtype);
  }

  /** h', from the input projection of a step [B,H]. */
  advance(sums: Tensor, h: Tensor): Tensor {
    return activations[this.activation](add(sums, mul(this.weightHh, h)));
  }

  /** h after every step, and the last h, from the input projection of all steps [T,B,H]: one kernel, and another for the gradient. */
  advanceAll(sums: Tensor, h0: Tensor, lengths: Lengths): [hs: Tensor, last: Tensor] {
    const hs = diagonalSequence(sums, this.weightHh, h0, { activation: this.activation, lengths });
    return [after(hs), lastOf(hs, null)];
  }

  /** x [B,I], h [B,H]. */
  step(x: Tensor, h: Tensor): [y: Tensor, next: Tensor] {
    const next = this.advance(this.sums(x), h);
    return [next, next];
  }

  whole(xs: Tensor, h0: Tensor, lengths: Lengths): [ys: Tensor, last: Tensor] {
    return this.advanceAll(this.sums(xs), h0, lengths);
  }
}

/** The options of the units alone. */
export type IndependentUnitsOptions = Pick<IndRNNOptions, "hiddenSize" | "dtype" | "generator" | "activation" | "recurrentRange">;

/** Checks a range to draw from. @throws DTypeError, ArgumentError @internal */
export function checkRange(op: string, name: string, range: unknown): void {
  if (range === undefined) return;
  checkList(op, name, range);
  const [low, high] = range as number[];
  checkNumber(op, `${name}[0]`, low as number);
  checkNumber(op, `${name}[1]`, high as number, { least: low as number });
}

function checkUnits(op: string, { hiddenSize, activation = "relu", recurrentRange }: IndependentUnitsOptions): void {
  checkSizes(op, { hiddenSize });
  checkOneOf(op, "activation", activation, Object.keys(activations) as ActivationName[]);
  checkRange(op, "recurrentRange", recurrentRange);
}

function recurrentWeights({
  hiddenSize,
  dtype = "float32",
  generator = defaultGenerator(),
  recurrentRange,
}: IndependentUnitsOptions): Parameter {
  const [low, high] = recurrentRange ?? [0, 1];
  return new Parameter(generator.uniform([hiddenSize], low, high, dtype));
}

/** Only the recurrence of an IndRNN, h' = φ(x + u∘h), with as many inputs as units, for use between layers that mix them. */
export class IndRNNRecurrence extends IndependentUnits {
  readonly inputSize: number;
  readonly hiddenSize: number;
  readonly activation: ActivationName;
  readonly weightHh: Parameter;

  constructor(options: IndependentUnitsOptions) {
    super();
    checkOptions("IndRNNRecurrence", options, ["activation", "hiddenSize", "recurrentRange", ...LAYER]);
    checkUnits("IndRNNRecurrence", options);
    this.inputSize = options.hiddenSize;
    this.hiddenSize = options.hiddenSize;
    this.activation = options.activation ?? "relu";
    this.weightHh = recurrentWeights(options);
  }

  sums(x: Tensor): Tensor {
    return x;
  }
}

/**
 * A layer whose units each see only their own past.
 *
 *   h' = φ(W x + u∘h + b)
 *
 * weightIh = W [H,I] from N(0, 2/I) or N(0, `weightStd`²), weightHh = u [H], bias = b [H] zero; h starts at zero.
 * Over T steps a gradient is multiplied by u^T: after each update, `clipRecurrentWeights` keeps this below γ.
 * @see Li, Li, Cook, Zhu and Gao, "Independently recurrent neural network (IndRNN): building a longer and deeper RNN", 2018, eq. 2
 * Deviates: initial values of W.
 * @example const [y, h] = new IndRNN({ inputSize: 4, hiddenSize: 8 }).step(x, state);
 */
export class IndRNN extends IndependentUnits {
  readonly inputSize: number;
  readonly hiddenSize: number;
  readonly activation: ActivationName;
  readonly weightIh: Parameter;
  readonly weightHh: Parameter;
  readonly bias: Parameter;

  constructor(options: IndRNNOptions) {
    super();
    const {
      inputSize: I,
      hiddenSize: H,
      dtype = "float32",
      generator = defaultGenerator(),
      activation = "relu",
      weightStd,
    } = optionsOf("IndRNN", options, ["weightStd", "activation", "recurrentRange", "inputSize", "hiddenSize", ...LAYER]);
    checkSizes("IndRNN", { inputSize: I });
    checkUnits("IndRNN", options);
    if (weightStd !== undefined) checkNumber("IndRNN", "weightStd", weightStd, { least: 0 });
    this.inputSize = I;
    this.hiddenSize = H;
    this.activation = activation;
    const weights = zeros([H, I], dtype);
    this.weightIh = new Parameter(weightStd === undefined ? heNormal(weights, { generator }) : generator.fillNormal(weights, 0, weightStd));
    this.weightHh = recurrentWeights({ ...options, generator });
    this.bias = new Parameter(zeros([H], dtype));
  }

  /** W x + b, for x [...,I]. */
  sums(x: Tensor): Tensor {
    return linear(x, this.weightIh, this.bias);
  }
}

export interface RecurrentClipOptions {
  /** Length T of the sequences. */
  readonly steps: number;
  /** γ, the largest growth over all steps (default 2). */
  readonly gamma?: number;
}

/**
 * Clips the recurrent weights of every IndRNN in a module to |u| ≤ γ^(1/T); call it after each update.
 * @see Li, Li, Cook, Zhu and Gao, 2018, section 3.1
 * @throws ArgumentError unless T ≥ 1 and γ > 0
 */
export function clipRecurrentWeights(module: Module, options: RecurrentClipOptions): void {
  const { steps, gamma = 2 } = optionsOf("clipRecurrentWeights", options, ["steps", "gamma"]);
  checkModule("clipRecurrentWeights", module);
  if (!(steps >= 1 && gamma > 0))
    throw new ArgumentError(`clipRecurrentWeights: expected steps ≥ 1 and gamma > 0, got ${steps} and ${gamma}`);
  const bound = gamma ** (1 / steps);
  for (const part of module.modules()) {
    if (part instanceof IndependentUnits)
      assign(
        part.weightHh,
        part.weightHh.data().map((u) => Math.min(bound, Math.max(-bound, u))),
      );
  }
}
