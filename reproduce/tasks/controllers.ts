/** Networks as controllers: what they see goes in, their first output is the action. */

import type { Recurrence } from "../../src/recurrence/recurrence.ts";
import type { State } from "../../src/recurrence/state.ts";
import { Stream } from "../../src/recurrence/stream.ts";
import type { NeatNetwork } from "../../src/search/neat-network.ts";
import { unflatten } from "../../src/search/vector.ts";
import type { Controller } from "./pole-balancing.ts";

/** A recurrence as a controller whose weights are exchanged. The first output is the action, from −1 to 1 unless `action` makes it so. */
export class StreamController<S extends State> implements Controller {
  readonly #cell: Recurrence<S>;
  readonly #stream: Stream<S>;
  readonly #action: (output: number) => number;

  constructor(cell: Recurrence<S>, action: (output: number) => number = (y) => y) {
    this.#cell = cell;
    this.#stream = new Stream(cell);
    this.#action = action;
  }

  /** The same controller with other weights. */
  with(weights: Float64Array): this {
    unflatten(this.#cell, weights);
    this.#stream.refresh();
    return this;
  }

  reset(): void {
    this.#stream.reset();
  }

  act(observation: readonly number[]): number {
    return this.#action(Number(this.#stream.step(observation)[0]));
  }
}

/** A network of NEAT with sigmoid units. */
export function neatController(network: NeatNetwork): Controller {
  return { reset: () => network.reset(), act: (observation) => 2 * (network.step(observation)[0] as number) - 1 };
}
