/** Units that see only their own past: adding over hundreds of steps, and six layers deep. */

import { DeepIndRNN, ResidualIndRNN } from "../../src/cells/diagonal/deep-ind-rnn.ts";
import { clipRecurrentWeights } from "../../src/cells/diagonal/ind-rnn.ts";
import { RNNCell } from "../../src/recurrence/rnn-cells.ts";
import { addingError } from "../adding.ts";
import { type Experiment, experiment, type Run } from "../experiment.ts";
import { streams } from "../tasks/dice.ts";

const PAPER = "Li, Li, Cook, Zhu, Gao 2018, Independently recurrent neural network (IndRNN): building a longer and deeper RNN";
const RANGE = [0, 1] as const;

interface AddingPlan {
  readonly steps: number;
  readonly updates: number;
  /** Standard deviation of the first input weights. */
  readonly weightStd: number;
}

/** IndRNN in two layers of 40, and a tanh network of 40 units. */
function addingRun(run: Run, { steps, updates, weightStd }: AddingPlan) {
  const { weights: generator } = streams(run.seed);
  const bound = 2 ** (1 / steps);
  const recurrent = { recurrentRange: [0, bound], lastRecurrentRange: [0.1 ** (1 / steps), bound] } as const;
  const net = new DeepIndRNN({ inputSize: 2, hiddenSize: 40, layers: 2, ...recurrent, weightStd, generator });
  const plain = new RNNCell({ inputSize: 2, hiddenSize: 40, generator });
  const setting = { steps, range: RANGE, updates, decay: { every: Math.ceil(updates / 3), factor: 0.4 } };
  const after = () => clipRecurrentWeights(net, { steps });
  return {
    indrnn: addingError(run, net, { ...setting, lr: run.short ? 4e-3 : run.rate("indrnn"), part: [0, 0.6], after }),
    rnn: addingError(run, plain, { ...setting, lr: run.rate("rnn"), ...(run.short && { updates: 50 }), part: [0.6, 1] }),
  };
}

function residualRun(run: Run) {
  const [steps, updates] = run.short ? [20, 150] : [60, 800];
  const { weights: generator } = streams(run.seed);
  const recurrentRange = [0, 2 ** (1 / steps)] as const;
  const net = new ResidualIndRNN({ inputSize: 2, hiddenSize: 32, blocks: 3, recurrentRange, generator });
  const setting = { steps, range: RANGE, updates, lr: 2e-3, decay: { every: Math.ceil(updates / 3), factor: 0.5 } };
  return { residual: addingError(run, net, { ...setting, part: [0, 1], after: () => clipRecurrentWeights(net, { steps }) }) };
}

export const indRNN: readonly Experiment[] = [
  experiment({
    name: "ind-rnn-adding-100",
    system: "IndRNN",
    file: "src/cells/diagonal/ind-rnn.ts",
    paper: PAPER,
    task: "adding, 100 steps, values on [0, 1]; 2 layers of 40 units, batch 32, 1,000 updates with Adam, its rate falling; |u| ≤ 2^(1/100)",
    reported: "figure 2a: mean squared error about 0 at T = 100, where tanh RNN stays at that of a constant, 0.167",
    claim: "mean squared error at most 0.005, and a tanh network's at least 0.1",
    figures: { indrnn: "IndRNN", rnn: "tanh network" },
    tuning: { grid: [1e-3, 4e-3, 1e-2, 3e-2], updates: 1000, better: "lower", rates: { indrnn: 1e-2, rnn: 1e-2 } },
    run: (run) => addingRun(run, run.short ? { steps: 20, updates: 200, weightStd: 0.1 } : { steps: 100, updates: 1000, weightStd: 0.1 }),
    claims: [{ rate: 0.8, holds: ({ indrnn, rnn }) => indrnn <= 0.005 && rnn >= 0.1 }],
    learns: ({ indrnn }) => indrnn <= 0.1,
  }),
  experiment({
    name: "ind-rnn-adding-500",
    system: "IndRNN",
    file: "src/cells/diagonal/ind-rnn.ts",
    paper: PAPER,
    task: "adding, 500 steps, values on [0, 1]; 2 layers of 40 units, batch 32, 1,500 updates with Adam, its rate falling; |u| ≤ 2^(1/500)",
    reported: "figure 2b: mean squared error about 0 at T = 500; abstract: sequences of over 5,000 steps",
    claim: "mean squared error at most 0.02, and a tanh network's at least 0.15",
    figures: { indrnn: "IndRNN", rnn: "tanh network" },
    tuning: { grid: [5e-4, 2e-3, 5e-3], seeds: [0], updates: 1500, better: "lower", rates: { indrnn: 2e-3, rnn: 5e-4 } },
    run: (run) => addingRun(run, run.short ? { steps: 50, updates: 250, weightStd: 0.1 } : { steps: 500, updates: 1500, weightStd: 0.03 }),
    claims: [{ rate: 0.6, holds: ({ indrnn, rnn }) => indrnn <= 0.02 && rnn >= 0.15 }],
    learns: ({ indrnn }) => indrnn <= 0.1,
  }),
  experiment({
    name: "ind-rnn-residual",
    system: "residual IndRNN",
    file: "src/cells/diagonal/deep-ind-rnn.ts",
    paper: PAPER,
    task: "adding, 60 steps, values on [0, 1]; 3 residual blocks of 2 layers of 32 units, batch 32, 800 updates with Adam 2e-3, falling",
    reported:
      "section 4: residual IndRNNs of up to 21 layers can be trained, in language modelling; deep stacks of tanh units or LSTMs cannot",
    claim: "mean squared error at most 0.02 (a constant: 0.167)",
    figures: { residual: "mean squared error" },
    run: residualRun,
    claims: [{ rate: 0.8, holds: ({ residual }) => residual <= 0.02 }],
    learns: ({ residual }) => residual <= 0.1,
  }),
];
