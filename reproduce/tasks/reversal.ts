/** Saying sequences of symbols again, from their ends. */

import type { Dice } from "./dice.ts";

/** Symbols 1 … 10; 0 is left for the end of a target. */
export const REVERSAL_SYMBOLS = 11;

export interface ReversalBatch {
  readonly sources: number[][];
  /** The sources from their ends. */
  readonly targets: number[][];
}

/** Sequences of 4 to 10 (or other) symbols, all lengths and symbols equally likely. */
export function reversalBatch(dice: Dice, batch: number, [shortest, longest]: readonly [number, number] = [4, 10]): ReversalBatch {
  const symbol = () => dice.between(1, REVERSAL_SYMBOLS - 1);
  const sources = Array.from({ length: batch }, () => Array.from({ length: dice.between(shortest, longest) }, symbol));
  return { sources, targets: sources.map((source) => [...source].reverse()) };
}
