/** Elementwise functions of one tensor: elementary functions and activations. */

import { apply, type Primitive } from "../autodiff/primitive.ts";
import { checkNumber } from "../base/checks.ts";
import { full } from "../tensor/create.ts";
import { checkTensor, type Tensor } from "../tensor/tensor.ts";
import * as code from "../wasm/codes.gen.ts";
import { add, div, mul, neg, square, sub } from "./arithmetic.ts";
import { besideNumber } from "./cast.ts";
import { besideBounds, equal, greater, greaterEqual, less, limited, logicalAnd, where } from "./compare.ts";
import { applyBinary, binaryOp, type Numbers, type Operand, type Slope, unaryOp, unaryValue } from "./elementwise.ts";
import { checkFloat } from "./reduction.ts";

/** A function without parameters that the kernel computes. */
function elementary(name: string, op: number, slope: Slope<void>): Primitive<void> {
  return unaryOp(name, (x) => unaryValue(name, op, x), slope);
}

export const expOp: Primitive<void> = elementary("exp", code.EXP, (g, y) => mul(g, y));

/** e^x. */
export function exp(x: Tensor): Tensor {
  return apply(expOp, [x], undefined);
}

export const expm1Op: Primitive<void> = elementary("expm1", code.EXPM1, (g, y) => mul(g, add(y, 1)));

/** e^x - 1, accurate near 0. */
export function expm1(x: Tensor): Tensor {
  return apply(expm1Op, [x], undefined);
}

export const logOp: Primitive<void> = elementary("log", code.LOG, (g, _y, x) => div(g, x));

/** The natural logarithm. */
export function log(x: Tensor): Tensor {
  return apply(logOp, [x], undefined);
}

export const log1pOp: Primitive<void> = elementary("log1p", code.LOG1P, (g, _y, x) => div(g, add(x, 1)));

/** log(1 + x), accurate near 0. */
export function log1p(x: Tensor): Tensor {
  return apply(log1pOp, [x], undefined);
}

export const sqrtOp: Primitive<void> = elementary("sqrt", code.SQRT, (g, y) => div(g, mul(y, 2)));

/** √x. */
export function sqrt(x: Tensor): Tensor {
  return apply(sqrtOp, [x], undefined);
}

export const rsqrtOp: Primitive<void> = elementary("rsqrt", code.RSQRT, (g, y) => mul(g, mul(mul(y, square(y)), -0.5)));

/** 1/√x. */
export function rsqrt(x: Tensor): Tensor {
  return apply(rsqrtOp, [x], undefined);
}

export const reciprocalOp: Primitive<void> = elementary("reciprocal", code.RECIPROCAL, (g, y) => neg(mul(g, square(y))));

/** 1/x. */
export function reciprocal(x: Tensor): Tensor {
  return apply(reciprocalOp, [x], undefined);
}

export const absOp: Primitive<void> = elementary("abs", code.ABS, (g, _y, x) => mul(g, sign(x)));

/** |x|; its derivative at 0 is 0. */
export function abs(x: Tensor): Tensor {
  return apply(absOp, [x], undefined);
}

export const signOp: Primitive<void> = elementary("sign", code.SIGN, () => null);

/** -1, 0 or 1. */
export function sign(x: Tensor): Tensor {
  return apply(signOp, [x], undefined);
}

export const sinOp: Primitive<void> = elementary("sin", code.SIN, (g, _y, x) => mul(g, cos(x)));

/** sin x, x in radians. */
export function sin(x: Tensor): Tensor {
  return apply(sinOp, [x], undefined);
}

export const cosOp: Primitive<void> = elementary("cos", code.COS, (g, _y, x) => neg(mul(g, sin(x))));

/** cos x, x in radians. */
export function cos(x: Tensor): Tensor {
  return apply(cosOp, [x], undefined);
}

export const erfOp: Primitive<void> = elementary("erf", code.ERF, (g, _y, x) => mul(g, mul(exp(neg(square(x))), 2 / Math.sqrt(Math.PI))));

/** The error function 2/√π · ∫₀ˣ e^-t² dt. */
export function erf(x: Tensor): Tensor {
  return apply(erfOp, [x], undefined);
}

// ---------------------------------------------------------------- powers

export const powOp: Primitive<Numbers> = binaryOp("pow", code.POW, [
  (g, _y, a, b) => mul(g, powerSlope(a, b)),
  (g, y, a, b) => mul(g, exponentSlope(y, a, b)),
]);

/** b·a^(b-1); 0 if b is 0, even at a = 0. */
function powerSlope(a: Operand, b: Operand): Operand {
  if (typeof b === "number") return b === 0 ? 0 : mul(pow(a, b - 1), b);
  return mul(b, pow(a, sub(where(equal(b, 0), 1, b), 1)));
}

/** a^b·log a; 0 if a is 0 and b is not negative. */
function exponentSlope(y: Tensor, a: Operand, b: Operand): Tensor {
  const exponents = b as Tensor;
  const base = typeof a === "number" ? full([], a, exponents.dtype) : a;
  return mul(y, log(where(logicalAnd(equal(base, 0), greaterEqual(exponents, 0)), 1, base)));
}

/** Exponents with a function of their own. */
const SHORT_WAYS: ReadonlyMap<number, (x: Tensor) => Tensor> = new Map([
  [-1, (x: Tensor) => reciprocal(x)],
  [-0.5, (x: Tensor) => rsqrt(x)],
  [0.5, (x: Tensor) => sqrt(x)],
  [2, (x: Tensor) => square(x)],
]);

/**
 * a^b with C's special values: x^0 = 1^y = 1 always; NaN for a fractional power of a negative number.
 * As in PyTorch, x^0.5 and x^-0.5 are `sqrt` and `rsqrt`, also at -0 and -∞. int32 has squares, and fractional powers as float32.
 * @example pow(x, 3)
 */
export function pow(a: Operand, b: Operand): Tensor {
  const short = typeof b === "number" && typeof a !== "number" ? SHORT_WAYS.get(b) : undefined;
  return short ? short(besideNumber("pow", a as Tensor, b as number)) : applyBinary(powOp, a, b);
}

// ---------------------------------------------------------------- activations

/** g·(1 - y²), in one pass. */
export const tanhGradOp: Primitive<Numbers> = binaryOp("tanhGrad", code.TANH_GRAD, [
  (t, _d, _g, y) => applyBinary(tanhGradOp, t, y),
  (t, _d, g, y) => mul(mul(mul(t, g), y), -2),
]);

export const tanhOp: Primitive<void> = elementary("tanh", code.TANH, (g, y) => applyBinary(tanhGradOp, g, y));

/** The hyperbolic tangent. */
export function tanh(x: Tensor): Tensor {
  return apply(tanhOp, [x], undefined);
}

/** g·y·(1 - y), in one pass. */
export const sigmoidGradOp: Primitive<Numbers> = binaryOp("sigmoidGrad", code.SIGMOID_GRAD, [
  (t, _d, _g, y) => applyBinary(sigmoidGradOp, t, y),
  (t, _d, g, y) => mul(mul(t, g), sub(1, mul(y, 2))),
]);

export const sigmoidOp: Primitive<void> = elementary("sigmoid", code.SIGMOID, (g, y) => applyBinary(sigmoidGradOp, g, y));

/** 1 / (1 + e^-x). */
export function sigmoid(x: Tensor): Tensor {
  return apply(sigmoidOp, [x], undefined);
}

/** g where x > 0, else 0. */
export const gateOp: Primitive<Numbers> = binaryOp("gate", code.GATE, [(t, _d, _g, x) => applyBinary(gateOp, t, x), () => null]);

export const reluOp: Primitive<void> = elementary("relu", code.RELU, (g, y) => applyBinary(gateOp, g, y));

/** max(x, 0); its derivative at 0 is 0. */
export function relu(x: Tensor): Tensor {
  return apply(reluOp, [x], undefined);
}

export const leakyReluOp: Primitive<number> = unaryOp<number>(
  "leakyRelu",
  (x, slope) => unaryValue("leakyRelu", code.LEAKY_RELU, x, slope),
  (g, _y, x, slope) => where(greater(x, 0), g, mul(g, slope)),
);

/** x where x > 0, else slope·x. */
export function leakyRelu(x: Tensor, slope = 0.01): Tensor {
  checkTensor("leakyRelu", x);
  checkNumber("leakyRelu", "slope", slope);
  return apply(leakyReluOp, [x], slope);
}

export const eluOp: Primitive<number> = unaryOp<number>(
  "elu",
  (x, alpha) => unaryValue("elu", code.ELU, x, alpha),
  (g, y, x, alpha) => where(greater(x, 0), g, mul(g, add(y, alpha))),
);

/**
 * x where x > 0, else α·(e^x - 1).
 * @see D.-A. Clevert, T. Unterthiner, S. Hochreiter, Fast and Accurate Deep Network Learning by Exponential Linear Units, 2016
 */
export function elu(x: Tensor, alpha = 1): Tensor {
  checkTensor("elu", x);
  checkNumber("elu", "alpha", alpha);
  return apply(eluOp, [x], alpha);
}

/**
 * λ·elu(x, α) with the constants that keep mean 0 and variance 1.
 * @see G. Klambauer, T. Unterthiner, A. Mayr, S. Hochreiter, Self-Normalizing Neural Networks, 2017
 */
export function selu(x: Tensor): Tensor {
  return mul(elu(x, 1.6732632423543772), 1.0507009873554805);
}

export const softplusOp: Primitive<void> = elementary("softplus", code.SOFTPLUS, (g, _y, x) => mul(g, sigmoid(x)));

/** log(1 + e^βx) / β. */
export function softplus(x: Tensor, beta = 1): Tensor {
  checkTensor("softplus", x);
  checkFloat("softplus", x);
  if (beta === 1) return apply(softplusOp, [x], undefined);
  return div(apply(softplusOp, [mul(x, beta)], undefined), beta);
}

/** log sigmoid(x), without overflow. */
export function logSigmoid(x: Tensor): Tensor {
  return neg(softplus(neg(x)));
}

/** x / (1 + |x|). */
export function softsign(x: Tensor): Tensor {
  return div(x, add(abs(x), 1));
}

export const siluOp: Primitive<void> = elementary("silu", code.SILU, (g, y, x) => {
  const s = sigmoid(x);
  return mul(g, add(s, mul(y, sub(1, s))));
});

/** x·sigmoid(x), also called swish. */
export function silu(x: Tensor): Tensor {
  return apply(siluOp, [x], undefined);
}

export const geluOp: Primitive<void> = elementary("gelu", code.GELU, (g, _y, x) => {
  const below = mul(add(erf(mul(x, Math.SQRT1_2)), 1), 0.5);
  const density = mul(exp(mul(square(x), -0.5)), 1 / Math.sqrt(2 * Math.PI));
  return mul(g, add(below, mul(x, density)));
});

/**
 * x·Φ(x), with Φ of the normal distribution.
 * @see D. Hendrycks, K. Gimpel, Gaussian Error Linear Units, 2016
 */
export function gelu(x: Tensor): Tensor {
  return apply(geluOp, [x], undefined);
}

/** Approximates gelu by ½x·(1 + tanh(√(2/π)·(x + 0.044715·x³))). */
export function geluTanh(x: Tensor): Tensor {
  checkTensor("geluTanh", x);
  checkFloat("geluTanh", x);
  const inner = mul(mul(x, add(mul(square(x), 0.044715), 1)), Math.sqrt(2 / Math.PI));
  return mul(mul(x, 0.5), add(tanh(inner), 1));
}

/**
 * x·tanh(softplus(x)).
 * @see D. Misra, Mish: A Self Regularized Non-Monotonic Activation Function, 2019
 */
export function mish(x: Tensor): Tensor {
  checkTensor("mish", x);
  return mul(x, tanh(softplus(x)));
}

interface Range {
  readonly min: number;
  readonly max: number;
}

export const hardTanhOp: Primitive<Range> = unaryOp<Range>(
  "hardTanh",
  (x, range) => limited("hardTanh", x, range),
  (g, _y, x, { min, max }) => where(logicalAnd(greater(x, min), less(x, max)), g, 0),
);

/** x limited to [min, max]; the derivative on the bounds is 0. */
export function hardTanh(x: Tensor, min = -1, max = 1): Tensor {
  return apply(hardTanhOp, [besideBounds("hardTanh", x, { min, max })], { min, max });
}

/** x limited to [0, 6]. */
export function relu6(x: Tensor): Tensor {
  return hardTanh(x, 0, 6);
}

/** relu6(x + 3) / 6: a sigmoid made of three straight lines. */
export function hardSigmoid(x: Tensor): Tensor {
  return div(relu6(add(x, 3)), 6);
}

/** The primitives of this file, by name. */
export const primitives: Readonly<Record<string, Primitive<never>>> = {
  exp: expOp,
  expm1: expm1Op,
  log: logOp,
  log1p: log1pOp,
  sqrt: sqrtOp,
  rsqrt: rsqrtOp,
  reciprocal: reciprocalOp,
  abs: absOp,
  sign: signOp,
  sin: sinOp,
  cos: cosOp,
  erf: erfOp,
  pow: powOp,
  tanh: tanhOp,
  tanhGrad: tanhGradOp,
  sigmoid: sigmoidOp,
  sigmoidGrad: sigmoidGradOp,
  relu: reluOp,
  gate: gateOp,
  leakyRelu: leakyReluOp,
  elu: eluOp,
  softplus: softplusOp,
  silu: siluOp,
  gelu: geluOp,
  hardTanh: hardTanhOp,
};
