/** Small dense matrices in double precision: systems of equations, orthonormal rows. */

import { checkList } from "../base/checks.ts";
import { ArgumentError, ShapeError } from "../base/errors.ts";

/** Rows of numbers. */
export type Matrix = readonly (readonly number[])[];

/** @throws DTypeError for anything but an array of arrays */
function checkMatrix(op: string, matrix: unknown): void {
  checkList(op, "the matrix", matrix);
  for (const row of matrix) checkList(op, "a row", row);
}

/** A copy of a square matrix of finite numbers. @throws DTypeError, ShapeError, ArgumentError @internal */
export function copySquare(op: string, matrix: Matrix): number[][] {
  checkMatrix(op, matrix);
  const n = matrix.length;
  if (matrix.some((row) => row.length !== n)) {
    throw new ShapeError(`${op}: expected a square matrix, got rows of ${matrix.map((row) => row.length).join(", ")}`);
  }
  if (!matrix.flat().every(Number.isFinite)) throw new ArgumentError(`${op}: expected finite numbers, got one that is not`);
  return matrix.map((row) => [...row]);
}

/** The element in a row and column. @internal */
export const at = (h: readonly number[][], i: number, j: number): number => (h[i] as number[])[j] as number;

/** Euclidean length. Every host rounds a square root alike, unlike Math.hypot. @internal */
export function norm(v: readonly number[]): number {
  return Math.sqrt(v.reduce((sum, value) => sum + value * value, 0));
}

/**
 * Solves A x = b by elimination with row exchanges; null if A is singular to working precision.
 * @example solve([[2, 0], [0, 4]], [2, 2]) // [1, 0.5]
 */
export function solve(matrix: Matrix, b: readonly number[]): number[] | null {
  checkMatrix("solve", matrix);
  checkList("solve", "b", b);
  const n = matrix.length;
  if (b.length !== n) throw new ShapeError(`solve: expected b of length ${n}, got ${b.length}`);
  const rows = copySquare("solve", matrix).map((row, i) => [...row, b[i] as number]);
  const size = Math.max(...rows.flat().map(Math.abs), 0);
  for (let k = 0; k < n; k++) {
    const pivot = rows.slice(k).reduce((best, row, i) => (Math.abs(row[k] as number) > Math.abs(at(rows, best, k)) ? k + i : best), k);
    [rows[k], rows[pivot]] = [rows[pivot] as number[], rows[k] as number[]];
    if (!(Math.abs(at(rows, k, k)) > n * Number.EPSILON * size)) return null;
    for (const row of rows.slice(k + 1)) {
      const factor = (row[k] as number) / at(rows, k, k);
      for (let j = k; j <= n; j++) row[j] = (row[j] as number) - factor * at(rows, k, j);
    }
  }
  const x = new Array<number>(n).fill(0);
  for (let k = n - 1; k >= 0; k--) {
    const known = x.reduce((sum, value, j) => sum + value * at(rows, k, j), 0);
    x[k] = (at(rows, k, n) - known) / at(rows, k, k);
  }
  return x;
}

/** Orthonormal rows by Gram and Schmidt, who subtract from each row its part along earlier rows, and the lengths that remained; zeros if nothing did. */
export function orthonormalRows(matrix: Matrix): { rows: number[][]; lengths: number[] } {
  checkMatrix("orthonormalRows", matrix);
  const rows: number[][] = [];
  const lengths = matrix.map((given) => {
    let v = [...given];
    for (const q of rows) {
      const along = v.reduce((sum, value, i) => sum + value * (q[i] as number), 0);
      v = v.map((value, i) => value - along * (q[i] as number));
    }
    const length = norm(v);
    // A row that depends on earlier ones leaves zeros, which affect no later row.
    rows.push(length === 0 ? v.map(() => 0) : v.map((value) => value / length));
    return length;
  });
  return { rows, lengths };
}
