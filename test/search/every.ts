/** Every method over parameter vectors, small. */

import {
  CMAES,
  DifferentialEvolution,
  GeneticAlgorithm,
  OpenAIES,
  ParticleSwarm,
  SimulatedAnnealing,
  type VectorSearch,
  type VectorSearchOptions,
} from "../../src/search/index.ts";

export type Make = (options: VectorSearchOptions) => VectorSearch;

export const METHODS: readonly (readonly [string, Make])[] = [
  ["GeneticAlgorithm", (o) => new GeneticAlgorithm({ population: 8, ...o })],
  [
    "GeneticAlgorithm, classic",
    (o) => new GeneticAlgorithm({ population: 8, selection: "roulette", crossover: "onePoint", elite: 2, ...o }),
  ],
  ["GeneticAlgorithm, elite again", (o) => new GeneticAlgorithm({ population: 8, selection: "rank", reevaluate: true, ...o })],
  ["SimulatedAnnealing", (o) => new SimulatedAnnealing({ adapt: true, ...o })],
  ["SimulatedAnnealing, one number", (o) => new SimulatedAnnealing({ move: "one", temperature: 1, ...o })],
  ["ParticleSwarm", (o) => new ParticleSwarm({ particles: 6, ...o })],
  ["ParticleSwarm, ring", (o) => new ParticleSwarm({ particles: 6, topology: "ring", ...o })],
  ["DifferentialEvolution", (o) => new DifferentialEvolution({ population: 7, ...o })],
  ["CMAES", (o) => new CMAES({ sigma: 0.5, ...o })],
  ["CMAES, diagonal", (o) => new CMAES({ sigma: 0.5, diagonal: true, ...o })],
  ["CMAES, restarts", (o) => new CMAES({ sigma: 0.5, tolFun: 1, restarts: 3, ...o })],
  ["OpenAIES", (o) => new OpenAIES({ population: 6, ...o })],
];
