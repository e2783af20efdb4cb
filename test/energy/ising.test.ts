import { describe, expect, it } from "vitest";
import { ArgumentError, DTypeError, ShapeError } from "../../src/base/errors.ts";
import { SparseCouplings, squareLattice } from "../../src/energy/couplings.ts";
import { Ising } from "../../src/energy/ising.ts";
import { onsager } from "../../src/energy/onsager.ts";
import { SherringtonKirkpatrick } from "../../src/energy/sherrington-kirkpatrick.ts";
import { ones } from "../../src/tensor/create.ts";
import { Generator } from "../../src/tensor/random.ts";
import { tensor } from "../../src/tensor/tensor.ts";
import { allStates, boltzmann, codeOf, float64, pairwiseEnergy, randomCouplings, variation } from "./plain.ts";

const N = 5;
const J = randomCouplings(3, N);
const h = Array.from(new Generator(4).normal([N], 0, 0.5, "float64").data(), Number);
const system = () => new Ising({ couplings: float64(J), field: float64(h) });
const states = allStates(N);
const energies = states.map((s) => pairwiseEnergy(J, h, s));

describe("energies", () => {
  it("of all states, by Gray code and one by one, are the sum over pairs", () => {
    const all = system().enumerate();
    states.forEach((s, code) => {
      for (const E of [all.energies[code] as number, system().energy(float64(s))]) {
        if (!(Math.abs(E - (energies[code] as number)) <= 1e-12)) throw new Error(`expected ${energies[code]} of state ${code}, got ${E}`);
      }
      expect(Array.from(all.state(code).data(), Number)).toEqual(s);
    });
  });

  it("of a lattice are those of its bonds, also where a side is 1 or 2 long", () => {
    for (const [rows, columns] of [
      [1, 5],
      [2, 2],
      [2, 3],
      [3, 4],
      [1, 1],
    ] as const) {
      const lattice = Ising.lattice({ rows, columns, coupling: 0.7, field: 0.2 });
      const at = (s: readonly number[], r: number, c: number) => s[(r % rows) * columns + (c % columns)] as number;
      for (const s of allStates(rows * columns).slice(0, 64)) {
        let E = 0;
        for (let r = 0; r < rows; r++) {
          for (let c = 0; c < columns; c++) {
            if (columns > 1) E -= 0.7 * at(s, r, c) * at(s, r, c + 1);
            if (rows > 1) E -= 0.7 * at(s, r, c) * at(s, r + 1, c);
            E -= 0.2 * at(s, r, c);
          }
        }
        expect(lattice.energy(float64(s))).toBeCloseTo(E, 12);
      }
    }
  });

  it("tell ground state, minima and log Z", () => {
    const all = system().enumerate();
    expect(all.ground).toBe(energies.indexOf(Math.min(...energies)));
    const minima = states.flatMap((s, code) =>
      s.every(
        (v, i) =>
          pairwiseEnergy(
            J,
            h,
            s.map((u, k) => (k === i ? -v : u)),
          ) >= (energies[code] as number),
      )
        ? [code]
        : [],
    );
    expect(Array.from(all.minima)).toEqual(minima);
    const logZ = Math.log(energies.reduce((Z, E) => Z + Math.exp(-E / 1.3), 0));
    expect(all.logPartition(1.3)).toBeCloseTo(logZ, 12);
    const wanted = boltzmann(energies, 1.3);
    expect(variation(Array.from(all.probabilities(1.3)), wanted)).toBeLessThan(1e-13);
  });
});

describe("sampling", () => {
  const T = 1.5;
  const wanted = boltzmann(energies, T);

  it.each([
    ["heat-bath", "random"],
    ["heat-bath", "permutation"],
    ["heat-bath", "sequential"],
    ["metropolis", "random"],
    ["metropolis", "permutation"],
  ] as const)("by %s in %s order comes to the Boltzmann distribution", (rule, order) => {
    const counts = new Array<number>(2 ** N).fill(0);
    const generator = new Generator(5);
    const model = system();
    let state = ones([N], "float64");
    const rounds = 5000;
    for (let k = 0; k < rounds; k++) {
      state = model.sample(state, { sweeps: 3, temperature: T, rule, order, generator }).state;
      const code = codeOf(state.data());
      counts[code] = (counts[code] as number) + 1;
    }
    // 5,000 independent draws of 32 states come within about 0.03.
    expect(
      variation(
        counts.map((c) => c / rounds),
        wanted,
      ),
    ).toBeLessThan(0.055);
  });

  it("all units at once comes to another distribution, Little's", () => {
    const model = system();
    const generator = new Generator(6);
    const counts = new Array<number>(2 ** N).fill(0);
    let state = ones([N], "float64");
    const rounds = 5000;
    for (let k = 0; k < rounds; k++) {
      state = model.sample(state, { sweeps: 3, temperature: T, updates: "synchronous", generator }).state;
      const code = codeOf(state.data());
      counts[code] = (counts[code] as number) + 1;
    }
    const got = counts.map((c) => c / rounds);
    // p(s) ∝ e^(h·s/T) Π 2 cosh(l_i / T)
    const weights = states.map((s) =>
      J.reduce((w, row, i) => {
        const field = row.reduce((sum, v, j) => sum + v * (s[j] as number), h[i] as number);
        return w * 2 * Math.cosh(field / T) * Math.exp(((h[i] as number) * (s[i] as number)) / T);
      }, 1),
    );
    const Z = weights.reduce((a, b) => a + b, 0);
    expect(
      variation(
        got,
        weights.map((w) => w / Z),
      ),
    ).toBeLessThan(0.055);
    expect(variation(got, wanted)).toBeGreaterThan(0.1);
  });

  it("of a ring gives the exact correlations", () => {
    const [n, T1] = [16, 1.2];
    const ring = new Ising({ couplings: new SparseCouplings(n, squareLattice(1, n)) });
    const generator = new Generator(8);
    let state = ones([n], "float64");
    const sums = [0, 0, 0];
    const rounds = 1500;
    for (let k = 0; k < rounds; k++) {
      state = ring.sample(state, { sweeps: 5, temperature: T1, generator }).state;
      const s = Array.from(state.data(), Number);
      [1, 2, 4].forEach((r, i) => {
        const mean = s.reduce((sum, v, at) => sum + v * (s[(at + r) % n] as number), 0) / n;
        sums[i] = (sums[i] as number) + mean / rounds;
      });
    }
    const t = Math.tanh(1 / T1);
    [1, 2, 4].forEach((r, i) => {
      expect(sums[i]).toBeCloseTo((t ** r + t ** (n - r)) / (1 + t ** n), 1.3);
    });
  });

  it("of the 4 × 4 torus agrees with all 65,536 states", () => {
    const lattice = Ising.lattice({ rows: 4 });
    const all = lattice.enumerate();
    for (const temperature of [2, 3]) {
      const p = all.probabilities(temperature);
      const mean = p.reduce((sum, v, code) => sum + v * (all.energies[code] as number), 0) / 16;
      const start = lattice.sample(ones([16]), { sweeps: 100, temperature, generator: new Generator(1) }).state;
      const { energies: E } = lattice.sample(start, { sweeps: 8000, temperature, generator: new Generator(2) });
      // Means of blocks of 400 sweeps, far longer than the correlations, are independent.
      const blocks = Array.from({ length: 20 }, (_, k) => E.slice(400 * k, 400 * (k + 1)).reduce((a, b) => a + b, 0) / 400 / 16);
      const got = blocks.reduce((a, b) => a + b, 0) / 20;
      const error = Math.sqrt(blocks.reduce((sum, v) => sum + (v - got) ** 2, 0) / (20 * 19));
      expect(error).toBeLessThan(0.03);
      expect(Math.abs(got - mean)).toBeLessThan(4 * error);
    }
  });

  it("reports energy and magnetisation of every sweep, and follows a schedule", () => {
    const model = system();
    const { state, energies: E, magnetizations } = model.sample(ones([N]), { sweeps: 2500, temperature: 2, generator: new Generator(1) });
    expect(E.at(-1)).toBeCloseTo(model.energy(state), 10);
    expect(magnetizations.at(-1)).toBeCloseTo(Array.from(state.data(), Number).reduce((a, b) => a + b, 0) / N, 14);
    const cooled = model.sample(ones([N]), { sweeps: 60, temperature: [...new Array(30).fill(3), ...new Array(30).fill(0)] });
    expect(model.recall(cooled.state).steps).toBe(1);
  });

  it("gives the same bits for the same seed", () => {
    const run = (seed: number) => system().sample(ones([N]), { sweeps: 50, temperature: 1, generator: new Generator(seed) }).energies;
    expect(run(1)).toEqual(run(1));
    expect(run(1)).not.toEqual(run(2));
  });
});

describe("onsager", () => {
  // Tabulated values of the exact solution.
  it.each([
    [1.5, 0.9865, -1.95112],
    [1.8, 0.95686, -1.8593],
    [2.0, 0.91132, -1.74556],
    [2.1, 0.86875, -1.66208],
    [2.2, 0.78476, -1.54649],
    [2.5, 0, -1.10608],
    [3.0, 0, -0.81731],
  ])("at T = %d", (T, m, e) => {
    const { magnetization, energy } = onsager(T);
    expect(Math.abs(magnetization - m)).toBeLessThan(6e-6);
    expect(Math.abs(energy - e)).toBeLessThan(6e-6);
  });

  it("has −√2 at the critical temperature", () => {
    expect(onsager(2.269185314213022).energy).toBeCloseTo(-Math.SQRT2, 7);
  });
});

describe("Sherrington and Kirkpatrick's glass", () => {
  it("has as many minima as the theory says", () => {
    const found = Array.from({ length: 120 }, (_, seed) => {
      const glass = new SherringtonKirkpatrick({ size: 10, generator: new Generator(seed) });
      return glass.enumerate().minima.length;
    });
    const mean = found.reduce((a, b) => a + b, 0) / found.length;
    const error = Math.sqrt(found.reduce((sum, v) => sum + (v - mean) ** 2, 0) / found.length ** 2);
    expect(Math.abs(mean - 7.7657)).toBeLessThan(3 * error);
    expect(error).toBeLessThan(0.6);
  });

  it("anneals to the ground state of small glasses", () => {
    const hits = Array.from({ length: 20 }, (_, seed) => {
      const glass = new SherringtonKirkpatrick({ size: 12, generator: new Generator(100 + seed) });
      const all = glass.enumerate();
      const least = all.energies[all.ground] as number;
      const ends = [0, 1, 2, 3].map((k) => {
        const { state, energy } = glass.anneal(ones([12]), { sweeps: 100, from: 1.5, generator: new Generator(4 * seed + k) });
        expect(glass.energy(state)).toBeCloseTo(energy, 10);
        return energy;
      });
      const energy = Math.min(...ends);
      expect(energy).toBeGreaterThan(least - 1e-9);
      return energy < least + 1e-9;
    });
    expect(hits.filter(Boolean).length).toBeGreaterThanOrEqual(18);
  });

  it("has couplings of mean J₀/N and variance 1/N", () => {
    const glass = new SherringtonKirkpatrick({ size: 200, mean: 3, generator: new Generator(2) });
    const W = Array.from(glass.weight?.data() ?? [], Number);
    const off = W.filter((_, k) => k % 200 > Math.floor(k / 200));
    const mean = off.reduce((a, b) => a + b, 0) / off.length;
    const variance = off.reduce((sum, v) => sum + (v - mean) ** 2, 0) / off.length;
    expect(mean * 200).toBeCloseTo(3, 0.5);
    expect(variance * 200).toBeCloseTo(1, 1);
    expect(W.filter((_, k) => k % 201 === 0).every((v) => v === 0)).toBe(true);
  });
});

describe("bad input", () => {
  const sample = (options: object) => () => system().sample(ones([N]), { sweeps: 1, temperature: 1, ...options });
  it.each([
    [() => new Ising({ couplings: tensor([[0, 1]]) }), ShapeError, "Ising: expected couplings of shape [1,1], got [1,2]"],
    [
      () =>
        new Ising({
          couplings: tensor([
            [0, 1],
            [2, 0],
          ]),
        }),
      ArgumentError,
      "Ising: expected finite symmetric couplings, got 2 and 1",
    ],
    [() => new Ising({ couplings: float64(J), field: tensor([1]) }), ShapeError, "Ising: expected field of shape [5], got [1]"],
    [() => new Ising({ couplings: J as never }), DTypeError, "Ising: expected"],
    [() => Ising.lattice({ rows: 0 }), ArgumentError, "Ising.lattice: expected rows to be a whole number of at least 1, got 0"],
    [
      () => new SparseCouplings(2, [[0, 2, 1]]),
      ArgumentError,
      "SparseCouplings: expected a bond's units to be a whole number in [0, 2), got 2",
    ],
    [() => new SparseCouplings(2, [[1, 1, 1]]), ArgumentError, "SparseCouplings: expected bonds between different units, got 1 and 1"],
    [sample({ temperature: -1 }), ArgumentError, "sample: expected temperature of at least 0, got -1"],
    [sample({ temperature: [1, 1] }), ArgumentError, "sample: expected 1 temperatures, got 2"],
    [sample({ temperature: Number.NaN }), ArgumentError, "sample: expected temperature of at least 0, got NaN"],
    [sample({ sweeps: -1 }), ArgumentError, "sample: expected sweeps to be a whole number of at least 0, got -1"],
    [sample({ rule: "metropolis", updates: "synchronous" }), ArgumentError, "sample: expected asynchronous updates"],
    [sample({ rule: "glauber" }), ArgumentError, 'sample: expected rule to be one of "heat-bath", "metropolis"'],
    [() => system().anneal(ones([N]), { sweeps: 3, from: 1, to: 2 }), ArgumentError, "anneal: expected to in [0, 1], got 2"],
    [() => Ising.lattice({ rows: 5 }).enumerate(), ArgumentError, "enumerate: expected at most 24 units, got 25"],
    [() => system().enumerate().probabilities(0), ArgumentError, "probabilities: expected temperature above 0, got 0"],
    [() => onsager(0), ArgumentError, "onsager: expected temperature of at least 0.1, got 0"],
    [() => new SherringtonKirkpatrick({ size: 0 }), ArgumentError, "SherringtonKirkpatrick: expected size"],
  ])("is refused by name, case %#", (call, kind, message) => {
    expect(call).toThrow(kind);
    expect(call).toThrow(message);
  });
});
