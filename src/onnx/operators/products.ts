/** Matrix products, sums of products by letters, convolutions. */

import { add, mul } from "../../ops/arithmetic.ts";
import { reshape } from "../../ops/broadcast.ts";
import { cast } from "../../ops/cast.ts";
import { conv1d, conv2d } from "../../ops/conv.ts";
import { einsum } from "../../ops/einsum.ts";
import { addmm, linear, matmul } from "../../ops/linear.ts";
import { flip, pad, slice, transpose } from "../../ops/shape.ts";
import { type Shape, sizeOf } from "../../tensor/shape.ts";
import { Tensor, tensor } from "../../tensor/tensor.ts";
import type { Node } from "../model.ts";
import { floats, HostArray, typeOf, type Value, type WholeType } from "../values.ts";
import { heavy, type Operators, unsupported } from "./operator.ts";
import { autoPadOf, halvesOf, type Windows, windowed, windowsOf } from "./windows.ts";

/** Whole numbers as float64, in which their products and sums are exact up to 2^53. */
export function wide(value: Value): Tensor {
  return value instanceof Tensor ? cast(value, "float64") : tensor(Float64Array.from(value.data), { shape: value.shape });
}

/** A product of whole numbers. */
export function wholeProduct(a: Tensor, b: Tensor, type: WholeType): HostArray {
  const y = matmul(a, b);
  return new HostArray(type, y.shape, y.data());
}

const matMul = heavy(2, () => ([a, b]) => {
  if (a instanceof HostArray) return wholeProduct(wide(a), wide(b as Value), typeOf(a) as WholeType);
  return matmul(floats(a as Value, "A"), floats(b as Value, "B"));
});

/** α·A·B + β·C. */
const gemm = heavy(2, ({ attributes }) => {
  const [alpha, beta] = [attributes.float("alpha", 1), attributes.float("beta", 1)];
  const [transA, transB] = [attributes.flag("transA"), attributes.flag("transB")];
  return (inputs) => {
    const [a, b] = [floats(inputs[0] as Value, "A"), floats(inputs[1] as Value, "B")];
    const left = transA ? transpose(a) : a;
    const right = transB ? transpose(b) : b;
    const c = inputs[2] && beta !== 0 ? floats(inputs[2], "C") : null;
    const plain = alpha === 1 && beta === 1;
    if (plain && c && transB && c.rank === 1 && c.dim(0) === b.dim(0)) return linear(left, b, c);
    if (plain && c) return addmm(c, left, right);
    const product = matmul(left, right);
    const scaled = alpha === 1 ? product : mul(product, alpha);
    return c ? add(scaled, beta === 1 ? c : mul(c, beta)) : scaled;
  };
});

const einsumOperator = heavy(1, ({ attributes }) => {
  const equation = attributes.text("equation", "").replaceAll(" ", "");
  return (inputs) => einsum(equation, ...inputs.map((x) => floats(x as Value, "an operand")));
});

/** Zeros around x where both sides differ; otherwise the convolution pads. */
function paddedFor(x: Tensor, { before, after }: Windows): { x: Tensor; padding: readonly number[] } {
  if (before.every((n, i) => n === after[i])) return { x, padding: before };
  return {
    x: pad(
      x,
      before.map((n, i) => [n, after[i] as number]),
    ),
    padding: before.map(() => 0),
  };
}

/** Windows of at most so many places are rows of a product with the weight as its packed side, which is worth it where these are few. */
const FEW_PLACES = 64;

/** A convolution as one product of its windows [N·L,C·K] and its filters. */
function convolvedRows(x: Tensor, w: Tensor, bias: Tensor | null, of: Windows): Tensor {
  const { seen } = windowed(x, of, 0);
  const [N, O] = [x.dim(0), w.dim(0)];
  const n = of.counts.length;
  // [N,C,…counts,…kernel] to [N,…counts,C,…kernel].
  const moved = <T>([first, channels, ...rest]: readonly T[]): T[] => [first as T, ...rest.slice(0, n), channels as T, ...rest.slice(n)];
  const rows = new Tensor(seen.storage, seen.dtype, moved(seen.shape), moved(seen.strides), seen.offset);
  const y = linear(
    reshape(rows, [sizeOf([N, ...of.counts]), sizeOf(w.shape.slice(1))]),
    reshape(w, [O, sizeOf(w.shape.slice(1))]),
    bias ?? undefined,
  );
  return transpose(reshape(y, [N, sizeOf(of.counts), O]), 1, 2);
}

/** What a node of windows and groups makes of x [N,C,…], a weight and a bias. */
export function convolution(node: Node): (x: Tensor, w: Tensor, bias: Tensor | null) => Tensor {
  const groups = node.attributes.int("group", 1);
  const windows = windowsOf(node);
  return (x, w, bias) => {
    if (x.rank !== 3 && x.rank !== 4) unsupported(node, `inputs of ${x.rank} axes`);
    const seen = windows(x.shape.slice(2), w.shape.slice(2));
    const places = sizeOf([x.dim(0), ...seen.counts]);
    if (groups === 1 && places > 0 && places <= FEW_PLACES)
      return reshape(convolvedRows(x, w, bias, seen), [x.dim(0), w.dim(0), ...seen.counts]);
    const { x: source, padding } = paddedFor(x, seen);
    const { strides, dilations } = seen;
    const [stride, dilation, zeros] = [strides, dilations, padding] as [number, number][] as [
      [number, number],
      [number, number],
      [number, number],
    ];
    if (x.rank === 3) return conv1d(source, w, bias, { stride: stride[0], dilation: dilation[0], padding: zeros[0], groups });
    return conv2d(source, w, bias, { stride, dilation, padding: zeros, groups });
  };
}

const conv = heavy(2, (node) => {
  const convolved = convolution(node);
  return ([x, w, bias]) => convolved(floats(x as Value, "X"), floats(w as Value, "W"), bias ? floats(bias, "B") : null);
});

/** x [N,C,…] with zeros between neighbours, so that they are `strides` apart. */
function spread(x: Tensor, strides: Shape): Tensor {
  if (strides.every((stride) => stride === 1)) return x;
  const shape = x.shape.slice(2).flatMap((d) => [d, 1]);
  const amounts = strides.flatMap((stride) => [[0, 0] as const, [0, stride - 1] as const]);
  const apart = pad(reshape(x, [...x.shape.slice(0, 2), ...shape]), amounts);
  const joined = reshape(apart, [...x.shape.slice(0, 2), ...x.shape.slice(2).map((d, i) => d * (strides[i] as number))]);
  // Behind the last element there are none.
  return x.shape.slice(2).reduce((y, d, i) => slice(y, 2 + i, 0, (d - 1) * (strides[i] as number) + 1), joined);
}

/** W [C,M/g,…] as the weight [M,C/g,…] of a convolution that goes the other way, with its windows turned round. */
function turned(w: Tensor, groups: number): Tensor {
  const [C, M, ...kernel] = w.shape as [number, number, ...number[]];
  const grouped = transpose(reshape(w, [groups, C / groups, M, ...kernel]), 1, 2);
  return flip(
    reshape(grouped, [groups * M, C / groups, ...kernel]),
    kernel.map((_, i) => 2 + i),
  );
}

/** Zeros before and after each axis, or elements taken away where negative. */
function fitted(x: Tensor, amounts: readonly (readonly [number, number])[]): Tensor {
  const grown = pad(
    x,
    amounts.map(([before, after]) => [Math.max(0, before), Math.max(0, after)]),
  );
  return amounts.reduce((y, [before, after], i) => slice(y, 2 + i, Math.max(0, -before), y.dim(2 + i) - Math.max(0, -after)), grown);
}

/** The transpose of a convolution: a convolution of x with zeros between its elements. */
const convTranspose = heavy(2, (node) => {
  const { attributes } = node;
  const groups = attributes.int("group", 1);
  const auto = autoPadOf(node);
  const [given, dilated, pads, extra, wanted] = ["strides", "dilations", "pads", "output_padding", "output_shape"].map((name) =>
    attributes.ints(name),
  );
  attributes.has("kernel_shape");
  return (inputs) => {
    const [x, w] = [floats(inputs[0] as Value, "X"), floats(inputs[1] as Value, "W")];
    if (x.rank !== 3 && x.rank !== 4) unsupported(node, `inputs of ${x.rank} axes`);
    const axes = x.shape.slice(2);
    const strides = axes.map((_, i) => given?.[i] ?? 1);
    const dilation = axes.map((_, i) => dilated?.[i] ?? 1);
    const amounts = axes.map((d, i) => {
      const reach = (w.dim(2 + i) - 1) * (dilation[i] as number);
      const more = extra?.[i] ?? 0;
      const stride = strides[i] as number;
      const full = (d - 1) * stride + reach + 1 + more;
      const size = wanted?.slice(-axes.length)[i] ?? (auto.startsWith("SAME") ? d * stride : undefined);
      const fixed = [pads?.[i] ?? 0, pads?.[axes.length + i] ?? 0] as const;
      const [before, after] = size === undefined ? fixed : halvesOf(full - size, auto);
      return [reach - before, reach - after + more] as const;
    });
    const source = fitted(spread(x, strides), amounts);
    const bias = inputs[2] ? floats(inputs[2], "B") : null;
    if (x.rank === 3) return conv1d(source, turned(w, groups), bias, { dilation: dilation[0] as number, groups });
    return conv2d(source, turned(w, groups), bias, { dilation: dilation as unknown as [number, number], groups });
  };
});

export const products: Operators = {
  ConvTranspose: convTranspose,
  MatMul: matMul,
  Gemm: gemm,
  Einsum: einsumOperator,
  Conv: conv,
};
