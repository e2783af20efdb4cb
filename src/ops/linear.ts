/** Products of matrices and vectors. Sums run in order of the inner index, starting from the bias if there is one. */

import { closedOp } from "../autodiff/define-op.ts";
import { dualLevel } from "../autodiff/forward.ts";
import { apply, type Inputs, type Primitive } from "../autodiff/primitive.ts";
import { isGradEnabled } from "../autodiff/tape.ts";
import { BYTES, type DType, type FloatDType, isFloat } from "../base/dtype.ts";
import { DTypeError, ShapeError } from "../base/errors.ts";
import { broadcastShapes, type Shape, sameShape, show, sizeOf } from "../tensor/shape.ts";
import { copyInto, dense } from "../tensor/strided.ts";
import { checkTensor, empty, type Tensor } from "../tensor/tensor.ts";
import { call } from "../wasm/host.ts";
import { gemm, gemmPanels, packWeights, sumAxis } from "../wasm/kernels.gen.ts";
import { recording } from "../wasm/recorder.ts";
import { add, mul } from "./arithmetic.ts";
import { broadcastTo, reshape, sum, sumTo } from "./broadcast.ts";
import { transpose } from "./shape.ts";

// ---------------------------------------------------------------- the kernel

/** A matrix in memory: its address and its strides in elements. */
interface Matrix {
  readonly ptr: number;
  readonly row: number;
  readonly column: number;
}

/** The last two axes of a tensor. */
function matrixOf(x: Tensor): Matrix {
  return { ptr: x.ptr, row: x.strides[x.rank - 2] as number, column: x.strides[x.rank - 1] as number };
}

/** C (m × n, row-major) = start + A·B, where start is C itself, a bias (by address; 0 for none) or zeros. */
interface Start {
  readonly bias?: number;
  readonly add?: boolean;
}

interface Sizes {
  readonly m: number;
  readonly n: number;
  readonly k: number;
}

/** Number of products in one call, and the distances between their operands. */
interface Batch {
  readonly count: number;
  readonly a: number;
  readonly b: number;
}

const ONE: Batch = { count: 1, a: 0, b: 0 };

function product(dtype: DType, sizes: Sizes, a: Matrix, b: Matrix, c: number, start: Start = {}, batch: Batch = ONE): void {
  if (recording !== null && batch.count === 1 && a.column === 1 && sizes.k > 0 && isFloat(dtype)) {
    packedProduct(dtype, sizes, a, b, c, start);
    return;
  }
  const { m, n, k } = sizes;
  const bias = start.bias ?? 0;
  const beta = start.add ? 1 : 0;
  call(gemm, dtype, m, n, k, a.ptr, a.row, a.column, b.ptr, b.row, b.column, c, n, bias, beta, batch.count, batch.a, batch.b, m * n);
}

/**
 * The same product in two calls, packing and multiplying. A recorded step is replayed many times, and as a call of its
 * own the packing of a weight then runs only once.
 */
function packedProduct(dtype: FloatDType, { m, n, k }: Sizes, a: Matrix, b: Matrix, c: number, { bias = 0, add = false }: Start): void {
  const panel = 32 / BYTES[dtype];
  const packed = empty([Math.ceil(n / panel) * panel * k], dtype);
  call(packWeights, dtype, n, k, b.ptr, b.row, b.column, packed.ptr);
  call(gemmPanels, dtype, m, n, k, a.ptr, a.row, packed.ptr, c, n, bias, add ? 1 : 0);
}

/** Strides of x along the batch axes of the result; 0 where x is repeated. */
function batchStrides(x: Tensor, batch: Shape): number[] {
  const lead = batch.length - (x.rank - 2);
  return batch.map((_, i) => (i < lead || x.shape[i - lead] === 1 ? 0 : (x.strides[i - lead] as number)));
}

/** Batch axes of a product; merges neighbours that act as one. */
function mergedBatch(a: Tensor, b: Tensor, shape: Shape): Batch[] {
  const strides = { a: batchStrides(a, shape), b: batchStrides(b, shape) };
  const axes: Batch[] = [];
  for (const [i, count] of shape.entries()) {
    if (count === 1) continue;
    const axis = { count, a: strides.a[i] as number, b: strides.b[i] as number };
    const outer = axes[axes.length - 1];
    const together = outer !== undefined && outer.a === axis.a * count && outer.b === axis.b * count;
    if (together) axes[axes.length - 1] = { ...axis, count: count * outer.count };
    else axes.push(axis);
  }
  return axes;
}

/** y [..., m, n] = a·b over broadcast batch axes; the kernel loops over the innermost. */
function batchedProduct(a: Tensor, b: Tensor, y: Tensor): void {
  if (y.size === 0) return;
  const sizes = { m: y.dim(-2), n: y.dim(-1), k: a.dim(-1) };
  const axes = mergedBatch(a, b, y.shape.slice(0, -2));
  const inner = axes.pop() ?? ONE;
  const bytes = BYTES[y.dtype];
  const [first, second] = [matrixOf(a), matrixOf(b)];
  const walk = (depth: number, pa: number, pb: number, py: number): void => {
    const axis = axes[depth];
    if (axis === undefined) {
      product(y.dtype, sizes, { ...first, ptr: pa }, { ...second, ptr: pb }, py, {}, inner);
      return;
    }
    const step = axes.slice(depth + 1).reduce((n, { count }) => n * count, inner.count) * sizes.m * sizes.n;
    for (let i = 0; i < axis.count; i++) walk(depth + 1, pa + i * axis.a * bytes, pb + i * axis.b * bytes, py + i * step * bytes);
  };
  walk(0, first.ptr, second.ptr, y.ptr);
}

/** a·b of two matrices. */
function matrixProduct(a: Tensor, b: Tensor): Tensor {
  const [m, k, n] = [a.shape[0] as number, a.shape[1] as number, b.shape[1] as number];
  const y = empty([m, n], a.dtype);
  if (y.size > 0) product(y.dtype, { m, n, k }, matrixOf(a), matrixOf(b), y.ptr);
  return y;
}

// ---------------------------------------------------------------- checks and shapes

type Named = Readonly<Record<string, Tensor | undefined>>;

function described(args: Named, of: (x: Tensor) => string): string {
  const parts = Object.entries(args).map(([name, x]) => (x ? `${name} ${of(x)}` : ""));
  return parts.filter((part) => part !== "").join(", ");
}

/** Requires float tensors of one dtype. @throws DTypeError @internal */
export function checkOperands(op: string, args: Named): void {
  let dtype: DType | undefined;
  for (const x of Object.values(args)) {
    if (x === undefined) continue;
    checkTensor(op, x);
    dtype ??= x.dtype;
    if (isFloat(x.dtype) && x.dtype === dtype) continue;
    throw new DTypeError(`${op}: expected float tensors of one dtype, got ${described(args, (t) => t.dtype)}`);
  }
}

function expectShapes(op: string, fits: boolean, expected: string, args: Named): void {
  if (!fits) throw new ShapeError(`${op}: expected ${expected}, got ${described(args, (x) => show(x.shape))}`);
}

/** [..., n] as a matrix of rows. */
function rowsOf(x: Tensor): Tensor {
  if (x.rank === 2) return x;
  return reshape(x, [sizeOf(x.shape.slice(0, -1)), x.dim(-1)]);
}

/** Inserts axes of length one after K in a tangent [K, …x.shape], so that it broadcasts like x to a result of `rank` axes. */
function lifted(t: Tensor, rank: number): Tensor {
  const [k, ...shape] = t.shape as [number, ...number[]];
  return reshape(t, [k, ...new Array<number>(rank - shape.length).fill(1), ...shape]);
}

// ---------------------------------------------------------------- matmul

const matmulOp: Primitive<void> = closedOp({
  name: "matmul",
  forward([x, w]) {
    const [a, b] = [x as Tensor, w as Tensor];
    if (a.rank === 2 && b.rank === 2) return matrixProduct(a, b);
    const batch = broadcastShapes("matmul", a.shape.slice(0, -2), b.shape.slice(0, -2));
    const y = empty([...batch, a.dim(-2), b.dim(-1)], a.dtype);
    batchedProduct(a, b, y);
    return y;
  },
  vjp: [
    (g, _y, [a, b]) => sumTo(matmul(g, transpose(b as Tensor)), (a as Tensor).shape),
    (g, _y, [a, b]) => sumTo(matmul(transpose(a as Tensor), g), (b as Tensor).shape),
  ],
  jvp: [(t, y, [_, b]) => matmul(lifted(t, y.rank), b as Tensor), (t, y, [a]) => matmul(a as Tensor, lifted(t, y.rank))],
});

/**
 * The matrix product over the last axis of a and the second to last of b.
 *
 *     y[…, i, j] = Σ_k a[…, i, k] · b[…, k, j]
 *
 * Leading axes are batches and broadcast. A vector is a row on the left and a column on the right, and its axis is
 * dropped from the result. Transposed views are multiplied without a copy.
 * @throws ShapeError when the inner sizes differ or the batches do not broadcast; DTypeError for mixed dtypes
 * @example matmul(tensor([[1, 2], [3, 4]]), tensor([1, 1])).toArray() // [3, 7]
 */
export function matmul(a: Tensor, b: Tensor): Tensor {
  checkTensor("matmul", a);
  checkTensor("matmul", b);
  if (areMatrices(a, b)) return apply(matmulOp, [a, b], undefined);
  checkOperands("matmul", { a, b });
  const fits = a.rank > 0 && b.rank > 0 && a.dim(-1) === b.dim(b.rank === 1 ? 0 : -2);
  expectShapes("matmul", fits, "equal inner sizes", { a, b });
  if (a.rank === 1) return reshapedLast(matmul(reshape(a, [1, a.size]), b), b.rank === 1 ? 1 : 2);
  if (b.rank === 1) return reshapedLast(matmul(a, reshape(b, [b.size, 1])), 1);
  if (a.rank === 2 || b.rank > 2) return apply(matmulOp, [a, b], undefined);
  // One product over all rows; so is its gradient.
  return reshape(apply(matmulOp, [rowsOf(a), b], undefined), [...a.shape.slice(0, -1), b.dim(-1)]);
}

/** Whether a and b are plain matrices that fit: a quick check that covers most products. */
function areMatrices(a: Tensor, b: Tensor): boolean {
  return a.rank === 2 && b.rank === 2 && a.shape[1] === b.shape[0] && a.dtype === b.dtype && isFloat(a.dtype);
}

/** Drops the axis of length one at position `fromEnd` from the end. */
function reshapedLast(x: Tensor, fromEnd: number): Tensor {
  return reshape(x, x.shape.toSpliced(x.rank - fromEnd, 1));
}

/** Σ a·b of two vectors of equal length: a scalar. */
export function dot(a: Tensor, b: Tensor): Tensor {
  checkTensor("dot", a);
  checkTensor("dot", b);
  expectShapes("dot", a.rank === 1 && sameShape(a.shape, b.shape), "two vectors of equal length", { a, b });
  return matmul(a, b);
}

/** The products of all pairs: a [n], b [m] → [n, m]. */
export function outer(a: Tensor, b: Tensor): Tensor {
  checkTensor("outer", a);
  checkTensor("outer", b);
  expectShapes("outer", a.rank === 1 && b.rank === 1, "two vectors", { a, b });
  return mul(reshape(a, [a.size, 1]), b);
}

/** A batch of matrix products: a [B, m, k], b [B, k, n] → [B, m, n]; nothing broadcasts. */
export function bmm(a: Tensor, b: Tensor): Tensor {
  checkTensor("bmm", a);
  checkTensor("bmm", b);
  const fits = a.rank === 3 && b.rank === 3 && a.shape[0] === b.shape[0] && a.shape[2] === b.shape[1];
  expectShapes("bmm", fits, "a [B,m,k] and b [B,k,n]", { a, b });
  return matmul(a, b);
}

// ---------------------------------------------------------------- with a start

const addmmOp: Primitive<void> = closedOp({
  name: "addmm",
  forward([c, x, w]) {
    const [a, b] = [x as Tensor, w as Tensor];
    const sizes = { m: a.dim(0), n: b.dim(1), k: a.dim(1) };
    const y = empty([sizes.m, sizes.n], a.dtype);
    copyInto(y, broadcastTo((c as Tensor).detach(), y.shape));
    if (y.size > 0) product(y.dtype, sizes, matrixOf(a), matrixOf(b), y.ptr, { add: true });
    return y;
  },
  vjp: [
    (g, _y, [c]) => sumTo(g, (c as Tensor).shape),
    (g, _y, [_, _a, b]) => matmul(g, transpose(b as Tensor)),
    (g, _y, [_, a]) => matmul(transpose(a as Tensor), g),
  ],
  jvp: [
    (t, y) => broadcastTo(lifted(t, y.rank), [t.dim(0), ...y.shape]),
    (t, _y, [_, _a, b]) => matmul(t, b as Tensor),
    (t, _y, [_, a]) => matmul(a as Tensor, t),
  ],
});

/**
 * c + a·b for matrices a [m, k] and b [k, n]. c broadcasts to [m, n], and the sums start from it.
 * @throws ShapeError
 */
export function addmm(c: Tensor, a: Tensor, b: Tensor): Tensor {
  checkTensor("addmm", c);
  checkOperands("addmm", { c, a, b });
  expectShapes("addmm", a.rank === 2 && b.rank === 2 && a.dim(1) === b.dim(0), "a [m,k] and b [k,n]", { a, b });
  const shape = [a.dim(0), b.dim(1)];
  const fits = c.rank <= 2 && c.shape.every((d, i) => d === 1 || d === shape[i + 2 - c.rank]);
  expectShapes("addmm", fits, `c that broadcasts to ${show(shape)}`, { c });
  return apply(addmmOp, [c, a, b], undefined);
}

/** A tensor as a matrix of rows. */
function rowsMatrix(x: Tensor): Matrix {
  return x.rank === 2 ? matrixOf(x) : { ptr: dense(x).ptr, row: x.dim(-1), column: 1 };
}

const swapped = ({ ptr, row, column }: Matrix): Matrix => ({ ptr, row: column, column: row });

/** Cotangents of x, W and b from that of x·Wᵀ + b: values only, equal to those of the rules below. */
function linearBackward(g: Tensor, [x, w, b]: Inputs, needs: readonly boolean[]): (Tensor | null)[] {
  const [input, weight] = [x as Tensor, w as Tensor];
  const { dtype } = g;
  const [n, k] = weight.shape as [number, number];
  const m = n === 0 ? 0 : g.size / n;
  const rows = rowsMatrix(g);
  const dx = needs[0] ? empty(input.shape, dtype) : null;
  if (dx && dx.size > 0) product(dtype, { m, n: k, k: n }, rows, matrixOf(weight), dx.ptr);
  const dw = needs[1] ? empty(weight.shape, dtype) : null;
  if (dw && dw.size > 0) product(dtype, { m: n, n: k, k: m }, swapped(rows), rowsMatrix(input), dw.ptr);
  const db = b && needs[2] ? empty([n], dtype) : null;
  if (db) call(sumAxis, dtype, 1, m, n, dense(g).ptr, db.ptr);
  return [dx, dw, db];
}

const linearRules: Primitive<void> = closedOp({
  name: "linear",
  forward([x, w, b]) {
    const weight = w as Tensor;
    const input = (x as Tensor).rank === 2 ? (x as Tensor) : dense(x as Tensor);
    const [n, k] = [weight.dim(0), weight.dim(1)];
    const y = empty(input.shape.with(-1, n), input.dtype);
    if (y.size === 0) return y;
    const bias = b ? dense(b).ptr : 0;
    product(y.dtype, { m: y.size / n, n, k }, rowsMatrix(input), swapped(matrixOf(weight)), y.ptr, { bias });
    return y;
  },
  vjp: [
    (g, _y, [_, w]) => matmul(g, w as Tensor),
    (g, _y, [x]) => matmul(transpose(rowsOf(g)), rowsOf(x as Tensor)),
    (g) => sum(rowsOf(g), { axis: 0 }),
  ],
  jvp: [
    (t, _y, [_, w]) => linear(t, w as Tensor),
    (t, y, [x]) => reshape(matmul(rowsOf(x as Tensor), transpose(t)), [t.dim(0), ...y.shape]),
    (t, y) => broadcastTo(lifted(t, y.rank), [t.dim(0), ...y.shape]),
  ],
});

const linearOp: Primitive<void> = {
  ...linearRules,
  vjp(cotangents, at) {
    const [g] = cotangents;
    const direct = g && !isGradEnabled() && dualLevel([g, ...at.inputs]) === 0;
    return direct ? linearBackward(g, at.inputs, at.needs) : linearRules.vjp(cotangents, at);
  },
};

/**
 * y = x·Wᵀ + b, the affine map of PyTorch's layers. The sums start from the bias.
 * @param x [..., I]
 * @param weight [O, I]
 * @param bias [O]
 * @returns [..., O]
 * @throws ShapeError when the sizes do not fit
 */
export function linear(x: Tensor, weight: Tensor, bias?: Tensor): Tensor {
  checkTensor("linear", x);
  checkTensor("linear", weight);
  const fits =
    x.rank > 0 &&
    weight.rank === 2 &&
    x.shape[x.rank - 1] === weight.shape[1] &&
    (!bias || (bias.rank === 1 && bias.shape[0] === weight.shape[0]));
  const alike = isFloat(x.dtype) && x.dtype === weight.dtype && (!bias || bias.dtype === x.dtype);
  if (!alike) checkOperands("linear", { x, weight, bias });
  if (!fits) expectShapes("linear", fits, "x [...,I], weight [O,I] and bias [O]", { x, weight, bias });
  return apply(linearOp, bias ? [x, weight, bias] : [x, weight], undefined);
}

/**
 * y_o = x1ᵀ·W_o·x2 + b_o.
 * @param x1 [..., I1]
 * @param x2 [..., I2], the same leading axes
 * @param weight [O, I1, I2]
 * @param bias [O]
 * @returns [..., O]
 * @throws ShapeError when the sizes do not fit
 */
export function bilinear(x1: Tensor, x2: Tensor, weight: Tensor, bias?: Tensor): Tensor {
  checkTensor("bilinear", x1);
  checkTensor("bilinear", x2);
  checkOperands("bilinear", { x1, x2, weight, bias });
  const lead = x1.shape.slice(0, -1);
  const [o, i1, i2] = weight.shape;
  const fits =
    weight.rank === 3 &&
    x1.rank > 0 &&
    x1.dim(-1) === i1 &&
    sameShape(x2.shape, [...lead, i2 as number]) &&
    (!bias || sameShape(bias.shape, [o as number]));
  expectShapes("bilinear", fits, "x1 [...,I1], x2 [...,I2], weight [O,I1,I2] and bias [O]", { x1, x2, weight, bias });
  const products = mul(matmul(rowsOf(x1), weight), rowsOf(x2));
  const y = reshape(transpose(sum(products, { axis: -1 })), [...lead, o as number]);
  return bias ? add(y, bias) : y;
}

export const primitives: Readonly<Record<string, Primitive<never>>> = { matmul: matmulOp, addmm: addmmOp, linear: linearOp };
