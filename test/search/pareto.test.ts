import { describe, expect, it } from "vitest";
import { ArgumentError, DTypeError, ShapeError } from "../../src/base/errors.ts";
import { CellEvolution, type CellGraph, elmanGraph, evolve, paretoFronts, paretoOrder } from "../../src/search/index.ts";
import { Generator } from "../../src/tensor/random.ts";

describe("Pareto fronts", () => {
  it("hold what no other dominates, then what only these do", () => {
    //          a     b     c     d     e: c is worse than b, e than all but a in everything
    const costs = [1, 5, 2, 2, 3, 2, 5, 1, 6, 6];
    expect(paretoFronts(costs, 2)).toEqual([0, 0, 1, 0, 2]);
    expect(paretoFronts([3, 1, 2], 1)).toEqual([2, 0, 1]);
    // Equal ones do not dominate each other.
    expect(paretoFronts([1, 1, 1, 1], 2)).toEqual([0, 0]);
    expect(paretoFronts([], 3)).toEqual([]);
  });

  it("are those of the definition, for random costs", () => {
    const g = new Generator(3);
    for (let trial = 0; trial < 20; trial++) {
      const K = 1 + (trial % 3);
      const costs = g.integers([12 * K], 0, 6).data();
      const of = (i: number) => Array.from({ length: K }, (_, k) => costs[i * K + k] as number);
      const beats = (i: number, j: number) =>
        of(i).every((c, k) => c <= (of(j)[k] as number)) && of(i).some((c, k) => c < (of(j)[k] as number));
      // Peeled off by hand, one front after the other.
      const expected = new Array<number>(12).fill(-1);
      for (let rank = 0; expected.includes(-1); rank++) {
        const rest = [...Array(12).keys()].filter((i) => expected[i] === -1);
        const front = rest.filter((i) => !rest.some((j) => beats(j, i)));
        for (const i of front) expected[i] = rank;
      }
      expect(paretoFronts(costs, K)).toEqual(expected);
    }
  });

  it("put those first that have room around them", () => {
    // On one front: the ends, then the one between wide gaps, then the crowded ones.
    const costs = [0, 10, 1, 9, 2, 8, 6, 4, 10, 0];
    // Crowding: 1: 2/10 + 2/10, 2: 5/10 + 5/10, 3: 8/10 + 8/10.
    expect(paretoOrder(costs, 2)).toEqual([0, 4, 3, 2, 1]);
    expect(paretoOrder([3, 1, 2], 1)).toEqual([1, 2, 0]);
    expect(paretoOrder([2, Number.POSITIVE_INFINITY, 1, 3, Number.POSITIVE_INFINITY, 0], 2)).toEqual([1, 2, 0]);
  });

  it("refuse costs that are not K each", () => {
    expect(() => paretoFronts([1, 2, 3], 2)).toThrow(ShapeError);
    expect(() => paretoOrder([1, 2], 0)).toThrow(ArgumentError);
    expect(() => paretoOrder(null as never, 1)).toThrow(DTypeError);
  });
});

describe("evolution with several objectives", () => {
  /** Few nodes, and many memories: the two are at odds. */
  const costsOf = ({ nodes }: CellGraph): [number, number] => [nodes.length, -nodes.filter((kind) => kind === "memory").length];
  const make = (seed: number, more = {}) => new CellEvolution({ objectives: 2, population: 20, generator: new Generator(seed), ...more });

  it("finds small cells and cells with many memories, and those between", async () => {
    const search = make(1, { maxGenerations: 25 });
    const { best, bestCost } = await evolve(search, costsOf);
    const front = search.front.map(({ costs }) => costs);
    expect(front.length).toBeGreaterThan(2);
    expect(paretoFronts(front.flat(), 2).every((rank) => rank === 0)).toBe(true);
    expect(Math.min(...front.map(([size]) => size as number))).toBeLessThanOrEqual(elmanGraph.nodes.length);
    expect(Math.min(...front.map(([, memories]) => memories as number))).toBeLessThan(-3);
    for (const { graph, costs } of search.front) expect(costs).toEqual(costsOf(graph));
    expect(bestCost).toBe((costsOf(best as CellGraph)[0] + costsOf(best as CellGraph)[1]) / 2);
  });

  it("keeps half of the population, never losing the front", () => {
    const search = make(2);
    let front: number[][] = [];
    for (let g = 0; g < 8; g++) {
      const asked = search.ask();
      expect(asked.length).toBe(g === 0 ? 20 : 10);
      search.tell(asked, asked.map(costsOf));
      // Whatever was on the front is on it still, or beaten.
      const now = search.front.map(({ costs }) => [...costs]);
      for (const old of front) expect(now.some((costs) => costs.every((c, k) => c <= (old[k] as number)))).toBe(true);
      front = now;
    }
  });

  it("draws a graph anew if any of its costs is no number, and goes on from bytes", () => {
    const [whole, again] = [make(3), make(3)];
    let told = 0;
    const sometimes = (graph: CellGraph): [number, number] => (++told % 7 === 0 ? [1, Number.NaN] : costsOf(graph));
    const run = (search: CellEvolution, times: number) => {
      for (let k = 0; k < times; k++) {
        const asked = search.ask();
        search.tell(asked, asked.map(sometimes));
      }
    };
    run(whole, 5);
    const [bytes, before] = [whole.toBytes(), told];
    again.restore(bytes);
    expect(again.toBytes()).toEqual(bytes);
    run(whole, 4);
    told = before;
    run(again, 4);
    expect(again.toBytes()).toEqual(whole.toBytes());
    expect(() => new CellEvolution({ population: 20, elite: 10 }).restore(bytes)).toThrow();
  });

  it("refuses costs of another number", async () => {
    const search = make(4);
    const asked = search.ask();
    expect(() =>
      search.tell(
        asked,
        asked.map(() => 1),
      ),
    ).toThrow("expected 2 numbers as the costs of each candidate, got 1 at 0");
    expect(() =>
      search.tell(
        asked,
        asked.map(() => [1, 2, 3]),
      ),
    ).toThrow(ShapeError);
    expect(() =>
      search.tell(
        asked,
        asked.map(() => [1, "2" as never]),
      ),
    ).toThrow(DTypeError);
    await expect(evolve(make(5), () => 1)).rejects.toThrow(ShapeError);
    const one = new CellEvolution();
    const graphs = one.ask();
    expect(() =>
      one.tell(
        graphs,
        graphs.map(() => [1]),
      ),
    ).toThrow(DTypeError);
    expect(() => make(6, { objectives: 0 })).toThrow(ArgumentError);
  });
});
