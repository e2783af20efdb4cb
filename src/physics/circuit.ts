/** Circuits as graphs: Kirchhoff's laws in numbers, independent cycles, and the projector on them. */

import { checkList, checkObject, checkWhole } from "../base/checks.ts";
import { ArgumentError } from "../base/errors.ts";
import { quote } from "../base/quote.ts";
import { type Matrix, orthonormalRows } from "../numerics/matrix.ts";

/** A branch, whose current is positive from the first node to the second. */
export type Branch = readonly [from: number, to: number];

/** Nodes 0 … nodes − 1 and the m branches between them; several branches between the same two are allowed. */
export interface Circuit {
  readonly nodes: number;
  readonly branches: readonly Branch[];
}

/** A spanning tree: for each node but the first, the branch to its parent. */
interface SpanningTree {
  readonly parents: readonly number[];
  readonly branches: readonly number[];
}

/**
 * Checks that a circuit is connected and has at least one branch, all between known nodes.
 * @throws ArgumentError @internal
 */
export function checkCircuit(op: string, circuit: Circuit): void {
  checkObject(op, "a circuit", circuit);
  const { nodes, branches } = circuit;
  checkWhole(op, "nodes", nodes, { least: 1 });
  checkList(op, "branches", branches);
  if (branches.length === 0) throw new ArgumentError(`${op}: expected at least one branch, got none`);
  const known = (node: unknown) => Number.isInteger(node) && (node as number) >= 0 && (node as number) < nodes;
  for (const branch of branches as readonly unknown[]) {
    if (Array.isArray(branch) && branch.length === 2 && branch.every(known)) continue;
    throw new ArgumentError(`${op}: expected branches between two of the nodes 0 to ${nodes - 1}, got ${quote(branch)}`);
  }
  const apart = spanningTree(circuit).parents.findIndex((parent, node) => node > 0 && parent < 0);
  if (apart >= 0) throw new ArgumentError(`${op}: expected a connected circuit, got no way from node 0 to node ${apart}`);
}

/** A breadth-first tree from node 0; unreached nodes have the parent −1. */
function spanningTree({ nodes, branches }: Circuit): SpanningTree {
  const parents = new Array<number>(nodes).fill(-1);
  const up = new Array<number>(nodes).fill(-1);
  const reached = [0];
  for (const node of reached) {
    branches.forEach(([from, to], k) => {
      const other = from === node ? to : to === node ? from : 0;
      if (other === 0 || (parents[other] as number) >= 0) return;
      parents[other] = node;
      up[other] = k;
      reached.push(other);
    });
  }
  return { parents, branches: up };
}

/**
 * The incidence matrix B [n,m], with −1 where a branch begins and +1 where it ends. Kirchhoff's current law is B i = 0.
 * @throws ArgumentError for a circuit that is not connected, or has branches to nodes that are not there
 * @example incidenceMatrix({ nodes: 2, branches: [[0, 1], [0, 1]] }) // [[-1, -1], [1, 1]]
 */
export function incidenceMatrix(circuit: Circuit): number[][] {
  checkCircuit("incidenceMatrix", circuit);
  const matrix = Array.from({ length: circuit.nodes }, () => circuit.branches.map(() => 0));
  circuit.branches.forEach(([from, to], k) => {
    addTo(matrix[from] as number[], k, -1);
    addTo(matrix[to] as number[], k, 1);
  });
  return matrix;
}

/**
 * The fundamental cycles of a spanning tree: A [m−n+1, m], one row for each branch outside the tree, ±1 for the branches on its cycle by their
 * direction. Kirchhoff's voltage law is A v = 0, and the currents that obey his current law are i = Aᵀ j.
 * @throws ArgumentError for a circuit that is not connected, or has branches to nodes that are not there
 * @example cycleMatrix({ nodes: 3, branches: [[0, 1], [1, 2], [2, 0]] }) // [[1, 1, 1]]
 */
export function cycleMatrix(circuit: Circuit): number[][] {
  checkCircuit("cycleMatrix", circuit);
  const { branches } = circuit;
  const tree = spanningTree(circuit);
  const inTree = new Set(tree.branches);
  const outside = [...branches.keys()].filter((k) => !inTree.has(k));
  return outside.map((k) => {
    const [from, to] = branches[k] as Branch;
    const cycle = branches.map((_, j) => (j === k ? 1 : 0));
    // Along the branch, then up from its end to the root, and back down to its beginning.
    climb(circuit, tree, to, 1, cycle);
    climb(circuit, tree, from, -1, cycle);
    return cycle;
  });
}

/** Adds the path from a node up to the root, `times` times. */
function climb({ branches }: Circuit, tree: SpanningTree, start: number, times: number, cycle: number[]): void {
  for (let node = start; node !== 0; node = tree.parents[node] as number) {
    const k = tree.branches[node] as number;
    addTo(cycle, k, (branches[k] as Branch)[0] === node ? times : -times);
  }
}

function addTo(row: number[], k: number, value: number): void {
  row[k] = (row[k] as number) + value;
}

/**
 * The projector on the cycles of a circuit: Ω = Aᵀ (A Aᵀ)⁻¹ A [m,m], by orthonormal rows of A. Ω² = Ω = Ωᵀ, and its rank is the number of
 * independent cycles, m − n + 1. The direction of branches changes the signs of its rows and columns; the choice of cycles changes nothing.
 * @throws ArgumentError for a circuit that is not connected, or has branches to nodes that are not there
 * @see Caravelli, Traversa and Di Ventra, "Complex dynamics of memristive circuits: analytical results and universal slow relaxation", 2017
 * @example cycleProjector({ nodes: 3, branches: [[0, 1], [1, 2], [2, 0]] }) // 1/3 everywhere
 */
export function cycleProjector(circuit: Circuit): number[][] {
  return gram(orthonormalRows(cycleMatrix(circuit)).rows, circuit.branches.length);
}

/** Qᵀ Q of rows of length m. */
function gram(rows: Matrix, m: number): number[][] {
  const sum = (i: number, j: number) => rows.reduce((total, row) => total + (row[i] as number) * (row[j] as number), 0);
  return Array.from({ length: m }, (_, i) => Array.from({ length: m }, (__, j) => sum(i, j)));
}
