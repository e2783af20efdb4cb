/** Fixed points of dynamical systems, and their stability. */

import { checkFunction, checkList, checkOneOf, checkOptions, finished } from "../base/checks.ts";
import { ArgumentError } from "../base/errors.ts";
import { type ComplexNumber, eigenvalues } from "../numerics/eigenvalues.ts";
import { type Matrix, solve } from "../numerics/matrix.ts";
import { sub } from "../ops/arithmetic.ts";
import { checkTensor, scope, type Tensor, tensor } from "../tensor/tensor.ts";
import { jacobian } from "../transforms/transforms.ts";

/** A differentiable function of a float64 vector [n] to another [n]. */
export type VectorFunction = (y: Tensor) => Tensor;

/** Wraps a function to refuse asynchronous ones and results that are no tensor. @throws StateError, DTypeError */
function checked(op: string, f: VectorFunction): VectorFunction {
  checkFunction(op, "f", f);
  return (y) => {
    const value = finished(op, f(y));
    checkTensor(op, value);
    return value;
  };
}

/** The Jacobian ∂f_i/∂y_j of a differentiable function of a vector, at y. */
export function jacobianAt(f: VectorFunction, y: readonly number[]): number[][] {
  const field = checked("jacobianAt", f);
  checkList("jacobianAt", "y", y);
  const n = y.length;
  const flat = scope(() => Array.from(jacobian((v) => field(v), tensor([...y], { dtype: "float64" }), { mode: "forward" }).data()));
  return y.map((_, i) => flat.slice(i * n, (i + 1) * n));
}

/** A point that a system does not leave, and whether it comes back to it. */
export interface FixedPoint {
  readonly point: readonly number[];
  /** Eigenvalues of the Jacobian there, by falling real part. */
  readonly eigenvalues: readonly ComplexNumber[];
  /** Whether small deviations die out: all real parts are below 0 for a flow, all magnitudes below 1 for a map. */
  readonly stable: boolean;
}

export interface FixedPointOptions {
  /** Starting points of Newton's method, each [n]. */
  readonly starts: Matrix;
  /** Whether `f` is dy/dt or the next y (default "flow"). */
  readonly kind?: "flow" | "map";
  /** The largest |f(y)| (for a map |f(y) − y|) at a fixed point (default 1e-10). */
  readonly tolerance?: number;
  /** Most Newton steps from a start (default 100). */
  readonly maxSteps?: number;
}

const size = (v: readonly number[]) => Math.max(0, ...v.map(Math.abs));

/**
 * The fixed points that Newton's method finds from the given starts, each once, sorted by coordinates:
 * f(y) = 0 for a flow dy/dt = f(y), f(y) = y for a map. Steps are halved until they reduce |f|.
 * @throws ArgumentError without starts, or for starts of different lengths
 * @see Strogatz, "Nonlinear dynamics and chaos", 1994, section 6.3
 * @example fixedPoints((y) => sub(tanh(mul(y, 2)), y), { starts: [[-1], [0.1], [1]] }) // two stable, one at 0 that is not
 */
export function fixedPoints(f: VectorFunction, options: FixedPointOptions): FixedPoint[] {
  const field = checked("fixedPoints", f);
  checkOptions("fixedPoints", options, ["starts", "kind", "tolerance", "maxSteps"]);
  checkList("fixedPoints", "starts", options.starts);
  for (const start of options.starts) checkList("fixedPoints", "a start", start);
  const { starts, kind = "flow", tolerance = 1e-10, maxSteps = 100 } = options;
  checkOneOf("fixedPoints", "kind", kind, ["flow", "map"]);
  const n = starts[0]?.length;
  if (n === undefined || starts.some((start) => start.length !== n)) {
    throw new ArgumentError(`fixedPoints: expected starts of one length, got lengths [${starts.map((s) => s.length).join(", ")}]`);
  }
  const root: VectorFunction = kind === "flow" ? field : (y) => sub(field(y), y);
  const points: (readonly number[])[] = [];
  for (const start of starts) {
    const point = newton(root, start, tolerance, maxSteps);
    if (point !== null && !points.some((p) => size(p.map((v, i) => v - (point[i] as number))) < 1e-6)) points.push(point);
  }
  return points.sort(byCoordinates).map((point) => describe(field, point, kind));
}

function byCoordinates(a: readonly number[], b: readonly number[]): number {
  const i = a.findIndex((value, k) => Math.abs(value - (b[k] as number)) > 1e-6);
  return i < 0 ? 0 : (a[i] as number) - (b[i] as number);
}

function describe(f: VectorFunction, point: readonly number[], kind: "flow" | "map"): FixedPoint {
  const values = eigenvalues(jacobianAt(f, point));
  const stable = values.every(({ re, im }) => (kind === "flow" ? re < 0 : re * re + im * im < 1));
  return { point, eigenvalues: values, stable };
}

function valueAt(f: VectorFunction, y: readonly number[]): number[] {
  return scope(() => Array.from(f(tensor([...y], { dtype: "float64" })).data()));
}

/** A root of f, or null if the method makes no progress. */
function newton(f: VectorFunction, start: readonly number[], tolerance: number, maxSteps: number): readonly number[] | null {
  let [y, value, moved] = [start, valueAt(f, start), Number.POSITIVE_INFINITY];
  // Near a double root |f| is small long before y is accurate, so the step must be small too.
  for (let i = 0; i < maxSteps && !(size(value) <= tolerance && moved <= 1e-8); i++) {
    const step = solve(jacobianAt(f, y), value);
    const next = step && descend(f, y, step, size(value));
    if (!next) break;
    const before = y;
    [y, value] = next;
    moved = size(y.map((v, k) => v - (before[k] as number)));
  }
  return size(value) <= tolerance ? y : null;
}

/** y − λ·step for the first λ = 1, ½, ¼, … that reduces |f|. */
function descend(f: VectorFunction, y: readonly number[], step: readonly number[], before: number): [number[], number[]] | null {
  for (let lambda = 1; lambda > 1e-6; lambda /= 2) {
    const next = y.map((v, i) => v - lambda * (step[i] as number));
    const value = valueAt(f, next);
    if (size(value) < before) return [next, value];
  }
  return null;
}
