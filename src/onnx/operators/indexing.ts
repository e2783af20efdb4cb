/** Operators that read and write by index, and those that find indices. Negative indices count from the end. */

import { checkLengths } from "../../base/checks.ts";
import { ArgumentError, ShapeError } from "../../base/errors.ts";
import { indexSelect } from "../../ops/gather.ts";
import { argmax, argmin } from "../../ops/reduce.ts";
import { axisOf, checkShape, type Shape, sameShape, show, sizeOf, stridesOf } from "../../tensor/shape.ts";
import { Tensor } from "../../tensor/tensor.ts";
import { checkRoom, HostArray, hostArray, indices, int64s, isDevice, listOf, numberOf, numbersOf, typeOf, type Value } from "../values.ts";
import { entryOf, like, reshaped, take } from "./host.ts";
import { type Operators, operator, plain } from "./operator.ts";

/** Indices of an axis of n elements, none negative. */
function counted(index: HostArray, n: number): HostArray {
  const wrong = index.data.find((i) => !(i >= -n && i < n));
  if (wrong !== undefined) throw new ArgumentError(`expected indices in [${-n}, ${n - 1}], got ${wrong}`);
  return index.data.some((i) => i < 0)
    ? new HostArray(
        "int64",
        index.shape,
        Float64Array.from(index.data, (i) => (i < 0 ? i + n : i)),
      )
    : index;
}

/** Entries of an axis by an index of any shape, whose axes come in the axis's place. */
function entriesOf(x: Value, at: number, given: HostArray): Value {
  const { shape } = x;
  const index = counted(given, shape[at] as number);
  const result = [...shape.slice(0, at), ...index.shape, ...shape.slice(at + 1)];
  if (x instanceof Tensor && index.size === 1) return reshaped(entryOf(x, at, index.data[0] as number), result);
  if (x instanceof Tensor) return reshaped(indexSelect(x, at, reshaped(indices(index, "indices"), [index.size]) as Tensor), result);
  const [n, inner] = [shape[at] as number, sizeOf(shape.slice(at + 1))];
  const positions = new Int32Array(sizeOf(result));
  let i = 0;
  for (let outer = 0; outer < sizeOf(shape.slice(0, at)); outer++) {
    for (const row of index.data) for (let k = 0; k < inner; k++) positions[i++] = (outer * n + row) * inner + k;
  }
  return take(x, positions, result);
}

const gather = operator(2, ({ attributes }) => {
  const axis = attributes.int("axis", 0);
  return ([x, given]) => entriesOf(x as Value, axisOf("axis", axis, (x as Value).rank), hostArray(given as Value, "indices"));
});

/** Where the elements of an index lie in x when each replaces its own coordinate along an axis. */
function elementPositions({ shape }: Value, index: HostArray, axis: number): Int32Array {
  const strides = stridesOf(shape);
  const own = stridesOf(index.shape);
  if (index.rank !== shape.length || index.shape.some((d, i) => i !== axis && d > (shape[i] as number))) {
    throw new ShapeError(`expected indices no larger than ${show(shape)} but for axis ${axis}, got ${show(index.shape)}`);
  }
  return Int32Array.from(index.data, (entry, i) => {
    let at = 0;
    for (const [k, stride] of strides.entries()) {
      const place = Math.floor(i / (own[k] as number)) % (index.shape[k] as number);
      at += stride * (k === axis ? entry : place);
    }
    return at;
  });
}

const gatherElements = operator(2, ({ attributes }) => {
  const axis = attributes.int("axis", 0);
  return ([x, given]) => {
    const value = x as Value;
    const at = axisOf("axis", axis, value.rank);
    const index = counted(hostArray(given as Value, "indices"), value.shape[at] as number);
    return take(value, elementPositions(value, index, at), index.shape);
  };
});

/** Where the elements of the blocks lie that rows of coordinates lead to, and the blocks' shape; `batch` leading axes are shared. */
function blocks({ shape }: Value, index: HostArray, batch: number): { positions: Int32Array; block: Shape } {
  const depth = index.shape.at(-1) ?? 0;
  if (index.rank === 0 || batch + depth > shape.length) {
    throw new ShapeError(`expected at most ${shape.length - batch} coordinates, got indices ${show(index.shape)}`);
  }
  if (!sameShape(shape.slice(0, batch), index.shape.slice(0, batch))) {
    throw new ShapeError(`expected ${batch} axes in common, got ${show(shape)} and ${show(index.shape)}`);
  }
  const strides = stridesOf(shape);
  const rows = sizeOf(index.shape.slice(0, -1));
  const rowsPerBatch = rows / sizeOf(shape.slice(0, batch));
  const batchSize = sizeOf(shape.slice(batch));
  const starts = Array.from({ length: rows }, (_, row) => {
    let at = Math.floor(row / rowsPerBatch) * batchSize;
    for (let k = 0; k < depth; k++) {
      const n = shape[batch + k] as number;
      const i = index.data[row * depth + k] as number;
      if (!(i >= -n && i < n)) throw new ArgumentError(`expected indices in [${-n}, ${n - 1}], got ${i}`);
      at += (i < 0 ? i + n : i) * (strides[batch + k] as number);
    }
    return at;
  });
  const block = shape.slice(batch + depth);
  const size = sizeOf(block);
  return { positions: Int32Array.from(starts.flatMap((start) => Array.from({ length: size }, (_, k) => start + k))), block };
}

const gatherND = operator(2, ({ attributes }) => {
  const batch = attributes.int("batch_dims", 0);
  return ([x, given]) => {
    const value = x as Value;
    const index = hostArray(given as Value, "indices");
    const { positions, block } = blocks(value, index, batch);
    return take(value, positions, [...index.shape.slice(0, -1), ...block]);
  };
});

type Reduction = "none" | "add" | "mul" | "max" | "min";
const REDUCTIONS: Readonly<Record<Reduction, (old: number, now: number) => number>> = {
  none: (_, now) => now,
  add: (old, now) => old + now,
  mul: (old, now) => old * now,
  max: Math.max,
  min: Math.min,
};
const reductionNames = Object.keys(REDUCTIONS) as Reduction[];

/** A copy with elements written at positions. */
function written(x: Value, positions: ArrayLike<number>, updates: Value, reduction: Reduction): Value {
  if (updates.size !== positions.length) throw new ShapeError(`expected ${positions.length} updates, got ${show(updates.shape)}`);
  const numbers = Float64Array.from(numbersOf(x));
  const now = numbersOf(updates);
  for (let i = 0; i < now.length; i++) {
    const at = positions[i] as number;
    numbers[at] = REDUCTIONS[reduction](numbers[at] as number, now[i] as number);
  }
  return like(x, x.shape, numbers);
}

const scatterElements = operator(3, ({ attributes }) => {
  const axis = attributes.int("axis", 0);
  const reduction = attributes.oneOf("reduction", reductionNames, "none");
  return ([x, given, updates]) => {
    const value = x as Value;
    const at = axisOf("axis", axis, value.rank);
    const index = counted(hostArray(given as Value, "indices"), value.shape[at] as number);
    return written(value, elementPositions(value, index, at), updates as Value, reduction);
  };
});

const scatterND = operator(3, ({ attributes }) => {
  const reduction = attributes.oneOf("reduction", reductionNames, "none");
  return ([x, given, updates]) => {
    const { positions } = blocks(x as Value, hostArray(given as Value, "indices"), 0);
    return written(x as Value, positions, updates as Value, reduction);
  };
});

// ---- Finding ----

/** Rows along an axis of the host's numbers: fn of the n elements of each. */
function rowsAlong(shape: Shape, axis: number, visit: (at: (i: number) => number, row: number, n: number) => void): void {
  const n = shape[axis] as number;
  const inner = sizeOf(shape.slice(axis + 1));
  for (let row = 0; row < sizeOf(shape.slice(0, axis)) * inner; row++) {
    const first = Math.floor(row / inner) * n * inner + (row % inner);
    visit((i) => first + i * inner, row, n);
  }
}

function best(data: ArrayLike<number>, at: (i: number) => number, n: number, sign: number, last: boolean): number {
  let found = 0;
  for (let i = 1; i < n; i++) {
    const difference = sign * ((data[at(i)] as number) - (data[at(found)] as number));
    if (difference > 0 || (last && difference === 0)) found = i;
  }
  return found;
}

function argument(sign: 1 | -1) {
  return operator(1, ({ attributes }) => {
    const axis = attributes.int("axis", 0);
    const keep = attributes.flag("keepdims", true);
    const last = attributes.flag("select_last_index");
    return ([x]) => {
      const value = x as Value;
      const at = axisOf("axis", axis, value.rank);
      const shape = keep ? value.shape.with(at, 1) : value.shape.toSpliced(at, 1);
      if (value.shape[at] === 0) throw new ShapeError(`expected elements along axis ${at}, got ${show(value.shape)}`);
      if (isDevice(value) && !last) return new HostArray("int64", shape, (sign > 0 ? argmax : argmin)(value, { axis: at }).data());
      const data = numbersOf(value);
      const out = new HostArray("int64", shape);
      rowsAlong(value.shape, at, (place, row, n) => {
        out.data[row] = best(data, place, n, sign, last);
      });
      return out;
    };
  });
}

/** The k largest or smallest along an axis with their indices; of equal ones the first. K is an attribute before 10. */
const topK = operator(1, (node) => {
  const { attributes, version } = node;
  const fixed = version < 10 ? attributes.int("k", 1) : undefined;
  const axis = attributes.int("axis", -1);
  const sign = attributes.flag("largest", true) ? -1 : 1;
  // Sorted is one of the orders that not sorted allows.
  attributes.flag("sorted", true);
  return ([x, given]) => {
    const value = x as Value;
    const k = fixed ?? numberOf(given as Value, "K");
    const at = axisOf("axis", axis, value.rank);
    if (!(k >= 0 && k <= (value.shape[at] as number))) throw new ArgumentError(`expected K in [0, ${value.shape[at]}], got ${k}`);
    const data = numbersOf(value);
    const index = new HostArray("int64", value.shape.with(at, k));
    const inner = sizeOf(value.shape.slice(at + 1));
    rowsAlong(value.shape, at, (place, row, n) => {
      const order = Array.from({ length: n }, (_, i) => i);
      order.sort((i, j) => sign * ((data[place(i)] as number) - (data[place(j)] as number)) || i - j);
      const first = Math.floor(row / inner) * k * inner + (row % inner);
      for (let i = 0; i < k; i++) index.data[first + i * inner] = order[i] as number;
    });
    return [take(value, elementPositions(value, index, at), index.shape), index];
  };
});

/** The coordinates of what is not zero: [rank, count]. */
const nonZero = plain(1, ([x]) => {
  const { shape, rank } = x as Value;
  const found: number[] = [];
  numbersOf(x as Value).forEach((v, i) => {
    if (v !== 0) found.push(i);
  });
  const strides = stridesOf(shape);
  const coordinates = shape.flatMap((d, axis) => found.map((i) => Math.floor(i / (strides[axis] as number)) % d));
  return int64s(coordinates, [rank, found.length]);
});

/** values[1] where the index is, values[0] elsewhere, along a new axis. */
const oneHot = operator(3, ({ attributes }) => {
  const axis = attributes.int("axis", -1);
  return ([given, depth, values]) => {
    const n = numberOf(depth as Value, "depth");
    const index = given as Value;
    const at = axisOf("axis", axis, index.rank + 1);
    const shape = index.shape.toSpliced(at, 0, n);
    checkShape("depth", shape);
    const [off, on] = numbersOf(values as Value) as unknown as [number, number];
    checkRoom(sizeOf(shape));
    const out = new Float64Array(sizeOf(shape)).fill(off);
    const inner = sizeOf(index.shape.slice(at));
    numbersOf(index).forEach((entry, i) => {
      const place = entry < 0 ? entry + n : entry;
      if (place >= 0 && place < n) out[(Math.floor(i / inner) * n + place) * inner + (i % inner)] = on;
    });
    return like(values as Value, shape, out);
  };
});

const cumSum = operator(2, ({ attributes }) => {
  const exclusive = attributes.flag("exclusive");
  const reverse = attributes.flag("reverse");
  return ([x, axis]) => {
    const value = x as Value;
    const at = axisOf("axis", numberOf(axis as Value, "axis"), value.rank);
    const data = numbersOf(value);
    const out = new Float64Array(data.length);
    const single = typeOf(value) === "float32" ? Math.fround : (v: number): number => v;
    rowsAlong(value.shape, at, (place, _, n) => {
      let sum = 0;
      for (let i = 0; i < n; i++) {
        const k = place(reverse ? n - 1 - i : i);
        const next = single(sum + (data[k] as number));
        out[k] = exclusive ? sum : next;
        sum = next;
      }
    });
    return like(value, value.shape, out);
  };
});

/** The first `lengths` entries of an axis of each sequence in reverse order. */
const reverseSequence = operator(2, ({ attributes }) => {
  const axes = [attributes.int("time_axis", 0), attributes.int("batch_axis", 1)];
  return ([x, lengths]) => {
    const value = x as Value;
    const [time, batch] = axes.map((axis) => axisOf("axis", axis, value.rank)) as [number, number];
    const strides = stridesOf(value.shape);
    const ends = listOf(lengths as Value, "sequence_lens");
    const [n, b] = [value.shape[time] as number, value.shape[batch] as number];
    checkLengths("sequence_lens", ends, b, n);
    const positions = Int32Array.from({ length: value.size }, (_, i) => {
      const t = Math.floor(i / (strides[time] as number)) % n;
      const end = ends[Math.floor(i / (strides[batch] as number)) % b] as number;
      return t < end ? i + (end - 1 - 2 * t) * (strides[time] as number) : i;
    });
    return take(value, positions, value.shape);
  };
});

/** The entries of an axis, or the elements, where the condition holds; what lies beyond the condition's end is left out. */
const compress = operator(2, ({ attributes }) => {
  const axis = attributes.int("axis", undefined);
  return ([x, condition]) => {
    const value = x as Value;
    const flat = axis === undefined ? reshaped(value, [value.size]) : value;
    const at = axisOf("axis", axis ?? 0, flat.rank);
    const chosen = Array.from(numbersOf(condition as Value)).flatMap((holds, i) => (holds ? [i] : []));
    if (chosen.some((i) => i >= (flat.shape[at] as number)))
      throw new ShapeError(`expected at most ${flat.shape[at]} conditions, got more`);
    return entriesOf(flat, at, int64s(chosen));
  };
});

export const indexing: Operators = {
  Compress: compress,
  Gather: gather,
  GatherElements: gatherElements,
  GatherND: gatherND,
  ScatterElements: scatterElements,
  Scatter: scatterElements,
  ScatterND: scatterND,
  ArgMax: argument(1),
  ArgMin: argument(-1),
  TopK: topK,
  NonZero: nonZero,
  OneHot: oneHot,
  CumSum: cumSum,
  ReverseSequence: reverseSequence,
};
