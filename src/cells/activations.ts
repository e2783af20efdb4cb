/** Squashing functions by name, as options of cells. */

import { relu, sigmoid, tanh } from "../ops/math.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** "logistic" is 1/(1 + e⁻ˣ), "linear" the identity. */
export type Activation = "linear" | "logistic" | "tanh" | "relu";

export const activations: Readonly<Record<Activation, (x: Tensor) => Tensor>> = { linear: (x) => x, logistic: sigmoid, tanh, relu };
