/** Real-time recurrent learning, backpropagation through time, and everything in between: one recursion over blocks of steps. */

import { checkWhole } from "../base/checks.ts";
import { isFloat } from "../base/dtype.ts";
import { ArgumentError } from "../base/errors.ts";
import type { Parameter } from "../nn/module.ts";
import { add } from "../ops/arithmetic.ts";
import { reshape } from "../ops/broadcast.ts";
import { matmul } from "../ops/linear.ts";
import { cat, slice, stack } from "../ops/shape.ts";
import type { Recurrence, ScanOptions } from "../recurrence/recurrence.ts";
import { restoreState, type State, stateTensors } from "../recurrence/state.ts";
import { eye, zeros } from "../tensor/create.ts";
import { scope, type Tensor } from "../tensor/tensor.ts";
import { type GradientAlgorithm, refuseInputGradient, type ScanCotangents, type ScanGradients, scanByRule } from "./algorithm.ts";
import { joined, parted, Stretch } from "./stretch.ts";

/** θ and the first state side by side: [P] and [S]. */
interface Total {
  readonly parameters: Tensor;
  readonly state: Tensor;
}

/** What goes from block to block of one sequence. */
interface Border<S extends State> {
  readonly state: S;
  /** G = ∂s/∂(θ, s₀) [S, P+S]: the influence of the parameters and of the first state on the state. */
  readonly influence: Tensor;
  /** What is known of the gradient [P+S]. */
  readonly gradient: Tensor;
}

/** One block: its errors are swept back to its border, and the influence is carried to the next one. */
function crossBlock<S extends State>(
  recurrence: Recurrence<S>,
  parameters: readonly Parameter[],
  { state, influence, gradient }: Border<S>,
  xs: Tensor,
  dys: Tensor | null,
): Border<S> {
  const block = new Stretch(recurrence, parameters, xs, state);
  const widened = (rows: Tensor): Tensor => cat([rows, zeros([rows.dim(0), block.size], rows.dtype)], 1);
  const { state: J, parameters: I } = block.jacobians();
  // G' = J·G + I
  const next = add(matmul(J, influence), widened(I));
  if (dys === null) return { state: block.next, influence: next, gradient };
  // ∂E/∂θ += λᵀG + what the block's own steps give
  const own = block.pull(dys, null);
  const through = reshape(matmul(reshape(own.state, [1, block.size]), influence), [influence.dim(1)]);
  const direct = reshape(widened(reshape(own.parameters, [1, own.parameters.size])), [influence.dim(1)]);
  return { state: block.next, influence: next, gradient: add(gradient, add(through, direct)) };
}

/** Sequence b of a batch, from its first step to its last in order of execution: [T',1,…]. */
function sequenceOf(x: Tensor, b: number, steps: readonly number[]): Tensor {
  const column = slice(x, 1, b, b + 1);
  return cat(
    steps.map((t) => slice(column, 0, t, t + 1)),
    0,
  );
}

/** Row b of each tensor of a state, as a state of a batch of one. */
function stateOf<S extends State>(like: S, tensors: readonly Tensor[], b: number): S {
  return restoreState(
    like,
    tensors.map((s) => slice(s, 0, b, b + 1)),
  );
}

function detached<S extends State>({ state, influence, gradient }: Border<S>): Border<S> {
  const own = stateTensors(state).map((s) => s.detach());
  return { state: restoreState(state, own), influence, gradient };
}

/** The gradient of one sequence. */
function sequenceGradient<S extends State>(
  recurrence: Recurrence<S>,
  parameters: readonly Parameter[],
  start: S,
  { xs, dys, dLast }: { readonly xs: Tensor | null; readonly dys: Tensor | null; readonly dLast: Tensor | null },
  blockLength: number,
): Total {
  const floats = stateTensors(start).filter((s) => isFloat(s.dtype));
  const dtype = (parameters[0] as Parameter).dtype;
  const P = parameters.reduce((n, p) => n + p.size, 0);
  const S = floats.reduce((n, s) => n + s.size, 0);
  let border: Border<S> = {
    state: start,
    influence: cat([zeros([S, P], dtype), eye(S, S, dtype)], 1),
    gradient: zeros([P + S], dtype),
  };
  const T = xs === null ? 0 : xs.dim(0);
  for (let t = 0; t < T; t += blockLength) {
    const end = Math.min(t + blockLength, T);
    const before = border;
    border = scope(() =>
      detached(crossBlock(recurrence, parameters, before, slice(xs as Tensor, 0, t, end), dys && slice(dys, 0, t, end))),
    );
  }
  const { influence, gradient } = border;
  const whole = dLast === null ? gradient : add(gradient, reshape(matmul(reshape(dLast, [1, S]), influence), [P + S]));
  return { parameters: slice(whole, 0, 0, P), state: slice(whole, 0, P, P + S) };
}

/** Steps of sequence b, in order of execution. */
function order(T: number, b: number, { lengths, reverse = false }: ScanOptions): number[] {
  const steps = Array.from({ length: lengths?.[b] ?? T }, (_, t) => t);
  return reverse ? steps.reverse() : steps;
}

function blockRule<S extends State>(
  recurrence: Recurrence<S>,
  parameters: readonly Parameter[],
  like: S,
  { xs, state, dys, dLast }: ScanCotangents,
  options: ScanOptions,
  blockLength: number,
): ScanGradients {
  const [T, B] = xs.shape as [number, number];
  const floats = state.filter((s) => isFloat(s.dtype));
  const dFloats = dLast.filter((_, i) => isFloat((state[i] as Tensor).dtype));
  const sequences = Array.from({ length: B }, (_, b) =>
    scope(() => {
      const steps = order(T, b, options);
      const rows = floats.map((s) => slice(s, 0, b, b + 1));
      const last = dFloats.every((d) => d === null)
        ? null
        : joined(
            dFloats.map((d) => d && slice(d, 0, b, b + 1)),
            rows,
          );
      const own = {
        xs: steps.length === 0 ? null : sequenceOf(xs, b, steps),
        dys: dys && steps.length > 0 ? sequenceOf(dys, b, steps) : null,
        dLast: last,
      };
      const total = sequenceGradient(recurrence, parameters, stateOf(like, state, b), own, blockLength);
      return { parameters: total.parameters, state: parted(total.state, rows) };
    }),
  );
  const sum = sequences.map((s) => s.parameters).reduce((a, b) => add(a, b));
  let next = 0;
  const dState = state.map((s) => {
    if (!isFloat(s.dtype)) return null;
    const i = next++;
    return reshape(stack(sequences.map((q) => q.state[i] as Tensor)), s.shape);
  });
  return { xs: null, state: dState, parameters: parted(sum, parameters) };
}

/**
 * Forward in blocks of h steps: inside a block errors are swept back as in backpropagation through time, from block to block the
 * influence of the parameters on the state is carried along as in real-time recurrent learning. Exact for every h.
 *
 *   ∂E/∂θ += λᵀG + g        g, λ: the sweep of the block's errors, to the parameters and to its first state
 *   G' = J·G + I            rows of J, I: the sweep of each element of the block's last state
 *
 * h = 1 is real-time recurrent learning, h = T backpropagation through time; h = n, the number of units, takes O(n³) operations a step
 * on the average where real-time recurrent learning takes O(n⁴), and O(n³) memory, whatever T.
 * @param h steps in a block, at least 1
 * @see Williams, "Complexity of exact gradient computation algorithms for recurrent neural networks", 1989; Schmidhuber, "A fixed size storage O(n³)
 * time complexity learning algorithm for fully recurrent continually running networks", Neural Computation 4, 1992
 * @throws ArgumentError unless h is a whole number of at least 1
 * @example fit(model, batches, { gradients: hybrid(16), … })
 */
export function hybrid(h: number): GradientAlgorithm {
  checkWhole("hybrid", "h", h, { least: 1 });
  return blocks(`hybrid(${h})`, h);
}

/**
 * Real-time recurrent learning: hybrid of blocks of one step. Exact, forward in time, memory independent of T.
 *
 *   G_t = J_t·G_{t−1} + I_t        ∂E_t/∂θ = (∂E_t/∂s_t)ᵀG_t
 *
 * For a net of n units with P = O(n²) weights: O(n²·P) = O(n⁴) operations a step and O(n·P) = O(n³) memory a sequence.
 * @see Robinson and Fallside, "The utility driven dynamic error propagation network", 1987; Williams and Zipser, "A learning algorithm
 * for continually running fully recurrent neural networks", Neural Computation 1, 1989
 * @example fit(model, batches, { gradients: rtrl(), … })
 */
export function rtrl(): GradientAlgorithm {
  return blocks("rtrl", 1);
}

function blocks(name: string, h: number): GradientAlgorithm {
  return {
    name,
    scan(recurrence, xs, state, options) {
      refuseInputGradient(name, xs);
      if ((recurrence as { readonly bidirectional?: boolean }).bidirectional) {
        throw new ArgumentError(`${name}: expected a recurrence that runs forward in time, got a bidirectional one`);
      }
      return scanByRule(name, (r, p, like, cotangents, o) => blockRule(r, p, like, cotangents, o, h), recurrence, xs, state, options);
    },
  };
}
