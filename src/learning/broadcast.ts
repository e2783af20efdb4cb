/** A head whose error goes back through separate weights. */

import { checkOneOf, checkSizes, optionsOf } from "../base/checks.ts";
import { LAYER, type LayerOptions, uniformParameter } from "../nn/layers.ts";
import { Module, Parameter } from "../nn/module.ts";
import { add, sub } from "../ops/arithmetic.ts";
import { linear } from "../ops/linear.ts";
import { checkGenerator, defaultGenerator } from "../tensor/random.ts";
import { keep, type Tensor } from "../tensor/tensor.ts";

export interface BroadcastLinearOptions extends LayerOptions {
  /** "random" (default): B stays as drawn. "adaptive": B gets the same gradients as W. */
  readonly feedback?: "random" | "adaptive";
  /** Whether to add a bias (default true). */
  readonly bias?: boolean;
}

/**
 * A linear layer whose error goes back through separate weights B:
 *
 *   y = W x + b        ∂E/∂x := Bᵀ ∂E/∂y        ∂E/∂W = ∂E/∂y xᵀ
 *
 * `weight` W and `feedback` B [outFeatures, inFeatures] from U(±1/√inFeatures), `bias` b [outFeatures]. With adaptive feedback, B is a parameter with
 * the gradient of W, and weight decay brings the two together, since their difference only decays. With random feedback
 * it is a buffer. Use it to broadcast errors to units trained by `rflo` or `eprop`; it works with any other algorithm too.
 * @param inFeatures x [..., inFeatures] to y [..., outFeatures]
 * @throws ArgumentError for sizes below 1 and other words for `feedback`
 * @see Lillicrap, Cownden, Tweed and Akerman, "Random synaptic feedback weights support error backpropagation for deep learning", 2016;
 * Bellec et al., 2020, "adaptive e-prop"; Kolen and Pollack, "Backpropagation without weight transport", 1994
 * Deviates: none.
 * @example const head = new BroadcastLinear(32, 2, { feedback: "adaptive" });
 */
export class BroadcastLinear extends Module {
  readonly weight: Parameter;
  readonly bias: Parameter | null;
  readonly feedback: Tensor;

  constructor(inFeatures: number, outFeatures: number, options: BroadcastLinearOptions = {}) {
    super();
    checkSizes("BroadcastLinear", { inFeatures, outFeatures });
    const {
      generator = defaultGenerator(),
      dtype = "float32",
      feedback: kind = "random",
    } = optionsOf("BroadcastLinear", options, ["feedback", "bias", ...LAYER]);
    checkGenerator("BroadcastLinear", generator);
    checkOneOf("BroadcastLinear", "feedback", kind, ["random", "adaptive"]);
    const bound = 1 / Math.sqrt(inFeatures);
    this.weight = uniformParameter([outFeatures, inFeatures], bound, options);
    this.bias = (options.bias ?? true) ? uniformParameter([outFeatures], bound, options) : null;
    const drawn = generator.uniform([outFeatures, inFeatures], -bound, bound, dtype);
    this.feedback = kind === "adaptive" ? new Parameter(drawn) : keep(drawn);
  }

  forward(x: Tensor): Tensor {
    const given = x.detach();
    const y = linear(given, this.weight, this.bias ?? undefined);
    // The first product cancels in value; it is there for its gradients, Bᵀdy of x and dy·xᵀ of B.
    const nothing = sub(linear(x, this.feedback), linear(given, this.feedback.detach()));
    return add(y, nothing);
  }
}
