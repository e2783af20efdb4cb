/** Temporal order: which of X and Y came first and which second, far apart and among distractors. */

import { type Tensor, tensor } from "../../src/tensor/tensor.ts";
import type { Dice } from "./dice.ts";
import { oneHot } from "./one-hot.ts";

export const ORDER = { symbols: 8, classes: 4 } as const;

export interface OrderBatch {
  /** B, distractors with an X or Y at two places, E: unit vectors [T,B,8]. */
  readonly xs: Tensor;
  /** XX, XY, YX or YY, int32 [B]; asked for after the last step. */
  readonly targets: Tensor;
}

export interface OrderOptions {
  readonly batch: number;
  /** T (default 50). */
  readonly steps?: number;
  /** Where the first and the second lie, both ends included (default 3 to 12 and 25 to 40). */
  readonly first?: readonly [number, number];
  readonly second?: readonly [number, number];
}

const [BEGIN, END, X, DISTRACTOR] = [0, 1, 2, 4];

/** @see Hochreiter and Schmidhuber, "Long short-term memory", 1997, section 5.6, task 6a: T from 100 to 110, places 10 to 20 and 50 to 60 */
export function orderBatch(dice: Dice, { batch, steps = 50, first = [3, 12], second = [25, 40] }: OrderOptions): OrderBatch {
  const codes = Int32Array.from({ length: steps * batch }, () => DISTRACTOR + dice.below(4));
  codes.fill(BEGIN, 0, batch);
  codes.fill(END, (steps - 1) * batch);
  const classes = Array.from({ length: batch }, (_, b) => {
    const marks = [first, second].map(([low, high]) => ({ t: dice.between(low, high), y: dice.below(2) }));
    for (const { t, y } of marks) codes[t * batch + b] = X + y;
    return marks.reduce((total, { y }) => 2 * total + y, 0);
  });
  return { xs: oneHot(codes, [steps, batch], ORDER.symbols), targets: tensor(classes, { dtype: "int32" }) };
}
