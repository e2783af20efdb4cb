/** What is no argument is refused by name, before anything is changed. */

import { describe, expect, it } from "vitest";
import { ArgumentError, DTypeError, ShapeError } from "../../src/base/errors.ts";
import { Linear } from "../../src/nn/layers.ts";
import {
  averageRanks,
  CellEvolution,
  type CellGraph,
  CMAES,
  centredRanks,
  DifferentialEvolution,
  EvaluationPool,
  elmanGraph,
  evolve,
  flatten,
  GeneticAlgorithm,
  GraphCell,
  mutateCell,
  NEAT,
  NeatNetwork,
  neatDistance,
  OpenAIES,
  ParticleSwarm,
  SimulatedAnnealing,
  selectionProbabilities,
  unflatten,
} from "../../src/search/index.ts";
import { Generator } from "../../src/tensor/random.ts";
import { scope } from "../../src/tensor/tensor.ts";
import { thrown } from "../thrown.ts";

const gene = (from: number, to: number, more: object = {}) => ({ from, to, weight: 0.5, enabled: true, innovation: 0, ...more });
const genome = (more: object = {}) => ({ inputs: 1, outputs: 1, hidden: [], connections: [gene(0, 2)], ...more });

describe("networks of genomes", () => {
  it("outlive the scope they were made in", () => {
    const { network, deeper } = scope(() => ({
      network: new NeatNetwork(genome()),
      deeper: [new NeatNetwork(genome({ connections: [] }))],
    }));
    // σ(4.9·(0.5·1)), and σ(0) without a connection.
    expect(network.step([1])[0]).toBeCloseTo(1 / (1 + Math.exp(-4.9 * 0.5)), 12);
    expect([...(deeper[0] as NeatNetwork).step([1])]).toEqual([0.5]);
  });

  it("without inputs have the bias", () => {
    const network = new NeatNetwork(genome({ inputs: 0, connections: [gene(0, 1)] }), { activation: "tanh" });
    expect(network.step([])[0]).toBeCloseTo(Math.tanh(0.5), 12);
  });

  it.each([
    [{ inputs: undefined }, "NeatNetwork: expected inputs to be a whole number"],
    [{ outputs: 0 }, "NeatNetwork: expected outputs to be a whole number of at least 1, got 0"],
    [{ connections: [gene(7, 2)] }, "got connection 0 from or to no node"],
    [{ connections: [gene(0, 2), gene(0, 9)] }, "got connection 1 from or to no node"],
    [{ connections: [gene(0, 1)] }, "got connection 0 from or to no node"],
    [{ connections: [gene(0, 2, { weight: Number.NaN })] }, "got connection 0 without weight"],
    [{ connections: [gene(0, 2, { weight: "1" })] }, "got connection 0 without weight"],
    [{ connections: [gene(0, 2, { enabled: undefined })] }, "got connection 0 without weight, or neither enabled nor disabled"],
    [{ hidden: [2] }, "got a hidden node twice"],
    [{ hidden: [3, 3] }, "got a hidden node twice"],
    [{ hidden: [3.5] }, "got hidden nodes other than whole numbers from 3 on"],
  ])("are refused with %j", (more, message) => {
    expect(() => new NeatNetwork(genome(more) as never)).toThrow(ArgumentError);
    expect(() => new NeatNetwork(genome(more) as never)).toThrow(message);
  });

  it("are refused without lists, and with options that are none", () => {
    expect(() => new NeatNetwork({ hidden: [], connections: [] } as never)).toThrow(ArgumentError);
    expect(() => new NeatNetwork(genome({ connections: [null] }) as never)).toThrow(DTypeError);
    expect(() => new NeatNetwork(genome({ connections: [undefined] }) as never)).toThrow(DTypeError);
    expect(() => neatDistance(genome({ connections: [null] }) as never, genome() as never)).toThrow(DTypeError);
    expect(() => new NeatNetwork(genome(), null as never)).toThrow("NeatNetwork: expected options as an object, got null");
    expect(() => new NeatNetwork(genome()).step(null as never)).toThrow(DTypeError);
  });
});

describe("costs", () => {
  it("have an order", () => {
    for (const ranks of [averageRanks, centredRanks]) {
      expect(() => ranks([1, Number.NaN, 0, Number.NaN])).toThrow(`${ranks.name}: expected costs that have an order, got NaN at 1`);
      expect(() => ranks([1, "2" as never])).toThrow(DTypeError);
      expect(() => ranks(null as never)).toThrow(DTypeError);
    }
  });

  it("are selected by known methods only", () => {
    expect(() => selectionProbabilities([1, 2], "foo" as never)).toThrow(ArgumentError);
    for (const size of [0, 1.5, Number.NaN]) expect(() => selectionProbabilities([1, 2], "tournament", size)).toThrow(ArgumentError);
    for (const method of ["roulette", "rank", "tournament"] as const)
      expect(() => selectionProbabilities([1, 2, Number.NaN], method)).toThrow(ArgumentError);
    expect(() => selectionProbabilities([1, -2], "roulette")).toThrow("expected costs of at least 0");
    // Where the sign does not matter it is allowed.
    expect([...selectionProbabilities([1, -2], "rank")]).toEqual([1 / 3, 2 / 3]);
    expect([...selectionProbabilities([1, 3], "roulette")].map((p) => Math.round(100 * p))).toEqual([75, 25]);
  });
});

describe("vectors", () => {
  it("of anything but numbers leave a module as it was", () => {
    const linear = new Linear(2, 1);
    const before = flatten(linear);
    expect(() => unflatten(linear, [1, Number.NaN, "x" as never])).toThrow('unflatten: expected numbers, got "x" at 2');
    expect(() => unflatten(linear, new BigInt64Array(3) as never)).toThrow(DTypeError);
    expect(() => unflatten(linear, [1, 2, undefined as never])).toThrow(DTypeError);
    // biome-ignore lint/suspicious/noSparseArray: a hole is no number
    expect(() => unflatten(linear, [1, , 2] as never)).toThrow(DTypeError);
    expect(flatten(linear)).toEqual(before);
    expect([...flatten(unflatten(linear, [1, Number.NaN, 3]))]).toEqual([1, Number.NaN, 3]);
  });
});

const SEARCHES = [
  ["GeneticAlgorithm", (more: object) => new GeneticAlgorithm({ start: [1, 2], ...more })],
  ["SimulatedAnnealing", (more: object) => new SimulatedAnnealing({ start: [1, 2], ...more })],
  ["ParticleSwarm", (more: object) => new ParticleSwarm({ start: [1, 2], ...more })],
  ["DifferentialEvolution", (more: object) => new DifferentialEvolution({ start: [1, 2], ...more })],
  ["CMAES", (more: object) => new CMAES({ start: [1, 2], sigma: 1, ...more })],
  ["OpenAIES", (more: object) => new OpenAIES({ start: [1, 2], ...more })],
  ["NEAT", (more: object) => new NEAT({ inputs: 1, outputs: 1, ...more })],
  ["CellEvolution", (more: object) => new CellEvolution(more)],
] as const;

describe.each(SEARCHES)("%s", (name, make) => {
  it.each([5, null, {}, "seed"])("takes no %j as a generator", (generator) => {
    expect(() => make({ generator })).toThrow(`${name}: expected generator to be a Generator, got`);
  });

  it("refuses candidates and costs that are none, and changes nothing by it", () => {
    const search = make({ generator: new Generator(1) });
    const asked = search.ask() as never[];
    const costs = asked.map(() => 1);
    const before = search.toBytes();
    expect(thrown(() => search.tell(null as never, costs))).toBeInstanceOf(DTypeError);
    expect(thrown(() => search.tell(asked as never, null as never))).toBeInstanceOf(DTypeError);
    for (const wrong of [null, undefined, 5, "x", {}]) {
      const error = thrown(() => search.tell([wrong, ...asked.slice(1)] as never, costs));
      expect((error as { code?: string }).code).toMatch(/^ERR_(DTYPE|ARGUMENT)$/);
    }
    expect(search.toBytes()).toEqual(before);
    search.tell(asked as never, costs);
  });
});

describe("evolve", () => {
  const search = () => new CMAES({ start: [1], sigma: 1 });
  it.each([
    ["options", [search(), () => 1, null]],
    ["a search", [null, () => 1, {}]],
    ["a signal", [search(), () => 1, { signal: 5 }]],
    ["onGeneration", [search(), () => 1, { onGeneration: 5 }]],
  ])("rejects %s that is none", async (name, given) => {
    const error = await evolve(...(given as Parameters<typeof evolve>)).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(DTypeError);
    expect(error).toHaveProperty("message", expect.stringContaining(`evolve: expected ${name}`));
  });

  it("has pools with options and a function that starts workers", () => {
    expect(() => new EvaluationPool("pool", () => null as never, null as never)).toThrow(DTypeError);
    expect(() => new EvaluationPool("pool", null as never)).toThrow("pool: expected spawn to be a function, got null");
  });
});

describe("NEAT", () => {
  it.each([
    [{ distance: null }, DTypeError],
    [{ distance: [1, 1] }, ShapeError],
    [{ species: 5 }, DTypeError],
    [{ species: [5] }, ShapeError],
    [{ recurrent: "no" }, ArgumentError],
  ])("refuses %j", (more, error) => {
    expect(() => new NEAT({ inputs: 1, outputs: 1, ...more } as never)).toThrow(error);
  });
});

describe("graphs of cells", () => {
  it.each([
    null,
    undefined,
    {},
    { nodes: [] },
    { nodes: "abc", edges: [] },
    { ...elmanGraph, edges: [null] },
    { ...elmanGraph, edges: [...elmanGraph.edges, undefined] },
    { ...elmanGraph, edges: [{ from: "0", to: 1, weighted: false }] },
  ])("are none: %j", (graph) => {
    const wrong = graph as unknown as CellGraph;
    expect(() => new GraphCell({ inputSize: 1, hiddenSize: 1, graph: wrong })).toThrow(ArgumentError);
    expect(() => mutateCell(wrong, () => 0)).toThrow(ArgumentError);
    if (graph !== undefined) expect(() => new CellEvolution({ start: wrong })).toThrow(ArgumentError);
  });
});
