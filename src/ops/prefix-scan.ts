/** Associative recurrences along an axis: in chunks, over complex numbers, with maxima, in log space. */

import { apply, type Primitive } from "../autodiff/primitive.ts";
import { checkWhole, optionsOf } from "../base/checks.ts";
import { ShapeError } from "../base/errors.ts";
import { axisOf, show } from "../tensor/shape.ts";
import { checkTensor, type Tensor } from "../tensor/tensor.ts";
import * as code from "../wasm/codes.gen.ts";
import { add, mul, sub } from "./arithmetic.ts";
import { broadcastTo, reshape } from "./broadcast.ts";
import { cast } from "./cast.ts";
import { greater, greaterEqual } from "./compare.ts";
import { exp, log } from "./math.ts";
import { checkScanned, cumprod, linearScan, moved, type Scan, scanValue } from "./reduce.ts";
import { flip, pad, select, slice, stack } from "./shape.ts";

// ---------------------------------------------------------------- in chunks

export interface ChunkedOptions {
  readonly axis: number;
  /** Steps per chunk. */
  readonly chunk: number;
}

/**
 * `linearScan` as an associative scan, (a₂,b₂)∘(a₁,b₁) = (a₂a₁, a₂b₁ + b₂): all chunks at once, each starting from 0,
 * then a scan over the chunks' ends, y = local + (product of a within the chunk)∘(end of the chunk before). Its gradient is the same
 * scan backwards. The products only multiply, never divide, so they may underflow.
 * @see Blelloch, "Prefix sums and their applications", 1990, section 1.4
 */
export function chunkedScan(a: Tensor, b: Tensor, options: ChunkedOptions): Tensor {
  const { axis, chunk } = optionsOf("chunkedScan", options, ["axis", "chunk"]);
  checkTensor("chunkedScan", a);
  checkScanned("chunkedScan", a, b);
  checkWhole("chunkedScan", "chunk", chunk, { least: 1 });
  const along = axisOf("chunkedScan", axis, b.rank);
  const n = b.dim(along);
  const chunks = Math.ceil(n / chunk);
  const padding = b.shape.map((_, i) => [0, i === along ? chunks * chunk - n : 0] as const);
  const cut = (x: Tensor, rest: number) => reshape(pad(x, padding, rest), b.shape.toSpliced(along, 1, chunks, chunk));
  const [factors, terms] = [cut(a, 1), cut(b, 0)];
  const local = linearScan(factors, terms, { axis: along + 1 });
  const products = cumprod(factors, { axis: along + 1 });
  const end = (x: Tensor) => slice(x, along + 1, chunk - 1);
  const ends = linearScan(end(products), end(local), { axis: along });
  const all = add(local, mul(products, moved(ends, { axis: along, reverse: false }, 0)));
  return slice(reshape(all, b.shape.with(along, chunks * chunk)), along, 0, n);
}

// ---------------------------------------------------------------- complex numbers

/** a·b, or a·b̄, of complex numbers whose planes lie along an axis. */
function times(a: Tensor, b: Tensor, axis: number, conjugate: boolean): Tensor {
  const [ar, ai, br, bi] = [select(a, axis, 0), select(a, axis, 1), select(b, axis, 0), select(b, axis, 1)];
  const [real, cross] = conjugate ? [add, sub] : [sub, add];
  return stack([real(mul(ar, br), mul(ai, bi)), cross(mul(ai, br), mul(ar, bi))], axis);
}

/** z̄. */
function conjugate(z: Tensor, axis: number): Tensor {
  return stack([select(z, axis, 0), mul(select(z, axis, 1), -1)], axis);
}

/** Like `linearScan`; the planes lie along the axis after the scanned one. */
const complexScanOp: Primitive<Scan> = {
  name: "complexScan",
  closed: true,
  forward: (inputs, scan) => [scanValue(inputs, scan, code.COMPLEX_SCAN)],
  vjp([g], { inputs, outputs, params, needs }) {
    if (!g) return [null, null];
    const back = { axis: params.axis, reverse: !params.reverse };
    const planes = params.axis + 1;
    const db = apply(complexScanOp, [moved(conjugate(inputs[0] as Tensor, planes), back, 1), g], back);
    return [needs[0] ? times(db, moved(outputs[0] as Tensor, params, 0), planes, true) : null, db];
  },
  jvp([ta, tb], { inputs, outputs, params }) {
    const a = inputs[0] as Tensor;
    const t = (ta ?? tb) as Tensor;
    const stacked = { axis: params.axis + 1, reverse: params.reverse };
    const before = () => broadcastTo(moved(outputs[0] as Tensor, params, 0), t.shape);
    const fromA = ta ? times(ta, before(), stacked.axis + 1, false) : null;
    const terms = fromA && tb ? add(fromA, tb) : ((fromA ?? tb) as Tensor);
    return [apply(complexScanOp, [broadcastTo(a, t.shape), terms], stacked)];
  },
};

/**
 * The complex linear recurrence y[k] = a[k]·y[k-1] + b[k] along the first axis, with y[0] = b[0].
 * @param a factors [T,2,…]: real and imaginary parts @param b terms, of a's shape
 */
export function complexScan(a: Tensor, b: Tensor): Tensor {
  checkTensor("complexScan", a);
  checkTensor("complexScan", b);
  checkScanned("complexScan", a, b);
  if (b.rank < 2 || b.dim(1) !== 2) throw new ShapeError(`complexScan: expected real and imaginary parts [T,2,…], got ${show(b.shape)}`);
  return apply(complexScanOp, [a, b], { axis: 0, reverse: false });
}

// ---------------------------------------------------------------- maxima

/** 1 where y[k-1] + a[k] is the larger, ½ where both are equal, else 0. */
function carriedOn(inputs: readonly Tensor[], y: Tensor, scan: Scan): Tensor {
  const [a, b] = inputs as [Tensor, Tensor];
  const carried = add(a, moved(y, scan, Number.NEGATIVE_INFINITY));
  return mul(add(cast(greater(carried, b), b.dtype), cast(greaterEqual(carried, b), b.dtype)), 0.5);
}

/** p·a + (1 − p)·b */
function between(p: Tensor, a: Tensor, b: Tensor): Tensor {
  return add(mul(p, a), mul(sub(1, p), b));
}

const maxScanOp: Primitive<Scan> = {
  name: "maxScan",
  closed: true,
  forward: (inputs, scan) => [scanValue(inputs, scan, code.MAX_SCAN)],
  vjp([g], { inputs, outputs, params }) {
    if (!g) return [null, null];
    const share = carriedOn(inputs, outputs[0] as Tensor, params);
    const back = { axis: params.axis, reverse: true };
    const total = reversedScan(moved(share, back, 1), g, params.axis);
    return [mul(share, total), mul(sub(1, share), total)];
  },
  jvp([ta, tb], { inputs, outputs, params }) {
    const share = carriedOn(inputs, outputs[0] as Tensor, params);
    const t = (ta ?? tb) as Tensor;
    const terms = ta && tb ? between(share, ta, tb) : ta ? mul(share, ta) : mul(sub(1, share), tb as Tensor);
    return [linearScan(broadcastTo(share, t.shape), terms, { axis: params.axis + 1 })];
  },
};

/** y[k] = a[k]·y[k+1] + b[k] from the end. */
function reversedScan(a: Tensor, b: Tensor, axis: number): Tensor {
  return flip(linearScan(flip(a, axis), flip(b, axis), { axis }), axis);
}

/**
 * A running maximum with increments: y[k] = max(y[k-1] + a[k], b[k]) along an axis, with y[0] = b[0]. It
 * keeps exponential gates in range. Where both sides are equal, each gets half the derivative.
 * @param a of the shape and dtype of b
 */
export function maxScan(a: Tensor, b: Tensor, options: { readonly axis: number }): Tensor {
  const { axis } = optionsOf("maxScan", options, ["axis"]);
  checkTensor("maxScan", a);
  checkScanned("maxScan", a, b);
  return apply(maxScanOp, [a, b], { axis: axisOf("maxScan", axis, b.rank), reverse: false });
}

// ---------------------------------------------------------------- log space

/**
 * log y for y[k] = a[k]·y[k-1] + b[k] along an axis, with y[0] = b[0] and all values positive, given log a and log b (finite). Sums keep
 * the scale of their largest term, so nothing over- or underflows on an axis of any length.
 * @see Heinsen, "Efficient parallelization of a ubiquitous sequential computation", 2023
 */
export function logLinearScan(logA: Tensor, logB: Tensor, options: { readonly axis: number }): Tensor {
  const { axis } = optionsOf("logLinearScan", options, ["axis"]);
  checkTensor("logLinearScan", logA);
  checkScanned("logLinearScan", logA, logB);
  const along = axisOf("logLinearScan", axis, logB.rank);
  const m = maxScan(logA, logB, { axis: along });
  // Nothing precedes the first step, so its factor is e^−∞; with 0 in place of −∞ it would overflow.
  const before = moved(m, { axis: along, reverse: false }, Number.NEGATIVE_INFINITY);
  const sums = linearScan(exp(sub(add(before, logA), m)), exp(sub(logB, m)), { axis: along });
  return add(m, log(sums));
}

export const primitives: Readonly<Record<string, Primitive<never>>> = { complexScan: complexScanOp, maxScan: maxScanOp };
