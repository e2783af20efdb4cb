/** NARX networks: a plant followed without feedback from it, and a bit kept longer the more output delays there are. */

import { backward } from "../../src/autodiff/backward.ts";
import { noGrad } from "../../src/autodiff/tape.ts";
import { NARX } from "../../src/cells/delays/narx.ts";
import { TeacherForced } from "../../src/cells/simple/jordan.ts";
import { mseLoss } from "../../src/nn/losses.ts";
import { select } from "../../src/ops/shape.ts";
import { LBFGS } from "../../src/optim/lbfgs.ts";
import { SGD } from "../../src/optim/sgd.ts";
import { lineChart } from "../../src/plot/svg.ts";
import { assign, scope, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { type Experiment, experiment, type Run } from "../experiment.ts";
import { type Dice, streams } from "../tasks/dice.ts";
import { train } from "../training.ts";

// ---- A plant ----

/** y(k+1) = 0.3 y(k) + 0.6 y(k−1) + 0.6 sin πu + 0.3 sin 3πu + 0.1 sin 5πu from rest, in fifths so that it stays within ±1. */
function plant(us: readonly number[]): number[] {
  const ys: number[] = [];
  for (const u of us) {
    const drive = 0.6 * Math.sin(Math.PI * u) + 0.3 * Math.sin(3 * Math.PI * u) + 0.1 * Math.sin(5 * Math.PI * u);
    ys.push(0.3 * (ys.at(-1) ?? 0) + 0.6 * (ys.at(-2) ?? 0) + drive);
  }
  return ys.map((y) => y / 5);
}

/** Values laid out as `batch` streams [T,B,width] that follow one another in time. */
function streamsOf(columns: readonly (readonly number[])[], batch: number): Tensor {
  const length = (columns[0] as readonly number[]).length / batch;
  const values = Array.from({ length }, (_, t) => Array.from({ length: batch }, (_, b) => columns.map((c) => c[b * length + t] as number)));
  return tensor(values.flat(2), { shape: [length, batch, columns.length], dtype: "float32" });
}

const before = (values: readonly number[], steps: number) => values.map((_, k) => values[k - steps] ?? 0);

/** Levels from U(−1, 1) with jitter, held for 1 to 60 steps: white noise hardly moves a plant this slow, and leaves most of its range unseen. */
function levels(dice: Dice, steps: number): number[] {
  const us: number[] = [];
  while (us.length < steps) {
    const [level, spread] = [dice.uniform(-1, 1), dice.uniform(0, 0.5)];
    us.push(...Array.from({ length: dice.between(1, 60) }, () => Math.max(-1, Math.min(1, level + dice.uniform(-spread, spread)))));
  }
  return us.slice(0, steps);
}

/** Trains in series-parallel mode on 5,000 points, as 100 stretches of 50. */
function identify(run: Run, narx: NARX, dice: Dice, part: readonly [number, number]): void {
  const us = levels(dice, 5000);
  const ys = plant(us);
  const B = 100;
  const xs = streamsOf([us, before(ys, 1)], B);
  const targets = streamsOf([ys], B);
  // Each stream starts from the plant's own last outputs.
  const outputs = tensor(select(streamsOf([before(ys, 2)], B), 0, 0).data(), { shape: [B, 1, 1], dtype: "float32" });
  const forced = new TeacherForced(narx);
  const optimizer = new LBFGS(narx.parameters(), { lineSearchFn: "strongWolfe" });
  const closure = () => {
    optimizer.zeroGrad();
    const loss = mseLoss(forced.scan(xs, { ...narx.initialState(B), outputs })[0], targets);
    backward(loss);
    return loss;
  };
  const [from, to] = part;
  const steps = run.short ? 20 : 60;
  for (let i = 0; i < steps; i++) {
    const loss = scope(() => optimizer.step(closure));
    run.progress(from + ((to - from) * (i + 1)) / steps, loss);
  }
}

/** Runs alone on the test input; the forecast and its error, as a part of the plant's deviation. */
function freeRun(narx: NARX, us: readonly number[], ys: readonly number[]): { forecast: number[]; error: number } {
  const forecast = scope(() => noGrad(() => Array.from(narx.scan(streamsOf([us], 1))[0].data(), Number)));
  const mean = ys.reduce((a, b) => a + b) / ys.length;
  const sum = (f: (y: number, k: number) => number) => ys.reduce((total, y, k) => total + f(y, k) ** 2, 0);
  return { forecast, error: Math.sqrt(sum((y, k) => y - (forecast[k] as number)) / sum((y) => y - mean)) };
}

function identification(run: Run) {
  const { weights, training } = streams(run.seed);
  const us = Array.from({ length: 500 }, (_, k) => Math.sin((2 * Math.PI * k) / 250));
  const ys = plant(us);
  const options = { inputSize: 1, outputSize: 1, outputDelays: 2, generator: weights };
  const narx = new NARX({ ...options, hiddenSize: 20 });
  identify(run, narx, training, [0, 0.5]);
  const arx = new NARX(options);
  identify(run, arx, training, [0.5, 1]);
  const [free, linear] = [freeRun(narx, us, ys), freeRun(arx, us, ys)];
  const k = us.map((_, i) => i);
  run.picture(
    "forecast",
    lineChart(
      [
        { name: "plant", x: k, y: ys },
        { name: "NARX on its own outputs", x: k, y: free.forecast, dashed: true },
        { name: "linear ARX", x: k, y: linear.forecast, dashed: true },
      ],
      { title: "500 steps in parallel mode, input sin(2πk/250)", xLabel: "k", yLabel: "y" },
    ),
  );
  return { narx: free.error, linear: linear.error };
}

// ---- Latching ----

const FEEDBACK = 1.25;
const NOISE = 0.155;
const CLASSES = [0.8, -0.8];

/** Thirty sequences [T,30,3]: which class at the first step, noise after the third; and what is wanted after the last. */
function latchingTask(dice: Dice, steps: number): [xs: Tensor, wanted: Tensor] {
  const B = 30;
  const row = (t: number, b: number) => [t === 0 ? 1 - (b % 2) : 0, t === 0 ? b % 2 : 0, t < 3 ? 0 : dice.uniform(-NOISE, NOISE)];
  const values = Array.from({ length: steps }, (_, t) => Array.from({ length: B }, (_, b) => row(t, b)));
  const wanted = Array.from({ length: B }, (_, b) => CLASSES[b % 2] as number);
  return [tensor(values.flat(2), { shape: [steps, B, 3], dtype: "float32" }), tensor(wanted, { shape: [B, 1], dtype: "float32" })];
}

interface Latch {
  readonly delays: number;
  readonly steps: number;
  readonly part: readonly [number, number];
}

/** One tanh unit whose feedback of strength 1.25 is spread over D delays; only what the class does to its first three steps is trained. */
function latch(run: Run, { delays, steps, part }: Latch): boolean {
  const { weights, training } = streams(run.seed);
  const unit = new NARX({
    inputSize: 3,
    outputSize: 1,
    inputDelays: 2,
    outputDelays: delays,
    outputActivation: "tanh",
    generator: weights,
  });
  assign(unit.weightFh, new Array<number>(delays).fill(FEEDBACK / delays));
  assign(unit.bias, [0]);
  // Small weights at first: usual ones latch the classes in some seeds before anything is learned.
  assign(
    unit.weightIh,
    unit.weightIh.data().map((w) => w / 10),
  );
  // Taps lie side by side: class 1, class 2, noise of this step, of the one before, and of two before.
  const wired = () =>
    assign(
      unit.weightIh,
      unit.weightIh.data().map((w, i) => (i % 3 === 2 ? Number(i === 2) : w)),
    );
  wired();
  const [xs, wanted] = latchingTask(training, steps);
  let worst = 2;
  train(run, {
    parameters: [unit.weightIh],
    optimizer: new SGD([unit.weightIh], { lr: 0.1 }),
    updates: 1000,
    loss: () => {
      const last = select(unit.scan(xs)[0], 0, steps - 1);
      const errors = wanted.data().map((d, b) => Math.abs(d - (last.data()[b] as number)));
      worst = Math.max(...errors);
      return mseLoss(last, wanted, { reduction: "sum" });
    },
    after: () => {
      wired();
      return worst < 0.6;
    },
    part,
  });
  return worst < 0.6;
}

const LAGS = [10, 20, 30, 40, 50, 60, 80, 100, 120, 140, 160, 180, 200];

function latching(run: Run) {
  const lags = run.short ? [10, 60] : LAGS;
  // Beyond 60 steps only the longest lag counts, which ends at the first that is not solved.
  const solved = (delays: number, from: number) => {
    const list: number[] = [];
    for (const [i, steps] of lags.entries()) {
      const part = [from + i / lags.length / 2, from + (i + 1) / lags.length / 2] as const;
      list.push(steps > 60 && list.includes(0) ? 0 : Number(latch(run, { delays, steps, part })));
    }
    return list;
  };
  const [one, six] = [solved(1, 0), solved(6, 0.5)];
  const at = (list: readonly number[], steps: number) => list[lags.indexOf(steps)] ?? 0;
  // The longest lag up to which all are solved.
  const longest = (list: readonly number[]) => lags[[...list, 0].indexOf(0) - 1] ?? 0;
  return {
    one30: at(one, 30),
    six30: at(six, 30),
    one60: at(one, 60),
    six60: at(six, 60),
    oneLongest: longest(one),
    sixLongest: longest(six),
  };
}

export const narx: readonly Experiment[] = [
  experiment({
    name: "narx-identification",
    system: "NARX, trained series-parallel, run in parallel",
    file: "src/cells/delays/narx.ts",
    paper: "Narendra and Parthasarathy (1990), Identification and control of dynamical systems using neural networks",
    task:
      "plant y(k+1) = 0.3 y(k) + 0.6 y(k−1) + 0.6 sin πu + 0.3 sin 3πu + 0.1 sin 5πu; 5,000 points of random levels, 2 output delays, " +
      "20 hidden units, L-BFGS; then 500 steps of sin(2πk/250) on the network's own outputs",
    reported: "the model's output follows the plant's closely, in figures; no number",
    claim: "error of the free run at most 0.05 of the plant's standard deviation, and above 0.3 for a linear model with the same delays",
    figures: { narx: "NARX, root mean square over standard deviation", linear: "linear ARX, the same" },
    remarks:
      "Training inputs are levels held for up to 60 steps, since white inputs move the plant over a fifth of the test's range only. Adam instead " +
      "of L-BFGS reached 0.10 to 0.25.",
    run: identification,
    claims: [{ rate: 0.8, holds: (f) => f.narx <= 0.05 && f.linear > 0.3 }],
    learns: (f) => f.narx < 0.2 && f.linear > 0.3,
  }),
  experiment({
    name: "narx-latching",
    system: "NARX with one and with six output delays",
    file: "src/cells/delays/narx.ts",
    paper: "Lin, Horne, Tiňo and Giles (1996), Learning long-term dependencies in NARX recurrent neural networks",
    task:
      "one of two classes at the first of T steps, noise U(±0.155) after the third; one tanh unit with feedback 1.25 over D delays, of which " +
      "what the class does to the first three steps is trained; gradient descent, rate 0.1, at most 1,000 passes over 30 sequences",
    reported: "with six output delays information is kept two to three times as long as with one, in figures",
    claim: "six delays solve T = 30 wherever one does, and T = 60, which one does not; the longest lag is at least twice as long",
    figures: {
      one30: "one delay, T = 30, solved",
      six30: "six delays, T = 30, solved",
      one60: "one delay, T = 60, solved",
      six60: "six delays, T = 60, solved",
      oneLongest: "one delay, longest T up to which all are solved",
      sixLongest: "six delays, the same (200 is the longest tried)",
    },
    remarks:
      "What is trained starts from a tenth of the usual weights. From usual ones the net of one delay had latched both classes before the first pass in two of the seeds 100 to 109, at any T, and the claim held in seven of these ten.",
    seeds: 20,
    run: latching,
    claims: [
      {
        rate: 0.8,
        holds: (f) => f.six30 >= f.one30 && f.six60 > f.one60 && f.sixLongest >= 2 * f.oneLongest,
      },
    ],
    learns: ({ one60, six60 }) => one60 === 0 && six60 === 1,
  }),
];
