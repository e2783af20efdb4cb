/** Peepholes count: languages of strings aⁿbⁿ and aⁿbⁿcⁿ beyond those that were trained. */

import { noGrad } from "../../src/autodiff/tape.ts";
import { OdysseyLSTM } from "../../src/cells/gated/lstm-odyssey.ts";
import { normal } from "../../src/nn/init.ts";
import { bceWithLogits } from "../../src/nn/losses.ts";
import { assign, scope } from "../../src/tensor/tensor.ts";
import { type Experiment, experiment, type Run } from "../experiment.ts";
import { Net } from "../net.ts";
import { accepts, countingString, symbolCount } from "../tasks/counting.ts";
import { streams } from "../tasks/dice.ts";
import { train } from "../training.ts";

interface Language {
  readonly letters: number;
  readonly hiddenSize: number;
  readonly updates: number;
  /** How far to look. */
  readonly most: number;
}

/** Counters that forget nothing to begin with. */
const FORGET_BIAS = 5;

/** Trained on n = 1 … 10: the largest n up to which every string is accepted. */
function reach(run: Run, { letters, hiddenSize, updates, most }: Language): number {
  const { weights, training } = streams(run.seed);
  const K = symbolCount(letters);
  const cell = new OdysseyLSTM({ inputSize: K, hiddenSize, forgetBias: FORGET_BIAS, generator: weights });
  assign(
    cell.bias,
    cell.bias.data().map((b, k) => (k < hiddenSize ? -1 : b)),
  );
  const net = new Net(cell, K, weights);
  for (const p of net.head.parameters()) normal(p, { std: 0.1, generator: weights });
  const longest = run.short ? 4 : 10;
  train(run, {
    parameters: net.parameters,
    updates,
    lr: 1e-2,
    clip: 1,
    loss: () => {
      const { xs, targets } = countingString(letters, training.between(1, longest));
      return bceWithLogits(net.run(xs)[0], targets, { reduction: "sum" });
    },
  });
  const accepted = (n: number) => {
    const string = countingString(letters, n);
    return scope(() => noGrad(() => accepts(net.run(string.xs)[0], string)));
  };
  let n = 0;
  while (n < most && accepted(n + 1)) n++;
  return n;
}

const PAPER = "Gers and Schmidhuber (2001), LSTM recurrent networks learn simple context-free and context-sensitive languages";

export const lstmCounting: readonly Experiment[] = [
  experiment({
    name: "lstm-peephole-anbn",
    system: "LSTM with peepholes",
    file: "src/cells/gated/lstm-odyssey.ts",
    paper: PAPER,
    task: "name the symbols that may follow in S aⁿbⁿ T; 2 cells, forget bias 5, n = 1 to 10, 4,000 strings one by one with Adam 1e-2, clipped at 1",
    reported: "trained on 1 to 10, generalises to n = 1 to 118 on average and to 1,000 at best",
    claim: "every n up to 50 is accepted",
    figures: { reach: "largest n up to which all are accepted (500 tried)" },
    remarks:
      "On seeds 0 to 9 seven of ten nets count to 50 with a forget bias of 5, and six with 1, whose counters leak at first. With 1 and a rate falling from 1e-2 it was five.",
    run: (run) => ({ reach: reach(run, { letters: 2, hiddenSize: 2, updates: run.short ? 1500 : 4000, most: run.short ? 20 : 500 }) }),
    claims: [{ rate: 0.8, holds: ({ reach }) => reach >= 50 }],
    learns: ({ reach }) => reach >= 4,
  }),
  experiment({
    name: "lstm-peephole-anbncn",
    system: "LSTM with peepholes",
    file: "src/cells/gated/lstm-odyssey.ts",
    paper: PAPER,
    task: "name the symbols that may follow in S aⁿbⁿcⁿ T; 3 cells, forget bias 5, n = 1 to 10, 8,000 strings one by one with Adam 1e-2, clipped at 1",
    reported: "trained on 1 to 40, generalises to n = 1 to 500 at best",
    claim: "every n up to 15 is accepted",
    figures: { reach: "largest n up to which all are accepted (500 tried)" },
    run: (run) => ({ reach: reach(run, { letters: 3, hiddenSize: 3, updates: run.short ? 2500 : 8000, most: run.short ? 20 : 500 }) }),
    claims: [{ rate: 0.8, holds: ({ reach }) => reach >= 15 }],
    learns: ({ reach }) => reach >= 3,
  }),
];
