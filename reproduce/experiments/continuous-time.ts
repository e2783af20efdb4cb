/** Samples at irregular times: cells that are told how much time has passed. */

import { noGrad } from "../../src/autodiff/tape.ts";
import { ClosedFormContinuousTime } from "../../src/cells/timescales/closed-form.ts";
import { LiquidTimeConstant } from "../../src/cells/timescales/liquid.ts";
import { mseLoss } from "../../src/nn/losses.ts";
import { slice } from "../../src/ops/shape.ts";
import type { Recurrence } from "../../src/recurrence/recurrence.ts";
import type { State } from "../../src/recurrence/state.ts";
import { scope, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { type Experiment, experiment, type Run } from "../experiment.ts";
import { Net } from "../net.ts";
import { type Dice, streams } from "../tasks/dice.ts";
import { train } from "../training.ts";

const [STEPS, BATCH, H] = [24, 32, 24];
/** Predictions count once the wave could be known. */
const KNOWN = 8;
const UPDATES = 1200;

interface Samples {
  /** [T,B,2]: the sample, and the time until the one that is to be predicted. */
  readonly xs: Tensor;
  /** The next sample, [T,B,1]. */
  readonly targets: Tensor;
}

/** Waves sin(ωt + φ), ω in [0.5, 1.5], seen after gaps that are uniform on [0.1, 1.9]. */
function samples(dice: Dice, batch: number): Samples {
  const xs = new Float32Array(STEPS * batch * 2);
  const targets = new Float32Array(STEPS * batch);
  for (let b = 0; b < batch; b++) {
    const [omega, phase] = [dice.uniform(0.5, 1.5), dice.uniform(0, 2 * Math.PI)];
    let time = 0;
    for (let t = 0; t < STEPS; t++) {
      const gap = dice.uniform(0.1, 1.9);
      xs[2 * (t * batch + b)] = Math.sin(omega * time + phase);
      xs[2 * (t * batch + b) + 1] = gap;
      time += gap;
      targets[t * batch + b] = Math.sin(omega * time + phase);
    }
  }
  return {
    xs: tensor(xs, { shape: [STEPS, batch, 2], dtype: "float32" }),
    targets: tensor(targets, { shape: [STEPS, batch, 1], dtype: "float32" }),
  };
}

interface Lesson<S extends State> {
  readonly cell: Recurrence<S>;
  readonly lr: number;
  /** Whether the cell is told the gaps. */
  readonly timed: boolean;
  readonly part: readonly [number, number];
}

/** Mean squared error on fresh waves after training. */
function waveError<S extends State>(run: Run, updates: number, { cell, lr, timed, part }: Lesson<S>): number {
  const { weights, training, test } = streams(run.seed);
  const net = new Net(cell, 1, weights);
  const error = (dice: Dice, batch: number) => {
    const { xs, targets } = samples(dice, batch);
    const [ys] = net.run(timed ? xs : slice(xs, 2, 0, 1));
    return mseLoss(slice(ys, 0, KNOWN), slice(targets, 0, KNOWN));
  };
  train(run, {
    parameters: net.parameters,
    updates,
    lr,
    clip: 1,
    decay: { every: Math.ceil(updates / 3), factor: 0.4 },
    part,
    loss: () => error(training, BATCH),
  });
  return scope(() => noGrad(() => error(test, 500).item()));
}

function waveRun(run: Run) {
  const { weights: generator } = streams(run.seed);
  const sizes = { hiddenSize: H, generator };
  const updates = run.short ? 120 : UPDATES;
  const lesson = <S extends State>(system: string, cell: Recurrence<S>, i: number): Lesson<S> => ({
    cell,
    lr: run.short ? 1e-2 : run.rate(system),
    timed: system !== "untimed",
    part: [i / 3, (i + 1) / 3],
  });
  const cfc = (timed: boolean) => new ClosedFormContinuousTime({ ...sizes, inputSize: timed ? 2 : 1, timed, backboneSize: 32 });
  return {
    cfc: waveError(run, updates, lesson("cfc", cfc(true), 0)),
    untimed: waveError(run, updates, lesson("untimed", cfc(false), 1)),
    ltc: run.short
      ? 0
      : waveError(run, updates, lesson("ltc", new LiquidTimeConstant({ ...sizes, inputSize: 2, timed: true, unfolds: 4 }), 2)),
  };
}

export const continuousTime: readonly Experiment[] = [
  experiment({
    name: "closed-form-irregular-samples",
    system: "closed-form continuous-time and liquid time-constant networks",
    file: "src/cells/timescales/closed-form.ts",
    paper: "Hasani, Lechner, Amini, Liebenwein, Ray, Tschaikowski, Teschl, Rus 2022, Closed-form continuous-time neural networks",
    task: "waves of random frequency and phase, sampled 24 times with gaps of 0.1 to 1.9; predict the next sample, from the 8th on; 24 units, 1,200 updates with Adam, its rate falling; mean squared error",
    reported:
      "on irregularly sampled series the closed form is as good as or better than liquid time constants and other solved equations, and much faster (tables 1-4)",
    claim:
      "the closed form's error is at most half that of the same cell without the gaps as input, and at most 1.2 times that of liquid time constants with 4 solver steps",
    figures: { cfc: "closed form", ltc: "liquid time constants", untimed: "closed form without the gaps as input" },
    tuning: { grid: [3e-3, 1e-2, 3e-2, 1e-1], updates: UPDATES, better: "lower", rates: { cfc: 3e-2, ltc: 1e-1, untimed: 1e-2 } },
    run: waveRun,
    claims: [{ rate: 0.8, holds: ({ cfc, ltc, untimed }) => cfc <= untimed / 2 && cfc <= 1.2 * ltc }],
    learns: ({ cfc, untimed }) => cfc <= 0.8 * untimed,
  }),
];
