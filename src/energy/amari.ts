/** Amari's self-organising nets of threshold elements, 1972: patterns as fixed points, and sequences of patterns. */

import { checkFlag, optionsOf } from "../base/checks.ts";
import { ShapeError } from "../base/errors.ts";
import { assign, type Tensor } from "../tensor/tensor.ts";
import { addOuter } from "./hopfield.ts";
import { readPatterns } from "./states.ts";
import { SynchronousMemory, type UnitRule } from "./synchronous.ts";

/** Fields this small, as parts of the largest there can be, are ties. */
const TIE = 1e-13;

/**
 * N threshold elements of ±1 that all decide at once,
 *
 *   s' = sgn(W s), where a tie leaves an element as it was,
 *
 * with patterns ξ stored by their correlations, W = (1/N) Σ_μ ξ^μ ξ^μᵀ without its diagonal, and sequences by those of each pattern with the next,
 * W = (1/N) Σ_μ ξ^(μ+1) ξ^μᵀ. Shown one pattern of a sequence the net runs through the others; a cyclic one comes back, and `recall` tells its
 * period; `backward` gives the net that runs through them the other way. It holds cyclic sequences of about 0.27 N random patterns. `weight` W [N,N] is float64 and in the state dict.
 * @throws ArgumentError for a size that is no whole number of at least 1
 * @see Amari, "Learning patterns and pattern sequences by self-organizing nets of threshold elements", IEEE Transactions on Computers C-21, 1972; capacity of
 * sequences: Düring, Coolen and Sherrington, "Phase diagram and storage capacity of sequence processing neural networks", 1998. From memory.
 * Deviates: weights are set at once, not as the limit of a learning equation; thresholds are 0.
 * @example
 * const net = new AmariNetwork({ size: 100 }).storeSequence(patterns, { cyclic: true }); // [P,100] of ±1
 * const { period, states } = net.recall(first, { trace: true }); // P, and one pattern after the other
 */
export class AmariNetwork extends SynchronousMemory {
  protected override readonly values = "spins";

  constructor(options: { readonly size: number }) {
    const { size } = optionsOf("AmariNetwork", options, ["size"]);
    super("AmariNetwork", size);
  }

  /** Adds a pattern [N] or several [P,N] of ±1 as fixed points. @throws DTypeError, ShapeError, ArgumentError, with nothing stored */
  store(patterns: Tensor): this {
    this.storeCorrelations(patterns);
    return this;
  }

  /**
   * Adds a sequence of patterns [P,N] of ±1, each of which leads to the next, and if `cyclic` (default false) the last to the first.
   * @throws DTypeError, ShapeError, ArgumentError, with nothing stored
   */
  storeSequence(patterns: Tensor, options: { readonly cyclic?: boolean } = {}): this {
    const { cyclic = false } = optionsOf("storeSequence", options, ["cyclic"]);
    checkFlag("storeSequence", "cyclic", cyclic);
    const all = readPatterns("storeSequence", "patterns", patterns, this.size, "spins");
    if (all.length < 2) throw new ShapeError(`storeSequence: expected at least two patterns, got ${all.length}`);
    this.learn((weight) => {
      const last = cyclic ? all.length : all.length - 1;
      for (let k = 0; k < last; k++) {
        addOuter(weight, 1 / this.size, all[(k + 1) % all.length] as Float64Array, all[k] as Float64Array);
      }
    });
    return this;
  }

  /**
   * The same memory with its weights transposed, which runs through sequences from their ends to their beginnings: what Kosko's temporal associative
   * memory does with M = Σ_k X_kᵀ X_(k+1) from either side. A copy: what is stored later is not in it.
   * @see Kosko, "Bidirectional associative memories", 1988, section V
   * @example const { states } = net.backward().recall(last, { trace: true });
   */
  backward(): AmariNetwork {
    const [W, N] = [this.couplings(), this.size];
    const other = new AmariNetwork({ size: N });
    assign(
      other.weight,
      W.map((_, at) => W[(at % N) * N + Math.floor(at / N)] as number),
    );
    return other;
  }

  protected override rule(): UnitRule {
    const [W, N] = [this.couplings(), this.size];
    const reach = W.reduce((most, w) => Math.max(most, Math.abs(w)), 0) * N;
    // What adding up rounds off is no field.
    const tie = TIE * reach;
    return (value, field) => (Math.abs(field) <= tie ? value : Math.sign(field));
  }
}
