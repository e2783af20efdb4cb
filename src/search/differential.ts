/** Differential evolution: steps are differences between members of the population, so they shrink with it. */

import { checkNumber, checkOptions, checkWhole, withDefaults } from "../base/checks.ts";
import type { FieldReader, Fields } from "./fields.ts";
import { type StopReason, VECTOR_SEARCH, VectorSearch, type VectorSearchOptions } from "./search.ts";

export interface DifferentialEvolutionOptions extends VectorSearchOptions {
  /** The first population is drawn from the box start ± spread (default 1). */
  readonly spread?: number;
  /** Number of members, at least 4 (default 10 per number of a candidate, at most 200). */
  readonly population?: number;
  /** F, the factor of differences (default 0.5). */
  readonly weight?: number;
  /** CR, the probability of taking a number from the mutant (default 0.9). */
  readonly crossoverRate?: number;
}

/** The ingredients of a trial besides its parent. */
export interface Mutation {
  readonly base: Float64Array;
  readonly plus: Float64Array;
  readonly minus: Float64Array;
  readonly weight: number;
}

/** u_j = base_j + F (plus_j − minus_j) where the j-th random number is below CR, and at j = `sure`; else the parent's number. */
export function differentialTrial(
  parent: Float64Array,
  { base, plus, minus, weight }: Mutation,
  crossover: { readonly rate: number; readonly numbers: ArrayLike<number>; readonly sure: number },
): Float64Array {
  return parent.map((own, j) => {
    if (j !== crossover.sure && !((crossover.numbers[j] as number) < crossover.rate)) return own;
    return (base[j] as number) + weight * ((plus[j] as number) - (minus[j] as number));
  });
}

/**
 * Differential evolution DE/rand/1/bin: makes a trial for each member from three others, which replaces the member if it costs no more.
 *
 *     v = x_r1 + F (x_r2 − x_r3)      u_j = v_j with probability CR, and for one j always; else x_j
 *
 * @throws ArgumentError for options out of their range
 * @see Storn and Price, "Differential evolution - a simple and efficient heuristic for global optimization over continuous spaces", 1997
 * @example new DifferentialEvolution({ start: flatten(model), spread: 2, maxEvaluations: 50_000 })
 */
export class DifferentialEvolution extends VectorSearch {
  readonly #spread: number;
  readonly #count: number;
  readonly #weight: number;
  readonly #rate: number;
  #population: Float64Array[] = [];
  #costs: Float64Array = new Float64Array(0);

  constructor(options: DifferentialEvolutionOptions) {
    checkOptions("DifferentialEvolution", options, ["spread", "population", "weight", "crossoverRate", ...VECTOR_SEARCH]);
    const defaults = {
      spread: 1,
      population: Math.min(200, Math.max(4, 10 * (options.start?.length ?? 0))),
      weight: 0.5,
      crossoverRate: 0.9,
    };
    const { spread, population, weight, crossoverRate } = withDefaults(defaults, options);
    checkNumber("DifferentialEvolution", "spread", spread, { least: 0 });
    checkWhole("DifferentialEvolution", "population", population, { least: 4 });
    checkNumber("DifferentialEvolution", "weight", weight, { above: 0 });
    checkNumber("DifferentialEvolution", "crossoverRate", crossoverRate, { least: 0, most: 1 });
    super("DifferentialEvolution", options, { spread, population, weight, crossoverRate });
    this.#spread = spread;
    this.#count = population;
    this.#weight = weight;
    this.#rate = crossoverRate;
  }

  protected override propose(): Float64Array[] {
    return Array.from({ length: this.#count }, (_, i) => this.#trial(i));
  }

  protected override redraw(slot: number): [number, Float64Array][] {
    return [[slot, this.#trial(slot)]];
  }

  protected override digest(candidates: readonly Float64Array[], costs: Float64Array): void {
    const taken = Array.from(costs, (cost, i) => this.#population.length === 0 || cost <= (this.#costs[i] as number));
    this.#costs = costs.map((cost, i) => (taken[i] ? cost : (this.#costs[i] as number)));
    this.#population = candidates.map((x, i) => (taken[i] ? x : (this.#population[i] as Float64Array)));
  }

  protected override reason(): StopReason | null {
    return null;
  }

  #trial(i: number): Float64Array {
    const parent = this.#population[i];
    if (parent === undefined) return this.anywhere(this.#spread);
    const [base, plus, minus] = this.#others(i) as [Float64Array, Float64Array, Float64Array];
    const numbers = Float64Array.from({ length: this.size }, () => this.draws.uniform());
    const crossover = { rate: this.#rate, numbers, sure: this.draws.below(this.size) };
    return differentialTrial(parent, { base, plus, minus, weight: this.#weight }, crossover);
  }

  /** Three members, different from each other and from i. */
  #others(i: number): Float64Array[] {
    const chosen = [i];
    while (chosen.length < 4) {
      const r = this.draws.below(this.#count);
      if (!chosen.includes(r)) chosen.push(r);
    }
    return chosen.slice(1).map((r) => this.#population[r] as Float64Array);
  }

  protected override fields(): Fields {
    return { population: this.#population, costs: this.#costs };
  }

  protected override adopt(fields: FieldReader): () => void {
    const population = fields.list("population", { length: this.size });
    if (![0, this.#count].includes(population.length)) fields.refuse("population", "all members or none", population.length);
    const costs = fields.vector("costs", population.length, { infinite: true });
    return () => {
      this.#population = population;
      this.#costs = costs;
    };
  }
}
