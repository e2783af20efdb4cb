/** Copying after a delay, and copying of what is scattered among noise. */

import { crossEntropy } from "../../src/nn/losses.ts";
import { reshape } from "../../src/ops/broadcast.ts";
import { argmax } from "../../src/ops/reduce.ts";
import { slice } from "../../src/ops/shape.ts";
import type { Generator } from "../../src/tensor/random.ts";
import { type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { oneHot } from "./one-hot.ts";

export interface CopyingBatch {
  /** Symbols as unit vectors, [L,B,symbols]. */
  readonly xs: Tensor;
  /** What is to be said at the last `answers` steps, int32 [answers·B], time-major. */
  readonly targets: Tensor;
  /** How many of the L steps, from the end, are asked for. */
  readonly answers: number;
}

/** Symbols in xs and in the answers. */
export const COPY = { symbols: 10, classes: 9, items: 10 } as const;

export interface CopyOptions {
  /** Blanks T between what is shown and what is asked for, the last of them the delimiter. */
  readonly delay: number;
  readonly batch: number;
}

const [BLANK, DELIMITER] = [8, 9];

/**
 * Ten symbols of eight, T blanks of which the last is a delimiter, ten blanks during which the symbols are to be said; before, blanks
 * are. All T + 20 steps count: whoever remembers nothing leaves a cross-entropy of 10 ln 8/(T + 20).
 * @see Arjovsky, Shah and Bengio, "Unitary evolution recurrent neural networks", 2016, section 5.1
 */
export function copyBatch(random: Generator, { delay, batch }: CopyOptions): CopyingBatch {
  const { symbols, items } = COPY;
  const length = delay + 2 * items;
  const shown = random.integers([items * batch], 0, BLANK).data();
  const inputs = new Int32Array(length * batch).fill(BLANK);
  const targets = new Int32Array(length * batch).fill(BLANK);
  inputs.set(shown as Int32Array);
  inputs.fill(DELIMITER, (items + delay - 1) * batch, (items + delay) * batch);
  targets.set(shown as Int32Array, (items + delay) * batch);
  return { xs: oneHot(inputs, [length, batch], symbols), targets: tensor(targets, { shape: [length * batch] }), answers: length };
}

/** What whoever remembers nothing leaves of `copyBatch`. */
export function copyBaseline(delay: number): number {
  return (COPY.items * Math.log(BLANK)) / (delay + 2 * COPY.items);
}

export interface SelectiveCopyOptions {
  readonly batch: number;
  /** Tokens to be copied (default 8). */
  readonly items?: number;
  /** Steps of noise among which they stand (default 48). */
  readonly noise?: number;
  /** How many different tokens there are (default 6); xs has two symbols more, for noise and for the answers' steps. */
  readonly classes?: number;
}

/**
 * Tokens at random places among noise, then as many steps at which they are to be said in order: what is kept has to depend on
 * the input. Chance is 1/classes.
 * @see Gu and Dao, "Mamba: Linear-time sequence modeling with selective state spaces", 2023, section 4.1.1
 */
export function selectiveCopyBatch(random: Generator, { batch, items = 8, noise = 48, classes = 6 }: SelectiveCopyOptions): CopyingBatch {
  const [NOISE, ANSWER] = [classes, classes + 1];
  const shown = items + noise;
  const targets = random.integers([items * batch], 0, classes).data() as Int32Array;
  const inputs = new Int32Array((shown + items) * batch).fill(NOISE);
  inputs.fill(ANSWER, shown * batch);
  for (let b = 0; b < batch; b++) {
    const places = Array.from(random.permutation(shown).data(), Number)
      .slice(0, items)
      .sort((p, q) => p - q);
    for (const [k, t] of places.entries()) inputs[t * batch + b] = targets[k * batch + b] as number;
  }
  return {
    xs: oneHot(inputs, [shown + items, batch], classes + 2),
    targets: tensor(targets, { shape: [items * batch], dtype: "int32" }),
    answers: items,
  };
}

/** The logits [L,B,classes] at the steps that are asked for, as rows. */
export function answersOf(logits: Tensor, { answers }: CopyingBatch): Tensor {
  const [L, , classes] = logits.shape as [number, number, number];
  return reshape(slice(logits, 0, L - answers, L), [-1, classes]);
}

/** Mean cross-entropy of logits [L,B,classes] at the steps that are asked for. */
export function copyingLoss(logits: Tensor, batch: CopyingBatch): Tensor {
  return crossEntropy(answersOf(logits, batch), batch.targets);
}

/** The share of answers that are right. */
export function copyingAccuracy(logits: Tensor, batch: CopyingBatch): number {
  const said = argmax(answersOf(logits, batch), { axis: 1 }).data();
  const wanted = batch.targets.data();
  return said.filter((c, i) => c === wanted[i]).length / said.length;
}

export interface RepeatOptions {
  readonly batch: number;
  /** Letters of a word. */
  readonly period: number;
  /** Letters there are. */
  readonly symbols: number;
  /** How often the word comes (default 3). */
  readonly times?: number;
}

/** Strings that are a random word several times over: letters xs int32 [T,B], and from the word's end on the next letter, int32 [(T + 1 − period)·B]. */
export function repeatBatch(random: Generator, { batch, period, symbols, times = 3 }: RepeatOptions): { xs: Tensor; targets: Tensor } {
  const word = random.integers([period * batch], 0, symbols).data() as Int32Array;
  const text = Int32Array.from({ length: period * times * batch }, (_, i) => word[i % word.length] as number);
  const T = period * times - 1;
  return {
    xs: tensor(text.slice(0, T * batch), { shape: [T, batch], dtype: "int32" }),
    targets: tensor(text.slice(period * batch)),
  };
}
