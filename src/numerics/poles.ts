/** Finds the poles of recursive filters, checks whether they are inside a circle, and moves them there. */

import { checkList, checkNumber } from "../base/checks.ts";
import { ArgumentError } from "../base/errors.ts";
import { type ComplexNumber, eigenvalues } from "./eigenvalues.ts";

/** a_1 … a_Q of the filter y(t) = x(t) + Σ_q a_q y(t−q), whose poles are the roots of z^Q − Σ_q a_q z^(Q−q). */
export type FeedbackCoefficients = readonly number[];

function checkCoefficients(op: string, a: FeedbackCoefficients): void {
  checkList(op, "coefficients", a);
  for (const [q, value] of a.entries()) {
    if (!Number.isFinite(value)) throw new ArgumentError(`${op}: expected finite coefficients, got ${value} at position ${q}`);
  }
}

/**
 * The poles of a filter: the eigenvalues of its companion matrix.
 * @param a feedback that is added: y(t) = x(t) + Σ_q a_q y(t−q)
 * @throws ArgumentError for a coefficient that is not finite
 * @example poles([1, -0.5]) // 0.5 ± 0.5i
 */
export function poles(a: FeedbackCoefficients): ComplexNumber[] {
  checkCoefficients("poles", a);
  return eigenvalues(a.map((_, i) => (i === 0 ? [...a] : a.map((_, j) => (j === i - 1 ? 1 : 0)))));
}

/**
 * Whether all poles of a filter are inside a circle, by Jury's test in the form of Schur and Cohn: from the last coefficient down,
 *
 *   k = c_m,  c_q ← (c_q − k c_{m−q}) / (1 − k²),  every |k| < 1        for A(z) = 1 + Σ_q c_q z^−q
 *
 * O(Q²), without finding a root. Poles on the circle are not inside; for coefficients that are not finite the answer is false.
 * @see Jury, "Theory and application of the z-transform method", 1964; Schur, "Über Potenzreihen, die im Innern des Einheitskreises beschränkt sind", 1917
 * @throws ArgumentError unless the radius is above 0
 * @example polesInside([1.5, -0.9]) // true: |z|² = 0.9
 */
export function polesInside(a: FeedbackCoefficients, radius = 1): boolean {
  checkList("polesInside", "coefficients", a);
  checkNumber("polesInside", "radius", radius, { above: 0 });
  let [c, scale] = [[] as number[], 1];
  for (const value of a) {
    scale *= radius;
    c.push(-value / scale);
  }
  while (c.length > 0) {
    const k = c.pop() as number;
    if (!(Math.abs(k) < 1)) return false;
    const m = c.length;
    c = c.map((value, q) => (value - k * (c[m - 1 - q] as number)) / (1 - k * k));
  }
  return true;
}

/** Accuracy of a contraction. */
const HALVINGS = 40;

/**
 * Moves a filter's poles towards zero, all by the largest factor ρ that brings them inside a circle: a_q ρ^q has the poles ρ z.
 * Returns a filter whose poles are inside unchanged.
 * @throws ArgumentError unless the radius is above 0, and for a coefficient that is not finite
 * @example contracted([2]) // about [1]: the pole at 2 moves to the circle
 */
export function contracted(a: FeedbackCoefficients, radius = 1): number[] {
  checkCoefficients("contracted", a);
  if (polesInside(a, radius)) return [...a];
  const scaled = (rho: number): number[] => {
    let power = 1;
    return a.map((value) => {
      power *= rho;
      return value * power;
    });
  };
  let [inside, outside] = [0, 1];
  for (let i = 0; i < HALVINGS; i++) {
    const rho = (inside + outside) / 2;
    if (polesInside(scaled(rho), radius)) inside = rho;
    else outside = rho;
  }
  return scaled(inside);
}
