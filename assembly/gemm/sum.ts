// Many products added to one matrix, in order, with the bits of doing so one by one: the gradient of a weight over the steps
// of a sequence. As every product is a sum of its own, started from zero, they cannot be one long product; but a tile of C
// stays in the first-level cache while several of them go by.

import { at } from "../lanes";
import { B_BLOCK, B_BLOCK_BYTES } from "./gemm";
import { packPanels } from "./pack";
import { A_BLOCK, KC, MC } from "./packed";
import { isShared, partEnd, partStart } from "../threads";
import { copyTile, EDGE, hasTall, NR, packedRows, ROWS, tile } from "./tile";

/**
 * C (m × n, rows ldc apart) += A·B, then the same again, `count` times; A (m × k) and B (k × n) of the next product lie
 * aNext and bNext further. All strides in elements. k is at least 1 and at most 256. @kernel @shared count * m * n * k
 */
export function sumProducts<T>(
  count: i32, m: i32, n: i32, k: i32, a: usize, aRow: i32, aCol: i32, aNext: i32, b: usize, bRow: i32, bCol: i32, bNext: i32,
  c: usize, ldc: i32,
): void {
  if (isShared() && m > n) {
    const i = partStart(m, ROWS);
    m = partEnd(m, ROWS) - i;
    a = at<T>(a, i * aRow);
    c = at<T>(c, i * ldc);
  } else if (isShared()) {
    const j = partStart(n, NR<T>());
    n = partEnd(n, NR<T>()) - j;
    b = at<T>(b, j * bCol);
    c = at<T>(c, j);
  }
  const nc = (B_BLOCK_BYTES / (32 * KC)) * NR<T>();
  const many = KC / k;
  for (; count > 0; count -= many) {
    const products = min(many, count);
    for (let j = 0; j < n; j += nc) {
      const columns = min(nc, n - j);
      packAll<T>(NR<T>(), products, columns, k, at<T>(b, j * bCol), bCol, bRow, bNext, B_BLOCK);
      for (let i = 0; i < m; i += MC) {
        const rows = min(MC, m - i);
        packAll<T>(packedRows<T>(), products, rows, k, at<T>(a, i * aRow), aRow, aCol, aNext, A_BLOCK);
        addTiles<T>(products, rows, columns, k, at<T>(c, i * ldc + j), at<T>(0, ldc));
      }
    }
    a = at<T>(a, products * aNext);
    b = at<T>(b, products * bNext);
  }
}

/** Panels of every product, those of the same columns (or rows) one after the other: they are read together. */
function packAll<T>(width: i32, products: i32, count: i32, k: i32, from: usize, across: i32, along: i32, next: i32, out: usize): void {
  for (let j = 0; j < count; j += width) {
    for (let p = 0; p < products; p++) {
      packPanels<T>(width, min(width, count - j), k, at<T>(from, j * across + p * next), at<T>(0, across), at<T>(0, along), out);
      out = at<T>(out, width * k);
    }
  }
}

/** Each tile of C takes all products before the next tile does. */
function addTiles<T>(products: i32, m: i32, n: i32, k: i32, c: usize, cRow: usize): void {
  const height = packedRows<T>();
  const panel = <usize>(products * k) * 32;
  let b = B_BLOCK;
  for (let j = 0; j < n; j += NR<T>()) {
    const columns = min(NR<T>(), n - j);
    const edge = columns < NR<T>();
    let a = A_BLOCK;
    let target = at<T>(c, j);
    for (let i = 0; i < m; i += height) {
      const rows = min(height, m - i);
      if (edge) copyTile<T>(rows, columns, target, cRow, EDGE, 32);
      const to = edge ? EDGE : target;
      const toRow = edge ? 32 : cRow;
      for (const end = b + panel; b != end; b += <usize>k * 32) {
        tile<T>(true, hasTall<T>(), true, rows, k, a, 0, b, 32, 0, 0, to, toRow);
        a = at<T>(a, height * k);
      }
      b -= panel;
      if (edge) copyTile<T>(rows, columns, EDGE, 32, target, cRow);
      target += <usize>height * cRow;
    }
    b += panel;
  }
}
