/** Symbols as unit vectors. */

import type { Shape } from "../../src/tensor/shape.ts";
import { type Tensor, tensor } from "../../src/tensor/tensor.ts";

/** Codes 0 … classes − 1 of the given shape to [...shape, classes]; negative codes become zeros. */
export function oneHot(codes: ArrayLike<number>, shape: Shape, classes: number): Tensor {
  const values = new Float32Array(codes.length * classes);
  for (let i = 0; i < codes.length; i++) if ((codes[i] as number) >= 0) values[i * classes + (codes[i] as number)] = 1;
  return tensor(values, { shape: [...shape, classes], dtype: "float32" });
}
