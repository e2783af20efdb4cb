/** Networks of resistors with memory: the equation of Caravelli, Traversa and Di Ventra, and its Lyapunov function. */

import {
  checkArrayLike,
  checkFlag,
  checkFunction,
  checkList,
  checkNumber,
  checkObject,
  checkOneOf,
  checkWhole,
  optionsOf,
} from "../base/checks.ts";
import { ArgumentError, ShapeError } from "../base/errors.ts";
import { EnergyModel, type Motion, type Recall, recallOf } from "../energy/energy-model.ts";
import { symmetricEigen } from "../numerics/eigenvalues.ts";
import { type Matrix, solve } from "../numerics/matrix.ts";
import { show } from "../tensor/shape.ts";
import { checkTensor, type Tensor, tensor } from "../tensor/tensor.ts";
import { type Circuit, checkCircuit, cycleProjector } from "./circuit.ts";

/** Properties shared by all memristors of a network. */
export interface MemristorOptions {
  /** The least and the greatest resistance, in ohm if sources are in volt (default 0.1 and 1). */
  readonly on?: number;
  readonly off?: number;
  /** α, relaxation rate of states, per unit of time (default 1). Negative values reverse the direction. */
  readonly alpha?: number;
  /** The resistance at w = 1: `on` (default, as in the later papers) or `off`, as in the paper of 2017. */
  readonly full?: "on" | "off";
}

export interface MemristiveNetworkOptions extends MemristorOptions {
  /** Ω [m,m], symmetric, with eigenvalues in [0, 1]: the projector on the cycles of a circuit, or any other. */
  readonly coupling: Matrix;
  /** x [m], the drive of the states: Ω S/β in a circuit with sources S. */
  readonly drive: ArrayLike<number>;
}

/** Options of `trajectory`, which takes explicit Euler steps. */
export interface TrajectoryOptions {
  readonly steps: number;
  /** Time of a step (default 0.02). */
  readonly dt?: number;
  /** The drive x [m] as a function of time (default the network's constant drive). */
  readonly driveAt?: (time: number) => ArrayLike<number>;
}

/** Options of `recall`, which takes explicit Euler steps until the states rest. */
export interface MemristiveRecallOptions {
  /** Time of a step (default 0.02). */
  readonly dt?: number;
  /** Largest number of steps (default 5000). */
  readonly maxSteps?: number;
  /** States are at rest if a step moves none by more than this (default 1e-9). */
  readonly tolerance?: number;
  /** Whether to keep the states after every step (default false). */
  readonly trace?: boolean;
}

/** The course of the states. */
export interface Trajectory {
  readonly times: Float64Array;
  /** [steps + 1, m], the start first. */
  readonly states: Tensor;
  /** The Lyapunov function of each state, under the network's own drive. */
  readonly energies: Float64Array;
}

/** Tolerance for eigenvalues outside [0, 1]. */
const ROUNDING = 1e-9;

/**
 * m memristors with states w in [0,1]^m that act on each other through a matrix Ω. With W = diag(w),
 *
 *   full "on"    dw/dt = (I − χ Ω W)⁻¹ x − α w      χ = (off − on)/off,  R = off (1 − w) + on w
 *   full "off"   dw/dt = α w − (I + ξ Ω W)⁻¹ x      ξ = (off − on)/on,   R = on (1 − w) + off w
 *
 * within [0, 1], where states stop. Both are σ ((I + κ Ω W)⁻¹ x − α w), σ = 1 and κ = −χ or σ = −1 and κ = ξ, and have the Lyapunov function
 *
 *   L(w) = σ (α/3 Σ w³ + (α κ/4) (w²)ᵀ Ω w² − ½ xᵀ w²),    ∇L = −(W + κ W Ω W) dw/dt,
 *
 * which never rises under a constant drive as long as no state is held at 0 or 1. Ω needs only symmetry and 0 ≤ Ω ≤ I. A step costs
 * one system of m equations, O(m³). Float64 throughout.
 * @throws ShapeError for sizes that do not fit; ArgumentError for a coupling that is not symmetric or has eigenvalues outside [0, 1], for numbers
 *   that are not finite, and for resistances that are not 0 < on < off
 * @see Caravelli, Traversa and Di Ventra, "Complex dynamics of memristive circuits: analytical results and universal slow relaxation", Physical
 * Review E 95, 2017 ("off"); Caravelli, "Asymptotic behavior of memristive circuits", Entropy 21, 2019 ("on"). From memory.
 * Deviates: the Lyapunov function was derived anew, in one form for both.
 * @example
 * const network = new MemristiveNetwork({ coupling: [[0.5, 0.5], [0.5, 0.5]], drive: [0.4, 0.4] });
 * const { state, converged } = network.recall(tensor([0.5, 0.5]));
 */
export class MemristiveNetwork extends EnergyModel {
  protected override readonly values = "numbers";
  /** Number of memristors. */
  override readonly size: number;
  readonly on: number;
  readonly off: number;
  readonly alpha: number;
  readonly full: "on" | "off";
  readonly #coupling: Matrix;
  readonly #drive: readonly number[];

  constructor(options: MemristiveNetworkOptions) {
    super();
    const op = "MemristiveNetwork";
    const {
      coupling,
      drive,
      on = 0.1,
      off = 1,
      alpha = 1,
      full = "on",
    } = optionsOf(op, options, ["coupling", "drive", "on", "off", "alpha", "full"]);
    checkNumber(op, "on", on, { above: 0 });
    checkNumber(op, "off", off, { above: on });
    checkNumber(op, "alpha", alpha);
    checkOneOf(op, "full", full, ["on", "off"]);
    this.size = checkCoupling(op, coupling);
    this.on = on;
    this.off = off;
    this.alpha = alpha;
    this.full = full;
    this.#coupling = coupling.map((row) => [...row]);
    this.#drive = numbers(op, "drive", drive, this.size);
  }

  /** Ω */
  get coupling(): Matrix {
    return this.#coupling.map((row) => [...row]);
  }

  /** x */
  get drive(): readonly number[] {
    return [...this.#drive];
  }

  /** κ: the relative change of a memristor's resistance from w = 0 to w = 1. */
  get contrast(): number {
    return this.full === "on" ? (this.on - this.off) / this.off : (this.off - this.on) / this.on;
  }

  /** dw/dt of states w [m], without the bounds [0, 1]. @throws ShapeError, ArgumentError */
  slope(state: Tensor): Tensor {
    return tensor(this.#slopeOf(this.read("slope", state), this.#drive));
  }

  /** The Lyapunov function L(w) of states w [m]. @throws ShapeError, ArgumentError */
  override energy(state: Tensor): number {
    return this.energyOf(this.read("energy", state));
  }

  /** One explicit Euler step of length dt, within [0, 1]. @throws ShapeError, ArgumentError */
  update(state: Tensor, dt = 0.02): Tensor {
    checkNumber("update", "dt", dt, { above: 0 });
    return tensor(this.#moved(this.read("update", state), dt, this.#drive));
  }

  /**
   * The states in which the network comes to rest, starting from a cue [m].
   * @throws DTypeError, ShapeError, ArgumentError
   */
  override recall(cue: Tensor, options: MemristiveRecallOptions = {}): Recall {
    const op = "recall";
    const {
      dt = 0.02,
      maxSteps = 5000,
      tolerance = 1e-9,
      trace = false,
    } = optionsOf(op, options, ["dt", "maxSteps", "tolerance", "trace"]);
    checkNumber(op, "dt", dt, { above: 0 });
    checkWhole(op, "maxSteps", maxSteps);
    checkNumber(op, "tolerance", tolerance, { least: 0 });
    checkFlag(op, "trace", trace);
    return recallOf(cue, this.values, this.#motionBy(this.read(op, cue), dt), { maxSteps, tolerance, trace });
  }

  /**
   * The states from a start, step by step.
   * @throws ShapeError, ArgumentError
   */
  trajectory(start: Tensor, options: TrajectoryOptions): Trajectory {
    const op = "trajectory";
    const { steps, dt = 0.02, driveAt } = optionsOf(op, options, ["steps", "dt", "driveAt"]);
    let w = this.read(op, start);
    checkWhole(op, "steps", steps);
    checkNumber(op, "dt", dt, { above: 0 });
    if (driveAt !== undefined) checkFunction(op, "driveAt", driveAt);
    const states = [w];
    for (let k = 0; k < steps; k++) {
      const drive = driveAt === undefined ? this.#drive : numbers(op, "driveAt", driveAt(k * dt), this.size);
      w = this.#moved(w, dt, drive);
      states.push(w);
    }
    return {
      times: Float64Array.from(states, (_, k) => k * dt),
      states: tensor(states),
      energies: Float64Array.from(states, (state) => this.energyOf(state)),
    };
  }

  /** States in [0, 1], as numbers. @throws DTypeError, ShapeError, ArgumentError @internal */
  protected read(op: string, state: Tensor): Float64Array {
    checkTensor(op, state);
    if (state.rank !== 1 || state.size !== this.size) {
      throw new ShapeError(`${op}: expected states w [${this.size}], got ${show(state.shape)}`);
    }
    const w = Float64Array.from(state.data());
    for (const value of w) checkNumber(op, "states", value, { least: 0, most: 1 });
    return w;
  }

  /** (I + κ Ω W)⁻¹ x: currents, in another unit. @internal */
  protected flow(w: Float64Array, drive: readonly number[]): Float64Array {
    const { contrast } = this;
    const system = this.#coupling.map((row, i) => row.map((value, j) => (i === j ? 1 : 0) + contrast * value * (w[j] as number)));
    // κ > −1 and 0 ≤ Ω ≤ I: the matrix is never singular for states in [0, 1].
    return Float64Array.from(solve(system, drive) as number[]);
  }

  protected override motion(state: Float64Array): Motion {
    return this.#motionBy(state, 0.02);
  }

  #motionBy(state: Float64Array, dt: number): Motion {
    const step = (): number => {
      const next = this.#moved(state, dt, this.#drive);
      const moved = next.reduce((most, value, i) => Math.max(most, Math.abs(value - (state[i] as number))), 0);
      state.set(next);
      return moved;
    };
    return { state, deterministic: true, noisy: false, step, energy: () => this.energyOf(state) };
  }

  #slopeOf(w: Float64Array, drive: readonly number[]): Float64Array {
    const sign = this.full === "on" ? 1 : -1;
    return this.flow(w, drive).map((value, i) => sign * (value - this.alpha * (w[i] as number)));
  }

  #moved(w: Float64Array, dt: number, drive: readonly number[]): Float64Array {
    return this.#slopeOf(w, drive).map((slope, i) => Math.min(1, Math.max(0, (w[i] as number) + dt * slope)));
  }

  protected override energyOf(w: Float64Array): number {
    const { alpha, contrast } = this;
    const squares = w.map((value) => value * value);
    const cubic = w.reduce((sum, value) => sum + value * value * value, 0);
    const along = squares.reduce((sum, value, i) => sum + value * (this.#drive[i] as number), 0);
    const value = (alpha / 3) * cubic + ((alpha * contrast) / 4) * quadratic(this.#coupling, squares) - along / 2;
    return this.full === "on" ? value : -value;
  }
}

/** vᵀ M v */
function quadratic(matrix: Matrix, v: Float64Array): number {
  return matrix.reduce((sum, row, i) => sum + (v[i] as number) * row.reduce((part, value, j) => part + value * (v[j] as number), 0), 0);
}

/** The size of a coupling. @throws DTypeError, ShapeError, ArgumentError */
function checkCoupling(op: string, coupling: Matrix): number {
  checkList(op, "coupling", coupling);
  if (coupling.length === 0) throw new ShapeError(`${op}: expected a coupling [m,m] of at least one memristor, got none`);
  const { values } = symmetricEigen(coupling);
  const [most, least] = [values[0] as number, values.at(-1) as number];
  if (!(least >= -ROUNDING && most <= 1 + ROUNDING)) {
    throw new ArgumentError(`${op}: expected a coupling with eigenvalues in [0, 1], got some from ${least} to ${most}`);
  }
  return coupling.length;
}

/** Checks for a given number of finite numbers. @throws DTypeError, ShapeError, ArgumentError @internal */
export function numbers(op: string, name: string, values: ArrayLike<number>, m: number): number[] {
  checkArrayLike(op, name, values);
  if (values.length !== m) throw new ShapeError(`${op}: expected ${m} numbers of ${name}, got ${values.length}`);
  const read = Array.from(values);
  for (const value of read) checkNumber(op, name, value);
  return read;
}

export interface MemristiveCircuitOptions extends MemristorOptions {
  readonly circuit: Circuit;
  /** S [m]: the voltage in series with each memristor, which drives current along its branch. */
  readonly sources: ArrayLike<number>;
  /** β, the voltage times time in which a memristor at the rate of w = 0 changes from 0 to 1 (default 1). */
  readonly beta?: number;
}

/**
 * A circuit whose branches are memristors, each in series with a voltage source: the network whose coupling is the projector Ω on the
 * circuit's cycles and whose drive is Ω S/β. Its currents obey Kirchhoff's laws, i = (I + κ Ω W)⁻¹ Ω S/R₀ with R₀ the resistance at w = 0, and
 * dw/dt = ±((R₀/β) i − α w). A memristor's change depends on the direction of its current, so the direction of a branch is the memristor's polarity.
 * @throws ArgumentError for a circuit that is not connected, and as `MemristiveNetwork` does
 * @see Caravelli, Traversa and Di Ventra, "Complex dynamics of memristive circuits: analytical results and universal slow relaxation", 2017
 * @example
 * const triangle = { nodes: 3, branches: [[0, 1], [1, 2], [2, 0]] } as const;
 * const network = new MemristiveCircuit({ circuit: triangle, sources: [1, 0, 0] });
 * network.currents(tensor([0.5, 0.5, 0.5])); // 0.606 in each branch
 */
export class MemristiveCircuit extends MemristiveNetwork {
  readonly circuit: Circuit;
  readonly sources: readonly number[];
  readonly beta: number;

  constructor(options: MemristiveCircuitOptions) {
    const op = "MemristiveCircuit";
    const {
      circuit,
      sources,
      beta = 1,
      ...memristors
    } = optionsOf(op, options, ["circuit", "sources", "beta", "on", "off", "alpha", "full"]);
    checkCircuit(op, circuit);
    checkNumber(op, "beta", beta, { above: 0 });
    const volts = numbers(op, "sources", sources, circuit.branches.length);
    const coupling = cycleProjector(circuit);
    super({ ...memristors, coupling, drive: driveOf(coupling, volts, beta) });
    this.circuit = circuit;
    this.sources = volts;
    this.beta = beta;
  }

  /** The drive Ω S/β of other sources, for `trajectory`. @throws DTypeError, ShapeError, ArgumentError */
  driveOf(sources: ArrayLike<number>): number[] {
    return driveOf(this.coupling, numbers("driveOf", "sources", sources, this.size), this.beta);
  }

  /** The current in each branch [m], in ampere. @throws ShapeError, ArgumentError */
  currents(state: Tensor): Tensor {
    const unit = this.beta / (this.full === "on" ? this.off : this.on);
    return tensor(Float64Array.from(this.flow(this.read("currents", state), this.drive), (value) => value * unit));
  }

  /** The resistance of each memristor [m], in ohm. @throws ShapeError, ArgumentError */
  resistances(state: Tensor): Tensor {
    const [empty, full] = this.full === "on" ? [this.off, this.on] : [this.on, this.off];
    return tensor(Float64Array.from(this.read("resistances", state), (w) => empty * (1 - w) + full * w));
  }
}

function driveOf(coupling: Matrix, sources: readonly number[], beta: number): number[] {
  return coupling.map((row) => row.reduce((sum, value, j) => sum + value * (sources[j] as number), 0) / beta);
}

/** An Ising problem: E(s) = −½ sᵀ J s − hᵀ s for s in {−1,+1}^N. */
export interface IsingProblem {
  /** J [N,N], symmetric; its diagonal is ignored. */
  readonly couplings: Matrix;
  /** h [N] (default zeros). */
  readonly fields?: ArrayLike<number>;
}

/**
 * The memristive network whose Lyapunov function is an Ising energy wherever all states are 0 or 1: s = 2 w − 1, Ω = (J − λ_min)/(λ_max − λ_min) with
 * the eigenvalues λ of J, and a drive that compensates for what this adds. In that scale L = g E + constant, with g = α χ/(8 (λ_max − λ_min)).
 * If states rest between 0 and 1, their signs are only a guess, which descent can improve.
 * @throws ShapeError for sizes that do not fit; ArgumentError for couplings that are not symmetric, or are all zero
 * @see Caravelli, "Asymptotic behavior of memristive circuits", Entropy 21, 2019 (the Lyapunov function as an Ising energy; from memory)
 * @example
 * const network = isingNetwork({ couplings: [[0, 1], [1, 0]], fields: [0.1, 0] });
 * const { state } = network.recall(full([2], 0.5)); // signs of 2 w − 1
 */
export function isingNetwork(problem: IsingProblem, options: Omit<MemristorOptions, "full"> = {}): MemristiveNetwork {
  const op = "isingNetwork";
  const { alpha = 1, on = 0.1, off = 1 } = optionsOf(op, options, ["on", "off", "alpha"]);
  const { couplings, fields } = readIsing(op, problem);
  checkNumber(op, "alpha", alpha, { above: 0 });
  const { values } = symmetricEigen(couplings);
  const [most, least] = [values[0] as number, values.at(-1) as number];
  if (!(most > least)) throw new ArgumentError(`${op}: expected couplings between spins, got none`);
  const coupling = couplings.map((row, i) => row.map((value, j) => (value - (i === j ? least : 0)) / (most - least)));
  const scale = (alpha * (off - on)) / off / (8 * (most - least));
  // E = −2 wᵀ J w + cᵀ w + constant with w² = w: subtract from the linear part what the diagonal of Ω adds to the squares.
  const drive = couplings.map((row, i) => {
    const c = 2 * row.reduce((sum, value) => sum + value, 0) - 2 * (fields[i] as number) - 2 * least;
    return 2 * (alpha / 3 - scale * c);
  });
  return new MemristiveNetwork({ ...options, full: "on", coupling, drive });
}

/** @throws DTypeError, ShapeError, ArgumentError */
function readIsing(op: string, problem: IsingProblem): { couplings: number[][]; fields: number[] } {
  checkObject(op, "a problem", problem);
  const { couplings, fields } = problem;
  checkList(op, "couplings", couplings);
  if (couplings.length === 0) throw new ShapeError(`${op}: expected couplings [N,N] of at least one spin, got none`);
  for (const row of couplings) checkList(op, "a row of couplings", row);
  return {
    couplings: couplings.map((row, i) => row.map((value, j) => (i === j ? 0 : value))),
    fields: fields === undefined ? couplings.map(() => 0) : numbers(op, "fields", fields, couplings.length),
  };
}
