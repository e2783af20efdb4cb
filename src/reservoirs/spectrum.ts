/** The spectral radius of a reservoir's weights, with its leak: how it is found and set. */

import { ShapeError } from "../base/errors.ts";
import { arnoldi, modulus } from "../numerics/arnoldi.ts";
import type { ComplexNumber } from "../numerics/eigenvalues.ts";
import { checkSparse, type SparseMatrix } from "../ops/sparse.ts";
import { show } from "../tensor/shape.ts";

/** Up to so many units all eigenvalues are found, beyond it the largest ones. */
const SMALL = 60;
/** Beyond so many the rim of a random spectrum is dense: Arnoldi's vectors settle slowly there, long after the modulus is known. */
const MANY = 2000;

/** Eigenvalues on the rim of a spectrum, and how well the one that counts is known. */
export interface Spectrum {
  readonly values: readonly ComplexNumber[];
  /** ‖Av − λv‖ of the largest, relative to it. */
  readonly residual: number;
  readonly converged: boolean;
}

/** x ↦ W x in double precision. */
function timesOf({ crowIndices, colIndices, values }: SparseMatrix): (x: Float64Array) => Float64Array {
  const [starts, columns, elements] = [crowIndices.data(), colIndices.data(), values.data()] as unknown as [
    Int32Array,
    Int32Array,
    Float64Array,
  ];
  return (x) => {
    const y = new Float64Array(starts.length - 1);
    for (let i = 0; i < y.length; i++) {
      let sum = 0;
      for (let p = starts[i] as number; p < (starts[i + 1] as number); p++)
        sum += (elements[p] as number) * (x[columns[p] as number] as number);
      y[i] = sum;
    }
    return y;
  };
}

/**
 * Eigenvalues λ of a sparse square matrix W, those first that make 1 − a + a·s·λ largest: all of up to 60 units, else by Arnoldi's method to
 * a residual of one part in a thousand, beyond 2,000 units one in a hundred (at 10,000 the modulus is then known to some 0.2 %). Without a leak (a = 1) they are the largest.
 * @example spectrum(toSparse(tensor([[0, -1], [1, 0]]))).values // ±i
 */
export function spectrum(matrix: SparseMatrix, leak = 1, scale = 1): Spectrum {
  checkSparse("spectrum", matrix);
  if (matrix.size[0] !== matrix.size[1]) throw new ShapeError(`spectrum: expected a square matrix, got ${show(matrix.size)}`);
  const times = timesOf(matrix);
  const effective = (x: Float64Array) => times(x).map((y, i) => (1 - leak) * (x[i] as number) + leak * scale * y);
  const n = matrix.size[0];
  const tolerance = n > MANY ? 1e-2 : 1e-3;
  const { values, residual, converged } = arnoldi(effective, n, { dimension: SMALL, tolerance, maxRestarts: 20 });
  const largest = modulus(values[0] as ComplexNumber);
  return {
    values: values.map(({ re, im }) => ({ re: (re - 1 + leak) / (leak * scale), im: im / (leak * scale) })),
    residual: largest === 0 ? 0 : residual / largest,
    converged,
  };
}

/** What a random matrix's spectral radius is about: the length of its elements over √n. */
export function expectedRadius({ values, size }: SparseMatrix): number {
  const squares = Array.from(values.data(), (v) => Number(v) * Number(v));
  return Math.sqrt(squares.reduce((sum, v) => sum + v, 0) / size[0]);
}

/** The largest |(1 − a) + a·s·λ|: of (1 − a) + a·s·W, what a leaky unit's state is multiplied by near zero. */
export function effectiveRadius(values: readonly ComplexNumber[], leak = 1, scale = 1): number {
  return Math.max(0, ...values.map(({ re, im }) => modulus({ re: 1 - leak + leak * scale * re, im: leak * scale * im })));
}

/**
 * The scale s of W at which the effective radius is `radius`, by halving: it rises with s from where it is least on.
 * null if there is none, as for W = 0 or a radius below what the leak leaves.
 */
export function scaleFor(values: readonly ComplexNumber[], leak: number, radius: number): number | null {
  const largest = effectiveRadius(values);
  if (largest === 0) return null;
  // Beyond this the largest eigenvalue alone is outside, whatever its direction.
  let [low, high] = [0, (radius + 1 - leak) / (leak * largest) + 1];
  if (leak < 1 && radius <= 1 - leak) return null;
  for (let i = 0; i < 100; i++) {
    const middle = (low + high) / 2;
    if (effectiveRadius(values, leak, middle) < radius) low = middle;
    else high = middle;
  }
  return high;
}
