/** Influences carried from block to block of a stream: windows that do not overlap. */

import type { Parameter } from "../nn/module.ts";
import { add } from "../ops/arithmetic.ts";
import { slice } from "../ops/shape.ts";
import { batchAxesOf, type Recurrence } from "../recurrence/recurrence.ts";
import { type State, stateFromVector } from "../recurrence/state.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { trainedOf } from "./algorithm.ts";
import type { Influence, InfluenceFor } from "./influence.ts";
import type { LearnedWindow, Swept, WindowRule } from "./late-learner.ts";
import { influencesOf } from "./learner.ts";
import { sequenceStates } from "./step-learner.ts";
import { Stretch } from "./stretch.ts";

/** Blocks of h steps of a recurrence, for each sequence of the batch separately. */
export class Blocks<S extends State> implements WindowRule<S, readonly State[]> {
  readonly h: number;
  readonly hPrime: number;
  readonly isBlock = true;
  readonly #recurrence: Recurrence<S>;
  readonly #trained: readonly Parameter[];
  readonly #influences: readonly Influence[];
  /** Parameters that sweeps have reached. */
  readonly #reached: Set<Tensor>;

  constructor(name: string, of: InfluenceFor, h: number, recurrence: Recurrence<S>, batch: number) {
    this.h = h;
    this.hPrime = h;
    this.#recurrence = recurrence;
    this.#trained = trainedOf(recurrence.parameters());
    const { influences, reached } = influencesOf(name, of, recurrence, batch);
    this.#influences = influences;
    this.#reached = reached;
  }

  first(): readonly State[] {
    return this.#influences.map(({ initial }) => initial);
  }

  sweep({ xs, start, dys }: LearnedWindow<S>, carried: readonly State[]): Swept<readonly State[]> {
    const trained = this.#trained;
    const states = sequenceStates(start, batchAxesOf(this.#recurrence, start), xs.dim(1));
    const swept = states.map((state, b) => {
      const row = (x: Tensor): Tensor => slice(x, 1, b, b + 1);
      const block = new Stretch(this.#recurrence as unknown as Recurrence, trained, row(xs), state as State);
      const [influence, before] = [this.#influences[b] as Influence, carried[b] as State];
      const gradient = influence.gradient(block, before, row(dys), null);
      const next = influence.next(block, before);
      for (const p of block.reached) this.#reached.add(p);
      return { gradient, next };
    });
    const total = swept.map(({ gradient }) => gradient).reduce((a, b) => add(a, b));
    const parameters = stateFromVector(total, trained).map((g, i) => (this.#reached.has(trained[i] as Parameter) ? g : null));
    return { parameters, state: [], carried: swept.map(({ next }) => next) };
  }
}
