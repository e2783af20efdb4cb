// The simple recurrent network over packed rows, forward and backward.
//
//   h' = φ(gx + W h), φ = tanh or relu
//
// gx [N,H] holds the inputs' part with the biases, W is [H,H]. A gradient needs ys and `hidden` [N,H], h before each step.

import { loadFirst, storeFirst } from "../edges";
import { at, lanes } from "../lanes";
import { tanh, tanhSlope } from "./gates";
import { isShared, meet } from "../threads";
import { addColumns, copyColumns, endColumn, firstColumn, firstRow, isPacked, multiply, packColumns, rowCount } from "./rows";

/**
 * h [B,H] goes in as the initial state and comes out as the last; ys [N,H]. `hidden` may be null.
 * `work` has room for packed W; a null w says that it is there already. @kernel @shared workOfSteps(H * H * rowsIn(table, steps), steps)
 */
export function elmanForward<T>(
  steps: i32, table: usize, H: i32, relu: i32, gx: usize, w: usize, h: usize, ys: usize, hidden: usize, work: usize,
): void {
  const packed = isPacked(steps, w);
  if (packed && w) packColumns<T>(H, H, w, 1, H, work);
  meet();
  for (let s = 0; s < steps; s++) {
    const rows = rowCount(table, s);
    const at1 = firstRow(table, s) * H;
    const y = at<T>(ys, at1);
    multiply<T>(packed, rows, H, H, h, H, w, 1, H, work, at<T>(gx, at1), H, y, H);
    if (hidden) copyColumns<T>(rows, H, at<T>(hidden, at1), h);
    activateColumns<T>(rows, H, relu, y);
    meet();
    copyColumns<T>(rows, H, h, y);
    meet();
  }
}

/** This thread's columns: one stretch where it has them all. */
function activateColumns<T>(rows: i32, H: i32, relu: i32, y: usize): void {
  const first = firstColumn<T>(H);
  const n = isShared() ? endColumn<T>(H) - first : rows * H;
  if (!isShared()) rows = 1;
  for (let j = first; rows > 0; rows--, j += H) activate<T>(n, relu, at<T>(y, j));
}

export function activate<T>(size: i32, relu: i32, y: usize): void {
  const L = lanes<T>();
  for (let j = 0; j < size; j += L) {
    const n = min(L, size - j);
    const p = at<T>(y, j);
    const a = loadFirst<T>(p, n, <T>0);
    storeFirst<T>(p, n, relu ? v128.max<T>(a, v128.splat<T>(<T>0)) : tanh<T>(a));
  }
}

/**
 * dh [B,H] goes in as the cotangent of the last state and comes out as that of the initial one. dys [N,H] may be null.
 * Written: dgx [N,H]. `work` has room for packed W. @kernel @shared workOfSteps(H * H * rowsIn(table, steps), steps)
 */
export function elmanBackward<T>(
  steps: i32, table: usize, H: i32, relu: i32, w: usize, ys: usize, dys: usize, dh: usize, dgx: usize, work: usize,
): void {
  const packed = isPacked(steps, w);
  if (packed && w) packColumns<T>(H, H, w, H, 1, work);
  meet();
  for (let s = steps - 1; s >= 0; s--) {
    const rows = rowCount(table, s);
    const at1 = firstRow(table, s) * H;
    if (dys) addColumns<T>(rows, H, dh, at<T>(dys, at1));
    activateColumnsBackward<T>(rows, H, relu, at<T>(ys, at1), dh, at<T>(dgx, at1));
    meet();
    multiply<T>(packed, rows, H, H, at<T>(dgx, at1), H, w, H, 1, work, 0, 0, dh, H);
  }
}

function activateColumnsBackward<T>(rows: i32, H: i32, relu: i32, y: usize, dy: usize, da: usize): void {
  const first = firstColumn<T>(H);
  const n = isShared() ? endColumn<T>(H) - first : rows * H;
  if (!isShared()) rows = 1;
  for (let j = first; rows > 0; rows--, j += H) activateBackward<T>(n, relu, at<T>(y, j), at<T>(dy, j), at<T>(da, j));
}

function activateBackward<T>(size: i32, relu: i32, y: usize, dy: usize, da: usize): void {
  const L = lanes<T>();
  for (let j = 0; j < size; j += L) {
    const n = min(L, size - j);
    const a = loadFirst<T>(at<T>(y, j), n, <T>0);
    const d = loadFirst<T>(at<T>(dy, j), n, <T>0);
    const slope = relu ? v128.and(v128.gt<T>(a, v128.splat<T>(<T>0)), v128.splat<T>(<T>1)) : tanhSlope<T>(a);
    storeFirst<T>(at<T>(da, j), n, v128.mul<T>(d, slope));
  }
}
