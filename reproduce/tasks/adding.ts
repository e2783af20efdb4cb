/** The adding problem: of two marked values in a long sequence of values, the sum. */

import type { Generator } from "../../src/tensor/random.ts";
import { type Tensor, tensor } from "../../src/tensor/tensor.ts";

export interface AddingBatch {
  /** [T,B,2]: values, and marks. */
  readonly xs: Tensor;
  /** What is to be said after the last step, [B,1]. */
  readonly targets: Tensor;
}

export interface AddingOptions {
  /** Steps T, at least 2. */
  readonly steps: number;
  readonly batch: number;
  /** Where the values lie (default [0, 1]). */
  readonly range?: readonly [low: number, high: number];
}

/** One sequence's mark: which step, and the value there. */
interface Place {
  readonly t: number;
  readonly b: number;
}

/** Values and marks, [T,B,2], written step by step. */
class Sequences {
  readonly values: Float32Array;
  readonly steps: number;
  readonly batch: number;

  constructor(random: Generator, steps: number, batch: number, [low, high]: readonly [number, number]) {
    this.steps = steps;
    this.batch = batch;
    this.values = new Float32Array(steps * batch * 2);
    random
      .uniform([steps * batch], low, high)
      .data()
      .forEach((value, i) => {
        this.values[2 * i] = value;
      });
  }

  #at({ t, b }: Place): number {
    return 2 * (t * this.batch + b);
  }

  value(place: Place): number {
    return this.values[this.#at(place)] as number;
  }

  set(place: Place, value: number): void {
    this.values[this.#at(place)] = value;
  }

  mark(place: Place, mark: number): void {
    this.values[this.#at(place) + 1] = mark;
  }

  tensor(): Tensor {
    return tensor(this.values, { shape: [this.steps, this.batch, 2], dtype: "float32" });
  }
}

function columnOf(values: readonly number[]): Tensor {
  return tensor(Float32Array.from(values), { shape: [values.length, 1], dtype: "float32" });
}

/**
 * One step in each half is marked by a 1; the target is the sum of the two values there. The best constant leaves a mean squared
 * error of 1/6 on [0, 1] and of 2/3 on [−1, 1].
 * @see Le, Jaitly and Hinton, "A simple way to initialize recurrent networks of rectified linear units", 2015, section 4.1
 */
export function addingBatch(random: Generator, { steps, batch, range = [0, 1] }: AddingOptions): AddingBatch {
  const sequences = new Sequences(random, steps, batch, range);
  const half = steps >> 1;
  const marked = [random.integers([batch], 0, half).data(), random.integers([batch], half, steps).data()];
  const targets = Array.from({ length: batch }, (_, b) =>
    marked.reduce((total, places) => {
      const place = { t: Number(places[b]), b };
      sequences.mark(place, 1);
      return total + sequences.value(place);
    }, 0),
  );
  return { xs: sequences.tensor(), targets: columnOf(targets) };
}

export interface RaggedAddingBatch extends AddingBatch {
  /** Real steps of each sequence. */
  readonly lengths: readonly number[];
}

/**
 * The problem as first posed: values on [−1, 1], lengths uniform on [T, 1.1 T], the first mark among the first ten steps and the
 * second among the first T/2 − 1; first and last steps are marked −1, and a first step that gets the mark 1 counts as the value 0. The target
 * is ½ + (X₁ + X₂)/4 and a sequence counts as right within 0.04. The best constant leaves a mean squared error of 1/24.
 * @see Hochreiter and Schmidhuber, "Long short-term memory", 1997, section 5.4
 */
export function adding1997Batch(random: Generator, { steps, batch }: Omit<AddingOptions, "range">): RaggedAddingBatch {
  const longest = steps + Math.floor(steps / 10);
  const lengths = Array.from(random.integers([batch], steps, longest + 1).data(), Number);
  const sequences = new Sequences(random, Math.max(...lengths), batch, [-1, 1]);
  const firsts = random.integers([batch], 0, Math.min(10, (steps >> 1) - 1)).data();
  const seconds = random.integers([batch], 0, (steps >> 1) - 2).data();
  const targets = lengths.map((length, b) => {
    const first = Number(firsts[b]);
    const second = Number(seconds[b]) + (Number(seconds[b]) >= first ? 1 : 0);
    if (first === 0 || second === 0) sequences.set({ t: 0, b }, 0);
    for (const t of [0, length - 1]) sequences.mark({ t, b }, -1);
    for (const t of [first, second]) sequences.mark({ t, b }, 1);
    return 0.5 + (sequences.value({ t: first, b }) + sequences.value({ t: second, b })) / 4;
  });
  return { xs: sequences.tensor(), lengths, targets: columnOf(targets) };
}
