/** The Ising model: spins under couplings and fields, on a lattice or between any. */

import { checkWhole, optionsOf } from "../base/checks.ts";
import { ArgumentError } from "../base/errors.ts";
import { checkTensor, keep, type Tensor, tensor } from "../tensor/tensor.ts";
import { type Couplings, DenseCouplings, SparseCouplings, squareLattice } from "./couplings.ts";
import { SpinModel } from "./spin-model.ts";
import type { SpinSystem } from "./spins.ts";
import { readMatrix, readState } from "./states.ts";

export interface IsingOptions {
  /** J, symmetric: a tensor [N,N], whose diagonal takes no part, or bonds between neighbours. */
  readonly couplings: Tensor | SparseCouplings;
  /** h [N] (default 0). */
  readonly field?: Tensor;
}

export interface LatticeOptions {
  readonly rows: number;
  /** (default as many as rows) */
  readonly columns?: number;
  /** J of all bonds (default 1). */
  readonly coupling?: number;
  /** h of all spins (default 0). */
  readonly field?: number;
}

/**
 * Spins of ±1 with the energy
 *
 *     E = −Σ_{i<j} J_ij s_i s_j − Σ_i h_i s_i
 *
 * `sample` runs Glauber's or Metropolis's dynamics at a temperature (in units of J, k = 1), `anneal` looks for a ground state, `enumerate` knows all
 * states of small systems. `field` [N], h, is float64 and in the state dict, and so are couplings given as a tensor.
 * @throws DTypeError, ShapeError, ArgumentError for couplings that are not square, finite and symmetric, and a field of another size
 * @see Ising, "Beitrag zur Theorie des Ferromagnetismus", 1925
 * @see Glauber, "Time-dependent statistics of the Ising model", 1963
 * @example
 * const ising = Ising.lattice({ rows: 64 });
 * const { magnetizations } = ising.sample(ones([64 * 64]), { sweeps: 1000, temperature: 2.0 });
 */
export class Ising extends SpinModel {
  override readonly size: number;
  /** J [N,N], float64; null where only neighbours are coupled. */
  readonly weight: Tensor | null;
  readonly field: Tensor;
  readonly #sparse: SparseCouplings | null;

  constructor(options: IsingOptions) {
    super();
    const { couplings, field } = optionsOf("Ising", options, ["couplings", "field"]);
    this.#sparse = couplings instanceof SparseCouplings ? couplings : null;
    const J = this.#sparse === null ? readCouplings(couplings as Tensor) : null;
    this.size = this.#sparse?.size ?? (couplings as Tensor).dim(0);
    const h = field === undefined ? new Float64Array(this.size) : readState("Ising", "field", field, this.size, "numbers");
    this.weight = J === null ? null : keep(tensor(J, { shape: [this.size, this.size] }));
    this.field = keep(tensor(h));
    this.system();
  }

  /**
   * A periodic square lattice; spin (r, c) is unit r·columns + c.
   * @throws ArgumentError for sizes below 1, and numbers that are not finite
   * @see Onsager, "Crystal statistics. I. A two-dimensional model with an order-disorder transition", 1944
   */
  static lattice(options: LatticeOptions): Ising {
    const { rows, columns = rows, coupling = 1, field = 0 } = optionsOf("Ising.lattice", options, ["rows", "columns", "coupling", "field"]);
    checkWhole("Ising.lattice", "rows", rows, { least: 1 });
    checkWhole("Ising.lattice", "columns", columns, { least: 1 });
    const N = rows * columns;
    const couplings = new SparseCouplings(N, squareLattice(rows, columns, coupling));
    return new Ising({ couplings, field: tensor(new Float64Array(N).fill(field)) });
  }

  protected override system(): SpinSystem {
    const field = readState("Ising", "field", this.field, this.size, "numbers");
    return { couplings: this.#sparse ?? this.#dense(this.weight as Tensor), bias: field, low: -1 };
  }

  #dense(weight: Tensor): Couplings {
    return new DenseCouplings("Ising", readMatrix("Ising", "couplings", weight, this.size, this.size), this.size);
  }
}

function readCouplings(couplings: Tensor): Float64Array {
  checkTensor("Ising", couplings);
  const N = couplings.shape[0] ?? 0;
  if (N === 0) throw new ArgumentError("Ising: expected couplings of at least one unit, got none");
  return readMatrix("Ising", "couplings", couplings, N, N);
}
