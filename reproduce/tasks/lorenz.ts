/** The Lorenz system. */

import type { Dice } from "./dice.ts";

type Point = readonly [number, number, number];

const slope = ([x, y, z]: Point): Point => [10 * (y - x), x * (28 - z) - y, x * y - (8 / 3) * z];
const moved = (p: Point, h: number, k: Point): Point => [p[0] + h * k[0], p[1] + h * k[1], p[2] + h * k[2]];

/** One step of Runge and Kutta. */
function step(p: Point, h: number): Point {
  const k1 = slope(p);
  const k2 = slope(moved(p, h / 2, k1));
  const k3 = slope(moved(p, h / 2, k2));
  const k4 = slope(moved(p, h, k3));
  return [0, 1, 2].map(
    (i) => (p[i] as number) + (h / 6) * ((k1[i] as number) + 2 * (k2[i] as number) + 2 * (k3[i] as number) + (k4[i] as number)),
  ) as unknown as Point;
}

/** The largest Lyapunov exponent, in 1 a unit of time: Sprott, "Chaos and time-series analysis", 2003. */
export const LORENZ_EXPONENT = 0.9056;

/** Samples 0.02 apart on the attractor, each from a start of its own for the dice; about zero, in units of 20. */
export function lorenz(dice: Dice, samples: number): Point[] {
  let p: Point = [dice.uniform(-10, 10), dice.uniform(-10, 10), dice.uniform(15, 35)];
  for (let i = 0; i < 2000; i++) p = step(p, 0.01);
  return Array.from({ length: samples }, () => {
    p = step(step(p, 0.01), 0.01);
    return [p[0] / 20, p[1] / 20, (p[2] - 25) / 20] as const;
  });
}
