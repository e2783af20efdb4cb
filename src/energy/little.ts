/** Little's network, 1974: noisy units that all decide at once, and the matrix that carries one moment's probabilities to the next. */

import { noGrad } from "../autodiff/tape.ts";
import { checkNumber, checkWhole, optionsOf } from "../base/checks.ts";
import { ArgumentError } from "../base/errors.ts";
import { add, mul } from "../ops/arithmetic.ts";
import { sum } from "../ops/broadcast.ts";
import { abs, sigmoid, softplus } from "../ops/math.ts";
import { softmax } from "../ops/softmax.ts";
import { checkGenerator, defaultGenerator, type Generator } from "../tensor/random.ts";
import { scope, type Tensor, tensor } from "../tensor/tensor.ts";
import { times } from "./hopfield.ts";
import { readState, stateDType } from "./states.ts";
import { SynchronousMemory, type UnitRule } from "./synchronous.ts";
import { logistics } from "./variates.ts";

export interface LittleOptions {
  /** Units N. */
  readonly size: number;
  /** T = 1/β (default 1). */
  readonly temperature?: number;
  /** Draws the units' noise (default the default generator). */
  readonly generator?: Generator;
}

/** More units have too many states to list. */
const MOST_LISTED = 12;

/**
 * N units of ±1 that all decide at once, by chance, each on the field l = W s that it feels:
 *
 *   P(s_i' = 1) = 1/(1 + exp(−2 l_i/T)),        P(s → s') = Π_i exp(s_i' l_i/T) / (2 cosh(l_i/T)).
 *
 * The states of one moment give the probabilities of the next by the transfer matrix. For symmetric W its stationary law is p(s) ∝ Π_i 2 cosh(l_i/T),
 * so the energy is E(s) = −T Σ_i log(2 cosh(l_i/T)): not Hopfield's, whose law is reached by units that decide one after the other. Where two
 * eigenvalues of the matrix lie close to 1 the net remembers for long where it came from: Little's persistent states. Patterns are stored by their
 * correlations. `weight` W [N,N] is float64 and in the state dict.
 * @throws ArgumentError for a size that is no whole number of at least 1, and a temperature that is not above 0
 * @see Little, "The existence of persistent states in the brain", Mathematical Biosciences 19, 1974; the stationary law: Peretto, "Collective properties of
 * neural networks: a statistical physics approach", Biological Cybernetics 50, 1984. From memory.
 * @example
 * const net = new LittleNetwork({ size: 50, temperature: 0.3 }).store(patterns);
 * const states = net.sample(first, { steps: 100 }); // [100,50]
 */
export class LittleNetwork extends SynchronousMemory {
  protected override readonly values = "spins";
  protected override readonly noisy = true;
  readonly temperature: number;
  readonly generator: Generator;

  constructor(options: LittleOptions) {
    const {
      size,
      temperature = 1,
      generator = defaultGenerator(),
    } = optionsOf("LittleNetwork", options, ["size", "temperature", "generator"]);
    checkNumber("LittleNetwork", "temperature", temperature, { above: 0 });
    checkGenerator("LittleNetwork", generator);
    super("LittleNetwork", size);
    this.temperature = temperature;
    this.generator = generator;
  }

  /** Adds a pattern [N] or several [P,N] of ±1: W += ξ ξᵀ/N, nothing on the diagonal. @throws DTypeError, ShapeError, ArgumentError, with nothing stored */
  store(patterns: Tensor): this {
    this.storeCorrelations(patterns);
    return this;
  }

  /** The states after each of `steps` updates [steps,N], of the start's dtype. @throws DTypeError, ShapeError, ArgumentError */
  sample(start: Tensor, options: { readonly steps: number }): Tensor {
    const { steps } = optionsOf("sample", options, ["steps"]);
    checkWhole("sample", "steps", steps);
    const motion = this.motion(readState("sample", "the start", start, this.size, "spins"));
    const states = new Float64Array(steps * this.size);
    for (let k = 0; k < steps; k++) {
      motion.step();
      states.set(motion.state, k * this.size);
    }
    return tensor(states, { shape: [steps, this.size], dtype: stateDType(start, "spins") });
  }

  /**
   * P [2^N, 2^N], float64: from the state of the column to that of the row. State k has s_i = 1 where bit i of k is 1.
   * @throws ArgumentError for more than 12 units
   */
  transferMatrix(): Tensor {
    const states = this.#listed("transferMatrix");
    const W = this.couplings();
    const values = new Float64Array(states.length * states.length);
    states.forEach((from, column) => {
      const on = this.#onProbabilities(times(W, from));
      states.forEach((to, row) => {
        values[row * states.length + column] = to.reduce((p, s, i) => p * (s > 0 ? (on[i] as number) : 1 - (on[i] as number)), 1);
      });
    });
    return tensor(values, { shape: [states.length, states.length] });
  }

  /**
   * The stationary law p(s) ∝ exp(−E(s)/T) of all 2^N states, numbered as in `transferMatrix`; float64.
   * @throws ArgumentError for more than 12 units, and for a W that is not symmetric: its law has no such form
   */
  stationary(): Tensor {
    const states = this.#listed("stationary");
    const [W, N] = [this.couplings(), this.size];
    const other = W.findIndex((value, at) => value !== W[(at % N) * N + Math.floor(at / N)]);
    if (other >= 0) {
      throw new ArgumentError(`stationary: expected symmetric weights, got others between units ${Math.floor(other / N)} and ${other % N}`);
    }
    const energies = Float64Array.from(states, (s) => -this.energyFrom(times(W, s)) / this.temperature);
    return scope(() => noGrad(() => softmax(tensor(energies))));
  }

  protected override energyFrom(fields: Float64Array): number {
    const T = this.temperature;
    return scope(() =>
      noGrad(() => {
        // log(2 cosh x) = |x| + log(1 + exp(−2 |x|))
        const x = abs(tensor(fields.map((field) => field / T)));
        return -T * sum(add(x, softplus(mul(x, -2)))).item();
      }),
    );
  }

  protected override rule(): UnitRule {
    const noise = logistics(this.generator);
    return (_, field) => ((2 * field) / this.temperature > noise.next() ? 1 : -1);
  }

  /** P(s_i' = 1) */
  #onProbabilities(fields: Float64Array): Float64Array {
    return scope(() => noGrad(() => sigmoid(tensor(fields.map((field) => (2 * field) / this.temperature))).data())) as Float64Array;
  }

  #listed(op: string): Float64Array[] {
    const N = this.size;
    if (N > MOST_LISTED) throw new ArgumentError(`${op}: expected at most ${MOST_LISTED} units, got ${N}`);
    return Array.from({ length: 2 ** N }, (_, k) => Float64Array.from({ length: N }, (__, i) => ((k >> i) & 1 ? 1 : -1)));
  }
}
