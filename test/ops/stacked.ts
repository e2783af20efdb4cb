import { expect } from "vitest";
import { zeros } from "../../src/tensor/create.ts";
import { type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { jvp, jvpStacked, type TensorFunction } from "../../src/transforms/transforms.ts";

const K = 3;

/** Tangents [K, …shape], all different. */
function tangentsOf(x: Tensor): Float64Array {
  return Float64Array.from({ length: K * x.size }, (_, i) => ((i * 37) % 64) / 16 - 2);
}

/** Expects K tangents at once to give, to the bit but for the sign of zeros, what each gives by itself; also where only one input has any. */
export function checkStackedTangents(fn: TensorFunction, inputs: readonly Tensor[]): void {
  for (let without = -1; without < (inputs.length > 1 ? inputs.length : 0); without++) {
    const given = (i: number): boolean => i !== without;
    const stacked = inputs.map((x, i) => (given(i) ? tensor(tangentsOf(x), { shape: [K, ...x.shape] }) : null));
    const together = jvpStacked(fn, inputs, stacked)[1];
    const single = Array.from({ length: K }, (_, k) => {
      const part = (x: Tensor) => tensor(tangentsOf(x).slice(k * x.size, (k + 1) * x.size), { shape: x.shape });
      return jvp(
        fn,
        inputs,
        inputs.map((x, i) => (given(i) ? part(x) : zeros(x.shape, x.dtype))),
      )[1];
    });
    expect(together.shape).toEqual([K, ...(single[0] as Tensor).shape]);
    const unsigned = (t: Tensor): number[] => Array.from(t.data(), (v) => v + 0);
    expect(unsigned(together)).toEqual(single.flatMap(unsigned));
  }
}
