import { describe, expect, it } from "vitest";
import { AmariNetwork, Associatron, LittleNetwork } from "../../src/energy/index.ts";
import { Generator } from "../../src/tensor/random.ts";
import { assign, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { thrown } from "../thrown.ts";
import { allStates, boltzmann, codeOf, pairwiseEnergy, randomCouplings, randomPatterns, variation } from "./plain.ts";

const spins = randomPatterns;
const times = (W: readonly (readonly number[])[], s: readonly number[]) =>
  W.map((row) => row.reduce((sum, w, j) => sum + w * (s[j] as number), 0));

/** Numbers from N(0, 1/n), the matrix symmetric with zeros on its diagonal. */
const symmetric = (seed: number, n: number) => randomCouplings(seed, n).map((row) => row.map((value) => value / Math.sqrt(n)));

const falls = (energies: readonly number[]) => {
  for (let k = 1; k < energies.length; k++) expect((energies[k] as number) - (energies[k - 1] as number) <= 1e-12).toBe(true);
};

describe("Amari's network", () => {
  it("stores patterns as ΣξξT/N without a diagonal, and sequences as Σξ'ξT/N, in plain loops", () => {
    const [N, P] = [7, 3];
    const patterns = spins(1, P, N);
    const stored = new AmariNetwork({ size: N }).store(tensor(patterns)).weight.toArray() as number[][];
    const sequence = new AmariNetwork({ size: N }).storeSequence(tensor(patterns)).weight.toArray() as number[][];
    const cyclic = new AmariNetwork({ size: N }).storeSequence(tensor(patterns), { cyclic: true }).weight.toArray() as number[][];
    const p = (k: number, i: number) => patterns[k % P]?.[i] as number;
    for (let i = 0; i < N; i++) {
      for (let j = 0; j < N; j++) {
        const sum = (count: number, shift: number) => Array.from({ length: count }, (_, k) => p(k + shift, i) * p(k, j)).reduce((a, b) => a + b, 0) / N;
        expect(stored[i]?.[j]).toBeCloseTo(i === j ? 0 : sum(P, 0), 14);
        expect(sequence[i]?.[j]).toBeCloseTo(sum(P - 1, 1), 14);
        expect(cyclic[i]?.[j]).toBeCloseTo(sum(P, 1), 14);
      }
    }
  }); // biome-ignore format: long

  it("recalls a pattern from a part, and a cyclic sequence with its period", () => {
    const patterns = spins(2, 6, 200);
    const memory = new AmariNetwork({ size: 200 }).store(tensor(patterns));
    const cue = (patterns[2] as number[]).map((s, i) => (i < 30 ? -s : s));
    const recall = memory.recall(tensor(cue));
    expect(recall).toMatchObject({ converged: true, period: 1 });
    expect(recall.state.toArray()).toEqual(patterns[2]);
    falls(recall.energies);

    const net = new AmariNetwork({ size: 200 }).storeSequence(tensor(patterns), { cyclic: true });
    const run = net.recall(tensor(cue), { trace: true, maxSteps: 60 });
    expect(run).toMatchObject({ converged: false, period: 6 });
    const rows = (run.states as Tensor).toArray() as number[][];
    for (let k = 3; k < rows.length; k++) expect(rows[k]).toEqual(patterns[(2 + k) % 6]);
    // A sequence that is not cyclic ends in its last pattern's successor: nothing was stored for it.
    const open = new AmariNetwork({ size: 200 }).storeSequence(tensor(patterns));
    expect(open.update(tensor(patterns[3] as number[])).toArray()).toEqual(patterns[4]);
  });

  it("runs backwards by its transpose: Kosko's temporal associative memory, by his matrix worked out in plain loops", () => {
    // A cycle of three lists of ten bits, as ±1.
    const cycle = ["1010101010", "1100110011", "1110001110"].map((bits) => [...bits].map((bit) => 2 * Number(bit) - 1));
    const net = new AmariNetwork({ size: 10 }).storeSequence(tensor(cycle), { cyclic: true });
    const M = Array.from({ length: 10 }, (_, i) =>
      Array.from({ length: 10 }, (__, j) => cycle.reduce((sum, x, k) => sum + (x[i] as number) * (cycle[(k + 1) % 3]?.[j] as number), 0)),
    );
    const signs = (fields: readonly number[], old: readonly number[]) => fields.map((f, i) => (f === 0 ? (old[i] as number) : Math.sign(f)));
    const forth = (s: readonly number[]) => signs(s.map((_, j) => s.reduce((sum, v, i) => sum + v * (M[i]?.[j] as number), 0)), s);
    const back = (s: readonly number[]) => signs(M.map((row) => row.reduce((sum, w, j) => sum + w * (s[j] as number), 0)), s);
    const backward = net.backward();
    for (const [k, x] of cycle.entries()) {
      expect(net.update(tensor(x)).toArray()).toEqual(forth(x));
      expect(backward.update(tensor(x)).toArray()).toEqual(back(x));
      expect(forth(x)).toEqual(cycle[(k + 1) % 3]);
      expect(back(x)).toEqual(cycle[(k + 2) % 3]);
    }
    expect(backward.recall(tensor(cycle[0] as number[]))).toMatchObject({ period: 3 });
    // A copy: more patterns do not reach it.
    const before = backward.weight.toArray();
    net.store(tensor(cycle));
    expect(backward.weight.toArray()).toEqual(before);
    expect(backward.backward().weight.toArray()).not.toEqual(net.weight.toArray());
  }); // biome-ignore format: long

  it("blinks where units disagree, and ties leave a unit as it was", () => {
    const net = new AmariNetwork({ size: 2 });
    expect(net.recall(tensor([1, -1]))).toMatchObject({ converged: true, period: 1, steps: 1 });
    assign(net.weight, [0, -1, -1, 0]);
    expect(net.recall(tensor([1, 1]))).toMatchObject({ converged: false, period: 2 });
    expect(net.recall(tensor([1, -1]))).toMatchObject({ converged: true });
    expect(net.energy(tensor([1, 1]))).toBe(-2);
  });

  it("under any symmetric weights the energy falls and no cycle is longer than two", () => {
    for (let seed = 0; seed < 20; seed++) {
      const net = new AmariNetwork({ size: 12 });
      const W = symmetric(seed, 12);
      assign(net.weight, W.flat());
      const start = spins(seed, 1, 12)[0] as number[];
      const { energies, period } = net.recall(tensor(start));
      expect([1, 2]).toContain(period);
      falls(energies);
      expect(energies[0]).toBeCloseTo(-times(W, start).reduce((sum, l) => sum + Math.abs(l), 0), 12);
    }
  });
});

describe("the associatron", () => {
  it("recalls as its equations say, in plain loops, with and without quantisation", () => {
    const [N, P] = [9, 4];
    const patterns = (new Generator(4).integers([P, N], -1, 2).toArray() as number[][]);
    const M = Array.from({ length: N }, (_, i) => Array.from({ length: N }, (__, j) => patterns.reduce((sum, x) => sum + (x[i] as number) * (x[j] as number), 0)));
    for (const quantized of [true, false]) {
      const memory = new Associatron({ size: N, quantized }).store(tensor(patterns));
      expect(memory.weight.toArray()).toEqual(M);
      for (const cue of new Generator(5).integers([20, N], -1, 2).toArray() as number[][]) {
        const phi = M.map((row) => (quantized ? row.map(Math.sign) : row));
        const expected = times(phi, cue).map((l) => Math.sign(l) + 0);
        expect((memory.update(tensor(cue)).toArray() as number[]).map((y) => y + 0)).toEqual(expected);
        falls(memory.recall(tensor(cue)).energies);
      }
    }
  }); // biome-ignore format: long

  it("recalls three patterns of three fields from any one field, and nothing from nothing", () => {
    const patterns = spins(11, 3, 90);
    const memory = new Associatron({ size: 90 }).store(tensor(patterns));
    for (const pattern of patterns) {
      for (let field = 0; field < 3; field++) {
        const cue = pattern.map((x, i) => (Math.floor(i / 30) === field ? x : 0));
        expect(memory.recall(tensor(cue)).state.toArray()).toEqual(pattern);
      }
    }
    expect(memory.recall(tensor(new Float32Array(90)))).toMatchObject({ converged: true, steps: 1 });
    // Elements that no pattern knows stay unknown.
    const partial = new Associatron({ size: 4 }).store(tensor([1, -1, 1, 0]));
    expect(partial.recall(tensor([1, 0, 0, 0])).state.toArray()).toEqual([1, -1, 1, 0]);
  });
});

describe("Little's network", () => {
  const little = (seed: number, N: number, temperature: number) => {
    const net = new LittleNetwork({ size: N, temperature, generator: new Generator(seed) });
    const W = symmetric(seed, N);
    assign(net.weight, W.flat());
    return { net, W };
  };

  it("the transfer matrix is a product over units, in plain loops, and its columns are laws", () => {
    const [N, T] = [4, 0.7];
    const { net, W } = little(1, N, T);
    const P = net.transferMatrix().toArray() as number[][];
    for (let from = 0; from < 16; from++) {
      const l = times(W, allStates(N)[from] as number[]);
      for (let to = 0; to < 16; to++) {
        const expected = (allStates(N)[to] as number[]).reduce((p, s, i) => p * (Math.exp((s * (l[i] as number)) / T) / (2 * Math.cosh((l[i] as number) / T))), 1);
        expect(Math.abs((P[to]?.[from] as number) - expected) <= 1e-14).toBe(true);
      }
      expect(P.reduce((sum, row) => sum + (row[from] as number), 0)).toBeCloseTo(1, 13);
    }
  }); // biome-ignore format: long

  it("the law ∝ Π 2 cosh(l/T) is left alone by the transfer matrix, and Hopfield's is not", () => {
    for (let seed = 0; seed < 4; seed++) {
      const [N, T] = [8, 1];
      const { net, W } = little(seed, N, T);
      const P = net.transferMatrix().toArray() as number[][];
      const p = Array.from(net.stationary().data());
      expect(p.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 13);
      const next = times(P, p);
      for (const [k, value] of next.entries()) expect(Math.abs(value - (p[k] as number)) <= 1e-14).toBe(true);
      // From the definition, and by the energy.
      const weights = p.map((_, k) => times(W, allStates(N)[k] as number[]).reduce((product, l) => product * 2 * Math.cosh(l / T), 1));
      const total = weights.reduce((a, b) => a + b, 0);
      for (const [k, weight] of weights.entries()) {
        expect(Math.abs(weight / total - (p[k] as number)) <= 1e-14).toBe(true);
        expect(net.energy(tensor(allStates(N)[k] as number[]))).toBeCloseTo(-T * Math.log(weight), 12);
      }
      const other = boltzmann(allStates(N).map((state) => pairwiseEnergy(W, new Array<number>(N).fill(0), state)), T);
      const moved = times(P, other);
      expect(variation(moved, other)).toBeGreaterThan(0.005);
    }
  }); // biome-ignore format: long

  it("samples follow the transfer matrix: single steps, and the law in the long run", () => {
    const [N, T, steps] = [3, 1.5, 40000];
    const { net } = little(5, N, T);
    const P = net.transferMatrix().toArray() as number[][];
    const p = net.stationary().data();
    const rows = net.sample(tensor([1, 1, 1]), { steps }).toArray() as number[][];
    const visited = rows.map(codeOf);
    const pairs = Array.from({ length: 8 }, () => new Array<number>(8).fill(0));
    const seen = new Array<number>(8).fill(0);
    for (let k = 1; k < steps; k++) {
      const [from, to] = [visited[k - 1] as number, visited[k] as number];
      seen[from] = (seen[from] as number) + 1;
      (pairs[to] as number[])[from] = (pairs[to]?.[from] as number) + 1;
    }
    for (let from = 0; from < 8; from++) {
      // Five standard errors of a share, more where the law has to mix first.
      const n = seen[from] as number;
      expect(Math.abs(n / steps - (p[from] as number)) <= 0.02).toBe(true);
      for (let to = 0; to < 8; to++) {
        const q = P[to]?.[from] as number;
        expect(Math.abs((pairs[to]?.[from] as number) / n - q) <= 5 * Math.sqrt((q * (1 - q)) / n) + 1e-9).toBe(true);
      }
    }
  });

  it("in the cold it is Amari's network", () => {
    const { net, W } = little(6, 12, 1e-9);
    const amari = new AmariNetwork({ size: 12 });
    assign(amari.weight, W.flat());
    for (const s of spins(7, 10, 12)) {
      expect(net.update(tensor(s)).toArray()).toEqual(amari.update(tensor(s)).toArray());
      expect(net.energy(tensor(s))).toBeCloseTo(amari.energy(tensor(s)), 7);
    }
    expect(net.recall(tensor(spins(7, 1, 12)[0] as number[]), { maxSteps: 3 })).toMatchObject({ steps: 3, converged: false, period: 0 });
  });

  it("the same seed gives the same states", () => {
    const states = () =>
      little(9, 10, 1)
        .net.sample(tensor(spins(1, 1, 10)[0] as number[]), { steps: 50 })
        .toArray();
    expect(states()).toEqual(states());
  });
});

describe("bad input", () => {
  const any = (value: unknown): never => value as never;
  const amari = new AmariNetwork({ size: 2 });
  it.each<[string, () => unknown, string, string]>([
    ["no units", () => new AmariNetwork({ size: 0 }), "ArgumentError", "AmariNetwork: expected size to be a whole number of at least 1, got 0"],
    ["a misspelt option", () => new Associatron(any({ size: 2, quantised: true })), "ArgumentError", "did you mean quantized?"],
    ["a cold below zero", () => new LittleNetwork({ size: 2, temperature: -1 }), "ArgumentError", "LittleNetwork: expected temperature above 0, got -1"],
    ["patterns of another size", () => amari.store(tensor([1, 1, 1])), "ShapeError", "store: expected patterns of shape [P,2] or [2], got [3]"],
    ["patterns of 0", () => amari.storeSequence(tensor([[1, 0], [1, 1]])), "ArgumentError", "storeSequence: expected patterns to hold -1 and 1, got 0 at position 1"],
    ["a sequence of one", () => amari.storeSequence(tensor([[1, 1]])), "ShapeError", "storeSequence: expected at least two patterns, got 1"],
    ["a half", () => new Associatron({ size: 1 }).store(tensor([0.5])), "ArgumentError", "store: expected patterns to hold -1, 0 and 1, got 0.5 at position 0"],
    ["NaN", () => amari.recall(tensor([1, Number.NaN])), "ArgumentError", "recall: expected the cue to hold -1 and 1, got NaN at position 1"],
    ["asynchronous updates", () => amari.recall(tensor([1, 1]), any({ updates: "asynchronous" })), "ArgumentError", "recall: expected options among maxSteps, trace"],
    ["too many states", () => new LittleNetwork({ size: 13 }).transferMatrix(), "ArgumentError", "transferMatrix: expected at most 12 units, got 13"],
    ["no law", () => { const net = new LittleNetwork({ size: 2 }); assign(net.weight, [0, 1, 2, 0]); net.stationary(); }, "ArgumentError", "stationary: expected symmetric weights, got others between units 0 and 1"],
    ["half a step", () => new LittleNetwork({ size: 2 }).sample(tensor([1, 1]), { steps: 0.5 }), "ArgumentError", "sample: expected steps to be a whole number"],
  ])("refuses %s", (_, call, name, message) => {
    const error = thrown(call) as Error;
    expect(error).toMatchObject({ name });
    expect(error.message).toContain(message);
  }); // biome-ignore format: a table

  it("nothing is stored where something is refused", () => {
    const net = new AmariNetwork({ size: 2 });
    thrown(() => net.store(tensor([[1, 1], [1, 0]]))); // biome-ignore format: short
    expect(net.weight.toArray()).toEqual([[0, 0], [0, 0]]); // biome-ignore format: short
  });
});
