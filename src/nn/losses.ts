/**
 * Losses, with PyTorch's definitions and reductions.
 *
 * A loss computes one value per element (or row), then reduces: to the mean, to the sum, or not at all.
 */

import { checkNumber, checkOptions } from "../base/checks.ts";
import { isFloat } from "../base/dtype.ts";
import { ArgumentError, DTypeError, ShapeError } from "../base/errors.ts";
import { add, div, mul, neg, square, sub } from "../ops/arithmetic.ts";
import { binaryCrossEntropy } from "../ops/binary-cross-entropy.ts";
import { reshape, sum } from "../ops/broadcast.ts";
import { clamp, equal, logicalAnd, where } from "../ops/compare.ts";
import { gather, takeRows } from "../ops/gather.ts";
import { abs, exp, log, logSigmoid } from "../ops/math.ts";
import { mean } from "../ops/reduce.ts";
import { checkFloat } from "../ops/reduction.ts";
import { permute } from "../ops/shape.ts";
import { crossEntropyWithLogits, logSoftmax } from "../ops/softmax.ts";
import { meanSquaredError } from "../ops/squared-error.ts";
import { type Shape, sameShape, show } from "../tensor/shape.ts";
import { dense } from "../tensor/strided.ts";
import { checkInt32, checkTensor, type Tensor } from "../tensor/tensor.ts";
import { view } from "../wasm/host.ts";
import { cannotReplay } from "../wasm/recorder.ts";

/** How to reduce single losses: to their mean, to their sum, or not at all. */
export type Reduction = "mean" | "sum" | "none";

export interface LossOptions {
  /** Default "mean". */
  readonly reduction?: Reduction;
}

/** Reduces single losses; the mean divides by `count`, by default their number. */
export function reduceLosses(op: string, losses: Tensor, reduction: Reduction = "mean", count?: Tensor | number): Tensor {
  if (reduction === "none") return losses;
  if (reduction === "sum") return sum(losses);
  if (reduction === "mean") return count === undefined ? mean(losses) : div(sum(losses), count);
  throw new ArgumentError(`${op}: expected reduction "mean", "sum" or "none", got "${reduction}"`);
}

function checkAlike(op: string, input: Tensor, target: Tensor): void {
  checkTensor(op, input);
  checkTensor(op, target);
  checkFloat(op, input);
  if (!sameShape(input.shape, target.shape)) {
    throw new ShapeError(`${op}: expected a target of the input's shape ${show(input.shape)}, got ${show(target.shape)}`);
  }
  if (input.dtype !== target.dtype) throw new DTypeError(`${op}: expected a ${input.dtype} target, got ${target.dtype}`);
}

function checkPositive(op: string, name: string, value: number): void {
  if (!(value > 0)) throw new ArgumentError(`${op}: expected ${name} above 0, got ${value}`);
}

/** (input − target)². */
export function mseLoss(input: Tensor, target: Tensor, options: LossOptions = {}): Tensor {
  checkOptions("mseLoss", options, ["reduction"]);
  checkAlike("mseLoss", input, target);
  if ((options.reduction ?? "mean") === "mean" && isFloat(input.dtype)) return meanSquaredError(input, target);
  return reduceLosses("mseLoss", square(sub(input, target)), options.reduction);
}

/** |input − target|. */
export function l1Loss(input: Tensor, target: Tensor, options: LossOptions = {}): Tensor {
  checkOptions("l1Loss", options, ["reduction"]);
  checkAlike("l1Loss", input, target);
  return reduceLosses("l1Loss", abs(sub(input, target)), options.reduction);
}

export interface HuberOptions extends LossOptions {
  /** Where the parabola ends; default 1. */
  readonly delta?: number;
}

/** d² / 2 for |d| ≤ δ, else δ·(|d| − δ/2), with d = input − target. P. J. Huber 1964, Robust Estimation of a Location Parameter. */
export function huberLoss(input: Tensor, target: Tensor, options: HuberOptions = {}): Tensor {
  checkOptions("huberLoss", options, ["delta", "reduction"]);
  checkAlike("huberLoss", input, target);
  const { delta = 1 } = options;
  checkPositive("huberLoss", "delta", delta);
  const d = sub(input, target);
  const held = clamp(d, -delta, delta);
  return reduceLosses("huberLoss", mul(held, sub(d, mul(held, 0.5))), options.reduction);
}

export interface SmoothL1Options extends LossOptions {
  /** β, where the parabola ends; default 1. With 0 this is the L1 loss. */
  readonly beta?: number;
}

/** The smallest float32 divisor that loses no digits. */
const SMALLEST_NORMAL = 2 ** -126;

/** d² / 2β for |d| < β, else |d| − β/2, with d = input − target: the Huber loss over β. */
export function smoothL1Loss(input: Tensor, target: Tensor, options: SmoothL1Options = {}): Tensor {
  checkOptions("smoothL1Loss", options, ["beta", "reduction"]);
  const { beta = 1, ...reduced } = options;
  checkNumber("smoothL1Loss", "beta", beta, { least: 0 });
  if (beta < SMALLEST_NORMAL) return l1Loss(input, target, reduced);
  checkAlike("smoothL1Loss", input, target);
  const d = sub(input, target);
  const held = clamp(div(d, beta), -1, 1);
  return reduceLosses("smoothL1Loss", mul(held, sub(d, mul(held, beta / 2))), reduced.reduction);
}

export interface ClassOptions extends LossOptions {
  /** Weight of each class, [C]; the mean divides by the weights of the targets instead of their number. */
  readonly weight?: Tensor;
  /** Targets with this value have no loss and no gradient, and do not count; default −100. */
  readonly ignoreIndex?: number;
}

export interface CrossEntropyOptions extends ClassOptions {
  /** Share ε of the target spread evenly over all classes; default 0. */
  readonly labelSmoothing?: number;
}

/** Scores as rows [M,C], and the shape of one value per row: [] for [C], [N,d…] for [N,C,d…]. */
function classRows(op: string, x: Tensor): { rows: Tensor; shape: Shape } {
  if (x.rank === 0 || !isFloat(x.dtype)) {
    throw new ShapeError(`${op}: expected a float input [C] or [N,C,…], got ${x.dtype} ${show(x.shape)}`);
  }
  const axis = x.rank === 1 ? 0 : 1;
  const shape = x.shape.toSpliced(axis, 1);
  const order = [...x.shape.keys()].filter((a) => a !== axis);
  const last = axis === x.rank - 1 ? x : permute(x, [...order, axis]);
  return { rows: reshape(last, [shape.reduce((a, b) => a * b, 1), x.shape[axis] as number]), shape };
}

interface ClassTarget {
  /** Class indices of the rows, int32 in row-major order. */
  readonly index: Tensor;
  /** Sum of the weights of the rows' classes, without ignored rows: the mean's divisor. */
  readonly count: number;
}

function classTarget(op: string, target: Tensor, shape: Shape, classes: number, { weight, ignoreIndex = -100 }: ClassOptions): ClassTarget {
  checkTensor(op, target);
  checkInt32(op, "class indices as target", target);
  if (!sameShape(target.shape, shape)) throw new ShapeError(`${op}: expected a target of shape ${show(shape)}, got ${show(target.shape)}`);
  cannotReplay("reads values on the host");
  const index = dense(target);
  const values = view("int32", index.ptr, index.size);
  const weightOf = weight?.data();
  let count = 0;
  for (let i = 0; i < values.length; i++) {
    const c = values[i] as number;
    if (c === ignoreIndex) continue;
    if (!(c >= 0 && c < classes)) {
      throw new ArgumentError(`${op}: expected classes in [0, ${classes - 1}] or ${ignoreIndex}, got ${c} at element ${i}`);
    }
    count += weightOf === undefined ? 1 : (weightOf[c] as number);
  }
  return { index, count };
}

function checkWeight(op: string, weight: Tensor | undefined, input: Tensor, classes: number): void {
  if (weight === undefined) return;
  if (!sameShape(weight.shape, [classes])) throw new ShapeError(`${op}: expected weight [${classes}], got ${show(weight.shape)}`);
  if (weight.dtype !== input.dtype) throw new DTypeError(`${op}: expected a ${input.dtype} weight, got ${weight.dtype}`);
}

/**
 * The loss of log-probabilities: −w[y]·input[y] for the class y of each row.
 * @param input [C], [N,C] or [N,C,d…]
 * @param target int32 classes [], [N] or [N,d…]
 * @throws ArgumentError for a class out of range; if every target is ignored, the mean is NaN (0 / 0)
 */
export function nllLoss(input: Tensor, target: Tensor, options: ClassOptions = {}): Tensor {
  checkOptions("nllLoss", options, ["weight", "ignoreIndex", "reduction"]);
  checkTensor("nllLoss", input);
  const { rows, shape } = classRows("nllLoss", input);
  const [M, C] = rows.shape as [number, number];
  checkWeight("nllLoss", options.weight, input, C);
  const { index, count } = classTarget("nllLoss", target, shape, C, options);
  // Ignored rows read class 0. Its value, which may be NaN, is replaced and not multiplied by 0.
  const ignored = equal(index, options.ignoreIndex ?? -100);
  const read = where(ignored, 0, index);
  const picked = neg(reshape(gather(rows, 1, reshape(read, [M, 1])), shape));
  const { weight } = options;
  const losses = where(ignored, 0, weight === undefined ? picked : mul(picked, takeRows(weight.detach(), read)));
  return reduceLosses("nllLoss", losses, options.reduction, count);
}

/**
 * −Σ_c t_c·w_c·log softmax(input)_c, where the target t is one class or a distribution over classes.
 *
 * Label smoothing ε makes t ← (1−ε)·t + ε/C (Szegedy et al. 2016, Rethinking the Inception Architecture, section 7).
 * The mean divides by the number of rows for probabilities, by the sum of the targets' weights for classes. A class of probability 0 costs nothing,
 * even if its logit is −∞ (PyTorch: NaN).
 * @param input logits [C], [N,C] or [N,C,d…]
 * @param target int32 classes [], [N] or [N,d…], or probabilities of the input's shape
 * @throws ArgumentError for a class out of range; if every target is ignored, the mean is NaN (0 / 0)
 * @example const loss = crossEntropy(logits, tensor([2, 0], { dtype: "int32" }), { labelSmoothing: 0.1 });
 */
export function crossEntropy(input: Tensor, target: Tensor, options: CrossEntropyOptions = {}): Tensor {
  checkOptions("crossEntropy", options, ["labelSmoothing", "weight", "ignoreIndex", "reduction"]);
  checkTensor("crossEntropy", input);
  checkTensor("crossEntropy", target);
  const { labelSmoothing = 0 } = options;
  checkNumber("crossEntropy", "labelSmoothing", labelSmoothing, { least: 0, most: 1 });
  const { rows, shape } = classRows("crossEntropy", input);
  checkWeight("crossEntropy", options.weight, input, rows.dim(1));
  return isFloat(target.dtype) ? crossEntropyOfProbabilities(input, target, options) : crossEntropyOfClasses(rows, shape, target, options);
}

function crossEntropyOfClasses(rows: Tensor, shape: Shape, target: Tensor, options: CrossEntropyOptions): Tensor {
  const { index, count } = classTarget("crossEntropy", target, shape, rows.dim(1), options);
  const losses = crossEntropyWithLogits(rows, reshape(index, [index.size]), options);
  return reduceLosses("crossEntropy", reshape(losses, shape), options.reduction, count);
}

function crossEntropyOfProbabilities(input: Tensor, target: Tensor, options: CrossEntropyOptions): Tensor {
  if (target.rank < input.rank) checkInt32("crossEntropy", "classes as target", target);
  checkAlike("crossEntropy", input, target);
  const { weight, labelSmoothing = 0, reduction } = options;
  const { rows, shape } = classRows("crossEntropy", input);
  const given = classRows("crossEntropy", target).rows;
  const wanted = labelSmoothing === 0 ? given : add(mul(given, 1 - labelSmoothing), labelSmoothing / rows.dim(1));
  const logProbs = logSoftmax(rows, -1);
  const losses = neg(sum(weight === undefined ? timesLog(wanted, logProbs) : timesLog(mul(wanted, weight), logProbs), { axis: 1 }));
  return reduceLosses("crossEntropy", reshape(losses, shape), reduction);
}

export interface BceOptions extends LossOptions {
  /** Factor of each loss; broadcast to the input. */
  readonly weight?: Tensor;
}

function reduceWeighted(op: string, losses: Tensor, { weight, reduction }: BceOptions): Tensor {
  return reduceLosses(op, weight === undefined ? losses : mul(losses, weight), reduction);
}

/**
 * −t·log p − (1−t)·log(1−p) for probabilities p in [0, 1]; NaN for others. As in PyTorch, logarithms are clamped at −100, and the
 * derivative (p − t) / (p·(1 − p)) divides by at least 10⁻¹².
 */
export function bceLoss(input: Tensor, target: Tensor, options: BceOptions = {}): Tensor {
  checkOptions("bceLoss", options, ["weight", "reduction"]);
  checkAlike("bceLoss", input, target);
  return reduceWeighted("bceLoss", binaryCrossEntropy(input, target), options);
}

/** p·l for probabilities and their logarithms; 0 where p is 0, even if l is infinite. */
function timesLog(p: Tensor, l: Tensor): Tensor {
  return mul(p, where(logicalAnd(equal(p, 0), equal(l, Number.NEGATIVE_INFINITY)), 0, l));
}

export interface BceWithLogitsOptions extends BceOptions {
  /** Factor of the positives' loss; broadcast to the input. */
  readonly posWeight?: Tensor;
}

/** −w₊·t·log σ(x) − (1−t)·log(1−σ(x)), without computing σ(x): exact for all logits, even infinite ones. */
export function bceWithLogits(input: Tensor, target: Tensor, options: BceWithLogitsOptions = {}): Tensor {
  checkOptions("bceWithLogits", options, ["posWeight", "weight", "reduction"]);
  checkAlike("bceWithLogits", input, target);
  const { posWeight } = options;
  // 1 − σ(x) = σ(−x): both logarithms are exact, and nothing cancels.
  const positive = timesLog(posWeight === undefined ? target : mul(posWeight, target), logSigmoid(input));
  const losses = neg(add(positive, timesLog(sub(1, target), logSigmoid(neg(input)))));
  return reduceWeighted("bceWithLogits", losses, options);
}

export interface KlDivOptions {
  /** "batchmean" divides the sum by the length of the first axis, which gives the divergence proper; default "mean", over all elements. */
  readonly reduction?: Reduction | "batchmean";
  /** Whether the target is given as log-probabilities. */
  readonly logTarget?: boolean;
}

/**
 * t·(log t − input), the terms of the divergence KL(t ‖ exp(input)) for log-probabilities `input`.
 *
 * Deviates from PyTorch: terms are 0 where t is 0, even at an input of −∞ and with `logTarget`, where PyTorch gives NaN.
 */
export function klDiv(input: Tensor, target: Tensor, options: KlDivOptions = {}): Tensor {
  checkOptions("klDiv", options, ["reduction", "logTarget"]);
  checkAlike("klDiv", input, target);
  const { reduction, logTarget = false } = options;
  const losses = logTarget ? divergenceOfLogs(target, input) : sub(entropyTerms(target), timesLog(target, input));
  return reduction === "batchmean" ? div(sum(losses), input.shape[0] ?? 1) : reduceLosses("klDiv", losses, reduction);
}

/** t·log t; 0 where t is 0. */
function entropyTerms(t: Tensor): Tensor {
  return mul(t, log(where(equal(t, 0), 1, t)));
}

/** x where e^l is not 0, else 0. */
function wherePossible(l: Tensor, x: Tensor): Tensor {
  return where(equal(exp(l.detach()), 0), 0, x);
}

/** e^l·(l − input); 0 where e^l is 0. */
function divergenceOfLogs(l: Tensor, input: Tensor): Tensor {
  return mul(exp(l), sub(wherePossible(l, l), wherePossible(l, input)));
}

/** e^l·l of log-probabilities; 0 where e^l is 0. Their sum is minus the entropy. @internal */
export function negativeEntropyTerms(l: Tensor): Tensor {
  return mul(exp(l), wherePossible(l, l));
}
