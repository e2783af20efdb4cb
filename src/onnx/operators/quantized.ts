/**
 * Quantised operators: x = scale·(q - zero point), with q in 8 or 16 bits.
 *
 * Products of whole numbers are made in float64, where they are exact. The quantised LSTM gets its weights back as floats once and then
 * runs as any other: its inputs and states are not rounded to 8 bits as onnxruntime does, so it is the more exact of the two.
 * @see ONNX, "Operators"; onnxruntime, "Contrib operators", com.microsoft.DynamicQuantizeLSTM (from memory)
 */

import { DTypeError, ShapeError } from "../../base/errors.ts";
import { sub } from "../../ops/arithmetic.ts";
import { matmul } from "../../ops/linear.ts";
import { transpose } from "../../ops/shape.ts";
import { axisOf, type Shape, show } from "../../tensor/shape.ts";
import { copyOf } from "../../tensor/strided.ts";
import { type Tensor, tensor } from "../../tensor/tensor.ts";
import { elementType, type Node } from "../model.ts";
import {
  type FloatType,
  floats,
  HostArray,
  hostArray,
  NARROW_RANGES,
  numberOf,
  numbersOf,
  typeOf,
  type Value,
  type WholeType,
} from "../values.ts";
import { round } from "./elementwise.ts";
import { reshaped, zip, zipped } from "./host.ts";
import { type Given, heavy, type Operators, operator, type Reading, type Run, unsupported } from "./operator.ts";
import { convolution, wholeProduct, wide } from "./products.ts";
import { recurrentLayers } from "./recurrent.ts";

function rangeOf(type: WholeType): readonly [number, number] {
  const range = NARROW_RANGES[type];
  if (range === undefined) throw new DTypeError(`expected a quantised type of 8 or 16 bits, got ${type}`);
  return range;
}

/** One scale or zero point for all, or one for each entry of an axis: as it broadcasts with x. */
function along(value: Value, x: Value, axis: number): Value {
  if (value.rank === 0 || (value.rank === 1 && value.size === 1)) return reshaped(value, []);
  const at = axisOf("axis", axis, x.rank);
  if (value.rank !== 1 || value.size !== x.shape[at]) {
    throw new ShapeError(`expected one scale, or ${x.shape[at]} along axis ${at}, got ${show(value.shape)}`);
  }
  return reshaped(
    value,
    x.shape.map((d, i) => (i === at ? d : 1)),
  );
}

function noBlocks(node: Node): void {
  if (node.attributes.int("block_size", 0) !== 0) unsupported(node, "block_size");
}

function quantised(x: Value, scale: Value, zero: Value, type: WholeType): HostArray {
  const [least, most] = rangeOf(type);
  return zip(type, [x, scale, zero], (v, s, z) => {
    const q = round(Math.fround(v / s)) + z;
    return Math.min(Math.max(q, least), most);
  });
}

const quantizeLinear = operator(2, (node) => {
  const { attributes } = node;
  const axis = attributes.int("axis", 1);
  const code = attributes.int("output_dtype", 0);
  attributes.has("saturate");
  noBlocks(node);
  const asked = code === 0 ? "uint8" : elementType(code, node.label);
  return ([x, scale, zero]) => {
    const type = (zero ? typeOf(zero) : asked) as WholeType;
    const point = zero ?? new HostArray(type, []);
    return quantised(x as Value, along(scale as Value, x as Value, axis), along(point, x as Value, axis), type);
  };
});

/** scale·(q - zero point) as floats of the scale's type, broadcast. */
function dequantised(q: Value, scale: Value, zero: Value): Tensor {
  const { shape, numbers } = zipped([q, scale, zero], (v, s, z) => (v - z) * s);
  return tensor(numbers, { shape, dtype: typeOf(scale) as FloatType });
}

const dequantizeLinear = operator(2, (node) => {
  const axis = node.attributes.int("axis", 1);
  noBlocks(node);
  return ([x, scale, zero]) => {
    const q = hostArray(x as Value, "x");
    const point = along(zero ?? new HostArray("int32", []), q, axis);
    return dequantised(q, along(scale as Value, q, axis), point);
  };
});

/** To uint8 by the range of x, which is made to hold 0. */
const dynamicQuantizeLinear = operator(1, () => ([x]) => {
  const values = numbersOf(floats(x as Value, "x"));
  let [low, high] = [0, 0];
  for (const v of values) [low, high] = [Math.min(low, v), Math.max(high, v)];
  // Any scale fits nothing but zeros; onnxruntime's is 1.
  const scale = Math.fround(Math.fround(high - low) / 255) || 1;
  const zero = new HostArray("uint8", [], [Math.min(Math.max(round(Math.fround(-low / scale)), 0), 255)]);
  return [quantised(x as Value, tensor(scale), zero, "uint8"), tensor(scale), zero];
});

/** Whole numbers without their zero point: one for all, or as many as an axis has entries. */
function centred(q: Value, zero: Value | null | undefined, side: string, axis: number): Tensor {
  const x = wide(hostArray(q, side));
  if (!zero) return x;
  const point = wide(hostArray(zero, `${side}_zero_point`));
  return sub(x, point.rank > 1 ? point : (along(point, x, axis) as Tensor));
}

/** What is made of some inputs: once, at its first use, where all of them are constants or left out. */
function madeOf(
  node: Node,
  { known: constantAt, keep }: Reading,
  read: readonly number[],
  make: (inputs: Given) => Tensor,
): (inputs: Given) => Tensor {
  const constant = read.every((i) => (node.inputs[i] ?? "") === "" || constantAt(i) !== undefined);
  let known: Tensor | null = null;
  return (inputs) => {
    if (known !== null) return known;
    const made = make(inputs);
    if (constant) known = keep(copyOf(made));
    return known ?? made;
  };
}

const matMulInteger = heavy(2, (node, reading) => {
  const right = madeOf(node, reading, [1, 3], (inputs) => centred(inputs[1] as Value, inputs[3], "B", -1));
  return (inputs) => wholeProduct(centred(inputs[0] as Value, inputs[2], "A", -2), right(inputs), "int32");
});

/** Sums of whole numbers as those of the output: y = sum·(scale of a · scale of b / scale of y) + zero point. */
function requantised(sums: Tensor, aScale: Value, bScale: Value, yScale: Value, zero: Value): HostArray {
  const type = typeOf(zero) as WholeType;
  const [least, most] = rangeOf(type);
  const ratio = numberOf(aScale, "the scale of a") / numberOf(yScale, "the scale of y");
  const point = numberOf(zero, "the zero point of y");
  return zip(type, [sums, bScale], (v, scale) => Math.min(Math.max(round(Math.fround(v * ratio * scale)) + point, least), most));
}

const qLinearMatMul = heavy(8, (node, reading) => {
  const right = madeOf(node, reading, [3, 5], (inputs) => centred(inputs[3] as Value, inputs[5], "B", -1));
  return (inputs) => {
    const [a, aScale, aZero, , bScale, , yScale, yZero] = inputs as Value[] as [Value, Value, Value, Value, Value, Value, Value, Value];
    const sums = matmul(centred(a, aZero, "A", -2), right(inputs));
    return requantised(sums, aScale, bScale.rank > 1 ? bScale : along(bScale, sums, -1), yScale, yZero);
  };
});

const convInteger = heavy(2, (node, reading) => {
  const convolved = convolution(node);
  const weight = madeOf(node, reading, [1, 3], (inputs) => centred(inputs[1] as Value, inputs[3], "w", 0));
  return (inputs) => {
    const sums = convolved(centred(inputs[0] as Value, inputs[2], "x", 1), weight(inputs), null);
    return new HostArray("int32", sums.shape, sums.data());
  };
});

const qLinearConv = heavy(8, (node, reading) => {
  const convolved = convolution(node);
  const weight = madeOf(node, reading, [3, 5], (inputs) => centred(inputs[3] as Value, inputs[5], "w", 0));
  return (inputs) => {
    const [x, xScale, xZero, , wScale, , yScale, yZero] = inputs as Value[] as [Value, Value, Value, Value, Value, Value, Value, Value];
    const sums = convolved(centred(x, xZero, "x", 1), weight(inputs), inputs[8] ? wide(inputs[8]) : null);
    return requantised(sums, xScale, along(wScale, sums, 1), yScale, yZero);
  };
});

/** W [D,I,4H] and R [D,H,4H] with scales [D] or [D,4H]: as LSTM has them, [D,4H,·]. */
function lstmWeights(q: Value, scale: Value, zero: Value | null): Tensor {
  const [D, , width] = q.shape as [number, number, number];
  const spread = (value: Value): Value => {
    const shape: Shape = value.size === D ? [D, 1, 1] : [D, 1, width];
    return reshaped(value, shape);
  };
  const point = zero ?? new HostArray("int8", [D]);
  return transpose(dequantised(q, spread(scale), spread(point)), 1, 2);
}

const dynamicQuantizeLstm = heavy(3, (node, reading) => {
  const lstm = recurrentLayers.LSTM as NonNullable<typeof recurrentLayers.LSTM>;
  const run: Run = lstm.read(node, reading);
  const [W, R] = [1, 2].map((i) => {
    const [scale, zero] = i === 1 ? [8, 9] : [10, 11];
    return madeOf(node, reading, [i, scale, zero], (inputs) =>
      lstmWeights(hostArray(inputs[i] as Value, "weights"), inputs[scale] as Value, inputs[zero] ?? null),
    );
  }) as [(inputs: Given) => Tensor, (inputs: Given) => Tensor];
  return (inputs) => run([inputs[0] as Value, W(inputs), R(inputs), ...inputs.slice(3, 8)]);
});

export const quantized: Operators = {
  QuantizeLinear: quantizeLinear,
  DequantizeLinear: dequantizeLinear,
  DynamicQuantizeLinear: dynamicQuantizeLinear,
  MatMulInteger: matMulInteger,
  QLinearMatMul: qLinearMatMul,
  ConvInteger: convInteger,
  QLinearConv: qLinearConv,
};

/** Of the domain com.microsoft. */
export const microsoft: Operators = { DynamicQuantizeLSTM: dynamicQuantizeLstm };
