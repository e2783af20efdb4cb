/** Random numbers for tasks, one at a time. */

import { Generator } from "../../src/tensor/random.ts";
import { scope } from "../../src/tensor/tensor.ts";

const BUFFERED = 4096;

/** Draws from a seeded generator; values are made in blocks. */
export class Dice {
  /** Where the numbers come from, for whole tensors of them. */
  readonly generator: Generator;
  #values: Float64Array = new Float64Array(0);
  #next = 0;

  constructor(seed: number) {
    this.generator = new Generator(seed);
  }

  /** In [low, high). */
  uniform(low = 0, high = 1): number {
    if (this.#next === this.#values.length) {
      this.#values = Float64Array.from(scope(() => [...this.generator.uniform([BUFFERED], 0, 1, "float64").data()]));
      this.#next = 0;
    }
    return low + (high - low) * (this.#values[this.#next++] as number);
  }

  /** One of 0 … n − 1. */
  below(n: number): number {
    return Math.floor(this.uniform(0, n));
  }

  /** Whole, from low to high, both included. */
  between(low: number, high: number): number {
    return low + this.below(high - low + 1);
  }

  /** Box and Muller. */
  normal(mean = 0, std = 1): number {
    return mean + std * Math.sqrt(-2 * Math.log(1 - this.uniform())) * Math.cos(2 * Math.PI * this.uniform());
  }

  chance(p: number): boolean {
    return this.uniform() < p;
  }

  pick<T>(list: ArrayLike<T>): T {
    return list[this.below(list.length)] as T;
  }

  /** The list in random order (Fisher and Yates). */
  shuffle<T>(list: readonly T[]): T[] {
    const out = [...list];
    for (let i = out.length - 1; i > 0; i--) {
      const j = this.below(i + 1);
      [out[i], out[j]] = [out[j] as T, out[i] as T];
    }
    return out;
  }
}

/** Three streams for one seed of an experiment: first weights, training data, and data that training never sees. */
export function streams(seed: number): { weights: Generator; training: Dice; test: Dice } {
  return { weights: new Generator(3 * seed), training: new Dice(3 * seed + 1), test: new Dice(3 * seed + 2) };
}
