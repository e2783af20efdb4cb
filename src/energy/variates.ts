/** Random numbers for loops over plain arrays: made by kernels, a block at a time, so the same bits on every host. */

import { noGrad } from "../autodiff/tape.ts";
import { div, neg, sub } from "../ops/arithmetic.ts";
import { log } from "../ops/math.ts";
import type { Generator } from "../tensor/random.ts";
import { scope, type Tensor } from "../tensor/tensor.ts";

/** The first block, and the largest: each is twice as large as the one before. */
const [FIRST, LARGEST] = [64, 4096];

/** Independent numbers of one distribution. What is left of the last block is dropped. */
export class Variates {
  readonly #generator: Generator;
  readonly #from: (uniform: Tensor) => Tensor;
  #block: Float64Array = new Float64Array(0);
  #used = 0;

  constructor(generator: Generator, from: (uniform: Tensor) => Tensor) {
    this.#generator = generator;
    this.#from = from;
  }

  next(): number {
    if (this.#used === this.#block.length) this.#fill();
    return this.#block[this.#used++] as number;
  }

  /** One of 0 … n − 1, if the numbers are uniform. */
  below(n: number): number {
    return Math.floor(n * this.next());
  }

  #fill(): void {
    const n = Math.min(LARGEST, Math.max(FIRST, 2 * this.#block.length));
    this.#block = scope(() => noGrad(() => this.#from(this.#generator.uniform([n], 0, 1, "float64")).data())) as Float64Array;
    this.#used = 0;
  }
}

/** In [0, 1). */
export function uniforms(generator: Generator): Variates {
  return new Variates(generator, (u) => u);
}

/** x with P(x < a) = 1 / (1 + e^−a): so a exceeds x with the probability that a logistic unit is on. */
export function logistics(generator: Generator): Variates {
  return new Variates(generator, (u) => log(div(u, sub(1, u))));
}

/** x with P(x > a) = e^−a: so x exceeds a climb with the probability that Metropolis accepts it. */
export function exponentials(generator: Generator): Variates {
  return new Variates(generator, (u) => neg(log(u)));
}

/** 0 … n − 1 in random order. */
export function permutation(generator: Generator, n: number): Int32Array {
  return scope(() => generator.permutation(n).data()) as Int32Array;
}
