// Products with a sparse matrix A in compressed rows (CSR): the elements of row i are values[p] in columns[p], for p from starts[i] up to
// starts[i + 1]. The caller has checked the indices. A row's sum is that of one vector of partial sums, lane by lane, and then of what is left
// of the row: the same for every sample, so that streams and batches agree to the bit.

import { at, lanes, madd, sumLanes } from "./lanes";

// @ts-ignore: decorator
@inline
function intAt(base: usize, i: i32): i32 {
  return load<i32>(at<i32>(base, i));
}

/** The elements of x in the columns at an address: as many as a vector has. */
// @ts-ignore: decorator
@inline
function gathered<T>(column: usize, x: usize): v128 {
  if (sizeof<T>() == 8) {
    return v128.load64_lane(at<f64>(x, load<i32>(column, 4)), v128.load64_zero(at<f64>(x, load<i32>(column))), 1);
  }
  let v = v128.load32_zero(at<f32>(x, load<i32>(column)));
  v = v128.load32_lane(at<f32>(x, load<i32>(column, 4)), v, 1);
  v = v128.load32_lane(at<f32>(x, load<i32>(column, 8)), v, 2);
  return v128.load32_lane(at<f32>(x, load<i32>(column, 12)), v, 3);
}

/** Σ of n elements of a row times x. */
function rowTimes<T>(n: i32, column: usize, value: usize, x: usize): T {
  const L = lanes<T>();
  let even = v128.splat<T>(0);
  let odd = v128.splat<T>(0);
  // Two chains of additions hide each other's latency.
  for (; n >= 2 * L; n -= 2 * L) {
    even = madd<T>(gathered<T>(column, x), v128.load(value), even);
    odd = madd<T>(gathered<T>(column + 4 * L, x), v128.load(value, 16), odd);
    column += 8 * L;
    value += 32;
  }
  let sum = sumLanes<T>(v128.add<T>(even, odd));
  for (let k = 0; k < n; k++) sum = <T>(sum + <T>(load<T>(at<T>(value, k)) * load<T>(at<T>(x, intAt(column, k)))));
  return sum;
}

/** y = x·Aᵀ for x [batch,n] and A [m,n]; y [batch,m]. @kernel */
export function sparseRows<T>(batch: i32, m: i32, n: i32, starts: usize, columns: usize, values: usize, x: usize, y: usize): void {
  for (; batch > 0; batch--) {
    for (let i = 0; i < m; i++) {
      const p = intAt(starts, i);
      const sum = rowTimes<T>(intAt(starts, i + 1) - p, at<i32>(columns, p), at<T>(values, p), x);
      store<T>(at<T>(y, i), sum);
    }
    x = at<T>(x, n);
    y = at<T>(y, m);
  }
}

/** y = x·A for x [batch,m] and A [m,n]; y [batch,n]. Each sum runs in the order of A's rows. @kernel */
export function sparseColumns<T>(batch: i32, m: i32, n: i32, starts: usize, columns: usize, values: usize, x: usize, y: usize): void {
  memory.fill(y, 0, <usize>batch * <usize>n * sizeof<T>());
  for (; batch > 0; batch--) {
    for (let i = 0; i < m; i++) {
      const xi = load<T>(at<T>(x, i));
      const end = intAt(starts, i + 1);
      for (let p = intAt(starts, i); p < end; p++) {
        const target = at<T>(y, intAt(columns, p));
        store<T>(target, <T>(load<T>(target) + <T>(xi * load<T>(at<T>(values, p)))));
      }
    }
    x = at<T>(x, m);
    y = at<T>(y, n);
  }
}

/** y[p] = Σ_b r[b,i]·x[b,j] for each element p of A, in row i and column j; r [batch,m], x [batch,n]. @kernel */
export function sparseSamples<T>(batch: i32, m: i32, n: i32, starts: usize, columns: usize, r: usize, x: usize, y: usize): void {
  for (let i = 0; i < m; i++) {
    const end = intAt(starts, i + 1);
    for (let p = intAt(starts, i); p < end; p++) {
      const j = intAt(columns, p);
      let sum: T = 0;
      for (let b = 0; b < batch; b++) sum = <T>(sum + <T>(load<T>(at<T>(r, b * m + i)) * load<T>(at<T>(x, b * n + j))));
      store<T>(at<T>(y, p), sum);
    }
  }
}
