/** Energy models whose units have two values under symmetric couplings: recall, sampling, annealing. */

import { checkArrayLike, checkNumber, checkOneOf, checkWhole, optionsOf } from "../base/checks.ts";
import { ArgumentError } from "../base/errors.ts";
import { checkGenerator, defaultGenerator, type Generator } from "../tensor/random.ts";
import { type Tensor, tensor } from "../tensor/tensor.ts";
import { EnergyModel, type Motion, type RecallSettings, type UpdateOrder } from "./energy-model.ts";
import { Enumeration } from "./enumeration.ts";
import { SpinMotion, type SpinSystem, spinEnergy } from "./spins.ts";
import { readState, stateDType, type UnitValues } from "./states.ts";
import type { SpinRule } from "./unit-motion.ts";

export interface SampleOptions {
  /** Updates of the whole net: N updates of single units each, or one of all at once. */
  readonly sweeps: number;
  /** The temperature, in units of energy (k = 1); or that of every sweep, for a schedule. */
  readonly temperature: number | ArrayLike<number>;
  /**
   * "heat-bath" (default): a unit takes either value with its probability at the temperature, as Glauber's dynamics has it. "metropolis": it turns
   * with the probability min(1, exp(−ΔE/T)). Their equilibrium is the same, their way to it is not.
   */
  readonly rule?: SpinRule;
  /** The order of the units within a sweep (default "random": each time any of them, as in Glauber's dynamics). */
  readonly order?: UpdateOrder;
  /** One unit after the other (default), or all at once from the same state, whose equilibrium is another one (Little, 1974). */
  readonly updates?: "asynchronous" | "synchronous";
  /** (default the default generator) */
  readonly generator?: Generator;
}

/** A run of a system at a temperature. */
export interface Samples {
  /** The last state [N]. */
  readonly state: Tensor;
  /** The energy after each sweep. */
  readonly energies: Float64Array;
  /** The mean of all units after each sweep. */
  readonly magnetizations: Float64Array;
}

export interface AnnealOptions {
  readonly sweeps: number;
  /** The first temperature. */
  readonly from: number;
  /** The last one (default 0.01 of the first). */
  readonly to?: number;
  readonly rule?: SpinRule;
  /** (default "permutation") */
  readonly order?: UpdateOrder;
  /** (default the default generator) */
  readonly generator?: Generator;
}

/** The temperature of every sweep. @throws ArgumentError */
function temperatures(op: string, { sweeps, temperature }: SampleOptions): ArrayLike<number> {
  checkWhole(op, "sweeps", sweeps);
  if (typeof temperature === "number") {
    checkNumber(op, "temperature", temperature, { least: 0 });
    return new Float64Array(sweeps).fill(temperature);
  }
  checkArrayLike(op, "temperature", temperature);
  if (temperature.length !== sweeps) throw new ArgumentError(`${op}: expected ${sweeps} temperatures, got ${temperature.length}`);
  for (const t of Array.from(temperature)) checkNumber(op, "temperature", t, { least: 0 });
  return temperature;
}

function mean(state: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < state.length; i++) sum += state[i] as number;
  return sum / state.length;
}

/** A model whose energy is −½ sᵀJs − hᵀs over units with two values. */
export abstract class SpinModel extends EnergyModel {
  protected override readonly values: UnitValues = "spins";
  /** The couplings and biases as they are now. */
  protected abstract system(): SpinSystem;

  protected override energyOf(state: Float64Array): number {
    return spinEnergy(this.system(), state);
  }

  protected override motion(state: Float64Array, settings: RecallSettings): Motion {
    return new SpinMotion(this.system(), state, settings);
  }

  /**
   * Runs the system at a temperature, or along a schedule of them. With a heat bath or Metropolis's rule, asynchronously and at one temperature, states
   * come to have the probabilities exp(−E/T) / Z.
   * @throws DTypeError for what is no tensor; ShapeError unless the state is [N]; ArgumentError for options out of their range
   * @see Glauber, "Time-dependent statistics of the Ising model", 1963 (heat bath in random order)
   * @see Metropolis, Rosenbluth, Rosenbluth, Teller and Teller, "Equation of state calculations by fast computing machines", 1953
   * @example const { magnetizations } = ising.sample(start, { sweeps: 1000, temperature: 2.2, generator: new Generator(1) });
   */
  sample(start: Tensor, options: SampleOptions): Samples {
    const op = "sample";
    const {
      rule = "heat-bath",
      order = "random",
      updates = "asynchronous",
      generator,
    } = optionsOf(op, options, ["sweeps", "temperature", "rule", "order", "updates", "generator"]);
    checkOneOf(op, "rule", rule, ["heat-bath", "metropolis"]);
    checkOneOf(op, "order", order, ["sequential", "permutation", "random"]);
    checkOneOf(op, "updates", updates, ["asynchronous", "synchronous"]);
    checkGenerator(op, generator);
    if (rule === "metropolis" && updates === "synchronous")
      throw new ArgumentError(`${op}: expected asynchronous updates with rule "metropolis", got synchronous ones`);
    const schedule = temperatures(op, options);
    const state = readState(op, "the state", start, this.size, this.values);
    const settings = { updates, order, rule, generator: generator ?? defaultGenerator(), temperature: Array.from(schedule).reduce(max, 0) };
    const motion = new SpinMotion(this.system(), state, settings);
    const energies = new Float64Array(schedule.length);
    const magnetizations = new Float64Array(schedule.length);
    for (let sweep = 0; sweep < schedule.length; sweep++) {
      motion.temperature = schedule[sweep] as number;
      motion.step();
      energies[sweep] = motion.energy();
      magnetizations[sweep] = mean(state);
    }
    return { state: tensor(state, { dtype: stateDType(start, this.values) }), energies, magnetizations };
  }

  /**
   * The energies of all states, and what follows from them. Costs 2^N times N.
   * @throws ArgumentError for more than 24 units
   * @example const probabilities = model.enumerate().probabilities(1);
   */
  enumerate(): Enumeration {
    return new Enumeration(this.system());
  }

  /**
   * Simulated annealing: sweeps at temperatures that fall linearly, then updates without chance until nothing turns.
   * @throws what `sample` throws
   * @see Kirkpatrick, Gelatt and Vecchi, "Optimization by simulated annealing", 1983
   * @example const { state, energy } = glass.anneal(start, { sweeps: 300, from: 1.2 });
   */
  anneal(start: Tensor, options: AnnealOptions): { readonly state: Tensor; readonly energy: number } {
    const {
      sweeps,
      from,
      to = 0.01 * from,
      order = "permutation",
      rule = "heat-bath",
      generator,
    } = optionsOf("anneal", options, ["sweeps", "from", "to", "rule", "order", "generator"]);
    checkWhole("anneal", "sweeps", sweeps, { least: 1 });
    checkNumber("anneal", "from", from, { above: 0 });
    checkNumber("anneal", "to", to, { least: 0, most: from });
    const temperature = Float64Array.from({ length: sweeps }, (_, k) => from + ((to - from) * k) / Math.max(1, sweeps - 1));
    const random = generator ?? defaultGenerator();
    const { state } = this.sample(start, { sweeps, temperature, order, rule, generator: random });
    const settled = this.recall(state, { generator: random, maxSteps: DESCENT });
    return { state: settled.state, energy: settled.energies.at(-1) as number };
  }
}

/** Updates of the whole net that end an annealing, at most: it takes a few. */
const DESCENT = 1000;

function max(a: number, b: number): number {
  return Math.max(a, b);
}
