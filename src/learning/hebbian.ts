/** Learning without a teacher: connections grow with the joint activity of their two ends. */

import { noGrad } from "../autodiff/tape.ts";
import { checkNumber, checkOneOf, checkSizes, optionsOf } from "../base/checks.ts";
import { isFloat } from "../base/dtype.ts";
import { DTypeError, ShapeError } from "../base/errors.ts";
import { LAYER, type LayerOptions } from "../nn/layers.ts";
import { Module } from "../nn/module.ts";
import { add, mul, square, sub } from "../ops/arithmetic.ts";
import { linear, matmul } from "../ops/linear.ts";
import { relu } from "../ops/math.ts";
import { mean } from "../ops/reduce.ts";
import { transpose, tril, unsqueeze } from "../ops/shape.ts";
import { ones } from "../tensor/create.ts";
import { checkGenerator, defaultGenerator } from "../tensor/random.ts";
import { show } from "../tensor/shape.ts";
import { assign, checkFinite, checkTensor, keep, scope, type Tensor } from "../tensor/tensor.ts";

/** How weights change with a layer's inputs and outputs. */
export type HebbianRule = "hebb" | "oja" | "sanger" | "bcm";

export interface HebbianOptions extends LayerOptions {
  readonly inputSize: number;
  readonly outputSize: number;
  readonly rule: HebbianRule;
  /** η (default 0.01); you may change it at any time. */
  readonly lr?: number;
  /** τ of the sliding threshold of "bcm", in updates (default 20). */
  readonly tau?: number;
  /** Standard deviation of the initial weights (default 0.1). */
  readonly std?: number;
}

/**
 * A layer that learns only from its inputs. With y = W x (for "bcm" y = max(0, W x)) and means over the batch,
 *
 *   hebb     ΔW = η y xᵀ                              grows without bound along the first principal component
 *   oja      ΔW_i = η y_i (x − y_i W_i)               every row tends to ± the first principal component, of length 1
 *   sanger   ΔW_i = η y_i (x − Σ_{j≤i} y_j W_j)       row i tends to ± the ith principal component
 *   bcm      ΔW_i = η y_i (y_i − θ_i) x               θ_i' = θ_i + (y_i² − θ_i)/τ: each unit comes to respond to one pattern only
 *
 * Principal components are those of the inputs' second moments E[x xᵀ]; subtract the mean to get those of the covariance. `weight` W [O,I]
 * is from N(0, std²), `threshold` θ [O] starts at 1; both are buffers, which optimisers leave alone. O(O·I) operations per pattern; "sanger" takes
 * another O(O²·I) per batch.
 * @throws ArgumentError for sizes below 1, an unknown rule, η ≤ 0 or τ < 1
 * @see Hebb, "The organization of behavior", 1949; Oja, "A simplified neuron model as a principal component analyzer", 1982; Sanger, "Optimal
 * unsupervised learning in a single-layer linear feedforward neural network", 1989; Bienenstock, Cooper and Munro, "Theory for the development of
 * neuron selectivity: orientation specificity and binocular interaction in visual cortex", 1982
 * Deviates: the threshold of "bcm" is the running mean of y² (Intrator and Cooper, 1992), not the square of the mean.
 * @example
 * const layer = new HebbianLayer({ inputSize: 8, outputSize: 3, rule: "sanger" });
 * for (const x of batches) layer.learn(x);
 */
export class HebbianLayer extends Module {
  readonly inputSize: number;
  readonly outputSize: number;
  readonly rule: HebbianRule;
  readonly weight: Tensor;
  readonly threshold: Tensor | null;
  readonly tau: number;
  lr: number;

  constructor(options: HebbianOptions) {
    super();
    const {
      inputSize,
      outputSize,
      rule,
      lr = 0.01,
      tau = 20,
      std = 0.1,
      dtype = "float32",
      generator = defaultGenerator(),
    } = optionsOf("HebbianLayer", options, ["inputSize", "outputSize", "rule", "lr", "tau", "std", ...LAYER]);
    checkSizes("HebbianLayer", { inputSize, outputSize });
    checkOneOf("HebbianLayer", "rule", rule, ["hebb", "oja", "sanger", "bcm"]);
    checkNumber("HebbianLayer", "lr", lr, { above: 0 });
    checkNumber("HebbianLayer", "tau", tau, { least: 1 });
    checkNumber("HebbianLayer", "std", std, { above: 0 });
    checkGenerator("HebbianLayer", generator);
    this.inputSize = inputSize;
    this.outputSize = outputSize;
    this.rule = rule;
    this.lr = lr;
    this.tau = tau;
    this.weight = keep(generator.normal([outputSize, inputSize], 0, std, dtype));
    this.threshold = rule === "bcm" ? keep(ones([outputSize], dtype)) : null;
  }

  /** y [B,O] of x [B,I]. */
  forward(x: Tensor): Tensor {
    const y = linear(x, this.weight);
    return this.rule === "bcm" ? relu(y) : y;
  }

  /**
   * Changes the weights once, by the mean of the rule over a batch x [B,I]. Returns the layer's output from before, [B,O].
   * @throws ShapeError, DTypeError for x that does not fit, ArgumentError for NaN in it; leaves everything unchanged
   */
  learn(x: Tensor): Tensor {
    checkTensor("learn", x);
    if (x.rank !== 2 || x.dim(1) !== this.inputSize || x.dim(0) === 0)
      throw new ShapeError(`learn: expected x [B,${this.inputSize}] of at least one pattern, got ${show(x.shape)}`);
    if (!isFloat(x.dtype) || x.dtype !== this.weight.dtype) throw new DTypeError(`learn: expected ${this.weight.dtype} x, got ${x.dtype}`);
    checkNumber("learn", "lr", this.lr, { above: 0 });
    checkFinite("learn", "x", x);
    return scope(() =>
      noGrad(() => {
        const y = this.forward(x);
        assign(this.weight, add(this.weight, mul(this.#change(x, y), this.lr)));
        if (this.threshold !== null) {
          const power = mean(square(y), { axis: 0 });
          assign(this.threshold, add(this.threshold, mul(sub(power, this.threshold), 1 / this.tau)));
        }
        return y;
      }),
    );
  }

  /** ΔW/η of a batch. */
  #change(x: Tensor, y: Tensor): Tensor {
    if (this.rule === "bcm") return together(mul(y, sub(y, this.threshold as Tensor)), x);
    const growth = together(y, x);
    if (this.rule === "hebb") return growth;
    // The subtracted term keeps a row's length at 1, and with "sanger" the rows apart.
    const decay =
      this.rule === "oja" ? mul(unsqueeze(mean(square(y), { axis: 0 }), 1), this.weight) : matmul(tril(together(y, y)), this.weight);
    return sub(growth, decay);
  }
}

/** Mean over the batch of a bᵀ: [B,M] and [B,N] to [M,N]. */
function together(a: Tensor, b: Tensor): Tensor {
  return mul(matmul(transpose(a, 0, 1), b), 1 / a.dim(0));
}
