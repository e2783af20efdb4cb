/** Conversion between dtypes, and promotion of integer tensors beside numbers that they cannot hold. */

import { closedOp } from "../autodiff/define-op.ts";
import { apply, type Primitive } from "../autodiff/primitive.ts";
import { type DType, isFloat } from "../base/dtype.ts";
import { DTypeError } from "../base/errors.ts";
import { dense } from "../tensor/strided.ts";
import { checkTensor, empty, type Tensor } from "../tensor/tensor.ts";
import { isInt32 } from "../tensor/values.ts";
import { call } from "../wasm/host.ts";
import { convert } from "../wasm/kernels.gen.ts";

const TYPE_CODES: Readonly<Record<DType, number>> = { float32: 0, float64: 1, int32: 2, bool: 3 };

export const castOp: Primitive<DType> = closedOp<DType>({
  name: "cast",
  forward([x], dtype) {
    const source = dense(x as Tensor);
    const y = empty(source.shape, dtype);
    call(convert, "int32", TYPE_CODES[source.dtype], TYPE_CODES[dtype], source.size, source.ptr, y.ptr);
    return y;
  },
  vjp: (g, _y, [x]) => cast(g, (x as Tensor).dtype),
  jvp: (t, y) => (isFloat(y.dtype) ? cast(t, y.dtype) : null),
});

/** x in another dtype. Floats round towards zero to integers (saturating; NaN gives 0); everything but 0 becomes true. */
export function cast(x: Tensor, dtype: DType): Tensor {
  checkTensor("cast", x);
  return x.dtype === dtype ? x : apply(castOp, [x], dtype);
}

/** x as a float tensor: integers become float32, as in PyTorch. @internal */
export function asFloat(x: Tensor): Tensor {
  return isFloat(x.dtype) ? x : cast(x, "float32");
}

/**
 * x promoted to meet a number, by PyTorch's rule: float tensors keep their dtype; int32 stays int32 beside a whole number and
 * becomes float32 beside any other; bool becomes int32 or float32 likewise.
 * @throws DTypeError for a whole number beyond int32
 * @internal
 */
export function besideNumber(op: string, x: Tensor, value: number): Tensor {
  checkTensor(op, x);
  if (isFloat(x.dtype)) return x;
  if (!Number.isInteger(value)) return cast(x, "float32");
  if (isInt32(value)) return cast(x, "int32");
  throw new DTypeError(`${op}: expected a number within int32 beside a tensor of ${x.dtype} (or the tensor cast to a float), got ${value}`);
}

/** x promoted for a comparison with a number: to float64, which holds every int32, unless the number is an int32. @internal */
export function toCompare(op: string, x: Tensor, value: number): Tensor {
  checkTensor(op, x);
  if (isFloat(x.dtype)) return x;
  return cast(x, isInt32(value) ? "int32" : "float64");
}

/** The primitives of this file, by name. */
export const primitives: Readonly<Record<string, Primitive<never>>> = { cast: castOp };
