/** Digits as the path of a pen. */

import { readFileSync } from "node:fs";
import type { Dice } from "../../reproduce/tasks/dice.ts";

/** Points of a path, and numbers of a point. */
export const POINTS = 8;
const RECORD = 2 * POINTS + 1;
/** The first samples are by 30 writers, all others by 14 different ones. */
const TRAINING = 7494;

export interface Digit {
  readonly digit: number;
  /** x and y of each point, from -1 to 1. */
  readonly path: readonly (readonly [x: number, y: number])[];
}

/** Bytes as in `pendigits.bytes`: x and y from 0 to 100 of eight points, then the digit. */
export function readDigits(): { training: Digit[]; test: Digit[] } {
  const bytes = readFileSync(new URL("pendigits.bytes", import.meta.url));
  const all = Array.from({ length: bytes.length / RECORD }, (_, i): Digit => {
    const at = (k: number) => (bytes[i * RECORD + k] as number) / 50 - 1;
    return { digit: bytes[(i + 1) * RECORD - 1] as number, path: Array.from({ length: POINTS }, (_, t) => [at(2 * t), at(2 * t + 1)]) };
  });
  return { training: all.slice(0, TRAINING), test: all.slice(TRAINING) };
}

/** A digit slightly turned, stretched and slanted, as another hand might have written it. */
export function rewritten({ digit, path }: Digit, dice: Dice): Digit {
  const angle = dice.normal(0, 0.12);
  const slant = dice.normal(0, 0.12);
  const [sx, sy] = [1 + dice.normal(0, 0.08), 1 + dice.normal(0, 0.08)];
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  const moved = path.map(([x, y]) => {
    const [u, v] = [sx * (x + slant * y), sy * y];
    return [cos * u - sin * v + dice.normal(0, 0.02), sin * u + cos * v + dice.normal(0, 0.02)] as const;
  });
  return { digit, path: moved };
}

/** Each point and the way to it from the one before. */
export function features({ path }: Digit): number[][] {
  return path.map(([x, y], t) => {
    const [px, py] = path[Math.max(0, t - 1)] as readonly [number, number];
    return [x, y, x - px, y - py];
  });
}
