/** Decides which states of a sequence to keep and which to recompute, to sweep its steps within a memory budget. */

/** β(c, r) = (c + r choose c): the number of units that can be swept with c states, including the first, if no unit runs forwards more than r times. */
function reach(c: number, r: number): number {
  if (r < 0) return 0;
  let n = 1;
  for (let i = 1; i <= c; i++) n = (n * (r + i)) / i;
  return Math.round(n);
}

/** The least r with β(c, r) ≥ n; c ≥ 1. */
function repetitions(n: number, c: number): number {
  let r = 0;
  while (reach(c, r) < n) r++;
  return r;
}

/**
 * Number of forward runs of units, apart from those of their own sweeps, to sweep n units with `kept` states besides the first:
 * r·n − β(c+1, r−1) for c = kept + 1.
 * @see Griewank, "Achieving logarithmic growth of temporal and spatial complexity in reverse automatic differentiation", 1992
 */
export function extraRuns(n: number, kept: number): number {
  const c = kept + 1;
  const r = repetitions(n, c);
  return r * n - reach(c + 1, r - 1);
}

/** How many of n ≥ 2 units to run forwards before keeping the next state, with kept ≥ 1 more to keep: one of the best choices. */
export function firstKept(n: number, kept: number): number {
  const c = kept + 1;
  const r = repetitions(n, c);
  return Math.min(n - 1, Math.max(1, n - reach(c - 1, r), reach(c, r - 2)));
}

/** A plan: the size of its units, and the number of states to keep. */
export interface Schedule {
  /** Steps per unit, which are on the tape at once. */
  readonly steps: number;
  /** States kept at once, besides the first and the current one. */
  readonly kept: number;
}

/**
 * The schedule with the fewest forward runs whose kept states and tape fit in a number of bytes; null if there is none.
 * @param T steps
 * @param stateBytes bytes of a kept state
 * @param tapeBytes bytes of the tape and the sweep of a unit with this many steps
 */
export function bestSchedule(T: number, budget: number, stateBytes: number, tapeBytes: (steps: number) => number): Schedule | null {
  let best: { readonly schedule: Schedule; readonly runs: number } | null = null;
  for (const steps of lengths(T)) {
    // Even if none is kept, there is a current one.
    const left = budget - tapeBytes(steps) - stateBytes;
    if (left < 0) continue;
    const units = Math.ceil(T / steps);
    const kept = Math.min(units - 1, stateBytes === 0 ? units - 1 : Math.floor(left / stateBytes));
    const runs = extraRuns(units, kept) * steps;
    if (best === null || runs < best.runs) best = { schedule: { steps, kept }, runs };
  }
  return best?.schedule ?? null;
}

/** Lengths of units to try: all short ones, then ever fewer. */
function lengths(T: number): number[] {
  const tried: number[] = [];
  for (let n = 1; n < T; n = Math.max(n + 1, Math.floor(n * 1.2))) tried.push(n);
  return [...tried, T];
}

/** Operations on a sequence of units, each starting from the state before it. */
export interface Units<S> {
  /** Runs units from … to − 1 forwards, without a tape. @returns the state after them */
  advance(state: S, from: number, to: number): S;
  /** Runs one unit on a tape and sweeps it. */
  sweep(state: S, unit: number): void;
  /** Releases a state that was kept. */
  drop(state: S): void;
}

/**
 * Sweeps units from … to − 1, the last first.
 * @param held states already kept, by the unit that follows them
 */
export function sweepUnits<S>(units: Units<S>, state: S, from: number, to: number, kept: number, held: Map<number, S>): void {
  if (to - from <= 1 || kept === 0) {
    sweepWithout(units, state, from, to);
    return;
  }
  const middle = from + firstKept(to - from, kept);
  const there = held.get(middle) ?? units.advance(state, from, middle);
  held.delete(middle);
  sweepUnits(units, there, middle, to, kept - 1, held);
  units.drop(there);
  sweepUnits(units, state, from, middle, kept, held);
}

/** The same if no state but the first can be kept. */
function sweepWithout<S>(units: Units<S>, state: S, from: number, to: number): void {
  for (let unit = to - 1; unit > from; unit--) {
    const before = units.advance(state, from, unit);
    units.sweep(before, unit);
    units.drop(before);
  }
  if (to > from) units.sweep(state, from);
}

/** The units before which the first pass keeps states, in order. */
export function firstPass(n: number, kept: number): number[] {
  const places: number[] = [];
  for (let from = 0, left = kept; left > 0 && n - from > 1; left--) {
    from += firstKept(n - from, left);
    places.push(from);
  }
  return places;
}
