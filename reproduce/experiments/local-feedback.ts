/** Filters for synapses identify a filter followed by a sine, which a net without memory cannot. */

import { noGrad } from "../../src/autodiff/tape.ts";
import { LocalFeedbackNetwork } from "../../src/cells/delays/local-feedback.ts";
import { mseLoss } from "../../src/nn/losses.ts";
import { slice } from "../../src/ops/shape.ts";
import { lineChart } from "../../src/plot/svg.ts";
import { scope, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { type Experiment, experiment, type Run } from "../experiment.ts";
import { type Dice, streams } from "../tasks/dice.ts";
import { train } from "../training.ts";

const FORWARD = [0.0154, 0.0462, 0.0462, 0.0154];
const BACK = [1.99, -1.572, 0.4583];
/** Steps that are not scored: the lines start empty. */
const WARM_UP = 20;

interface Signals {
  /** [T,B,1] */
  readonly xs: Tensor;
  readonly ys: Tensor;
}

/** White input through a third-order low-pass filter, then y = sin(πv/3). */
function filtered(dice: Dice, steps: number, batch: number): Signals {
  const x = Array.from({ length: steps * batch }, () => dice.uniform(-1, 1));
  const v: number[] = [];
  const tap = (values: readonly number[], coefficients: readonly number[], i: number, first: number) =>
    coefficients.reduce((total, c, p) => total + c * (values[i - (p + first) * batch] ?? 0), 0);
  for (let i = 0; i < x.length; i++) v.push(tap(x, FORWARD, i, 0) + tap(v, BACK, i, 1));
  const pack = (values: readonly number[]) => tensor(values.slice(), { shape: [steps, batch, 1], dtype: "float32" });
  return { xs: pack(x), ys: pack(v.map((value) => Math.sin((Math.PI * value) / 3))) };
}

const scored = (ys: Tensor) => slice(ys, 0, WARM_UP, ys.dim(0));

/** Mean squared error over the variance. */
function errorOf(net: LocalFeedbackNetwork, { xs, ys }: Signals): number {
  const wanted = Array.from(scored(ys).data(), Number);
  const mean = wanted.reduce((a, b) => a + b) / wanted.length;
  const variance = wanted.reduce((total, y) => total + (y - mean) ** 2, 0) / wanted.length;
  return scope(() => noGrad(() => mseLoss(scored(net.scan(xs)[0]), scored(ys)).item())) / variance;
}

function identify(run: Run) {
  const { weights, training, test } = streams(run.seed);
  const [lesson, exam] = [filtered(training, 200, run.short ? 5 : 20), filtered(test, 500, 10)];
  const forms = { static: {}, fir: { inputDelays: 3 }, iir: { inputDelays: 3, feedbackDelays: 3 } };
  const nets = Object.entries(forms).map(([name, delays], i) => {
    const net = new LocalFeedbackNetwork({ sizes: [1, 4, 1], generator: weights, ...delays });
    train(run, {
      parameters: net.parameters(),
      updates: run.short ? 100 : 400,
      lr: run.short ? 2e-2 : run.rate(name),
      clip: 1,
      loss: () => mseLoss(scored(net.scan(lesson.xs)[0]), scored(lesson.ys)),
      part: [i / 3, (i + 1) / 3],
    });
    return [name, net] as const;
  });
  const first = (ys: Tensor) =>
    Array.from(
      scope(() => slice(slice(ys, 0, 100, 200), 1, 0, 1).data()),
      Number,
    );
  const t = Array.from({ length: 100 }, (_, k) => 100 + k);
  const lines = nets.map(([name, net]) => ({ name, x: t, y: scope(() => noGrad(() => first(net.scan(exam.xs)[0]))), dashed: true }));
  run.picture(
    "outputs",
    lineChart([{ name: "system", x: t, y: first(exam.ys) }, ...lines], { title: "An unseen sequence", xLabel: "step", yLabel: "y" }),
  );
  return Object.fromEntries(nets.map(([name, net]) => [name, errorOf(net, exam)])) as { static: number; fir: number; iir: number };
}

export const localFeedback: readonly Experiment[] = [
  experiment({
    name: "local-feedback-filter",
    system: "Networks with static, FIR and IIR synapses",
    file: "src/cells/delays/local-feedback.ts",
    paper: "Back and Tsoi (1991), FIR and IIR synapses, a new neural network architecture for time series modeling",
    task:
      "white input through a third-order low-pass filter, then sin(πv/3); 20 sequences of 200 steps, 4 tanh units, 3 delays, 400 updates with " +
      "Adam; scored on 10 other sequences of 500 steps",
    reported: "IIR synapses follow the system more closely than FIR synapses, in figures",
    claim: "mean squared error as a fraction of the variance: IIR at most 0.05, IIR below a third of FIR, FIR below a third of static",
    figures: { static: "static synapses", fir: "FIR synapses, 3 delays", iir: "IIR synapses, 3 delays and 3 of feedback" },
    tuning: { grid: [2e-3, 5e-3, 2e-2, 5e-2], seeds: [0], updates: 400, better: "lower", rates: { static: 5e-2, fir: 5e-2, iir: 2e-2 } },
    run: identify,
    claims: [{ rate: 0.6, holds: (f) => f.iir <= 0.05 && f.iir < f.fir / 3 && f.fir < f.static / 3 }],
    learns: (f) => f.iir < 0.02 && f.fir < 0.2 && f.static > 0.9,
  }),
];
