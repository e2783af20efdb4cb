/** Truncated backpropagation through time, as a rule for the derivative of a scan. */

import { addInPlace } from "../autodiff/accumulate.ts";
import { track } from "../autodiff/alias.ts";
import { gradients } from "../autodiff/sweep.ts";
import { enableGrad } from "../autodiff/tape.ts";
import { checkSizes, optionsOf } from "../base/checks.ts";
import { isFloat } from "../base/dtype.ts";
import { ArgumentError } from "../base/errors.ts";
import { quote } from "../base/quote.ts";
import type { Parameter } from "../nn/module.ts";
import { pad, slice } from "../ops/shape.ts";
import type { Recurrence } from "../recurrence/recurrence.ts";
import { mapState, restoreState, type State, stateTensors } from "../recurrence/state.ts";
import { copyOf } from "../tensor/strided.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { overWindows, type Window } from "../wrappers/truncated.ts";
import { type GradientAlgorithm, refuseOtherScans, type ScanCotangents, type ScanGradients, scanByRule, trainedOf } from "./algorithm.ts";
import { checkSameOutputs } from "./influence.ts";
import { type LearnedWindow, sweepWindow, WindowLearner } from "./late-learner.ts";
import { overSequences } from "./sequences.ts";

/** How far, and how often, truncated backpropagation goes back. */
export interface TruncatedSteps {
  /** Number of steps that errors go back, and steps from one sweep to the next: [h, h′] with h ≥ h′. */
  readonly steps: readonly [h: number, hPrime: number];
}

/**
 * BPTT(h; h′): after every h′ steps, sweeps the errors of these steps back through the last h steps.
 *
 *   Σ_e ∂E(y_e₋ₕ′₊₁ … y_e)/∂θ with the state before step e − h + 1 constant        e = h′, 2h′, …, T
 *
 * An error of age a goes back h − a steps. h ≥ T gives the full gradient; [h, h] cuts a sequence into pieces, like `DetachEvery`; [h, 1] treats all
 * errors alike. O(P·(1 + h/h′)) operations per step; the tape holds h steps, whatever T. Biased if dependencies are longer
 * than h. `truncatedBptt` is the same with weights that may change after every window.
 *
 * Sample by sample (`online`), errors wait for their window, at most h′ − 1 steps. It keeps h inputs and states and h′ errors, and during a sweep the
 * tape of h steps, which run again with the present weights.
 * @throws ArgumentError unless h and h′ are whole and 1 ≤ h′ ≤ h, and for recurrences whose scan is not a sequence of steps in time; StateError for
 *   ones that draw random numbers, since steps run again
 * @see Williams and Peng, "An efficient gradient-based algorithm for on-line training of recurrent network trajectories", Neural Computation 2, 1990
 * @example fit(model, batches, { gradients: truncated({ steps: [16, 8] }), … })
 */
export function truncated(options: TruncatedSteps): GradientAlgorithm {
  const { steps } = optionsOf("truncated", options, ["steps"]);
  if (!Array.isArray(steps) || steps.length !== 2) throw new ArgumentError(`truncated: expected steps [h, hPrime], got ${quote(steps)}`);
  const [h, hPrime] = steps as unknown as readonly [number, number];
  checkSizes("truncated", { h, hPrime });
  if (h < hPrime) throw new ArgumentError(`truncated: expected h to be at least hPrime, got ${h} and ${hPrime}`);
  const name = `truncated(${h}, ${hPrime})`;
  const rule = overSequences<State>((r, p, like, cotangents) => new Windows(name, r, p, like, cotangents).sweep(h, hPrime));
  return {
    name,
    scan(recurrence, xs, state, options) {
      refuseOtherScans(name, recurrence);
      return scanByRule(name, rule as never, recurrence, xs, state, options);
    },
    begin<S extends State>(recurrence: Recurrence<S>, batch = 1) {
      refuseOtherScans(name, recurrence);
      const trained = trainedOf(recurrence.parameters());
      const sweep = (window: LearnedWindow<S>) => ({ ...sweepWindow(recurrence, trained, window), carried: [] });
      return new WindowLearner<S, readonly State[]>(name, { h, hPrime, first: () => [], sweep }, recurrence, batch);
    },
  };
}

/** The windows of one scan. */
class Windows {
  readonly #name: string;
  readonly #recurrence: Recurrence;
  readonly #parameters: readonly Parameter[];
  readonly #start: State;
  readonly #scan: ScanCotangents;

  constructor(name: string, recurrence: Recurrence, parameters: readonly Parameter[], like: State, scan: ScanCotangents) {
    this.#name = name;
    this.#recurrence = recurrence;
    this.#parameters = parameters;
    this.#start = restoreState(like, scan.state);
    this.#scan = scan;
  }

  sweep(h: number, hPrime: number): ScanGradients {
    const { xs, state } = this.#scan;
    let total: (Tensor | null)[] | null = null;
    const add = (_end: number, found: (Tensor | null)[]): void => {
      total = total === null ? found : total.map((sum, i) => summed(sum, found[i] ?? null));
    };
    const options = { k1: hPrime, k2: h, state: this.#start, after: add };
    overWindows(this.#name, this.#recurrence, xs, options, (window, piece, before) => this.#window(window, piece, before as State));
    const [dxs = null, ...rest] = total ?? [];
    return { xs: dxs, state: rest.slice(0, state.length), parameters: rest.slice(state.length) };
  }

  /** Gradients with respect to inputs, first state and parameters, from the errors of a window's newest steps. */
  #window({ start, from, end }: Window, piece: Tensor, before: State): { readonly next: State; readonly value: (Tensor | null)[] } {
    const { xs, ys, dys, dLast, wantsInputs } = this.#scan;
    const T = xs.dim(0);
    const x = wantsInputs ? track(piece.detach()) : piece.detach();
    const held = mapState((s) => (isFloat(s.dtype) ? track(s.detach()) : s), before);
    const { newest, next } = enableGrad(() => {
      const [all, after] = this.#recurrence.scan(x, held);
      return { newest: slice(all, 0, from - start), next: after };
    });
    checkSameOutputs(this.#name, newest, slice(ys, 0, from, end));
    const ends = end === T ? stateTensors(mapState((_, t) => t as Tensor, before, next)) : [];
    const pairs = [newest, ...ends].flatMap((y, i): [Tensor, Tensor][] => {
      const d = i === 0 ? dys && slice(dys, 0, from, end) : (dLast[i - 1] ?? null);
      return d === null || !isFloat(y.dtype) ? [] : [[y, d]];
    });
    const carry = stateTensors(held);
    const [dx = null, ...found] = gradients(
      pairs.map(([y]) => y),
      [x, ...carry, ...this.#parameters],
      pairs.map(([, d]) => d),
    );
    // Later windows start from constant states.
    const dState = found.slice(0, carry.length).map((g) => (start === 0 ? g : null));
    const dxs = wantsInputs && dx !== null ? pad(dx, [[start, T - end], ...dx.shape.slice(1).map((): [number, number] => [0, 0])]) : null;
    return { next, value: [dxs, ...dState, ...found.slice(carry.length)].map((g) => g && copyOf(g)) };
  }
}

/** Adds b to a, and returns the sum in place of a. */
function summed(a: Tensor | null, b: Tensor | null): Tensor | null {
  if (a === null || b === null) return a ?? b;
  addInPlace(a, b);
  b.dispose();
  return a;
}
