/** Transposes a graph by the rules of network reciprocity. */

import { checkList, checkObject } from "../../base/checks.ts";
import type { FlowEdge, FlowNode, FlowStructure, NodeKind } from "./structure.ts";

const OTHER_KIND: Readonly<Record<NodeKind, NodeKind>> = { sum: "sum", constant: "constant", product: "shares", shares: "product" };

function transposedEdge(edge: FlowEdge): FlowEdge {
  const turned = { from: edge.to, to: edge.from };
  switch (edge.kind) {
    case "gain":
      return { ...edge, ...turned };
    case "varying":
      return { ...edge, ...turned };
    case "matrix":
      return { ...edge, ...turned, transposed: !edge.transposed };
    case "function":
    case "slope":
      return { ...edge, ...turned, kind: edge.kind === "function" ? "slope" : "function" };
    case "delay":
    case "advance":
      return { ...edge, ...turned, kind: edge.kind === "delay" ? "advance" : "delay" };
  }
}

/**
 * The transposed (adjoint) graph: reverses arrows, swaps inputs and outputs, sums and branches, and replaces W by Wᵀ, f by f′(x(t)) at the operating point, a product
 * by gains with its other factors, and a delay by a step forwards in time. Running errors through it is backpropagation:
 * backpropagation through time and temporal backpropagation follow from it. Nodes and edges keep their numbers; transposing twice gives the same graph.
 * @see Wan and Beaufays, "Diagrammatic derivation of gradient algorithms for neural networks", Neural Computation 8, 1996
 * @example transpose(transpose(graph.structure)) // equal to graph.structure
 */
export function transpose(structure: FlowStructure): FlowStructure {
  checkObject("transpose", "a structure", structure);
  const { nodes, edges, inputs, outputs, causal } = structure;
  for (const [name, list] of Object.entries({ nodes, edges, inputs, outputs })) checkList("transpose", name, list);
  return {
    nodes: nodes.map((node): FlowNode => ({ ...node, kind: OTHER_KIND[node.kind] })),
    edges: edges.map(transposedEdge),
    inputs: outputs,
    outputs: inputs,
    causal: !causal,
  };
}
