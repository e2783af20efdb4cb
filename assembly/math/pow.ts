// x^y = e^(y·log x), the logarithm and the product as sums of two doubles: their error of 2^-60 or so is all that
// remains after the exponential has magnified it. float32 runs through the same lanes, two at a time.
//
// log|x| = k·ln 2 + 2·(s + s³/3 + s⁵/5 + …) with s = f / (2 + f); products are split after Dekker (A floating-point
// technique for extending the available precision, 1971). The splitting needs every rounding: no fused operations there.
//
// Measured by scripts/ulp.mjs, larger of the two builds: float32 0.51 ULP (4 million pairs), float64 1.11 ULP (8,192 pairs).

import { expm1Reduced, power2, reduceLog2, shiftedLog2 } from "./exp";
import { exponentOf, fraction, normal } from "./log";
import { all, horner } from "./vector";

/** The low part of the sum or product computed last; its high part is what the function returned. */
let low: v128 = i64x2(0, 0);

/** a + b where |a| >= |b|. */
function sum(a: v128, b: v128): v128 {
  const s = f64x2.add(a, b);
  low = f64x2.sub(b, f64x2.sub(s, a));
  return s;
}

/** The upper 26 bits. */
// @ts-ignore: decorator
@inline
function upper(a: v128): v128 {
  return v128.and(a, i64x2.splat(0xfffffffff8000000));
}

/** a·b. */
function product(a: v128, b: v128): v128 {
  const p = f64x2.mul(a, b);
  const a1 = upper(a);
  const a2 = f64x2.sub(a, a1);
  const b1 = upper(b);
  const b2 = f64x2.sub(b, b1);
  const crossed = f64x2.add(f64x2.mul(a1, b2), f64x2.mul(a2, b1));
  low = f64x2.add(f64x2.add(f64x2.sub(f64x2.mul(a1, b1), p), crossed), f64x2.mul(a2, b2));
  return p;
}

/** Odd part of the series beyond s³: 2·(z²/5 + z³/7 + …), z = s². */
function beyond(z: v128): v128 {
  let p = all<f64>(2.0 / 23.0);
  p = horner<f64>(p, z, 2.0 / 21.0);
  p = horner<f64>(p, z, 2.0 / 19.0);
  p = horner<f64>(p, z, 2.0 / 17.0);
  p = horner<f64>(p, z, 2.0 / 15.0);
  p = horner<f64>(p, z, 2.0 / 13.0);
  p = horner<f64>(p, z, 2.0 / 11.0);
  p = horner<f64>(p, z, 2.0 / 9.0);
  p = horner<f64>(p, z, 2.0 / 7.0);
  p = horner<f64>(p, z, 2.0 / 5.0);
  return f64x2.mul(f64x2.mul(z, z), p);
}

/** log x of positive numbers: the high part; the low part is in `low`. */
function logarithm(x: v128): v128 {
  const k = exponentOf<f64>(x);
  const f = fraction<f64>(normal<f64>(x));
  const two = all<f64>(2.0);
  const d = f64x2.add(two, f);
  const dLow = f64x2.sub(f, f64x2.sub(d, two));
  const s = f64x2.div(f, d);
  const sd = product(s, d);
  const rest = f64x2.sub(f64x2.sub(f64x2.sub(f, sd), low), f64x2.mul(s, dLow));
  const sLow = f64x2.div(rest, d);
  const z = product(s, s);
  const zLow = f64x2.add(low, f64x2.mul(f64x2.mul(two, s), sLow));
  // t = 2/3·z, then s·t.
  const t = product(z, all<f64>(0.6666666666666666));
  const tLow = f64x2.add(low, f64x2.add(f64x2.mul(z, all<f64>(3.700743415417188e-17)), f64x2.mul(zLow, all<f64>(0.6666666666666666))));
  const cubic = product(s, t);
  const cubicLow = f64x2.add(low, f64x2.add(f64x2.mul(s, tLow), f64x2.mul(sLow, t)));
  const higher = f64x2.mul(s, beyond(z));
  // Largest first: k·ln 2, 2s, the cubic term, the rest.
  const a = sum(f64x2.mul(two, s), cubic);
  const aLow = f64x2.add(f64x2.add(low, f64x2.mul(two, sLow)), f64x2.add(cubicLow, higher));
  const high = sum(f64x2.mul(k, all<f64>(0.6931471803691238)), a);
  const near = f64x2.eq(k, all<f64>(0.0));
  const total = v128.bitselect(a, high, near);
  const tail = f64x2.add(v128.andnot(low, near), f64x2.add(aLow, f64x2.mul(k, all<f64>(1.9082149292705877e-10))));
  return sum(total, tail);
}

/** e^(a + b) where b is small beside 1. */
function exponential(a: v128, b: v128): v128 {
  const z = f64x2.pmin(f64x2.pmax(a, all<f64>(-746.0)), all<f64>(710.0));
  const t = shiftedLog2<f64>(z);
  const r = f64x2.add(reduceLog2<f64>(z, t), v128.and(b, f64x2.eq(z, a)));
  const y = f64x2.add(expm1Reduced<f64>(r), all<f64>(1.0));
  const half = i32x4.shr_s(t, 1);
  return f64x2.mul(f64x2.mul(y, power2<f64>(half, 0)), power2<f64>(i32x4.sub(t, half), 0));
}

/** |x|^y of a positive, finite |x|. */
function magnitude(x: v128, y: v128): v128 {
  // Beyond 2^64 the power is 0, 1 or ∞ already.
  const limit = all<f64>(18446744073709551616.0);
  const e = f64x2.pmin(f64x2.pmax(y, f64x2.neg(limit)), limit);
  const l = logarithm(x);
  const rest = f64x2.mul(e, low);
  const p = product(e, l);
  return exponential(p, f64x2.add(low, rest));
}

/** C's pow with its special values, in two lanes. */
function powDouble(x: v128, y: v128): v128 {
  const zero = all<f64>(0.0);
  const one = all<f64>(1.0);
  const infinity = all<f64>(Infinity);
  const size = f64x2.abs(x);
  const vanishes = f64x2.eq(size, zero);
  const extreme = v128.or(vanishes, f64x2.eq(size, infinity));
  const grows = v128.xor(vanishes, f64x2.gt(y, zero));
  let p = v128.bitselect(v128.and(infinity, grows), magnitude(size, y), extreme);
  const half = f64x2.mul(y, all<f64>(0.5));
  const isInteger = f64x2.eq(y, f64x2.trunc(y));
  const isOdd = v128.and(isInteger, f64x2.ne(half, f64x2.trunc(half)));
  p = v128.xor(p, v128.and(v128.and(x, all<f64>(-0.0)), isOdd));
  const undefinedRoot = v128.andnot(v128.andnot(f64x2.lt(x, zero), extreme), isInteger);
  const isNaN = v128.or(v128.or(undefinedRoot, f64x2.ne(x, x)), f64x2.ne(y, y));
  p = v128.bitselect(all<f64>(NaN), p, isNaN);
  return v128.bitselect(one, p, v128.or(f64x2.eq(y, zero), f64x2.eq(x, one)));
}

/** x^y in every lane, with C's special values: x^0 = 1^y = 1 always, NaN for other powers of negative numbers than whole ones. */
export function vpow<T>(x: v128, y: v128): v128 {
  if (sizeof<T>() == 8) return powDouble(x, y);
  const left = powDouble(f64x2.promote_low_f32x4(x), f64x2.promote_low_f32x4(y));
  const right = powDouble(f64x2.promote_low_f32x4(upperHalf(x)), f64x2.promote_low_f32x4(upperHalf(y)));
  return v128.shuffle<u64>(f32x4.demote_f64x2_zero(left), f32x4.demote_f64x2_zero(right), 0, 2);
}

// @ts-ignore: decorator
@inline
function upperHalf(x: v128): v128 {
  return v128.shuffle<u64>(x, x, 1, 1);
}
