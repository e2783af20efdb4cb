/** Elman's simple recurrent network as published: logistic units, an initial context of 0.5, a gradient of one step. */

import { checkNumber, checkOneOf, checkSizes, optionsOf } from "../../base/checks.ts";
import { LAYER, type LayerOptions, uniformParameter } from "../../nn/layers.ts";
import type { Parameter } from "../../nn/module.ts";
import { add } from "../../ops/arithmetic.ts";
import { linear } from "../../ops/linear.ts";
import { Cell } from "../../recurrence/recurrence.ts";
import { full } from "../../tensor/create.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { type Activation, activationOf } from "../activations.ts";

export interface SimpleRecurrentNetworkOptions extends LayerOptions {
  readonly inputSize: number;
  readonly hiddenSize: number;
  /** f (default "logistic"). */
  readonly activation?: Activation;
  /** Value of every context unit before the first step (default 0.5, the middle of the logistic function). */
  readonly restingContext?: number;
  /**
   * "elman1": the context is a plain input, and no gradient flows into the past, as in 1990.
   * "none" (default): the full gradient.
   */
  readonly truncate?: "none" | "elman1";
}

/**
 * Hidden units that see the input and a copy of themselves from the previous step, the context units:
 *
 *   h = f(W x + U h₋₁ + b), f logistic        y = h
 *
 * `weightIh` W [H,I], `weightHh` U [H,H], `bias` b [H], all from U(±1/√H); h₀ = 0.5. The paper's output units are a layer of their own.
 * @param options x [B,I] to y [B,H]; state h [B,H]
 * @throws ArgumentError for sizes below 1
 * @see Elman, "Finding structure in time", Cognitive Science 14, 1990, "Networks with memory"; figure 2.
 * Deviates: the full gradient unless `truncate` is "elman1"; initial weights, which the paper does not give.
 * @example const [hs] = new SimpleRecurrentNetwork({ inputSize: 1, hiddenSize: 2, truncate: "elman1" }).scan(xs);
 */
export class SimpleRecurrentNetwork extends Cell<Tensor> {
  readonly inputSize: number;
  readonly outputSize: number;
  readonly weightIh: Parameter;
  readonly weightHh: Parameter;
  readonly bias: Parameter;
  readonly restingContext: number;
  readonly truncate: "none" | "elman1";
  readonly #f: (x: Tensor) => Tensor;

  constructor(options: SimpleRecurrentNetworkOptions) {
    super();
    const { inputSize: I, hiddenSize: H } = optionsOf("SimpleRecurrentNetwork", options, [
      "inputSize",
      "hiddenSize",
      "activation",
      "restingContext",
      "truncate",
      ...LAYER,
    ]);
    checkSizes("SimpleRecurrentNetwork", { inputSize: I, hiddenSize: H });
    this.inputSize = I;
    this.outputSize = H;
    this.restingContext = options.restingContext ?? 0.5;
    this.truncate = options.truncate ?? "none";
    checkNumber("SimpleRecurrentNetwork", "restingContext", this.restingContext);
    checkOneOf("SimpleRecurrentNetwork", "truncate", this.truncate, ["none", "elman1"]);
    this.#f = activationOf(options.activation ?? "logistic");
    const draw = (...shape: number[]) => uniformParameter(shape, 1 / Math.sqrt(H), options);
    this.weightIh = draw(H, I);
    this.weightHh = draw(H, H);
    this.bias = draw(H);
  }

  initialState(batch: number): Tensor {
    return full([batch, this.outputSize], this.restingContext, this.weightHh.dtype);
  }

  step(x: Tensor, h: Tensor): [y: Tensor, next: Tensor] {
    const context = this.truncate === "elman1" ? h.detach() : h;
    const h1 = this.#f(add(linear(x, this.weightIh, this.bias), linear(context, this.weightHh)));
    return [h1, h1];
  }
}
