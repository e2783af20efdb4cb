/** A plant identified on the way: how far errors have to go back through recursive synapses. */

import { noGrad } from "../../src/autodiff/tape.ts";
import { LocalFeedbackNetwork, type LocalFeedbackNetworkOptions } from "../../src/cells/delays/local-feedback.ts";
import type { GradientAlgorithm } from "../../src/learning/algorithm.ts";
import { crbp, projectPoles } from "../../src/learning/recursive-backprop.ts";
import { transposedGraph } from "../../src/learning/signal-flow/gradients.ts";
import { usingGradients } from "../../src/learning/using-gradients.ts";
import { mseLoss } from "../../src/nn/losses.ts";
import type { Module } from "../../src/nn/module.ts";
import { lineChart } from "../../src/plot/svg.ts";
import type { Recurrence } from "../../src/recurrence/recurrence.ts";
import { Generator } from "../../src/tensor/random.ts";
import { scope } from "../../src/tensor/tensor.ts";
import { type Experiment, experiment, type Run } from "../experiment.ts";
import { iirGraph } from "../iir-graph.ts";
import { decibels, plant, type Signals } from "../tasks/back-tsoi.ts";
import { streams } from "../tasks/dice.ts";
import { train } from "../training.ts";

const [T, B] = [60, 8];
/** As many weights as the network of recursive synapses has: 34. */
const IIR: LocalFeedbackNetworkOptions = { sizes: [1, 3, 1], inputDelays: 2, feedbackDelays: 2 };
const FIR: LocalFeedbackNetworkOptions = { sizes: [1, 3, 1], inputDelays: 4 };

type Model = Module & Recurrence<never>;

interface Pupil {
  readonly model: Model;
  readonly algorithm: GradientAlgorithm | null;
}

/** Outputs on a sequence never trained on. */
function outputs({ model }: Pupil, { xs }: Signals): number[] {
  return scope(() => noGrad(() => Array.from(model.scan(xs)[0].data(), Number)));
}

/** Trains on fresh sequences, the same for every pupil of a seed. */
function teach(run: Run, pupil: Pupil, system: string, updates: number, part: readonly [number, number]): void {
  const { training } = streams(run.seed);
  const { model, algorithm } = pupil;
  train(run, {
    parameters: model.parameters(),
    updates,
    lr: run.rate(system),
    clip: 1,
    loss: () => {
      const { xs, ys } = plant(training, run.short ? T / 2 : T, B);
      const loss = () => mseLoss(model.scan(xs)[0], ys);
      return algorithm === null ? loss() : usingGradients(algorithm, model, loss);
    },
    after: () => void projectPoles(model, { radius: 0.98 }),
    part,
  });
}

const network = (seed: number, options: LocalFeedbackNetworkOptions): Model =>
  new LocalFeedbackNetwork({ ...options, generator: new Generator(seed) }) as unknown as Model;

function identify(run: Run) {
  const pupils = {
    q0: { model: network(run.seed, IIR), algorithm: crbp({ Q: 0 }) },
    q2: { model: network(run.seed, IIR), algorithm: crbp({ Q: 2 }) },
    q5: { model: network(run.seed, IIR), algorithm: crbp({ Q: 5 }) },
    q10: { model: network(run.seed, IIR), algorithm: crbp({ Q: 10 }) },
    fir: { model: network(run.seed, FIR), algorithm: null },
  } satisfies Record<string, Pupil>;
  const exam = plant(streams(run.seed).test, run.short ? 200 : 2000, 1);
  const wanted = Array.from(exam.ys.data(), Number);
  const updates = run.short ? 40 : UPDATES;
  const all = Object.entries(pupils);
  const found = all.map(([name, pupil], i) => {
    teach(run, pupil, name, updates, [i / all.length, (i + 1) / all.length]);
    return [name, decibels(outputs(pupil, exam), wanted)] as const;
  });
  const window = (values: readonly number[]) => values.slice(100, 200);
  const t = Array.from({ length: 100 }, (_, k) => 100 + k);
  const drawn = [
    ["plant", wanted] as const,
    ["errors go back 10 steps", outputs(pupils.q10, exam)] as const,
    ["FIR", outputs(pupils.fir, exam)] as const,
  ];
  run.picture(
    "outputs",
    lineChart(
      drawn.map(([name, y], i) => ({ name, x: t, y: window(y), dashed: i > 0 })),
      { title: "A plant and what was learned of it, on an unseen input", xLabel: "step", yLabel: "y" },
    ),
  );
  return Object.fromEntries(found) as Record<keyof typeof pupils, number>;
}

function draw(run: Run) {
  const exam = plant(streams(run.seed).test, run.short ? 200 : 2000, 1);
  const wanted = Array.from(exam.ys.data(), Number);
  const net = network(run.seed, IIR) as unknown as LocalFeedbackNetwork;
  const graph = (): Model => iirGraph(net) as unknown as Model;
  const pupils = {
    windows: { model: graph(), algorithm: transposedGraph({ window: [20, 10] }) },
    nearest: { model: graph(), algorithm: transposedGraph({ window: [1, 1] }) },
    crbp: { model: network(run.seed, IIR), algorithm: crbp({ Q: 10 }) },
  } satisfies Record<string, Pupil>;
  const updates = run.short ? 15 : GRAPH_UPDATES;
  const all = Object.entries(pupils);
  const found = all.map(([name, pupil], i) => {
    teach(run, pupil, name, updates, [i / all.length, (i + 1) / all.length]);
    return [name, decibels(outputs(pupil, exam), wanted)] as const;
  });
  return Object.fromEntries(found) as Record<keyof typeof pupils, number>;
}

const UPDATES = 250;
const GRAPH_UPDATES = 80;
const PLANT = "white input through the low-pass filter of third order, then sin(πs)";

export const recursiveBackprop: readonly Experiment[] = [
  experiment({
    name: "crbp-plant",
    system: "Causal recursive backpropagation, for networks of IIR synapses",
    file: "src/learning/recursive-backprop.ts",
    paper: "Campolucci, Uncini, Piazza and Rao (1999), On-line learning algorithms for locally recurrent neural networks",
    task: `${PLANT}; 1-3-1 tanh units, 2 delays and 2 of feedback; 8 fresh sequences of 60 steps an update, ${UPDATES} updates with Adam; scored on 2,000 other steps`,
    reported:
      "errors that go back through more of the synapses' impulse responses learn faster and better than Back and Tsoi's, which go back at once only; FIR networks of equal size are worse; in figures",
    claim: "error over variance, Q = 10: at most −15 dB, at least 2 dB below Q = 0 and below the FIR network of as many weights",
    figures: { q0: "Q = 0, dB", q2: "Q = 2, dB", q5: "Q = 5, dB", q10: "Q = 10, dB", fir: "FIR, dB" },
    tuning: { grid: [1e-2, 3e-2], updates: UPDATES, better: "lower", rates: { q0: 1e-2, q2: 3e-2, q5: 3e-2, q10: 3e-2, fir: 3e-2 } },
    run: identify,
    claims: [{ rate: 0.7, holds: (f) => f.q10 <= -15 && f.q10 <= f.q0 - 2 && f.q10 <= f.fir - 2 }],
    learns: (f) => f.q10 < -3 && f.q10 < f.q0,
  }),
  experiment({
    name: "signal-flow-plant",
    system: "Signal-flow graphs, trained by their transposes in windows",
    file: "src/learning/signal-flow/gradients.ts",
    paper: "Campolucci, Uncini and Piazza (2000), A signal-flow-graph approach to on-line gradient calculation",
    task: `${PLANT}; the network of crbp-plant drawn as a graph, from the same weights; every 10 steps the newest 10 errors go back through 20; ${GRAPH_UPDATES} updates`,
    reported: "the same gradients as from algorithms derived by hand for each network, from the graph alone",
    claim:
      "within 0.5 dB of causal recursive backpropagation with Q = 10 at equal updates; errors that go back through one step only: at least 2 dB above",
    figures: { windows: "windows of 20 steps, dB", nearest: "one step, dB", crbp: "causal recursive backpropagation, dB" },
    seeds: 3,
    tuning: { grid: [1e-2, 3e-2], updates: GRAPH_UPDATES, better: "lower", rates: { windows: 3e-2, nearest: 3e-2, crbp: 3e-2 } },
    run: draw,
    claims: [{ rate: 0.7, holds: (f) => f.windows <= f.crbp + 0.5 && f.windows <= f.nearest - 2 }],
    learns: (f) => f.windows < -3 && Math.abs(f.windows - f.crbp) < 0.5,
  }),
];
