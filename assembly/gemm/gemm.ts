// The general product: C = start + A·B for operands with any strides.
//
// B is packed block by block (KC × NC) into static memory, unless it is row-major and its elements are used so seldom,
// or lie so close together, that packing would not pay. A single row has paths of its own.

import { at, lanes } from "../lanes";
import { blockProduct, KC, packB } from "./packed";
import { rowTimesRows, rowTimesTransposed } from "./row";
import { NR, ROWS } from "./tile";
import { isShared, own, partEnd, partStart } from "../threads";

/** A packed block of B: half of a 512 KiB second-level cache. */
export const B_BLOCK_BYTES: i32 = 262144;
export const B_BLOCK = own(memory.data(262144, 64));

/** Up to this many rows, or while all of B takes no more than half of the first-level cache, B is read where it lies. */
const DIRECT_ROWS: i32 = 16;
const DIRECT_BYTES: i32 = 16384;

/** From this many products on, threads share them, not each of them. */
const MANY_PRODUCTS: i32 = 8;

/**
 * C = (beta ? C : bias or 0) + A·B for `batch` matrices; A is m × k, B is k × n, C is m × n with rows ldc apart.
 * A, B and C of the next product lie aBatch, bBatch and cBatch further. All strides in elements; bias has n elements
 * and is added first (0 for none). beta 0 overwrites whatever C held. @kernel @shared batch * m * n * k
 */
export function gemm<T>(
  m: i32, n: i32, k: i32, a: usize, aRow: i32, aCol: i32, b: usize, bRow: i32, bCol: i32, c: usize, ldc: i32,
  bias: usize, beta: i32, batch: i32, aBatch: i32, bBatch: i32, cBatch: i32
): void {
  // A thread has products of its own, or rows or columns of every product.
  if (isShared()) {
    const products = batch >= MANY_PRODUCTS;
    const rows = !products && m > n;
    const first = products ? partStart(batch, 1) : rows ? partStart(m, ROWS) : partStart(n, NR<T>());
    const end = products ? partEnd(batch, 1) : rows ? partEnd(m, ROWS) : partEnd(n, NR<T>());
    a = at<T>(a, first * (products ? aBatch : rows ? aRow : 0));
    b = at<T>(b, first * (products ? bBatch : rows ? 0 : bCol));
    c = at<T>(c, first * (products ? cBatch : rows ? ldc : 1));
    if (bias && !products && !rows) bias = at<T>(bias, first);
    if (products) batch = end - first;
    else if (rows) m = end - first;
    else n = end - first;
    if (end == first) return;
  }
  for (let i = 0; i < batch; i++) {
    product<T>(m, n, k, a, aRow, aCol, b, bRow, bCol, beta ? c : bias, beta ? ldc : 0, c, ldc);
    a = at<T>(a, aBatch);
    b = at<T>(b, bBatch);
    c = at<T>(c, cBatch);
  }
}

/** C = start + A·B. s may be c, other rows lds apart, one row for all (lds = 0), or null for zeros. */
export function product<T>(
  m: i32, n: i32, k: i32, a: usize, aRow: i32, aCol: i32, b: usize, bRow: i32, bCol: i32, s: usize, lds: i32, c: usize, ldc: i32,
): void {
  const column = n == 1 && ldc == 1;
  if (m > 1 && k > 0 && !column) {
    matrixProduct<T>(m, n, k, a, aRow, aCol, b, bRow, bCol, s, lds, c, ldc);
    return;
  }
  if (s != c) start<T>(m, n, s, lds, c, ldc);
  // A column is a row of the transposed product: (A·b)ᵀ = bᵀ·Aᵀ.
  if (m == 1) rowProduct<T>(n, k, a, aCol, b, bRow, bCol, c);
  else if (column) rowProduct<T>(m, k, b, bRow, a, aCol, aRow, c);
}

/** Every row of C becomes that of the start. A loop: calls of memory.copy would cost as much as a small product. */
function start<T>(m: i32, n: i32, s: usize, lds: i32, c: usize, ldc: i32): void {
  const whole = n - (n % lanes<T>());
  for (let i = 0; i < m; i++) {
    let j = 0;
    for (; j < whole; j += lanes<T>()) v128.store(at<T>(c, j), s ? v128.load(at<T>(s, j)) : v128.splat<T>(<T>0));
    for (; j < n; j++) store<T>(at<T>(c, j), s ? load<T>(at<T>(s, j)) : <T>0);
    s = at<T>(s, lds);
    c = at<T>(c, ldc);
  }
}

/** One row of C += a·B: whole vectors of it from B where it lies, the rest from packed panels. */
function rowProduct<T>(n: i32, k: i32, a: usize, aCol: i32, b: usize, bRow: i32, bCol: i32, c: usize): void {
  let done = 0;
  if (bCol == 1) {
    done = n - (n % lanes<T>());
    rowTimesRows<T>(done, k, a, at<T>(0, aCol), b, at<T>(0, bRow), c);
  } else if (bRow == 1) {
    done = n - (n % NR<T>());
    const depth = k - (k % lanes<T>());
    rowTimesTransposed<T>(done, depth, a, at<T>(0, aCol), b, at<T>(0, bCol), c);
    packedProduct<T>(1, done, k - depth, at<T>(a, depth * aCol), 0, aCol, at<T>(b, depth), bRow, bCol, c, 0, c, 0);
  }
  const rest = at<T>(c, done);
  packedProduct<T>(1, n - done, k, a, 0, aCol, at<T>(b, done * bCol), bRow, bCol, rest, 0, rest, 0);
}

function matrixProduct<T>(
  m: i32, n: i32, k: i32, a: usize, aRow: i32, aCol: i32, b: usize, bRow: i32, bCol: i32, s: usize, lds: i32, c: usize, ldc: i32,
): void {
  let done = 0;
  if (bCol == 1 && bRow >= n && (m <= DIRECT_ROWS || k * n * <i32>sizeof<T>() <= DIRECT_BYTES)) {
    done = n - (n % NR<T>());
    for (let kk = 0; kk < k; kk += KC) {
      const depth = min(KC, k - kk);
      block<T>(m, done, depth, at<T>(a, kk * aCol), aRow, aCol, at<T>(b, kk * bRow), 32, at<T>(0, bRow), kk ? c : s, kk ? ldc : lds, c, ldc);
    }
  }
  const from = s ? at<T>(s, done) : 0;
  packedProduct<T>(m, n - done, k, a, aRow, aCol, at<T>(b, done * bCol), bRow, bCol, from, lds, at<T>(c, done), ldc);
}

/** B packed block by block. */
function packedProduct<T>(
  m: i32, n: i32, k: i32, a: usize, aRow: i32, aCol: i32, b: usize, bRow: i32, bCol: i32, s: usize, lds: i32, c: usize, ldc: i32,
): void {
  const nc = B_BLOCK_BYTES / (32 * KC) * NR<T>();
  for (let j = 0; j < n; j += nc) {
    const columns = min(nc, n - j);
    const to = at<T>(c, j);
    const from = s ? at<T>(s, j) : 0;
    for (let kk = 0; kk < k; kk += KC) {
      const depth = min(KC, k - kk);
      packB<T>(columns, depth, at<T>(b, kk * bRow + j * bCol), bRow, bCol, B_BLOCK);
      block<T>(
        m, columns, depth, at<T>(a, kk * aCol), aRow, aCol, B_BLOCK, <usize>depth * 32, 32, kk ? to : from, kk ? ldc : lds, to, ldc,
      );
    }
  }
}

// @ts-ignore: decorator
@inline
function block<T>(
  m: i32, n: i32, k: i32, a: usize, aRow: i32, aCol: i32, b: usize, panel: usize, bStep: usize,
  s: usize, lds: i32, c: usize, ldc: i32,
): void {
  blockProduct<T>(m, n, k, a, at<T>(0, aRow), at<T>(0, aCol), b, panel, bStep, s, at<T>(0, lds), c, at<T>(0, ldc));
}
