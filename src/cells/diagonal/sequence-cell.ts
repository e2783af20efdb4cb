/** Cells that run a whole sequence at once, and what they have in common. */

import { checkOptions } from "../../base/checks.ts";
import { fillBeyond, zeroBeyond } from "../../nn/padding.ts";
import { reshape } from "../../ops/broadcast.ts";
import { takeRows } from "../../ops/gather.ts";
import { chunkedScan } from "../../ops/prefix-scan.ts";
import { linearScan } from "../../ops/reduce.ts";
import { cat, flip, select, slice, stack, unsqueeze } from "../../ops/shape.ts";
import { Cell, checkSequence, hasOwnMethod, SCAN, type ScanOptions } from "../../recurrence/recurrence.ts";
import type { State } from "../../recurrence/state.ts";
import { type Tensor, tensor } from "../../tensor/tensor.ts";

/** Real steps of each sequence; null where all sequences are as long as the batch. */
export type Lengths = readonly number[] | null;

/** Base of the cells which also say how a whole sequence runs at once, whatever the sequences' lengths. */
export abstract class SequenceCell<S extends State = State> extends Cell<S> {
  /**
   * All of `xs [T,B,I]` from `state`. The last state is that after each sequence's last step; what comes out after
   * that step does not matter.
   */
  abstract whole(xs: Tensor, state: S, lengths: Lengths): [ys: Tensor, last: S];

  override scan(xs: Tensor, state?: S, options: ScanOptions = {}): [ys: Tensor, last: S] {
    checkOptions("scan", options, SCAN);
    checkSequence("scan", xs, this.inputSize, options.lengths);
    const [T, B] = [xs.dim(0), xs.dim(1)];
    // Of one step there is nothing to run at once; what the step does not read has no gradient then, instead of one of zeros.
    if (T === 1 || hasNewerStep(this)) return super.scan(xs, state, options);
    const lengths = options.lengths?.some((n) => n < T) ? options.lengths : null;
    const turn = (x: Tensor) => (options.reverse ? reversed(x, lengths) : x);
    const [ys, last] = this.whole(turn(fillBeyond(xs, lengths)), state ?? this.initialState(B), lengths);
    return [turn(zeroBeyond(ys, lengths)), last];
  }
}

/** Whether a subclass has a step of which the `whole` that it inherits knows nothing. */
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

/** Each sequence of xs [T,B,…] from its last real step to its first; what lies after stays. */
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

/** The initial state […] and what follows it [T,…], as [T+1,…]. */
export function startingFrom(first: Tensor, rest: Tensor): Tensor {
  return cat([unsqueeze(first, 0), rest]);
}

/** h[t] = a[t]∘h[t-1] + b[t] for a and b [T,…] from h0 […]: all states [T+1,…], h0 first. In chunks where `chunk` says so. */
export function linearStates(a: Tensor, b: Tensor, h0: Tensor, chunk?: number): Tensor {
  const [factors, terms] = [startingFrom(h0, a), startingFrom(h0, b)];
  return chunk === undefined ? linearScan(factors, terms, { axis: 0 }) : chunkedScan(factors, terms, { axis: 0, chunk });
}

/** Each step of xs [T,B,I] as it is seen through a window on it and the k − 1 steps before: [T,B,I] each, oldest first. */
export function windows(xs: Tensor, past: readonly Tensor[]): Tensor[] {
  if (past.length === 0) return [xs];
  const all = cat([stack(past), xs]);
  return Array.from({ length: past.length + 1 }, (_, j) => slice(all, 0, j, j + xs.dim(0)));
}

/** The last k − 1 steps of `past` continued by each sequence of `xs [T,B,I]`. */
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
