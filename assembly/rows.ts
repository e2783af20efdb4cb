// Heads that write to the rows of a memory: all erase, then all add.

import { loadLanes, storeLanes } from "./edges";
import { at, lanes, sumLanes } from "./lanes";

/**
 * y[n,j] = M[n,j]·Π (1 − w[k,n]·erase[k,j]) + Σ w[k,n]·add[k,j] over heads k, for M and y [batch, rows, width], w [batch, heads, rows], erase and
 * add [batch, heads, width]. @kernel
 */
export function writeRows<T>(batch: i32, heads: i32, rows: i32, width: i32, M: usize, w: usize, erase: usize, add: usize, y: usize): void {
  for (let b = 0; b < batch; b++) {
    for (let n = 0; n < rows; n++) {
      for (let j = 0; j < width; j += lanes<T>()) {
        const kept = keptBut<T>(-1, heads, rows, width, at<T>(w, n), erase, j, loadLanes<T>(M, j, width, <T>0));
        let sum = v128.splat<T>(<T>0);
        for (let k = 0; k < heads; k++) {
          const weight = v128.splat<T>(load<T>(at<T>(w, k * rows + n)));
          sum = v128.add<T>(sum, v128.mul<T>(weight, loadLanes<T>(at<T>(add, k * width), j, width, <T>0)));
        }
        storeLanes<T>(y, j, width, v128.add<T>(kept, sum));
      }
      M = at<T>(M, width);
      y = at<T>(y, width);
    }
    w = at<T>(w, heads * rows);
    erase = at<T>(erase, heads * width);
    add = at<T>(add, heads * width);
  }
}

/** Some numbers v of a row after all heads but one have erased; w points to the row's weight of the first head. */
// @ts-ignore: decorator
@inline
function keptBut<T>(but: i32, heads: i32, rows: i32, width: i32, w: usize, erase: usize, j: i32, v: v128): v128 {
  for (let k = 0; k < heads; k++) {
    if (k == but) continue;
    const weight = v128.splat<T>(load<T>(at<T>(w, k * rows)));
    const erased = v128.mul<T>(weight, loadLanes<T>(at<T>(erase, k * width), j, width, <T>0));
    v = v128.mul<T>(v, v128.sub<T>(v128.splat<T>(<T>1), erased));
  }
  return v;
}

/** The gradients dM, dw, derase and dadd of `writeRows` for a cotangent g of y. @kernel */
export function writeRowsGrad<T>(
  batch: i32, heads: i32, rows: i32, width: i32, M: usize, w: usize, erase: usize, add: usize, g: usize,
  dM: usize, dw: usize, derase: usize, dadd: usize,
): void {
  memory.fill(derase, 0, at<T>(0, batch * heads * width));
  memory.fill(dadd, 0, at<T>(0, batch * heads * width));
  for (let b = 0; b < batch; b++) {
    for (let n = 0; n < rows; n++) {
      for (let j = 0; j < width; j += lanes<T>()) {
        storeLanes<T>(dM, j, width, keptBut<T>(-1, heads, rows, width, at<T>(w, n), erase, j, loadLanes<T>(g, j, width, <T>0)));
      }
      for (let k = 0; k < heads; k++) {
        store<T>(at<T>(dw, k * rows + n), gradientsOfHead<T>(k, heads, rows, width, M, at<T>(w, n), erase, add, g, derase, dadd));
      }
      M = at<T>(M, width);
      g = at<T>(g, width);
      dM = at<T>(dM, width);
    }
    w = at<T>(w, heads * rows);
    dw = at<T>(dw, heads * rows);
    erase = at<T>(erase, heads * width);
    add = at<T>(add, heads * width);
    derase = at<T>(derase, heads * width);
    dadd = at<T>(dadd, heads * width);
  }
}

/** Adds what a row contributes to derase and dadd of a head; returns the gradient of the head's weight of the row. */
function gradientsOfHead<T>(
  k: i32, heads: i32, rows: i32, width: i32, M: usize, w: usize, erase: usize, add: usize, g: usize, derase: usize, dadd: usize,
): T {
  const weight = v128.splat<T>(load<T>(at<T>(w, k * rows)));
  const start = at<T>(0, k * width);
  let sum = v128.splat<T>(<T>0);
  for (let j = 0; j < width; j += lanes<T>()) {
    const slope = loadLanes<T>(g, j, width, <T>0);
    const lost = v128.mul<T>(slope, keptBut<T>(k, heads, rows, width, w, erase, j, loadLanes<T>(M, j, width, <T>0)));
    const gained = v128.mul<T>(slope, loadLanes<T>(add + start, j, width, <T>0));
    sum = v128.add<T>(sum, v128.sub<T>(gained, v128.mul<T>(lost, loadLanes<T>(erase + start, j, width, <T>0))));
    storeLanes<T>(derase + start, j, width, v128.sub<T>(loadLanes<T>(derase + start, j, width, <T>0), v128.mul<T>(lost, weight)));
    storeLanes<T>(dadd + start, j, width, v128.add<T>(loadLanes<T>(dadd + start, j, width, <T>0), v128.mul<T>(slope, weight)));
  }
  return sumLanes<T>(sum);
}
