/** Approximations of real-time recurrent learning, and Kalman filters: how near they come, and what they learn. */

import { backward } from "../../src/autodiff/backward.ts";
import { noGrad } from "../../src/autodiff/tape.ts";
import { RMLP } from "../../src/cells/simple/rmlp.ts";
import { BroadcastLinear } from "../../src/learning/broadcast.ts";
import { eprop, type GradientAlgorithm, KalmanFilter, kfRtrl, snap, uoro, usingGradients } from "../../src/learning/index.ts";
import { Linear } from "../../src/nn/layers.ts";
import { bceWithLogits, mseLoss } from "../../src/nn/losses.ts";
import { Module } from "../../src/nn/module.ts";
import { select, slice } from "../../src/ops/shape.ts";
import type { Recurrence } from "../../src/recurrence/recurrence.ts";
import { LSTMCell, RNNCell } from "../../src/recurrence/rnn-cells.ts";
import { detachState, type State } from "../../src/recurrence/state.ts";
import { Generator } from "../../src/tensor/random.ts";
import { assign, keep, scope, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { DetachEvery } from "../../src/wrappers/truncated.ts";
import { type Experiment, experiment, mean, type Run } from "../experiment.ts";
import { DelayedXor } from "../tasks/delayed-xor.ts";
import { type Dice, streams } from "../tasks/dice.ts";
import { mackeyGlass } from "../tasks/mackey-glass.ts";
import { train } from "../training.ts";

/** A recurrence and a head. */
class Reader extends Module {
  readonly rnn: Recurrence;
  readonly head: Linear | BroadcastLinear;

  constructor(rnn: unknown, head: Linear | BroadcastLinear) {
    super();
    this.rnn = rnn as Recurrence;
    this.head = head;
  }

  read(xs: Tensor, state?: State): [ys: Tensor, last: State] {
    const [hs, last] = this.rnn.scan(xs, state);
    return [this.head.forward(hs), last];
  }
}

/** What usingGradients does, or nothing where there is no algorithm. */
function under<R>(algorithm: GradientAlgorithm | null, model: Module, fn: () => R): R {
  return algorithm === null ? fn() : usingGradients(algorithm, model, fn);
}

// ---------------------------------------------------------------- how near

/** Random signs, and the same three steps before. */
function copyTask(dice: Dice, steps: number): { xs: Tensor; targets: Tensor } {
  const bits = Array.from({ length: steps + 3 }, () => 2 * dice.below(2) - 1);
  return {
    xs: tensor(bits.slice(3), { shape: [steps, 1, 1], dtype: "float32" }),
    targets: tensor(bits.slice(0, steps), { shape: [steps, 1, 1], dtype: "float32" }),
  };
}

function cosines(run: Run) {
  const { weights, training } = streams(run.seed);
  const model = new Reader(new RNNCell({ inputSize: 1, hiddenSize: 16, generator: weights }), new Linear(16, 1, { generator: weights }));
  const [T, windows] = [20, run.short ? 6 : 25];
  const noise = new Generator(run.seed);
  const algorithms = { uoro: uoro({ generator: noise }), kfRtrl: kfRtrl({ generator: noise }), snap1: snap(1), snap2: snap(2) };
  const gradient = (algorithm: GradientAlgorithm | null, { xs, targets }: ReturnType<typeof copyTask>): number[] =>
    scope(() => {
      model.zeroGrad();
      under(algorithm, model, () => backward(mseLoss(model.read(xs)[0], targets)));
      const found = model.rnn.parameters().flatMap((p) => Array.from(p.grad?.data() ?? []));
      model.zeroGrad();
      return found;
    });
  const found: Record<keyof typeof algorithms, number[]> = { uoro: [], kfRtrl: [], snap1: [], snap2: [] };
  for (let w = 0; w < windows; w++) {
    const batch = copyTask(training, T);
    const exact = gradient(null, batch);
    for (const name of Object.keys(algorithms) as (keyof typeof algorithms)[]) {
      found[name].push(cosine(gradient(algorithms[name], batch), exact));
    }
    run.progress((w + 1) / windows);
  }
  const spread = (values: readonly number[]) => Math.sqrt(mean(values.map((v) => (v - mean(values)) ** 2)));
  return {
    ...{ uoro: mean(found.uoro), kfRtrl: mean(found.kfRtrl), snap1: mean(found.snap1), snap2: mean(found.snap2) },
    ...{ uoroSpread: spread(found.uoro), kfRtrlSpread: spread(found.kfRtrl) },
  };
}

function cosine(a: readonly number[], b: readonly number[]): number {
  const dot = (u: readonly number[], v: readonly number[]) => u.reduce((total, x, i) => total + x * (v[i] as number), 0);
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
}

// ---------------------------------------------------------------- what they learn

/** The share of 1,000 fresh steps that are answered rightly. @param short updates of the short form */
function xorAccuracy(run: Run, algorithm: GradientAlgorithm | null, part: readonly [number, number], short = 350): number {
  const { weights, training, test } = streams(run.seed);
  const cell = new RNNCell({ inputSize: 2, hiddenSize: XOR.units, generator: weights });
  // The baseline sweeps back a step.
  const rnn = algorithm === null ? new DetachEvery(cell as unknown as Recurrence, 1) : cell;
  const model = new Reader(rnn, new Linear(XOR.units, 1, { generator: weights }));
  const stream = new DelayedXor(training, { delay: 2 });
  let state = keepState(model.rnn.initialState(1));
  train(run, {
    parameters: model.parameters(),
    updates: run.short ? short : XOR.updates,
    lr: XOR.lr,
    clip: 1,
    part,
    loss: () => {
      const { xs, targets } = stream.next(XOR.window);
      return under(algorithm, model, () => {
        const [ys, last] = model.read(xs, state);
        state = keepState(last);
        return bceWithLogits(ys, targets);
      });
    },
  });
  const { xs, targets } = new DelayedXor(test, { delay: 2 }).next(1002);
  const said = slice(noGrad(() => model.read(xs))[0], 0, 2).data();
  const right = slice(targets, 0, 2).data();
  return said.filter((y, t) => y > 0 === (right[t] as number) > 0.5).length / said.length;
}

const XOR = { units: 12, window: 12, updates: 1000, lr: 1e-2 } as const;

function keepState(state: State): State {
  const copy = detachState(state);
  const pin = (s: State): void => {
    for (const t of Object.values(Array.isArray(s) || !("storage" in s) ? s : [s])) "storage" in t ? keep(t as Tensor) : pin(t as State);
  };
  pin(copy);
  return copy;
}

function delayedXor(run: Run) {
  return {
    snap: xorAccuracy(run, snap(1), [0, 0.35]),
    uoro: xorAccuracy(run, uoro({ generator: new Generator(run.seed) }), [0.35, 0.9], 50),
    truncated: xorAccuracy(run, null, [0.9, 1]),
  };
}

// ---------------------------------------------------------------- recall

const RECALL = { lag: 15, units: 8, batch: 2, updates: 300, lr: 2e-2, forgetBias: 2, noise: 2 } as const;

/** A sign at the first step, noise, and the question what the sign was at the last. */
function recallBatch(dice: Dice, batch: number): { xs: Tensor; targets: Tensor } {
  const T = RECALL.lag + 1;
  const signs = Array.from({ length: batch }, () => 2 * dice.below(2) - 1);
  const xs = Array.from({ length: T * batch }, (_, k) => [k < batch ? (signs[k] as number) : 0, dice.uniform(-RECALL.noise, RECALL.noise)]);
  return {
    xs: tensor(xs.flat(), { shape: [T, batch, 2], dtype: "float32" }),
    targets: tensor(
      signs.map((s) => (s + 1) / 2),
      { shape: [batch, 1], dtype: "float32" },
    ),
  };
}

type Feedback = "symmetric" | "random" | "adaptive" | "none";

function recallAccuracy(run: Run, feedback: Feedback, part: readonly [number, number]): number {
  const { weights, training, test } = streams(run.seed);
  const cell = new LSTMCell({ inputSize: 2, hiddenSize: RECALL.units, generator: weights });
  const bias = cell.biasIh as Tensor;
  assign(
    bias,
    bias.data().map((b, k) => (Math.floor(k / RECALL.units) === 1 ? RECALL.forgetBias : b)),
  );
  const isPlain = feedback === "symmetric" || feedback === "none";
  const head = isPlain
    ? new Linear(RECALL.units, 1, { generator: weights })
    : new BroadcastLinear(RECALL.units, 1, { feedback, generator: weights });
  const model = new Reader(feedback === "none" ? new DetachEvery(cell as unknown as Recurrence, 1) : cell, head);
  const answer = (xs: Tensor): Tensor => select(model.read(xs)[0], 0, RECALL.lag);
  train(run, {
    parameters: model.parameters(),
    updates: run.short ? RECALL.updates / 3 : RECALL.updates,
    lr: RECALL.lr,
    clip: 1,
    part,
    loss: () => {
      const { xs, targets } = recallBatch(training, RECALL.batch);
      return under(feedback === "none" ? null : eprop(), model, () => bceWithLogits(answer(xs), targets));
    },
  });
  const { xs, targets } = recallBatch(test, 400);
  const said = noGrad(() => answer(xs)).data();
  return said.filter((y, b) => y > 0 === (targets.data()[b] as number) > 0.5).length / said.length;
}

function recall(run: Run) {
  return {
    symmetric: recallAccuracy(run, "symmetric", [0, 0.3]),
    random: recallAccuracy(run, "random", [0.3, 0.6]),
    adaptive: recallAccuracy(run, "adaptive", [0.6, 0.9]),
    truncated: recallAccuracy(run, "none", [0.9, 1]),
  };
}

// ---------------------------------------------------------------- Kalman filters

const SERIES = { taps: 6, window: 5, samples: 3000, fresh: 1000 } as const;

/** Six samples a step and the one after them, in units of their spread. */
function seriesOf(values: readonly number[]): { xs: Tensor; targets: Tensor } {
  const centre = 0.93;
  const scaled = values.map((v) => (v - centre) / 0.23);
  const T = scaled.length - SERIES.taps;
  const rows = Array.from({ length: T }, (_, t) => scaled.slice(t, t + SERIES.taps));
  return {
    xs: tensor(rows.flat(), { shape: [T, 1, SERIES.taps], dtype: "float32" }),
    targets: tensor(scaled.slice(SERIES.taps), { shape: [T, 1, 1], dtype: "float32" }),
  };
}

/** The error of the next sample after one pass, as a part of the series' spread. */
function seriesError(run: Run, method: "kalman" | "adam", part: readonly [number, number]): number {
  const { weights, training } = streams(run.seed);
  const model = new RMLP({ layout: "6-8R-1", generator: weights });
  const samples = run.short ? SERIES.samples / 3 : SERIES.samples;
  const series = mackeyGlass(training, samples + SERIES.fresh + SERIES.taps);
  const { xs, targets } = seriesOf(series);
  keep(xs);
  keep(targets);
  const filter = new KalmanFilter(model, { lr: 10, processNoise: 1e-4 });
  let state = keepState(model.initialState(1));
  const pieceAt = (update: number) => [update * SERIES.window, (update + 1) * SERIES.window] as const;
  const outputs = (update: number): Tensor => {
    const [ys, last] = model.scan(slice(xs, 0, ...pieceAt(update)), state as readonly Tensor[]);
    state = keepState(last);
    return ys;
  };
  const updates = samples / SERIES.window;
  if (method === "kalman") {
    for (let update = 0; update < updates; update++) {
      const progress = part[0] + ((part[1] - part[0]) * update) / updates;
      run.progress(
        progress,
        scope(() => filter.update(outputs(update), slice(targets, 0, ...pieceAt(update)))),
      );
    }
  } else {
    train(run, {
      parameters: model.parameters(),
      updates,
      lr: 1e-2,
      part,
      loss: (update) => mseLoss(outputs(update), slice(targets, 0, ...pieceAt(update))),
    });
  }
  const said = noGrad(() => model.scan(slice(xs, 0, samples, samples + SERIES.fresh), state as readonly Tensor[]))[0].data();
  const right = slice(targets, 0, samples, samples + SERIES.fresh).data();
  const centre = mean(Array.from(right));
  const errors = Array.from(said, (y, t) => (y - (right[t] as number)) ** 2);
  return Math.sqrt(mean(errors) / mean(Array.from(right, (d) => (d - centre) ** 2)));
}

function kalman(run: Run) {
  return { kalman: seriesError(run, "kalman", [0, 0.8]), adam: seriesError(run, "adam", [0.8, 1]) };
}

export const approximations: readonly Experiment[] = [
  experiment({
    name: "approximations-cosine",
    system: "UORO, KF-RTRL and SnAp",
    file: "src/learning/snap.ts",
    paper: "Menick, Elsen, Evci, Osindero, Simonyan and Graves (2020), A practical sparse approximation for real time recurrent learning",
    task: "the gradients of 25 windows of 20 steps of a network of 16 tanh units at its first weights, which has to repeat random signs after 3 steps; each gradient's cosine to backpropagation's",
    reported: "SnAp-1 trains better than UORO at the same cost; KF-RTRL has less noise than UORO (Mujika et al., 2018)",
    claim: "on the average SnAp-1's cosine is below 1 and above KF-RTRL's, which is above UORO's by 0.1 at least",
    figures: {
      uoro: "cosine of UORO",
      kfRtrl: "cosine of KF-RTRL",
      snap1: "cosine of SnAp-1",
      snap2: "cosine of SnAp-2, which is exact here",
      uoroSpread: "spread of UORO's",
      kfRtrlSpread: "spread of KF-RTRL's",
    },
    run: cosines,
    claims: [
      {
        rate: 0.9,
        holds: ({ uoro: u, kfRtrl: k, snap1, snap2 }) => snap2 > 0.99999 && snap1 < 0.9999 && snap1 > k && k > u + 0.1,
      },
    ],
    learns: ({ uoro: u, kfRtrl: k, snap1, snap2 }) => snap2 > 0.99999 && snap1 < 0.9999 && snap1 > k && k > u,
  }),
  experiment({
    name: "approximations-delayed-xor",
    system: "SnAp-1 and UORO",
    file: "src/learning/uoro.ts",
    paper: "Tallec and Ollivier (2018), Unbiased online recurrent optimization",
    task: `a stream of two random bits a step; the exclusive or of those two steps before is asked for; ${XOR.units} tanh units, windows of ${XOR.window} steps with the state carried on, ${XOR.updates.toLocaleString("en")} updates with Adam 1e-2`,
    reported: "UORO learns dependencies that truncated backpropagation does not see",
    claim:
      "accuracy on 1,000 fresh steps: SnAp-1 at least 0.9, backpropagation of one step, the baseline, at most 0.8; UORO above the baseline by 0.05 at least",
    figures: { snap: "accuracy with SnAp-1", uoro: "accuracy with UORO", truncated: "accuracy with one step of backpropagation" },
    run: delayedXor,
    claims: [
      { what: "SnAp-1", rate: 0.7, holds: ({ snap: s, truncated }) => s >= 0.9 && truncated <= 0.8 },
      { what: "UORO", rate: 0.6, holds: ({ uoro: u, truncated }) => u >= truncated + 0.05 },
    ],
    seeds: 5,
    learns: ({ snap: s, truncated }) => s > truncated,
  }),
  experiment({
    name: "approximations-eprop-recall",
    system: "E-prop on an LSTM",
    file: "src/learning/eprop.ts",
    paper:
      "Bellec, Scherr, Subramoney, Hajek, Salaj, Legenstein and Maass (2020), A solution to the learning dilemma for recurrent networks of spiking neurons",
    task: `a sign at the first step has to be told ${RECALL.lag} steps later, noise beside it; LSTM of ${RECALL.units} with a forget bias of ${RECALL.forgetBias}, ${RECALL.updates} updates of ${RECALL.batch} sequences, Adam 2e-2`,
    reported: "e-prop comes near backpropagation through time, with random and adaptive broadcast weights as well",
    claim:
      "accuracy on 400 fresh sequences at least 0.95 with symmetric, random and adaptive feedback; backpropagation of one step, the baseline, at most 0.8",
    figures: {
      symmetric: "accuracy, symmetric feedback",
      random: "accuracy, random feedback",
      adaptive: "accuracy, adaptive feedback",
      truncated: "accuracy with one step of backpropagation",
    },
    seeds: 5,
    run: recall,
    claims: [
      {
        rate: 0.8,
        holds: ({ symmetric, random, adaptive, truncated }) => Math.min(symmetric, random, adaptive) >= 0.95 && truncated <= 0.8,
      },
    ],
    learns: ({ symmetric, truncated }) => symmetric >= 0.9 && truncated < symmetric,
  }),
  experiment({
    name: "approximations-kalman-series",
    system: "Extended Kalman filter",
    file: "src/learning/kalman.ts",
    paper: "Puskorius and Feldkamp (1994), Neurocontrol of nonlinear dynamical systems with Kalman filter trained recurrent networks",
    task: `the next sample of the Mackey-Glass series (delay 17) from the last six; RMLP 6-8R-1, one pass of ${SERIES.samples.toLocaleString("en")} samples in windows of ${SERIES.window}, ${SERIES.samples / SERIES.window} updates: global filter with η = 10, q = 1e-4, or Adam 1e-2`,
    reported: "filters train in far fewer updates than gradient descent",
    claim:
      "error on 1,000 fresh samples, as a part of the series' spread: the filter's at most 0.05 and less than half of Adam's, the baseline",
    figures: { kalman: "error with the filter", adam: "error with Adam" },
    run: kalman,
    claims: [{ rate: 0.9, holds: ({ kalman: k, adam }) => k <= 0.05 && k < adam / 2 }],
    learns: ({ kalman: k, adam }) => k < adam / 2,
  }),
];
