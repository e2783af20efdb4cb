/** A signal-flow graph as plain data, and the order in which to compute its nodes. */

import { ArgumentError } from "../../base/errors.ts";
import type { Tensor } from "../../tensor/tensor.ts";

/**
 * How a node makes its signal from incoming ones: their sum, their product, or a constant. "shares" is a transposed product: the sum,
 * which each outgoing edge receives multiplied by the other factors of the original product.
 */
export type NodeKind = "sum" | "product" | "constant" | "shares";

/** A node of a signal-flow graph. */
export interface FlowNode {
  readonly name: string;
  readonly size: number;
  readonly kind: NodeKind;
  /** The value of a constant, [size]. */
  readonly value?: Tensor;
}

/**
 * What an edge does to the signal x(t) of its source. The last two occur in transposed graphs: a factor f′ at the operating point, and
 * a step forwards in time.
 */
export type FlowEdge = { readonly from: number; readonly to: number } & (
  | { readonly kind: "gain"; readonly weight: Tensor }
  | { readonly kind: "matrix"; readonly weight: Tensor; readonly transposed: boolean }
  | { readonly kind: "varying"; readonly by: number }
  | { readonly kind: "function" | "slope"; readonly f: (x: Tensor) => Tensor }
  | { readonly kind: "delay" | "advance"; readonly steps: number; readonly initial: Tensor | null }
);

/** Nodes and edges by number, and the nodes that are inputs and outputs. */
export interface FlowStructure {
  readonly nodes: readonly FlowNode[];
  readonly edges: readonly FlowEdge[];
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
  /** Signals of a causal graph move forwards in time, those of a transposed one backwards. */
  readonly causal: boolean;
}

/** Edges that bring their signal within the same step. */
function isInstant(edge: FlowEdge): boolean {
  return edge.kind !== "delay" && edge.kind !== "advance";
}

/** The nodes on which a node depends within a step. */
function waitsFor({ edges, causal }: FlowStructure): number[][] {
  const before: number[][] = [];
  const wait = (node: number, other: number): void => {
    before[node] ??= [];
    before[node].push(other);
  };
  for (const edge of edges) {
    if (!isInstant(edge)) continue;
    wait(edge.to, edge.from);
    if (edge.kind === "varying" && causal) wait(edge.to, edge.by);
  }
  return before;
}

/** Finds a loop among nodes that all depend on each other, in the direction of signals. */
function loopAmong(left: ReadonlySet<number>, before: readonly number[][]): number[] {
  const path: number[] = [];
  let node = [...left][0] as number;
  while (!path.includes(node)) {
    path.push(node);
    node = before[node]?.find((other) => left.has(other)) as number;
  }
  return [node, ...path.slice(path.indexOf(node)).reverse()];
}

/**
 * The nodes, ordered such that each follows those whose signals it needs in the same step.
 * @throws ArgumentError for a loop without a delay, naming its nodes
 */
export function orderOf(structure: FlowStructure): number[] {
  const before = waitsFor(structure);
  const left = new Set(structure.nodes.keys());
  const order: number[] = [];
  while (left.size > 0) {
    const ready = [...left].filter((node) => !before[node]?.some((other) => left.has(other)));
    if (ready.length === 0) {
      const loop = loopAmong(left, before).map((node) => (structure.nodes[node] as FlowNode).name);
      throw new ArgumentError(`signal flow: expected a delay in every loop, got none in ${loop.join(" → ")}`);
    }
    for (const node of ready) left.delete(node);
    order.push(...ready);
  }
  return order;
}

/** The incoming edges of each node, by number. */
export function incomingEdges({ nodes, edges }: FlowStructure): number[][] {
  const incoming: number[][] = nodes.map(() => []);
  for (const [e, { to }] of edges.entries()) (incoming[to] as number[]).push(e);
  return incoming;
}
