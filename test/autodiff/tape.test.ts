import { describe, expect, it } from "vitest";
import { backward } from "../../src/autodiff/backward.ts";
import { defineOp } from "../../src/autodiff/define-op.ts";
import { apply } from "../../src/autodiff/primitive.ts";
import { gradients } from "../../src/autodiff/sweep.ts";
import { noGrad } from "../../src/autodiff/tape.ts";
import { DTypeError, ShapeError, StateError } from "../../src/base/errors.ts";
import { add, mul, square } from "../../src/ops/arithmetic.ts";
import { reshape, sum } from "../../src/ops/broadcast.ts";
import { matmul } from "../../src/ops/linear.ts";
import { exp, sin, tanh } from "../../src/ops/math.ts";
import { select, transpose } from "../../src/ops/shape.ts";
import { ones, zeros } from "../../src/tensor/create.ts";
import { assign, scope, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { checkGrads, GradientMismatch } from "../../src/transforms/check-grads.ts";
import { grad, hvp, jacobian, jvp, jvpStacked, valueAndGrad, vjp } from "../../src/transforms/transforms.ts";

const f64 = (data: number[] | number[][]) => tensor(data, { dtype: "float64" });
const leaf = (data: number[]) => tensor(data, { dtype: "float64", requiresGrad: true });

describe("reverse mode", () => {
  it("sums the contributions of a tensor used twice, and thrice", () => {
    const x = leaf([3]);
    backward(sum(mul(x, x)));
    expect(x.grad?.toArray()).toEqual([6]);
    const y = leaf([2]);
    backward(sum(mul(mul(y, y), y)));
    expect(y.grad?.toArray()).toEqual([12]);
  });

  it("accumulates into .grad over calls", () => {
    const x = leaf([1, 2]);
    for (let i = 0; i < 3; i++) backward(sum(square(x)));
    expect(x.grad?.toArray()).toEqual([6, 12]);
  });

  it("does not share memory between gradients that are one tensor on the tape", () => {
    const [a, b] = [leaf([1]), leaf([1])];
    backward(sum(add(a, b)));
    backward(sum(a));
    expect([a.grad?.item(), b.grad?.item()]).toEqual([2, 1]);
  });

  it("gives each leaf a gradient of its own, whatever the sweep shares", () => {
    const [a, b] = [leaf([1, 2]), leaf([3, 4])];
    const c = tensor([[5, 6]], { dtype: "float64", requiresGrad: true });
    // One product reaches a and b; c's gradient is a view of it; the weights are the caller's.
    const weights = tensor([2, 3], { dtype: "float64" });
    backward(mul(add(add(a, b), reshape(c, [2])), 2), weights);
    const grads = [a, b, c].map((t) => t.grad as Tensor);
    expect(new Set([...grads.map((t) => t.storage), weights.storage]).size).toBe(4);
    assign(grads[0] as Tensor, [0, 0]);
    expect([...grads, weights].map((t) => t.toArray())).toEqual([[0, 0], [4, 6], [[4, 6]], [2, 3]]);
    const d = leaf([1]);
    const seed = tensor([7], { dtype: "float64" });
    backward(add(d, 0), seed);
    expect(d.grad?.storage).not.toBe(seed.storage);
  });

  it("walks 10,000 steps without recursion", () => {
    const w = leaf([0.5]);
    const x = leaf([1]);
    let h = x as Tensor;
    for (let t = 0; t < 10_000; t++) h = add(mul(h, w), 1);
    const [dw, dx] = gradients([h], [w, x], [ones([1], "float64")]) as [Tensor, Tensor];
    // h_T = w^T x + (1 - w^T)/(1 - w); at T = 10,000 the derivative by w is 1/(1 - w)^2.
    expect(Math.abs(dw.item() - 4)).toBeLessThan(1e-12);
    expect(dx.item()).toBe(0.5 ** 10_000);
  });

  it("returns null where there is no path and the cotangent where output is input", () => {
    const [a, b] = [leaf([1]), leaf([1])];
    const y = square(a);
    const [da, db, dy] = gradients([y], [a, b, y], [ones([1], "float64")]);
    expect([da?.item(), db, dy?.item()]).toEqual([2, null, 1]);
  });

  it("records nothing inside noGrad", () => {
    const x = leaf([1]);
    expect(noGrad(() => square(x)).node).toBeNull();
    expect(square(x).node).not.toBeNull();
  });

  it("rejects what has no gradient, with what was expected", () => {
    expect(() => backward(sum(f64([1])))).toThrow(StateError);
    expect(() => backward(square(leaf([1, 2])))).toThrow(/scalar output.*\[2\]/);
    expect(() => gradients([square(leaf([1, 2]))], [], [ones([3], "float64")])).toThrow(ShapeError);
    expect(() => tensor([1], { dtype: "int32", requiresGrad: true })).toThrow(DTypeError);
  });
});

describe("transforms", () => {
  it("nests: the derivatives of x^4 to any order", () => {
    const f = (x: Tensor) => sum(square(square(x)));
    const d1 = (x: Tensor) => sum(grad((z) => f(z as Tensor))(x)[0] as Tensor);
    const d2 = (x: Tensor) => sum(grad((z) => d1(z as Tensor))(x)[0] as Tensor);
    const d3 = (x: Tensor) => sum(grad((z) => d2(z as Tensor))(x)[0] as Tensor);
    expect([d1, d2, d3].map((d) => d(f64([2])).item())).toEqual([32, 48, 48]);
  });

  it("does not confuse perturbations of nested forward levels", () => {
    // d/dx (x · d/dy (x + y)) = 1, though both tangents are one.
    const inner = (x: Tensor, y: Tensor) => jvp((z) => add(x, z as Tensor), [y], [ones([1], "float64")])[1];
    const [, d] = jvp((x) => mul(x as Tensor, inner(x as Tensor, f64([1]))), [f64([5])], [ones([1], "float64")]);
    expect(d.item()).toBe(1);
  });

  it("forward over reverse, reverse over forward and hvp agree on a Hessian-vector product", () => {
    const A = f64([
      [2, 1],
      [1, 3],
    ]);
    const f = (x: Tensor) => add(sum(mul(x, matmul(A, x))), sum(sin(x)));
    const x = f64([0.3, -0.7]);
    const v = f64([1, 2]);
    // (2A)v - sin(x)·v, A symmetric
    const expected = [8 - Math.sin(0.3), 14 - 2 * Math.sin(-0.7)];
    const forwardOverReverse = hvp(f, x, v).data();
    const reverseOverForward = (grad((z) => jvp((w) => f(w as Tensor), [z as Tensor], [v])[1])(x)[0] as Tensor).data();
    const reverseOverReverse = (grad((z) => sum(mul(grad((w) => f(w as Tensor))(z as Tensor)[0] as Tensor, v)))(x)[0] as Tensor).data();
    for (const got of [forwardOverReverse, reverseOverForward, reverseOverReverse]) {
      expected.forEach((e, i) => expect(Math.abs((got[i] as number) - e)).toBeLessThan(1e-12));
    }
  });

  it("pushes K tangents at once", () => {
    const x = f64([1, 2, 3]);
    const eye = f64([
      [1, 0, 0],
      [0, 1, 0],
      [0, 0, 1],
    ]);
    const [y, dy] = jvpStacked((z) => mul(z as Tensor, select(z as Tensor, 0, 0)), [x], [eye]);
    expect(y.toArray()).toEqual([1, 2, 3]);
    expect(dy.toArray()).toEqual([
      [2, 2, 3],
      [0, 1, 0],
      [0, 0, 1],
    ]);
  });

  it("jacobian: both modes equal the closed form", () => {
    const W = f64([
      [1, 2, 3],
      [4, 5, 6],
    ]);
    const x = f64([0.1, 0.2, 0.3]);
    const f = (z: Tensor) => tanh(matmul(W, z));
    const y = f(x).data();
    const expected = [0, 1].map((i) =>
      [0, 1, 2].map((j) => (1 - (y[i] as number) ** 2) * ((W.toArray() as number[][])[i] as number[])[j]!),
    );
    for (const mode of ["reverse", "forward"] as const) {
      const J = jacobian(f, x, { mode }).toArray() as number[][];
      J.forEach((rowValues, i) => rowValues.forEach((v, j) => expect(Math.abs(v - (expected[i] as number[])[j]!)).toBeLessThan(1e-14)));
    }
  });

  it("vjp returns value and pullback; valueAndGrad both at once", () => {
    const [y, pullback] = vjp((a, b) => mul(a as Tensor, b as Tensor), [f64([2]), f64([5])]);
    expect(y.item()).toBe(10);
    expect(pullback(ones([1], "float64")).map((g) => g.item())).toEqual([5, 2]);
    const [v, g] = valueAndGrad((x) => sum(exp(x as Tensor)))(f64([0]));
    expect([v.item(), g[0]?.item()]).toEqual([1, 1]);
  });

  it("gives zeros for inputs the function ignores", () => {
    expect(grad((a) => sum(square(a as Tensor)))(f64([1]), f64([1, 2]))[1]?.toArray()).toEqual([0, 0]);
  });
});

describe("checkGrads", () => {
  const x = f64([0.3, -1.2]);

  it("accepts right rules to second order", () => {
    checkGrads((a) => mul(tanh(reshape(a as Tensor, [2, 1])), transpose(exp(reshape(a as Tensor, [2, 1])), 0, 1)), [x], { order: 2 });
  });

  it.each(["reverse", "forward"] as const)("finds a wrong %s rule and shows both values", (mode) => {
    const wrong = defineOp({
      name: "wrong",
      forward: ([a]) => noGrad(() => square(a as Tensor)),
      vjp: (g, _y, [a]) => mul(g, mul(a as Tensor, mode === "reverse" ? 2.001 : 2)),
      jvp: (t, _y, [a]) => mul(t, mul(a as Tensor, mode === "forward" ? 2.001 : 2)),
    });
    const f = (a: Tensor) => apply(wrong, [a], undefined);
    expect(() => checkGrads((a) => f(a as Tensor), [x])).toThrow(GradientMismatch);
    expect(() => checkGrads((a) => f(a as Tensor), [x])).toThrow(new RegExp(`${mode} derivative .* got `));
  });

  it("finds a rule that is right once but wrong when differentiated again", () => {
    const cut = defineOp({
      name: "cut",
      forward: ([a]) => noGrad(() => square(a as Tensor)),
      vjp: (g, _y, [a]) => mul(g, mul((a as Tensor).detach(), 2)),
      jvp: (t, _y, [a]) => mul(t, mul((a as Tensor).detach(), 2)),
    });
    const f = (a: Tensor) => apply(cut, [a], undefined);
    checkGrads((a) => f(a as Tensor), [x]);
    expect(() => checkGrads((a) => f(a as Tensor), [x], { order: 2 })).toThrow(GradientMismatch);
  });

  it("does not let NaN pass", () => {
    const nan = defineOp({ name: "nan", forward: ([a]) => (a as Tensor).detach(), vjp: (g) => mul(g, Number.NaN), jvp: (t) => t });
    expect(() => checkGrads((a) => apply(nan, [a as Tensor], undefined), [x])).toThrow(GradientMismatch);
  });
});

describe("scopes on the tape", () => {
  it("says so when a tape outlives its scope", () => {
    const x = leaf([1]);
    const y = scope(() => square(square(x)));
    expect(y.item()).toBe(1);
    expect(() => backward(sum(y))).toThrow(/live tensor/);
  });

  it("keeps gradients that backward left on leaves", () => {
    const x = leaf([1, 2]);
    scope(() => backward(sum(square(x))));
    expect(x.grad?.toArray()).toEqual([2, 4]);
    expect(zeros([1]).item()).toBe(0);
  });
});
