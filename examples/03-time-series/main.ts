/** Carbon dioxide at Mauna Loa, one month and twelve months ahead: an LSTM corrects the best simple forecasts. */

import {
  Adam,
  bootstrapInterval,
  Generator,
  lineChart,
  Module,
  manualSeed,
  mseLoss,
  predict,
  rmse,
  SequenceBatches,
  type Tensor,
} from "tapeloop";
import { type SequenceModel, sequence } from "tapeloop/models";
import { type Figure, type Result, type RunOptions, restored, resultOf, train } from "../shared/example.ts";
import {
  FIRST,
  type Forecast,
  fiveYearIncrement,
  lastYearsIncrement,
  meanOf,
  persistence,
  readSeries,
  type Series,
  seasonalNaive,
  tenYearDrift,
} from "./series.ts";

/** Months that the network reads for a forecast. */
const WINDOW = 36;
/** Months of the test part, and of the part before it that says when to stop and how wide the intervals are. */
const TEST = 120;
const VALID = 120;
const HORIZONS = [1, 12] as const;
/** What the network corrects, by horizon. */
const BASES: readonly Forecast[] = [fiveYearIncrement, tenYearDrift];

/** Several networks whose forecasts are averaged. */
class Ensemble extends Module {
  readonly members: readonly SequenceModel[];

  constructor(size: number) {
    super();
    this.members = Array.from({ length: size }, () => sequence({ inputSize: 4, layers: [{ lstm: 16 }, "last", { linear: 2 }] }));
  }
}

/** What the bases missed in month t, in units of their usual error. */
class Errors {
  readonly scales: readonly number[];
  readonly #series: Series;

  /** @param end the month before which errors may be looked at to find the units */
  constructor(series: Series, end: number) {
    this.#series = series;
    this.scales = [1, 1];
    this.scales = HORIZONS.map((_, i) => Math.sqrt(meanOf(Array.from({ length: end - FIRST }, (__, t) => this.of(i, FIRST + t) ** 2))));
  }

  of(i: number, t: number): number {
    const { values } = this.#series;
    return ((values[t] as number) - (BASES[i] as Forecast)(values, t)) / (this.scales[i] as number);
  }

  /** The window that ends with month t, and what the bases will miss after it. */
  example(t: number): { xs: number[][]; ys: number[] } {
    const xs = Array.from({ length: WINDOW }, (_, k) => t - WINDOW + 1 + k).map((s) => {
      const angle = (2 * Math.PI * (this.#series.months[s] as number)) / 12;
      return [this.of(0, s), this.of(1, s), Math.sin(angle), Math.cos(angle)];
    });
    // A month beyond the series has no error yet; forecasts do not read it.
    return { xs, ys: HORIZONS.map((h, i) => (t + h < this.#series.values.length ? this.of(i, t + h) : 0)) };
  }
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);

/** Batches of the windows that end in these months. */
function batchesOf(errors: Errors, ends: readonly number[], options: { shuffle?: boolean; epochs: number }) {
  return new SequenceBatches(
    ends.map((t) => errors.example(t)),
    { batchSize: 32, targets: "stacked", dtype: "float32", targetDtype: "float32", ...options },
  );
}

/** Forecasts [month][horizon] in ppm for the months from..to, each made `h` months before. */
function forecasts(model: Ensemble, series: Series, errors: Errors, from: number, to: number): number[][] {
  const ends = range(from - 12, to - 1);
  const outputs = model.members.map((member) =>
    predict(member, batchesOf(errors, ends, { epochs: 1 }), (m, { xs }) => m.forward(xs).toArray() as number[][]).flat(),
  );
  const correction = (t: number, i: number): number => meanOf(outputs.map((of) => (of[t - (from - 12)] as number[])[i] as number));
  return range(from, to).map((t) =>
    HORIZONS.map((h, i) => (BASES[i] as Forecast)(series.values, t) + (errors.scales[i] as number) * correction(t - h, i)),
  );
}

export async function run(options: RunOptions = {}): Promise<Result> {
  const { seed = 0, quick = false, full = false, data } = options;
  manualSeed(seed);
  const series = readSeries(data ?? new URL("co2.csv", import.meta.url));
  const { values } = series;
  const end = values.length - TEST;
  const errors = new Errors(series, end - VALID);
  const model = new Ensemble(full ? 10 : 3);
  const loss = (m: SequenceModel, { xs, ys }: { xs: Tensor; ys: Tensor }) => mseLoss(m.forward(xs), ys);
  const valid = batchesOf(errors, range(end - VALID, end - 12), { epochs: 1 });
  if (!restored(model, options)) {
    const batches = batchesOf(errors, range(FIRST + WINDOW, end - VALID - 12), { shuffle: true, epochs: quick ? 2 : 60 });
    for (const [i, member] of model.members.entries()) {
      await train(
        `LSTM ${i + 1}`,
        member,
        batches,
        {
          optimizer: new Adam(member.parameters(), { lr: 3e-3 }),
          loss,
          clipNorm: 1,
          evaluate: (m) => meanOf(predict(m, valid, (own, batch) => loss(own, batch).item())),
          evaluateEvery: batches.batchesPerEpoch,
          earlyStopping: { patience: 15 },
        },
        options,
      );
    }
  }
  return report(model, series, errors, end);
}

/** The error of forecasts of the test months, with an interval over its years: months of a year are not independent. */
function figureOf(h: number, of: string, forecast: readonly number[], truth: readonly number[]): Figure {
  const error = (months: readonly number[]) =>
    rmse(
      months.map((m) => forecast[m] as number),
      months.map((m) => truth[m] as number),
    );
  const years = (cases: readonly number[]) => error(cases.flatMap((year) => range(12 * year, 12 * year + 12)));
  const interval = bootstrapInterval(TEST / 12, years, { generator: new Generator(0) });
  return { metric: `RMSE ${h === 1 ? "one month" : `${h} months`} ahead, ppm`, of, value: error(range(0, TEST)), interval };
}

function report(model: Ensemble, series: Series, errors: Errors, end: number): Result {
  const { values, months } = series;
  const truth = values.slice(end);
  const own = forecasts(model, series, errors, end, values.length);
  const before = forecasts(model, series, errors, end - VALID, end);
  const rows: readonly (readonly [h: number, of: string, Forecast | null])[] = [
    [1, "LSTM", null],
    [1, "five years' increment", fiveYearIncrement],
    [1, "last year's increment", lastYearsIncrement],
    [1, "persistence", persistence],
    [12, "LSTM", null],
    [12, "a year before + drift", tenYearDrift],
    [12, "a year before", seasonalNaive],
  ];
  const figures = rows.map(([h, of, baseline]) => {
    const forecast = range(end, values.length).map((t, i) => baseline?.(values, t) ?? (own[i]?.[h === 1 ? 0 : 1] as number));
    return figureOf(h, of, forecast, truth);
  });
  // Nine of ten errors of the months before the test part are smaller.
  const halves = HORIZONS.map((_, i) =>
    quantile(
      before.map((f, k) => Math.abs((f[i] as number) - (values[end - VALID + k] as number))),
      0.9,
    ),
  );
  const inside = own.filter((f, k) => Math.abs((f[1] as number) - (truth[k] as number)) <= (halves[1] as number)).length / TEST;
  const best = (h: number, of: string) => figures.find((f) => f.of === of && f.metric.includes(h === 1 ? "one month" : "12")) as Figure;
  return resultOf(model, {
    figures: [...figures, { metric: "share of months within the 90 % interval, 12 months ahead", of: "LSTM", value: inside }],
    gates: [
      {
        what: "one month ahead the LSTM errs less than five years' increment",
        passed: best(1, "LSTM").value < best(1, "five years' increment").value,
      },
      {
        what: "12 months ahead it errs less than a year before + drift",
        passed: best(12, "LSTM").value < best(12, "a year before + drift").value,
      },
    ],
    data: "Mauna Loa monthly carbon dioxide 1958-2020 (Scripps CO2 program; CC BY 4.0), as in vega-datasets 3.2.1",
    pictures: { "forecast.svg": pictureOf(months.slice(end), truth, own, halves) },
  });
}

function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.ceil(share * sorted.length) - 1] as number;
}

/** The last five years: what was measured, and what was expected a year before, with 90 % intervals. */
function pictureOf(months: readonly number[], truth: readonly number[], own: readonly number[][], halves: readonly number[]): string {
  const shown = months.slice(-60).map((m) => m / 12);
  const yearAhead = own.slice(-60).map((f) => f[1] as number);
  const half = halves[1] as number;
  // NaN interrupts the line between the lower and the upper end.
  const [lower, upper] = [yearAhead.map((y) => y - half), yearAhead.map((y) => y + half)];
  const bothEnds = { x: [...shown, Number.NaN, ...shown], y: [...lower, Number.NaN, ...upper] };
  return lineChart(
    [
      { name: "measured", x: shown, y: truth.slice(-60), color: "#000000" },
      { name: "LSTM, 12 months ahead", x: shown, y: yearAhead, color: "#d55e00" },
      { name: "90 % interval", ...bothEnds, color: "#e69f00", dashed: true },
    ],
    { title: "Carbon dioxide at Mauna Loa, and what was expected a year before", xLabel: "year", yLabel: "ppm" },
  );
}
