/** Global search by ask and tell: over parameter vectors, topologies, and cells. */

export { acceptanceProbability, type Move, SimulatedAnnealing, type SimulatedAnnealingOptions } from "./annealing.ts";
export { CellEvolution, type CellEvolutionOptions, mutateCell } from "./cell-evolution.ts";
export { type CellEdge, type CellGraph, type CellNodeKind, elmanGraph, GraphCell, type GraphCellOptions, lstmGraph } from "./cell-graph.ts";
export { CMAES, type CMAESOptions } from "./cma-es.ts";
export { DifferentialEvolution, type DifferentialEvolutionOptions } from "./differential.ts";
export type { Random } from "./draws.ts";
export { type Evaluate, type EvaluationContext, type Evaluator, type EvolveOptions, type EvolveResult, evolve } from "./evolve.ts";
export { GeneticAlgorithm, type GeneticAlgorithmOptions } from "./genetic.ts";
export { NEAT, type NEATOptions, type NeatConnection, type NeatGenome, neatCrossover, neatDistance } from "./neat.ts";
export { NeatNetwork, type NeatNetworkOptions } from "./neat-network.ts";
export { OpenAIES, type OpenAIESOptions } from "./openai-es.ts";
export { paretoFronts, paretoOrder } from "./pareto.ts";
export { EvaluationPool, type ModuleAddress, type PoolOptions, type WorkerPort } from "./pool.ts";
export { averageRanks, centredRanks } from "./ranks.ts";
export {
  type AskTell,
  type Cost,
  Search,
  type SearchOptions,
  type SearchResult,
  type StopReason,
  VectorSearch,
  type VectorSearchOptions,
} from "./search.ts";
export { type Selection, selectionProbabilities } from "./selection.ts";
export { ParticleSwarm, type ParticleSwarmOptions } from "./swarm.ts";
export { flatten, unflatten } from "./vector.ts";
