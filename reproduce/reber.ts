/** How many embedded Reber strings a network has to see. */

import { noGrad } from "../src/autodiff/tape.ts";
import type { GradientAlgorithm } from "../src/learning/index.ts";
import { crossEntropy } from "../src/nn/losses.ts";
import { reshape } from "../src/ops/broadcast.ts";
import type { State } from "../src/recurrence/state.ts";
import { scope, type Tensor } from "../src/tensor/tensor.ts";
import type { Run } from "./experiment.ts";
import type { Net } from "./net.ts";
import { streams } from "./tasks/dice.ts";
import { coins, embeddedReber, legalPredictions, oneHotSymbols, REBER_SYMBOLS, type ReberStep, symbolIds } from "./tasks/reber.ts";
import { train } from "./training.ts";

const K = REBER_SYMBOLS.length;

/** Whether every prediction is legal, the second T or P with them. */
function understood<S extends State>(net: Net<S>, steps: readonly ReberStep[]): boolean {
  return scope(() => noGrad(() => legalPredictions(reshape(net.run(oneHotSymbols([steps]))[0], [steps.length, K]), steps).every(Boolean)));
}

/** A string without its last symbol, which nothing follows. */
function embeddedString(coin: () => boolean): { steps: ReberStep[]; targets: Tensor } {
  const all = [...embeddedReber(coin)];
  return { steps: all.slice(0, -1), targets: symbolIds(all.slice(1)) };
}

export interface StringsOptions {
  readonly lr?: number;
  readonly part?: readonly [number, number];
  /** How the cell's gradient is computed (default: backpropagation through the whole string). */
  readonly gradients?: GradientAlgorithm;
}

/**
 * Trains string by string with Adam, clipped at 5, until 200 fresh strings in a row are understood, tried every 500, or `most` were seen.
 * @returns strings seen, and the share of fresh ones that are understood at the end
 */
export function stringsNeeded<S extends State>(
  run: Run,
  net: Net<S>,
  most: number,
  { lr = 1e-2, part = [0, 1], gradients }: StringsOptions = {},
): { strings: number; share: number } {
  const { training, test } = streams(run.seed);
  const [coin, fresh] = [coins(training.generator), coins(test.generator)];
  const every = 500;
  let [strings, share] = [most, 0];
  train(run, {
    parameters: net.parameters,
    updates: most,
    lr,
    clip: 5,
    part,
    loss: () => {
      const { steps, targets } = embeddedString(coin);
      const [ys] = net.runUnder(gradients, oneHotSymbols([steps]));
      return crossEntropy(reshape(ys, [steps.length, K]), targets);
    },
    after: (update) => {
      if ((update + 1) % every !== 0) return false;
      share = Array.from({ length: 200 }, () => understood(net, embeddedString(fresh).steps)).filter(Boolean).length / 200;
      if (share === 1) strings = update + 1;
      return share === 1;
    },
  });
  return { strings, share };
}
