import { describe, expect, it } from "vitest";
import { FormatError } from "../../src/base/errors.ts";
import { NEAT, type NeatConnection, type NeatGenome, NeatNetwork, neatCrossover, neatDistance } from "../../src/search/index.ts";
import { Generator } from "../../src/tensor/random.ts";
import { damage, feed } from "../fuzz/fuzz.ts";
import { thrown } from "../thrown.ts";
import { unsealed } from "../unsealed.ts";

const gene = (from: number, to: number, weight: number, innovation: number, enabled = true): NeatConnection => ({
  from,
  to,
  weight,
  enabled,
  innovation,
});
const sigmoid = (s: number) => 1 / (1 + Math.exp(-4.9 * s));

/** One input 0, the bias 1, one output 2. */
const genome = (hidden: number[], ...connections: NeatConnection[]): NeatGenome => ({ inputs: 1, outputs: 1, hidden, connections });

describe("neatDistance", () => {
  const a = genome([], gene(0, 2, 1, 0), gene(1, 2, 2, 1), gene(2, 2, 0, 4));
  const b = genome([], gene(0, 2, 3, 0), gene(1, 2, 2, 2), gene(2, 2, 1, 4), gene(0, 2, 1, 5), gene(0, 2, 1, 7));

  it("counts excess and disjoint genes and the mean difference of matching weights", () => {
    // Matching 0 and 4: (2 + 1)/2; disjoint 1 and 2; excess 5 and 7.
    expect(neatDistance(a, b, [10, 100, 0])).toBe(20 + 200);
    expect(neatDistance(a, b)).toBeCloseTo(4 + 0.4 * 1.5, 14);
    expect(neatDistance(b, a)).toBe(neatDistance(a, b));
    expect(neatDistance(a, a)).toBe(0);
  });

  it("divides by the size of genomes of 20 genes and more", () => {
    const long = genome([], ...Array.from({ length: 25 }, (_, k) => gene(0, 2, 0, k)));
    expect(neatDistance(long, genome([]))).toBe(1);
    expect(neatDistance(genome([], ...long.connections.slice(0, 19)), genome([]))).toBe(19);
  });
});

describe("neatCrossover", () => {
  it("of identical parents is the parent", () => {
    const a = genome([3], gene(0, 2, 1, 0), gene(0, 3, 2, 2), gene(3, 2, -1, 3));
    for (const u of [0, 0.3, 0.7, 0.99]) expect(neatCrossover(a, a, () => u)).toEqual(a);
  });

  it("takes matching genes from either and the others from the fitter", () => {
    const fitter = genome([], gene(0, 2, 1, 0), gene(1, 2, 1, 1), gene(2, 2, 1, 5));
    const other = genome([], gene(0, 2, 2, 0), gene(1, 2, 2, 1), gene(1, 2, 2, 3), gene(2, 2, 2, 9));
    const draws = [0.2, 0.8];
    expect(neatCrossover(fitter, other, () => draws.shift() as number).connections).toEqual([
      gene(0, 2, 1, 0),
      gene(1, 2, 2, 1),
      gene(2, 2, 1, 5),
    ]);
  });

  it.each([
    ["the fitter", false, true],
    ["the other", true, false],
    ["both", false, false],
  ])("disables with the probability 0.75 what %s has disabled", (_, first, second) => {
    const [fitter, other] = [first, second].map((enabled) => genome([], gene(0, 2, 1, 0, enabled))) as [NeatGenome, NeatGenome];
    for (const [u, enabled] of [
      [0.74, false],
      [0.75, true],
    ] as const) {
      // biome-ignore format: one line
      const draws = [0.9, u];
      expect(neatCrossover(fitter, other, () => draws.shift() as number).connections[0]?.enabled).toBe(enabled);
    }
  });

  it("does the same with a disabled gene that the fitter alone has", () => {
    const alone = genome([], gene(0, 2, 1, 0, false));
    expect(neatCrossover(alone, genome([]), () => 0.74)).toEqual(alone);
    expect(neatCrossover(alone, genome([]), () => 0.75).connections).toEqual([gene(0, 2, 1, 0)]);
  });
});

describe("NeatNetwork", () => {
  // input → hidden 3 → output, the bias on both, the output on itself, and one gene that is off
  const net = genome(
    [3],
    gene(0, 3, 2, 0),
    gene(3, 2, -1, 1),
    gene(1, 2, 0.5, 2),
    gene(1, 3, 0.1, 3),
    gene(2, 2, 0.7, 4),
    gene(0, 2, 9, 5, false),
  );

  it("works from the inputs on within a step, and reads the step before where a cycle closes", () => {
    const network = new NeatNetwork(net);
    let out = 0;
    for (const x of [0.3, -0.8, 0.5]) {
      const hidden = sigmoid(2 * x + 0.1);
      out = sigmoid(-hidden + 0.5 + 0.7 * out);
      expect(network.step([x])[0]).toBeCloseTo(out, 14);
    }
    const first = new NeatNetwork(net).step([0.3])[0];
    network.reset();
    expect(network.step([0.3])[0]).toBe(first);
  });

  it("reads the step before everywhere when it is synchronous", () => {
    const network = new NeatNetwork(net, { order: "synchronous", activation: "tanh" });
    let [hidden, out] = [0, 0];
    for (const x of [0.3, -0.8, 0.5]) {
      [hidden, out] = [Math.tanh(2 * x + 0.1), Math.tanh(-hidden + 0.5 + 0.7 * out)];
      expect(network.step([x])[0]).toBeCloseTo(out, 14);
    }
  });

  it("opens cycles of hidden nodes at the lowest, and runs what nothing leads to", () => {
    const cycle = new NeatNetwork(genome([3, 4], gene(0, 4, 1, 0), gene(4, 3, 1, 1), gene(3, 4, 1, 2), gene(4, 2, 1, 3)));
    // 3 reads 4 of the step before, 4 reads 3 of this one.
    let [three, four] = [0, 0];
    for (const x of [0.5, -1, 0.25]) {
      three = sigmoid(four);
      four = sigmoid(x + three);
      expect(cycle.step([x])[0]).toBeCloseTo(sigmoid(four), 14);
    }
    expect([...new NeatNetwork(genome([])).step([1])]).toEqual([0.5]);
    expect(thrown(() => new NeatNetwork(genome([])).step([1, 2]))).toHaveProperty("message", "NeatNetwork: expected 1 inputs, got 2");
  });
});

const XOR = [[0, 0, 0], [0, 1, 1], [1, 0, 1], [1, 1, 0]] as const; // biome-ignore format: one line

function xorError(candidate: NeatGenome): number {
  const network = new NeatNetwork(candidate);
  return XOR.reduce((sum, [a, b, d]) => {
    network.reset();
    return sum + Math.abs(d - (network.step([a, b])[0] as number));
  }, 0);
}

/** Whether all four are on the right side of one half. */
function solves(candidate: NeatGenome): boolean {
  const network = new NeatNetwork(candidate);
  return XOR.every(([a, b, d]) => {
    network.reset();
    return (network.step([a, b])[0] as number) > 0.5 === (d === 1);
  });
}

const xor = (seed: number, options = {}) =>
  new NEAT({ inputs: 2, outputs: 1, recurrent: false, fitness: (cost) => (4 - cost) ** 2, generator: new Generator(seed), ...options });

/** One generation. */
function advance(search: NEAT): NeatGenome[] {
  const asked = search.ask();
  search.tell(asked, asked.map(xorError));
  return asked;
}

describe("NEAT", () => {
  it("begins without hidden nodes, all with the same innovations", () => {
    const asked = xor(1).ask();
    expect(asked.length).toBe(150);
    for (const g of asked) {
      expect(g.hidden).toEqual([]);
      expect(g.connections.map(({ from, to, innovation, enabled }) => [from, to, innovation, enabled])).toEqual(
        [0, 1, 2].map((k) => [k, 3, k, true]),
      );
    }
  });

  it.each([1, 2, 3])("learns exclusive or within 100 generations, seed %i, with a hidden node", (seed) => {
    const search = xor(seed);
    let solved: NeatGenome | undefined;
    for (let g = 0; g < 100 && solved === undefined; g++)
      solved = advance(search).find((candidate) => xorError(candidate) < 1 && solves(candidate));
    expect(solved).toBeDefined();
    expect(solved?.hidden.length).toBeGreaterThan(0);
    // Nothing leads back: the outputs do not depend on what was before.
    const network = new NeatNetwork(solved as NeatGenome);
    const once = network.step([1, 0])[0];
    expect(network.step([1, 0])[0]).toBe(once);
  });

  it("keeps its population, gives the same structure of one generation the same number, and makes sound genomes", () => {
    const search = xor(4, { population: 60, nodeRate: 0.5, connectionRate: 0.5, recurrent: true });
    for (let g = 0; g < 12; g++) {
      const asked = advance(search);
      expect(asked.length).toBe(60);
      const byNumber = new Map<number, string>();
      for (const { connections, hidden } of asked) {
        const nodes = new Set([0, 1, 2, 3, ...hidden]);
        expect(nodes.size).toBe(4 + hidden.length);
        connections.forEach((c, k) => {
          expect(k === 0 || c.innovation > connections[k - 1]!.innovation).toBe(true);
          expect(nodes.has(c.from) && nodes.has(c.to) && c.to > 2).toBe(true);
          // An innovation is one structure, for ever.
          expect(byNumber.get(c.innovation) ?? `${c.from},${c.to}`).toBe(`${c.from},${c.to}`);
          byNumber.set(c.innovation, `${c.from},${c.to}`);
        });
      }
    }
    expect(search.speciesCount).toBeGreaterThan(1);
  });

  it("gives the same genomes for the same seed, and goes on from bytes to the bit", () => {
    const common = { population: 30, nodeRate: 0.3, connectionRate: 0.3 };
    const [whole, twin] = [xor(5, common), xor(5, common)];
    const saved: Uint8Array[] = [];
    for (let g = 0; g < 8; g++) {
      saved.push(whole.toBytes());
      expect(advance(whole)).toEqual(advance(twin));
    }
    for (const from of [0, 1, 5]) {
      const again = xor(77, common);
      again.restore(saved[from]!);
      expect(again.toBytes()).toEqual(saved[from]);
      for (let g = from; g < 8; g++) advance(again);
      expect(again.toBytes()).toEqual(whole.toBytes());
    }
  });

  it("changes the structure of a child or its weights", () => {
    const search = xor(9, { population: 40, nodeRate: 0.4, connectionRate: 0.4 });
    const parents = advance(search);
    const known = new Set(parents.flatMap((g) => g.connections.map((c) => `${c.innovation}: ${c.weight}`)));
    const changed = { structure: 0, weights: 0 };
    for (const child of search.ask()) {
      const old = child.connections.filter((c) => c.innovation < 3);
      const kept = old.every((c) => known.has(`${c.innovation}: ${c.weight}`));
      if (child.connections.length === 3) changed.weights += kept ? 0 : 1;
      else {
        expect(kept).toBe(true);
        changed.structure++;
      }
    }
    expect(changed.structure).toBeGreaterThan(5);
    expect(changed.weights).toBeGreaterThan(3);
  });

  it("moves its threshold towards the number of species, or keeps it where that is null", () => {
    const counts = (options: object) => {
      const search = xor(8, { threshold: 100, distance: [1, 1, 0], nodeRate: 0.3, ...options });
      for (let g = 0; g < 4; g++) advance(search);
      return search.speciesCount;
    };
    // Within 100 all are of one species.
    expect(counts({ species: null })).toBe(1);
    expect(counts({ species: [5, 15] })).toBe(1);
    // Within 2.4 falling to 1.2 genomes with a node more, which differ by two genes, are of another one.
    expect(counts({ threshold: 2.4, species: null })).toBeLessThan(counts({ threshold: 2.4, species: [60, 150] }));
  });

  it("goes on with two species once nothing has become better for a while, and with all of their children again", () => {
    const search = xor(10, { threshold: 0.5, species: null, stagnation: 3 });
    const counts = Array.from({ length: 12 }, () => {
      const asked = search.ask();
      search.tell(
        asked,
        asked.map(() => 1),
      );
      return search.speciesCount;
    });
    // The costs are those of the first generation ever after: 3 generations for a species, and 5 more for all.
    expect(Math.min(...counts.slice(0, 8))).toBeGreaterThan(5);
    expect(counts[8]).toBe(2);
    expect(Math.min(...counts.slice(9))).toBeGreaterThan(2);
  });

  it("refuses damaged bytes, fitnesses below 0, and options out of their range", () => {
    const search = xor(6, { population: 6, nodeRate: 0.5 });
    for (let g = 0; g < 3; g++) advance(search);
    search.ask();
    const good = unsealed(search.toBytes());
    const victim = xor(6, { population: 6, nodeRate: 0.5 });
    const reader = (bytes: Uint8Array) => {
      victim.restore(bytes);
      const asked = victim.ask();
      victim.tell(
        asked,
        asked.map(() => 1),
      );
    };
    feed<Uint8Array>(reader, good, 3, (random) => damage(random, good, [good]), true);
    expect(thrown(() => xor(6).restore(good))).toBeInstanceOf(FormatError);
    const asked = new NEAT({ inputs: 1, outputs: 1 }).ask();
    const plain = new NEAT({ inputs: 1, outputs: 1, population: asked.length, generator: new Generator(1) });
    const own = plain.ask();
    expect(() =>
      plain.tell(
        own,
        own.map(() => -2),
      ),
    ).toThrow("tell: expected costs whose fitness is at least 0");
    expect(() => new NEAT({ inputs: 0, outputs: 1 })).toThrow("NEAT: expected inputs to be a whole number");
    expect(() => new NEAT({ inputs: 1, outputs: 1, species: [5, 2] })).toThrow("NEAT: expected species[1]");
  });

  it("draws genomes without a cost anew", () => {
    const search = xor(7, { population: 10 });
    for (let g = 0; g < 3; g++) advance(search);
    const asked = search.ask();
    search.tell(
      asked,
      asked.map((_, i) => (i === 4 ? Number.NaN : 1)),
    );
    expect(search.ask().length).toBe(1);
    advance(search);
    expect(search.ask().length).toBe(10);
  });
});
