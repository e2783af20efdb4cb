/** Measures how gradients shrink or grow on their way back through time. */

import { track } from "../autodiff/alias.ts";
import { gradients } from "../autodiff/sweep.ts";
import { enableGrad, noGrad } from "../autodiff/tape.ts";
import { checkOneOf, checkOptions, optionsOf } from "../base/checks.ts";
import { isFloat } from "../base/dtype.ts";
import { ArgumentError, ShapeError } from "../base/errors.ts";
import { matmul } from "../ops/linear.ts";
import { stack, transpose, unstack } from "../ops/shape.ts";
import { checkRecurrence, checkSequence, type Recurrence } from "../recurrence/recurrence.ts";
import { mapState, restoreState, type State, stateFromVector, stateTensors, stateToVector } from "../recurrence/state.ts";
import { eye, onesLike } from "../tensor/create.ts";
import { checkTensor, scope, Tensor, tensor } from "../tensor/tensor.ts";
import { jvpStacked, vjp } from "../transforms/transforms.ts";

/** ‖∂E/∂s_t‖ of one tensor of the state, or of all. */
export interface StateGradientNorms {
  /** Its name in the state, such as "c"; "state" if the state is a single tensor, "all" for all tensors together. */
  readonly name: string;
  /** Norms for the state before each step t and after the last, [T + 1], over the whole batch. */
  readonly norms: readonly number[];
}

/** The names of a state's tensors, in order of structure. */
function namesOf(state: State, prefix = ""): string[] {
  if (state instanceof Tensor) return [prefix === "" ? "state" : prefix];
  return Object.entries(state).flatMap(([name, part]) => namesOf(part as State, prefix === "" ? name : `${prefix}.${name}`));
}

const squares = (t: Tensor | null): number => (t === null ? 0 : Array.from(t.data()).reduce((total, v) => total + v * v, 0));

/**
 * The norms of a loss's gradient with respect to the state at every step, in one backward pass. With a loss of only the last step they show how much of
 * an error arrives k steps back; a loss of all steps hides the decay. Norms are computed in double precision, gradients in the recurrence's dtype:
 * values below 1e-38 become 0 in float32, so use float64 for long sequences.
 * @param xs [T,B,I]
 * @param loss a scalar of the outputs [T,B,O] and the last state
 * @returns the norms for the whole state, then those for each of its float tensors
 * @throws ShapeError for xs that do not fit, or a loss that is no scalar
 * @see Hochreiter, "Untersuchungen zu dynamischen neuronalen Netzen", 1991; Bengio, Simard and Frasconi, "Learning long-term dependencies with
 * gradient descent is difficult", 1994; Pascanu, Mikolov and Bengio, "On the difficulty of training recurrent neural networks", 2013
 * @example const [all] = gradientNorms(cell, xs, (ys) => sum(select(ys, 0, xs.dim(0) - 1)));
 */
export function gradientNorms<S extends State>(
  recurrence: Recurrence<S>,
  xs: Tensor,
  loss: (ys: Tensor, last: S) => Tensor,
  options: { readonly state?: S } = {},
): StateGradientNorms[] {
  const { state } = optionsOf("gradientNorms", options, ["state"]);
  checkRecurrence("gradientNorms", recurrence);
  checkTensor("gradientNorms", xs);
  checkSequence("gradientNorms", xs, recurrence.inputSize);
  return scope(() => {
    const states: Tensor[][] = [];
    const tracked = (s: S): S => {
      const own = stateTensors(s).map((t) => (isFloat(t.dtype) ? track(t) : t));
      states.push(own);
      return restoreState(s, own);
    };
    const value = enableGrad(() => {
      let held = tracked(state ?? recurrence.initialState(xs.dim(1)));
      const ys = unstack(xs).map((x) => {
        const [y, next] = recurrence.step(x, held);
        // By name, since a step may list its tensors in another order than the previous state.
        held = tracked(mapState((_, t) => t as Tensor, held, next));
        return y;
      });
      return loss(stack(ys), held);
    });
    if (value.size !== 1) throw new ShapeError(`gradientNorms: expected a scalar loss, got ${value.size} elements`);
    const names = namesOf(state ?? recurrence.initialState(1));
    const floats = (states[0] as Tensor[]).flatMap((t, i) => (isFloat(t.dtype) ? [i] : []));
    const wanted = states.map((own) => floats.map((i) => own[i] as Tensor));
    const found = value.node === null ? [] : gradients([value], wanted.flat(), [onesLike(value)]);
    const sums = wanted.map((_, t) => floats.map((_, i) => squares(found[t * floats.length + i] ?? null)));
    const parts = floats.map((place, i) => ({ name: names[place] as string, norms: sums.map((row) => Math.sqrt(row[i] as number)) }));
    return [{ name: "all", norms: sums.map((row) => Math.sqrt(row.reduce((a, b) => a + b, 0))) }, ...parts];
  });
}

/** The float tensors of a state, for a batch of one, as a vector. */
function checkOne(op: string, xs: Tensor, state: State): void {
  if (xs.dim(1) !== 1) throw new ShapeError(`${op}: expected xs [T,1,I] of one sequence, got a batch of ${xs.dim(1)}`);
  for (const t of stateTensors(state))
    if (!isFloat(t.dtype)) throw new ArgumentError(`${op}: expected a state of floats, got one with a tensor of ${t.dtype}`);
}

/** The map from a state to the state after the steps of xs, both as vectors. */
function flowOf<S extends State>(recurrence: Recurrence<S>, xs: Tensor, like: S): (vector: Tensor) => Tensor {
  return (vector) => stateToVector(recurrence.scan(xs, stateFromVector(vector, like))[1]);
}

export interface StateJacobianOptions<S extends State> {
  /** State before the first step, for a batch of one; default the initial state. */
  readonly state?: S;
  /** Whether to carry n tangents forward (default), sweep back n times, or multiply the Jacobians of all steps. */
  readonly mode?: "forward" | "reverse" | "product";
}

/**
 * D = ∂s_T/∂s_0 [n,n]: how the state after the steps of xs depends on the one before them, with elements in order of structure.
 * @param xs [T,1,I]
 * @throws ShapeError for more than one sequence, ArgumentError for a state that holds whole numbers
 * @example const D = stateJacobian(cell, xs); // [n,n]
 */
export function stateJacobian<S extends State>(recurrence: Recurrence<S>, xs: Tensor, options: StateJacobianOptions<S> = {}): Tensor {
  checkOptions("stateJacobian", options, ["state", "mode"]);
  checkRecurrence("stateJacobian", recurrence);
  checkTensor("stateJacobian", xs);
  const { state = recurrence.initialState(1), mode = "forward" } = options;
  checkSequence("stateJacobian", xs, recurrence.inputSize);
  checkOneOf("stateJacobian", "mode", mode, ["forward", "reverse", "product"]);
  checkOne("stateJacobian", xs, state);
  return scope(() => {
    if (mode === "product") return stepJacobians(recurrence, xs, state).reduce((D, J) => matmul(J, D));
    const start = stateToVector(state).detach();
    const n = start.size;
    const flow = flowOf(recurrence, xs, state);
    const rows = eye(n, n, start.dtype);
    if (mode === "forward")
      return transpose(
        noGrad(() => jvpStacked((v) => flow(v as Tensor), [start], [rows])[1]),
        0,
        1,
      );
    const [, pull] = vjp((v) => flow(v as Tensor), [start]);
    return stack(unstack(rows).map((row) => pull(row)[0] as Tensor));
  });
}

/** J_t = ∂s_{t+1}/∂s_t of every step. */
function stepJacobians<S extends State>(recurrence: Recurrence<S>, xs: Tensor, start: S): Tensor[] {
  let vector = stateToVector(start).detach();
  const rows = eye(vector.size, vector.size, vector.dtype);
  return unstack(xs).map((x) => {
    const next = (v: Tensor): Tensor =>
      stateToVector(mapState((_, t) => t as Tensor, start, recurrence.step(x, stateFromVector(v, start))[1]));
    const [after, moved] = noGrad(() => jvpStacked((v) => next(v as Tensor), [vector], [rows]));
    vector = after.detach();
    return transpose(moved, 0, 1);
  });
}

/** How much of a state remains in a later one, by the number of steps between them. */
export interface StateInfluence {
  /** ln ‖∂s_T/∂s_{T−k}‖₂ for k = 0 … T: the largest growth of a change of the state; −∞ if nothing remains. */
  readonly spectral: readonly number[];
  /** ln of its Frobenius norm. */
  readonly frobenius: readonly number[];
  /** The first k at which the spectral norm is at most 1/e; null if it is always greater. */
  readonly horizon: number | null;
}

/**
 * Norms of D(T,k) = ∂s_T/∂s_{T−k} = J_{T−1}·…·J_{T−k} against k: the vanishing or exploding gradient of a recurrence itself, without a loss.
 * It works with logarithms, so nothing underflows. ‖D‖₂ ≤ Π‖J‖₂, and for tanh units ‖D‖₂ ≤ ‖W‖₂ᵏ. Costs T Jacobians of n tangents each, and T
 * products of [n,n].
 * @param xs [T,1,I]
 * @throws ShapeError for more than one sequence, ArgumentError for a state that holds whole numbers
 * @see Pascanu, Mikolov and Bengio, "On the difficulty of training recurrent neural networks", 2013, section 2
 * @example const { spectral, horizon } = stateInfluence(cell, xs);
 */
export function stateInfluence<S extends State>(
  recurrence: Recurrence<S>,
  xs: Tensor,
  options: { readonly state?: S } = {},
): StateInfluence {
  checkOptions("stateInfluence", options, ["state"]);
  checkRecurrence("stateInfluence", recurrence);
  checkTensor("stateInfluence", xs);
  const { state = recurrence.initialState(1) } = options;
  checkSequence("stateInfluence", xs, recurrence.inputSize);
  checkOne("stateInfluence", xs, state);
  return scope(() => {
    const steps = stepJacobians(recurrence, xs, state).reverse();
    const n = (steps[0] as Tensor).dim(0);
    let D = eye(n, n, (steps[0] as Tensor).dtype);
    let scale = 0;
    const spectral = [0];
    const frobenius = [Math.log(n) / 2];
    for (const J of steps) {
      const product = matmul(D, J);
      const size = Math.sqrt(squares(product));
      spectral.push(scale + Math.log(spectralNorm(product)));
      frobenius.push(scale + Math.log(size));
      // Normalise to size 1 and keep the factor as a logarithm.
      D =
        size === 0 ? product : tensor(product.data().map((v: number) => v / size) as Float64Array, { shape: [n, n], dtype: product.dtype });
      scale += size === 0 ? 0 : Math.log(size);
    }
    const horizon = spectral.findIndex((s) => s <= -1);
    return { spectral, frobenius, horizon: horizon < 0 ? null : horizon };
  });
}

/** The largest singular value of a matrix, by power iteration on AᵀA from a start without symmetries. */
function spectralNorm(A: Tensor): number {
  const n = A.dim(1);
  const transposed = transpose(A, 0, 1);
  let v = tensor(
    Float64Array.from({ length: n }, (_, i) => 1 + 0.1 * Math.sqrt(i)),
    { shape: [n, 1], dtype: A.dtype },
  );
  let [norm, before] = [0, -1];
  for (let i = 0; i < 500 && Math.abs(norm - before) > 1e-13 * norm; i++) {
    const next = scope(() => matmul(transposed, matmul(A, v)));
    const length = Math.sqrt(squares(next));
    if (length === 0) return 0;
    const size = Math.sqrt(squares(v));
    [before, norm] = [norm, Math.sqrt(length / size)];
    v = tensor(next.data().map((x: number) => x / length) as Float64Array, { shape: [n, 1], dtype: A.dtype });
  }
  return norm;
}
