/** The sparse n-step approximation of real-time recurrent learning. */

import { checkWhole } from "../base/checks.ts";
import type { State } from "../recurrence/state.ts";
import { zeros } from "../tensor/create.ts";
import { type Tensor, tensor } from "../tensor/tensor.ts";
import type { GradientAlgorithm } from "./algorithm.ts";
import { forwardAlgorithm } from "./forward.ts";
import { type Influence, refuseStart, type Setting } from "./influence.ts";
import { ownDerivatives, unitsOf } from "./own-units.ts";
import { type Pattern, Reach } from "./reach.ts";
import { stateJacobian } from "./step-derivatives.ts";
import type { Stretch } from "./stretch.ts";

/** Positions of a pattern's entries in a larger pattern. */
function placesIn({ starts, rows }: Pattern, larger: Pattern): Int32Array {
  const at = new Int32Array(rows.length);
  for (let p = 0; p + 1 < starts.length; p++) {
    let to = larger.starts[p] as number;
    for (let a = starts[p] as number; a < (starts[p + 1] as number); a++) {
      while (larger.rows[to] !== rows[a]) to++;
      at[a] = to;
    }
  }
  return at;
}

/** The entries of J that a pattern needs: ∂next_i/∂state_j at i·width + column[j]. */
interface Transition {
  readonly values: ArrayLike<number>;
  readonly width: number;
  readonly column: Int32Array;
}

/** Computes them for a step: within units, if the pattern follows no weight further and that is enough; otherwise all of J. */
function transitionsOf(setting: Setting, reach: Reach, k: number): (step: Stretch<State>) => Transition {
  const { S } = setting;
  const columns = (of: (j: number) => number): Int32Array => Int32Array.from({ length: S }, (_, j) => of(j));
  const every = columns((j) => j);
  const whole = (step: Stretch<State>): Transition => ({ values: stateJacobian(step).data(), width: S, column: every });
  const own = k === 1 ? unitsOf(setting, reach) : null;
  if (own === null) return whole;
  const tensors = columns((j) => Math.floor(j / own.units));
  return (step) => {
    const values = ownDerivatives(step, own);
    return values === null ? whole(step) : { values, width: own.tensors, column: tensors };
  };
}

/** G at the places of a pattern, [number of places]; zero elsewhere. */
function sparseInfluence(setting: Setting, k: number): Influence<Tensor> {
  const { P, dtype } = setting;
  const reach = Reach.of(setting);
  const transition = transitionsOf(setting, reach, k);
  const pattern = reach.within(k);
  const { starts, rows } = pattern;
  const at = placesIn(reach.direct, pattern);
  return {
    initial: zeros([rows.length], dtype),
    // λᵀG + g
    gradient(step, influence, dys, dNext) {
      const { state, parameters } = step.pull(dys, dNext);
      const [lambda, G] = [state.data(), influence.data()];
      const out = Float64Array.from(parameters.data());
      for (let p = 0; p < P; p++) {
        let through = 0;
        for (let a = starts[p] as number; a < (starts[p + 1] as number); a++) {
          through += (lambda[rows[a] as number] as number) * (G[a] as number);
        }
        out[p] = (out[p] as number) + through;
      }
      return tensor(out, { dtype });
    },
    // J·G + I at the places of the pattern
    next(step, influence) {
      const { values: J, width, column } = transition(step);
      const direct = reach.derivatives(step);
      const G = influence.data();
      const out = new Float64Array(rows.length);
      for (let p = 0; p < P; p++) {
        const [from, end] = [starts[p] as number, starts[p + 1] as number];
        for (let a = from; a < end; a++) {
          const row = (rows[a] as number) * width;
          let sum = 0;
          for (let b = from; b < end; b++) sum += (J[row + (column[rows[b] as number] as number)] as number) * (G[b] as number);
          out[a] = sum;
        }
      }
      direct.forEach((value, i) => {
        const place = at[i] as number;
        out[place] = (out[place] as number) + value;
      });
      return tensor(out, { dtype });
    },
  };
}

/**
 * The sparse k-step approximation: real-time recurrent learning that keeps only the entries of the influence G that become
 * non-zero within k steps, and drops what arrives later. With k = 1 each weight of a simple network is tracked only in its own unit, which
 * is exact if units see only their own past (IndRNN, minGRU, LRU). With k = n everything is reached, and it equals `rtrl`.
 *
 *   G' = M_k ∘ (J·G + I)        M_1 = [I ≠ 0]        M_k = M_(k−1) ∪ [J ≠ 0]·M_(k−1)
 *   ∂E_t/∂θ ≈ λᵀG + g           λ, g: the error swept back through its own step, to the state before it and to the parameters
 *
 * The places are found by trying (`Reach`), with random weights, so masked and block-wise networks keep only what is connected. A parameter that
 * reaches d elements of the state takes d² operations per step and d numbers.
 *
 * k = 1 costs O(P) operations per step and O(P) memory, as in the paper, if each weight reaches one unit and units see each other's state through one
 * product (RNN, LSTM, GRU with the reset after the product, leaky and fully recurrent nets, ...): the derivatives within units
 * come from one sweep in which every product sends back only a unit's own weight (`own-units.ts`). Otherwise, and for k > 1, J comes
 * from one sweep over S copies of the sequence: O(S·n² + P·d²) operations and O(S² + P·d) memory. Finding the places takes 13 steps of S
 * sweeps each or more, until 12 in a row show nothing new, once per recurrence.
 * @param k steps, at least 1
 * @throws ArgumentError unless k is a whole number of at least 1, and during the scan for recurrences with a trained first state
 * @see Menick, Elsen, Evci, Osindero, Simonyan and Graves, "A practical sparse approximation for real time recurrent learning", 2020
 * (arXiv 2006.07232), section 3
 * Deviates: the error goes back through its own step exactly, since an output need not be part of the state; the mask applies before that.
 * @example fit(model, batches, { gradients: snap(1), … })
 */
export function snap(k: number): GradientAlgorithm {
  checkWhole("snap", "k", k, { least: 1 });
  return forwardAlgorithm(`snap(${k})`, (setting) => {
    refuseStart(setting);
    return sparseInfluence(setting, k) as Influence;
  });
}
