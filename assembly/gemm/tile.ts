// The inner loops of every product: register tiles over panels of B.
//
// A panel is k rows of NR elements, bStep bytes apart: 32 in a packed operand, a whole row of B when B is read where
// it lies. Accumulators begin at the start values (s: C itself, other rows, one bias for all rows, or null for zeros)
// and run through k in order, every element by the same vector instruction: a result does not depend on the blocking,
// nor on how many rows or columns go with it.
//
// A tile has four rows; where the multiply-add is fused, so that no register holds products, mostly six: twelve
// accumulators hide the latency of their additions better than eight.

import { at, lanes, madd } from "../lanes";
import { own } from "../threads";

/** Columns of a register tile and of a panel: two vectors, 32 bytes. */
// @ts-ignore: decorator
@inline
export function NR<T>(): i32 {
  return 2 * lanes<T>();
}

/** Rows of several threads end where tiles of four and of six rows do. */
export const ROWS: i32 = 12;

/** Whether there are tiles of six rows. */
// @ts-ignore: decorator
@inline
export function hasTall<T>(): bool {
  return isDefined(RELAXED) && sizeof<T>() == 4;
}

/** Rows of a tile of packed A. */
// @ts-ignore: decorator
@inline
export function packedRows<T>(): i32 {
  return hasTall<T>() ? 6 : 4;
}

/** Rows of the next tile where `left` are left: six if there are such tiles and no four would do better. */
// @ts-ignore: decorator
@inline
function directRows<T>(left: i32): i32 {
  return hasTall<T>() && left > 4 && left != 7 && left != 8 ? 6 : 4;
}

/** Where a tile of fewer than NR columns is computed: six rows of 32 bytes; and a row of zeros. */
export const EDGE = own(memory.data(192, 64));
const ZEROS = memory.data(32, 64);

/**
 * C (m × n) = start + A·B over panels that lie `panel` bytes apart. Row i of A is at a + i·aRow, its elements adjacent; a
 * `packed` A is tiles of k × packedRows elements, k-major, with aRow = k elements. aRow, bStep, sRow and cRow are in bytes.
 * A panel stays in the first-level cache while the rows go by.
 */
// @ts-ignore: decorator
@inline
export function tiles<T>(
  packed: bool, m: i32, n: i32, k: i32, a: usize, aRow: usize, b: usize, panel: usize, bStep: usize,
  s: usize, sRow: usize, c: usize, cRow: usize,
): void {
  if (s == 0) sRow = 0;
  for (let j = 0; j < n; j += NR<T>()) {
    const columns = min(NR<T>(), n - j);
    const edge = columns < NR<T>();
    let aTile = a;
    let sTile = s == 0 ? ZEROS : s;
    let cTile = c;
    let i = 0;
    while (i < m) {
      const height = packed ? packedRows<T>() : directRows<T>(m - i);
      const rows = min(height, m - i);
      if (edge) copyTile<T>(rows, columns, sTile, sRow, EDGE, 32);
      const from = edge ? EDGE : sTile;
      const fromRow = edge ? 32 : sRow;
      const to = edge ? EDGE : cTile;
      const toRow = edge ? 32 : cRow;
      // One call of each form: then it is inlined here, and V8 unrolls the inner loop.
      if (packed) packedTile<T>(rows, k, aTile, b, bStep, from, fromRow, to, toRow);
      else if (hasTall<T>() && height == 6) directTall<T>(rows, k, aTile, aRow, b, bStep, from, fromRow, to, toRow);
      else directTile<T>(rows, k, aTile, aRow, b, bStep, from, fromRow, to, toRow);
      if (edge) copyTile<T>(rows, columns, EDGE, 32, cTile, cRow);
      aTile += <usize>height * aRow;
      sTile += <usize>height * sRow;
      cTile += <usize>height * cRow;
      i += height;
    }
    b += panel;
    if (s != 0) s += 32;
    c += 32;
  }
}

/** The same from rows of A where they lie: one copy for all callers. */
export function directTiles<T>(
  m: i32, n: i32, k: i32, a: usize, aRow: usize, b: usize, panel: usize, bStep: usize, s: usize, sRow: usize, c: usize, cRow: usize,
): void {
  tiles<T>(false, m, n, k, a, aRow, b, panel, bStep, s, sRow, c, cRow);
}

export function copyTile<T>(rows: i32, columns: i32, from: usize, fromRow: usize, to: usize, toRow: usize): void {
  for (let r = 0; r < rows; r++) {
    for (let x = 0; x < columns; x++) store<T>(at<T>(to, x), load<T>(at<T>(from, x)));
    from += fromRow;
    to += toRow;
  }
}

function directTile<T>(
  rows: i32, k: i32, a: usize, aRow: usize, b: usize, bStep: usize, s: usize, sRow: usize, c: usize, cRow: usize,
): void {
  tile<T>(false, false, false, rows, k, a, aRow, b, bStep, s, sRow, c, cRow);
}

function directTall<T>(
  rows: i32, k: i32, a: usize, aRow: usize, b: usize, bStep: usize, s: usize, sRow: usize, c: usize, cRow: usize,
): void {
  tile<T>(false, true, false, rows, k, a, aRow, b, bStep, s, sRow, c, cRow);
}

function packedTile<T>(rows: i32, k: i32, a: usize, b: usize, bStep: usize, s: usize, sRow: usize, c: usize, cRow: usize): void {
  tile<T>(true, hasTall<T>(), false, rows, k, a, 0, b, bStep, s, sRow, c, cRow);
}

/**
 * 4 or 6 rows × NR accumulators in registers. Missing rows read what the last one reads and are not stored. Where it `adds`,
 * the sums start from zeros, whatever s holds, and are added to C when they are complete.
 */
// @ts-ignore: decorator
@inline
export function tile<T>(
  packed: bool, tall: bool, adds: bool, rows: i32, k: i32, a: usize, aRow: usize, b: usize, bStep: usize,
  s: usize, sRow: usize, c: usize, cRow: usize,
): void {
  // Sums, not choices between addresses: of a sum V8 knows that it needs no widening in the loop.
  let a0 = a;
  let a1 = a0 + (rows > 1 ? aRow : 0);
  let a2 = a1 + (rows > 2 ? aRow : 0);
  let a3 = a2 + (rows > 3 ? aRow : 0);
  let a4 = a3 + (rows > 4 ? aRow : 0);
  let a5 = a4 + (rows > 5 ? aRow : 0);
  const size = sizeof<T>();
  let s00 = adds ? v128.splat<T>(<T>0) : v128.load(s);
  let s01 = adds ? v128.splat<T>(<T>0) : v128.load(s, 16);
  if (rows > 1) s += sRow;
  let s10 = adds ? v128.splat<T>(<T>0) : v128.load(s);
  let s11 = adds ? v128.splat<T>(<T>0) : v128.load(s, 16);
  if (rows > 2) s += sRow;
  let s20 = adds ? v128.splat<T>(<T>0) : v128.load(s);
  let s21 = adds ? v128.splat<T>(<T>0) : v128.load(s, 16);
  if (rows > 3) s += sRow;
  let s30 = adds ? v128.splat<T>(<T>0) : v128.load(s);
  let s31 = adds ? v128.splat<T>(<T>0) : v128.load(s, 16);
  if (tall && rows > 4) s += sRow;
  let s40 = tall && !adds ? v128.load(s) : s30;
  let s41 = tall && !adds ? v128.load(s, 16) : s30;
  if (tall && rows > 5) s += sRow;
  let s50 = tall && !adds ? v128.load(s) : s30;
  let s51 = tall && !adds ? v128.load(s, 16) : s30;
  for (const end = b + <usize>k * bStep; b != end; b += bStep) {
    const b0 = v128.load(b);
    const b1 = v128.load(b, 16);
    const x0 = v128.load_splat<T>(a0);
    if (!packed) a0 += size;
    s00 = madd<T>(x0, b0, s00);
    s01 = madd<T>(x0, b1, s01);
    const x1 = packed ? v128.load_splat<T>(a0, size) : v128.load_splat<T>(a1);
    if (!packed) a1 += size;
    s10 = madd<T>(x1, b0, s10);
    s11 = madd<T>(x1, b1, s11);
    const x2 = packed ? v128.load_splat<T>(a0, 2 * size) : v128.load_splat<T>(a2);
    if (!packed) a2 += size;
    s20 = madd<T>(x2, b0, s20);
    s21 = madd<T>(x2, b1, s21);
    const x3 = packed ? v128.load_splat<T>(a0, 3 * size) : v128.load_splat<T>(a3);
    if (!packed) a3 += size;
    s30 = madd<T>(x3, b0, s30);
    s31 = madd<T>(x3, b1, s31);
    if (tall) {
      const x4 = packed ? v128.load_splat<T>(a0, 4 * size) : v128.load_splat<T>(a4);
      if (!packed) a4 += size;
      s40 = madd<T>(x4, b0, s40);
      s41 = madd<T>(x4, b1, s41);
      const x5 = packed ? v128.load_splat<T>(a0, 5 * size) : v128.load_splat<T>(a5);
      if (!packed) a5 += size;
      s50 = madd<T>(x5, b0, s50);
      s51 = madd<T>(x5, b1, s51);
    }
    if (packed) a0 += (tall ? 6 : 4) * size;
  }
  storeRow<T>(adds, c, s00, s01);
  if (rows == 1) return;
  c += cRow;
  storeRow<T>(adds, c, s10, s11);
  if (rows == 2) return;
  c += cRow;
  storeRow<T>(adds, c, s20, s21);
  if (rows == 3) return;
  c += cRow;
  storeRow<T>(adds, c, s30, s31);
  if (!tall || rows == 4) return;
  c += cRow;
  storeRow<T>(adds, c, s40, s41);
  if (rows == 5) return;
  c += cRow;
  storeRow<T>(adds, c, s50, s51);
}

// @ts-ignore: decorator
@inline
function storeRow<T>(adds: bool, c: usize, left: v128, right: v128): void {
  v128.store(c, adds ? v128.add<T>(v128.load(c), left) : left);
  v128.store(c, adds ? v128.add<T>(v128.load(c, 16), right) : right, 16);
}
