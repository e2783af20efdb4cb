/** Running parity: of the bits so far, whether an odd number is 1. */

import type { Generator } from "../../src/tensor/random.ts";
import { type Tensor, tensor } from "../../src/tensor/tensor.ts";

export interface ParityBatch {
  /** Bits as ±1, [T,B,1]. */
  readonly xs: Tensor;
  /** Parity after every step, int32 [T·B], time-major. */
  readonly targets: Tensor;
}

export interface ParityOptions {
  readonly steps: number;
  readonly batch: number;
}

/** Bits, both equally likely; chance is one half at every step. */
export function parityBatch(random: Generator, { steps, batch }: ParityOptions): ParityBatch {
  const bits = random.bernoulli([steps * batch], 0.5, "int32").data();
  const parity = new Int32Array(bits.length);
  bits.forEach((bit, k) => {
    parity[k] = Number(bit) ^ (k >= batch ? (parity[k - batch] as number) : 0);
  });
  const xs = Float32Array.from(bits, (bit) => 2 * Number(bit) - 1);
  return { xs: tensor(xs, { shape: [steps, batch, 1], dtype: "float32" }), targets: tensor(parity) };
}
