/** NeuroEvolution of augmenting topologies: networks grow, and are compared and crossed by the history of their genes. */

import {
  checkFlag,
  checkFunction,
  checkList,
  checkNumber,
  checkObject,
  checkOptions,
  checkWhole,
  isRecord,
  withDefaults,
} from "../base/checks.ts";
import { ArgumentError, DTypeError, ShapeError } from "../base/errors.ts";
import { quote } from "../base/quote.ts";
import type { FieldReader, Fields } from "./fields.ts";
import { orderOf } from "./ranks.ts";
import { SEARCH, Search, type SearchOptions, type StopReason } from "./search.ts";

/** A connection gene. */
export interface NeatConnection {
  readonly from: number;
  readonly to: number;
  readonly weight: number;
  readonly enabled: boolean;
  /** Equal for equal structures that arose in one generation; identifies matching genes. */
  readonly innovation: number;
}

/**
 * A network: nodes 0 … inputs − 1 are the inputs, node `inputs` is the bias; outputs follow, then hidden nodes.
 * Connections are in order of innovation.
 */
export interface NeatGenome {
  readonly inputs: number;
  readonly outputs: number;
  readonly hidden: readonly number[];
  readonly connections: readonly NeatConnection[];
}

export interface NEATOptions extends SearchOptions {
  readonly inputs: number;
  readonly outputs: number;
  /** Genomes per generation (default 150). */
  readonly population?: number;
  /** Fitness from a cost, at least 0, which species share (default 1/(1 + cost), for costs of at least 0). */
  readonly fitness?: (cost: number) => number;
  /** Whether connections may close cycles (default true). */
  readonly recurrent?: boolean;
  /** Coefficients of excess and disjoint genes and of the mean difference of weights in the distance (default 1, 1, 0.4). */
  readonly distance?: readonly [excess: number, disjoint: number, weights: number];
  /** Largest distance of two genomes of one species; the initial one if `species` adapts it (default 3). */
  readonly threshold?: number;
  /** Target number of species, towards which the threshold moves by 0.3 per generation (default [5, 15]); null keeps the threshold fixed, as in the paper. */
  readonly species?: readonly [least: number, most: number] | null;
  /**
   * Generations without improvement after which a species has no more children, unless it has the best genome of all (default 15). After five more
   * without improvement in any species, only the two best species continue, and their count starts again.
   */
  readonly stagnation?: number;
  /** Share of a species that may become parents (default 0.2). */
  readonly survivors?: number;
  /** Probability of changing the weights of a child whose structure stays (default 0.8). */
  readonly weightRate?: number;
  /** Standard deviation of a change (default 1.5); that of new weights is 1. */
  readonly weightStep?: number;
  /** The probability of a new node (default 0.03). */
  readonly nodeRate?: number;
  /** The probability of a new connection if there is no new node (default 0.05). */
  readonly connectionRate?: number;
}

/** Share of changing weights that are perturbed; the others are replaced. */
const MOVED = 0.9;
/** Probability that a gene disabled in a parent is disabled in the child. */
const STAYS_DISABLED = 0.75;
/** Share of children with only one parent, and among those with two, share whose second parent is of another species. */
const ONE_PARENT = 0.25;
const ANOTHER_SPECIES = 0.001;
/** Species larger than this keep their champion unchanged. */
const LARGE = 5;
/** Genomes with fewer genes do not normalise differences by size. */
const SMALL_GENOME = 20;
const THRESHOLD_STEP = 0.3;
/** Number of generations that the whole population may stagnate beyond the limit of a species. */
const PATIENCE = 5;
const ATTEMPTS = 20;

/** What is wrong with the nodes and connections of a network; null if nothing is. */
export function genomeFault({ inputs, outputs, hidden, connections }: NeatGenome): string | null {
  const first = inputs + 1 + outputs;
  const known = new Set([...Array(first).keys(), ...hidden]);
  if (known.size !== first + hidden.length) return "a hidden node twice";
  if (!hidden.every((node) => Number.isSafeInteger(node) && node >= first)) return `hidden nodes other than whole numbers from ${first} on`;
  const wrong = connections.findIndex((g) => !(isRecord(g) && known.has(g.from) && known.has(g.to) && g.to > inputs));
  if (wrong !== -1) return `connection ${wrong} from or to no node that it may be from or to`;
  const other = connections.findIndex((g) => !Number.isFinite(g.weight) || typeof g.enabled !== "boolean");
  return other === -1 ? null : `connection ${other} without weight, or neither enabled nor disabled`;
}

/** @throws DTypeError for anything but a genome */
export function checkGenome(op: string, genome: unknown): void {
  checkObject(op, "a genome", genome);
  const { connections, hidden } = genome as { connections?: unknown; hidden?: unknown };
  checkList(op, "connections", connections);
  checkList(op, "hidden", hidden);
  const wrong = connections.findIndex((gene) => !isRecord(gene));
  if (wrong !== -1) throw new DTypeError(`${op}: expected connections as objects, got ${quote(connections[wrong])}`);
}

/** δ = c₁ E/N + c₂ D/N + c₃ W̄: excess and disjoint genes, and the mean difference of the weights of matching ones; N is 1 for small genomes. */
export function neatDistance(a: NeatGenome, b: NeatGenome, coefficients: readonly [number, number, number] = [1, 1, 0.4]): number {
  checkList("neatDistance", "coefficients", coefficients);
  const [c1, c2, c3] = coefficients;
  checkGenome("neatDistance", a);
  checkGenome("neatDistance", b);
  const [x, y] = [a.connections, b.connections];
  let [i, j, disjoint, matching, difference] = [0, 0, 0, 0, 0];
  while (i < x.length && j < y.length) {
    const [p, q] = [x[i] as NeatConnection, y[j] as NeatConnection];
    if (p.innovation === q.innovation) {
      matching++;
      difference += Math.abs(p.weight - q.weight);
    } else disjoint++;
    if (p.innovation <= q.innovation) i++;
    if (q.innovation <= p.innovation) j++;
  }
  const excess = x.length - i + (y.length - j);
  const size = Math.max(x.length, y.length);
  const n = size < SMALL_GENOME ? 1 : size;
  return (c1 * excess) / n + (c2 * disjoint) / n + (matching === 0 ? 0 : (c3 * difference) / matching);
}

/**
 * The child of two genomes: takes matching genes from either at random, the others from the fitter one. A gene disabled in either parent is
 * disabled with probability 0.75, else enabled, so genes can be enabled again even if both parents have them disabled.
 * @param uniform numbers in [0, 1)
 */
export function neatCrossover(fitter: NeatGenome, other: NeatGenome, uniform: () => number): NeatGenome {
  checkGenome("neatCrossover", fitter);
  checkGenome("neatCrossover", other);
  const others = new Map(other.connections.map((gene) => [gene.innovation, gene]));
  const connections = fitter.connections.map((own) => {
    const match = others.get(own.innovation);
    const { weight } = match !== undefined && uniform() >= 0.5 ? match : own;
    const sound = own.enabled && match?.enabled !== false;
    return { ...own, weight, enabled: sound || uniform() >= STAYS_DISABLED };
  });
  return { ...fitter, connections };
}

/** Structures that arose in a generation, so that equal ones get equal numbers. */
class Innovations {
  readonly #connections: Map<string, number> = new Map();
  readonly #nodes: Map<number, number> = new Map();
  nextConnection: number;
  nextNode: number;

  constructor(nextConnection: number, nextNode: number) {
    this.nextConnection = nextConnection;
    this.nextNode = nextNode;
  }

  connection(from: number, to: number): number {
    const key = `${from},${to}`;
    const known = this.#connections.get(key) ?? this.nextConnection++;
    this.#connections.set(key, known);
    return known;
  }

  /** The node that splits a connection; a new one if the genome already has it. */
  node(innovation: number, taken: ReadonlySet<number>): number {
    const known = this.#nodes.get(innovation);
    if (known !== undefined && !taken.has(known)) return known;
    this.#nodes.set(innovation, this.nextNode);
    return this.nextNode++;
  }

  /** Starts a new table for the next generation. */
  forget(): void {
    this.#connections.clear();
    this.#nodes.clear();
  }

  save(): Float64Array[] {
    const connections = [...this.#connections].flatMap(([key, number]) => [...key.split(",").map(Number), number]);
    return [
      Float64Array.of(this.nextConnection, this.nextNode),
      Float64Array.from(connections),
      Float64Array.from([...this.#nodes].flat()),
    ];
  }

  static read(fields: FieldReader, name: string): Innovations {
    const whole = { least: 0, whole: true };
    const [next, connections, nodes] = fields.list(name, { count: 3, ...whole }) as [Float64Array, Float64Array, Float64Array];
    if (next.length !== 2 || connections.length % 3 !== 0 || nodes.length % 2 !== 0)
      fields.refuse(name, "a table of innovations", next.length);
    const table = new Innovations(next[0] as number, next[1] as number);
    for (let i = 0; i < connections.length; i += 3) {
      table.#connections.set(`${connections[i]},${connections[i + 1]}`, connections[i + 2] as number);
    }
    for (let i = 0; i < nodes.length; i += 2) table.#nodes.set(nodes[i] as number, nodes[i + 1] as number);
    return table;
  }
}

/** A species, as kept for the next generation. */
interface Species {
  /** The member to which the next generation is compared. */
  readonly representative: NeatGenome;
  /** Possible parents, best first, and their costs. */
  readonly parents: readonly NeatGenome[];
  readonly costs: readonly number[];
  readonly size: number;
  /** Number of children in the next generation. */
  readonly quota: number;
  readonly bestCost: number;
  /** The generation that reached it. */
  readonly improved: number;
}

/**
 * NEAT: networks start without hidden nodes and grow. Genes carry the number of the innovation from which they came. By these numbers, networks with
 * different topologies are crossed and compared. Similar ones form a species, share their fitness, and have children among
 * themselves in proportion to it.
 *
 * Candidates are genomes; `NeatNetwork` runs them. Memory and time per generation are O(population · (genes + species · genes)).
 * @throws ArgumentError for options out of their range; from `tell`, for costs whose fitness is not a number of at least 0
 * @see Stanley and Miikkulainen, "Evolving neural networks through augmenting topologies", 2002 (parameters from memory)
 * Deviates: the threshold adapts to the number of species, unless `species` is null; a child's weights stay the same if its structure changes, as in the
 * authors' program (from memory); weights change by normal numbers.
 * @example
 * const search = new NEAT({ inputs: 2, outputs: 1, fitness: (cost) => (4 - cost) ** 2, target: 0.1 });
 * const { best } = await evolve(search, (genome) => errorOf(new NeatNetwork(genome)));
 */
export class NEAT extends Search<NeatGenome> {
  readonly #options: Required<Omit<NEATOptions, keyof SearchOptions | "fitness">>;
  readonly #fitness: (cost: number) => number;
  #innovations: Innovations;
  #species: readonly Species[] = [];
  #threshold: number;
  #generation = 0;
  /** The lowest cost, and the generation that reached it, or in which the search restarted from two species. */
  #record = { cost: Number.POSITIVE_INFINITY, generation: 0 };
  /** The species of the parents in each slot. */
  #origins: Float64Array = new Float64Array(0);

  constructor(options: NEATOptions) {
    checkOptions("NEAT", options, [
      "inputs",
      "outputs",
      "population",
      "fitness",
      "recurrent",
      "distance",
      "threshold",
      "species",
      "stagnation",
      "survivors",
      "weightRate",
      "weightStep",
      "nodeRate",
      "connectionRate",
      ...SEARCH,
    ]);
    const defaults = {
      population: 150,
      fitness: (cost: number) => 1 / (1 + cost),
      recurrent: true,
      distance: [1, 1, 0.4] as readonly [number, number, number],
      threshold: 3,
      species: [5, 15] as readonly [number, number] | null,
      stagnation: 15,
      survivors: 0.2,
      weightRate: 0.8,
      weightStep: 1.5,
      nodeRate: 0.03,
      connectionRate: 0.05,
    };
    const { generator: _, target: _t, maxEvaluations: _e, maxGenerations: _m, fitness, ...own } = withDefaults(defaults, options);
    checkFunction("NEAT", "fitness", fitness);
    checkFlag("NEAT", "recurrent", own.recurrent);
    checkList("NEAT", "distance", own.distance);
    if (own.distance.length !== 3) throw new ShapeError(`NEAT: expected 3 coefficients of the distance, got ${own.distance.length}`);
    for (const name of ["inputs", "outputs", "population", "stagnation"] as const) checkWhole("NEAT", name, own[name], { least: 1 });
    for (const [i, c] of own.distance.entries()) checkNumber("NEAT", `distance[${i}]`, c, { least: 0 });
    if (own.species !== null) checkSpecies(own.species);
    checkNumber("NEAT", "threshold", own.threshold, { above: 0 });
    checkNumber("NEAT", "weightStep", own.weightStep, { least: 0 });
    for (const name of ["survivors", "weightRate", "nodeRate", "connectionRate"] as const) {
      checkNumber("NEAT", name, own[name], { least: 0, most: 1 });
    }
    super("NEAT", options, own);
    this.#options = own;
    this.#fitness = fitness;
    this.#threshold = own.threshold;
    this.#innovations = new Innovations((own.inputs + 1) * own.outputs, own.inputs + 1 + own.outputs);
  }

  /** Species of the last generation. */
  get speciesCount(): number {
    return this.#species.length;
  }

  protected override checkCost(cost: number): void {
    const fitness = cost === Number.POSITIVE_INFINITY ? 0 : this.#fitness(cost);
    if (typeof fitness === "number" && fitness >= 0 && fitness < Number.POSITIVE_INFINITY) return;
    throw new ArgumentError(`tell: expected costs whose fitness is at least 0 and finite, got the fitness ${quote(fitness)} of ${cost}`);
  }

  protected override propose(): NeatGenome[] {
    this.#innovations.forget();
    if (this.#species.length === 0) {
      this.#origins = new Float64Array(this.#options.population).fill(-1);
      return Array.from({ length: this.#options.population }, () => this.#simple());
    }
    this.#origins = Float64Array.from(this.#species.flatMap(({ quota }, s) => new Array<number>(quota).fill(s)));
    return this.#species.flatMap((species) =>
      Array.from({ length: species.quota }, (_, k) =>
        k === 0 && species.size > LARGE ? (species.parents[0] as NeatGenome) : this.#child(species),
      ),
    );
  }

  protected override redraw(slot: number): [number, NeatGenome][] {
    const species = this.#species[this.#origins[slot] as number];
    return [[slot, species === undefined ? this.#simple() : this.#child(species)]];
  }

  protected override digest(candidates: readonly NeatGenome[], costs: Float64Array): void {
    const fitness = costs.map((cost) => (cost === Number.POSITIVE_INFINITY ? 0 : this.#fitness(cost)));
    this.#generation++;
    const groups = this.#speciate(candidates);
    const found = groups.map(({ members, before }): Species & { readonly shared: number } => {
      const order = orderOf(members.map((i) => costs[i] as number)).map((k) => members[k] as number);
      const bestCost = costs[order[0] as number] as number;
      const better = before === undefined || bestCost < before.bestCost;
      const parents = order.slice(0, Math.max(1, Math.ceil(this.#options.survivors * order.length)));
      return {
        representative: candidates[members[this.draws.below(members.length)] as number] as NeatGenome,
        parents: parents.map((i) => candidates[i] as NeatGenome),
        costs: parents.map((i) => costs[i] as number),
        size: members.length,
        quota: 0,
        bestCost: better ? bestCost : before.bestCost,
        improved: better ? this.#generation : before.improved,
        // f/|species|, summed over its members.
        shared: members.reduce((sum, i) => sum + (fitness[i] as number), 0) / members.length,
      };
    });
    const alive = this.#breeding(found);
    const quotas = apportion(
      alive.map((s) => s.shared),
      this.#options.population,
    );
    this.#species = alive.map(({ shared: _, ...s }, i) => ({ ...s, quota: quotas[i] as number })).filter((s) => s.quota > 0);
    this.#moveThreshold(found.length);
  }

  /** The species that have children: those that still improve and the one with the best genome, or the best two once nothing improves. */
  #breeding<S extends Species>(found: readonly S[]): readonly S[] {
    const { stagnation } = this.#options;
    const [generation, least] = [this.#generation, Math.min(...found.map((s) => s.costs[0] as number))];
    if (least < this.#record.cost) this.#record = { cost: least, generation };
    if (generation - this.#record.generation < stagnation + PATIENCE) {
      return found.filter((s) => generation - s.improved < stagnation || s.costs[0] === least);
    }
    this.#record = { cost: this.#record.cost, generation };
    const two = orderOf(found.map((s) => s.costs[0] as number)).slice(0, 2);
    return found.filter((_, i) => two.includes(i)).map((s) => ({ ...s, bestCost: s.costs[0] as number, improved: generation }));
  }

  #moveThreshold(species: number): void {
    if (this.#options.species === null) return;
    const [few, many] = this.#options.species;
    if (species < few) this.#threshold = Math.max(THRESHOLD_STEP, this.#threshold - THRESHOLD_STEP);
    if (species > many) this.#threshold += THRESHOLD_STEP;
  }

  protected override reason(): StopReason | null {
    return null;
  }

  /** Members by species, in the order of the previous species, without empty ones. */
  #speciate(candidates: readonly NeatGenome[]): { readonly members: number[]; readonly before: Species | undefined }[] {
    const groups: { representative: NeatGenome; members: number[]; before: Species | undefined }[] = this.#species.map((before) => ({
      representative: before.representative,
      members: [],
      before,
    }));
    candidates.forEach((genome, i) => {
      const home = groups.find((g) => neatDistance(genome, g.representative, this.#options.distance) < this.#threshold);
      if (home === undefined) groups.push({ representative: genome, members: [i], before: undefined });
      else home.members.push(i);
    });
    return groups.filter((g) => g.members.length > 0);
  }

  /** Connects every input and the bias to every output. */
  #simple(): NeatGenome {
    const { inputs, outputs } = this.#options;
    const weights = this.draws.normals((inputs + 1) * outputs);
    const connections = Array.from(weights, (weight, k) => {
      const [from, to] = [k % (inputs + 1), inputs + 1 + Math.floor(k / (inputs + 1))];
      return { from, to, weight, enabled: true, innovation: k };
    });
    return { inputs, outputs, hidden: [], connections };
  }

  #child(species: Species): NeatGenome {
    const one = this.draws.below(species.parents.length);
    const first = species.parents[one] as NeatGenome;
    if (this.draws.uniform() < ONE_PARENT) return this.#mutated(first);
    const partners = this.draws.uniform() < ANOTHER_SPECIES ? (this.#species[this.draws.below(this.#species.length)] as Species) : species;
    const two = this.draws.below(partners.parents.length);
    const second = partners.parents[two] as NeatGenome;
    const [a, b] = [species.costs[one] as number, partners.costs[two] as number];
    // Among equals, the smaller counts as fitter.
    const firstFitter = a < b || (a === b && first.connections.length <= second.connections.length);
    const uniform = () => this.draws.uniform();
    return this.#mutated(firstFitter ? neatCrossover(first, second, uniform) : neatCrossover(second, first, uniform));
  }

  /** Makes one change, of structure or else of weights. */
  #mutated(genome: NeatGenome): NeatGenome {
    const { nodeRate, connectionRate, weightRate } = this.#options;
    if (this.draws.uniform() < nodeRate) return this.#withNode(genome);
    if (this.draws.uniform() < connectionRate) return this.#withConnection(genome);
    return this.draws.uniform() < weightRate ? this.#withWeights(genome) : genome;
  }

  #withWeights(genome: NeatGenome): NeatGenome {
    const steps = this.draws.normals(genome.connections.length);
    const connections = genome.connections.map((gene, k) => {
      const step = steps[k] as number;
      const moved = this.draws.uniform() < MOVED;
      return { ...gene, weight: moved ? gene.weight + this.#options.weightStep * step : step };
    });
    return { ...genome, connections };
  }

  /** Splits an enabled connection that does not come from the bias into one of weight 1 and one of the old weight. */
  #withNode(genome: NeatGenome): NeatGenome {
    const open = genome.connections.filter((gene) => gene.enabled && gene.from !== genome.inputs);
    if (open.length === 0) return genome;
    const split = open[this.draws.below(open.length)] as NeatConnection;
    const node = this.#innovations.node(split.innovation, new Set(genome.hidden));
    const gene = (from: number, to: number, weight: number) => {
      return { from, to, weight, enabled: true, innovation: this.#innovations.connection(from, to) };
    };
    const rest = genome.connections.map((other) => (other === split ? { ...other, enabled: false } : other));
    return withGenes({ ...genome, hidden: [...genome.hidden, node] }, rest, [
      gene(split.from, node, 1),
      gene(node, split.to, split.weight),
    ]);
  }

  #withConnection(genome: NeatGenome): NeatGenome {
    const first = genome.inputs + 1;
    const nodes = [...Array(first + genome.outputs).keys(), ...genome.hidden];
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const from = nodes[this.draws.below(nodes.length)] as number;
      const to = nodes[first + this.draws.below(nodes.length - first)] as number;
      if (genome.connections.some((gene) => gene.from === from && gene.to === to)) continue;
      if (!this.#options.recurrent && leads(genome, to, from)) continue;
      const [weight] = this.draws.normals(1) as unknown as [number];
      const innovation = this.#innovations.connection(from, to);
      return withGenes(genome, genome.connections, [{ from, to, weight, enabled: true, innovation }]);
    }
    return genome;
  }

  protected override pack(genome: NeatGenome): Float64Array {
    checkGenome(this.kind, genome);
    const { inputs, outputs, hidden, connections } = genome;
    const first = 3 + hidden.length;
    const packed = new Float64Array(first + 5 * connections.length);
    packed.set([inputs, outputs, hidden.length, ...hidden]);
    for (const [k, g] of connections.entries()) packed.set([g.from, g.to, g.weight, Number(g.enabled), g.innovation], first + 5 * k);
    return packed;
  }

  protected override unpack(packed: Float64Array): NeatGenome {
    const [inputs, outputs, count] = packed as unknown as [number, number, number];
    const genes = packed.subarray(3 + count);
    const at = (k: number, field: number) => genes[5 * k + field] as number;
    return {
      inputs,
      outputs,
      hidden: [...packed.subarray(3, 3 + count)],
      connections: Array.from({ length: genes.length / 5 }, (_, k) => {
        return { from: at(k, 0), to: at(k, 1), weight: at(k, 2), enabled: at(k, 3) === 1, innovation: at(k, 4) };
      }),
    };
  }

  protected override isPacked(packed: Float64Array): boolean {
    const [inputs, outputs, count] = packed;
    if (inputs !== this.#options.inputs || outputs !== this.#options.outputs) return false;
    if (!(count !== undefined && Number.isInteger(count) && count >= 0 && count <= packed.length - 3)) return false;
    if ((packed.length - 3 - count) % 5 !== 0) return false;
    const genome = this.unpack(packed);
    if (genomeFault(genome) !== null) return false;
    const { connections } = genome;
    return connections.every((g, k) => {
      const after = k === 0 ? -1 : (connections[k - 1] as NeatConnection).innovation;
      const flag = packed[3 + count + 5 * k + 3];
      return Number.isSafeInteger(g.innovation) && g.innovation > after && (flag === 0 || flag === 1);
    });
  }

  protected override fields(): Fields {
    const pack = (genome: NeatGenome) => this.pack(genome);
    return {
      innovations: this.#innovations.save(),
      representatives: this.#species.map((s) => pack(s.representative)),
      parents: this.#species.flatMap((s) => s.parents.map(pack)),
      costs: this.#species.map((s) => Float64Array.from(s.costs)),
      species: this.#species.map((s) => Float64Array.of(s.size, s.quota, s.bestCost, s.improved)),
      threshold: this.#threshold,
      generation: this.#generation,
      recordCost: this.#record.cost,
      recordGeneration: this.#record.generation,
      origins: this.#origins,
    };
  }

  protected override adopt(fields: FieldReader): () => void {
    const genomes = (name: string, count?: number) =>
      fields.list(name, count === undefined ? {} : { count }).map((packed) => {
        if (!this.isPacked(packed)) fields.refuse(name, "genomes", packed.length);
        return this.unpack(packed);
      });
    const innovations = Innovations.read(fields, "innovations");
    const representatives = genomes("representatives");
    const count = representatives.length;
    const costs = fields.list("costs", { count, infinite: true });
    const parents = genomes(
      "parents",
      costs.reduce((n, own) => n + own.length, 0),
    );
    const numbers = fields.list("species", { count, length: 4, infinite: true });
    const { population } = this.#options;
    let next = 0;
    const species = numbers.map((of, i): Species => {
      const [size, quota, bestCost, improved] = of as unknown as [number, number, number, number];
      const own = [...(costs[i] as Float64Array)];
      const counts = [size, quota, improved].every((n) => Number.isSafeInteger(n) && n >= 0);
      if (!counts || own.length === 0 || quota > population) fields.refuse("species", "sizes and quotas", of);
      next += own.length;
      const representative = representatives[i] as NeatGenome;
      return { representative, parents: parents.slice(next - own.length, next), costs: own, size, quota, bestCost, improved };
    });
    const children = species.reduce((n, s) => n + s.quota, 0);
    if (count > 0 && children !== population) fields.refuse("species", `quotas of ${population} in all`, children);
    const threshold = fields.number("threshold", { least: 0 });
    const generation = fields.number("generation", { least: 0, whole: true });
    const record = {
      cost: fields.number("recordCost", { infinite: true }),
      generation: fields.number("recordGeneration", { least: 0, whole: true }),
    };
    const origins = fields.vector("origins", undefined, { least: -1, whole: true });
    return () => {
      this.#innovations = innovations;
      this.#species = species;
      this.#threshold = threshold;
      this.#generation = generation;
      this.#record = record;
      this.#origins = origins;
    };
  }
}

function checkSpecies(species: readonly [number, number]): void {
  checkList("NEAT", "species", species);
  if (species.length !== 2) throw new ShapeError(`NEAT: expected species as [least, most], got ${species.length} numbers`);
  for (const [i, n] of species.entries()) checkWhole("NEAT", `species[${i}]`, n, { least: i === 0 ? 1 : species[0] });
}

/** Adds genes to a genome, all in order of innovation. */
function withGenes(genome: NeatGenome, genes: readonly NeatConnection[], more: readonly NeatConnection[]): NeatGenome {
  return { ...genome, connections: [...genes, ...more].sort((a, b) => a.innovation - b.innovation) };
}

/** Whether connections, including disabled ones, lead from one node to another. */
function leads(genome: NeatGenome, from: number, to: number): boolean {
  const seen = new Set([from]);
  for (const node of seen) {
    if (node === to) return true;
    for (const gene of genome.connections) if (gene.from === node) seen.add(gene.to);
  }
  return false;
}

/** Divides `total` into whole parts in proportion to shares, by largest remainders; equal parts if all shares are 0. */
function apportion(shares: readonly number[], total: number): number[] {
  const sum = shares.reduce((a, b) => a + b, 0);
  const exact = shares.map((share) => (sum > 0 ? (share / sum) * total : total / shares.length));
  const parts = exact.map(Math.floor);
  const order = orderOf(exact.map((e, i) => (parts[i] as number) - e));
  const left = total - parts.reduce((a, b) => a + b, 0);
  for (const i of order.slice(0, left)) parts[i] = (parts[i] as number) + 1;
  return parts;
}
