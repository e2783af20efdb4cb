/** Eligibility propagation. */

import { checkNoMore } from "../base/checks.ts";
import { ArgumentError } from "../base/errors.ts";
import type { GradientAlgorithm } from "./algorithm.ts";
import { forwardAlgorithm } from "./forward.ts";
import { type Influence, refuseStart } from "./influence.ts";
import { independentUnits, leakyUnits, localTraces, memoryUnits } from "./local-traces.ts";

/**
 * Eligibility propagation: each weight has a trace of its effect on the hidden state of its own unit, and the signals between units
 * are taken as given.
 *
 *   ε_ji' = ∂s_j'/∂s_j·ε_ji + ∂s_j'/∂W_ji        s_j: the private state of unit j; z_j: its visible output
 *   e_ji = ∂z_j'/∂s_j'·ε_ji' + ∂z_j'/∂W_ji
 *   ∂E_t/∂W_ji ≈ L_j e_ji                        L_j = ∂E_t/∂z_j
 *
 * | cell | s | z |
 * |---|---|---|
 * | `LSTMCell` without projection, `OdysseyLSTM` | c | h |
 * | `LeakyRNN` | the leak's part of h | h |
 * | `RNNCell`, `SimpleRecurrentNetwork` | nothing | h |
 * | `IndRNN` | h | none |
 *
 * This is backpropagation through time with the edges from h to other units' next step cut, and exact if there are none. A head sends its
 * error L back through its own weights ("symmetric"); `BroadcastLinear` does so through random or adaptive weights. O(P) operations per step, two
 * sweeps, and O(P) memory.
 * @throws ArgumentError during the scan for other recurrences, and for those with a trained first state
 * @see Bellec, Scherr, Subramoney, Hajek, Salaj, Legenstein and Maass, "A solution to the learning dilemma for recurrent networks of spiking
 * neurons", Nature Communications 11, 2020, eq. 1-4 and 13-14
 * Deviates: no spiking units.
 * @example fit(model, batches, { gradients: eprop(), … })
 */
export function eprop(...more: readonly []): GradientAlgorithm {
  checkNoMore("eprop", more);
  return forwardAlgorithm("eprop", (setting) => {
    refuseStart(setting);
    const { recurrence } = setting;
    const units = memoryUnits(recurrence) ?? leakyUnits(recurrence) ?? independentUnits(recurrence);
    if (units !== null) return localTraces(setting, units) as Influence;
    throw new ArgumentError(
      `eprop: expected units that keep a state to themselves (LSTMCell without projection, OdysseyLSTM, LeakyRNN, RNNCell, SimpleRecurrentNetwork or IndRNN), ` +
        `got ${recurrence.constructor.name}`,
    );
  });
}
