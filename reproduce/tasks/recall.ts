/** Multi-query associative recall: pairs of keys and values, and later the values of keys. */

import { cat } from "../../src/ops/shape.ts";
import { type Tensor, tensor } from "../../src/tensor/tensor.ts";
import type { Dice } from "./dice.ts";
import { oneHot } from "./one-hot.ts";

export interface RecallBatch {
  /** A pair a step, then a key a step: [2·pairs, B, keys + values], a unit vector for the key and one for the value, which is zero in the second half. */
  readonly xs: Tensor;
  /** The value of each key asked for, int32 [pairs·B], time-major. */
  readonly targets: Tensor;
}

export interface RecallOptions {
  readonly batch: number;
  readonly pairs: number;
  readonly keys: number;
  readonly values: number;
}

/**
 * `pairs` different keys with random values, one pair a step; then all of them are asked for, in another order. Chance is 1/values.
 * @see Arora et al., "Zoology: measuring and improving recall in efficient language models", 2023, section 3
 * Deviates: a pair comes in one step, not in two.
 */
export function recallBatch(dice: Dice, { batch, pairs, keys, values }: RecallOptions): RecallBatch {
  const key = new Int32Array(2 * pairs * batch);
  const value = new Int32Array(2 * pairs * batch).fill(-1);
  const targets = new Int32Array(pairs * batch);
  const all = Array.from({ length: keys }, (_, k) => k);
  for (let b = 0; b < batch; b++) {
    const shown = dice.shuffle(all).slice(0, pairs);
    const meant = shown.map(() => dice.below(values));
    for (const [t, k] of shown.entries()) {
      key[t * batch + b] = k;
      value[t * batch + b] = meant[t] as number;
    }
    for (const [t, k] of dice.shuffle(shown).entries()) {
      key[(pairs + t) * batch + b] = k;
      targets[t * batch + b] = meant[shown.indexOf(k)] as number;
    }
  }
  const shape = [2 * pairs, batch];
  return { xs: cat([oneHot(key, shape, keys), oneHot(value, shape, values)], -1), targets: tensor(targets) };
}
