/** Human action: what somebody does, from one second of a smart watch's motion. */

import { readFileSync } from "node:fs";
import {
  AdamW,
  accuracy,
  argmax,
  bootstrapInterval,
  cosineAnnealingLR,
  crossEntropy,
  cumsum,
  Generator,
  lineChart,
  mul,
  noGrad,
  predict,
  reshape,
  Scaler,
  SequenceBatches,
  scope,
  select,
  softmax,
  type Tensor,
  tensor,
  transpose,
} from "tapeloop";
import { type SequenceModel, sequence } from "tapeloop/models";
import { type Figure, type Result, type RunOptions, restored, resultOf, train } from "../shared/example.ts";
import { logisticRegression } from "../shared/logistic-regression.ts";
import { nearest, squaredDistance } from "../shared/neighbours.ts";

const ACTIVITIES = ["Standing", "Walking", "Running", "Badminton"];
/** Samples of a window: one second. */
const WINDOW = 10;
const CHANNELS = 6;

interface Recording {
  readonly activity: number;
  /** [100,6], scaled. */
  readonly steps: readonly (readonly number[])[];
}

/** A second of a recording. */
interface Window extends Recording {
  /** Which recording it is from. */
  readonly from: number;
}

function recordings(part: "train" | "test"): Recording[] {
  const lines = readFileSync(new URL("motions.csv", import.meta.url), "utf8")
    .trim()
    .split("\n");
  return lines
    .map((line) => line.split(","))
    .flatMap(([own, activity = "", ...values]) => {
      if (own !== part) return [];
      const length = values.length / CHANNELS;
      const steps = Array.from({ length }, (_, t) => Array.from({ length: CHANNELS }, (_, c) => Number(values[c * length + t])));
      return [{ activity: ACTIVITIES.indexOf(activity), steps }];
    });
}

/** Windows that begin every `stride` samples. */
function windows(all: readonly Recording[], stride: number): Window[] {
  return all.flatMap(({ activity, steps }, from) => {
    const count = Math.floor((steps.length - WINDOW) / stride) + 1;
    return Array.from({ length: count }, (_, i) => ({ activity, from, steps: steps.slice(i * stride, i * stride + WINDOW) }));
  });
}

/** The mean and the deviation of every channel. */
function summary({ steps }: Recording): number[] {
  return Array.from({ length: CHANNELS }, (_, c) => steps.map((step) => step[c] as number)).flatMap((channel) => {
    const mean = channel.reduce((a, b) => a + b) / channel.length;
    return [mean, Math.sqrt(channel.reduce((sum, v) => sum + (v - mean) ** 2, 0) / channel.length)];
  });
}

const examplesOf = (all: readonly Window[]) => all.map(({ steps, activity }) => ({ xs: steps, ys: steps.map(() => activity) }));

/** The probabilities of activities after each sample [T,B,4]: the mean of what the samples so far have said. */
function votes(model: SequenceModel, xs: Tensor): Tensor {
  const said = softmax(model.forward(xs), -1);
  const counts = Array.from({ length: xs.dim(0) }, (_, t) => [[1 / (t + 1)]]);
  return mul(cumsum(said, { axis: 0 }), tensor(counts));
}

/** What the model takes each window for, after each of its samples [windows][T]. */
function answers(model: SequenceModel, all: readonly Window[]): number[][] {
  const batches = new SequenceBatches(examplesOf(all), { batchSize: 100, epochs: 1 });
  return predict(model, batches, (m, { xs }) => argmax(transpose(votes(m, xs), 0, 1), { axis: 2 }).toArray() as number[][]).flat();
}

/** Test recordings of the four activities one after another: what the network says of the last second, again and again. */
function timeline(model: SequenceModel, all: readonly Recording[]): string {
  const chosen = ACTIVITIES.map((_, activity) => all.find((recording) => recording.activity === activity) as Recording);
  const steps = chosen.flatMap((recording) => recording.steps.slice(0, 50));
  const ends = Array.from({ length: steps.length - WINDOW + 1 }, (_, i) => i + WINDOW);
  const xs = tensor(Array.from({ length: WINDOW }, (_, t) => ends.map((end) => steps[end - WINDOW + t] as readonly number[])));
  const chances = scope(() => noGrad(() => select(votes(model, xs), 0, WINDOW - 1).toArray() as number[][]));
  return lineChart(
    ACTIVITIES.map((name, k) => ({ name, x: ends.map((end) => end / 10), y: chances.map((row) => row[k] as number) })),
    {
      title: `Five seconds each of ${ACTIVITIES.join(", ").toLowerCase()}`,
      xLabel: "second",
      yLabel: "probability",
      width: 960,
      height: 320,
    },
  );
}

export async function run(options: RunOptions = {}): Promise<Result> {
  const { seed = 0, quick = false } = options;
  const generator = new Generator(seed);
  const scaler = Scaler.standard(tensor(recordings("train").flatMap(({ steps }) => steps)));
  const scaled = (all: Recording[]) => all.map((own) => ({ ...own, steps: scaler.transform(tensor(own.steps)).toArray() as number[][] }));
  const [known, unseen] = [scaled(recordings("train")), scaled(recordings("test"))];
  const [training, test] = [windows(known, WINDOW), windows(unseen, WINDOW)];
  const model = sequence({ inputSize: CHANNELS, layers: [{ lstm: 24 }, { dropout: 0.3 }, { linear: ACTIVITIES.length }], generator });
  if (!restored(model, options)) {
    const epochs = quick ? 1 : 15;
    // The network also sees windows that begin between those of the baselines.
    const batches = new SequenceBatches(examplesOf(windows(known, 2)), { batchSize: 32, shuffle: true, epochs, generator });
    const steps = epochs * batches.batchesPerEpoch;
    await train(
      "LSTM",
      model,
      batches,
      {
        optimizer: new AdamW(model.parameters(), { lr: 1e-2, weightDecay: 1e-2 }),
        loss: (m, { xs, ys }) => crossEntropy(reshape(m.forward(xs), [-1, ACTIVITIES.length]), reshape(ys, [-1])),
        schedule: cosineAnnealingLR({ tMax: steps }),
        clipNorm: 1,
      },
      options,
    );
  }
  model.eval();
  const truth = test.map(({ activity }) => activity);
  const figure = (of: string, guesses: readonly number[]): Figure => {
    const right = (chosen: readonly number[]) =>
      accuracy(
        chosen.map((i) => guesses[i] as number),
        chosen.map((i) => truth[i] as number),
      );
    // Windows of one recording are not independent, so whole recordings are drawn.
    const ofRecording = unseen.map((_, from) => test.flatMap((window, i) => (window.from === from ? [i] : [])));
    const interval = bootstrapInterval(unseen.length, (cases) => right(cases.flatMap((i) => ofRecording[i] as number[])), { generator });
    return { metric: "accuracy on windows of one second", of, value: right([...test.keys()]), interval };
  };
  const own = answers(model, test);
  const standard = Scaler.standard(tensor(training.map(summary)));
  const [features, testFeatures] = [training, test].map(
    (part) => standard.transform(tensor(part.map(summary))).toArray() as number[][],
  ) as [number[][], number[][]];
  const classes = training.map(({ activity }) => activity);
  const centroids = ACTIVITIES.map((_, k) => centroidOf(features.filter((_, i) => classes[i] === k)));
  const raw = training.map(({ steps }) => steps.flat());
  const figures = [
    figure(
      "LSTM, 24 units",
      own.map((row) => row.at(-1) as number),
    ),
    figure(
      "LSTM after 3 samples",
      own.map((row) => row[2] as number),
    ),
    figure(
      "logistic regression on means and deviations",
      logisticRegression(features, classes, { classes: ACTIVITIES.length }).classes(testFeatures),
    ),
    figure(
      "nearest mean of means and deviations",
      testFeatures.map((row) => nearest(row, centroids, squaredDistance)),
    ),
    figure(
      "nearest neighbour",
      test.map(({ steps }) => classes[nearest(steps.flat(), raw, squaredDistance)] as number),
    ),
  ];
  const [lstm, , ...baselines] = figures.map(({ value }) => value) as [number, number, ...number[]];
  return resultOf(model, {
    figures,
    gates: [
      { what: "accuracy of 0.9 or more", passed: lstm >= 0.9 },
      { what: "better than every baseline", passed: lstm > Math.max(...baselines) },
    ],
    data: "BasicMotions of the UEA archive, from the aeon toolkit (BSD-3-Clause), rounded to two decimals",
    pictures: { "timeline.svg": timeline(model, unseen) },
  });
}

function centroidOf(rows: readonly number[][]): number[] {
  return (rows[0] as number[]).map((_, f) => rows.reduce((sum, row) => sum + (row[f] as number), 0) / rows.length);
}
