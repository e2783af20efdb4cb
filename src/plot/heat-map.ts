/** Matrices as SVG text: alignments, weights, images. */

import { checkArrayLike, checkList, checkNumber, checkOptions, checkTexts } from "../base/checks.ts";
import { ArgumentError } from "../base/errors.ts";
import { quote } from "../base/quote.ts";
import type { Tensor } from "../tensor/tensor.ts";
import {
  type ChartOptions,
  captionBelow,
  captionBeside,
  checkChart,
  type Drawing,
  header,
  labelsBelow,
  picture,
  roomBelow,
  text,
  widthOf,
} from "./svg.ts";

export interface HeatMapOptions extends Omit<ChartOptions, "width" | "height"> {
  /** Labels under the columns, and before the rows. */
  readonly columns?: readonly string[];
  readonly rows?: readonly string[];
  /** Values at the two ends of the scale (default: least and greatest value). */
  readonly range?: readonly [low: number, high: number];
  /** Side of a cell in pixels (default 24). */
  readonly cell?: number;
}

const MARGIN = { top: 40, right: 16, bottom: 44, left: 56 };
/** The ends of the scale. */
const [LOW, HIGH] = [
  [255, 255, 255],
  [8, 48, 107],
] as const;

/**
 * Draws a matrix as a grid of cells from white (low) to dark blue (high); cells that are not finite stay empty.
 * @throws ArgumentError for no cells, rows of different lengths, or a wrong number of labels
 * @param values rows of numbers, or a tensor [M,N]
 * @example const svg = heatMap(alignment, { columns: source, rows: target, xLabel: "source", yLabel: "target" });
 */
export function heatMap(values: Tensor | readonly ArrayLike<number>[], options: HeatMapOptions = {}): string {
  checkOptions("heatMap", options, ["columns", "rows", "range", "cell", "title", "xLabel", "yLabel"]);
  checkChart("heatMap", options);
  const { width, height, parts } = heatMapDrawing(values, options);
  return picture(width, height, options.title, parts);
}

/** A heat map before it is text. @internal */
export function heatMapDrawing(values: Tensor | readonly ArrayLike<number>[], options: HeatMapOptions): Drawing {
  const matrix = rowsOf(values);
  const { title, xLabel, yLabel, columns = [], rows = [], cell = 24 } = options;
  const [m, n] = [matrix.length, matrix[0]?.length ?? 0];
  checkMatrix(matrix, options);
  const widest = Math.ceil(Math.max(0, ...rows.map(widthOf)));
  const [left, top] = [Math.max(MARGIN.left, 12 + widest + (yLabel === undefined ? 0 : 20)), MARGIN.top];
  const [right, bottom] = [left + n * cell, top + m * cell];
  // A bold title of 15 pixels, by widths of ordinary letters of 12.
  const titled = title === undefined ? 0 : left + 1.35 * widthOf(title);
  const [width, height] = [Math.ceil(Math.max(right, titled)) + MARGIN.right, bottom + MARGIN.bottom + roomBelow(columns, cell)];
  const color = scaleOf(matrix, options.range);
  const cells = matrix.flatMap((row, i) =>
    Array.from(row, (value, j) => {
      if (!Number.isFinite(value)) return "";
      return `<rect x="${left + j * cell}" y="${top + i * cell}" width="${cell}" height="${cell}" fill="${color(value)}"/>`;
    }),
  );
  const middle = (i: number) => (i + 0.5) * cell;
  const parts = [
    header(title, left),
    `<g shape-rendering="crispEdges">${cells.join("")}</g>`,
    `<rect x="${left}" y="${top}" width="${n * cell}" height="${m * cell}" fill="none" stroke="#222"/>`,
    labelsBelow(columns, { left, right, bottom }, (j) => left + middle(j)),
    ...rows.map((label, i) => text(left - 8, top + middle(i) + 4, label, 'text-anchor="end"')),
    captionBelow(xLabel, (left + right) / 2, height - 10),
    captionBeside(yLabel, (top + bottom) / 2),
  ];
  return { width, height, parts };
}

/** Recognises a tensor by its method, so pictures need not import tensors. @throws DTypeError, ArgumentError for anything but a matrix */
function rowsOf(values: Tensor | readonly ArrayLike<number>[]): readonly ArrayLike<number>[] {
  const { rank, toArray } = (values ?? {}) as Partial<Tensor>;
  if (typeof toArray !== "function") {
    checkList("heatMap", "the matrix", values);
    return values as readonly ArrayLike<number>[];
  }
  if (rank === 2) return (values as Tensor).toArray() as number[][];
  throw new ArgumentError(`heatMap: expected a matrix, got a tensor of ${rank} axes`);
}

function checkMatrix(matrix: readonly ArrayLike<number>[], { columns, rows, range, cell }: HeatMapOptions): void {
  for (const row of matrix) checkArrayLike("heatMap", "a row", row);
  const [m, n] = [matrix.length, matrix[0]?.length ?? 0];
  if (n === 0) throw new ArgumentError("heatMap: expected at least one cell, got none");
  const other = matrix.find((row) => row.length !== n);
  if (other !== undefined) throw new ArgumentError(`heatMap: expected rows of ${n} cells, got one of ${other.length}`);
  if (columns !== undefined) checkTexts("heatMap", "columns", columns);
  if (rows !== undefined) checkTexts("heatMap", "rows", rows);
  if (cell !== undefined) checkNumber("heatMap", "cell", cell, { above: 0 });
  if (columns !== undefined && columns.length !== n)
    throw new ArgumentError(`heatMap: expected ${n} columns, got ${columns.length} labels`);
  if (rows !== undefined && rows.length !== m) throw new ArgumentError(`heatMap: expected ${m} rows, got ${rows.length} labels`);
  if (range === undefined) return;
  checkList("heatMap", "range", range);
  if (!(range.length === 2 && range.every(Number.isFinite) && range[0] < range[1]))
    throw new ArgumentError(`heatMap: expected a range low < high, got ${quote(range)}`);
}

/** From a value to its colour. */
function scaleOf(matrix: readonly ArrayLike<number>[], range?: readonly [number, number]): (value: number) => string {
  const finite = matrix.flatMap((row) => Array.from(row).filter(Number.isFinite));
  const low = range?.[0] ?? finite.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY);
  const high = range?.[1] ?? finite.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  return (value) => {
    const part = Math.min(1, Math.max(0, (value / 2 - low / 2) / (high / 2 - low / 2 || 1)));
    return `rgb(${LOW.map((from, i) => Math.round(from + part * ((HIGH[i] as number) - from))).join(",")})`;
  };
}
