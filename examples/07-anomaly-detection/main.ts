/** Anomalies in the number of taxi passengers: an LSTM says what to expect, and what it did not expect is an alarm. */

import { readFileSync } from "node:fs";
import {
  Adam,
  Generator,
  Linear,
  LSTM,
  lineChart,
  Module,
  manualSeed,
  mseLoss,
  noGrad,
  predict,
  SequenceBatches,
  scope,
  type Tensor,
  tensor,
} from "tapeloop";
import { type Figure, type Result, type RunOptions, restored, resultOf, train } from "../shared/example.ts";
import { DAY, type Errors, judge, type Span, scoresOf, thresholdOf } from "./alarms.ts";

const WEEK = 7 * DAY;
/** The steps before the first window; the stretch after them that has no anomaly. */
const TRAINING = 3611;
const CLEAN: Span = [3611, 4024];
/** Steps of training that say when to stop. */
const VALID = 14 * DAY;
const HORIZONS = [1, 4] as const;
/** Steps of a training sequence: two days. */
const PIECE = 2 * DAY;
/** Passengers that are 1 to the network. */
const UNIT = 1000;

interface Series {
  readonly times: readonly string[];
  readonly values: readonly number[];
}

/** A forecast of step t, made `h` steps before. */
type Forecast = (values: readonly number[], t: number, h: number) => number;

const at = (values: readonly number[], t: number): number => values[t] as number;
const persistence: Forecast = (y, t, h) => at(y, t - h);
const lastWeek: Forecast = (y, t) => at(y, t - WEEK);
/** What the network corrects. */
const weeksIncrement: Forecast = (y, t, h) => at(y, t - h) + at(y, t - WEEK) - at(y, t - WEEK - h);
/** The first step that they can forecast. */
const FIRST = WEEK + 4;

class Forecaster extends Module {
  readonly lstm = new LSTM({ inputSize: 10, hiddenSize: 32 });
  readonly head = new Linear(32, 2);

  /** At each step, what the week's increment will miss one and four steps later [T,B,2]. */
  forward(xs: Tensor): Tensor {
    return this.head.forward(this.lstm.forward(xs).output);
  }
}

/** What is known at step t. */
function inputsAt(values: readonly number[], t: number): number[] {
  const missed = HORIZONS.map((h) => (at(values, t) - weeksIncrement(values, t, h)) / UNIT);
  const aboveWeek = (at(values, t) - at(values, t - WEEK)) / UNIT;
  const coming = HORIZONS.map((h) => (at(values, t - WEEK + h) - at(values, t - WEEK)) / UNIT);
  const [day, week] = [(2 * Math.PI * t) / DAY, (2 * Math.PI * t) / WEEK];
  return [...missed, aboveWeek, ...coming, at(values, t) / (10 * UNIT) - 1.5, Math.sin(day), Math.cos(day), Math.sin(week), Math.cos(week)];
}

function targetsAt(values: readonly number[], t: number): number[] {
  return HORIZONS.map((h) => (at(values, t + h) - weeksIncrement(values, t + h, h)) / UNIT);
}

const range = (from: number, to: number, by = 1): number[] => Array.from({ length: Math.ceil((to - from) / by) }, (_, i) => from + i * by);

/** Pieces of two days that begin at these steps. */
function pieces(values: readonly number[], starts: readonly number[], options: { shuffle?: boolean; epochs: number }) {
  const examples = starts.map((start) => {
    const steps = range(start, start + PIECE);
    return { xs: steps.map((t) => inputsAt(values, t)), ys: steps.map((t) => targetsAt(values, t)) };
  });
  return new SequenceBatches(examples, { batchSize: 16, dtype: "float32", targetDtype: "float32", ...options });
}

/** The network's forecasts, in one run over the series. */
function forecastsOf(model: Forecaster, values: readonly number[]): Forecast {
  const steps = range(FIRST, values.length);
  const xs = tensor(steps.map((t) => [inputsAt(values, t)]));
  const out = scope(() => noGrad(() => model.forward(xs).data()));
  return (y, t, h) =>
    weeksIncrement(y, t, h) + UNIT * at(out as unknown as number[], 2 * Math.max(0, t - h - FIRST) + HORIZONS.indexOf(h as 1 | 4));
}

function readSeries(file: string | URL): Series {
  const rows = readFileSync(file, "utf8").trim().split("\n").slice(1);
  const cells = rows.map((row) => row.split(",") as [string, string]);
  return { times: cells.map(([time]) => time.slice(0, 16)), values: cells.map(([, value]) => Number(value)) };
}

export async function run(options: RunOptions = {}): Promise<Result> {
  const { seed = 0, quick = false, full = false } = options;
  manualSeed(seed);
  const series = readSeries(new URL("nyc_taxi.csv", import.meta.url));
  const { values } = series;
  const model = new Forecaster();
  if (!restored(model, options)) {
    const last = TRAINING - VALID - PIECE - 4;
    const batches = pieces(values, range(FIRST, last, DAY / 4), { shuffle: true, epochs: quick ? 1 : full ? 150 : 40 });
    const valid = pieces(values, range(TRAINING - VALID, TRAINING - PIECE - 4, PIECE), { epochs: 1 });
    const loss = (m: Forecaster, { xs, ys }: { xs: Tensor; ys: Tensor }) => mseLoss(m.forward(xs), ys);
    await train(
      "LSTM",
      model,
      batches,
      {
        optimizer: new Adam(model.parameters(), { lr: 2e-3 }),
        loss,
        clipNorm: 1,
        evaluate: (m) => predict(m, valid, (own, batch) => loss(own, batch).item()).reduce((a, b) => a + b),
        evaluateEvery: batches.batchesPerEpoch,
        earlyStopping: { patience: 10 },
      },
      options,
    );
  }
  return report(model, series, seed);
}

/** Every forecaster with the alarms that its errors raise. */
function report(model: Forecaster, { times, values }: Series, seed: number): Result {
  const spans = JSON.parse(readFileSync(new URL("windows.json", import.meta.url), "utf8")) as [string, string][];
  const windows = spans.map(([from, to]): Span => [times.indexOf(from), times.indexOf(to)]);
  const forecasters: Readonly<Record<string, Forecast>> = {
    LSTM: forecastsOf(model, values),
    "the step before + last week's increment": weeksIncrement,
    "the step before": persistence,
    "the week before": lastWeek,
  };
  const judged = Object.entries(forecasters).map(([of, forecast]) => {
    const errors: Errors = range(FIRST + 4, values.length).map((t) => [
      at(values, t) - forecast(values, t, 1),
      at(values, t) - forecast(values, t, 4),
    ]);
    const training = errors.slice(0, TRAINING - FIRST - 4);
    const scores = scoresOf(errors, training);
    const threshold = thresholdOf(scores.slice(0, training.length));
    const alarms = range(TRAINING, values.length).filter((t) => (scores[t - FIRST - 4] as number) > threshold);
    const clean = range(CLEAN[0], CLEAN[1]).map((t) => at(values, t) - forecast(values, t, 1));
    return { of, alarms, rmse: Math.sqrt(clean.reduce((sum, e) => sum + e * e, 0) / clean.length), ...judge(alarms, windows) };
  });
  type Judged = (typeof judged)[number];
  const [own, simple] = judged as [Judged, Judged, ...Judged[]];
  const noise = scope(() =>
    Array.from(
      new Generator(seed)
        .permutation(values.length - TRAINING)
        .data()
        .slice(0, own.alarms.length),
      (i) => TRAINING + i,
    ),
  );
  const random = {
    of: "as many alarms at random",
    ...judge(
      noise.sort((a, b) => a - b),
      windows,
    ),
  };
  const rows = (metric: string, value: (j: Judged) => number): Figure[] => judged.map((j) => ({ metric, of: j.of, value: value(j) }));
  const named = { metric: "point-adjusted F1 (see the README)", of: random.of, value: random.adjustedF1 };
  return resultOf(model, {
    figures: [
      ...rows("RMSE of one step, clean stretch, passengers", (j) => j.rmse),
      ...rows("windows of 5 with an alarm", (j) => j.hits),
      ...rows("false episodes in five months", (j) => j.falseEpisodes),
      ...rows(named.metric, (j) => j.adjustedF1),
      named,
    ],
    gates: [
      { what: "on the clean stretch the LSTM errs less than the week's increment", passed: own.rmse < simple.rmse },
      { what: "it hits no fewer windows", passed: own.hits >= simple.hits },
      { what: "and has no more false episodes", passed: own.falseEpisodes <= simple.falseEpisodes },
    ],
    data: "NAB realKnownCause/nyc_taxi.csv with its windows (numenta/NAB, MIT)",
    pictures: { "alarms.svg": pictureOf(values, own.alarms, windows) },
  });
}

/** The test part as means of six hours, the windows above it, and the alarms. */
function pictureOf(values: readonly number[], alarms: readonly number[], windows: readonly Span[]): string {
  const days = (t: number) => (t - TRAINING) / DAY;
  const blocks = range(TRAINING, values.length - 12, 12);
  const top = 33;
  return lineChart(
    [
      {
        name: "passengers, thousands",
        x: blocks.map(days),
        y: blocks.map((t) => values.slice(t, t + 12).reduce((a, b) => a + b) / 12 / UNIT),
        color: "#56b4e9",
      },
      {
        name: "something happened",
        x: windows.flatMap(([from, to]) => [days(from), days(to), Number.NaN]),
        y: windows.flatMap(() => [top, top, Number.NaN]),
        color: "#009e73",
      },
      {
        name: "alarm",
        x: alarms.flatMap((t) => [days(t), days(t), Number.NaN]),
        y: alarms.flatMap(() => [top - 3, top - 1, Number.NaN]),
        color: "#d55e00",
      },
    ],
    { title: "Taxi passengers in New York, September 2014 to January 2015", xLabel: "days", width: 960 },
  );
}
