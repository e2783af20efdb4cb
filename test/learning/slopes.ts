/** Gradients of parameters against central differences. */

import { expect } from "vitest";
import { assign, type Tensor } from "../../src/tensor/tensor.ts";

const STEP = 1e-6;

/**
 * Expects each element of the gradients to be the slope of the loss, and each slope to be more than `least`: one of 0 would show nothing.
 * @param loss with the parameters as they are at its call, in float64
 */
export function expectSlopes(
  parameters: readonly Tensor[],
  found: readonly (Tensor | null)[],
  loss: () => Tensor,
  { least, tolerance }: { readonly least: number; readonly tolerance: number },
): void {
  for (const [i, p] of parameters.entries()) {
    const values = Array.from(p.data(), Number);
    const at = (k: number, v: number): number => {
      assign(
        p,
        values.map((value, j) => (j === k ? v : value)),
      );
      return loss().item();
    };
    for (const [k, v] of values.entries()) {
      const slope = (at(k, v + STEP) - at(k, v - STEP)) / (2 * STEP);
      at(k, v);
      expect(Math.abs(slope)).toBeGreaterThan(least);
      expect(Math.abs(Number(found[i]?.data()[k]) - slope)).toBeLessThanOrEqual(tolerance * Math.max(1, Math.abs(slope)));
    }
  }
}
