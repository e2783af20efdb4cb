/** A cell as a graph of typed nodes, tiled into units, and the recurrence that it defines. */

import { checkSizes, isRecord, optionsOf } from "../base/checks.ts";
import { ArgumentError } from "../base/errors.ts";
import { LAYER, type LayerOptions, uniformParameter } from "../nn/layers.ts";
import type { Parameter } from "../nn/module.ts";
import { add, mul } from "../ops/arithmetic.ts";
import { linear } from "../ops/linear.ts";
import { sigmoid, tanh } from "../ops/math.ts";
import { Cell } from "../recurrence/recurrence.ts";
import { zeros } from "../tensor/create.ts";
import type { Tensor } from "../tensor/tensor.ts";

/**
 * What a node does with the sum of its inputs: "sum" passes it on, "sigmoid" and "tanh" squash it, "memory" delays it by a step. A
 * "product" multiplies instead of summing. An "input" has no incoming edge: it is W x + R y + b, with weights of its own, of the inputs x and the
 * previous outputs y of all units. The single "output" returns its sum.
 */
export type CellNodeKind = "input" | "sum" | "product" | "sigmoid" | "tanh" | "memory" | "output";

export const CELL_NODE_KINDS: readonly CellNodeKind[] = ["input", "sum", "product", "sigmoid", "tanh", "memory", "output"];

/** A connection of a cell's graph, from one node to another by their indices. */
export interface CellEdge {
  readonly from: number;
  readonly to: number;
  /** Whether it has a weight per unit, like a peephole. */
  readonly weighted: boolean;
}

/** A recurrent cell as a graph. */
export interface CellGraph {
  readonly nodes: readonly CellNodeKind[];
  readonly edges: readonly CellEdge[];
}

const plain = (from: number, to: number): CellEdge => ({ from, to, weighted: false });

/** The simple recurrent cell: y = tanh(W x + R y + b). */
export const elmanGraph: CellGraph = { nodes: ["input", "tanh", "output"], edges: [plain(0, 1), plain(1, 2)] };

/** Long short-term memory: inputs 0 to 3 are those of i, f, g and o. */
export const lstmGraph: CellGraph = {
  nodes: [
    "input",
    "input",
    "input",
    "input",
    "sigmoid",
    "sigmoid",
    "tanh",
    "sigmoid",
    "product",
    "memory",
    "product",
    "sum",
    "tanh",
    "product",
    "output",
  ],
  edges: [
    ...[0, 1, 2, 3].map((gate) => plain(gate, gate + 4)),
    // i·g, and f times the memory
    ...[plain(4, 8), plain(6, 8), plain(5, 10), plain(9, 10)],
    // c, which is remembered, and o·tanh(c)
    ...[plain(8, 11), plain(10, 11), plain(11, 9), plain(11, 12), plain(7, 13), plain(12, 13), plain(13, 14)],
  ],
};

/**
 * The nodes, ordered such that each follows those that it reads in the same step; memories and inputs come first.
 * @returns null if a cycle passes no memory
 */
export function evaluationOrder({ nodes, edges }: CellGraph): number[] | null {
  const order = nodes.flatMap((kind, node) => (kind === "memory" || kind === "input" ? [node] : []));
  const done = new Set(order);
  for (;;) {
    const next = nodes.findIndex((_, node) => !done.has(node) && edges.every((e) => e.to !== node || done.has(e.from)));
    if (next === -1) return done.size === nodes.length ? order : null;
    done.add(next);
    order.push(next);
  }
}

/** Nodes reachable from some nodes, including these; with `back`, nodes from which these are reachable. */
function reached({ edges }: CellGraph, from: readonly number[], back = false): Set<number> {
  const seen = new Set(from);
  for (const node of seen) for (const e of edges) if ((back ? e.to : e.from) === node) seen.add(back ? e.from : e.to);
  return seen;
}

const ofKind = ({ nodes }: CellGraph, kind: CellNodeKind): number[] => nodes.flatMap((k, node) => (k === kind ? [node] : []));

/** The nodes on a path from an input to the output. */
export function usedNodes(graph: CellGraph): number[] {
  const [after, before] = [reached(graph, ofKind(graph, "input")), reached(graph, ofKind(graph, "output"), true)];
  return [...graph.nodes.keys()].filter((node) => after.has(node) && before.has(node));
}

/** What is wrong with a graph; null if nothing is. */
export function cellFault(graph: CellGraph): string | null {
  const { nodes, edges } = graph ?? {};
  if (!Array.isArray(nodes) || !Array.isArray(edges)) return "no lists of nodes and edges";
  if (!nodes.every((kind) => CELL_NODE_KINDS.includes(kind))) return "a node of no known kind";
  const outputs = ofKind(graph, "output");
  if (outputs.length !== 1) return `${outputs.length} outputs`;
  const known = (node: unknown) => Number.isInteger(node) && (node as number) >= 0 && (node as number) < nodes.length;
  if (!edges.every((e) => isRecord(e) && known(e.from) && known(e.to) && typeof e.weighted === "boolean")) return "an edge of no node";
  if (new Set(edges.map((e) => `${e.from},${e.to}`)).size < edges.length) return "an edge twice";
  if (edges.some((e) => nodes[e.to] === "input")) return "an edge into an input";
  if (edges.some((e) => nodes[e.from] === "output")) return "an edge out of the output";
  if (evaluationOrder(graph) === null) return "a cycle without memory";
  return usedNodes(graph).length === nodes.length ? null : "a node on no way from an input to the output";
}

export interface GraphCellOptions extends LayerOptions {
  readonly inputSize: number;
  readonly hiddenSize: number;
  readonly graph: CellGraph;
}

/**
 * A layer of units that are copies of a graph, each with its own weights. Every input node k has `weightIh.k` [H,I],
 * `weightHh.k` [H,H] and `bias.k` [H]; every weighted edge, in order, has a weight `peephole.k` [H]; all from U(±1/√H).
 * State: y [B,H], then the memories [B,H] in order of nodes, initially zero. From x [B,I] to y [B,H].
 * @throws ArgumentError for an invalid graph: one with a cycle without memory, or without a path from an input to the output
 * @see Bayer, Wierstra, Togelius and Schmidhuber, "Evolving memory cell structures for sequence learning", 2009
 * Deviates: written from the abstract and from memory; "identity" is a sum of one.
 * @example new GraphCell({ inputSize: 4, hiddenSize: 8, graph: lstmGraph })
 */
export class GraphCell extends Cell<readonly Tensor[]> {
  readonly inputSize: number;
  readonly outputSize: number;
  readonly graph: CellGraph;
  readonly weightIh: readonly Parameter[];
  readonly weightHh: readonly Parameter[];
  readonly bias: readonly Parameter[];
  readonly peephole: readonly Parameter[];
  readonly #order: readonly number[];
  readonly #memories: readonly number[];

  constructor(options: GraphCellOptions) {
    super();
    const { inputSize: I, hiddenSize: H, graph } = optionsOf("GraphCell", options, ["inputSize", "hiddenSize", "graph", ...LAYER]);
    checkSizes("GraphCell", { inputSize: I, hiddenSize: H });
    const fault = cellFault(graph);
    if (fault !== null) throw new ArgumentError(`GraphCell: expected a graph of a cell, got ${fault}`);
    this.inputSize = I;
    this.outputSize = H;
    this.graph = graph;
    this.#order = evaluationOrder(graph) as number[];
    this.#memories = ofKind(graph, "memory");
    const bound = 1 / Math.sqrt(H);
    const inputs = ofKind(graph, "input");
    this.weightIh = inputs.map(() => uniformParameter([H, I], bound, options));
    this.weightHh = inputs.map(() => uniformParameter([H, H], bound, options));
    this.bias = inputs.map(() => uniformParameter([H], bound, options));
    this.peephole = graph.edges.filter((e) => e.weighted).map(() => uniformParameter([H], bound, options));
  }

  initialState(batch: number): readonly Tensor[] {
    const dtype = (this.bias[0] as Parameter).dtype;
    return Array.from({ length: 1 + this.#memories.length }, () => zeros([batch, this.outputSize], dtype));
  }

  step(x: Tensor, [y, ...memories]: readonly Tensor[]): [y: Tensor, next: readonly Tensor[]] {
    const { nodes } = this.graph;
    const values: Tensor[] = [];
    this.#memories.forEach((node, k) => {
      values[node] = memories[k] as Tensor;
    });
    let input = 0;
    for (const node of this.#order) {
      const kind = nodes[node] as CellNodeKind;
      if (kind === "memory") continue;
      values[node] = kind === "input" ? this.#weighted(x, y as Tensor, input++) : joined(kind, this.#incoming(node, values));
    }
    const out = values[nodes.indexOf("output")] as Tensor;
    return [out, [out, ...this.#memories.map((node) => joined("sum", this.#incoming(node, values)))]];
  }

  /** W x + R y + b of the k-th input node. */
  #weighted(x: Tensor, y: Tensor, k: number): Tensor {
    return add(linear(x, this.weightIh[k] as Parameter, this.bias[k] as Parameter), linear(y, this.weightHh[k] as Parameter));
  }

  #incoming(node: number, values: readonly Tensor[]): Tensor[] {
    let weight = 0;
    return this.graph.edges.flatMap((e) => {
      const own = e.weighted ? (this.peephole[weight++] as Parameter) : null;
      if (e.to !== node) return [];
      const value = values[e.from] as Tensor;
      return [own === null ? value : mul(value, own)];
    });
  }
}

/** The value of a node from its inputs, at least one tensor. */
function joined(kind: CellNodeKind, parts: readonly Tensor[]): Tensor {
  const all = parts.reduce(kind === "product" ? (a, b) => mul(a, b) : (a, b) => add(a, b));
  if (kind === "sigmoid") return sigmoid(all);
  return kind === "tanh" ? tanh(all) : all;
}
