/** Units with two values that turn one by one or all at once, by the sign of an energy gap or by chance. */

import type { Generator } from "../tensor/random.ts";
import type { Motion, UpdateOrder } from "./energy-model.ts";
import { exponentials, logistics, permutation, uniforms, type Variates } from "./variates.ts";

/** By which probability a unit turns: that of its two states at the temperature, or Metropolis's min(1, exp(−ΔE/T)). */
export type SpinRule = "heat-bath" | "metropolis";

export interface TurnSettings {
  readonly updates: "asynchronous" | "synchronous";
  readonly order: UpdateOrder;
  readonly temperature: number;
  readonly generator: Generator;
  /** (default "heat-bath") */
  readonly rule?: SpinRule;
  /** Units that may turn, in the order of a sequential sweep (default all). */
  readonly free?: Int32Array;
}

/**
 * A state of units with two values, the upper of which is 1. What a unit's gap is, and what follows from its turning, the model says.
 *
 * Without a temperature a unit takes the value of the lower energy, and a tie leaves it as it was. With one, it is on with the probability
 * σ(gap/T), drawn as gap > T·x with a logistic x; or it turns by Metropolis's rule, drawn as ΔE < T·x with an exponential x. So the loop has no
 * exponential in it, and its bits are the same on every host.
 */
export abstract class UnitMotion implements Motion {
  readonly state: Float64Array;
  readonly deterministic: boolean;
  readonly noisy: boolean;
  /** May be changed between steps where chance was on from the start. */
  temperature: number;
  readonly #settings: TurnSettings;
  readonly #free: Int32Array;
  readonly #noise: Variates | null;
  readonly #sites: Variates | null;

  constructor(state: Float64Array, settings: TurnSettings) {
    const { updates, order, temperature, generator, rule, free } = settings;
    this.state = state;
    this.temperature = temperature;
    this.noisy = temperature > 0;
    this.deterministic = !this.noisy && (updates === "synchronous" || order === "sequential");
    this.#settings = settings;
    this.#free = free ?? Int32Array.from(state, (_, i) => i);
    this.#noise = this.noisy ? (rule === "metropolis" ? exponentials(generator) : logistics(generator)) : null;
    this.#sites = updates === "asynchronous" && order === "random" ? uniforms(generator) : null;
  }

  abstract energy(): number;
  /** By how much the energy of unit i's upper value lies below that of its lower one, the others as they are. */
  protected abstract gap(i: number): number;
  /** Gaps of at most this are ties, which rounding made, or not enough to turn a unit that holds on to itself. */
  protected abstract tie(i: number): number;
  /** Gives unit i its other value. */
  protected abstract turn(i: number): void;

  step(): number {
    const turned = this.#settings.updates === "synchronous" ? this.#together() : this.#oneByOne();
    return turned > 0 || this.noisy ? turned : this.#turning().length;
  }

  /** All units decide on the same state, then turn. */
  #together(): number {
    const turning = this.#turning();
    for (const i of turning) this.turn(i);
    return turning.length;
  }

  #oneByOne(): number {
    const [free, sites] = [this.#free, this.#sites];
    const n = free.length;
    const { order, generator } = this.#settings;
    const shuffled = order === "permutation" ? permutation(generator, n) : null;
    let turned = 0;
    for (let k = 0; k < n; k++) {
      const i = free[sites !== null ? sites.below(n) : shuffled !== null ? (shuffled[k] as number) : k] as number;
      if (!this.#turns(i)) continue;
      this.turn(i);
      turned++;
    }
    return turned;
  }

  /** The units that would turn, were they asked now. */
  #turning(): Int32Array {
    return this.#free.filter((i) => this.#turns(i));
  }

  /** Whether unit i takes its other value. */
  #turns(i: number): boolean {
    const up = this.state[i] === 1;
    const gap = this.gap(i);
    if (this.#noise === null || this.temperature === 0) {
      const tie = this.tie(i);
      return up ? gap < -tie : gap > tie;
    }
    const x = this.temperature * this.#noise.next();
    return this.#settings.rule === "metropolis" ? (up ? gap : -gap) < x : gap > x !== up;
  }
}
