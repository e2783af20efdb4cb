/**
 * Initialisers. They write into a given tensor, in place and off the tape.
 *
 * A weight [out, in, …] has fan-in `in` and fan-out `out`, each multiplied by the size of the remaining axes.
 */

import { checkOneOf, checkOptions, optionsOf } from "../base/checks.ts";
import { ArgumentError, ShapeError } from "../base/errors.ts";
import { log } from "../ops/math.ts";
import { defaultGenerator, type Generator } from "../tensor/random.ts";
import { show } from "../tensor/shape.ts";
import { assign, checkTensor, scope, type Tensor } from "../tensor/tensor.ts";
import { numberOf } from "../tensor/values.ts";

export interface InitOptions {
  /** Source of random values; default: the default generator. */
  readonly generator?: Generator;
}

export interface GainOptions extends InitOptions {
  /** Factor of the standard deviation (default 1); see `calculateGain`. */
  readonly gain?: number;
}

export interface HeOptions extends InitOptions {
  /** Which variance to preserve: "fanIn" that of the values (default), "fanOut" that of the gradients. */
  readonly mode?: "fanIn" | "fanOut";
  /** Factor of the standard deviation (default √2, for relu). */
  readonly gain?: number;
}

function generatorOf(options: InitOptions): Generator {
  return options.generator ?? defaultGenerator();
}

/** Uniform values from [low, high); default [0, 1). */
export function uniform(t: Tensor, options: InitOptions & { readonly low?: number; readonly high?: number } = {}): Tensor {
  checkOptions("uniform", options, ["generator", "low", "high"]);
  return generatorOf(options).fillUniform(t, options.low ?? 0, options.high ?? 1);
}

/** Normal values; default mean 0 and standard deviation 1. */
export function normal(t: Tensor, options: InitOptions & { readonly mean?: number; readonly std?: number } = {}): Tensor {
  checkOptions("normal", options, ["generator", "mean", "std"]);
  return generatorOf(options).fillNormal(t, options.mean ?? 0, options.std ?? 1);
}

/** The same value everywhere. @throws DTypeError for anything but a number */
export function constant(t: Tensor, value: number): Tensor {
  checkTensor("constant", t);
  assign(t, new Float64Array(t.size).fill(numberOf("constant", value)));
  return t;
}

/** Uniform on [−b, b) with b = gain·√(6/(fanIn + fanOut)). Glorot, Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010. */
export function glorotUniform(t: Tensor, options: GainOptions = {}): Tensor {
  checkOptions("glorotUniform", options, ["gain", "generator"]);
  const { fanIn, fanOut } = fans("glorotUniform", t);
  return spreadUniform(t, (options.gain ?? 1) * Math.sqrt(2 / (fanIn + fanOut)), options);
}

/** Normal with standard deviation gain·√(2/(fanIn + fanOut)). Glorot, Bengio, 2010. */
export function glorotNormal(t: Tensor, options: GainOptions = {}): Tensor {
  checkOptions("glorotNormal", options, ["gain", "generator"]);
  const { fanIn, fanOut } = fans("glorotNormal", t);
  return spreadNormal(t, (options.gain ?? 1) * Math.sqrt(2 / (fanIn + fanOut)), options);
}

/** Uniform on [−b, b) with b = gain·√(3/fan). He, Zhang, Ren, Sun, "Delving deep into rectifiers", 2015. */
export function heUniform(t: Tensor, options: HeOptions = {}): Tensor {
  checkOptions("heUniform", options, ["mode", "gain", "generator"]);
  return spreadUniform(t, heDeviation("heUniform", t, options), options);
}

/** Normal with standard deviation gain/√fan. He, Zhang, Ren, Sun, 2015. */
export function heNormal(t: Tensor, options: HeOptions = {}): Tensor {
  checkOptions("heNormal", options, ["mode", "gain", "generator"]);
  return spreadNormal(t, heDeviation("heNormal", t, options), options);
}

function heDeviation(op: string, t: Tensor, { mode = "fanIn", gain = Math.SQRT2 }: HeOptions): number {
  checkOneOf(op, "mode", mode, ["fanIn", "fanOut"]);
  return gain / Math.sqrt(fans(op, t)[mode]);
}

/** Uniform values with a given standard deviation; zeros for 0. */
function spreadUniform(t: Tensor, std: number, options: InitOptions): Tensor {
  if (t.size === 0 || std === 0) return constant(t, 0);
  const bound = Math.sqrt(3) * Math.abs(std);
  return generatorOf(options).fillUniform(t, -bound, bound);
}

function spreadNormal(t: Tensor, std: number, options: InitOptions): Tensor {
  if (t.size === 0) return t;
  return generatorOf(options).fillNormal(t, 0, Math.abs(std));
}

function fans(op: string, t: Tensor): { fanIn: number; fanOut: number } {
  checkTensor(op, t);
  const [out, fanIn, ...rest] = t.shape;
  if (out === undefined || fanIn === undefined) throw new ShapeError(`${op}: expected at least two axes, got ${show(t.shape)}`);
  const field = rest.reduce((a, b) => a * b, 1);
  return { fanIn: fanIn * field, fanOut: out * field };
}

/**
 * A random matrix with orthonormal rows (columns, if there are more rows than columns), uniform over all of these, times gain.
 * Axes after the first count as one. Computes in float64 by Householder reflections.
 * @see Saxe, McClelland, Ganguli, "Exact solutions to the nonlinear dynamics of learning in deep linear neural networks", 2014
 */
export function orthogonal(t: Tensor, options: GainOptions = {}): Tensor {
  checkOptions("orthogonal", options, ["gain", "generator"]);
  checkTensor("orthogonal", t);
  const { gain = 1 } = options;
  if (t.rank < 2) throw new ShapeError(`orthogonal: expected at least two axes, got ${show(t.shape)}`);
  if (t.size === 0) return t;
  const rows = t.shape[0] as number;
  const columns = t.size / rows;
  const [long, short] = [Math.max(rows, columns), Math.min(rows, columns)];
  const random = scope(() => generatorOf(options).normal([short, long], 0, 1, "float64").data());
  // Row j of q is the j-th orthonormal vector.
  const q = orthonormal(Float64Array.from(random), short, long);
  const values = new Float64Array(t.size);
  for (let j = 0; j < short; j++) {
    for (let i = 0; i < long; i++) {
      const at = rows <= columns ? j * columns + i : i * columns + j;
      values[at] = gain * (q[j * long + i] as number);
    }
  }
  assign(t, values);
  return t;
}

/**
 * The columns of Q in A = QR with R's diagonal positive. `a` holds the `count` columns of A one after another and is overwritten.
 * Applies Householder's reflections backwards to the unit vectors.
 */
function orthonormal(a: Float64Array, count: number, length: number): Float64Array {
  const vector = (from: Float64Array, j: number) => from.subarray(j * length, (j + 1) * length);
  const signs: number[] = [];
  for (let j = 0; j < count; j++) {
    const v = vector(a, j);
    const norm = Math.sqrt(dotFrom(v, v, j));
    const pivot = v[j] as number;
    const sign = pivot < 0 ? -1 : 1;
    signs.push(-sign);
    v[j] = pivot + sign * norm;
    for (let k = j + 1; k < count; k++) reflect(vector(a, k), v, j);
  }
  const q = new Float64Array(count * length);
  for (let j = count - 1; j >= 0; j--) {
    q[j * length + j] = 1;
    for (let k = j; k < count; k++) reflect(vector(q, k), vector(a, j), j);
  }
  return q.map((x, i) => x * (signs[Math.floor(i / length)] as number));
}

/** x − 2v(v·x)/(v·v) in place, for vectors whose elements before `start` are zero in v. */
function reflect(x: Float64Array, v: Float64Array, start: number): void {
  const square = dotFrom(v, v, start);
  if (square === 0) return;
  const factor = (2 * dotFrom(v, x, start)) / square;
  for (let i = start; i < x.length; i++) x[i] = (x[i] as number) - factor * (v[i] as number);
}

function dotFrom(a: Float64Array, b: Float64Array, start: number): number {
  let total = 0;
  for (let i = start; i < a.length; i++) total += (a[i] as number) * (b[i] as number);
  return total;
}

/**
 * gain on the diagonal of a matrix, zero elsewhere.
 * @see Le, Jaitly, Hinton, "A simple way to initialize recurrent networks of rectified linear units", 2015
 */
export function identity(t: Tensor, options: { readonly gain?: number } = {}): Tensor {
  const { gain = 1 } = optionsOf("identity", options, ["gain"]);
  if (t.rank !== 2) throw new ShapeError(`identity: expected a matrix, got ${show(t.shape)}`);
  const [rows, columns] = t.shape as [number, number];
  const values = new Float64Array(t.size);
  for (let i = 0; i < Math.min(rows, columns); i++) values[i * columns + i] = gain;
  assign(t, values);
  return t;
}

export interface ChronoOptions extends InitOptions {
  /** The longest dependency expected, in steps; above 2. */
  readonly tMax: number;
  /** Number of blocks of the bias, and which of them are the gates (default: PyTorch's LSTM, i, f, g, o). */
  readonly gates?: number;
  readonly forgetGate?: number;
  /** null without a separate input gate. */
  readonly inputGate?: number | null;
}

/**
 * Biases for gates that forget after 1 … tMax steps: forget ← log u with u uniform on [1, tMax − 1), input ← −forget;
 * other blocks keep their values. If a layer has two biases, set the gates of the other one to zero.
 * @see Tallec, Ollivier, "Can recurrent neural networks warp time?", 2018
 */
export function chrono(bias: Tensor, options: ChronoOptions): Tensor {
  checkOptions("chrono", options, ["tMax", "gates", "forgetGate", "inputGate", "generator"], ["inputGate"]);
  const { tMax, gates = 4, forgetGate = 1, inputGate = 0 } = options;
  if (!(tMax > 2)) throw new ArgumentError(`chrono: expected tMax above 2, got ${tMax}`);
  const hidden = bias.size / gates;
  if (bias.rank !== 1 || !Number.isInteger(hidden)) {
    throw new ShapeError(`chrono: expected a bias of ${gates} equal blocks, got ${show(bias.shape)}`);
  }
  for (const gate of [forgetGate, inputGate]) {
    if (gate !== null && !(Number.isInteger(gate) && gate >= 0 && gate < gates)) {
      throw new ArgumentError(`chrono: expected gates below ${gates}, got ${gate}`);
    }
  }
  const values = bias.data();
  const forget = scope(() => log(generatorOf(options).uniform([hidden], 1, tMax - 1, "float64")).data());
  values.set(forget, forgetGate * hidden);
  if (inputGate !== null)
    values.set(
      Float64Array.from(forget, (x) => -x),
      inputGate * hidden,
    );
  assign(bias, values);
  return bias;
}

export type Nonlinearity = "linear" | "sigmoid" | "tanh" | "relu" | "leakyRelu" | "selu";

/**
 * The gain that preserves the variance through a nonlinearity, as in PyTorch.
 * @param slope leakyRelu's slope below zero
 */
export function calculateGain(nonlinearity: Nonlinearity, slope = 0.01): number {
  switch (nonlinearity) {
    case "linear":
    case "sigmoid":
      return 1;
    case "tanh":
      return 5 / 3;
    case "relu":
      return Math.SQRT2;
    case "leakyRelu":
      return Math.sqrt(2 / (1 + slope * slope));
    case "selu":
      return 3 / 4;
    default:
      throw new ArgumentError(`calculateGain: expected linear, sigmoid, tanh, relu, leakyRelu or selu, got ${nonlinearity}`);
  }
}
