/** Two recurrences of any kind that run over one sequence in opposite directions. */

import { checkOptions } from "../base/checks.ts";
import { ShapeError, StateError } from "../base/errors.ts";
import { Module } from "../nn/module.ts";
import { cat, select, slice } from "../ops/shape.ts";
import { type PlanOptions, planScan } from "../recurrence/plan.ts";
import { checkRecurrence, type Recurrence, SCAN, type ScanOptions, startOf } from "../recurrence/recurrence.ts";
import type { State } from "../recurrence/state.ts";
import type { MemoryPlan } from "../tensor/dry-run.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { lastStep } from "./modes.ts";

/** Each direction's state. The last one is that after the last real step (forward) and after the first step (backward). */
export type BidirectionalState<F extends State, B extends State> = { readonly forward: F; readonly backward: B };

/**
 * One recurrence reads the sequence from its start, another from its end:
 *
 *   (f_t, s_t) = forward(x_t, s_t₋₁)    (b_t, r_t) = backward(x_t, r_t₊₁)    y_t = [f_t; b_t]
 *
 * With lengths, the backward one starts at each sequence's own last step. Its final output is that of t = 0. To summarise a whole
 * sequence, use `ends(ys, lengths)` or the last state, not y at T − 1, where the backward half has seen only one symbol.
 * Both halves of y_t have seen x_t, so a predictor of x_t may read only f_t₋₁ and b_t₊₁.
 * @throws ShapeError for recurrences with different input sizes
 * @see Schuster and Paliwal, "Bidirectional recurrent neural networks", 1997; Graves and Schmidhuber, "Framewise phoneme classification with
 * bidirectional LSTM and other neural network architectures", 2005
 * Deviates: none.
 * @example
 * const cell = () => new GRUCell({ inputSize: 4, hiddenSize: 8 });
 * const [ys, { forward, backward }] = new Bidirectional(cell(), cell()).scan(xs, undefined, { lengths: [7, 3, 5] });
 */
export class Bidirectional<F extends State = State, B extends State = F> extends Module implements Recurrence<BidirectionalState<F, B>> {
  readonly inputSize: number;
  readonly outputSize: number;
  readonly forward: Recurrence<F>;
  readonly backward: Recurrence<B>;

  constructor(forward: Recurrence<F>, backward: Recurrence<B>) {
    super();
    checkRecurrence("Bidirectional", forward);
    checkRecurrence("Bidirectional", backward);
    if (forward.inputSize !== backward.inputSize) {
      const [f, b] = [forward.inputSize, backward.inputSize];
      throw new ShapeError(`Bidirectional: expected recurrences of one input size, got forward ${f} and backward ${b}`);
    }
    this.forward = forward;
    this.backward = backward;
    this.inputSize = forward.inputSize;
    this.outputSize = forward.outputSize + backward.outputSize;
  }

  initialState(batch: number): BidirectionalState<F, B> {
    return { forward: this.forward.initialState(batch), backward: this.backward.initialState(batch) };
  }

  /** @throws StateError always: a backward step needs the end of the sequence */
  step(): [y: Tensor, next: BidirectionalState<F, B>] {
    throw new StateError("step: expected a recurrence of one direction, got a bidirectional one");
  }

  /** From xs [T,B,I] to ys [T,B,O_f + O_b] and both last states. `reverse` swaps the directions. */
  scan(xs: Tensor, state?: BidirectionalState<F, B>, options: ScanOptions = {}): [ys: Tensor, last: BidirectionalState<F, B>] {
    checkOptions("scan", options, SCAN);
    const start = startOf(this, xs, state);
    const [fs, forward] = this.forward.scan(xs, start.forward, options);
    const [bs, backward] = this.backward.scan(xs, start.backward, { ...options, reverse: !options.reverse });
    return [cat([fs, bs], 2), { forward, backward }];
  }

  /** The final output of each direction [B,O_f + O_b], from outputs ys [T,B,O_f + O_b]: forward at the last real step, backward at the first. */
  ends(ys: Tensor, lengths?: readonly number[]): Tensor {
    const size = this.forward.outputSize;
    return cat([lastStep(slice(ys, 2, 0, size), lengths), select(slice(ys, 2, size), 0, 0)], 1);
  }

  /** The bytes that a scan over [time, batch, inputSize], or a training step on it, will need. */
  plan(options: PlanOptions): MemoryPlan {
    return planScan(this, options);
  }
}
