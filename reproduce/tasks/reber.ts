/**
 * The Reber grammars: strings of seven symbols walked out of an automaton whose every branch is a fair coin.
 *
 * Reber, "Implicit learning of artificial grammars", 1967; embedded: Cleeremans, Servan-Schreiber and McClelland, "Finite state automata
 * and simple recurrent networks", 1989; continual: Gers, Schmidhuber and Cummins, "Learning to forget: continual prediction with LSTM", 2000.
 */

import type { FloatDType } from "../../src/base/dtype.ts";
import { argmax } from "../../src/ops/reduce.ts";
import type { Generator } from "../../src/tensor/random.ts";
import { type Tensor, tensor } from "../../src/tensor/tensor.ts";

export const REBER_SYMBOLS = "BTPSXVE";

/** Inner automaton: the symbols that leave each state, and where they lead; E ends it. */
const REBER: readonly Readonly<Record<string, number>>[] = [
  { T: 1, P: 2 },
  { S: 1, X: 3 },
  { T: 2, V: 4 },
  { X: 2, S: 5 },
  { P: 3, V: 5 },
  { E: -1 },
];

/** A symbol and those of which one comes next. */
export interface ReberStep {
  readonly symbol: string;
  readonly next: string;
}

/** Fair coins, drawn a thousand at a time. */
export function coins(generator: Generator): () => boolean {
  let drawn = new Float32Array(0);
  let used = 0;
  return () => {
    if (used === drawn.length) {
      drawn = Float32Array.from(generator.bernoulli([1024], 0.5).data());
      used = 0;
    }
    return drawn[used++] === 1;
  };
}

/** A Reber string B…E, step by step. What follows its E is `after`. */
export function* reber(coin: () => boolean, after = ""): IterableIterator<ReberStep> {
  let state = 0;
  let symbol = "B";
  while (state >= 0) {
    const branches = REBER[state] as Readonly<Record<string, number>>;
    const next = Object.keys(branches).join("");
    yield { symbol, next };
    symbol = next[next.length > 1 && coin() ? 1 : 0] as string;
    state = branches[symbol] as number;
  }
  yield { symbol, next: after };
}

/** B, c, a Reber string, c again, E, with c either T or P. What follows the last E is `after`. */
export function* embeddedReber(coin: () => boolean, after = ""): IterableIterator<ReberStep> {
  const c = coin() ? "P" : "T";
  yield { symbol: "B", next: "TP" };
  yield { symbol: c, next: "B" };
  yield* reber(coin, c);
  yield { symbol: c, next: "E" };
  yield { symbol: "E", next: after };
}

/** Embedded Reber strings one after another, without end and without a mark between them. */
export function* continualReber(coin: () => boolean): IterableIterator<ReberStep> {
  for (;;) yield* embeddedReber(coin, "B");
}

/** One-hot symbols [T,B,7] of strings of one length. */
export function oneHotSymbols(strings: readonly (readonly ReberStep[])[], dtype: FloatDType = "float32"): Tensor {
  const [T, B, K] = [strings[0]?.length ?? 0, strings.length, REBER_SYMBOLS.length];
  const values = new Float64Array(T * B * K);
  strings.forEach((steps, b) => {
    steps.forEach(({ symbol }, t) => {
      values[(t * B + b) * K + REBER_SYMBOLS.indexOf(symbol)] = 1;
    });
  });
  return tensor(values, { shape: [T, B, K], dtype });
}

/** Numbers of the symbols [T], int32. */
export function symbolIds(steps: readonly ReberStep[]): Tensor {
  return tensor(Int32Array.from(steps, ({ symbol }) => REBER_SYMBOLS.indexOf(symbol)));
}

/** Of predictions [T,7] for what follows each of T steps: whether the strongest is one that may come. */
export function legalPredictions(predictions: Tensor, steps: readonly ReberStep[]): boolean[] {
  const strongest = argmax(predictions, { axis: 1 }).data();
  return steps.map(({ next }, t) => next.includes(REBER_SYMBOLS[strongest[t] as number] as string));
}
