/** Bars, points and histograms as SVG text. */

import { checkArrayLike, checkOptions, checkWhole, isRecord } from "../base/checks.ts";
import { ArgumentError, DTypeError } from "../base/errors.ts";
import { quote } from "../base/quote.ts";
import type { Tensor } from "../tensor/tensor.ts";
import {
  axes,
  CHART,
  type ChartOptions,
  COLORS,
  checkChart,
  checkLines,
  colorsOf,
  header,
  type Line,
  labelsBelow,
  legend,
  picture,
  plotOf,
  rounded,
} from "./svg.ts";

/** Values by name. @throws DTypeError, ArgumentError */
function barsOf(bars: Readonly<Record<string, number>>): [string, number][] {
  if (!isRecord(bars)) throw new DTypeError(`barChart: expected values by name, got ${quote(bars)}`);
  const entries = Object.entries(bars);
  if (entries.length === 0) throw new ArgumentError("barChart: expected at least one bar, got none");
  const wrong = entries.find(([, value]) => !Number.isFinite(value));
  if (wrong !== undefined) throw new ArgumentError(`barChart: expected finite values, got ${quote(wrong[1])} for ${quote(wrong[0])}`);
  return entries;
}

/**
 * Bars from 0, one for each name; names that do not fit side by side are slanted.
 * @throws ArgumentError for no bars, or for values that are not finite
 * @example const svg = barChart({ LSTM: 0.91, GRU: 0.89, Elman: 0.62 }, { title: "accuracy" });
 */
export function barChart(bars: Readonly<Record<string, number>>, options: ChartOptions = {}): string {
  checkOptions("barChart", options, CHART);
  checkChart("barChart", options);
  const entries = barsOf(bars);
  const names = entries.map(([name]) => name);
  const plot = plotOf(options, { x: [0, entries.length], y: [0, ...entries.map(([, value]) => value)], below: names });
  const { left, right, y } = plot;
  const width = (right - left) / entries.length;
  const zero = y.position(0);
  const rects = entries.map(([, value], i) => {
    const [a, b] = [zero, y.position(value)].sort((p, q) => p - q) as [number, number];
    return `<rect x="${rounded(left + (i + 0.1) * width)}" y="${rounded(a)}" width="${rounded(0.8 * width)}" height="${rounded(b - a)}" fill="${COLORS[0]}"/>`;
  });
  return picture(plot.width, plot.height, options.title, [
    header(options.title),
    axes(plot, options, { x: false }),
    `<g>${rects.join("")}</g>`,
    labelsBelow(names, plot, (i) => left + (i + 0.5) * width),
  ]);
}

/**
 * Points, a colour for each group.
 * @throws ArgumentError if a group's x and y differ in length, or no point is finite
 * @example const svg = scatterChart([{ name: "states", x: first, y: second }], { xLabel: "component 1", yLabel: "component 2" });
 */
export function scatterChart(groups: readonly Omit<Line, "dashed">[], options: ChartOptions = {}): string {
  checkOptions("scatterChart", options, CHART);
  checkChart("scatterChart", options);
  checkLines("scatterChart", groups);
  const points = groups.map(({ x, y }) =>
    Array.from(x, (value, i) => [value, y[i] as number] as const).filter((p) => p.every(Number.isFinite)),
  );
  const all = points.flat();
  if (all.length === 0) throw new ArgumentError("scatterChart: expected at least one finite point, got none");
  const plot = plotOf(options, { x: all.map((p) => p[0]), y: all.map((p) => p[1]) });
  const color = colorsOf(groups);
  const dots = points.map((own, i) => {
    const circles = own.map(([px, py]) => `<circle cx="${rounded(plot.x.position(px))}" cy="${rounded(plot.y.position(py))}" r="2.5"/>`);
    return `<g fill="${color(i)}" fill-opacity="0.7">${circles.join("")}</g>`;
  });
  return picture(plot.width, plot.height, options.title, [
    header(options.title),
    legend(groups, color, plot.width),
    axes(plot, options),
    ...dots,
  ]);
}

/** Bins in a picture at most. */
const MOST_BINS = 10_000;

export interface HistogramOptions extends ChartOptions {
  /** Number of bins, 10,000 at most (default: Sturges' rule, ⌈log₂ n⌉ + 1). */
  readonly bins?: number;
}

/** Bins of equal width: how many values each holds, and where it begins. */
interface Bins {
  readonly counts: readonly number[];
  readonly edge: (i: number) => number;
}

/** Counts in halves of the values, since the range of all floats would overflow. */
function binsOf(values: readonly number[], bins: number): Bins {
  const least = values.reduce((a, b) => Math.min(a, b)) / 2;
  const most = values.reduce((a, b) => Math.max(a, b)) / 2;
  // Bins are as wide as an axis can show; those of a single value are 1 wide.
  const finest = 1e-12 * Math.max(Math.abs(least), Math.abs(most));
  const width = Math.max(most === least ? 0.5 : (most - least) / bins, finest, 1e-300);
  const start = Math.min(least, Math.max(-Number.MAX_VALUE / 2, Number.MAX_VALUE / 2 - bins * width));
  const counts = new Array<number>(bins).fill(0);
  for (const value of values) {
    const bin = Math.min(bins - 1, Math.floor((value / 2 - start) / width));
    counts[bin] = (counts[bin] as number) + 1;
  }
  return { counts, edge: (i) => 2 * Math.min(start + i * width, Number.MAX_VALUE / 2) };
}

/**
 * How often values fall into bins of equal width. Values that are not finite are left out.
 * @throws ArgumentError for no finite value
 * @example const svg = histogram(model.lstm.stateDict().get("weight_hh_l0"), { title: "recurrent weights", bins: 40 });
 */
export function histogram(values: Tensor | ArrayLike<number>, options: HistogramOptions = {}): string {
  checkOptions("histogram", options, [...CHART, "bins"]);
  checkChart("histogram", options);
  const list = typeof (values as Partial<Tensor> | null)?.data === "function" ? (values as Tensor).data() : (values as ArrayLike<number>);
  checkArrayLike("histogram", "values", list);
  const finite = Array.prototype.filter.call(list, Number.isFinite) as number[];
  if (finite.length === 0) throw new ArgumentError("histogram: expected at least one finite value, got none");
  const { bins = Math.ceil(Math.log2(finite.length)) + 1, ...chart } = options;
  checkWhole("histogram", "bins", bins, { least: 1, most: MOST_BINS });
  const { counts, edge } = binsOf(finite, bins);
  const plot = plotOf(chart, { x: [edge(0), edge(bins)], y: [0, ...counts] });
  const [zero, at] = [plot.y.position(0), (i: number) => plot.x.position(edge(i))];
  const rects = counts.map((count, i) => {
    const top = plot.y.position(count);
    return `<rect x="${rounded(at(i))}" y="${rounded(top)}" width="${rounded(Math.max(0, at(i + 1) - at(i) - 0.5))}" height="${rounded(zero - top)}" fill="${COLORS[0]}"/>`;
  });
  return picture(plot.width, plot.height, chart.title, [
    header(chart.title),
    axes(plot, { yLabel: "count", ...chart }),
    `<g>${rects.join("")}</g>`,
  ]);
}
