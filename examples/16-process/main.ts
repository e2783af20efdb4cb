/** Business processes: what happens next in a case, and when. */

import { readFileSync } from "node:fs";
import {
  Adam,
  abs,
  add,
  bootstrapInterval,
  cast,
  cosineAnnealingLR,
  crossEntropy,
  div,
  Generator,
  greaterEqual,
  heatMap,
  Linear,
  LSTM,
  Module,
  mul,
  noGrad,
  predict,
  reshape,
  SequenceBatches,
  scope,
  select,
  softmax,
  sub,
  sum,
  type Tensor,
  tensor,
} from "tapeloop";
import { type Figure, type Result, type RunOptions, restored, resultOf, train } from "../shared/example.ts";
import { WittenBell } from "../shared/witten-bell.ts";
import { type Case, type Log, orders, readLog } from "./cases.ts";

/** The shortest part of a case after which something is predicted. */
const SHORTEST = 2;
const NONE = -100;

/** After each event: the logits of the next one, and the days until it, as log(1 + days). */
class NextEvent extends Module {
  readonly lstm: LSTM;
  readonly activity: Linear;
  readonly days: Linear;

  constructor(activities: number, generator: Generator) {
    super();
    this.lstm = new LSTM({ inputSize: activities + 5, hiddenSize: 48, dropout: 0.2, numLayers: 2, generator });
    this.activity = new Linear(48, activities, { generator });
    this.days = new Linear(48, 1, { generator });
  }

  forward(xs: Tensor, lengths: readonly number[]): { logits: Tensor; days: Tensor } {
    const { output } = this.lstm.forward(xs, { lengths });
    return { logits: this.activity.forward(output), days: select(this.days.forward(output), 2, 0) };
  }
}

/** What is known of each event: the activity, its place, the time since the last one and since the start, the hour and the day of the week. */
function features(events: Case, activities: number): number[][] {
  return events.map(({ activity, time }, t) => {
    const since = (earlier: number) => Math.log1p(Math.max(0, time - (events[earlier]?.time as number)));
    const known = [t / 10, since(Math.max(0, t - 1)), since(0), time % 1, (Math.floor(time) % 7) / 7];
    return [...Array.from({ length: activities }, (_, k) => Number(k === activity)), ...known];
  });
}

/** The next activity and log(1 + days until it), after each event of a case; none after the last. */
function targets(events: Case, shortest: number): number[][] {
  return events.map(({ time }, t) => {
    const next = events[t + 1];
    return next === undefined || t + 1 < shortest ? [NONE, NONE] : [next.activity, Math.log1p(Math.max(0, next.time - time))];
  });
}

function batchesOf({ cases, activities }: Log, options: { batchSize: number; epochs: number; generator?: Generator; shortest: number }) {
  const { shortest, ...rest } = options;
  const examples = cases.map((events) => ({ xs: features(events, activities.length), ys: targets(events, shortest) }));
  return new SequenceBatches(examples, { ...rest, shuffle: options.generator !== undefined, targetPadding: NONE });
}

/** Cross-entropy of the activity, and the mean absolute error of the time, where there is a next event; the best guess under it is a median in days too. */
function losses(model: NextEvent, { xs, ys, lengths }: { xs: Tensor; ys: Tensor; lengths: readonly number[] }) {
  const { logits, days } = model.forward(xs, lengths);
  const [activity, wanted] = [select(ys, 2, 0), select(ys, 2, 1)];
  const counts = cast(greaterEqual(activity, 0), "float32");
  const nll = crossEntropy(reshape(logits, [-1, logits.dim(2)]), cast(reshape(activity, [-1]), "int32"));
  return { nll, mae: div(sum(mul(abs(sub(days, wanted)), counts)), sum(counts)) };
}

/** Something predicted, and what came. */
interface Point {
  readonly from: number;
  readonly history: readonly number[];
  readonly activity: number;
  readonly days: number;
}

/** A prediction: the chances of all activities, and the days. */
interface Guess {
  readonly chances: readonly number[];
  readonly days: number;
}

function pointsOf(cases: readonly Case[]): Point[] {
  return cases.flatMap((events, from) => {
    const wanted = targets(events, SHORTEST);
    return wanted.flatMap(([activity = NONE, days = 0], t) =>
      activity === NONE ? [] : [{ from, history: events.slice(0, t + 1).map((event) => event.activity), activity, days: Math.expm1(days) }],
    );
  });
}

/** What the network says at all points, in their order. */
function guessesOf(model: NextEvent, log: Log): Guess[] {
  const batches = batchesOf(log, { batchSize: 200, epochs: 1, shortest: SHORTEST });
  return predict(model, batches, (m, { xs, ys, lengths }) => {
    const { logits, days } = m.forward(xs, lengths);
    const [chances, all] = [softmax(logits, -1).toArray() as number[][][], days.toArray() as number[][]];
    const wanted = ys.toArray() as number[][][];
    const at = (t: number, b: number): Guess[] =>
      wanted[t]?.[b]?.[0] === NONE ? [] : [{ chances: chances[t]?.[b] as number[], days: Math.expm1(all[t]?.[b] as number) }];
    return lengths.flatMap((length, b) => Array.from({ length }, (_, t) => at(t, b)).flat());
  }).flat();
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

/** Chances from an n-gram, days from the median after the same activity. */
function simpleGuesses(training: readonly Case[], activities: number, order: number, points: readonly Point[]): Guess[] {
  const ngram = new WittenBell(
    training.map((events) => events.map(({ activity }) => activity)),
    { order, symbols: activities },
  );
  const known = pointsOf(training);
  const medians = Array.from({ length: activities }, (_, k) =>
    median(known.filter(({ history }) => history.at(-1) === k).map(({ days }) => days)),
  );
  return points.map(({ history }) => ({ chances: ngram.distribution(history), days: medians[history.at(-1) as number] as number }));
}

const MEASURES: Readonly<Record<string, (guess: Guess, point: Point) => number>> = {
  "accuracy of the next activity": ({ chances }, { activity }) => Number(chances.indexOf(Math.max(...chances)) === activity),
  "negative log-likelihood, nats": ({ chances }, { activity }) => -Math.log(chances[activity] as number),
  "mean absolute error, days": (guess, { days }) => Math.abs(guess.days - days),
};

/** The chances of what comes next, all along one case. */
function picture(model: NextEvent, events: Case, activities: readonly string[]): string {
  const xs = tensor(features(events, activities.length).map((step) => [step]));
  const chances = scope(() => noGrad(() => softmax(model.forward(xs, [events.length]).logits, -1).toArray() as number[][][]));
  return heatMap(
    activities.map((_, k) => chances.map(([row]) => row?.[k] as number)),
    {
      rows: activities,
      columns: events.map(({ activity }) => activities[activity] as string),
      range: [0, 1],
      title: "What comes next, after each event of a case",
    },
  );
}

export async function run(options: RunOptions = {}): Promise<Result> {
  const { seed = 0, quick = false, full = false, data } = options;
  const log = data === undefined ? orders(1, quick ? 300 : 2000) : readLog(readFileSync(data, "utf8"));
  const { cases, activities } = log;
  const split = Math.floor((2 / 3) * cases.length);
  const [training, test] = [cases.slice(0, split), cases.slice(split)];
  const generator = new Generator(seed);
  const model = new NextEvent(activities.length, generator);
  if (!restored(model, options)) {
    const epochs = quick ? 1 : full ? 40 : 15;
    const batches = batchesOf({ cases: training, activities }, { batchSize: 32, epochs, generator, shortest: 1 });
    await train(
      "LSTM",
      model,
      batches,
      {
        optimizer: new Adam(model.parameters(), { lr: 5e-3 }),
        loss: (m, batch) => {
          const { nll, mae } = losses(m, batch);
          return add(nll, mae);
        },
        schedule: cosineAnnealingLR({ tMax: epochs * batches.batchesPerEpoch }),
        clipNorm: 1,
      },
      options,
    );
  }
  model.eval();
  const points = pointsOf(test);
  const simple = (order: number) => simpleGuesses(training, activities.length, order, points);
  const guesses = {
    "LSTM, two layers of 48": guessesOf(model, { cases: test, activities }),
    "4-gram, median after the same activity": simple(4),
    bigram: simple(2),
  };
  const ofCase = test.map((_, from) => points.flatMap((point, i) => (point.from === from ? [i] : [])));
  const figures = Object.entries(MEASURES).flatMap(([metric, measure]) =>
    Object.entries(guesses).flatMap(([of, own]): Figure[] => {
      if (of === "bigram" && metric.startsWith("mean")) return [];
      const values = points.map((point, i) => measure(own[i] as Guess, point));
      const mean = (chosen: readonly number[]) => chosen.reduce((sum, i) => sum + (values[i] as number), 0) / chosen.length;
      const interval = bootstrapInterval(test.length, (some) => mean(some.flatMap((i) => ofCase[i] as number[])), {
        resamples: 200,
        generator,
      });
      return [{ metric, of, value: mean([...points.keys()]), interval }];
    }),
  );
  const value = (metric: number, of: number) => figures[3 * metric + of]?.value as number;
  return resultOf(model, {
    figures,
    gates: [
      { what: "more of the next activities than n-grams", passed: value(0, 0) > Math.max(value(0, 1), value(0, 2)) },
      { what: "likelier than by the 4-gram", passed: value(1, 0) < value(1, 1) },
      { what: "nearer in time than the median after the same activity", passed: value(2, 0) < value(2, 1) },
    ],
    data: data === undefined ? "made by the program: orders from their arrival to the money" : `the log ${data}, read from the path given`,
    pictures: { "next.svg": picture(model, longest(test), activities) },
  });
}

/** A case of many events, but not more than fit a picture. */
function longest(cases: readonly Case[]): Case {
  return cases.filter(({ length }) => length <= 14).reduce((a, b) => (b.length > a.length ? b : a));
}
