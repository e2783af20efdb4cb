/** The languages aⁿbⁿ and aⁿbⁿcⁿ between S and T: which symbols may come next says how far a net has counted. */

import { greater } from "../../src/ops/compare.ts";
import { type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { oneHot } from "./one-hot.ts";

export interface CountingString {
  /** Unit vectors [T,1,K]: S, then letters. */
  readonly xs: Tensor;
  /** For each step 1 for every symbol that may follow, [T,1,K]. */
  readonly targets: Tensor;
}

/** Symbols S, `letters` letters, T. */
export const symbolCount = (letters: number): number => letters + 2;

/**
 * S a…a b…b (c…c) with n of each letter, and the masks of what may follow: after S an a; after an a one more or a b; then what is due, and T
 * at the end.
 * @see Gers and Schmidhuber, "LSTM recurrent networks learn simple context-free and context-sensitive languages", IEEE TNN 12(6), 2001
 */
export function countingString(letters: number, n: number): CountingString {
  const K = symbolCount(letters);
  const codes = [0, ...Array.from({ length: letters * n }, (_, k) => 1 + Math.floor(k / n))];
  const masks = codes.map((code, t) => {
    if (code === 0) return [1];
    if (code === 1) return [1, 2];
    return [t === codes.length - 1 ? K - 1 : (codes[t + 1] as number)];
  });
  const targets = masks.flatMap((mask) => Array.from({ length: K }, (_, k) => Number(mask.includes(k))));
  const shape = [codes.length, 1];
  return { xs: oneHot(codes, shape, K), targets: tensor(targets, { shape: [...shape, K], dtype: "float32" }) };
}

/** Whether logits [T,1,K] say of every symbol at every step rightly whether it may follow. */
export function accepts(logits: Tensor, { targets }: CountingString): boolean {
  const wanted = targets.data();
  return greater(logits, 0)
    .data()
    .every((said, k) => said === wanted[k]);
}
