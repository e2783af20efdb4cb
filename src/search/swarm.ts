/** Particle swarms: each particle flies on, drawn to the best place it has seen and to its neighbours' best. */

import { checkNumber, checkOneOf, checkOptions, checkWhole, withDefaults } from "../base/checks.ts";
import type { FieldReader, Fields } from "./fields.ts";
import { type StopReason, VECTOR_SEARCH, VectorSearch, type VectorSearchOptions } from "./search.ts";

export interface ParticleSwarmOptions extends VectorSearchOptions {
  /** The first positions are drawn from the box start ± spread (default 1); particles start at rest. */
  readonly spread?: number;
  /** Number of particles (default 30). */
  readonly particles?: number;
  /** Neighbourhoods: all particles, or in a ring the two adjacent ones (default "global"). */
  readonly topology?: "global" | "ring";
  /** Share of the velocity that remains (default 0.7298). */
  readonly inertia?: number;
  /** Pull towards the particle's own best place (default 1.49618). */
  readonly cognitive?: number;
  /** Pull towards the neighbours' best place (default 1.49618). */
  readonly social?: number;
}

/** The forces on a particle. */
export interface Pulls {
  readonly inertia: number;
  readonly cognitive: number;
  readonly social: number;
}

/** w v + c₁ r₁ (own − x) + c₂ r₂ (best − x), with a random number per dimension for each pull. */
export function swarmVelocity(
  { x, v, own, best }: { readonly x: Float64Array; readonly v: Float64Array; readonly own: Float64Array; readonly best: Float64Array },
  { inertia, cognitive, social }: Pulls,
  r1: ArrayLike<number>,
  r2: ArrayLike<number>,
): Float64Array {
  return x.map((at, d) => {
    const towardsOwn = cognitive * (r1[d] as number) * ((own[d] as number) - at);
    const towardsBest = social * (r2[d] as number) * ((best[d] as number) - at);
    return inertia * (v[d] as number) + towardsOwn + towardsBest;
  });
}

/**
 * Particle swarm optimisation with synchronous updates:
 *
 *     v ← w v + c₁ r₁∘(own best − x) + c₂ r₂∘(neighbours' best − x)      x ← x + v
 *
 * The defaults follow the constriction analysis, so the swarm does not explode. A ring is slower and less easily trapped.
 * @throws ArgumentError for options out of their range
 * @see Kennedy and Eberhart, "Particle swarm optimization", 1995; Clerc and Kennedy, "The particle swarm - explosion, stability, and convergence in a
 *   multidimensional complex space", 2002
 * @example new ParticleSwarm({ start: flatten(model), topology: "ring", maxEvaluations: 20_000 })
 */
export class ParticleSwarm extends VectorSearch {
  readonly #spread: number;
  readonly #particles: number;
  readonly #ring: boolean;
  readonly #pulls: Pulls;
  #places: Float64Array[] = [];
  #velocities: Float64Array[] = [];
  /** Velocities towards the positions asked for. */
  #next: Float64Array[] = [];
  #bests: Float64Array[] = [];
  #costs: Float64Array = new Float64Array(0);

  constructor(options: ParticleSwarmOptions) {
    checkOptions("ParticleSwarm", options, ["spread", "particles", "topology", "inertia", "cognitive", "social", ...VECTOR_SEARCH]);
    const defaults = {
      spread: 1,
      particles: 30,
      topology: "global" as "global" | "ring",
      inertia: 0.7298,
      cognitive: 1.49618,
      social: 1.49618,
    };
    const { spread, particles, topology, inertia, cognitive, social } = withDefaults(defaults, options);
    checkNumber("ParticleSwarm", "spread", spread, { least: 0 });
    checkWhole("ParticleSwarm", "particles", particles, { least: 1 });
    checkOneOf("ParticleSwarm", "topology", topology, ["global", "ring"]);
    for (const [name, value] of Object.entries({ inertia, cognitive, social })) checkNumber("ParticleSwarm", name, value, { least: 0 });
    super("ParticleSwarm", options, { spread, particles, topology, inertia, cognitive, social });
    this.#spread = spread;
    this.#particles = particles;
    this.#ring = topology === "ring";
    this.#pulls = { inertia, cognitive, social };
  }

  protected override propose(): Float64Array[] {
    this.#next = [];
    return Array.from({ length: this.#particles }, (_, i) => this.#fly(i));
  }

  protected override redraw(slot: number): [number, Float64Array][] {
    return [[slot, this.#fly(slot)]];
  }

  protected override digest(candidates: readonly Float64Array[], costs: Float64Array): void {
    const first = this.#bests.length === 0;
    const better = Array.from(costs, (cost, i) => first || cost < (this.#costs[i] as number));
    this.#bests = candidates.map((x, i) => (better[i] ? x : (this.#bests[i] as Float64Array)));
    this.#costs = costs.map((cost, i) => (better[i] ? cost : (this.#costs[i] as number)));
    this.#places = [...candidates];
    this.#velocities = this.#next;
    this.#next = [];
  }

  protected override reason(): StopReason | null {
    return null;
  }

  /** The next position of particle i. */
  #fly(i: number): Float64Array {
    const x = this.#places[i];
    if (x === undefined) {
      this.#next[i] = new Float64Array(this.size);
      return this.anywhere(this.#spread);
    }
    const [v, own] = [this.#velocities[i] as Float64Array, this.#bests[i] as Float64Array];
    const random = () => Float64Array.from({ length: this.size }, () => this.draws.uniform());
    const next = swarmVelocity({ x, v, own, best: this.#bests[this.#leader(i)] as Float64Array }, this.#pulls, random(), random());
    this.#next[i] = next;
    return x.map((at, d) => at + (next[d] as number));
  }

  /** The neighbour of particle i, or i itself, that has seen the best place. */
  #leader(i: number): number {
    const n = this.#particles;
    const around = this.#ring ? [(i + n - 1) % n, i, (i + 1) % n] : Array.from(this.#costs.keys());
    return around.reduce((best, j) => ((this.#costs[j] as number) < (this.#costs[best] as number) ? j : best));
  }

  protected override fields(): Fields {
    return { places: this.#places, velocities: this.#velocities, next: this.#next, bests: this.#bests, costs: this.#costs };
  }

  protected override adopt(fields: FieldReader): () => void {
    const places = fields.list("places", { length: this.size });
    const count = places.length;
    if (![0, this.#particles].includes(count)) fields.refuse("places", "those of all particles or of none", count);
    const velocities = fields.list("velocities", { count, length: this.size });
    const next = fields.list("next", { length: this.size });
    if (![0, this.#particles].includes(next.length)) fields.refuse("next", "velocities of all particles or of none", next.length);
    const bests = fields.list("bests", { count, length: this.size });
    const costs = fields.vector("costs", count, { infinite: true });
    return () => {
      this.#places = places;
      this.#velocities = velocities;
      this.#next = next;
      this.#bests = bests;
      this.#costs = costs;
    };
  }
}
