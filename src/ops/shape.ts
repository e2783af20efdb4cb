/**
 * Operations that only move elements: reshaping, axes, windows, joining, padding.
 *
 * Whatever strides can express is a view that shares its source's memory. The results of these operations
 * are never written to, so nobody notices the sharing.
 */

import { closedOp } from "../autodiff/define-op.ts";
import { apply, applyAll, type Inputs, type Primitive } from "../autodiff/primitive.ts";
import { checkList, checkSizes } from "../base/checks.ts";
import { ArgumentError, DTypeError, ShapeError } from "../base/errors.ts";
import { full, zeros } from "../tensor/create.ts";
import { axisOf, checkShape, type Shape, sameShape, show } from "../tensor/shape.ts";
import { copyInto, dense } from "../tensor/strided.ts";
import { checkTensor, checkTensors, empty, type Tensor } from "../tensor/tensor.ts";
import { heldAs } from "../tensor/values.ts";
import { broadcastTo, reshape, viewOf } from "./broadcast.ts";

// ---------------------------------------------------------------- reshaping

const contiguousOp: Primitive<void> = closedOp({
  name: "contiguous",
  forward: ([x]) => dense(x as Tensor),
  vjp: (g) => g,
  jvp: (t) => t,
});

/** The same values in row-major order without gaps: x itself if possible, else a copy. */
export function contiguous(x: Tensor): Tensor {
  checkTensor("contiguous", x);
  return x.isContiguous ? x : apply(contiguousOp, [x], undefined);
}

/** Inserts an axis of length one, which becomes axis `axis` of the result. */
export function unsqueeze(x: Tensor, axis: number): Tensor {
  checkTensor("unsqueeze", x);
  return reshape(x, x.shape.toSpliced(axisOf("unsqueeze", axis, x.rank + 1), 0, 1));
}

/** Drops an axis if its length is one, or all axes of length one. */
export function squeeze(x: Tensor, axis?: number): Tensor {
  checkTensor("squeeze", x);
  if (axis === undefined)
    return reshape(
      x,
      x.shape.filter((d) => d !== 1),
    );
  const at = axisOf("squeeze", axis, x.rank);
  return x.shape[at] === 1 ? reshape(x, x.shape.toSpliced(at, 1)) : x;
}

// ---------------------------------------------------------------- axes

const permuteOp: Primitive<Shape> = closedOp<Shape>({
  name: "permute",
  forward: ([x], axes) => permuted(x as Tensor, axes),
  vjp: (g, _y, _x, axes) => apply(permuteOp, [g], inverse(axes)),
  jvp: (t, _y, _x, axes) => apply(permuteOp, [t], [0, ...axes.map((a) => a + 1)]),
});

function permuted(x: Tensor, axes: Shape): Tensor {
  const shape = new Array<number>(axes.length);
  const strides = new Array<number>(axes.length);
  for (let i = 0; i < axes.length; i++) {
    shape[i] = x.shape[axes[i] as number] as number;
    strides[i] = x.strides[axes[i] as number] as number;
  }
  return viewOf(x, shape, strides);
}

function inverse(axes: Shape): number[] {
  const out = new Array<number>(axes.length);
  for (let i = 0; i < axes.length; i++) out[axes[i] as number] = i;
  return out;
}

/**
 * Reorders the axes: axis i of the result is axis `axes[i]` of x. A view.
 * @throws ArgumentError unless `axes` names every axis once
 */
export function permute(x: Tensor, axes: readonly number[]): Tensor {
  checkTensor("permute", x);
  checkList("permute", "axes", axes);
  const order = axes.map((a) => axisOf("permute", a, x.rank));
  if (order.length !== x.rank || new Set(order).size !== x.rank) {
    throw new ArgumentError(`permute: expected axes to name each of ${x.rank} axes once, got ${show(axes)}`);
  }
  return apply(permuteOp, [x], order);
}

const SWAPPED: Shape = [1, 0];

/** Swaps two axes, by default the last two. A view. */
export function transpose(x: Tensor, a = -2, b = -1): Tensor {
  checkTensor("transpose", x);
  if (x.rank === 2 && a === -2 && b === -1) return apply(permuteOp, [x], SWAPPED);
  const first = axisOf("transpose", a, x.rank);
  const second = axisOf("transpose", b, x.rank);
  if (first === second) return x;
  const axes = x.shape.map((_, i) => i);
  axes[first] = second;
  axes[second] = first;
  return apply(permuteOp, [x], axes);
}

/** `broadcastTo`, where -1 keeps the dimension of x. */
export function expand(x: Tensor, shape: Shape): Tensor {
  checkTensor("expand", x);
  checkList("expand", "the shape", shape);
  const lead = shape.length - x.rank;
  return broadcastTo(
    x,
    shape.map((d, i) => (d === -1 ? (x.shape[i - lead] ?? -1) : d)),
  );
}

// ---------------------------------------------------------------- windows

/** A box within a tensor: start, step and number of its elements along each axis. */
interface Window {
  readonly starts: Shape;
  readonly steps: Shape;
  readonly shape: Shape;
}

function windowView(x: Tensor, { starts, steps, shape }: Window): Tensor {
  const strides = new Array<number>(shape.length);
  let offset = x.offset;
  for (let i = 0; i < shape.length; i++) {
    const stride = x.strides[i] as number;
    strides[i] = stride * (steps[i] as number);
    offset += stride * (starts[i] as number);
  }
  return viewOf(x, shape, strides, offset);
}

/** The same box in each of K stacked tensors. */
function stackedWindow(k: number, { starts, steps, shape }: Window): Window {
  return { starts: [0, ...starts], steps: [1, ...steps], shape: [k, ...shape] };
}

const windowOp: Primitive<Window> = closedOp<Window>({
  name: "slice",
  forward: ([x], window) => windowView(x as Tensor, window),
  vjp: (g, _y, [x], window) => embed(g, { window, shape: (x as Tensor).shape, value: 0 }),
  jvp: (t, _y, _x, window) => apply(windowOp, [t], stackedWindow(t.shape[0] as number, window)),
});

interface Embedding {
  readonly window: Window;
  /** Of the result. */
  readonly shape: Shape;
  /** Value outside the window. */
  readonly value: number;
}

/** Writes x into a window of a constant tensor: the transpose of taking a window. */
const embedOp: Primitive<Embedding> = closedOp<Embedding>({
  name: "embed",
  forward([x], { window, shape, value }) {
    const y = full(shape, value, (x as Tensor).dtype);
    copyInto(windowView(y, window), x as Tensor);
    return y;
  },
  vjp: (g, _y, _x, { window }) => apply(windowOp, [g], window),
  jvp(t, y, _x, { window }) {
    const k = t.shape[0] as number;
    return embed(t, { window: stackedWindow(k, window), shape: [k, ...y.shape], value: 0 });
  },
});

function embed(x: Tensor, params: Embedding): Tensor {
  return apply(embedOp, [x], params);
}

/** A bound of a slice, limited to [low, high]; negative values count from the end. */
function bound(value: number, n: number, low: number, high: number): number {
  return Math.min(high, Math.max(low, value < 0 ? value + n : value));
}

/** A window over part of one axis and all of the others. */
function oneAxisWindow(shape: Shape, axis: number, start: number, step: number, length: number): Window {
  const starts = new Array<number>(shape.length).fill(0);
  const steps = new Array<number>(shape.length).fill(1);
  starts[axis] = start;
  steps[axis] = step;
  return { starts, steps, shape: shape.with(axis, length) };
}

/**
 * Elements start, start + step, … before `end` of one axis, by Python's rules: negative bounds count from the end,
 * bounds beyond it are clipped. A view, but a negative step (whose default bounds are the last element and
 * "before the first") makes a copy.
 * @throws ArgumentError for a step of zero or values that are not whole
 * @example slice(xs, 0, 1) // all but the first
 */
export function slice(x: Tensor, axis: number, start?: number, end?: number, step = 1): Tensor {
  checkTensor("slice", x);
  const at = axisOf("slice", axis, x.rank);
  if (!Number.isInteger(start ?? 0) || !Number.isInteger(end ?? 0) || !Number.isInteger(step) || step === 0) {
    throw new ArgumentError(`slice: expected whole bounds and a step other than 0, got start ${start}, end ${end}, step ${step}`);
  }
  const n = x.shape[at] as number;
  const from = step > 0 ? bound(start ?? 0, n, 0, n) : bound(start ?? n - 1, n, -1, n - 1);
  const to = step > 0 ? bound(end ?? n, n, 0, n) : end === undefined ? -1 : bound(end, n, -1, n - 1);
  const length = Math.max(0, Math.ceil((to - from) / step));
  if (length === n && step === 1) return x;
  if (step > 0) return apply(windowOp, [x], oneAxisWindow(x.shape, at, length === 0 ? 0 : from, step, length));
  const lowest = length === 0 ? 0 : from + (length - 1) * step;
  return flip(apply(windowOp, [x], oneAxisWindow(x.shape, at, lowest, -step, length)), at);
}

interface Selection {
  readonly axis: number;
  readonly i: number;
}

function entryView(x: Tensor, axis: number, i: number): Tensor {
  return viewOf(x, x.shape.toSpliced(axis, 1), x.strides.toSpliced(axis, 1), x.offset + i * (x.strides[axis] as number));
}

const selectOp: Primitive<Selection> = closedOp<Selection>({
  name: "select",
  forward: ([x], { axis, i }) => entryView(x as Tensor, axis, i),
  vjp(g, _y, [x], { axis, i }) {
    const { shape } = x as Tensor;
    return embed(reshape(g, shape.with(axis, 1)), { window: oneAxisWindow(shape, axis, i, 1, 1), shape, value: 0 });
  },
  jvp: (t, _y, _x, { axis, i }) => apply(selectOp, [t], { axis: axis + 1, i }),
});

/**
 * Entry i of an axis, without that axis; a negative i counts from the end. A view.
 *
 * Its gradient is as large as x, so use `unstack` to walk over all entries of an axis.
 * @throws ArgumentError for an index out of range
 */
export function select(x: Tensor, axis: number, i: number): Tensor {
  checkTensor("select", x);
  const at = axisOf("select", axis, x.rank);
  const n = x.shape[at] as number;
  const entry = i < 0 ? i + n : i;
  if (!Number.isInteger(i) || entry < 0 || entry >= n) {
    throw new ArgumentError(`select: expected an index in [${-n}, ${n - 1}] for axis ${at} of x ${show(x.shape)}, got ${i}`);
  }
  return apply(selectOp, [x], { axis: at, i: entry });
}

// ---------------------------------------------------------------- joining and splitting

/** Replaces missing cotangents or tangents by zeros. */
function orZeros(parts: readonly (Tensor | null)[], like: (i: number) => Shape): Tensor[] | null {
  const some = parts.find((p) => p !== null && p !== undefined);
  if (!some) return null;
  return parts.map((p, i) => p ?? zeros(like(i), some.dtype));
}

/** The first axis of stacked tangents. */
function stackSize(tangents: readonly (Tensor | null)[]): number {
  for (const t of tangents) if (t) return t.shape[0] as number;
  return 0;
}

/** All entries of an axis; they share one shape and one list of strides. */
function entryViews(x: Tensor, axis: number): Tensor[] {
  const shape = x.shape.toSpliced(axis, 1);
  const strides = x.strides.toSpliced(axis, 1);
  const stride = x.strides[axis] as number;
  return Array.from({ length: x.shape[axis] as number }, (_, i) => viewOf(x, shape, strides, x.offset + i * stride));
}

const unstackOp: Primitive<number> = {
  name: "unstack",
  closed: true,
  forward: ([x], axis) => entryViews(x as Tensor, axis),
  vjp(gs, { outputs, params: axis }) {
    const parts = orZeros(gs, (i) => (outputs[i] as Tensor).shape);
    return [parts && (applyAll(stackOp, parts, axis)[0] as Tensor)];
  },
  jvp: ([t], { outputs, params: axis }) => (t ? applyAll(unstackOp, [t], axis + 1) : outputs.map(() => null)),
};

/**
 * The entries of an axis, as views without it. Use it to walk over time: it is one operation for any number of entries,
 * and its gradient stacks theirs once.
 * @example for (const x of unstack(xs, 0)) [y, state] = cell.step(x, state);
 */
export function unstack(x: Tensor, axis = 0): Tensor[] {
  checkTensor("unstack", x);
  const at = axisOf("unstack", axis, x.rank);
  return x.shape[at] === 0 ? [] : [...applyAll(unstackOp, [x], at)];
}

const stackOp: Primitive<number> = {
  name: "stack",
  closed: true,
  forward(xs, axis) {
    const first = xs[0] as Tensor;
    const y = empty(first.shape.toSpliced(axis, 0, xs.length), first.dtype);
    entryViews(y, axis).forEach((entry, i) => {
      copyInto(entry, xs[i] as Tensor);
    });
    return [y];
  },
  vjp: ([g], { inputs, params: axis }) => (g ? applyAll(unstackOp, [g], axis) : inputs.map(() => null)),
  jvp(ts, { outputs, inputs, params: axis }) {
    const k = stackSize(ts);
    const parts = orZeros(ts, (i) => [k, ...(inputs[i] as Tensor).shape]);
    return parts ? applyAll(stackOp, parts, axis + 1) : outputs.map(() => null);
  },
};

function checkAlike(op: string, xs: Inputs): Tensor {
  const first = xs[0];
  if (first === undefined) throw new ArgumentError(`${op}: expected at least one tensor, got none`);
  for (const x of xs)
    if (x.dtype !== first.dtype) throw new DTypeError(`${op}: expected tensors of one dtype, got ${first.dtype} and ${x.dtype}`);
  return first;
}

/**
 * Stacks tensors of one shape along a new axis.
 * @throws ShapeError when shapes differ; ArgumentError for an empty list
 */
export function stack(xs: readonly Tensor[], axis = 0): Tensor {
  checkTensors("stack", "xs", xs);
  const first = checkAlike("stack", xs);
  for (const x of xs) {
    if (!sameShape(x.shape, first.shape))
      throw new ShapeError(`stack: expected equal shapes, got ${show(first.shape)} and ${show(x.shape)}`);
  }
  return applyAll(stackOp, xs, axisOf("stack", axis, first.rank + 1))[0] as Tensor;
}

interface Parts {
  readonly axis: number;
  readonly sizes: Shape;
}

/** Splits an axis into consecutive stretches, as views. */
function stretches(x: Tensor, { axis, sizes }: Parts): Tensor[] {
  const stride = x.strides[axis] as number;
  let offset = x.offset;
  return sizes.map((n) => {
    const part = viewOf(x, x.shape.with(axis, n), x.strides, offset);
    offset += n * stride;
    return part;
  });
}

const splitOp: Primitive<Parts> = {
  name: "split",
  closed: true,
  forward: ([x], parts) => stretches(x as Tensor, parts),
  vjp(gs, { outputs, params: { axis } }) {
    const parts = orZeros(gs, (i) => (outputs[i] as Tensor).shape);
    return [parts && cat(parts, axis)];
  },
  jvp: ([t], { outputs, params: { axis, sizes } }) => (t ? applyAll(splitOp, [t], { axis: axis + 1, sizes }) : outputs.map(() => null)),
};

/**
 * Splits an axis into stretches, as views: of `size` entries each (the last may be shorter), or of the given sizes.
 * @throws ShapeError when the sizes do not add up
 */
export function split(x: Tensor, size: number | readonly number[], axis = 0): Tensor[] {
  checkTensor("split", x);
  const at = axisOf("split", axis, x.rank);
  const n = x.shape[at] as number;
  const sizes = typeof size === "number" ? evenSizes(n, size) : size;
  checkList("split", "sizes", sizes);
  if (sizes.reduce((a, b) => a + b, 0) !== n || sizes.some((s) => !(s >= 0 && Number.isInteger(s)))) {
    throw new ShapeError(`split: expected sizes that add up to ${n} (axis ${at} of x ${show(x.shape)}), got ${show(sizes)}`);
  }
  return [...applyAll(splitOp, [x], { axis: at, sizes })];
}

function evenSizes(n: number, size: number): number[] {
  checkSizes("split", { size });
  const count = Math.max(1, Math.ceil(n / size));
  return Array.from({ length: count }, (_, i) => Math.min(size, n - i * size));
}

/** Splits an axis into at most `chunks` stretches of equal length (the last may be shorter), as views. */
export function chunk(x: Tensor, chunks: number, axis = 0): Tensor[] {
  checkTensor("chunk", x);
  checkSizes("chunk", { chunks });
  const n = x.dim(axisOf("chunk", axis, x.rank));
  return n === 0 ? split(x, new Array<number>(chunks).fill(0), axis) : split(x, Math.ceil(n / chunks), axis);
}

const catOp: Primitive<number> = {
  name: "cat",
  closed: true,
  forward(xs, axis) {
    const first = xs[0] as Tensor;
    const sizes = xs.map((x) => x.shape[axis] as number);
    const total = sizes.reduce((a, b) => a + b);
    const y = empty(first.shape.with(axis, total), first.dtype);
    stretches(y, { axis, sizes }).forEach((part, i) => {
      copyInto(part, xs[i] as Tensor);
    });
    return [y];
  },
  vjp: ([g], { inputs, params: axis }) =>
    g
      ? split(
          g,
          inputs.map((x) => x.shape[axis] as number),
          axis,
        )
      : inputs.map(() => null),
  jvp(ts, { inputs, params: axis }) {
    const k = stackSize(ts);
    const parts = orZeros(ts, (i) => [k, ...(inputs[i] as Tensor).shape]);
    return [parts && cat(parts, axis + 1)];
  },
};

/**
 * Joins tensors along an axis.
 * @throws ShapeError when the other axes differ; ArgumentError for an empty list
 */
export function cat(xs: readonly Tensor[], axis = 0): Tensor {
  checkTensors("cat", "xs", xs);
  const first = checkAlike("cat", xs);
  const at = axisOf("cat", axis, first.rank);
  for (const x of xs) {
    if (x.rank !== first.rank || x.shape.some((d, i) => i !== at && d !== first.shape[i])) {
      throw new ShapeError(`cat: expected shapes equal but for axis ${at}, got ${show(first.shape)} and ${show(x.shape)}`);
    }
  }
  return applyAll(catOp, xs, at)[0] as Tensor;
}

// ---------------------------------------------------------------- order and padding

const flipOp: Primitive<Shape> = closedOp<Shape>({
  name: "flip",
  forward([x], axes) {
    const source = x as Tensor;
    if (source.size === 0) return viewOf(source, source.shape, source.strides);
    const starts = source.shape.map((n, i) => (axes.includes(i) ? n - 1 : 0));
    const steps = source.shape.map((_, i) => (axes.includes(i) ? -1 : 1));
    return dense(windowView(source, { starts, steps, shape: source.shape }));
  },
  vjp: (g, _y, _x, axes) => apply(flipOp, [g], axes),
  jvp: (t, _y, _x, axes) =>
    apply(
      flipOp,
      [t],
      axes.map((a) => a + 1),
    ),
});

/** Reverses the order along one axis or several. */
export function flip(x: Tensor, axis: number | readonly number[]): Tensor {
  checkTensor("flip", x);
  const axes = typeof axis === "number" ? [axis] : axis;
  checkList("flip", "axes", axes);
  return apply(
    flipOp,
    [x],
    axes.map((a) => axisOf("flip", a, x.rank)),
  );
}

interface Roll {
  readonly axis: number;
  /** Normalised to [0, length of the axis). */
  readonly shift: number;
}

const rollOp: Primitive<Roll> = closedOp<Roll>({
  name: "roll",
  forward([x], { axis, shift }) {
    const source = x as Tensor;
    const y = empty(source.shape, source.dtype);
    const rest = (source.shape[axis] as number) - shift;
    const [front, back] = stretches(source, { axis, sizes: [rest, shift] }) as [Tensor, Tensor];
    const [start, end] = stretches(y, { axis, sizes: [shift, rest] }) as [Tensor, Tensor];
    copyInto(start, back);
    copyInto(end, front);
    return y;
  },
  vjp: (g, _y, _x, { axis, shift }) => roll(g, -shift, axis),
  jvp: (t, _y, _x, { axis, shift }) => apply(rollOp, [t], { axis: axis + 1, shift }),
});

/** Moves every element `shift` places along an axis, around its end to the start. Without an axis, x is flattened for it. */
export function roll(x: Tensor, shift: number, axis?: number): Tensor {
  checkTensor("roll", x);
  if (!Number.isInteger(shift)) throw new ArgumentError(`roll: expected a whole shift, got ${shift}`);
  if (axis === undefined) return reshape(roll(reshape(x, [-1]), shift, 0), x.shape);
  const at = axisOf("roll", axis, x.rank);
  const n = x.shape[at] as number;
  const places = n === 0 ? 0 : ((shift % n) + n) % n;
  return places === 0 ? x : apply(rollOp, [x], { axis: at, shift: places });
}

/**
 * Surrounds x with a constant in x's dtype.
 * @param padding numbers of elements before and after, for each of the last axes, in the order of the axes
 * @throws DTypeError for a fractional value around int32
 * @example pad(x, [[1, 1], [0, 2]]) // [2,3] → [4,5]
 */
export function pad(x: Tensor, padding: readonly (readonly [before: number, after: number])[], value = 0): Tensor {
  checkTensor("pad", x);
  checkList("pad", "padding", padding);
  for (const amounts of padding) checkList("pad", "padding of an axis", amounts);
  const lead = x.rank - padding.length;
  if (lead < 0 || !padding.flat().every((n) => Number.isInteger(n) && n >= 0)) {
    throw new ArgumentError(`pad: expected whole non-negative amounts for at most ${x.rank} axes, got [${padding.map(show).join(",")}]`);
  }
  const amount = (i: number): readonly [number, number] => padding[i - lead] ?? [0, 0];
  const held = heldAs("pad", x.dtype, value);
  const starts = x.shape.map((_, i) => amount(i)[0]);
  const steps = x.shape.map(() => 1);
  const shape = x.shape.map((n, i) => n + amount(i)[0] + amount(i)[1]);
  return embed(x, { window: { starts, steps, shape: x.shape }, shape, value: held });
}

/**
 * Tiles x `repeats[i]` times along axis i; more repeats than axes add axes in front.
 * @example repeat(x, [2, 3]) // [2,2] → [4,6]
 */
export function repeat(x: Tensor, repeats: readonly number[]): Tensor {
  checkTensor("repeat", x);
  checkShape("repeat", repeats);
  const lead = repeats.length - x.rank;
  if (lead < 0) throw new ShapeError(`repeat: expected at least ${x.rank} repeats for x ${show(x.shape)}, got ${show(repeats)}`);
  const shape = [...new Array<number>(lead).fill(1), ...x.shape];
  const paired = shape.flatMap((n) => [1, n]);
  const tiled = shape.flatMap((n, i) => [repeats[i] as number, n]);
  return reshape(
    broadcastTo(reshape(x, paired), tiled),
    shape.map((n, i) => n * (repeats[i] as number)),
  );
}

// ---------------------------------------------------------------- matrices

/** Keeps a band of each matrix's diagonals, numbered from the main one upwards. */
interface Band {
  readonly lowest: number;
  readonly highest: number;
}

const bandOp: Primitive<Band> = closedOp<Band>({
  name: "band",
  forward([x], { lowest, highest }) {
    const source = x as Tensor;
    const y = zeros(source.shape, source.dtype);
    const rows = source.rank - 2;
    for (let row = 0; row < source.dim(-2); row++) {
      const start = Math.max(0, row + lowest);
      const end = Math.min(source.dim(-1), row + highest + 1);
      if (start >= end) continue;
      const kept = oneAxisWindow(source.shape.toSpliced(rows, 1), rows, start, 1, end - start);
      copyInto(windowView(entryView(y, rows, row), kept), windowView(entryView(source, rows, row), kept));
    }
    return y;
  },
  vjp: (g, _y, _x, band) => apply(bandOp, [g], band),
  jvp: (t, _y, _x, band) => apply(bandOp, [t], band),
});

function checkMatrices(op: string, x: Tensor): void {
  if (x.rank < 2) throw new ShapeError(`${op}: expected at least 2 axes, got x ${show(x.shape)}`);
}

/** The lower triangle of each matrix (last two axes), zeros above diagonal number `diagonal`. */
export function tril(x: Tensor, diagonal = 0): Tensor {
  checkTensor("tril", x);
  checkMatrices("tril", x);
  return apply(bandOp, [x], { lowest: Number.NEGATIVE_INFINITY, highest: diagonal });
}

/** The upper triangle of each matrix (last two axes), zeros below diagonal number `diagonal`. */
export function triu(x: Tensor, diagonal = 0): Tensor {
  checkTensor("triu", x);
  checkMatrices("triu", x);
  return apply(bandOp, [x], { lowest: diagonal, highest: Number.POSITIVE_INFINITY });
}

interface Diagonal {
  readonly offset: number;
  readonly rows: number;
  readonly columns: number;
}

/** Takes diagonal number `offset` of two axes, which it drops; the diagonal becomes the last axis. */
function diagonalView(x: Tensor, { offset, rows, columns }: Diagonal): Tensor {
  const height = x.shape[rows] as number;
  const width = x.shape[columns] as number;
  const length = Math.max(0, offset >= 0 ? Math.min(height, width - offset) : Math.min(height + offset, width));
  const down = x.strides[rows] as number;
  const across = x.strides[columns] as number;
  const rest = (list: Shape) => list.filter((_, i) => i !== rows && i !== columns);
  const skipped = length === 0 ? 0 : offset >= 0 ? offset * across : -offset * down;
  return viewOf(x, [...rest(x.shape), length], [...rest(x.strides), down + across], x.offset + skipped);
}

function stackedDiagonal({ offset, rows, columns }: Diagonal): Diagonal {
  return { offset, rows: rows + 1, columns: columns + 1 };
}

const diagonalOp: Primitive<Diagonal> = closedOp<Diagonal>({
  name: "diagonal",
  forward: ([x], where) => diagonalView(x as Tensor, where),
  vjp: (g, _y, [x], where) => apply(embedDiagonalOp, [g], { where, shape: (x as Tensor).shape }),
  jvp: (t, _y, _x, where) => apply(diagonalOp, [t], stackedDiagonal(where)),
});

interface DiagonalEmbedding {
  readonly where: Diagonal;
  /** Of the result. */
  readonly shape: Shape;
}

/** Writes x on a diagonal of a zero matrix: the transpose of taking the diagonal. */
const embedDiagonalOp: Primitive<DiagonalEmbedding> = closedOp<DiagonalEmbedding>({
  name: "embedDiagonal",
  forward([x], { where, shape }) {
    const y = zeros(shape, (x as Tensor).dtype);
    copyInto(diagonalView(y, where), x as Tensor);
    return y;
  },
  vjp: (g, _y, _x, { where }) => apply(diagonalOp, [g], where),
  jvp: (t, y, _x, { where }) => apply(embedDiagonalOp, [t], { where: stackedDiagonal(where), shape: [t.shape[0] as number, ...y.shape] }),
});

/**
 * Diagonal number `offset` (above the main one if positive) of the matrices that axes `rows` and `columns` span;
 * it becomes the last axis of the result. A view.
 */
export function diagonal(x: Tensor, offset = 0, rows = 0, columns = 1): Tensor {
  checkTensor("diagonal", x);
  const where = { offset, rows: axisOf("diagonal", rows, x.rank), columns: axisOf("diagonal", columns, x.rank) };
  if (where.rows === where.columns || !Number.isInteger(offset)) {
    throw new ArgumentError(`diagonal: expected two different axes and a whole offset, got ${rows}, ${columns}, ${offset}`);
  }
  return apply(diagonalOp, [x], where);
}

/** The primitives of this file, by name. */
export const primitives: Readonly<Record<string, Primitive<never>>> = {
  contiguous: contiguousOp,
  permute: permuteOp,
  slice: windowOp,
  embed: embedOp,
  select: selectOp,
  unstack: unstackOp,
  stack: stackOp,
  split: splitOp,
  cat: catOp,
  flip: flipOp,
  roll: rollOp,
  band: bandOp,
  diagonal: diagonalOp,
  embedDiagonal: embedDiagonalOp,
};
