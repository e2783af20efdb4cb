/** Matrix products, sums of products by letters, convolutions. */

import { add, mul } from "../../ops/arithmetic.ts";
import { reshape } from "../../ops/broadcast.ts";
import { cast } from "../../ops/cast.ts";
import { conv1d, conv2d } from "../../ops/conv.ts";
import { einsum } from "../../ops/einsum.ts";
import { addmm, linear, matmul } from "../../ops/linear.ts";
import { pad, transpose } from "../../ops/shape.ts";
import { sizeOf } from "../../tensor/shape.ts";
import { Tensor, tensor } from "../../tensor/tensor.ts";
import { floats, HostArray, typeOf, type Value, type WholeType } from "../values.ts";
import { heavy, type Operators, unsupported } from "./operator.ts";
import { type Windows, windowed, windowsOf } from "./windows.ts";

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

const conv = heavy(2, (node) => {
  const groups = node.attributes.int("group", 1);
  const windows = windowsOf(node);
  return (inputs) => {
    const [x, w] = [floats(inputs[0] as Value, "X"), floats(inputs[1] as Value, "W")];
    const bias = inputs[2] ? floats(inputs[2], "B") : null;
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
});

export const products: Operators = { MatMul: matMul, Gemm: gemm, Einsum: einsumOperator, Conv: conv };
