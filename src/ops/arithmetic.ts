/** Elementwise sums, products and extremes, with broadcasting. */

import { apply, type Primitive } from "../autodiff/primitive.ts";
import { noGrad } from "../autodiff/tape.ts";
import { isFloat } from "../base/dtype.ts";
import type { Tensor } from "../tensor/tensor.ts";
import * as code from "../wasm/codes.gen.ts";
import { asFloat } from "./cast.ts";
import { applyBinary, binaryOp, commonDType, type Numbers, type Operand, unaryOp, unaryValue } from "./elementwise.ts";

export const addOp: Primitive<Numbers> = binaryOp("add", code.ADD, [(g) => g, (g) => g]);

/**
 * a + b. A number takes a float tensor's dtype. An int32 or bool tensor becomes float32 beside a fractional number, int32 beside a whole one.
 * @throws DTypeError for unequal dtypes, ShapeError if the shapes do not broadcast
 */
export function add(a: Operand, b: Operand): Tensor {
  return applyBinary(addOp, a, b);
}

export const subOp: Primitive<Numbers> = binaryOp("sub", code.SUB, [(g) => g, (g) => neg(g)]);

/** a - b. */
export function sub(a: Operand, b: Operand): Tensor {
  return applyBinary(subOp, a, b);
}

export const mulOp: Primitive<Numbers> = binaryOp("mul", code.MUL, [(g, _y, _a, b) => mul(g, b), (g, _y, a) => mul(g, a)]);

/** a · b. */
export function mul(a: Operand, b: Operand): Tensor {
  return applyBinary(mulOp, a, b);
}

export const divOp: Primitive<Numbers> = binaryOp("div", code.DIV, [(g, _y, _a, b) => div(g, b), (g, y, _a, b) => neg(div(mul(g, y), b))]);

/** a / b. Integers divide as float32, as in PyTorch. */
export function div(a: Operand, b: Operand): Tensor {
  if (isFloat(commonDType("div", a, b))) return applyBinary(divOp, a, b);
  return applyBinary(divOp, typeof a === "number" ? a : asFloat(a), typeof b === "number" ? b : asFloat(b));
}

export const negOp: Primitive<void> = unaryOp(
  "neg",
  (x) => unaryValue("neg", code.NEG, x),
  (g) => neg(g),
);

/** -x. */
export function neg(x: Tensor): Tensor {
  return apply(negOp, [x], undefined);
}

export const squareOp: Primitive<void> = unaryOp(
  "square",
  (x) => unaryValue("square", code.SQUARE, x),
  (g, _y, x) => mul(mul(g, x), 2),
);

/** x². */
export function square(x: Tensor): Tensor {
  return apply(squareOp, [x], undefined);
}

/** 0 where a < b, ½ where they are equal, else 1; its derivative is 0. */
function share(a: Operand, b: Operand): Tensor {
  return noGrad(() => applyBinary(shareOp, a, b));
}

export const shareOp: Primitive<Numbers> = binaryOp("share", code.SHARE, [() => null, () => null]);

export const maximumOp: Primitive<Numbers> = binaryOp("maximum", code.MAXIMUM, [
  (g, _y, a, b) => mul(g, share(a, b)),
  (g, _y, a, b) => mul(g, share(b, a)),
]);

/** The larger of a and b; NaN where either is NaN. Where they are equal, each gets half the derivative. */
export function maximum(a: Operand, b: Operand): Tensor {
  return applyBinary(maximumOp, a, b);
}

export const minimumOp: Primitive<Numbers> = binaryOp("minimum", code.MINIMUM, [
  (g, _y, a, b) => mul(g, share(b, a)),
  (g, _y, a, b) => mul(g, share(a, b)),
]);

/** The smaller of a and b; NaN where either is NaN. Where they are equal, each gets half the derivative. */
export function minimum(a: Operand, b: Operand): Tensor {
  return applyBinary(minimumOp, a, b);
}

/** The primitives of this file, by name. */
export const primitives: Readonly<Record<string, Primitive<never>>> = {
  add: addOp,
  sub: subOp,
  mul: mulOp,
  div: divOp,
  neg: negOp,
  square: squareOp,
  maximum: maximumOp,
  minimum: minimumOp,
  share: shareOp,
};
