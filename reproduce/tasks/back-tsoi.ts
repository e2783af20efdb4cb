/** The plant of Back and Tsoi: a low-pass filter of third order, and a sine of what comes out. */

import { type Tensor, tensor } from "../../src/tensor/tensor.ts";
import type { Dice } from "./dice.ts";

const FORWARD = [0.0154, 0.0462, 0.0462, 0.0154];
const BACK = [1.99, -1.572, 0.4583];

export interface Signals {
  /** u from U(±1) [T,B,1] */
  readonly xs: Tensor;
  /** sin(πs) [T,B,1] */
  readonly ys: Tensor;
}

/** Sequences that start from an empty filter. */
export function plant(dice: Dice, steps: number, batch: number): Signals {
  const u = Array.from({ length: steps * batch }, () => dice.uniform(-1, 1));
  const s: number[] = [];
  const tap = (values: readonly number[], coefficients: readonly number[], i: number, first: number): number =>
    coefficients.reduce((total, c, p) => total + c * (values[i - (p + first) * batch] ?? 0), 0);
  for (let i = 0; i < u.length; i++) s.push(tap(u, FORWARD, i, 0) + tap(s, BACK, i, 1));
  const pack = (values: readonly number[]): Tensor => tensor([...values], { shape: [steps, batch, 1], dtype: "float32" });
  return { xs: pack(u), ys: pack(s.map((value) => Math.sin(Math.PI * value))) };
}

/** 10 log₁₀ of the mean squared error over the variance. */
export function decibels(got: ArrayLike<number>, wanted: ArrayLike<number>): number {
  const values = Array.from(wanted);
  const mean = values.reduce((a, b) => a + b) / values.length;
  const variance = values.reduce((total, y) => total + (y - mean) ** 2, 0);
  const error = values.reduce((total, y, i) => total + (y - (got[i] as number)) ** 2, 0);
  return 10 * Math.log10(error / variance);
}
