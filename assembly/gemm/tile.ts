// The inner loops of every product: register tiles over panels of B.
//
// A panel is k rows of NR elements, bStep bytes apart: 32 in a packed operand, a whole row of B when B is read where
// it lies. Accumulators start as the present value of C and run through k in order, every element by the same vector
// instruction: a result does not depend on the blocking, nor on how many rows or columns go with it.

import { at, lanes, madd } from "../lanes";

/** Rows of a register tile. */
export const MR: i32 = 4;

/** Columns of a register tile and of a panel: two vectors, 32 bytes. */
// @ts-ignore: decorator
@inline
export function NR<T>(): i32 {
  return 2 * lanes<T>();
}

/** Where a tile of fewer than NR columns is computed: MR rows of 32 bytes. */
const EDGE = memory.data(128, 64);

/**
 * C (m × n) += A·B over panels that lie `panel` bytes apart. Row i of A is at a + i·aRow, its elements adjacent; a
 * `packed` A is tiles of k × MR elements, k-major, with aRow = k elements. aRow, bStep and cRow are in bytes.
 * A panel stays in the first-level cache while the rows go by.
 */
// @ts-ignore: decorator
@inline
export function tiles<T>(
  packed: bool, m: i32, n: i32, k: i32, a: usize, aRow: usize, b: usize, panel: usize, bStep: usize, c: usize, cRow: usize,
): void {
  for (let j = 0; j < n; j += NR<T>()) {
    const columns = min(NR<T>(), n - j);
    const edge = columns < NR<T>();
    let aTile = a;
    let cTile = c;
    for (let i = 0; i < m; i += MR) {
      const rows = min(MR, m - i);
      if (edge) copyTile<T>(rows, columns, cTile, cRow, EDGE, 32);
      const to = edge ? EDGE : cTile;
      const toRow = edge ? 32 : cRow;
      if (packed) packedTile<T>(rows, k, aTile, b, bStep, to, toRow);
      else directTile<T>(rows, k, aTile, aRow, b, bStep, to, toRow);
      if (edge) copyTile<T>(rows, columns, EDGE, 32, cTile, cRow);
      aTile += <usize>MR * aRow;
      cTile += <usize>MR * cRow;
    }
    b += panel;
    c += 32;
  }
}

function copyTile<T>(rows: i32, columns: i32, from: usize, fromRow: usize, to: usize, toRow: usize): void {
  for (let r = 0; r < rows; r++) {
    for (let x = 0; x < columns; x++) store<T>(at<T>(to, x), load<T>(at<T>(from, x)));
    from += fromRow;
    to += toRow;
  }
}

function directTile<T>(rows: i32, k: i32, a: usize, aRow: usize, b: usize, bStep: usize, c: usize, cRow: usize): void {
  tile<T>(false, rows, k, a, aRow, b, bStep, c, cRow);
}

function packedTile<T>(rows: i32, k: i32, a: usize, b: usize, bStep: usize, c: usize, cRow: usize): void {
  tile<T>(true, rows, k, a, 0, b, bStep, c, cRow);
}

/** MR × NR accumulators in registers. Missing rows read what the last one reads and are not stored. */
// @ts-ignore: decorator
@inline
function tile<T>(packed: bool, rows: i32, k: i32, a: usize, aRow: usize, b: usize, bStep: usize, c: usize, cRow: usize): void {
  let a0 = a;
  let a1 = rows > 1 ? a0 + aRow : a0;
  let a2 = rows > 2 ? a1 + aRow : a1;
  let a3 = rows > 3 ? a2 + aRow : a2;
  const c1 = rows > 1 ? c + cRow : c;
  const c2 = rows > 2 ? c1 + cRow : c1;
  const c3 = rows > 3 ? c2 + cRow : c2;
  let s00 = v128.load(c);
  let s01 = v128.load(c, 16);
  let s10 = v128.load(c1);
  let s11 = v128.load(c1, 16);
  let s20 = v128.load(c2);
  let s21 = v128.load(c2, 16);
  let s30 = v128.load(c3);
  let s31 = v128.load(c3, 16);
  for (const end = b + <usize>k * bStep; b != end; b += bStep) {
    const b0 = v128.load(b);
    const b1 = v128.load(b, 16);
    const x0 = v128.load_splat<T>(a0);
    s00 = madd<T>(x0, b0, s00);
    s01 = madd<T>(x0, b1, s01);
    const x1 = packed ? v128.load_splat<T>(a0, sizeof<T>()) : v128.load_splat<T>(a1);
    s10 = madd<T>(x1, b0, s10);
    s11 = madd<T>(x1, b1, s11);
    const x2 = packed ? v128.load_splat<T>(a0, 2 * sizeof<T>()) : v128.load_splat<T>(a2);
    s20 = madd<T>(x2, b0, s20);
    s21 = madd<T>(x2, b1, s21);
    const x3 = packed ? v128.load_splat<T>(a0, 3 * sizeof<T>()) : v128.load_splat<T>(a3);
    s30 = madd<T>(x3, b0, s30);
    s31 = madd<T>(x3, b1, s31);
    if (packed) {
      a0 += MR * sizeof<T>();
    } else {
      a0 += sizeof<T>();
      a1 += sizeof<T>();
      a2 += sizeof<T>();
      a3 += sizeof<T>();
    }
  }
  v128.store(c, s00);
  v128.store(c, s01, 16);
  if (rows == 1) return;
  v128.store(c1, s10);
  v128.store(c1, s11, 16);
  if (rows == 2) return;
  v128.store(c2, s20);
  v128.store(c2, s21, 16);
  if (rows == 3) return;
  v128.store(c3, s30);
  v128.store(c3, s31, 16);
}
