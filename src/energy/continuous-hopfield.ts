/** Hopfield's network of graded units, 1984. */

import { noGrad } from "../autodiff/tape.ts";
import { checkArrayLike, checkFlag, checkNumber, checkWhole, optionsOf } from "../base/checks.ts";
import { ShapeError } from "../base/errors.ts";
import { add, div, mul, sub } from "../ops/arithmetic.ts";
import { sum } from "../ops/broadcast.ts";
import { clamp } from "../ops/compare.ts";
import { abs, exp, log1p, tanh } from "../ops/math.ts";
import { zeros } from "../tensor/create.ts";
import { show } from "../tensor/shape.ts";
import { checkTensor, keep, scope, type Tensor, tensor } from "../tensor/tensor.ts";
import { addFields, DenseCouplings } from "./couplings.ts";
import { EnergyModel, type Motion, type Recall, recallOf } from "./energy-model.ts";
import { dot, readMatrix, readState, type UnitValues } from "./states.ts";

export interface ContinuousHopfieldOptions {
  /** W [N,N], symmetric; its diagonal takes no part. That of a `Hopfield` network, for instance. */
  readonly weight: Tensor;
  /** I [N] (default 0). */
  readonly input?: Tensor;
  /** λ (default 20). */
  readonly gain?: number;
  /** R, one for all units or one for each [N] (default 1). */
  readonly resistance?: number | ArrayLike<number>;
  /** C, likewise (default 1). */
  readonly capacitance?: number | ArrayLike<number>;
  /** Time of a step; unless given, the least of 0.05 R_i C_i and C_i / (1/R_i + λ max_k Σ_j |W_kj|), which cannot overshoot. */
  readonly stepSize?: number;
}

export interface ContinuousRecallOptions {
  /** Steps at most (default 5000). */
  readonly maxSteps?: number;
  /** No potential moves by more than this in a step at rest (default 1e-6). */
  readonly tolerance?: number;
  /** Whether to keep the state after every step (default false). */
  readonly trace?: boolean;
}

/**
 * Units with graded outputs, charged by each other:
 *
 *     C_i du_i/dt = Σ_j W_ij V_j − u_i/R_i + I_i,   V_i = tanh(λ u_i)
 *     E = −½ VᵀWV − IᵀV + Σ_i (1/λR_i) ∫₀^{V_i} artanh(v) dv
 *
 * by Euler's method. C sets how fast each unit follows, R how much input it needs, and so where it comes to rest. A state is the potentials u [N]; `outputs` gives V. E falls along every path. With a high gain the
 * resting states are near those of the network of 1982; with λR|W| < 1 there is only u = 0 without input.
 *
 * `weight` and `input` are float64 and in the state dict.
 * @throws DTypeError, ShapeError, ArgumentError for weights that are not square, finite and symmetric, an input of another size, and a gain, step, R or C
 *   that is not above 0
 * @see Hopfield, "Neurons with graded response have collective computational properties like those of two-state neurons", 1984, eq. 5-7
 * @example
 * const net = new ContinuousHopfield({ weight: new Hopfield({ size: 100 }).store(patterns).weight });
 * const { state } = net.recall(mul(damaged, 0.1)); // potentials
 * const completed = net.outputs(state);
 */
export class ContinuousHopfield extends EnergyModel {
  override readonly size: number;
  readonly weight: Tensor;
  readonly input: Tensor;
  readonly gain: number;
  /** R and C of each unit [N]. */
  readonly resistance: Float64Array;
  readonly capacitance: Float64Array;
  readonly #stepSize: number | undefined;
  protected override readonly values: UnitValues = "numbers";

  constructor(options: ContinuousHopfieldOptions) {
    super();
    const op = "ContinuousHopfield";
    const { weight, input, gain = 20, resistance = 1, capacitance = 1, stepSize } = optionsOf(op, options, ["weight", ...GRADED]);
    checkTensor(op, weight);
    const N = weight.shape[0] ?? 0;
    if (N === 0) throw new ShapeError(`${op}: expected weight [N,N], got ${show(weight.shape)}`);
    checkNumber(op, "gain", gain, { above: 0 });
    if (stepSize !== undefined) checkNumber(op, "stepSize", stepSize, { above: 0 });
    const W = readMatrix(op, "weight", weight, N, N);
    const I = input === undefined ? null : readState(op, "input", input, N, "numbers");
    this.size = N;
    this.resistance = forUnits(op, "resistance", resistance, N);
    this.capacitance = forUnits(op, "capacitance", capacitance, N);
    this.gain = gain;
    this.#stepSize = stepSize;
    this.weight = keep(tensor(W, { shape: [N, N] }));
    this.input = keep(I === null ? zeros([N], "float64") : tensor(I));
    this.#couplings();
  }

  /** V = tanh(λ u) of potentials [N] or [B,N]. */
  outputs(state: Tensor): Tensor {
    checkTensor("outputs", state);
    return tanh(mul(state, this.gain));
  }

  override recall(cue: Tensor, options: ContinuousRecallOptions = {}): Recall {
    const op = "recall";
    const { maxSteps = 5000, tolerance = 1e-6, trace = false } = optionsOf(op, options, ["maxSteps", "tolerance", "trace"]);
    checkWhole(op, "maxSteps", maxSteps);
    checkNumber(op, "tolerance", tolerance, { least: 0 });
    checkFlag(op, "trace", trace);
    const start = readState(op, "the cue", cue, this.size, this.values);
    return recallOf(cue, this.values, this.motion(start), { maxSteps, tolerance, trace });
  }

  protected override energyOf(state: Float64Array): number {
    return this.motion(state).energy();
  }

  protected override motion(u: Float64Array): Motion {
    const couplings = this.#couplings();
    const I = readState("ContinuousHopfield", "input", this.input, this.size, "numbers");
    const { gain, resistance, capacitance } = this;
    const safe = capacitance.map((C, i) => {
      const R = resistance[i] as number;
      return Math.min(0.05 * R * C, C / (1 / R + gain * couplings.reach));
    });
    const dt = this.#stepSize ?? safe.reduce((least, step) => Math.min(least, step));
    return new GradedMotion({ couplings, input: I, gain, resistance, capacitance, dt }, u);
  }

  #couplings(): DenseCouplings {
    const W = readMatrix("ContinuousHopfield", "weight", this.weight, this.size, this.size);
    return new DenseCouplings("ContinuousHopfield", W, this.size);
  }
}

/** The names of options besides the weights. @internal */
export const GRADED = ["input", "gain", "resistance", "capacitance", "stepSize"] as const;

/** A positive number for each unit. @throws DTypeError, ShapeError, ArgumentError */
function forUnits(op: string, name: string, given: number | ArrayLike<number>, N: number): Float64Array {
  if (typeof given !== "number") checkArrayLike(op, name, given);
  const values = typeof given === "number" ? new Float64Array(N).fill(given) : Float64Array.from(given);
  if (values.length !== N) throw new ShapeError(`${op}: expected a ${name} for each of ${N} units, got ${values.length}`);
  for (const value of values) checkNumber(op, name, value, { above: 0 });
  return values;
}

interface Circuit {
  readonly couplings: DenseCouplings;
  readonly input: Float64Array;
  readonly gain: number;
  readonly resistance: Float64Array;
  readonly capacitance: Float64Array;
  readonly dt: number;
}

/** ln 2 */
const LN2 = Math.LN2;

class GradedMotion implements Motion {
  readonly state: Float64Array;
  readonly deterministic = true;
  readonly noisy = false;
  readonly #circuit: Circuit;
  /** V, and what flows into each unit, WV + I. */
  #outputs: Float64Array = new Float64Array(0);
  #currents: Float64Array = new Float64Array(0);

  constructor(circuit: Circuit, u: Float64Array) {
    this.#circuit = circuit;
    this.state = u;
    this.#look();
  }

  #look(): void {
    const { couplings, input, gain } = this.#circuit;
    this.#outputs = scope(() => noGrad(() => tanh(mul(tensor(this.state), gain)).data())) as Float64Array;
    this.#currents = input.slice();
    addFields(couplings, this.#outputs, this.#currents);
  }

  step(): number {
    const { resistance, capacitance, dt } = this.#circuit;
    let most = 0;
    for (let i = 0; i < this.state.length; i++) {
      const charge = (this.#currents[i] as number) - (this.state[i] as number) / (resistance[i] as number);
      const change = (dt / (capacitance[i] as number)) * charge;
      this.state[i] = (this.state[i] as number) + change;
      most = Math.max(most, Math.abs(change));
    }
    this.#look();
    return most;
  }

  energy(): number {
    const { input, gain, resistance } = this.#circuit;
    const V = this.#outputs;
    const pairs = -dot(V, this.#currents) / 2 - dot(V, input) / 2;
    return pairs + charging(this.state, gain, resistance);
  }
}

/**
 * Σ_i (1/λR_i) ∫₀^{V_i} artanh, of potentials u; the integral is V x − ln cosh x with x = λu and V = tanh x. By t = exp(−2|x|), so that no logarithm of
 * 1 − V² is needed and nothing large cancels: ln 2 − ln(1 + t) − 2|x| t/(1 + t). @internal
 */
export function charging(u: Float64Array, gain: number, resistance: Float64Array): number {
  const integrals = (): Tensor => {
    const size = clamp(abs(tensor(u.map((v) => gain * v))), 0, FLAT);
    const t = exp(mul(size, -2));
    return sub(LN2, add(log1p(t), mul(size, div(mul(t, 2), add(t, 1)))));
  };
  return scope(() => noGrad(() => sum(div(integrals(), tensor(resistance.map((R) => gain * R)))).item()));
}

/** From here on exp(−2|x|) is 0. */
const FLAT = 1000;
