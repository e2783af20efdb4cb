/** Lengths that a file leaves open: found by running a model twice, with inputs of two sizes. */

import { ArgumentError } from "../../base/errors.ts";

/** A whole number that may depend on open lengths: factor · Π lengths + offset. */
export interface Dimension {
  readonly factor: number;
  readonly lengths: readonly string[];
  readonly offset: number;
}

/** Open lengths by name, in each of the two runs. */
export type Sizes = ReadonlyMap<string, readonly [first: number, second: number]>;

/** Sizes for n open lengths: primes, so that products tell their factors, and larger than most sizes of a model. */
const PRIMES = [
  [11, 17],
  [13, 23],
  [19, 31],
  [29, 41],
  [37, 53],
] as const;

/** @throws ArgumentError for more open lengths than there are sizes for */
export function sizesFor(op: string, names: readonly string[]): Sizes {
  if (names.length > PRIMES.length) throw new ArgumentError(`${op}: expected at most ${PRIMES.length} open lengths, got ${names.length}`);
  return new Map(names.map((name, i) => [name, PRIMES[i] as readonly [number, number]]));
}

/** What is added to a length: a window more or less. More is taken for chance. */
const MOST_ADDED = 64;

export const isConstant = ({ lengths }: Dimension): boolean => lengths.length === 0;

/** The sets of names, the smallest first. */
function subsets(names: readonly string[]): string[][] {
  const all = Array.from({ length: 2 ** names.length - 1 }, (_, k) => names.filter((_, i) => ((k + 1) >> i) & 1));
  return all.sort((a, b) => a.length - b.length);
}

/** What a number was in the two runs, in terms of open lengths; null where it is none of these. The simplest answer counts. */
export function dimension(first: number, second: number, sizes: Sizes): Dimension | null {
  if (first === second) return { factor: 0, lengths: [], offset: first };
  const found = subsets([...sizes.keys()]).flatMap((lengths): Dimension[] => {
    const [a, b] = [0, 1].map((run) => lengths.reduce((product, name) => product * (sizes.get(name)?.[run] as number), 1)) as [
      number,
      number,
    ];
    const factor = (first - second) / (a - b);
    const offset = first - factor * a;
    return Number.isInteger(factor) && factor !== 0 && Math.abs(offset) <= MOST_ADDED ? [{ factor, lengths, offset }] : [];
  });
  return found.find(({ offset }) => offset === 0) ?? found[0] ?? null;
}
