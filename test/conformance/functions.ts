/** What PyTorch's functions, methods and operators are here: the vocabulary of the operation cases. */

import { defineOp } from "../../src/autodiff/define-op.ts";
import { apply } from "../../src/autodiff/primitive.ts";
import { add, div, maximum, minimum, mul, neg, sub } from "../../src/ops/arithmetic.ts";
import { clamp, maskedFill, where } from "../../src/ops/compare.ts";
import { conv1d, conv2d } from "../../src/ops/conv.ts";
import { einsum } from "../../src/ops/einsum.ts";
import { gather, type IndexSpec, index, indexAdd, indexSelect, maskedSelect, scatter, scatterAdd } from "../../src/ops/gather.ts";
import * as ops from "../../src/ops/index.ts";
import { bmm, matmul, outer } from "../../src/ops/linear.ts";
import * as math from "../../src/ops/math.ts";
import { pow } from "../../src/ops/math.ts";
import { logSoftmax, softmax } from "../../src/ops/softmax.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import type { Arguments, Language, Slice, Value } from "./expression.ts";

/** Arguments by name; what was given neither by position nor by name is undefined. */
type Bound = Readonly<Record<string, Value | undefined>>;

interface Binding {
  /** Parameters in PyTorch's order. */
  readonly parameters: readonly string[];
  readonly compute: (x: Bound & { readonly a: Tensor; readonly b: Tensor }) => Value;
}

/** A function with PyTorch's parameters, separated by spaces; `*name` takes all that is left of the positional ones. */
function fn(parameters: string, compute: Binding["compute"]): Binding {
  return { parameters: parameters.split(" "), compute };
}

const unary = (compute: (a: Tensor) => Tensor): Binding => fn("a", ({ a }) => compute(a));

const number = (value: Value | undefined, otherwise: number): number =>
  value === undefined || value === null ? otherwise : (value as number);

/** Sizes given one by one or as one tuple. */
const sizes = (values: Value | undefined): number[] => (values as (number | number[])[]).flat();

const reduceOptions = ({ dim, keepdim }: Bound): ops.ReduceOptions => ({
  ...(dim !== undefined && dim !== null && { axis: dim as number | number[] }),
  ...(keepdim !== undefined && { keepDim: keepdim as boolean }),
});

const reduction = (compute: (a: Tensor, options: ops.ReduceOptions) => Tensor): Binding =>
  fn("a dim keepdim", ({ a, ...rest }) => compute(a, reduceOptions(rest)));

/** Values and where they are, along one axis; all there is without one. */
const extremum = (
  values: (a: Tensor, options: ops.ReduceOptions) => Tensor,
  indices: (a: Tensor, options: ops.ArgOptions) => Tensor,
): Binding =>
  fn("a dim keepdim", ({ a, ...rest }) => {
    const options = reduceOptions(rest);
    return options.axis === undefined ? values(a, options) : [values(a, options), indices(a, options as ops.ArgOptions)];
  });

/** −1 stands for what is left of the size. */
function inferred(x: Tensor, wanted: readonly number[]): number[] {
  const known = wanted.reduce((product, n) => (n === -1 ? product : product * n), 1);
  return wanted.map((n) => (n === -1 ? x.size / known : n));
}

/** [before, after] from the last axis backwards, as one flat list. */
function padding(flat: readonly number[]): [number, number][] {
  return Array.from({ length: flat.length / 2 }, (_, i): [number, number] => [flat[2 * i] as number, flat[2 * i + 1] as number]).reverse();
}

const convolutionOptions = ({ stride, padding, dilation }: Bound): object => ({
  ...(stride !== undefined && { stride }),
  ...(padding !== undefined && { padding }),
  ...(dilation !== undefined && { dilation }),
});

/**
 * PyTorch 1.13 differentiates its hardsigmoid with the float32 number nearest 1/6, in float64 too (hardsigmoid_backward);
 * ours is exact. The factor between the two is put on our gradient, so that it is still held to the full precision.
 */
const hardSigmoidSlopeOp = defineOp({
  name: "hardSigmoidSlope",
  forward: ([y]) => (y as Tensor).detach(),
  vjp: (g) => mul(g, 6 * Math.fround(1 / 6)),
  jvp: (t) => mul(t, 6 * Math.fround(1 / 6)),
});

const FUNCTIONS: Readonly<Record<string, Binding>> = {
  "torch.matmul": fn("a b", ({ a, b }) => matmul(a, b)),
  "torch.bmm": fn("a b", ({ a, b }) => bmm(a, b)),
  "torch.outer": fn("a b", ({ a, b }) => outer(a, b)),
  "torch.addmm": fn("c a b beta alpha", ({ c, a, b, beta, alpha }) =>
    add(mul(c as Tensor, number(beta, 1)), mul(matmul(a, b), number(alpha, 1))),
  ),
  "torch.einsum": fn("equation *operands", ({ equation, operands }) => einsum(equation as string, ...(operands as Tensor[]))),

  "torch.maximum": fn("a b", ({ a, b }) => maximum(a, b)),
  "torch.minimum": fn("a b", ({ a, b }) => minimum(a, b)),
  "torch.where": fn("c a b", ({ c, a, b }) => where(c as Tensor, a, b)),
  "torch.clamp": fn("a min max", ({ a, min, max }) =>
    clamp(a, number(min, Number.NEGATIVE_INFINITY), number(max, Number.POSITIVE_INFINITY)),
  ),

  "torch.exp": unary(math.exp),
  "torch.expm1": unary(math.expm1),
  "torch.log": unary(math.log),
  "torch.log1p": unary(math.log1p),
  "torch.sqrt": unary(math.sqrt),
  "torch.rsqrt": unary(math.rsqrt),
  "torch.reciprocal": unary(math.reciprocal),
  "torch.abs": unary(math.abs),
  "torch.sin": unary(math.sin),
  "torch.cos": unary(math.cos),
  "torch.tanh": unary(math.tanh),
  "torch.sigmoid": unary(math.sigmoid),
  "torch.erf": unary(math.erf),
  "torch.relu": unary(math.relu),
  "F.leaky_relu": fn("a negative_slope", ({ a, negative_slope }) => math.leakyRelu(a, number(negative_slope, 0.01))),
  "F.elu": fn("a alpha", ({ a, alpha }) => math.elu(a, number(alpha, 1))),
  "F.selu": unary(math.selu),
  "F.softplus": unary(math.softplus),
  "F.softsign": unary(math.softsign),
  "F.silu": unary(math.silu),
  "F.mish": unary(math.mish),
  "F.gelu": fn("a approximate", ({ a, approximate }) => (approximate === "tanh" ? math.geluTanh(a) : math.gelu(a))),
  "F.logsigmoid": unary(math.logSigmoid),
  "F.hardsigmoid": unary((a) => apply(hardSigmoidSlopeOp, [math.hardSigmoid(a)], undefined)),
  "F.hardtanh": unary(math.hardTanh),
  "F.relu6": unary(math.relu6),

  "torch.sum": reduction(ops.sum),
  "torch.mean": reduction(ops.mean),
  "torch.var": fn("a dim unbiased keepdim", ({ a, unbiased, ...rest }) =>
    ops.variance(a, { ...reduceOptions(rest), correction: unbiased === false ? 0 : 1 }),
  ),
  "torch.std": fn("a dim unbiased keepdim", ({ a, unbiased, ...rest }) =>
    ops.std(a, { ...reduceOptions(rest), correction: unbiased === false ? 0 : 1 }),
  ),
  "torch.prod": reduction(ops.prod),
  "torch.amax": reduction(ops.amax),
  "torch.amin": reduction(ops.amin),
  "torch.max": extremum(ops.max, ops.argmax),
  "torch.min": extremum(ops.min, ops.argmin),
  "torch.argmax": reduction(ops.argmax as typeof ops.amax),
  "torch.argmin": reduction(ops.argmin as typeof ops.amax),
  "torch.logsumexp": reduction(ops.logSumExp),
  "torch.linalg.vector_norm": fn("a ord dim keepdim", ({ a, ord, ...rest }) => ops.norm(a, { ...reduceOptions(rest), p: number(ord, 2) })),
  "torch.cumsum": fn("a dim", ({ a, dim }) => ops.cumsum(a, { axis: dim as number })),
  "torch.cumprod": fn("a dim", ({ a, dim }) => ops.cumprod(a, { axis: dim as number })),
  "torch.softmax": fn("a dim", ({ a, dim }) => softmax(a, dim as number)),
  "torch.log_softmax": fn("a dim", ({ a, dim }) => logSoftmax(a, dim as number)),

  "torch.gather": fn("a dim index", ({ a, dim, index: i }) => gather(a, dim as number, i as Tensor)),
  "torch.scatter": fn("a dim index src", ({ a, dim, index: i, src }) => scatter(a, dim as number, i as Tensor, src as Tensor)),
  "torch.scatter_add": fn("a dim index src", ({ a, dim, index: i, src }) => scatterAdd(a, dim as number, i as Tensor, src as Tensor)),
  "torch.index_select": fn("a dim index", ({ a, dim, index: i }) => indexSelect(a, dim as number, i as Tensor)),
  "torch.index_add": fn("a dim index src", ({ a, dim, index: i, src }) => indexAdd(a, dim as number, i as Tensor, src as Tensor)),
  "torch.masked_select": fn("a mask", ({ a, mask }) => maskedSelect(a, mask as Tensor)),
  ".masked_fill": fn("a mask value", ({ a, mask, value }) => maskedFill(a, mask as Tensor, value as number)),

  ".reshape": fn("a *shape", ({ a, shape: to }) => ops.reshape(a, inferred(a, sizes(to)))),
  ".permute": fn("a *dims", ({ a, dims }) => ops.permute(a, sizes(dims))),
  ".transpose": fn("a dim0 dim1", ({ a, dim0, dim1 }) => ops.transpose(a, dim0 as number, dim1 as number)),
  ".t": unary((a) => ops.transpose(a)),
  ".expand": fn("a *shape", ({ a, shape: to }) => {
    const wanted = sizes(to);
    const lead = wanted.length - a.rank;
    return ops.expand(
      a,
      wanted.map((n, i) => (n === -1 ? (a.shape[i - lead] as number) : n)),
    );
  }),
  ".squeeze": fn("a dim", ({ a, dim }) => ops.squeeze(a, dim as number)),
  ".unsqueeze": fn("a dim", ({ a, dim }) => ops.unsqueeze(a, dim as number)),
  ".repeat": fn("a *repeats", ({ a, repeats }) => ops.repeat(a, sizes(repeats))),
  ".sum": reduction(ops.sum),
  "torch.cat": fn("tensors dim", ({ tensors, dim }) => ops.cat(tensors as Tensor[], number(dim, 0))),
  "torch.stack": fn("tensors dim", ({ tensors, dim }) => ops.stack(tensors as Tensor[], number(dim, 0))),
  "torch.split": fn("a sizes dim", ({ a, sizes: parts, dim }) => ops.split(a, parts as number | number[], number(dim, 0))),
  "torch.chunk": fn("a chunks dim", ({ a, chunks, dim }) => ops.chunk(a, chunks as number, number(dim, 0))),
  "torch.flip": fn("a dims", ({ a, dims }) => ops.flip(a, dims as number | number[])),
  "torch.roll": fn("a shifts dims", ({ a, shifts, dims }) => ops.roll(a, shifts as number, dims as number | undefined)),
  "F.pad": fn("a pad mode value", ({ a, pad, value }) => ops.pad(a, padding(pad as number[]), number(value, 0))),
  "torch.tril": fn("a diagonal", ({ a, diagonal }) => ops.tril(a, number(diagonal, 0))),
  "torch.triu": fn("a diagonal", ({ a, diagonal }) => ops.triu(a, number(diagonal, 0))),
  "torch.diagonal": fn("a offset", ({ a, offset }) => ops.diagonal(a, number(offset, 0))),

  "F.conv1d": fn("a w b stride padding dilation", ({ a, w, b, ...rest }) => conv1d(a, w as Tensor, b, convolutionOptions(rest))),
  "F.conv2d": fn("a w b stride padding dilation", ({ a, w, b, ...rest }) => conv2d(a, w as Tensor, b, convolutionOptions(rest))),
};

const OPERATORS: Readonly<Record<string, (a: Tensor, b: Tensor) => Tensor>> = {
  "+": add,
  "-": sub,
  "*": mul,
  "/": div,
  "**": pow as (a: Tensor, b: Tensor) => Tensor,
  "@": matmul,
};

function bind(path: string, { parameters }: Binding, { positional, named }: Arguments): Bound {
  const bound: Record<string, Value | undefined> = {};
  parameters.forEach((name, i) => {
    if (name.startsWith("*")) bound[name.slice(1)] = positional.slice(i);
    else bound[name] = i < positional.length ? positional[i] : named.get(name);
  });
  const unknown = [...named.keys()].filter((name) => !parameters.includes(name));
  const surplus = positional.length > parameters.length && !parameters.at(-1)?.startsWith("*");
  if (unknown.length > 0 || surplus) throw new Error(`${path}: expected arguments (${parameters.join(", ")}), got others`);
  return bound;
}

function call(path: string, args: Arguments): Value {
  const binding = FUNCTIONS[path];
  if (binding === undefined) throw new Error(`expected a function this runner knows, got ${path}`);
  return binding.compute(bind(path, binding, args) as Bound & { a: Tensor; b: Tensor });
}

function subscript(value: Value, subscripts: readonly Value[]): Value {
  return index(
    value as Tensor,
    subscripts.map((s): IndexSpec => {
      if (typeof s === "number" || s instanceof Tensor) return s;
      const { start, stop, step } = s as Slice;
      return { ...(start !== null && { start }), ...(stop !== null && { end: stop }), ...(step !== null && { step }) };
    }),
  );
}

/** Expressions over these variables. */
export function language(variables: ReadonlyMap<string, Value>): Language {
  return {
    variables,
    call,
    subscript,
    operate: (operator, a, b) => (OPERATORS[operator] as (a: Value, b: Value) => Value)(a, b),
    negate: (a) => (typeof a === "number" ? -a : neg(a as Tensor)),
  };
}
