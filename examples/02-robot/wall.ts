/** Wall following: which way a robot turns, from 24 sonars, with the real file. */

import { readFileSync } from "node:fs";
import { Adam, accuracy, argmax, crossEntropy, predict, recall, reshape, SequenceBatches } from "tapeloop";
import { type SequenceModel, sequence } from "tapeloop/models";
import type { Figure, Gate, RunOptions } from "../shared/example.ts";
import { train } from "../shared/example.ts";
import { logisticRegression } from "../shared/logistic-regression.ts";

const ACTIONS = ["Move-Forward", "Sharp-Right-Turn", "Slight-Right-Turn", "Slight-Left-Turn"];
/** Steps of a training sequence, and from one to the next. */
const [PIECE, STRIDE] = [100, 25];

interface Drive {
  /** Metres, about 0 to 1. */
  readonly sonars: readonly number[][];
  readonly actions: readonly number[];
}

function readDrive(file: string): Drive {
  const rows = readFileSync(file, "utf8")
    .trim()
    .split("\n")
    .map((row) => row.trim().split(","));
  const steps = rows.filter((row) => ACTIONS.includes(row.at(-1) as string));
  return {
    sonars: steps.map((row) => row.slice(0, 24).map((x) => Number(x) / 5)),
    actions: steps.map((row) => ACTIONS.indexOf(row.at(-1) as string)),
  };
}

const part = ({ sonars, actions }: Drive, from: number, to: number): Drive => ({
  sonars: sonars.slice(from, to),
  actions: actions.slice(from, to),
});

function pieces(drive: Drive, epochs: number) {
  const starts = Array.from({ length: Math.floor((drive.actions.length - PIECE) / STRIDE) + 1 }, (_, i) => i * STRIDE);
  const examples = starts.map((t) => ({ xs: drive.sonars.slice(t, t + PIECE), ys: drive.actions.slice(t, t + PIECE) }));
  return new SequenceBatches(examples, { batchSize: 16, shuffle: true, epochs, dtype: "float32" });
}

/** A network's actions over a drive, in one run. */
function actionsOf(model: SequenceModel, { sonars }: Drive): number[] {
  const batches = new SequenceBatches([{ xs: sonars }], { batchSize: 1, epochs: 1, dtype: "float32" });
  return predict(model, batches, (m, { xs }) =>
    Array.from(argmax(reshape(m.forward(xs), [-1, ACTIONS.length]), { axis: 1 }).data()),
  ).flat();
}

/** Trains on the first three quarters of the drive and tests on the last lap. Models of the real file are not stored. */
export async function wallFollowing(file: string, options: RunOptions): Promise<{ figures: Figure[]; gates: Gate[] }> {
  const drive = readDrive(file);
  const end = Math.floor((3 / 4) * drive.actions.length);
  const [training, test] = [part(drive, 0, end), part(drive, end, drive.actions.length)];
  const models = {
    "Elman network": sequence({ inputSize: 24, layers: [{ rnn: 20 }, { linear: ACTIONS.length }] }),
    "network without memory": sequence({ inputSize: 24, layers: [{ linear: 24 }, "tanh", { linear: ACTIONS.length }] }),
  };
  const batches = pieces(training, options.quick ? 1 : 150);
  for (const [name, model] of Object.entries(models)) {
    await train(
      name,
      model,
      batches,
      {
        optimizer: new Adam(model.parameters(), { lr: 3e-3 }),
        loss: (m, { xs, ys }) => crossEntropy(reshape(m.forward(xs), [-1, ACTIONS.length]), reshape(ys, [-1])),
        clipNorm: 1,
      },
      options,
    );
  }
  const regression = logisticRegression(training.sonars, training.actions, { classes: ACTIONS.length });
  const said: Readonly<Record<string, number[]>> = {
    ...Object.fromEntries(Object.entries(models).map(([name, model]) => [name, actionsOf(model, test)])),
    "logistic regression": regression.classes(test.sonars),
    "always forward": test.actions.map(() => 0),
  };
  const figures = Object.entries(said).flatMap(([of, actions]): Figure[] => [
    {
      metric: "wall following: balanced accuracy on the last lap",
      of,
      value: recall(actions, test.actions as number[], { average: "macro" }),
    },
    { metric: "wall following: accuracy on the last lap", of, value: accuracy(actions, test.actions as number[]) },
  ]);
  const balanced = (name: string) => figures.find(({ metric, of }) => metric.includes("balanced") && of === name)?.value as number;
  const won = balanced("Elman network") >= balanced("logistic regression") + 0.1;
  const sorted = [...figures].sort((a, b) => Number(b.metric.includes("balanced")) - Number(a.metric.includes("balanced")));
  return { figures: sorted, gates: [{ what: "wall following: the Elman network is 10 points above logistic regression", passed: won }] };
}
