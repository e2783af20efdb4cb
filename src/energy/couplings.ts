/** Symmetric couplings between units, whole or between neighbours only, as loops over plain arrays need them. */

import { checkList, checkNumber, checkWhole } from "../base/checks.ts";
import { ArgumentError, ShapeError } from "../base/errors.ts";

/** Couplings J of N units with J_ij = J_ji and J_ii = 0. */
export interface Couplings {
  readonly size: number;
  /** A bound of the sum of |J_ij| over j, for any i. */
  readonly reach: number;
  /** fields ← fields + c J_·i: what a change of unit i by c does to the fields of the others. */
  addColumn(i: number, c: number, fields: Float64Array): void;
}

/** Σ_j J_ij s_j, added to fields. */
export function addFields(couplings: Couplings, state: Float64Array, fields: Float64Array): void {
  for (let j = 0; j < state.length; j++) if (state[j] !== 0) couplings.addColumn(j, state[j] as number, fields);
}

/** Every unit coupled to every other. */
export class DenseCouplings implements Couplings {
  readonly size: number;
  readonly reach: number;
  readonly #J: Float64Array;

  /**
   * @param J row by row [N·N]; kept, with its diagonal set to 0
   * @throws ArgumentError unless it is finite and symmetric to the last bit
   */
  constructor(op: string, J: Float64Array, N: number) {
    checkSymmetric(op, J, N);
    for (let i = 0; i < N; i++) J[i * N + i] = 0;
    this.size = N;
    this.#J = J;
    this.reach = Array.from({ length: N }, (_, i) => absoluteSum(J, i * N, N)).reduce((a, b) => Math.max(a, b), 0);
  }

  addColumn(i: number, c: number, fields: Float64Array): void {
    const [J, N] = [this.#J, this.size];
    for (let j = 0, at = i * N; j < N; j++, at++) fields[j] = (fields[j] as number) + c * (J[at] as number);
  }
}

/** A bond between two units. */
export type Bond = readonly [i: number, j: number, J: number];

/** Units coupled to their neighbours, as lists. Several bonds between two units add up. */
export class SparseCouplings implements Couplings {
  readonly size: number;
  readonly reach: number;
  /** Where each unit's neighbours begin in the two arrays after it. */
  readonly #start: Int32Array;
  readonly #neighbour: Int32Array;
  readonly #J: Float64Array;

  /**
   * @throws ArgumentError for units that do not exist, a unit coupled to itself, and couplings that are not finite
   * @example new SparseCouplings(3, [[0, 1, 1], [1, 2, -1]])
   */
  constructor(size: number, bonds: readonly Bond[]) {
    checkWhole("SparseCouplings", "size", size, { least: 1 });
    checkList("SparseCouplings", "bonds", bonds);
    for (const bond of bonds) checkBond(bond, size);
    const degree = new Int32Array(size + 1);
    for (const [i, j] of bonds) for (const end of [i, j]) degree[end + 1] = (degree[end + 1] as number) + 1;
    for (let i = 0; i < size; i++) degree[i + 1] = (degree[i + 1] as number) + (degree[i] as number);
    this.size = size;
    this.#start = degree;
    this.#neighbour = new Int32Array(2 * bonds.length);
    this.#J = new Float64Array(2 * bonds.length);
    const next = degree.slice();
    for (const [i, j, J] of bonds) {
      this.#put(next, i, j, J);
      this.#put(next, j, i, J);
    }
    this.reach = Array.from({ length: size }, (_, i) =>
      absoluteSum(this.#J, degree[i] as number, (degree[i + 1] as number) - (degree[i] as number)),
    ).reduce((a, b) => Math.max(a, b), 0);
  }

  #put(next: Int32Array, i: number, j: number, J: number): void {
    const at = next[i] as number;
    next[i] = at + 1;
    this.#neighbour[at] = j;
    this.#J[at] = J;
  }

  addColumn(i: number, c: number, fields: Float64Array): void {
    const [neighbour, J, end] = [this.#neighbour, this.#J, this.#start[i + 1] as number];
    for (let at = this.#start[i] as number; at < end; at++) {
      const j = neighbour[at] as number;
      fields[j] = (fields[j] as number) + c * (J[at] as number);
    }
  }
}

/**
 * Bonds of a periodic square lattice of `rows` × `columns`, unit (r, c) at r·columns + c. Two rows or columns are bound twice, a single one to
 * nothing along its axis.
 * @throws ArgumentError for sizes that are not whole numbers of at least 1, and a coupling that is not finite
 * @example new SparseCouplings(64 * 64, squareLattice(64, 64))
 */
export function squareLattice(rows: number, columns: number, J = 1): Bond[] {
  checkWhole("squareLattice", "rows", rows, { least: 1 });
  checkWhole("squareLattice", "columns", columns, { least: 1 });
  checkNumber("squareLattice", "J", J);
  const bonds: Bond[] = [];
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) {
      const here = r * columns + c;
      if (columns > 1) bonds.push([here, r * columns + ((c + 1) % columns), J]);
      if (rows > 1) bonds.push([here, ((r + 1) % rows) * columns + c, J]);
    }
  }
  return bonds;
}

function checkBond(bond: unknown, size: number): void {
  checkList("SparseCouplings", "a bond", bond);
  const [i, j, J] = bond as readonly number[] as [number, number, number];
  checkWhole("SparseCouplings", "a bond's units", i, { least: 0, below: size });
  checkWhole("SparseCouplings", "a bond's units", j, { least: 0, below: size });
  checkNumber("SparseCouplings", "a bond's coupling", J);
  if (i === j) throw new ArgumentError(`SparseCouplings: expected bonds between different units, got ${i} and ${j}`);
}

/** @throws ShapeError, ArgumentError */
function checkSymmetric(op: string, J: Float64Array, N: number): void {
  if (J.length !== N * N) throw new ShapeError(`${op}: expected ${N * N} couplings, got ${J.length}`);
  for (let i = 0; i < N; i++) {
    for (let j = 0; j < i; j++) {
      const [a, b] = [J[i * N + j] as number, J[j * N + i] as number];
      if (!(Number.isFinite(a) && a === b)) {
        throw new ArgumentError(`${op}: expected finite symmetric couplings, got ${a} and ${b} between units ${i} and ${j}`);
      }
    }
  }
}

function absoluteSum(values: Float64Array, start: number, n: number): number {
  let sum = 0;
  for (let k = start; k < start + n; k++) sum += Math.abs(values[k] as number);
  return sum;
}
