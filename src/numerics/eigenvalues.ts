/** Eigenvalues of small dense matrices in double precision, and eigenvectors of symmetric ones. */

import { ArgumentError, StateError } from "../base/errors.ts";
import { at, copySquare, type Matrix, norm } from "./matrix.ts";

/** A complex number. */
export type ComplexNumber = { readonly re: number; readonly im: number };

/** The vector v and β of the reflection I − β v vᵀ that turns x into a multiple of the first unit vector. */
function reflector(x: readonly number[]): [v: number[], beta: number] {
  const v = [...x];
  const first = x[0] as number;
  v[0] = first + (first < 0 ? -norm(x) : norm(x));
  const length = v.reduce((sum, value) => sum + value * value, 0);
  return [v, length === 0 ? 0 : 2 / length];
}

/** H ← P H P for the reflection P of rows and columns from `first` on, within rows and columns from…to. */
function reflect(h: number[][], [v, beta]: [number[], number], first: number, from: number, to: number): void {
  for (let j = from; j <= to; j++) {
    const s = beta * v.reduce((sum, value, i) => sum + value * ((h[first + i] as number[])[j] as number), 0);
    v.forEach((value, i) => {
      const row = h[first + i] as number[];
      row[j] = (row[j] as number) - s * value;
    });
  }
  for (let i = from; i <= to; i++) {
    const row = h[i] as number[];
    const s = beta * v.reduce((sum, value, j) => sum + value * (row[first + j] as number), 0);
    v.forEach((value, j) => {
      row[first + j] = (row[first + j] as number) - s * value;
    });
  }
}

/** A similar matrix with zeros below the first subdiagonal. */
function hessenberg(h: number[][]): void {
  const n = h.length;
  for (let k = 0; k + 2 < n; k++) {
    const below = h.slice(k + 1).map((row) => row[k] as number);
    reflect(h, reflector(below), k + 1, 0, n - 1);
    for (let i = k + 2; i < n; i++) (h[i] as number[])[k] = 0;
  }
}

/** The first row of the unreduced block that ends at row `end`. Sets a negligible subdiagonal element to zero. */
function blockStart(h: number[][], end: number): number {
  for (let i = end; i > 0; i--) {
    const neighbours = Math.abs(at(h, i - 1, i - 1)) + Math.abs(at(h, i, i)) || 1;
    if (Math.abs(at(h, i, i - 1)) <= Number.EPSILON * neighbours) {
      (h[i] as number[])[i - 1] = 0;
      return i;
    }
  }
  return 0;
}

/** One implicit double-shift step of Francis in rows and columns start…end, with shifts of this sum and product. */
function francis(h: number[][], start: number, end: number, sum: number, product: number): void {
  const [a, b, c] = [at(h, start, start), at(h, start, start + 1), at(h, start + 1, start)];
  let column = [a * a + b * c - sum * a + product, c * (a + at(h, start + 1, start + 1) - sum), c * at(h, start + 2, start + 1)];
  for (let k = start; k < end; k++) {
    reflect(h, reflector(column), k, start, end);
    if (k > start) for (let i = k + 1; i <= Math.min(k + 2, end); i++) (h[i] as number[])[k - 1] = 0;
    column = h.slice(k + 1, Math.min(k + 4, end + 1)).map((row) => row[k] as number);
  }
}

function pair(h: readonly number[][], i: number): ComplexNumber[] {
  const half = (at(h, i, i) + at(h, i + 1, i + 1)) / 2;
  const product = at(h, i, i) * at(h, i + 1, i + 1) - at(h, i, i + 1) * at(h, i + 1, i);
  const difference = (at(h, i, i) - at(h, i + 1, i + 1)) / 2;
  const discriminant = difference * difference + at(h, i, i + 1) * at(h, i + 1, i);
  if (discriminant < 0) {
    const im = Math.sqrt(-discriminant);
    return [
      { re: half, im },
      { re: half, im: -im },
    ];
  }
  // The larger root first, the other from the product: no cancellation.
  const large = half + (half < 0 ? -1 : 1) * Math.sqrt(discriminant);
  return [
    { re: large, im: 0 },
    { re: large === 0 ? 0 : product / large, im: 0 },
  ];
}

/**
 * The eigenvalues of a real square matrix, by falling real part (in conjugate pairs, the one above the axis first): reduction to
 * Hessenberg form by reflections, then the double-shift QR iteration.
 * @throws ShapeError for a matrix that is not square, ArgumentError for numbers that are not finite
 * @see Francis, "The QR transformation", Computer Journal 4, 1961; Golub and Van Loan, "Matrix computations", section 7.5
 * @example eigenvalues([[0, -1], [1, 0]]) // ±i
 */
export function eigenvalues(matrix: Matrix): ComplexNumber[] {
  const h = copySquare("eigenvalues", matrix);
  hessenberg(h);
  const found: ComplexNumber[] = [];
  let sweeps = 0;
  for (let end = h.length - 1; end >= 0; ) {
    const start = blockStart(h, end);
    if (end - start < 2) {
      found.push(...(start === end ? [{ re: at(h, end, end), im: 0 }] : pair(h, start)));
      end = start - 1;
      sweeps = 0;
      continue;
    }
    if (++sweeps > 100) throw new StateError("eigenvalues: expected the QR iteration to converge in 100 sweeps, got none");
    const [sum, product] = shifts(h, end, sweeps);
    francis(h, start, end, sum, product);
  }
  return found.sort((x, y) => y.re - x.re || y.im - x.im);
}

/** Sum and product of the eigenvalues of the last two rows; every tenth time, other shifts to break a cycle. */
function shifts(h: readonly number[][], end: number, sweeps: number): [sum: number, product: number] {
  if (sweeps % 10 === 0) {
    const size = Math.abs(at(h, end, end - 1)) + Math.abs(at(h, end - 1, end - 2));
    return [1.5 * size, size * size];
  }
  const [a, d] = [at(h, end - 1, end - 1), at(h, end, end)];
  return [a + d, a * d - at(h, end - 1, end) * at(h, end, end - 1)];
}

/** Eigenvalues of a symmetric matrix in falling order, and a unit eigenvector for each, as a row. */
export interface SymmetricEigen {
  readonly values: number[];
  readonly vectors: number[][];
}

/** √(a² + b²) without intermediate overflow; Math.hypot differs between hosts. */
function length2(a: number, b: number): number {
  const [large, small] = Math.abs(a) > Math.abs(b) ? [Math.abs(a), Math.abs(b)] : [Math.abs(b), Math.abs(a)];
  return large === 0 ? 0 : large * Math.sqrt(1 + (small / large) * (small / large));
}

/** Rows of an orthogonal matrix Q, and the tridiagonal Q A Qᵀ: its diagonal, and `beside[i]` next to it between i and i + 1. */
interface Tridiagonal {
  readonly diagonal: number[];
  readonly beside: number[];
  readonly rows: number[][];
}

/** The tridiagonal form of a symmetric matrix by reflections. */
function tridiagonal(a: number[][]): Tridiagonal {
  const n = a.length;
  const rows = a.map((_, i) => a.map((__, j) => (i === j ? 1 : 0)));
  for (let k = 0; k + 2 < n; k++) {
    const mirror = reflector(a.slice(k + 1).map((row) => row[k] as number));
    reflect(a, mirror, k + 1, 0, n - 1);
    reflectRows(rows, mirror, k + 1);
  }
  return { diagonal: a.map((row, i) => row[i] as number), beside: a.slice(1).map((row, i) => row[i] as number), rows };
}

/** Q ← P Q for the reflection P of rows from `first` on. */
function reflectRows(rows: number[][], [v, beta]: [number[], number], first: number): void {
  const n = rows.length;
  for (let j = 0; j < n; j++) {
    const s = beta * v.reduce((sum, value, i) => sum + value * at(rows, first + i, j), 0);
    v.forEach((value, i) => {
      const row = rows[first + i] as number[];
      row[j] = (row[j] as number) - s * value;
    });
  }
}

/** The first position from `from` on whose off-diagonal element is negligible, or the last position. */
function splitAfter({ diagonal, beside }: Tridiagonal, from: number): number {
  for (let m = from; m < beside.length; m++) {
    const neighbours = Math.abs(diagonal[m] as number) + Math.abs(diagonal[m + 1] as number);
    if (Math.abs(beside[m] as number) <= Number.EPSILON * neighbours) return m;
  }
  return beside.length;
}

/** One implicitly shifted QL step in positions first…last; the shift is the eigenvalue of the first two positions that is nearer to the first. */
function implicitShift({ diagonal: d, beside: e, rows }: Tridiagonal, first: number, last: number): void {
  const [d0, e0] = [d[first] as number, e[first] as number];
  const half = ((d[first + 1] as number) - d0) / (2 * e0);
  const root = length2(half, 1);
  let g = (d[last] as number) - d0 + e0 / (half + (half < 0 ? -root : root));
  let [sine, cosine, p] = [1, 1, 0];
  for (let i = last - 1; i >= first; i--) {
    const [f, b] = [sine * (e[i] as number), cosine * (e[i] as number)];
    const r = length2(f, g);
    if (i + 1 < e.length) e[i + 1] = r;
    if (r === 0) {
      // The matrix splits here: take back the shift.
      d[i + 1] = (d[i + 1] as number) - p;
      if (last < e.length) e[last] = 0;
      return;
    }
    [sine, cosine] = [f / r, g / r];
    const shifted = (d[i + 1] as number) - p;
    const turn = ((d[i] as number) - shifted) * sine + 2 * cosine * b;
    p = sine * turn;
    d[i + 1] = shifted + p;
    g = cosine * turn - b;
    rotate(rows[i] as number[], rows[i + 1] as number[], cosine, sine);
  }
  d[first] = (d[first] as number) - p;
  e[first] = g;
  if (last < e.length) e[last] = 0;
}

/** Rotates two rows. */
function rotate(a: number[], b: number[], cosine: number, sine: number): void {
  for (let k = 0; k < a.length; k++) {
    const [x, y] = [a[k] as number, b[k] as number];
    b[k] = sine * x + cosine * y;
    a[k] = cosine * x - sine * y;
  }
}

/**
 * Eigenvalues and eigenvectors of a real symmetric matrix, in falling order of eigenvalues: tridiagonal form by reflections, then the QL method with
 * implicit shifts. Uses only square roots and rational arithmetic, so the bits are the same on every host. O(n³).
 * @throws ShapeError for a matrix that is not square, ArgumentError for numbers that are not finite or a matrix that is not symmetric
 *   to the bit
 * @see Bowdler, Martin, Reinsch and Wilkinson, "The QR and QL algorithms for symmetric matrices", 1968
 * @example symmetricEigen([[2, 1], [1, 2]]).values // 3, 1
 */
export function symmetricEigen(matrix: Matrix): SymmetricEigen {
  const a = copySquare("symmetricEigen", matrix);
  if (a.some((row, i) => row.some((value, j) => value !== at(a, j, i)))) {
    throw new ArgumentError("symmetricEigen: expected a symmetric matrix, got one that is not");
  }
  const t = tridiagonal(a);
  for (let first = 0; first < a.length; first++) {
    let sweeps = 0;
    for (let last = splitAfter(t, first); last > first; last = splitAfter(t, first)) {
      if (++sweeps > 100) throw new StateError("symmetricEigen: expected the QL iteration to converge in 100 sweeps, got none");
      implicitShift(t, first, last);
    }
  }
  const order = t.diagonal.map((_, i) => i).sort((i, j) => (t.diagonal[j] as number) - (t.diagonal[i] as number));
  return { values: order.map((i) => t.diagonal[i] as number), vectors: order.map((i) => t.rows[i] as number[]) };
}
