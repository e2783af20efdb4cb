/** A bidirectional associative memory whose weights, delays and noise switch at random, with a Markov chain. */

import { noGrad } from "../autodiff/tape.ts";
import { checkList, checkNumber, checkObject, checkOptions, checkWhole, optionsOf } from "../base/checks.ts";
import { ArgumentError, ShapeError } from "../base/errors.ts";
import { quote } from "../base/quote.ts";
import { tanh } from "../ops/math.ts";
import { checkGenerator, defaultGenerator, type Generator } from "../tensor/random.ts";
import { show } from "../tensor/shape.ts";
import { checkTensor, scope, type Tensor, tensor } from "../tensor/tensor.ts";
import { readMatrix } from "./states.ts";
import { exponentials, uniforms, type Variates } from "./variates.ts";

/** The parameters while the chain is in one mode. */
export interface SwitchingMode {
  /** W [n,p]: from field B to field A. */
  readonly toA: Tensor;
  /** V [p,n]: from field A to field B. */
  readonly toB: Tensor;
  /** D, of both fields (default 1). */
  readonly decay?: number;
  /** τ and δ: the age of the outputs that reach field A and field B (default 0). */
  readonly delayToA?: number;
  readonly delayToB?: number;
  /** σ (default 0). */
  readonly noise?: number;
}

export interface SwitchingBAMOptions {
  readonly modes: readonly SwitchingMode[];
  /** Q: rates from the row's mode to the column's; the diagonal is ignored. A single mode needs none. */
  readonly rates?: readonly (readonly number[])[];
  /** Time of a step (default 0.01). Delays are rounded to steps. */
  readonly stepSize?: number;
}

export interface SimulateOptions {
  /** How long (default 10). */
  readonly duration?: number;
  /** Steps from one state that is kept to the next (default 1). */
  readonly every?: number;
  /** The mode at first (default 0). */
  readonly mode?: number;
  readonly generator?: Generator;
}

/** Courses of independent paths. */
export interface SwitchingPaths {
  readonly times: readonly number[];
  /** States of field A at these times, [P,n] each, and of field B, [P,p]. */
  readonly as: readonly Tensor[];
  readonly bs: readonly Tensor[];
  /** The mode of every path at these times. */
  readonly modes: readonly (readonly number[])[];
}

/** A mode as plain numbers. */
interface Plain {
  readonly toA: Float64Array;
  readonly toB: Float64Array;
  readonly decay: number;
  /** In steps. */
  readonly delayToA: number;
  readonly delayToB: number;
  readonly noise: number;
}

/**
 * Two fields under a continuous-time Markov chain r(t) with the rates Q:
 *
 *     da = [−D_r a + W_r f(b(t − τ_r))] dt + σ_r a dw        f = tanh
 *     db = [−D_r b + V_r f(a(t − δ_r))] dt + σ_r b dw'
 *
 * by the Euler-Maruyama method. Before the start, the fields are constant at their first values. The times that the chain stays in a mode are drawn exactly; it
 * changes at the next step. w and w' are independent. For a single mode without delay and noise it is the continuous BAM.
 * @throws ShapeError, DTypeError, ArgumentError for weights of other shapes, negative rates, delays or noise
 * @see Rakkiyappan, Chandrasekar, Lakshmanan and Park, "Exponential stability for Markovian jumping stochastic BAM neural networks with mode-dependent
 *   probabilistic time-varying delays and impulse control", Complexity 20, 2015. From memory.
 * Deviates: delays are constant in a mode; no impulses.
 * @example
 * const memory = new SwitchingBAM({ modes: [{ toA: w1, toB: v1, noise: 0.2 }, { toA: w2, toB: v2, delayToA: 0.1 }], rates: [[-1, 1], [2, -2]] });
 * const { as, times } = memory.simulate(tensor([[1, -1]]), tensor([[0.5]]), { duration: 5 });
 */
export class SwitchingBAM {
  readonly inputSize: number;
  readonly outputSize: number;
  readonly stepSize: number;
  readonly #modes: readonly Plain[];
  readonly #rates: readonly (readonly number[])[];

  constructor(options: SwitchingBAMOptions) {
    const op = "SwitchingBAM";
    const { modes, rates, stepSize = 0.01 } = optionsOf(op, options, ["modes", "rates", "stepSize"]);
    checkNumber(op, "stepSize", stepSize, { above: 0 });
    checkList(op, "modes", modes);
    const first = modes[0];
    if (first === undefined) throw new ArgumentError(`${op}: expected at least one mode, got none`);
    checkObject(op, "a mode", first);
    checkTensor(op, first.toA);
    const [n, p] = first.toA.shape as [number, number];
    if (first.toA.rank !== 2 || n === 0 || p === 0) throw new ShapeError(`${op}: expected toA [n,p], got ${show(first.toA.shape)}`);
    this.inputSize = n;
    this.outputSize = p;
    this.stepSize = stepSize;
    this.#modes = modes.map((mode) => this.#plain(op, mode));
    this.#rates = ratesOf(op, rates, modes.length);
  }

  #plain(op: string, mode: SwitchingMode): Plain {
    checkOptions(op, mode, ["toA", "toB", "decay", "delayToA", "delayToB", "noise"]);
    const { decay = 1, delayToA = 0, delayToB = 0, noise = 0 } = mode;
    for (const [name, value] of Object.entries({ decay, delayToA, delayToB, noise })) checkNumber(op, name, value, { least: 0 });
    const [n, p] = [this.inputSize, this.outputSize];
    const steps = (delay: number) => Math.round(delay / this.stepSize);
    return {
      toA: readMatrix(op, "toA", mode.toA, n, p),
      toB: readMatrix(op, "toB", mode.toB, p, n),
      decay,
      delayToA: steps(delayToA),
      delayToB: steps(delayToB),
      noise,
    };
  }

  /**
   * Runs paths beside each other, each with a chain and noise of its own.
   * @param a field A of each path at the start, [P,n]
   * @param b field B, [P,p]
   * @throws ShapeError, DTypeError, ArgumentError for fields of other shapes and options out of their range
   */
  simulate(a: Tensor, b: Tensor, options: SimulateOptions = {}): SwitchingPaths {
    const op = "simulate";
    const { duration = 10, every = 1, mode = 0, generator } = optionsOf(op, options, ["duration", "every", "mode", "generator"]);
    checkNumber(op, "duration", duration, { least: 0 });
    checkWhole(op, "every", every, { least: 1 });
    checkWhole(op, "mode", mode, { least: 0, below: this.#modes.length });
    checkGenerator(op, generator);
    checkTensor(op, a);
    const P = a.shape[0] ?? 0;
    const fields = { a: readMatrix(op, "a", a, P, this.inputSize), b: readMatrix(op, "b", b, P, this.outputSize) };
    const run = new Paths(this.#modes, this.#rates, fields, { P, dt: this.stepSize, mode, generator: generator ?? defaultGenerator() });
    const kept = { times: [] as number[], as: [] as Tensor[], bs: [] as Tensor[], modes: [] as number[][] };
    const keepState = (step: number) => {
      kept.times.push(step * this.stepSize);
      kept.as.push(tensor(run.a.slice(), { shape: [P, this.inputSize] }));
      kept.bs.push(tensor(run.b.slice(), { shape: [P, this.outputSize] }));
      kept.modes.push([...run.modes]);
    };
    keepState(0);
    const steps = Math.round(duration / this.stepSize);
    for (let step = 1; step <= steps; step++) {
      run.step();
      if (step % every === 0 || step === steps) keepState(step);
    }
    return kept;
  }
}

/** @throws ArgumentError, ShapeError */
function ratesOf(op: string, rates: SwitchingBAMOptions["rates"], count: number): readonly (readonly number[])[] {
  const given = rates ?? (count === 1 ? [[0]] : undefined);
  checkList(op, "rates", given);
  if (given.length !== count || given.some((row) => !Array.isArray(row) || row.length !== count)) {
    throw new ShapeError(`${op}: expected rates as ${count} rows of ${count} numbers, got ${quote(rates)}`);
  }
  for (const [i, row] of (given as number[][]).entries()) {
    for (const [j, rate] of row.entries()) if (i !== j) checkNumber(op, `rates[${i}][${j}]`, rate, { least: 0 });
  }
  return (given as number[][]).map((row, i) => row.map((rate, j) => (i === j ? 0 : rate)));
}

interface Setting {
  readonly P: number;
  readonly dt: number;
  readonly mode: number;
  readonly generator: Generator;
}

/** Outputs of a field over the last steps. */
class History {
  readonly #steps: Float64Array[];
  #now = 0;

  constructor(first: Float64Array, longest: number) {
    this.#steps = Array.from({ length: longest + 1 }, () => first);
  }

  add(outputs: Float64Array): void {
    this.#now = (this.#now + 1) % this.#steps.length;
    this.#steps[this.#now] = outputs;
  }

  /** The outputs so many steps ago. */
  before(steps: number): Float64Array {
    const length = this.#steps.length;
    return this.#steps[(this.#now - steps + length) % length] as Float64Array;
  }
}

const outputsOf = (field: Float64Array): Float64Array => scope(() => noGrad(() => tanh(tensor(field)).data())) as Float64Array;

class Paths {
  readonly a: Float64Array;
  readonly b: Float64Array;
  readonly modes: number[];
  readonly #modes: readonly Plain[];
  readonly #rates: readonly (readonly number[])[];
  readonly #setting: Setting;
  /** Time until a path's chain leaves its mode. */
  readonly #stays: number[];
  readonly #oldA: History;
  readonly #oldB: History;
  readonly #exponentials: Variates;
  readonly #uniforms: Variates;
  readonly #isNoisy: boolean;

  constructor(
    modes: readonly Plain[],
    rates: readonly (readonly number[])[],
    { a, b }: { readonly a: Float64Array; readonly b: Float64Array },
    setting: Setting,
  ) {
    this.#modes = modes;
    this.#rates = rates;
    this.#setting = setting;
    this.#isNoisy = modes.some(({ noise }) => noise > 0);
    this.a = a.slice();
    this.b = b.slice();
    this.modes = new Array<number>(setting.P).fill(setting.mode);
    this.#oldA = new History(outputsOf(a), Math.max(...modes.map((m) => m.delayToB)));
    this.#oldB = new History(outputsOf(b), Math.max(...modes.map((m) => m.delayToA)));
    this.#exponentials = exponentials(setting.generator);
    this.#uniforms = uniforms(setting.generator);
    this.#stays = this.modes.map((mode) => this.#stay(mode));
  }

  /** How long a chain stays in a mode: exponential, for ever where no rate leaves it. */
  #stay(mode: number): number {
    const leaving = (this.#rates[mode] as readonly number[]).reduce((x, y) => x + y, 0);
    return leaving === 0 ? Number.POSITIVE_INFINITY : this.#exponentials.next() / leaving;
  }

  step(): void {
    const { P, dt, generator } = this.#setting;
    const shocks = this.#isNoisy ? (scope(() => generator.normal([2 * P], 0, Math.sqrt(dt), "float64").data()) as Float64Array) : null;
    const [n, p] = [this.a.length / P, this.b.length / P];
    const [a, b] = [this.a.slice(), this.b.slice()];
    for (let path = 0; path < P; path++) {
      const mode = this.#modes[this.modes[path] as number] as Plain;
      const [w, v] = [shocks?.[2 * path] ?? 0, shocks?.[2 * path + 1] ?? 0];
      move(this.a, a, { path, n, dt, mode, shock: w, weights: mode.toA, from: this.#oldB.before(mode.delayToA), p });
      move(this.b, b, { path, n: p, dt, mode, shock: v, weights: mode.toB, from: this.#oldA.before(mode.delayToB), p: n });
    }
    this.#oldA.add(outputsOf(this.a));
    this.#oldB.add(outputsOf(this.b));
    if (this.#modes.length > 1) this.#switch();
  }

  /** Lets the chains go on. Several changes within a step follow one another. */
  #switch(): void {
    for (let path = 0; path < this.#setting.P; path++) {
      let left = (this.#stays[path] as number) - this.#setting.dt;
      while (left <= 0) {
        const next = chosen(this.#rates[this.modes[path] as number] as readonly number[], this.#uniforms.next());
        this.modes[path] = next;
        left += this.#stay(next);
      }
      this.#stays[path] = left;
    }
  }
}

/** An index with a probability in proportion to its weight. */
function chosen(weights: readonly number[], uniform: number): number {
  let left = uniform * weights.reduce((a, b) => a + b, 0);
  for (const [i, weight] of weights.entries()) {
    left -= weight;
    if (left < 0) return i;
  }
  return weights.findLastIndex((weight) => weight > 0);
}

interface Move {
  readonly path: number;
  readonly n: number;
  readonly p: number;
  readonly dt: number;
  readonly mode: Plain;
  readonly shock: number;
  /** [n,p] */
  readonly weights: Float64Array;
  /** Outputs of the other field, [P,p]. */
  readonly from: Float64Array;
}

/** One step of one field of one path, from its state `before` to `field`. */
function move(field: Float64Array, before: Float64Array, { path, n, p, dt, mode, shock, weights, from }: Move): void {
  for (let i = 0; i < n; i++) {
    const at = path * n + i;
    const x = before[at] as number;
    let drift = -mode.decay * x;
    for (let j = 0; j < p; j++) drift += (weights[i * p + j] as number) * (from[path * p + j] as number);
    field[at] = x + dt * drift + mode.noise * x * shock;
  }
}
