/** Real-time recurrent learning, backpropagation through time, and everything in between: one recursion over blocks of steps. */

import { checkNoMore, checkWhole } from "../base/checks.ts";
import { add, mul } from "../ops/arithmetic.ts";
import { broadcastTo, reshape } from "../ops/broadcast.ts";
import { matmul } from "../ops/linear.ts";
import { cat } from "../ops/shape.ts";
import { stateFromVector, stateTensors } from "../recurrence/state.ts";
import { full, zeros } from "../tensor/create.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { GradientAlgorithm } from "./algorithm.ts";
import { forwardAlgorithm } from "./forward.ts";
import { floatsOf, type Influence, type Setting } from "./influence.ts";
import { joined } from "./stretch.ts";

/** Extends rows over θ to all columns: steps after the first depend on s₀ only through the state. */
function widened(rows: Tensor, columns: number): Tensor {
  const [n, P] = rows.shape as [number, number];
  return P === columns ? rows : cat([rows, zeros([n, columns - P], rows.dtype)], 1);
}

/** The full influence G = ∂s/∂(θ, s₀) [S, columns], for any recurrence. */
export function denseInfluence({ S, columns, dtype, start }: Setting): Influence<Tensor> {
  return {
    initial: start ?? zeros([S, columns], dtype),
    // λᵀG + g
    gradient(block, influence, dys, dNext) {
      const { state: lambda, parameters: g } = block.pull(dys, dNext);
      const now = widened(reshape(g, [1, g.size]), columns);
      return reshape(S === 0 ? now : add(matmul(reshape(lambda, [1, S]), influence), now), [columns]);
    },
    // J·G + I
    next(block, influence) {
      if (S === 0) return influence;
      const { state: J, parameters: I } = block.jacobians();
      return add(matmul(J, influence), widened(I, columns));
    },
  };
}

/**
 * The influence if units do not see each other's state: one trace per parameter and tensor of the state, for its own unit only.
 *
 *   e'ₘ = Σⱼ Jₘⱼ∘eⱼ + Iₘ        Jₘⱼ [units]: one sweep from all units together gives the diagonals and each parameter's effect on its unit
 * @param axisOf the axis of a parameter's units
 */
export function unitInfluence(
  { state, parameters, P, dtype }: Setting,
  units: number,
  axisOf: (p: Tensor) => "rows" | "columns" = () => "rows",
): Influence<readonly Tensor[]> {
  const floats = floatsOf(stateTensors(state));
  const own = floats.filter((s) => s.size === units);
  /** Parts [units] of a vector over the state, for the tensors that hold one value per unit. */
  const parts = (vector: Tensor): Tensor[] =>
    stateFromVector(vector, floats).flatMap((part) => (part.size === units ? [reshape(part, [units])] : []));
  /** Expands one value per unit to each parameter's unit; 0 for parameters that no unit owns. */
  const spread = (values: Tensor): Tensor => cat(parameters.map((p) => spreadOver(p, values, axisOf(p))));
  const ones = (m: Tensor): Tensor =>
    joined(
      floats.map((s) => (s === m ? full(s.shape, 1, dtype) : null)),
      floats,
    );
  const through = (row: Tensor, influence: readonly Tensor[], immediate: Tensor): Tensor =>
    parts(row).reduce((sum, j, i) => add(sum, mul(spread(j), influence[i] as Tensor)), immediate);
  return {
    initial: own.map(() => zeros([P], dtype)),
    gradient(block, influence, dys, dNext) {
      const { state: lambda, parameters: g } = block.pull(dys, dNext);
      return through(lambda, influence, g);
    },
    next: (block, influence) =>
      own.map((m) => {
        const { state: J, parameters: I } = block.pull(null, ones(m));
        return through(J, influence, I);
      }),
  };
}

/** Expands values [units] to the elements of a parameter, whose rows (or columns) are the units, once or repeated. */
function spreadOver(p: Tensor, values: Tensor, axis: "rows" | "columns"): Tensor {
  const [units] = values.shape as [number];
  const rows = p.shape[0] ?? 0;
  if (axis === "columns") return reshape(broadcastTo(values, p.shape), [p.size]);
  if (rows === 0 || rows % units !== 0) return zeros([p.size], values.dtype);
  const all = broadcastTo(reshape(values, [1, units, 1]), [rows / units, units, p.size / rows]);
  return reshape(all, [p.size]);
}

/** The exact ∂s/∂θ, in the cheapest form that the recurrence allows. */
function exactInfluence(setting: Setting): Influence {
  const { independentUnits } = setting.recurrence;
  return (
    independentUnits === undefined || setting.start !== null ? denseInfluence(setting) : unitInfluence(setting, independentUnits)
  ) as Influence;
}

/**
 * Works forward in blocks of h steps. Inside a block errors are swept back, as in backpropagation through time; from block to block the
 * influence of the parameters on the state is carried, as in real-time recurrent learning. Exact for every h.
 *
 *   ∂E/∂θ += λᵀG + g        g, λ: the sweep of the block's errors, to the parameters and to its first state
 *   G' = J·G + I            rows of J, I: the sweep of each element of the block's last state
 *
 * h = 1 is real-time recurrent learning, h = T backpropagation through time. h = n, the number of units, takes O(n³) operations per step
 * on average, where real-time recurrent learning takes O(n⁴), and O(n³) memory for the influence, whatever T (the papers' figures). Inputs and
 * outputs of the whole scan are kept too, since its errors come with `backward`.
 * @param h steps per block, at least 1
 * @see Williams, "Complexity of exact gradient computation algorithms for recurrent neural networks", 1989; Schmidhuber, "A fixed size storage O(n³)
 * time complexity learning algorithm for fully recurrent continually running networks", Neural Computation 4, 1992
 * @throws ArgumentError unless h is a whole number of at least 1
 * @example fit(model, batches, { gradients: hybrid(16), … })
 */
export function hybrid(h: number): GradientAlgorithm {
  checkWhole("hybrid", "h", h, { least: 1 });
  return forwardAlgorithm(`hybrid(${h})`, exactInfluence, { block: h });
}

/**
 * Real-time recurrent learning: `hybrid` with blocks of one step. Exact, and forward in time.
 *
 *   G_t = J_t·G_{t−1} + I_t        ∂E_t/∂θ = (∂E_t/∂s_t)ᵀG_t
 *
 * For a net of n units with P = O(n²) weights: O(n²·P) = O(n⁴) operations per step and O(n·P) = O(n³) memory for the influence (the papers' figures).
 * If units do not see each other (`independentUnits`: IndRNN, SRU, MinGRU, MinLSTM, QRNN, LRU), G is just one trace per weight:
 * O(P) operations per step and O(P) memory.
 * @see Robinson and Fallside, "The utility driven dynamic error propagation network", 1987; Williams and Zipser, "A learning algorithm
 * for continually running fully recurrent neural networks", Neural Computation 1, 1989; for independent units, Mozer, "A focused
 * backpropagation algorithm for temporal pattern recognition", Complex Systems 3, 1989
 * @example fit(model, batches, { gradients: rtrl(), … })
 */
export function rtrl(...more: readonly []): GradientAlgorithm {
  checkNoMore("rtrl", more);
  return forwardAlgorithm("rtrl", exactInfluence);
}
