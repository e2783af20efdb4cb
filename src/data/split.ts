/** Splits in order of time: what is learned from never follows what is predicted. */

import { checkMethods, checkOptions } from "../base/checks.ts";
import { ArgumentError } from "../base/errors.ts";

/** Strings, arrays and typed arrays. */
export interface Sliceable<T> {
  readonly length: number;
  slice(start: number, end: number): T;
}

export interface Split<T> {
  readonly train: T;
  readonly valid: T;
  readonly test: T;
}

export interface SplitOptions {
  /** Share of the whole, in [0, 1), of the part before the last. */
  readonly valid?: number;
  /** Share of the last part. */
  readonly test?: number;
}

/**
 * The first part for training, then validation, then test. The last two have ⌊n · share⌋ items, with the share as it is written.
 * @throws ArgumentError for shares outside [0, 1) or that leave nothing to train on
 * @example const { train, valid, test } = split(ids, { valid: 0.05, test: 0.05 });
 */
export function split<T extends Sliceable<T>>(sequence: T, options: SplitOptions = {}): Split<T> {
  checkOptions("split", options, ["valid", "test"]);
  checkMethods("split", "a sequence", typeof sequence === "string" ? [] : sequence, ["slice"]);
  const { valid = 0.1, test = 0.1 } = options;
  if (!(valid >= 0 && test >= 0 && valid + test < 1)) {
    throw new ArgumentError(`split: expected shares in [0, 1) that leave something to train on, got valid ${valid} and test ${test}`);
  }
  const n = sequence.length;
  const testStart = n - wholePart(n * test);
  const validStart = testStart - wholePart(n * valid);
  return { train: sequence.slice(0, validStart), valid: sequence.slice(validStart, testStart), test: sequence.slice(testStart, n) };
}

/** ⌊x⌋, but n for what is n up to rounding: 100 · 0.29 is 28.999…, and 29 was meant. */
function wholePart(x: number): number {
  const near = Math.round(x);
  return Math.abs(x - near) <= 2 * Number.EPSILON * near ? near : Math.floor(x);
}
