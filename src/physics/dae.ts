/** Semi-explicit differential-algebraic equations of index 1 by implicit methods, and the adjoint of what these compute. */

import { StateError } from "../base/errors.ts";
import { type Matrix, solve } from "../numerics/matrix.ts";

/** dx/dt = f(z, t), 0 = g(z, t) with z = [x, y]: nx states x, which have derivatives, and ny unknowns y, which g determines. */
export interface DifferentialAlgebraic {
  readonly nx: number;
  readonly ny: number;
  /** f and g, one after the other [nx + ny]. */
  equations(z: Float64Array, t: number): Float64Array;
  /** Their derivatives by z [nx + ny, nx + ny]. */
  jacobian(z: Float64Array, t: number): number[][];
  /** Σ_r weights_r ∂(f, g)_r/∂θ for all parameters θ, added to sums. */
  addParameterGradients(z: Float64Array, t: number, weights: Float64Array, sums: Float64Array): void;
  /** Where a state has to stay: [low, high]. */
  bounds(k: number): readonly [low: number, high: number];
}

/** Implicit Euler (order 1), the trapezoidal rule and BDF2 (order 2). */
export type ImplicitMethod = "implicit-euler" | "trapezoid" | "bdf2";

/** Σ_j c_j x_(n−j) = dt Σ_j b_j f_(n−j) */
interface Formula {
  readonly c: readonly [number, number, number];
  readonly b: readonly [number, number];
}

const EULER: Formula = { c: [1, -1, 0], b: [1, 0] };
const FORMULAS: Readonly<Record<ImplicitMethod, Formula>> = {
  "implicit-euler": EULER,
  trapezoid: { c: [1, -1, 0], b: [1 / 2, 1 / 2] },
  bdf2: { c: [3 / 2, -2, 1 / 2], b: [1, 0] },
};

/** One step as it was made: its formula, and the states that stood at a bound, with it. */
interface Step {
  readonly formula: Formula;
  readonly held: ReadonlyMap<number, number>;
}

/** z at times 0, dt, 2 dt, …, and the steps between them. */
export interface Course {
  readonly dt: number;
  readonly points: readonly Float64Array[];
  readonly steps: readonly Step[];
}

/** Newton's method ends when no unknown moves by more than this, as a part of its size. */
const CLOSE = 1e-13;
const MOST_ITERATIONS = 30;
/** Rounds in which states may be held at a bound or let go within one step. */
const MOST_ROUNDS = 20;

/** Unknowns that make the equations zero, from a guess. @throws StateError */
function newton(guess: Float64Array, residual: (z: Float64Array) => Float64Array, jacobian: (z: Float64Array) => Matrix): Float64Array {
  const z = guess.slice();
  let last = Number.POSITIVE_INFINITY;
  for (let k = 0; k < MOST_ITERATIONS; k++) {
    const change = solve(jacobian(z), Array.from(residual(z)));
    if (change === null) break;
    const size = z.reduce((most, value) => Math.max(most, Math.abs(value)), 1);
    for (let i = 0; i < z.length; i++) z[i] = (z[i] as number) - (change[i] as number);
    const moved = change.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    // Once it is near, rounding is all that moves it.
    if (moved <= CLOSE * size || (moved <= 1e-9 * size && moved >= last)) return z;
    last = moved;
  }
  throw new StateError("run: expected equations that Newton's method solves, got a step that it does not: take smaller ones");
}

/** The y that belong to states x: g(x, y) = 0. */
function consistent(system: DifferentialAlgebraic, x: Float64Array): Float64Array {
  const { nx, ny } = system;
  const start = new Float64Array(nx + ny);
  start.set(x);
  const held = new Map(Array.from(x, (value, k) => [k, value]));
  return newton(
    start,
    (z) => residualOf(system, { formula: EULER, held }, z, [], 0, 0),
    (z) => matrixOf(system, { formula: EULER, held }, z, 0, 0),
  );
}

/** What has to be zero: the formula in rows of states, or that they stand at their bound; g in the others. */
function residualOf(
  system: DifferentialAlgebraic,
  { formula, held }: Step,
  z: Float64Array,
  before: readonly Float64Array[],
  t: number,
  dt: number,
): Float64Array {
  const values = system.equations(z, t);
  const { c, b } = formula;
  const [one, two] = before;
  const past = one === undefined || b[1] === 0 ? null : system.equations(one, t - dt);
  for (let k = 0; k < system.nx; k++) {
    const bound = held.get(k);
    const slopes = b[0] * (values[k] as number) + b[1] * (past?.[k] ?? 0);
    const moved = c[0] * (z[k] as number) + c[1] * (one?.[k] ?? 0) + c[2] * (two?.[k] ?? 0);
    values[k] = bound === undefined ? moved - dt * slopes : (z[k] as number) - bound;
  }
  return values;
}

/** Its derivatives by z. */
function matrixOf(system: DifferentialAlgebraic, { formula, held }: Step, z: Float64Array, t: number, dt: number): number[][] {
  return system.jacobian(z, t).map((row, r) => {
    if (r >= system.nx) return row;
    const unit = (k: number) => (k === r ? 1 : 0);
    if (held.has(r)) return row.map((_, k) => unit(k));
    return row.map((value, k) => formula.c[0] * unit(k) - dt * formula.b[0] * value);
  });
}

/** The next point. States that would leave their bounds are held there, and let go again where their slope leads inside. */
function advance(
  system: DifferentialAlgebraic,
  before: readonly Float64Array[],
  formula: Formula,
  t: number,
  dt: number,
): [Float64Array, Step] {
  let held: ReadonlyMap<number, number> = new Map();
  const released = new Set<number>();
  for (let round = 0; round < MOST_ROUNDS; round++) {
    const step = { formula, held };
    const z = newton(
      before[0] as Float64Array,
      (at) => residualOf(system, step, at, before, t, dt),
      (at) => matrixOf(system, step, at, t, dt),
    );
    const now = holding(system, z, held, t);
    for (const [k, bound] of held) {
      if (now.has(k)) continue;
      // What went out again after it was let go stays until the next step.
      if (released.has(k)) now.set(k, bound);
      released.add(k);
    }
    if (now.size === held.size && [...now.keys()].every((k) => held.has(k))) return [z, step];
    held = now;
  }
  throw new StateError("run: expected a step after which states stay within their bounds, got one that moves them on: take smaller ones");
}

/** The states that are beyond a bound, or at it with a slope that leads outside. */
function holding(system: DifferentialAlgebraic, z: Float64Array, held: ReadonlyMap<number, number>, t: number): Map<number, number> {
  const slopes = system.equations(z, t);
  const found = new Map<number, number>();
  for (let k = 0; k < system.nx; k++) {
    const [low, high] = system.bounds(k);
    const [value, slope] = [z[k] as number, slopes[k] as number];
    if (held.has(k) ? value === low && slope < 0 : value < low) found.set(k, low);
    else if (held.has(k) ? value === high && slope > 0 : value > high) found.set(k, high);
  }
  return found;
}

/** @throws StateError where a step is too long for Newton's method */
export function integrateImplicitly(
  system: DifferentialAlgebraic,
  start: Float64Array,
  { steps, dt, method }: { readonly steps: number; readonly dt: number; readonly method: ImplicitMethod },
): Course {
  const points = [consistent(system, start)];
  const made: Step[] = [];
  for (let n = 1; n <= steps; n++) {
    const before = points.slice(-2).reverse();
    // BDF2 has no second point to look back at yet.
    const formula = n === 1 && method === "bdf2" ? EULER : FORMULAS[method];
    const [z, step] = advance(system, before, formula, n * dt, dt);
    points.push(z);
    made.push(step);
  }
  return { dt, points, steps: made };
}

/** The gradients of a function of a course: by parameters, and by the states at the start. */
export interface CourseGradients {
  readonly parameters: Float64Array;
  readonly start: Float64Array;
}

/**
 * The adjoint of a course: one transposed system of equations a step, from the last one back, whatever the number of parameters. It is exact for the steps that
 * were made, which states are held included.
 * @param costs ∂J/∂z at every point
 */
export function adjointOf(
  system: DifferentialAlgebraic,
  { dt, points, steps }: Course,
  costs: readonly Float64Array[],
  size: number,
): CourseGradients {
  const { nx, ny } = system;
  const sums = new Float64Array(size);
  /** λ of the step into each point, zero where a state was held; and of the two points after the present one. */
  let [next, afterNext]: [Back | null, Back | null] = [null, null];
  for (let n = points.length - 1; n > 0; n--) {
    const [z, step, t] = [points[n] as Float64Array, steps[n - 1] as Step, n * dt];
    const jacobian = system.jacobian(z, t);
    const right = pulled(costs[n] as Float64Array, jacobian, next, afterNext, dt);
    const weights = Float64Array.from(solveTransposed(matrixOf(system, step, z, t, dt), right));
    const { b } = step.formula;
    const free = weights.map((value, r) => (r < nx && step.held.has(r) ? 0 : value));
    const [now, past] = [b[0], b[1]].map((part) => free.map((value, r) => (r < nx ? -dt * part * value : 0))) as [
      Float64Array,
      Float64Array,
    ];
    for (let r = nx; r < nx + ny; r++) now[r] = weights[r] as number;
    system.addParameterGradients(z, t, now, sums);
    if (b[1] !== 0) system.addParameterGradients(points[n - 1] as Float64Array, t - dt, past, sums);
    [next, afterNext] = [{ lambda: free.subarray(0, nx), formula: step.formula }, next];
  }
  const first = points[0] as Float64Array;
  const jacobian = system.jacobian(first, 0);
  const right = pulled(costs[0] as Float64Array, jacobian, next, afterNext, dt);
  const own = solveTransposed(
    jacobian.slice(nx).map((row) => row.slice(nx)),
    right.slice(nx),
  );
  const weights = new Float64Array(nx + ny);
  weights.set(own, nx);
  system.addParameterGradients(first, 0, weights, sums);
  const start = Float64Array.from({ length: nx }, (_, k) =>
    own.reduce((sum, mu, r) => sum + mu * (jacobian[nx + r]?.[k] as number), -(right[k] as number)),
  );
  return { parameters: sums, start };
}

/** λ of a step that comes later, and its formula. */
interface Back {
  readonly lambda: Float64Array;
  readonly formula: Formula;
}

/** −∂J/∂z, less what the two later steps make of z. */
function pulled(cost: Float64Array, jacobian: Matrix, next: Back | null, afterNext: Back | null, dt: number): number[] {
  const right = Array.from(cost, (value) => -value);
  next?.lambda.forEach((lambda, k) => {
    right[k] = (right[k] as number) - next.formula.c[1] * lambda;
    const part = dt * next.formula.b[1] * lambda;
    if (part !== 0) for (let j = 0; j < right.length; j++) right[j] = (right[j] as number) + part * (jacobian[k]?.[j] as number);
  });
  afterNext?.lambda.forEach((lambda, k) => {
    right[k] = (right[k] as number) - afterNext.formula.c[2] * lambda;
  });
  return right;
}

function solveTransposed(matrix: Matrix, right: readonly number[]): number[] {
  if (matrix.length === 0) return [];
  return solve(
    matrix.map((_, j) => matrix.map((row) => row[j] as number)),
    right,
  ) as number[];
}
