import { at, lanes } from "./lanes";
import { copyRow } from "./copy";

// Reads and writes through an int32 index. The indices were checked by the caller; where it says so, a negative one stands for
// "none". Sums run in the order of the index, so the same bits everywhere.

// @ts-ignore: decorator
@inline
function indexAt(index: usize, i: i32): i32 {
  return load<i32>(at<i32>(index, i));
}

function gatherAs<E>(outer: i32, n: i32, m: i32, inner: i32, index: usize, x: usize, y: usize): void {
  for (let o = 0; o < outer; o++) {
    for (let j = 0; j < m; j++) {
      for (let k = 0; k < inner; k++) store<E>(at<E>(y, k), load<E>(at<E>(x, indexAt(index, k) * inner + k)));
      index = at<i32>(index, inner);
      y = at<E>(y, inner);
    }
    x = at<E>(x, n * inner);
  }
}

/**
 * y[o,j,k] = x[o,index[o,j,k],k]; x [outer,n,inner], index and y [outer,m,inner], elements of `width` bytes.
 * Not a float kernel: call it with dtype int32.
 * @kernel
 */
export function gatherElements(width: i32, outer: i32, n: i32, m: i32, inner: i32, index: usize, x: usize, y: usize): void {
  if (width == 4) gatherAs<u32>(outer, n, m, inner, index, x, y);
  else if (width == 8) gatherAs<u64>(outer, n, m, inner, index, x, y);
  else gatherAs<u8>(outer, n, m, inner, index, x, y);
}

function scatterAs<E>(outer: i32, n: i32, m: i32, inner: i32, index: usize, x: usize, y: usize): void {
  for (let o = 0; o < outer; o++) {
    for (let j = 0; j < m; j++) {
      for (let k = 0; k < inner; k++) store<E>(at<E>(y, indexAt(index, k) * inner + k), load<E>(at<E>(x, k)));
      index = at<i32>(index, inner);
      x = at<E>(x, inner);
    }
    y = at<E>(y, n * inner);
  }
}

/**
 * y[o,index[o,j,k],k] = x[o,j,k], the last one where several meet; y [outer,n,inner], index and x [outer,m,inner],
 * elements of `width` bytes. Not a float kernel: call it with dtype int32.
 * @kernel
 */
export function scatterElements(width: i32, outer: i32, n: i32, m: i32, inner: i32, index: usize, x: usize, y: usize): void {
  if (width == 4) scatterAs<u32>(outer, n, m, inner, index, x, y);
  else if (width == 8) scatterAs<u64>(outer, n, m, inner, index, x, y);
  else scatterAs<u8>(outer, n, m, inner, index, x, y);
}

/** y[o,index[o,j,k],k] += x[o,j,k]; y [outer,n,inner], index and x [outer,m,inner]. @kernel */
export function addElements<T>(outer: i32, n: i32, m: i32, inner: i32, index: usize, x: usize, y: usize): void {
  for (let o = 0; o < outer; o++) {
    for (let j = 0; j < m; j++) {
      for (let k = 0; k < inner; k++) {
        const target = at<T>(y, indexAt(index, k) * inner + k);
        store<T>(target, <T>(load<T>(target) + load<T>(at<T>(x, k))));
      }
      index = at<i32>(index, inner);
      x = at<T>(x, inner);
    }
    y = at<T>(y, n * inner);
  }
}

/**
 * y[o,j] = x[o,index[j]], rows of `bytes` bytes; zeros where the index is negative. x [outer,n], y [outer,m].
 * Not a float kernel: call it with dtype int32.
 * @kernel
 */
export function gatherRows(outer: i32, n: i32, m: i32, bytes: i32, index: usize, x: usize, y: usize): void {
  for (let o = 0; o < outer; o++) {
    for (let j = 0; j < m; j++) {
      const row = indexAt(index, j);
      if (row < 0) memory.fill(y, 0, bytes);
      else if (bytes & 3) copyRow<u8>(bytes, x + row * bytes, y);
      else copyRow<u32>(bytes >> 2, x + row * bytes, y);
      y += bytes;
    }
    x += n * bytes;
  }
}

/** y[o,index[j],k] += x[o,j,k], nothing where the index is negative; x [outer,m,inner], y [outer,n,inner]. @kernel */
export function addRows<T>(outer: i32, n: i32, m: i32, inner: i32, index: usize, x: usize, y: usize): void {
  for (let o = 0; o < outer; o++) {
    for (let j = 0; j < m; j++) {
      const row = indexAt(index, j);
      if (row >= 0) addRow<T>(inner, x, at<T>(y, row * inner));
      x = at<T>(x, inner);
    }
    y = at<T>(y, n * inner);
  }
}

/** y += x for n elements. */
function addRow<T>(n: i32, x: usize, y: usize): void {
  const L = lanes<T>();
  let i = 0;
  for (; i <= n - L; i += L) v128.store(at<T>(y, i), v128.add<T>(v128.load(at<T>(y, i)), v128.load(at<T>(x, i))));
  for (; i < n; i++) store<T>(at<T>(y, i), <T>(load<T>(at<T>(y, i)) + load<T>(at<T>(x, i))));
}
