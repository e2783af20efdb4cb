// sin and cos, lane by lane in double arithmetic: x = n·π/2 + r with |r| <= π/4, then a polynomial in r.
//
// Up to 2^20, π/2 is subtracted in parts of 33 bits (Cody and Waite); beyond, x·2/π is computed modulo 4 from the bits
// of 2/π that matter (M. Payne and R. Hanek, Radian reduction for trigonometric functions, 1983). So every argument
// is reduced to the last bit. Polynomials: fdlibm's k_sin.c and k_cos.c (Sun Microsystems, 1993).
//
// Measured by scripts/ulp.mjs: float32 0.51 ULP (all arguments), float64 1.23 ULP (40,000 arguments).

import { at, lanes } from "../lanes";
import { own } from "../threads";

/** 64 zeros, then the first 1280 binary digits of 2/π. */
const TWO_OVER_PI = memory.data<u64>([
  0, 0xa2f9836e4e441529, 0xfc2757d1f534ddc0, 0xdb6295993c439041, 0xfe5163abdebbc561, 0xb7246e3a424dd2e0, 0x06492eea09d1921c,
  0xfe1deb1cb129a73e, 0xe88235f52ebb4484, 0xe99c7026b45f7e41, 0x3991d639835339f4, 0x9c845f8bbdf9283b, 0x1ff897ffde05980f,
  0xef2f118b5a0a6d1f, 0x6d367ecf27cb09b7, 0x4f463f669e5fea2d, 0x7527bac7ebe5f17b, 0x3d0739f78a5292ea, 0x6bfb5fb11f8d5d08,
  0x56033046fc7b6bab, 0xf0cfbc209af4361d,
]);

const PI_2: f64 = 1.5707963267948966;
const PI_2_LOW: f64 = 6.123233995736766e-17;

/** What reduction leaves: r + rLow. */
let r: f64 = 0;
let rLow: f64 = 0;

/** Reduces |x| < 2^20; returns n modulo 4. */
function reduceMedium(x: f64): i32 {
  const n = nearest(x * 0.6366197723675814);
  const a = x - n * 1.5707963267341256;
  const b = n * 6.077100506303966e-11;
  const c = a - b;
  const d = n * 2.0222662487111665e-21;
  const e = c - d;
  const tail = n * 8.4784276603689e-32 - ((c - e) - d) - ((a - c) - b);
  r = e - tail;
  rLow = (e - r) - tail;
  return <i32>n;
}

/** The high half of a 128-bit product. */
function mulHigh(a: u64, b: u64): u64 {
  const aLow = a & 0xffffffff;
  const aHigh = a >> 32;
  const bLow = b & 0xffffffff;
  const bHigh = b >> 32;
  const middle = aHigh * bLow + ((aLow * bLow) >> 32);
  const other = aLow * bHigh + (middle & 0xffffffff);
  return aHigh * bHigh + (middle >> 32) + (other >> 32);
}

/** 64 digits of 2/π from position `at` of the table on. */
function digits(position: i32): u64 {
  const word = TWO_OVER_PI + (<usize>(position >> 6) << 3);
  const shift = <u64>(position & 63);
  if (shift == 0) return load<u64>(word);
  return (load<u64>(word) << shift) | (load<u64>(word, 8) >> (64 - shift));
}

/** Reduces |x| >= 2^20; returns n modulo 4. */
function reduceLarge(x: f64): i32 {
  const bits = reinterpret<u64>(x);
  const m = (bits & 0x000fffffffffffff) | 0x0010000000000000;
  // Digits of 2/π that weigh 4 or more in the product add whole turns: the first one wanted weighs 2.
  const first = <i32>((bits >> 52) & 0x7ff) - 1075 + 62;
  const w1 = digits(first + 64);
  const low = m * w1;
  const lower = low + mulHigh(m, digits(first + 128));
  const upper = m * digits(first) + mulHigh(m, w1) + <u64>(lower < low);
  // Two bits of n, then the fraction, taken as signed: in [-½, ½) of a quarter turn.
  let high = (upper << 2) | (lower >> 62);
  let rest = lower << 2;
  let n = <i32>(upper >> 62) + <i32>(high >> 63);
  const negative = (high >> 63) != 0;
  if (negative) {
    rest = ~rest + 1;
    high = ~high + <u64>(rest == 0);
  }
  const top = <f64>(high & ~0x7ff) * 5.421010862427522e-20;
  const bottom = <f64>(((high & 0x7ff) << 53) | (rest >> 11)) * 6.018531076210112e-36;
  const f = top + bottom;
  const fLow = bottom - (f - top);
  r = f * PI_2;
  rLow = fLow * PI_2 + f * PI_2_LOW;
  if (negative != x < 0) {
    r = -r;
    rLow = -rLow;
  }
  return x < 0 ? -n : n;
}

// @ts-ignore: decorator
@inline
function step(p: f64, z: f64, c: f64): f64 {
  return c + z * p;
}

function sinReduced(x: f64, low: f64): f64 {
  const z = x * x;
  let p = step(1.58969099521155010221e-10, z, -2.50507602534068634195e-8);
  p = step(p, z, 2.75573137070700676789e-6);
  p = step(p, z, -1.98412698298579493134e-4);
  p = step(p, z, 8.33333333332248946124e-3);
  const v = z * x;
  return x - (z * (0.5 * low - v * p) - low - v * -1.66666666666666324348e-1);
}

function cosReduced(x: f64, low: f64): f64 {
  const z = x * x;
  let p = step(-1.13596475577881948265e-11, z, 2.0875723212981748279e-9);
  p = step(p, z, -2.75573143513906633035e-7);
  p = step(p, z, 2.48015872894767294178e-5);
  p = step(p, z, -1.38888888888741095749e-3);
  p = step(p, z, 4.16666666666666019037e-2);
  const half = 0.5 * z;
  const w = 1 - half;
  return w + (1 - w - half + (z * (z * p) - x * low));
}

/** sin(x + turns·π/2). */
function sine(x: f64, turns: i32): f64 {
  const size = abs(x);
  if (!(size < Infinity)) return NaN;
  if (size < 7.450580596923828e-9) return turns == 0 ? x : 1;
  const n = (size < 1048576 ? reduceMedium(x) : reduceLarge(x)) + turns;
  const y = (n & 1) == 0 ? sinReduced(r, rLow) : cosReduced(r, rLow);
  return (n & 2) == 0 ? y : -y;
}

const LANES = own(memory.data(16, 16));

function eachLane<T>(x: v128, turns: i32): v128 {
  v128.store(LANES, x);
  for (let i = 0; i < lanes<T>(); i++) store<T>(at<T>(LANES, i), <T>sine(<f64>load<T>(at<T>(LANES, i)), turns));
  return v128.load(LANES);
}

/** sin in every lane, in [-1, 1]; NaN at ±∞. */
export function vsin<T>(x: v128): v128 {
  return eachLane<T>(x, 0);
}

/** cos in every lane, in [-1, 1]; NaN at ±∞. */
export function vcos<T>(x: v128): v128 {
  return eachLane<T>(x, 1);
}
