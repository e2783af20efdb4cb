/** Networks over trees and graphs, which compute all nodes of one height at once. */

export { RecursiveNetwork, type RecursiveOptions } from "./recursive.ts";
export { RecursiveNeuralTensorNetwork, type TensorNetworkOptions } from "./rntn.ts";
export { Children, type Forest, forestOf, Structure, StructureNetwork, type StructureOptions, type Tree, visitNodes } from "./structure.ts";
export { ChildSumTreeLSTM, NaryTreeLSTM, type NaryTreeLSTMOptions, type TreeLSTMOptions } from "./tree-lstm.ts";
