/** The filters of layers with local feedback. */

import { gradients } from "../autodiff/sweep.ts";
import { enableGrad } from "../autodiff/tape.ts";
import type { LocalFeedbackLayer } from "../cells/delays/local-feedback.ts";
import { add, mul } from "../ops/arithmetic.ts";
import { stack, unstack } from "../ops/shape.ts";
import { zeros } from "../tensor/create.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** v(t) = u(t) + Σ_q a_q v(t−q) for drives u [T,…], from the values in a line [B,Q,…], newest first (null: zeros). */
export function allPole(drive: Tensor, a: Tensor | null, line: Tensor | null): Tensor {
  if (a === null) return drive;
  const coefficients = unstack(a, 0);
  const past = line === null ? [] : unstack(line, 1);
  const out: Tensor[] = [];
  for (const u of unstack(drive, 0)) {
    const t = out.length;
    const recalled = (q: number): Tensor | undefined => (q <= t ? out[t - q] : past[q - t - 1]);
    out.push(
      coefficients.reduce((v, c, i) => {
        const before = recalled(i + 1);
        return before === undefined ? v : add(v, mul(c, before));
      }, u),
    );
  }
  return stack(out);
}

/** A layer's filters: numerators b [P+1] of [O,I] and feedback a [Q,O,I]. */
export interface Filters {
  readonly b: readonly Tensor[];
  readonly a: Tensor | null;
}

export function filtersOf(layer: LocalFeedbackLayer): Filters {
  return { b: unstack(layer.weightIh.detach(), 1), a: layer.coefficients?.detach() ?? null };
}

/** k(0) … k(n−1), the impulse response of a layer's synapses: each [O,I]. */
export function impulseResponse(layer: LocalFeedbackLayer, n: number): Tensor[] {
  const { a, b } = filtersOf(layer);
  const zero = zeros((b[0] as Tensor).shape, (b[0] as Tensor).dtype);
  const impulse = Array.from({ length: n }, (_, p) => b[p] ?? zero);
  return unstack(allPole(stack(impulse), a, null), 0);
}

/** ∂E/∂ρ of a lattice from ∂E/∂a; ∂E/∂a itself if the coefficients are trained directly. */
export function throughLattice(layer: LocalFeedbackLayer, da: Tensor): Tensor {
  const { weightFb } = layer;
  if (!layer.lattice || weightFb === null) return da;
  const a = enableGrad(() => layer.coefficients as Tensor);
  return gradients([a], [weightFb], [da])[0] as Tensor;
}
