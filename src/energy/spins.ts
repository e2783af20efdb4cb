/** Units with two values under symmetric couplings: the fields they feel, and the rules by which they turn. */

import type { Generator } from "../tensor/random.ts";
import { addFields, type Couplings } from "./couplings.ts";
import type { Motion, UpdateOrder } from "./energy-model.ts";
import { exponentials, logistics, permutation, uniforms, type Variates } from "./variates.ts";

/** What a system of units with two values consists of: E = −½ sᵀJs − hᵀs. */
export interface SpinSystem {
  readonly couplings: Couplings;
  /** h [N] */
  readonly bias: Float64Array;
  /** The lower of a unit's two values; the upper one is 1. */
  readonly low: -1 | 0;
}

/** By which probability a unit turns: that of its two states at the temperature, or Metropolis's min(1, exp(−ΔE/T)). */
export type SpinRule = "heat-bath" | "metropolis";

export interface SpinSettings {
  readonly updates: "asynchronous" | "synchronous";
  readonly order: UpdateOrder;
  readonly temperature: number;
  readonly generator: Generator;
  readonly rule?: SpinRule;
}

/** Fields this near to 0, as parts of the greatest there can be, are ties: rounding made them. */
const TIE = 1e-13;
/** Steps after which fields are summed anew, against drift. */
const REFRESH = 1000;

/** E = −½ sᵀJs − hᵀs. */
export function spinEnergy(system: SpinSystem, state: Float64Array): number {
  return energyFrom(state, fieldsOf(system, state), system.bias);
}

/** l_i = Σ_j J_ij s_j + h_i. */
export function fieldsOf({ couplings, bias }: SpinSystem, state: Float64Array): Float64Array {
  const fields = bias.slice();
  addFields(couplings, state, fields);
  return fields;
}

function energyFrom(state: Float64Array, fields: Float64Array, bias: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < state.length; i++) sum += (state[i] as number) * ((fields[i] as number) + (bias[i] as number));
  return -sum / 2;
}

/**
 * Units with two values, moved step by step. Their fields are kept up to date, so that a unit that does not turn costs a comparison.
 *
 * Without a temperature a unit takes the sign of its field, and a tie leaves it as it was. With one, the unit is on with the probability
 * σ(ΔE/T): drawn as ΔE > T·x with a logistic x, which needs no exponential in the loop.
 */
export class SpinMotion implements Motion {
  readonly state: Float64Array;
  readonly deterministic: boolean;
  readonly noisy: boolean;
  /** May be changed between steps where chance is on from the start. */
  temperature: number;
  readonly #system: SpinSystem;
  readonly #settings: SpinSettings;
  readonly #fields: Float64Array;
  readonly #tie: number;
  readonly #noise: Variates | null;
  readonly #sites: Variates | null;
  #steps = 0;

  constructor(system: SpinSystem, state: Float64Array, settings: SpinSettings) {
    const { updates, order, temperature, generator, rule } = settings;
    this.#system = system;
    this.#settings = settings;
    this.state = state;
    this.temperature = temperature;
    this.noisy = temperature > 0;
    this.deterministic = !this.noisy && (updates === "synchronous" || order === "sequential");
    this.#fields = fieldsOf(system, state);
    this.#tie = TIE * (system.couplings.reach + system.bias.reduce((most, h) => Math.max(most, Math.abs(h)), 0));
    this.#noise = this.noisy ? (rule === "metropolis" ? exponentials(generator) : logistics(generator)) : null;
    this.#sites = updates === "asynchronous" && order === "random" ? uniforms(generator) : null;
  }

  energy(): number {
    return energyFrom(this.state, this.#fields, this.#system.bias);
  }

  step(): number {
    if (++this.#steps % REFRESH === 0) this.#fields.set(fieldsOf(this.#system, this.state));
    const turned = this.#settings.updates === "synchronous" ? this.#together() : this.#oneByOne();
    return turned > 0 || this.noisy ? turned : this.#restless();
  }

  /** All units decide on the same state, then turn. */
  #together(): number {
    const turning = this.#units().filter((i) => this.#turns(i));
    for (const i of turning) this.#turn(i);
    return turning.length;
  }

  #oneByOne(): number {
    const N = this.state.length;
    const { order, generator } = this.#settings;
    const sites = this.#sites;
    const shuffled = order === "permutation" ? permutation(generator, N) : null;
    let turned = 0;
    for (let k = 0; k < N; k++) {
      const i = sites !== null ? sites.below(N) : shuffled !== null ? (shuffled[k] as number) : k;
      if (!this.#turns(i)) continue;
      this.#turn(i);
      turned++;
    }
    return turned;
  }

  /** How many units would turn, were they asked. */
  #restless(): number {
    return this.#units().filter((i) => this.#turns(i)).length;
  }

  #units(): Int32Array {
    return Int32Array.from(this.state, (_, i) => i);
  }

  /** Whether unit i takes its other value. */
  #turns(i: number): boolean {
    const up = this.state[i] === 1;
    const field = this.#fields[i] as number;
    // The energy of the upper value lies below that of the lower one by this.
    const gap = field * (1 - this.#system.low);
    if (this.#noise === null || this.temperature === 0) return up ? field < -this.#tie : field > this.#tie;
    const x = this.temperature * this.#noise.next();
    if (this.#settings.rule === "metropolis") return (up ? gap : -gap) < x;
    return gap > x !== up;
  }

  #turn(i: number): void {
    const { couplings, low } = this.#system;
    const change = this.state[i] === 1 ? low - 1 : 1 - low;
    this.state[i] = this.state[i] === 1 ? low : 1;
    couplings.addColumn(i, change, this.#fields);
  }
}
