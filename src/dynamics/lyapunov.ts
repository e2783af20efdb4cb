/** Lyapunov exponents: how fast neighbouring states of a recurrence diverge or converge. */

import { noGrad } from "../autodiff/tape.ts";
import { checkOptions, checkSizes } from "../base/checks.ts";
import { ArgumentError } from "../base/errors.ts";
import { orthonormalRows } from "../numerics/matrix.ts";
import { reshape } from "../ops/broadcast.ts";
import { log } from "../ops/math.ts";
import { cat } from "../ops/shape.ts";
import { Cell, checkRecurrence, type Recurrence } from "../recurrence/recurrence.ts";
import { type State, stateFromVector, stateToVector } from "../recurrence/state.ts";
import { eye, zeros } from "../tensor/create.ts";
import { scope, type Tensor, tensor } from "../tensor/tensor.ts";
import { jvpStacked } from "../transforms/transforms.ts";

/** A state for a batch of one as a vector [n], and K tangents of it [K,n]. */
type TangentState = { readonly state: Tensor; readonly tangents: Tensor };

/** Carries tangents along with the state: δ' = (∂next/∂state) δ. */
class TangentFlow<S extends State> extends Cell<TangentState> {
  readonly inputSize: number;
  readonly outputSize: number;
  readonly recurrence: Recurrence<S>;
  readonly #like: S;

  constructor(recurrence: Recurrence<S>, like: S) {
    super();
    this.recurrence = recurrence;
    this.inputSize = recurrence.inputSize;
    this.#like = like;
    this.outputSize = stateToVector(like).size;
  }

  initialState(): TangentState {
    const state = stateToVector(this.#like);
    return { state, tangents: eye(this.outputSize, this.outputSize, state.dtype) };
  }

  step(x: Tensor, { state, tangents }: TangentState): [y: Tensor, next: TangentState] {
    const next = (vector: Tensor) => stateToVector(this.recurrence.step(x, stateFromVector(vector, this.#like))[1]);
    const [after, moved] = jvpStacked((v) => next(v as Tensor), [state], [tangents]);
    return [reshape(after, [1, this.outputSize]), { state: after, tangents: moved }];
  }
}

export interface LyapunovOptions<S extends State> {
  /** Number of steps over which to measure growth. */
  readonly steps: number;
  /** Number of steps before that, to reach the attractor (default 0). */
  readonly transient?: number;
  /** The starting state, for a batch of one (default `initialState(1)`). */
  readonly state?: S;
  /** The input of every step [1,I] (default zeros). */
  readonly input?: Tensor;
  /** Number of exponents, largest first (default as many as the state has elements). */
  readonly count?: number;
  /** Time of a step; exponents are per unit of time (default 1). */
  readonly interval?: number;
  /** Steps between two orthonormalisations (default 10). */
  readonly every?: number;
}

/**
 * The Lyapunov exponents of a recurrence under constant input, largest first. K tangents are carried along the trajectory by forward
 * differentiation and orthonormalised repeatedly; λ_k is the mean logarithm of the kth tangent's remaining length.
 * λ₁ > 0 means chaos, λ₁ = 0 a limit cycle of a flow, λ₁ < 0 a fixed point.
 * @throws ArgumentError for counts below 1, or more exponents than the state has elements
 * @see Benettin, Galgani, Giorgilli and Strelcyn, "Lyapunov characteristic exponents for smooth dynamical systems", Meccanica 15, 1980
 * @see Vogt, Puelma Touzel, Shlizerman and Lajoie, "On Lyapunov exponents for RNNs", 2022
 * @example const [largest] = lyapunovExponents(cell, { steps: 10000, transient: 1000, count: 1, interval: cell.interval });
 */
export function lyapunovExponents<S extends State>(cell: Recurrence<S>, options: LyapunovOptions<S>): number[] {
  checkRecurrence("lyapunovExponents", cell);
  checkOptions("lyapunovExponents", options, ["steps", "transient", "state", "input", "count", "interval", "every"]);
  const { steps, transient = 0, interval = 1, every = 10 } = options;
  const start = options.state ?? cell.initialState(1);
  const flow = new TangentFlow(cell, start);
  const n = flow.outputSize;
  const count = options.count ?? n;
  checkSizes("lyapunovExponents", { steps, every, count });
  if (count > n) throw new ArgumentError(`lyapunovExponents: expected count of at most ${n} elements of the state, got ${count}`);
  const dtype = flow.initialState().state.dtype;
  const input = options.input ?? zeros([1, cell.inputSize], dtype);
  const inputs = (T: number) => cat(new Array<Tensor>(T).fill(reshape(input, [1, 1, cell.inputSize])), 0);
  const settled = transient > 0 ? noGrad(() => cell.scan(inputs(transient), start)[1]) : start;
  let at: TangentState = { state: stateToVector(settled), tangents: eye(count, n, dtype) };
  const sums = new Array<number>(count).fill(0);
  for (let done = 0; done < steps; done += every) {
    const T = Math.min(every, steps - done);
    at = scope(() => {
      const [, { state, tangents }] = noGrad(() => flow.scan(inputs(T), at));
      const flat = Array.from(tangents.data());
      const { rows, lengths } = orthonormalRows(sums.map((_, k) => flat.slice(k * n, (k + 1) * n)));
      const growth = log(tensor(lengths, { dtype: "float64" })).data();
      growth.forEach((g, k) => {
        sums[k] = (sums[k] as number) + g;
      });
      return { state, tangents: tensor(rows.flat(), { shape: [count, n], dtype }) };
    });
  }
  return sums.map((sum) => sum / (steps * interval));
}
