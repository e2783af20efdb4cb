import { at } from "../lanes";

/**
 * y[o,j] = the first k where sign·x[o,k,j] is largest, as i32; the first NaN counts as largest.
 * x is [outer, axis, inner] and the axis is not empty. @kernel
 */
export function argLargest<T>(outer: i32, axis: i32, inner: i32, sign: f64, x: usize, y: usize): void {
  for (let o = 0; o < outer; o++) {
    for (let j = 0; j < inner; j++) {
      store<i32>(at<i32>(y, o * inner + j), largestAt<T>(axis, inner, <T>sign, at<T>(x, o * axis * inner + j)));
    }
  }
}

function largestAt<T>(n: i32, stride: i32, sign: T, x: usize): i32 {
  const step = at<T>(0, stride);
  let best = sign * load<T>(x);
  let index = 0;
  for (let k = 1; k < n && best == best; k++) {
    x += step;
    const value = sign * load<T>(x);
    if (value <= best) continue;
    best = value;
    index = k;
  }
  return index;
}
