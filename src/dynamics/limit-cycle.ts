/** Period and amplitude of an oscillation. */

import { checkArrayLike, checkOptions } from "../base/checks.ts";
import { ArgumentError } from "../base/errors.ts";

/** The period and the size of an oscillation. */
export interface Oscillation {
  /** Mean time between two upward crossings of the level; null with fewer than two of them. */
  readonly period: number | null;
  /** Half the difference of the greatest and the least value. */
  readonly amplitude: number;
}

export interface OscillationOptions {
  /** Time between two samples (default 1). */
  readonly interval?: number;
  /** The level to cross (default the middle between the least and the greatest value). */
  readonly level?: number;
}

/**
 * Period and amplitude of a sampled oscillation; crossings between samples are interpolated linearly. Leave out the transient.
 * @throws ArgumentError without samples
 * @example oscillation(samples.slice(5000), { interval: 0.01 }).period
 */
export function oscillation(samples: ArrayLike<number>, options: OscillationOptions = {}): Oscillation {
  checkOptions("oscillation", options, ["interval", "level"]);
  checkArrayLike("oscillation", "samples", samples);
  const values = Array.from(samples);
  if (values.length === 0) throw new ArgumentError("oscillation: expected at least one sample, got none");
  const [least, greatest] = values.reduce(([lo, hi], v) => [Math.min(lo, v), Math.max(hi, v)], [Infinity, -Infinity]);
  const level = options.level ?? (least + greatest) / 2;
  const crossings: number[] = [];
  for (let i = 1; i < values.length; i++) {
    const [before, after] = [(values[i - 1] as number) - level, (values[i] as number) - level];
    if (before < 0 && after >= 0) crossings.push(i - 1 + before / (before - after));
  }
  const [first, last] = [crossings[0], crossings.at(-1)];
  const period = crossings.length < 2 ? null : (((last as number) - (first as number)) / (crossings.length - 1)) * (options.interval ?? 1);
  return { period, amplitude: (greatest - least) / 2 };
}
