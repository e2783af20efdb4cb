/** A sound as SVG: its waveform, the stretches of speech behind it, and the probabilities below. */

import type { Segment } from "./segments.ts";

export interface Picture {
  readonly samples: Float32Array;
  /** Samples a second. */
  readonly rate: number;
  readonly segments: readonly Segment[];
  readonly probabilities: readonly number[];
  /** Samples of a frame. */
  readonly frame: number;
  readonly threshold?: number;
  /** Where speech really is, if that is known: a line above. */
  readonly truth?: readonly Segment[];
}

const WIDTH = 1200;
const WAVE = 200;
const CURVE = 100;
const EDGE = 20;
const HEIGHT = EDGE + WAVE + EDGE + CURVE + EDGE;

const short = (x: number): string => String(Math.round(10 * x) / 10);

/** A line of the least and the greatest sample of each column. */
function waveform(samples: Float32Array): string {
  const peak = samples.reduce((most, v) => Math.max(most, Math.abs(v)), 1e-9);
  const y = (v: number): string => short(EDGE + (WAVE / 2) * (1 - v / peak));
  const columns = Array.from({ length: WIDTH }, (_, x) => {
    const part = samples.subarray(Math.floor((x * samples.length) / WIDTH), Math.floor(((x + 1) * samples.length) / WIDTH));
    if (part.length === 0) return "";
    return `M${x} ${y(Math.min(...part))}V${y(Math.max(...part))}`;
  });
  return columns.join("");
}

export function draw({ samples, rate, segments, probabilities, frame, threshold = 0.5, truth = [] }: Picture): string {
  const x = (sample: number): string => short((sample * WIDTH) / Math.max(1, samples.length));
  const y = (probability: number): string => short(2 * EDGE + WAVE + CURVE * (1 - probability));
  const box = ({ start, end }: Segment, top: number, height: number, fill: string): string =>
    `<rect x="${x(start)}" y="${top}" width="${x(end - start)}" height="${height}" fill="${fill}"/>`;
  const steps = probabilities.map((p, i) => `${i === 0 ? "M" : "L"}${x((i + 0.5) * frame)} ${y(p)}`).join("");
  const seconds = Array.from({ length: Math.floor(samples.length / rate) + 1 }, (_, s) => {
    return `<text x="${x(s * rate)}" y="${HEIGHT - 4}">${s} s</text>`;
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12">`,
    "<title>Where somebody speaks</title>",
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>`,
    ...segments.map((segment) => box(segment, EDGE, WAVE, "#cde8c9")),
    ...truth.map((segment) => box(segment, EDGE / 2, 4, "#888")),
    `<path d="${waveform(samples)}" stroke="#35506b" fill="none"/>`,
    `<path d="M0 ${y(threshold)}H${WIDTH}" stroke="#bbb" stroke-dasharray="4"/>`,
    `<path d="${steps}" stroke="#b3402a" fill="none"/>`,
    ...seconds,
    "</svg>\n",
  ].join("\n");
}
