/** All states of a small system: energies, ground states, probabilities, exactly. */

import { noGrad } from "../autodiff/tape.ts";
import { checkNumber, checkWhole } from "../base/checks.ts";
import { ArgumentError } from "../base/errors.ts";
import { logSumExp } from "../ops/reduce.ts";
import { softmax } from "../ops/softmax.ts";
import { scope, type Tensor, tensor } from "../tensor/tensor.ts";
import { fieldsOf, type SpinSystem, spinEnergy } from "./spins.ts";

/** More units than this have too many states. */
const MOST_UNITS = 24;

/** As a part of the largest energy. */
const TIE = 1e-12;

/** The energies of all 2^N states. In the number of a state, bit i is 1 where unit i has its upper value. */
export class Enumeration {
  /** By the state's number [2^N]. */
  readonly energies: Float64Array;
  readonly size: number;
  readonly #low: -1 | 0;
  /** Energies no further apart are the same: what adding up rounds off. */
  readonly #tie: number;

  /** @throws ArgumentError for more than 24 units */
  constructor(system: SpinSystem) {
    const N = system.couplings.size;
    if (N > MOST_UNITS) throw new ArgumentError(`enumerate: expected at most ${MOST_UNITS} units, got ${N}`);
    this.size = N;
    this.#low = system.low;
    this.energies = allEnergies(system);
    this.#tie = TIE * this.energies.reduce((most, E) => Math.max(most, Math.abs(E)), 0);
  }

  /** The state of a number [N], float64. @throws ArgumentError */
  state(number: number): Tensor {
    checkWhole("state", "number", number, { least: 0, below: this.energies.length });
    return tensor(Float64Array.from({ length: this.size }, (_, i) => ((number >> i) & 1 ? 1 : this.#low)));
  }

  /** The number of a state with the least energy, the first of them. */
  get ground(): number {
    return this.energies.reduce((best, E, code) => (E < (this.energies[best] as number) - this.#tie ? code : best), 0);
  }

  /** The numbers of all states in which no single unit can turn and lower the energy. */
  get minima(): Int32Array {
    const { energies, size } = this;
    const stable = (code: number): boolean => {
      const least = (energies[code] as number) - this.#tie;
      for (let i = 0; i < size; i++) if ((energies[code ^ (1 << i)] as number) < least) return false;
      return true;
    };
    return Int32Array.from(energies, (_, code) => code).filter(stable);
  }

  /** log Z with Z = Σ exp(−E/T). @throws ArgumentError unless T > 0 */
  logPartition(temperature: number): number {
    checkNumber("logPartition", "temperature", temperature, { above: 0 });
    return scope(() => noGrad(() => logSumExp(this.#exponents(temperature)).item())) - this.#least / temperature;
  }

  /** exp(−E/T) / Z of every state [2^N]. @throws ArgumentError unless T > 0 */
  probabilities(temperature: number): Float64Array {
    checkNumber("probabilities", "temperature", temperature, { above: 0 });
    return scope(() => noGrad(() => softmax(this.#exponents(temperature)).data())) as Float64Array;
  }

  /** E₀ */
  get #least(): number {
    return this.energies[this.ground] as number;
  }

  /** −(E − E₀)/T, which is at most 0 but for rounding. */
  #exponents(temperature: number): Tensor {
    const least = this.#least;
    return tensor(this.energies.map((E) => (least - E) / temperature));
  }
}

/** Each state by one turn from another (Gray code), of which the fields tell the energy. */
function allEnergies(system: SpinSystem): Float64Array {
  const { couplings, low } = system;
  const height = 1 - low;
  const state = new Float64Array(couplings.size).fill(low);
  const fields = fieldsOf(system, state);
  const energies = new Float64Array(2 ** couplings.size);
  let [E, code] = [spinEnergy(system, state), 0];
  energies[0] = E;
  for (let k = 1; k < energies.length; k++) {
    const i = 31 - Math.clz32(k & -k);
    const change = state[i] === 1 ? -height : height;
    E -= change * (fields[i] as number);
    state[i] = (state[i] as number) + change;
    couplings.addColumn(i, change, fields);
    code ^= 1 << i;
    energies[code] = E;
  }
  return energies;
}
