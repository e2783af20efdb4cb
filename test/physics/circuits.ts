/** Random circuits for tests. */

import { type Branch, type Circuit, cycleMatrix } from "../../src/physics/circuit.ts";
import { Generator } from "../../src/tensor/random.ts";

/** A connected circuit in which each two nodes are joined with probability p, in either direction, and that has a cycle. */
export function randomCircuit(seed: number, nodes: number, p: number, mostBranches: number = Number.POSITIVE_INFINITY): Circuit {
  const generator = new Generator(1000 + seed);
  for (let tries = 0; tries < 200; tries++) {
    const branches: Branch[] = [];
    const draws = generator.uniform([nodes * nodes], 0, 1, "float64").data();
    for (let i = 0; i < nodes; i++) {
      for (let j = 0; j < i; j++) {
        if ((draws[i * nodes + j] as number) >= p) continue;
        branches.push((draws[j * nodes + i] as number) < 0.5 ? [i, j] : [j, i]);
      }
    }
    if (branches.length <= mostBranches && isUsable({ nodes, branches })) return { nodes, branches };
  }
  throw new Error("expected a circuit that is connected and has a cycle, drew none");
}

function isUsable(circuit: Circuit): boolean {
  try {
    return cycleMatrix(circuit).length > 0;
  } catch {
    return false;
  }
}

export function normals(seed: number, n: number, std = 1): number[] {
  return Array.from(new Generator(2000 + seed).normal([n], 0, std, "float64").data());
}
