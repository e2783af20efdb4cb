/** Derivatives of functions: grad, vjp, jvp, jacobian, hvp. */

import { track } from "../autodiff/alias.ts";
import { seedOf } from "../autodiff/backward.ts";
import { box, unbox, withLevel } from "../autodiff/forward.ts";
import { gradients, type SweepOptions } from "../autodiff/sweep.ts";
import { enableGrad, noGrad } from "../autodiff/tape.ts";
import { checkFunction, checkList, checkOneOf, checkOptions, finished } from "../base/checks.ts";
import { ArgumentError, ShapeError } from "../base/errors.ts";
import { add, mul } from "../ops/arithmetic.ts";
import { reshape, sum } from "../ops/broadcast.ts";
import { contiguous, select, stack } from "../ops/shape.ts";
import { zeros } from "../tensor/create.ts";
import { checkShape, sameShape, show } from "../tensor/shape.ts";
import { checkTensors, type Tensor, tensor } from "../tensor/tensor.ts";

/** Number of transforms in progress: an outer one needs the inner one recorded. */
let nesting = 0;

function nested<R>(fn: (createGraph: boolean) => R): R {
  nesting++;
  try {
    return fn(nesting > 1);
  } finally {
    nesting--;
  }
}

/** A differentiable function of tensors. */
export type TensorFunction = (...inputs: Tensor[]) => Tensor;

/**
 * The value of `fn`, and a function that takes a cotangent of it to cotangents of the inputs.
 * @example const [y, pullback] = vjp((x) => mul(x, x), [x]); const [dx] = pullback(onesLike(y));
 */
export function vjp(fn: TensorFunction, inputs: readonly Tensor[]): [Tensor, (cotangent: Tensor, options?: SweepOptions) => Tensor[]] {
  checkFunction("vjp", "fn", fn);
  checkTensors("vjp", "inputs", inputs);
  const tracked = inputs.map(track);
  const y = nested(() => enableGrad(() => finished("vjp", fn(...tracked))));
  const createGraph = nesting > 0;
  const pullback = (cotangent: Tensor, options: SweepOptions = { createGraph }): Tensor[] =>
    gradients([y], tracked, [cotangent], options).map((g, i) => g ?? zerosOf(tracked[i] as Tensor));
  return [y, pullback];
}

function zerosOf(x: Tensor): Tensor {
  return zeros(x.shape, x.dtype);
}

/** The value and the gradients of a scalar function. */
export function valueAndGrad(fn: TensorFunction): (...inputs: Tensor[]) => [Tensor, Tensor[]] {
  checkFunction("grad", "fn", fn);
  return (...inputs) =>
    nested((createGraph) => {
      checkTensors("grad", "inputs", inputs);
      const tracked = inputs.map(track);
      const y = enableGrad(() => finished("grad", fn(...tracked)));
      const found = gradients([y], tracked, [seedOf("grad", y)], { createGraph });
      return [y, found.map((g, i) => g ?? zerosOf(tracked[i] as Tensor))];
    });
}

/**
 * The gradient function of a scalar function; nests to any order.
 * @example const d2 = grad((x) => sum(grad((x) => sum(pow(x, 3)))(x)[0]));
 */
export function grad(fn: TensorFunction): (...inputs: Tensor[]) => Tensor[] {
  const both = valueAndGrad(fn);
  return (...inputs) => both(...inputs)[1];
}

/** Runs `fn` on tensors with stacked tangents [K, …shape]; returns the value and its stacked tangent. */
export function jvpStacked(fn: TensorFunction, inputs: readonly Tensor[], tangents: readonly (Tensor | null)[]): [Tensor, Tensor] {
  checkFunction("jvp", "fn", fn);
  checkTensors("jvp", "inputs", inputs);
  checkList("jvp", "tangents", tangents);
  const k = tangents.find((t) => t !== null)?.shape[0];
  if (k === undefined) throw new ArgumentError("jvp: expected at least one tangent, got none");
  inputs.forEach((x, i) => {
    const t = tangents[i];
    if (t && !sameShape(t.shape, [k, ...x.shape])) {
      throw new ShapeError(`jvp: expected tangent ${i} of shape ${show([k, ...x.shape])}, got ${show(t.shape)}`);
    }
  });
  return withLevel((level) => {
    const boxed = inputs.map((x, i) => {
      const t = tangents[i];
      return t ? box(level, x, t) : x;
    });
    const { primal, tangent } = unbox(level, finished("jvp", fn(...boxed)));
    return [primal, tangent ?? zeros([k, ...primal.shape], primal.dtype)];
  });
}

/** The value of `fn` and its directional derivative along `tangents`, each of its input's shape. */
export function jvp(fn: TensorFunction, inputs: readonly Tensor[], tangents: readonly Tensor[]): [Tensor, Tensor] {
  checkFunction("jvp", "fn", fn);
  checkTensors("jvp", "tangents", tangents);
  const stacked = tangents.map((t) => reshape(t, [1, ...t.shape]));
  const [y, dy] = jvpStacked(fn, inputs, stacked);
  return [y, reshape(dy, y.shape)];
}

export interface JacobianOptions {
  /** "reverse" sweeps once per output element; "forward" runs once, with a tangent per input element. */
  readonly mode?: "reverse" | "forward";
}

/** The Jacobian [...output shape, ...input shape] of a function of one tensor. */
export function jacobian(fn: (x: Tensor) => Tensor, x: Tensor, options: JacobianOptions = {}): Tensor {
  checkOptions("jacobian", options, ["mode"]);
  const mode = options.mode ?? "reverse";
  checkOneOf("jacobian", "mode", mode, ["reverse", "forward"]);
  return mode === "forward" ? jacobianForward(fn, x) : jacobianReverse(fn, x);
}

function basis(x: Tensor): Tensor[] {
  checkShape("jacobian", [x.size, x.size]);
  return Array.from({ length: x.size }, (_, i) => {
    const e = new Array<number>(x.size).fill(0);
    e[i] = 1;
    return tensor(e, { shape: x.shape, dtype: x.dtype });
  });
}

function jacobianForward(fn: (x: Tensor) => Tensor, x: Tensor): Tensor {
  const [y, dy] = jvpStacked(fn, [x], [stack(basis(x))]);
  const byInput = reshape(dy, [x.size, y.size]);
  return reshape(stack(Array.from({ length: y.size }, (_, i) => select(byInput, 1, i))), [...y.shape, ...x.shape]);
}

function jacobianReverse(fn: (x: Tensor) => Tensor, x: Tensor): Tensor {
  const [y, pullback] = vjp(fn, [x]);
  const rows = basis(y).map((e) => pullback(e)[0] as Tensor);
  return reshape(stack(rows), [...y.shape, ...x.shape]);
}

/** The Hessian of a scalar function times a vector, by forward over reverse mode; it never forms the Hessian. */
export function hvp(fn: (x: Tensor) => Tensor, x: Tensor, v: Tensor): Tensor {
  checkFunction("hvp", "fn", fn);
  return jvp((z) => grad((w) => fn(w as Tensor))(z as Tensor)[0] as Tensor, [x], [v])[1];
}

/** The inner product of two tensors: the sum of their elements' products. */
export function innerProduct(a: Tensor, b: Tensor): Tensor {
  return sum(mul(a, b));
}

/** x + s·v, off the tape. */
export function step(x: Tensor, v: Tensor, s: number): Tensor {
  return noGrad(() => contiguous(add(x, mul(v, s))));
}
