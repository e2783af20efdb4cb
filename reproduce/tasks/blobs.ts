/** Films of squares that move and are thrown back by the walls. */

import { type Tensor, tensor } from "../../src/tensor/tensor.ts";
import type { Dice } from "./dice.ts";

export interface FilmOptions {
  readonly frames: number;
  readonly batch: number;
  /** Height and width of a frame. */
  readonly side: number;
  /** How many squares there are (default 2). */
  readonly squares?: number;
}

/** Height and width of a square. */
const SIZE = 2;

/** Where a coordinate is after each frame that starts at `start` with `speed` and turns at 0 and `last`. */
function path(start: number, speed: number, last: number, frames: number): number[] {
  const places: number[] = [];
  let [at, step] = [start, speed];
  for (let t = 0; t < frames; t++) {
    places.push(at);
    if (at + step < 0 || at + step > last) step = -step;
    at += step;
  }
  return places;
}

/**
 * Frames [T, B, side·side] of 0 and 1: squares of two by two start anywhere, move by one along one or both axes at each frame, and
 * pass through each other.
 * @see Srivastava, Mansimov and Salakhutdinov, "Unsupervised learning of video representations using LSTMs", 2015, whose digits are squares here
 */
export function filmBatch(dice: Dice, { frames, batch, side, squares = 2 }: FilmOptions): Tensor {
  const values = new Float32Array(frames * batch * side * side);
  const last = side - SIZE;
  const moves = [-1, 0, 1].flatMap((dy) => [-1, 0, 1].map((dx) => [dy, dx] as const)).filter(([dy, dx]) => dy !== 0 || dx !== 0);
  for (let b = 0; b < batch; b++) {
    for (let k = 0; k < squares; k++) {
      const [dy, dx] = dice.pick(moves);
      const [rows, columns] = [path(dice.between(0, last), dy, last, frames), path(dice.between(0, last), dx, last, frames)];
      for (let i = 0; i < frames * SIZE * SIZE; i++) {
        const t = Math.floor(i / (SIZE * SIZE));
        const row = (rows[t] as number) + (Math.floor(i / SIZE) % SIZE);
        const column = (columns[t] as number) + (i % SIZE);
        values[((t * batch + b) * side + row) * side + column] = 1;
      }
    }
  }
  return tensor(values, { shape: [frames, batch, side * side], dtype: "float32" });
}
