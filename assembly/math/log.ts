// log x = k·ln 2 + log(1 + f) with x = 2^k·(1 + f), 1 + f in [√½, √2], and with s = f / (2 + f)
//
//   log(1 + f) = f - f²/2 + s·(f²/2 + R(s²))
//
// Method and coefficients: fdlibm's e_log.c (Sun Microsystems, 1993) and its f32 form in FreeBSD's e_logf.c.
//
// Measured by scripts/ulp.mjs, larger of the two builds: 
// log float32 0.85 ULP (all arguments), float64 0.75 ULP (40,000 arguments),
// log1p float32 0.85 ULP (all arguments), float64 0.77 ULP (40,000 arguments).

import { madd } from "../lanes";
import { all, horner, withSign } from "./vector";

/** The bits of x, moved up so that [√½, √2] lies between two powers of two. */
// @ts-ignore: decorator
@inline
function bitsAbove<T>(x: v128): v128 {
  if (sizeof<T>() == 4) return i32x4.add(x, i32x4.splat(0x3f800000 - 0x3f3504f3));
  return i64x2.add(x, i64x2.splat(0x3ff0000000000000 - 0x3fe6a09e00000000));
}

// @ts-ignore: decorator
@inline
function isSubnormal<T>(x: v128): v128 {
  return v128.lt<T>(x, all<T>(sizeof<T>() == 4 ? 1.1754943508222875e-38 : 2.2250738585072014e-308));
}

/** x, scaled up where it is subnormal: see exponentOf. */
// @ts-ignore: decorator
@inline
export function normal<T>(x: v128): v128 {
  const scaled = v128.mul<T>(x, all<T>(sizeof<T>() == 4 ? 33554432.0 : 18014398509481984.0));
  return v128.bitselect(scaled, x, isSubnormal<T>(x));
}

/** k as a number, where x = 2^k·m with m in [√½, √2], of a positive x. */
// @ts-ignore: decorator
@inline
export function exponentOf<T>(x: v128): v128 {
  return v128.sub<T>(exponent<T>(normal<T>(x)), v128.and(isSubnormal<T>(x), all<T>(sizeof<T>() == 4 ? 25.0 : 54.0)));
}

/** The same of a normal x. */
// @ts-ignore: decorator
@inline
function exponent<T>(x: v128): v128 {
  // The exponent's bits under those of 2^23 (2^52) make the number 2^23 + k + bias.
  const raised = sizeof<T>() == 4 ? i32x4.shr_u(bitsAbove<T>(x), 23) : i64x2.shr_u(bitsAbove<T>(x), 52);
  const unit = all<T>(sizeof<T>() == 4 ? 8388608.0 : 4503599627370496.0);
  return v128.sub<T>(v128.or(raised, unit), all<T>(sizeof<T>() == 4 ? 8388608.0 + 127.0 : 4503599627370496.0 + 1023.0));
}

/** f = m - 1, where x = 2^k·m with m in [√½, √2], of a positive normal x. */
// @ts-ignore: decorator
@inline
export function fraction<T>(x: v128): v128 {
  if (sizeof<T>() == 4) {
    const m = i32x4.add(v128.and(bitsAbove<T>(x), i32x4.splat(0x007fffff)), i32x4.splat(0x3f3504f3));
    return v128.sub<T>(m, all<T>(1.0));
  }
  const m = i64x2.add(v128.and(bitsAbove<T>(x), i64x2.splat(0x000fffffffffffff)), i64x2.splat(0x3fe6a09e00000000));
  return v128.sub<T>(m, all<T>(1.0));
}

// @ts-ignore: decorator
@inline
function series<T>(z: v128): v128 {
  if (sizeof<T>() == 4) {
    let r = all<T>(0.24279078841);
    r = horner<T>(r, z, 0.28498786688);
    r = horner<T>(r, z, 0.40000972152);
    return v128.mul<T>(z, horner<T>(r, z, 0.66666662693));
  }
  let r = all<T>(1.479819860511658591e-1);
  r = horner<T>(r, z, 1.531383769920937332e-1);
  r = horner<T>(r, z, 1.818357216161805012e-1);
  r = horner<T>(r, z, 2.222219843214978396e-1);
  r = horner<T>(r, z, 2.857142874366239149e-1);
  r = horner<T>(r, z, 3.999999999940941908e-1);
  return v128.mul<T>(z, horner<T>(r, z, 6.66666666666673513e-1));
}

/** k·ln 2 + log(1 + f) + c for a small correction c. */
// @ts-ignore: decorator
@inline
function assemble<T>(k: v128, f: v128, c: v128): v128 {
  const high = all<T>(sizeof<T>() == 4 ? 0.6931381225585938 : 6.9314718036912381649e-1);
  const low = all<T>(sizeof<T>() == 4 ? 9.0580006144e-6 : 1.90821492927058770002e-10);
  const s = v128.div<T>(f, v128.add<T>(f, all<T>(2.0)));
  const half = v128.mul<T>(all<T>(0.5), v128.mul<T>(f, f));
  const r = v128.add<T>(half, series<T>(v128.mul<T>(s, s)));
  const tail = madd<T>(s, r, madd<T>(k, low, c));
  return madd<T>(k, high, v128.sub<T>(f, v128.sub<T>(half, tail)));
}

/** What log is where x is not a positive number: -∞ at 0, NaN below, x itself at ∞ and NaN. */
// @ts-ignore: decorator
@inline
function atEdges<T>(y: v128, x: v128): v128 {
  const zero = all<T>(0.0);
  const below = v128.bitselect(all<T>(-Infinity), all<T>(NaN), v128.eq<T>(x, zero));
  y = v128.bitselect(y, below, v128.gt<T>(x, zero));
  return v128.bitselect(x, y, v128.eq<T>(x, all<T>(Infinity)));
}

/** The natural logarithm in every lane. */
export function vlog<T>(x: v128): v128 {
  return atEdges<T>(assemble<T>(exponentOf<T>(x), fraction<T>(normal<T>(x)), all<T>(0.0)), x);
}

/** log(1 + x) in every lane, with the sign of x. The rounding error of 1 + x comes back as a correction (Knuth's two-sum). */
export function vlog1p<T>(x: v128): v128 {
  const one = all<T>(1.0);
  const u = v128.add<T>(x, one);
  const back = v128.sub<T>(u, one);
  const lost = v128.add<T>(v128.sub<T>(one, v128.sub<T>(u, back)), v128.sub<T>(x, back));
  const k = exponent<T>(u);
  // Where 1 + x is in [√½, √2], f is x itself and nothing is lost.
  const near = v128.eq<T>(k, all<T>(0.0));
  const f = v128.bitselect(x, fraction<T>(u), near);
  const c = v128.andnot(v128.div<T>(lost, u), near);
  const y = atEdges<T>(assemble<T>(k, f, c), u);
  return v128.bitselect(withSign<T>(y, x), y, v128.gt<T>(u, all<T>(0.0)));
}
