/** The base of cells that run a whole sequence at once, and their helpers. */

import { checkOptions } from "../../base/checks.ts";
import { fillBeyond, zeroBeyond } from "../../nn/padding.ts";
import { reshape } from "../../ops/broadcast.ts";
import { takeRows } from "../../ops/gather.ts";
import { chunkedScan } from "../../ops/prefix-scan.ts";
import { linearScan } from "../../ops/reduce.ts";
import { cat, flip, select, slice, stack, unsqueeze } from "../../ops/shape.ts";
import { Cell, checkSequence, hasOwnMethod, SCAN, type ScanOptions, startOf } from "../../recurrence/recurrence.ts";
import type { State } from "../../recurrence/state.ts";
import { type Tensor, tensor } from "../../tensor/tensor.ts";

/** Real steps of each sequence; null if all sequences have full length. */
export type Lengths = readonly number[] | null;

/** Base class of cells that also define how a whole sequence runs at once, for sequences of any lengths. */
export abstract class SequenceCell<S extends State = State> extends Cell<S> {
  /**
   * Runs all of `xs [T,B,I]` from `state`. The last state is the one after each sequence's last step; outputs after
   * that step are ignored.
   */
  abstract whole(xs: Tensor, state: S, lengths: Lengths): [ys: Tensor, last: S];

  override scan(xs: Tensor, state?: S, options: ScanOptions = {}): [ys: Tensor, last: S] {
    checkOptions("scan", options, SCAN);
    checkSequence("scan", xs, this.inputSize, options.lengths);
    const T = xs.dim(0);
    // A single step runs as a step: what it does not read then has no gradient, rather than one of zeros.
    if (T === 1 || hasNewerStep(this)) return super.scan(xs, state, options);
    const lengths = options.lengths?.some((n) => n < T) ? options.lengths : null;
    const turn = (x: Tensor) => (options.reverse ? reversed(x, lengths) : x);
    const [ys, last] = this.whole(turn(fillBeyond(xs, lengths)), startOf(this, xs, state), lengths);
    return [turn(zeroBeyond(ys, lengths)), last];
  }
}

/** Whether a subclass overrides the step but inherits `whole`, which does not know that step. */
function hasNewerStep(cell: SequenceCell): boolean {
  if (hasOwnMethod(cell, "step")) return true;
  let prototype = Object.getPrototypeOf(cell);
  while (!Object.hasOwn(prototype, "step") && !Object.hasOwn(prototype, "whole")) prototype = Object.getPrototypeOf(prototype);
  return !Object.hasOwn(prototype, "whole");
}

/** The rows of x [n,B,…] at `steps[t][b]`, or `steps[b]` for one step. */
function rowsAt(x: Tensor, steps: readonly number[], times: readonly number[]): Tensor {
  const [n, B, ...rest] = x.shape as [number, number, ...number[]];
  const index = Int32Array.from(steps, (t, i) => t * B + (i % B));
  return takeRows(reshape(x, [n * B, ...rest]), tensor(index, { shape: [...times, B] }));
}

/** Reverses the real steps of each sequence of xs [T,B,…]; its padding stays. */
function reversed(xs: Tensor, lengths: Lengths): Tensor {
  if (lengths === null) return flip(xs, 0);
  const T = xs.dim(0);
  const steps = Array.from({ length: T }, (_, t) => lengths.map((n) => (t < n ? n - 1 - t : t))).flat();
  return rowsAt(xs, steps, [T]);
}

/** The state after each sequence's last step, from all `states [T+1,B,…]` with the initial one first. */
export function lastOf(states: Tensor, lengths: Lengths): Tensor {
  return lengths === null ? select(states, 0, states.dim(0) - 1) : rowsAt(states, lengths, []);
}

/** The states after each step, from all [T+1,…]. */
export function after(states: Tensor): Tensor {
  return slice(states, 0, 1);
}

/** The states before each step, from all [T+1,…]. */
export function before(states: Tensor): Tensor {
  return slice(states, 0, 0, states.dim(0) - 1);
}

/** Joins the initial state […] and what follows it [T,…] to [T+1,…]. */
export function startingFrom(first: Tensor, rest: Tensor): Tensor {
  return cat([unsqueeze(first, 0), rest]);
}

/** All states [T+1,…] of h[t] = a[t]∘h[t-1] + b[t] for a and b [T,…] from h0 […], h0 first; in chunks if `chunk` is given. */
export function linearStates(a: Tensor, b: Tensor, h0: Tensor, chunk?: number): Tensor {
  const [factors, terms] = [startingFrom(h0, a), startingFrom(h0, b)];
  return chunk === undefined ? linearScan(factors, terms, { axis: 0 }) : chunkedScan(factors, terms, { axis: 0, chunk });
}

/** For every step of xs [T,B,I], a window of that step and the k − 1 before it: k tensors [T,B,I], oldest first. */
export function windows(xs: Tensor, past: readonly Tensor[]): Tensor[] {
  if (past.length === 0) return [xs];
  const all = cat([stack(past), xs]);
  return Array.from({ length: past.length + 1 }, (_, j) => slice(all, 0, j, j + xs.dim(0)));
}

/** The last k − 1 steps of `past` followed by each sequence of `xs [T,B,I]`. */
export function pastAfter(xs: Tensor, past: readonly Tensor[], lengths: Lengths): Tensor[] {
  if (past.length === 0) return [];
  const all = cat([stack(past), xs]);
  return past.map((_, j) => {
    if (lengths === null) return select(all, 0, xs.dim(0) + j);
    return rowsAt(
      all,
      lengths.map((n) => n + j),
      [],
    );
  });
}
