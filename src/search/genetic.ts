/** The genetic algorithm on weights: a chromosome is a network, a gene a connection. */

import { checkFlag, checkFunction, checkNumber, checkOneOf, checkOptions, checkWhole, finished, withDefaults } from "../base/checks.ts";
import { ArgumentError } from "../base/errors.ts";
import type { FieldReader, Fields } from "./fields.ts";
import { orderOf } from "./ranks.ts";
import { type StopReason, VECTOR_SEARCH, VectorSearch, type VectorSearchOptions } from "./search.ts";
import { fitnessOf, pickBy, SELECTIONS, type Selection, selectionProbabilities } from "./selection.ts";

export interface GeneticAlgorithmOptions extends VectorSearchOptions {
  /** The first chromosomes are drawn from the box start ± spread (default 1). */
  readonly spread?: number;
  /** Number of chromosomes (default 50). */
  readonly population?: number;
  /** How to select parents (default "tournament"). "roulette" is the classic method and needs costs of at least 0. */
  readonly selection?: Selection;
  /** Size of a tournament (default 3). */
  readonly tournamentSize?: number;
  /** Number of the best that survive (default 1). */
  readonly elite?: number;
  /** Whether to evaluate the elite again in each generation, for noisy costs (default false). */
  readonly reevaluate?: boolean;
  /** Kind of crossover (default "uniform"). */
  readonly crossover?: "onePoint" | "uniform";
  /** The probability that a child has two parents (default 0.7). */
  readonly crossoverRate?: number;
  /** The probability that a gene mutates (default 1/√genes). */
  readonly mutationRate?: number;
  /** Standard deviation of mutations (default 0.2). */
  readonly mutationScale?: number;
  /** Factor of that scale per generation (default 0.999). */
  readonly mutationDecay?: number;
  /** Returns the share of the training patterns that the best chromosome has learned, 0 to 1; called once per generation. */
  readonly learned?: (best: Float64Array) => number;
  /** Stops when `learned` reaches this share: reason "learned" (default 1). */
  readonly learnedShare?: number;
}

/** A child with the first `cut` genes of a and the rest of b. */
export function onePointCrossover(a: Float64Array, b: Float64Array, cut: number): Float64Array {
  return a.map((gene, i) => (i < cut ? gene : (b[i] as number)));
}

/** A child with each gene from a if its random number is below one half, else from b. */
export function uniformCrossover(a: Float64Array, b: Float64Array, numbers: ArrayLike<number>): Float64Array {
  return a.map((gene, i) => ((numbers[i] as number) < 0.5 ? gene : (b[i] as number)));
}

/**
 * A genetic algorithm over parameter vectors: in each generation the elite survives, and children of selected parents fill the other places.
 * A child is a crossover of two parents with probability `crossoverRate`, else a copy of one; then each gene mutates
 * with probability `mutationRate` by a normal number.
 *
 * With the mean squared error as cost, a chromosome's fitness is its reciprocal (at most 1e12). Three rules stop the run: a share of the
 * training patterns is `learned`, the `target` error is reached, or `maxGenerations` are over.
 * Memory and time per generation: O(population · genes).
 * @throws ArgumentError for options out of their range; from `tell`, for costs below 0 with "roulette", and if `learned` returns anything but a
 *   number from 0 to 1 (StateError for a promise)
 * @see Holland, "Adaptation in natural and artificial systems", 1975; Montana and Davis, "Training feedforward neural networks using genetic
 *   algorithms", 1989; Blanco, Delgado and Pegalajar, "A real-coded genetic algorithm for training recurrent neural networks", 2001
 * @example
 * const search = new GeneticAlgorithm({ start: flatten(model), selection: "roulette", target: 1e-3, maxGenerations: 500 });
 * while (search.stop() === null) {
 *   const candidates = search.ask();
 *   search.tell(candidates, candidates.map((v) => errorOf(unflatten(model, v))));
 * }
 */
export class GeneticAlgorithm extends VectorSearch {
  readonly #options: Required<
    Omit<GeneticAlgorithmOptions, "start" | "generator" | "target" | "maxEvaluations" | "maxGenerations" | "learned">
  >;
  readonly #learned: ((best: Float64Array) => number) | undefined;
  #population: Float64Array[] = [];
  #costs: Float64Array = new Float64Array(0);
  #scale: number;
  #share = 0;
  /** Selection probabilities of the present population; recomputed after a restore. */
  #probabilities: Float64Array | null = null;

  constructor(options: GeneticAlgorithmOptions) {
    checkOptions("GeneticAlgorithm", options, [
      "spread",
      "population",
      "selection",
      "tournamentSize",
      "elite",
      "reevaluate",
      "crossover",
      "crossoverRate",
      "mutationRate",
      "mutationScale",
      "mutationDecay",
      "learned",
      "learnedShare",
      ...VECTOR_SEARCH,
    ]);
    const defaults = {
      spread: 1,
      population: 50,
      selection: "tournament" as Selection,
      tournamentSize: 3,
      elite: 1,
      reevaluate: false,
      crossover: "uniform" as "onePoint" | "uniform",
      crossoverRate: 0.7,
      mutationRate: 1 / Math.sqrt(Math.max(1, options.start?.length ?? 1)),
      mutationScale: 0.2,
      mutationDecay: 0.999,
      learnedShare: 1,
    };
    const {
      start: _,
      generator: _g,
      target: _t,
      maxEvaluations: _e,
      maxGenerations: _m,
      learned,
      ...own
    } = withDefaults(defaults, options);
    checkNumber("GeneticAlgorithm", "spread", own.spread, { least: 0 });
    checkWhole("GeneticAlgorithm", "population", own.population, { least: 2 });
    checkOneOf("GeneticAlgorithm", "selection", own.selection, SELECTIONS);
    checkWhole("GeneticAlgorithm", "tournamentSize", own.tournamentSize, { least: 1 });
    checkWhole("GeneticAlgorithm", "elite", own.elite, { least: 0, below: own.population });
    checkFlag("GeneticAlgorithm", "reevaluate", own.reevaluate);
    checkOneOf("GeneticAlgorithm", "crossover", own.crossover, ["onePoint", "uniform"]);
    for (const name of ["crossoverRate", "mutationRate", "mutationDecay", "learnedShare"] as const) {
      checkNumber("GeneticAlgorithm", name, own[name], { least: 0, most: 1 });
    }
    checkNumber("GeneticAlgorithm", "mutationScale", own.mutationScale, { least: 0 });
    if (learned !== undefined) checkFunction("GeneticAlgorithm", "learned", learned);
    super("GeneticAlgorithm", options, own);
    this.#options = own;
    this.#learned = learned;
    this.#scale = own.mutationScale;
  }

  /** The fitness of the best chromosome so far, 1/cost. */
  get bestFitness(): number {
    return fitnessOf(this.result.bestCost);
  }

  protected override checkCost(cost: number): void {
    if (this.#options.selection === "roulette" && cost < 0) {
      throw new ArgumentError(`tell: expected costs of at least 0, whose reciprocals are fitnesses, got ${cost}`);
    }
  }

  protected override propose(): Float64Array[] {
    const { population, elite, reevaluate, spread } = this.#options;
    if (this.#population.length === 0) return Array.from({ length: population }, () => this.anywhere(spread));
    const children = Array.from({ length: population - elite }, () => this.#child());
    return reevaluate ? [...this.#population.slice(0, elite), ...children] : children;
  }

  protected override redraw(slot: number): [number, Float64Array][] {
    return [[slot, this.#population.length === 0 ? this.anywhere(this.#options.spread) : this.#child()]];
  }

  /** The population is sorted by cost. */
  protected override digest(candidates: readonly Float64Array[], costs: Float64Array): void {
    const { elite, reevaluate, mutationDecay } = this.#options;
    const first = this.#population.length === 0;
    const kept = first || reevaluate ? 0 : elite;
    const all = [...this.#population.slice(0, kept), ...candidates];
    const known = [...this.#costs.subarray(0, kept), ...costs];
    const order = orderOf(known);
    const population = order.map((i) => all[i] as Float64Array);
    const share = this.#shareOf(population[0] as Float64Array);
    this.#population = population;
    this.#share = share;
    this.#costs = Float64Array.from(order, (i) => known[i] as number);
    this.#probabilities = null;
    if (!first) this.#scale *= mutationDecay;
  }

  /** The share of patterns that a chromosome has learned. */
  #shareOf(best: Float64Array): number {
    if (this.#learned === undefined) return 0;
    const share = finished("GeneticAlgorithm: learned", this.#learned(best.slice()));
    checkNumber(this.kind, "what learned gives", share, { least: 0, most: 1 });
    return share;
  }

  protected override reason(): StopReason | null {
    if (this.#learned === undefined || !(this.#share >= this.#options.learnedShare) || this.#population.length === 0) return null;
    return { reason: "learned", value: this.#share };
  }

  #parent(): Float64Array {
    this.#probabilities ??= selectionProbabilities(this.#costs, this.#options.selection, this.#options.tournamentSize);
    return this.#population[pickBy(this.#probabilities, this.draws.uniform())] as Float64Array;
  }

  #child(): Float64Array {
    const { crossoverRate, crossover, mutationRate } = this.#options;
    let child = this.#parent();
    if (this.draws.uniform() < crossoverRate) {
      const other = this.#parent();
      if (crossover === "uniform")
        child = uniformCrossover(
          child,
          other,
          child.map(() => this.draws.uniform()),
        );
      // Between the first gene and the last; a single gene cannot be cut.
      else child = onePointCrossover(child, other, 1 + this.draws.below(Math.max(1, this.size - 1)));
    }
    const steps = this.draws.normals(this.size);
    return child.map((gene, i) => (this.draws.uniform() < mutationRate ? gene + this.#scale * (steps[i] as number) : gene));
  }

  protected override fields(): Fields {
    return { population: this.#population, costs: this.#costs, scale: this.#scale, share: this.#share };
  }

  protected override adopt(fields: FieldReader): () => void {
    const population = fields.list("population", { length: this.size });
    if (![0, this.#options.population].includes(population.length))
      fields.refuse("population", "all chromosomes or none", population.length);
    const least = this.#options.selection === "roulette" ? 0 : Number.NEGATIVE_INFINITY;
    const costs = fields.vector("costs", population.length, { infinite: true, least });
    const scale = fields.number("scale", { least: 0 });
    const share = fields.number("share", { least: 0, most: 1 });
    return () => {
      this.#population = population;
      this.#costs = costs;
      this.#scale = scale;
      this.#share = share;
      this.#probabilities = null;
    };
  }
}
