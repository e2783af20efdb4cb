/** Fixed points z = f(z) by iteration: Picard, Anderson, Broyden. */

import { noGrad } from "../autodiff/tape.ts";
import { checkFunction, checkNumber, checkOneOf, checkOptions, checkWhole } from "../base/checks.ts";
import { ShapeError, StateError } from "../base/errors.ts";
import { sameShape, show } from "../tensor/shape.ts";
import { checkTensor, scope, type Tensor, tensor } from "../tensor/tensor.ts";
import { solve } from "./matrix.ts";

/** How to solve z = f(z): by iteration alone, or by Anderson's or Broyden's acceleration. */
export type FixedPointSolver = "picard" | "anderson" | "broyden";

export interface FixedPointOptions {
  /** Default "picard": z ← f(z). */
  readonly solver?: FixedPointSolver;
  /** Stops once |f(z) − z| is at most this in every element (default 1e-10 in float64, 1e-5 in float32). */
  readonly tolerance?: number;
  /** Gives up after this many evaluations of f (default 1000). */
  readonly maxIterations?: number;
  /** Number of iterations that "anderson" and "broyden" remember (default 5). */
  readonly memory?: number;
}

/** A solution of z = f(z), and how good it is. */
export interface FixedPoint {
  readonly z: Tensor;
  /** Number of evaluations of f. */
  readonly iterations: number;
  /** The largest |f(z) − z| of an element. */
  readonly residual: number;
}

type Vector = readonly number[];

const dot = (a: Vector, b: Vector): number => a.reduce((total, v, i) => total + v * (b[i] as number), 0);
const minus = (a: Vector, b: Vector): number[] => a.map((v, i) => v - (b[i] as number));
/** a + c·b */
const plus = (a: Vector, b: Vector, c = 1): number[] => a.map((v, i) => v + c * (b[i] as number));
const largest = (a: Vector): number => a.reduce((most, v) => (Number.isNaN(v) ? Number.NaN : Math.max(most, Math.abs(v))), 0);

/** A rule for the next z from z and g = f(z) − z. It may have a memory. */
type Rule = (z: Vector, g: Vector) => number[];

const picard = (): Rule => (z, g) => plus(z, g);

/** The changes of z and of g from step to step, the last m of them. */
class Differences {
  readonly dz: number[][] = [];
  readonly dg: number[][] = [];
  readonly #memory: number;
  #before: { readonly z: Vector; readonly g: Vector } | null = null;

  constructor(memory: number) {
    this.#memory = memory;
  }

  add(z: Vector, g: Vector): void {
    if (this.#before !== null) {
      this.dz.push(minus(z, this.#before.z));
      this.dg.push(minus(g, this.#before.g));
      if (this.dz.length > this.#memory) this.dropOldest();
    }
    this.#before = { z, g };
  }

  dropOldest(): void {
    this.dz.shift();
    this.dg.shift();
  }
}

/** The γ that minimises ‖g − Σ γ_i Δg_i‖; drops memories that are linearly dependent. */
function leastSquares(changes: Differences, g: Vector): Vector {
  while (changes.dg.length > 0) {
    const normal = changes.dg.map((a) => changes.dg.map((b) => dot(a, b)));
    const found = normal.flat().every(Number.isFinite)
      ? solve(
          normal,
          changes.dg.map((a) => dot(a, g)),
        )
      : null;
    if (found !== null) return found;
    changes.dropOldest();
  }
  return [];
}

/** Anderson's mixing, type II: z ← z + g − Σ γ_i (Δz_i + Δg_i). */
function anderson(memory: number): Rule {
  const changes = new Differences(memory);
  return (z, g) => {
    changes.add(z, g);
    const gamma = leastSquares(changes, g);
    return gamma.reduce((next: number[], c, i) => plus(plus(next, changes.dz[i] as Vector, -c), changes.dg[i] as Vector, -c), plus(z, g));
  };
}

/** Broyden's good method: z ← z − H g, where H approximates the inverse Jacobian of g, starting at −1 with rank-one updates. */
function broyden(memory: number): Rule {
  const changes = new Differences(1);
  let updates: { readonly u: Vector; readonly v: Vector }[] = [];
  const times = (x: Vector): number[] =>
    updates.reduce(
      (y: number[], { u, v }) => plus(y, u, dot(v, x)),
      x.map((e) => -e),
    );
  const timesTransposed = (x: Vector): number[] =>
    updates.reduce(
      (y: number[], { u, v }) => plus(y, v, dot(u, x)),
      x.map((e) => -e),
    );
  return (z, g) => {
    changes.add(z, g);
    const [dz, dg] = [changes.dz.at(-1), changes.dg.at(-1)];
    if (dz !== undefined && dg !== undefined) {
      if (updates.length >= memory) updates = [];
      const moved = times(dg);
      const size = dot(dz, moved);
      const u = minus(dz, moved).map((e) => e / size);
      if (u.every(Number.isFinite)) updates.push({ u, v: timesTransposed(dz) });
    }
    return minus(z, times(g));
  };
}

const rules: Readonly<Record<FixedPointSolver, (memory: number) => Rule>> = { picard, anderson, broyden };

/**
 * Solves z = f(z) by iteration from z0, off the tape. All elements together count as one vector.
 *
 *   picard     z ← f(z): for contractions; the error falls by a factor per step
 *   anderson   mixes the last iterates so that their residuals cancel: fewer steps, even where f alone circles slowly
 *   broyden    Newton's method with a Jacobian of rank-one updates, restarted when its memory is full
 *
 * A step costs one f and, for n elements and memory m, another O(m²n) (anderson) or O(mn) (broyden).
 * @throws StateError if the residual is not within tolerance after `maxIterations`, or is not finite; ArgumentError for options out of range
 * @see Anderson, "Iterative procedures for nonlinear integral equations", 1965; Broyden, "A class of methods for solving nonlinear simultaneous
 * equations", 1965; Bai, Kolter and Koltun, "Deep equilibrium models", 2019, for both in networks
 * @example const { z, iterations } = solveFixedPoint((z) => cos(z), zeros([1], "float64"), { solver: "anderson" });
 */
export function solveFixedPoint(f: (z: Tensor) => Tensor, z0: Tensor, options: FixedPointOptions = {}): FixedPoint {
  checkOptions("solveFixedPoint", options, ["solver", "tolerance", "maxIterations", "memory"]);
  checkFunction("solveFixedPoint", "f", f);
  checkTensor("solveFixedPoint", z0);
  const { solver = "picard", maxIterations = 1000, memory = 5, tolerance = defaultTolerance(z0) } = options;
  checkFixedPointOptions("solveFixedPoint", options);
  const next = rules[solver](memory);
  const evaluate = (z: Vector): number[] =>
    scope(() =>
      noGrad(() => {
        const y = f(tensor([...z], { shape: z0.shape, dtype: z0.dtype }));
        if (!sameShape(y.shape, z0.shape))
          throw new ShapeError(`solveFixedPoint: expected f(z) of shape ${show(z0.shape)}, got ${show(y.shape)}`);
        return Array.from(y.data(), Number);
      }),
    );
  let z = Array.from(z0.detach().data(), Number);
  for (let iterations = 1; ; iterations++) {
    const g = minus(evaluate(z), z);
    const residual = largest(g);
    if (residual <= tolerance) return { z: tensor(z, { shape: z0.shape, dtype: z0.dtype }), iterations, residual };
    if (iterations >= maxIterations || !Number.isFinite(residual)) {
      throw new StateError(
        `solveFixedPoint: expected |f(z) − z| of at most ${tolerance} within ${maxIterations} evaluations by ${solver}, got ${residual} after ${iterations}`,
      );
    }
    z = next(z, g);
  }
}

/** The default tolerance for a dtype. */
export function defaultTolerance({ dtype }: Tensor): number {
  return dtype === "float64" ? 1e-10 : 1e-5;
}

/** @throws ArgumentError for options out of range */
export function checkFixedPointOptions(op: string, { solver, tolerance, maxIterations, memory }: FixedPointOptions): void {
  if (solver !== undefined) checkOneOf(op, "solver", solver, ["picard", "anderson", "broyden"]);
  if (tolerance !== undefined) checkNumber(op, "tolerance", tolerance, { above: 0 });
  if (maxIterations !== undefined) checkWhole(op, "maxIterations", maxIterations, { least: 1 });
  if (memory !== undefined) checkWhole(op, "memory", memory, { least: 1 });
}
