/** Nearest neighbours, by distances of vectors and of sequences. */

/** The index of the nearest of `candidates` by `distance`, which gets the best so far and may stop beyond it. */
export function nearest<T>(query: T, candidates: readonly T[], distance: (a: T, b: T, limit: number) => number): number {
  let found = -1;
  let best = Number.POSITIVE_INFINITY;
  candidates.forEach((candidate, i) => {
    const d = distance(query, candidate, best);
    if (!(d < best)) return;
    best = d;
    found = i;
  });
  return found;
}

/** The sum of squared differences; stops beyond `limit`. */
export function squaredDistance(a: ArrayLike<number>, b: ArrayLike<number>, limit = Number.POSITIVE_INFINITY): number {
  let sum = 0;
  for (let i = 0; i < a.length && sum < limit; i++) sum += ((a[i] as number) - (b[i] as number)) ** 2;
  return sum;
}

type Steps = readonly ArrayLike<number>[];

/**
 * Dynamic time warping: the least sum of distances of steps along a path that moves forward in one sequence, the other or both, divided by
 * the sum of both lengths.
 * @see Sakoe and Chiba, "Dynamic programming algorithm optimization for spoken word recognition", 1978
 */
export function warpedDistance(a: Steps, b: Steps, limit = Number.POSITIVE_INFINITY): number {
  const most = limit * (a.length + b.length);
  let row = new Float64Array(b.length + 1).fill(Number.POSITIVE_INFINITY);
  row[0] = 0;
  for (const step of a) {
    const next = new Float64Array(b.length + 1).fill(Number.POSITIVE_INFINITY);
    let least = Number.POSITIVE_INFINITY;
    for (let j = 1; j <= b.length; j++) {
      const d = Math.sqrt(squaredDistance(step, b[j - 1] as ArrayLike<number>));
      // A step on both sides counts twice, so that detours do not pay.
      const cost = Math.min((row[j - 1] as number) + 2 * d, (row[j] as number) + d, (next[j - 1] as number) + d);
      next[j] = cost;
      least = Math.min(least, cost);
    }
    if (least >= most) return Number.POSITIVE_INFINITY;
    row = next;
  }
  return (row[b.length] as number) / (a.length + b.length);
}
