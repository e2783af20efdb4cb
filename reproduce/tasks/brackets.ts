/** Context-free languages as strings with labels: balanced brackets; aⁿbⁿ one after the other. */

import type { Dice } from "./dice.ts";

/** 0 opens, 1 closes. */
export type Brackets = readonly number[];

/** Whether every bracket that closes has one that it closes, and none stays open. */
export function isBalanced(word: Brackets): boolean {
  let depth = 0;
  for (const symbol of word) {
    depth += symbol === 0 ? 1 : -1;
    if (depth < 0) return false;
  }
  return depth === 0;
}

/** All strings of `from` to `to` brackets. */
export function allBrackets(from: number, to: number): number[][] {
  const words: number[][] = [[]];
  for (const word of words) if (word.length < to) words.push([...word, 0], [...word, 1]);
  return words.filter((word) => word.length >= from);
}

/** A balanced string: a random path that ends where it began, closing with even odds where it may. */
export function balancedWord(dice: Dice, length: number): number[] {
  let depth = 0;
  return Array.from({ length }, (_, t) => {
    const left = length - t;
    const symbol = depth === 0 ? 0 : depth >= left || dice.chance(0.5) ? 1 : 0;
    depth += symbol === 0 ? 1 : -1;
    return symbol;
  });
}

/** A balanced string spoilt: one bracket turned round, or two of different kinds exchanged so that counts stay equal. */
export function spoiltWord(dice: Dice, length: number): number[] {
  for (;;) {
    const word = balancedWord(dice, length);
    const at = dice.below(length);
    if (dice.chance(0.5)) word[at] = 1 - (word[at] as number);
    else {
      const other = dice.below(length);
      [word[at], word[other]] = [word[other] as number, word[at] as number];
    }
    if (!isBalanced(word)) return word;
  }
}

/** The text aⁿ¹bⁿ¹aⁿ²bⁿ² …, 0 for a and 1 for b, and which of its symbols are no matter of chance: the second b and so on, and the a after the last. */
export function countedText(counts: readonly number[]): { symbols: number[]; certain: boolean[] } {
  const symbols = counts.flatMap((n) => [...new Array<number>(n).fill(0), ...new Array<number>(n).fill(1)]);
  const certain = counts.flatMap((n, k) => Array.from({ length: 2 * n }, (_, t) => (t === 0 ? k > 0 : t > n)));
  return { symbols, certain };
}
