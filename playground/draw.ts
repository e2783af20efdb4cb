/** Pictures on canvases: lines and heat maps, in the page's colours. */

import { element } from "./dom.ts";

/** A canvas that a screen reader can read. */
export interface Drawing {
  readonly figure: HTMLElement;
  /** Draws anew. `text` says what is to be seen. */
  draw(text: string, paint: (context: CanvasRenderingContext2D, width: number, height: number) => void): void;
}

export function drawing(caption: string, width: number, height: number): Drawing {
  const scale = window.devicePixelRatio || 1;
  const canvas = element("canvas", { role: "img", "aria-label": caption, width: width * scale, height: height * scale });
  canvas.style.width = `${width}px`;
  const context = canvas.getContext("2d") as CanvasRenderingContext2D;
  context.scale(scale, scale);
  const figure = element("figure", {}, canvas, element("figcaption", {}, caption));
  figure.style.maxWidth = `${width}px`;
  return {
    figure,
    draw(text, paint) {
      canvas.setAttribute("aria-label", `${caption}: ${text}`);
      context.clearRect(0, 0, width, height);
      paint(context, width, height);
    },
  };
}

/** Resolves a colour of the page's style, dark or light. */
const probe = element("span", { hidden: true });
document.body.append(probe);

export function colour(name: "ink" | "soft" | "accent" | "other" | "line"): string {
  probe.style.color = `var(--${name})`;
  return getComputedStyle(probe).color;
}

export interface Path {
  readonly xs: readonly number[];
  readonly ys: readonly number[];
  readonly colour: string;
}

const PAD = 6;
const extent = (values: readonly number[]): [number, number] => {
  const finite = values.filter(Number.isFinite);
  if (finite.length === 0) return [0, 1];
  const [low, high] = [finite.reduce((a, b) => Math.min(a, b)), finite.reduce((a, b) => Math.max(a, b))];
  return low === high ? [low - 1, high + 1] : [low, high];
};

export interface PathOptions {
  /** What the ends of the axes are, where not those of the data. */
  readonly x?: readonly [number, number];
  readonly y?: readonly [number, number];
  /** Text at the highest and the lowest value. */
  readonly format?: (value: number) => string;
}

/** Lines in one pair of axes. */
export function paintPaths(
  context: CanvasRenderingContext2D,
  width: number,
  height: number,
  paths: readonly Path[],
  options: PathOptions = {},
): void {
  const [x0, x1] = options.x ?? extent(paths.flatMap(({ xs }) => xs));
  const [y0, y1] = options.y ?? extent(paths.flatMap(({ ys }) => ys));
  const place = (x: number, y: number): [number, number] => [
    PAD + ((x - x0) / (x1 - x0)) * (width - 2 * PAD),
    height - PAD - ((y - y0) / (y1 - y0)) * (height - 2 * PAD),
  ];
  context.lineWidth = 1.5;
  for (const { xs, ys, colour: stroke } of paths) {
    context.strokeStyle = stroke;
    context.beginPath();
    for (const [i, x] of xs.entries()) context.lineTo(...place(x, ys[i] as number));
    context.stroke();
  }
  if (options.format === undefined || paths.length === 0) return;
  context.fillStyle = colour("soft");
  context.font = "11px system-ui";
  context.fillText(options.format(y1), PAD, PAD + 9);
  context.fillText(options.format(y0), PAD, height - PAD);
}

/** A course over its points. */
export function paintCurve(context: CanvasRenderingContext2D, width: number, height: number, points: readonly number[], digits = 2): void {
  const path = { xs: points.map((_, i) => i), ys: points, colour: colour("accent") };
  paintPaths(context, width, height, points.length > 1 ? [path] : [], { format: (value) => value.toFixed(digits) });
}

/** Rows of numbers as squares: blue below the middle of the range, orange above. */
export function paintHeat(
  context: CanvasRenderingContext2D,
  width: number,
  height: number,
  rows: readonly (readonly number[])[],
  [low, high]: readonly [number, number],
): void {
  const columns = rows[0]?.length ?? 0;
  const [w, h] = [width / Math.max(columns, 1), height / Math.max(rows.length, 1)];
  for (const [i, row] of rows.entries()) {
    for (const [j, value] of row.entries()) {
      const part = Math.max(-1, Math.min(1, (2 * (value - low)) / (high - low) - 1));
      context.fillStyle = part < 0 ? `rgb(40 110 200 / ${-part})` : `rgb(225 110 30 / ${part})`;
      context.fillRect(j * w, i * h, Math.ceil(w), Math.ceil(h));
    }
  }
}

/** Rows of numbers from 0 to 1 as ink. */
export function paintInk(context: CanvasRenderingContext2D, width: number, height: number, rows: readonly (readonly number[])[]): void {
  const columns = rows[0]?.length ?? 0;
  const [w, h] = [width / Math.max(columns, 1), height / Math.max(rows.length, 1)];
  context.fillStyle = colour("accent");
  for (const [i, row] of rows.entries()) {
    for (const [j, value] of row.entries()) {
      context.globalAlpha = Math.max(0, Math.min(1, value));
      context.fillRect(j * w, i * h, Math.ceil(w), Math.ceil(h));
    }
  }
  context.globalAlpha = 1;
}
