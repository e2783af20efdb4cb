/** Recursive neural tensor networks, which multiply children with each other. */

import { checkOptions } from "../base/checks.ts";
import { LAYER, type LayerOptions, uniformParameter } from "../nn/layers.ts";
import type { Parameter } from "../nn/module.ts";
import { add } from "../ops/arithmetic.ts";
import { bilinear } from "../ops/linear.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { RecursiveNetwork } from "./recursive.ts";

export interface TensorNetworkOptions extends LayerOptions {
  /** d, of every node's vector. */
  readonly size: number;
  /** Whether to add a bias (default true). */
  readonly bias?: boolean;
}

/**
 * A recursive network with two children, whose vectors also multiply each other through a tensor:
 *
 *   q = [l; r]      p_i = tanh(qᵀ V_i q + (W q + b)_i)
 *
 * `tensor` V [d,2d,2d] from U(±1/4d); W and b as in `RecursiveNetwork`. With V = 0 it is that network.
 * @param options xs [N,d] to p [N,d]
 * @throws ArgumentError for a size below 1, and for nodes with more than two children
 * @see Socher et al., "Recursive deep models for semantic compositionality over a sentiment treebank", 2013, section 4.3
 * Deviates: the bias, which the paper's equations omit.
 * @example const p = new RecursiveNeuralTensorNetwork({ size: 8 }).forward(structure, xs);
 */
export class RecursiveNeuralTensorNetwork extends RecursiveNetwork {
  readonly tensor: Parameter;

  constructor(options: TensorNetworkOptions) {
    checkOptions("RecursiveNeuralTensorNetwork", options, ["size", "bias", ...LAYER]);
    super({ ...options, arity: 2 });
    const { size: d } = options;
    this.tensor = uniformParameter([d, 2 * d, 2 * d], 1 / (4 * d), options);
  }

  protected override compose(q: Tensor): Tensor {
    return add(bilinear(q, q, this.tensor), super.compose(q));
  }
}
