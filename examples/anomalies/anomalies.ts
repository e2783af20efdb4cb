// Unusual days: an LSTM forecasts a day from the day before, and a day that is far from its forecast is unusual.

import { readFileSync } from "node:fs";
import {
  Adam,
  fit,
  manualSeed,
  mean,
  mseLoss,
  predict,
  rocAuc,
  Scaler,
  SeriesWindows,
  select,
  slice,
  square,
  sub,
  tensor,
  transpose,
} from "tapeloop";
import { sequence } from "tapeloop/models";

const DAY = 48;
const read = (name: string) => readFileSync(new URL(name, import.meta.url), "utf8");
const [, ...rows] = read("nyc_taxi.csv").trim().split("\n");
export const times = rows.map((row) => row.slice(0, 19));
export const values = rows.map((row) => Number(row.slice(20)));
export const windows = JSON.parse(read("windows.json")) as [from: string, to: string][];
const circle = (part: number) => [Math.sin(2 * Math.PI * part), Math.cos(2 * Math.PI * part)];
/** Passengers, and the places in the day and in the week. */
const series = tensor(values.map((value, i) => [value, ...circle(i / DAY), ...circle(i / (7 * DAY))]));

/** Trains on the first 40 %, which are usual, and scores the day before every half hour by the error of its forecast. */
export async function run({ steps = 200, seed = 1 } = {}) {
  manualSeed(seed);
  const cut = Math.floor(0.4 * values.length);
  const scaler = Scaler.standard(slice(series, 0, 0, cut));
  const scaled = scaler.transform(series);
  const shape = { window: DAY, horizon: DAY, targets: [0] };
  const model = sequence({ inputSize: 5, layers: [{ lstm: 32 }, "last", { linear: DAY }] });
  const { history } = await fit(model, new SeriesWindows(slice(scaled, 0, 0, cut), { ...shape, batch: 64, shuffle: seed }), {
    optimizer: new Adam(model.parameters(), { lr: 5e-3 }),
    loss: (m, { inputs, targets }) => mseLoss(m.forward(inputs), transpose(select(targets, 2, 0))),
    maxSteps: steps,
    clipNorm: 1,
  });
  const scores = predict(model, new SeriesWindows(scaled, { ...shape, batch: 256, epochs: 1 }), (m, { inputs, targets }) => [
    ...mean(square(sub(m.forward(inputs), transpose(select(targets, 2, 0)))), { axis: 1 }).data(),
  ]).flat();
  const ends = times.slice(2 * DAY - 1);
  const labels = ends.map((time) => Number(windows.some(([from, to]) => from <= time && time <= to)));
  const start = cut - 2 * DAY + 1;
  const limit = Math.max(...scores.slice(0, start));
  const alarms = ends.filter((_, i) => i >= start && (scores[i] as number) > limit);
  const found = windows.filter(([from, to]) => alarms.some((time) => from <= time && time <= to));
  return { history, scores, limit, labels, start, alarms, found, auc: rocAuc(scores.slice(start), labels.slice(start)) };
}
