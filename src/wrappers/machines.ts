/** Two ways to read an output from a recurrent network: from the new state, or from the old state and the input. */

import { noGrad } from "../autodiff/tape.ts";
import { checkMethods, checkOptions } from "../base/checks.ts";
import type { FloatDType } from "../base/dtype.ts";
import type { Module } from "../nn/module.ts";
import { fillBeyond, zeroBeyond } from "../nn/padding.ts";
import { cat, slice, unsqueeze } from "../ops/shape.ts";
import { Cell, checkRecurrence, checkSequence, type Recurrence, SCAN, type ScanOptions, startOf } from "../recurrence/recurrence.ts";
import type { State } from "../recurrence/state.ts";
import { zeros } from "../tensor/create.ts";
import { scope, type Tensor } from "../tensor/tensor.ts";
import { lastStep } from "./modes.ts";

/** A map from [..., inputs] to [..., outputs]: `Linear`, a `Sequential` of layers, or your own module. */
export type Readout = Module & { forward(h: Tensor): Tensor };

/** The output size of a readout, determined by running it once. */
function widthOf(readout: Readout, inputs: number): number {
  checkMethods("a machine", "a readout", readout, ["parameters", "forward"]);
  const dtype = (readout.parameters()[0]?.dtype ?? "float32") as FloatDType;
  return scope(() => noGrad(() => readout.forward(zeros([1, inputs], dtype)).dim(1)));
}

/** Shared by both ways. */
abstract class Machine<S extends State, T extends State> extends Cell<T> {
  readonly inputSize: number;
  readonly outputSize: number;
  readonly recurrence: Recurrence<S>;
  readonly readout: Readout;

  constructor(recurrence: Recurrence<S>, readout: Readout, readSize: number) {
    super();
    this.recurrence = recurrence;
    this.readout = readout;
    this.inputSize = recurrence.inputSize;
    this.outputSize = widthOf(readout, readSize);
  }
}

/**
 * Computes outputs from the recurrence's output, its new state:
 *
 *   (h_t, s_t) = f(x_t, s_t₋₁)    y_t = g(h_t)
 *
 * State: that of f. Whole sequences use f's fast form, and g runs on all steps at once.
 * @param recurrence f
 * @param readout g, from f's output size
 * @see Moore, "Gedanken-experiments on sequential machines", 1956; Elman, "Finding structure in time", 1990
 * Deviates: none.
 * @example const [logits] = new MooreMachine(new GRUCell({ inputSize: 4, hiddenSize: 8 }), new Linear(8, 3)).scan(xs);
 */
export class MooreMachine<S extends State = State> extends Machine<S, S> {
  constructor(recurrence: Recurrence<S>, readout: Readout) {
    checkRecurrence("MooreMachine", recurrence);
    super(recurrence, readout, recurrence.outputSize);
  }

  initialState(batch: number): S {
    return this.recurrence.initialState(batch);
  }

  step(x: Tensor, state: S): [y: Tensor, next: S] {
    const [h, next] = this.recurrence.step(x, state);
    return [this.readout.forward(h), next];
  }

  override scan(xs: Tensor, state?: S, options: ScanOptions = {}): [ys: Tensor, last: S] {
    const [hs, last] = this.recurrence.scan(xs, state, options);
    return [zeroBeyond(this.readout.forward(fillBeyond(hs, options.lengths)), options.lengths), last];
  }
}

/** The recurrence's last output h [B,H], and its own state. */
export type MealyState<S extends State> = { readonly h: Tensor; readonly state: S };

/**
 * Computes outputs directly from the input and the old state:
 *
 *   y_t = g([x_t; h_t₋₁])    (h_t, s_t) = f(x_t, s_t₋₁)    h₀ = 0
 *
 * It answers a step earlier than a Moore machine with the same f: y_t does not wait for x_t to pass through f.
 * @param recurrence f, I → H
 * @param readout g, from I + H
 * @see Mealy, "A method for synthesizing sequential circuits", 1955
 * Deviates: none.
 * @example const [ys] = new MealyMachine(new RNNCell({ inputSize: 1, hiddenSize: 2 }), new Linear(3, 1)).scan(xs);
 */
export class MealyMachine<S extends State = State> extends Machine<S, MealyState<S>> {
  constructor(recurrence: Recurrence<S>, readout: Readout) {
    checkRecurrence("MealyMachine", recurrence);
    super(recurrence, readout, recurrence.inputSize + recurrence.outputSize);
  }

  initialState(batch: number): MealyState<S> {
    const dtype = (this.recurrence.parameters()[0]?.dtype ?? "float32") as FloatDType;
    return { h: zeros([batch, this.recurrence.outputSize], dtype), state: this.recurrence.initialState(batch) };
  }

  step(x: Tensor, { h, state }: MealyState<S>): [y: Tensor, next: MealyState<S>] {
    const [h1, next] = this.recurrence.step(x, state);
    return [this.readout.forward(cat([x, h], 1)), { h: h1, state: next }];
  }

  /** Whole sequences use f's fast form when run forwards; reversed or ragged ones run step by step. */
  override scan(xs: Tensor, state?: MealyState<S>, options: ScanOptions = {}): [ys: Tensor, last: MealyState<S>] {
    checkOptions("scan", options, SCAN);
    checkSequence("scan", xs, this.inputSize, options.lengths);
    const T = xs.dim(0);
    if (options.reverse || options.lengths?.some((n) => n < T)) return super.scan(xs, state, options);
    const start = startOf(this, xs, state);
    const [hs, last] = this.recurrence.scan(xs, start.state, options);
    const first = unsqueeze(start.h, 0);
    // With one step, no output of f is read.
    const before = T === 1 ? first : cat([first, slice(hs, 0, 0, T - 1)]);
    return [this.readout.forward(cat([xs, before], 2)), { h: lastStep(hs), state: last }];
  }
}
