// Sums over what comes before an element in the order of other numbers.

import { loadLanes, storeLanes } from "../edges";
import { at, lanes } from "../lanes";

/**
 * y[o,i] = the sum of x[o,j] over all j that come before i: whose sign·key is lower, or equal with sign·j lower. With a sign of −1 those that come
 * after i by the same order. Sums run in order of j; x, keys and y are [outer, n]. @kernel
 */
export function orderedSums<T>(outer: i32, n: i32, sign: f64, keys: usize, x: usize, y: usize): void {
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < n; i += lanes<T>()) storeLanes<T>(y, i, n, sumsFrom<T>(n, i, <T>sign, keys, x));
    keys = at<T>(keys, n);
    x = at<T>(x, n);
    y = at<T>(y, n);
  }
}

/** The sums of elements i, i + 1, … of a row. */
function sumsFrom<T>(n: i32, i: i32, sign: T, keys: usize, x: usize): v128 {
  const signs = v128.splat<T>(sign);
  const own = v128.mul<T>(signs, loadLanes<T>(keys, i, n, <T>0));
  const lane = sizeof<T>() == 4 ? f32x4(0, 1, 2, 3) : f64x2(0, 1);
  const place = v128.mul<T>(signs, v128.add<T>(v128.splat<T>(<T>i), lane));
  let sums = v128.splat<T>(<T>0);
  for (let j = 0; j < n; j++) {
    const key = v128.splat<T>(<T>(sign * load<T>(at<T>(keys, j))));
    const earlier = v128.lt<T>(v128.splat<T>(<T>(sign * <T>j)), place);
    const counts = v128.or(v128.lt<T>(key, own), v128.and(v128.eq<T>(key, own), earlier));
    sums = v128.add<T>(sums, v128.and(counts, v128.splat<T>(load<T>(at<T>(x, j)))));
  }
  return sums;
}
