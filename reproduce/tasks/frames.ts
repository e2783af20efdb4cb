/** Strings of letters as frames: how long each letter lasts, and what lies between, is not told. */

import type { Generator } from "../../src/tensor/random.ts";
import { type Tensor, tensor } from "../../src/tensor/tensor.ts";

/** Letters 1 … 5; class 0 is the blank. */
export const LETTERS = 5;
/** Features of a frame. */
export const FEATURES = 8;
const NOISE = 0.3;

/** What each letter looks like, [LETTERS][FEATURES]: entries of ±0.4 that are the same for every seed. */
const PROTOTYPES: readonly (readonly number[])[] = [
  [1, 1, 1, 1, -1, -1, -1, -1],
  [1, -1, 1, -1, 1, -1, 1, -1],
  [1, 1, -1, -1, 1, 1, -1, -1],
  [-1, 1, 1, -1, -1, 1, 1, -1],
  [-1, -1, 1, 1, 1, 1, -1, -1],
].map((row) => row.map((v) => 0.4 * v));

export interface FrameBatch {
  /** [T,B,FEATURES], noise beyond each sequence's end. */
  readonly xs: Tensor;
  /** Frames of each sequence. */
  readonly lengths: readonly number[];
  /** The letters of each. */
  readonly labels: readonly (readonly number[])[];
}

/**
 * Strings of 3 to 8 letters; each letter is its prototype for 3 to 7 frames, before each and after the last there are 0 to 4 frames of
 * nothing; everything under noise of standard deviation 0.3.
 */
export function frameBatch(random: Generator, batch: number): FrameBatch {
  const whole = (low: number, high: number): number => random.integers([1], low, high + 1).item();
  const many = (count: number, low: number, high: number): number[] => Array.from(random.integers([count], low, high + 1).data(), Number);
  const labels = Array.from({ length: batch }, () => many(whole(3, 8), 1, LETTERS));
  const frames = labels.map((letters) => {
    const lasts = many(letters.length, 3, 7);
    const gaps = many(letters.length + 1, 0, 4);
    const said = letters.flatMap((letter, i) => [...new Array(gaps[i]).fill(0), ...new Array(lasts[i]).fill(letter)]);
    return [...said, ...new Array(gaps[letters.length]).fill(0)] as number[];
  });
  const lengths = frames.map((f) => f.length);
  const T = Math.max(...lengths);
  const values = random.normal([T, batch, FEATURES], 0, NOISE).data();
  frames.forEach((list, b) => {
    list.forEach((letter, t) => {
      PROTOTYPES[letter - 1]?.forEach((v, k) => {
        const at = (t * batch + b) * FEATURES + k;
        values[at] = (values[at] as number) + v;
      });
    });
  });
  return { xs: tensor(values, { shape: [T, batch, FEATURES], dtype: "float32" }), lengths, labels };
}

/** Insertions, deletions and exchanges that make one string of another. */
export function editDistance(a: readonly number[], b: readonly number[]): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  a.forEach((x, i) => {
    const next = [i + 1];
    for (const [j, y] of b.entries())
      next.push(Math.min((row[j] as number) + (x === y ? 0 : 1), (row[j + 1] as number) + 1, (next[j] as number) + 1));
    row = next;
  });
  return row[b.length] as number;
}
