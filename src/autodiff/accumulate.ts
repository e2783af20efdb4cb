/** The one operation that differentiation itself needs: adding cotangents, or tangents, of one shape. */

import { dense } from "../tensor/strided.ts";
import { empty, type Tensor } from "../tensor/tensor.ts";
import * as code from "../wasm/codes.gen.ts";
import { call } from "../wasm/host.ts";
import { elementwise } from "../wasm/kernels.gen.ts";
import { apply, type Primitive } from "./primitive.ts";

/** y = a + b for contiguous tensors of one shape; y may be a. */
function addInto(y: Tensor, a: Tensor, b: Tensor): Tensor {
  if (y.size > 0) call(elementwise, y.dtype, code.ADD, a.ptr, b.ptr, 0, 0, 0, y.ptr, 1, y.size, 1, 1, 0);
  return y;
}

/** Written without `closedOp`, which itself adds tangents by this operation. */
export const accumulateOp: Primitive<void> = {
  name: "accumulate",
  closed: true,
  forward: ([a, b]) => [addInto(empty((a as Tensor).shape, (a as Tensor).dtype), dense(a as Tensor), dense(b as Tensor))],
  vjp: ([g = null], { needs }) => needs.map((needed) => (needed ? g : null)),
  jvp: ([ta = null, tb = null]) => [ta !== null && tb !== null ? accumulate(ta, tb) : (ta ?? tb)],
};

/** a + b, for tensors of one shape. */
export function accumulate(a: Tensor, b: Tensor): Tensor {
  return apply(accumulateOp, [a, b], undefined);
}

/** total += part, in place and off the tape; `total` is contiguous. */
export function addInPlace(total: Tensor, part: Tensor): void {
  addInto(total, total, dense(part));
}
