/** What long short-term memory was first shown to do. */

import { noGrad } from "../../src/autodiff/tape.ts";
import { LSTM1997 } from "../../src/cells/gated/lstm-1997.ts";
import { crossEntropy } from "../../src/nn/losses.ts";
import { mul } from "../../src/ops/arithmetic.ts";
import { reshape } from "../../src/ops/broadcast.ts";
import { argmax, mean } from "../../src/ops/reduce.ts";
import type { Recurrence } from "../../src/recurrence/recurrence.ts";
import { LSTMCell, RNNCell } from "../../src/recurrence/rnn-cells.ts";
import type { State } from "../../src/recurrence/state.ts";
import { scope, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { addingError } from "../adding.ts";
import { type Experiment, experiment, type Run, share } from "../experiment.ts";
import { Net, setGateBiases } from "../net.ts";
import { stringsNeeded } from "../reber.ts";
import { streams } from "../tasks/dice.ts";
import { lagBatch } from "../tasks/lag.ts";
import { ORDER, orderBatch } from "../tasks/order.ts";
import { REBER_SYMBOLS } from "../tasks/reber.ts";
import { train } from "../training.ts";

const K = REBER_SYMBOLS.length;

// ---- Embedded Reber grammar ----

function reberRun(run: Run) {
  const { weights } = streams(run.seed);
  const cell = new LSTM1997({
    inputSize: K,
    blocks: 8,
    squashing: "tanh",
    inputGateBias: -1,
    outputGateBias: -1,
    bound: 0.2,
    generator: weights,
  });
  const net = new Net(cell, K, weights);
  return stringsNeeded(run, net, run.short ? 1500 : 12000);
}

function addingRun(run: Run) {
  const { weights } = streams(run.seed);
  const lstm = new LSTMCell({ inputSize: 2, hiddenSize: 8, generator: weights });
  setGateBiases(lstm, { f: 1 });
  const rnn = new RNNCell({ inputSize: 2, hiddenSize: 8, generator: weights });
  const steps = run.short ? 20 : 100;
  const updates = run.short ? 1500 : 8000;
  const setting = { steps, updates, decay: { every: run.short ? 600 : 1500, factor: 0.5 } };
  return {
    lstm: addingError(run, lstm, { ...setting, lr: run.short ? 2e-2 : run.rate("lstm"), part: [0, 0.7] }),
    rnn: addingError(run, rnn, { ...setting, lr: run.rate("rnn"), ...(run.short && { updates: 100 }), part: [0.7, 1] }),
  };
}

/** The share of 1,000 fresh sequences that are put into the right class. */
function orderAccuracy<S extends State>(run: Run, cell: Recurrence<S>, lr: number, part: readonly [number, number]): number {
  const { weights, training, test } = streams(run.seed);
  const net = new Net(cell, ORDER.classes, weights);
  const places = run.short ? ({ steps: 15, first: [1, 4], second: [8, 12] } as const) : {};
  train(run, {
    parameters: net.parameters,
    updates: run.short ? 400 : 1500,
    lr,
    clip: 1,
    part,
    loss: () => {
      const { xs, targets } = orderBatch(training, { batch: 32, ...places });
      return crossEntropy(net.final(xs), targets);
    },
  });
  const { xs, targets } = orderBatch(test, { batch: 1000, ...places });
  const said = scope(() => noGrad(() => Array.from(argmax(net.final(xs), { axis: 1 }).data())));
  return said.filter((c, b) => c === targets.data()[b]).length / said.length;
}

function orderRun(run: Run) {
  const { weights } = streams(run.seed);
  const sizes = { inputSize: ORDER.symbols, generator: weights };
  const lstm = new LSTM1997({ ...sizes, blocks: 4, squashing: "tanh", inputGateBias: -1 });
  const rnn = new RNNCell({ ...sizes, hiddenSize: 4 });
  const rate = (system: string) => (run.short ? 2e-2 : run.rate(system));
  return { lstm: orderAccuracy(run, lstm, rate("lstm"), [0, 0.8]), rnn: orderAccuracy(run, rnn, rate("rnn"), [0.8, 1]) };
}

function lagRun(run: Run) {
  const { weights, training, test } = streams(run.seed);
  const p = run.short ? 10 : 50;
  const cell = new LSTMCell({ inputSize: p + 1, hiddenSize: 16, generator: weights });
  setGateBiases(cell, { f: 5 });
  const net = new Net(cell, p + 1, weights);
  const weight = tensor(
    Float32Array.from({ length: p }, (_, t) => (t === p - 1 ? 100 : 1)),
    { shape: [p] },
  );
  const logits = (xs: Tensor) => reshape(net.run(xs)[0], [-1, p + 1]);
  // Enough when two hundred sequences in a row were told: their losses, in which the last step weighs 100, are near zero.
  const most = run.short ? 800 : 8000;
  let [seen, told] = [most, 0];
  const enough = (update: number, loss: number) => {
    told = loss < 0.05 ? told + 1 : 0;
    if (told >= 200) seen = update + 1;
    return told >= 200;
  };
  train(run, {
    parameters: net.parameters,
    updates: most,
    lr: run.short ? 2e-2 : 5e-3,
    clip: 1,
    after: enough,
    loss: () => {
      const { xs, targets } = lagBatch(training, p, 1);
      return mean(mul(crossEntropy(logits(xs), targets, { reduction: "none" }), weight));
    },
  });
  const { xs, targets } = lagBatch(test, p, 100);
  const said = scope(() => noGrad(() => Array.from(argmax(logits(xs), { axis: 1 }).data())));
  const right = said.map((c, k) => c === targets.data()[k]);
  return { sequences: seen, last: share(right.slice(-100)), others: share(right.slice(0, -100)) };
}

const PAPER = "Hochreiter and Schmidhuber (1997), Long short-term memory";

export const lstm1997: readonly Experiment[] = [
  experiment({
    name: "lstm-1997-embedded-reber",
    system: "LSTM of 1997: no forget gate",
    file: "src/cells/gated/lstm-1997.ts",
    paper: PAPER,
    task: "embedded Reber grammar, string by string; 8 cells, gate biases −1, Adam 1e-2, clipped at 5; until 200 fresh strings are predicted without an error, tried every 500",
    reported:
      "table 1, means of 30 runs: 3 blocks of 2 cells, or 4 of 1, succeed in 97 to 100 % of the runs after 8,440 to 39,740 strings, by learning rate; quoted there: RTRL in some fraction of the runs after 25,000 (12 units) or 173,000 (3), recurrent cascade correlation in 50 % after 182,000, Elman nets in none after 200,000",
    claim: "200 of 200 fresh strings right after at most 12,000",
    figures: { strings: "strings until 200 fresh ones are right", share: "share of them right at the end" },
    seeds: 20,
    run: reberRun,
    claims: [{ rate: 0.8, holds: ({ share }) => share === 1 }],
    learns: ({ share }) => share >= 0.4,
  }),
  experiment({
    name: "lstm-1997-adding",
    system: "LSTM, with forget gate",
    file: "src/recurrence/rnn-cells.ts",
    paper: PAPER,
    task: "adding, 100 steps, values on [−1, 1], 8 cells, batch 32, 8,000 updates with Adam, its rate halved every 1,500, clipped at 1",
    reported:
      "table 7: T = 100 learned after 74,000 sequences; 1 of 2,560 test sequences off by more than 0.04, targets being scaled to [0, 1]",
    claim: "mean squared error at most 0.01, and a tanh network's of the same size at least 0.03 (a constant: 0.667)",
    figures: { lstm: "LSTM", rnn: "tanh network" },
    tuning: { grid: [1e-3, 5e-3, 2e-2], seeds: [0], updates: 8000, better: "lower", rates: { lstm: 5e-3, rnn: 5e-3 } },
    run: addingRun,
    claims: [{ rate: 0.8, holds: ({ lstm, rnn }) => lstm <= 0.01 && rnn >= 0.03 }],
    learns: ({ lstm }) => lstm <= 0.2,
  }),
  experiment({
    name: "lstm-1997-temporal-order",
    system: "LSTM of 1997: no forget gate",
    file: "src/cells/gated/lstm-1997.ts",
    paper: PAPER,
    task: "two symbols X or Y among distractors, 50 steps; name the pair in order; 4 cells, input gate bias −1, batch 32, 1,500 updates with Adam, clipped at 1",
    reported: "table 9, task 6a, 100 to 110 steps: learned after 31,390 sequences",
    claim: "accuracy at least 99 % on 1,000 fresh sequences (chance: 25 %); a tanh network of the same size is shown beside it",
    figures: { lstm: "accuracy, LSTM", rnn: "accuracy, tanh network" },
    tuning: { grid: [1e-3, 5e-3, 2e-2], updates: 1500, better: "higher", rates: { lstm: 5e-3, rnn: 5e-3 } },
    run: orderRun,
    claims: [{ rate: 0.8, holds: ({ lstm }) => lstm >= 0.99 }],
    learns: ({ lstm }) => lstm >= 0.7,
  }),
  experiment({
    name: "lstm-1997-long-lag",
    system: "LSTM, with forget gate",
    file: "src/recurrence/rnn-cells.ts",
    paper: PAPER,
    task: "x or y, then 49 symbols that are always the same, then the first one again; predict each next symbol; 16 cells, forget bias 5, Adam 5e-3, until 200 sequences in a row are told, at most 8,000; the last step weighs 100",
    reported: "table 2, lag 100: 18 of 18 runs successful after 5,040 sequences; backpropagation through time 0 of 18",
    claim: "the last symbol is right in all of 100 fresh sequences",
    figures: { sequences: "sequences", last: "accuracy, last symbol", others: "accuracy, other symbols" },
    seeds: 20,
    run: lagRun,
    remarks: "At 2e-2 six nets of twenty never find the lag, and stay at chance on the last symbol.",
    claims: [{ rate: 0.9, holds: ({ last }) => last === 1 }],
    learns: ({ last }) => last === 1,
  }),
];
