/** Sums over what comes before an element in the order of other numbers. */

import { closedOp } from "../autodiff/define-op.ts";
import { apply, type Primitive } from "../autodiff/primitive.ts";
import { DTypeError, ShapeError } from "../base/errors.ts";
import { sameShape, show } from "../tensor/shape.ts";
import { dense } from "../tensor/strided.ts";
import { empty, type Tensor } from "../tensor/tensor.ts";
import { call } from "../wasm/host.ts";
import * as kernels from "../wasm/kernels.gen.ts";
import { broadcastTo } from "./broadcast.ts";
import { checkFloat } from "./reduction.ts";

/** Linear in x, and the other way round as its own adjoint; `reverse` sums over what comes after. */
const orderedSumsOp: Primitive<{ readonly reverse: boolean }> = closedOp({
  name: "orderedSums",
  forward([x, keys], { reverse }) {
    const [values, order] = [dense(x as Tensor), dense(keys as Tensor)];
    const y = empty(values.shape, values.dtype);
    const n = values.dim(-1);
    if (n > 0) call(kernels.orderedSums, values.dtype, values.size / n, n, reverse ? -1 : 1, order.ptr, values.ptr, y.ptr);
    return y;
  },
  vjp: [(g, _y, [, keys], { reverse }) => apply(orderedSumsOp, [g, keys as Tensor], { reverse: !reverse }), () => null],
  jvp: [(t, _y, [, keys], params) => apply(orderedSumsOp, [t, broadcastTo(keys as Tensor, t.shape)], params), () => null],
});

/**
 * For each i the sum of x_j over all j whose key is lower, or equal with j < i, along the last axis. In time n², without memory for it. Keys have no
 * derivative.
 * @throws ShapeError, DTypeError unless x and keys have one shape and dtype, float
 * @example orderedSums(tensor([1, 2, 4]), tensor([3, 1, 2])); // 6, 0, 2
 * @internal
 */
export function orderedSums(x: Tensor, keys: Tensor): Tensor {
  checkFloat("orderedSums", x);
  if (!sameShape(x.shape, keys.shape)) throw new ShapeError(`orderedSums: expected keys ${show(x.shape)}, got ${show(keys.shape)}`);
  if (x.dtype !== keys.dtype) throw new DTypeError(`orderedSums: expected keys of ${x.dtype}, got ${keys.dtype}`);
  return apply(orderedSumsOp, [x, keys], { reverse: false });
}

/** The primitives of this file, by name. */
export const primitives: Readonly<Record<string, Primitive<never>>> = { orderedSums: orderedSumsOp };
