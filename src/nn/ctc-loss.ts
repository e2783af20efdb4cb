/** The loss of unsegmented label sequences (CTC). */

import { checkOptions, checkWhole } from "../base/checks.ts";
import { isFloat } from "../base/dtype.ts";
import { ArgumentError, DTypeError, ShapeError } from "../base/errors.ts";
import { quote } from "../base/quote.ts";
import { div } from "../ops/arithmetic.ts";
import { equal, where } from "../ops/compare.ts";
import { ctc, type Labels } from "../ops/ctc.ts";
import { show } from "../tensor/shape.ts";
import { checkInt32, checkTensor, Tensor, tensor } from "../tensor/tensor.ts";
import { type LossOptions, reduceLosses } from "./losses.ts";

export interface CtcOptions extends LossOptions {
  /** Class that means "no label here"; default 0. */
  readonly blank?: number;
  /** Whether sequences without an alignment have loss 0 instead of +∞. */
  readonly zeroInfinity?: boolean;
}

/** Reads the lengths of a batch: whole numbers in [0, limit]. @internal */
export function lengthsOf(op: string, name: string, given: Tensor | ArrayLike<number>, batch: number, limit: number): Int32Array {
  const listed = given instanceof Tensor ? given.data() : given;
  if (!Array.isArray(listed) && !ArrayBuffer.isView(listed))
    throw new DTypeError(`${op}: expected ${name} to be whole numbers in an array or a tensor, got ${quote(given)}`);
  const values = Array.from<number>(listed);
  if (values.length !== batch) throw new ShapeError(`${op}: expected ${batch} ${name}, got ${values.length}`);
  const wrong = values.findIndex((n) => !(Number.isInteger(n) && n >= 0 && n <= limit));
  if (wrong >= 0) throw new ArgumentError(`${op}: expected whole ${name} in [0, ${limit}], got ${values[wrong]} at element ${wrong}`);
  return Int32Array.from(values);
}

/** Reads targets, padded [N,S] or concatenated, into [N, longest] padded with blanks. */
function padTargets(op: string, targets: Tensor, lengths: Int32Array, classes: number, blank: number): Tensor {
  const N = lengths.length;
  const width = lengths.reduce((a, b) => Math.max(a, b), 0);
  const source = targets.data();
  const padded = new Int32Array(N * width).fill(blank);
  let start = 0;
  lengths.forEach((length, n) => {
    if (targets.rank === 2) start = n * targets.dim(1);
    for (let i = 0; i < length; i++) {
      const c = source[start + i] as number;
      if (!(c >= 0 && c < classes) || c === blank) {
        throw new ArgumentError(`${op}: expected targets in [0, ${classes - 1}] other than the blank ${blank}, got ${c} in sequence ${n}`);
      }
      padded[n * width + i] = c;
    }
    start += length;
  });
  return tensor(padded, { shape: [N, width] });
}

function checkTargets(op: string, targets: Tensor, lengths: Int32Array, batch: number): void {
  checkInt32(op, "targets", targets);
  const total = lengths.reduce((a, b) => a + b, 0);
  const fits = targets.rank === 2 ? targets.dim(0) === batch : targets.rank === 1 && targets.size === total;
  if (!fits) throw new ShapeError(`${op}: expected targets [${batch},S] or, one after the other, [${total}], got ${show(targets.shape)}`);
}

/** Checks log-probabilities [T,N,C] and the class that means "no label here". @internal */
export function checkLogProbs(op: string, logProbs: Tensor, blank: number): void {
  checkTensor(op, logProbs);
  if (logProbs.rank !== 3) throw new ShapeError(`${op}: expected logProbs [T,N,C], got ${show(logProbs.shape)}`);
  if (!isFloat(logProbs.dtype)) throw new DTypeError(`${op}: expected float logProbs, got ${logProbs.dtype}`);
  checkWhole(op, "blank", blank, { least: 0, below: logProbs.dim(2) });
}

/** Checks the labels of a batch and pads them to one width. @internal */
export function checkedLabels(
  op: string,
  logProbs: Tensor,
  targets: Tensor,
  inputLengths: Tensor | ArrayLike<number>,
  targetLengths: Tensor | ArrayLike<number>,
  blank: number,
): Labels {
  checkLogProbs(op, logProbs, blank);
  const [T, N, C] = logProbs.shape as [number, number, number];
  const steps = lengthsOf(op, "inputLengths", inputLengths, N, T);
  const lengths = lengthsOf(op, "targetLengths", targetLengths, N, targets.rank === 2 ? targets.dim(1) : targets.size);
  checkTargets(op, targets, lengths, N);
  return { blank, targets: padTargets(op, targets, lengths, C, blank), inputLengths: tensor(steps), targetLengths: tensor(lengths) };
}

/**
 * Connectionist temporal classification:
 * −log of the probability that reading one class per step, then dropping repetitions, then blanks, gives the target:
 * the sum over all alignments π of Π_t p_t(π_t).
 *
 * "mean" divides each loss by its target's length (at least 1) and averages over the batch, as in PyTorch. The
 * gradient treats every log-probability as free; through `logSoftmax` it becomes softmax − occupancy, equation (16).
 * If no alignment fits into the steps, the loss is +∞ (0 with `zeroInfinity`) and the gradient zero.
 *
 * A. Graves, S. Fernández, F. Gomez, J. Schmidhuber 2006, Connectionist Temporal Classification: Labelling Unsegmented
 * Sequence Data with Recurrent Neural Networks.
 * @param logProbs log-probabilities [T,N,C], usually `logSoftmax` of logits
 * @param targets int32 labels, padded [N,S] or concatenated [sum of targetLengths]
 * @param inputLengths steps of each sequence, at most T
 * @param targetLengths labels of each sequence
 * @returns a scalar, or losses [N] with reduction "none"
 * @throws ArgumentError for a label that is the blank or no class, or a length out of range
 * @example const loss = ctcLoss(logSoftmax(logits, -1), targets, [50, 43], [7, 5]);
 */
export function ctcLoss(
  logProbs: Tensor,
  targets: Tensor,
  inputLengths: Tensor | ArrayLike<number>,
  targetLengths: Tensor | ArrayLike<number>,
  options: CtcOptions = {},
): Tensor {
  checkOptions("ctcLoss", options, ["blank", "zeroInfinity", "reduction"]);
  const { blank = 0, reduction = "mean", zeroInfinity = false } = options;
  const labels = checkedLabels("ctcLoss", logProbs, targets, inputLengths, targetLengths, blank);
  const each = ctc(logProbs, labels);
  const losses = zeroInfinity ? where(equal(each, Number.POSITIVE_INFINITY), 0, each) : each;
  if (reduction !== "mean") return reduceLosses("ctcLoss", losses, reduction);
  const lengths = Array.from(labels.targetLengths.data(), (n) => Math.max(n, 1));
  return reduceLosses("ctcLoss", div(losses, tensor(lengths, { dtype: logProbs.dtype })), "mean");
}
