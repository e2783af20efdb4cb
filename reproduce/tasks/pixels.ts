/** Small black-and-white images whose distribution is known. */

import { type Tensor, tensor } from "../../src/tensor/tensor.ts";
import type { Dice } from "./dice.ts";

/** Height and width of the images. */
export const SIDE = 8;

/** `count` images [count,1,8,8]; `pixel` gives place (r, c) from what was drawn above and to the left (0 outside). */
function rasterImages(dice: Dice, count: number, pixel: (at: (r: number, c: number) => number, r: number, c: number) => number): Tensor {
  const values = new Float32Array(count * SIDE * SIDE);
  for (let n = 0; n < count; n++) {
    const image = values.subarray(n * SIDE * SIDE, (n + 1) * SIDE * SIDE);
    const at = (r: number, c: number) => (r < 0 || c < 0 ? 0 : (image[r * SIDE + c] as number));
    for (let k = 0; k < image.length; k++) {
      const [r, c] = [Math.floor(k / SIDE), k % SIDE];
      image[k] = dice.chance(FLIP) ? 1 - pixel(at, r, c) : pixel(at, r, c);
    }
  }
  return tensor(values, { shape: [count, 1, SIDE, SIDE], dtype: "float32" });
}

/** How often a pixel is the opposite of what its neighbours say. */
const FLIP = 0.1;

/** Entropy of a coin, in nats. */
export function coinEntropy(p: number): number {
  return -p * Math.log(p) - (1 - p) * Math.log(1 - p);
}

/** Each pixel is the exclusive or of the one to its left and the one above, flipped in one of ten cases. */
export function parityImages(dice: Dice, count: number): Tensor {
  return rasterImages(dice, count, (at, r, c) => at(r, c - 1) ^ at(r - 1, c));
}

/** 64 coins of 0.1: 20.81 nats. */
export const parityEntropy: number = SIDE * SIDE * coinEntropy(FLIP);

/** Half the width: how far a pixel's source lies to the side. */
const REACH = SIDE / 2;

/** A first row of fair coins; then each pixel is the one of the row above four columns on (around the edge), flipped in one of ten cases. */
export function crossedImages(dice: Dice, count: number): Tensor {
  return rasterImages(dice, count, (at, r, c) => (r === 0 ? dice.below(2) : at(r - 1, (c + REACH) % SIDE)));
}

const second = coinEntropy(2 * FLIP * (1 - FLIP));

/** What the best models leave, in nats, by what they see. */
export const crossedEntropy = {
  /** Everything before a pixel: 23.75. */
  full: SIDE * Math.LN2 + SIDE * (SIDE - 1) * coinEntropy(FLIP),
  /** All but the last pixel of the row above, which one pixel of each row would need: 25.00. */
  blind: SIDE * Math.LN2 + (SIDE - 1) ** 2 * coinEntropy(FLIP) + Math.LN2 + (SIDE - 2) * second,
  /** Fewer than four columns to either side in the row above, but the same column two rows up: 33.72. */
  narrow: 2 * SIDE * Math.LN2 + SIDE * (SIDE - 2) * second,
};

/** Ten digits, five wide and seven high. */
const DIGITS = [
  ".###.|#...#|#..##|#.#.#|##..#|#...#|.###.",
  "..#..|.##..|..#..|..#..|..#..|..#..|.###.",
  ".###.|#...#|....#|...#.|..#..|.#...|#####",
  "####.|....#|....#|.###.|....#|....#|####.",
  "...#.|..##.|.#.#.|#..#.|#####|...#.|...#.",
  "#####|#....|####.|....#|....#|#...#|.###.",
  "..##.|.#...|#....|####.|#...#|#...#|.###.",
  "#####|....#|...#.|..#..|..#..|.#...|.#...",
  ".###.|#...#|#...#|.###.|#...#|#...#|.###.",
  ".###.|#...#|#...#|.####|....#|...#.|.##..",
].map((digit) => digit.split("|"));

const NOISE = 0.02;

/** At most ln 10 + ln 8 and 64 coins of 0.02: 10.66 nats. */
export const digitEntropy: number = Math.log(10 * 8) + SIDE * SIDE * coinEntropy(NOISE);

/** A digit without noise, at one of the two heights and four columns where it fits. */
function cleanDigit(digit: number, down: number, right: number): number[] {
  const rows = DIGITS[digit] as string[];
  return Array.from({ length: SIDE * SIDE }, (_, k) => Number(rows[Math.floor(k / SIDE) - down]?.[(k % SIDE) - right] === "#"));
}

/** The eighty images without noise. */
export const cleanDigits: readonly (readonly number[])[] = DIGITS.flatMap((_, digit) =>
  [0, 1].flatMap((down) => [0, 1, 2, 3].map((right) => cleanDigit(digit, down, right))),
);

/** One of ten digits at one of eight places, each pixel flipped in one of fifty cases. */
export function digitImages(dice: Dice, count: number): Tensor {
  const images = Array.from({ length: count }, () => dice.pick(cleanDigits).map((v) => (dice.chance(NOISE) ? 1 - v : v)));
  return tensor(Float32Array.from(images.flat()), { shape: [count, 1, SIDE, SIDE], dtype: "float32" });
}
