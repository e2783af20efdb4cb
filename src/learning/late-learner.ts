/** Step-by-step learning with delayed errors: they wait until a window of steps is full, or for information from later steps. */

import { track } from "../autodiff/alias.ts";
import { gradients } from "../autodiff/sweep.ts";
import { enableGrad, noGrad } from "../autodiff/tape.ts";
import { isFloat } from "../base/dtype.ts";
import { ArgumentError, FormatError } from "../base/errors.ts";
import { cat, select, slice, unsqueeze } from "../ops/shape.ts";
import type { Recurrence } from "../recurrence/recurrence.ts";
import { mapState, restoreState, type State, stateTensors } from "../recurrence/state.ts";
import { zeros } from "../tensor/create.ts";
import { copyOf } from "../tensor/strided.ts";
import { keep, type Tensor, tensor } from "../tensor/tensor.ts";
import type { TakenStep } from "./algorithm.ts";
import { sumOf } from "./sequences.ts";
import { StepLearner } from "./step-learner.ts";

/** The outcome of a step: gradients of all parameters that fall due, and what is carried on. */
export interface Advanced<M> {
  readonly gradients: readonly (Tensor | null)[];
  readonly memory: M;
}

/** A learner that stores errors and learns from them later. */
export abstract class LateLearner<S extends State, M extends { readonly state: S }> extends StepLearner<S, M> {
  /** @param dy ∂E_t/∂y_t; null without an error */
  protected abstract advance(x: Tensor, next: S, dy: Tensor | null): Advanced<M>;

  take(x: Tensor): TakenStep<S> {
    this.checkInput(x);
    const [y, next] = this.withoutDraws(() => noGrad(() => this.recurrence.step(x.detach(), this.memory.state)));
    // By name, since a step may list its tensors in another order.
    const after = mapState((_, t) => t.detach(), this.memory.state, next);
    let error: Tensor | null = null;
    let advanced: Advanced<M> | null = null;
    const advance = (): Advanced<M> => {
      advanced ??= noGrad(() => this.advance(x.detach(), after, error));
      return advanced;
    };
    return {
      y: y.detach(),
      next: after,
      pull: (dy, dNext = []) => {
        if (dNext.some((d) => d !== null))
          throw new ArgumentError(`${this.name}: expected an error of the output, got one of the state after a step`);
        if (dy !== null) this.checkError(dy);
        error = sumOf(error, dy);
        return this.recurrence.parameters().map(() => null);
      },
      late: () => advance().gradients,
      settle: () => {
        // By name, so that what is carried keeps its order, which its bytes depend on.
        const memory = mapState((_, t) => copyOf(t as Tensor), this.memory as State, advance().memory as State) as unknown as M;
        return () => {
          this.move(mapState(keep, memory as State) as unknown as M);
        };
      },
    };
  }
}

/** A window of steps, whose newest errors are swept back. */
export interface LearnedWindow<S extends State> {
  /** [n,B,I] */
  readonly xs: Tensor;
  /** The state before them. */
  readonly start: S;
  /** ∂E/∂ of the outputs of the last f steps [f,B,O]. */
  readonly dys: Tensor;
}

/** The result of a window's sweep: gradients of the trained parameters and of the state before it; null if there are none. */
export interface Swept<G extends State> {
  readonly parameters: readonly (Tensor | null)[];
  readonly state: readonly (Tensor | null)[];
  readonly carried: G;
}

/** An algorithm with windows: every h′ steps, it sweeps the errors of these steps back through the last h. */
export interface WindowRule<S extends State, G extends State = State> {
  readonly h: number;
  readonly hPrime: number;
  /** Whether a window starts at the end of the last one instead of h steps back. */
  readonly isBlock?: boolean;
  /** The initial value of what is carried from window to window beside the state. */
  first(): G;
  sweep(window: LearnedWindow<S>, carried: G): Swept<G>;
}

type WindowMemory<S extends State, G extends State> = {
  readonly state: S;
  /** Number of kept steps, number of waiting errors, and whether the first of these steps started from the recurrence's initial state: [3]. */
  readonly counts: Tensor;
  /** The kept steps, oldest first: inputs [h,B,I], and the tensors of the states before them [h,…]; filled up with zeros. */
  readonly xs: Tensor;
  readonly before: S;
  /** The waiting errors [h′,B,O]. */
  readonly dys: Tensor;
  readonly carried: G;
};

interface Counts {
  readonly steps: number;
  readonly errors: number;
  readonly isFirst: boolean;
}

const countsOf = ({ steps, errors, isFirst }: Counts): Tensor => tensor(Int32Array.of(steps, errors, Number(isFirst)));

function readCounts(counts: Tensor): Counts {
  const [steps, errors, isFirst] = Array.from(counts.data(), Number) as [number, number, number];
  return { steps, errors, isFirst: isFirst === 1 };
}

/** A buffer with a row written at position n. */
function placed(buffer: Tensor, n: number, row: Tensor): Tensor {
  return cat([slice(buffer, 0, 0, n), unsqueeze(row.detach(), 0), slice(buffer, 0, n + 1)], 0);
}

/** A buffer without its first row, with zeros at the end. */
function shifted(buffer: Tensor): Tensor {
  return cat([slice(buffer, 0, 1), zeros([1, ...buffer.shape.slice(1)], buffer.dtype)], 0);
}

/** The learner of an algorithm with windows. Its sweeps run steps again, from their old state but with the present weights. */
export class WindowLearner<S extends State, G extends State> extends LateLearner<S, WindowMemory<S, G>> {
  readonly #rule: WindowRule<S, G>;

  constructor(name: string, rule: WindowRule<S, G>, recurrence: Recurrence<S>, batch: number) {
    super(name, recurrence, batch);
    this.#rule = rule;
    this.reset();
  }

  protected first(state: S): WindowMemory<S, G> {
    const { recurrence, batch } = this;
    const { h, hPrime } = this.#rule;
    const { dtype } = [...stateTensors(state), ...recurrence.parameters()].find((s) => isFloat(s.dtype)) ?? { dtype: "float32" };
    return {
      state,
      counts: countsOf({ steps: 0, errors: 0, isFirst: true }),
      xs: zeros([h, batch, recurrence.inputSize], dtype),
      before: mapState((s) => zeros([h, ...s.shape], s.dtype), state),
      dys: zeros([hPrime, batch, recurrence.outputSize], dtype),
      carried: this.#rule.first(),
    };
  }

  protected override admitted({ counts }: WindowMemory<S, G>): () => void {
    const { h, hPrime } = this.#rule;
    const { steps, errors } = readCounts(counts);
    if (steps >= errors && steps <= h && errors >= 0 && errors < hPrime) return () => {};
    throw new FormatError(
      `${this.name}: expected at most ${h} steps, and of them fewer than ${hPrime} whose errors wait, got ${steps} and ${errors}`,
    );
  }

  protected advance(x: Tensor, next: S, dy: Tensor | null): Advanced<WindowMemory<S, G>> {
    const { hPrime } = this.#rule;
    const { steps, errors, isFirst } = readCounts(this.memory.counts);
    const error = dy ?? zeros(this.memory.dys.shape.slice(1), this.memory.dys.dtype);
    const { xs, before, n } = this.#withRoom(steps);
    const memory = {
      ...this.memory,
      state: next,
      xs: placed(xs, n, x),
      before: mapState((buffer, s) => placed(buffer as Tensor, n, s as Tensor), before, this.memory.state),
      dys: placed(this.memory.dys, errors, error),
      counts: countsOf({ steps: n + 1, errors: errors + 1, isFirst: isFirst && n === steps }),
    };
    if (errors + 1 < hPrime) return { gradients: [], memory };
    const { found, carried } = this.#sweep(memory);
    const dys = zeros(memory.dys.shape, memory.dys.dtype);
    return { gradients: found, memory: { ...memory, dys, carried, counts: countsOf({ ...readCounts(memory.counts), errors: 0 }) } };
  }

  override remaining(): readonly (Tensor | null)[] {
    return readCounts(this.memory.counts).errors === 0 ? [] : noGrad(() => this.#sweep(this.memory).found);
  }

  /** The buffers, with room for a step after the n that stay. */
  #withRoom(steps: number): { readonly xs: Tensor; readonly before: S; readonly n: number } {
    const { xs, before } = this.memory;
    if (steps < this.#rule.h) return { xs, before, n: steps };
    return { xs: shifted(xs), before: mapState((buffer) => shifted(buffer), before), n: steps - 1 };
  }

  #sweep(memory: WindowMemory<S, G>): { readonly found: readonly (Tensor | null)[]; readonly carried: G } {
    const { steps, errors, isFirst } = readCounts(memory.counts);
    const from = this.#rule.isBlock ? steps - errors : 0;
    const window = {
      xs: slice(memory.xs, 0, from, steps),
      start: mapState((buffer) => select(buffer, 0, from), memory.before),
      dys: slice(memory.dys, 0, 0, errors),
    };
    const { parameters, state, carried } = this.#rule.sweep(window, memory.carried);
    const atStart = isFirst && from === 0 ? this.#startGradients(state) : [];
    const byParameter = new Map(this.trained.map((p, i) => [p, sumOf(parameters[i] ?? null, atStart[i] ?? null)]));
    return { found: this.recurrence.parameters().map((p) => byParameter.get(p) ?? null), carried };
  }

  /** Gradients of the trained parameters on which a first state depends, from those of its tensors. */
  #startGradients(dState: readonly (Tensor | null)[]): readonly (Tensor | null)[] {
    const first = stateTensors(enableGrad(() => this.recurrence.initialState(this.batch)));
    const pairs = first.flatMap((s, i): [Tensor, Tensor][] => (dState[i] && (s.node !== null || s.requiresGrad) ? [[s, dState[i]]] : []));
    return gradients(
      pairs.map(([s]) => s),
      this.trained,
      pairs.map(([, d]) => d),
    );
  }
}

/** Sweeps a window with the tape, from a constant state. */
export function sweepWindow<S extends State>(
  recurrence: Recurrence<S>,
  trained: readonly Tensor[],
  { xs, start, dys }: LearnedWindow<S>,
): Pick<Swept<State>, "parameters" | "state"> {
  const held = stateTensors(start).map((s) => (isFloat(s.dtype) ? track(s.detach()) : s));
  const newest = enableGrad(() => {
    const [ys] = recurrence.scan(xs, restoreState(start, held));
    return slice(ys, 0, xs.dim(0) - dys.dim(0));
  });
  const found = gradients([newest], [...held, ...trained], [dys]);
  return { state: found.slice(0, held.length), parameters: found.slice(held.length) };
}
