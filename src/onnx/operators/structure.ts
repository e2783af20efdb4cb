/**
 * Operators that move elements, and those that tell or make shapes.
 *
 * Axes, pads, starts, ends and splits are attributes in older versions and inputs in later ones: of Slice from 10, of Pad from 11, of
 * Squeeze, Unsqueeze and Split from 13.
 */

import { checkWholes } from "../../base/checks.ts";
import { ArgumentError, ShapeError } from "../../base/errors.ts";
import { cat, pad, tril, triu } from "../../ops/shape.ts";
import { full } from "../../tensor/create.ts";
import { axisOf, broadcastShapes, checkShape, type Shape, show, sizeOf, stridesOf } from "../../tensor/shape.ts";
import { Tensor, tensor } from "../../tensor/tensor.ts";
import { elementType, type Node } from "../model.ts";
import { checkRoom, HostArray, hostArray, int64s, listOf, numberOf, numbersOf, typeOf, type Value } from "../values.ts";
import { castTo } from "./elementwise.ts";
import { broadcastStrides, flattened, like, reshaped, stridesIn, take, viewOf, walk } from "./host.ts";
import { listInput, type Operators, operator, plain, unsupported } from "./operator.ts";

function axesOf(axes: readonly number[], rank: number): number[] {
  return axes.map((axis) => axisOf("axes", axis, rank));
}

// ---- Shapes ----

/** The sizes of a reshape: 0 stands for the size that was there (unless `zeros`), -1 for what is left. */
function resolved(sizes: readonly number[], { shape, size }: Value, zeros: boolean): number[] {
  const known = sizes.map((d, axis) => (d === 0 && !zeros ? (shape[axis] ?? 0) : d));
  const rest = known.reduce((product, d) => (d === -1 ? product : product * d), 1);
  const result = known.map((d) => (d === -1 ? (rest === 0 ? 0 : size / rest) : d));
  if (sizeOf(result) !== size || !result.every((d) => Number.isInteger(d) && d >= 0)) {
    throw new ShapeError(`expected a shape of ${size} elements, got ${show(sizes)} for ${show(shape)}`);
  }
  return result;
}

const reshape = operator(2, ({ attributes }) => {
  const zeros = attributes.flag("allowzero");
  return ([x, shape]) => reshaped(x as Value, resolved(listOf(shape as Value, "shape"), x as Value, zeros));
});

const flatten = operator(1, ({ attributes }) => {
  const axis = attributes.int("axis", 1);
  return ([x]) => flattened(x as Value, axis);
});

const squeeze = operator(1, (node) => {
  const axes = listInput(node, "axes", 13, 1);
  return (inputs) => {
    const [x] = inputs as [Value];
    const dropped = axesOf(axes(inputs) ?? x.shape.flatMap((d, axis) => (d === 1 ? [axis] : [])), x.rank);
    const long = dropped.find((axis) => x.shape[axis] !== 1);
    if (long !== undefined) throw new ShapeError(`expected a length of 1 along axis ${long}, got ${show(x.shape)}`);
    return reshaped(
      x,
      x.shape.filter((_, axis) => !dropped.includes(axis)),
    );
  };
});

const unsqueeze = operator(1, (node) => {
  const axes = listInput(node, "axes", 13, 1);
  return (inputs) => {
    const [x] = inputs as [Value];
    const given = axes(inputs) ?? [];
    const rank = x.rank + given.length;
    const made = new Set(axesOf(given, rank));
    if (made.size !== given.length) throw new ArgumentError(`expected different axes, got ${show(given)}`);
    const sizes = x.shape.values();
    return reshaped(
      x,
      Array.from({ length: rank }, (_, axis) => (made.has(axis) ? 1 : (sizes.next().value as number))),
    );
  };
});

const transpose = operator(1, ({ attributes }) => {
  const perm = attributes.ints("perm");
  return ([x]) => {
    const { shape, rank } = x as Value;
    const axes = axesOf(perm ?? shape.map((_, i) => rank - 1 - i), rank);
    if (axes.length !== rank || new Set(axes).size !== rank) {
      throw new ArgumentError(`expected perm to name each of ${rank} axes once, got ${show(axes)}`);
    }
    const strides = stridesIn(x as Value);
    return viewOf(
      x as Value,
      axes.map((axis) => shape[axis] as number),
      axes.map((axis) => strides[axis] as number),
    );
  };
});

/** x repeated along axes of length 1: seen so, not copied. */
function expanded(x: Value, shape: Shape): Value {
  checkShape("expand", shape);
  return viewOf(x, shape, broadcastStrides(x.shape, stridesIn(x), shape));
}

const expand = plain(2, ([x, shape]) =>
  expanded(x as Value, broadcastShapes("expand", (x as Value).shape, listOf(shape as Value, "shape"))),
);

const shapeOperator = operator(1, ({ attributes }) => {
  const start = attributes.int("start", 0);
  const end = attributes.int("end", undefined);
  return ([x]) => int64s((x as Value).shape.slice(start, end));
});

// ---- Parts ----

interface Cut {
  readonly axis: number;
  readonly start: number;
  readonly step: number;
  readonly count: number;
}

/** What Python's rules make of start, end and step on an axis of n elements. */
function cutOf(axis: number, n: number, start: number, end: number, step: number): Cut {
  if (!(Number.isInteger(step) && step !== 0)) throw new ArgumentError(`expected steps other than 0, got ${step}`);
  const [low, high] = step > 0 ? [0, n] : [-1, n - 1];
  const bound = (at: number): number => Math.min(Math.max(at < 0 ? at + n : at, low), high);
  const [from, to] = [bound(start), bound(end)];
  return { axis, start: from, step, count: Math.max(0, Math.ceil((to - from) / step)) };
}

/** The elements that cuts leave, each of another axis. */
function cut(x: Value, cuts: readonly Cut[]): Value {
  const shape = [...x.shape];
  const own = x instanceof Tensor && cuts.some(({ step }) => step < 0) ? null : stridesIn(x);
  const strides = [...(own ?? stridesOf(x.shape))];
  let offset = 0;
  for (const { axis, start, step, count } of cuts) {
    if (count > 0) offset += start * (strides[axis] as number);
    shape[axis] = count;
    strides[axis] = (strides[axis] as number) * step;
  }
  return own ? viewOf(x, shape, strides, sizeOf(shape) === 0 ? 0 : offset) : take(x, walk(shape, strides, offset), shape);
}

const slice = operator(1, (node) => {
  const lists = ["starts", "ends", "axes", "steps"].map((name, i) => listInput(node, name, 10, i + 1));
  return (inputs) => {
    const [x] = inputs as [Value];
    const [starts = [], ends = [], given, steps = []] = lists.map((list) => list(inputs));
    const axes = given ?? starts.map((_, i) => i);
    if (ends.length !== starts.length || axes.length !== starts.length) {
      throw new ShapeError(`expected as many starts, ends and axes, got ${starts.length}, ${ends.length} and ${axes.length}`);
    }
    const cuts = axesOf(axes, x.rank).map((axis, i) =>
      cutOf(axis, x.shape[axis] as number, starts[i] as number, ends[i] as number, steps[i] ?? 1),
    );
    return cut(x, cuts);
  };
});

/** Sizes of n elements in `parts` parts: equal ones, but that the last may be smaller. */
function evenSizes(n: number, parts: number): number[] {
  const size = Math.ceil(n / parts);
  return Array.from({ length: parts }, (_, i) => Math.max(0, Math.min(size, n - i * size)));
}

const split = operator(1, (node) => {
  const sizes = listInput(node, "split", 13, 1);
  const axis = node.attributes.int("axis", 0);
  const parts = node.attributes.int("num_outputs", node.outputs.length);
  if (parts !== node.outputs.length) unsupported(node, `${parts} num_outputs for ${node.outputs.length} outputs`);
  return (inputs) => {
    const [x] = inputs as [Value];
    const at = axisOf("axis", axis, x.rank);
    const n = x.shape[at] as number;
    const counts = sizes(inputs) ?? evenSizes(n, parts);
    checkWholes("split", "split", counts);
    if (counts.reduce((a, b) => a + b, 0) !== n) throw new ShapeError(`expected parts that add up to ${n}, got ${show(counts)}`);
    let start = 0;
    return counts.map((count) => {
      start += count;
      return cut(x, [{ axis: at, start: start - count, step: 1, count }]);
    });
  };
});

/** Values one after the other along an axis. */
export function joined(values: readonly Value[], axis: number): Value {
  if (values.every((value) => value instanceof Tensor)) return cat(values as Tensor[], axis);
  const parts = values.map((value) => hostArray(value, "concat"));
  const [first] = parts as [HostArray];
  const at = axisOf("axis", axis, first.rank);
  const total = parts.reduce((sum, { shape }) => sum + (shape[at] as number), 0);
  const wrong = parts.find(({ shape, type }) => type !== first.type || show(shape.with(at, 0)) !== show(first.shape.with(at, 0)));
  if (wrong)
    throw new ShapeError(`expected one type and shapes equal but for axis ${at}, got ${show(first.shape)} and ${show(wrong.shape)}`);
  const out = new HostArray(first.type, first.shape.with(at, total));
  const row = sizeOf(first.shape.slice(at + 1));
  let column = 0;
  for (const { shape, data } of parts) {
    const width = (shape[at] as number) * row;
    for (let i = 0; i < sizeOf(shape.slice(0, at)); i++) {
      out.data.set(data.subarray(i * width, (i + 1) * width), i * total * row + column);
    }
    column += width;
  }
  return out;
}

const concat = operator(1, ({ attributes }) => {
  const axis = attributes.int("axis", 1);
  return (inputs) => joined(inputs as Value[], axis);
});

/** Every axis as often as it says; an axis read with stride 0 in front of each. */
const tile = plain(2, ([x, repeats]) => {
  const { shape } = x as Value;
  const times = listOf(repeats as Value, "repeats");
  if (times.length !== shape.length) throw new ShapeError(`expected ${shape.length} repeats, got ${times.length}`);
  const strides = stridesIn(x as Value);
  const pairs = shape.map((d, axis) => [times[axis] as number, d]);
  checkShape("tile", pairs.flat());
  const seen = viewOf(
    x as Value,
    pairs.flat(),
    strides.flatMap((stride) => [0, stride]),
  );
  return reshaped(
    seen,
    pairs.map(([n, d]) => (n as number) * (d as number)),
  );
});

// ---- Padding ----

type PadMode = "constant" | "reflect" | "edge" | "wrap";

/** Where place i of a padded axis of n elements is read; -1 for nowhere. */
const SOURCES: Readonly<Record<PadMode, (i: number, n: number) => number>> = {
  constant: (i, n) => (i >= 0 && i < n ? i : -1),
  edge: (i, n) => Math.min(Math.max(i, 0), n - 1),
  wrap: (i, n) => ((i % n) + n) % n,
  reflect: (i, n) => {
    const period = Math.max(1, 2 * (n - 1));
    const at = ((i % period) + period) % period;
    return at < n ? at : period - at;
  },
};

/** The positions of a grid that reads place `places[axis][i]` along each axis; -1 wherever one of them is. */
export function gridOf(shape: Shape, places: readonly (readonly number[])[]): Int32Array {
  const strides = stridesOf(shape);
  const sizes = places.map((list) => list.length);
  checkRoom(sizeOf(sizes));
  let positions = [0];
  places.forEach((list, axis) => {
    positions = positions.flatMap((at) => list.map((place) => (place < 0 || at < 0 ? -1 : at + place * (strides[axis] as number))));
  });
  return Int32Array.from(positions);
}

/** Elements before and after each axis, cut away where negative. */
function padded(x: Value, before: readonly number[], after: readonly number[], mode: PadMode, value: number): Value {
  const total = x.shape.map((d, axis) => d + (before[axis] as number) + (after[axis] as number));
  if (total.some((d) => d < 0)) throw new ShapeError(`expected pads that leave something of ${show(x.shape)}, got sizes ${show(total)}`);
  checkShape("pad", total);
  if (mode === "constant" && x instanceof Tensor && [...before, ...after].every((n) => n >= 0)) {
    return pad(
      x,
      before.map((n, axis) => [n, after[axis] as number]),
      value,
    );
  }
  checkRoom(Math.max(sizeOf(total), ...total));
  const places = x.shape.map((d, axis) => {
    const list = Array.from({ length: total[axis] as number }, (_, i) => SOURCES[mode](i - (before[axis] as number), d));
    if (mode !== "constant" && d === 0 && list.length > 0) throw new ShapeError(`expected elements to ${mode}, got ${show(x.shape)}`);
    return list;
  });
  const positions = gridOf(x.shape, places);
  if (mode !== "constant") return take(x, positions, total);
  const source = numbersOf(x);
  return like(
    x,
    total,
    Float64Array.from(positions, (at) => (at < 0 ? value : (source[at] as number))),
  );
}

const padOperator = operator(1, (node) => {
  const { attributes, version } = node;
  const mode = attributes.oneOf<PadMode>("mode", ["constant", "reflect", "edge", "wrap"], "constant");
  const pads = listInput(node, "pads", 11, 1);
  const fixed = version < 11 ? attributes.float("value", 0) : 0;
  return (inputs) => {
    const [x, , value, axes] = inputs as [Value, Value, Value | null | undefined, Value | null | undefined];
    const amounts = pads(inputs) ?? [];
    const padding = axes ? axesOf(listOf(axes, "axes"), x.rank) : x.shape.map((_d, axis) => axis);
    if (amounts.length !== 2 * padding.length) throw new ShapeError(`expected ${2 * padding.length} pads, got ${amounts.length}`);
    const [before, after] = [0, padding.length].map((from) => {
      const list = new Array<number>(x.rank).fill(0);
      padding.forEach((axis, i) => {
        list[axis] = amounts[from + i] as number;
      });
      return list;
    }) as [number[], number[]];
    return padded(x, before, after, mode, value ? numberOf(value, "constant_value") : fixed);
  };
});

// ---- Triangles ----

/** The upper or lower triangle of each matrix, zeros elsewhere; diagonal k belongs to it. */
const trilu = operator(1, ({ attributes }) => {
  const upper = attributes.flag("upper", true);
  return ([x, diagonal]) => {
    const value = x as Value;
    const k = diagonal ? numberOf(diagonal, "k") : 0;
    if (value instanceof Tensor) return upper ? triu(value, k) : tril(value, k);
    const [rows, columns] = value.shape.slice(-2) as [number, number];
    const kept = value.data.map((v, i) => {
      const off = (i % columns) - (Math.floor(i / columns) % rows);
      return (upper ? off >= k : off <= k) ? v : 0;
    });
    return new HostArray(value.type, value.shape, kept);
  };
});

/** Ones on a diagonal, in the shape of a matrix and of its type unless another is named. */
const eyeLike = operator(1, (node) => {
  const { attributes } = node;
  const k = attributes.int("k", 0);
  const code = attributes.int("dtype", 0);
  const type = code === 0 ? undefined : elementType(code, node.label);
  return ([x]) => {
    const { shape, rank } = x as Value;
    if (rank !== 2) throw new ShapeError(`expected a matrix, got ${show(shape)}`);
    const [rows, columns] = shape as [number, number];
    const ones = new HostArray("bool", shape);
    for (let i = Math.max(0, -k); i < Math.min(rows, columns - k); i++) ones.data[i * columns + i + k] = 1;
    return castTo(ones, type ?? typeOf(x as Value));
  };
});

// ---- Constants ----

/** Float32 zeros unless the node says otherwise. */
const constantOfShape = operator(1, ({ attributes }) => {
  const value = attributes.tensor("value") ?? new HostArray("bool", [1]);
  const type = attributes.has("value") ? typeOf(value) : "float32";
  const number = numberOf(value, "value");
  return ([shape]) => {
    const sizes = listOf(shape as Value, "shape");
    checkShape("shape", sizes);
    if (type === "float32" || type === "float64") return full(sizes, number, type);
    const out = new HostArray(type, sizes);
    out.data.fill(number);
    return out;
  };
});

function constantValue(node: Node): Value {
  const { attributes } = node;
  const value = attributes.tensor("value");
  if (value !== undefined) return value;
  const float = attributes.float("value_float", undefined);
  if (float !== undefined) return tensor(float);
  const whole = attributes.int("value_int", undefined);
  if (whole !== undefined) return int64s([whole], []);
  const floats = attributes.floats("value_floats");
  if (floats !== undefined) return tensor(Float32Array.from(floats));
  const wholes = attributes.ints("value_ints");
  return wholes === undefined ? unsupported(node, "a constant that is text or sparse") : int64s(wholes);
}

const range = plain(3, (inputs) => {
  const [start, limit, delta] = inputs.map((value) => numberOf(value as Value, "a bound")) as [number, number, number];
  const count = Math.max(0, Math.ceil((limit - start) / delta));
  if (!Number.isFinite(count)) throw new ArgumentError(`expected finite bounds and a step other than 0, got ${start}, ${limit}, ${delta}`);
  checkRoom(count);
  const values = Float64Array.from({ length: count }, (_, i) => start + i * delta);
  return like(inputs[0] as Value, [count], values);
});

export const structure: Operators = {
  Reshape: reshape,
  Flatten: flatten,
  Squeeze: squeeze,
  Unsqueeze: unsqueeze,
  Transpose: transpose,
  Expand: expand,
  Shape: shapeOperator,
  Size: plain(1, ([x]) => int64s([(x as Value).size], [])),
  Slice: slice,
  Split: split,
  Concat: concat,
  Tile: tile,
  Pad: padOperator,
  ConstantOfShape: constantOfShape,
  Constant: operator(0, (node) => {
    const value = constantValue(node);
    return () => value;
  }),
  Range: range,
  Trilu: trilu,
  EyeLike: eyeLike,
};
