/** NARMA-10: a system of order ten, driven by noise. */

import type { Dice } from "./dice.ts";

export interface Driven {
  readonly inputs: number[];
  /** targets[t] is what follows inputs[t]. */
  readonly targets: number[];
}

/**
 * y(t+1) = 0.3 y(t) + 0.05 y(t) Σ_{i=0}^{9} y(t−i) + 1.5 u(t−9) u(t) + 0.1 for u from U(0, 0.5); drawn again where y leaves (−1, 1), since some
 * inputs make it diverge.
 * @see Atiya and Parlos, "New results on recurrent network training", 2000, eq. 86
 */
export function narma(dice: Dice, steps: number): Driven {
  const lead = 10;
  for (;;) {
    const u = Array.from({ length: steps + lead }, () => dice.uniform(0, 0.5));
    const y = new Array<number>(lead).fill(0.1);
    for (let t = lead - 1; t + 1 < u.length + 1; t++) {
      const last = y.slice(t - 9, t + 1).reduce((a, b) => a + b, 0);
      y.push(0.3 * (y[t] as number) + 0.05 * (y[t] as number) * last + 1.5 * (u[t - 9] as number) * (u[t] as number) + 0.1);
    }
    if (y.every((v) => Math.abs(v) < 1)) return { inputs: u.slice(lead), targets: y.slice(lead + 1) };
  }
}
