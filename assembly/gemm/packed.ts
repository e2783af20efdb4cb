// Products with a packed right operand, C = start + A·B, also for use inside other kernels.
//
// B (k × n) is stored in panels of NR columns, each k × NR elements, k-major, padded with zeros:
//
//   panel 0              panel 1
//   b[0][0 … NR-1]       b[0][NR … 2NR-1]
//   b[1][0 … NR-1]       b[1][NR … 2NR-1]
//   …                    …

import { at } from "../lanes";
import { packPanels } from "./pack";
import { rowTimesPanels } from "./row";
import { directTiles, hasTall, NR, packedRows, ROWS, tiles } from "./tile";
import { isShared, own, partEnd, partStart } from "../threads";

/** Steps along k between two visits to C: a panel's share, 8 KiB, stays in the first-level cache. */
export const KC: i32 = 256;

/** Rows of A that stay in the second-level cache while the panels go by: whole tiles of four or six. */
export const MC: i32 = 132;

/** From this many columns on, a tile of four rows is read often enough to be worth a packed copy; one of six never is. */
const PACK_A_COLUMNS: i32 = 64;

/** A packed block of A: MC × KC elements of at most 8 bytes. */
export const A_BLOCK = own(memory.data(270336, 64));

/** Bytes of a packed k × n operand. */
export function packedSize<T>(n: i32, k: i32): usize {
  return <usize>((n + NR<T>() - 1) / NR<T>()) * <usize>k * 32;
}

/** Packs B (k × n), whose element (kk, nn) is at b + (kk·rowStride + nn·colStride)·sizeof<T>, into `out`. */
export function packB<T>(n: i32, k: i32, b: usize, rowStride: i32, colStride: i32, out: usize): void {
  packPanels<T>(NR<T>(), n, k, b, <usize>colStride * sizeof<T>(), <usize>rowStride * sizeof<T>(), out);
}

/**
 * C (m × n) = start + A (m × k, neighbours along k adjacent) · packed B. Rows lda, lds and ldc elements apart.
 * s may be c, other rows, one row for all (lds = 0), or null for zeros.
 */
export function gemmPacked<T>(
  m: i32, n: i32, k: i32, a: usize, lda: i32, packedB: usize, s: usize, lds: i32, c: usize, ldc: i32,
): void {
  const panel = <usize>k * 32;
  const cRow = <usize>ldc * sizeof<T>();
  let sRow = <usize>lds * sizeof<T>();
  for (let kk = 0; kk < k; kk += KC) {
    const kc = min(KC, k - kk);
    blockProduct<T>(m, n, kc, a, <usize>lda * sizeof<T>(), sizeof<T>(), packedB, panel, 32, s, sRow, c, cRow);
    a += <usize>KC * sizeof<T>();
    packedB += <usize>KC * 32;
    s = c;
    sRow = cRow;
  }
}

/** C = start + A·B for at most KC steps along k and any number of rows and panels. Rows and steps in bytes. */
export function blockProduct<T>(
  m: i32, n: i32, k: i32, a: usize, aRow: usize, aStep: usize, b: usize, panel: usize, bStep: usize,
  s: usize, sRow: usize, c: usize, cRow: usize,
): void {
  const worthPacking = !hasTall<T>() && m >= 4 && n >= PACK_A_COLUMNS;
  const packed = worthPacking || aStep != sizeof<T>();
  for (let i = 0; i < m; i += MC) {
    const rows = min(MC, m - i);
    if (packed) {
      packPanels<T>(packedRows<T>(), rows, k, a, aRow, aStep, A_BLOCK);
      tiles<T>(true, rows, n, k, A_BLOCK, <usize>k * sizeof<T>(), b, panel, bStep, s, sRow, c, cRow);
    } else {
      directRows<T>(rows, n, k, a, aRow, b, panel, bStep, s, sRow, c, cRow);
    }
    a += <usize>MC * aRow;
    if (s != 0) s += <usize>MC * sRow;
    c += <usize>MC * cRow;
  }
}

/** The same from rows of A where they lie; a row that would be left alone in a tile goes its own way. */
function directRows<T>(
  m: i32, n: i32, k: i32, a: usize, aRow: usize, b: usize, panel: usize, bStep: usize, s: usize, sRow: usize, c: usize, cRow: usize,
): void {
  const alone = hasTall<T>() ? m == 1 : m % 4 == 1;
  const together = alone ? m - 1 : m;
  directTiles<T>(together, n, k, a, aRow, b, panel, bStep, s, sRow, c, cRow);
  if (!alone) return;
  const from = s == 0 ? 0 : s + <usize>together * sRow;
  rowTimesPanels<T>(n, k, a + <usize>together * aRow, b, panel, bStep, from, c + <usize>together * cRow);
}

/** Packs B (k × n; strides in elements) for gemmPanels. @kernel @shared n * k */
export function packWeights<T>(n: i32, k: i32, b: usize, rowStride: i32, colStride: i32, out: usize): void {
  const j = partStart(n, NR<T>());
  packB<T>(partEnd(n, NR<T>()) - j, k, at<T>(b, j * colStride), rowStride, colStride, out + panelsBefore<T>(j, k));
}

/** Bytes of the panels before column j, the first of a panel. */
// @ts-ignore: decorator
@inline
export function panelsBefore<T>(j: i32, k: i32): usize {
  return <usize>(j / NR<T>()) * <usize>k * 32;
}

/** C = (beta ? C : bias or 0) + A (m × k, rows lda apart) · packed B; C's rows are ldc apart. k is at least 1. @kernel @shared m * n * k */
export function gemmPanels<T>(
  m: i32, n: i32, k: i32, a: usize, lda: i32, packedB: usize, c: usize, ldc: i32, bias: usize, beta: i32,
): void {
  if (isShared() && m > n) {
    const i = partStart(m, ROWS);
    m = partEnd(m, ROWS) - i;
    a = at<T>(a, i * lda);
    c = at<T>(c, i * ldc);
  } else if (isShared()) {
    const j = partStart(n, NR<T>());
    n = partEnd(n, NR<T>()) - j;
    packedB += panelsBefore<T>(j, k);
    c = at<T>(c, j);
    if (bias) bias = at<T>(bias, j);
  }
  if (isShared() && (m == 0 || n == 0)) return;
  gemmPacked<T>(m, n, k, a, lda, packedB, beta ? c : bias, beta ? ldc : 0, c, ldc);
}
