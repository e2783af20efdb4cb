/** Hopfield's associative memory, 1982, with three rules by which it stores patterns. */

import { checkFlag, checkOneOf, checkWhole, optionsOf } from "../base/checks.ts";
import { zeros } from "../tensor/create.ts";
import { assign, keep, type Tensor } from "../tensor/tensor.ts";
import { DenseCouplings } from "./couplings.ts";
import { SpinModel } from "./spin-model.ts";
import type { SpinSystem } from "./spins.ts";
import { dot, readMatrix, readPatterns, readState } from "./states.ts";

/** W ← W stored with one more pattern ξ of ±1; W is [N·N], row by row. */
type StorageRule = (W: Float64Array, pattern: Float64Array) => void;

/** A pattern this close to the span of those before, as a part of its squared length, is in it already. */
const DEPENDENT = 1e-10;

/** W + c a bᵀ, in place. */
export function addOuter(W: Float64Array, c: number, a: Float64Array, b: Float64Array): void {
  const N = a.length;
  for (let i = 0; i < N; i++) {
    // In this order what a and b have in common stays symmetric to the bit.
    for (let j = 0, at = i * N; j < N; j++, at++) W[at] = (W[at] as number) + c * ((a[i] as number) * (b[j] as number));
  }
}

/** W v */
export function times(W: Float64Array, v: Float64Array): Float64Array {
  const N = v.length;
  return v.map((_, i) => dot(W.subarray(i * N, (i + 1) * N), v));
}

/** W_ij += ξ_i ξ_j / N */
function hebb(W: Float64Array, x: Float64Array): void {
  addOuter(W, 1 / x.length, x, x);
}

/** W_ij += (ξ_i ξ_j − ξ_i h_ji − h_ij ξ_j) / N with h_ij = Σ_{k≠i,j} W_ik ξ_k; nothing on the diagonal. */
function storkey(W: Float64Array, x: Float64Array): void {
  const N = x.length;
  const h = times(W, x);
  const before = W.slice();
  const at = (i: number, j: number): number => before[i * N + j] as number;
  const local = (i: number, j: number): number => (h[i] as number) - at(i, i) * (x[i] as number) - at(i, j) * (x[j] as number);
  for (let i = 0; i < N; i++) {
    for (let j = 0; j < i; j++) {
      const [xi, xj] = [x[i] as number, x[j] as number];
      const change = (xi * xj - xi * local(j, i) - local(i, j) * xj) / N;
      W[i * N + j] = at(i, j) + change;
      W[j * N + i] = at(j, i) + change;
    }
  }
}

/** W ← the projector onto the patterns so far: W += r rᵀ / rᵀr with what W leaves of ξ, r = ξ − Wξ. */
function pseudoInverse(W: Float64Array, x: Float64Array): void {
  const left = (v: Float64Array): Float64Array => {
    const projected = times(W, v);
    return v.map((value, i) => value - (projected[i] as number));
  };
  // Twice is enough for orthogonality to working precision.
  const rest = left(left(x));
  const length = dot(rest, rest);
  if (length > DEPENDENT * x.length) addOuter(W, 1 / length, rest, rest);
}

const RULES = { hebb, storkey, "pseudo-inverse": pseudoInverse } satisfies Record<string, StorageRule>;

export interface HopfieldOptions {
  /** Units N. */
  readonly size: number;
  /** How patterns are stored (default "hebb"). */
  readonly rule?: keyof typeof RULES;
  /** Whether units see themselves by W_ii (default false). With it patterns that are stored stay fixed points, and attract from less far. */
  readonly diagonal?: boolean;
}

/**
 * A Hopfield network: N units of ±1 that store patterns as fixed points.
 *
 *     s_i ← sgn(Σ_j W_ij s_j − θ_i), where a tie leaves s_i as it was        E = −½ sᵀWs + θᵀs
 *
 * Asynchronous updates never raise E and end in a fixed point. Synchronous ones (Little, 1974) end in a fixed point or a cycle of two.
 * The diagonal of `weight` takes no part in updates and energy, unless `diagonal` is true. A projector's holds states fast: with it basins of attraction
 * are gone at N/2 patterns, without it they shrink to nothing only towards N (Kanter and Sompolinsky, 1987). At a temperature it makes no difference, since
 * W_ii s_i² does not depend on s.
 *
 * Rules: "hebb", W = XᵀX / N, recalls some 0.138 N random patterns with few errors; "storkey" holds about twice as many and needs, like "hebb", one pass
 * over them and local fields only; "pseudo-inverse" projects onto the patterns, so that any that are linearly independent are fixed points.
 *
 * `weight` [N,N] and `threshold` [N], θ, are float64 and in the state dict.
 * @throws ArgumentError for a size that is no whole number of at least 1, and another rule
 * @see Hopfield, "Neural networks and physical systems with emergent collective computational abilities", 1982
 * @see Storkey, "Increasing the capacity of a Hopfield network without sacrificing functionality", 1997
 * @see Personnaz, Guyon and Dreyfus, "Collective computational properties of neural networks: new learning mechanisms", 1986; the projector grows
 *   pattern by pattern, by Gram and Schmidt
 * @see Kanter and Sompolinsky, "Associative recall of memory without errors", 1987 (the diagonal; from memory)
 * @example
 * const memory = new Hopfield({ size: 64 });
 * memory.store(tensor([letterA, letterB])); // ±1
 * const { state, converged } = memory.recall(damaged);
 */
export class Hopfield extends SpinModel {
  override readonly size: number;
  readonly weight: Tensor;
  readonly threshold: Tensor;
  readonly diagonal: boolean;
  readonly #rule: StorageRule;

  constructor(options: HopfieldOptions) {
    super();
    const { size, rule = "hebb", diagonal = false } = optionsOf("Hopfield", options, ["size", "rule", "diagonal"]);
    checkWhole("Hopfield", "size", size, { least: 1 });
    checkOneOf("Hopfield", "rule", rule, Object.keys(RULES) as (keyof typeof RULES)[]);
    checkFlag("Hopfield", "diagonal", diagonal);
    this.size = size;
    this.diagonal = diagonal;
    this.#rule = RULES[rule];
    this.weight = keep(zeros([size, size], "float64"));
    this.threshold = keep(zeros([size], "float64"));
  }

  /**
   * Adds one pattern [N] or several [P,N] of ±1 to those that are stored.
   * @throws DTypeError, ShapeError, ArgumentError, with nothing stored
   */
  store(patterns: Tensor): this {
    const N = this.size;
    const all = readPatterns("store", "patterns", patterns, N, "spins");
    const W = readMatrix("store", "weight", this.weight, N, N);
    for (const pattern of all) this.#rule(W, pattern);
    assign(this.weight, W);
    return this;
  }

  protected override system(): SpinSystem {
    const N = this.size;
    const threshold = readState("Hopfield", "threshold", this.threshold, N, "numbers");
    const W = readMatrix("Hopfield", "weight", this.weight, N, N);
    const own = this.diagonal ? { own: Float64Array.from({ length: N }, (_, i) => W[i * N + i] as number) } : {};
    return { couplings: new DenseCouplings("Hopfield", W, N), bias: threshold.map((theta) => -theta), low: -1, ...own };
  }
}
