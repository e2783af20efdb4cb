/** Equilibrium propagation: the gradient of a network with an energy, from its equilibria under small nudges. */

import { track } from "../autodiff/alias.ts";
import { gradients } from "../autodiff/sweep.ts";
import { enableGrad } from "../autodiff/tape.ts";
import { checkNumber, checkOneOf, checkOptions, checkSizes, optionsOf } from "../base/checks.ts";
import { ArgumentError } from "../base/errors.ts";
import { LAYER, type LayerOptions, uniformParameter } from "../nn/layers.ts";
import type { Parameter } from "../nn/module.ts";
import { checkFixedPointOptions, type FixedPointOptions, solveFixedPoint } from "../numerics/fixed-point.ts";
import { add, mul, sub } from "../ops/arithmetic.ts";
import { sum } from "../ops/broadcast.ts";
import { linear } from "../ops/linear.ts";
import { sigmoid, tanh } from "../ops/math.ts";
import { select, transpose } from "../ops/shape.ts";
import { Cell, type Recurrence } from "../recurrence/recurrence.ts";
import { eye, onesLike, zeros, zerosLike } from "../tensor/create.ts";
import { sameShape } from "../tensor/shape.ts";
import { keep, type Tensor } from "../tensor/tensor.ts";
import { type GradientAlgorithm, type ScanCotangents, type ScanGradients, scanByRule } from "./algorithm.ts";
import { atLastStep, checkAtRest, FIXED_POINT, lastErrors } from "./fixed-point.ts";
import { overSequences, sumOf } from "./sequences.ts";

/** A recurrence that descends an energy and outputs its state [B,n]. */
export interface EnergyRecurrence extends Recurrence<Tensor> {
  /** E(x, s) of each sequence [B]. */
  energy(x: Tensor, s: Tensor): Tensor;
}

export interface EquilibriumNetworkOptions extends LayerOptions {
  readonly inputSize: number;
  /** Number of units, visible and hidden. */
  readonly hiddenSize: number;
  /** ρ (default "logistic"). */
  readonly activation?: "logistic" | "tanh";
  /** ε, the rate of descent per step (default 0.5). */
  readonly rate?: number;
  /** Bound of the uniform initial weights (default 1/√H). */
  readonly bound?: number;
}

/**
 * Units with symmetric connections that descend an energy to an equilibrium:
 *
 *   E(x, s) = ½ s·s − ½ ρ(s)·Wρ(s) − ρ(s)·(Ux + b)
 *   s ← s − ε ∂E/∂s = s + ε (ρ′(s)∘(Wρ(s) + Ux + b) − s)
 *
 * W = (V + Vᵀ)/2 without its diagonal, so it stays symmetric however V changes. `weightHh` V [H,H], `weightIh` U [H,I], `bias` b [H] from
 * U(±1/√H); s₀ = 0.
 * @param options x [B,I] to s [B,H]
 * @throws ArgumentError for sizes below 1, a rate outside (0, 1]
 * @see Scellier and Bengio, "Equilibrium propagation: bridging the gap between energy-based models and backpropagation", 2017, eq. 1-5
 * Deviates: a smooth ρ instead of the hard sigmoid; inputs have their own weights.
 * @example const [ys] = new EquilibriumNetwork({ inputSize: 2, hiddenSize: 8 }).scan(xs);
 */
export class EquilibriumNetwork extends Cell<Tensor> implements EnergyRecurrence {
  readonly inputSize: number;
  readonly outputSize: number;
  readonly weightIh: Parameter;
  readonly weightHh: Parameter;
  readonly bias: Parameter;
  /** Ones off the diagonal. */
  readonly mask: Tensor;
  readonly activation: "logistic" | "tanh";
  readonly rate: number;

  constructor(options: EquilibriumNetworkOptions) {
    super();
    const {
      inputSize: I,
      hiddenSize: H,
      activation = "logistic",
      rate = 0.5,
      bound = 1 / Math.sqrt(H),
    } = optionsOf("EquilibriumNetwork", options, ["inputSize", "hiddenSize", "activation", "rate", "bound", ...LAYER]);
    checkSizes("EquilibriumNetwork", { inputSize: I, hiddenSize: H });
    checkOneOf("EquilibriumNetwork", "activation", activation, ["logistic", "tanh"]);
    checkNumber("EquilibriumNetwork", "rate", rate, { above: 0, most: 1 });
    checkNumber("EquilibriumNetwork", "bound", bound, { least: 0 });
    this.inputSize = I;
    this.outputSize = H;
    this.weightIh = uniformParameter([H, I], bound, options);
    this.weightHh = uniformParameter([H, H], bound, options);
    this.bias = uniformParameter([H], bound, options);
    this.mask = keep(sub(1, eye(H, H, this.bias.dtype)));
    this.activation = activation;
    this.rate = rate;
  }

  /** W [H,H]. */
  get weight(): Tensor {
    return mul(mul(add(this.weightHh, transpose(this.weightHh)), this.mask), 0.5);
  }

  initialState(batch: number): Tensor {
    return zeros([batch, this.outputSize], this.bias.dtype);
  }

  #rho(s: Tensor): Tensor {
    return this.activation === "tanh" ? tanh(s) : sigmoid(s);
  }

  energy(x: Tensor, s: Tensor): Tensor {
    const r = this.#rho(s);
    const drive = linear(x, this.weightIh, this.bias);
    const inner = sub(mul(s, mul(s, 0.5)), mul(r, add(mul(linear(r, this.weight), 0.5), drive)));
    return sum(inner, { axis: 1 });
  }

  step(x: Tensor, s: Tensor): [y: Tensor, next: Tensor] {
    const r = this.#rho(s);
    const slope = this.activation === "tanh" ? sub(1, mul(r, r)) : mul(r, sub(1, r));
    const force = mul(slope, add(linear(r, this.weight), linear(x, this.weightIh, this.bias)));
    const s1 = add(s, mul(sub(force, s), this.rate));
    return [s1, s1];
  }
}

export interface EquilibriumPropagationOptions extends FixedPointOptions {
  /** β, strength of the nudge (default 1e-3). */
  readonly beta?: number;
  /** Rate of descent per step in a nudged phase (default 0.5). */
  readonly rate?: number;
  /** The largest element of ∂E/∂s at an equilibrium (default 1e-8 in float64, 1e-4 in float32). */
  readonly rest?: number;
  /** Receives the lengths of the two nudged phases. */
  readonly report?: (report: { readonly atRest: number; readonly iterations: readonly [up: number, down: number] }) => void;
}

function hasEnergy(recurrence: unknown): recurrence is EnergyRecurrence {
  return typeof (recurrence as { energy?: unknown }).energy === "function";
}

/** Derivatives of the summed energy of all sequences. */
function energyGradients(network: EnergyRecurrence, x: Tensor, s: Tensor, of: "state" | readonly Tensor[]): (Tensor | null)[] {
  const [input, state] = [track(x.detach()), track(s.detach())];
  const E = enableGrad(() => sum(network.energy(input, state)));
  return gradients([E], of === "state" ? [state] : [input, ...of], [onesLike(E)]);
}

/** The equilibrium of the network when it is pulled along −β e. */
function nudged(network: EnergyRecurrence, x: Tensor, s: Tensor, pull: Tensor, rate: number, solver: FixedPointOptions) {
  const down = (z: Tensor): Tensor => {
    const force = add(energyGradients(network, x, z, "state")[0] ?? zerosLike(z), pull);
    return sub(z, mul(force, rate));
  };
  return solveFixedPoint(down, s, solver);
}

function equilibriumRule(
  network: EnergyRecurrence,
  parameters: readonly Parameter[],
  { xs, state, ys, last, dys, dLast }: ScanCotangents,
  { beta = 1e-3, rate = 0.5, rest, report, ...solver }: EquilibriumPropagationOptions,
): ScanGradients {
  const name = "equilibriumPropagation";
  const dy = lastErrors(name, dys);
  const T = xs.dim(0);
  const [x, y, s] = [select(xs, 0, T - 1), select(ys, 0, T - 1), last[0] as Tensor];
  if (last.length !== 1 || !sameShape(y.shape, s.shape)) {
    throw new ArgumentError(`${name}: expected a recurrence that puts out its state, got one with another output`);
  }
  const slope = energyGradients(network, x, s, "state")[0] ?? zerosLike(s);
  const atRest = Math.max(0, ...Array.from(slope.data(), (g) => (Number.isNaN(g) ? Number.POSITIVE_INFINITY : Math.abs(Number(g)))));
  checkAtRest(name, atRest, s, rest);
  const e = sumOf(dLast[0] ?? null, dy) ?? zerosLike(s);
  const [up, down] = [beta, -beta].map((b) => nudged(network, x, s, mul(e, b), rate, solver));
  const [above, below] = [up, down].map((phase) => energyGradients(network, x, (phase as { z: Tensor }).z, parameters));
  report?.({ atRest, iterations: [up?.iterations as number, down?.iterations as number] });
  const [dx, ...found] = (above as (Tensor | null)[]).map((a, i) => {
    const b = below?.[i];
    return a && b ? mul(sub(a, b), 1 / (2 * beta)) : null;
  });
  return { xs: atLastStep(dx ?? null, xs), state: state.map(() => null), parameters: found };
}

/**
 * Equilibrium propagation: computes the gradient of a network with an energy from just two more relaxations, nudged towards lower and higher loss:
 *
 *   ∂E/∂s + β e = 0 at s^β          e = ∂C/∂s at the free equilibrium
 *   ∂C/∂θ ≈ (∂E/∂θ at s^β − ∂E/∂θ at s^−β) / 2β
 *
 * The scan is the free phase; the loss must depend on its last output or state. The bias is O(β²). For β → 0 it becomes recurrent backpropagation, since the Jacobian of a
 * gradient is symmetric. A weight between units needs only their activities. Errors of rounding and unfinished phases grow by 1/β: keep `tolerance` far below β².
 * Time: two relaxations with one gradient of the energy per step, O(n²) for n units; memory O(n), whatever T.
 * @param options beta; solver, tolerance, maxIterations and memory of the nudged phases, rate; `rest`; `report` receives how each went
 * @see Scellier and Bengio, "Equilibrium propagation", 2017; Laborieux et al., "Scaling equilibrium propagation to deep ConvNets by drastically
 * reducing its gradient estimator bias", 2021, for the symmetric difference
 * Deviates: nudges by the loss's slope at the free equilibrium, not by the loss itself, so any loss works.
 * @throws StateError from `backward` if a phase does not converge; ArgumentError for a recurrence without `energy`, or whose output is not its state, for
 * a loss that depends on earlier outputs, and for options out of range
 * @example fit(net, batches, { gradients: equilibriumPropagation({ beta: 0.01 }), … }) // net: EquilibriumNetwork
 */
export function equilibriumPropagation(options: EquilibriumPropagationOptions = {}): GradientAlgorithm {
  checkOptions("equilibriumPropagation", options, ["beta", "rate", ...FIXED_POINT]);
  const name = "equilibriumPropagation";
  checkFixedPointOptions(name, options);
  for (const key of ["beta", "rate", "rest"] as const) if (options[key] !== undefined) checkNumber(name, key, options[key], { above: 0 });
  return {
    name,
    scan(recurrence, xs, state, scanOptions) {
      const network: unknown = recurrence;
      if (!hasEnergy(network)) throw new ArgumentError(`${name}: expected a recurrence with an energy, got ${recurrence.constructor.name}`);
      const rule = overSequences((_r: typeof recurrence, parameters, _like, cotangents) =>
        equilibriumRule(network, parameters, cotangents, options),
      );
      return scanByRule(name, rule, recurrence, xs, state, scanOptions);
    },
  };
}
