// The simple recurrent network over packed rows, forward and backward.
//
//   h' = φ(gx + W h), φ = tanh or relu
//
// gx [N,H] holds the inputs' part with the biases, W is [H,H]. A gradient needs ys and `hidden` [N,H], h before each step.

import { loadFirst, storeFirst } from "../edges";
import { packB } from "../gemm/packed";
import { at, lanes } from "../lanes";
import { tanh, tanhSlope } from "./gates";
import { addElements, copyElements, firstRow, isPacked, multiply, rowCount } from "./rows";

/**
 * h [B,H] goes in as the initial state and comes out as the last; ys [N,H]. `hidden` may be null.
 * `work` has room for packed W; a null w says that it is there already. @kernel
 */
export function elmanForward<T>(
  steps: i32, table: usize, H: i32, relu: i32, gx: usize, w: usize, h: usize, ys: usize, hidden: usize, work: usize,
): void {
  const packed = isPacked(steps, w);
  if (packed && w) packB<T>(H, H, w, 1, H, work);
  for (let s = 0; s < steps; s++) {
    const rows = rowCount(table, s);
    const at1 = firstRow(table, s) * H;
    const y = at<T>(ys, at1);
    multiply<T>(packed, rows, H, H, h, H, w, 1, H, work, at<T>(gx, at1), H, y, H);
    if (hidden) copyElements<T>(at<T>(hidden, at1), h, rows * H);
    activate<T>(rows * H, relu, y);
    copyElements<T>(h, y, rows * H);
  }
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
 * Written: dgx [N,H]. `work` has room for packed W. @kernel
 */
export function elmanBackward<T>(
  steps: i32, table: usize, H: i32, relu: i32, w: usize, ys: usize, dys: usize, dh: usize, dgx: usize, work: usize,
): void {
  const packed = isPacked(steps, w);
  if (packed && w) packB<T>(H, H, w, H, 1, work);
  for (let s = steps - 1; s >= 0; s--) {
    const rows = rowCount(table, s);
    const at1 = firstRow(table, s) * H;
    if (dys) addElements<T>(dh, at<T>(dys, at1), rows * H);
    activateBackward<T>(rows * H, relu, at<T>(ys, at1), dh, at<T>(dgx, at1));
    multiply<T>(packed, rows, H, H, at<T>(dgx, at1), H, w, H, 1, work, 0, 0, dh, H);
  }
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
