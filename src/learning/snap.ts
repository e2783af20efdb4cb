/** The sparse n-step approximation of real-time recurrent learning. */

import { checkWhole } from "../base/checks.ts";
import { zeros } from "../tensor/create.ts";
import { type Tensor, tensor } from "../tensor/tensor.ts";
import type { GradientAlgorithm } from "./algorithm.ts";
import { forwardAlgorithm } from "./forward.ts";
import { type Influence, refuseStart, type Setting } from "./influence.ts";
import { type Pattern, Reach } from "./reach.ts";
import { stateJacobian } from "./step-derivatives.ts";

/** Where the entries of a pattern are in a larger one. */
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

/** G at the places of a pattern [number of places]; zero elsewhere. */
function sparseInfluence(setting: Setting, k: number): Influence<Tensor> {
  const { S, P, dtype } = setting;
  const reach = Reach.of(setting);
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
      const J = stateJacobian(step).data();
      reach.note(J);
      const direct = reach.derivatives(step);
      const G = influence.data();
      const out = new Float64Array(rows.length);
      for (let p = 0; p < P; p++) {
        const [from, end] = [starts[p] as number, starts[p + 1] as number];
        for (let a = from; a < end; a++) {
          const row = (rows[a] as number) * S;
          let sum = 0;
          for (let b = from; b < end; b++) sum += (J[row + (rows[b] as number)] as number) * (G[b] as number);
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
 * The sparse k-step approximation: real-time recurrent learning that keeps only the entries of the influence G that become other than
 * zero within k steps, and forgets what arrives later. With k = 1 each weight of a simple network is followed into its own unit alone, which
 * is exact where units see only their own past (IndRNN, minGRU, LRU); with k = n, where all is reached, it is `rtrl`.
 *
 *   G' = M_k ∘ (J·G + I)        M_1 = [I ≠ 0]        M_k = M_(k−1) ∪ [J ≠ 0]·M_(k−1)
 *   ∂E_t/∂θ ≈ λᵀG + g           λ, g: the error swept back through its own step, to the state before it and to the parameters
 *
 * The places are found by trying (`Reach`): of masked networks and of those in blocks, only what is connected is kept. For a parameter that
 * reaches d elements of the state, d² operations a step and d numbers; together with J, found in one sweep over S copies of the sequence,
 * O(S·n² + P·d²) operations and O(S² + P·d) memory. The paper's O(P) for k = 1 takes a J that is known beforehand.
 * @param k steps, at least 1
 * @throws ArgumentError unless k is a whole number of at least 1; under way for recurrences whose first state is trained
 * @see Menick, Elsen, Evci, Osindero, Simonyan and Graves, "A practical sparse approximation for real time recurrent learning", 2020
 * (arXiv 2006.07232), section 3
 * Deviates: the error goes back through its own step whole, since an output need not be a part of the state; the mask comes before it.
 * @example fit(model, batches, { gradients: snap(1), … })
 */
export function snap(k: number): GradientAlgorithm {
  checkWhole("snap", "k", k, { least: 1 });
  return forwardAlgorithm(`snap(${k})`, (setting) => {
    refuseStart(setting);
    return sparseInfluence(setting, k) as Influence;
  });
}
