/** Sums, products, powers: element by element, with broadcasting. */

import { apply, defineOp, type Primitive } from "../autodiff/primitive.ts";
import type { Tensor } from "../tensor/tensor.ts";
import * as code from "./codes.ts";
import { applyBinary, binaryOp, type Operand, unaryValue } from "./elementwise.ts";

const addOp = binaryOp({ name: "add", code: code.ADD, slopes: [(g) => g, (g) => g] });
const subOp = binaryOp({ name: "sub", code: code.SUB, slopes: [(g) => g, (g) => neg(g)] });
const mulOp = binaryOp({ name: "mul", code: code.MUL, slopes: [(g, _y, _a, b) => mul(g, b), (g, _y, a) => mul(g, a)] });
const divOp = binaryOp({
  name: "div",
  code: code.DIV,
  slopes: [(g, _y, _a, b) => div(g, b), (g, y, _a, b) => neg(div(mul(g, y), b))],
});

/** a + b, element by element, broadcast. */
export function add(a: Operand, b: Operand): Tensor {
  return applyBinary(addOp, a, b);
}

/** a - b, element by element, broadcast. */
export function sub(a: Operand, b: Operand): Tensor {
  return applyBinary(subOp, a, b);
}

/** a · b, element by element, broadcast. */
export function mul(a: Operand, b: Operand): Tensor {
  return applyBinary(mulOp, a, b);
}

/** a / b, element by element, broadcast. */
export function div(a: Operand, b: Operand): Tensor {
  return applyBinary(divOp, a, b);
}

const negOp = defineOp({
  name: "neg",
  forward: ([x]) => unaryValue(code.NEG, x as Tensor),
  vjp: (g) => neg(g),
  jvp: (t) => neg(t),
});

/** -x. */
export function neg(x: Tensor): Tensor {
  return apply(negOp, [x], undefined);
}

const squareOp = defineOp({
  name: "square",
  forward: ([x]) => unaryValue(code.SQUARE, x as Tensor),
  vjp: (g, _y, [x]) => mul(mul(g, 2), x as Tensor),
  jvp: (t, _y, [x]) => mul(mul(t, 2), x as Tensor),
});

/** x², cheaper than a power. */
export function square(x: Tensor): Tensor {
  return apply(squareOp, [x], undefined);
}

export const primitives: Readonly<Record<string, Primitive<never>>> = {
  add: addOp, sub: subOp, mul: mulOp, div: divOp, neg: negOp, square: squareOp,
}; // biome-ignore format: a list
