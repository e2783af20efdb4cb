/** Adjoints of continuous-time networks: of the integrator, or of the differential equation itself. */

import { track } from "../autodiff/alias.ts";
import { gradients } from "../autodiff/sweep.ts";
import { enableGrad, noGrad } from "../autodiff/tape.ts";
import { checkOneOf, optionsOf } from "../base/checks.ts";
import { ArgumentError } from "../base/errors.ts";
import type { Parameter } from "../nn/module.ts";
import { type AdaptiveMethod, type FixedMethod, integrate } from "../numerics/runge-kutta.ts";
import { add, mul, neg, sub } from "../ops/arithmetic.ts";
import { stack, unstack } from "../ops/shape.ts";
import type { Recurrence } from "../recurrence/recurrence.ts";
import { stateFromVector, stateTensors, stateToVector } from "../recurrence/state.ts";
import { zerosLike } from "../tensor/create.ts";
import { scope, type Tensor } from "../tensor/tensor.ts";
import { type GradientAlgorithm, type ScanCotangents, type ScanGradients, scanByRule } from "./algorithm.ts";
import { overSequences, sumOf } from "./sequences.ts";
import { StepTape } from "./step-tape.ts";

/** A recurrence that solves dy/dt = slope(y, drive(x)) from input to input and returns outputs(y). */
export interface ContinuousRecurrence extends Recurrence<readonly Tensor[]> {
  /** Time between two inputs. */
  readonly interval: number;
  readonly method: FixedMethod | AdaptiveMethod;
  /** Solver steps in that time. */
  readonly unfolds: number;
  /** From [B,I] to [B,H]. */
  drive(x: Tensor): Tensor;
  slope(y: Tensor, drive?: Tensor): Tensor;
  outputs(y: Tensor): Tensor;
}

/**
 * "discrete": the adjoint of the integrator, which is exact. "stored": the adjoint equation, along the states of the forward pass. "reintegrated": the same, along states
 * integrated back from the last one.
 */
export type AdjointMode = "discrete" | "stored" | "reintegrated";

export interface ContinuousAdjointOptions {
  /** Default "discrete". */
  readonly mode?: AdjointMode;
  /** Called by "reintegrated" with the largest difference between the first state and the state that it arrived at. */
  readonly report?: (report: { readonly gap: number }) => void;
}

type Rule = (network: ContinuousRecurrence, parameters: readonly Parameter[], cotangents: ScanCotangents) => ScanGradients;

/** Gradients of parameters, accumulated on the way back. */
class Sums {
  readonly parameters: (Tensor | null)[];
  /** By step, last first. */
  readonly xs: Tensor[] = [];

  constructor(parameters: readonly Parameter[]) {
    this.parameters = parameters.map(() => null);
  }

  add(found: readonly (Tensor | null)[]): void {
    for (const [i, g] of found.entries()) this.parameters[i] = sumOf(this.parameters[i] as Tensor | null, g);
  }

  result(state: readonly (Tensor | null)[]): ScanGradients {
    return { xs: stack([...this.xs].reverse()), state, parameters: this.parameters };
  }
}

/** The states before each step and after the last one. */
function statesOf(network: ContinuousRecurrence, xs: readonly Tensor[], start: readonly Tensor[]): (readonly Tensor[])[] {
  const states = [start];
  for (const x of xs) states.push(noGrad(() => stateTensors(network.step(x, states.at(-1) as readonly Tensor[])[1])));
  return states;
}

// ---- Of the integrator ----

const discrete: Rule = (network, parameters, { xs, state, dys, dLast }) => {
  const inputs = unstack(xs, 0);
  const errors = dys === null ? null : unstack(dys, 0);
  const states = statesOf(network, inputs, state);
  const sums = new Sums(parameters);
  let lambda = dLast;
  for (let t = inputs.length - 1; t >= 0; t--) {
    const tape = new StepTape(network, parameters, inputs[t] as Tensor, state, states[t] as readonly Tensor[]);
    const found = tape.pull(errors?.[t] ?? null, lambda);
    lambda = found.state;
    sums.add(found.parameters);
    sums.xs.push(found.x ?? zerosLike(inputs[t] as Tensor));
  }
  return sums.result(lambda);
};

// ---- Of the equation ----

/** λᵀ∂F/∂(y, x, θ) for F = slope(y, drive(x)), and F. */
function pullSlope(network: ContinuousRecurrence, parameters: readonly Parameter[], x: Tensor, y: Tensor, lambda: Tensor) {
  const [input, state] = [track(x), track(y)];
  const F = enableGrad(() => network.slope(state, network.drive(input)));
  const sources = [state, input, ...parameters];
  const found = gradients([F], sources, [lambda]).map((g, i) => g ?? zerosLike(sources[i] as Tensor));
  return { F: F.detach(), found };
}

/** λ, ∂E/∂x and ∂E/∂θ on the way back through an interval. */
interface Backward {
  readonly lambda: Tensor;
  readonly rest: readonly Tensor[];
}

/** The adjoint equation over one interval along given states, in steps of −h: λ′ = −λᵀ∂F/∂y, g′ = −λᵀ∂F/∂(x, θ). */
function alongStored(network: ContinuousRecurrence, parameters: readonly Parameter[], x: Tensor, y0: Tensor, start: Backward): Backward {
  const { interval, unfolds, method } = network as ContinuousRecurrence & { method: FixedMethod };
  const h = interval / unfolds;
  const F = (y: Tensor): Tensor => noGrad(() => network.slope(y, network.drive(x)));
  const grid = [y0];
  for (let u = 0; u < unfolds; u++) grid.push(integrate(F, grid[u] as Tensor, h, { method, steps: 1 }));
  let parts = [start.lambda, ...start.rest];
  for (let u = unfolds - 1; u >= 0; u--) {
    const [before, after] = [grid[u], grid[u + 1]] as [Tensor, Tensor];
    const slope = (vector: Tensor, t: number): Tensor => {
      const [lambda] = stateFromVector(vector, parts) as [Tensor];
      const y = t === 0 ? after : between(before, after, F(before), F(after), h, 1 + t / h);
      return neg(stateToVector(pullSlope(network, parameters, x, y, lambda).found));
    };
    parts = [...stateFromVector(integrate(slope, stateToVector(parts), -h, { method, steps: 1 }), parts)];
  }
  const [lambda, ...rest] = parts as [Tensor, ...Tensor[]];
  return { lambda, rest };
}

/** Hermite's cubic between two states with their slopes, at the fraction s of the way; exact enough for the fourth-order method. */
function between(y0: Tensor, y1: Tensor, F0: Tensor, F1: Tensor, h: number, s: number): Tensor {
  if (s === 0) return y0;
  const [a, b] = [s * s * (3 - 2 * s), s * (1 - s)];
  const line = add(mul(y0, 1 - a), mul(y1, a));
  return add(line, mul(sub(mul(F0, 1 - s), mul(F1, s)), h * b));
}

const stored: Rule = (network, parameters, cotangents) => {
  const inputs = unstack(cotangents.xs, 0);
  const states = statesOf(network, inputs, cotangents.state).map(([y]) => y as Tensor);
  return backwards(network, parameters, cotangents, {
    at: (t) => states[t] as Tensor,
    back: (t, x, start) => alongStored(network, parameters, x, states[t] as Tensor, start),
  });
};

function reintegrated(report: ContinuousAdjointOptions["report"]): Rule {
  return (network, parameters, cotangents) => {
    const { method, interval, unfolds } = network as ContinuousRecurrence & { method: FixedMethod };
    let y = cotangents.last[0] as Tensor;
    const found = backwards(network, parameters, cotangents, {
      at: () => y,
      back(_t, x, { lambda, rest }) {
        const parts = [y, lambda, ...rest];
        const slope = (vector: Tensor): Tensor => {
          const [state, adjoint] = stateFromVector(vector, parts) as [Tensor, Tensor];
          const pulled = pullSlope(network, parameters, x, state, adjoint);
          return stateToVector([pulled.F, ...pulled.found.map((g) => neg(g))]);
        };
        const end = integrate(slope, stateToVector(parts), -interval, { method, steps: unfolds });
        const [before, ...adjoint] = stateFromVector(end, parts) as [Tensor, Tensor, ...Tensor[]];
        y = before;
        return { lambda: adjoint[0] as Tensor, rest: adjoint.slice(1) };
      },
    });
    const differences = Array.from(sub(y, cotangents.state[0] as Tensor).data(), (v) => Math.abs(Number(v)));
    report?.({ gap: differences.reduce((most, v) => (v > most || Number.isNaN(v) ? v : most), 0) });
    return found;
  };
}

interface Path {
  /** The state after t steps. */
  at(t: number): Tensor;
  /** Goes back through the interval of step t. */
  back(t: number, x: Tensor, start: Backward): Backward;
}

/** The adjoint equation from the last input to the first. At each output, its error is added to λ. */
function backwards(
  network: ContinuousRecurrence,
  parameters: readonly Parameter[],
  { xs, dys, dLast, state }: ScanCotangents,
  path: Path,
): ScanGradients {
  const inputs = unstack(xs, 0);
  const errors = dys === null ? null : unstack(dys, 0);
  const sums = new Sums(parameters);
  let lambda = dLast[0] ?? zerosLike(state[0] as Tensor);
  for (let t = inputs.length - 1; t >= 0; t--) {
    const error = errors?.[t];
    if (error !== undefined) {
      const y = track(path.at(t + 1));
      const o = enableGrad(() => network.outputs(y));
      const [jump, ...direct] = gradients([o], [y, ...parameters], [error]);
      if (jump) lambda = add(lambda, jump);
      sums.add(direct);
    }
    const x = inputs[t] as Tensor;
    const end = path.back(t, x, { lambda, rest: [zerosLike(x), ...parameters.map((p) => zerosLike(p))] });
    lambda = end.lambda;
    const [dx, ...found] = end.rest;
    sums.xs.push(dx as Tensor);
    sums.add(found);
  }
  return sums.result([lambda]);
}

function isContinuous(recurrence: unknown): recurrence is ContinuousRecurrence {
  const { slope, drive, outputs, interval } = recurrence as Record<string, unknown>;
  return [slope, drive, outputs].every((method) => typeof method === "function") && typeof interval === "number";
}

/** @throws ArgumentError for recurrences that the mode does not support */
function checkContinuous(recurrence: unknown, mode: AdjointMode): ContinuousRecurrence {
  const name = "continuousAdjoint";
  if (!isContinuous(recurrence)) {
    throw new ArgumentError(`${name}: expected a network in continuous time, got ${(recurrence as object).constructor.name}`);
  }
  if (mode === "discrete") return recurrence;
  const { method } = recurrence;
  if (method !== "euler" && method !== "heun" && method !== "rk4") {
    throw new ArgumentError(`${name}: expected a solver with steps of one size for the mode "${mode}", got "${method}": take "discrete"`);
  }
  const carried = scope(() => recurrence.initialState(1).length);
  if (carried !== 1) {
    throw new ArgumentError(
      `${name}: expected a state that is y alone for the mode "${mode}", got one with delays or past inputs: take "discrete"`,
    );
  }
  return recurrence;
}

/**
 * The gradient of a continuous-time network (`CTRNN`, `PearlmutterNetwork`) by its adjoint, backwards in time from z = 0 at the end:
 *
 *   dz/dt = −(∂F/∂y)ᵀ z − e        ∂E/∂θ = ∫ (∂F/∂θ)ᵀ z dt        for dy/dt = F(y, x; θ)
 *
 * For Pearlmutter's network this is dz_i/dt = z_i/T_i − e_i − Σ_j w_ji s′(x_j) z_j / T_j and ∂E/∂T_i = −(1/T_i) ∫ z_i (dy_i/dt) dt. Errors e arrive at the
 * outputs, as jumps of z. With K solver steps from input to input, T inputs and n units:
 *
 *   discrete       the adjoint of the solver itself: exact (any solver, delays too); O(T·n) memory for states, a tape of one step
 *   stored         the equation solved backwards along stored states; its error has the solver's order; O((T + K)·n)
 *   reintegrated   the state is solved backwards too: O(n); if the network forgets fast, going back amplifies errors: see `report`
 *
 * Time: O(T·K·n²), as for backpropagation through time, times two for recomputation.
 * @param options mode; report
 * @see Pearlmutter, "Learning state space trajectories in recurrent neural networks", Neural Computation 1, 1989; "Gradient calculations for dynamic
 * recurrent neural networks: a survey", IEEE Transactions on Neural Networks 6, 1995; Chen et al., "Neural ordinary differential equations", 2018, for "reintegrated"
 * Deviates: uses vector-Jacobian products of the network's slope, not explicit equations.
 * @throws ArgumentError for recurrences without a slope; for adaptive solvers, delays and interpolated inputs unless "discrete"
 * @example fit(net, batches, { gradients: continuousAdjoint({ mode: "stored" }), … }) // net: CTRNN
 */
export function continuousAdjoint(options: ContinuousAdjointOptions = {}): GradientAlgorithm {
  const { mode = "discrete", report } = optionsOf("continuousAdjoint", options, ["mode", "report"]);
  checkOneOf("continuousAdjoint", "mode", mode, ["discrete", "stored", "reintegrated"]);
  const name = `continuousAdjoint(${mode})`;
  const one: Rule = { discrete, stored, reintegrated: reintegrated(report) }[mode];
  return {
    name,
    scan(recurrence, xs, state, options) {
      const network = checkContinuous(recurrence, mode);
      const rule = overSequences((_r: typeof recurrence, parameters, _like, cotangents) => one(network, parameters, cotangents));
      return scanByRule(name, rule, recurrence, xs, state, options);
    },
  };
}
