/** Exact and truncated gradient algorithms on the tasks that they were shown on. */

import { backward } from "../../src/autodiff/backward.ts";
import { noGrad } from "../../src/autodiff/tape.ts";
import { LSTM1997 } from "../../src/cells/gated/lstm-1997.ts";
import { type GradientAlgorithm, rtrl, truncated } from "../../src/learning/index.ts";
import { bceWithLogits } from "../../src/nn/losses.ts";
import { cast } from "../../src/ops/cast.ts";
import { slice } from "../../src/ops/shape.ts";
import { RNNCell } from "../../src/recurrence/rnn-cells.ts";
import { Generator } from "../../src/tensor/random.ts";
import { assign, keep, scope, type Tensor } from "../../src/tensor/tensor.ts";
import { type Experiment, experiment, type Run } from "../experiment.ts";
import { Net } from "../net.ts";
import { stringsNeeded } from "../reber.ts";
import { DelayedXor } from "../tasks/delayed-xor.ts";
import { Dice, streams } from "../tasks/dice.ts";
import { REBER_SYMBOLS } from "../tasks/reber.ts";
import { train } from "../training.ts";

const XOR = { units: 6, lr: 1e-2 } as const;
const ONLINE = { delay: 2, window: 12, updates: 1000 } as const;
const CUT = { delay: 3, batch: 8, window: 16, updates: 1000 } as const;

interface XorSetting {
  readonly gradients: GradientAlgorithm;
  readonly delay: number;
  readonly batch?: number;
  /** Steps from one update to the next; the state goes on. */
  readonly window: number;
  readonly updates: number;
  readonly part: readonly [number, number];
}

/** Tanh units trained on streams, and the share of 1,000 fresh steps that they answer rightly. */
function learnXor(run: Run, { gradients, delay, batch = 1, window, updates, part }: XorSetting) {
  const { weights, training, test } = streams(run.seed);
  const net = new Net(new RNNCell({ inputSize: 2, hiddenSize: XOR.units, generator: weights }), 1, weights);
  const stream = new DelayedXor(training, { delay, batch });
  let state = keep(net.cell.initialState(batch));
  train(run, {
    parameters: net.parameters,
    updates,
    lr: XOR.lr,
    clip: 1,
    part,
    loss: () => {
      const { xs, targets } = stream.next(window);
      const [ys, last] = net.runUnder(gradients, xs, state);
      state = keep(last.detach());
      return bceWithLogits(ys, targets);
    },
  });
  const { xs, targets } = new DelayedXor(test, { delay }).next(1000 + delay);
  const said = slice(noGrad(() => net.run(xs))[0], 0, delay).data();
  const right = slice(targets, 0, delay).data();
  return { net, accuracy: said.filter((y, t) => y > 0 === (right[t] as number) > 0.5).length / said.length };
}

// ---------------------------------------------------------------- real-time recurrent learning

/**
 * The largest difference of an entry of a cell's gradient by an algorithm from backpropagation's, over the largest entry: in float64, at the
 * weights of a net, on a window of the stream.
 */
function gradientDifference(gradients: GradientAlgorithm, trained: Net<Tensor>, dice: Dice): number {
  const [I, H] = [trained.cell.inputSize, trained.cell.outputSize];
  const wide = { dtype: "float64", generator: new Generator(0) } as const;
  const net = new Net(new RNNCell({ inputSize: I, hiddenSize: H, ...wide }), 1, wide.generator, "float64");
  net.parameters.forEach((p, i) => {
    assign(p, Float64Array.from((trained.parameters[i] as Tensor).data()));
  });
  const { xs, targets } = new DelayedXor(dice, { delay: ONLINE.delay }).next(ONLINE.window);
  const gradient = (by?: GradientAlgorithm): number[] => {
    for (const p of net.parameters) p.grad = null;
    backward(bceWithLogits(net.runUnder(by, cast(xs, "float64"))[0], cast(targets, "float64")));
    return net.cell.parameters().flatMap((p) => [...(p.grad as Tensor).data()]);
  };
  const exact = gradient();
  const differences = gradient(gradients).map((g, i) => Math.abs(g - (exact[i] as number)));
  return Math.max(...differences) / Math.max(...exact.map(Math.abs));
}

function rtrlRun(run: Run) {
  const setting = { ...ONLINE, ...(run.short && { updates: 200 }) };
  const { net, accuracy } = learnXor(run, { ...setting, gradients: rtrl(), part: [0, 0.7] });
  const oneStep = learnXor(run, { ...setting, gradients: truncated({ steps: [1, 1] }), part: [0.7, 1] });
  return {
    rtrl: accuracy,
    oneStep: oneStep.accuracy,
    difference: scope(() => gradientDifference(rtrl(), net, new Dice(3 * run.seed + 2))),
  };
}

// ---------------------------------------------------------------- truncated backpropagation

function truncatedRun(run: Run) {
  const setting = { ...CUT, ...(run.short && { updates: 200 }) };
  const at = (h: number, part: readonly [number, number]) =>
    learnXor(run, { ...setting, gradients: truncated({ steps: [h, h] }), part }).accuracy;
  return { h1: at(1, [0, 0.5]), h2: at(2, [0.5, 0.7]), h4: at(4, [0.7, 0.9]), h8: at(8, [0.9, 1]) };
}

// ---------------------------------------------------------------- LSTM's own gradient

const REBER = { units: 12, lr: 1e-2, most: 12_000, window: 4 } as const;

function reberRun(run: Run) {
  const K = REBER_SYMBOLS.length;
  const { lr } = REBER;
  const most = run.short ? 500 : REBER.most;
  const { weights } = streams(run.seed);
  const cell = new LSTM1997({
    inputSize: K,
    blocks: REBER.units,
    squashing: "tanh",
    truncate: "1997",
    inputGateBias: -1,
    outputGateBias: -1,
    bound: 0.2,
    generator: weights,
  });
  const lstm = stringsNeeded(run, new Net(cell, K, weights), most, { lr, part: [0, 0.8] });
  const elman = new Net(new RNNCell({ inputSize: K, hiddenSize: REBER.units, generator: weights }), K, weights);
  const gradients = truncated({ steps: [REBER.window, REBER.window] });
  // As many strings as the LSTM took.
  return { ...lstm, elman: stringsNeeded(run, elman, lstm.strings, { lr, gradients, part: [0.8, 1] }).share };
}

export const gradientAlgorithms: readonly Experiment[] = [
  experiment({
    name: "rtrl-delayed-xor",
    system: "Real-time recurrent learning",
    file: "src/learning/hybrid.ts",
    paper: "Williams and Zipser (1989), A learning algorithm for continually running fully recurrent neural networks",
    task: `a stream of two random bits a step, of which the exclusive or is asked for two steps later; ${XOR.units} tanh units, windows of ${ONLINE.window} steps with the state carried on, ${ONLINE.updates.toLocaleString("en")} updates with Adam 1e-2`,
    reported: "learned; no number",
    claim:
      "accuracy on 1,000 fresh steps at least 0.98, and at most 0.6 with backpropagation of one step, the baseline (chance: 0.5); in float64, on a window, no entry of the gradient is further from backpropagation's than 1e-9 of the largest",
    figures: {
      rtrl: "accuracy with real-time recurrent learning",
      oneStep: "accuracy with one step of backpropagation",
      difference: "largest difference from backpropagation's gradient",
    },
    seeds: 5,
    run: rtrlRun,
    claims: [
      { what: "learned", rate: 0.8, holds: (figures) => figures.rtrl >= 0.98 && figures.oneStep <= 0.6 },
      { what: "exact", rate: 1, holds: ({ difference }) => difference <= 1e-9 },
    ],
    remarks: "The paper's nets are fully recurrent logistic units trained at every step; here a linear output reads tanh units.",
    learns: (figures) => figures.rtrl > figures.oneStep + 0.15 && figures.difference <= 1e-9,
  }),
  experiment({
    name: "truncated-delayed-xor",
    system: "Truncated backpropagation through time",
    file: "src/learning/truncated.ts",
    paper: "Williams and Peng (1990), An efficient gradient-based algorithm for on-line training of recurrent network trajectories",
    task: `${CUT.batch} streams of two random bits a step, of which the exclusive or is asked for three steps later, so that an error has to reach four steps; ${XOR.units} tanh units, ${CUT.updates.toLocaleString("en")} updates with Adam 1e-2, each on ${CUT.window} steps in pieces of h = 1, 2, 4 or 8, the state carried on`,
    reported: "as good as the whole gradient where h is long enough, and much faster; no number for this task",
    claim:
      "accuracy on 1,000 fresh steps: at most 0.6 with h = 1 and 2, the baselines (chance: 0.5), at least 0.98 with h = 8, where most errors reach far enough; at least 0.7 with h = 4, where one in four does",
    figures: { h1: "accuracy, h = 1", h2: "accuracy, h = 2", h4: "accuracy, h = 4", h8: "accuracy, h = 8" },
    seeds: 5,
    run: truncatedRun,
    claims: [
      { what: "h = 1 and 2", rate: 0.8, holds: ({ h1, h2 }) => h1 <= 0.6 && h2 <= 0.6 },
      { what: "h = 4", rate: 0.8, holds: ({ h4 }) => h4 >= 0.7 },
      { what: "h = 8", rate: 0.8, holds: ({ h8 }) => h8 >= 0.98 },
    ],
    learns: ({ h1, h2, h8 }) => h8 >= 0.85 && Math.max(h1, h2) <= 0.65,
  }),
  experiment({
    name: "truncated-lstm-embedded-reber",
    system: "LSTM's original, truncated gradient",
    file: "src/cells/gated/lstm-1997.ts, src/learning/truncated-lstm.ts",
    paper: "Hochreiter and Schmidhuber (1997), Long short-term memory",
    task: `embedded Reber grammar, string by string; LSTM of ${REBER.units} cells without forget gates, gate biases −1, whose errors flow back through time by the cells' inner states alone; Adam 1e-2, clipped at 5; until 200 fresh strings are predicted without an error, tried every 500, at most ${REBER.most.toLocaleString("en")}`,
    reported: "table 1: successful in 97 to 100 % of the runs after 8,440 to 39,740 strings; Elman nets in none after 200,000",
    claim: `200 of 200 fresh strings right; at most 60 % of them by an Elman net of as many units after as many strings, under backpropagation of ${REBER.window} steps, the baseline (guessing the second T or P: 50 %)`,
    figures: {
      strings: "strings until 200 fresh ones are right",
      share: "share of them right at the end",
      elman: "share right at the end, Elman net",
    },
    seeds: 5,
    remarks:
      'Beside the paper\'s nets: tanh for both squashing functions, and Adam. `truncate: "1997"` of `LSTM1997` is the rule that `truncatedLstm()` has for cells with forget gates. With those, at a bias of 0, two nets of five (seeds 100 to 104) had not learned after 4,000 strings: what a cell holds fades, and so does the only path of its errors.',
    run: reberRun,
    claims: [
      { what: "LSTM", rate: 0.8, holds: ({ share }) => share === 1 },
      { what: "Elman net", rate: 0.8, holds: ({ elman }) => elman <= 0.6 },
    ],
    learns: ({ share }) => share >= 0.4,
  }),
];
