/**
 * What all energy models share: an energy, updates, and recall from a cue.
 *
 * A model makes a `Motion`: a state in a plain array, moved in place. `settle` runs it until it rests, repeats itself or runs out of steps.
 */

import { checkFlag, checkNumber, checkOneOf, checkOptions, checkWhole } from "../base/checks.ts";
import { Module } from "../nn/module.ts";
import { checkGenerator, defaultGenerator, type Generator } from "../tensor/random.ts";
import { type Tensor, tensor } from "../tensor/tensor.ts";
import { readState, sameState, stateDType, type UnitValues } from "./states.ts";

/** A state on its way. */
export interface Motion {
  /** Changed in place by `step`. */
  readonly state: Float64Array;
  /** Whether the next state depends on the present one alone. Only then does a state that comes again mean a cycle. */
  readonly deterministic: boolean;
  /** Whether chance may still move a state that did not change. */
  readonly noisy: boolean;
  /** One update of the whole net. Returns how far the state moved or, if it did not, how far it still would: 0 only at a fixed point. */
  step(): number;
  energy(): number;
}

export interface SettleOptions {
  /** Updates of the whole net at most (default 200). */
  readonly maxSteps?: number;
  /** Whether to keep the state after every step (default false). */
  readonly trace?: boolean;
  /** A step that moves the state by no more than this is rest (default 0). */
  readonly tolerance?: number;
}

/** How a motion ended. */
export interface Settled {
  readonly steps: number;
  /** Whether the state is a fixed point. */
  readonly converged: boolean;
  /** 1 for a fixed point, k for a cycle of k steps, 0 if neither was seen. */
  readonly period: number;
  /** Before the first step and after each. */
  readonly energies: readonly number[];
  /** The states that belong to them; empty without `trace`. */
  readonly states: readonly Float64Array[];
}

/** Finds when a sequence of states comes back to one of them: Brent's algorithm, which keeps a single state. */
class Cycle {
  #anchor: Float64Array;
  #age = 0;
  #limit = 1;

  constructor(start: Float64Array) {
    this.#anchor = start.slice();
  }

  /** The period, once the state is one that was there before; 0 until then. */
  see(state: Float64Array): number {
    this.#age++;
    if (sameState(state, this.#anchor)) return this.#age;
    if (this.#age === this.#limit) {
      this.#anchor.set(state);
      this.#age = 0;
      this.#limit *= 2;
    }
    return 0;
  }
}

/**
 * Moves a state until it rests or repeats itself, or `maxSteps` are done.
 * @see Brent, "An improved Monte Carlo factorization algorithm", 1980 (cycles)
 */
export function settle(motion: Motion, { maxSteps = 200, trace = false, tolerance = 0 }: SettleOptions = {}): Settled {
  const { state } = motion;
  const cycle = new Cycle(state);
  const energies = [motion.energy()];
  const states = trace ? [state.slice()] : [];
  let period = 0;
  while (period === 0 && energies.length <= maxSteps) {
    const moved = motion.step();
    energies.push(motion.energy());
    if (trace) states.push(state.slice());
    if (!motion.noisy && moved <= tolerance) period = 1;
    else if (motion.deterministic) period = cycle.see(state);
  }
  return { steps: energies.length - 1, converged: period === 1, period, energies, states };
}

/** The order in which units are updated one by one: as they stand, each once in random order, or drawn at random each time. */
export type UpdateOrder = "sequential" | "permutation" | "random";

export interface RecallOptions {
  /** One unit after the other, or all at once from the same state (default "asynchronous"). */
  readonly updates?: "asynchronous" | "synchronous";
  /** The order of asynchronous updates (default "permutation"). */
  readonly order?: UpdateOrder;
  /** 0 (default) is the rule without chance; above it units turn with the probabilities of that temperature. */
  readonly temperature?: number;
  /** Updates of the whole net at most (default 200). */
  readonly maxSteps?: number;
  /** Whether to keep the state after every step (default false). */
  readonly trace?: boolean;
  /** Draws order and chance (default the default generator). */
  readonly generator?: Generator;
}

/** What a cue led to. */
export interface Recall {
  /** The last state [N], of the cue's dtype. */
  readonly state: Tensor;
  /** Updates of the whole net that were made. */
  readonly steps: number;
  /** Whether the state is a fixed point. */
  readonly converged: boolean;
  /** 1 for a fixed point, k for a cycle of k steps, 0 if neither was seen within `maxSteps` or chance goes on. */
  readonly period: number;
  /** Before the first step and after each. */
  readonly energies: readonly number[];
  /** The states that belong to them [steps + 1, N]; null without `trace`. */
  readonly states: Tensor | null;
}

/** The options of a recall, all given. */
export type RecallSettings = Required<RecallOptions>;

/** Checks options and fills in defaults. @throws DTypeError, ArgumentError */
export function recallSettings(op: string, options: RecallOptions): RecallSettings {
  checkOptions(op, options, ["updates", "order", "temperature", "maxSteps", "trace", "generator"]);
  const { updates = "asynchronous", order = "permutation", temperature = 0, maxSteps = 200, trace = false, generator } = options;
  checkOneOf(op, "updates", updates, ["asynchronous", "synchronous"]);
  checkOneOf(op, "order", order, ["sequential", "permutation", "random"]);
  checkNumber(op, "temperature", temperature, { least: 0 });
  checkWhole(op, "maxSteps", maxSteps);
  checkFlag(op, "trace", trace);
  checkGenerator(op, generator);
  return { updates, order, temperature, maxSteps, trace, generator: generator ?? defaultGenerator() };
}

/** What `recall` gives: a motion that has been settled, as tensors like the cue. */
export function recallOf(cue: Tensor, values: UnitValues, motion: Motion, options: SettleOptions): Recall {
  const { states, ...settled } = settle(motion, options);
  const dtype = stateDType(cue, values);
  return { ...settled, state: tensor(motion.state, { dtype }), states: states.length === 0 ? null : tensor([...states], { dtype }) };
}

/**
 * A network with an energy, whose states are tensors [N].
 *
 * A model of one's own says how many units it has, what they can be, its energy, and how a state moves; `recall` does the rest.
 */
export abstract class EnergyModel extends Module {
  /** Units in a state. */
  abstract readonly size: number;
  /** What units can be. */
  protected abstract readonly values: UnitValues;
  /** The energy of a state in a plain array. */
  protected abstract energyOf(state: Float64Array): number;
  /** The motion from a state, which is the motion's own from then on. */
  protected abstract motion(state: Float64Array, settings: RecallSettings): Motion;

  /**
   * The energy of a state.
   * @throws DTypeError for what is no tensor; ShapeError unless it is [N]; ArgumentError for values that units cannot have
   */
  energy(state: Tensor): number {
    return this.energyOf(readState("energy", "the state", state, this.size, this.values));
  }

  /**
   * Moves from a cue until the state rests, repeats itself, or `maxSteps` are done.
   * @throws DTypeError for what is no tensor; ShapeError unless it is [N]; ArgumentError for values that units cannot have, and for
   *   options out of their range
   */
  recall(cue: Tensor, options: RecallOptions = {}): Recall {
    const settings = recallSettings("recall", options);
    const start = readState("recall", "the cue", cue, this.size, this.values);
    return recallOf(cue, this.values, this.motion(start, settings), settings);
  }
}
