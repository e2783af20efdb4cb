// Products with a packed right operand: C += A·B, also for use inside other kernels.
//
// B is stored in panels of NR columns, each panel k × NR elements, k-major, padded with zeros:
//
//   panel 0            panel 1
//   b[0][0 … NR-1]     b[0][NR … 2NR-1]
//   b[1][0 … NR-1]     b[1][NR … 2NR-1]
//   …                  …
//
// Accumulators start as the present value of C and run through k in order, each element by the same vector
// instruction whatever m and n are: a row's result does not depend on how many rows go with it.

import { lanes, madd } from "../lanes";

/** Rows of a register tile. */
export const MR: i32 = 4;

/** Columns of a register tile and of a packed panel: two vectors. */
// @ts-ignore: decorator
@inline
export function NR<T>(): i32 {
  return 2 * lanes<T>();
}

/** Bytes of k × NR<T>() elements for 256 values of k: a panel's block that stays in the first-level cache. */
const KC: i32 = 256;

/** Where a tile with fewer than NR columns is computed: MR × NR elements. */
const EDGE = memory.data(128, 64);

/** Bytes of a packed k × n operand. */
export function packedSize<T>(n: i32, k: i32): usize {
  const panels = <usize>((n + NR<T>() - 1) / NR<T>());
  return panels * <usize>NR<T>() * <usize>k * sizeof<T>();
}

/** Packs B (k × n), whose element (kk, nn) is at b + (kk·rowStride + nn·colStride)·sizeof<T>, into `out`. */
export function packB<T>(n: i32, k: i32, b: usize, rowStride: i32, colStride: i32, out: usize): void {
  for (let j = 0; j < n; j += NR<T>()) {
    const columns = min(NR<T>(), n - j);
    let row = b + (<usize>j * <usize>colStride) * sizeof<T>();
    for (let kk = 0; kk < k; kk++) {
      let from = row;
      for (let c = 0; c < columns; c++) {
        store<T>(out + <usize>c * sizeof<T>(), load<T>(from));
        from += <usize>colStride * sizeof<T>();
      }
      for (let c = columns; c < NR<T>(); c++) store<T>(out + <usize>c * sizeof<T>(), <T>0);
      out += 32;
      row += <usize>rowStride * sizeof<T>();
    }
  }
}

/** C (m × n, rows ldc apart) += A (m × k, rows lda apart, neighbours along k adjacent) · packed B. Strides in elements. */
export function gemmPacked<T>(m: i32, n: i32, k: i32, a: usize, lda: i32, packedB: usize, c: usize, ldc: i32): void {
  const panel = <usize>k * 32;
  const aRow = <usize>lda * sizeof<T>();
  const cRow = <usize>ldc * sizeof<T>();
  const paired = m % MR == 1 ? m - 1 : m;
  for (let kk = 0; kk < k; kk += KC) {
    const kc = min(KC, k - kk);
    const b = packedB + <usize>kk * 32;
    const from = a + <usize>kk * sizeof<T>();
    if (paired > 0) tiles<T>(paired, n, kc, from, aRow, sizeof<T>(), b, panel, c, cRow);
    if (paired < m) rowTimesPanels<T>(n, kc, from + <usize>paired * aRow, sizeof<T>(), b, panel, c + <usize>paired * cRow);
  }
}

/**
 * C += A·B by register tiles; row and column steps of A (aRow, aStep), panels and rows of C are in bytes.
 * A panel stays in the first-level cache while the rows go by.
 */
export function tiles<T>(
  m: i32, n: i32, k: i32, a: usize, aRow: usize, aStep: usize, b: usize, panel: usize, c: usize, cRow: usize,
): void {
  for (let j = 0; j < n; j += NR<T>()) {
    const columns = min(NR<T>(), n - j);
    for (let i = 0; i < m; i += MR) {
      const rows = min(MR, m - i);
      const aTile = a + <usize>i * aRow;
      const cTile = c + <usize>i * cRow + <usize>j * sizeof<T>();
      if (columns == NR<T>()) tile<T>(rows, k, aTile, aRow, aStep, b, cTile, cRow);
      else edgeTile<T>(rows, columns, k, aTile, aRow, aStep, b, cTile, cRow);
    }
    b += panel;
  }
}

/** A tile of fewer than NR columns, computed whole beside C. */
function edgeTile<T>(rows: i32, columns: i32, k: i32, a: usize, aRow: usize, aStep: usize, b: usize, c: usize, cRow: usize): void {
  const bytes = <usize>columns * sizeof<T>();
  memory.fill(EDGE, 0, 128);
  for (let r = 0; r < rows; r++) memory.copy(EDGE + <usize>r * 32, c + <usize>r * cRow, bytes);
  tile<T>(rows, k, a, aRow, aStep, b, EDGE, 32);
  for (let r = 0; r < rows; r++) memory.copy(c + <usize>r * cRow, EDGE + <usize>r * 32, bytes);
}

/** The register tile. Missing rows stand for the last one: they compute and store the same values. */
function tile<T>(rows: i32, k: i32, a: usize, aRow: usize, aStep: usize, b: usize, c: usize, cRow: usize): void {
  let a0 = a;
  let a1 = rows > 1 ? a0 + aRow : a0;
  let a2 = rows > 2 ? a1 + aRow : a1;
  let a3 = rows > 3 ? a2 + aRow : a2;
  const c0 = c;
  const c1 = rows > 1 ? c0 + cRow : c0;
  const c2 = rows > 2 ? c1 + cRow : c1;
  const c3 = rows > 3 ? c2 + cRow : c2;
  let s00 = v128.load(c0);
  let s01 = v128.load(c0, 16);
  let s10 = v128.load(c1);
  let s11 = v128.load(c1, 16);
  let s20 = v128.load(c2);
  let s21 = v128.load(c2, 16);
  let s30 = v128.load(c3);
  let s31 = v128.load(c3, 16);
  const end = b + <usize>k * 32;
  while (b < end) {
    const b0 = v128.load(b);
    const b1 = v128.load(b, 16);
    const x0 = v128.load_splat<T>(a0);
    s00 = madd<T>(x0, b0, s00);
    s01 = madd<T>(x0, b1, s01);
    const x1 = v128.load_splat<T>(a1);
    s10 = madd<T>(x1, b0, s10);
    s11 = madd<T>(x1, b1, s11);
    const x2 = v128.load_splat<T>(a2);
    s20 = madd<T>(x2, b0, s20);
    s21 = madd<T>(x2, b1, s21);
    const x3 = v128.load_splat<T>(a3);
    s30 = madd<T>(x3, b0, s30);
    s31 = madd<T>(x3, b1, s31);
    a0 += aStep;
    a1 += aStep;
    a2 += aStep;
    a3 += aStep;
    b += 32;
  }
  v128.store(c0, s00);
  v128.store(c0, s01, 16);
  v128.store(c1, s10);
  v128.store(c1, s11, 16);
  v128.store(c2, s20);
  v128.store(c2, s21, 16);
  v128.store(c3, s30);
  v128.store(c3, s31, 16);
}

/** One row: four panels stream by at once, so that eight chains of additions hide each other's latency. */
export function rowTimesPanels<T>(n: i32, k: i32, a: usize, aStep: usize, b: usize, panel: usize, c: usize): void {
  let j = 0;
  for (; j + 4 * NR<T>() <= n; j += 4 * NR<T>()) {
    fourPanels<T>(k, a, aStep, b, panel, c);
    b += 4 * panel;
    c += 128;
  }
  if (j < n) tiles<T>(1, n - j, k, a, 0, aStep, b, panel, c, 0);
}

function fourPanels<T>(k: i32, a: usize, aStep: usize, b: usize, panel: usize, c: usize): void {
  let p0 = b;
  let p1 = b + panel;
  let p2 = b + 2 * panel;
  let p3 = b + 3 * panel;
  let s0 = v128.load(c);
  let s1 = v128.load(c, 16);
  let s2 = v128.load(c, 32);
  let s3 = v128.load(c, 48);
  let s4 = v128.load(c, 64);
  let s5 = v128.load(c, 80);
  let s6 = v128.load(c, 96);
  let s7 = v128.load(c, 112);
  const end = p0 + <usize>k * 32;
  while (p0 < end) {
    const x = v128.load_splat<T>(a);
    s0 = madd<T>(x, v128.load(p0), s0);
    s1 = madd<T>(x, v128.load(p0, 16), s1);
    s2 = madd<T>(x, v128.load(p1), s2);
    s3 = madd<T>(x, v128.load(p1, 16), s3);
    s4 = madd<T>(x, v128.load(p2), s4);
    s5 = madd<T>(x, v128.load(p2, 16), s5);
    s6 = madd<T>(x, v128.load(p3), s6);
    s7 = madd<T>(x, v128.load(p3, 16), s7);
    a += aStep;
    p0 += 32;
    p1 += 32;
    p2 += 32;
    p3 += 32;
  }
  v128.store(c, s0);
  v128.store(c, s1, 16);
  v128.store(c, s2, 32);
  v128.store(c, s3, 48);
  v128.store(c, s4, 64);
  v128.store(c, s5, 80);
  v128.store(c, s6, 96);
  v128.store(c, s7, 112);
}

/** Packs B (k × n; strides in elements) for gemm_packed. @kernel */
export function pack_b<T>(n: i32, k: i32, b: usize, rowStride: i32, colStride: i32, out: usize): void {
  packB<T>(n, k, b, rowStride, colStride, out);
}

/** C (m × n) += A (m × k, rows lda apart) · packed B; C's rows are ldc apart. @kernel */
export function gemm_packed<T>(m: i32, n: i32, k: i32, a: usize, lda: i32, packedB: usize, c: usize, ldc: i32): void {
  gemmPacked<T>(m, n, k, a, lda, packedB, c, ldc);
}
