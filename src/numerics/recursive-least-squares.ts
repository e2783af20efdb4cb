/** Linear regression, updated with every row, in double precision. */

import { checkNumber, checkSizes, optionsOf } from "../base/checks.ts";
import { ArgumentError, ShapeError } from "../base/errors.ts";

export interface RecursiveLeastSquaresOptions {
  /** Initial ridge λ: P starts as the unit matrix divided by it (default 1). */
  readonly ridge?: number;
  /** Factor by which each new row reduces the weight of earlier ones, in (0, 1] (default 1: all rows count equally). */
  readonly forgetting?: number;
}

/**
 * Recursive least squares: after every row, the W that minimises Σ φ^(T−t) ‖y_t − W x_t‖² + φ^T λ ‖W‖², with forgetting φ,
 *
 *   k = P x / (φ + xᵀ P x)      e = y − W x      W ← W + e kᵀ      P ← (P − k xᵀ P) / φ
 *
 * With φ = 1 this is ridge regression with the same λ, in any order of rows. O(F²) time per row for F features, O(F²) memory.
 * With φ < 1, P grows in directions that no row visits; `update` throws once it is no longer finite.
 * @throws ArgumentError for sizes below 1, options out of range, rows that are not finite; ShapeError for rows of another length
 * @see Plackett, "Some theorems in least squares", 1950; Haykin, "Adaptive filter theory", chapter on the RLS algorithm
 * @example
 * const rls = new RecursiveLeastSquares(2, 1, { ridge: 1e-6 });
 * for (const [x, y] of [[0, 1], [1, 3], [2, 5]]) rls.update([1, x], [y]);
 * rls.predict([1, 10]); // about 21
 */
export class RecursiveLeastSquares {
  readonly features: number;
  readonly outputs: number;
  readonly forgetting: number;
  /** W [outputs, features], in row-major order. */
  readonly weight: Float64Array;
  readonly #p: Float64Array;

  constructor(features: number, outputs: number, options: RecursiveLeastSquaresOptions = {}) {
    checkSizes("RecursiveLeastSquares", { features, outputs });
    const { ridge = 1, forgetting = 1 } = optionsOf("RecursiveLeastSquares", options, ["ridge", "forgetting"]);
    checkNumber("RecursiveLeastSquares", "ridge", ridge, { above: 0 });
    checkNumber("RecursiveLeastSquares", "forgetting", forgetting, { above: 0, most: 1 });
    this.features = features;
    this.outputs = outputs;
    this.forgetting = forgetting;
    this.weight = new Float64Array(outputs * features);
    this.#p = new Float64Array(features * features);
    for (let i = 0; i < features; i++) this.#p[i * features + i] = 1 / ridge;
  }

  /** The prediction W x. */
  predict(x: ArrayLike<number>): Float64Array {
    if (x.length !== this.features) throw new ShapeError(`predict: expected ${this.features} features, got ${x.length}`);
    return Float64Array.from({ length: this.outputs }, (_, o) => {
      let sum = 0;
      for (let i = 0; i < this.features; i++) sum += (this.weight[o * this.features + i] as number) * (x[i] as number);
      return sum;
    });
  }

  /** Learns a row. @returns y − W x from before the update */
  update(x: ArrayLike<number>, y: ArrayLike<number>): Float64Array {
    if (y.length !== this.outputs) throw new ShapeError(`update: expected ${this.outputs} targets, got ${y.length}`);
    const error = this.predict(x).map((prediction, o) => (y[o] as number) - prediction);
    const px = this.#timesP(x);
    let power = this.forgetting;
    for (let i = 0; i < this.features; i++) power += (x[i] as number) * (px[i] as number);
    if (!error.every(Number.isFinite) || !(power > 0 && power < Number.POSITIVE_INFINITY)) {
      throw new ArgumentError("update: expected a finite row and a finite P, got one that is not");
    }
    for (let o = 0; o < this.outputs; o++) this.#move(o, (error[o] as number) / power, px);
    this.#shrink(px, power);
    return error;
  }

  #timesP(x: ArrayLike<number>): Float64Array {
    const F = this.features;
    return Float64Array.from({ length: F }, (_, i) => {
      let sum = 0;
      for (let j = 0; j < F; j++) sum += (this.#p[i * F + j] as number) * (x[j] as number);
      return sum;
    });
  }

  #move(o: number, by: number, px: Float64Array): void {
    const row = this.weight.subarray(o * this.features, (o + 1) * this.features);
    for (let i = 0; i < row.length; i++) row[i] = (row[i] as number) + by * (px[i] as number);
  }

  /** P ← (P − P x xᵀ P / power) / φ. P stays symmetric to the bit, since both sides compute each product alike. */
  #shrink(px: Float64Array, power: number): void {
    const F = this.features;
    for (let i = 0; i < F; i++) {
      for (let j = 0; j < F; j++) {
        const at = i * F + j;
        this.#p[at] = ((this.#p[at] as number) - ((px[i] as number) * (px[j] as number)) / power) / this.forgetting;
      }
    }
  }
}
