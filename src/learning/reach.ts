/** Finds which elements of the state each parameter reaches, in one step and in several. */

import { type FloatDType, isFloat } from "../base/dtype.ts";
import { add } from "../ops/arithmetic.ts";
import { detachState, mapState, type State } from "../recurrence/state.ts";
import { Generator } from "../tensor/random.ts";
import { assign, scope, type Tensor, tensor } from "../tensor/tensor.ts";
import type { Setting } from "./influence.ts";
import { stateJacobian } from "./step-derivatives.ts";
import { Stretch } from "./stretch.ts";

/** The elements of the state that each parameter reaches, in rising order: `rows` from starts[p] to starts[p + 1]. */
export interface Pattern {
  readonly starts: Int32Array;
  readonly rows: Int32Array;
}

/** Steps in a row that show nothing new before the search ends, and steps in all. */
const QUIET = 12;
const MOST_TRIES = 100;

interface Places {
  /** ∂next/∂state ≠ 0 [S·S]. */
  readonly states: Uint8Array;
  /** ∂next/∂θ ≠ 0: rows by parameter. */
  readonly direct: readonly Set<number>[];
}

const known = new WeakMap<object, Reach>();

/**
 * The places where derivatives of one step may be non-zero.
 *
 * We find them by trying, with random inputs and random weights: they belong to the structure of the recurrence, so that models of one
 * structure agree on them whatever their weights are.
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
    if (before !== undefined && before.#S === S && sameList(before.#parameters, parameters)) return before;
    const places = { states: new Uint8Array(S * S), direct: Array.from({ length: P }, () => new Set<number>()) };
    let quiet = 0;
    trySteps(setting, MOST_TRIES, (step) => {
      quiet = note(setting, places, step) ? 0 : quiet + 1;
      return quiet < QUIET;
    });
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

/** Runs `fn`, which may write to tensors, and leaves no trace of that: neither in their values nor in the record of writes to them. */
function restoring(tensors: readonly Tensor[], fn: () => void): void {
  const before = tensors.map((t) => ({ t, values: t.data(), lastWrite: t.storage.lastWrite }));
  try {
    fn();
  } finally {
    for (const { t, values, lastWrite } of before) {
      assign(t, values);
      t.storage.lastWrite = lastWrite;
    }
  }
}

/**
 * Tries steps with random inputs and weights: along a run, from states near those of the run, where other units are active, and from small positive
 * ones. Every other time all weights are positive. Visits each within a scope.
 * @param visit returns whether to go on
 */
export function trySteps(setting: Setting, tries: number, visit: (step: Stretch<State>) => boolean): void {
  restoring(setting.parameters, () => tryWritten(setting, tries, visit));
}

function tryWritten(
  { recurrence, parameters, dtype, state: first }: Setting,
  tries: number,
  visit: (step: Stretch<State>) => boolean,
): void {
  const generator = new Generator(0);
  const mapFloats = (fn: (s: Tensor) => Tensor, state: State): State => mapState((s) => (isFloat(s.dtype) ? fn(s) : s), state);
  scope(() => {
    let state = mapState((s) => s.detach(), first);
    let goesOn = true;
    for (let t = 0; goesOn && t < tries; t++) {
      // One scope per step: a large recurrence has many derivatives.
      state = scope(() => {
        for (const p of parameters) assign(p, generator.uniform([...p.shape], t % 2 === 0 ? -1 : 0, 1, dtype));
        const x = generator.normal([1, 1, recurrence.inputSize], 0, 1, dtype);
        const nearby = mapFloats((s) => add(s, generator.normal([...s.shape], 0, 1, dtype)), state);
        const small = mapFloats((s) => generator.uniform([...s.shape], 0, 0.5, dtype), state);
        const step = new Stretch<State>(recurrence, parameters, x, [state, small, nearby][t % 3] as State);
        goesOn = visit(step);
        return t % 3 === 0 ? detachState(step.next) : state;
      });
    }
  });
}

/** Notes what one step shows, unless it is not finite. @returns whether that is new */
function note({ S, P, dtype }: Setting, { states, direct }: Places, step: Stretch<State>): boolean {
  const J = stateJacobian(step).data();
  if (!Array.from(J).every(Number.isFinite)) return false;
  let isNew = false;
  for (let i = 0; i < S * S; i++) {
    if (J[i] === 0 || states[i]) continue;
    states[i] = 1;
    isNew = true;
  }
  for (let k = 0; k < S; k++) {
    const seed = new Float64Array(S);
    seed[k] = 1;
    scope(() => {
      const row = step.pull(null, tensor(seed, { dtype })).parameters.data();
      for (let p = 0; p < P; p++) {
        if (row[p] === 0 || direct[p]?.has(k)) continue;
        direct[p]?.add(k);
        isNew = true;
      }
    });
  }
  return isNew;
}
