/** Recurrent multilayer perceptrons. */

import { checkNumber, checkOptions, checkText } from "../../base/checks.ts";
import { ArgumentError } from "../../base/errors.ts";
import { LAYER, type LayerOptions, uniformParameter } from "../../nn/layers.ts";
import { Module, type Parameter } from "../../nn/module.ts";
import { add } from "../../ops/arithmetic.ts";
import { linear } from "../../ops/linear.ts";
import { Cell } from "../../recurrence/recurrence.ts";
import { zeros } from "../../tensor/create.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { type Activation, activationOf } from "../activations.ts";

export interface RMLPOptions extends LayerOptions {
  /** Sizes from input to output; R after a size marks a recurrent layer: "2-8R-6R-1". */
  readonly layout: string;
  /** f of the hidden layers (default "tanh"). */
  readonly activation?: Activation;
  /** f of the last layer (default "linear"). */
  readonly outputActivation?: Activation;
  /** Bound of the uniform initial values (default 1/√n for a layer of n units). */
  readonly initialBound?: number;
}

interface LayerPlan {
  readonly size: number;
  readonly recurrent: boolean;
}

function readLayout(layout: string): LayerPlan[] {
  checkText("RMLP", "a layout", layout);
  const parts = layout.split("-");
  const fits = parts.length >= 2 && parts.every((part, i) => (i === 0 ? /^[1-9]\d*$/ : /^[1-9]\d*R?$/).test(part)) && layout.includes("R");
  if (!fits) throw new ArgumentError(`RMLP: expected a layout like "2-8R-6R-1" with a recurrent layer, got "${layout}"`);
  return parts.map((part) => ({ size: Number.parseInt(part, 10), recurrent: part.endsWith("R") }));
}

/** One layer; it has no memory without `weightHh`. */
class PerceptronLayer extends Module {
  readonly weightIh: Parameter;
  readonly weightHh: Parameter | null;
  readonly bias: Parameter;

  constructor(inputs: number, { size, recurrent }: LayerPlan, bound: number, options: LayerOptions) {
    super();
    this.weightIh = uniformParameter([size, inputs], bound, options);
    this.weightHh = recurrent ? uniformParameter([size, size], bound, options) : null;
    this.bias = uniformParameter([size], bound, options);
  }
}

/**
 * A multilayer perceptron whose layers may see their own previous output.
 *
 *   xˡ(t) = f(Wˡ xˡ⁻¹(t) + Vˡ xˡ(t−1) + bˡ)    l = 1 … L, without Vˡ where the layer is not recurrent
 *
 * layers.l.weightIh = Wˡ [n_l, n_(l−1)], weightHh = Vˡ [n_l, n_l], bias = bˡ [n_l], from U(±1/√n_l); the output is x^L.
 * State: xˡ [B,n_l] of each recurrent layer, initially zero.
 * @see Puskorius and Feldkamp, "Neurocontrol of nonlinear dynamical systems with Kalman filter trained recurrent networks", 1994
 * @see Fernandez, Parlos and Tsai, "Nonlinear dynamic system identification using artificial neural networks", 1990
 * Deviates: initial values are those of PyTorch's cells; `initialBound: 0.1` is usual before training by Kalman filters.
 * @example const [ys] = new RMLP({ layout: "2-10R-8R-1" }).scan(xs);
 */
export class RMLP extends Cell<readonly Tensor[]> {
  readonly inputSize: number;
  readonly outputSize: number;
  readonly layers: readonly PerceptronLayer[];
  readonly #options: RMLPOptions;

  constructor(options: RMLPOptions) {
    super();
    checkOptions("RMLP", options, ["layout", "activation", "outputActivation", "initialBound", ...LAYER]);
    const { layout, initialBound } = options;
    if (initialBound !== undefined) checkNumber("RMLP", "initialBound", initialBound, { least: 0 });
    const plan = readLayout(layout);
    this.inputSize = (plan[0] as LayerPlan).size;
    this.outputSize = (plan.at(-1) as LayerPlan).size;
    this.layers = plan.slice(1).map((layer, l) => {
      const bound = initialBound ?? 1 / Math.sqrt(layer.size);
      return new PerceptronLayer((plan[l] as LayerPlan).size, layer, bound, options);
    });
    this.#options = options;
  }

  /** Zeros. */
  initialState(batch: number): readonly Tensor[] {
    return this.layers.flatMap(({ weightHh }) => (weightHh ? [zeros([batch, weightHh.dim(0)], weightHh.dtype)] : []));
  }

  /** x [B,I] and the recurrent layers' outputs. */
  step(x: Tensor, state: readonly Tensor[]): [y: Tensor, next: readonly Tensor[]] {
    const { activation = "tanh", outputActivation = "linear" } = this.#options;
    const next: Tensor[] = [];
    const y = this.layers.reduce((below, { weightIh, weightHh, bias }, l) => {
      const f = activationOf(l === this.layers.length - 1 ? outputActivation : activation);
      const sums = linear(below, weightIh, bias);
      if (weightHh === null) return f(sums);
      const out = f(add(sums, linear(state[next.length] as Tensor, weightHh)));
      next.push(out);
      return out;
    }, x);
    return [y, next];
  }
}
