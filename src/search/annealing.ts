/** Simulated annealing: a walk that always accepts downhill moves, and uphill ones less and less often. */

import { checkFlag, checkNumber, checkOneOf, checkOptions, checkWhole, finished, withDefaults } from "../base/checks.ts";
import { DTypeError, ShapeError } from "../base/errors.ts";
import { quote } from "../base/quote.ts";
import { exp } from "../numerics/scalar.ts";
import type { Random } from "./draws.ts";
import type { FieldReader, Fields } from "./fields.ts";
import { type StopReason, VECTOR_SEARCH, VectorSearch, type VectorSearchOptions } from "./search.ts";

/** Draws a neighbour of a point with `random`. */
export type Move = (x: Float64Array, random: Random) => Float64Array;

export interface SimulatedAnnealingOptions extends VectorSearchOptions {
  /** Standard deviation of a move (default 0.1). */
  readonly sigma?: number;
  /** Whether a move changes all numbers or one, or your own move (default "all"). Detailed balance requires moves that are as likely in both directions. */
  readonly move?: "all" | "one" | Move;
  /** The initial temperature; by default the one at which an average climb from `start` is accepted with probability 0.8. */
  readonly temperature?: number;
  /** Factor of the temperature after every `stepsPerTemperature` moves (default 0.99; 1 keeps it constant). */
  readonly cooling?: number;
  /** Moves at each temperature (default 1). */
  readonly stepsPerTemperature?: number;
  /** Whether to adapt sigma so that 23 to 44 % of moves are accepted (default false). */
  readonly adapt?: boolean;
  /** Stops below this temperature: reason "temperature" (default 0). */
  readonly leastTemperature?: number;
}

/** Neighbours of the start that determine the initial temperature. */
const PROBES = 20;
/** −ln 0.8 */
const MEAN_CLIMB = 0.2231435513142097;
/** Moves between two changes of sigma, the factor of a change, and the shares that need none. */
const WINDOW = 50;
const FACTOR = 1.2;
const [FEW, MANY] = [0.23, 0.44];

/**
 * The probability of accepting a move: min(1, exp(−ΔE/T)); at T = 0, 1 unless it climbs.
 * @see Metropolis, Rosenbluth, Rosenbluth, Teller and Teller, "Equation of state calculations by fast computing machines", 1953
 */
export function acceptanceProbability(climb: number, temperature: number): number {
  if (!(climb > 0)) return 1;
  return temperature > 0 ? exp(-climb / temperature) : 0;
}

/**
 * Simulated annealing: x' = x + σ N(0, I) replaces x with probability min(1, exp(−ΔE/T)), and T ← a·T. At a fixed temperature
 * the visited points have the distribution exp(−E/T).
 *
 * The first generation is the start, with 20 neighbours unless a `temperature` is given. Each later one is a single candidate, so there is
 * nothing to evaluate in parallel.
 * @throws ArgumentError for options out of their range; from `ask` and `tell`, if `move` returns numbers that are not finite (DTypeError for anything
 *   but a Float64Array, ShapeError for another length)
 * @see Kirkpatrick, Gelatt and Vecchi, "Optimization by simulated annealing", 1983
 * @example new SimulatedAnnealing({ start: flatten(model), sigma: 0.2, cooling: 0.999, maxEvaluations: 10_000 })
 */
export class SimulatedAnnealing extends VectorSearch {
  readonly #options: Required<
    Pick<SimulatedAnnealingOptions, "sigma" | "cooling" | "stepsPerTemperature" | "adapt" | "leastTemperature" | "move">
  >;
  #x: Float64Array;
  /** NaN until it is known. */
  #cost = Number.NaN;
  #temperature: number;
  #sigma: number;
  #moves = 0;
  #accepted = 0;
  readonly #probes: number;

  constructor(options: SimulatedAnnealingOptions) {
    checkOptions("SimulatedAnnealing", options, [
      "sigma",
      "move",
      "temperature",
      "cooling",
      "stepsPerTemperature",
      "adapt",
      "leastTemperature",
      ...VECTOR_SEARCH,
    ]);
    const defaults = {
      sigma: 0.1,
      move: "all" as "all" | "one" | Move,
      cooling: 0.99,
      stepsPerTemperature: 1,
      adapt: false,
      leastTemperature: 0,
    };
    const { sigma, move, cooling, stepsPerTemperature, adapt, leastTemperature, temperature } = withDefaults(defaults, options);
    const plain = { sigma, cooling, stepsPerTemperature, adapt, leastTemperature, temperature: temperature ?? null };
    checkNumber("SimulatedAnnealing", "sigma", sigma, { above: 0 });
    if (typeof move !== "function") checkOneOf("SimulatedAnnealing", "move", move, ["all", "one"]);
    if (temperature !== undefined) checkNumber("SimulatedAnnealing", "temperature", temperature, { least: 0 });
    checkNumber("SimulatedAnnealing", "cooling", cooling, { above: 0, most: 1 });
    checkWhole("SimulatedAnnealing", "stepsPerTemperature", stepsPerTemperature, { least: 1 });
    checkFlag("SimulatedAnnealing", "adapt", adapt);
    checkNumber("SimulatedAnnealing", "leastTemperature", leastTemperature, { least: 0 });
    super("SimulatedAnnealing", options, { ...plain, move: typeof move === "function" ? "own" : move });
    this.#options = { sigma, move, cooling, stepsPerTemperature, adapt, leastTemperature };
    this.#x = this.start;
    this.#sigma = sigma;
    this.#temperature = temperature ?? 0;
    this.#probes = temperature === undefined ? PROBES : 0;
  }

  /** The present point of the walk, and its cost (NaN until it is known). */
  get current(): { readonly x: Float64Array; readonly cost: number } {
    return { x: this.#x.slice(), cost: this.#cost };
  }

  get temperature(): number {
    return this.#temperature;
  }

  get sigma(): number {
    return this.#sigma;
  }

  protected override propose(): Float64Array[] {
    if (!Number.isNaN(this.#cost)) return [this.#neighbour()];
    return [this.start.slice(), ...Array.from({ length: this.#probes }, () => this.#neighbour())];
  }

  protected override redraw(slot: number): [number, Float64Array][] {
    return [[slot, this.#neighbour()]];
  }

  protected override digest(candidates: readonly Float64Array[], costs: Float64Array): void {
    if (Number.isNaN(this.#cost)) this.#begin(candidates, costs);
    else this.#decide(candidates[0] as Float64Array, costs[0] as number);
  }

  protected override reason(): StopReason | null {
    const { leastTemperature } = this.#options;
    if (Number.isNaN(this.#cost) || !(this.#temperature < leastTemperature)) return null;
    return { reason: "temperature", value: this.#temperature };
  }

  #begin([x]: readonly Float64Array[], costs: Float64Array): void {
    this.#x = x as Float64Array;
    this.#cost = costs[0] as number;
    if (this.#probes === 0) return;
    const changes = Array.from(costs.subarray(1), (cost) => cost - this.#cost).filter(Number.isFinite);
    const climbs = changes.some((c) => c > 0) ? changes.filter((c) => c > 0) : changes.map((c) => -c);
    const mean = climbs.reduce((a, b) => a + b, 0) / climbs.length;
    this.#temperature = mean > 0 ? mean / MEAN_CLIMB : 1;
  }

  #decide(x: Float64Array, cost: number): void {
    // Always drawn, so that later numbers do not depend on rounding here.
    const u = this.draws.uniform();
    const { stepsPerTemperature, cooling } = this.#options;
    this.#moves++;
    if (u < acceptanceProbability(cost - this.#cost, this.#temperature)) {
      this.#x = x;
      this.#cost = cost;
      this.#accepted++;
    }
    if (this.#moves % stepsPerTemperature === 0) this.#temperature *= cooling;
    if (this.#moves % WINDOW === 0) this.#adapt();
  }

  #adapt(): void {
    const share = this.#accepted / WINDOW;
    this.#accepted = 0;
    if (!this.#options.adapt) return;
    if (share > MANY) this.#sigma *= FACTOR;
    if (share < FEW) this.#sigma /= FACTOR;
  }

  #neighbour(): Float64Array {
    const { move } = this.#options;
    if (typeof move === "function") return this.#own(move);
    const only = move === "one" ? this.draws.below(this.size) : -1;
    const steps = this.draws.normals(move === "one" ? 1 : this.size);
    return this.#x.map((value, i) => {
      if (only === -1) return value + this.#sigma * (steps[i] as number);
      return i === only ? value + this.#sigma * (steps[0] as number) : value;
    });
  }

  #own(move: Move): Float64Array {
    const moved = finished("SimulatedAnnealing: move", move(this.#x.slice(), this.draws));
    if (!(moved instanceof Float64Array))
      throw new DTypeError(`SimulatedAnnealing: expected move to give a Float64Array, got ${quote(moved)}`);
    if (moved.length !== this.size)
      throw new ShapeError(`SimulatedAnnealing: expected move to give ${this.size} numbers, got ${moved.length}`);
    moved.forEach((value, i) => {
      checkNumber(this.kind, `element ${i} of what move gives`, value);
    });
    // A copy, since the function may reuse its array.
    return moved.slice();
  }

  protected override fields(): Fields {
    return {
      x: this.#x,
      // Zero or one known costs, since NaN cannot be saved.
      cost: Float64Array.from(Number.isNaN(this.#cost) ? [] : [this.#cost]),
      temperature: this.#temperature,
      sigma: this.#sigma,
      moves: this.#moves,
      accepted: this.#accepted,
    };
  }

  protected override adopt(fields: FieldReader): () => void {
    const x = fields.vector("x", this.size);
    const cost = fields.vector("cost", undefined, { infinite: true });
    if (cost.length > 1) fields.refuse("cost", "one number or none", cost.length);
    const temperature = fields.number("temperature", { least: 0 });
    const sigma = fields.number("sigma", { least: 0 });
    const moves = fields.number("moves", { least: 0, whole: true });
    const accepted = fields.number("accepted", { least: 0, most: WINDOW, whole: true });
    return () => {
      this.#x = x;
      this.#cost = cost[0] ?? Number.NaN;
      this.#temperature = temperature;
      this.#sigma = sigma;
      this.#moves = moves;
      this.#accepted = accepted;
    };
  }
}
