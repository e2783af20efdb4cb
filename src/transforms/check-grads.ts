/** Checks gradients against finite differences, for anyone who writes an operation or a cell. */

import { checkFunction, checkOptions } from "../base/checks.ts";
import { arrayOf } from "../base/dtype.ts";
import { ArgumentError, DTypeError } from "../base/errors.ts";
import { add } from "../ops/arithmetic.ts";
import { checkTensors, scope, type Tensor, tensor } from "../tensor/tensor.ts";
import { innerProduct, jvp, step, type TensorFunction, vjp } from "./transforms.ts";

export interface CheckGradsOptions {
  /** Highest order of derivatives to check (1 or 2). */
  readonly order?: 1 | 2;
  readonly modes?: readonly ("reverse" | "forward")[];
  /** Step of the central difference. */
  readonly epsilon?: number;
  /** Largest allowed |difference| / max(1, |expected|). */
  readonly tolerance?: number;
  /** Seed of the random directions. */
  readonly seed?: number;
}

/** The derivative and the finite difference disagree. */
export class GradientMismatch extends Error {
  override readonly name = "GradientMismatch";
  readonly code = "ERR_GRADIENT";
}

/** Directions for the checks. They need not be very random, only reproducible. */
function directions(seed: number): (like: Tensor) => Tensor {
  let state = (seed >>> 0) + 1;
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  };
  return (like) => {
    const values = arrayOf(like.dtype, like.size);
    for (let i = 0; i < values.length; i++) values[i] = uniform();
    return tensor(values, { shape: like.shape, dtype: like.dtype });
  };
}

/**
 * Compares derivatives of `fn` in random directions with central differences.
 * The cost does not grow with the Jacobian, since the check compares two inner products.
 * @param inputs float64 tensors, away from kinks
 * @throws GradientMismatch naming mode, order, analytic and numeric value
 * @example checkGrads((x, w) => tanh(matmul(x, w)), [x, w], { order: 2 });
 */
export function checkGrads(fn: TensorFunction, inputs: readonly Tensor[], options: CheckGradsOptions = {}): void {
  checkOptions("checkGrads", options, ["order", "modes", "epsilon", "tolerance", "seed"]);
  checkFunction("checkGrads", "fn", fn);
  checkTensors("checkGrads", "inputs", inputs);
  const { order = 1, modes = ["reverse", "forward"], epsilon = 1e-5, tolerance = 1e-6, seed = 1 } = options;
  for (const x of inputs) if (x.dtype !== "float64") throw new DTypeError(`checkGrads: expected float64 inputs, got ${x.dtype}`);
  if (modes.length === 0) throw new ArgumentError("checkGrads: expected at least one mode, got none");
  const random = directions(seed);
  for (const mode of modes) {
    scope(() => checkOnce(fn, inputs, mode, order, { epsilon, tolerance, random, label: "" }));
  }
}

interface Check {
  readonly epsilon: number;
  readonly tolerance: number;
  readonly random: (like: Tensor) => Tensor;
  readonly label: string;
}

function checkOnce(fn: TensorFunction, inputs: readonly Tensor[], mode: "reverse" | "forward", order: number, check: Check): void {
  const tangents = inputs.map(check.random);
  const y = fn(...inputs);
  const cotangent = check.random(y);
  const along = (s: number) => innerProduct(fn(...inputs.map((x, i) => step(x, tangents[i] as Tensor, s))), cotangent).item();
  const numeric = (along(check.epsilon) - along(-check.epsilon)) / (2 * check.epsilon);
  const analytic = mode === "reverse" ? reverseAlong(fn, inputs, tangents, cotangent) : forwardAlong(fn, inputs, tangents, cotangent);
  const error = Math.abs(analytic - numeric) / Math.max(1, Math.abs(numeric));
  if (!(error <= check.tolerance)) {
    throw new GradientMismatch(
      `checkGrads: expected ${check.label}${mode} derivative ${numeric} (finite difference), got ${analytic} (error ${error.toExponential(2)})`,
    );
  }
  if (order === 1) return;
  // The derivative as a function of the inputs, itself checked in both modes.
  const derivative: TensorFunction =
    mode === "reverse" ? (...xs) => pulledBack(fn, xs, cotangent, tangents) : (...xs) => innerProduct(jvp(fn, xs, tangents)[1], cotangent);
  for (const next of ["reverse", "forward"] as const) {
    checkOnce(derivative, inputs, next, order - 1, { ...check, label: `${check.label}${mode} then ` });
  }
}

function pulledBack(fn: TensorFunction, xs: readonly Tensor[], cotangent: Tensor, tangents: readonly Tensor[]): Tensor {
  const [, pullback] = vjp(fn, xs);
  const parts = pullback(cotangent, { createGraph: true }).map((g, i) => innerProduct(g, tangents[i] as Tensor));
  return parts.reduce((a, b) => add(a, b));
}

function reverseAlong(fn: TensorFunction, inputs: readonly Tensor[], tangents: readonly Tensor[], cotangent: Tensor): number {
  const [, pullback] = vjp(fn, inputs);
  return pullback(cotangent).reduce((total, g, i) => total + innerProduct(g, tangents[i] as Tensor).item(), 0);
}

function forwardAlong(fn: TensorFunction, inputs: readonly Tensor[], tangents: readonly Tensor[], cotangent: Tensor): number {
  return innerProduct(jvp(fn, inputs, tangents)[1], cotangent).item();
}
