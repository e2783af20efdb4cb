/** Gated recurrent units in both forms, with fewer gates, and as mutations of each other, on one task. */

import { noGrad } from "../../src/autodiff/tape.ts";
import { GRU1, GRU2, GRU3 } from "../../src/cells/gated/gate-variants.ts";
import type { HiddenCellOptions } from "../../src/cells/gated/hidden-cell.ts";
import { MGU } from "../../src/cells/gated/mgu.ts";
import { MUT1, MUT2, MUT3 } from "../../src/cells/gated/mut.ts";
import type { Parameter } from "../../src/nn/module.ts";
import type { Recurrence } from "../../src/recurrence/recurrence.ts";
import { GRUCell } from "../../src/recurrence/rnn-cells.ts";
import { assign, scope, type Tensor } from "../../src/tensor/tensor.ts";
import { addingError } from "../adding.ts";
import { type Experiment, experiment, type Figures, type Run } from "../experiment.ts";
import { Net } from "../net.ts";
import { COPY, copyBaseline, copyBatch, copyingLoss } from "../tasks/copying.ts";
import { streams } from "../tasks/dice.ts";
import { train } from "../training.ts";

type System = "gru" | "gruBefore" | "mgu" | "mut1" | "mut2" | "mut3" | "gru1" | "gru2" | "gru3";

/** A cell and, where it has one, the bias that says how much is kept: its block and the sign that means keeping. */
type Maker = (options: HiddenCellOptions) => { cell: Recurrence<Tensor>; keep?: { bias: Parameter; block: number; sign: number } };

const taking = <C extends Recurrence<Tensor> & { bias: Parameter }>(cell: C, block: number) => ({
  cell,
  keep: { bias: cell.bias, block, sign: -1 },
});
const keeping = (cell: GRUCell) => ({ cell, keep: { bias: cell.biasIh as Parameter, block: 1, sign: 1 } });

const SYSTEMS: Readonly<Record<System, Maker>> = {
  gru: (options) => keeping(new GRUCell(options)),
  gruBefore: (options) => keeping(new GRUCell({ ...options, resetAfter: false })),
  mgu: (options) => taking(new MGU(options), 0),
  mut1: (options) => taking(new MUT1(options), 0),
  mut2: (options) => taking(new MUT2(options), 0),
  mut3: (options) => taking(new MUT3(options), 0),
  gru1: (options) => taking(new GRU1(options), 1),
  gru2: (options) => ({ cell: new GRU2(options) }),
  gru3: (options) => taking(new GRU3(options), 1),
};
const NAMES = Object.keys(SYSTEMS) as System[];

/** A cell whose update gate is biased to keep the old state. */
function makeCell(name: System, options: HiddenCellOptions, toKeep = 1): Recurrence<Tensor> {
  const { cell, keep } = SYSTEMS[name](options);
  if (keep !== undefined) {
    const H = options.hiddenSize;
    const shifted = keep.bias.data().map((b, k) => b + (Math.floor(k / H) === keep.block ? keep.sign * toKeep : 0));
    assign(keep.bias, shifted);
  }
  return cell;
}

function addingRun(run: Run): Figures<System> {
  const setting = run.short
    ? ({ steps: 12, updates: 120, lr: 2e-2, range: [0, 1] } as const)
    : ({ steps: 50, updates: 2500, lr: 5e-3, range: [0, 1] } as const);
  const of = (name: System, i: number): [string, number] => {
    const cell = makeCell(name, { inputSize: 2, hiddenSize: 24, generator: streams(run.seed).weights });
    return [name, addingError(run, cell, { ...setting, part: [i / NAMES.length, (i + 1) / NAMES.length] })];
  };
  return Object.fromEntries(NAMES.map(of)) as Figures<System>;
}

const GOOD: readonly System[] = ["gru", "gruBefore", "mgu", "mut1", "mut2", "mut3", "gru1"];

/** Cross-entropy on fresh sequences, as a part of what whoever remembers nothing leaves. */
function copyRun(run: Run) {
  const { weights, training, test } = streams(run.seed);
  const delay = run.short ? 1 : 30;
  const net = new Net(makeCell("gru", { inputSize: COPY.symbols, hiddenSize: 64, generator: weights }, 3), COPY.classes, weights);
  train(run, {
    parameters: net.parameters,
    updates: run.short ? 300 : 5000,
    lr: run.short ? 1e-2 : 6e-3,
    clip: 1,
    loss: () => {
      const batch = copyBatch(training.generator, { delay, batch: 32 });
      return copyingLoss(net.run(batch.xs)[0], batch);
    },
  });
  const batch = copyBatch(test.generator, { delay, batch: 500 });
  const loss = scope(() => noGrad(() => copyingLoss(net.run(batch.xs)[0], batch).item()));
  return { loss, ratio: loss / copyBaseline(delay) };
}

const MEANINGS: Readonly<Record<System, string>> = {
  gru: "GRU, reset after",
  gruBefore: "GRU, reset before",
  mgu: "MGU",
  mut1: "MUT1",
  mut2: "MUT2",
  mut3: "MUT3",
  gru1: "GRU1",
  gru2: "GRU2",
  gru3: "GRU3",
};

export const gruFamily: readonly Experiment[] = [
  experiment({
    name: "gru-family-adding",
    system: "GRU in both reset forms, MGU, MUT1 to MUT3, GRU1 to GRU3",
    file: "src/recurrence/rnn-cells.ts, src/cells/gated/mgu.ts, src/cells/gated/mut.ts, src/cells/gated/gate-variants.ts",
    paper:
      "Cho et al. (2014), Learning phrase representations using RNN encoder-decoder; Zhou et al. (2016), Minimal gated unit; Jozefowicz, Zaremba and Sutskever (2015), An empirical exploration of recurrent network architectures; Dey and Salem (2017), Gate-variants of GRU",
    task: "adding, 50 steps, values on [0, 1], 24 units, batch 32, 2,500 updates with Adam 5e-3, clipped at 1, update gates biased by 1 to keep; a constant leaves 0.167",
    reported:
      "arithmetic accuracy: tanh 0.295, GRU 0.896, MUT1 0.921, MUT2 0.897, MUT3 0.907; MGU comparable to GRU; GRU1 and GRU2 near GRU, GRU3 worse unless its rate is tuned",
    claim: "mean squared error at most 0.01 for all but GRU2 and GRU3, which are shown beside them",
    figures: MEANINGS,
    seeds: 5,
    run: addingRun,
    claims: GOOD.map((name) => ({ what: MEANINGS[name], rate: 0.6, holds: (figures: Figures<System>) => figures[name] <= 0.01 })),
    learns: (figures) => GOOD.every((name) => figures[name] < 0.15),
  }),
  experiment({
    name: "gru-copying",
    system: "GRU",
    file: "src/recurrence/rnn-cells.ts",
    paper: "Arjovsky, Shah and Bengio (2016), Unitary evolution recurrent neural networks (the task)",
    task: "ten symbols of eight copied after 30 blanks; 64 units, batch 32, 5,000 updates with Adam 6e-3, clipped at 1, update gates biased by 3 to keep",
    reported: "gated units beat a memoryless net only on short delays, and learn slowly",
    claim: "cross-entropy at most half that of a memoryless guess (10 ln 8/50 = 0.416)",
    figures: { loss: "cross-entropy", ratio: "the same, as a fraction of the memoryless optimum" },
    seeds: 5,
    run: copyRun,
    claims: [{ rate: 0.6, holds: ({ ratio }) => ratio <= 0.5 }],
    learns: ({ ratio }) => ratio <= 0.95,
  }),
];
