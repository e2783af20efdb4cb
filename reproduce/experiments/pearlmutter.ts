/** Trajectories that a network in continuous time goes on following by itself. */

import { gradients } from "../../src/autodiff/sweep.ts";
import { noGrad } from "../../src/autodiff/tape.ts";
import { PearlmutterNetwork } from "../../src/cells/timescales/pearlmutter.ts";
import { continuousAdjoint } from "../../src/learning/continuous-adjoint.ts";
import { usingGradients } from "../../src/learning/using-gradients.ts";
import { mseLoss } from "../../src/nn/losses.ts";
import { slice } from "../../src/ops/shape.ts";
import { lineChart } from "../../src/plot/svg.ts";
import { zeros } from "../../src/tensor/create.ts";
import { Generator } from "../../src/tensor/random.ts";
import { scope, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { LearnedInitialState } from "../../src/wrappers/index.ts";
import { type Experiment, experiment, type Run } from "../experiment.ts";
import { train } from "../training.ts";

const [PERIOD, STEP] = [16, 0.2];
const ROUND = Math.round(PERIOD / STEP);

type Point = readonly [x: number, y: number];

const circle = (phase: number): Point => [0.5 + 0.4 * Math.cos(phase), 0.5 + 0.4 * Math.sin(phase)];
const eight = (phase: number): Point => [0.5 + 0.4 * Math.sin(phase), 0.5 + 0.4 * Math.sin(2 * phase)];

/** The curve at each step, [T,1,2]. */
function trajectory(curve: (phase: number) => Point, T: number): number[][][] {
  return Array.from({ length: T }, (_, k) => [[...curve((2 * Math.PI * (k + 1)) / ROUND)]]);
}

class Follower {
  readonly cell: PearlmutterNetwork;
  readonly model: LearnedInitialState<readonly Tensor[]>;

  constructor(hidden: number, seed: number) {
    this.cell = new PearlmutterNetwork({
      inputSize: 1,
      hiddenSize: 2 + hidden,
      interval: STEP,
      bound: 3,
      tau: 1,
      generator: new Generator(seed),
    });
    this.model = new LearnedInitialState<readonly Tensor[]>(this.cell as never);
  }

  /** The visible units over T steps from the learned state, [T,1,2]. */
  free(T: number): Tensor {
    return slice(this.model.scan(zeros([T, 1, 1]))[0], 2, 0, 2);
  }
}

/** Root mean squared distance per coordinate over rounds `from` to `to`. */
function error(got: readonly number[], wanted: readonly number[], from: number, to: number): number {
  const [a, b] = [2 * ROUND * from, 2 * ROUND * to];
  const total = wanted.slice(a, b).reduce((sum, w, i) => sum + (w - (got[a + i] as number)) ** 2, 0);
  return Math.sqrt(total / (b - a));
}

function follow(run: Run, curve: (phase: number) => Point, hidden: number, full: number, rounds: number) {
  const T = rounds * ROUND;
  const target = tensor(trajectory(curve, T));
  const systems = { hidden: new Follower(hidden, run.seed), visible: new Follower(0, run.seed) };
  const long = trajectory(curve, 2 * ROUND).flat(2);
  const found = Object.entries(systems).map(([name, follower], i) => {
    const { model, cell } = follower;
    const updates = run.short ? 250 : full;
    const parameters = model.parameters().filter((p) => p !== cell.weightIh);
    const decay = { every: Math.ceil(updates / 3), factor: 0.4 };
    train(run, {
      parameters,
      updates,
      lr: run.rate(name),
      clip: 1,
      decay,
      loss: () => mseLoss(follower.free(T), target),
      part: [i / 2, (i + 1) / 2],
    });
    return [name, scope(() => noGrad(() => Array.from(follower.free(2 * ROUND).data(), Number)))] as const;
  });
  const paths = Object.fromEntries(found) as Record<keyof typeof systems, number[]>;
  const line = (name: string, values: readonly number[], dashed = false) => ({
    name,
    x: values.filter((_, i) => i % 2 === 0),
    y: values.filter((_, i) => i % 2 === 1),
    dashed,
  });
  const lines = [line("target", long, true), line("two rounds on its own", paths.hidden), line("without hidden units", paths.visible)];
  const chart = { title: "Outputs of the two visible units", xLabel: "first unit", yLabel: "second unit", width: 560, height: 520 };
  run.picture("trajectory", lineChart(lines, chart));
  return {
    hidden: error(paths.hidden, long, 0, 2),
    visible: error(paths.visible, long, 0, 2),
    constant: Math.sqrt(0.5) * 0.4,
    stored: gap(systems.hidden, target, T),
  };
}

/** How far the adjoint equation's gradient is from the integrator's at the end, as a part of it. */
function gap({ cell }: Follower, target: Tensor, T: number): number {
  const of = (mode: "discrete" | "stored"): number[] =>
    scope(() => {
      const loss = usingGradients(continuousAdjoint({ mode }), cell, () => mseLoss(slice(cell.scan(zeros([T, 1, 1]))[0], 2, 0, 2), target));
      return gradients([loss], cell.parameters(), [tensor(1)]).flatMap((g) => Array.from(g?.data() ?? [], Number));
    });
  const [exact, near] = [of("discrete"), of("stored")];
  const size = (values: readonly number[]): number => Math.sqrt(values.reduce((sum, v) => sum + v * v, 0));
  return size(near.map((v, i) => v - (exact[i] as number))) / size(exact);
}

const UPDATES = 1200;
const EIGHT_UPDATES = 2400;
const PAPER = "Pearlmutter (1989), Learning state space trajectories in recurrent neural networks";

const figuresOf = (units: number) => ({
  hidden: `error, ${units} hidden units`,
  visible: "error, no hidden units",
  constant: "error of a constant",
  stored: "gap of the adjoint equation's gradient",
});

export const pearlmutter: readonly Experiment[] = [
  experiment({
    name: "pearlmutter-circle",
    system: "Continuous-time network with learned time constants",
    file: "src/learning/continuous-adjoint.ts",
    paper: PAPER,
    task: `two visible units go round a circle of radius 0.4 in ${PERIOD} units of time, 4 hidden units; Euler's method with steps of ${STEP}; trained on one and a half rounds, ${UPDATES} updates with Adam, first state and time constants learned; then two rounds on its own`,
    reported: "the network learns the circle and stays on it, in figures",
    claim:
      "root mean squared error of a coordinate over two rounds at most 0.05 (a constant: 0.283), and the gradient by the adjoint equation along stored states less than half off",
    figures: figuresOf(4),
    seeds: 5,
    tuning: { grid: [1e-2, 3e-2], updates: UPDATES, better: "lower", rates: { hidden: 3e-2, visible: 3e-2 } },
    run: (run) => follow(run, circle, 4, UPDATES, 1.5),
    claims: [{ rate: 0.8, holds: (f) => f.hidden <= 0.05 && f.stored < 0.5 }],
    learns: (f) => f.hidden < f.constant && f.stored > 0,
  }),
  experiment({
    name: "pearlmutter-eight",
    system: "Continuous-time network with learned time constants",
    file: "src/learning/continuous-adjoint.ts",
    paper: PAPER,
    task: `the same for a figure eight, which crosses itself, with 10 hidden units; trained on two rounds, ${EIGHT_UPDATES} updates`,
    reported:
      "the network learns the figure eight, for which it needs hidden units: where the path crosses itself the visible units do not tell where to go",
    claim: "error over two rounds at most 0.05; without hidden units, which no autonomous network in the plane can do, at least 0.15",
    figures: figuresOf(10),
    seeds: 5,
    tuning: { grid: [1e-2, 3e-2], updates: EIGHT_UPDATES, better: "lower", rates: { hidden: 3e-2, visible: 3e-2 } },
    run: (run) => follow(run, eight, 10, EIGHT_UPDATES, 2),
    claims: [{ rate: 0.7, holds: (f) => f.hidden <= 0.05 && f.visible >= 0.15 }],
    learns: (f) => f.hidden < f.visible,
  }),
];
