/** Splits for training, validation and test: in order of time, so that training data never follow test data, or at random. */

import { checkFunction, checkList, checkMethods, checkOptions } from "../base/checks.ts";
import { ArgumentError } from "../base/errors.ts";
import { checkGenerator, defaultGenerator, type Generator } from "../tensor/random.ts";
import { scope } from "../tensor/tensor.ts";

/** Strings, arrays and typed arrays. */
export interface Sliceable<T> {
  readonly length: number;
  slice(start: number, end: number): T;
}

/** Data in three parts: to train on, to choose settings by, and to test with. */
export interface Split<T> {
  readonly train: T;
  readonly valid: T;
  readonly test: T;
}

export interface SplitOptions {
  /** Share of the validation part, in [0, 1) (default 0.1). */
  readonly valid?: number;
  /** Share of the test part (default 0.1). */
  readonly test?: number;
}

/**
 * The first part is for training, then validation, then test. The last two have ⌊n · share⌋ items, for the share as written.
 * @throws ArgumentError for shares outside [0, 1) or that leave nothing to train on
 * @example const { train, valid, test } = split(ids, { valid: 0.05, test: 0.05 });
 */
export function split<T extends Sliceable<T>>(sequence: T, options: SplitOptions = {}): Split<T> {
  checkOptions("split", options, ["valid", "test"]);
  checkMethods("split", "a sequence", typeof sequence === "string" ? [] : sequence, ["slice"]);
  return cut(sequence, checkShares("split", options));
}

/** Shares of validation and test. @throws ArgumentError */
function checkShares(op: string, { valid = 0.1, test = 0.1 }: SplitOptions): Required<SplitOptions> {
  if (valid >= 0 && test >= 0 && valid + test < 1) return { valid, test };
  throw new ArgumentError(`${op}: expected shares in [0, 1) that leave something to train on, got valid ${valid} and test ${test}`);
}

function cut<T extends Sliceable<T>>(sequence: T, { valid, test }: Required<SplitOptions>): Split<T> {
  const n = sequence.length;
  const testStart = n - wholePart(n * test);
  const validStart = testStart - wholePart(n * valid);
  return { train: sequence.slice(0, validStart), valid: sequence.slice(validStart, testStart), test: sequence.slice(testStart, n) };
}

export interface RandomSplitOptions<T> extends SplitOptions {
  /** Returns the class of an item; each class then has the same shares in all parts, as nearly as whole items allow. */
  readonly stratify?: ((item: T) => string | number | boolean) | undefined;
  /** Source of the order (default the default generator). */
  readonly generator?: Generator;
}

/**
 * Random parts for training, validation and test. For data in order of time use `splitSequence`.
 * @throws ArgumentError for shares outside [0, 1) or that leave nothing to train on
 * @example const { train, valid, test } = randomSplit(examples, { test: 0.2, stratify: (e) => e.ys, generator: new Generator(1) });
 */
export function randomSplit<T>(items: readonly T[], options: RandomSplitOptions<T> = {}): Split<T[]> {
  checkOptions("randomSplit", options, ["valid", "test", "stratify", "generator"]);
  checkList("randomSplit", "items", items);
  const { stratify, generator } = options;
  if (stratify !== undefined) checkFunction("randomSplit", "stratify", stratify);
  checkGenerator("randomSplit", generator);
  const shares = checkShares("randomSplit", options);
  const groups = stratify === undefined ? [items] : [...groupsOf(items, stratify).values()];
  const own = (generator ?? defaultGenerator()).split();
  const parts = groups.map((group) => cut(shuffled(group, own), shares));
  // Each part in random order, and not class by class.
  const joined = (name: keyof Split<T>) =>
    shuffled(
      parts.flatMap((part) => part[name]),
      own,
    );
  return { train: joined("train"), valid: joined("valid"), test: joined("test") };
}

function shuffled<T>(items: readonly T[], generator: Generator): T[] {
  const order = scope(() => generator.permutation(items.length).data());
  return Array.from(order, (i) => items[i] as T);
}

function groupsOf<T>(items: readonly T[], classOf: (item: T) => unknown): Map<unknown, T[]> {
  const groups = new Map<unknown, T[]>();
  for (const item of items) {
    const key = classOf(item);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [item]);
    else group.push(item);
  }
  return groups;
}

/** ⌊x⌋, tolerant of rounding: 100 · 0.29 is 28.999… but means 29. */
function wholePart(x: number): number {
  const near = Math.round(x);
  return Math.abs(x - near) <= 2 * Number.EPSILON * near ? near : Math.floor(x);
}
