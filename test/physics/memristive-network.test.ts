import { describe, expect, it } from "vitest";
import { solve } from "../../src/numerics/matrix.ts";
import {
  type Circuit,
  cycleProjector,
  incidenceMatrix,
  isingNetwork,
  MemristiveCircuit,
  MemristiveNetwork,
} from "../../src/physics/index.ts";
import { Generator } from "../../src/tensor/random.ts";
import { tensor } from "../../src/tensor/tensor.ts";
import { thrown } from "../thrown.ts";
import { normals, randomCircuit } from "./circuits.ts";

const both = [["on"], ["off"]] as const;
const vector = (values: ArrayLike<number>) => tensor(Float64Array.from(values));
const uniform = (seed: number, m: number, low = 0, high = 1) => new Generator(seed).uniform([m], low, high, "float64");

/** The currents of a circuit by modified nodal analysis: B G Bᵀ φ = B G S with node 0 at potential 0, then i = G (S − Bᵀ φ). */
function nodalCurrents(circuit: Circuit, resistances: readonly number[], sources: readonly number[]): number[] {
  const B = incidenceMatrix(circuit).slice(1);
  const G = resistances.map((r) => 1 / r);
  const laplacian = B.map((row) => B.map((other) => row.reduce((sum, b, k) => sum + b * (G[k] as number) * (other[k] as number), 0)));
  const injected = B.map((row) => row.reduce((sum, b, k) => sum + b * (G[k] as number) * (sources[k] as number), 0));
  const phi = solve(laplacian, injected) as number[];
  return sources.map((s, k) => (G[k] as number) * (s - B.reduce((sum, row, n) => sum + (row[k] as number) * (phi[n] as number), 0)));
}

describe("memristive circuits", () => {
  it("a loop of three by hand: 1 V over 3 · 0.55 ohm", () => {
    const circuit: Circuit = { nodes: 3, branches: [[0, 1], [1, 2], [0, 2]] }; // biome-ignore format: short
    const network = new MemristiveCircuit({ circuit, sources: [1, 0, 0] });
    const w = vector([0.5, 0.5, 0.5]);
    const i = Array.from(network.currents(w).data());
    for (const [k, sign] of [1, 1, -1].entries()) expect(i[k]).toBeCloseTo((sign * 1) / 1.65, 14);
    // dw/dt = off i/β − α w
    expect(network.slope(w).data()[0]).toBeCloseTo(1 / 1.65 - 0.5, 14);
    expect(network.slope(w).data()[2]).toBeCloseTo(-1 / 1.65 - 0.5, 14);
    expect(Array.from(network.resistances(vector([0, 1, 0.5])).data())).toEqual([1, 0.1, 0.55]);
  });

  it.each(both)("full %s: currents and trajectories are those of modified nodal analysis", (full) => {
    for (let seed = 0; seed < 6; seed++) {
      const circuit = randomCircuit(seed, 5 + (seed % 4), 0.6);
      const m = circuit.branches.length;
      const sources = normals(seed, m, 2);
      const network = new MemristiveCircuit({ circuit, sources, on: 3, off: 70, alpha: 0.3, beta: 20, full });
      const start = uniform(seed, m);
      const [empty, one, sign] = full === "on" ? [70, 3, 1] : [3, 70, -1];
      let w = Array.from(start.data());
      const [steps, dt] = [150, 0.02];
      const { states } = network.trajectory(start, { steps, dt });
      const rows = states.toArray() as number[][];
      for (let k = 0; k <= steps; k++) {
        const resistances = w.map((x) => empty * (1 - x) + one * x);
        const currents = nodalCurrents(circuit, resistances, sources);
        if (k === 0) {
          expect(Array.from(network.resistances(start).data()).every((r, j) => r === resistances[j])).toBe(true);
          const got = network.currents(start).data();
          for (const [j, current] of currents.entries()) expect(Math.abs((got[j] as number) - current) <= 1e-12).toBe(true);
        }
        for (const [j, x] of w.entries()) expect(Math.abs((rows[k]?.[j] as number) - x) <= 1e-9).toBe(true);
        w = w.map((x, j) => Math.min(1, Math.max(0, x + dt * sign * ((empty / 20) * (currents[j] as number) - 0.3 * x))));
      }
    }
  });

  it("turned branches with turned sources and memristors of the other polarity are another circuit, turned back the same", () => {
    const circuit = randomCircuit(3, 5, 0.7);
    const m = circuit.branches.length;
    const sources = normals(3, m);
    const turned: Circuit = { nodes: circuit.nodes, branches: circuit.branches.map(([a, b], k) => (k === 0 ? [b, a] : [a, b])) };
    const w = uniform(3, m);
    const before = new MemristiveCircuit({ circuit, sources }).currents(w).data();
    const after = new MemristiveCircuit({ circuit: turned, sources: sources.map((s, k) => (k === 0 ? -s : s)) }).currents(w).data();
    for (let k = 0; k < m; k++) expect(after[k]).toBeCloseTo((k === 0 ? -1 : 1) * (before[k] as number), 12);
  });

  it("without sources states decay exponentially, by the paper's sign with a negative α", () => {
    const circuit = randomCircuit(1, 5, 0.7);
    const m = circuit.branches.length;
    for (const [full, alpha] of [
      ["off", -0.1],
      ["on", 0.1],
    ] as const) {
      // biome-ignore format: short
      const network = new MemristiveCircuit({ circuit, sources: normals(0, m, 0), alpha, full });
      const { states } = network.trajectory(uniform(2, m), { steps: 100, dt: 0.01 });
      const rows = states.toArray() as number[][];
      for (let k = 0; k < m; k++) expect(rows[100]?.[k]).toBeCloseTo((rows[0]?.[k] as number) * (1 - 0.1 * 0.01) ** 100, 14);
    }
  });

  it("a loop under an alternating voltage has a pinched hysteresis", () => {
    const circuit: Circuit = { nodes: 2, branches: [[0, 1], [1, 0]] }; // biome-ignore format: short
    const network = new MemristiveCircuit({ circuit, sources: [0, 0], alpha: 0.1, on: 1, off: 20 });
    const volts = (t: number) => 2 * Math.sin(t);
    const dt = (2 * Math.PI) / 4000;
    const { states } = network.trajectory(vector([0.5, 0.5]), { steps: 12000, dt, driveAt: (t) => network.driveOf([volts(t), 0]) });
    const rows = states.toArray() as number[][];
    const loop = Array.from({ length: 4000 }, (_, k) => {
      const resistance = network.resistances(vector(rows[8000 + k] as number[])).data();
      return { v: volts((8000 + k) * dt), i: volts((8000 + k) * dt) / ((resistance[0] as number) + (resistance[1] as number)) };
    });
    // The two halves of the loop are of opposite sense, so one is measured alone.
    const half = loop.slice(0, 2000).reduce((sum, { v, i }, k) => sum + i * ((loop[k + 1]?.v as number) - v), 0);
    expect(Math.abs(half)).toBeGreaterThan(0.01);
    expect(loop.filter(({ v }) => Math.abs(v) < 1e-9).every(({ i }) => Math.abs(i) < 1e-9)).toBe(true);
  });
});

describe("the Lyapunov function", () => {
  it("by hand, for two memristors", () => {
    const network = (full: "on" | "off") =>
      new MemristiveNetwork({ coupling: [[0.5, 0.5], [0.5, 0.5]], drive: [0.4, 0.8], on: 1, off: 2, alpha: 0.6, full }); // biome-ignore format: short
    // w = (1/2, 1/4): Σ w³ = 9/64, w² = (1/4, 1/16), (w²)ᵀ Ω w² = (5/16)²/2, xᵀ w² = 0.15.
    const w = vector([0.5, 0.25]);
    const cubic = (0.6 / 3) * (9 / 64);
    const pairs = (0.6 / 4) * ((5 / 16) ** 2 / 2);
    expect(network("on").energy(w)).toBeCloseTo(cubic - 0.5 * pairs - 0.075, 15);
    expect(network("off").energy(w)).toBeCloseTo(-(cubic + pairs - 0.075), 15);
    expect(network("on").energy(vector([0, 0]))).toBe(0);
  });

  it("a drive that depends on time is asked for at the time of each step", () => {
    const network = new MemristiveNetwork({ coupling: [[0.5]], drive: [0.1] });
    const times: number[] = [];
    const { times: course } = network.trajectory(vector([0.5]), { steps: 4, dt: 0.25, driveAt: (t) => [times.push(t) * 0] });
    expect(times).toEqual([0, 0.25, 0.5, 0.75]);
    expect(Array.from(course)).toEqual([0, 0.25, 0.5, 0.75, 1]);
  });

  it.each(both)("full %s: its gradient is −(W + κ W Ω W) dw/dt, by central differences", (full) => {
    for (let seed = 0; seed < 5; seed++) {
      const circuit = randomCircuit(seed, 6, 0.55);
      const m = circuit.branches.length;
      const network = new MemristiveCircuit({ circuit, sources: normals(seed, m), on: 0.3, off: 1.7, alpha: 0.7, beta: 1.4, full });
      const omega = cycleProjector(circuit);
      const w = Array.from(uniform(seed, m, 0.1, 0.9).data());
      const slope = Array.from(network.slope(vector(w)).data());
      const kappa = full === "on" ? (0.3 - 1.7) / 1.7 : (1.7 - 0.3) / 0.3;
      for (let k = 0; k < m; k++) {
        const at = (h: number) => network.energy(vector(w.map((x, j) => (j === k ? x + h : x))));
        const measured = (at(1e-5) - at(-1e-5)) / 2e-5;
        const coupled = slope.reduce((sum, s, j) => sum + (omega[k]?.[j] as number) * (w[j] as number) * s, 0);
        const expected = -(w[k] as number) * ((slope[k] as number) + kappa * coupled);
        expect(Math.abs(measured - expected) <= 1e-8).toBe(true);
      }
    }
  });

  it.each(both)("full %s: never rises in 40 circuits while no state is held, and falls on the whole", (full) => {
    let free = 0;
    for (let seed = 0; seed < 40; seed++) {
      const circuit = randomCircuit(seed, 7, 0.55, 14);
      const m = circuit.branches.length;
      const network = new MemristiveCircuit({ circuit, sources: normals(seed, m), full, on: full === "on" ? 0.1 : 0.5 });
      const { states, energies } = network.trajectory(uniform(seed, m, 0.3, 0.7), { steps: 150, dt: 0.01 });
      const rows = states.toArray() as number[][];
      for (let k = 1; k < energies.length; k++) {
        if (rows[k]?.some((x) => x === 0 || x === 1)) break;
        free++;
        expect((energies[k] as number) - (energies[k - 1] as number) <= 1e-9).toBe(true);
      }
      expect(energies[1] as number).toBeLessThan(energies[0] as number);
    }
    expect(free).toBeGreaterThan(400);
  });
});

describe("recall", () => {
  it("ends where the slope is zero or a bound holds the state, on the way of the trajectory", () => {
    const circuit = randomCircuit(4, 6, 0.6);
    const m = circuit.branches.length;
    const network = new MemristiveCircuit({ circuit, sources: normals(4, m) });
    const cue = uniform(4, m);
    const { state, converged, steps, energies, states } = network.recall(cue, { trace: true });
    expect(converged).toBe(true);
    const slope = network.slope(state).data();
    for (const [k, w] of state.data().entries()) {
      const held = (w === 0 && (slope[k] as number) < 0) || (w === 1 && (slope[k] as number) > 0);
      expect(held || Math.abs(slope[k] as number) <= 1e-7).toBe(true);
    }
    const path = network.trajectory(cue, { steps });
    expect(states?.toArray()).toEqual(path.states.toArray());
    expect(energies).toEqual(Array.from(path.energies));
    expect(network.recall(cue, { maxSteps: 3 })).toMatchObject({ steps: 3, converged: false, period: 0 });
  });
});

describe("Ising problems", () => {
  it("on binary states the Lyapunov function is the Ising energy in another scale, for all of them", () => {
    for (let seed = 0; seed < 4; seed++) {
      const N = 5;
      const draws = normals(seed, N * N + N);
      const J = Array.from({ length: N }, (_, i) => Array.from({ length: N }, (__, j) => (i === j ? 9 + i * i : (draws[Math.max(i, j) * N + Math.min(i, j)] as number))));
      const fields = draws.slice(N * N);
      const network = isingNetwork({ couplings: J, fields }, { alpha: 0.8, on: 0.2, off: 2 });
      const pairs = Array.from({ length: 2 ** N }, (_, k) => {
        const s = Array.from({ length: N }, (__, i) => ((k >> i) & 1 ? 1 : -1));
        let energy = 0;
        for (let i = 0; i < N; i++) {
          energy -= (fields[i] as number) * (s[i] as number);
          for (let j = 0; j < i; j++) energy -= (J[i]?.[j] as number) * (s[i] as number) * (s[j] as number);
        }
        return [energy, network.energy(vector(s.map((x) => (1 + x) / 2)))] as const;
      });
      const [first, second] = pairs as [readonly [number, number], readonly [number, number]];
      const scale = (second[1] - first[1]) / (second[0] - first[0]);
      expect(scale).toBeGreaterThan(0);
      for (const [energy, value] of pairs) expect(Math.abs(value - first[1] - scale * (energy - first[0])) <= 1e-12).toBe(true);
    }
  }); // biome-ignore format: long

  it("two spins in a field find their ground state", () => {
    const network = isingNetwork({ couplings: [[0, 1], [1, 0]], fields: [-0.5, 0.1] }); // biome-ignore format: short
    const rows = network.trajectory(vector([0.5, 0.5]), { steps: 2000 }).states.toArray() as number[][];
    expect(rows.at(-1)?.map((w) => (w > 0.5 ? 1 : -1))).toEqual([-1, -1]);
  });
});

describe("bad input", () => {
  const circuit: Circuit = { nodes: 2, branches: [[0, 1], [1, 0]] }; // biome-ignore format: short
  const network = new MemristiveCircuit({ circuit, sources: [1, 0] });
  const any = (value: unknown): never => value as never;

  it.each<[string, () => unknown, string, string]>([
    ["a negative resistance", () => new MemristiveCircuit({ circuit, sources: [1, 0], on: -1 }), "ArgumentError", "MemristiveNetwork: expected on above 0, got -1"],
    ["on above off", () => new MemristiveCircuit({ circuit, sources: [1, 0], on: 2 }), "ArgumentError", "MemristiveNetwork: expected off above 2, got 1"],
    ["an island", () => new MemristiveCircuit({ circuit: { nodes: 3, branches: [[0, 1]] }, sources: [1] }), "ArgumentError", "MemristiveCircuit: expected a connected circuit"],
    ["too few sources", () => new MemristiveCircuit({ circuit, sources: [1] }), "ShapeError", "MemristiveCircuit: expected 2 numbers of sources, got 1"],
    ["NaN volt", () => new MemristiveCircuit({ circuit, sources: [1, Number.NaN] }), "ArgumentError", "MemristiveCircuit: expected sources that is finite, got NaN"],
    ["no β", () => new MemristiveCircuit({ circuit, sources: [1, 0], beta: 0 }), "ArgumentError", "MemristiveCircuit: expected beta above 0, got 0"],
    ["another convention", () => new MemristiveCircuit({ circuit, sources: [1, 0], full: any("half") }), "ArgumentError", 'MemristiveNetwork: expected full to be one of "on", "off", got "half"'],
    ["an asymmetric coupling", () => new MemristiveNetwork({ coupling: [[0.5, 0.1], [0.2, 0.5]], drive: [0, 0] }), "ArgumentError", "expected a symmetric matrix"],
    ["a coupling above I", () => new MemristiveNetwork({ coupling: [[2]], drive: [0] }), "ArgumentError", "MemristiveNetwork: expected a coupling with eigenvalues in [0, 1], got some from 2 to 2"],
    ["a negative coupling", () => new MemristiveNetwork({ coupling: [[0, 0.5], [0.5, 0]], drive: [0, 0] }), "ArgumentError", "expected a coupling with eigenvalues in [0, 1]"],
    ["nothing at all", () => new MemristiveNetwork({ coupling: [], drive: [] }), "ShapeError", "expected a coupling [m,m] of at least one memristor"],
    ["states of another size", () => network.energy(vector([0.5])), "ShapeError", "energy: expected states w [2], got [1]"],
    ["states of two axes", () => network.energy(tensor([[0.5, 0.5]])), "ShapeError", "energy: expected states w [2], got [1,2]"],
    ["no spins", () => isingNetwork({ couplings: [] }), "ShapeError", "isingNetwork: expected couplings [N,N] of at least one spin, got none"],
    ["states outside", () => network.update(vector([0.5, 1.5])), "ArgumentError", "update: expected states in [0, 1], got 1.5"],
    ["NaN states", () => network.slope(vector([0.5, Number.NaN])), "ArgumentError", "slope: expected states in [0, 1], got NaN"],
    ["no states", () => network.currents(any([0.5, 0.5])), "DTypeError", "currents: expected a tensor"],
    ["half a step", () => network.trajectory(vector([0.5, 0.5]), { steps: 0.5 }), "ArgumentError", "trajectory: expected steps to be a whole number"],
    ["time backwards", () => network.trajectory(vector([0.5, 0.5]), { steps: 1, dt: -1 }), "ArgumentError", "trajectory: expected dt above 0, got -1"],
    ["a drive of another size", () => network.trajectory(vector([0.5, 0.5]), { steps: 1, driveAt: () => [1] }), "ShapeError", "trajectory: expected 2 numbers of driveAt, got 1"],
    ["a tolerance below zero", () => network.recall(vector([0.5, 0.5]), { tolerance: -1 }), "ArgumentError", "recall: expected tolerance of at least 0, got -1"],
    ["a cue outside", () => network.recall(vector([0.5, -1])), "ArgumentError", "recall: expected states in [0, 1], got -1"],
    ["no couplings", () => isingNetwork({ couplings: [[0, 0], [0, 0]] }), "ArgumentError", "isingNetwork: expected couplings between spins, got none"],
    ["asymmetric couplings", () => isingNetwork({ couplings: [[0, 1], [2, 0]] }), "ArgumentError", "expected a symmetric matrix"],
    ["ragged couplings", () => isingNetwork({ couplings: [[0, 1], [1]] }), "ShapeError", "expected a square matrix"],
  ])("refuses %s", (_, call, name, message) => {
    const error = thrown(call) as Error;
    expect(error).toMatchObject({ name });
    expect(error.message).toContain(message);
  }); // biome-ignore format: a table
});
