/** Operators that work element by element. All versions up to 23: those that take broadcasting as an attribute (before 7) are not read. */

import { isFloat } from "../../base/dtype.ts";
import { DTypeError } from "../../base/errors.ts";
import { add, div, maximum, minimum, mul, neg, sub } from "../../ops/arithmetic.ts";
import { cast } from "../../ops/cast.ts";
import {
  clamp,
  equal,
  greater,
  greaterEqual,
  isNaN as isNotANumber,
  less,
  lessEqual,
  logicalAnd,
  logicalNot,
  logicalOr,
  logicalXor,
  where,
} from "../../ops/compare.ts";
import type { Operand } from "../../ops/elementwise.ts";
import {
  abs,
  cos,
  elu,
  erf,
  exp,
  expm1,
  gelu,
  geluTanh,
  leakyRelu,
  log,
  mish,
  pow,
  reciprocal,
  relu,
  sigmoid,
  sign,
  sin,
  softplus,
  softsign,
  sqrt,
  tanh,
} from "../../ops/math.ts";
import { Tensor, tensor } from "../../tensor/tensor.ts";
import { elementType } from "../model.ts";
import {
  type ElementType,
  type FloatType,
  floats,
  HostArray,
  isDevice,
  mask,
  numberOf,
  numbersOf,
  typeOf,
  type Value,
  type WholeType,
} from "../values.ts";
import { hardSigmoid, thresholdedRelu } from "./activations.ts";
import { zip, zipped } from "./host.ts";
import { type Given, type Operator, type Operators, operator, plain } from "./operator.ts";

function checkTypes(values: readonly Value[]): void {
  const [first, ...rest] = values.map(typeOf);
  const other = rest.find((type) => type !== first);
  if (other !== undefined) throw new DTypeError(`expected operands of one type, got ${first} and ${other}`);
}

// ---- One operand ----

function unary(device: (x: Tensor) => Tensor, host?: (x: number) => number): Operator {
  return plain(1, ([x]) => {
    if (host === undefined || isDevice(x as Value)) return device(floats(x as Value, "x"));
    return zip(typeOf(x as Value) as WholeType, [x as Value], host);
  });
}

/** An activation with alpha and perhaps beta. */
function shaped(defaults: readonly [alpha: number, beta?: number], fn: (x: Tensor, alpha: number, beta: number) => Tensor): Operator {
  return operator(1, ({ attributes }) => {
    const alpha = attributes.float("alpha", defaults[0]);
    const beta = defaults[1] === undefined ? 0 : attributes.float("beta", defaults[1]);
    return ([x]) => fn(floats(x as Value, "x"), alpha, beta);
  });
}

/** A function of numbers that no kernel has: exact ones only, which are the same on every host. */
function exact(fn: (x: number) => number): Operator {
  return unary((x) => fromNumbers(x.data().map(fn), x.shape, x.dtype as FloatType), fn);
}

function fromNumbers(values: ArrayLike<number>, shape: readonly number[], dtype: FloatType): Tensor {
  return tensor(Float64Array.from(values), { shape, dtype });
}

/** To the nearest whole number, halves to the even one. */
export function round(x: number): number {
  const below = Math.floor(x);
  if (x - below !== 0.5) return Math.round(x);
  return below % 2 === 0 ? below : below + 1;
}

const half = (x: Tensor): Tensor => mul(x, 0.5);
/** (e^x - e^-x) / 2 and (e^x + e^-x) / 2. */
const sinh = (x: Tensor): Tensor => half(sub(expm1(x), expm1(neg(x))));
const cosh = (x: Tensor): Tensor => half(add(exp(x), exp(neg(x))));

// ---- Two operands and more ----

function binary(device: (a: Tensor, b: Tensor) => Tensor, host: (a: number, b: number) => number): Operator {
  return plain(2, ([a, b]) => combined([a as Value, b as Value], device, host));
}

function combined(values: readonly Value[], device: (a: Tensor, b: Tensor) => Tensor, host: (a: number, b: number) => number): Value {
  checkTypes(values);
  if (values.every(isDevice)) return (values as Tensor[]).reduce(device);
  return values.reduce((a, b) => zip(typeOf(a) as WholeType, [a, b], host));
}

/** Any number of operands, one after the other. */
function variadic(device: (a: Tensor, b: Tensor) => Tensor, host: (a: number, b: number) => number): Operator {
  return plain(1, (values) => combined(values as Value[], device, host));
}

function comparison(device: (a: Operand, b: Operand) => Tensor, host: (a: number, b: number) => boolean): Operator {
  return plain(2, (values) => {
    checkTypes(values as Value[]);
    const [a, b] = values as [Value, Value];
    return isDevice(a) && isDevice(b) ? device(a, b) : zip("bool", [a, b], (x, y) => Number(host(x, y)));
  });
}

/** Truth values that kernels have are combined there. */
function logic(device: (a: Tensor, b: Tensor) => Tensor, host: (a: number, b: number) => number): Operator {
  return plain(2, (values) => {
    const [a, b] = values as [Value, Value];
    return a instanceof Tensor && b instanceof Tensor ? device(a, b) : zip("bool", [a, b], host);
  });
}

/** a^b; the exponent may be of any type, and the result is of the base's. */
const power = plain(2, ([a, b]) => {
  if (!isDevice(a as Value)) return zip(typeOf(a as Value) as WholeType, [a as Value, b as Value], Math.pow);
  const base = a as Tensor;
  const exponent = b as Value;
  if (exponent.size === 1 && exponent.rank <= base.rank) return pow(base, numberOf(exponent, "the exponent"));
  return pow(
    base,
    exponent instanceof Tensor ? cast(exponent, base.dtype) : fromNumbers(exponent.data, exponent.shape, base.dtype as FloatType),
  );
});

/** The remainder: with the divisor's sign, or with fmod the dividend's. */
const modulo = operator(2, ({ attributes }) => {
  const fmod = attributes.flag("fmod");
  const of = (a: number, b: number): number => {
    const rest = a % b;
    return fmod || rest === 0 || rest < 0 === b < 0 ? rest : rest + b;
  };
  return (values) => {
    checkTypes(values as Value[]);
    const [a, b] = values as [Value, Value];
    if (!isDevice(a)) return zip(typeOf(a) as WholeType, [a, b], of);
    const { shape, numbers } = zipped([a, b], of);
    return fromNumbers(numbers, shape, a.dtype as FloatType);
  };
});

const mean = plain(1, (values) => {
  const total = combined(values as Value[], add, (a, b) => a + b);
  return div(floats(total, "x"), values.length);
});

/** Bounds are attributes before 11. Where the lower one is above the upper one, that is what is returned. */
const clip = operator(1, (node) => {
  const { attributes, version } = node;
  const fixed = version < 11 ? [attributes.float("min", undefined), attributes.float("max", undefined)] : null;
  const bound = (inputs: Given, i: number): number | undefined =>
    fixed ? fixed[i - 1] : inputs[i] ? numberOf(inputs[i] as Value, ["min", "max"][i - 1] as string) : undefined;
  return (inputs) => {
    const high = bound(inputs, 2) ?? Number.POSITIVE_INFINITY;
    const low = Math.min(bound(inputs, 1) ?? Number.NEGATIVE_INFINITY, high);
    const x = inputs[0] as Value;
    if (isDevice(x)) return clamp(x, low, high);
    return zip(typeOf(x) as WholeType, [x], (v) => Math.min(Math.max(v, low), high));
  };
});

const choice = plain(3, ([condition, a, b]) => {
  checkTypes([a as Value, b as Value]);
  if (a instanceof Tensor && b instanceof Tensor) return where(mask(condition as Value), a, b);
  const values = [condition, a, b] as Value[];
  return zip(typeOf(a as Value) as WholeType, values, (holds, x, y) => (holds ? x : y));
});

// ---- Types ----

/** A value in another type. Floats become whole numbers towards zero, NaN as 0; float16 and bfloat16 stay float32. */
export function castTo(value: Value, type: ElementType): Value {
  if (typeOf(value) === type) return value;
  if (isFloat(type as FloatType)) {
    if (value instanceof Tensor) return cast(value, type as FloatType);
    return fromNumbers(value.data, value.shape, type as FloatType);
  }
  if (type === "bool") {
    if (value instanceof Tensor) return cast(value, "bool");
    return new HostArray(
      "bool",
      value.shape,
      value.data.map((v) => Number(v !== 0)),
    );
  }
  const numbers = numbersOf(value);
  const whole = isDevice(value) ? Float64Array.from(numbers, (v) => Math.trunc(v) || 0) : numbers;
  return new HostArray(type as WholeType, value.shape, whole);
}

const castOperator = operator(1, (node) => {
  const to = elementType(node.attributes.int("to", 0), `attribute to of ${node.label}`);
  // What is said here holds for float8 alone, which is refused.
  node.attributes.has("saturate");
  return ([x]) => castTo(x as Value, to);
});

const castLike = operator(2, ({ attributes }) => {
  attributes.has("saturate");
  return ([x, like]) => castTo(x as Value, typeOf(like as Value));
});

// ---- Activations ----

const geluOperator = operator(1, ({ attributes }) => {
  const fn = attributes.oneOf("approximate", ["none", "tanh"], "none") === "tanh" ? geluTanh : gelu;
  return ([x]) => fn(floats(x as Value, "x"));
});

/** The slope of one channel each, broadcast. */
const prelu = plain(2, ([x, slope]) => {
  const t = floats(x as Value, "x");
  return where(less(t, 0), mul(t, floats(slope as Value, "slope")), t);
});

const isInfinite = operator(1, ({ attributes }) => {
  const [below, above] = [attributes.flag("detect_negative", true), attributes.flag("detect_positive", true)];
  return ([x]) => {
    const t = floats(x as Value, "x");
    const [low, high] = [equal(t, Number.NEGATIVE_INFINITY), equal(t, Number.POSITIVE_INFINITY)];
    if (below && above) return logicalOr(low, high);
    return below ? low : above ? high : logicalAnd(low, high);
  };
});

/** Without effect outside of training; the mask says that everything stays. */
const dropout = operator(1, (node) => {
  for (const name of ["ratio", "seed", "is_test"]) node.attributes.has(name);
  return ([x, , training]) => {
    if (training && numberOf(training, "training_mode") !== 0) throw new DTypeError("expected training_mode false, got true");
    return node.outputs.length > 1 ? [x as Value, zip("bool", [x as Value], () => 1)] : (x as Value);
  };
});

const identity = plain(1, ([x]) => x as Value);
const truncated = (a: number, b: number): number => Math.trunc(a / b);

export const elementwise: Operators = {
  Neg: unary(neg, (x) => -x),
  Abs: unary(abs, Math.abs),
  Sign: unary(sign, Math.sign),
  Floor: exact(Math.floor),
  Ceil: exact(Math.ceil),
  Round: exact(round),
  Sqrt: unary(sqrt),
  Exp: unary(exp),
  Log: unary(log),
  Reciprocal: unary(reciprocal),
  Erf: unary(erf),
  Sin: unary(sin),
  Cos: unary(cos),
  Tan: unary((x) => div(sin(x), cos(x))),
  Sinh: unary(sinh),
  Cosh: unary(cosh),
  Sigmoid: unary(sigmoid),
  Tanh: unary(tanh),
  Relu: unary(relu, (x) => Math.max(x, 0)),
  Softplus: unary(softplus),
  Softsign: unary(softsign),
  Mish: unary(mish),
  HardSwish: unary((x) => mul(x, hardSigmoid(x, 1 / 6, 0.5))),
  LeakyRelu: shaped([0.01], leakyRelu),
  Elu: shaped([1], elu),
  Celu: shaped([1], (x, alpha) => mul(elu(div(x, alpha), 1), alpha)),
  ThresholdedRelu: shaped([1], thresholdedRelu),
  HardSigmoid: shaped([0.2, 0.5], hardSigmoid),
  Selu: operator(1, ({ attributes }) => {
    const alpha = attributes.float("alpha", 1.6732631921768188);
    const gamma = attributes.float("gamma", 1.0507010221481323);
    return ([x]) => mul(elu(floats(x as Value, "x"), alpha), gamma);
  }),
  Gelu: geluOperator,
  PRelu: prelu,
  Add: binary(add, (a, b) => a + b),
  Sub: binary(sub, (a, b) => a - b),
  Mul: binary(mul, (a, b) => a * b),
  Div: binary(div, truncated),
  Pow: power,
  Mod: modulo,
  Max: variadic(maximum, Math.max),
  Min: variadic(minimum, Math.min),
  Sum: variadic(add, (a, b) => a + b),
  Mean: mean,
  Equal: comparison(equal, (a, b) => a === b),
  Greater: comparison(greater, (a, b) => a > b),
  Less: comparison(less, (a, b) => a < b),
  GreaterOrEqual: comparison(greaterEqual, (a, b) => a >= b),
  LessOrEqual: comparison(lessEqual, (a, b) => a <= b),
  And: logic(logicalAnd, (a, b) => a & b),
  Or: logic(logicalOr, (a, b) => a | b),
  Xor: logic(logicalXor, (a, b) => a ^ b),
  Not: plain(1, ([x]) => (x instanceof Tensor ? logicalNot(x) : zip("bool", [x as Value], (v) => 1 - v))),
  IsNaN: plain(1, ([x]) => isNotANumber(floats(x as Value, "x"))),
  IsInf: isInfinite,
  Where: choice,
  Clip: clip,
  Cast: castOperator,
  CastLike: castLike,
  Identity: identity,
  Dropout: dropout,
};
