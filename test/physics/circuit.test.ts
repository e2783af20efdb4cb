import { describe, expect, it } from "vitest";
import { type Branch, type Circuit, cycleMatrix, cycleProjector, incidenceMatrix } from "../../src/physics/index.ts";
import { thrown } from "../thrown.ts";
import { randomCircuit } from "./circuits.ts";

const triangle: Circuit = {
  nodes: 3,
  branches: [
    [0, 1],
    [1, 2],
    [2, 0],
  ],
};

function times(a: readonly (readonly number[])[], b: readonly (readonly number[])[]): number[][] {
  return a.map((row) => (b[0] as number[]).map((_, j) => row.reduce((sum, value, k) => sum + value * (b[k]?.[j] as number), 0)));
}

function largest(a: readonly (readonly number[])[]): number {
  return Math.max(...a.flat().map(Math.abs));
}

describe("circuits", () => {
  it("the projector of a triangle is 1/3 everywhere, by the directions of its branches", () => {
    for (const row of cycleProjector(triangle)) for (const value of row) expect(value).toBeCloseTo(1 / 3, 15);
    const turned = cycleProjector({ nodes: 3, branches: [[1, 0], ...triangle.branches.slice(1)] });
    expect(turned[0]?.[1]).toBeCloseTo(-1 / 3, 15);
    expect(turned[1]?.[2]).toBeCloseTo(1 / 3, 15);
  });

  it("two parallel branches are one cycle, a branch to its own node another, a tree has none", () => {
    const [row] = cycleMatrix({ nodes: 2, branches: [[0, 1], [0, 1]] }); // biome-ignore format: short
    expect(row?.map(Math.abs)).toEqual([1, 1]);
    expect((row?.[0] as number) * (row?.[1] as number)).toBe(-1);
    const loop: Circuit = { nodes: 2, branches: [[0, 1], [1, 1]] }; // biome-ignore format: short
    expect(cycleMatrix(loop)).toEqual([[0, 1]]);
    expect(incidenceMatrix(loop)).toEqual([[-1, 0], [1, 0]]); // biome-ignore format: short
    expect(cycleProjector({ nodes: 3, branches: [[0, 1], [2, 0]] })).toEqual([[0, 0], [0, 0]]); // biome-ignore format: short
  });

  it.each(Array.from({ length: 12 }, (_, seed) => [seed]))(
    "random circuit %i: Ω² = Ω = Ωᵀ, rank m − n + 1, and both laws of Kirchhoff",
    (seed) => {
      const circuit = randomCircuit(seed, 4 + (seed % 5), 0.6);
      const [B, A, omega] = [incidenceMatrix(circuit), cycleMatrix(circuit), cycleProjector(circuit)];
      const cycles = circuit.branches.length - circuit.nodes + 1;
      expect(A.length).toBe(cycles);
      const square = times(omega, omega);
      for (const [i, row] of omega.entries()) {
        row.forEach((value, j) => {
          expect(value).toBe(omega[j]?.[i]);
          expect(Math.abs((square[i]?.[j] as number) - value) <= 1e-14).toBe(true);
        });
      }
      // The trace of a projector is its rank.
      expect(omega.reduce((sum, row, i) => sum + (row[i] as number), 0)).toBeCloseTo(cycles, 12);
      // Currents of cycles flow into no node; Ω leaves cycles alone and takes away what the law of voltages allows.
      const transposed = (m: number[][]) => (m[0] as number[]).map((_, j) => m.map((row) => row[j] as number));
      expect(times(B, transposed(A)).flat().every((value) => value === 0)).toBe(true); // biome-ignore format: short
      const kept = times(A, omega).map((row, i) => row.map((value, j) => value - (A[i]?.[j] as number)));
      expect(largest(kept) <= 1e-13).toBe(true);
      expect(largest(times(B, omega)) <= 1e-13).toBe(true);
    },
  );

  it.each<[string, unknown, string]>([
    ["nothing", null, "expected a circuit as an object, got null"],
    ["no nodes", { nodes: 0, branches: [] }, "expected nodes to be a whole number of at least 1, got 0"],
    ["no branches", { nodes: 2, branches: [] }, "expected at least one branch, got none"],
    ["an unknown node", { nodes: 2, branches: [[0, 2]] }, "expected branches between two of the nodes 0 to 1, got [0,2]"],
    ["half a branch", { nodes: 2, branches: [[0]] }, "expected branches between two of the nodes 0 to 1, got [0]"],
    ["NaN", { nodes: 2, branches: [[0, Number.NaN]] }, "expected branches between two of the nodes 0 to 1, got [0,NaN]"],
    ["a node below 0", { nodes: 2, branches: [[0, 1], [-1, 0]] }, "expected branches between two of the nodes 0 to 1, got [-1,0]"],
    ["half a node", { nodes: 2, branches: [[0, 1], [0, 0.5]] }, "expected branches between two of the nodes 0 to 1, got [0,0.5]"],
    ["a text of nodes", { nodes: 2, branches: ["01"] }, 'expected branches between two of the nodes 0 to 1, got "01"'],
    ["a list of another kind", { nodes: 2, branches: [Int32Array.of(0, 1)] }, "expected branches between two of the nodes 0 to 1, got an Int32Array"],
    ["an island", { nodes: 4, branches: [[0, 1], [2, 3]] }, "expected a connected circuit, got no way from node 0 to node 2"],
  ])("refuses %s", (_, circuit, message) => {
    for (const fn of [incidenceMatrix, cycleMatrix, cycleProjector]) {
      expect((thrown(() => fn(circuit as Circuit)) as Error).message).toBe(`${fn === cycleProjector ? "cycleMatrix" : fn.name}: ${message}`);
    }
  }); // biome-ignore format: a table

  it("a long chain of loops is walked without recursion", () => {
    const n = 300;
    const branches = Array.from({ length: n - 1 }, (_, k): Branch => [k, k + 1]);
    const A = cycleMatrix({ nodes: n, branches: [...branches, [n - 1, 0]] });
    expect(A.length).toBe(1);
    expect(new Set(A[0])).toEqual(new Set([1]));
  });
});
