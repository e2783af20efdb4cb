/** MTRNN: movements that are rows of primitives, brought forth again from what was learned of their beginnings. */

import { noGrad } from "../../src/autodiff/tape.ts";
import { MTRNN, type MTRNNOptions } from "../../src/cells/timescales/mtrnn.ts";
import { klDiv, mseLoss } from "../../src/nn/losses.ts";
import { mul } from "../../src/ops/arithmetic.ts";
import { reshape, sum } from "../../src/ops/broadcast.ts";
import { log } from "../../src/ops/math.ts";
import { cat, select, slice } from "../../src/ops/shape.ts";
import { Adam } from "../../src/optim/adam.ts";
import { lineChart } from "../../src/plot/svg.ts";
import { zeros } from "../../src/tensor/create.ts";
import { Generator } from "../../src/tensor/random.ts";
import { scope, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { type Experiment, experiment, type Figures, type Run } from "../experiment.ts";
import { trajectories } from "../tasks/trajectories.ts";
import { train } from "../training.ts";

const NAMES = ["PPQQRR", "PQPQRR", "QQRRPP", "RPRPQQ"];

/** How points in the plane are given to the input-output units. */
interface Coding {
  readonly options: Pick<MTRNNOptions, "maps" | "ioActivation" | "contextActivation">;
  /** Which part of the input is the network's own output while it learns. */
  readonly ownInput: number;
  /** Points [T,B,2] to activities [T,B,IO], and back. */
  encode(points: Tensor): Tensor;
  decode(activities: Tensor): Tensor;
  loss(ys: Tensor, encoded: Tensor): Tensor;
  /** The input-output units' u at first, from the activities [B,IO] at the starting point. */
  rest(first: Tensor): Tensor;
}

/** A unit for each coordinate. */
const coordinates: Coding = {
  options: { maps: [2], ioActivation: "tanh", contextActivation: "tanh" },
  ownInput: 0.4,
  encode: (points) => points,
  decode: (activities) => activities,
  loss: (ys, encoded) => mseLoss(ys, encoded),
  rest: (first) => zeros(first.shape),
};

/** Places of a map's units along a coordinate. */
const PLACES = Array.from({ length: 10 }, (_, k) => -1 + (2 * k) / 9);
const WIDTH = 0.3;

/** A map of units for each coordinate, which share the activity 1 by their distance from it. */
const population: Coding = {
  options: { maps: [PLACES.length, PLACES.length], ioActivation: "softmax", contextActivation: "logistic" },
  ownInput: 0.1,
  encode: (points) => {
    const coded = Array.from(points.data(), (v) => {
      const near = PLACES.map((c) => Math.exp(-(((v - c) / WIDTH) ** 2)));
      const all = near.reduce((a, b) => a + b);
      return near.map((a) => a / all);
    });
    return tensor(coded.flat(), { shape: [points.dim(0), points.dim(1), 2 * PLACES.length], dtype: "float32" });
  },
  decode: (activities) => {
    const [T, B] = activities.shape as [number, number];
    return sum(mul(reshape(activities, [T, B, 2, PLACES.length]), tensor(PLACES)), { axis: 3 });
  },
  loss: (ys, encoded) => mul(klDiv(log(ys), encoded), ys.dim(2)),
  rest: (first) => log(first),
};

interface Outcome {
  /** Mean squared error in the closed loop. */
  readonly mse: number;
  readonly points: Tensor;
  /** Mean |dy| of the slow units over that of the fast ones. */
  readonly slowness: number;
}

/** Trains with one ratio of time constants; then runs it on its own output from the learned initial states. */
function learn(run: Run, coding: Coding, ratio: number, rate: number, part: readonly [number, number]): Outcome {
  const names = run.short ? ["PQ", "QP"] : NAMES;
  const tau = { io: 2, fast: 5, slow: 5 * ratio };
  const options = { ...coding.options, fastSize: 24, slowSize: 6, tau, bound: 0.3, sequences: names.length };
  const net = new MTRNN({ ...options, ownInput: coding.ownInput, generator: new Generator(run.seed) });
  const points = trajectories(names);
  const T = points.dim(0) - 1;
  const [inputs, targets] = [coding.encode(slice(points, 0, 0, T)), coding.encode(slice(points, 0, 1))];
  const rest = coding.rest(select(inputs, 0, 0));
  const start = (of: MTRNN) => cat([rest, slice(of.stateOf(names.map((_, i) => i)), 1, of.inputSize)], 1);
  const loss = () => coding.loss(net.scan(inputs, start(net))[0], targets);
  const updates = run.short ? 300 : 2500;
  const groups = [{ params: [net.weight] }, { params: [net.initialSlow as Tensor], lr: 1e-2 }];
  const optimizer = new Adam(groups, { lr: rate });
  train(run, { parameters: net.parameters(), updates, optimizer, clip: 1, loss, part });
  return scope(() =>
    noGrad(() => {
      const closed = new MTRNN({ ...options, ownInput: 1 });
      closed.loadStateDict(net.stateDict());
      const produced = coding.decode(closed.scan(inputs, start(closed))[0]);
      const mse = mseLoss(produced, slice(points, 0, 1)).item();
      return { mse, points: produced, slowness: slownessOf(closed, inputs, start(closed)) };
    }),
  );
}

/** Mean change in a step of the slow units' activity over that of the fast units'. */
function slownessOf(net: MTRNN, inputs: Tensor, start: Tensor): number {
  const change = { fast: 0, slow: 0 };
  let u = start;
  for (let t = 0; t < inputs.dim(0); t++) {
    const next = net.step(select(inputs, 0, t), u)[1];
    const [before, after] = [net.activities(u), net.activities(next)];
    for (const group of ["fast", "slow"] as const) {
      const [a, b] = [before[group], after[group]].map((y) => Array.from(y.data())) as [number[], number[]];
      change[group] += a.reduce((sum, v, i) => sum + Math.abs(v - (b[i] as number)), 0) / a.length;
    }
    u = next;
  }
  return change.slow / change.fast;
}

/** One row of primitives, wanted and produced: both coordinates in time. */
function chart(wanted: Tensor, produced: Tensor, row: number, title: string): string {
  const [T, B] = wanted.shape as [number, number];
  const t = Array.from({ length: T }, (_, k) => k + 1);
  const coordinate = (points: Tensor, i: number) => {
    const flat = points.data();
    return t.map((_, k) => flat[(k * B + row) * 2 + i] as number);
  };
  const lines = [
    { name: "x wanted", x: t, y: coordinate(wanted, 0), dashed: true, color: "#0072b2" },
    { name: "x in closed loop", x: t, y: coordinate(produced, 0), color: "#0072b2" },
    { name: "y wanted", x: t, y: coordinate(wanted, 1), dashed: true, color: "#d55e00" },
    { name: "y in closed loop", x: t, y: coordinate(produced, 1), color: "#d55e00" },
  ];
  return lineChart(lines, { title, xLabel: "step" });
}

function primitives(run: Run, coding: Coding) {
  const names = run.short ? ["PQ", "QP"] : NAMES;
  const rate = (system: string) => (run.short ? 1e-2 : run.rate(system));
  const slow = learn(run, coding, 14, rate("slow"), [0, 0.5]);
  const even = learn(run, coding, 1, rate("even"), [0.5, 1]);
  const wanted = slice(trajectories(names), 0, 1);
  for (const [ratio, { points }] of [
    [14, slow],
    [1, even],
  ] as const) {
    run.picture(`closed-loop-ratio-${ratio}`, chart(wanted, points, 1, `${names[1]}, ratio of time constants ${ratio}`));
  }
  return { slow: slow.mse, even: even.mse, slowness: slow.slowness };
}

const FIGURES = {
  slow: "mean squared error, ratio 14",
  even: "mean squared error, ratio 1",
  slowness: "change of slow over fast units, ratio 14",
} as const;

type Found = Figures<keyof typeof FIGURES>;

const TUNING = { grid: [1e-3, 2e-3, 5e-3], seeds: [0], updates: 2500, better: "lower" } as const;

/** What both codings have in common. */
const COMMON = {
  system: "Multiple-timescale recurrent network",
  file: "src/cells/timescales/mtrnn.ts",
  paper: "Yamashita and Tani (2008), Emergence of functional hierarchy in a multiple timescale neural network model",
  reported: "errors are significantly larger when the ratio of slow to fast time constants is small (figure 9); no table",
  claim:
    "closed-loop error at ratio 14 at most 0.05 and below that at ratio 1, slow units change less than a third as much as fast ones in a step",
  figures: FIGURES,
  claims: [{ rate: 0.8, holds: ({ slow, even, slowness }: Found) => slow <= 0.05 && slow < even && slowness < 1 / 3 }],
  learns: ({ slow, slowness }: Found) => slow < 0.1 && slowness < 1 / 3,
};

export const mtrnn: readonly Experiment[] = [
  experiment({
    ...COMMON,
    name: "mtrnn-primitives",
    task: "PPQQRR, PQPQRR, QQRRPP and RPRPQQ of a circle P, a figure of eight Q and a line R, 24 steps each; 24 fast units (τ = 5), 6 slow (τ = 70 or 5), 2,500 updates with Adam (1e-2 for the initial states), 0.4 of the input is the network's own output; then in closed loop from the learned initial states",
    remarks:
      "Two coordinates with tanh units instead of 100 population-coded ones. With a tenth of the own output, as in the paper, these nets rely on what they are given and drift in the closed loop: their errors were of 0.02 to 0.04 at ratio 14, in some seeds no smaller than at ratio 1.",
    tuning: { ...TUNING, rates: { slow: 5e-3, even: 1e-3 } },
    run: (run) => primitives(run, coordinates),
  }),
  experiment({
    ...COMMON,
    name: "mtrnn-population",
    task: "PPQQRR, PQPQRR, QQRRPP and RPRPQQ of a circle P, a figure of eight Q and a line R, 24 steps each; a softmax map of 10 units for each coordinate, 24 fast units (τ = 5), 6 slow (τ = 70 or 5), Kullback-Leibler divergence, 2,500 updates with Adam (1e-2 for the initial states), a tenth of the input is the network's own output; then in closed loop from the learned initial states",
    remarks:
      "20 population-coded units instead of 100; the closed loop feeds activities back as they are, without decoding a point in between",
    tuning: { ...TUNING, rates: { slow: 2e-3, even: 2e-3 } },
    run: (run) => primitives(run, population),
  }),
];
