/** Random-feedback local online learning. */

import { checkNoMore } from "../base/checks.ts";
import { ArgumentError } from "../base/errors.ts";
import type { GradientAlgorithm } from "./algorithm.ts";
import { forwardAlgorithm } from "./forward.ts";
import { type Influence, refuseStart } from "./influence.ts";
import { leakyUnits, localTraces } from "./local-traces.ts";

/**
 * Random-feedback local online learning: real-time recurrent learning reduced to the leak, so a weight needs only its own two
 * units and an error sent to them.
 *
 *   p_ij' = (1 − 1/τ) p_ij + 1/τ φ'(u_i) z_j        z = [x; h; 1], u the sums
 *   ∂E_t/∂Θ_ij ≈ e_i p_ij                           e = ∂E_t/∂h_t
 *
 * It ignores the effect of h on later h through the weights, so it is exact if the recurrent weights are zero, and biased otherwise. A head
 * sends its error back through its own weights, or with `BroadcastLinear` through random ones, as in the paper. O(P) operations per step, two sweeps,
 * and O(P) memory. Defined for `LeakyRNN`, and with τ = 1 for `RNNCell` and `SimpleRecurrentNetwork`, where nothing of the past remains.
 * @throws ArgumentError during the scan for other recurrences, and for those with a trained first state
 * @see Murray, "Local online learning in recurrent networks with random feedback", eLife 8, 2019, eq. 3-5 (the
 * numbers of the equations from memory; the rule itself is that of Marschall's vanilla-rtrl, which follows the paper)
 * Deviates: none.
 * @example fit(model, batches, { gradients: rflo(), … })
 */
export function rflo(...more: readonly []): GradientAlgorithm {
  checkNoMore("rflo", more);
  return forwardAlgorithm("rflo", (setting) => {
    refuseStart(setting);
    const units = leakyUnits(setting.recurrence);
    if (units !== null) return localTraces(setting, units) as Influence;
    const { name } = setting.recurrence.constructor;
    throw new ArgumentError(`rflo: expected leaky rate units, LeakyRNN, RNNCell or SimpleRecurrentNetwork, got ${name}`);
  });
}
