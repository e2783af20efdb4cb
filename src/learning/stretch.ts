/** A stretch of steps of one sequence and its derivatives, from which algorithms that work forward in time are built. */

import { track } from "../autodiff/alias.ts";
import { gradients } from "../autodiff/sweep.ts";
import { enableGrad } from "../autodiff/tape.ts";
import { type DType, isFloat } from "../base/dtype.ts";
import type { Parameter } from "../nn/module.ts";
import { stack } from "../ops/shape.ts";
import type { Recurrence } from "../recurrence/recurrence.ts";
import { mapState, restoreState, type State, stateFromVector, stateTensors, stateToVector } from "../recurrence/state.ts";
import { zeros } from "../tensor/create.ts";
import { type Tensor, tensor } from "../tensor/tensor.ts";

/** Cotangents of a stretch's first state [S] and of the parameters [P], both as vectors. */
export interface Pulled {
  readonly state: Tensor;
  readonly parameters: Tensor;
}

/** Joins tensors of one sequence into a vector; zeros of `like`'s size for a missing one. */
export function joined(parts: readonly (Tensor | null)[], like: readonly Tensor[], dtype: DType = "float32"): Tensor {
  if (like.length === 0) return zeros([0], dtype);
  return stateToVector(like.map((l, i) => parts[i] ?? zeros(l.shape, l.dtype)));
}

/**
 * h ≥ 1 steps of one sequence on a tape of their own: ys = f(xs, s), next = g(xs, s).
 *
 * The state counts as the vector of its float tensors; its other parts (indices, masks) have no derivative.
 */
export class Stretch<S extends State> {
  /** [h,1,O] */
  readonly ys: Tensor;
  readonly next: S;
  readonly recurrence: Recurrence<S>;
  /** [h,1,I] */
  readonly xs: Tensor;
  /** The state before the stretch. */
  readonly start: S;
  /** The parameters and tensors of the first state that sweeps have reached; the rest has no gradient, rather than a zero one. */
  readonly reached: Set<Tensor> = new Set();
  readonly #state: readonly Tensor[];
  readonly #before: readonly Tensor[];
  readonly #after: readonly Tensor[];
  readonly #parameters: readonly Parameter[];

  /** @param xs [h,1,I] @param state of a batch of one */
  constructor(recurrence: Recurrence<S>, parameters: readonly Parameter[], xs: Tensor, state: S) {
    this.#parameters = parameters;
    this.recurrence = recurrence;
    this.xs = xs;
    this.start = state;
    const tracked = stateTensors(state).map((s) => (isFloat(s.dtype) ? track(s.detach()) : s));
    const [ys, next] = enableGrad(() => recurrence.scan(xs, restoreState(state, tracked)));
    this.ys = ys;
    // By name, since a recurrence may list its tensors in another order.
    this.next = mapState((_, t) => t as Tensor, state, next);
    this.#state = stateTensors(state).filter((s) => isFloat(s.dtype));
    this.#before = tracked.filter((s) => isFloat(s.dtype));
    this.#after = stateTensors(this.next).filter((s) => isFloat(s.dtype));
  }

  /** Number of elements of the state. */
  get size(): number {
    return this.#after.reduce((n, s) => n + s.size, 0);
  }

  /** dᵀ∂(ys, next)/∂(state, θ) for cotangents of the outputs [h,1,O] and of the next state [S]. */
  pull(dys: Tensor | null, dNext: Tensor | null): Pulled {
    const outputs: Tensor[] = [];
    const cotangents: Tensor[] = [];
    if (dys !== null) {
      outputs.push(this.ys);
      cotangents.push(dys);
    }
    if (dNext !== null) {
      outputs.push(...this.#after);
      cotangents.push(...stateFromVector(dNext, this.#after));
    }
    const inputs = [...this.#before, ...this.#parameters];
    const found = gradients(outputs, inputs, cotangents);
    [...this.#state, ...this.#parameters].forEach((t, i) => {
      if (found[i] !== null) this.reached.add(t);
    });
    const n = this.#before.length;
    // Of the outputs' dtype if no state or parameter gives one.
    const { dtype } = this.ys;
    return { state: joined(found.slice(0, n), this.#before, dtype), parameters: joined(found.slice(n), this.#parameters, dtype) };
  }

  /** ∂next/∂state [S,S] and ∂next/∂θ [S,P], with one sweep per row. */
  jacobians(): { readonly state: Tensor; readonly parameters: Tensor } {
    const S = this.size;
    const { dtype } = this.ys;
    if (S === 0) return { state: zeros([0, 0], dtype), parameters: zeros([0, this.#parameters.reduce((n, p) => n + p.size, 0)], dtype) };
    const rows = Array.from({ length: S }, (_, k) => this.pull(null, unit(S, k, dtype)));
    return { state: stack(rows.map((r) => r.state)), parameters: stack(rows.map((r) => r.parameters)) };
  }
}

/** ∂s₀/∂θ of the state before the first step. */
interface StartInfluence {
  /** [S,P] */
  readonly rows: Tensor;
  readonly reached: ReadonlySet<Parameter>;
}

/** How the state before the first step depends on parameters; null if it depends on none. */
export function startInfluence(recurrence: Recurrence, parameters: readonly Parameter[]): StartInfluence | null {
  const floats = stateTensors(enableGrad(() => recurrence.initialState(1))).filter((s) => isFloat(s.dtype));
  if (floats.every((s) => s.node === null && !s.requiresGrad)) return null;
  const S = floats.reduce((n, s) => n + s.size, 0);
  const reached = new Set<Parameter>();
  const rows = Array.from({ length: S }, (_, k) => {
    const cotangents = stateFromVector(unit(S, k, (floats[0] as Tensor).dtype), floats);
    const found = gradients(floats, parameters, cotangents);
    parameters.forEach((p, i) => {
      if (found[i] !== null) reached.add(p);
    });
    return joined(found, parameters);
  });
  return { rows: stack(rows), reached };
}

/** The vector e_k [n]. */
function unit(n: number, k: number, dtype: Tensor["dtype"]): Tensor {
  const e = new Float64Array(n);
  e[k] = 1;
  return tensor(e, { dtype });
}
