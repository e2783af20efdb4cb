/** Dense associative memory: energies that count large overlaps more than in proportion. */

import { noGrad } from "../autodiff/tape.ts";
import { checkOneOf, checkWhole, optionsOf } from "../base/checks.ts";
import { ShapeError } from "../base/errors.ts";
import { exp } from "../ops/math.ts";
import { show } from "../tensor/shape.ts";
import { checkTensor, keep, scope, type Tensor, tensor } from "../tensor/tensor.ts";
import { EnergyModel, type Motion, type RecallSettings } from "./energy-model.ts";
import { dot, readPatterns, type UnitValues } from "./states.ts";
import { type TurnSettings, UnitMotion } from "./unit-motion.ts";

export interface DenseAssociativeMemoryOptions {
  /** What is stored [P,N], ±1. */
  readonly patterns: Tensor;
  /** F: "polynomial" (default), its part for positive overlaps only, or "exponential". */
  readonly interaction?: "polynomial" | "rectified" | "exponential";
  /** n of mⁿ (default 3). */
  readonly power?: number;
}

interface Interaction {
  /** F by the overlap ξ·s + N, which is a whole number. */
  readonly F: Float64Array;
  readonly exponential: boolean;
}

/** Differences this small, as parts of what was added up, are ties. */
const TIE = 1e-13;

/**
 * Units of ±1 whose energy falls steeply near each stored pattern ξ:
 *
 *     E = −N Σ_μ F(ξ^μ·s / N)        s_i ← the sign for which E is lower, the others as they are; a tie leaves s_i as it was
 *
 * F(m) = mⁿ, max(m, 0)ⁿ or exp(N(m − 1)). With n = 2 this is Hopfield's network under Hebb's rule. Without errors, random patterns up to
 * about N^(n−1) / (2 (2n − 3)!! ln N) are kept, and exponentially many with the exponential. An even n keeps −ξ with ξ.
 *
 * Energies of the exponential are 0 where all overlaps are below 1 − 745/N; recall without a temperature finds its way there, too.
 *
 * `patterns` [P,N] is float64 and in the state dict.
 * @throws DTypeError, ShapeError, ArgumentError for patterns that are not [P,N] of ±1 with P and N of at least 1, a power that is no whole number of
 *   at least 2, and another interaction
 * @see Krotov and Hopfield, "Dense associative memory for pattern recognition", 2016, eq. 1-3. Deviates: F is of m = ξ·s/N instead of ξ·s, which is the
 *   same rule, and nothing can overflow.
 * @see Demircigil, Heusel, Löwe, Upgang and Vermet, "On a model of associative memory with huge storage capacity", 2017 (exponential)
 * @example
 * const memory = new DenseAssociativeMemory({ patterns, power: 3 }); // 400 of 100 units
 * const { state } = memory.recall(damaged);
 */
export class DenseAssociativeMemory extends EnergyModel {
  override readonly size: number;
  readonly patterns: Tensor;
  protected override readonly values: UnitValues = "spins";
  readonly #interaction: Interaction;

  constructor(options: DenseAssociativeMemoryOptions) {
    super();
    const op = "DenseAssociativeMemory";
    const { patterns, interaction = "polynomial", power = 3 } = optionsOf(op, options, ["patterns", "interaction", "power"]);
    checkOneOf(op, "interaction", interaction, ["polynomial", "rectified", "exponential"]);
    checkWhole(op, "power", power, { least: 2 });
    checkTensor(op, patterns);
    if (patterns.rank !== 2 || patterns.size === 0) throw new ShapeError(`${op}: expected patterns [P,N], got ${show(patterns.shape)}`);
    this.size = patterns.dim(1);
    readPatterns(op, "patterns", patterns, this.size, "spins");
    this.patterns = keep(tensor(Float64Array.from(patterns.data()), { shape: patterns.shape }));
    const exponential = interaction === "exponential";
    this.#interaction = { exponential, F: exponential ? exponentials(this.size) : powers(this.size, power, interaction === "rectified") };
  }

  protected override energyOf(state: Float64Array): number {
    return energyAt(
      this.#interaction.F,
      this.#rows().map((row) => dot(row, state)),
      this.size,
    );
  }

  protected override motion(state: Float64Array, settings: RecallSettings): Motion {
    return new DenseMotion(this.#rows(), this.#interaction, state, settings);
  }

  #rows(): Float64Array[] {
    return readPatterns("DenseAssociativeMemory", "patterns", this.patterns, this.size, "spins");
  }
}

/** F(m) = mⁿ for m = −1 … 1 in steps of 1/N; whole powers by products, the same on every host. */
function powers(N: number, n: number, rectified: boolean): Float64Array {
  return Float64Array.from({ length: 2 * N + 1 }, (_, k) => {
    const m = k / N - 1;
    return rectified && m < 0 ? 0 : Array.from({ length: n }, () => m).reduce((a, b) => a * b, 1);
  });
}

/** F(m) = exp(N(m − 1)) likewise. */
function exponentials(N: number): Float64Array {
  const exponents = Float64Array.from({ length: 2 * N + 1 }, (_, k) => k - 2 * N);
  return scope(() => noGrad(() => exp(tensor(exponents)).data())) as Float64Array;
}

function energyAt(F: Float64Array, overlaps: ArrayLike<number>, N: number): number {
  let sum = 0;
  for (let p = 0; p < overlaps.length; p++) sum += F[(overlaps[p] as number) + N] as number;
  return -N * sum;
}

/** A dense memory on its way: the overlaps with all patterns are kept up to date, and a gap is a sum over them. */
class DenseMotion extends UnitMotion {
  readonly #F: Float64Array;
  readonly #exponential: boolean;
  /** ξ_i of all patterns, unit by unit [N][P]. */
  readonly #columns: Float64Array[];
  /** ξ·s */
  readonly #overlaps: Float64Array;
  /** What the last gap was the difference of, added up. */
  #magnitude = 0;

  constructor(rows: readonly Float64Array[], { F, exponential }: Interaction, state: Float64Array, settings: TurnSettings) {
    super(state, settings);
    this.#F = F;
    this.#exponential = exponential;
    this.#columns = Array.from(state, (_, i) => Float64Array.from(rows, (row) => row[i] as number));
    this.#overlaps = Float64Array.from(rows, (row) => dot(row, state));
  }

  override energy(): number {
    return energyAt(this.#F, this.#overlaps, this.state.length);
  }

  protected override gap(i: number): number {
    const [F, overlaps, column] = [this.#F, this.#overlaps, this.#columns[i] as Float64Array];
    const [N, s] = [this.state.length, this.state[i] as number];
    const lift = this.#lift(i);
    let [sum, magnitude] = [0, 0];
    for (let p = 0; p < column.length; p++) {
      const x = column[p] as number;
      const rest = (overlaps[p] as number) - x * s + N + lift;
      const [up, down] = [F[rest + x] as number, F[rest - x] as number];
      sum += up - down;
      magnitude += Math.abs(up) + Math.abs(down);
    }
    this.#magnitude = N * magnitude;
    return N * sum;
  }

  /**
   * By how much exponents are raised before exp, so that the largest is 0. Where only the sign of a gap counts, a factor of all terms
   * changes nothing, and without it all are 0 far from the patterns.
   */
  #lift(i: number): number {
    if (!this.#exponential || this.noisy) return 0;
    const [overlaps, column, s] = [this.#overlaps, this.#columns[i] as Float64Array, this.state[i] as number];
    let top = -Infinity;
    for (let p = 0; p < column.length; p++) top = Math.max(top, (overlaps[p] as number) - (column[p] as number) * s);
    return this.state.length - 1 - top;
  }

  protected override tie(): number {
    return TIE * this.#magnitude;
  }

  protected override turn(i: number): void {
    const [overlaps, column, s] = [this.#overlaps, this.#columns[i] as Float64Array, this.state[i] as number];
    for (let p = 0; p < column.length; p++) overlaps[p] = (overlaps[p] as number) - 2 * s * (column[p] as number);
    this.state[i] = -s;
  }
}
