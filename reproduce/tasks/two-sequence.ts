/** The two-sequence problem of Bengio, Simard and Frasconi (1994): which of two patterns came first is asked after a long stretch of noise. */

import { type Tensor, tensor } from "../../src/tensor/tensor.ts";
import type { Dice } from "./dice.ts";

/** Steps of the patterns. */
const PATTERN = 3;

/** Two patterns of values from U(−1, 1). */
export function twoPatterns(dice: Dice): readonly number[][] {
  return [0, 1].map(() => Array.from({ length: PATTERN }, () => dice.uniform(-1, 1)));
}

/** Sequences [T,B,1]: one of the patterns, then noise from N(0, 0.2²); and the classes −1 and 1 [B,1]. */
export function twoSequence(patterns: readonly number[][], dice: Dice, T: number, B: number): [xs: Tensor, classes: Tensor] {
  const classes = Array.from({ length: B }, () => dice.below(2));
  const noise = dice.generator.normal([T, B], 0, 0.2).data();
  const xs = Float32Array.from(noise, (v, k) => {
    const [t, b] = [Math.floor(k / B), k % B];
    return patterns[classes[b] as number]?.[t] ?? v;
  });
  const targets = classes.map((c) => 2 * c - 1);
  return [tensor(xs, { shape: [T, B, 1] }), tensor(targets, { shape: [B, 1], dtype: "float32" })];
}
