/** Grids of zeros and few ones: has there been a one? */

import { type Tensor, tensor } from "../../src/tensor/tensor.ts";
import type { Dice } from "./dice.ts";

export interface GridOptions {
  readonly batch: number;
  /** Places along each axis. */
  readonly side: number;
  /** How likely a one is. */
  readonly density: number;
}

export interface GridBatch {
  /** [B, side, side, 1] */
  readonly xs: Tensor;
  /** Whether any of the ones up to here is a one: rows and columns not above a place's own. [B, side, side, 1] */
  readonly before: Tensor;
  /** Whether the grid has a one at all, [B, 1]. */
  readonly any: Tensor;
}

export function gridOrBatch(dice: Dice, { batch, side, density }: GridOptions): GridBatch {
  const size = side * side;
  const xs = Float32Array.from({ length: batch * size }, () => Number(dice.chance(density)));
  const before = new Float32Array(xs.length);
  for (let k = 0; k < xs.length; k++) {
    const [r, c] = [Math.floor(k / side) % side, k % side];
    const above = r > 0 ? (before[k - side] as number) : 0;
    const left = c > 0 ? (before[k - 1] as number) : 0;
    before[k] = Math.max(xs[k] as number, above, left);
  }
  const any = Float32Array.from({ length: batch }, (_, b) => before[(b + 1) * size - 1] as number);
  const shape = [batch, side, side, 1];
  return {
    xs: tensor(xs, { shape, dtype: "float32" }),
    before: tensor(before, { shape, dtype: "float32" }),
    any: tensor(any, { shape: [batch, 1], dtype: "float32" }),
  };
}

/** The mean over places of what `of` says of the number of places up to there. */
function meanOverPlaces(side: number, of: (seen: number) => number): number {
  let total = 0;
  for (let r = 1; r <= side; r++) for (let c = 1; c <= side; c++) total += of(r * c);
  return total / (side * side);
}

/** How often the commoner answer at each place is right about `before`: 72.0 % at a side of 10 and a density of 0.02. */
export function majority(side: number, density: number): number {
  return meanOverPlaces(side, (seen) => Math.max((1 - density) ** seen, 1 - (1 - density) ** seen));
}

/** The density at which half of the grids have a one. */
export function evenDensity(side: number): number {
  return 1 - 0.5 ** (1 / (side * side));
}

/** How often one can be right about `any` at each place, at that density, from what lies up to there: 69 % at a side of 10. */
export function oneSided(side: number): number {
  return meanOverPlaces(side, (seen) => 1.5 - 0.5 ** (seen / (side * side)));
}
