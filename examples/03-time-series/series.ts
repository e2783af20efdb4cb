/** The monthly concentration of carbon dioxide at Mauna Loa, and the forecasts that need no model. */

import { readFileSync } from "node:fs";

export interface Series {
  /** Months since the year 0. */
  readonly months: readonly number[];
  /** Parts per million, one value a month. */
  readonly values: readonly number[];
}

/** Reads a CSV of date, value and seasonally adjusted value, and fills the seven months that are missing. */
export function readSeries(file: string | URL): Series {
  const rows = readFileSync(file, "utf8").trim().split("\n").slice(1);
  const measured = new Map<number, number>();
  const seasonal = new Map<number, number[]>();
  const adjusted = new Map<number, number>();
  for (const row of rows) {
    const [date = "", value, smooth] = row.split(",");
    const month = 12 * Number(date.slice(0, 4)) + Number(date.slice(5, 7)) - 1;
    measured.set(month, Number(value));
    adjusted.set(month, Number(smooth));
    seasonal.set(month % 12, [...(seasonal.get(month % 12) ?? []), Number(value) - Number(smooth)]);
  }
  const first = Math.min(...measured.keys());
  const months = Array.from({ length: Math.max(...measured.keys()) - first + 1 }, (_, i) => first + i);
  const fill = (month: number) => between(adjusted, month) + meanOf(seasonal.get(month % 12) ?? []);
  return { months, values: months.map((month) => measured.get(month) ?? fill(month)) };
}

export const meanOf = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;

/** The value of a month that is missing, on the line between its neighbours. */
function between(known: ReadonlyMap<number, number>, month: number): number {
  let [before, after] = [month, month];
  while (!known.has(before)) before--;
  while (!known.has(after)) after++;
  if (before === after) return known.get(month) as number;
  const [low, high] = [known.get(before) as number, known.get(after) as number];
  return low + ((high - low) * (month - before)) / (after - before);
}

/** A forecast for month `t` of what is known `h` months before. */
export type Forecast = (values: readonly number[], t: number) => number;

const at = (values: readonly number[], t: number): number => values[t] as number;

/** One month ahead. */
export const persistence: Forecast = (y, t) => at(y, t - 1);
export const lastYearsIncrement: Forecast = (y, t) => at(y, t - 1) + at(y, t - 12) - at(y, t - 13);
/** The mean of the same month's increments in the last five years. */
export const fiveYearIncrement: Forecast = (y, t) =>
  at(y, t - 1) + meanOf([1, 2, 3, 4, 5].map((k) => at(y, t - 12 * k) - at(y, t - 12 * k - 1)));

/** Twelve months ahead. */
export const seasonalNaive: Forecast = (y, t) => at(y, t - 12);
/** The value of a year before, and a year of the last ten years' growth. */
export const tenYearDrift: Forecast = (y, t) => at(y, t - 12) + (at(y, t - 12) - at(y, t - 132)) / 10;
/** The first month for which all of them exist. */
export const FIRST = 132;
