// The activations of gates, and their slopes in terms of their values.
//
// In f32 they are part of the loops, in f64 functions: f64 is for small systems and gradient checks, where bytes count more.

import { madd } from "../lanes";
import { power2, shifter } from "../math/exp";
import { vsigmoid } from "../math/sigmoid";
import { vtanh } from "../math/tanh";
import { all, horner } from "../math/vector";

// @ts-ignore: decorator
@inline
export function sigmoid<T>(x: v128): v128 {
  return sizeof<T>() == 4 ? sigmoid32(x) : sigmoid64(x);
}

/**
 * 1 / (1 + e^-x) for x in [-88, 87], and its values there beyond: shorter than the function of the same name, which goes
 * on into the subnormals. e^-x = 2^n·(1 - s + s²·tail), s = x + n·ln 2, relative error of the polynomial 2^-28 (Remez).
 */
// @ts-ignore: decorator
@inline
function sigmoid32(x: v128): v128 {
  const z = v128.pmin<f32>(v128.pmax<f32>(x, all<f32>(-88.0)), all<f32>(87.0));
  const t = madd<f32>(z, all<f32>(-1.4426950408889634), shifter<f32>());
  const n = v128.sub<f32>(t, shifter<f32>());
  const s = madd<f32>(n, all<f32>(-2.1219444e-4), madd<f32>(n, all<f32>(0.693359375), z));
  const s2 = v128.mul<f32>(s, s);
  const middle = horner<f32>(all<f32>(-0.0083687451079090414), s, 0.041668390785577304);
  const low = horner<f32>(all<f32>(-0.16666520399053208), s, 0.49999993432119622);
  const tail = madd<f32>(madd<f32>(all<f32>(0.0013814540073401125), s2, middle), s2, low);
  const one = all<f32>(1.0);
  const e = v128.mul<f32>(madd<f32>(tail, s2, v128.sub<f32>(one, s)), power2<f32>(t, 0));
  return v128.div<f32>(one, v128.add<f32>(one, e));
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
