/** Signal-flow graphs: networks as nodes and edges, their transposes, and gradients from these. */

export { leeSensitivities, type TransposedGraphOptions, transposedGraph, transposedResponse } from "./gradients.ts";
export { SignalFlowGraph } from "./graph.ts";
export type { FlowEdge, FlowNode, FlowStructure, NodeKind } from "./structure.ts";
export { transpose } from "./transpose.ts";
