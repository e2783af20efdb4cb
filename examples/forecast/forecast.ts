// A year ahead: an LSTM reads 24 months of a series and forecasts the next twelve.

import { readFileSync } from "node:fs";
import {
  Adam,
  add,
  evaluate,
  exp,
  fit,
  log,
  manualSeed,
  mape,
  mseLoss,
  noGrad,
  rmse,
  slice,
  sub,
  type Tensor,
  tensor,
  transpose,
  unsqueeze,
} from "tapeloop";
import { Scaler, SeriesWindows } from "tapeloop/data";
import { type SequenceModel, sequence } from "tapeloop/models";

/** From months [24,B,1] to the twelve after them [12,B,1], both against the last month: so a trend does not matter. */
function forecast(model: SequenceModel, months: Tensor): Tensor {
  const last = slice(months, 0, -1);
  return add(last, unsqueeze(transpose(model.forward(sub(months, last))), 2));
}

/** Trains on the first 70 % of the second column of a CSV file, and forecasts a year from each month of the rest. */
export async function run({ file = new URL("co2-concentration.csv", import.meta.url) as string | URL, steps = 1500, seed = 1 } = {}) {
  manualSeed(seed);
  const [, ...rows] = readFileSync(file, "utf8").trim().split("\n");
  const values = rows.map((row) => Number(row.split(",")[1]));
  const cut = Math.floor(0.7 * values.length);
  const series = log(tensor(values.map((value) => [value])));
  const scaler = Scaler.standard(slice(series, 0, 0, cut));
  const scaled = scaler.transform(series);
  const original = (x: Tensor) => exp(scaler.inverse(x));

  const model = sequence({ inputSize: 1, layers: [{ lstm: 32 }, "last", { linear: 12 }] });
  const windows = { window: 24, horizon: 12 };
  const { history } = await fit(model, new SeriesWindows(slice(scaled, 0, 0, cut), { ...windows, batch: 32, shuffle: seed }), {
    optimizer: new Adam(model.parameters(), { lr: 3e-3 }),
    loss: (m, { inputs, targets }) => mseLoss(forecast(m, inputs), targets),
    maxSteps: steps,
    clipNorm: 1,
  });
  const test = new SeriesWindows(slice(scaled, 0, cut - 24), { ...windows, batch: values.length, epochs: 1 });
  const errors = evaluate(model, test, (m, { inputs, targets }) => {
    const [truth, guess, before] = [targets, forecast(m, inputs), slice(inputs, 0, -12)].map(original) as [Tensor, Tensor, Tensor];
    return { rmse: rmse(guess, truth), mape: mape(guess, truth), naiveRmse: rmse(before, truth), naiveMape: mape(before, truth) };
  });
  const lastYear = noGrad(() => original(forecast(model, unsqueeze(slice(scaled, 0, -36, -12), 1)))).data();
  return { history, errors, values, lastYear };
}
