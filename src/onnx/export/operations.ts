/** What each operation is in ONNX's operators. */

import type { DType } from "../../base/dtype.ts";
import { broadcastTo, reshape } from "../../ops/broadcast.ts";
import type { AxisWindows } from "../../ops/conv.ts";
import type { SparsePattern } from "../../ops/sparse.ts";
import { eye, full, zeros } from "../../tensor/create.ts";
import type { Shape } from "../../tensor/shape.ts";
import { Tensor, tensor } from "../../tensor/tensor.ts";
import * as code from "../../wasm/codes.gen.ts";
import { type Dimension, dimension, isConstant, type Sizes } from "./dimensions.ts";
import { cannot, type Graph } from "./graph.ts";
import { attribute, ELEMENT_TYPES } from "./messages.ts";
import type { Operation } from "./trace.ts";

/** An operation in both runs. */
export class Pair {
  readonly first: Operation;
  readonly #second: Operation;
  readonly #sizes: Sizes;

  constructor(first: Operation, second: Operation, sizes: Sizes) {
    this.first = first;
    this.#second = second;
    this.#sizes = sizes;
  }

  get dtype(): DType {
    return (this.first.inputs.at(-1) as Tensor).dtype;
  }

  /** Numbers that may depend on open lengths. */
  dims(of: (op: Operation) => readonly number[]): Dimension[] {
    const [a, b] = [of(this.first), of(this.#second)];
    if (a.length !== b.length) this.cannot("another number of axes or parts for another length");
    return a.map(
      (value, i) => dimension(value, b[i] as number, this.#sizes) ?? this.cannot(`sizes ${value} and ${b[i]} that depend on open lengths`),
    );
  }

  /** Numbers that may not. */
  numbers(of: (op: Operation) => readonly number[]): number[] {
    const dims = this.dims(of);
    if (!dims.every(isConstant)) this.cannot("numbers that depend on open lengths");
    return dims.map(({ offset }) => offset);
  }

  /** A number that is the same in both runs, or is a length. @returns the name of its value, without axes */
  number(g: Graph, of: (op: Operation) => number, dtype: DType): string {
    const [a, b] = this.both(of);
    if (Object.is(a, b)) return g.model.number(a, dtype);
    const found = dimension(a, b, this.#sizes) ?? this.cannot(`the number ${a} or ${b}, which was computed from values of the inputs`);
    const length = g.model.root.add("Squeeze", [g.model.dimensions([found]), g.model.list([0])]);
    return g.model.root.add("Cast", [length], { to: attribute.int(ELEMENT_TYPES[dtype]) });
  }

  /** A number that has to be the same. */
  constant(of: (op: Operation) => number): number {
    const [a, b] = this.both(of);
    return Object.is(a, b) ? a : this.cannot(`the number ${a} or ${b}`);
  }

  /** Lengths of a shape, of which one may be what the others leave: −1. */
  shape(of: (op: Operation) => readonly number[]): Dimension[] {
    const [a, b] = [of(this.first), of(this.#second)];
    const dims = a.map((value, i) => dimension(value, b[i] as number, this.#sizes));
    if (dims.filter((d) => d === null).length > 1) return this.dims(of);
    return dims.map((d) => d ?? { factor: 0, lengths: [], offset: -1 });
  }

  /** A number from each run. */
  both(of: (op: Operation) => number): [number, number] {
    return [of(this.first), of(this.#second)];
  }

  cannot(what: string): never {
    return cannot(`${this.first.name} with ${what}`);
  }
}

/** Adds the nodes of an operation. @returns the names of its outputs */
type Emit = (g: Graph, x: readonly string[], op: Pair) => string | string[];

const shapeOf = (i: number) => (op: Operation) => (op.inputs[i] as Tensor).shape;
const resultOf = (op: Operation): Shape => (op.outputs[0] as Tensor).shape;
const params = <P>(op: Operation): P => op.params as P;

const simple =
  (name: string): Emit =>
  (g, x) =>
    g.add(name, x);

interface Numbers {
  readonly a?: number;
  readonly b?: number;
}

/** An operand that is a number; null for one that is a tensor. */
function operand(g: Graph, op: Pair, name: keyof Numbers, dtype: DType): string | null {
  if (params<Numbers>(op.first)[name] === undefined) return null;
  return op.number(g, (of) => params<Numbers>(of)[name] as number, dtype);
}

/** An operation of two operands, either of which may be a number. */
function operands(g: Graph, x: readonly string[], op: Pair): [string, string] {
  return [operand(g, op, "a", op.dtype) ?? (x[0] as string), operand(g, op, "b", op.dtype) ?? (x.at(-1) as string)];
}

const binary =
  (name: string): Emit =>
  (g, x, op) =>
    g.add(name, operands(g, x, op));

/** x beside a number. */
function withNumber(g: Graph, name: string, x: string, value: number, dtype: DType): string {
  return g.add(name, [x, g.model.number(value, dtype)]);
}

const COMPARISONS: ReadonlyMap<number, string> = new Map([
  [code.EQUAL, "Equal"],
  [code.NOT_EQUAL, "Equal"],
  [code.LESS, "Less"],
  [code.LESS_EQUAL, "LessOrEqual"],
]);

interface Reduced {
  readonly axes: readonly number[];
  readonly keepDim: boolean;
}

const keeps = (op: Pair) => attribute.int(params<Reduced>(op.first).keepDim ? 1 : 0);

const extreme =
  (name: string): Emit =>
  (g, x, op) =>
    g.add(name, x, { axes: attribute.ints(params<Reduced>(op.first).axes), keepdims: keeps(op) });

const argExtreme =
  (name: string): Emit =>
  (g, x, op) => {
    const { axes } = params<Reduced>(op.first);
    if (axes.length !== 1 && (op.first.inputs[0] as Tensor).rank > 1) op.cannot("no axis");
    const index = g.add(name, x, { axis: attribute.int(axes[0] ?? 0), keepdims: keeps(op) });
    return g.add("Cast", [index], { to: attribute.int(ELEMENT_TYPES.int32) });
  };

const limits: Emit = (g, x, op) => {
  const bound = (name: "min" | "max") => {
    const value = op.constant((of) => params<{ min: number; max: number }>(of)[name]);
    return Number.isFinite(value) ? g.model.number(value, op.dtype) : "";
  };
  return g.add("Clip", [x[0] as string, bound("min"), bound("max")]);
};

/** An axis of a window. */
interface Window {
  readonly starts: Shape;
  readonly steps: Shape;
  readonly shape: Shape;
}

const INT_MAX = 2 ** 31 - 1;

/** Elements start, start + step, … along each axis that is not taken whole. */
const slice: Emit = (g, x, op) => {
  const window = (of: Operation) => params<Window>(of);
  const steps = op.numbers((of) => window(of).steps);
  const starts = op.dims((of) => window(of).starts);
  const ends = op.dims((of) =>
    window(of).starts.map((start, i) => {
      const [step, n] = [window(of).steps[i] as number, window(of).shape[i] as number];
      return n === 0 ? start : start + (n - 1) * step + 1;
    }),
  );
  const source = shapeOf(0)(op.first);
  const axes = steps.flatMap((step, i) => (step === 1 && window(op.first).shape[i] === source[i] ? [] : [i]));
  if (axes.length === 0) return g.add("Identity", x);
  const chosen = (dims: readonly Dimension[]) => g.model.dimensions(axes.map((i) => dims[i] as Dimension));
  return g.add("Slice", [
    x[0] as string,
    chosen(starts),
    chosen(ends),
    g.model.list(axes),
    g.model.list(axes.map((i) => steps[i] as number)),
  ]);
};

/** x within a constant tensor: padding. */
const embed: Emit = (g, x, op) => {
  const at = (of: Operation) => params<{ window: Window; shape: Shape; value: number }>(of);
  if (op.numbers((of) => at(of).window.steps).some((step) => step !== 1)) op.cannot("gaps");
  const before = op.dims((of) => at(of).window.starts);
  const after = op.dims((of) => at(of).shape.map((n, i) => n - (at(of).window.starts[i] as number) - (at(of).window.shape[i] as number)));
  return g.add("Pad", [x[0] as string, g.model.dimensions([...before, ...after]), op.number(g, (of) => at(of).value, op.dtype)]);
};

/** One entry of an axis, which may lie at an open place. */
const select: Emit = (g, x, op) => {
  const at = (of: Operation) => params<{ axis: number; i: number }>(of);
  const { axis } = at(op.first);
  const place = g.add("Squeeze", [g.model.dimensions(op.dims((of) => [at(of).i])), g.model.list([0])]);
  return g.add("Gather", [x[0] as string, place], { axis: attribute.int(axis) });
};

const split: Emit = (g, x, op) => {
  const { axis } = params<{ axis: number }>(op.first);
  const sizes = g.model.dimensions(op.dims((of) => params<{ sizes: Shape }>(of).sizes));
  return g.addAll("Split", [x[0] as string, sizes], op.first.outputs.length, { axis: attribute.int(axis) });
};

const unstack: Emit = (g, x, op) => {
  const axis = params<number>(op.first);
  op.numbers((of) => [of.outputs.length]);
  return op.first.outputs.map((_, i) => {
    const place = g.add("Squeeze", [g.model.list([i]), g.model.list([0])]);
    return g.add("Gather", [x[0] as string, place], { axis: attribute.int(axis) });
  });
};

const stack: Emit = (g, x, op) => {
  op.numbers((of) => [of.inputs.length]);
  const axis = params<number>(op.first);
  const parts = x.map((name) => g.add("Unsqueeze", [name, g.model.list([axis])]));
  return g.add("Concat", parts, { axis: attribute.int(axis) });
};

const flip: Emit = (g, x, op) => {
  const axes = op.numbers((of) => params<Shape>(of));
  const all = (value: number) => g.model.list(axes.map(() => value));
  return g.add("Slice", [x[0] as string, all(-1), all(-INT_MAX), g.model.list(axes), all(-1)]);
};

const roll: Emit = (g, x, op) => {
  const { axis } = params<{ axis: number }>(op.first);
  const [shift] = op.numbers((of) => [params<{ shift: number }>(of).shift]) as [number];
  const [source, at] = [x[0] as string, g.model.list([axis])];
  if (shift === 0) return g.add("Identity", [source]);
  const back = g.add("Slice", [source, g.model.list([-shift]), g.model.list([INT_MAX]), at]);
  const front = g.add("Slice", [source, g.model.list([0]), g.model.list([-shift]), at]);
  return g.add("Concat", [back, front], { axis: attribute.int(axis) });
};

const linear: Emit = (g, x, op) => {
  const [input, weight, bias] = x as [string, string, string?];
  if ((op.first.inputs[0] as Tensor).rank === 2) return g.add("Gemm", x, { transB: attribute.int(1) });
  const product = g.add("MatMul", [input, g.add("Transpose", [weight], { perm: attribute.ints([1, 0]) })]);
  return bias === undefined ? product : g.add("Add", [product, bias]);
};

const layerNorm: Emit = (g, x, op) => {
  const { eps, weighted, biased } = params<{ eps: number; weighted: boolean; biased: boolean }>(op.first);
  const shape = op.numbers((of) => params<{ shape: Shape }>(of).shape);
  const scale = weighted ? (x[1] as string) : g.model.tensor("ones", full(shape, 1, op.dtype));
  const inputs = [x[0] as string, scale, ...(biased ? [x.at(-1) as string] : [])];
  return [g.add("LayerNormalization", inputs, { axis: attribute.int(-shape.length), epsilon: attribute.float(eps) })];
};

/** Zeros after an axis: as many as before, or what keeps its size. */
function zerosAfter(op: Pair, i: 0 | 1): number {
  const at = (of: Operation) => params<readonly AxisWindows[]>(of)[i] as AxisWindows;
  const { kernel, stride, dilation, before } = at(op.first);
  const reach = dilation * (kernel - 1);
  const fits = (after: number) =>
    op.both((of) => Math.floor((at(of).size + before + after - reach - 1) / stride) + 1 - at(of).count).every((rest) => rest === 0);
  return [before, reach - before, 0].find((after) => after >= 0 && fits(after)) ?? op.cannot("padding that depends on open lengths");
}

/** The windows of an image as columns: a convolution by filters that each take one place of the window. */
const unfold: Emit = (g, x, op) => {
  const windows = params<readonly [AxisWindows, AxisWindows]>(op.first);
  const at = (name: keyof AxisWindows) => windows.map((axis) => axis[name]);
  op.numbers((of) =>
    params<readonly AxisWindows[]>(of).flatMap(({ kernel, stride, dilation, before }) => [kernel, stride, dilation, before]),
  );
  const [C] = op.numbers((of) => [shapeOf(0)(of).at(-3) as number]) as [number];
  const places = (at("kernel")[0] as number) * (at("kernel")[1] as number);
  // Filter i of a channel is 1 at place i.
  const filters = reshape(broadcastTo(eye(places, places, op.dtype), [C, places, places]), [C * places, 1, ...at("kernel")]);
  const weight = g.model.tensor("windows", filters);
  const after = [zerosAfter(op, 0), zerosAfter(op, 1)];
  const columns = g.add("Conv", [x[0] as string, weight], {
    group: attribute.int(C),
    strides: attribute.ints(at("stride")),
    dilations: attribute.ints(at("dilation")),
    pads: attribute.ints([...at("before"), ...after]),
  });
  return g.add("Reshape", [columns, g.model.dimensions(op.shape(resultOf))]);
};

/** The largest matrix that is written out in full. */
const LARGEST = 2 ** 24;

/** A sparse matrix is written out, since ONNX's operators have none. */
const sparseLinear: Emit = (g, x, op) => {
  const { pattern, transposed } = params<{ pattern: SparsePattern; transposed: boolean }>(op.first);
  const [rows, columns] = pattern.size;
  if (rows * columns > LARGEST) op.cannot(`a matrix of ${rows} × ${columns}, more than ${LARGEST} elements, which ONNX would hold in full`);
  const [starts, across] = [pattern.crowIndices.data(), pattern.colIndices.data()];
  const places = Array.from({ length: rows }, (_, i) => Array.from(across.slice(starts[i], starts[i + 1]), (j) => [i, j])).flat(2);
  const at = g.model.list(places, [across.length, 2]);
  const matrix = g.add("ScatterND", [g.model.tensor("zeros", zeros([rows, columns], op.dtype)), at, x[1] as string]);
  return g.add("MatMul", [x[0] as string, transposed ? matrix : g.add("Transpose", [matrix], { perm: attribute.ints([1, 0]) })]);
};

/** For each i the sum of x_j over those whose key is lower, or equal with j < i. */
const orderedSums: Emit = (g, x, op) => {
  const [values, keys] = x as [string, string];
  if (params<{ reverse: boolean }>(op.first).reverse) op.cannot("the reverse order");
  const [n] = op.numbers((of) => [resultOf(of).at(-1) as number]) as [number];
  const axis = (k: number) => g.model.list([k]);
  const [own, other] = [g.add("Unsqueeze", [keys, axis(-1)]), g.add("Unsqueeze", [keys, axis(-2)])];
  const earlier = tensor(
    Array.from({ length: n }, (_, i) => Array.from({ length: n }, (_, j) => j < i)),
    { dtype: "bool" },
  );
  const tie = g.add("And", [g.add("Equal", [other, own]), g.model.tensor("earlier", earlier)]);
  const before = g.add("Cast", [g.add("Or", [g.add("Less", [other, own]), tie])], { to: attribute.int(ELEMENT_TYPES[op.dtype]) });
  return g.add("Squeeze", [g.add("MatMul", [before, g.add("Unsqueeze", [values, axis(-1)])]), axis(-1)]);
};

/** An index among the parameters, which is a value of the graph, too. */
const indexed =
  (name: string): Emit =>
  (g, x, op) =>
    g.add(name, x, { axis: attribute.int(params<{ axis: number }>(op.first).axis) });

const EMITTERS: Readonly<Record<string, Emit>> = {
  add: binary("Add"),
  sub: binary("Sub"),
  mul: binary("Mul"),
  div: binary("Div"),
  pow: binary("Pow"),
  maximum: binary("Max"),
  minimum: binary("Min"),
  neg: simple("Neg"),
  square: (g, x) => g.add("Mul", [x[0] as string, x[0] as string]),
  exp: simple("Exp"),
  expm1: (g, x, op) => withNumber(g, "Sub", g.add("Exp", x), 1, op.dtype),
  log: simple("Log"),
  log1p: (g, x, op) => g.add("Log", [withNumber(g, "Add", x[0] as string, 1, op.dtype)]),
  sqrt: simple("Sqrt"),
  rsqrt: (g, x) => g.add("Reciprocal", [g.add("Sqrt", x)]),
  reciprocal: simple("Reciprocal"),
  abs: simple("Abs"),
  sign: simple("Sign"),
  sin: simple("Sin"),
  cos: simple("Cos"),
  erf: simple("Erf"),
  tanh: simple("Tanh"),
  sigmoid: simple("Sigmoid"),
  relu: simple("Relu"),
  softplus: simple("Softplus"),
  leakyRelu: (g, x, op) => g.add("LeakyRelu", x, { alpha: attribute.float(op.constant(params)) }),
  elu: (g, x, op) => g.add("Elu", x, { alpha: attribute.float(op.constant(params)) }),
  silu: (g, x) => g.add("Mul", [x[0] as string, g.add("Sigmoid", x)]),
  gelu: (g, x, op) => {
    const half = withNumber(g, "Mul", x[0] as string, 0.5, op.dtype);
    const below = withNumber(g, "Add", g.add("Erf", [withNumber(g, "Mul", x[0] as string, Math.SQRT1_2, op.dtype)]), 1, op.dtype);
    return g.add("Mul", [half, below]);
  },
  clamp: limits,
  hardTanh: limits,
  compare: (g, x, op) => {
    const kind = params<{ op: number }>(op.first).op;
    const y = g.add(COMPARISONS.get(kind) ?? op.cannot(`the comparison ${kind}`), operands(g, x, op));
    return kind === code.NOT_EQUAL ? g.add("Not", [y]) : y;
  },
  logicalAnd: simple("And"),
  logicalOr: simple("Or"),
  logicalXor: simple("Xor"),
  where: (g, x, op) => {
    const { dtype } = op.first.outputs[0] as Tensor;
    return g.add("Where", [
      x[0] as string,
      operand(g, op, "a", dtype) ?? (x[1] as string),
      operand(g, op, "b", dtype) ?? (x.at(-1) as string),
    ]);
  },
  cast: (g, x, op) => g.add("Cast", x, { to: attribute.int(ELEMENT_TYPES[params<DType>(op.first)]) }),
  alias: simple("Identity"),
  contiguous: simple("Identity"),
  reshape: (g, x, op) => g.add("Reshape", [x[0] as string, g.model.dimensions(op.shape(resultOf))], { allowzero: attribute.int(1) }),
  broadcastTo: (g, x, op) => g.add("Expand", [x[0] as string, g.model.dimensions(op.dims(resultOf))]),
  permute: (g, x, op) => g.add("Transpose", x, { perm: attribute.ints(params<Shape>(op.first)) }),
  slice,
  embed,
  select,
  split,
  unstack,
  stack,
  flip,
  roll,
  cat: (g, x, op) => g.add("Concat", x, { axis: attribute.int(params<number>(op.first)) }),
  sum: (g, x, op) => {
    const axes = g.model.list(params<Reduced>(op.first).axes);
    return g.add("ReduceSum", [x[0] as string, axes], { keepdims: keeps(op), noop_with_empty_axes: attribute.int(1) });
  },
  amax: extreme("ReduceMax"),
  amin: extreme("ReduceMin"),
  argmax: argExtreme("ArgMax"),
  argmin: argExtreme("ArgMin"),
  prod: (g, x) => g.add("ReduceProd", x, { axes: attribute.ints([-1]), keepdims: attribute.int(0) }),
  logSumExp: (g, x) => g.add("ReduceLogSumExp", x, { axes: attribute.ints([1]), keepdims: attribute.int(0) }),
  cumsum: (g, x, op) => {
    const { axis, reverse } = params<{ axis: number; reverse: boolean }>(op.first);
    return g.add("CumSum", [x[0] as string, g.model.list([axis])], { reverse: attribute.int(reverse ? 1 : 0) });
  },
  softmax: (g, x) => g.add("Softmax", x, { axis: attribute.int(-1) }),
  logSoftmax: (g, x) => g.add("LogSoftmax", x, { axis: attribute.int(-1) }),
  matmul: simple("MatMul"),
  addmm: (g, x) => g.add("Gemm", [x[1] as string, x[2] as string, x[0] as string]),
  linear,
  layerNorm,
  gather: indexed("GatherElements"),
  indexSelect: indexed("Gather"),
  unfold,
  sparseLinear,
  orderedSums,
};

/** What an operation reads: its inputs, and an index among its parameters. */
export function readBy({ inputs, params: own }: Operation): readonly Tensor[] {
  const index = (own as { index?: unknown } | null | undefined)?.index;
  return index instanceof Tensor ? [...inputs, index] : inputs;
}

/** Adds an operation's nodes. @throws ArgumentError for one that has none */
export function emitOperation(g: Graph, inputs: readonly string[], op: Pair): string[] {
  const emit = Object.hasOwn(EMITTERS, op.first.name) ? EMITTERS[op.first.name] : undefined;
  if (emit === undefined) return cannot(`the operation ${op.first.name}`);
  const outputs = emit(g, inputs, op);
  return typeof outputs === "string" ? [outputs] : outputs;
}
