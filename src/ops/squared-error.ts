/** The mean squared error as one operation, since regressions use it at every step. */

import { fusedOp } from "../autodiff/fused.ts";
import { apply, type Primitive } from "../autodiff/primitive.ts";
import { DTypeError, ShapeError } from "../base/errors.ts";
import { sameShape, show } from "../tensor/shape.ts";
import { empty, type Tensor } from "../tensor/tensor.ts";
import * as code from "../wasm/codes.gen.ts";
import { call } from "../wasm/host.ts";
import { elementwise, sumAxis } from "../wasm/kernels.gen.ts";
import { square, sub } from "./arithmetic.ts";
import { compute } from "./elementwise.ts";
import { mean } from "./reduce.ts";
import { checkFloat } from "./reduction.ts";

const meanSquaredErrorOp: Primitive<void> = fusedOp<void>({
  name: "meanSquaredError",

  forward([x, t], _, keep) {
    const [input, target] = [x as Tensor, t as Tensor];
    const { dtype, shape, size } = input;
    const difference = compute(code.SUB, empty(shape, dtype), dtype, input, target);
    const squares = compute(code.SQUARE, keep ? empty(shape, dtype) : difference, dtype, difference);
    const y = empty([], dtype);
    call(sumAxis, dtype, 1, size, 1, squares.ptr, y.ptr);
    compute(code.DIV, y, dtype, y, size);
    return keep ? [y, difference] : [y];
  },

  backward([g], { outputs, needs }) {
    if (!g) return [null, null];
    const difference = outputs[1] as Tensor;
    const { dtype, shape, size } = difference;
    const share = compute(code.DIV, empty([], dtype), dtype, g, size);
    const dx = empty(shape, dtype);
    if (size > 0) call(elementwise, dtype, code.MUL, share.ptr, difference.ptr, 0, 0, 0, dx.ptr, 1, size, 0, 1, 0);
    compute(code.MUL, dx, dtype, dx, 2);
    return [dx, needs[1] ? compute(code.NEG, empty(shape, dtype), dtype, dx) : null];
  },

  composed: ([x, t]) => [mean(square(sub(x as Tensor, t as Tensor)))],
});

/**
 * Σ (x − t)² / n over all n elements; NaN if n is 0.
 * @throws ShapeError, DTypeError unless x and t have one shape and dtype
 * @example backward(meanSquaredError(ys, targets));
 * @internal
 */
export function meanSquaredError(x: Tensor, t: Tensor): Tensor {
  checkFloat("meanSquaredError", x);
  if (!sameShape(x.shape, t.shape)) throw new ShapeError(`meanSquaredError: expected t ${show(x.shape)}, got ${show(t.shape)}`);
  if (x.dtype !== t.dtype) throw new DTypeError(`meanSquaredError: expected t of ${x.dtype}, got ${t.dtype}`);
  return apply(meanSquaredErrorOp, [x, t], undefined);
}

/** The primitives of this file, by name. */
export const primitives: Readonly<Record<string, Primitive<never>>> = { meanSquaredError: meanSquaredErrorOp };
