/** The Mackey-Glass equation: a chaotic series from one delayed feedback. */

import type { Dice } from "./dice.ts";

/** Delay, and steps of integration a sample. */
const [DELAY, PER_SAMPLE] = [17, 10];

const slope = (x: number, delayed: number): number => (0.2 * delayed) / (1 + delayed ** 10) - 0.1 * x;

/**
 * Samples, one a unit of time, of dx/dt = 0.2 x(t−17)/(1 + x(t−17)¹⁰) − 0.1 x, by Runge and Kutta's steps of 0.1 from a constant past near 1.2;
 * the first 1,000 are left out.
 * @see Mackey and Glass, "Oscillation and chaos in physiological control systems", Science 197, 1977
 */
export function mackeyGlass(dice: Dice, samples: number): number[] {
  const h = 1 / PER_SAMPLE;
  const lag = DELAY * PER_SAMPLE;
  const past = 1.2 + dice.uniform(-0.1, 0.1);
  const xs = [past];
  const delayedAt = (k: number): number => (k < 0 ? past : (xs[k] as number));
  for (let k = 0; k < (1000 + samples) * PER_SAMPLE; k++) {
    const x = xs[k] as number;
    const [first, last] = [delayedAt(k - lag), delayedAt(k + 1 - lag)];
    const middle = (first + last) / 2;
    const k1 = slope(x, first);
    const k2 = slope(x + (h / 2) * k1, middle);
    const k3 = slope(x + (h / 2) * k2, middle);
    const k4 = slope(x + h * k3, last);
    xs.push(x + (h / 6) * (k1 + 2 * k2 + 2 * k3 + k4));
  }
  return Array.from({ length: samples }, (_, i) => xs[(1001 + i) * PER_SAMPLE] as number);
}
