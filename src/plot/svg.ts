/** Line charts as SVG text. */

import { checkArrayLike, checkFlag, checkList, checkNumber, checkObject, checkOptions, checkText } from "../base/checks.ts";
import { ArgumentError } from "../base/errors.ts";
import { quote } from "../base/quote.ts";

/** A line of a chart: its points in order. */
export interface Line {
  readonly name: string;
  readonly x: ArrayLike<number>;
  /** As many values as in x; a value that is not finite interrupts the line. */
  readonly y: ArrayLike<number>;
  readonly dashed?: boolean;
  readonly color?: string;
}

export interface ChartOptions {
  readonly title?: string;
  readonly xLabel?: string;
  readonly yLabel?: string;
  readonly width?: number;
  readonly height?: number;
}

/** The names of `ChartOptions`. @internal */
export const CHART = ["title", "xLabel", "yLabel", "width", "height"] as const;

/** Colours that colour-blind readers can distinguish: Okabe & Ito (2008), Color universal design. @internal */
export const COLORS: readonly string[] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"];

/** The colour of each line: its own, or the next of `COLORS`. @internal */
export function colorsOf(lines: readonly Pick<Line, "color">[]): (i: number) => string {
  return (i) => lines[i]?.color ?? (COLORS[i % COLORS.length] as string);
}

const MARGIN = { top: 56, right: 20, bottom: 48, left: 64 };
/** A side of a picture in pixels at most. */
const LARGEST = 1e5;
/** Mean width of a character of the 12 px font, for the legend. */
const CHARACTER = 6.6;

/** Captions are texts, and sides have room for the margins. @throws DTypeError, ArgumentError @internal */
export function checkChart(op: string, { title, xLabel, yLabel, width, height }: ChartOptions): void {
  for (const [name, value] of Object.entries({ title, xLabel, yLabel })) if (value !== undefined) checkText(op, name, value);
  if (width !== undefined) checkNumber(op, "width", width, { above: MARGIN.left + MARGIN.right, most: LARGEST });
  if (height !== undefined) checkNumber(op, "height", height, { above: MARGIN.top + MARGIN.bottom, most: LARGEST });
}

/** Names, and as many x as y. @throws DTypeError, ArgumentError @internal */
export function checkLines(op: string, lines: readonly Line[]): void {
  checkList(op, "lines", lines);
  for (const line of lines) {
    checkObject(op, "a line", line);
    const { name, x, y, color, dashed } = line;
    checkText(op, "the name of a line", name);
    if (color !== undefined) checkText(op, "the color of a line", color);
    if (dashed !== undefined) checkFlag(op, "dashed", dashed);
    checkArrayLike(op, `x of ${quote(name)}`, x);
    checkArrayLike(op, `y of ${quote(name)}`, y);
    if (x.length === y.length) continue;
    throw new ArgumentError(`${op}: expected as many x as y in ${quote(name)}, got ${x.length} and ${y.length}`);
  }
}

/** @internal */
export interface Scale {
  readonly ticks: readonly number[];
  /** Number of decimals that distinguishes the ticks. */
  readonly decimals: number;
  readonly position: (value: number) => number;
}

/**
 * A line chart with axes, ticks and a legend.
 * @throws ArgumentError if a line's x and y differ in length, or no point is finite
 * @example const svg = lineChart([{ name: "training", x: steps, y: losses }], { xLabel: "step", yLabel: "loss" });
 */
export function lineChart(lines: readonly Line[], options: ChartOptions = {}): string {
  checkOptions("lineChart", options, CHART);
  checkChart("lineChart", options);
  checkLines("lineChart", lines);
  const points = lines.map(finitePoints);
  const all = points.flat(2);
  if (all.length === 0) throw new ArgumentError("lineChart: expected at least one finite point, got none");
  const plot = plotOf(options, { x: all.map((p) => p[0]), y: all.map((p) => p[1]) });
  const color = colorsOf(lines);
  return picture(plot.width, plot.height, options.title, [
    header(options.title),
    legend(lines, color, plot.width),
    axes(plot, options),
    ...points.map((runs, i) => path(runs, plot.x, plot.y, color(i), lines[i]?.dashed ?? false)),
  ]);
}

/** Where a chart's values lie. */
export interface Plot {
  readonly width: number;
  readonly height: number;
  readonly left: number;
  readonly right: number;
  readonly bottom: number;
  readonly x: Scale;
  readonly y: Scale;
}

/** What a chart has to show along each axis, and the names below it. */
interface Shown {
  readonly x: readonly number[];
  readonly y: readonly number[];
  readonly below?: readonly string[];
}

/** @internal */
export function plotOf({ width = 720, height = 432 }: ChartOptions, { x, y, below = [] }: Shown): Plot {
  const [left, right] = [MARGIN.left, width - MARGIN.right];
  const bottom = height - MARGIN.bottom - roomBelow(below, (right - left) / Math.max(1, below.length));
  return { width, height, left, right, bottom, x: scaleOf(x, left, right, 8), y: scaleOf(y, bottom, MARGIN.top, 6) };
}

/** The title's line. @internal */
export function header(title: string | undefined, left: number = MARGIN.left): string {
  return title === undefined ? "" : text(left, 22, title, 'font-size="15" font-weight="600"');
}

/** Both axes with their captions; the x-axis is a bare line where `x` is false. @internal */
export function axes(plot: Plot, { xLabel, yLabel }: ChartOptions, { x = true }: { readonly x?: boolean } = {}): string {
  return `${xAxis(plot, xLabel, x)}\n${yAxis(plot, yLabel)}`;
}

/** The width of a text in pixels, about. @internal */
export function widthOf(content: string): number {
  return CHARACTER * content.length;
}

/** Whether some label is wider than its place, so that all are slanted. */
const areAslant = (labels: readonly string[], place: number): boolean => labels.some((label) => widthOf(label) > place - 4);

/** Room that labels need below an axis, besides that of one line. @internal */
export function roomBelow(labels: readonly string[], place: number): number {
  if (!areAslant(labels, place)) return 0;
  return Math.ceil(Math.SQRT1_2 * Math.max(...labels.map(widthOf)));
}

/** Labels below an axis, slanted if they do not fit side by side. @internal */
export function labelsBelow(
  labels: readonly string[],
  { left, right, bottom }: Pick<Plot, "left" | "right" | "bottom">,
  at: (i: number) => number,
): string {
  const aslant = areAslant(labels, (right - left) / Math.max(1, labels.length));
  return labels
    .map((label, i) => {
      const [x, y] = [rounded(at(i)), bottom + 16];
      return text(x, y, label, aslant ? `text-anchor="end" transform="rotate(-45 ${x} ${y})"` : 'text-anchor="middle"');
    })
    .join("");
}

/** A picture before it is text. @internal */
export interface Drawing {
  readonly width: number;
  readonly height: number;
  readonly parts: readonly string[];
}

/** SVG text of parts on a white background. */
export function picture(width: number, height: number, title: string | undefined, parts: readonly string[]): string {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" font-family="system-ui, sans-serif" font-size="12" fill="#222">`,
    title === undefined ? "" : `<title>${escapeXml(title)}</title>`,
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    ...parts,
    "</svg>\n",
  ]
    .filter((part) => part !== "")
    .join("\n");
}

/** Drawings one below the other, as SVG text. @internal */
export function column(drawings: readonly Drawing[], title: string | undefined): string {
  const top = title === undefined ? 0 : 32;
  const tops = drawings.map((_, i) => drawings.slice(0, i).reduce((y, { height }) => y + height, top));
  const height = drawings.reduce((y, drawing) => y + drawing.height, top);
  const groups = drawings.map(({ parts }, i) => `<g transform="translate(0 ${tops[i]})">${parts.join("")}</g>`);
  return picture(Math.max(...drawings.map(({ width }) => width)), height, title, [header(title, 16), ...groups]);
}

type Point = readonly [x: number, y: number];

/** The line's points, split where one is not finite. */
function finitePoints({ x, y }: Line): Point[][] {
  const runs: Point[][] = [[]];
  for (let i = 0; i < x.length; i++) {
    const point: Point = [x[i] as number, y[i] as number];
    if (point.every(Number.isFinite)) runs.at(-1)?.push(point);
    else runs.push([]);
  }
  return runs.filter((run) => run.length > 0);
}

/** Ticks at 1, 2 or 5 times a power of ten, from at or below the least to at or above the greatest value. */
function scaleOf(values: readonly number[], from: number, to: number, count: number): Scale {
  const least = values.reduce((a, b) => Math.min(a, b));
  const greatest = values.reduce((a, b) => Math.max(a, b));
  const size = Math.max(Math.abs(least), Math.abs(greatest));
  // A narrower range has no room for steps between its numbers; a wider one overflows.
  const span = least === greatest ? size : Math.max(greatest - least, size * 1e-12);
  const step = niceStep(size === 0 ? 1 : Math.min(Math.max(span, 1e-300), Number.MAX_VALUE), count);
  const first = Math.floor(least / step);
  const last = Math.max(first + 1, Math.ceil(greatest / step));
  const decimals = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  return {
    ticks: Array.from({ length: last - first + 1 }, (_, i) => (first + i) * step).filter(Number.isFinite),
    decimals,
    position: (value) => from + ((value / step - first) / (last - first)) * (to - from),
  };
}

function niceStep(span: number, count: number): number {
  const power = 10 ** Math.floor(Math.log10(span / count));
  const factor = [1, 2, 5].find((f) => f * power * count >= span * (1 - 1e-9)) ?? 10;
  return factor * power;
}

function label(value: number, { decimals }: Scale): string {
  if (Math.abs(value) >= 1e7 || decimals > 6) return value.toExponential(1);
  return value.toFixed(decimals);
}

/** @internal */
export function legend(lines: readonly Pick<Line, "name" | "dashed">[], color: (i: number) => string, width: number): string {
  let x = MARGIN.left;
  let y = 40;
  const entries = lines.map((line, i) => {
    const room = 34 + CHARACTER * line.name.length;
    if (x > MARGIN.left && x + room > width) {
      x = MARGIN.left;
      y += 13;
    }
    const sample = `<path d="M${x} ${y - 4}h20" ${stroke(color(i), line.dashed ?? false)}/>`;
    const entry = `${sample}${text(x + 25, y, line.name)}`;
    x += room + 12;
    return entry;
  });
  return `<g>${entries.join("")}</g>`;
}

function xAxis({ x: scale, left, right, bottom, height }: Plot, name: string | undefined, withTicks: boolean): string {
  const ticks = (withTicks ? scale.ticks : []).map((v) => {
    const x = rounded(scale.position(v));
    return `<path d="M${x} ${bottom}v5" stroke="#222"/>${text(x, bottom + 18, label(v, scale), 'text-anchor="middle"')}`;
  });
  const line = `<path d="M${left} ${bottom}H${right}" stroke="#222"/>`;
  return `<g>${line}${ticks.join("")}${captionBelow(name, (left + right) / 2, height - 10)}</g>`;
}

function yAxis({ y: scale, left, right, bottom }: Plot, name: string | undefined): string {
  const ticks = scale.ticks.map((v) => {
    const y = rounded(scale.position(v));
    return `<path d="M${left} ${y}H${right}" stroke="#ddd"/>${text(left - 8, y + 4, label(v, scale), 'text-anchor="end"')}`;
  });
  const middle = rounded((MARGIN.top + bottom) / 2);
  return `<g>${ticks.join("")}${captionBeside(name, middle)}</g>`;
}

/** The caption of an x-axis; none without a name. @internal */
export function captionBelow(name: string | undefined, x: number, y: number): string {
  return name === undefined ? "" : text(x, y, name, 'text-anchor="middle"');
}

/** The caption of a y-axis, from bottom to top; none without a name. @internal */
export function captionBeside(name: string | undefined, y: number): string {
  return name === undefined ? "" : text(16, y, name, `text-anchor="middle" transform="rotate(-90 16 ${y})"`);
}

function path(runs: readonly (readonly Point[])[], x: Scale, y: Scale, color: string, dashed: boolean): string {
  const place = ([px, py]: Point) => `${rounded(x.position(px))} ${rounded(y.position(py))}`;
  const d = runs.map((run) => `M${run.map(place).join("L")}`).join("");
  return d === "" ? "" : `<path d="${d}" ${stroke(color, dashed)}/>`;
}

function stroke(color: string, dashed: boolean): string {
  return `fill="none" stroke="${escapeXml(color)}" stroke-width="1.6" stroke-linejoin="round" stroke-linecap="round"${dashed ? ' stroke-dasharray="6 4"' : ""}`;
}

export function text(x: number, y: number, content: string, attributes = ""): string {
  return `<text x="${x}" y="${y}"${attributes === "" ? "" : ` ${attributes}`}>${escapeXml(content)}</text>`;
}

/** To hundredths of a pixel. @internal */
export function rounded(value: number): number {
  return Math.round(value * 100) / 100;
}

/** Escapes text for XML; drops characters that XML cannot contain. */
function escapeXml(content: string): string {
  const entities: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what has to go
  return content.replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, "").replace(/[&<>"]/g, (c) => entities[c] as string);
}
