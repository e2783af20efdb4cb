// What the vector functions of this folder share: constants in every lane, signs, Horner's rule.

import { madd } from "../lanes";

/** A number in every lane. */
// @ts-ignore: decorator
@inline
export function all<T>(c: f64): v128 {
  return v128.splat<T>(<T>c);
}

/** acc·x + c: one step of Horner's rule. */
// @ts-ignore: decorator
@inline
export function horner<T>(acc: v128, x: v128, c: f64): v128 {
  return madd<T>(acc, x, all<T>(c));
}

/** The sign bit of every lane. */
// @ts-ignore: decorator
@inline
export function signBits<T>(x: v128): v128 {
  return v128.and(x, all<T>(-0.0));
}

/** |magnitude| with the sign of x, also where x is a zero. */
// @ts-ignore: decorator
@inline
export function withSign<T>(magnitude: v128, x: v128): v128 {
  return v128.or(v128.andnot(magnitude, all<T>(-0.0)), signBits<T>(x));
}
