/** The loss of whole label sequences whose neighbours count: a linear-chain conditional random field over emissions. */

import { track } from "../autodiff/alias.ts";
import { gradients } from "../autodiff/sweep.ts";
import { enableGrad, noGrad } from "../autodiff/tape.ts";
import { checkOptions, checkSizes, optionsOf } from "../base/checks.ts";
import { isFloat } from "../base/dtype.ts";
import { ArgumentError, DTypeError, ShapeError } from "../base/errors.ts";
import { add, sub } from "../ops/arithmetic.ts";
import { reshape, sum } from "../ops/broadcast.ts";
import { where } from "../ops/compare.ts";
import { gather, takeRows } from "../ops/gather.ts";
import { logSumExp } from "../ops/reduce.ts";
import { slice, unsqueeze, unstack } from "../ops/shape.ts";
import { onesLike, zeros } from "../tensor/create.ts";
import { sameShape, show } from "../tensor/shape.ts";
import { checkTensor, scope, type Tensor, tensor } from "../tensor/tensor.ts";
import { lengthsOf } from "./ctc-loss.ts";
import { LAYER, type LayerOptions, uniformParameter } from "./layers.ts";
import { type LossOptions, reduceLosses } from "./losses.ts";
import { Module, type Parameter } from "./module.ts";
import { fillBeyond, runningMask } from "./padding.ts";

/** Which steps of a batch [T,B] count: up to a length, or where a mask is true, wherever that is. */
export interface RealSteps {
  /** Real steps of each sequence, 0 ≤ length ≤ T; T unless given. */
  readonly lengths?: Tensor | ArrayLike<number>;
  /** bool [T,B]: a step where it is false is left out, and its neighbours follow each other. */
  readonly mask?: Tensor;
}

export interface CrfLossOptions extends RealSteps, LossOptions {}

/** The real steps of each sequence in order. @internal */
export function realSteps(op: string, T: number, B: number, options: RealSteps): number[][] {
  const { lengths, mask } = options;
  const given = lengths === undefined ? new Int32Array(B).fill(T) : lengthsOf(op, "lengths", lengths, B, T);
  const steps = Array.from(given, (length) => Array.from({ length }, (_, t) => t));
  if (mask === undefined) return steps;
  checkTensor(op, mask);
  if (mask.dtype !== "bool") throw new DTypeError(`${op}: expected a bool mask, got ${mask.dtype}`);
  if (!sameShape(mask.shape, [T, B])) throw new ShapeError(`${op}: expected mask [${T},${B}], got ${show(mask.shape)}`);
  const on = mask.data();
  return steps.map((list, b) => list.filter((t) => on[t * B + b] !== 0));
}

/** Emissions [T,B,C] of one class an element of the last axis. @internal */
export function checkEmissions(op: string, emissions: Tensor, classes: number): void {
  checkTensor(op, emissions);
  if (emissions.rank !== 3 || emissions.dim(2) !== classes)
    throw new ShapeError(`${op}: expected emissions [T,B,${classes}], got ${show(emissions.shape)}`);
  if (!isFloat(emissions.dtype)) throw new DTypeError(`${op}: expected float emissions, got ${emissions.dtype}`);
}

/** The real steps moved together, those of each sequence at its front. */
interface Chains {
  /** [T',B,C], padding without values of its own. */
  readonly emissions: Tensor;
  readonly lengths: readonly number[];
  /** bool [T',B]. */
  readonly running: Tensor;
  /** Row t·B + b of what [T,B] was, for row t'·B + b; of the first step beyond the end. */
  readonly rows: Int32Array;
}

function chains(op: string, emissions: Tensor, options: RealSteps): Chains {
  const [T, B, C] = emissions.shape as [number, number, number];
  const steps = realSteps(op, T, B, options);
  const lengths = steps.map((list) => list.length);
  const longest = Math.max(1, ...lengths);
  const rows = Int32Array.from({ length: longest * B }, (_, i) => (steps[i % B]?.[Math.floor(i / B)] ?? 0) * B + (i % B));
  const whole = longest === T && rows.every((row, i) => row === i || Math.floor(i / B) >= (lengths[i % B] as number));
  const moved = () => reshape(takeRows(reshape(emissions, [T * B, C]), tensor(rows)), [longest, B, C]);
  // Of no steps at all there is one beyond the end, too.
  const front = T === 0 ? zeros([longest, B, C], emissions.dtype) : whole ? emissions : moved();
  return { emissions: fillBeyond(front, lengths), lengths, running: runningMask(lengths, longest), rows };
}

export interface CrfOptions extends LayerOptions {
  /** C: how many labels there are. */
  readonly numTags: number;
}

/**
 * A linear-chain conditional random field: the probability of a whole label sequence y given scores of each label at each step,
 *
 *   score(y) = start[y_1] + Σ_t emissions[t][y_t] + Σ_{t>1} transitions[y_{t−1}][y_t] + end[y_T]      p(y) = exp(score(y)) / Σ_y' exp(score(y'))
 *
 * `forward` is the loss −log p(y); `marginals` the probability of each label at each step; `viterbi(crf, emissions)` (tapeloop/decoding) the
 * likeliest sequences. `transitions` [C,C] from the row's label to the column's, `startTransitions` and `endTransitions` [C], all from
 * U(±0.1). O(T·C²) operations a sequence. A sequence without steps has loss 0.
 * @see Lafferty, McCallum and Pereira, "Conditional random fields: probabilistic models for segmenting and labeling sequence data", 2001;
 * over recurrent networks: Huang, Xu and Yu, "Bidirectional LSTM-CRF models for sequence tagging", 2015
 * Deviates: scores of the first and the last label are parameters of their own, not of added start and stop labels.
 * @example
 * const crf = new LinearChainCRF({ numTags: 5 });
 * const loss = crf.forward(head.forward(rnn.scan(xs)[0]), tags, { lengths: [7, 4] });
 */
export class LinearChainCRF extends Module {
  readonly numTags: number;
  readonly transitions: Parameter;
  readonly startTransitions: Parameter;
  readonly endTransitions: Parameter;

  constructor(given: CrfOptions) {
    super();
    const { numTags, ...options } = optionsOf("LinearChainCRF", given, ["numTags", ...LAYER]);
    checkSizes("LinearChainCRF", { numTags });
    this.numTags = numTags;
    this.transitions = uniformParameter([numTags, numTags], 0.1, options);
    this.startTransitions = uniformParameter([numTags], 0.1, options);
    this.endTransitions = uniformParameter([numTags], 0.1, options);
  }

  /**
   * −log p(tags) of each sequence, reduced over the batch (the mean divides by the number of sequences).
   * @param emissions [T,B,C] @param tags int32 [T,B]; what stands at steps that do not count is not read
   * @returns a scalar, or losses [B] with reduction "none"
   * @throws ArgumentError for a tag that is none, or lengths out of range
   */
  forward(emissions: Tensor, tags: Tensor, options: CrfLossOptions = {}): Tensor {
    checkOptions("forward", options, ["lengths", "mask", "reduction"]);
    const op = "LinearChainCRF";
    this.#check(op, emissions);
    const found = chains(op, emissions, options);
    const labels = this.#labels(op, emissions, tags, found);
    const losses = sub(this.#logPartition(found), this.#score(found, labels));
    return reduceLosses(op, losses, options.reduction);
  }

  /** log Σ_y exp(score(y)) of each sequence [B]. */
  logPartition(emissions: Tensor, options: RealSteps = {}): Tensor {
    this.#check("logPartition", emissions);
    checkOptions("logPartition", options, ["lengths", "mask"]);
    return this.#logPartition(chains("logPartition", emissions, options));
  }

  /**
   * p(y_t = c) at each step, over all sequences [T,B,C]; zeros at steps that do not count. It is the derivative of log Σ exp(score) by the
   * emissions, and has no derivative itself.
   */
  marginals(emissions: Tensor, options: RealSteps = {}): Tensor {
    this.#check("marginals", emissions);
    checkOptions("marginals", options, ["lengths", "mask"]);
    return scope(() => {
      const scores = track(emissions.detach());
      const total = enableGrad(() => this.logPartition(scores, options));
      const [found] = gradients([total], [scores], [onesLike(total)]);
      return noGrad(() => found?.detach() ?? zeros(emissions.shape, this.transitions.dtype));
    });
  }

  #check(op: string, emissions: Tensor): void {
    checkEmissions(op, emissions, this.numTags);
    if (emissions.dtype !== this.transitions.dtype)
      throw new DTypeError(`${op}: expected ${this.transitions.dtype} emissions, as the transitions, got ${emissions.dtype}`);
  }

  /** The labels of the real steps, [T'·B], 0 beyond the end. */
  #labels(op: string, emissions: Tensor, tags: Tensor, { rows, lengths }: Chains): Int32Array {
    const [T, B] = emissions.shape as [number, number, number];
    checkTensor(op, tags);
    if (tags.dtype !== "int32") throw new DTypeError(`${op}: expected int32 tags, got ${tags.dtype}`);
    if (!sameShape(tags.shape, [T, B])) throw new ShapeError(`${op}: expected tags [${T},${B}], got ${show(tags.shape)}`);
    const all = tags.data();
    return rows.map((row, i) => {
      if (Math.floor(i / B) >= (lengths[i % B] as number)) return 0;
      const tag = all[row] as number;
      if (tag >= 0 && tag < this.numTags) return tag;
      throw new ArgumentError(
        `${op}: expected tags in [0, ${this.numTags - 1}], got ${tag} at step ${Math.floor(row / B)} of sequence ${i % B}`,
      );
    });
  }

  #score({ emissions, running, lengths }: Chains, labels: Int32Array): Tensor {
    const [T, B] = emissions.shape as [number, number, number];
    const C = this.numTags;
    const index = tensor(labels, { shape: [T, B, 1] });
    const said = where(running, reshape(gather(emissions, 2, index), [T, B]), 0);
    const pairs = Int32Array.from({ length: (T - 1) * B }, (_, i) => (labels[i] as number) * C + (labels[i + B] as number));
    const steps = reshape(takeRows(reshape(this.transitions, [C * C]), tensor(pairs)), [T - 1, B]);
    const moved = where(slice(running, 0, 1), steps, 0);
    const last = Int32Array.from(lengths, (n, b) => labels[Math.max(0, n - 1) * B + b] as number);
    const ends = add(takeRows(this.startTransitions, tensor(labels.slice(0, B))), takeRows(this.endTransitions, tensor(last)));
    return add(add(sum(said, { axis: 0 }), sum(moved, { axis: 0 })), where(reshape(slice(running, 0, 0, 1), [B]), ends, 0));
  }

  /** α_t(c) = log Σ over the labels of the steps before of exp(score), the label c at t among it. */
  #logPartition({ emissions, running }: Chains): Tensor {
    const [first, ...rest] = unstack(emissions) as [Tensor, ...Tensor[]];
    const [started, ...goesOn] = unstack(running) as [Tensor, ...Tensor[]];
    let alpha = add(first, this.startTransitions);
    rest.forEach((emission, i) => {
      const next = add(logSumExp(add(unsqueeze(alpha, 2), this.transitions), { axis: 1 }), emission);
      alpha = where(unsqueeze(goesOn[i] as Tensor, 1), next, alpha);
    });
    return where(started, logSumExp(add(alpha, this.endTransitions), { axis: 1 }), 0);
  }
}
