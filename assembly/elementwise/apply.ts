// One vector of every elementwise operation.
//
// A line here is all that an operation needs of the kernel: `op.NAME` is numbered by scripts/operations.mjs from the functions below,
// and `INT_NAME` is found from NAME for tensors of int32.

import * as op from "../codes.gen";
import { verf } from "../math/erf";
import { calledExp, vexp } from "../math/exp";
import { vexpm1 } from "../math/expm1";
import { vlog, vlog1p } from "../math/log";
import { vpow } from "../math/pow";
import { vsigmoid } from "../math/sigmoid";
import { vcos, vsin } from "../math/sin";
import { vtanh } from "../math/tanh";
import { all, signBits } from "../math/vector";

/** What is called most. `code` is a constant: the compiler keeps one line of these (which it would not with a switch). */
// @ts-ignore: decorator
@inline
export function applyHot<T>(code: i32, a: v128, b: v128): v128 {
  if (code == op.ADD) return v128.add<T>(a, b);
  if (code == op.SUB) return v128.sub<T>(a, b);
  if (code == op.MUL) return v128.mul<T>(a, b);
  if (code == op.DIV) return v128.div<T>(a, b);
  if (code == op.NEG) return v128.neg<T>(a);
  if (code == op.SQUARE) return v128.mul<T>(a, a);
  if (code == op.MAXIMUM) return v128.max<T>(a, b);
  if (code == op.MINIMUM) return v128.min<T>(a, b);
  // A cotangent where b > 0: that of relu, whose value is b.
  if (code == op.GATE) return v128.and(a, v128.gt<T>(b, all<T>(0.0)));
  if (code == op.RELU) return v128.max<T>(a, all<T>(0.0));
  if (code == op.EXP) return vexp<T>(a);
  if (code == op.TANH) return vtanh<T>(a);
  // Cotangents of tanh and of the sigmoid, whose value is b.
  if (code == op.TANH_GRAD) return v128.mul<T>(a, v128.sub<T>(all<T>(1.0), v128.mul<T>(b, b)));
  if (code == op.SIGMOID) return vsigmoid<T>(a);
  if (code == op.SIGMOID_GRAD) return v128.mul<T>(a, v128.mul<T>(b, v128.sub<T>(all<T>(1.0), b)));
  return a;
}

/** The other operations on one vector of each operand; where a function of a has a parameter, it is b. */
// @ts-ignore: decorator
@inline
export function apply<T>(code: i32, a: v128, b: v128, c: v128): v128 {
  switch (code) {
    case op.ABS: return v128.abs<T>(a);
    case op.SIGN: return sign<T>(a);
    case op.SQRT: return v128.sqrt<T>(a);
    case op.RSQRT: return v128.div<T>(all<T>(1.0), v128.sqrt<T>(a));
    case op.RECIPROCAL: return v128.div<T>(all<T>(1.0), a);
    case op.EXPM1: return vexpm1<T>(a);
    case op.LOG: return vlog<T>(a);
    case op.LOG1P: return vlog1p<T>(a);
    case op.SIN: return vsin<T>(a);
    case op.COS: return vcos<T>(a);
    case op.ERF: return verf<T>(a);
    case op.LEAKY_RELU: return positiveOr<T>(a, v128.mul<T>(a, b));
    case op.ELU: return positiveOr<T>(a, v128.mul<T>(b, vexpm1<T>(a)));
    case op.SOFTPLUS: return softplus<T>(a);
    case op.SILU: return v128.div<T>(a, v128.add<T>(all<T>(1.0), calledExp<T>(v128.neg<T>(a))));
    case op.GELU: return gelu<T>(a);
    case op.POW: return vpow<T>(a, b);
    // 0 where a < b, ½ where they are equal, else 1: a's share of a maximum's derivative.
    case op.SHARE: return v128.andnot(v128.bitselect(all<T>(0.5), all<T>(1.0), v128.eq<T>(a, b)), v128.lt<T>(a, b));
    // a where c holds, else b.
    case op.SELECT:
    case op.INT_SELECT: return v128.bitselect(a, b, c);
    default: return code < op.FIRST_MASK ? applyInt(code, a, b) : code < op.FIRST_INT_MASK ? compare<T>(code, a, b) : compareInt(code, a, b);
  }
}

/** The operations on int32; sums and products wrap. */
function applyInt(code: i32, a: v128, b: v128): v128 {
  switch (code) {
    case op.INT_NEG: return i32x4.neg(a);
    case op.INT_ABS: return i32x4.abs(a);
    case op.INT_SQUARE: return i32x4.mul(a, a);
    case op.INT_ADD: return i32x4.add(a, b);
    case op.INT_SUB: return i32x4.sub(a, b);
    case op.INT_MUL: return i32x4.mul(a, b);
    case op.INT_MAXIMUM: return i32x4.max_s(a, b);
    case op.INT_MINIMUM: return i32x4.min_s(a, b);
    default: return a;
  }
}

/** Comparisons of floats; masks are all ones or all zeros. */
// @ts-ignore: decorator
@inline
function compare<T>(code: i32, a: v128, b: v128): v128 {
  switch (code) {
    case op.EQUAL: return v128.eq<T>(a, b);
    case op.NOT_EQUAL: return v128.ne<T>(a, b);
    case op.LESS: return v128.lt<T>(a, b);
    case op.LESS_EQUAL: return v128.le<T>(a, b);
    default: return a;
  }
}

/** Comparisons of int32. */
function compareInt(code: i32, a: v128, b: v128): v128 {
  switch (code) {
    case op.INT_EQUAL: return i32x4.eq(a, b);
    case op.INT_NOT_EQUAL: return i32x4.ne(a, b);
    case op.INT_LESS: return i32x4.lt_s(a, b);
    case op.INT_LESS_EQUAL: return i32x4.le_s(a, b);
    default: return a;
  }
}

/** log(1 + e^x) = max(x, 0) + log(1 + e^-|x|): nothing overflows. */
function softplus<T>(x: v128): v128 {
  return v128.add<T>(v128.max<T>(x, all<T>(0.0)), vlog1p<T>(calledExp<T>(v128.or(x, all<T>(-0.0)))));
}

/** x·Φ(x) = x/2 · (1 + erf(x/√2)). */
function gelu<T>(x: v128): v128 {
  const half = v128.mul<T>(x, all<T>(0.5));
  return v128.mul<T>(half, v128.add<T>(all<T>(1.0), verf<T>(v128.mul<T>(x, all<T>(0.7071067811865476)))));
}

/** -1 or 1; zeros and NaN stay. */
function sign<T>(x: v128): v128 {
  const unit = v128.or(all<T>(1.0), signBits<T>(x));
  const nonzero = v128.or(v128.lt<T>(x, all<T>(0.0)), v128.gt<T>(x, all<T>(0.0)));
  return v128.bitselect(unit, x, nonzero);
}

/** x where it is positive, else `other`. */
function positiveOr<T>(x: v128, other: v128): v128 {
  return v128.bitselect(x, other, v128.gt<T>(x, all<T>(0.0)));
}
