/** Truncated backpropagation through time: gradients over a limited number of steps. */

import { backward } from "../autodiff/backward.ts";
import { noGrad } from "../autodiff/tape.ts";
import { checkOptions, checkSizes, optionsOf } from "../base/checks.ts";
import { ArgumentError } from "../base/errors.ts";
import { cat, slice } from "../ops/shape.ts";
import { checkRecurrence, checkSequence, type Recurrence, SCAN, type ScanOptions } from "../recurrence/recurrence.ts";
import { detachState, type State, stateTensors } from "../recurrence/state.ts";
import { scope, type Tensor } from "../tensor/tensor.ts";
import { Wrapper } from "./wrappers.ts";

/**
 * Detaches a recurrence's state from its past every k steps of a sequence: outputs stay the same, gradients end at the cuts.
 * With k = 1 the past acts as a plain input (Elman's procedure of 1990). A single step is that of the recurrence.
 * @throws ArgumentError unless k is a whole number of at least 1
 * @see Williams and Peng, "An efficient gradient-based algorithm for on-line training of recurrent network trajectories", 1990
 * Deviates: cuts are at fixed steps, k apart; `truncatedBptt` has the window that moves with the present step.
 * @example const [ys, state] = new DetachEvery(new LSTMCell({ inputSize: 4, hiddenSize: 8 }), 20).scan(xs, detachState(before));
 */
export class DetachEvery<S extends State = State> extends Wrapper<S> {
  readonly steps: number;

  constructor(recurrence: Recurrence<S>, steps: number) {
    super(recurrence);
    checkSizes("DetachEvery", { steps });
    this.steps = steps;
  }

  override scan(xs: Tensor, state?: S, options: ScanOptions = {}): [ys: Tensor, last: S] {
    checkOptions("scan", options, SCAN);
    checkSequence("scan", xs, this.inputSize, options.lengths);
    const { lengths, reverse = false } = options;
    const parts = cuts(xs.dim(0), this.steps);
    if (reverse) parts.reverse();
    let held = state ?? this.initialState(xs.dim(1));
    const outputs = parts.map(([from, to], i) => {
      const given = lengths && { lengths: lengths.map((n) => Math.min(Math.max(n - from, 0), to - from)) };
      const [ys, next] = this.recurrence.scan(slice(xs, 0, from, to), i === 0 ? held : detachState(held), { reverse, ...given });
      held = next;
      return ys;
    });
    if (reverse) outputs.reverse();
    return [cat(outputs), held];
  }
}

/** [0,k), [k,2k), … up to T. */
function cuts(T: number, k: number): [from: number, to: number][] {
  return Array.from({ length: Math.ceil(T / k) }, (_, i) => [i * k, Math.min((i + 1) * k, T)]);
}

export interface TruncatedOptions<S extends State> {
  /** Steps from one sweep to the next (h′ in the paper). */
  readonly k1: number;
  /** Steps over which a sweep goes back, at least k₁ (h in the paper; default k₁). */
  readonly k2?: number;
  /** State before the first step; default: the initial state. */
  readonly state?: S;
  /** The scalar loss of outputs ys [n,B,O] of the steps from … from + n − 1. */
  readonly loss: (ys: Tensor, from: number) => Tensor;
  /** Called after each sweep, with the gradients in place; you may change weights here. Gradients add up unless you clear them. */
  readonly after?: (end: number, loss: number) => void;
}

/**
 * BPTT(k₂; k₁): after every k₁ steps, differentiates the loss of these steps through the last k₂ steps and adds the gradients
 * to `.grad` of the parameters.
 *
 *   Σ_e ∂L(y_e₋ₖ₁₊₁ … y_e)/∂θ with the state before step e − k₂ + 1 constant    e = k₁, 2k₁, …
 *
 * k₂ ≥ T gives the full gradient. It takes the memory of k₂ steps, whatever T, and the time of 1 + k₂/k₁ forward passes (1 if k₂ = k₁).
 * @param xs [T,B,I]
 * @returns the sum of the losses, and the detached last state
 * @throws ArgumentError unless k₁ and k₂ are whole and 1 ≤ k₁ ≤ k₂
 * @see Williams and Peng, "An efficient gradient-based algorithm for on-line training of recurrent network trajectories", Neural
 * Computation 2, 1990
 * Deviates: if `after` changes the weights, the next sweep runs all its k₂ steps with the new ones, not with those of each step's time.
 * @example
 * let state = rnn.initialState(B);
 * for (const { xs, targets } of stream) {
 *   const loss = (ys: Tensor, from: number) => mseLoss(ys, slice(targets, 0, from, from + ys.dim(0)));
 *   ({ state } = truncatedBptt(rnn, xs, { k1: 5, k2: 20, state, loss }));
 * }
 */
export function truncatedBptt<S extends State>(
  recurrence: Recurrence<S>,
  xs: Tensor,
  options: TruncatedOptions<S>,
): { readonly loss: number; readonly state: S } {
  checkRecurrence("truncatedBptt", recurrence);
  const { k1, k2 = k1, state, loss, after } = optionsOf("truncatedBptt", options, ["k1", "k2", "state", "loss", "after"]);
  let total = 0;
  const last = overWindows<S, number>(
    "truncatedBptt",
    recurrence,
    xs,
    { k1, k2, state, after: (end, value) => after?.(end, value) },
    ({ start, from }, piece, before) => {
      const [ys, next] = recurrence.scan(piece, before);
      const value = loss(slice(ys, 0, from - start), from);
      backward(value);
      total += value.item();
      return { next, value: value.item() };
    },
  );
  return { loss: total, state: last };
}

/** A window: steps start … end − 1 of a sequence, with errors from step `from` on. */
export interface Window {
  readonly start: number;
  readonly from: number;
  readonly end: number;
}

interface WindowsOptions<S extends State, R> extends Pick<TruncatedOptions<S>, "k1" | "k2"> {
  readonly state: S | undefined;
  /** Called after each window, with its result. */
  readonly after?: (end: number, value: R) => void;
}

/**
 * Every k₁ steps, runs the window of the last k₂ steps from the state before it, which is carried along as values.
 * @param run runs a window's steps and sweeps them, in a scope, from the state before the window; undefined stands for the initial state
 * @returns the detached last state
 */
export function overWindows<S extends State, R>(
  op: string,
  recurrence: Recurrence<S>,
  xs: Tensor,
  { k1, k2 = k1, state, after }: WindowsOptions<S, R>,
  run: (window: Window, piece: Tensor, before: S | undefined) => { readonly next: S; readonly value: R },
): S {
  checkSequence(op, xs, recurrence.inputSize);
  checkSizes(op, { k1, k2 });
  if (k2 < k1) throw new ArgumentError(`${op}: expected k2 to be at least k1, got ${k2} and ${k1}`);
  const T = xs.dim(0);
  let held = scope(() => detachState(state ?? recurrence.initialState(xs.dim(1))));
  let at = 0;
  const arrive = (t: number, next: S) => {
    for (const s of stateTensors(held)) s.dispose();
    [held, at] = [next, t];
  };
  const moveTo = (t: number) => {
    if (t > at)
      arrive(
        t,
        scope(() => noGrad(() => detachState(recurrence.scan(slice(xs, 0, at, t), held)[1]))),
      );
  };
  const windows = cuts(T, k1).map(([from, end]) => ({ from, end, start: Math.max(0, end - k2) }));
  for (const [i, window] of windows.entries()) {
    const { start, end } = window;
    moveTo(start);
    const goesOn = (windows[i + 1]?.start ?? T) === end;
    const swept = scope(() => {
      // If no state is given, the initial one may be trainable.
      const { next, value } = run(window, slice(xs, 0, start, end), start === 0 && state === undefined ? undefined : held);
      return { value, last: goesOn ? detachState(next) : null };
    });
    if (swept.last !== null) arrive(end, swept.last);
    after?.(end, swept.value);
  }
  return held;
}
