/** Gradients that vanish, measured; gradients that explode, and are clipped. */

import { backward } from "../../src/autodiff/backward.ts";
import { IndRNN } from "../../src/cells/diagonal/ind-rnn.ts";
import { influenceChart, type StateInfluence, stateInfluence } from "../../src/insight/index.ts";
import { mseLoss } from "../../src/nn/losses.ts";
import { orthonormalRows } from "../../src/numerics/matrix.ts";
import { clipGradNorm } from "../../src/optim/clip.ts";
import { SGD } from "../../src/optim/sgd.ts";
import type { Recurrence } from "../../src/recurrence/recurrence.ts";
import { LSTMCell, RNNCell } from "../../src/recurrence/rnn-cells.ts";
import type { State } from "../../src/recurrence/state.ts";
import type { Generator } from "../../src/tensor/random.ts";
import { assign, scope } from "../../src/tensor/tensor.ts";
import { type Experiment, experiment, type Run } from "../experiment.ts";
import { Net, setGateBiases } from "../net.ts";
import { addingBatch } from "../tasks/adding.ts";
import { streams } from "../tasks/dice.ts";

/** A tanh cell whose recurrent weights are ρ times a random orthogonal matrix. */
function scaled(inputSize: number, hiddenSize: number, rho: number, generator: Generator): RNNCell {
  const cell = new RNNCell({ inputSize, hiddenSize, generator });
  const drawn = generator.normal([hiddenSize, hiddenSize], 0, 1, "float64").toArray() as number[][];
  assign(
    cell.weightHh,
    Float32Array.from(orthonormalRows(drawn).rows.flat(), (v) => rho * v),
  );
  return cell;
}

function forgetting(bias: number, hiddenSize: number, generator: Generator): LSTMCell {
  const cell = new LSTMCell({ inputSize: 2, hiddenSize, generator });
  setGateBiases(cell, { f: bias });
  return cell;
}

/** Steps after which at most 1/e is left; all of them where more is left throughout. */
const horizonOf = ({ horizon, spectral }: StateInfluence): number => horizon ?? spectral.length - 1;

function measured(run: Run) {
  const { weights: generator, test } = streams(run.seed);
  const [T, H] = run.short ? [40, 8] : [100, 32];
  const xs = test.generator.normal([T, 1, 2], 0, 0.5);
  const of = (cell: unknown): StateInfluence => stateInfluence(cell as Recurrence<State>, xs);
  const influences = {
    "tanh network": of(new RNNCell({ inputSize: 2, hiddenSize: H, generator })),
    "tanh, orthogonal W": of(scaled(2, H, 1, generator)),
    "LSTM, forget bias 1": of(forgetting(1, H, generator)),
    "LSTM, forget bias 5": of(forgetting(5, H, generator)),
    IndRNN: of(new IndRNN({ inputSize: 2, hiddenSize: H, activation: "tanh", recurrentRange: [0.99, 1], generator })),
  };
  run.picture("vanishing", influenceChart(influences, { title: "What is left of a change of the state" }));
  const [tanh, orthogonal, one, five, ind] = Object.values(influences).map(horizonOf) as [number, number, number, number, number];
  return { tanh, orthogonal, one, five, ind };
}

/** SGD on the adding problem by the mean squared error; the first loss, the greatest after it, and the mean of the last tenth. */
function added(run: Run, clip: number | null, part: readonly [number, number]) {
  const { weights, training } = streams(run.seed);
  const updates = run.short ? 60 : 300;
  const net = new Net(scaled(2, 32, 1.5, weights), 1, weights);
  const optimizer = new SGD(net.parameters, { lr: 0.1 });
  const losses = Array.from({ length: updates }, (_, update) =>
    scope(() => {
      const { xs, targets } = addingBatch(training.generator, { steps: 50, batch: 16 });
      const loss = mseLoss(net.final(xs), targets);
      optimizer.zeroGrad();
      backward(loss);
      if (clip !== null) clipGradNorm(net.parameters, clip);
      optimizer.step();
      run.progress(part[0] + ((part[1] - part[0]) * (update + 1)) / updates, loss.item());
      return loss.item();
    }),
  );
  const tail = losses.slice(-Math.ceil(updates / 10));
  const finite = losses.every(Number.isFinite);
  // What is no number any more counts as a loss of a million, so that figures are numbers.
  const held = losses.map((l) => (Number.isFinite(l) ? Math.min(l, 1e6) : 1e6));
  return { finite, worst: Math.max(...held) / (held[0] as number), last: finite ? tail.reduce((a, b) => a + b, 0) / tail.length : 1e6 };
}

function exploded(run: Run) {
  const [free, clipped] = [added(run, null, [0, 0.5]), added(run, 1, [0.5, 1])];
  return { free: free.worst, clipped: clipped.worst, freeLast: free.last, clippedLast: clipped.last };
}

export const gradientExperiments: readonly Experiment[] = [
  experiment({
    name: "gradients-vanish",
    system: "what is left of a change of the state",
    file: "src/insight/gradient-norms.ts",
    paper:
      "Hochreiter 1991, Untersuchungen zu dynamischen neuronalen Netzen; Bengio, Simard, Frasconi 1994, Learning long-term dependencies with gradient descent is difficult",
    task: "untrained networks of 32 units over 100 steps of normal noise (0.5): steps until the spectral norm of ∂s_T/∂s_{T−k} is 1/e",
    reported:
      "gradients of tanh networks fall exponentially with the distance; constant error flow keeps them; no number for this measurement",
    claim:
      "tanh network at most 5 steps, LSTM with forget bias 5 at least 90 and more than with bias 1, which is more than the tanh network",
    figures: {
      tanh: "steps, tanh network with PyTorch's weights",
      orthogonal: "steps, tanh network with orthogonal weights",
      one: "steps, LSTM with forget bias 1",
      five: "steps, LSTM with forget bias 5",
      ind: "steps, IndRNN of tanh units with u in [0.99, 1]",
    },
    seeds: 10,
    run: measured,
    claims: [{ rate: 0.9, holds: ({ tanh, one, five }) => tanh <= 5 && five >= 90 && five > one && one > tanh }],
    learns: ({ tanh, five }) => tanh <= 5 && five > tanh,
  }),
  experiment({
    name: "gradients-explode",
    system: "gradient clipping",
    file: "src/optim/clip.ts",
    paper: "Pascanu, Mikolov, Bengio 2013, On the difficulty of training recurrent neural networks",
    task: "adding, 50 steps; tanh network of 32 units with recurrent weights 1.5 times orthogonal, 300 updates of SGD 0.1, batch 16, with and without clipping at norm 1",
    reported: "clipping the norm lets networks train where they diverge without; no number for this task",
    claim: "without clipping the loss rises to ten times the first or is no number; with clipping it never does, and ends below 0.4",
    figures: {
      free: "greatest loss over the first, no clipping",
      clipped: "greatest loss over the first, norm 1",
      freeLast: "mean squared error at the end, no clipping (10⁶: no number)",
      clippedLast: "mean squared error at the end, norm 1",
    },
    seeds: 20,
    run: exploded,
    claims: [
      { what: "diverges without", rate: 0.6, holds: ({ free }) => free > 10 },
      { what: "trains with", rate: 0.9, holds: ({ clipped, clippedLast }) => clipped <= 10 && clippedLast <= 0.4 },
    ],
    learns: ({ clipped }) => clipped <= 10,
  }),
];
