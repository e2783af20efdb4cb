/** Activations by their names in ONNX, with the parameters that nodes and recurrent layers give them. */

import { add, mul } from "../../ops/arithmetic.ts";
import { clamp, greater, greaterEqual, where } from "../../ops/compare.ts";
import { elu, leakyRelu, relu, sigmoid, softplus, softsign, tanh } from "../../ops/math.ts";
import type { Tensor } from "../../tensor/tensor.ts";

export type Activation = (x: Tensor) => Tensor;

interface Named {
  /** What alpha and beta are where a node does not say; absent where there is no such parameter. */
  readonly alpha?: number;
  readonly beta?: number;
  readonly make: (alpha: number, beta: number) => Activation;
}

/** Three straight lines: min(max(αx + β, 0), 1). */
export function hardSigmoid(x: Tensor, alpha: number, beta: number): Tensor {
  return clamp(add(mul(x, alpha), beta), 0, 1);
}

/** The activations of recurrent layers. */
export const ACTIVATIONS: Readonly<Record<string, Named>> = {
  Relu: { make: () => relu },
  Tanh: { make: () => tanh },
  Sigmoid: { make: () => sigmoid },
  Softsign: { make: () => softsign },
  Softplus: { make: () => softplus },
  Affine: { alpha: 1, beta: 0, make: (alpha, beta) => (x) => add(mul(x, alpha), beta) },
  LeakyRelu: { alpha: 0.01, make: (alpha) => (x) => leakyRelu(x, alpha) },
  ThresholdedRelu: { alpha: 1, make: (alpha) => (x) => where(greaterEqual(x, alpha), x, 0) },
  ScaledTanh: { alpha: 1, beta: 1, make: (alpha, beta) => (x) => mul(tanh(mul(x, beta)), alpha) },
  HardSigmoid: { alpha: 0.2, beta: 0.5, make: (alpha, beta) => (x) => hardSigmoid(x, alpha, beta) },
  Elu: { alpha: 1, make: (alpha) => (x) => elu(x, alpha) },
};

/** x where it is above alpha, as the operator has it; recurrent layers say "at least". */
export function thresholdedRelu(x: Tensor, alpha: number): Tensor {
  return where(greater(x, alpha), x, 0);
}
