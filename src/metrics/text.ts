/** Metrics that compare sequences of symbols with references. */

import { checkFlag, checkList, checkNumber, checkOptions, checkWhole, optionsOf } from "../base/checks.ts";
import { ArgumentError, DTypeError, ShapeError } from "../base/errors.ts";
import { quote } from "../base/quote.ts";

/** A sequence of symbols: characters of a text, words, ids. */
export type Symbols = string | ArrayLike<string | number>;

function symbolsOf(op: string, name: string, value: Symbols): readonly (string | number)[] {
  if (typeof value === "string") return Array.from(value);
  if (typeof value === "object" && value !== null && typeof value.length === "number") return Array.from(value);
  throw new DTypeError(`${op}: expected ${name} as a text or a list of symbols, got ${quote(value)}`);
}

/**
 * The least number of symbols to insert, delete or replace to turn one sequence into another. Texts are compared by characters
 * (code points). O(|a|·|b|) time, O(|b|) memory.
 * @see Levenshtein, "Binary codes capable of correcting deletions, insertions, and reversals", 1966
 * @example editDistance("kitten", "sitting") // 3
 */
export function editDistance(a: Symbols, b: Symbols): number {
  const [x, y] = [symbolsOf("editDistance", "a", a), symbolsOf("editDistance", "b", b)];
  let row = Array.from({ length: y.length + 1 }, (_, j) => j);
  for (let i = 1; i <= x.length; i++) {
    const next = [i];
    for (let j = 1; j <= y.length; j++) {
      const replaced = (row[j - 1] as number) + (x[i - 1] === y[j - 1] ? 0 : 1);
      next.push(Math.min((row[j] as number) + 1, (next[j - 1] as number) + 1, replaced));
    }
    row = next;
  }
  return row[y.length] as number;
}

/** Edits of all texts, divided by the number of symbols of all references. */
function errorRate(op: string, hypotheses: readonly Symbols[], references: readonly Symbols[]): number {
  if (hypotheses.length !== references.length) {
    throw new ShapeError(`${op}: expected as many hypotheses as references, ${references.length}, got ${hypotheses.length}`);
  }
  const length = references.reduce((n, reference) => n + reference.length, 0);
  if (length === 0) throw new ArgumentError(`${op}: expected references with at least one symbol, got none`);
  return hypotheses.reduce((n, hypothesis, i) => n + editDistance(hypothesis, references[i] as Symbols), 0) / length;
}

function texts(op: string, name: string, value: string | readonly string[]): readonly string[] {
  const list = typeof value === "string" ? [value] : value;
  checkList(op, name, list);
  const wrong = list.findIndex((text) => typeof text !== "string");
  if (wrong < 0) return list;
  throw new DTypeError(`${op}: expected ${name} as text or a list of texts, got ${quote(list[wrong])} at position ${wrong}`);
}

const wordsOf = (text: string): string[] => text.split(/\s+/u).filter((word) => word !== "");

/**
 * Word error rate: edits divided by the words of the references, over all texts; above 1 if texts are far too long.
 * @example wordErrorRate("the cat sat", "the cat sat down") // 0.25
 */
export function wordErrorRate(hypotheses: string | readonly string[], references: string | readonly string[]): number {
  const op = "wordErrorRate";
  return errorRate(op, texts(op, "hypotheses", hypotheses).map(wordsOf), texts(op, "references", references).map(wordsOf));
}

/**
 * Character error rate: edits divided by the characters (code points) of the references, over all texts.
 * @example characterErrorRate("helo", "hello") // 0.2
 */
export function characterErrorRate(hypotheses: string | readonly string[], references: string | readonly string[]): number {
  const op = "characterErrorRate";
  const [own, goal] = [texts(op, "hypotheses", hypotheses), texts(op, "references", references)];
  return errorRate(
    op,
    own.map((text) => Array.from(text)),
    goal.map((text) => Array.from(text)),
  );
}

export interface BleuOptions {
  /** Longest n-grams (default 4). */
  readonly maxOrder?: number;
  /** Whether to add one to the matches and counts of n-grams of two and more (Lin and Och, 2004), so short texts do not all score 0 (default false). */
  readonly smooth?: boolean;
}

/** Counts of each n-gram. */
function ngrams(words: readonly (string | number)[], n: number): Map<string, number> {
  const counts = new Map<string, number>();
  for (let i = 0; i + n <= words.length; i++) {
    const key = JSON.stringify(words.slice(i, i + n));
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return counts;
}

/** Number of n-grams of a hypothesis that occur in a reference, each at most as often as in the reference with most of it. */
function matches(hypothesis: ReadonlyMap<string, number>, references: readonly ReadonlyMap<string, number>[]): number {
  let found = 0;
  for (const [key, count] of hypothesis) found += Math.min(count, Math.max(...references.map((r) => r.get(key) ?? 0)));
  return found;
}

/** The reference length nearest to that of a hypothesis; the shorter of two equally near. */
function nearest(length: number, references: readonly number[]): number {
  return references.reduce((a, b) => {
    const [da, db] = [Math.abs(a - length), Math.abs(b - length)];
    return db < da || (db === da && b < a) ? b : a;
  });
}

/**
 * BLEU of a corpus: the geometric mean of the clipped precisions of n-grams up to 4, times a brevity penalty; from 0 to 1.
 * @param hypotheses lists of words (or ids) of each sentence
 * @param references one or more lists of words for each sentence
 * @throws ShapeError for another number of references, ArgumentError for a sentence without references
 * @see Papineni, Roukos, Ward and Zhu, "BLEU: a method for automatic evaluation of machine translation", 2002, section 2.3
 * @example bleu([["the", "cat", "sat", "down"]], [[["the", "cat", "sat", "down"]]]) // 1
 */
export function bleu(hypotheses: readonly Symbols[], references: readonly (readonly Symbols[])[], options: BleuOptions = {}): number {
  const op = "bleu";
  checkOptions(op, options, ["maxOrder", "smooth"]);
  const { maxOrder = 4, smooth = false } = options;
  checkWhole(op, "maxOrder", maxOrder, { least: 1 });
  checkFlag(op, "smooth", smooth);
  checkList(op, "hypotheses", hypotheses);
  checkList(op, "references", references);
  if (hypotheses.length !== references.length) {
    throw new ShapeError(`${op}: expected as many lists of references as hypotheses, ${hypotheses.length}, got ${references.length}`);
  }
  const sentences = hypotheses.map((hypothesis, i) => {
    const own = references[i];
    checkList(op, `references ${i}`, own);
    if (own.length === 0) throw new ArgumentError(`${op}: expected at least one reference of each sentence, got none at position ${i}`);
    const goals = own.map((reference) => symbolsOf(op, `references ${i}`, reference as Symbols));
    return { words: symbolsOf(op, `hypothesis ${i}`, hypothesis as Symbols), goals };
  });
  const total = (count: (sentence: (typeof sentences)[number]) => number) => sentences.reduce((sum, s) => sum + count(s), 0);
  const length = total(({ words }) => words.length);
  if (length === 0) return 0;
  const wanted = total(({ words, goals }) =>
    nearest(
      words.length,
      goals.map((goal) => goal.length),
    ),
  );
  let logs = 0;
  for (let n = 1; n <= maxOrder; n++) {
    const extra = smooth && n > 1 ? 1 : 0;
    const found =
      extra +
      total(({ words, goals }) =>
        matches(
          ngrams(words, n),
          goals.map((goal) => ngrams(goal, n)),
        ),
      );
    const all = extra + total(({ words }) => Math.max(0, words.length - n + 1));
    if (found === 0) return 0;
    logs += Math.log(found / all) / maxOrder;
  }
  return Math.min(1, Math.exp(1 - wanted / length)) * Math.exp(logs);
}

export interface ChrfOptions {
  /** Longest n-grams (default 6). */
  readonly maxOrder?: number;
  /** How many times recall counts as much as precision (default 2). */
  readonly beta?: number;
}

/** Numbers of n-grams of a hypothesis, of a reference, and of both, by order. */
type Overlap = readonly { readonly own: number; readonly goal: number; readonly both: number }[];

function overlapOf(hypothesis: string, reference: string, maxOrder: number): Overlap {
  const [own, goal] = [hypothesis, reference].map((text) => Array.from(text.replace(/\s+/gu, ""))) as [string[], string[]];
  return Array.from({ length: maxOrder }, (_, i) => ({
    own: Math.max(0, own.length - i),
    goal: Math.max(0, goal.length - i),
    both: matches(ngrams(own, i + 1), [ngrams(goal, i + 1)]),
  }));
}

/** F of the mean precision and the mean recall over the orders that both texts have. */
function chrfOf(overlap: Overlap, beta: number): number {
  const orders = overlap.filter(({ own, goal }) => own > 0 && goal > 0);
  if (orders.length === 0) return 0;
  const precision = orders.reduce((sum, { own, both }) => sum + both / own, 0) / orders.length;
  const recall = orders.reduce((sum, { goal, both }) => sum + both / goal, 0) / orders.length;
  const weight = beta * beta;
  return precision + recall === 0 ? 0 : ((1 + weight) * precision * recall) / (weight * precision + recall);
}

/**
 * chrF of a corpus: F of the precision and recall of n-grams of characters up to 6, without white space; from 0 to 1. Where a text has
 * several references, the best one counts. It suits short texts and languages with many word forms better than `bleu`.
 * @param hypotheses texts
 * @param references one or more texts for each hypothesis
 * @throws ShapeError for another number of references, ArgumentError for a text without references
 * @see Popović, "chrF: character n-gram F-score for automatic MT evaluation", 2015
 * @example chrF(["le chat dort"], [["le chat dort", "le chat est endormi"]]) // 1
 */
export function chrF(hypotheses: readonly string[], references: readonly (readonly string[])[], options: ChrfOptions = {}): number {
  const op = "chrF";
  const { maxOrder = 6, beta = 2 } = optionsOf(op, options, ["maxOrder", "beta"]);
  checkWhole(op, "maxOrder", maxOrder, { least: 1 });
  checkNumber(op, "beta", beta, { above: 0 });
  const own = texts(op, "hypotheses", hypotheses);
  checkList(op, "references", references);
  if (own.length !== references.length) {
    throw new ShapeError(`${op}: expected as many lists of references as hypotheses, ${own.length}, got ${references.length}`);
  }
  const overlaps = own.map((hypothesis, i) => {
    const goals = texts(op, `references ${i}`, references[i] as readonly string[]);
    if (goals.length === 0) throw new ArgumentError(`${op}: expected at least one reference of each text, got none at position ${i}`);
    const all = goals.map((goal) => overlapOf(hypothesis, goal, maxOrder));
    return all.reduce((best, one) => (chrfOf(one, beta) > chrfOf(best, beta) ? one : best));
  });
  const total = Array.from({ length: maxOrder }, (_, i) => {
    const sum = (part: "own" | "goal" | "both") => overlaps.reduce((n, overlap) => n + (overlap[i]?.[part] ?? 0), 0);
    return { own: sum("own"), goal: sum("goal"), both: sum("both") };
  });
  return chrfOf(total, beta);
}
