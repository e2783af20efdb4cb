/** Random numbers for generators of data, one at a time. */

import { Generator, scope } from "tapeloop";

const BUFFERED = 4096;

/** Draws from a seed; values are made in blocks. */
export class Dice {
  readonly #generator: Generator;
  #values: ArrayLike<number> = [];
  #next = 0;

  constructor(seed: number) {
    this.#generator = new Generator(seed);
  }

  /** In [low, high). */
  uniform(low = 0, high = 1): number {
    if (this.#next === this.#values.length) {
      this.#values = Float64Array.from(scope(() => this.#generator.uniform([BUFFERED], 0, 1, "float64").data()));
      this.#next = 0;
    }
    return low + (high - low) * (this.#values[this.#next++] as number);
  }

  /** Box and Muller. */
  normal(mean = 0, std = 1): number {
    return mean + std * Math.sqrt(-2 * Math.log(1 - this.uniform())) * Math.cos(2 * Math.PI * this.uniform());
  }

  /** Whole, from low to high, both included. */
  between(low: number, high: number): number {
    return low + Math.floor(this.uniform(0, high - low + 1));
  }

  chance(p: number): boolean {
    return this.uniform() < p;
  }

  pick<T>(list: ArrayLike<T>): T {
    return list[this.between(0, list.length - 1)] as T;
  }
}
