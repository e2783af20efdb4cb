/** Evolution of cells: graphs mutate and are judged by how well their cells learn. */

import { checkFunction, checkOptions, checkWhole, withDefaults } from "../base/checks.ts";
import { ArgumentError } from "../base/errors.ts";
import { CELL_NODE_KINDS, type CellEdge, type CellGraph, type CellNodeKind, cellFault, elmanGraph, usedNodes } from "./cell-graph.ts";
import type { FieldReader, Fields } from "./fields.ts";
import { paretoFronts, paretoOrder } from "./pareto.ts";
import { orderOf } from "./ranks.ts";
import { SEARCH, Search, type SearchOptions, type StopReason } from "./search.ts";

export interface CellEvolutionOptions extends SearchOptions {
  /** The graph from which all start (default the simple recurrent cell). */
  readonly start?: CellGraph;
  /** Graphs per generation (default 12). */
  readonly population?: number;
  /** Number of costs of a graph (default 1): its errors on several tasks, say. */
  readonly objectives?: number;
  /** Number of the best that survive, with their costs (default 3; half of the population for several objectives). */
  readonly elite?: number;
  /** Size of a tournament for a parent (default 2). */
  readonly tournamentSize?: number;
  /** Most mutations of a child; each gets 1 up to this many (default 3). */
  readonly mutations?: number;
  /** Most nodes of a graph (default 24). */
  readonly maxNodes?: number;
}

/** Draws whole numbers below n. */
type Below = (n: number) => number;

/** Kinds that a node may become. */
const INNER: readonly CellNodeKind[] = ["sum", "product", "sigmoid", "tanh", "memory"];
const ATTEMPTS = 50;

const pick = <T>(list: readonly T[], below: Below): T => list[below(list.length)] as T;
const isInner = (kind: CellNodeKind | undefined): boolean => INNER.includes(kind as CellNodeKind);

type Mutation = (graph: CellGraph, below: Below) => CellGraph;

const addEdge: Mutation = ({ nodes, edges }, below) => {
  return { nodes, edges: [...edges, { from: below(nodes.length), to: below(nodes.length), weighted: false }] };
};

const removeEdge: Mutation = ({ nodes, edges }, below) => {
  const gone = below(edges.length);
  return { nodes, edges: edges.filter((_, k) => k !== gone) };
};

const rewireEdge: Mutation = ({ nodes, edges }, below) => {
  const moved = below(edges.length);
  const from = below(nodes.length);
  return { nodes, edges: edges.map((e, k) => (k === moved ? { ...e, from } : e)) };
};

/** Puts a node of any inner kind on an edge. */
const insertNode: Mutation = ({ nodes, edges }, below) => {
  const split = below(edges.length);
  const edge = edges[split] as CellEdge;
  const node = nodes.length;
  const rest = edges.filter((_, k) => k !== split);
  return { nodes: [...nodes, pick(INNER, below)], edges: [...rest, { ...edge, to: node }, { from: node, to: edge.to, weighted: false }] };
};

/** Adds a weighted sum of inputs and outputs that feeds a node. */
const addInput: Mutation = ({ nodes, edges }, below) => {
  return { nodes: [...nodes, "input"], edges: [...edges, { from: nodes.length, to: below(nodes.length), weighted: false }] };
};

const changeKind: Mutation = ({ nodes, edges }, below) => {
  const changed = below(nodes.length);
  const kind = pick(INNER, below);
  return { nodes: nodes.map((k, node) => (node === changed && isInner(k) ? kind : k)), edges };
};

const togglePeephole: Mutation = ({ nodes, edges }, below) => {
  const toggled = below(edges.length);
  return { nodes, edges: edges.map((e, k) => (k === toggled ? { ...e, weighted: !e.weighted } : e)) };
};

/** Copies a node and all that leads to it within a step. The copies read the same memories, and the node's copy feeds the same nodes. */
const duplicate: Mutation = ({ nodes, edges }, below) => {
  const top = below(nodes.length);
  if (!isInner(nodes[top])) return { nodes, edges };
  const copied = [top];
  for (const node of copied) {
    for (const e of edges) {
      if (e.to === node && nodes[e.from] !== "memory" && !copied.includes(e.from)) copied.push(e.from);
    }
  }
  const copyOf = new Map(copied.map((node, k) => [node, nodes.length + k]));
  const inner = edges
    .filter((e) => copyOf.has(e.to))
    .map((e) => ({ ...e, from: copyOf.get(e.from) ?? e.from, to: copyOf.get(e.to) as number }));
  const outer = edges.filter((e) => e.from === top && !copyOf.has(e.to)).map((e) => ({ ...e, from: copyOf.get(top) as number }));
  return { nodes: [...nodes, ...copied.map((node) => nodes[node] as CellNodeKind)], edges: [...edges, ...inner, ...outer] };
};

const MUTATIONS: readonly Mutation[] = [addEdge, removeEdge, rewireEdge, insertNode, addInput, changeKind, togglePeephole, duplicate];

/** Removes nodes that are on no path from an input to the output, and what a mutation broke: duplicate edges, edges into inputs or out of the output. */
export function repaired({ nodes, edges }: CellGraph): CellGraph {
  const sound = edges.filter((e, k) => {
    const first = edges.findIndex((other) => other.from === e.from && other.to === e.to) === k;
    return first && nodes[e.to] !== "input" && nodes[e.from] !== "output";
  });
  const used = usedNodes({ nodes, edges: sound });
  const place = new Map(used.map((node, k) => [node, k]));
  return {
    nodes: used.map((node) => nodes[node] as CellNodeKind),
    edges: sound.flatMap(({ from, to, weighted }) => {
      const [a, b] = [place.get(from), place.get(to)];
      return a === undefined || b === undefined ? [] : [{ from: a, to: b, weighted }];
    }),
  };
}

/**
 * A graph after one mutation: adds, removes or moves an edge, puts a node on an edge, adds an input, changes a node's kind, adds or removes an edge's weight, or
 * duplicates a part. Dead ends are removed. A mutation that leaves a cycle without memory, or no path to the output, is tried again.
 * @param below draws whole numbers below n
 */
export function mutateCell(graph: CellGraph, below: (n: number) => number, maxNodes = 24): CellGraph {
  const fault = cellFault(graph);
  if (fault !== null) throw new ArgumentError(`mutateCell: expected a graph of a cell, got ${fault}`);
  checkFunction("mutateCell", "below", below);
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const child = repaired(pick(MUTATIONS, below)(graph, below));
    if (child.nodes.length <= maxNodes && cellFault(child) === null) return child;
  }
  return graph;
}

/**
 * Evolution of cell structures: the best graphs survive, and winners of small tournaments have children with a few mutations. Candidates
 * are graphs; their cost is that of a `GraphCell` trained from new weights, so nothing learned is inherited. Among equal costs
 * the smaller graph wins. With several objectives the best are those that no other graph beats in all of them, and among these the ones
 * with the most room around them (NSGA-II, `paretoOrder`); `front` lists them.
 * @throws ArgumentError for an invalid graph, and for options out of their range
 * @see Bayer, Wierstra, Togelius and Schmidhuber, "Evolving memory cell structures for sequence learning", 2009
 * @see Deb, Pratap, Agarwal and Meyarivan, "A fast and elitist multiobjective genetic algorithm: NSGA-II", 2002
 * Deviates: written from the abstract and from memory.
 * @example await evolve(new CellEvolution({ maxGenerations: 8 }), (graph) => trainedLoss(new GraphCell({ inputSize: 2, hiddenSize: 8, graph })));
 */
export class CellEvolution extends Search<CellGraph> {
  readonly #options: Required<Omit<CellEvolutionOptions, keyof SearchOptions>>;
  #population: readonly CellGraph[] = [];
  #costs: Float64Array = new Float64Array(0);

  constructor(options: CellEvolutionOptions = {}) {
    checkOptions("CellEvolution", options, [
      "start",
      "population",
      "objectives",
      "elite",
      "tournamentSize",
      "mutations",
      "maxNodes",
      ...SEARCH,
    ]);
    const defaults = { start: elmanGraph, population: 12, objectives: 1, tournamentSize: 2, mutations: 3, maxNodes: 24 };
    const { start, population, objectives, tournamentSize, mutations, maxNodes, elite: given } = withDefaults(defaults, options);
    const elite = given ?? (objectives === 1 ? 3 : Math.floor(population / 2));
    const fault = cellFault(start);
    if (fault !== null) throw new ArgumentError(`CellEvolution: expected a graph of a cell as start, got ${fault}`);
    checkWhole("CellEvolution", "population", population, { least: 2 });
    checkWhole("CellEvolution", "elite", elite, { least: 1, below: population });
    for (const [name, value] of Object.entries({ objectives, tournamentSize, mutations, maxNodes }))
      checkWhole("CellEvolution", name, value, { least: 1 });
    const several = objectives === 1 ? {} : { objectives };
    super("CellEvolution", options, { start, population, elite, tournamentSize, mutations, maxNodes, ...several }, objectives);
    this.#options = { start, population, objectives, elite, tournamentSize, mutations, maxNodes };
  }

  protected override propose(): CellGraph[] {
    const { population, elite, start } = this.#options;
    if (this.#population.length === 0) return [start, ...Array.from({ length: population - 1 }, () => this.#mutated(start))];
    return Array.from({ length: population - elite }, () => this.#child());
  }

  protected override redraw(slot: number): [number, CellGraph][] {
    return [[slot, this.#population.length === 0 ? this.#mutated(this.#options.start) : this.#child()]];
  }

  protected override digest(candidates: readonly CellGraph[], costs: Float64Array): void {
    const kept = this.#population.length === 0 ? 0 : this.#options.elite;
    const { objectives } = this;
    const all = [...this.#population.slice(0, kept), ...candidates];
    const known = [...this.#costs.subarray(0, kept * objectives), ...costs];
    const costsOf = (i: number) => known.slice(i * objectives, (i + 1) * objectives);
    // Smaller graphs first, and then by cost, which keeps that order among equals.
    const bySize = orderOf(all.map((graph) => graph.nodes.length + graph.edges.length));
    const order = paretoOrder(bySize.flatMap(costsOf), objectives).map((k) => bySize[k] as number);
    this.#population = order.map((i) => all[i] as CellGraph);
    this.#costs = Float64Array.from(order.flatMap(costsOf));
  }

  /** The graphs of the population that no other one beats, with their costs. */
  get front(): { readonly graph: CellGraph; readonly costs: readonly number[] }[] {
    const { objectives } = this;
    const fronts = paretoFronts(this.#costs, objectives);
    return this.#population.flatMap((graph, i) => {
      return fronts[i] === 0 ? [{ graph, costs: [...this.#costs.subarray(i * objectives, (i + 1) * objectives)] }] : [];
    });
  }

  protected override reason(): StopReason | null {
    return null;
  }

  /** The population is sorted, so the lowest index wins. */
  #child(): CellGraph {
    const { tournamentSize } = this.#options;
    const places = Array.from({ length: tournamentSize }, () => this.draws.below(this.#population.length));
    return this.#mutated(this.#population[Math.min(...places)] as CellGraph);
  }

  #mutated(graph: CellGraph): CellGraph {
    const below = (n: number) => this.draws.below(n);
    let child = graph;
    for (let left = 1 + below(this.#options.mutations); left > 0; left--) child = mutateCell(child, below, this.#options.maxNodes);
    return child;
  }

  protected override pack(graph: CellGraph): Float64Array {
    const fault = cellFault(graph);
    if (fault !== null) throw new ArgumentError(`CellEvolution: expected a graph of a cell, got ${fault}`);
    const { nodes, edges } = graph;
    const kinds = nodes.map((kind) => CELL_NODE_KINDS.indexOf(kind));
    return Float64Array.from([nodes.length, ...kinds, ...edges.flatMap((e) => [e.from, e.to, Number(e.weighted)])]);
  }

  protected override unpack(packed: Float64Array): CellGraph {
    const count = packed[0] as number;
    const rest = packed.subarray(1 + count);
    const nodes = Array.from(packed.subarray(1, 1 + count), (kind) => CELL_NODE_KINDS[kind] as CellNodeKind);
    const edges = Array.from({ length: rest.length / 3 }, (_, k) => {
      return { from: rest[3 * k] as number, to: rest[3 * k + 1] as number, weighted: rest[3 * k + 2] === 1 };
    });
    return { nodes, edges };
  }

  protected override isPacked(packed: Float64Array): boolean {
    const [count] = packed;
    if (!(count !== undefined && Number.isInteger(count) && count >= 0 && count < packed.length) || (packed.length - 1 - count) % 3 !== 0) {
      return false;
    }
    return packed.length < 1e4 && cellFault(this.unpack(packed)) === null;
  }

  protected override fields(): Fields {
    return { population: this.#population.map((graph) => this.pack(graph)), costs: this.#costs };
  }

  protected override adopt(fields: FieldReader): () => void {
    const population = fields.list("population").map((packed) => {
      if (!this.isPacked(packed)) fields.refuse("population", "graphs of cells", packed.length);
      return this.unpack(packed);
    });
    if (![0, this.#options.population].includes(population.length)) fields.refuse("population", "all graphs or none", population.length);
    const costs = fields.vector("costs", population.length * this.objectives, { infinite: true });
    return () => {
      this.#population = population;
      this.#costs = costs;
    };
  }
}
