// Products with a matrix of int8, one f32 scale a row: y = start + W·x with x rounded to int16, and sums in i32.
//
// W [n,k] lies in panels of sixteen rows, two columns of each in turn, four columns a block, and zeros beyond its ends:
//
//   panel 0                                                                        panel 1
//   w[0][0] w[0][1] w[1][0] w[1][1] … w[15][1]   w[0][2] w[0][3] … w[15][3]  …      w[16][0] w[16][1] …
//
// x is scaled by its largest magnitude, row by row, so that no sum leaves i32. Sums are exact, so their order is free and they have
// the same bits everywhere; what is done in f32 is never fused.

import { at } from "../lanes";
import { loadFirst, storeFirst } from "../edges";

/** Rows of a panel; columns of a block, and its bytes. */
const PANEL: i32 = 16;
const COLUMNS: i32 = 4;
const BLOCK: usize = 64;

/** Below this magnitude x counts as zero: its reciprocal would not be finite. */
const TINY: f32 = 1e-30;

/** 1.5·2^23: a float of up to 2^22 that it is added to is rounded to a whole number, which the low bits hold. */
const SHIFTER: f32 = 12582912;

// @ts-ignore: decorator
@inline
function blocksOf(k: i32): i32 {
  return (k + COLUMNS - 1) / COLUMNS;
}

/** Bytes of a row of x in int16, whole vectors. */
// @ts-ignore: decorator
@inline
function roundedBytes(k: i32): usize {
  return <usize>((k + 7) & ~7) * 2;
}

/** The largest magnitude that x is rounded to: k products of it with int8 stay within i32. */
// @ts-ignore: decorator
@inline
function limitOf(k: i32): f32 {
  return <f32>min<i64>(32767, 2147483647 / (128 * <i64>k));
}

/** Rounds a row of x to q·scale, q in int16 and zeros beyond its end; returns the scale: NaN where an element is not finite. */
function roundRow(k: i32, x: usize, q: usize): f32 {
  const limit = limitOf(k);
  const largest = magnitude(k, x);
  const inverse = f32x4.splat(largest >= TINY ? limit / largest : 0);
  for (let j = 0; j < k; j += 8) {
    v128.store(q, i16x8.narrow_i32x4_s(rounded(k - j, at<f32>(x, j), inverse), rounded(k - j - 4, at<f32>(x, j + 4), inverse)));
    q += 16;
  }
  return largest / limit + largest * 0;
}

/** The largest magnitude of a row; NaN if there is one. By their bits, magnitudes rise as whole numbers do, and NaN stands above them. */
function magnitude(k: i32, x: usize): f32 {
  let most = i32x4.splat(0);
  for (let j = 0; j < k; j += 4) most = i32x4.max_s(most, f32x4.abs(loadFirst<f32>(at<f32>(x, j), min(4, k - j), 0)));
  most = i32x4.max_s(most, v128.shuffle<i32>(most, most, 2, 3, 0, 1));
  most = i32x4.max_s(most, v128.shuffle<i32>(most, most, 1, 0, 3, 2));
  return f32x4.extract_lane(most, 0);
}

/** Up to four elements times the inverse of the scale, as whole numbers; zeros beyond. */
// @ts-ignore: decorator
@inline
function rounded(count: i32, x: usize, inverse: v128): v128 {
  if (count <= 0) return i32x4.splat(0);
  const shifted = f32x4.add(f32x4.mul(loadFirst<f32>(x, min(4, count), 0), inverse), f32x4.splat(SHIFTER));
  return i32x4.sub(shifted, f32x4.splat(SHIFTER));
}

/**
 * y (m × n) = start + x·Wᵀ for x (m × k). Rows ldx, lds and ldy elements apart; s may be y, other rows, one row for all (lds = 0), or null
 * for zeros. `work` has room for m rows of x in int16, whole vectors, and their scales in f32.
 */
export function product(
  m: i32, n: i32, k: i32, x: usize, ldx: i32, w: usize, scales: usize, s: usize, lds: i32, y: usize, ldy: i32, work: usize,
): void {
  const row = roundedBytes(k);
  const xScales = work + <usize>m * row;
  for (let r = 0; r < m; r++) store<f32>(at<f32>(xScales, r), roundRow(k, at<f32>(x, r * ldx), work + <usize>r * row));
  const blocks = blocksOf(k);
  for (let o = 0; o < n; o += PANEL) {
    for (let r = 0; r < m; r++) {
      const start = s ? at<f32>(s, r * lds + o) : 0;
      panelTimesRow(blocks, n - o, w, work + <usize>r * row, at<f32>(scales, o), load<f32>(at<f32>(xScales, r)), start, at<f32>(y, r * ldy + o));
    }
    w += <usize>blocks * BLOCK;
  }
}

/** Up to sixteen of a row's products. */
function panelTimesRow(blocks: i32, count: i32, w: usize, x: usize, scales: usize, xScale: f32, s: usize, y: usize): void {
  let s0 = i32x4.splat(0);
  let s1 = s0;
  let s2 = s0;
  let s3 = s0;
  for (const end = x + <usize>blocks * 8; x != end; x += 8) {
    const left = v128.load32_splat(x);
    const right = v128.load32_splat(x, 4);
    s0 = i32x4.add(s0, i32x4.dot_i16x8_s(left, v128.load_ext<i8>(w)));
    s1 = i32x4.add(s1, i32x4.dot_i16x8_s(left, v128.load_ext<i8>(w, 8)));
    s2 = i32x4.add(s2, i32x4.dot_i16x8_s(left, v128.load_ext<i8>(w, 16)));
    s3 = i32x4.add(s3, i32x4.dot_i16x8_s(left, v128.load_ext<i8>(w, 24)));
    s0 = i32x4.add(s0, i32x4.dot_i16x8_s(right, v128.load_ext<i8>(w, 32)));
    s1 = i32x4.add(s1, i32x4.dot_i16x8_s(right, v128.load_ext<i8>(w, 40)));
    s2 = i32x4.add(s2, i32x4.dot_i16x8_s(right, v128.load_ext<i8>(w, 48)));
    s3 = i32x4.add(s3, i32x4.dot_i16x8_s(right, v128.load_ext<i8>(w, 56)));
    w += BLOCK;
  }
  finish(count, s0, scales, xScale, s, y);
  if (count > 4) finish(count - 4, s1, scales + 16, xScale, s ? s + 16 : 0, y + 16);
  if (count > 8) finish(count - 8, s2, scales + 32, xScale, s ? s + 32 : 0, y + 32);
  if (count > 12) finish(count - 12, s3, scales + 48, xScale, s ? s + 48 : 0, y + 48);
}

/** y = s + sum·(scale·xScale), up to four elements. */
// @ts-ignore: decorator
@inline
function finish(left: i32, sum: v128, scales: usize, xScale: f32, s: usize, y: usize): void {
  const count = min(4, left);
  const scale = f32x4.mul(loadFirst<f32>(scales, count, 0), f32x4.splat(xScale));
  const start = s ? loadFirst<f32>(s, count, 0) : f32x4.splat(0);
  storeFirst<f32>(y, count, f32x4.add(start, f32x4.mul(f32x4.convert_i32x4_s(sum), scale)));
}

/** y (m × n) = bias (or 0) + x·Wᵀ for x (m × k) and int8 W in panels with a scale a row. @kernel */
export function quantizedProduct(m: i32, n: i32, k: i32, x: usize, w: usize, scales: usize, bias: usize, y: usize, work: usize): void {
  product(m, n, k, x, k, w, scales, bias, 0, y, n, work);
}

/** Where element (row, column) of W lies. */
// @ts-ignore: decorator
@inline
function element(w: usize, blocks: i32, row: i32, column: i32): usize {
  return w + <usize>((row >> 4) * blocks + (column >> 2)) * BLOCK + <usize>((column & 2) * 16 + (row & 15) * 2 + (column & 1));
}

/** y[i] = row index[i] of W [·,k] in floats. @kernel */
export function quantizedRows(count: i32, k: i32, index: usize, w: usize, scales: usize, y: usize): void {
  const blocks = blocksOf(k);
  for (let i = 0; i < count; i++) {
    const row = load<i32>(at<i32>(index, i));
    const scale = load<f32>(at<f32>(scales, row));
    for (let j = 0; j < k; j++) {
      store<f32>(y, <f32>load<i8>(element(w, blocks, row, j)) * scale);
      y += 4;
    }
  }
}

/** y[i] = bias (or 0) + column index[i] of W [n,k] in floats: the product with a one-hot vector. @kernel */
export function quantizedColumns(count: i32, n: i32, k: i32, index: usize, w: usize, scales: usize, bias: usize, y: usize): void {
  const blocks = blocksOf(k);
  for (let i = 0; i < count; i++) {
    const column = load<i32>(at<i32>(index, i));
    for (let o = 0; o < n; o++) {
      const start: f32 = bias ? load<f32>(at<f32>(bias, o)) : 0;
      store<f32>(y, start + <f32>load<i8>(element(w, blocks, o, column)) * load<f32>(at<f32>(scales, o)));
      y += 4;
    }
  }
}
