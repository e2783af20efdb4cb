/** Seeds as they are given on the command line. */

import { UserError } from "../src/cli/errors.ts";

/** More than this in one run is a slip of the pen. */
const MOST = 10_000;

/** "100..119", "3", "100,101,107" or several of these: the seeds in rising order, each once. */
export function parseSeeds(text: string): number[] {
  const seeds = text.split(",").flatMap((part) => range(part.trim(), text));
  return [...new Set(seeds)].sort((a, b) => a - b);
}

function range(part: string, text: string): number[] {
  const [, from, to = from] = /^(\d{1,9})(?:\.\.(\d{1,9}))?$/.exec(part) ?? [];
  const [low, high] = [Number(from), Number(to)];
  if (from === undefined || high < low || high - low >= MOST)
    throw new UserError(`--seeds: expected seeds like 100..119 or 100,101,107, got "${text}"`);
  return Array.from({ length: high - low + 1 }, (_, i) => low + i);
}

/** [100, 101, 102, 107] as "100 to 102, 107". */
export function seedsText(seeds: readonly number[]): string {
  const runs: [first: number, last: number][] = [];
  for (const seed of seeds) {
    const run = runs.at(-1);
    if (run !== undefined && seed === run[1] + 1) run[1] = seed;
    else runs.push([seed, seed]);
  }
  return runs.map(([first, last]) => runText(first, last)).join(", ");
}

function runText(first: number, last: number): string {
  if (first === last) return String(first);
  return last === first + 1 ? `${first}, ${last}` : `${first} to ${last}`;
}
