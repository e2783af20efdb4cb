/** Matrix products, sums of products by letters, convolutions. */

import { add, mul } from "../../ops/arithmetic.ts";
import { cast } from "../../ops/cast.ts";
import { conv1d, conv2d } from "../../ops/conv.ts";
import { einsum } from "../../ops/einsum.ts";
import { addmm, linear, matmul } from "../../ops/linear.ts";
import { pad, transpose } from "../../ops/shape.ts";
import { Tensor, tensor } from "../../tensor/tensor.ts";
import { floats, HostArray, typeOf, type Value, type WholeType } from "../values.ts";
import { heavy, type Operators, unsupported } from "./operator.ts";
import { type Windows, windowsOf } from "./windows.ts";

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

const conv = heavy(2, (node) => {
  const groups = node.attributes.int("group", 1);
  const windows = windowsOf(node);
  return (inputs) => {
    const [x, w] = [floats(inputs[0] as Value, "X"), floats(inputs[1] as Value, "W")];
    const bias = inputs[2] ? floats(inputs[2], "B") : null;
    if (x.rank !== 3 && x.rank !== 4) unsupported(node, `inputs of ${x.rank} axes`);
    const seen = windows(x.shape.slice(2), w.shape.slice(2));
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
