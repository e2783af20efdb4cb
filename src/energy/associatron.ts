/** Nakano's associatron, 1972: an associative memory of ternary elements that completes what it knows in part. */

import { checkFlag, optionsOf } from "../base/checks.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { addOuter } from "./hopfield.ts";
import { readPatterns } from "./states.ts";
import { SynchronousMemory, type UnitRule } from "./synchronous.ts";

export interface AssociatronOptions {
  /** Elements N of a pattern. */
  readonly size: number;
  /** Whether memories are recalled by the signs of the correlations alone, φ(M) = sgn M (default true), or by M itself. */
  readonly quantized?: boolean;
}

/**
 * An associatron: patterns x of −1, 0 and 1, of which 0 says that an element is not known, are stored by their correlations with themselves, and
 * a part recalls the whole,
 *
 *   M = Σ_μ x^μ x^μᵀ        y = sgn(φ(M) x), with sgn 0 = 0 and φ(M) = sgn M, element by element.
 *
 * `update` recalls once, as the paper does; `recall` goes on until the state rests. A pattern of several fields is recalled from any of them, the
 * others being 0 in the cue. `weight` M [N,N] is float64 and in the state dict.
 * @throws ArgumentError for a size that is no whole number of at least 1
 * @see Nakano, "Associatron, a model of associative memory", IEEE Transactions on Systems, Man, and Cybernetics SMC-2, 1972. From memory.
 * @example
 * const memory = new Associatron({ size: 6 }).store(tensor([[1, -1, 1, 1, -1, -1]]));
 * memory.update(tensor([1, -1, 0, 0, 0, 0])).toArray(); // [1, -1, 1, 1, -1, -1]
 */
export class Associatron extends SynchronousMemory {
  protected override readonly values = "ternary";
  readonly quantized: boolean;

  constructor(options: AssociatronOptions) {
    const { size, quantized = true } = optionsOf("Associatron", options, ["size", "quantized"]);
    checkFlag("Associatron", "quantized", quantized);
    super("Associatron", size);
    this.quantized = quantized;
  }

  /** Adds a pattern [N] or several [P,N] of −1, 0 and 1. @throws DTypeError, ShapeError, ArgumentError, with nothing stored */
  store(patterns: Tensor): this {
    const all = readPatterns("store", "patterns", patterns, this.size, "ternary");
    this.learn((weight) => {
      for (const pattern of all) addOuter(weight, 1, pattern, pattern);
    });
    return this;
  }

  protected override couplings(): Float64Array {
    const M = super.couplings();
    return this.quantized ? M.map(Math.sign) : M;
  }

  protected override rule(): UnitRule {
    return (_, field) => Math.sign(field);
  }
}
