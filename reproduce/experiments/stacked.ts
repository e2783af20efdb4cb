/** Stacks of LSTM layers on the embedded Reber grammar. */

import type { LstmState } from "../../src/recurrence/kinds.ts";
import { LSTMCell } from "../../src/recurrence/rnn-cells.ts";
import { StackedRNN, type StackedRNNOptions } from "../../src/wrappers/stacked.ts";
import { type Experiment, experiment, type Run } from "../experiment.ts";
import { Net } from "../net.ts";
import { stringsNeeded } from "../reber.ts";
import { streams } from "../tasks/dice.ts";
import { REBER_SYMBOLS } from "../tasks/reber.ts";

const K = REBER_SYMBOLS.length;
const H = 8;

function stack(run: Run, layers: number, options: StackedRNNOptions = {}): Net<readonly LstmState[]> {
  const { weights: generator } = streams(run.seed);
  const below = (l: number) => (l === 0 ? K : H + (options.skip ? K : 0));
  const cells = Array.from({ length: layers }, (_, l) => new LSTMCell({ inputSize: below(l), hiddenSize: H, generator }));
  return new Net(new StackedRNN(cells, options), K, generator);
}

function reberRun(run: Run) {
  const most = run.short ? 1500 : 12000;
  const lr = (system: string) => (run.short ? 1e-2 : run.rate(system));
  const one = stringsNeeded(run, stack(run, 1), most, { lr: lr("one"), part: [0, 0.2] });
  const plain = stringsNeeded(run, stack(run, 3), most, { lr: lr("plain"), part: [0.2, 0.6] });
  const skip = stringsNeeded(run, stack(run, 3, { skip: true }), most, { lr: lr("skip"), part: [0.6, 0.8] });
  const residual = stringsNeeded(run, stack(run, 3, { residual: true }), most, { lr: lr("residual"), part: [0.8, 1] });
  return {
    one: one.strings,
    oneShare: one.share,
    plain: plain.strings,
    plainShare: plain.share,
    skip: skip.strings,
    skipShare: skip.share,
    residual: residual.strings,
    residualShare: residual.share,
  };
}

export const stacked: readonly Experiment[] = [
  experiment({
    name: "stacked-embedded-reber",
    system: "Stacked recurrent network",
    file: "src/wrappers/stacked.ts",
    paper:
      "Graves (2013), Generating sequences with recurrent neural networks; Hermans and Schrauwen (2013), Training and analysing deep recurrent neural networks",
    task: "embedded Reber grammar, string by string; 1 and 3 layers of 8 LSTM cells, Adam, clipped at 5; until 200 fresh strings are predicted without an error, tried every 500",
    reported:
      "depth is used on larger data there, and skip connections make it easier to train deep networks (Graves, section 2); the LSTM of 1997, of one layer, needs 8,440 strings and more",
    claim:
      "3 layers with skip connections, and with residual ones: 200 of 200 fresh strings right after at most 12,000; one layer and the plain stack for comparison",
    figures: {
      one: "strings, 1 layer",
      oneShare: "accuracy in the end",
      plain: "strings, 3 layers",
      plainShare: "accuracy",
      skip: "strings, 3 layers with skip connections",
      skipShare: "accuracy",
      residual: "strings, 3 layers with residual connections",
      residualShare: "accuracy",
    },
    remarks:
      "Where the plain stack fails, it has learned the inner grammar and guesses the second symbol, at an accuracy of 0.4 to 0.5. Forget biases of 1 did not change that on seeds 0 to 4.",
    tuning: {
      grid: [3e-3, 1e-2, 3e-2],
      seeds: [0],
      updates: 12000,
      better: "lower",
      rates: { one: 1e-2, plain: 1e-2, skip: 1e-2, residual: 1e-2 },
    },
    run: reberRun,
    claims: [
      { what: "skip", rate: 0.8, holds: ({ skipShare }) => skipShare === 1 },
      { what: "residual", rate: 0.8, holds: ({ residualShare }) => residualShare === 1 },
    ],
    learns: ({ oneShare, skipShare, residualShare }) => Math.min(oneShare, skipShare, residualShare) >= 0.3,
  }),
];
