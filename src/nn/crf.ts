/** A linear-chain conditional random field: the loss of whole label sequences whose neighbours depend on each other. */

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
import { checkInt32, checkTensor, scope, type Tensor, tensor } from "../tensor/tensor.ts";
import { lengthsOf } from "./ctc-loss.ts";
import { LAYER, type LayerOptions, uniformParameter } from "./layers.ts";
import { type LossOptions, reduceLosses } from "./losses.ts";
import { Module, type Parameter } from "./module.ts";
import { fillBeyond, runningMask } from "./padding.ts";

/** Selects the steps of a batch [T,B] that count: those up to a length, or those where a mask is true. */
export interface RealSteps {
  /** Real steps of each sequence, 0 ≤ length ≤ T; default T. */
  readonly lengths?: Tensor | ArrayLike<number>;
  /** bool [T,B]: a step where it is false is dropped, and its neighbours become adjacent. */
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

/** Checks emissions [T,B,C]. @internal */
export function checkEmissions(op: string, emissions: Tensor, classes: number): void {
  checkTensor(op, emissions);
  if (emissions.rank !== 3 || emissions.dim(2) !== classes)
    throw new ShapeError(`${op}: expected emissions [T,B,${classes}], got ${show(emissions.shape)}`);
  if (!isFloat(emissions.dtype)) throw new DTypeError(`${op}: expected float emissions, got ${emissions.dtype}`);
}

/** The real steps of each sequence, moved to its front. */
interface Chains {
  /** [T',B,C]; the padding repeats real values. */
  readonly emissions: Tensor;
  readonly lengths: readonly number[];
  /** bool [T',B]. */
  readonly running: Tensor;
  /** For row t'·B + b, the row t·B + b in the original [T,B]; beyond the end, the first such row. */
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
  // With no step at all, keep one row of padding.
  const front = T === 0 ? zeros([longest, B, C], emissions.dtype) : whole ? emissions : moved();
  return { emissions: fillBeyond(front, lengths), lengths, running: runningMask(lengths, longest), rows };
}

export interface CrfOptions extends LayerOptions {
  /** Number of labels, C. */
  readonly numTags: number;
}

/**
 * A linear-chain conditional random field. It gives the probability of a whole label sequence y from a score of each label at each step,
 *
 *   score(y) = start[y_1] + Σ_t emissions[t][y_t] + Σ_{t>1} transitions[y_{t−1}][y_t] + end[y_T]      p(y) = exp(score(y)) / Σ_y' exp(score(y'))
 *
 * `forward` is the loss −log p(y), `marginals` the probability of each label at each step. `viterbi(crf, emissions)` (tapeloop/decoding) finds the
 * likeliest sequences. `transitions` [C,C] go from the row's label to the column's. They, `startTransitions` and `endTransitions` [C] are drawn from
 * U(±0.1). Takes O(T·C²) operations per sequence. A sequence without steps has loss 0.
 * @see Lafferty, McCallum and Pereira, "Conditional random fields: probabilistic models for segmenting and labeling sequence data", 2001;
 * over recurrent networks: Huang, Xu and Yu, "Bidirectional LSTM-CRF models for sequence tagging", 2015
 * Deviates: scores of the first and the last label are separate parameters, not transitions of added start and stop labels.
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
   * @param emissions [T,B,C] @param tags int32 [T,B]; not read at steps that do not count
   * @returns a scalar, or losses [B] with reduction "none"
   * @throws ArgumentError for tags or lengths out of range
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
   * The probabilities p(y_t = c) [T,B,C]; zeros at steps that do not count. They are the derivative of log Σ exp(score) by the
   * emissions, and have no derivative themselves.
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
    checkInt32(op, "tags", tags);
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

  /** α_t(c) = log Σ exp(score) over all labels of earlier steps, with label c at step t. */
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
