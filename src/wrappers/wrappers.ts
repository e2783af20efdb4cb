/** Options for any recurrence: each wraps a recurrence and is one. */

import { checkOptions } from "../base/checks.ts";
import { isFloat } from "../base/dtype.ts";
import { ArgumentError } from "../base/errors.ts";
import { Parameter } from "../nn/module.ts";
import { broadcastTo } from "../ops/broadcast.ts";
import { clamp } from "../ops/compare.ts";
import { Cell, checkRecurrence, checkSequence, type Recurrence, SCAN, type ScanOptions } from "../recurrence/recurrence.ts";
import { detachState, mapState, restoreState, type State, stateTensors } from "../recurrence/state.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** Base class of wrappers. Sizes, state and step are those of the wrapped recurrence unless a subclass overrides them. */
export abstract class Wrapper<S extends State = State> extends Cell<S> {
  readonly inputSize: number;
  readonly outputSize: number;
  readonly recurrence: Recurrence<S>;

  constructor(recurrence: Recurrence<S>) {
    super();
    checkRecurrence(new.target.name, recurrence);
    this.recurrence = recurrence;
    this.inputSize = recurrence.inputSize;
    this.outputSize = recurrence.outputSize;
  }

  initialState(batch: number): S {
    return this.recurrence.initialState(batch);
  }

  step(x: Tensor, state: S): [y: Tensor, next: S] {
    return this.recurrence.step(x, state);
  }
}

/**
 * Makes the initial state trainable: a parameter `initial.i` for each float tensor of the state, with the shape for a batch of one,
 * is shared by all sequences. Its gradient is the sum over the batch. It starts as the recurrence's own initial state.
 * @see Forcada and Carrasco, "Learning the initial state of a second-order recurrent neural network during regular-language inference", 1995
 * Deviates: works with any recurrence; the paper's is of second order.
 * @example const [ys] = new LearnedInitialState(new GRUCell({ inputSize: 4, hiddenSize: 8 })).scan(xs);
 */
export class LearnedInitialState<S extends State = State> extends Wrapper<S> {
  readonly initial: readonly Parameter[];

  constructor(recurrence: Recurrence<S>) {
    super(recurrence);
    this.initial = stateTensors(detachState(recurrence.initialState(1)))
      .filter((s) => isFloat(s.dtype))
      .map((s) => new Parameter(s));
  }

  override initialState(batch: number): S {
    let i = 0;
    return mapState((s) => (isFloat(s.dtype) ? broadcastTo(this.initial[i++] as Tensor, s.shape) : s), this.recurrence.initialState(batch));
  }

  override scan(xs: Tensor, state?: S, options: ScanOptions = {}): [ys: Tensor, last: S] {
    checkOptions("scan", options, SCAN);
    checkSequence("scan", xs, this.inputSize, options.lengths);
    return this.recurrence.scan(xs, state ?? this.initialState(xs.dim(1)), options);
  }
}

/**
 * Reads sequences from their last real step to their first; outputs stay at their own steps. Use it for stacks whose layers alternate in direction.
 * A single step is that of the recurrence.
 * @example new StackedRNN([layer(4), new Reversed(layer(8))])
 */
export class Reversed<S extends State = State> extends Wrapper<S> {
  override scan(xs: Tensor, state?: S, options: ScanOptions = {}): [ys: Tensor, last: S] {
    checkOptions("scan", options, SCAN);
    return this.recurrence.scan(xs, state, { ...options, reverse: !options.reverse });
  }
}

/**
 * Clips the carried state to ±bound: s' = clamp(s', −bound, bound), for every float tensor of the state. Outputs are
 * not clipped. In an LSTM, whose h lies in (−1, 1), a bound above 1 affects only the cell c.
 * @throws ArgumentError unless bound > 0
 * @see Sak, Senior and Beaufays, "Long short-term memory recurrent neural network architectures for large scale acoustic modeling", 2014
 * Deviates: the output of a step is read before its state is clipped; the next step sees the same state as in the paper.
 * @example new StateClip(new LSTMCell({ inputSize: 4, hiddenSize: 8 }), 50)
 */
export class StateClip<S extends State = State> extends Wrapper<S> {
  readonly bound: number;

  constructor(recurrence: Recurrence<S>, bound: number) {
    super(recurrence);
    if (!(bound > 0)) throw new ArgumentError(`StateClip: expected a bound above 0, got ${bound}`);
    this.bound = bound;
  }

  override step(x: Tensor, state: S): [y: Tensor, next: S] {
    const [y, next] = this.recurrence.step(x, state);
    const clipped = stateTensors(next).map((s) => (isFloat(s.dtype) ? clamp(s, -this.bound, this.bound) : s));
    return [y, restoreState(next, clipped)];
  }
}
