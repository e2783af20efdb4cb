/** Reversing sequences of symbols. */

import type { Dice } from "./dice.ts";

/** Symbols 1 … 10; 0 ends a target. */
export const REVERSAL = { symbols: 11, shortest: 4, longest: 10 } as const;

export interface ReversalBatch {
  readonly sources: number[][];
  readonly targets: number[][];
}

/** Sequences of 4 to 10 symbols, all lengths and symbols equally likely, and the same from their ends. */
export function reversalBatch(dice: Dice, batch: number): ReversalBatch {
  const { symbols, shortest, longest } = REVERSAL;
  const sources = Array.from({ length: batch }, () => Array.from({ length: dice.between(shortest, longest) }, () => dice.between(1, symbols - 1)));
  return { sources, targets: sources.map((source) => source.toReversed()) };
}
