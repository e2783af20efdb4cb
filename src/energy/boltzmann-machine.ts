/** The Boltzmann machine. */

import { noGrad } from "../autodiff/tape.ts";
import { checkArrayLike, checkNumber, checkOneOf, checkSizes, checkWhole, optionsOf } from "../base/checks.ts";
import { ArgumentError, DTypeError, ShapeError } from "../base/errors.ts";
import { Parameter } from "../nn/module.ts";
import { add, mul, neg, sub } from "../ops/arithmetic.ts";
import { reshape, sum } from "../ops/broadcast.ts";
import { where } from "../ops/compare.ts";
import { matmul } from "../ops/linear.ts";
import { logSumExp, mean } from "../ops/reduce.ts";
import { eye, zeros } from "../tensor/create.ts";
import { checkGenerator, defaultGenerator, type Generator } from "../tensor/random.ts";
import { show } from "../tensor/shape.ts";
import { checkTensor, keep, scope, type Tensor, tensor } from "../tensor/tensor.ts";
import { DenseCouplings } from "./couplings.ts";
import { SpinModel } from "./spin-model.ts";
import { SpinMotion, type SpinSystem } from "./spins.ts";
import { readMatrix, readPatterns, readState, type UnitValues } from "./states.ts";
import { uniforms } from "./variates.ts";

export interface BoltzmannMachineOptions {
  /** Units that data are shown to; the first of a state. */
  readonly visibleSize: number;
  /** (default 0) */
  readonly hiddenSize?: number;
  /** What units can be: 0 and 1 (default) or ±1. */
  readonly coding?: "binary" | "bipolar";
  /** bool [N,N], symmetric: which units are coupled (default each with all others). */
  readonly mask?: Tensor;
  /** Standard deviation of the first weights (default 0.01). */
  readonly std?: number;
  /** Draws the first weights (default the default generator). */
  readonly generator?: Generator;
}

export interface ContrastOptions {
  /** The temperature of every sweep, of both phases; the last ones should be 1 (default 20 sweeps at 1). */
  readonly temperatures?: ArrayLike<number>;
  /** States of the free phase (default as many as data). */
  readonly chains?: number;
  /** (default the default generator) */
  readonly generator?: Generator;
}

/** More units than this have too many states. */
const MOST_UNITS = 16;

/** All 2^n states of n units as rows [2^n, n], the first unit changing fastest; or `count` of them from one on. @internal */
export function allRows(n: number, low: -1 | 0, from = 0, count = 2 ** n): Float64Array {
  return Float64Array.from({ length: count * n }, (_, k) => (((from + Math.floor(k / n)) >> (k % n)) & 1 ? 1 : low));
}

/**
 * Units that are on by chance, visible and hidden, under symmetric weights:
 *
 *     E = −½ sᵀWs − bᵀs,   P(s_i is on) = σ(gap_i / T),   p(s) = exp(−E/T) / Z
 *
 * trained to give visible states the probabilities of data: ∂ log p / ∂W_ij = ⟨s_i s_j⟩_data − ⟨s_i s_j⟩_model at T = 1. `contrast` estimates both means by
 * sampling, with the visible units clamped to data and free; `negativeLogLikelihood` has them exactly, for small machines. Both are losses for
 * `backward` and any optimiser.
 *
 * Parameters, float64: `weight` W [N,N] from N(0, std²), symmetric, which gradients keep so; its diagonal takes no part. `bias` b [N], 0. Each of W_ij and
 * W_ji gets half of the derivative by their common value. Units that a `mask` keeps apart have no coupling, whatever `weight` says; the mask is in the state
 * dict. Without couplings between visible units and between hidden ones this is a restricted machine (see `RBM`).
 * @throws ArgumentError for sizes out of their range, another coding, a negative std, and a mask that is not symmetric; DTypeError and ShapeError for
 *   another mask
 * @see Ackley, Hinton and Sejnowski, "A learning algorithm for Boltzmann machines", 1985
 * @example
 * const machine = new BoltzmannMachine({ visibleSize: 8, hiddenSize: 2 });
 * const optimizer = new SGD(machine.parameters(), { lr: 0.5 });
 * scope(() => { optimizer.zeroGrad(); backward(machine.contrast(data)); optimizer.step(); });
 */
export class BoltzmannMachine extends SpinModel {
  readonly visibleSize: number;
  readonly hiddenSize: number;
  override readonly size: number;
  readonly coding: "binary" | "bipolar";
  readonly weight: Parameter;
  readonly bias: Parameter;
  readonly mask: Tensor | null;
  protected override readonly values: UnitValues;

  constructor(options: BoltzmannMachineOptions) {
    super();
    const op = "BoltzmannMachine";
    const {
      visibleSize,
      hiddenSize = 0,
      coding = "binary",
      mask,
      std = 0.01,
      generator,
    } = optionsOf(op, options, ["visibleSize", "hiddenSize", "coding", "mask", "std", "generator"]);
    checkSizes(op, { visibleSize });
    checkWhole(op, "hiddenSize", hiddenSize);
    checkOneOf(op, "coding", coding, ["binary", "bipolar"]);
    checkNumber(op, "std", std, { least: 0 });
    checkGenerator(op, generator);
    const N = visibleSize + hiddenSize;
    if (mask !== undefined) checkMask(op, mask, N);
    this.visibleSize = visibleSize;
    this.hiddenSize = hiddenSize;
    this.size = N;
    this.coding = coding;
    this.values = coding === "binary" ? "bits" : "spins";
    this.weight = new Parameter(symmetric(N, std, generator ?? defaultGenerator()));
    this.bias = new Parameter(zeros([N], "float64"));
    this.mask = mask === undefined ? null : keep(tensor(mask.data(), { dtype: "bool", shape: [N, N] }));
  }

  /**
   * A loss whose gradient is the learning rule's: the mean energy of states whose visible units are clamped to data [B,V] or [V], less that of states that
   * run freely. Both start at random and are sampled along `temperatures`.
   * @throws DTypeError, ShapeError, ArgumentError for data of another size or values, and temperatures that are none or not above 0
   */
  contrast(data: Tensor, options: ContrastOptions = {}): Tensor {
    const op = "contrast";
    const {
      temperatures = new Float64Array(20).fill(1),
      generator,
      chains,
    } = optionsOf(op, options, ["temperatures", "chains", "generator"]);
    checkGenerator(op, generator);
    if (chains !== undefined) checkWhole(op, "chains", chains, { least: 1 });
    checkArrayLike(op, "temperatures", temperatures);
    if (temperatures.length === 0) throw new ArgumentError(`${op}: expected at least one of temperatures, got none`);
    const schedule = Array.from(temperatures);
    for (const T of schedule) checkNumber(op, "temperatures", T, { above: 0 });
    const rows = this.#dataRows(op, data);
    const run = { system: this.system(), schedule, generator: generator ?? defaultGenerator() };
    const clamped = rows.map((row) => sampled(run, row));
    const free = Array.from({ length: chains ?? rows.length }, () => sampled(run, new Float64Array(0)));
    return sub(mean(this.energies(tensor(clamped))), mean(this.energies(tensor(free))));
  }

  /**
   * −log p(v), its mean over data [B,V] or [V], by enumeration: differentiable, and the learning rule's exact gradient.
   * @throws DTypeError, ShapeError, ArgumentError for data of another size or values, and for more than 16 units
   */
  negativeLogLikelihood(data: Tensor): Tensor {
    const op = "negativeLogLikelihood";
    if (this.size > MOST_UNITS) throw new ArgumentError(`${op}: expected at most ${MOST_UNITS} units, got ${this.size}`);
    const rows = this.#dataRows(op, data);
    const low = this.coding === "binary" ? 0 : -1;
    const hidden = allRows(this.hiddenSize, low);
    const states = rows.flatMap((row) =>
      Array.from({ length: 2 ** this.hiddenSize }, (_, k) => [...row, ...hidden.subarray(k * this.hiddenSize, (k + 1) * this.hiddenSize)]),
    );
    const clamped = reshape(neg(this.energies(tensor(states, { dtype: "float64" }))), [rows.length, -1]);
    const all = tensor(allRows(this.size, low), { shape: [2 ** this.size, this.size] });
    return sub(logSumExp(neg(this.energies(all))), mean(logSumExp(clamped, { axis: 1 })));
  }

  /** The energies of states [B,N], float64: [B]; differentiable in weights and biases. @throws ShapeError */
  energies(states: Tensor): Tensor {
    const pairs = sum(mul(matmul(states, this.#coupled()), states), { axis: 1 });
    return neg(add(mul(pairs, 0.5), matmul(states, this.bias)));
  }

  /** W without its diagonal and what the mask leaves out. */
  #coupled(): Tensor {
    const W = mul(this.weight, sub(1, eye(this.size, this.size, "float64")));
    return this.mask === null ? W : where(this.mask, W, 0);
  }

  #dataRows(op: string, data: Tensor): Float64Array[] {
    const rows = readPatterns(op, "data", data, this.visibleSize, this.values);
    if (rows.length === 0) throw new ShapeError(`${op}: expected at least one row of data, got none`);
    return rows;
  }

  protected override system(): SpinSystem {
    const N = this.size;
    const W = scope(() => noGrad(() => readMatrix("BoltzmannMachine", "weight", this.#coupled(), N, N)));
    const bias = readState("BoltzmannMachine", "bias", this.bias, N, "numbers");
    return { couplings: new DenseCouplings("BoltzmannMachine", W, N), bias, low: this.coding === "binary" ? 0 : -1 };
  }
}

interface Run {
  readonly system: SpinSystem;
  readonly schedule: readonly number[];
  readonly generator: Generator;
}

/** A state sampled along a schedule, whose first units are clamped and whose others start at random. */
function sampled({ system, schedule, generator }: Run, clamped: Float64Array): Float64Array {
  const N = system.couplings.size;
  const chance = uniforms(generator);
  const state = Float64Array.from({ length: N }, () => (chance.next() < 0.5 ? 1 : system.low));
  state.set(clamped);
  const free = Int32Array.from({ length: N - clamped.length }, (_, k) => clamped.length + k);
  const settings = { updates: "asynchronous", order: "sequential", temperature: 1, generator, free } as const;
  const motion = new SpinMotion(system, state, settings);
  for (const T of schedule) {
    motion.temperature = T;
    motion.step();
  }
  return state;
}

function checkMask(op: string, mask: Tensor, N: number): void {
  checkTensor(op, mask);
  if (mask.dtype !== "bool") throw new DTypeError(`${op}: expected a mask of bool, got ${mask.dtype}`);
  if (mask.rank !== 2 || mask.dim(0) !== N || mask.dim(1) !== N)
    throw new ShapeError(`${op}: expected a mask [${N},${N}], got ${show(mask.shape)}`);
  const coupled = mask.data();
  const lone = Array.from(coupled, Boolean).findIndex((c, k) => c !== Boolean(coupled[(k % N) * N + Math.floor(k / N)]));
  if (lone >= 0)
    throw new ArgumentError(`${op}: expected a symmetric mask, got one way only between units ${Math.floor(lone / N)} and ${lone % N}`);
}

function symmetric(N: number, std: number, generator: Generator): Tensor {
  const drawn = scope(() => generator.normal([N, N], 0, std, "float64").data());
  const W = Float64Array.from(drawn, (_, k) => {
    const [i, j] = [Math.floor(k / N), k % N];
    return i === j ? 0 : Number(drawn[Math.min(i, j) * N + Math.max(i, j)]);
  });
  return tensor(W, { shape: [N, N] });
}
