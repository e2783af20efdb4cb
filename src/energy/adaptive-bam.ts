/** Kosko's adaptive bidirectional associative memory: two fields of graded units whose weights learn while they resonate. */

import { noGrad } from "../autodiff/tape.ts";
import { mul } from "../ops/arithmetic.ts";
import { tanh } from "../ops/math.ts";
import { scope, tensor } from "../tensor/tensor.ts";
import { charging } from "./continuous-hopfield.ts";
import type { Motion } from "./energy-model.ts";
import { dot } from "./states.ts";

/** What an adaptive memory consists of, but for its state. */
export interface AdaptiveFields {
  /** Units of A and of B. */
  readonly sizes: readonly [n: number, p: number];
  /** I and J, one after the other [n + p]. */
  readonly input: Float64Array;
  /** λ of S(x) = tanh(λx). */
  readonly gain: number;
  /** ε */
  readonly rate: number;
  /** Time of a step. */
  readonly stepSize: number;
}

/**
 * Potentials [a, b] and weights M [n,p] on their way, by Euler's method:
 *
 *     da_i/dt = −a_i + Σ_j M_ij S(b_j) + I_i        db_j/dt = −b_j + Σ_i M_ij S(a_i) + J_j        dM_ij/dt = ε (−M_ij + S(a_i) S(b_j))
 *     E = −S(a) M S(b)ᵀ + ½ Σ M_ij² − I S(a)ᵀ − J S(b)ᵀ + Σ_i (1/λ) ∫₀^{S_i} artanh
 */
export class AdaptiveMotion implements Motion {
  readonly state: Float64Array;
  readonly weight: Float64Array;
  readonly deterministic = true;
  readonly noisy = false;
  readonly #fields: AdaptiveFields;
  readonly #resistance: Float64Array;
  /** S of all potentials, and what the other field makes of it, inputs included. */
  #signals: Float64Array = new Float64Array(0);
  #currents: Float64Array = new Float64Array(0);

  constructor(fields: AdaptiveFields, state: Float64Array, weight: Float64Array) {
    this.#fields = fields;
    this.state = state;
    this.weight = weight;
    this.#resistance = new Float64Array(state.length).fill(1);
    this.#look();
  }

  #look(): void {
    const { gain, input, sizes } = this.#fields;
    const [n, p] = sizes;
    const S = scope(() => noGrad(() => tanh(mul(tensor(this.state), gain)).data())) as Float64Array;
    const currents = input.slice();
    for (let i = 0; i < n; i++) {
      const row = this.weight.subarray(i * p, (i + 1) * p);
      currents[i] = (currents[i] as number) + dot(row, S.subarray(n));
      for (let j = 0; j < p; j++) currents[n + j] = (currents[n + j] as number) + (row[j] as number) * (S[i] as number);
    }
    this.#signals = S;
    this.#currents = currents;
  }

  step(): number {
    const { sizes, rate, stepSize } = this.#fields;
    const [n, p] = sizes;
    const S = this.#signals;
    let most = 0;
    const move = (values: Float64Array, at: number, speed: number, target: number): void => {
      const change = stepSize * speed * (target - (values[at] as number));
      values[at] = (values[at] as number) + change;
      most = Math.max(most, Math.abs(change));
    };
    for (let k = 0; k < n + p; k++) move(this.state, k, 1, this.#currents[k] as number);
    for (let i = 0; i < n; i++) for (let j = 0; j < p; j++) move(this.weight, i * p + j, rate, (S[i] as number) * (S[n + j] as number));
    this.#look();
    return most;
  }

  energy(): number {
    const { input, gain } = this.#fields;
    // Σ S (currents + inputs) counts the product of the fields twice, and so do the inputs.
    const pairs = -(dot(this.#signals, this.#currents) + dot(this.#signals, input)) / 2;
    return pairs + dot(this.weight, this.weight) / 2 + charging(this.state, gain, this.#resistance);
  }
}
