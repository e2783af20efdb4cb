// Packing: operands copied into panels, so that the register tile reads them in one stream.

import { lanes, transposeTile } from "../lanes";

/**
 * Panels of `width` (at least the lanes) out of `count` vectors of length k; `across` bytes lead from vector
 * to vector and `along` bytes along each. Panels follow one another in `out`, each k × width elements, k-major,
 * the last one padded with zeros.
 */
export function packPanels<T>(width: i32, count: i32, k: i32, from: usize, across: usize, along: usize, out: usize): void {
  for (let j = 0; j < count; j += width) {
    const columns = min(width, count - j);
    if (columns < width) packPartial<T>(width, columns, k, from, across, along, out);
    else if (across == sizeof<T>()) packRows<T>(width, k, from, along, out);
    else if (along == sizeof<T>()) packTransposed<T>(width, k, from, across, out);
    else packPartial<T>(width, columns, k, from, across, along, out);
    from += <usize>width * across;
    out += (<usize>width * <usize>k) * sizeof<T>();
  }
}

/** Any strides, element by element. */
function packPartial<T>(width: i32, columns: i32, k: i32, from: usize, across: usize, along: usize, out: usize): void {
  for (let kk = 0; kk < k; kk++) {
    let p = from;
    for (let c = 0; c < width; c++) {
      store<T>(out, c < columns ? load<T>(p) : <T>0);
      p += across;
      out += sizeof<T>();
    }
    from += along;
  }
}

/** Neighbours across are adjacent: rows are copied. Where the width is not whole vectors, the last two overlap. */
function packRows<T>(width: i32, k: i32, from: usize, along: usize, out: usize): void {
  const row = <usize>width * sizeof<T>();
  for (let kk = 0; kk < k; kk++) {
    for (let c: usize = 0; c < row; c += 16) {
      const p = min(c, row - 16);
      v128.store(out + p, v128.load(from + p));
    }
    from += along;
    out += row;
  }
}

/** Neighbours along k are adjacent: squares of lanes × lanes are turned over in registers, the last two overlapping likewise. */
function packTransposed<T>(width: i32, k: i32, from: usize, across: usize, out: usize): void {
  const row = <usize>width * sizeof<T>();
  let kk = 0;
  for (; kk <= k - lanes<T>(); kk += lanes<T>()) {
    for (let c: usize = 0; c < row; c += 16) {
      const p = min(c, row - 16);
      transposeTile<T>(from + (p / sizeof<T>()) * across, across, out + p, row);
    }
    from += 16;
    out += <usize>lanes<T>() * row;
  }
  packPartial<T>(width, width, k - kk, from, across, sizeof<T>(), out);
}
