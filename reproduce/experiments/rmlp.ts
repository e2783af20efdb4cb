/** A recurrent multilayer perceptron identifies a nonlinear plant of which it sees only the last input and output. */

import { noGrad } from "../../src/autodiff/tape.ts";
import { RMLP } from "../../src/cells/simple/rmlp.ts";
import { mseLoss } from "../../src/nn/losses.ts";
import { slice } from "../../src/ops/shape.ts";
import { lineChart } from "../../src/plot/svg.ts";
import { mapState } from "../../src/recurrence/state.ts";
import { keep, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { type Experiment, experiment, mean, type Run } from "../experiment.ts";
import { type Dice, streams } from "../tasks/dice.ts";
import { train } from "../training.ts";

/** y(k+1) from y(k), y(k−1), y(k−2), u(k), u(k−1): plant IV of Narendra and Parthasarathy (1990). */
function plant(u: readonly number[]): number[] {
  const y = [0];
  for (const [k, now] of u.entries()) {
    const [y0, y1, y2] = [y[k] as number, y[k - 1] ?? 0, y[k - 2] ?? 0];
    y.push((y0 * y1 * y2 * (u[k - 1] ?? 0) * (y2 - 1) + now) / (1 + y1 * y1 + y2 * y2));
  }
  return y;
}

/** Half random, half a sine: 900 steps. The plant runs away under one in thirteen random inputs; those are drawn again. */
function trainingInput(dice: Dice): number[] {
  for (;;) {
    const input = Array.from({ length: 900 }, (_, k) => (k < 450 ? dice.uniform(-2, 2) : 1.05 * Math.sin((Math.PI * k) / 45)));
    if (plant(input).every((y) => Math.abs(y) < 10)) return input;
  }
}

/** A sine, two steps, and a sum of three sines: 1,000 steps. */
function testInput(): number[] {
  return Array.from({ length: 1000 }, (_, k) => {
    const wave = (period: number) => Math.sin((Math.PI * k) / period);
    if (k < 250) return wave(25);
    if (k < 750) return k < 500 ? 1 : -1;
    return 0.3 * wave(25) + 0.1 * wave(32) + 0.6 * wave(10);
  });
}

/** Inputs [u(k), y(k)] and targets y(k+1) of several runs of the plant, [T,B,·]. */
function lesson(inputs: readonly (readonly number[])[]): { xs: Tensor; targets: Tensor } {
  const outputs = inputs.map(plant);
  const [T, B] = [(inputs[0] as readonly number[]).length, inputs.length];
  const at = (k: number): [t: number, b: number] => [Math.floor(k / B), k % B];
  const pairs = Array.from({ length: T * B }, (_, k) => {
    const [t, b] = at(k);
    return [inputs[b]?.[t] as number, outputs[b]?.[t] as number];
  });
  const next = Array.from({ length: T * B }, (_, k) => {
    const [t, b] = at(k);
    return outputs[b]?.[t + 1] as number;
  });
  return {
    xs: tensor(pairs.flat(), { shape: [T, B, 2], dtype: "float32" }),
    targets: tensor(next, { shape: [T, B, 1], dtype: "float32" }),
  };
}

const [WINDOW, BATCH] = [30, 8];

function identification(run: Run) {
  const { weights, training } = streams(run.seed);
  const net = new RMLP({ layout: "2-10R-8R-1", generator: weights });
  const windows = 900 / WINDOW;
  let state = net.initialState(BATCH);
  let runs: ReturnType<typeof lesson> | undefined;
  train(run, {
    parameters: net.parameters(),
    updates: run.short ? 600 : 6000,
    lr: run.short ? 1e-2 : 3e-3,
    ...(!run.short && { decay: { every: 1500, factor: 0.5 } }),
    loss: (update) => {
      const window = update % windows;
      if (runs === undefined || window === 0) {
        runs = lesson(Array.from({ length: BATCH }, () => trainingInput(training)));
        for (const t of [runs.xs, runs.targets]) keep(t);
        state = net.initialState(BATCH);
      }
      const [xs, targets] = [runs.xs, runs.targets].map((t) => slice(t, 0, window * WINDOW, (window + 1) * WINDOW)) as [Tensor, Tensor];
      const [ys, last] = net.scan(xs, state);
      state = mapState((s) => keep(s.detach()), last);
      return mseLoss(ys, targets);
    },
  });
  const input = testInput();
  const { xs, targets } = lesson([input]);
  const said = Array.from(noGrad(() => net.scan(xs))[0].data());
  const wanted = Array.from(targets.data());
  const rmse = Math.sqrt(mean(said.map((y, k) => (y - (wanted[k] as number)) ** 2)));
  const persistence = Math.sqrt(
    mean(
      plant(input)
        .slice(0, -1)
        .map((y, k) => (y - (wanted[k] as number)) ** 2),
    ),
  );
  if (!run.short) run.picture("forecast", forecast(wanted, said));
  return { rmse, persistence };
}

function forecast(wanted: readonly number[], said: readonly number[]): string {
  const x = wanted.map((_, k) => k);
  const lines = [
    { name: "plant", x, y: wanted },
    { name: "network", x, y: said, dashed: true },
  ];
  return lineChart(lines, { title: "Plant and one-step forecast", xLabel: "step", yLabel: "y(k + 1)" });
}

export const rmlp: readonly Experiment[] = [
  experiment({
    name: "rmlp-plant",
    system: "Recurrent multilayer perceptron",
    file: "src/cells/simple/rmlp.ts",
    paper:
      "Puskorius and Feldkamp (1994), Neurocontrol of nonlinear dynamical systems with Kalman filter trained recurrent networks; the plant: Narendra and Parthasarathy (1990)",
    task: "one-step forecast of a nonlinear plant from u(k) and y(k) alone; 2-10R-8R-1, runs of 900 steps in windows of 30, batch 8, 6,000 updates with Adam 3e-3 halved every 1,500; tested on sines and steps, 1,000 steps",
    reported: "test errors of other recurrent networks on this plant: 0.075 (memory neuron network), 0.078 (RSONFIN), 0.035 (TRFN-S)",
    claim: "root mean square error at most 0.05 (repeating y(k): 0.0875)",
    figures: { rmse: "test error", persistence: "test error, repeating y(k)" },
    remarks:
      "Random inputs under which the plant diverges (8 %) are drawn again. Trained by truncated backpropagation, not by the extended Kalman filter of the paper",
    run: identification,
    claims: [{ rate: 0.6, holds: ({ rmse }) => rmse <= 0.05 }],
    learns: ({ rmse }) => rmse <= 0.15,
  }),
];
