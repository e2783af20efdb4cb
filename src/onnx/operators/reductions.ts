/** Reductions over axes, and softmax. Axes are an attribute before version 18 (of ReduceSum before 13), an input from then on. */

import { div, square } from "../../ops/arithmetic.ts";
import { sum } from "../../ops/broadcast.ts";
import { cast } from "../../ops/cast.ts";
import { equal } from "../../ops/compare.ts";
import { abs, log, sqrt } from "../../ops/math.ts";
import { amax, amin, argmax, logSumExp, mean, norm, prod } from "../../ops/reduce.ts";
import type { ReduceOptions } from "../../ops/reduction.ts";
import { pad } from "../../ops/shape.ts";
import { logSoftmax, softmax } from "../../ops/softmax.ts";
import { axisOf, type Shape, stridesOf } from "../../tensor/shape.ts";
import { type Tensor, tensor } from "../../tensor/tensor.ts";
import { floats, HostArray, hostArray, isDevice, type Value } from "../values.ts";
import { broadcastStrides, flattened, reshaped, walk } from "./host.ts";
import { listInput, type Operator, type Operators, operator, unsupported } from "./operator.ts";

type Reduce = (x: Tensor, options: ReduceOptions) => Tensor;

/** How whole numbers are reduced: from a start, one after the other, with what is left to do for n of them. */
interface HostReduction {
  readonly start: number;
  readonly next: (total: number, v: number) => number;
  readonly end?: (total: number, n: number) => number;
}

function reducedOnHost(
  { type, shape, data }: HostArray,
  axes: readonly number[],
  keep: boolean,
  { start, next, end }: HostReduction,
): HostArray {
  const kept = shape.map((d, axis) => (axes.includes(axis) ? 1 : d));
  const out = new HostArray(type, kept);
  const totals = new Float64Array(out.size).fill(start);
  const target = walk(shape, broadcastStrides(kept, stridesOf(kept), shape));
  target.forEach((to, i) => {
    totals[to] = next(totals[to] as number, data[i] as number);
  });
  const n = data.length / Math.max(1, out.size);
  out.data.set(end ? totals.map((total) => end(total, n)) : totals);
  const result: Shape = keep ? kept : shape.filter((_, axis) => !axes.includes(axis));
  return reshaped(out, result) as HostArray;
}

function reduction(since: number, device: Reduce, host?: HostReduction): Operator {
  const reduced = (x: Value, axis: readonly number[], keepDim: boolean): Value =>
    host !== undefined && !isDevice(x) ? reducedOnHost(hostArray(x, "x"), axis, keepDim, host) : device(floats(x, "x"), { axis, keepDim });
  return operator(1, (node) => {
    const keepDim = node.attributes.flag("keepdims", true);
    const none = node.attributes.flag("noop_with_empty_axes");
    const axes = listInput(node, "axes", since, 1);
    return (inputs) => {
      const [x] = inputs as [Value];
      const given = axes(inputs) ?? [];
      // Over no axes, that is over one of length 1, squares and logarithms are taken all the same.
      if (given.length === 0 && none) return reduced(reshaped(x, [...x.shape, 1]), [x.rank], false);
      const axis = given.length === 0 ? x.shape.map((_, i) => i) : given.map((a) => axisOf("axes", a, x.rank));
      return reduced(x, axis, keepDim);
    };
  });
}

/** The largest or smallest of none is an infinity. */
function orNone(reduce: Reduce, none: number): Reduce {
  return (x, options) => {
    const grown = x.shape.map((d, i) => [0, Number(d === 0 && (options.axis as number[]).includes(i))] as const);
    return reduce(grown.some(([, after]) => after > 0) ? pad(x, grown, none) : x, options);
  };
}

/** Along an axis; before 13, over all axes from it on as one. */
function normalised(fn: (x: Tensor, axis: number) => Tensor): Operator {
  return operator(1, ({ attributes, version }) => {
    const axis = attributes.int("axis", version < 13 ? 1 : -1);
    if (version >= 13) return ([x]) => fn(floats(x as Value, "x"), axis);
    return ([x]) => {
      const rows = flattened(floats(x as Value, "x"), axis) as Tensor;
      return reshaped(fn(rows, 1), (x as Value).shape);
    };
  });
}

/** 1 at the first of the largest, 0 elsewhere. */
function hardmax(x: Tensor, axis: number): Tensor {
  const at = axisOf("axis", axis, x.rank);
  const places = tensor(
    Int32Array.from({ length: x.dim(at) }, (_, i) => i),
    { shape: x.shape.map((d, i) => (i === at ? d : 1)) },
  );
  return cast(equal(places, argmax(x, { axis: at, keepDim: true })), x.dtype);
}

/** x / ‖x‖ along an axis. */
const lpNormalization = operator(1, (node) => {
  const axis = node.attributes.int("axis", -1);
  const p = node.attributes.int("p", 2);
  if (p !== 1 && p !== 2) unsupported(node, `p ${p}`);
  return ([x]) => {
    const t = floats(x as Value, "x");
    return div(t, norm(t, { axis, p, keepDim: true }));
  };
});

export const reductions: Operators = {
  ReduceSum: reduction(13, sum, { start: 0, next: (a, b) => a + b }),
  ReduceMean: reduction(18, mean, { start: 0, next: (a, b) => a + b, end: (total, n) => Math.trunc(total / n) }),
  ReduceMax: reduction(18, orNone(amax, Number.NEGATIVE_INFINITY), { start: Number.NEGATIVE_INFINITY, next: Math.max }),
  ReduceMin: reduction(18, orNone(amin, Number.POSITIVE_INFINITY), { start: Number.POSITIVE_INFINITY, next: Math.min }),
  ReduceProd: reduction(18, prod, { start: 1, next: (a, b) => a * b }),
  ReduceSumSquare: reduction(18, (x, o) => sum(square(x), o), { start: 0, next: (a, b) => a + b * b }),
  ReduceL1: reduction(18, (x, o) => sum(abs(x), o), { start: 0, next: (a, b) => a + Math.abs(b) }),
  ReduceL2: reduction(18, (x, o) => sqrt(sum(square(x), o)), { start: 0, next: (a, b) => a + b * b, end: Math.sqrt }),
  ReduceLogSum: reduction(18, (x, o) => log(sum(x, o))),
  ReduceLogSumExp: reduction(18, logSumExp),
  Softmax: normalised(softmax),
  LogSoftmax: normalised(logSoftmax),
  Hardmax: normalised(hardmax),
  LpNormalization: lpNormalization,
};
