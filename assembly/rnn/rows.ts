// What the recurrent kernels share: packed rows and the vectors at their ends.
//
// Sequences of different lengths, sorted by falling length, are stored time-major without gaps: the rows of a step
// are those of the sequences that are still running, so row r of a step and row r of its neighbours belong together.
//
//   step 0: rows 0 1 2     step 1: rows 3 4     step 2: row 5
//
// `table` lists the steps in the order in which they are walked: (first row, number of rows), two i32 each.
// Running in reverse is a table written backwards; a gradient walks the same table from its end.
//
// Threads share the columns of every row: each computes its own sums, meets the others where it needs theirs, and goes on
// with its own units. What a thread writes in a step, the others read behind the next meeting.

import { product } from "../gemm/gemm";
import { gemmPacked, packB, packedSize, panelsBefore } from "../gemm/packed";
import { loadFirst, storeFirst } from "../edges";
import { NR } from "../gemm/tile";
import { at, lanes } from "../lanes";
import { isShared, partEnd, partStart } from "../threads";

/** First row of step s of a table. */
// @ts-ignore: decorator
@inline
export function firstRow(table: usize, s: i32): i32 {
  return load<i32>(table + ((<usize>s) << 3));
}

/** Number of rows of step s of a table. */
// @ts-ignore: decorator
@inline
export function rowCount(table: usize, s: i32): i32 {
  return load<i32>(table + ((<usize>s) << 3), 4);
}

/**
 * Whether a recurrent weight is multiplied from its packed form: when it is used again, or was packed before (given as null).
 * Packing for one step only would cost as much as the step.
 */
// @ts-ignore: decorator
@inline
export function isPacked(steps: i32, weight: usize): bool {
  return steps > 1 || weight == 0;
}

/** Bytes that a weight (k × n) takes in the work space. */
export function workSize<T>(packed: bool, n: i32, k: i32): usize {
  return packed ? packedSize<T>(n, k) : 0;
}

/** This thread's first column of n, and the column behind its last: whole panels. */
// @ts-ignore: decorator
@inline
export function firstColumn<T>(n: i32): i32 {
  return partStart(n, NR<T>());
}

// @ts-ignore: decorator
@inline
export function endColumn<T>(n: i32): i32 {
  return partEnd(n, NR<T>());
}

/** Packs this thread's columns of B (k × n; strides in elements). */
export function packColumns<T>(n: i32, k: i32, b: usize, rowStride: i32, colStride: i32, out: usize): void {
  const j = firstColumn<T>(n);
  packB<T>(endColumn<T>(n) - j, k, at<T>(b, j * colStride), rowStride, colStride, out + panelsBefore<T>(j, k));
}

/**
 * This thread's columns of C (m × n) = start + A (m × k)·B (k × n; strides in elements), from packed B where it is packed: both ways
 * give the same bits. s may be c, other rows lds apart, one row for all (lds = 0), or null for zeros.
 */
export function multiply<T>(
  packed: bool, m: i32, n: i32, k: i32, a: usize, lda: i32, b: usize, rowStride: i32, colStride: i32, packedB: usize,
  s: usize, lds: i32, c: usize, ldc: i32,
): void {
  const j = firstColumn<T>(n);
  n = endColumn<T>(n) - j;
  if (isShared()) {
    if (n == 0) return;
    b = at<T>(b, j * colStride);
    packedB += panelsBefore<T>(j, k);
    s = s ? at<T>(s, j) : 0;
    c = at<T>(c, j);
  }
  if (packed) gemmPacked<T>(m, n, k, a, lda, packedB, s, lds, c, ldc);
  else product<T>(m, n, k, a, lda, 1, b, rowStride, colStride, s, lds, c, ldc);
}

/** This thread's columns of rows of `width` elements: one stretch where it has them all. */
export function copyColumns<T>(rows: i32, width: i32, to: usize, from: usize): void {
  if (!isShared()) {
    copyElements<T>(to, from, rows * width);
    return;
  }
  const first = firstColumn<T>(width);
  const n = endColumn<T>(width) - first;
  for (let j = first; rows > 0; rows--, j += width) copyElements<T>(at<T>(to, j), at<T>(from, j), n);
}

/** to += from, likewise. */
export function addColumns<T>(rows: i32, width: i32, to: usize, from: usize): void {
  const first = firstColumn<T>(width);
  const n = isShared() ? endColumn<T>(width) - first : rows * width;
  if (!isShared()) rows = 1;
  for (let j = first; rows > 0; rows--, j += width) addElements<T>(at<T>(to, j), at<T>(from, j), n);
}

/** to[0 … n) = from[0 … n). */
// @ts-ignore: decorator
@inline
export function copyElements<T>(to: usize, from: usize, n: i32): void {
  memory.copy(to, from, <usize>n * sizeof<T>());
}

/** to[0 … n) += from[0 … n). */
function addElements<T>(to: usize, from: usize, n: i32): void {
  const L = lanes<T>();
  for (let j = 0; j < n; j += L) {
    const k = min(L, n - j);
    storeFirst<T>(at<T>(to, j), k, v128.add<T>(loadFirst<T>(at<T>(to, j), k, <T>0), loadFirst<T>(at<T>(from, j), k, <T>0)));
  }
}
