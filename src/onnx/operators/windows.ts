/** Windows over the spatial axes of [N,C,…]: pooling and resizing. */

import { checkWholes } from "../../base/checks.ts";
import { ShapeError } from "../../base/errors.ts";
import { div } from "../../ops/arithmetic.ts";
import { sum } from "../../ops/broadcast.ts";
import { amax, mean } from "../../ops/reduce.ts";
import { contiguous, pad } from "../../ops/shape.ts";
import { type Shape, show, sizeOf } from "../../tensor/shape.ts";
import { Tensor, tensor } from "../../tensor/tensor.ts";
import type { Node } from "../model.ts";
import { checkRoom, floats, listOf, numbersOf, type Value } from "../values.ts";
import { take } from "./host.ts";
import { heavy, type Operator, type Operators, operator, plain, unsupported } from "./operator.ts";
import { gridOf } from "./structure.ts";

/** Windows along each spatial axis. */
export interface Windows {
  readonly kernel: Shape;
  readonly strides: Shape;
  readonly dilations: Shape;
  readonly before: Shape;
  readonly after: Shape;
  /** How many there are. */
  readonly counts: Shape;
  /** What `ceil_mode` needs beyond the padding at the end. */
  readonly beyond: Shape;
}

const AUTO_PADS = ["NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"] as const;
export type AutoPad = (typeof AUTO_PADS)[number];

export function autoPadOf({ attributes }: Node): AutoPad {
  return attributes.oneOf<AutoPad>("auto_pad", AUTO_PADS, "NOTSET");
}

/** Padding before and after an axis; an odd one goes to the end for SAME_UPPER, to the beginning otherwise. */
export function halvesOf(total: number, auto: AutoPad): readonly [before: number, after: number] {
  const less = Math.floor(total / 2);
  return auto === "SAME_UPPER" ? [less, total - less] : [total - less, less];
}

/** Reads the attributes that convolutions and pools share; the result takes the sizes of x and, of a convolution, of its weight. */
export function windowsOf(node: Node): (sizes: Shape, kernel?: Shape) => Windows {
  const { attributes } = node;
  const auto = autoPadOf(node);
  const [given, strides, dilations, pads] = ["kernel_shape", "strides", "dilations", "pads"].map((name) => attributes.ints(name));
  const ceil = attributes.flag("ceil_mode");
  // Windows are views, which would show what lies around x.
  checkWholes("windows", "kernel_shape", given ?? [], { least: 1 });
  checkWholes("windows", "strides", strides ?? [], { least: 1 });
  checkWholes("windows", "dilations", dilations ?? [], { least: 1 });
  checkWholes("windows", "pads", pads ?? []);
  return (sizes, own) => {
    const kernel = given ?? own ?? [];
    const n = sizes.length;
    if (kernel.length !== n) throw new ShapeError(`expected a kernel of ${n} axes, got ${show(kernel)}`);
    const axes = sizes.map((size, i) => {
      const window = { size, kernel: kernel[i] as number, stride: strides?.[i] ?? 1, dilation: dilations?.[i] ?? 1 };
      const fixed = auto === "NOTSET" ? ([pads?.[i] ?? 0, pads?.[n + i] ?? 0] as const) : ([0, 0] as const);
      return axisWindows(window, auto.startsWith("SAME") ? samePads(window, auto) : fixed, ceil);
    });
    const all = (name: keyof AxisWindows): number[] => axes.map((axis) => axis[name]);
    return {
      kernel,
      strides: all("stride"),
      dilations: all("dilation"),
      before: all("before"),
      after: all("after"),
      counts: all("count"),
      beyond: all("beyond"),
    };
  };
}

interface AxisWindow {
  readonly size: number;
  readonly kernel: number;
  readonly stride: number;
  readonly dilation: number;
}

interface AxisWindows extends AxisWindow {
  readonly before: number;
  readonly after: number;
  readonly count: number;
  readonly beyond: number;
}

/** Elements from the first to the last of a window. */
const reach = ({ kernel, dilation }: AxisWindow): number => (kernel - 1) * dilation + 1;

/** As many windows as strides fit into the axis. */
function samePads(window: AxisWindow, auto: AutoPad): readonly [number, number] {
  const { size, stride } = window;
  return halvesOf(Math.max((Math.ceil(size / stride) - 1) * stride + reach(window) - size, 0), auto);
}

function axisWindows(window: AxisWindow, [before, after]: readonly [number, number], ceil: boolean): AxisWindows {
  const { size, stride } = window;
  const padded = size + before + after;
  const steps = (padded - reach(window)) / stride;
  const floored = Math.floor(steps) + 1;
  if (!(floored >= 1)) throw new ShapeError(`expected at least ${reach(window)} padded elements, got ${padded}`);
  // A window that would begin in the padding at the end is left out.
  const count = ceil && Math.ceil(steps) * stride < size + before ? Math.ceil(steps) + 1 : floored;
  return { ...window, before, after, count, beyond: Math.max(0, (count - 1) * stride + reach(window) - padded) };
}

/** x [N,C,…] seen as [N,C,…counts,…kernel], and the axes of the kernel. */
export function windowed(x: Tensor, windows: Windows, around: number): { seen: Tensor; axes: number[] } {
  const { before, after, beyond, strides, dilations, counts, kernel } = windows;
  const padding = before.map((n, i) => [n, (after[i] as number) + (beyond[i] as number)] as const);
  const source = padding.some(([a, b]) => a + b > 0) ? pad(x, padding, around) : contiguous(x);
  const [outer, inner] = [source.strides.slice(0, 2), source.strides.slice(2)];
  const between = inner.map((stride, i) => stride * (strides[i] as number));
  const within = inner.map((stride, i) => stride * (dilations[i] as number));
  const shape = [...x.shape.slice(0, 2), ...counts, ...kernel];
  const seen = new Tensor(source.storage, source.dtype, shape, [...outer, ...between, ...within], source.offset);
  return { seen, axes: kernel.map((_, i) => 2 + counts.length + i) };
}

const maxPool = heavy(1, (node) => {
  const windows = windowsOf(node);
  if (node.outputs.length > 1 && node.outputs[1] !== "") unsupported(node, "the output Indices");
  node.attributes.has("storage_order");
  return ([x]) => {
    const t = floats(x as Value, "X");
    const { seen, axes } = windowed(t, windows(t.shape.slice(2)), Number.NEGATIVE_INFINITY);
    return amax(seen, { axis: axes });
  };
});

/** The elements of each window along an axis that lie between two places. */
function members(windows: Windows, axis: number, from: number, to: number): number[] {
  const [kernel, stride, dilation, before] = (["kernel", "strides", "dilations", "before"] as const).map(
    (name) => windows[name][axis],
  ) as number[];
  return Array.from({ length: windows.counts[axis] as number }, (_, i) => {
    const start = i * (stride as number) - (before as number);
    return Array.from({ length: kernel as number }, (_, k) => start + k * (dilation as number)).filter((at) => at >= from && at < to)
      .length;
  });
}

const averagePool = heavy(1, (node) => {
  const windows = windowsOf(node);
  const all = node.attributes.flag("count_include_pad");
  return ([x]) => {
    const t = floats(x as Value, "X");
    const sizes = t.shape.slice(2);
    const of = windows(sizes);
    const { seen, axes } = windowed(t, of, 0);
    const counts = sizes.map((n, i) =>
      all ? members(of, i, -(of.before[i] as number), n + (of.after[i] as number)) : members(of, i, 0, n),
    );
    const products = counts.reduce<number[]>((before, axis) => before.flatMap((a) => axis.map((b) => a * b)), [1]);
    return div(sum(seen, { axis: axes }), tensor(Float64Array.from(products), { shape: of.counts, dtype: t.dtype }));
  };
});

/** Over all spatial axes, which stay with a length of 1. */
function global(fn: (x: Tensor, options: { axis: number[]; keepDim: boolean }) => Tensor): Operator {
  return plain(1, ([x]) => {
    const t = floats(x as Value, "X");
    return fn(t, { axis: t.shape.slice(2).map((_, i) => 2 + i), keepDim: true });
  });
}

// ---- Resizing to the nearest ----

/** Where element i of a resized axis lies in the old one. */
type Place = (i: number, scale: number, n: number, resized: number) => number;

/** A quotient as float32 has it: rounding decides which of two neighbours is the nearest. */
const quotient = (a: number, b: number): number => Math.fround(a / b);
const halfPixel = (i: number, scale: number): number => Math.fround(quotient(i + 0.5, scale) - 0.5);

const PLACES: Readonly<Record<string, Place>> = {
  half_pixel: halfPixel,
  pytorch_half_pixel: (i, scale, _n, resized) => (resized > 1 ? halfPixel(i, scale) : 0),
  half_pixel_symmetric: (i, scale, n, resized) => (n / 2) * (1 - quotient(resized, scale * n)) + halfPixel(i, scale),
  align_corners: (i, _scale, n, resized) => (resized > 1 ? quotient(i * (n - 1), resized - 1) : 0),
  asymmetric: quotient,
};

const NEAREST: Readonly<Record<string, (x: number) => number>> = {
  round_prefer_floor: (x) => Math.ceil(x - 0.5),
  round_prefer_ceil: (x) => Math.floor(x + 0.5),
  floor: Math.floor,
  ceil: Math.ceil,
};

interface Resizing {
  readonly place: Place;
  readonly nearest: (x: number) => number;
}

/** Scales or sizes of each axis. */
function resized(x: Value, scales: readonly number[], sizes: readonly number[] | null, { place, nearest }: Resizing): Value {
  if ((sizes ?? scales).length !== x.rank) throw new ShapeError(`expected ${x.rank} scales or sizes, got ${show(sizes ?? scales)}`);
  const lengths = x.shape.map((n, axis) => sizes?.[axis] ?? Math.floor(n * (scales[axis] as number)));
  checkRoom(Math.max(sizeOf(lengths), ...lengths));
  const places = x.shape.map((n, axis) => {
    const length = lengths[axis] as number;
    const scale = sizes ? length / n : (scales[axis] as number);
    return Array.from({ length }, (_, i) => Math.min(Math.max(nearest(place(i, scale, n, length)), 0), n - 1));
  });
  return take(x, gridOf(x.shape, places), lengths);
}

const resize = operator(1, (node) => {
  const { attributes, version } = node;
  const old = version < 11;
  if (attributes.oneOf("mode", ["nearest", "linear", "cubic"], "nearest") !== "nearest") unsupported(node, "a mode other than nearest");
  const names = Object.keys(PLACES);
  const place = PLACES[attributes.oneOf("coordinate_transformation_mode", names, old ? "asymmetric" : "half_pixel")] as Place;
  const nearest = NEAREST[attributes.oneOf("nearest_mode", Object.keys(NEAREST), old ? "floor" : "round_prefer_floor")] as (
    x: number,
  ) => number;
  // What only other modes read.
  for (const name of ["cubic_coeff_a", "exclude_outside", "extrapolation_value"]) attributes.has(name);
  if (attributes.flag("antialias")) unsupported(node, "antialias");
  if (attributes.oneOf("keep_aspect_ratio_policy", ["stretch", "not_larger", "not_smaller"], "stretch") !== "stretch")
    unsupported(node, "keep_aspect_ratio_policy");
  const axes = attributes.ints("axes");
  return (inputs) => {
    const [x] = inputs as [Value];
    const [scales, sizes] = old ? [inputs[1], null] : [inputs[2], inputs[3]];
    const spread = (values: readonly number[], otherwise: Shape): number[] =>
      axes ? otherwise.map((d, axis) => (axes.includes(axis) ? (values[axes.indexOf(axis)] as number) : d)) : [...values];
    const given = scales && scales.size > 0 ? Array.from(numbersOf(scales)) : [];
    const ones = x.shape.map(() => 1);
    return resized(x, spread(given, ones), sizes && sizes.size > 0 ? spread(listOf(sizes, "sizes"), x.shape) : null, { place, nearest });
  };
});

/** Resize's predecessor: scales are an attribute before 9. */
const upsample = operator(1, (node) => {
  const { attributes, version } = node;
  if (attributes.oneOf("mode", ["nearest", "linear"], "nearest") !== "nearest") unsupported(node, "a mode other than nearest");
  const fixed = version < 9 ? attributes.floats("scales") : undefined;
  const asymmetric = { place: PLACES.asymmetric as Place, nearest: Math.floor };
  return ([x, scales]) => resized(x as Value, fixed ?? Array.from(numbersOf(scales as Value)), null, asymmetric);
});

export const windows: Operators = {
  MaxPool: maxPool,
  AveragePool: averagePool,
  GlobalMaxPool: global(amax),
  GlobalAveragePool: global(mean),
  Resize: resize,
  Upsample: upsample,
};
