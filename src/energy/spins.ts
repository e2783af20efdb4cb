/** Units with two values under symmetric couplings: their energy, and the fields by which they turn. */

import { addFields, type Couplings } from "./couplings.ts";
import { type TurnSettings, UnitMotion } from "./unit-motion.ts";

/** What a system of units with two values consists of: E = −½ sᵀJs − hᵀs. */
export interface SpinSystem {
  readonly couplings: Couplings;
  /** h [N] */
  readonly bias: Float64Array;
  /** The lower of a unit's two values; the upper one is 1. */
  readonly low: -1 | 0;
  /**
   * J_ii [N], for units of ±1 that see themselves (default 0). E has −½ Σ J_ii of them, whatever the state, so without chance alone they make a difference:
   * a unit turns only against |l_i| > J_ii.
   */
  readonly own?: Float64Array;
}

/** Fields this near to 0, as parts of the greatest there can be, are ties. */
const TIE = 1e-13;
/** Steps after which fields are summed anew, against drift. */
const REFRESH = 1000;

/** E = −½ sᵀJs − hᵀs. */
export function spinEnergy(system: SpinSystem, state: Float64Array): number {
  return energyFrom(state, fieldsOf(system, state), system);
}

/** l_i = Σ_j J_ij s_j + h_i. */
export function fieldsOf({ couplings, bias }: SpinSystem, state: Float64Array): Float64Array {
  const fields = bias.slice();
  addFields(couplings, state, fields);
  return fields;
}

function energyFrom(state: Float64Array, fields: Float64Array, { bias, own }: SpinSystem): number {
  let sum = own === undefined ? 0 : own.reduce((all, J) => all + J, 0);
  for (let i = 0; i < state.length; i++) sum += (state[i] as number) * ((fields[i] as number) + (bias[i] as number));
  return -sum / 2;
}

/** A spin system on its way. Its fields are kept up to date, so that a unit that does not turn costs a comparison. */
export class SpinMotion extends UnitMotion {
  readonly #system: SpinSystem;
  readonly #fields: Float64Array;
  /** From the lower value to the upper one. */
  readonly #height: number;
  readonly #tie: number;
  #steps = 0;

  constructor(system: SpinSystem, state: Float64Array, settings: TurnSettings) {
    super(state, settings);
    this.#system = system;
    this.#height = 1 - system.low;
    this.#fields = fieldsOf(system, state);
    this.#tie = TIE * this.#height * (system.couplings.reach + system.bias.reduce((most, h) => Math.max(most, Math.abs(h)), 0));
  }

  override step(): number {
    if (++this.#steps % REFRESH === 0) this.#fields.set(fieldsOf(this.#system, this.state));
    return super.step();
  }

  override energy(): number {
    return energyFrom(this.state, this.#fields, this.#system);
  }

  protected override gap(i: number): number {
    return this.#height * (this.#fields[i] as number);
  }

  protected override tie(i: number): number {
    const { own } = this.#system;
    return own === undefined ? this.#tie : this.#tie + this.#height * (own[i] as number);
  }

  protected override turn(i: number): void {
    const up = this.state[i] === 1;
    this.state[i] = up ? this.#system.low : 1;
    this.#system.couplings.addColumn(i, up ? -this.#height : this.#height, this.#fields);
  }
}
