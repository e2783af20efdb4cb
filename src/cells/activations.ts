/** Activation functions as options of cells. */

import { checkOneOf } from "../base/checks.ts";
import { ArgumentError } from "../base/errors.ts";
import { clamp } from "../ops/compare.ts";
import { relu, sigmoid, tanh } from "../ops/math.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** "logistic" is 1/(1 + e⁻ˣ), "linear" the identity. */
export type ActivationName = "linear" | "logistic" | "tanh" | "relu";

/** The name of an activation, or any elementwise function. */
export type Activation = ActivationName | ((x: Tensor) => Tensor);

export const activations: Readonly<Record<ActivationName, (x: Tensor) => Tensor>> = { linear: (x) => x, logistic: sigmoid, tanh, relu };

/** The function for an option's name. */
export function activationOf(activation: Activation): (x: Tensor) => Tensor {
  if (typeof activation === "function") return activation;
  checkOneOf("activation", "a name", activation, ["linear", "logistic", "tanh", "relu"]);
  return activations[activation];
}

/**
 * An activation with its argument limited to [−bound, bound]: f(clamp(x, −bound, bound)), as the "clip" of recurrent operators in ONNX.
 * @throws ArgumentError unless bound > 0
 * @example new SimpleRecurrentNetwork({ inputSize: 4, hiddenSize: 8, activation: clippedActivation("tanh", 3) })
 */
export function clippedActivation(activation: Activation, bound: number): (x: Tensor) => Tensor {
  if (!(bound > 0)) throw new ArgumentError(`clippedActivation: expected a bound above 0, got ${bound}`);
  const f = activationOf(activation);
  return (x) => f(clamp(x, -bound, bound));
}
