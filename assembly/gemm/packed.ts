// Products with a packed right operand, C += A·B, also for use inside other kernels.
//
// B (k × n) is stored in panels of NR columns, each k × NR elements, k-major, padded with zeros:
//
//   panel 0              panel 1
//   b[0][0 … NR-1]       b[0][NR … 2NR-1]
//   b[1][0 … NR-1]       b[1][NR … 2NR-1]
//   …                    …

import { packPanels } from "./pack";
import { rowTimesPanels } from "./row";
import { MR, NR, tiles } from "./tile";

export { MR, NR };

/** Steps along k between two visits to C: a panel's share, 8 KiB, stays in the first-level cache. */
export const KC: i32 = 256;

/** Rows of A packed at a time. */
const MC: i32 = 128;

/** From this many columns on, a tile of A is read often enough to be worth a packed copy. */
const PACK_A_COLUMNS: i32 = 64;

/** A packed block of A: MC × KC elements of at most 8 bytes. */
const A_BLOCK = memory.data(262144, 64);

/** Bytes of a packed k × n operand. */
export function packedSize<T>(n: i32, k: i32): usize {
  return <usize>((n + NR<T>() - 1) / NR<T>()) * <usize>k * 32;
}

/** Packs B (k × n), whose element (kk, nn) is at b + (kk·rowStride + nn·colStride)·sizeof<T>, into `out`. */
export function packB<T>(n: i32, k: i32, b: usize, rowStride: i32, colStride: i32, out: usize): void {
  packPanels<T>(NR<T>(), n, k, b, <usize>colStride * sizeof<T>(), <usize>rowStride * sizeof<T>(), out);
}

/** C (m × n, rows ldc apart) += A (m × k, rows lda apart, neighbours along k adjacent) · packed B. Strides in elements. */
export function gemmPacked<T>(m: i32, n: i32, k: i32, a: usize, lda: i32, packedB: usize, c: usize, ldc: i32): void {
  const panel = <usize>k * 32;
  for (let kk = 0; kk < k; kk += KC) {
    const kc = min(KC, k - kk);
    blockProduct<T>(m, n, kc, a, <usize>lda * sizeof<T>(), sizeof<T>(), packedB, panel, 32, c, <usize>ldc * sizeof<T>());
    a += <usize>KC * sizeof<T>();
    packedB += <usize>KC * 32;
  }
}

/** C += A·B for at most KC steps along k and any number of rows and panels. Rows and steps in bytes. */
export function blockProduct<T>(
  m: i32, n: i32, k: i32, a: usize, aRow: usize, aStep: usize, b: usize, panel: usize, bStep: usize, c: usize, cRow: usize,
): void {
  const worthPacking = m >= MR && n >= PACK_A_COLUMNS;
  if (worthPacking || aStep != sizeof<T>()) {
    packedRows<T>(m, n, k, a, aRow, aStep, b, panel, bStep, c, cRow);
    return;
  }
  const paired = m % MR == 1 ? m - 1 : m;
  tiles<T>(false, paired, n, k, a, aRow, b, panel, bStep, c, cRow);
  if (paired < m) rowTimesPanels<T>(n, k, a + <usize>paired * aRow, b, panel, bStep, c + <usize>paired * cRow);
}

/** The same with blocks of A copied into tiles first. */
function packedRows<T>(
  m: i32, n: i32, k: i32, a: usize, aRow: usize, aStep: usize, b: usize, panel: usize, bStep: usize, c: usize, cRow: usize,
): void {
  for (let i = 0; i < m; i += MC) {
    const rows = min(MC, m - i);
    packPanels<T>(MR, rows, k, a, aRow, aStep, A_BLOCK);
    tiles<T>(true, rows, n, k, A_BLOCK, <usize>k * sizeof<T>(), b, panel, bStep, c, cRow);
    a += <usize>MC * aRow;
    c += <usize>MC * cRow;
  }
}

/** Packs B (k × n; strides in elements) for gemm_packed. @kernel */
export function pack_b<T>(n: i32, k: i32, b: usize, rowStride: i32, colStride: i32, out: usize): void {
  packB<T>(n, k, b, rowStride, colStride, out);
}

/** C (m × n) += A (m × k, rows lda apart) · packed B; C's rows are ldc apart. @kernel */
export function gemm_packed<T>(m: i32, n: i32, k: i32, a: usize, lda: i32, packedB: usize, c: usize, ldc: i32): void {
  gemmPacked<T>(m, n, k, a, lda, packedB, c, ldc);
}
