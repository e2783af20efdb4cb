/** Products with sparse matrices in compressed rows. x and the values have derivatives; the indices are constants. */

import { closedOp } from "../autodiff/define-op.ts";
import { apply, type Primitive } from "../autodiff/primitive.ts";
import { checkObject, checkOptions } from "../base/checks.ts";
import { isFloat } from "../base/dtype.ts";
import { ArgumentError, DTypeError, ShapeError } from "../base/errors.ts";
import { eye } from "../tensor/create.ts";
import { show, sizeOf } from "../tensor/shape.ts";
import { dense } from "../tensor/strided.ts";
import { checkInt32, checkTensor, empty, type Tensor, tensor } from "../tensor/tensor.ts";
import { call, view } from "../wasm/host.ts";
import { sparseColumns, sparseRows, sparseSamples } from "../wasm/kernels.gen.ts";
import { checkFloat } from "./reduction.ts";
import { stack, unstack } from "./shape.ts";

/** The positions of a sparse matrix's elements, in PyTorch's form and words (CSR). */
export interface SparsePattern {
  /** Rows and columns. */
  readonly size: readonly [rows: number, columns: number];
  /** int32 [rows + 1]: the elements of row i are those from crowIndices[i] up to crowIndices[i + 1]. */
  readonly crowIndices: Tensor;
  /** int32 [elements]: the column of each element. */
  readonly colIndices: Tensor;
}

/** A sparse matrix. */
export interface SparseMatrix extends SparsePattern {
  /** Float [elements]. */
  readonly values: Tensor;
}

// ---------------------------------------------------------------- checks

/** Patterns already checked, and their write counts at that time, since kernels trust the indices. */
interface Checked {
  readonly crowIndices: Tensor;
  readonly size: readonly [number, number];
  readonly writes: readonly [crow: number, col: number];
}

const known = new WeakMap<Tensor, Checked>();

const writesOf = ({ crowIndices, colIndices }: SparsePattern) => [crowIndices.storage.lastWrite, colIndices.storage.lastWrite] as const;

function isKnown(pattern: SparsePattern): boolean {
  const found = known.get(pattern.colIndices);
  if (found === undefined || found.crowIndices !== pattern.crowIndices) return false;
  const [now, then] = [writesOf(pattern), found.writes];
  return pattern.size[0] === found.size[0] && pattern.size[1] === found.size[1] && now[0] === then[0] && now[1] === then[1];
}

function checkIndices(op: string, name: string, indices: Tensor): void {
  checkTensor(op, indices);
  checkInt32(op, name, indices);
  if (indices.rank !== 1 || !indices.isContiguous)
    throw new ShapeError(`${op}: expected ${name} of one contiguous axis, got ${show(indices.shape)}`);
}

/** Checks a pattern unless it has been checked since the last write to it. */
function checkPattern(op: string, pattern: SparsePattern): void {
  checkObject(op, "the matrix", pattern);
  const { crowIndices, colIndices, size } = pattern;
  checkIndices(op, "crowIndices", crowIndices);
  checkIndices(op, "colIndices", colIndices);
  if (isKnown(pattern)) return;
  const [rows, columns] = size;
  if (crowIndices.size !== rows + 1) throw new ShapeError(`${op}: expected crowIndices [${rows + 1}], got ${show(crowIndices.shape)}`);
  const starts = view("int32", crowIndices.ptr, rows + 1);
  const ends = [starts[0], starts[rows]];
  if (ends[0] !== 0 || ends[1] !== colIndices.size || starts.some((start, i) => i > 0 && start < (starts[i - 1] as number))) {
    throw new ArgumentError(`${op}: expected crowIndices that rise from 0 to ${colIndices.size}, got ${ends.join(" to ")}`);
  }
  const outside = view("int32", colIndices.ptr, colIndices.size).find((j) => !(j >= 0 && j < columns));
  if (outside !== undefined) throw new ArgumentError(`${op}: expected colIndices in [0, ${columns - 1}], got ${outside}`);
  known.set(colIndices, { crowIndices, size: [rows, columns], writes: writesOf(pattern) });
}

/** @throws ShapeError, DTypeError, ArgumentError for anything but a sparse matrix @internal */
export function checkSparse(op: string, matrix: SparseMatrix): void {
  checkPattern(op, matrix);
  checkTensor(op, matrix.values);
  checkFloat(op, matrix.values);
  const n = matrix.colIndices.size;
  if (matrix.values.rank !== 1 || matrix.values.size !== n)
    throw new ShapeError(`${op}: expected values [${n}], got ${show(matrix.values.shape)}`);
}

// ---------------------------------------------------------------- the operations

interface Product {
  readonly pattern: SparsePattern;
  /** Whether to multiply x by A instead of Aᵀ. */
  readonly transposed: boolean;
}

const turned = ({ pattern, transposed }: Product): Product => ({ pattern, transposed: !transposed });

/** One result for each of K stacked tangents. */
const eachTangent = (t: Tensor, fn: (tangent: Tensor) => Tensor): Tensor => stack(unstack(t, 0).map(fn));

const sparseLinearOp: Primitive<Product> = closedOp<Product>({
  name: "sparseLinear",
  forward([input, values], { pattern, transposed }) {
    const x = dense(input as Tensor);
    const [m, n] = pattern.size;
    const y = empty(x.shape.with(-1, transposed ? n : m), x.dtype);
    const batch = sizeOf(x.shape.slice(0, -1));
    const kernel = transposed ? sparseColumns : sparseRows;
    call(kernel, y.dtype, batch, m, n, pattern.crowIndices.ptr, pattern.colIndices.ptr, dense(values as Tensor).ptr, x.ptr, y.ptr);
    return y;
  },
  vjp: [
    (g, _y, [_, values], product) => apply(sparseLinearOp, [g, values as Tensor], turned(product)),
    (g, _y, [x], product) => samples(g, x as Tensor, product),
  ],
  jvp: [
    (t, _y, [_, values], product) => apply(sparseLinearOp, [t, values as Tensor], product),
    (t, _y, [x], product) => eachTangent(t, (values) => apply(sparseLinearOp, [x as Tensor, values], product)),
  ],
});

/** Σ over samples of r_i·x_j for each element (i, j) of the pattern: the derivative with respect to the values. */
const sparseSamplesOp: Primitive<SparsePattern> = closedOp<SparsePattern>({
  name: "sparseSamples",
  forward([left, right], { size: [m, n], crowIndices, colIndices }) {
    const [r, x] = [dense(left as Tensor), dense(right as Tensor)];
    const y = empty([colIndices.size], x.dtype);
    call(sparseSamples, y.dtype, sizeOf(x.shape.slice(0, -1)), m, n, crowIndices.ptr, colIndices.ptr, r.ptr, x.ptr, y.ptr);
    return y;
  },
  vjp: [
    (g, _y, [_, x], pattern) => apply(sparseLinearOp, [x as Tensor, g], { pattern, transposed: false }),
    (g, _y, [r], pattern) => apply(sparseLinearOp, [r as Tensor, g], { pattern, transposed: true }),
  ],
  jvp: [
    (t, _y, [_, x], pattern) => eachTangent(t, (r) => apply(sparseSamplesOp, [r, x as Tensor], pattern)),
    (t, _y, [r], pattern) => eachTangent(t, (x) => apply(sparseSamplesOp, [r as Tensor, x], pattern)),
  ],
});

/** The cotangent of the values from that of the product and x. */
function samples(g: Tensor, x: Tensor, { pattern, transposed }: Product): Tensor {
  return apply(sparseSamplesOp, transposed ? [x, g] : [g, x], pattern);
}

export interface SparseLinearOptions {
  /** Whether to compute x·W instead of x·Wᵀ (default false). */
  readonly transposed?: boolean;
}

/**
 * y = x·Wᵀ for a sparse W [O, I], like `linear` for a dense one, but rows of eight elements (float64: four) or more are summed in another order.
 * Elements at the same position add up. Costs 2·elements operations per sample, whatever O and I are.
 * @param x [..., I]; [..., O] if transposed
 * @returns [..., O]; [..., I] if transposed
 * @throws ShapeError when the sizes do not fit, DTypeError for other dtypes, ArgumentError for indices out of range
 * @example sparseLinear(tensor([1, 2]), toSparse(tensor([[0, 3], [4, 0]]))).toArray() // [6, 4]
 */
export function sparseLinear(x: Tensor, weight: SparseMatrix, options: SparseLinearOptions = {}): Tensor {
  checkOptions("sparseLinear", options, ["transposed"]);
  checkTensor("sparseLinear", x);
  checkSparse("sparseLinear", weight);
  const { transposed = false } = options;
  const { values, crowIndices, colIndices, size } = weight;
  const inner = size[transposed ? 0 : 1];
  if (x.dtype !== values.dtype) throw new DTypeError(`sparseLinear: expected x of ${values.dtype}, as the values are, got ${x.dtype}`);
  if (x.rank === 0 || x.dim(-1) !== inner) throw new ShapeError(`sparseLinear: expected x [...,${inner}], got ${show(x.shape)}`);
  return apply(sparseLinearOp, [x, values], { pattern: { size, crowIndices, colIndices }, transposed });
}

/**
 * The non-zero elements of a matrix, without derivatives.
 * @param x float [rows, columns]
 * @example toSparse(tensor([[0, 3], [4, 0]])).colIndices.toArray() // [1, 0]
 */
export function toSparse(x: Tensor): SparseMatrix {
  checkTensor("toSparse", x);
  if (!isFloat(x.dtype)) throw new DTypeError(`toSparse: expected a float tensor, got ${x.dtype}`);
  if (x.rank !== 2) throw new ShapeError(`toSparse: expected a matrix, got ${show(x.shape)}`);
  const [rows, columns] = x.shape as [number, number];
  const elements = x.data();
  const starts = new Int32Array(rows + 1);
  const places: number[] = [];
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) if (elements[i * columns + j] !== 0) places.push(i * columns + j);
    starts[i + 1] = places.length;
  }
  const values = places.map((place) => elements[place] as number);
  return {
    size: [rows, columns],
    crowIndices: tensor(starts),
    colIndices: tensor(Int32Array.from(places, (place) => place % columns)),
    values: tensor(values, { dtype: x.dtype, shape: [values.length] }),
  };
}

/**
 * The full matrix; differentiable with respect to the values.
 * @example toDense(toSparse(tensor([[0, 3], [4, 0]]))).toArray() // [[0, 3], [4, 0]]
 */
export function toDense(matrix: SparseMatrix): Tensor {
  checkSparse("toDense", matrix);
  return sparseLinear(eye(matrix.size[0], matrix.size[0], matrix.values.dtype), matrix, { transposed: true });
}

export const primitives: Readonly<Record<string, Primitive<never>>> = { sparseLinear: sparseLinearOp, sparseSamples: sparseSamplesOp };
