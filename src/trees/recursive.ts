/** Recursive networks: compute the vector of a whole from those of its parts, with the same weights everywhere. */

import { checkSizes, optionsOf } from "../base/checks.ts";
import { LAYER, type LayerOptions, uniformParameter } from "../nn/layers.ts";
import { Parameter } from "../nn/module.ts";
import { linear } from "../ops/linear.ts";
import { tanh } from "../ops/math.ts";
import { cat } from "../ops/shape.ts";
import { zeros } from "../tensor/create.ts";
import { assign, type Tensor } from "../tensor/tensor.ts";
import { type Children, StructureNetwork } from "./structure.ts";

export interface RecursiveOptions extends LayerOptions {
  /** d, of every node's vector. */
  readonly size: number;
  /** K, the most children of a node, each with its own weights (default 2); "sum" for any number, with shared weights. */
  readonly arity?: number | "sum";
  /** Whether to add a bias (default true). */
  readonly bias?: boolean;
}

/**
 * Computes the vector of a node from its children's; that of a leaf is its input:
 *
 *   p = tanh(W [p_1; …; p_K] + b),  or with `arity: "sum"`  p = tanh(W Σ_k p_k + b)
 *
 * Missing children count as zeros. `weight` W [d, K·d] starts as the mean of the children, [I/K, …, I/K], plus U(±1/√(K·d)) / 2; `bias` b [d]
 * starts as zero. To predict something about nodes, put a layer on their vectors.
 * @param options xs [N,d] to p [N,d]
 * @throws ArgumentError for sizes below 1, and for nodes with more than K children
 * @see Pollack, "Recursive distributed representations", 1990; Goller and Küchler, "Learning task-dependent distributed representations
 * by backpropagation through structure", 1996; Socher et al., "Parsing with compositional vector grammars", 2013, for the initial mean
 * Deviates: inner nodes have no labels.
 * @example
 * const { structure, symbols, roots } = forestOf([[1, [2, 3]]]);
 * const p = new RecursiveNetwork({ size: 8 }).forward(structure, embedding.forward(tensor([...symbols], { dtype: "int32" })));
 */
export class RecursiveNetwork extends StructureNetwork<Tensor> {
  readonly inputSize: number;
  readonly outputSize: number;
  readonly arity: number | "sum";
  readonly weight: Parameter;
  readonly bias: Parameter | null;

  constructor(options: RecursiveOptions) {
    super();
    const { size, arity = 2, bias = true, dtype = "float32" } = optionsOf("RecursiveNetwork", options, ["size", "arity", "bias", ...LAYER]);
    const K = arity === "sum" ? 1 : arity;
    checkSizes("RecursiveNetwork", { size, arity: K });
    this.inputSize = size;
    this.outputSize = size;
    this.arity = arity;
    this.weight = uniformParameter([size, K * size], 0.5 / Math.sqrt(K * size), options);
    this.bias = bias ? new Parameter(zeros([size], dtype)) : null;
    addMean(this.weight, K);
  }

  leaf(x: Tensor): Tensor {
    return x;
  }

  node(_x: Tensor, children: Children<Tensor>): Tensor {
    return tanh(this.compose(this.#parts(children)));
  }

  /** The argument of tanh, from the children's vectors side by side or summed. */
  protected compose(q: Tensor): Tensor {
    return linear(q, this.weight, this.bias ?? undefined);
  }

  #parts(children: Children<Tensor>): Tensor {
    if (this.arity === "sum") return children.total(children.all());
    return cat(children.upTo("RecursiveNetwork", this.arity), 1);
  }
}

/** Adds [I/K, …, I/K] to a weight [d, K·d]. */
function addMean(weight: Parameter, K: number): void {
  const [d, width] = weight.shape as [number, number];
  const mean = (i: number) => (i % width) % d === Math.floor(i / width);
  assign(
    weight,
    weight.data().map((w, i) => w + (mean(i) ? 1 / K : 0)),
  );
}
