/** One step of a batch and its derivatives. */

import { track } from "../autodiff/alias.ts";
import { gradients } from "../autodiff/sweep.ts";
import { enableGrad } from "../autodiff/tape.ts";
import { isFloat } from "../base/dtype.ts";
import type { Parameter } from "../nn/module.ts";
import type { Recurrence } from "../recurrence/recurrence.ts";
import { mapState, restoreState, type State, stateTensors } from "../recurrence/state.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** The tensors of a state that have derivatives. */
export const floats = (tensors: readonly Tensor[]): Tensor[] => tensors.filter((t) => isFloat(t.dtype));

/** Cotangents of a step's inputs; null if nothing arrives. */
export interface StepCotangents {
  /** Of the state's float tensors. */
  readonly state: readonly (Tensor | null)[];
  readonly x: Tensor | null;
  readonly parameters: readonly (Tensor | null)[];
}

/** One step on a tape of its own: [y, s′] = step(x, s). */
export class StepTape<S extends State> {
  readonly #inputs: readonly Tensor[];
  readonly #states: number;
  readonly y: Tensor;
  readonly next: readonly Tensor[];

  constructor(recurrence: Recurrence<S>, parameters: readonly Parameter[], x: Tensor, like: S, state: readonly Tensor[]) {
    const tracked = state.map((s) => (isFloat(s.dtype) ? track(s.detach()) : s));
    const input = track(x.detach());
    const before = restoreState(like, tracked);
    const [y, next] = enableGrad(() => recurrence.step(input, before));
    this.y = y;
    // By name, since a step may list its tensors in another order than the previous state.
    this.next = stateTensors(mapState((_, t) => t as Tensor, before, next));
    this.#states = floats(tracked).length;
    this.#inputs = [...floats(tracked), input, ...parameters];
  }

  /** Cotangents of state, x and parameters from those of y and of the next state, which may be null. */
  pull(
    dy: Tensor | null,
    dNext: readonly (Tensor | null)[],
  ): { state: (Tensor | null)[]; x: Tensor | null; parameters: (Tensor | null)[] } {
    const ends = floats(this.next);
    const outputs = [...(dy === null ? [] : [this.y]), ...ends.filter((_, i) => dNext[i])];
    const cotangents = [...(dy === null ? [] : [dy]), ...dNext.filter((d) => d !== null)];
    const found = gradients(outputs, this.#inputs, cotangents);
    return { state: found.slice(0, this.#states), x: found[this.#states] ?? null, parameters: found.slice(this.#states + 1) };
  }
}
