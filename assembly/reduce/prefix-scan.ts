import { span } from "../elementwise/elementwise";
import { at } from "../lanes";
import * as op from "../codes.gen";
import { own } from "../threads";

/** y[k] = a[k]·y[k-1] + b[k]. @code */
export const LINEAR_SCAN = 0;
/** The same over complex numbers: rows hold real, then imaginary parts. @code */
export const COMPLEX_SCAN = 1;
/** y[k] = max(a[k] + y[k-1], b[k]). @code */
export const MAX_SCAN = 2;

/** Elements of a row that a complex product keeps aside at a time. */
const BLOCK: i32 = 128;
const ASIDE = own(memory.data(1024, 64));

/**
 * The recurrence y[k] = a[k]·y[k-1] + b[k] along the axis of [outer, axis, inner], starting from y[0] = b[0];
 * from the other end with `reverse`. With a = 0 (no address) the factors are 1: running totals. y is not b.
 * COMPLEX_SCAN: rows hold real, then imaginary parts. MAX_SCAN: y[k] = max(a[k] + y[k-1], b[k]). @kernel
 */
export function scanAxis<T>(kind: i32, outer: i32, axis: i32, inner: i32, reverse: i32, a: usize, b: usize, y: usize): void {
  if (axis == 0) return;
  const row = at<T>(0, inner);
  const step = reverse ? 0 - row : row;
  for (let o = 0; o < outer; o++) {
    const start = at<T>(0, (o * axis + (reverse ? axis - 1 : 0)) * inner);
    if (inner == 1 && kind == LINEAR_SCAN) scanRow<T>(axis, step, a == 0 ? 0 : a + start, b + start, y + start);
    else scanRows<T>(kind, axis, inner, step, a == 0 ? 0 : a + start, b + start, y + start);
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

function scanRows<T>(kind: i32, n: i32, width: i32, step: usize, a: usize, b: usize, y: usize): void {
  const join = kind == MAX_SCAN ? op.MAXIMUM : op.ADD;
  memory.copy(y, b, at<T>(0, width));
  for (let k = 1; k < n; k++) {
    let last = y;
    b += step;
    y += step;
    if (a != 0) {
      a += step;
      if (kind == COMPLEX_SCAN) complexProduct<T>(width >> 1, a, last, y);
      else each<T>(kind == MAX_SCAN ? op.ADD : op.MUL, width, a, last, y);
      last = y;
    }
    each<T>(join, width, last, b, y);
  }
}

/** y = code(a, b) for n neighbours. */
export function each<T>(code: i32, n: i32, a: usize, b: usize, y: usize): void {
  span<T>(code, n, a, 16, b, 16, a, 0, y);
}

/** y = a·x for complex numbers of `width` real and as many imaginary parts. */
function complexProduct<T>(width: i32, a: usize, x: usize, y: usize): void {
  const imaginary = at<T>(0, width);
  for (let i = 0; i < width; i += BLOCK) {
    const n = min(BLOCK, width - i);
    each<T>(op.MUL, n, a + imaginary, x + imaginary, ASIDE);
    each<T>(op.MUL, n, a, x, y);
    each<T>(op.SUB, n, y, ASIDE, y);
    each<T>(op.MUL, n, a + imaginary, x, ASIDE);
    each<T>(op.MUL, n, a, x + imaginary, y + imaginary);
    each<T>(op.ADD, n, y + imaginary, ASIDE, y + imaginary);
    const moved = at<T>(0, n);
    a += moved;
    x += moved;
    y += moved;
  }
}
