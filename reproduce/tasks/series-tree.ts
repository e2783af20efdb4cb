/** Trees of autoregressive series, as of a price index and its components. */

import type { Dice } from "./dice.ts";

export interface Series {
  readonly name: string;
  readonly parent?: string;
  /** The last value is of the same time in all series. */
  readonly values: readonly number[];
}

/** Steps before the first value that is kept. */
const WARM_UP = 50;
/** Correlation of a series' innovations with its parent's. */
const SHARED = 0.6;

interface Node {
  readonly series: Series;
  readonly coefficients: readonly [number, number];
  /** One a step, of unit variance, over the whole time. */
  readonly innovations: readonly number[];
}

/** y(t) = a y(t−1) + b y(t−2) + e(t), the last `length` values. */
function autoregression([a, b]: readonly [number, number], innovations: readonly number[], length: number): number[] {
  const values: number[] = [];
  for (const e of innovations) values.push(a * (values.at(-1) ?? 0) + b * (values.at(-2) ?? 0) + e);
  return values.slice(-length);
}

/**
 * A root with coefficients (0.6, 0.2), three children and nine grandchildren: coefficients are the parent's plus N(0, 0.05²), innovations
 * are correlated 0.6 with the parent's.
 * @param lengths of the root, its children, and their children
 */
export function seriesTree(dice: Dice, lengths: readonly [number, number, number]): Series[] {
  const steps = lengths[0] + WARM_UP;
  const nodes: Node[] = [];
  const grow = (name: string, level: number, parent?: Node): void => {
    const [a, b] = parent?.coefficients ?? [0.6, 0.2];
    const coefficients = parent ? ([a + 0.05 * dice.normal(), b + 0.05 * dice.normal()] as const) : ([a, b] as const);
    const own = Math.sqrt(1 - SHARED * SHARED);
    const innovations = Array.from({ length: steps }, (_, t) =>
      parent ? SHARED * (parent.innovations[t] as number) + own * dice.normal() : dice.normal(),
    );
    const values = autoregression(coefficients, innovations, lengths[level] as number);
    const node = { series: { name, values, ...(parent && { parent: parent.series.name }) }, coefficients, innovations };
    nodes.push(node);
    if (level < 2) for (let i = 1; i <= 3; i++) grow(level === 0 ? `${i}` : `${name}-${i}`, level + 1, node);
  };
  grow("all", 0);
  return nodes.map(({ series }) => series);
}
