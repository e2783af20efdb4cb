/** Shared by the fused recurrences: packed rows, work space, and the scan in basic operations. */

import { checkWholes } from "../../base/checks.ts";
import { BYTES, type DType, isFloat } from "../../base/dtype.ts";
import { ArgumentError, DTypeError, ShapeError } from "../../base/errors.ts";
import { zeros } from "../../tensor/create.ts";
import { type Shape, sameShape, show } from "../../tensor/shape.ts";
import { copyOf } from "../../tensor/strided.ts";
import { checkTensor, empty, hostView, Tensor } from "../../tensor/tensor.ts";
import { call } from "../../wasm/host.ts";
import { packWeights } from "../../wasm/kernels.gen.ts";
import { recording } from "../../wasm/recorder.ts";
import { cat, slice } from "../shape.ts";

/** How the rows of a batch of sequences lie in memory, and in which direction they are walked. */
export interface PackedRows {
  /** Number of sequences that reach each step; never increases. */
  readonly batchSizes: readonly number[];
  /** Walks from each sequence's last step to its first. */
  readonly reverse?: boolean;
}

/** The names of `PackedRows`. @internal */
export const ROWS = ["batchSizes", "reverse"] as const;

/** One step: `count` rows from `row`. */
interface Step {
  readonly t: number;
  readonly row: number;
  readonly count: number;
}

/** The steps in the order of the walk. */
function walk({ batchSizes, reverse }: PackedRows): Step[] {
  let row = 0;
  const steps = batchSizes.map((count, t) => {
    const step = { t, row, count };
    row += count;
    return step;
  });
  return reverse ? steps.reverse() : steps;
}

// ---- For the kernels ----

/** Tables of operations in progress: the forward and the backward pass share one. */
const tables = new WeakMap<PackedRows, Tensor>();

/** The table of steps for the kernels: first row and number of rows of each, in the order of the walk. @internal */
export function stepTable(rows: PackedRows): Tensor {
  const known = tables.get(rows);
  if (known !== undefined && !known.storage.released && recording === null) return known;
  const table = newStepTable(rows);
  tables.set(rows, table);
  return table;
}

function newStepTable({ batchSizes, reverse }: PackedRows): Tensor {
  const T = batchSizes.length;
  const table = empty([T, 2], "int32");
  const entries = hostView(table);
  let row = 0;
  for (let t = 0; t < T; t++) {
    const at = 2 * (reverse ? T - 1 - t : t);
    const count = batchSizes[t] as number;
    entries[at] = row;
    entries[at + 1] = count;
    row += count;
  }
  return table;
}

/** A recurrent weight as the right operand (k × n) of a product; strides in elements. @internal */
export interface Weight {
  readonly ptr: number;
  readonly n: number;
  readonly k: number;
  readonly rowStride: number;
  readonly colStride: number;
}

/** Wᵀ for W [n,k], the operand of a forward step. @internal */
export function transposed(ptr: number, n: number, k: number): Weight {
  return { ptr, n, k, rowStride: 1, colStride: k };
}

/** W [k,n], the operand of a backward step. @internal */
export function plain(ptr: number, n: number, k: number): Weight {
  return { ptr, n, k, rowStride: n, colStride: 1 };
}

/**
 * Runs a kernel with work space: for the packed weights if more than one step uses them, then for `elements` more.
 * While a step is recorded, this function packs the weights, by calls of their own that a replay makes once. Then `packed` is
 * true, and the kernel gets no weight.
 * @internal
 */
export function withWorkSpace(
  dtype: DType,
  T: number,
  weights: readonly Weight[],
  elements: number,
  run: (work: number, packed: boolean) => void,
): void {
  const packed = recording !== null;
  const sizes = weights.map(({ n, k }) => (T > 1 || packed ? packedElements(n, k, dtype) : 0));
  const work = empty([sizes.reduce((a, b) => a + b, elements)], dtype);
  if (packed) packInto(work, weights, sizes);
  run(work.ptr, packed);
  work.dispose();
}

/** Number of elements of a k × n operand in panels of two vectors. */
function packedElements(n: number, k: number, dtype: DType): number {
  const panel = 32 / BYTES[dtype];
  return Math.ceil(n / panel) * panel * k;
}

function packInto(work: Tensor, weights: readonly Weight[], sizes: readonly number[]): void {
  let to = work.ptr;
  weights.forEach(({ ptr, n, k, rowStride, colStride }, i) => {
    call(packWeights, work.dtype, n, k, ptr, rowStride, colStride, to);
    to += (sizes[i] as number) * BYTES[work.dtype];
  });
}

/** The initial value of a running cotangent: the given one, or zeros. @internal */
export function running(g: Tensor | null | undefined, like: Tensor): Tensor {
  return g ? copyOf(g) : zeros(like.shape, like.dtype);
}

/** Address of an optional tensor; 0 for none. @internal */
export function pointer(x: Tensor | null | undefined): number {
  return x ? x.ptr : 0;
}

/** A matrix [rows, columns] within the residuals, starting at an element. @internal */
export function residual(saved: Tensor, rows: number, columns: number, offset: number): Tensor {
  return new Tensor(saved.storage, saved.dtype, [rows, columns], [columns, 1], offset);
}

// ---- The same in basic operations ----

/** Runs `step` over packed rows; sequences that have ended keep their state. The first state is the output. @internal */
export function scanRows(
  gx: Tensor,
  initial: readonly Tensor[],
  rows: PackedRows,
  step: (gx: Tensor, states: Tensor[]) => Tensor[],
): Tensor[] {
  const batch = (initial[0] as Tensor).dim(0);
  const ys = new Array<Tensor>(rows.batchSizes.length);
  let states = [...initial];
  for (const { t, row, count } of walk(rows)) {
    const active = count === batch ? states : states.map((s) => slice(s, 0, 0, count));
    const next = step(slice(gx, 0, row, row + count), active);
    ys[t] = next[0] as Tensor;
    states = count === batch ? next : states.map((s, i) => cat([next[i] as Tensor, slice(s, 0, count)]));
  }
  return [cat(ys), ...states];
}

// ---- Checks ----

/** @internal */
export function checkRows(op: string, { batchSizes }: PackedRows, batch: number): number {
  checkWholes(op, "batchSizes", batchSizes);
  if (batchSizes.length === 0) throw new ArgumentError(`${op}: expected batchSizes with at least one step, got none`);
  let before = batch;
  for (const count of batchSizes) {
    if (!(Number.isInteger(count) && count >= 0 && count <= before)) {
      throw new ArgumentError(`${op}: expected whole batchSizes from ${batch} that never rise, got ${show(batchSizes)}`);
    }
    before = count;
  }
  return batchSizes.reduce((a, b) => a + b, 0);
}

/** @internal */
export function checkInput(op: string, name: string, x: Tensor, shape: Shape, dtype: DType): void {
  checkTensor(op, x);
  if (!sameShape(x.shape, shape)) throw new ShapeError(`${op}: expected ${name} ${show(shape)}, got ${show(x.shape)}`);
  if (x.dtype !== dtype || !isFloat(dtype))
    throw new DTypeError(`${op}: expected ${name} of the float dtype of gx, got ${x.dtype} and ${dtype}`);
}

/** @internal */
export function checkMatrix(op: string, name: string, x: Tensor): readonly [number, number] {
  checkTensor(op, x);
  const [rows, columns] = x.shape;
  if (x.rank !== 2) throw new ShapeError(`${op}: expected ${name} of two axes, got ${show(x.shape)}`);
  return [rows as number, columns as number];
}
