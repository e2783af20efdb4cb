/** Finds which elements of the state each parameter reaches, in one step and in several. */

import { type FloatDType, isFloat } from "../base/dtype.ts";
import { add } from "../ops/arithmetic.ts";
import { detachState, mapState, type State } from "../recurrence/state.ts";
import { Generator } from "../tensor/random.ts";
import { scope, type Tensor, tensor } from "../tensor/tensor.ts";
import type { Setting } from "./influence.ts";
import { stateJacobian } from "./step-derivatives.ts";
import { Stretch } from "./stretch.ts";

/** The elements of the state that each parameter reaches, in rising order: `rows` from starts[p] to starts[p + 1]. */
export interface Pattern {
  readonly starts: Int32Array;
  readonly rows: Int32Array;
}

/** Number of steps to try. */
const TRIES = 24;

/** Findings so far. */
interface Places {
  /** ∂next/∂state ≠ 0 [S·S]. */
  readonly states: Uint8Array;
  /** ∂next/∂θ ≠ 0: rows by parameter. */
  readonly direct: readonly Set<number>[];
  tries: number;
}

const known = new WeakMap<object, Reach>();

/**
 * The places where derivatives of one step may be non-zero.
 *
 * We find them by trying, with random inputs and the present weights. If a later step shows more (weights that were
 * zero at first), the search continues before the next sequence.
 */
export class Reach {
  readonly #S: number;
  readonly #P: number;
  readonly #parameters: readonly Tensor[];
  readonly #dtype: FloatDType;
  readonly #places: Places;
  /** ∂next/∂θ ≠ 0, by parameter. */
  readonly direct: Pattern;
  /** Groups of rows of which no parameter reaches two: one sweep finds all derivatives of a group. */
  readonly #groups: readonly Int32Array[];
  readonly #patterns = new Map<number, Pattern>();
  #stale = false;

  private constructor({ S, P, parameters, dtype }: Setting, places: Places) {
    this.#S = S;
    this.#P = P;
    this.#parameters = parameters;
    this.#dtype = dtype;
    this.#places = places;
    this.direct = patternOf(places.direct.map((set) => [...set]));
    this.#groups = groupsOf(S, this.direct);
  }

  /** The reach of the trained parameters of a recurrence. */
  static of(setting: Setting): Reach {
    const { recurrence, parameters, S, P } = setting;
    const before = known.get(recurrence);
    const fits = before !== undefined && before.#S === S && sameList(before.#parameters, parameters);
    if (fits && !before.#stale) return before;
    const places = fits
      ? before.#places
      : { states: new Uint8Array(S * S), direct: Array.from({ length: P }, () => new Set<number>()), tries: 0 };
    search(setting, places);
    const reach = new Reach(setting, places);
    known.set(recurrence, reach);
    return reach;
  }

  /** The elements that parameters reach within k steps. */
  within(k: number): Pattern {
    const cached = this.#patterns.get(k);
    if (cached !== undefined) return cached;
    const pattern = k === 1 ? this.direct : this.#further(this.within(k - 1));
    this.#patterns.set(k, pattern);
    return pattern;
  }

  #further({ starts, rows }: Pattern): Pattern {
    const lists = Array.from({ length: this.#P }, (_, p) => {
      const reached = new Set(rows.subarray(starts[p], starts[p + 1]));
      for (const from of [...reached]) for (let to = 0; to < this.#S; to++) if (this.#places.states[to * this.#S + from]) reached.add(to);
      return [...reached];
    });
    const further = patternOf(lists);
    // The pattern no longer grows.
    return further.rows.length === rows.length ? { starts, rows } : further;
  }

  /** ∂next/∂θ of a step, at the places of `direct`. */
  derivatives(step: Stretch<State>): Float64Array {
    const { starts, rows } = this.direct;
    const out = new Float64Array(rows.length);
    for (const members of this.#groups) {
      const seed = new Float64Array(this.#S);
      for (const k of members) seed[k] = 1;
      const isMember = new Uint8Array(this.#S);
      for (const k of members) isMember[k] = 1;
      const { parameters } = step.pull(null, tensor(seed, { dtype: this.#dtype }));
      const pulled = parameters.data();
      for (let p = 0; p < this.#P; p++) {
        for (let a = starts[p] as number; a < (starts[p + 1] as number); a++) {
          if (isMember[rows[a] as number]) out[a] = pulled[p] as number;
        }
      }
    }
    return out;
  }

  /** Receives ∂next/∂state of a step, which may show more places. */
  note(J: ArrayLike<number>): void {
    const { states } = this.#places;
    for (let i = 0; i < J.length; i++) {
      if (states[i] || J[i] === 0 || Number.isNaN(J[i])) continue;
      states[i] = 1;
      this.#stale = true;
    }
  }
}

const sameList = (a: readonly Tensor[], b: readonly Tensor[]): boolean => a.length === b.length && a.every((t, i) => t === b[i]);

function patternOf(lists: readonly (readonly number[])[]): Pattern {
  const starts = new Int32Array(lists.length + 1);
  lists.forEach((list, p) => {
    starts[p + 1] = (starts[p] as number) + list.length;
  });
  const rows = new Int32Array(starts[lists.length] as number);
  lists.forEach((list, p) => {
    rows.set(
      [...list].sort((a, b) => a - b),
      starts[p],
    );
  });
  return { starts, rows };
}

/** Groups rows greedily, such that no parameter reaches two of a group. */
function groupsOf(S: number, { starts, rows }: Pattern): Int32Array[] {
  const conflicts = Array.from({ length: S }, () => new Set<number>());
  for (let p = 0; p + 1 < starts.length; p++) {
    const reached = rows.subarray(starts[p], starts[p + 1]);
    for (const a of reached) for (const b of reached) if (a !== b) conflicts[a]?.add(b);
  }
  const groups: number[][] = [];
  conflicts.forEach((bad, row) => {
    const free = groups.find((group) => !group.some((other) => bad.has(other)));
    if (free === undefined) groups.push([row]);
    else free.push(row);
  });
  return groups.map((group) => Int32Array.from(group));
}

/**
 * Tries steps with random inputs: along a run, again from the first state, and from states near those of the run, where other units are active.
 * Visits each within a scope.
 */
export function trySteps(
  { recurrence, parameters, dtype, state: first }: Setting,
  { tries, seed = 0 }: { readonly tries: number; readonly seed?: number },
  visit: (step: Stretch<State>) => void,
): void {
  const generator = new Generator(seed);
  const normal = (like: Tensor): Tensor => generator.normal([...like.shape], 0, 1, dtype);
  scope(() => {
    let state = mapState((s) => s.detach(), first);
    for (let t = 0; t < tries; t++) {
      // One scope per step: a large recurrence has many derivatives.
      state = scope(() => {
        const x = generator.normal([1, 1, recurrence.inputSize], 0, 1, dtype);
        const nearby = mapState((s) => (isFloat(s.dtype) ? add(s, normal(s)) : s), state);
        const step = new Stretch<State>(recurrence, parameters, x, [state, first, nearby][t % 3] as State);
        visit(step);
        return t % 3 === 0 ? detachState(step.next) : state;
      });
    }
  });
}

/** Tries steps, and notes which of their derivatives are non-zero. */
function search(setting: Setting, places: Places): void {
  trySteps(setting, { tries: TRIES, seed: places.tries }, (step) => {
    note(setting, places, step);
  });
  places.tries += TRIES;
}

/** Notes what one step shows, unless it is not finite. */
function note({ S, P, dtype }: Setting, { states, direct }: Places, step: Stretch<State>): void {
  const J = stateJacobian(step).data();
  if (!Array.from(J).every(Number.isFinite)) return;
  for (let i = 0; i < S * S; i++) if (J[i] !== 0) states[i] = 1;
  for (let k = 0; k < S; k++) {
    const seed = new Float64Array(S);
    seed[k] = 1;
    scope(() => {
      const row = step.pull(null, tensor(seed, { dtype })).parameters.data();
      for (let p = 0; p < P; p++) if (row[p] !== 0) direct[p]?.add(k);
    });
  }
}
