/** Linear regression with a penalty on the weights, in double precision, from a stream of rows. */

import { noGrad } from "../autodiff/tape.ts";
import { checkNumber, checkSizes } from "../base/checks.ts";
import { ArgumentError, ShapeError, StateError } from "../base/errors.ts";
import { cast } from "../ops/cast.ts";
import { matmul } from "../ops/linear.ts";
import { transpose } from "../ops/shape.ts";
import { show } from "../tensor/shape.ts";
import { checkTensor, scope, type Tensor } from "../tensor/tensor.ts";

/** λ, or "gcv" to choose it by generalised cross-validation. */
export type Ridge = number | "gcv";

/** A ridge regression and how well it fits. */
export interface RidgeFit {
  /** W [outputs, features], in row-major order. */
  readonly weight: Float64Array;
  /** The λ that was used. */
  readonly ridge: number;
  /** Effective degrees of freedom: the trace of X (XᵀX + λ)⁻¹ Xᵀ, between 0 and the number of features. */
  readonly degrees: number;
  /** Mean squared error over all rows and outputs. */
  readonly meanSquaredError: number;
}

/** A symmetric matrix G as Q T Qᵀ: T's diagonal and off-diagonal, and Q as reflections, one per column below the diagonal. */
interface Reduced {
  readonly diagonal: Float64Array;
  readonly beside: Float64Array;
  readonly reflections: readonly { readonly v: Float64Array; readonly beta: number }[];
}

/** y = G x for rows and columns from `first` on of a symmetric matrix, of which it reads the lower half. */
function symmetricProduct(g: Float64Array, n: number, first: number, x: Float64Array): Float64Array {
  const y = new Float64Array(n - first);
  for (let i = first; i < n; i++) {
    const xi = x[i - first] as number;
    let sum = (g[i * n + i] as number) * xi;
    for (let j = first; j < i; j++) {
      const e = g[i * n + j] as number;
      sum += e * (x[j - first] as number);
      y[j - first] = (y[j - first] as number) + e * xi;
    }
    y[i - first] = (y[i - first] as number) + sum;
  }
  return y;
}

const inner = (a: Float64Array, b: Float64Array): number => a.reduce((sum, e, i) => sum + e * (b[i] as number), 0);

/** The reflection I − β v vᵀ that zeroes all of x but its first entry. */
function reflection(x: Float64Array): { v: Float64Array; beta: number } {
  const v = Float64Array.from(x);
  const first = v[0] as number;
  const length = Math.sqrt(inner(v, v));
  v[0] = first + (first < 0 ? -length : length);
  const size = inner(v, v);
  return { v, beta: size === 0 ? 0 : 2 / size };
}

/** The tridiagonal form of a symmetric matrix; reads and overwrites its lower half. */
function reduce(g: Float64Array, n: number): Reduced {
  const reflections = [];
  for (let k = 0; k + 2 < n; k++) {
    const first = k + 1;
    const column = new Float64Array(n - first);
    for (let i = first; i < n; i++) column[i - first] = g[i * n + k] as number;
    const { v, beta } = reflection(column);
    reflections.push({ v, beta });
    const p = symmetricProduct(g, n, first, v).map((e) => beta * e);
    const half = (beta / 2) * inner(p, v);
    const w = p.map((e, i) => e - half * (v[i] as number));
    for (let i = 0; i < v.length; i++) {
      const [vi, wi] = [v[i] as number, w[i] as number];
      const row = (first + i) * n + first;
      for (let j = 0; j <= i; j++) g[row + j] = (g[row + j] as number) - vi * (w[j] as number) - wi * (v[j] as number);
    }
    g[first * n + k] = (column[0] as number) - beta * inner(v, column) * (v[0] as number);
  }
  const diagonal = Float64Array.from({ length: n }, (_, i) => g[i * n + i] as number);
  const beside = Float64Array.from({ length: Math.max(0, n - 1) }, (_, i) => g[(i + 1) * n + i] as number);
  return { diagonal, beside, reflections };
}

/** x ← (I − β v vᵀ) x, in the entries where v is not zero. */
function reflect(x: Float64Array, { v, beta }: Reduced["reflections"][number]): void {
  const part = x.subarray(x.length - v.length);
  const along = beta * inner(v, part);
  for (let i = 0; i < v.length; i++) part[i] = (part[i] as number) - along * (v[i] as number);
}

/** Pivots of T + λ, eliminating forwards or backwards. */
function pivots({ diagonal, beside }: Reduced, ridge: number, fromLast = false): Float64Array {
  const n = diagonal.length;
  const d = new Float64Array(n);
  for (let k = 0; k < n; k++) {
    const [i, before, link] = fromLast ? [n - 1 - k, n - k, n - 1 - k] : [k, k - 1, k - 1];
    const e = k === 0 ? 0 : (beside[link] as number);
    d[i] = (diagonal[i] as number) + ridge - (k === 0 ? 0 : (e * e) / (d[before] as number));
  }
  return d;
}

/** (T + λ)⁻¹ z, from the forward pivots. */
function tridiagonalSolve({ beside }: Reduced, d: Float64Array, z: Float64Array): Float64Array {
  const x = Float64Array.from(z);
  for (let i = 1; i < x.length; i++) x[i] = (x[i] as number) - ((beside[i - 1] as number) / (d[i - 1] as number)) * (x[i - 1] as number);
  for (let i = x.length - 1; i >= 0; i--) {
    const after = i + 1 < x.length ? (beside[i] as number) * (x[i + 1] as number) : 0;
    x[i] = ((x[i] as number) - after) / (d[i] as number);
  }
  return x;
}

/** Least share of free rows in cross-validation, which divides by its square: with less, rounding errors would dominate. */
const LEAST_FREEDOM = 1e-3;

/** A fit, in the coordinates of the tridiagonal form. */
interface Candidate {
  readonly ridge: number;
  readonly solutions: readonly Float64Array[];
  readonly degrees: number;
  /** Sum of all squared errors. */
  readonly residual: number;
}

/**
 * Ridge regression: the W that minimises ‖Y − X Wᵀ‖² + λ ‖W‖²,
 *
 *   Wᵀ = (XᵀX + λ)⁻¹ Xᵀ Y
 *
 * XᵀX and XᵀY are summed in float64 as rows come, so rows are not kept: memory is F² for F features. The sum is reduced to tridiagonal
 * form once, by reflections (2/3 F³ multiplications); then each λ costs O(F²), and its degrees of freedom O(F). So "gcv" is cheap. It takes
 * the λ that minimises (errors²/T) / (1 − degrees/T)² among 61 between the rounding error of XᵀX and its trace, and so keeps the error on new rows
 * from rising when there are as many features as rows.
 * Forming XᵀX squares the condition number: values below 1e-16 of its trace are noise, and so small a λ is refused where it makes a
 * difference.
 * @param features F, including a constant one for an offset
 * @throws ArgumentError for sizes below 1, numbers that are not finite, a λ below 0; ShapeError for rows of another length; StateError for a
 *   fit without rows, and for a λ that is too small for linearly dependent features
 * @see Hoerl and Kennard, "Ridge regression", 1970; Golub, Heath and Wahba, "Generalized cross-validation as a method for choosing a good
 * ridge parameter", 1979
 * @example
 * const regression = new RidgeRegression(2, 1);
 * regression.add(tensor([[1, 0], [1, 1], [1, 2]]), tensor([[1], [3], [5]]));
 * regression.solve(0).weight; // 1, 2
 */
export class RidgeRegression {
  readonly features: number;
  readonly outputs: number;
  /** Number of rows so far. */
  rows = 0;
  readonly #gram: Float64Array;
  readonly #moments: Float64Array[];
  /** Sum of the squared targets. */
  #power = 0;
  #reduced: { readonly form: Reduced; readonly z: readonly Float64Array[] } | null = null;

  constructor(features: number, outputs: number) {
    checkSizes("RidgeRegression", { features, outputs });
    this.features = features;
    this.outputs = outputs;
    this.#gram = new Float64Array(features * features);
    this.#moments = Array.from({ length: outputs }, () => new Float64Array(features));
  }

  /** Adds rows x [T,F] and their targets y [T,O], of any float dtype. */
  add(x: Tensor, y: Tensor): void {
    this.#check("x", x, this.features);
    this.#check("y", y, this.outputs);
    const T = x.dim(0);
    if (y.dim(0) !== T) throw new ShapeError(`add: expected as many rows of y as of x, ${T}, got ${y.dim(0)}`);
    if (T === 0) return;
    const [gram, moments, targets] = scope(() =>
      noGrad(() => {
        const [a, b] = [cast(x.detach(), "float64"), cast(y.detach(), "float64")];
        return [matmul(transpose(a), a).data(), matmul(transpose(b), a).data(), b.data()] as Float64Array[];
      }),
    ) as [Float64Array, Float64Array, Float64Array];
    if (!gram.every(Number.isFinite) || !moments.every(Number.isFinite)) {
      throw new ArgumentError("add: expected finite numbers in x and y, got one that is not");
    }
    for (let i = 0; i < gram.length; i++) this.#gram[i] = (this.#gram[i] as number) + (gram[i] as number);
    this.#moments.forEach((sums, o) => {
      for (let i = 0; i < this.features; i++) sums[i] = (sums[i] as number) + (moments[o * this.features + i] as number);
    });
    this.#power += inner(targets, targets);
    this.rows += T;
    this.#reduced = null;
  }

  #check(name: string, t: Tensor, columns: number): void {
    checkTensor("add", t);
    if (t.rank !== 2 || t.dim(1) !== columns) throw new ShapeError(`add: expected ${name} [T,${columns}], got ${show(t.shape)}`);
  }

  /** Computes the weights for a λ. You can try another λ or add more rows afterwards. */
  solve(ridge: Ridge = "gcv"): RidgeFit {
    if (ridge !== "gcv") checkNumber("solve", "ridge", ridge, { least: 0 });
    if (this.rows === 0) throw new StateError("solve: expected rows to fit, got none");
    const best = ridge === "gcv" ? this.#crossValidated() : this.#candidate(ridge);
    if (best === null) {
      throw new StateError(`solve: expected a ridge above the rounding error of features that depend on each other, got ${ridge}`);
    }
    const weight = new Float64Array(this.outputs * this.features);
    best.solutions.forEach((solution, o) => {
      const w = Float64Array.from(solution);
      for (const mirror of [...this.#form().form.reflections].reverse()) reflect(w, mirror);
      weight.set(w, o * this.features);
    });
    return {
      weight,
      ridge: best.ridge,
      degrees: best.degrees,
      meanSquaredError: best.residual / (this.rows * this.outputs),
    };
  }

  #form() {
    this.#reduced ??= this.#reduce();
    return this.#reduced;
  }

  #reduce() {
    const form = reduce(Float64Array.from(this.#gram), this.features);
    const z = this.#moments.map((moments) => {
      const turned = Float64Array.from(moments);
      for (const mirror of form.reflections) reflect(turned, mirror);
      return turned;
    });
    return { form, z };
  }

  get #trace(): number {
    let sum = 0;
    for (let i = 0; i < this.features; i++) sum += this.#gram[i * this.features + i] as number;
    return sum;
  }

  /** The fit for a λ; null if XᵀX + λ is not positive definite to working precision. */
  #candidate(ridge: number): Candidate | null {
    const { form, z } = this.#form();
    const [down, up] = [pivots(form, ridge), pivots(form, ridge, true)];
    const noise = Number.EPSILON * this.#trace;
    if (!down.every((d) => d > noise * 1e-3) || !up.every((d) => d > noise * 1e-3)) return null;
    // The diagonal of the inverse, from forward and backward pivots.
    const inverseTrace = down.reduce((sum, d, i) => sum + 1 / (d + (up[i] as number) - (form.diagonal[i] as number) - ridge), 0);
    const solutions = z.map((moments) => tridiagonalSolve(form, down, moments));
    const explained = solutions.reduce((sum, w, o) => sum + inner(w, z[o] as Float64Array) + ridge * inner(w, w), 0);
    const residual = Math.max(this.#power - explained, Number.EPSILON * this.#power);
    return { ridge, solutions, residual, degrees: Math.min(this.features, this.features - ridge * inverseTrace) };
  }

  #crossValidated(): Candidate | null {
    const trace = this.#trace;
    let best: Candidate | null = null;
    let least = Number.POSITIVE_INFINITY;
    let ridge = trace === 0 ? 1 : trace;
    for (let i = 0; i <= 60; i++, ridge /= 1.78) {
      const candidate = this.#candidate(ridge);
      if (candidate === null) break;
      const freedom = 1 - candidate.degrees / this.rows;
      if (!(freedom > LEAST_FREEDOM)) break;
      const score = candidate.residual / (freedom * freedom);
      if (score < least) [best, least] = [candidate, score];
    }
    return best;
  }
}
