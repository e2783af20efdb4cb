/** Strings as tests of networks want them. */

import type { Generator } from "../../src/tensor/random.ts";
import { scope, type Tensor, tensor } from "../../src/tensor/tensor.ts";

/** Strings of one length to [T,B,K]. */
export function oneHot(words: readonly (readonly number[])[], K: number, dtype: "float32" | "float64"): Tensor {
  const [B, T] = [words.length, words[0]?.length ?? 0];
  const values = new Float64Array(T * B * K);
  words.forEach((word, b) => {
    for (const [t, a] of word.entries()) values[(t * B + b) * K + a] = 1;
  });
  return tensor(values, { shape: [T, B, K], dtype });
}

/** Random strings over {0, 1}. */
export function randomStrings(g: Generator, count: number, length: number): number[][] {
  const bits = scope(() => Array.from(g.uniform([count, length]).data(), (u) => Number(u < 0.5)));
  return Array.from({ length: count }, (_, i) => bits.slice(i * length, (i + 1) * length));
}
