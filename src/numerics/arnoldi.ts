/** The largest eigenvalues of a large matrix that is known only by its products with vectors. */

import { checkFunction, checkNumber, checkWhole, optionsOf } from "../base/checks.ts";
import { ArgumentError, ShapeError } from "../base/errors.ts";
import { Generator } from "../tensor/random.ts";
import { scope } from "../tensor/tensor.ts";
import { type ComplexNumber, eigenvalues } from "./eigenvalues.ts";

export interface ArnoldiOptions {
  /** Dimension of the subspace (default 40, at most n). */
  readonly dimension?: number;
  /** Residual ‖Av − λv‖ of a unit vector, relative to |λ|, at which to stop (default 1e-6). */
  readonly tolerance?: number;
  /** Number of restarts after which to give up (default 100). */
  readonly maxRestarts?: number;
  /** Seed of the first vector (default 0). */
  readonly seed?: number;
}

/** The largest eigenvalues of a matrix, as Arnoldi's method finds them. */
export interface Arnoldi {
  /** Approximate eigenvalues by falling magnitude, the first being the most accurate; both of each conjugate pair. */
  readonly values: readonly ComplexNumber[];
  /** ‖Av − λv‖ of the largest eigenvalue, for its unit vector v. */
  readonly residual: number;
  readonly converged: boolean;
  /** Number of products with the matrix. */
  readonly products: number;
}

type Vector = Float64Array;

export const modulus = ({ re, im }: ComplexNumber): number => Math.sqrt(re * re + im * im);

function dot(a: Vector, b: Vector): number {
  let total = 0;
  for (let i = 0; i < a.length; i++) total += (a[i] as number) * (b[i] as number);
  return total;
}

/** y += c·x */
function add(y: Vector, c: number, x: Vector): void {
  for (let i = 0; i < y.length; i++) y[i] = (y[i] as number) + c * (x[i] as number);
}

function unit(v: Vector): Vector {
  const size = Math.sqrt(dot(v, v));
  return v.map((e) => e / size);
}

/** Orthonormal vectors V of the subspace, H = Vᵀ A V, and how far A V reaches outside it. */
interface Subspace {
  readonly basis: readonly Vector[];
  readonly h: readonly (readonly number[])[];
  readonly beyond: number;
}

/** The subspace of v, Av, A²v, …; smaller if it is invariant earlier. */
function subspace(times: (x: Vector) => Vector, start: Vector, dimension: number): Subspace {
  const basis = [unit(start)];
  const columns: number[][] = [];
  for (;;) {
    const w = Float64Array.from(times(basis[basis.length - 1] as Vector));
    const before = Math.sqrt(dot(w, w));
    const column = basis.map(() => 0);
    // Do it twice: once loses orthogonality if w lies almost in the subspace.
    for (let pass = 0; pass < 2; pass++) {
      basis.forEach((v, i) => {
        const along = dot(v, w);
        column[i] = (column[i] as number) + along;
        add(w, -along, v);
      });
    }
    columns.push(column);
    const left = Math.sqrt(dot(w, w));
    const closed = !(left > 1e-14 * before);
    if (closed || basis.length === dimension) {
      const h = basis.map((_, i) => columns.map((column) => column[i] ?? 0));
      return { basis, h, beyond: closed ? 0 : left };
    }
    column.push(left);
    basis.push(w.map((e) => e / left));
  }
}

/** An eigenvector of H: real and imaginary parts. */
interface ComplexVector {
  readonly re: number[];
  readonly im: number[];
}

/** The unit eigenvector of a matrix in Hessenberg form without zeros below its diagonal. Each row, from the last up, gives one entry. */
function hessenbergVector(h: Subspace["h"], { re: a, im: b }: ComplexNumber): ComplexVector {
  const m = h.length;
  const re = new Array<number>(m).fill(0);
  const im = new Array<number>(m).fill(0);
  re[m - 1] = 1;
  for (let i = m - 1; i > 0; i--) {
    const row = h[i] as readonly number[];
    // Row i of (H − λ) s = 0, solved for s[i − 1].
    let x = -a * (re[i] as number) + b * (im[i] as number);
    let y = -a * (im[i] as number) - b * (re[i] as number);
    for (let j = i; j < m; j++) {
      x += (row[j] as number) * (re[j] as number);
      y += (row[j] as number) * (im[j] as number);
    }
    re[i - 1] = -x / (row[i - 1] as number);
    im[i - 1] = -y / (row[i - 1] as number);
    // Rescale: entries may grow without bound on the way up, and only their ratios matter.
    const size = Math.abs(re[i - 1] as number) + Math.abs(im[i - 1] as number);
    if (size > 1e100) for (let j = i - 1; j < m; j++) [re[j], im[j]] = [(re[j] as number) / size, (im[j] as number) / size];
  }
  const size = Math.sqrt(re.reduce((sum, e) => sum + e * e, 0) + im.reduce((sum, e) => sum + e * e, 0));
  return { re: re.map((e) => e / size), im: im.map((e) => e / size) };
}

/** The start of the next subspace: the sum of the real parts of the leading vectors. */
function leading({ basis, h }: Subspace, values: readonly ComplexNumber[]): Vector {
  const start = new Float64Array((basis[0] as Vector).length);
  for (const value of values.filter(({ im }) => im >= 0).slice(0, 4)) {
    const { re } = hessenbergVector(h, value);
    basis.forEach((v, i) => {
      add(start, re[i] as number, v);
    });
  }
  return start;
}

/**
 * The eigenvalues of largest magnitude of a real matrix that is known only by its products, by Arnoldi's method: the eigenvalues of A within the
 * subspace of v, Av, …, A^{m−1}v, restarted from the leading vectors until the largest has converged. The result says whether it has.
 * Unlike a power iteration, it also converges for complex pairs. A restart costs m products, O(m²n) and O(m³).
 * @param times gives A·x, in an array that is not changed afterwards
 * @param n order of the matrix
 * @throws ArgumentError for options out of range, or products that are not finite; ShapeError for products of another length
 * @see Arnoldi, "The principle of minimized iterations in the solution of the matrix eigenvalue problem", 1951; Saad, "Variations on Arnoldi's
 * method for computing eigenelements of large unsymmetric matrices", 1980
 * @example arnoldi(([a, b]) => Float64Array.of(-b, a), 2).values // ±i
 */
export function arnoldi(times: (x: Float64Array) => Float64Array, n: number, options: ArnoldiOptions = {}): Arnoldi {
  const {
    dimension = 40,
    tolerance = 1e-6,
    maxRestarts = 100,
    seed = 0,
  } = optionsOf("arnoldi", options, ["dimension", "tolerance", "maxRestarts", "seed"]);
  checkFunction("arnoldi", "times", times);
  checkWhole("arnoldi", "n", n, { least: 1 });
  checkWhole("arnoldi", "dimension", dimension, { least: 2 });
  checkNumber("arnoldi", "tolerance", tolerance, { above: 0 });
  checkWhole("arnoldi", "maxRestarts", maxRestarts, { least: 1 });
  let products = 0;
  const counted = (x: Vector): Vector => {
    products++;
    const y = times(x);
    if (y.length !== n) throw new ShapeError(`arnoldi: expected products of length ${n}, got ${y.length}`);
    if (!y.every(Number.isFinite)) throw new ArgumentError("arnoldi: expected finite products, got one that is not");
    return y;
  };
  let start: Vector = scope(() => Float64Array.from(new Generator(seed).normal([n], 0, 1, "float64").data(), Number));
  for (let restart = 1; ; restart++) {
    const space = subspace(counted, start, Math.min(dimension, n));
    const values = eigenvalues(space.h).sort((a, b) => modulus(b) - modulus(a) || b.im - a.im);
    const largest = values[0] as ComplexNumber;
    const { re, im } = hessenbergVector(space.h, largest);
    const residual = space.beyond === 0 ? 0 : space.beyond * modulus({ re: re.at(-1) as number, im: im.at(-1) as number });
    const converged = residual <= tolerance * modulus(largest);
    if (converged || restart === maxRestarts) return { values, residual, converged, products };
    start = leading(space, values);
  }
}
