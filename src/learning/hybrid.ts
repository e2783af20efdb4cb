/** Real-time recurrent learning, backpropagation through time, and everything in between: one recursion over blocks of steps. */

import { checkWhole } from "../base/checks.ts";
import { type FloatDType, isFloat } from "../base/dtype.ts";
import { ArgumentError, StateError } from "../base/errors.ts";
import type { Parameter } from "../nn/module.ts";
import { add } from "../ops/arithmetic.ts";
import { reshape } from "../ops/broadcast.ts";
import { matmul } from "../ops/linear.ts";
import { cat, slice } from "../ops/shape.ts";
import { batchAxesOf, type Recurrence, type ScanOptions } from "../recurrence/recurrence.ts";
import { mapState, restoreState, type State, stateFromVector, stateTensors } from "../recurrence/state.ts";
import { eye, zeros } from "../tensor/create.ts";
import { scope, type Tensor } from "../tensor/tensor.ts";
import { DetachEvery } from "../wrappers/truncated.ts";
import { type GradientAlgorithm, refuseInputGradient, type ScanCotangents, type ScanGradients, scanByRule } from "./algorithm.ts";
import { joined, Stretch } from "./stretch.ts";

/** What goes from block to block of one sequence. */
interface Border<S extends State> {
  readonly state: S;
  /** G = ∂s/∂(θ, s₀) [S, P+S]: the influence of the parameters and of the first state on the state. */
  readonly influence: Tensor;
  /** What is known of the gradient [P+S]. */
  readonly gradient: Tensor;
}

/** Rows over (θ, s₀) from rows over θ alone: steps after the first know nothing of s₀ but by way of the state. */
function widened(rows: Tensor, S: number): Tensor {
  return cat([rows, zeros([rows.dim(0), S], rows.dtype)], 1);
}

/** G' = J·G + I: the influence at the end of a block. */
function carried<S extends State>(block: Stretch<S>, influence: Tensor): Tensor {
  const { state: J, parameters: I } = block.jacobians();
  return add(matmul(J, influence), widened(I, block.size));
}

/** λᵀG + g: what the errors of a block, and of the state that it ends in, add to the gradient. */
function swept<S extends State>(block: Stretch<S>, influence: Tensor, dys: Tensor | null, dLast: Tensor | null): Tensor {
  const { state: lambda, parameters: g } = block.pull(dys, dLast);
  const through = matmul(reshape(lambda, [1, block.size]), influence);
  return reshape(add(through, widened(reshape(g, [1, g.size]), block.size)), [influence.dim(1)]);
}

/** Values that stay when the tape of their block is gone. */
function detached<S extends State>(state: S): S {
  return mapState((s) => s.detach(), state);
}

/** One sequence of a batch, in order of execution. */
interface Sequence<S extends State> {
  readonly start: S;
  /** [T',1,…] each; null for a sequence without steps, and dys where no output is used. */
  readonly xs: Tensor | null;
  readonly ys: Tensor | null;
  readonly dys: Tensor | null;
  /** The cotangent of the last state [S]. */
  readonly dLast: Tensor | null;
}

/**
 * The gradient of one sequence: [P+S], θ and the first state.
 * @param reached takes what there is a gradient of, of the parameters and of the start's tensors
 */
function sequenceGradient<S extends State>(
  name: string,
  recurrence: Recurrence<S>,
  parameters: readonly Parameter[],
  { start, xs, ys, dys, dLast }: Sequence<S>,
  blockLength: number,
  reached: Set<Tensor>,
): Tensor {
  const floats = floatsOf(stateTensors(start));
  const dtype = (parameters[0] ?? floats[0])?.dtype ?? "float32";
  const P = sizeOfAll(parameters);
  const S = sizeOfAll(floats);
  if (xs === null || ys === null) {
    if (dLast !== null) for (const s of floats) reached.add(s);
    return cat([zeros([P], dtype), dLast ?? zeros([S], dtype)], 0);
  }
  const T = xs.dim(0);
  let border: Border<S> = { state: start, influence: cat([zeros([S, P], dtype), eye(S, S, dtype)], 1), gradient: zeros([P + S], dtype) };
  for (let t = 0; t < T; t += blockLength) {
    const end = Math.min(t + blockLength, T);
    const piece = (x: Tensor): Tensor => slice(x, 0, t, end);
    const { state, influence, gradient } = border;
    border = scope(() => {
      const block = new Stretch(recurrence, parameters, piece(xs), state);
      checkSameOutputs(name, block.ys, piece(ys));
      const own = swept(block, influence, dys && piece(dys), end === T ? dLast : null);
      // Nobody asks for the influence on the last state.
      const next = end === T ? zeros([0]) : carried(block, influence);
      for (const t of [...floats, ...parameters]) if (block.reached.has(t)) reached.add(t);
      return { state: detached(block.next), influence: next, gradient: add(gradient, own) };
    });
    influence.dispose();
    gradient.dispose();
  }
  return border.gradient;
}

/** What a scan in pieces may differ by from the scan of the whole: sums in another order. */
const ROUNDING = { float32: 1e-3, float64: 1e-9 };

/** @throws StateError where steps do not follow each other in time and alone, as the influence does */
function checkSameOutputs(name: string, got: Tensor, expected: Tensor): void {
  const tolerance = ROUNDING[expected.dtype as FloatDType];
  const [a, b] = [got.data(), expected.data()];
  for (let i = 0; i < b.length; i++) {
    const [y, whole] = [a[i] as number, b[i] as number];
    if (Object.is(y, whole) || Math.abs(y - whole) <= tolerance * Math.max(1, Math.abs(whole))) continue;
    throw new StateError(
      `${name}: expected a recurrence whose steps follow each other in time, each sequence for itself and without random numbers, ` +
        `got one that puts out ${y} step by step where its scan gave ${whole}`,
    );
  }
}

const floatsOf = (tensors: readonly Tensor[]): Tensor[] => tensors.filter((t) => isFloat(t.dtype));
const sizeOfAll = (tensors: readonly Tensor[]): number => tensors.reduce((n, t) => n + t.size, 0);

/** Steps of sequence b, in order of execution. */
function order(T: number, b: number, { lengths, reverse = false }: ScanOptions): number[] {
  const steps = Array.from({ length: lengths?.[b] ?? T }, (_, t) => t);
  return reverse ? steps.reverse() : steps;
}

/** Steps of sequence b of a batch [T,B,…] in an order: [T',1,…]. */
function sequenceOf(x: Tensor, b: number, steps: readonly number[]): Tensor {
  const column = slice(x, 1, b, b + 1);
  return cat(
    steps.map((t) => slice(column, 0, t, t + 1)),
    0,
  );
}

/** The gradients of a batch without sequences. */
function nothing(parameters: readonly Parameter[], state: readonly Tensor[]): ScanGradients {
  const zero = (t: Tensor): Tensor | null => (isFloat(t.dtype) ? zeros(t.shape, t.dtype) : null);
  return { xs: null, state: state.map(zero), parameters: parameters.map(zero) };
}

function blockRule<S extends State>(
  name: string,
  recurrence: Recurrence<S>,
  parameters: readonly Parameter[],
  like: S,
  { xs, ys, state, dys, dLast }: ScanCotangents,
  options: ScanOptions,
  blockLength: number,
): ScanGradients {
  const [T, B] = xs.shape as [number, number];
  if (B === 0) return nothing(parameters, state);
  const axes = batchAxesOf(recurrence, like);
  const row = (t: Tensor, i: number, b: number): Tensor => slice(t, axes[i] as number, b, b + 1);
  const differentiable = state.map((s) => isFloat(s.dtype));
  const reached = new Set<Tensor>();
  const startsReached = new Set<number>();
  const sequences = Array.from({ length: B }, (_, b) =>
    scope(() => {
      const steps = order(T, b, options);
      const pick = (x: Tensor | null): Tensor | null => (x === null || steps.length === 0 ? null : sequenceOf(x, b, steps));
      const rows = state.map((s, i) => row(s, i, b));
      const ends = dLast.map((d, i) => d && row(d, i, b));
      const own = {
        start: restoreState(like, rows),
        xs: pick(xs),
        ys: pick(ys),
        dys: pick(dys),
        dLast: ends.every((d) => d === null)
          ? null
          : joined(
              ends.filter((_, i) => differentiable[i]),
              floatsOf(rows),
            ),
      };
      const found = sequenceGradient(name, recurrence, parameters, own, blockLength, reached);
      rows.forEach((r, i) => {
        if (reached.has(r)) startsReached.add(i);
      });
      return found;
    }),
  );
  const P = sizeOfAll(parameters);
  const starts = sequences.map((g, b) =>
    stateFromVector(
      slice(g, 0, P, g.size),
      state.flatMap((s, i) => (differentiable[i] ? [row(s, i, b)] : [])),
    ),
  );
  let next = 0;
  const dState = state.map((_, i) => {
    if (!differentiable[i]) return null;
    const at = next++;
    if (!startsReached.has(i)) return null;
    return cat(
      starts.map((parts) => parts[at] as Tensor),
      axes[i] as number,
    );
  });
  const sum = sequences.map((g) => slice(g, 0, 0, P)).reduce((a, b) => add(a, b));
  return {
    xs: null,
    state: dState,
    parameters: stateFromVector(sum, parameters).map((g, i) => (reached.has(parameters[i] as Parameter) ? g : null)),
  };
}

/**
 * Forward in blocks of h steps: inside a block errors are swept back as in backpropagation through time, from block to block the
 * influence of the parameters on the state is carried along as in real-time recurrent learning. Exact for every h.
 *
 *   ∂E/∂θ += λᵀG + g        g, λ: the sweep of the block's errors, to the parameters and to its first state
 *   G' = J·G + I            rows of J, I: the sweep of each element of the block's last state
 *
 * h = 1 is real-time recurrent learning, h = T backpropagation through time; h = n, the number of units, takes O(n³) operations a step
 * on the average where real-time recurrent learning takes O(n⁴), and O(n³) memory for the influence, whatever T (the papers' figures). Inputs and
 * outputs of the whole scan are kept besides, since its errors come with `backward`.
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
 * Real-time recurrent learning: hybrid of blocks of one step. Exact, and forward in time.
 *
 *   G_t = J_t·G_{t−1} + I_t        ∂E_t/∂θ = (∂E_t/∂s_t)ᵀG_t
 *
 * For a net of n units with P = O(n²) weights: O(n²·P) = O(n⁴) operations a step and O(n·P) = O(n³) memory for the influence (the papers' figures).
 * @see Robinson and Fallside, "The utility driven dynamic error propagation network", 1987; Williams and Zipser, "A learning algorithm
 * for continually running fully recurrent neural networks", Neural Computation 1, 1989
 * @example fit(model, batches, { gradients: rtrl(), … })
 */
export function rtrl(): GradientAlgorithm {
  return blocks("rtrl", 1);
}

/** A cut between two steps is no part of either: steps taken alone would carry the influence across it. */
function refuseCuts(name: string, recurrence: Recurrence): void {
  for (const module of recurrence.modules()) {
    if (!(module instanceof DetachEvery)) continue;
    throw new ArgumentError(`${name}: expected steps that follow each other, got DetachEvery, whose scan cuts the state off between them`);
  }
}

function blocks(name: string, h: number): GradientAlgorithm {
  return {
    name,
    scan(recurrence, xs, state, options) {
      refuseInputGradient(name, xs);
      refuseCuts(name, recurrence as unknown as Recurrence);
      return scanByRule(name, (r, p, like, cotangents, o) => blockRule(name, r, p, like, cotangents, o, h), recurrence, xs, state, options);
    },
  };
}
