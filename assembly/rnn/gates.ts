// The activations of gates, and their slopes in terms of their values.
//
// In f32 they are part of the loops, in f64 functions: f64 is for small systems and gradient checks, where bytes count more.

import { vsigmoid } from "../math/sigmoid";
import { vtanh } from "../math/tanh";

// @ts-ignore: decorator
@inline
export function sigmoid<T>(x: v128): v128 {
  return sizeof<T>() == 4 ? vsigmoid<f32>(x) : sigmoid64(x);
}

// @ts-ignore: decorator
@inline
export function tanh<T>(x: v128): v128 {
  return sizeof<T>() == 4 ? vtanh<f32>(x) : tanh64(x);
}

function sigmoid64(x: v128): v128 {
  return vsigmoid<f64>(x);
}

function tanh64(x: v128): v128 {
  return vtanh<f64>(x);
}

/** a·(1 - a), the derivative of the sigmoid. */
// @ts-ignore: decorator
@inline
export function sigmoidSlope<T>(a: v128): v128 {
  return v128.mul<T>(a, v128.sub<T>(v128.splat<T>(<T>1), a));
}

/** 1 - a², the derivative of tanh. */
// @ts-ignore: decorator
@inline
export function tanhSlope<T>(a: v128): v128 {
  return v128.sub<T>(v128.splat<T>(<T>1), v128.mul<T>(a, a));
}
