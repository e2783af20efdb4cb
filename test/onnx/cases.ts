/**
 * Nodes of every operator in their older and newer forms, alone in a model each, with inputs.
 * What they give is in expected.json, recorded from onnxruntime-node (record.ts).
 */

import { initializer, model, node } from "../../bench/rivals/onnx.mjs";

type Type = "float" | "int64" | "int32" | "bool" | "uint8" | "int8" | "double";

export interface Input {
  readonly type: Type;
  readonly shape: readonly number[];
  readonly values: readonly number[];
}

type Attributes = NonNullable<Parameters<typeof node>[3]>;

export interface OperatorCase {
  readonly name: string;
  readonly op: string;
  readonly opset: number;
  readonly domain: string;
  /** null where one is left out. */
  readonly inputs: readonly (Input | null)[];
  readonly attributes: Attributes;
  /** Names of the outputs, "" where one is left out. */
  readonly outputs: readonly string[];
}

const sizeOf = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

let state = 1;
/** The next of a fixed row of numbers in [-1, 1). */
function next(): number {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return state / 2 ** 31 - 1;
}

/** Floats in ±scale around an offset, with 12 bits each so that they are short. */
function f(shape: readonly number[], scale = 1, offset = 0): Input {
  return { type: "float", shape, values: Array.from({ length: sizeOf(shape) }, () => Math.round((next() * scale + offset) * 4096) / 4096) };
}

const given = (type: Type, values: readonly number[], shape: readonly number[] = [values.length]): Input => ({ type, shape, values });
const i64 = (...values: number[]): Input => given("int64", values);
const scalar = (value: number, type: Type = "int64"): Input => given(type, [value], []);
const whole = (type: Type, shape: readonly number[], most: number, least = 0): Input =>
  given(
    type,
    Array.from({ length: sizeOf(shape) }, () => least + Math.floor(((next() + 1) / 2) * (most - least))),
    shape,
  );

export const cases: OperatorCase[] = [];

function add(
  op: string,
  opset: number,
  inputs: readonly (Input | null)[],
  attributes: Attributes = {},
  outputs: number | readonly string[] = 1,
  domain = "",
): void {
  const names = typeof outputs === "number" ? Array.from({ length: outputs }, (_, i) => `y${i}`) : outputs;
  const before = cases.filter((c) => c.op === op).length;
  cases.push({ name: `${op} ${opset} #${before}`, op, opset, domain, inputs, attributes, outputs: names });
}

// ---- Element by element ----

for (const op of ["Neg", "Abs", "Exp", "Erf", "Sin", "Cos", "Sinh", "Cosh", "Tan", "Sigmoid", "Tanh", "Relu", "Softplus", "Softsign"])
  add(op, 13, [f([2, 5], 3)]);
for (const op of ["Sqrt", "Log", "Reciprocal"]) add(op, 13, [f([2, 5], 1, 1.5)]);
for (const op of ["Floor", "Ceil", "Sign"]) add(op, 13, [f([2, 5], 3)]);
add("Round", 13, [given("float", [0.5, 1.5, 2.5, -0.5, -1.5, 0.49, -2.51])]);
add("Neg", 13, [whole("int64", [4], 9, -9)]);
add("Abs", 13, [whole("int32", [4], 9, -9)]);
add("Sign", 13, [whole("int64", [4], 3, -3)]);
add("Relu", 14, [whole("int32", [4], 9, -9)]);
add("Mish", 18, [f([6], 4)]);
add("HardSwish", 14, [f([6], 5)]);
add("LeakyRelu", 16, [f([6])], { alpha: { float: 0.2 } });
add("LeakyRelu", 6, [f([6])]);
add("Elu", 6, [f([6], 2)], { alpha: { float: 1.5 } });
add("Celu", 12, [f([6], 2)], { alpha: { float: 2 } });
add("Selu", 6, [f([6], 2)], { alpha: { float: 2 }, gamma: { float: 3 } });
add("Selu", 6, [f([6], 2)]);
add("ThresholdedRelu", 10, [f([6], 2)], { alpha: { float: 0.5 } });
add("HardSigmoid", 6, [f([6], 4)], { alpha: { float: 0.25 }, beta: { float: 0.4 } });
add("Gelu", 20, [f([6], 3)]);
add("Gelu", 20, [f([6], 3)], { approximate: { text: "tanh" } });
add("PRelu", 16, [f([2, 3, 2]), f([3, 1])]);
for (const op of ["Add", "Sub", "Mul", "Div"]) {
  add(op, 14, [f([2, 1, 3], 2, 3), f([4, 1], 2, 3)]);
  add(op, 14, [whole("int64", [2, 3], 20, -20), given("int64", [3, -7, 2])]);
  add(op, 7, [f([2, 3], 2, 3), f([3], 2, 3)]);
}
add("Pow", 15, [f([2, 3], 1, 2), f([3], 2)]);
add("Pow", 13, [f([2, 3], 1, 2), scalar(3)]);
add("Pow", 12, [whole("int64", [3], 5), given("int64", [2])]);
add("Pow", 7, [f([2, 3], 1, 2), scalar(2, "float")]);
add("Mod", 13, [given("int64", [-7, 7, -7, 7, 6]), given("int64", [3, 3, -3, -3, 3])]);
add("Mod", 13, [given("int64", [-7, 7, -7, 7]), given("int64", [3, 3, -3, -3])], { fmod: 1 });
add("Mod", 13, [f([4], 5), f([4], 2, 3)], { fmod: 1 });
for (const op of ["Max", "Min", "Sum", "Mean"]) add(op, 13, [f([2, 3]), f([3]), f([2, 1])]);
for (const op of ["Max", "Min"]) add(op, 13, [whole("int64", [2, 3], 9), whole("int64", [3], 9)]);
for (const op of ["Equal", "Greater", "Less"]) {
  add(op, 13, [given("float", [1, 2, 3]), given("float", [2, 2, 2])]);
  add(op, 13, [given("int64", [1, 2, 3]), given("int64", [2])]);
}
for (const op of ["GreaterOrEqual", "LessOrEqual"]) {
  add(op, 16, [given("float", [1, 2, 3]), given("float", [2, 2, 2])]);
  add(op, 16, [given("int32", [1, 2, 3]), given("int32", [2])]);
}
for (const op of ["And", "Or", "Xor"]) add(op, 7, [given("bool", [0, 0, 1, 1]), given("bool", [0, 1, 0, 1])]);
add("Not", 1, [given("bool", [0, 1])]);
add("IsNaN", 20, [given("float", [0, Number.NaN, 1])]);
add("IsInf", 20, [given("float", [0, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])]);
add("IsInf", 20, [given("float", [0, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])], { detect_negative: 0 });
add("Where", 16, [given("bool", [1, 0, 1]), f([2, 3]), f([1])]);
add("Where", 16, [given("bool", [1, 0], [2, 1]), whole("int64", [2, 3], 9), i64(-1)]);
add("Clip", 6, [f([6], 2)], { min: { float: -0.5 }, max: { float: 0.5 } });
add("Clip", 13, [f([6], 2), scalar(-0.5, "float"), scalar(0.5, "float")]);
add("Clip", 13, [f([6], 2), null, scalar(0.5, "float")]);
add("Clip", 13, [whole("int64", [6], 9, -9), scalar(-2), scalar(3)]);
add("Cast", 13, [given("float", [1.7, -1.7, 0, 300])], { to: 7 });
add("Cast", 13, [given("float", [1.7, -1.7, 0, 0.5])], { to: 9 });
add("Cast", 13, [given("int64", [1, -2, 0])], { to: 1 });
add("Cast", 13, [given("int64", [1, -2, 0])], { to: 9 });
add("Cast", 13, [given("bool", [1, 0])], { to: 1 });
add("Cast", 13, [given("bool", [1, 0])], { to: 6 });
add("Cast", 13, [given("int32", [300, -1])], { to: 2 });
add("Cast", 9, [f([3])], { to: 11 });
add("CastLike", 15, [given("float", [1.7, -1.7]), i64(1)]);
add("Identity", 14, [f([3])]);
add("Dropout", 13, [f([3])]);
add("Dropout", 7, [f([3])], { ratio: { float: 0.3 } });

// ---- Shapes and parts ----

add("Reshape", 14, [f([2, 3, 4]), i64(0, -1)]);
add("Reshape", 14, [f([0, 3]), i64(3, 0)], { allowzero: 1 });
add("Reshape", 5, [whole("int64", [2, 3], 9), i64(3, 2)]);
add("Flatten", 13, [f([2, 3, 4])], { axis: 2 });
add("Flatten", 13, [f([2, 3, 4])], { axis: -2 });
add("Flatten", 9, [f([2, 3, 4])], { axis: 0 });
add("Squeeze", 11, [f([1, 3, 1])], { axes: { ints: [0] } });
add("Squeeze", 13, [f([1, 3, 1]), i64(-1)]);
add("Squeeze", 13, [f([1, 3, 1])]);
add("Unsqueeze", 11, [f([3])], { axes: { ints: [0, 2] } });
add("Unsqueeze", 13, [f([3]), i64(-1)]);
add("Transpose", 13, [f([2, 3, 4])]);
add("Transpose", 13, [f([2, 3, 4])], { perm: { ints: [1, 2, 0] } });
add("Transpose", 13, [whole("int64", [2, 3], 9)]);
add("Expand", 13, [f([3, 1]), i64(2, 1, 4)]);
add("Expand", 8, [whole("int64", [1, 3], 9), i64(2, 1)]);
add("Tile", 13, [f([2, 3]), i64(2, 3)]);
add("Tile", 13, [whole("int64", [2], 9), i64(3)]);
add("Shape", 15, [f([2, 3, 4])], { start: -2 });
add("Shape", 1, [f([2, 3, 4])]);
add("Size", 13, [f([2, 3, 4])]);
add("Slice", 1, [f([4, 5])], { starts: { ints: [1, -3] }, ends: { ints: [3, 100] }, axes: { ints: [0, 1] } });
add("Slice", 1, [f([4, 5])], { starts: { ints: [1] }, ends: { ints: [-1] } });
add("Slice", 13, [f([4, 5]), i64(3, 0), i64(-100, 5), i64(0, -1), i64(-1, 2)]);
add("Slice", 13, [whole("int64", [6], 9), i64(4), i64(0), i64(0), i64(-2)]);
add("Slice", 13, [f([4, 5]), i64(2), i64(2)]);
add("Slice", 10, [f([4, 5]), i64(1), i64(2 ** 31 - 1), i64(1)]);
add("Split", 11, [f([2, 6])], { axis: 1, split: { ints: [1, 2, 3] } }, 3);
add("Split", 11, [f([2, 6])], { axis: -1 }, 2);
add("Split", 13, [f([2, 6]), i64(2, 4)], { axis: 1 }, 2);
add("Split", 18, [f([7, 2])], { num_outputs: 3 }, 3);
add("Split", 13, [whole("int64", [4], 9)], {}, 2);
add("Concat", 13, [f([2, 1]), f([2, 3])], { axis: -1 });
add("Concat", 13, [whole("int64", [1, 2], 9), whole("int64", [2, 2], 9)], { axis: 0 });
add("Concat", 13, [whole("int64", [2, 1], 9), whole("int64", [2, 2], 9)], { axis: 1 });
for (const mode of ["constant", "reflect", "edge"]) {
  add("Pad", 2, [f([2, 4])], { mode: { text: mode }, pads: { ints: [0, 2, 1, 1] }, ...(mode === "constant" && { value: { float: 1.5 } }) });
  add("Pad", 13, [f([3, 4]), i64(1, 0, 0, 2)], { mode: { text: mode } });
}
add("Pad", 13, [f([2, 3]), i64(1, 0, 0, 2), scalar(1.5, "float")]);
add("Pad", 13, [f([3, 4]), i64(-1, 1, 0, -2), scalar(1.5, "float")]);
add("Pad", 18, [f([2, 3]), i64(1, 2), scalar(0, "float"), i64(1)]);
add("Pad", 19, [f([2, 3]), i64(1, 2, 1, 4)], { mode: { text: "wrap" } });
add("Pad", 13, [whole("int64", [3], 9), i64(1, 2), scalar(-1)]);
add("ConstantOfShape", 9, [i64(2, 3)]);
add("ConstantOfShape", 9, [i64(2)], { value: { tensor: initializer("v", [1], BigInt64Array.of(7n), "int64") } });
add("ConstantOfShape", 9, [i64(2)], { value: { tensor: initializer("v", [1], Float32Array.of(0.5)) } });
add("Constant", 13, [], { value_floats: { floats: [1, 2.5] } });
add("Constant", 13, [], { value_int: 7 });
add("Constant", 13, [], { value: { tensor: initializer("v", [2, 1], Float32Array.of(0.5, 2)) } });
add("Trilu", 14, [f([2, 3, 4])]);
add("Trilu", 14, [f([3, 4]), scalar(-1)], { upper: 0 });
add("Trilu", 14, [whole("int64", [2, 3, 3], 9, 1), scalar(1)]);
add("EyeLike", 9, [f([2, 3])], { k: 1 });
add("EyeLike", 9, [f([3, 2])], { k: -1, dtype: 7 });
add("Range", 11, [scalar(2), scalar(11), scalar(3)]);
add("Range", 11, [scalar(5, "float"), scalar(0, "float"), scalar(-1.5, "float")]);

// ---- Indices ----

add("Gather", 13, [f([3, 4]), given("int64", [0, -1, 1, 2], [2, 2])], { axis: 1 });
add("Gather", 13, [f([3, 4]), scalar(-1)]);
add("Gather", 13, [f([3, 4]), scalar(1)], { axis: 1 });
add("Gather", 11, [whole("int64", [3, 2], 9), given("int32", [2, 0])]);
add("Gather", 13, [whole("int64", [2, 3], 9), scalar(-1)], { axis: 1 });
add("GatherElements", 13, [f([3, 2]), given("int64", [2, 0, -1, 1], [2, 2])]);
add("GatherElements", 13, [f([2, 3]), given("int64", [2, 0, -1, 1], [2, 2])], { axis: 1 });
add("GatherND", 13, [f([2, 3, 2]), given("int64", [0, 1, 1, -1], [2, 2])]);
add("GatherND", 13, [f([2, 3, 2]), given("int64", [1, 0], [2, 1])], { batch_dims: 1 });
add("ScatterElements", 16, [f([3, 3]), given("int64", [0, 2, 1, 0], [2, 2]), f([2, 2])]);
add("ScatterElements", 16, [f([2, 3]), given("int64", [1, -1], [2, 1]), f([2, 1])], { axis: 1 });
add("ScatterElements", 16, [f([2, 3]), given("int64", [1, 1], [1, 2]), f([1, 2])], { axis: 1, reduction: { text: "add" } });
add("Scatter", 9, [f([2, 3]), given("int64", [1, 2], [2, 1]), f([2, 1])], { axis: 1 });
add("ScatterND", 16, [f([4, 2]), given("int64", [1, 3], [2, 1]), f([2, 2])]);
add("ScatterND", 16, [f([4]), given("int64", [1, 1, -1], [3, 1]), f([3])], { reduction: { text: "add" } });
add("ScatterND", 11, [whole("int64", [4], 9), given("int64", [2], [1, 1]), i64(-5)]);
add("Compress", 11, [f([3, 2]), given("bool", [0, 1, 1])], { axis: 0 });
add("Compress", 11, [f([2, 3]), given("bool", [0, 1, 0, 0, 1])]);
add("Compress", 11, [whole("int64", [2, 3], 9), given("bool", [1, 0])], { axis: -1 });
for (const op of ["ArgMax", "ArgMin"]) {
  add(op, 13, [f([3, 4])], { axis: 1 });
  add(op, 13, [f([3, 4])], { axis: -2, keepdims: 0 });
  add(op, 13, [given("float", [1, 3, 3, 1])], { select_last_index: 1 });
  add(op, 13, [whole("int32", [2, 3], 9)], { axis: 1 });
}
add("TopK", 11, [f([2, 5]), i64(3)], { axis: 1 }, 2);
add("TopK", 11, [f([5, 2]), i64(2)], { axis: 0, largest: 0 }, 2);
add("TopK", 1, [f([2, 5])], { k: 2 }, 2);
add("TopK", 11, [given("int64", [3, 1, 3, 2]), i64(3)], {}, 2);
add("NonZero", 13, [given("float", [1, 0, 0, 2, 3, 0], [2, 3])]);
add("NonZero", 13, [given("bool", [1, 0, 1])]);
add("OneHot", 11, [given("int64", [0, 2, -1, 5]), i64(3), given("float", [0.5, 2])]);
add("OneHot", 11, [given("int64", [0, 1]), scalar(2), given("int64", [0, 1])], { axis: 0 });
add("CumSum", 14, [f([2, 4]), scalar(1)]);
add("CumSum", 14, [f([2, 4]), scalar(-1)], { exclusive: 1 });
add("CumSum", 14, [f([3, 2]), scalar(0)], { reverse: 1 });
add("CumSum", 14, [f([3, 2]), scalar(0)], { reverse: 1, exclusive: 1 });
add("CumSum", 14, [whole("int64", [4], 9), scalar(0)]);
add("ReverseSequence", 10, [f([3, 2, 2]), i64(2, 3)]);
add("ReverseSequence", 10, [f([2, 3]), i64(3, 2)], { time_axis: 1, batch_axis: 0 });

// ---- Reductions and normalisation ----

for (const op of ["Sum", "Mean", "Max", "Min", "Prod", "SumSquare", "L1", "L2", "LogSum", "LogSumExp"]) {
  const name = `Reduce${op}`;
  const positive = op === "LogSum" ? 2 : 0;
  add(name, 11, [f([2, 3, 2], 1, positive)], { axes: { ints: [1] } });
  add(name, 18, [f([2, 3, 2], 1, positive), i64(0, -1)], { keepdims: 0 });
  add(name, 11, [f([2, 3], 1, positive)]);
}
for (const op of ["Sum", "Max", "Min", "Prod", "Mean"]) add(`Reduce${op}`, 18, [whole("int64", [2, 3], 7), i64(1)]);
add("ReduceSum", 13, [f([2, 3])], { noop_with_empty_axes: 1 });
add("ReduceSum", 13, [f([2, 3]), i64(1)]);
for (const op of ["Softmax", "LogSoftmax", "Hardmax"]) {
  add(op, 13, [f([2, 3, 2], 3)], { axis: 1 });
  add(op, 13, [f([2, 3], 3)]);
  add(op, 11, [f([2, 3, 2], 3)]);
  add(op, 11, [f([2, 3, 2], 3)], { axis: -1 });
}
add("LpNormalization", 1, [f([2, 3])], { axis: 1, p: 1 });
add("LpNormalization", 1, [f([2, 3])]);
add("LayerNormalization", 17, [f([2, 3, 4]), f([4]), f([4])], { epsilon: { float: 1e-3 } });
add("LayerNormalization", 17, [f([2, 3, 4]), f([3, 4])], { axis: 1 }, 3);
add("RMSNormalization", 23, [f([2, 3, 4]), f([4])]);
add("BatchNormalization", 15, [f([2, 3, 2]), f([3]), f([3]), f([3]), f([3], 0.5, 1)]);
add("BatchNormalization", 9, [f([2, 3]), f([3]), f([3]), f([3]), f([3], 0.5, 1)], { epsilon: { float: 1e-2 } });
add("InstanceNormalization", 6, [f([2, 3, 4]), f([3]), f([3])]);
add("GroupNormalization", 21, [f([2, 4, 3]), f([4]), f([4])], { num_groups: 2 });

// ---- Products and windows ----

add("MatMul", 13, [f([2, 3, 4]), f([4, 2])]);
add("MatMul", 13, [f([3]), f([3])]);
add("MatMul", 13, [whole("int32", [2, 3], 9), whole("int32", [3, 2], 9)]);
add("Gemm", 13, [f([2, 3]), f([4, 3]), f([4])], { transB: 1 });
add("Gemm", 13, [f([3, 2]), f([3, 4]), f([2, 1])], { transA: 1, alpha: { float: 0.5 }, beta: { float: 2 } });
add("Gemm", 13, [f([2, 3]), f([3, 4])]);
add("Gemm", 9, [f([2, 3]), f([3, 4]), f([4])]);
add("Einsum", 12, [f([2, 3]), f([3, 4])], { equation: { text: "ij, jk -> ik" } });
add("Einsum", 12, [f([2, 3, 3])], { equation: { text: "...ii->...i" } });
add("Conv", 11, [f([2, 3, 7]), f([4, 3, 3]), f([4])], { pads: { ints: [1, 1] } });
add("Conv", 11, [f([1, 4, 9]), f([4, 2, 3])], { pads: { ints: [0, 3] }, strides: { ints: [2] }, dilations: { ints: [2] }, group: 2 });
add("Conv", 11, [f([1, 2, 5, 6]), f([3, 2, 3, 2]), f([3])], { pads: { ints: [1, 0, 2, 1] }, strides: { ints: [2, 1] } });
add("Conv", 11, [f([1, 2, 5, 6]), f([2, 1, 3, 3])], { group: 2, dilations: { ints: [1, 2] }, pads: { ints: [1, 1, 1, 1] } });
for (const auto of ["SAME_UPPER", "SAME_LOWER", "VALID"])
  add("Conv", 11, [f([1, 1, 6]), f([1, 1, 4])], { auto_pad: { text: auto }, strides: { ints: [2] } });
add("ConvTranspose", 11, [f([1, 2, 4]), f([2, 3, 3]), f([3])], {
  strides: { ints: [2] },
  pads: { ints: [1, 0] },
  output_padding: { ints: [1] },
});
add("ConvTranspose", 11, [f([2, 4, 3]), f([4, 1, 3])], { group: 2, dilations: { ints: [2] } });
add("ConvTranspose", 11, [f([1, 2, 3, 2]), f([2, 2, 2, 3])], { strides: { ints: [2, 3] }, pads: { ints: [1, 0, 0, 1] } });
add("ConvTranspose", 11, [f([1, 1, 4]), f([1, 1, 3])], { strides: { ints: [2] }, output_shape: { ints: [8] } });
add("ConvTranspose", 11, [f([1, 1, 4]), f([1, 1, 3])], { strides: { ints: [2] }, auto_pad: { text: "SAME_UPPER" } });
add("ConvTranspose", 11, [f([1, 1, 5]), f([1, 1, 2])], { pads: { ints: [2, 2] } });
for (const op of ["MaxPool", "AveragePool"]) {
  add(op, 12, [f([1, 2, 7])], { kernel_shape: { ints: [3] }, strides: { ints: [2] }, pads: { ints: [1, 0] } });
  add(op, 12, [f([1, 2, 5, 6])], { kernel_shape: { ints: [2, 3] }, strides: { ints: [2, 1] }, pads: { ints: [0, 1, 1, 1] } });
  add(op, 12, [f([1, 1, 6])], { kernel_shape: { ints: [3] }, strides: { ints: [2] }, ceil_mode: 1 });
  add(op, 12, [f([1, 1, 7])], { kernel_shape: { ints: [2] }, strides: { ints: [2] }, auto_pad: { text: "SAME_UPPER" } });
}
add("MaxPool", 12, [f([1, 1, 8])], { kernel_shape: { ints: [3] }, dilations: { ints: [2] } });
add("AveragePool", 19, [f([1, 1, 5, 5])], { kernel_shape: { ints: [3, 3] }, pads: { ints: [1, 1, 1, 1] }, count_include_pad: 1 });
add("GlobalMaxPool", 1, [f([2, 3, 4])]);
add("GlobalAveragePool", 1, [f([2, 3, 2, 2])]);
for (const mode of ["half_pixel", "align_corners", "asymmetric", "pytorch_half_pixel"])
  for (const nearest of ["round_prefer_floor", "floor", "ceil", "round_prefer_ceil"])
    add("Resize", 13, [f([1, 1, 3, 4]), null, given("float", [1, 1, 1.7, 0.6])], {
      coordinate_transformation_mode: { text: mode },
      nearest_mode: { text: nearest },
    });
add("Resize", 13, [f([1, 1, 4]), null, null, i64(1, 1, 7)], {
  coordinate_transformation_mode: { text: "asymmetric" },
  nearest_mode: { text: "floor" },
});
add("Resize", 10, [f([1, 1, 4]), given("float", [1, 1, 2])]);
add("Resize", 18, [f([1, 1, 4]), null, null, i64(7)], { axes: { ints: [2] } });
add("Upsample", 9, [f([1, 1, 2, 2]), given("float", [1, 1, 2, 3])]);
add("Upsample", 7, [f([1, 1, 2, 2])], { scales: { floats: [1, 1, 2, 2] } });

// ---- Recurrent layers ----

const GATES: Readonly<Record<string, number>> = { RNN: 1, GRU: 3, LSTM: 4 };
const [T, B, I, H] = [5, 3, 2, 3];

interface Layer {
  readonly op: "RNN" | "GRU" | "LSTM";
  readonly directions?: number;
  readonly bias?: boolean;
  readonly lengths?: readonly number[];
  readonly state?: boolean;
  readonly peepholes?: boolean;
  readonly attributes?: Attributes;
  readonly outputs?: readonly string[];
}

function layer({
  op,
  directions: D = 1,
  bias = true,
  lengths,
  state: initial = false,
  peepholes = false,
  attributes = {},
  outputs,
}: Layer): void {
  const G = GATES[op] as number;
  const states = op === "LSTM" ? 2 : 1;
  const inputs: (Input | null)[] = [f([T, B, I]), f([D, G * H, I]), f([D, G * H, H]), bias ? f([D, 2 * G * H]) : null];
  inputs.push(lengths ? given("int32", lengths) : null);
  for (let i = 0; i < states; i++) inputs.push(initial ? f([D, B, H]) : null);
  if (peepholes) inputs.push(f([D, 3 * H]));
  add(
    op,
    14,
    inputs,
    { hidden_size: H, ...(D === 2 && { direction: { text: "bidirectional" } }), ...attributes },
    outputs ?? ["y", "h", "c"].slice(0, 1 + states),
  );
}

for (const op of ["RNN", "GRU", "LSTM"] as const) {
  const directions = 2;
  layer({ op });
  layer({ op, bias: false, state: true });
  layer({ op, directions, state: true, lengths: [5, 2, 3] });
  layer({ op, attributes: { direction: { text: "reverse" } }, lengths: [1, 5, 4] });
  layer({ op, attributes: { clip: { float: 0.3 } }, state: true });
  layer({ op, directions, outputs: ["", "h"] });
}
layer({ op: "GRU", attributes: { linear_before_reset: 1 } });
layer({ op: "GRU", attributes: { linear_before_reset: 1, clip: { float: 0.3 } }, lengths: [5, 2, 3] });
layer({ op: "GRU", directions: 2, attributes: { activations: { texts: ["HardSigmoid", "Tanh", "Sigmoid", "Softsign"] } } });
layer({ op: "RNN", attributes: { activations: { texts: ["Relu"] } } });
const shaped: readonly (readonly [string, number?, number?])[] = [
  ["Affine", 0.5, 0.1],
  ["LeakyRelu", 0.2],
  ["ThresholdedRelu", 0.3],
  ["ScaledTanh", 1.5, 0.5],
  ["HardSigmoid", 0.3, 0.4],
  ["Elu", 0.7],
  ["Softsign"],
  ["Softplus"],
  ["Sigmoid"],
];
for (const [name, alpha, beta] of shaped) {
  const attributes = {
    activations: { texts: [name] },
    ...(alpha !== undefined && { activation_alpha: { floats: [alpha] } }),
    ...(beta !== undefined && { activation_beta: { floats: [beta] } }),
  };
  layer({ op: "RNN", attributes });
}
layer({ op: "LSTM", peepholes: true, state: true });
layer({ op: "LSTM", peepholes: true, directions: 2, lengths: [2, 5, 1], state: true });
layer({ op: "LSTM", peepholes: true, attributes: { clip: { float: 0.3 } } });
layer({ op: "LSTM", attributes: { input_forget: 1 }, state: true });
layer({
  op: "LSTM",
  attributes: {
    activations: { texts: ["HardSigmoid", "ScaledTanh", "Affine"] },
    activation_alpha: { floats: [0.3, 1.5, 0.5] },
    activation_beta: { floats: [0.4, 0.5, 0.1] },
  },
  state: true,
});

// ---- Quantised ----

add("QuantizeLinear", 13, [f([2, 3], 4), scalar(0.02, "float"), scalar(100, "uint8")]);
add("QuantizeLinear", 13, [f([2, 3], 4), given("float", [0.02, 0.05, 0.01]), given("int8", [0, 3, -4])]);
add("QuantizeLinear", 10, [f([2, 3], 4), scalar(0.02, "float")]);
add("DequantizeLinear", 13, [whole("uint8", [2, 3], 255), scalar(0.02, "float"), scalar(100, "uint8")]);
add("DequantizeLinear", 13, [whole("int8", [2, 3], 127, -128), given("float", [0.02, 0.5]), given("int8", [3, -4])], { axis: 0 });
add("DynamicQuantizeLinear", 11, [f([2, 5], 3)], {}, 3);
add("DynamicQuantizeLinear", 11, [f([6], 1, 4)], {}, 3);
add("MatMulInteger", 10, [whole("uint8", [2, 3], 255), whole("uint8", [3, 2], 255), scalar(12, "uint8"), scalar(200, "uint8")]);
// Small enough for pairs of products in 16 bits, beyond which onnxruntime saturates on some processors.
add("MatMulInteger", 10, [whole("uint8", [2, 3], 255), whole("int8", [3, 2], 60, -60), scalar(12, "uint8"), given("int8", [3, -4])]);
add("MatMulInteger", 10, [whole("uint8", [2, 3], 255), whole("uint8", [3, 2], 255)]);
add("QLinearMatMul", 10, [
  ...[whole("uint8", [2, 3], 255), scalar(0.02, "float"), scalar(100, "uint8")],
  ...[whole("uint8", [3, 2], 255), scalar(0.03, "float"), scalar(120, "uint8")],
  ...[scalar(0.1, "float"), scalar(110, "uint8")],
]);

// ---- Corners ----

add("ConvInteger", 10, [whole("uint8", [2, 3, 7], 255), whole("int8", [4, 3, 3], 60, -60), scalar(12, "uint8"), scalar(3, "int8")], {
  pads: { ints: [2, 1] },
  strides: { ints: [2] },
});
add("ConvInteger", 10, [whole("uint8", [1, 4, 5, 6], 255), whole("uint8", [2, 2, 3, 2], 255), scalar(200, "uint8"), scalar(7, "uint8")], {
  group: 2,
  pads: { ints: [1, 0, 1, 1] },
  dilations: { ints: [1, 2] },
});
add("ConvInteger", 10, [whole("uint8", [1, 1, 5], 255), whole("uint8", [1, 1, 2], 255)], { auto_pad: { text: "SAME_UPPER" } });
add(
  "QLinearConv",
  10,
  [
    ...[whole("uint8", [2, 3, 6], 255), scalar(0.02, "float"), scalar(100, "uint8")],
    ...[whole("int8", [4, 3, 3], 60, -60), given("float", [0.03, 0.01, 0.02, 0.04]), given("int8", [0, 0, 0, 0])],
    ...[scalar(0.1, "float"), scalar(110, "uint8"), whole("int32", [4], 900, -900)],
  ],
  { pads: { ints: [1, 1] } },
);
add("QLinearConv", 10, [
  ...[whole("uint8", [1, 2, 4, 4], 255), scalar(0.02, "float"), scalar(100, "uint8")],
  ...[whole("uint8", [3, 2, 2, 2], 255), scalar(0.03, "float"), scalar(120, "uint8")],
  ...[scalar(0.1, "float"), scalar(110, "uint8")],
]);
add("QLinearMatMul", 10, [
  ...[whole("uint8", [2, 3], 255), scalar(0.02, "float"), scalar(100, "uint8")],
  ...[whole("int8", [3, 2], 60, -60), given("float", [0.03, 0.01]), given("int8", [3, -4])],
  ...[scalar(0.1, "float"), scalar(110, "uint8")],
]);
add("DynamicQuantizeLinear", 11, [given("float", [0, 0, 0])], {}, 3);
add("DynamicQuantizeLinear", 11, [f([4], 1, -3)], {}, 3);
for (const op of ["Sum", "Mean", "Max", "Prod", "SumSquare", "L1", "L2", "LogSum", "LogSumExp"]) {
  add(`Reduce${op}`, 18, [f([2, 3], 1, op === "LogSum" ? 2 : 0), given("int64", [])], { noop_with_empty_axes: 1 });
}
add("ReduceSumSquare", 18, [whole("int32", [2, 3], 9, -9), given("int64", [])], { noop_with_empty_axes: 1 });
for (const op of ["Max", "Min"]) add(`Reduce${op}`, 18, [f([2, 0, 3]), i64(1)]);
add("LayerNormalization", 17, [f([2, 3, 4]), f([1]), f([4])]);
add("LayerNormalization", 17, [f([2, 3, 4]), f([4]), f([3, 1])], { axis: 1 });
layer({ op: "GRU", attributes: { activations: { texts: ["sigmoid", "TANH"] } } });

// ---- Models ----

const ARRAYS = {
  float: Float32Array,
  double: Float64Array,
  int32: Int32Array,
  bool: Uint8Array,
  uint8: Uint8Array,
  int8: Int8Array,
} as const;

/** The elements of an input as they lie in a file. */
export function arrayOf({ type, values }: Input): ArrayBufferView {
  return type === "int64" ? BigInt64Array.from(values, BigInt) : ARRAYS[type].from(values);
}

/** A model of the one node; inputs whose number is in `constants` are part of it. */
export function modelOf(
  { op, opset, domain, inputs, attributes, outputs }: OperatorCase,
  constants: ReadonlySet<number>,
): Uint8Array<ArrayBuffer> {
  const names = inputs.map((input, i) => (input === null ? "" : `x${i}`));
  const isFree = (_: unknown, i: number): boolean => inputs[i] !== null && !constants.has(i);
  const free = names.filter(isFree).map((name) => [name, { type: (inputs[Number(name.slice(1))] as Input).type }] as const);
  return model({
    opset,
    nodes: [node(op, names, outputs, attributes, domain)],
    initializers: inputs.flatMap((input, i) =>
      input && constants.has(i) ? [initializer(`x${i}`, input.shape, arrayOf(input), input.type)] : [],
    ),
    inputs: Object.fromEntries(free),
    outputs: Object.fromEntries(outputs.filter((name) => name !== "").map((name) => [name, null])),
  });
}
