/** Two random bits a step, and their exclusive or some steps before: Williams and Zipser's pipelined XOR as a stream. */

import { type Tensor, tensor } from "../../src/tensor/tensor.ts";
import type { Dice } from "./dice.ts";

export interface DelayedXorOptions {
  /** Steps from the bits to their exclusive or. */
  readonly delay: number;
  /** Streams side by side (default 1). */
  readonly batch?: number;
  /** What stands for a bit that is not set (default -1); one that is set is 1. */
  readonly unset?: 0 | -1;
  /** The target where what is asked for lies before the start (default 0.5). */
  readonly early?: 0 | 0.5;
}

/** Streams that go on from call to call. */
export class DelayedXor {
  readonly #dice: Dice;
  readonly #delay: number;
  readonly #unset: number;
  readonly #early: number;
  readonly #pending: number[][];

  constructor(dice: Dice, { delay, batch = 1, unset = -1, early = 0.5 }: DelayedXorOptions) {
    this.#dice = dice;
    this.#delay = delay;
    this.#unset = unset;
    this.#early = early;
    this.#pending = Array.from({ length: batch }, () => []);
  }

  /** The bits [T,B,2] and targets [T,B,1] of the next steps. */
  next(steps: number): { xs: Tensor; targets: Tensor } {
    const batch = this.#pending.length;
    const inputs: number[] = [];
    const targets: number[] = [];
    for (let k = 0; k < steps * batch; k++) {
      const [a, b] = [this.#dice.below(2), this.#dice.below(2)];
      const pending = this.#pending[k % batch] as number[];
      inputs.push(a || this.#unset, b || this.#unset);
      pending.push(a ^ b);
      targets.push(pending.length > this.#delay ? (pending.shift() as number) : this.#early);
    }
    return {
      xs: tensor(inputs, { shape: [steps, batch, 2], dtype: "float32" }),
      targets: tensor(targets, { shape: [steps, batch, 1], dtype: "float32" }),
    };
  }
}
