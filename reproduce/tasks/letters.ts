/** Letters as patterns, and pictures of how networks recall them. */

import { imageGrid } from "../../src/plot/images.ts";
import type { Dice } from "./dice.ts";

/** Pixels along a side. */
export const SIDE = 8;

const pixels = (rows: string): Float64Array => Float64Array.from(rows, (c) => (c === "#" ? 1 : -1));

/** F, L, X, O and T of 8 × 8 pixels of ±1. */
export const letters: readonly Float64Array[] = [
  "##########......##......######..######..##......##......##......",
  "##......##......##......##......##......##......################",
  "##....####....##.##..##...####....####...##..##.##....####....##",
  "..####...######.##....####....####....####....##.######...####..",
  "################...##......##......##......##......##......##...",
].map(pixels);

/** Five patterns of 8 × 8 that agree in half of their pixels, any two of them: bars, halves and squares. */
export const textures: readonly Float64Array[] = [
  (x: number, _y: number) => x & 2,
  (_x: number, y: number) => y & 2,
  (x: number, y: number) => (x ^ y) & 2,
  (x: number, _y: number) => x & 4,
  (x: number, y: number) => (x ^ y) & 4,
].map((on) => Float64Array.from({ length: SIDE * SIDE }, (_, k) => (on(k % SIDE, Math.floor(k / SIDE)) === 0 ? -1 : 1)));

/** A pattern with each unit turned with a probability. */
export const damaged = (pattern: Float64Array, part: number, dice: Dice): Float64Array => pattern.map((v) => (dice.chance(part) ? -v : v));

/** Rows of states of ±1, one recall a row; where a recall ends early its last state is repeated. */
export function recallGrid(recalls: readonly (readonly ArrayLike<number>[])[], title: string, width = SIDE): string {
  const columns = Math.max(...recalls.map((states) => states.length));
  const images = recalls.flatMap((states) =>
    Array.from({ length: columns }, (_, k) =>
      Float64Array.from(states[Math.min(k, states.length - 1)] as ArrayLike<number>, (v) => (1 + v) / 2),
    ),
  );
  return imageGrid(images, { width, columns, title });
}
