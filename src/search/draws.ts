/** Random numbers of a run, one at a time or as vectors, from one generator whose place can be saved. */

import { Generator } from "../tensor/random.ts";
import { scope } from "../tensor/tensor.ts";
import type { FieldReader } from "./fields.ts";

/** Uniform numbers are made in blocks of this size. */
const BLOCK = 256;
/** The generator's bytes at the start of the block, and how many numbers of the block are used. */
const STATE = 26;

/** A source of random numbers, also for your own `move`. */
export interface Random {
  /** A uniform number in [0, 1). */
  uniform(): number;
  /** n normal numbers with mean 0 and standard deviation 1. */
  normals(n: number): Float64Array;
}

export class Draws implements Random {
  #generator: Generator;
  /** The generator's state before the present block. */
  #begun = 0;
  #block: Float64Array = new Float64Array(0);
  #used = 0;

  /** @param generator used by this object only */
  constructor(generator: Generator) {
    this.#generator = generator;
  }

  uniform(): number {
    if (this.#used === this.#block.length) this.#fill();
    return this.#block[this.#used++] as number;
  }

  /** One of 0 … n − 1. */
  below(n: number): number {
    return Math.floor(n * this.uniform());
  }

  /** n numbers in [−1, 1). */
  signed(n: number): Float64Array {
    return Float64Array.from({ length: n }, () => 2 * this.uniform() - 1);
  }

  normals(n: number): Float64Array {
    return scope(() => Float64Array.from(this.#generator.normal([n], 0, 1, "float64").data()));
  }

  #fill(): void {
    this.#begun = this.#generator.state.counter;
    this.#block = scope(() => Float64Array.from(this.#generator.uniform([BLOCK], 0, 1, "float64").data()));
    this.#used = 0;
  }

  /** Returns a function that restores the present place. */
  mark(): () => void {
    const [{ state }, begun, block, used] = [this.#generator, this.#begun, this.#block, this.#used];
    return () => {
      this.#generator = Generator.fromState(state);
      this.#begun = begun;
      this.#block = block;
      this.#used = used;
    };
  }

  /** The complete state. */
  save(): Float64Array {
    return Float64Array.of(...this.#generator.toBytes(), this.#begun, this.#block.length === 0 ? BLOCK : this.#used);
  }

  /** Reads the result of `save` and returns a function that continues from there. @throws FormatError */
  read(fields: FieldReader, name: string): () => void {
    const saved = fields.vector(name, STATE);
    const [begun, used] = [saved[STATE - 2] as number, saved[STATE - 1] as number];
    const bytes = saved.subarray(0, STATE - 2);
    const whole = bytes.every((b) => Number.isInteger(b) && b >= 0 && b < 256) && Number.isSafeInteger(begun) && begun >= 0;
    if (!(whole && Number.isInteger(used) && used >= 0 && used <= BLOCK)) fields.refuse(name, "the place of a generator", saved);
    const generator = Generator.fromBytes(Uint8Array.from(bytes));
    return () => {
      this.#generator = generator;
      const { seed, stream } = generator.state;
      const again = Generator.fromState({ seed, stream, counter: begun });
      // A used-up block need not be restored.
      if (used < BLOCK) this.#block = scope(() => Float64Array.from(again.uniform([BLOCK], 0, 1, "float64").data()));
      else this.#block = new Float64Array(BLOCK);
      this.#begun = begun;
      this.#used = used;
    };
  }
}
