/** Regularising noise, as functions that draw their masks from a given generator. */

import { checkNumber, checkOptions } from "../base/checks.ts";
import { isFloat } from "../base/dtype.ts";
import { DTypeError, ShapeError } from "../base/errors.ts";
import { defaultGenerator, type Generator } from "../tensor/random.ts";
import { axisOf, type Shape, sameShape, show } from "../tensor/shape.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { add, mul, sub } from "./arithmetic.ts";

export interface DropoutOptions {
  /** With false, nothing is dropped; default true. */
  readonly training?: boolean;
  /** Source of the masks; default: the default generator. */
  readonly generator?: Generator;
}

function check(op: string, p: number, ...tensors: Tensor[]): void {
  checkNumber(op, "a probability", p, { least: 0, most: 1 });
  for (const x of tensors) if (!isFloat(x.dtype)) throw new DTypeError(`${op}: expected float tensors, got ${x.dtype}`);
}

/** A dropout mask for tensors like `like`: 0 with probability p, else 1/(1 − p). One mask may serve all steps of a sequence. */
export function dropoutMask(like: Tensor, p: number, options: DropoutOptions & { readonly shape?: Shape } = {}): Tensor {
  checkOptions("dropoutMask", options, ["training", "generator", "shape"]);
  check("dropoutMask", p, like);
  const generator = options.generator ?? defaultGenerator();
  return generator.bernoulli(options.shape ?? like.shape, 1 - p, like.dtype, p < 1 ? 1 / (1 - p) : 0);
}

/**
 * Sets each element to zero with probability p and scales the others by 1/(1 − p).
 * @see Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov, "Dropout: a simple way to prevent neural networks from overfitting", 2014
 */
export function dropout(x: Tensor, p: number, options: DropoutOptions = {}): Tensor {
  checkOptions("dropout", options, ["training", "generator"]);
  check("dropout", p, x);
  if (!(options.training ?? true) || p === 0) return x;
  return mul(x, dropoutMask(x, p, options));
}

export interface VariationalDropoutOptions extends DropoutOptions {
  /** The axis along which the mask stays the same (default 0). */
  readonly timeAxis?: number;
}

/**
 * Dropout of a sequence with one mask for all time steps.
 * @param x [T, B, F], or with timeAxis 1 [B, T, F]
 * @see Gal, Ghahramani, "A theoretically grounded application of dropout in recurrent neural networks", 2016
 */
export function variationalDropout(x: Tensor, p: number, options: VariationalDropoutOptions = {}): Tensor {
  checkOptions("variationalDropout", options, ["timeAxis", "training", "generator"]);
  check("variationalDropout", p, x);
  if (!(options.training ?? true) || p === 0) return x;
  const { timeAxis = 0, ...drawing } = options;
  const time = axisOf("variationalDropout", timeAxis, x.rank);
  const shape = x.shape.map((d, axis) => (axis === time ? 1 : d));
  return mul(x, dropoutMask(x, p, { ...drawing, shape }));
}

export interface RecurrentDropoutOptions extends DropoutOptions {
  /** A mask to use for the whole sequence; see `dropoutMask`. */
  readonly mask?: Tensor;
}

/**
 * Dropout of what is added to a memory, not of the memory itself: in an LSTM, of the candidate g in c′ = f·c + i·g.
 * @see Semeniuta, Severyn, Barth, "Recurrent dropout without memory loss", 2016
 */
export function recurrentDropout(update: Tensor, p: number, options: RecurrentDropoutOptions = {}): Tensor {
  checkOptions("recurrentDropout", options, ["mask", "training", "generator"]);
  check("recurrentDropout", p, update);
  if (!(options.training ?? true) || p === 0) return update;
  const { mask, ...drawing } = options;
  return mul(update, mask ?? dropoutMask(update, p, drawing));
}

/**
 * Keeps each element of the previous state with probability p; without training, the expectation p·previous + (1 − p)·next.
 * @see Krueger et al., "Zoneout: regularizing RNNs by randomly preserving hidden activations", 2017
 */
export function zoneout(previous: Tensor, next: Tensor, p: number, options: DropoutOptions = {}): Tensor {
  checkOptions("zoneout", options, ["training", "generator"]);
  check("zoneout", p, previous, next);
  if (!sameShape(previous.shape, next.shape)) {
    throw new ShapeError(`zoneout: expected states of one shape, got previous ${show(previous.shape)} and next ${show(next.shape)}`);
  }
  if (p === 0) return next;
  if (!(options.training ?? true)) return add(mul(previous, p), mul(next, 1 - p));
  const kept = (options.generator ?? defaultGenerator()).bernoulli(next.shape, p, next.dtype);
  return add(mul(previous, kept), mul(next, sub(1, kept)));
}
