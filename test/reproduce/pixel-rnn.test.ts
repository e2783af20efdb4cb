import { describe, expect, it } from "vitest";
import { pixelRnn } from "../../reproduce/experiments/pixel-rnn.ts";
import { Dice } from "../../reproduce/tasks/dice.ts";
import {
  cleanDigits,
  crossedEntropy,
  crossedImages,
  digitEntropy,
  digitImages,
  parityEntropy,
  parityImages,
  SIDE,
} from "../../reproduce/tasks/pixels.ts";
import { shortForms } from "./short-forms.ts";

shortForms(pixelRnn);

describe("small images", () => {
  it("have the entropies of their making", () => {
    expect(
      [parityEntropy, crossedEntropy.full, crossedEntropy.blind, crossedEntropy.narrow, digitEntropy].map((e) => e.toFixed(2)),
    ).toEqual(["20.81", "23.75", "25.00", "33.72", "10.66"]);
  });

  it("differ from what their neighbours say in as many cases as they should", () => {
    const count = 2000;
    const shares = [
      [parityImages(new Dice(1), count), (at: (r: number, c: number) => number, r: number, c: number) => at(r, c - 1) ^ at(r - 1, c), 0],
      [crossedImages(new Dice(2), count), (at: (r: number, c: number) => number, r: number, c: number) => at(r - 1, (c + 4) % SIDE), 1],
    ] as const;
    for (const [images, said, firstRow] of shares) {
      const values = images.data();
      let [wrong, all] = [0, 0];
      for (let n = 0; n < count; n++) {
        const at = (r: number, c: number) => (r < 0 || c < 0 ? 0 : (values[(n * SIDE + r) * SIDE + c] as number));
        for (let r = firstRow; r < SIDE; r++) {
          for (let c = 0; c < SIDE; c++) wrong += Number(at(r, c) !== said(at, r, c));
          all += SIDE;
        }
      }
      expect(Math.abs(wrong / all - 0.1)).toBeLessThan(0.005);
    }
  });

  it("shows eighty different digits, all within the image", () => {
    expect(new Set(cleanDigits.map((d) => d.join(""))).size).toBe(80);
    const sums = cleanDigits.map((d) => d.reduce((a, b) => a + b, 0));
    for (let digit = 0; digit < 10; digit++) expect(new Set(sums.slice(8 * digit, 8 * digit + 8)).size).toBe(1);
    const count = 500;
    const values = digitImages(new Dice(3), count).data();
    let distance = 0;
    for (let n = 0; n < count; n++) {
      const image = values.slice(n * 64, (n + 1) * 64);
      distance += Math.min(...cleanDigits.map((d) => d.reduce((total, v, k) => total + Math.abs(v - (image[k] as number)), 0)));
    }
    expect(Math.abs(distance / count - 64 * 0.02)).toBeLessThan(0.2);
  });
});
