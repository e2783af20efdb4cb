// Products with a matrix of int8, one f32 scale a row: y = start + W·x with x rounded to int16, and sums in i32.
//
// A vector of W [n,k] has eight rows and two columns. In each of its lanes of 16 bits the high byte is of row r, the low byte, plus 128, of
// row r + 4:
//
//   w[4][0]+128 w[0][0]  w[4][1]+128 w[0][1]  w[5][0]+128 w[1][0]  …  w[7][1]+128 w[3][1]
//
// Panels are of four vectors, 32 rows, one pair of columns after the other; rows that are left are in panels of one vector. Beyond the ends
// of W there may be anything.
//
// So one product of x with the lanes as they are, T = Σ (256·high + low)·x, and one with the high bytes, H, which a shift leaves, give two
// rows: H, and T − 256·H − 128·Σx. Widening the bytes would take more.
//
// x is scaled by its largest magnitude, row by row, so that no sum leaves i32. Sums are exact, so their order is free and they have
// the same bits everywhere; what is done in f32 is never fused.

import { at } from "../lanes";
import { loadFirst, storeFirst } from "../edges";

/** Rows of a vector, and of a panel. */
const ROWS: i32 = 8;
const PANEL: i32 = 32;

/** Below this magnitude x counts as zero: its reciprocal would not be finite. */
const TINY: f32 = 1e-30;

/** 1.5·2^23: a float of up to 2^22 that it is added to is rounded to a whole number, which the low bits hold. */
const SHIFTER: f32 = 12582912;

/** Bytes of a row of x in int16, whole vectors. */
// @ts-ignore: decorator
@inline
function roundedBytes(k: i32): usize {
  return <usize>((k + 7) & ~7) * 2;
}

/**
 * The largest magnitude that x is rounded to: k products of it with up to 127 stay within i32. A power of two, so that a one-hot vector gives the
 * bits of a column.
 */
function limitOf(k: i32): f32 {
  let limit = 1 << 14;
  while (limit * k > 1 << 24) limit >>= 1;
  return <f32>limit;
}

/** Rounds a row of x to q·scale, q in int16 and zeros beyond its end. Put into `row`: the scale, NaN where an element is not finite, and 128·Σq. */
function roundRow(k: i32, x: usize, q: usize, row: usize): void {
  const limit = limitOf(k);
  const largest = magnitude(k, x);
  const inverse = f32x4.splat(largest >= TINY ? limit / largest : 0);
  let sum = i32x4.splat(0);
  for (let j = 0; j < k; j += 8) {
    const whole = i16x8.narrow_i32x4_s(rounded(k - j, at<f32>(x, j), inverse), rounded(k - j - 4, at<f32>(x, j + 4), inverse));
    v128.store(q, whole);
    sum = i32x4.add(sum, i32x4.dot_i16x8_s(whole, i16x8.splat(128)));
    q += 16;
  }
  store<f32>(row, largest / limit + largest * 0);
  sum = i32x4.add(sum, v128.shuffle<i32>(sum, sum, 2, 3, 0, 1));
  store<i32>(row, i32x4.extract_lane(sum, 0) + i32x4.extract_lane(sum, 1), 4);
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
 * for zeros. `work` has room for m rows of x in int16, whole vectors, and two numbers of 32 bits for each.
 */
export function product(
  m: i32, n: i32, k: i32, x: usize, ldx: i32, w: usize, scales: usize, s: usize, lds: i32, y: usize, ldy: i32, work: usize,
): void {
  const size = roundedBytes(k);
  const rows = work + <usize>m * size;
  for (let r = 0; r < m; r++) roundRow(k, at<f32>(x, r * ldx), work + <usize>r * size, rows + <usize>r * 8);
  const pairs = (k + 1) / 2;
  for (let o = 0; o < n; ) {
    const height = n - o < PANEL ? ROWS : PANEL;
    for (let r = 0; r < m; r++) {
      const start = s ? at<f32>(s, r * lds + o) : 0;
      const q = work + <usize>r * size;
      const row = rows + <usize>r * 8;
      if (height == PANEL) fourVectors(pairs, w, q, row, at<f32>(scales, o), start, at<f32>(y, r * ldy + o));
      else oneVector(pairs, n - o, w, q, row, at<f32>(scales, o), start, at<f32>(y, r * ldy + o));
    }
    w += <usize>(pairs * height * 2);
    o += height;
  }
}

/** A row's products with a whole panel. */
function fourVectors(pairs: i32, w: usize, q: usize, row: usize, scales: usize, s: usize, y: usize): void {
  let t0 = i32x4.splat(0);
  let t1 = t0;
  let t2 = t0;
  let t3 = t0;
  let h0 = t0;
  let h1 = t0;
  let h2 = t0;
  let h3 = t0;
  for (const end = q + <usize>pairs * 4; q != end; q += 4) {
    const x = v128.load32_splat(q);
    let v = v128.load(w);
    t0 = whole(t0, x, v);
    h0 = high(h0, x, v);
    v = v128.load(w, 16);
    t1 = whole(t1, x, v);
    h1 = high(h1, x, v);
    v = v128.load(w, 32);
    t2 = whole(t2, x, v);
    h2 = high(h2, x, v);
    v = v128.load(w, 48);
    t3 = whole(t3, x, v);
    h3 = high(h3, x, v);
    w += 64;
  }
  finish(ROWS, t0, h0, row, scales, s, y);
  finish(ROWS, t1, h1, row, scales + 32, s ? s + 32 : 0, y + 32);
  finish(ROWS, t2, h2, row, scales + 64, s ? s + 64 : 0, y + 64);
  finish(ROWS, t3, h3, row, scales + 96, s ? s + 96 : 0, y + 96);
}

/** A row's products with up to eight rows. */
function oneVector(pairs: i32, count: i32, w: usize, q: usize, row: usize, scales: usize, s: usize, y: usize): void {
  let t = i32x4.splat(0);
  let h = t;
  for (const end = q + <usize>pairs * 4; q != end; q += 4) {
    const x = v128.load32_splat(q);
    const v = v128.load(w);
    t = whole(t, x, v);
    h = high(h, x, v);
    w += 16;
  }
  finish(min(ROWS, count), t, h, row, scales, s, y);
}

/** Adds the products with the lanes of a vector v of W. */
// @ts-ignore: decorator
@inline
function whole(sum: v128, x: v128, v: v128): v128 {
  return i32x4.add(sum, i32x4.dot_i16x8_s(x, v));
}

/** Adds the products with their high bytes. */
// @ts-ignore: decorator
@inline
function high(sum: v128, x: v128, v: v128): v128 {
  return i32x4.add(sum, i32x4.dot_i16x8_s(x, i16x8.shr_s(v, 8)));
}

/** Up to eight results of the sums t and h. */
function finish(count: i32, t: v128, h: v128, row: usize, scales: usize, s: usize, y: usize): void {
  const xScale = load<f32>(row);
  scaled(min(4, count), h, scales, xScale, s, y);
  if (count <= 4) return;
  const low = i32x4.sub(i32x4.sub(t, i32x4.shl(h, 8)), i32x4.splat(load<i32>(row, 4)));
  scaled(min(4, count - 4), low, scales + 16, xScale, s ? s + 16 : 0, y + 16);
}

/** y = s + sum·(scale·xScale), up to four elements. */
// @ts-ignore: decorator
@inline
function scaled(count: i32, sum: v128, scales: usize, xScale: f32, s: usize, y: usize): void {
  const scale = f32x4.mul(loadFirst<f32>(scales, count, 0), f32x4.splat(xScale));
  const start = s ? loadFirst<f32>(s, count, 0) : f32x4.splat(0);
  storeFirst<f32>(y, count, f32x4.add(start, f32x4.mul(f32x4.convert_i32x4_s(sum), scale)));
}

/** y (m × n) = bias (or 0) + x·Wᵀ for x (m × k) and int8 W in panels with a scale a row. @kernel */
export function quantizedProduct(m: i32, n: i32, k: i32, x: usize, w: usize, scales: usize, bias: usize, y: usize, work: usize): void {
  product(m, n, k, x, k, w, scales, bias, 0, y, n, work);
}

/** Element (row, column) of W. */
// @ts-ignore: decorator
@inline
function element(w: usize, n: i32, k: i32, row: i32, column: i32): f32 {
  const height = row < (n & ~(PANEL - 1)) ? PANEL : ROWS;
  const pairs = (k + 1) / 2;
  const place = (row / height * pairs + column / 2) * height * 2 + (row & (height - 1) & ~7) * 2 + (row & 3) * 4 + (column & 1) * 2;
  return <f32>(row & 4 ? <i32>load<u8>(w + place) - 128 : <i32>load<i8>(w + place, 1));
}

/** y[i] = row index[i] of W [n,k] in floats. @kernel */
export function quantizedRows(count: i32, n: i32, k: i32, index: usize, w: usize, scales: usize, y: usize): void {
  for (let i = 0; i < count; i++) {
    const row = load<i32>(at<i32>(index, i));
    const scale = load<f32>(at<f32>(scales, row));
    for (let j = 0; j < k; j++) {
      store<f32>(y, element(w, n, k, row, j) * scale);
      y += 4;
    }
  }
}

/** y[i] = bias (or 0) + column index[i] of W [n,k] in floats: the product with a one-hot vector. @kernel */
export function quantizedColumns(count: i32, n: i32, k: i32, index: usize, w: usize, scales: usize, bias: usize, y: usize): void {
  for (let i = 0; i < count; i++) {
    const column = load<i32>(at<i32>(index, i));
    for (let o = 0; o < n; o++) {
      const start: f32 = bias ? load<f32>(at<f32>(bias, o)) : 0;
      store<f32>(y, start + element(w, n, k, o, column) * load<f32>(at<f32>(scales, o)));
      y += 4;
    }
  }
}
