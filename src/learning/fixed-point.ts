/** Recurrent backpropagation: derivatives of a network at a fixed point, by a linear system instead of its history. */

import { checkNumber, checkOptions, optionsOf } from "../base/checks.ts";
import { isFloat } from "../base/dtype.ts";
import { ArgumentError, StateError } from "../base/errors.ts";
import type { Parameter } from "../nn/module.ts";
import { checkFixedPointOptions, type FixedPointOptions, solveFixedPoint } from "../numerics/fixed-point.ts";
import { add, sub } from "../ops/arithmetic.ts";
import { cat, select, slice, unsqueeze } from "../ops/shape.ts";
import { checkRecurrence, type Recurrence } from "../recurrence/recurrence.ts";
import { restoreState, type State, stateFromVector, stateTensors, stateToVector } from "../recurrence/state.ts";
import { zeros, zerosLike } from "../tensor/create.ts";
import { checkTensor, scope, type Tensor } from "../tensor/tensor.ts";
import { type GradientAlgorithm, type ScanCotangents, type ScanGradients, scanByRule } from "./algorithm.ts";
import { overSequences, sumOf } from "./sequences.ts";
import { floats, StepTape } from "./step-tape.ts";

/** How close to a fixed point a network must be. */
export const REST: Readonly<Record<string, number>> = { float64: 1e-8, float32: 1e-4 };

/** Accuracy of a fixed point and of its derivative. */
export interface FixedPointReport {
  /** Largest change of an element of the state in one more step. */
  readonly atRest: number;
  /** Number of products with the transposed Jacobian, and the largest error of an element of λ. */
  readonly iterations: number;
  readonly residual: number;
}

export interface FixedPointAlgorithmOptions extends FixedPointOptions {
  /** Largest change of an element of the state in one more step at a fixed point (default 1e-8 in float64, 1e-4 in float32). */
  readonly rest?: number;
  /** Receives a report on every fixed point. */
  readonly report?: (report: FixedPointReport) => void;
}

/** The names of `FixedPointAlgorithmOptions`. @internal */
export const FIXED_POINT = ["rest", "report", "solver", "tolerance", "maxIterations", "memory"] as const;

/** The largest difference of an element. */
function distance(a: readonly Tensor[], b: readonly Tensor[]): number {
  const all = a.flatMap((t, i) => Array.from(sub(t.detach(), (b[i] as Tensor).detach()).data(), (v) => Math.abs(Number(v))));
  return all.reduce((most, v) => (Number.isNaN(v) ? Number.NaN : Math.max(most, v)), 0);
}

/** The errors of the last step. @throws ArgumentError if earlier steps have errors too */
export function lastErrors(name: string, dys: Tensor | null): Tensor | null {
  if (dys === null) return null;
  const T = dys.dim(0);
  const earlier = slice(dys, 0, 0, T - 1).data();
  if (Array.from(earlier).some((d) => d !== 0)) {
    throw new ArgumentError(`${name}: expected a loss of the last output or state, which are those at rest, got one of earlier outputs`);
  }
  return select(dys, 0, T - 1);
}

/** Cotangents of xs, which only the last step has. */
export function atLastStep(dx: Tensor | null, xs: Tensor): Tensor | null {
  if (dx === null) return null;
  const T = xs.dim(0);
  const last = unsqueeze(dx, 0);
  return T === 1 ? last : cat([zeros([T - 1, ...dx.shape], dx.dtype), last], 0);
}

/** @throws StateError unless the last state is a fixed point */
export function checkAtRest(name: string, change: number, like: Tensor, rest: number | undefined): void {
  const bound = rest ?? (REST[like.dtype] as number);
  if (change <= bound) return;
  throw new StateError(
    `${name}: expected a state at rest, that another step changes by at most ${bound}, got a change of ${change}: take more steps`,
  );
}

function fixedPointRule<S extends State>(
  recurrence: Recurrence<S>,
  parameters: readonly Parameter[],
  like: S,
  { xs, state, last, dys, dLast }: ScanCotangents,
  { report, rest, ...solver }: FixedPointAlgorithmOptions,
): ScanGradients {
  const dy = lastErrors("fixedPoint", dys);
  const tape = new StepTape(recurrence, parameters, select(xs, 0, xs.dim(0) - 1), like, last);
  const ends = floats(last);
  const atRest = distance(floats(tape.next), ends);
  checkAtRest("fixedPoint", atRest, ends[0] ?? xs, rest);
  const direct =
    dy === null
      ? null
      : tape.pull(
          dy,
          ends.map(() => null),
        );
  const dEnds = dLast.filter((_, i) => isFloat((last[i] as Tensor).dtype));
  const e = ends.map((s, i) => sumOf(dEnds[i] ?? null, direct?.state[i] ?? null) ?? zerosLike(s));
  const vector = stateToVector(e);
  // λ = e + Jᵀλ
  const { z, iterations, residual } = solveFixedPoint(
    (lambda) => {
      const through = tape.pull(null, stateFromVector(lambda, e)).state.map((g, i) => g ?? zerosLike(e[i] as Tensor));
      return add(vector, stateToVector(through));
    },
    vector,
    solver,
  );
  report?.({ atRest, iterations, residual });
  const { x, parameters: found } = tape.pull(dy, stateFromVector(z, e));
  return { xs: atLastStep(x, xs), state: state.map(() => null), parameters: found };
}

/**
 * Recurrent backpropagation at a fixed point (Pineda, Almeida). For a network at a fixed point, s* = F(x, s*), the gradient is the fixed point of a
 * linear network, independent of the path there:
 *
 *   λ = e + Jᵀλ          e = ∂E/∂s*, J = ∂F/∂s at s*
 *   ∂E/∂θ = (∂F/∂θ)ᵀ λ
 *
 * The scan is the relaxation, under a constant input and for as long as needed. The loss must depend on the last output or state. λ is iterated by
 * "picard" (Almeida's relaxation, which converges when the network itself does, at the same rate), "anderson" or "broyden". Exact up to both residuals;
 * equal to backpropagation through infinitely many steps. Time: one vector-Jacobian product per iteration, O(n²) for n units; memory O(n), whatever T.
 * Inputs get the gradient for all steps at the last one; the first state gets none.
 * @param options solver, tolerance, maxIterations and memory of the iteration; `rest`; `report` receives the accuracy of each
 * @see Pineda, "Generalization of back-propagation to recurrent neural networks", Physical Review Letters 59, 1987; Almeida, "A learning rule for
 * asynchronous perceptrons with feedback in a combinatorial environment", 1987; Bai, Kolter and Koltun, "Deep equilibrium models", 2019
 * Deviates: in discrete time; the time constant of a step does not matter at a fixed point.
 * @throws StateError from `backward` if the state is no fixed point, or λ does not converge; ArgumentError for a loss that depends on earlier outputs, and for
 * options out of range
 * @example fit(net, batches, { gradients: fixedPoint({ solver: "anderson" }), … }) // loss: of the last output
 */
export function fixedPoint(options: FixedPointAlgorithmOptions = {}): GradientAlgorithm {
  checkOptions("fixedPoint", options, FIXED_POINT);
  checkFixedPointOptions("fixedPoint", options);
  if (options.rest !== undefined) checkNumber("fixedPoint", "rest", options.rest, { above: 0 });
  return {
    name: "fixedPoint",
    scan(recurrence, xs, state, scanOptions) {
      const rule = overSequences((r: typeof recurrence, parameters, like, cotangents) =>
        fixedPointRule(r, parameters, like, cotangents, options),
      );
      return scanByRule("fixedPoint", rule, recurrence, xs, state, scanOptions);
    },
  };
}

/** A network at a fixed point, for an input. */
export interface Equilibrium<S extends State> {
  /** [B,O] */
  readonly y: Tensor;
  readonly state: S;
  /** Number of steps, and the largest change of an element of the state in one more. */
  readonly iterations: number;
  readonly residual: number;
}

/**
 * Finds a fixed point of a network for an input by a solver. Returns output and state there, differentiable as in `fixedPoint`: a deep equilibrium model from
 * any recurrence.
 * @param x [B,I]
 * @param given solver, tolerance, maxIterations and memory, for the state and for λ; `start` (default the initial state); `report`
 * @throws StateError if no fixed point is found within `maxIterations`
 * @see Bai, Kolter and Koltun, "Deep equilibrium models", 2019
 * @example const { y } = equilibrium(net, x, { solver: "anderson" });
 */
export function equilibrium<S extends State>(
  recurrence: Recurrence<S>,
  x: Tensor,
  given: FixedPointAlgorithmOptions & { readonly start?: S } = {},
): Equilibrium<S> {
  const { start, ...options } = optionsOf("equilibrium", given, ["start", ...FIXED_POINT]);
  checkRecurrence("equilibrium", recurrence);
  checkTensor("equilibrium", x);
  const { report: _report, rest: _rest, ...solver } = options;
  const like = start ?? recurrence.initialState(x.dim(0));
  const tensors = stateTensors(like);
  const whole = (vector: Tensor): Tensor[] => {
    const parts = stateFromVector(vector, floats(tensors));
    return tensors.map((t) => (isFloat(t.dtype) ? (parts.shift() as Tensor) : t));
  };
  const found = solveFixedPoint(
    (vector) => stateToVector(floats(stateTensors(recurrence.step(x.detach(), restoreState(like, whole(vector)))[1]))),
    scope(() => stateToVector(floats(tensors)).detach()),
    solver,
  );
  const [ys, state] = fixedPoint(options).scan(recurrence, unsqueeze(x, 0), restoreState(like, whole(found.z)));
  return { y: select(ys, 0, 0), state, iterations: found.iterations, residual: found.residual };
}
