/** Random numbers of a run, one at a time or a vector at once, from one generator whose place can be saved. */

import { Generator } from "../tensor/random.ts";
import { scope } from "../tensor/tensor.ts";
import type { FieldReader } from "./fields.ts";

/** Uniform numbers are made in blocks of so many. */
const BLOCK = 256;
/** The generator's bytes, where the block began, and how many of it are used. */
const STATE = 26;

/** What draws. A `move` of one's own is given it, too. */
export interface Random {
  /** In [0, 1). */
  uniform(): number;
  /** n normal numbers with mean 0 and standard deviation 1. */
  normals(n: number): Float64Array;
}

export class Draws implements Random {
  #generator: Generator;
  /** Where the generator stood before the present block. */
  #begun = 0;
  #block: Float64Array = new Float64Array(0);
  #used = 0;

  /** @param generator is left to this object alone */
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

  /** The function that is returned goes back to where it is now. */
  mark(): () => void {
    const [{ state }, begun, block, used] = [this.#generator, this.#begun, this.#block, this.#used];
    return () => {
      this.#generator = Generator.fromState(state);
      this.#begun = begun;
      this.#block = block;
      this.#used = used;
    };
  }

  /** All there is to it. */
  save(): Float64Array {
    return Float64Array.of(...this.#generator.toBytes(), this.#begun, this.#block.length === 0 ? BLOCK : this.#used);
  }

  /** Reads what `save` gave; the function that is returned goes on from there. @throws FormatError */
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
      // A block that is used up is not needed any more.
      if (used < BLOCK) this.#block = scope(() => Float64Array.from(again.uniform([BLOCK], 0, 1, "float64").data()));
      else this.#block = new Float64Array(BLOCK);
      this.#begun = begun;
      this.#used = used;
    };
  }
}
