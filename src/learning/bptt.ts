/** Backpropagation through time within a memory budget. */

import { track } from "../autodiff/alias.ts";
import { gradients } from "../autodiff/sweep.ts";
import { enableGrad, noGrad } from "../autodiff/tape.ts";
import { checkNumber, optionsOf } from "../base/checks.ts";
import { BYTES, isFloat } from "../base/dtype.ts";
import { ArgumentError } from "../base/errors.ts";
import type { Parameter } from "../nn/module.ts";
import { cat, slice } from "../ops/shape.ts";
import { type Recurrence, type ScanOptions, scanSteps, startOf } from "../recurrence/recurrence.ts";
import { detachState, mapState, restoreState, type State, stateTensors } from "../recurrence/state.ts";
import { zeros } from "../tensor/create.ts";
import { dryRun } from "../tensor/dry-run.ts";
import { type Generator, type GeneratorState, watchGenerators } from "../tensor/random.ts";
import { copyInto, copyOf } from "../tensor/strided.ts";
import { scope, type Tensor } from "../tensor/tensor.ts";
import { type GradientAlgorithm, refuseOtherScans, type ScanCotangents, type ScanGradients, scanByRule } from "./algorithm.ts";
import { bestSchedule, firstPass, type Schedule, sweepUnits } from "./checkpointing.ts";

export interface BpttOptions {
  /**
   * Bytes for kept states and for the tape, in addition to inputs, outputs and gradients of the scan. The schedule with the fewest
   * repeated steps that fits is used (binomial checkpointing). "sqrt" keeps the state before every ⌈√T⌉ steps and runs every step twice.
   */
  readonly memory?: number | "sqrt";
}

/**
 * Backpropagation through time: the default of every scan, or with `memory` the same in less memory.
 *
 *   λ_{t−1} = ∂E_{t−1}/∂s_{t−1} + J_tᵀλ_t        ∂E/∂θ = Σ_t I_tᵀλ_t
 *
 * Without `memory`: O(P) operations per step, and all values of all T steps are kept. With `memory`, only some states are kept, and the
 * steps between run again, one by one, when the sweep gets there. "sqrt" takes O(√T) states and one more run; a number takes as
 * many runs as the budget requires, down to the tape of a single step. Random numbers repeat. Values are those of `scanSteps`, and so are
 * the gradients of parameters, inputs and first states: to the bit if a step reads each tensor of its state once. Otherwise sums at the border
 * of two units are added in another order. Kernels for whole sequences have their own orders of summation.
 * @param options memory: at least what one step needs, which the error names
 * @see Werbos, "Backpropagation through time: what it does and how to do it", 1990; Griewank, "Achieving logarithmic growth of temporal and spatial
 * complexity in reverse automatic differentiation", 1992; Gruslys et al., "Memory-efficient backpropagation through time", 2016
 * Deviates from Gruslys et al.: a binomial schedule over units of several steps instead of their dynamic programme over steps; it needs nearly as few runs.
 * @throws ArgumentError for too little memory, and for recurrences whose scan is not a sequence of steps in time (bidirectional, cuts)
 * @example fit(model, batches, { gradients: bptt({ memory: 2 ** 20 }), … })
 */
export function bptt(options: BpttOptions = {}): GradientAlgorithm {
  const { memory } = optionsOf("bptt", options, ["memory"]);
  const known = { name: "bptt", coversSteps: true };
  if (memory === undefined) return { ...known, scan: (recurrence, xs, state, options) => recurrence.scan(xs, state, options) };
  if (memory !== "sqrt") checkNumber("bptt", "memory", memory, { above: 0 });
  return {
    ...known,
    scan(recurrence, xs, state, options = {}) {
      refuseOtherScans("bptt", recurrence);
      const start = startOf(recurrence, xs, state);
      const run = new Checkpointed(recurrence as unknown as Recurrence, xs, start, options, memory);
      const rule = (_r: unknown, parameters: readonly Parameter[], _like: unknown, cotangents: ScanCotangents) =>
        run.sweep(parameters, cotangents);
      return scanByRule("bptt", rule as never, recurrence, xs, start, options, ((x: Tensor, s: State) => run.forward(x, s)) as never);
    },
  };
}

type Draws = ReadonlyMap<Generator, GeneratorState>;

function setPlaces(places: Draws): void {
  for (const [g, state] of places) g.state = state;
}

function disposeAll(state: State): void {
  for (const t of stateTensors(state)) t.dispose();
}

/** Bytes of a block of memory. */
function blockOf(bytes: number): number {
  return 64 * Math.ceil(bytes / 64);
}

/** A unit on a tape. */
interface Taped {
  readonly xs: Tensor;
  readonly before: readonly Tensor[];
  readonly ys: Tensor;
  readonly after: readonly Tensor[];
}

interface Pulled {
  readonly dxs: Tensor | null;
  readonly dBefore: readonly (Tensor | null)[];
  /** Gradients of the parameters so far; null for those not reached. */
  readonly totals: readonly (Tensor | null)[];
}

/** A scan in units of several steps. */
class Checkpointed {
  readonly #recurrence: Recurrence;
  readonly #options: ScanOptions;
  /** A state of the recurrence's structure. */
  readonly #like: State;
  readonly #wantsInputs: boolean;
  readonly #T: number;
  readonly #schedule: Schedule;
  /** States that the first pass kept, by the unit that follows them. */
  readonly #held = new Map<number, State>();
  /** The generators that each unit draws from, with their states before it. */
  readonly #draws: Draws[] = [];

  constructor(recurrence: Recurrence, xs: Tensor, start: State, options: ScanOptions, memory: number | "sqrt") {
    this.#recurrence = recurrence;
    this.#options = options;
    this.#like = start;
    this.#wantsInputs = xs.node !== null || xs.requiresGrad;
    this.#T = xs.dim(0);
    this.#schedule = memory === "sqrt" ? this.#squareRoot() : this.#within(memory, xs, start);
  }

  get #units(): number {
    return Math.ceil(this.#T / this.#schedule.steps);
  }

  #squareRoot(): Schedule {
    const steps = Math.max(1, Math.ceil(Math.sqrt(this.#T)));
    return { steps, kept: Math.max(0, Math.ceil(this.#T / steps) - 1) };
  }

  #within(memory: number, xs: Tensor, start: State): Schedule {
    const stateBytes = stateTensors(start).reduce((n, s) => n + blockOf(s.size * BYTES[s.dtype]), 0);
    const known = new Map<number, number>();
    const measured = (steps: number): number => {
      if (!known.has(steps)) known.set(steps, this.#tapeBytes(steps, xs, start));
      return known.get(steps) as number;
    };
    const most = Math.min(this.#T, 3);
    // Short units are measured and longer ones extrapolated; the chosen one is measured itself.
    const slope = most > 1 ? Math.max(0, measured(most) - measured(most - 1)) : 0;
    const guess = (steps: number): number => known.get(steps) ?? measured(most) + slope * (steps - most);
    for (;;) {
      const found = bestSchedule(this.#T, memory, stateBytes, (steps) => (steps <= most ? measured(steps) : guess(steps)));
      if (found === null) {
        throw new ArgumentError(
          `bptt: expected a memory of at least ${measured(1) + stateBytes} bytes for a step of this scan, got ${memory}`,
        );
      }
      if (known.has(found.steps)) return found;
      measured(found.steps);
    }
  }

  /** Bytes of a unit's tape and sweep, with all gradients wanted. */
  #tapeBytes(steps: number, xs: Tensor, start: State): number {
    const parameters = this.#recurrence.parameters().filter((p) => p.requiresGrad);
    return scope(() => {
      const totals = parameters.map((p) => zeros(p.shape, p.dtype));
      const piece = slice(xs, 0, 0, steps).detach();
      const begin = mapState((s) => s.detach(), start);
      const lengths = this.#options.lengths?.map((n) => Math.min(n, steps));
      const options = { ...this.#options, ...(lengths && { lengths }) };
      const { peakBytes } = dryRun(() => {
        const unit = this.#onTape(piece, begin, options);
        const dAfter = unit.after.map((s) => zeros(s.shape, s.dtype));
        this.#pull(unit, parameters, totals, zeros(unit.ys.shape, unit.ys.dtype), dAfter);
      });
      return peakBytes;
    });
  }

  /** Computes the values, unit by unit, and keeps the states with which the sweep begins. */
  forward(xs: Tensor, start: State): [ys: Tensor, last: State] {
    const keepAt = new Set(firstPass(this.#units, this.#schedule.kept));
    const pieces: Tensor[] = [];
    let state = start;
    for (let unit = 0; unit < this.#units; unit++) {
      if (keepAt.has(unit)) this.#held.set(unit, detachState(state));
      const draws = new Map<Generator, GeneratorState>();
      const [ys, next] = watchGenerators(draws, () => scope(() => this.#run(xs, state, unit)));
      this.#draws[unit] = draws;
      if (state !== start) disposeAll(state);
      pieces.push(ys);
      state = next;
    }
    const ys = cat(this.#options.reverse ? pieces.reverse() : pieces, 0);
    for (const piece of pieces) piece.dispose();
    return [ys, state];
  }

  /** Runs a unit without a tape. */
  #run(xs: Tensor, state: State, unit: number): [ys: Tensor, next: State] {
    return noGrad(() => {
      const [ys, next] = scanSteps(this.#recurrence, this.#piece(xs, unit), state, this.#optionsOf(unit));
      return [ys, detachState(next)];
    });
  }

  /** The steps of a unit, in order of time. */
  #range(unit: number): [from: number, to: number] {
    const [first, end] = [unit * this.#schedule.steps, Math.min((unit + 1) * this.#schedule.steps, this.#T)];
    return this.#options.reverse ? [this.#T - end, this.#T - first] : [first, end];
  }

  #piece(x: Tensor, unit: number): Tensor {
    return slice(x, 0, ...this.#range(unit));
  }

  #optionsOf(unit: number): ScanOptions {
    const [from, to] = this.#range(unit);
    const { lengths } = this.#options;
    return { ...this.#options, ...(lengths && { lengths: lengths.map((n) => Math.min(Math.max(n - from, 0), to - from)) }) };
  }

  /** Runs a unit on a tape of its own. */
  #onTape(piece: Tensor, state: State, options: ScanOptions): Taped {
    const xs = this.#wantsInputs ? track(piece.detach()) : piece.detach();
    const before = mapState((s) => (isFloat(s.dtype) ? track(s.detach()) : s), state);
    const [ys, next] = enableGrad(() => scanSteps(this.#recurrence, xs, before, options));
    return { xs, before: stateTensors(before), ys, after: stateTensors(next) };
  }

  /** Sweeps a unit; adds to the parameters' gradients in the order of one sweep over everything. */
  #pull(
    { xs, before, ys, after }: Taped,
    parameters: readonly Parameter[],
    totals: readonly (Tensor | null)[],
    dys: Tensor | null,
    dAfter: readonly (Tensor | null)[],
  ): Pulled {
    const pairs: [Tensor, Tensor][] = [];
    [ys, ...after].forEach((y, i) => {
      const d = i === 0 ? dys : (dAfter[i - 1] ?? null);
      if (d !== null && isFloat(y.dtype)) pairs.push([y, d]);
    });
    const accumulators = new Map<Tensor, Tensor>();
    parameters.forEach((p, i) => {
      const total = totals[i];
      if (total) accumulators.set(p, total);
    });
    const [dxs = null, ...rest] = gradients(
      pairs.map(([y]) => y),
      [xs, ...before, ...parameters],
      pairs.map(([, d]) => d),
      { accumulators },
    );
    return { dxs: this.#wantsInputs ? dxs : null, dBefore: rest.slice(0, before.length), totals: rest.slice(before.length) };
  }

  /** Computes the gradients, from the last unit to the first. */
  sweep(parameters: readonly Parameter[], { xs, state, dys, dLast }: ScanCotangents): ScanGradients {
    const dxs = this.#wantsInputs ? zeros(xs.shape, xs.dtype) : null;
    let carried: readonly (Tensor | null)[] = dLast;
    let totals: readonly (Tensor | null)[] = parameters.map(() => null);
    const sweepUnit = (from: State, unit: number): void => {
      const before = carried;
      const pulled = scope(() => {
        setPlaces(this.#draws[unit] as Draws);
        const taped = this.#onTape(this.#piece(xs, unit), from, this.#optionsOf(unit));
        const found = this.#pull(taped, parameters, totals, dys && this.#piece(dys, unit), before);
        if (found.dxs !== null && dxs !== null) copyInto(this.#piece(dxs, unit), found.dxs);
        return {
          carried: found.dBefore.map((g) => g && copyOf(g)),
          totals: found.totals.map((g, i) => (g === null || g === totals[i] ? g : copyOf(g))),
        };
      });
      if (before !== dLast) for (const g of before) g?.dispose();
      ({ carried, totals } = pulled);
    };
    const units = {
      advance: (from: State, first: number, end: number): State => this.#advance(xs, from, first, end),
      sweep: sweepUnit,
      drop: disposeAll,
    };
    const now = new Map<Generator, GeneratorState>();
    const start = restoreState(this.#like, state);
    watchGenerators(now, () => sweepUnits(units, start, 0, this.#units, this.#schedule.kept, this.#held));
    setPlaces(now);
    return { xs: dxs, state: carried, parameters: totals };
  }

  #advance(xs: Tensor, state: State, first: number, end: number): State {
    let now = state;
    for (let unit = first; unit < end; unit++) {
      setPlaces(this.#draws[unit] as Draws);
      const next = scope(() => this.#run(xs, now, unit)[1]);
      if (now !== state) disposeAll(now);
      now = next;
    }
    return now;
  }
}
