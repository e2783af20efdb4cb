/**
 * Reading and writing through indices. An index is an int32 tensor without derivatives.
 *
 * Indices are checked here before a kernel runs, since kernels trust them.
 */

import { closedOp } from "../autodiff/define-op.ts";
import { apply, type Primitive } from "../autodiff/primitive.ts";
import { checkList, checkOptions } from "../base/checks.ts";
import { BYTES, type DType, isFloat } from "../base/dtype.ts";
import { ArgumentError, DTypeError, ShapeError } from "../base/errors.ts";
import { arange, full, zeros } from "../tensor/create.ts";
import { axisOf, broadcastShapes, type Shape, sameShape, show, sizeOf } from "../tensor/shape.ts";
import { copyInto, dense } from "../tensor/strided.ts";
import { checkInt32, checkTensor, empty, Tensor, tensor } from "../tensor/tensor.ts";
import { call, view } from "../wasm/host.ts";
import { addElements, addRows, gatherElements, gatherRows, scatterElements } from "../wasm/kernels.gen.ts";
import { mul } from "./arithmetic.ts";
import { broadcastTo, reshape } from "./broadcast.ts";
import { cast } from "./cast.ts";
import { clamp } from "./compare.ts";
import { permute, select, slice, unsqueeze } from "./shape.ts";

/** Sizes of the axes before, at and after one axis, as the kernels see a tensor. */
function around(shape: Shape, axis: number): [outer: number, n: number, inner: number] {
  return [sizeOf(shape.slice(0, axis)), shape[axis] as number, sizeOf(shape.slice(axis + 1))];
}

/** The index in row-major order; checks that every entry is within [0, n). @internal */
export function checkedIndex(op: string, index: Tensor, n: number): Tensor {
  checkTensor(op, index);
  checkInt32(op, "indices", index);
  const rows = dense(index);
  const values = view("int32", rows.ptr, rows.size);
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as number;
    if (value >= 0 && value < n) continue;
    throw new ArgumentError(
      `${op}: expected indices in [0, ${n - 1}], got ${value} at ${show(positionOf(i, index.shape))} of index ${show(index.shape)}`,
    );
  }
  return rows;
}

/** Coordinates of element i in row-major order. */
function positionOf(i: number, shape: Shape): number[] {
  const position = new Array<number>(shape.length);
  let rest = i;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    const n = shape[axis] as number;
    position[axis] = rest % n;
    rest = Math.floor(rest / n);
  }
  return position;
}

function checkFloat(op: string, x: Tensor): void {
  if (!isFloat(x.dtype)) throw new DTypeError(`${op}: expected a float tensor, got ${x.dtype}`);
}

function checkSameDType(op: string, x: Tensor, source: Tensor): void {
  checkTensor(op, source);
  if (x.dtype !== source.dtype) throw new DTypeError(`${op}: expected x and source of one dtype, got ${x.dtype} and ${source.dtype}`);
}

// ---------------------------------------------------------------- single elements

interface ElementIndex {
  readonly axis: number;
  /** Checked and in row-major order. */
  readonly index: Tensor;
}

/** The index for K stacked tangents. */
function stackedIndex({ axis, index }: ElementIndex, k: number): ElementIndex {
  return { axis: axis + 1, index: dense(broadcastTo(unsqueeze(index, 0), [k, ...index.shape])) };
}

/** The corner of x that an index covers: all of `axis`, and the index's length of the other axes. */
function covered(x: Tensor, { axis, index }: ElementIndex): Tensor {
  const shape = index.shape.map((n, i) => (i === axis ? (x.shape[i] as number) : n));
  return new Tensor(x.storage, x.dtype, shape, x.strides, x.offset);
}

const gatherOp: Primitive<ElementIndex> = closedOp<ElementIndex>({
  name: "gather",
  forward([x], where) {
    const source = dense(covered(x as Tensor, where));
    const { axis, index } = where;
    const [outer, n, inner] = around(source.shape, axis);
    const y = empty(index.shape, source.dtype);
    call(gatherElements, "int32", BYTES[y.dtype], outer, n, index.shape[axis] as number, inner, index.ptr, source.ptr, y.ptr);
    return y;
  },
  vjp: (g, _y, [x], { axis, index }) => apply(scatterAddOp, [g], { axis, index, shape: (x as Tensor).shape }),
  jvp: (t, _y, _x, where) => apply(gatherOp, [t], stackedIndex(where, t.shape[0] as number)),
});

/** Lets `write` change the part of y that an index covers; passes it in row-major order. */
function withCovered(y: Tensor, where: ElementIndex, write: (part: Tensor) => void): void {
  const part = covered(y, where);
  const rows = dense(part);
  write(rows);
  if (rows !== part) copyInto(part, rows);
}

interface Spread extends ElementIndex {
  /** Of the result. */
  readonly shape: Shape;
}

/** The start of a sum: a copy of x, or zeros without x. */
function startOf(x: Tensor | undefined, shape: Shape, dtype: DType): Tensor {
  if (x === undefined) return zeros(shape, dtype);
  const y = empty(shape, dtype);
  copyInto(y, x);
  return y;
}

/** Adds elements to x, or to zeros without a second input, each at its index. Without x it is the transpose of gather. */
const scatterAddOp: Primitive<Spread> = closedOp<Spread>({
  name: "scatterAdd",
  forward([s, x], where) {
    const source = dense(s as Tensor);
    const y = startOf(x, where.shape, source.dtype);
    const { axis, index } = where;
    withCovered(y, where, (part) => {
      const [outer, n, inner] = around(part.shape, axis);
      call(addElements, y.dtype, outer, n, index.shape[axis] as number, inner, index.ptr, source.ptr, part.ptr);
    });
    return y;
  },
  vjp: [(g, _y, _x, { axis, index }) => apply(gatherOp, [g], { axis, index }), (g) => g],
  jvp: [
    (t, y, _x, where) => {
      const k = t.shape[0] as number;
      return apply(scatterAddOp, [t], { ...stackedIndex(where, k), shape: [k, ...y.shape] });
    },
    (t) => t,
  ],
});

const scatterOp: Primitive<ElementIndex> = closedOp<ElementIndex>({
  name: "scatter",
  forward([x, s], where) {
    const [base, source] = [x as Tensor, dense(s as Tensor)];
    const y = startOf(base, base.shape, base.dtype);
    const { axis, index } = where;
    withCovered(y, where, (part) => {
      const [outer, n, inner] = around(part.shape, axis);
      call(scatterElements, "int32", BYTES[y.dtype], outer, n, index.shape[axis] as number, inner, index.ptr, source.ptr, part.ptr);
    });
    return y;
  },
  vjp: [
    (g, _y, _x, where) => apply(scatterOp, [g, zeros(where.index.shape, g.dtype)], where),
    (g, y, _x, where) => sourceCotangent(g, y.shape, where),
  ],
  jvp: [(t, _y, _x, where) => scatterStacked(t, null, where), (t, y, _x, where) => scatterStacked(null, t, where, y.shape)],
});

/** Scatters K stacked tangents, with zeros for a missing one. */
function scatterStacked(x: Tensor | null, source: Tensor | null, where: ElementIndex, shape: Shape = []): Tensor {
  const given = (x ?? source) as Tensor;
  const k = given.shape[0] as number;
  const base = x ?? zeros([k, ...shape], given.dtype);
  return apply(scatterOp, [base, source ?? zeros([k, ...where.index.shape], given.dtype)], stackedIndex(where, k));
}

/** Cotangents of the source: 0 for elements that a later one overwrote. */
function sourceCotangent(g: Tensor, shape: Shape, where: ElementIndex): Tensor {
  const { index } = where;
  const each = reshape(apply(gatherOp, [g], where), [index.size]);
  const survivors = { axis: 0, index: lastWriters(shape, where) };
  return reshape(apply(scatterOp, [zeros([index.size], g.dtype), each], survivors), index.shape);
}

/** For each element of the source, the index of the one that was written last to the same place. */
function lastWriters(shape: Shape, where: ElementIndex): Tensor {
  const { index } = where;
  const numbers = reshape(arange(0, index.size, 1, "int32"), index.shape);
  const written = apply(scatterOp, [full(shape, -1, "int32"), numbers], where);
  return reshape(apply(gatherOp, [written], where), [index.size]);
}

function checkElementIndex(op: string, x: Tensor, axis: number, index: Tensor): ElementIndex {
  const at = axisOf(op, axis, x.rank);
  if (index.rank !== x.rank || index.shape.some((n, i) => i !== at && n > (x.shape[i] as number))) {
    throw new ShapeError(`${op}: expected an index no larger than x ${show(x.shape)} but for axis ${at}, got ${show(index.shape)}`);
  }
  return { axis: at, index: checkedIndex(op, index, x.shape[at] as number) };
}

function checkSource(op: string, x: Tensor, index: Tensor, source: Tensor): void {
  checkSameDType(op, x, source);
  if (!sameShape(index.shape, source.shape)) {
    throw new ShapeError(`${op}: expected a source of the index's shape ${show(index.shape)}, got ${show(source.shape)}`);
  }
}

/**
 * y[i,j,…] = x[index[i,j,…],j,…] for axis 0; likewise for other axes.
 * @param index int32, of x's rank, no larger than x except along `axis`
 * @throws ArgumentError for an index that is out of range
 */
export function gather(x: Tensor, axis: number, index: Tensor): Tensor {
  checkTensor("gather", x);
  return apply(gatherOp, [x], checkElementIndex("gather", x, axis, index));
}

/**
 * A copy of x with y[index[i,j,…],j,…] = source[i,j,…] for axis 0; likewise for other axes.
 * If several elements go to one place, the last one in row-major order wins, and only it has a gradient.
 * @throws ArgumentError for an index that is out of range
 */
export function scatter(x: Tensor, axis: number, index: Tensor, source: Tensor): Tensor {
  checkTensor("scatter", x);
  checkSource("scatter", x, index, source);
  return apply(scatterOp, [x, source], checkElementIndex("scatter", x, axis, index));
}

/**
 * A copy of x with y[index[i,j,…],j,…] += source[i,j,…] for axis 0; likewise for other axes. Elements that go to one place add up.
 * @throws ArgumentError for an index that is out of range
 */
export function scatterAdd(x: Tensor, axis: number, index: Tensor, source: Tensor): Tensor {
  checkTensor("scatterAdd", x);
  checkFloat("scatterAdd", x);
  checkSource("scatterAdd", x, index, source);
  const where = checkElementIndex("scatterAdd", x, axis, index);
  return apply(scatterAddOp, [source, x], { ...where, shape: x.shape });
}

/** int32 indices for axis 2 of x [A,B,N]: each in the range, whatever it is, so that no host reads them and a step that makes them can be captured. */
function indexWithin(places: Tensor, n: number): ElementIndex {
  return { axis: 2, index: dense(cast(clamp(places, 0, n - 1), "int32")) };
}

/**
 * y[a,b,i] = x[a,b,places[a,b,i]] for x [A,B,N] and whole numbers in float places [A,B,M]; those out of range count as the nearest that is not.
 * @internal
 */
export function gatherWithin(x: Tensor, places: Tensor): Tensor {
  return apply(gatherOp, [x], indexWithin(places, x.dim(2)));
}

/** The transpose of `gatherWithin`: y[a,b,j] = Σ x[a,b,i] over all i whose place is j, for x [A,B,M]: [A,B,n]. @internal */
export function scatterSumWithin(x: Tensor, places: Tensor, n: number): Tensor {
  return apply(scatterAddOp, [x], { ...indexWithin(places, n), shape: [...x.shape.slice(0, 2), n] });
}

// ---------------------------------------------------------------- rows

interface RowIndex {
  readonly axis: number;
  /** Of one axis, checked and in row-major order. */
  readonly index: Tensor;
  /** The index for derivatives: negative for rows that count as constant. */
  readonly differentiable: Tensor;
}

interface RowScatter {
  readonly axis: number;
  readonly index: Tensor;
  /** Length of the axis in the result. */
  readonly n: number;
}

const indexSelectOp: Primitive<RowIndex> = closedOp<RowIndex>({
  name: "indexSelect",
  forward([x], { axis, index }) {
    const source = dense(x as Tensor);
    const [outer, n, inner] = around(source.shape, axis);
    const y = empty(source.shape.with(axis, index.size), source.dtype);
    call(gatherRows, "int32", outer, n, index.size, inner * BYTES[y.dtype], index.ptr, source.ptr, y.ptr);
    return y;
  },
  vjp: (g, _y, [x], { axis, differentiable }) => apply(addRowsOp, [g], { axis, index: differentiable, n: (x as Tensor).dim(axis) }),
  jvp: (t, _y, _x, { axis, differentiable }) => apply(indexSelectOp, [t], { axis: axis + 1, index: differentiable, differentiable }),
});

/** Adds rows to x, or to zeros without a second input, each to the row at its index. Without x it is the transpose of selecting rows. */
const addRowsOp: Primitive<RowScatter> = closedOp<RowScatter>({
  name: "addRows",
  forward([s, x], { axis, index, n }) {
    const source = dense(s as Tensor);
    const y = startOf(x, source.shape.with(axis, n), source.dtype);
    const [outer, , inner] = around(y.shape, axis);
    call(addRows, y.dtype, outer, n, index.size, inner, index.ptr, source.ptr, y.ptr);
    return y;
  },
  vjp: [(g, _y, _x, { axis, index }) => apply(indexSelectOp, [g], { axis, index, differentiable: index }), (g) => g],
  jvp: [(t, _y, _x, { axis, index, n }) => apply(addRowsOp, [t], { axis: axis + 1, index, n }), (t) => t],
});

function selectRows(op: string, x: Tensor, axis: number, index: Tensor): Tensor {
  const rows = reshape(checkedIndex(op, index, x.dim(axis)), [index.size]);
  return apply(indexSelectOp, [x], { axis, index: rows, differentiable: rows });
}

function checkRank1(op: string, index: Tensor): void {
  checkTensor(op, index);
  if (index.rank !== 1) throw new ShapeError(`${op}: expected an index of one axis, got ${show(index.shape)}`);
}

/**
 * Selects entries index[0], index[1], … of an axis.
 * @param index int32, one axis
 * @throws ArgumentError for an index that is out of range
 */
export function indexSelect(x: Tensor, axis: number, index: Tensor): Tensor {
  checkTensor("indexSelect", x);
  checkRank1("indexSelect", index);
  return selectRows("indexSelect", x, axisOf("indexSelect", axis, x.rank), index);
}

/**
 * x with entry i of `source` added to entry index[i] along an axis; repeated indices add up.
 * @throws ArgumentError for an index that is out of range
 */
export function indexAdd(x: Tensor, axis: number, index: Tensor, source: Tensor): Tensor {
  checkTensor("indexAdd", x);
  checkFloat("indexAdd", x);
  checkSameDType("indexAdd", x, source);
  checkRank1("indexAdd", index);
  const at = axisOf("indexAdd", axis, x.rank);
  const n = x.shape[at] as number;
  const expected = x.shape.with(at, index.size);
  if (!sameShape(source.shape, expected))
    throw new ShapeError(`indexAdd: expected a source of shape ${show(expected)}, got ${show(source.shape)}`);
  return apply(addRowsOp, [source, x], { axis: at, index: checkedIndex("indexAdd", index, n), n });
}

/**
 * Selects rows of the first axis by an index of any shape: y[i,…] = x[rows[i],…]. The index's axes replace the first axis.
 * @throws ArgumentError for an index that is out of range
 */
export function takeRows(x: Tensor, rows: Tensor): Tensor {
  checkTensor("takeRows", x);
  if (x.rank === 0) throw new ShapeError("takeRows: expected at least one axis, got a scalar");
  const y = selectRows("takeRows", x, 0, rows);
  return reshape(y, [...rows.shape, ...x.shape.slice(1)]);
}

/**
 * The transpose of `takeRows`: adds each row of x to the row of its index, in zeros of n rows.
 * @param rows int32, the leading axes of x
 * @throws ArgumentError for an index that is out of range
 * @internal
 */
export function scatterRows(x: Tensor, rows: Tensor, n: number): Tensor {
  checkFloat("scatterRows", x);
  if (!sameShape(rows.shape, x.shape.slice(0, rows.rank))) {
    throw new ShapeError(`scatterRows: expected rows of the shape of x's leading axes ${show(x.shape)}, got ${show(rows.shape)}`);
  }
  const index = reshape(checkedIndex("scatterRows", rows, n), [rows.size]);
  return apply(addRowsOp, [reshape(x, [rows.size, ...x.shape.slice(rows.rank)])], { axis: 0, index, n });
}

export interface EmbeddingLookupOptions {
  /** A row of `weight` that gets no gradient. */
  readonly paddingIdx?: number;
  /** Whether to divide each row's gradient by how often the index names the row (default false). */
  readonly scaleGradByFreq?: boolean;
}

/** The identity, whose cotangents and tangents are multiplied by a constant. */
const scaleSlopeOp: Primitive<Tensor> = closedOp<Tensor>({
  name: "scaleSlope",
  forward: ([x]) => (x as Tensor).detach(),
  vjp: (g, _y, _x, factor) => mul(g, factor),
  jvp: (t, _y, _x, factor) => mul(t, factor),
});

/**
 * Looks up rows of a table: y[…,:] = weight[index[…],:].
 * @param index int32, of any shape
 * @param weight [N,D]
 * @throws ArgumentError for an index that is out of range
 */
export function embedding(index: Tensor, weight: Tensor, options: EmbeddingLookupOptions = {}): Tensor {
  checkOptions("embedding", options, ["paddingIdx", "scaleGradByFreq"]);
  checkTensor("embedding", index);
  checkTensor("embedding", weight);
  if (weight.rank !== 2) throw new ShapeError(`embedding: expected weight [N,D], got ${show(weight.shape)}`);
  const n = weight.dim(0);
  const rows = reshape(checkedIndex("embedding", index, n), [index.size]);
  const { paddingIdx, scaleGradByFreq = false } = options;
  const differentiable = paddingIdx === undefined ? rows : withoutRow(rows, paddingIdx, n);
  const y = apply(indexSelectOp, [weight], { axis: 0, index: rows, differentiable });
  const scaled = scaleGradByFreq ? apply(scaleSlopeOp, [y], inverseCounts(rows, weight.dtype)) : y;
  return reshape(scaled, [...index.shape, weight.dim(1)]);
}

/** 1 / (number of occurrences in the index) for each row, [N,1]. */
function inverseCounts(rows: Tensor, dtype: DType): Tensor {
  const values = rows.data();
  const counts = new Map<number, number>();
  for (const row of values) counts.set(row, (counts.get(row) ?? 0) + 1);
  return tensor(
    Array.from(values, (row) => 1 / (counts.get(row) as number)),
    { shape: [rows.size, 1], dtype },
  );
}

/** The index with -1 in place of one row. */
function withoutRow(rows: Tensor, row: number, n: number): Tensor {
  const skipped = row < 0 ? row + n : row;
  if (!(Number.isInteger(row) && skipped >= 0 && skipped < n)) {
    throw new ArgumentError(`embedding: expected paddingIdx in [${-n}, ${n - 1}], got ${row}`);
  }
  return tensor(
    rows.data().map((i) => (i === skipped ? -1 : i)),
    { dtype: "int32" },
  );
}

/** The elements of x where `mask` is true, in row-major order, after broadcasting both: [number of them]. */
export function maskedSelect(x: Tensor, mask: Tensor): Tensor {
  checkTensor("maskedSelect", mask);
  if (mask.dtype !== "bool") throw new DTypeError(`maskedSelect: expected a bool mask, got ${mask.dtype}`);
  const shape = broadcastShapes("maskedSelect", x.shape, mask.shape);
  const chosen: number[] = [];
  broadcastTo(mask, shape)
    .data()
    .forEach((on, i) => {
      if (on) chosen.push(i);
    });
  return takeRows(reshape(broadcastTo(x, shape), [-1]), tensor(chosen, { shape: [chosen.length], dtype: "int32" }));
}

// ---------------------------------------------------------------- several axes at once

/** A stretch of an axis, as `slice` takes it. */
export interface Stretch {
  readonly start?: number;
  readonly end?: number;
  readonly step?: number;
}

/** How to index one axis: an entry, a stretch, an int32 tensor of entries, or null for the whole axis. */
export type IndexSpec = number | Stretch | Tensor | null;

interface Pick {
  readonly axis: number;
  readonly index: Tensor;
}

/**
 * x[specs…], one spec for each of the leading axes. Entries and stretches give views. Tensors broadcast together and pick
 * jointly; their axes go where the first of them was, or in front if other axes lie between. Negative values count from the end.
 * @throws ArgumentError for an index that is out of range
 * @example index(x, [{ start: 1 }, -1]) // x[1:, -1]
 * @example index(x, [i, j]) // x[i, j] for int32 tensors i and j
 */
export function index(x: Tensor, specs: readonly IndexSpec[]): Tensor {
  checkTensor("index", x);
  checkList("index", "specs", specs);
  if (specs.length > x.rank) throw new ShapeError(`index: expected at most ${x.rank} specs for x ${show(x.shape)}, got ${specs.length}`);
  const picks: Pick[] = [];
  let y = x;
  let axis = 0;
  for (const spec of specs) {
    if (typeof spec === "number") {
      y = select(y, axis, spec);
      continue;
    }
    if (spec instanceof Tensor) picks.push({ axis, index: spec });
    else if (spec !== null) y = slice(y, axis, spec.start, spec.end, spec.step);
    axis++;
  }
  return picks.length === 0 ? y : pickJointly(y, picks);
}

function pickJointly(x: Tensor, picks: readonly Pick[]): Tensor {
  const axes = picks.map((p) => p.axis);
  const adjacent = axes.every((a, i) => i === 0 || a === (axes[i - 1] as number) + 1);
  const y = adjacent ? x : permute(x, [...axes, ...[...x.shape.keys()].filter((a) => !axes.includes(a))]);
  const first = adjacent ? (axes[0] as number) : 0;
  const last = first + axes.length;
  const picked = picks.map((p) => p.index.shape).reduce((a, b) => broadcastShapes("index", a, b));
  const before = y.shape.slice(0, first);
  const after = y.shape.slice(last);
  const joint = jointIndex(y.shape.slice(first, last), picks, picked);
  const merged = reshape(y, [...before, sizeOf(y.shape.slice(first, last)), ...after]);
  const rows = apply(indexSelectOp, [merged], { axis: first, index: joint, differentiable: joint });
  return reshape(rows, [...before, ...picked, ...after]);
}

/** Picks on several axes as positions on these axes merged into one. */
function jointIndex(sizes: Shape, picks: readonly Pick[], shape: Shape): Tensor {
  const joint = new Int32Array(sizeOf(shape));
  picks.forEach(({ axis, index }, p) => {
    if (index.dtype !== "int32") throw new DTypeError(`index: expected an int32 tensor, got ${index.dtype}`);
    const n = sizes[p] as number;
    broadcastTo(index, shape)
      .data()
      .forEach((value, i) => {
        if (value < -n || value >= n) {
          throw new ArgumentError(
            `index: expected indices in [${-n}, ${n - 1}] for axis ${axis}, got ${value} at ${show(positionOf(i, shape))}`,
          );
        }
        joint[i] = (joint[i] as number) * n + (value < 0 ? value + n : value);
      });
  });
  return tensor(joint);
}

/** The primitives of this file, by name. */
export const primitives: Readonly<Record<string, Primitive<never>>> = {
  gather: gatherOp,
  scatter: scatterOp,
  scatterAdd: scatterAddOp,
  indexSelect: indexSelectOp,
  addRows: addRowsOp,
  scaleSlope: scaleSlopeOp,
};
