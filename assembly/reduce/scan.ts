import { at, loadLanes, storeLanes, lanes } from "../lanes";

/**
 * The linear recurrence y[k] = a[k]·y[k-1] + b[k] along the axis of [outer, axis, inner], starting from y[0] = b[0];
 * from the other end with `reverse`. With a = 0 (no address) the factors are 1: running totals. y may be b. @kernel
 */
export function scanAxis<T>(outer: i32, axis: i32, inner: i32, reverse: i32, a: usize, b: usize, y: usize): void {
  if (axis == 0) return;
  const row = at<T>(0, inner);
  const step = reverse ? 0 - row : row;
  for (let o = 0; o < outer; o++) {
    const start = at<T>(0, (o * axis + (reverse ? axis - 1 : 0)) * inner);
    if (inner == 1) scanRow<T>(axis, step, a == 0 ? 0 : a + start, b + start, y + start);
    else scanRows<T>(axis, inner, step, a == 0 ? 0 : a + start, b + start, y + start);
  }
}

function scanRow<T>(n: i32, step: usize, a: usize, b: usize, y: usize): void {
  let last = load<T>(b);
  store<T>(y, last);
  for (let k = 1; k < n; k++) {
    b += step;
    y += step;
    if (a != 0) {
      a += step;
      last = load<T>(a) * last;
    }
    last += load<T>(b);
    store<T>(y, last);
  }
}

function scanRows<T>(n: i32, width: i32, step: usize, a: usize, b: usize, y: usize): void {
  memory.copy(y, b, at<T>(0, width));
  for (let k = 1; k < n; k++) {
    b += step;
    if (a != 0) a += step;
    for (let j = 0; j < width; j += lanes<T>()) {
      let last = loadLanes<T>(y, j, width, <T>0);
      if (a != 0) last = v128.mul<T>(loadLanes<T>(a, j, width, <T>0), last);
      storeLanes<T>(y + step, j, width, v128.add<T>(last, loadLanes<T>(b, j, width, <T>0)));
    }
    y += step;
  }
}
