/** Softmax along an axis, and the cross-entropy of logits with class indices. */

import { composedRules } from "../autodiff/composed.ts";
import { closedOp } from "../autodiff/define-op.ts";
import { apply, applyAll, type Inputs, type Primitive } from "../autodiff/primitive.ts";
import { isGradEnabled } from "../autodiff/tape.ts";
import { checkNumber } from "../base/checks.ts";
import { ArgumentError, DTypeError, ShapeError } from "../base/errors.ts";
import { full, ones } from "../tensor/create.ts";
import { axisOf, type Shape, sameShape, show } from "../tensor/shape.ts";
import { dense } from "../tensor/strided.ts";
import { checkInt32, checkTensor, empty, type Tensor } from "../tensor/tensor.ts";
import { call, view } from "../wasm/host.ts";
import { crossEntropyGradRows, crossEntropyRows, type Kernel, logSoftmaxRows, softmaxRows } from "../wasm/kernels.gen.ts";
import { mul, sub } from "./arithmetic.ts";
import { reshape, sum } from "./broadcast.ts";
import { equal, logicalAnd, notEqual, where } from "./compare.ts";
import { exp } from "./math.ts";
import { checkFloat } from "./reduction.ts";
import { transpose } from "./shape.ts";

type RowKernel = Kernel<[rows: number, n: number, x: number, y: number]>;

/** Runs a kernel that works on rows, along the last axis. */
function alongRows(kernel: RowKernel, x: Tensor): Tensor {
  const rows = dense(x);
  const y = empty(x.shape, x.dtype);
  const n = x.dim(-1);
  if (x.size > 0) call(kernel, x.dtype, x.size / n, n, rows.ptr, y.ptr);
  return y;
}

/** Applies an operation along the last axis to another axis. */
function alongAxis(op: Primitive<void>, x: Tensor, axis: number): Tensor {
  checkFloat(op.name, x);
  const resolved = axisOf(op.name, axis, x.rank);
  if (resolved === x.rank - 1) return apply(op, [x], undefined);
  return transpose(apply(op, [transpose(x, resolved, -1)], undefined), resolved, -1);
}

const totalOf = (g: Tensor): Tensor => sum(g, { axis: -1, keepDim: true });
/** The derivative of y = softmax(x), symmetric in cotangents and tangents: y·(g - Σ g·y). */
const softmaxSlope = (g: Tensor, y: Tensor): Tensor => mul(y, sub(g, totalOf(mul(g, y))));

const softmaxOp: Primitive<void> = closedOp({
  name: "softmax",
  forward: ([x]) => alongRows(softmaxRows, x as Tensor),
  vjp: softmaxSlope,
  jvp: softmaxSlope,
});

/** exp(x) / Σ exp(x) along an axis, without overflow; NaN if all of x is -∞. */
export function softmax(x: Tensor, axis = -1): Tensor {
  checkTensor("softmax", x);
  return alongAxis(softmaxOp, x, axis);
}

/** exp(y)·Σg; 0 in rows whose cotangent is 0 (ignored targets, padding), even if such a row of y is NaN. */
function shareOfTotal(g: Tensor, y: Tensor): Tensor {
  const total = totalOf(g);
  const unasked = equal(total, 0);
  if (!isGradEnabled()) return where(unasked, 0, mul(exp(y), total));
  // For the next derivative: a total of 0 has one too, unless y is NaN.
  return mul(exp(where(logicalAnd(unasked, notEqual(y, y)), 0, y)), total);
}

const logSoftmaxOp: Primitive<void> = closedOp({
  name: "logSoftmax",
  forward: ([x]) => alongRows(logSoftmaxRows, x as Tensor),
  vjp: (g, y) => sub(g, shareOfTotal(g, y)),
  jvp: (t, y) => sub(t, totalOf(mul(t, exp(y)))),
});

/** x - log Σ exp(x) along an axis, without overflow; NaN if all of x is -∞. */
export function logSoftmax(x: Tensor, axis = -1): Tensor {
  checkTensor("logSoftmax", x);
  return alongAxis(logSoftmaxOp, x, axis);
}

// ---------------------------------------------------------------- cross-entropy

/** @internal */
export interface CrossEntropyOptions {
  /** Factor of each class, [C]; without derivatives. */
  readonly weight?: Tensor | undefined;
  /** Share ε of the target spread evenly over all classes (Szegedy et al. 2016, Rethinking the Inception Architecture, section 7). */
  readonly labelSmoothing?: number | undefined;
  /** A class whose rows have loss 0 and no gradient. */
  readonly ignoreIndex?: number | undefined;
}

/** The kernels' arguments besides the logits. */
interface ClassTargets {
  /** int32, contiguous. */
  readonly targets: Tensor;
  readonly weight: Tensor | null;
  readonly smoothing: number;
  readonly ignore: number;
}

/** Maximum and sum of exponentials of each row, kept for the gradient. */
interface CrossEntropyRun extends ClassTargets {
  readonly stats: Tensor;
}

const DEFAULT_IGNORE = -100;

const classesOf = (x: Tensor): number => x.dim(-1);

/** Per row r and class c: q = (1-ε)·w_t·[c = t] + (ε/C)·w_c, 0 in ignored rows; and Σ_c q, [..., 1]. */
function targetWeights(x: Tensor, { targets, weight, smoothing, ignore }: ClassTargets): { q: Tensor; total: Tensor } {
  const C = classesOf(x);
  const classes = view("int32", targets.ptr, targets.size).slice();
  const w = weight === null ? new Array<number>(C).fill(1) : Array.from(view(weight.dtype, weight.ptr, C));
  const whole = w.reduce((a, b) => a + b, 0);
  const q = full(x.shape, 0, x.dtype);
  const total = full([...targets.shape, 1], 0, x.dtype);
  const rows = view(x.dtype, q.ptr, q.size);
  const totals = view(x.dtype, total.ptr, total.size);
  classes.forEach((t, r) => {
    if (t === ignore) return;
    const own = (1 - smoothing) * (w[t] as number);
    for (let c = 0; c < C; c++) rows[r * C + c] = (smoothing / C) * (w[c] as number) + (c === t ? own : 0);
    totals[r] = own + (smoothing / C) * whole;
  });
  return { q, total };
}

const crossEntropyOp: Primitive<ClassTargets> = {
  name: "crossEntropyWithLogits",
  closed: true,
  forward([logits], { targets, weight, smoothing, ignore }) {
    const x = dense(logits as Tensor);
    const loss = empty(targets.shape, x.dtype);
    const stats = empty([...targets.shape, 2], x.dtype);
    const w = weight === null ? 0 : weight.ptr;
    call(crossEntropyRows, x.dtype, targets.size, classesOf(x), x.ptr, targets.ptr, ignore, smoothing, w, loss.ptr, stats.ptr);
    return [loss, stats];
  },
  vjp: ([g], { inputs: [x], outputs: [, stats], params }) => [
    g ? apply(crossEntropyGradOp, [g, x as Tensor], { ...params, stats: stats as Tensor }) : null,
  ],
  jvp([t], { inputs: [x], outputs: [, stats], params }) {
    if (!t) return [null, null];
    const unit = ones(params.targets.shape, t.dtype);
    const slope = apply(crossEntropyGradOp, [unit, x as Tensor], { ...params, stats: stats as Tensor });
    return [sum(mul(t, slope), { axis: -1 }), null];
  },
};

/** g·(Σq·softmax(x) - q) in one pass; higher derivatives go through `softmax`. */
const crossEntropyGradOp: Primitive<CrossEntropyRun> = {
  name: "crossEntropyGrad",
  closed: true,
  forward([g, logits], { targets, weight, smoothing, ignore, stats }) {
    const x = dense(logits as Tensor);
    const dx = empty(x.shape, x.dtype);
    const w = weight === null ? 0 : weight.ptr;
    call(
      crossEntropyGradRows, x.dtype, targets.size, classesOf(x), x.ptr, targets.ptr, ignore, smoothing, w,
      stats.ptr, dense(g as Tensor).ptr, dx.ptr,
    ); // biome-ignore format: sizes, inputs, output
    return [dx];
  },
  ...composedRules(([g, x]: Inputs, params: CrossEntropyRun) => {
    const { q, total } = targetWeights(x as Tensor, params);
    const { targets, ignore } = params;
    const kept = where(reshape(notEqual(targets, ignore), total.shape), x as Tensor, 0);
    return [mul(reshape(g as Tensor, total.shape), sub(mul(softmax(kept), total), q))];
  }),
};

function checkTargets(targets: Tensor, shape: Shape, classes: number, ignore: number): void {
  const op = "crossEntropyWithLogits";
  checkInt32(op, "targets", targets);
  if (!sameShape(targets.shape, shape)) throw new ShapeError(`${op}: expected targets of shape ${show(shape)}, got ${show(targets.shape)}`);
  const values = view("int32", targets.ptr, targets.size);
  for (let i = 0; i < values.length; i++) {
    const t = values[i] as number;
    if (t === ignore || (t >= 0 && t < classes)) continue;
    throw new ArgumentError(`${op}: expected targets in [0, ${classes - 1}] or ${ignore}, got ${t}`);
  }
}

function checkWeight(weight: Tensor, logits: Tensor): void {
  const op = "crossEntropyWithLogits";
  if (!sameShape(weight.shape, [classesOf(logits)])) {
    throw new ShapeError(`${op}: expected weight of shape ${show([classesOf(logits)])}, got ${show(weight.shape)}`);
  }
  if (weight.dtype !== logits.dtype) throw new DTypeError(`${op}: expected a ${logits.dtype} weight, got ${weight.dtype}`);
}

/**
 * The cross-entropy of each row of logits with its class, without computing the softmax:
 *
 *   loss = Σ_c q_c·(log Σ exp x - x_c),  q_c = (1 - ε)·w_t·[c = t] + (ε / C)·w_c
 *
 * with t the target, w the weights and ε the label smoothing. Ignored rows have loss 0.
 * @param logits [..., C]
 * @param targets int32 [...]
 * @returns losses [...], not reduced
 * @throws ArgumentError for a target that is no class
 * @example mean(crossEntropyWithLogits(logits, tensor(new Int32Array([2, 0]))));
 * @internal
 */
export function crossEntropyWithLogits(logits: Tensor, targets: Tensor, options: CrossEntropyOptions = {}): Tensor {
  const { weight, labelSmoothing = 0, ignoreIndex = DEFAULT_IGNORE } = options;
  checkFloat("crossEntropyWithLogits", logits);
  if (logits.rank === 0) throw new ShapeError("crossEntropyWithLogits: expected logits [..., C], got a scalar");
  checkNumber("crossEntropyWithLogits", "labelSmoothing", labelSmoothing, { least: 0, most: 1 });
  const classes = dense(targets);
  checkTargets(classes, logits.shape.slice(0, -1), classesOf(logits), ignoreIndex);
  if (weight !== undefined) checkWeight(weight, logits);
  const params = {
    targets: classes,
    weight: weight === undefined ? null : dense(weight),
    smoothing: labelSmoothing,
    ignore: ignoreIndex,
  };
  return applyAll(crossEntropyOp, [logits], params)[0] as Tensor;
}

export const primitives: Readonly<Record<string, Primitive<never>>> = {
  softmax: softmaxOp, logSoftmax: logSoftmaxOp, crossEntropyWithLogits: crossEntropyOp, crossEntropyGrad: crossEntropyGradOp,
}; // biome-ignore format: a list
