/** The LSTM and its eight variants on one task. */

import { OdysseyLSTM, type OdysseyVariant, odysseyVariants } from "../../src/cells/gated/lstm-odyssey.ts";
import { addingError } from "../adding.ts";
import { type Experiment, experiment, type Figures, type Run } from "../experiment.ts";
import { streams } from "../tasks/dice.ts";

const VARIANTS = Object.keys(odysseyVariants) as OdysseyVariant[];

function odysseyRun(run: Run): Figures<OdysseyVariant> {
  const { weights } = streams(run.seed);
  const setting = { steps: run.short ? 10 : 50, updates: run.short ? 60 : 1500, lr: run.short ? 2e-2 : 5e-3 };
  const of = (variant: OdysseyVariant, i: number): [string, number] => {
    const cell = new OdysseyLSTM({ inputSize: 2, hiddenSize: 12, generator: weights, forgetBias: 1, ...odysseyVariants[variant] });
    return [variant, addingError(run, cell, { ...setting, part: [i / VARIANTS.length, (i + 1) / VARIANTS.length] })];
  };
  return Object.fromEntries(VARIANTS.map(of)) as Figures<OdysseyVariant>;
}

function odysseyHolds(figures: Figures<OdysseyVariant>): boolean {
  const ranked = [...VARIANTS].sort((a, b) => figures[a] - figures[b]);
  const learned = VARIANTS.every((name) => figures[name] < 0.04);
  return learned && ranked.indexOf("NIG") >= VARIANTS.length - 2 && figures.CIFG <= 1.5 * figures.V;
}

const MEANINGS: Readonly<Record<OdysseyVariant, string>> = {
  V: "vanilla",
  NIG: "no input gate",
  NFG: "no forget gate",
  NOG: "no output gate",
  NIAF: "linear input activation",
  NOAF: "linear output activation",
  CIFG: "coupled gates",
  NP: "no peepholes",
  FGR: "full gate recurrence",
};

export const lstmOdyssey: readonly Experiment[] = [
  experiment({
    name: "lstm-odyssey-variants",
    system: "LSTM with peepholes and its eight variants",
    file: "src/cells/gated/lstm-odyssey.ts",
    paper: "Greff, Srivastava, Koutník, Steunebrink and Schmidhuber (2017), LSTM: a search space odyssey",
    task: "adding, 50 steps, values on [−1, 1], 12 cells, batch 32, 1,500 updates with Adam 5e-3, clipped at 1; mean squared error, a constant leaves 0.667",
    reported:
      "no variant is significantly better than vanilla; without forget gate or output activation it is worse on speech, handwriting and music; coupling the gates costs nothing",
    claim: "all below 0.04, no input gate among the two worst, coupled gates at most 1.5 times vanilla",
    figures: MEANINGS,
    remarks: "All variants were trained at one rate, which was tuned for none of them.",
    seeds: 5,
    run: odysseyRun,
    claims: [{ rate: 0.6, holds: odysseyHolds }],
    learns: (figures) => VARIANTS.every((name) => figures[name] < 0.6),
  }),
];
