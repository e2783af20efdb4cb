// Layer normalisation of rows (Ba, Kiros & Hinton 2016, Layer Normalization). Sums over a row: one vector of partial
// sums, its lanes joined from left to right. Sums over rows: in their order.

import { loadLanes, storeLanes } from "./edges";
import { at, lanes, madd, sumLanes } from "./lanes";
import { sumRow } from "./reduce/axis";
import { partEnd, partStart } from "./threads";

// @ts-ignore: decorator
@inline
function weightsAt<T>(weights: usize, i: i32, n: i32): v128 {
  return weights == 0 ? v128.splat<T>(<T>1) : loadLanes<T>(weights, i, n, <T>0);
}

/** Σ (x - mean)². */
function squares<T>(n: i32, x: usize, mean: T): T {
  const center = v128.splat<T>(mean);
  let sum = v128.splat<T>(<T>0);
  for (let i = 0; i < n; i += lanes<T>()) {
    const d = v128.sub<T>(loadLanes<T>(x, i, n, mean), center);
    sum = madd<T>(d, d, sum);
  }
  return sumLanes<T>(sum);
}

/**
 * Each row y = (x - mean)·rstd·w + b with rstd = 1 / √(variance + eps); w = 0 means ones, b = 0 zeros.
 * stats [rows, 2] receives mean and rstd. y may be x. @kernel @shared 8 * rows * n
 */
export function layerNormRows<T>(rows: i32, n: i32, eps: f64, x: usize, w: usize, b: usize, y: usize, stats: usize): void {
  const first = partStart(rows, 1);
  const end = partEnd(rows, 1);
  x = at<T>(x, first * n);
  y = at<T>(y, first * n);
  for (let r = first; r < end; r++) {
    const mean = sumRow<T>(n, x) / <T>n;
    const rstd = <T>1 / sqrt<T>(squares<T>(n, x, mean) / <T>n + <T>eps);
    store<T>(at<T>(stats, 2 * r), mean);
    store<T>(at<T>(stats, 2 * r + 1), rstd);
    const center = v128.splat<T>(mean);
    const scale = v128.splat<T>(rstd);
    for (let i = 0; i < n; i += lanes<T>()) {
      const xh = v128.mul<T>(v128.sub<T>(loadLanes<T>(x, i, n, mean), center), scale);
      const shift = b == 0 ? v128.splat<T>(<T>0) : loadLanes<T>(b, i, n, <T>0);
      storeLanes<T>(y, i, n, madd<T>(xh, weightsAt<T>(w, i, n), shift));
    }
    x += at<T>(0, n);
    y += at<T>(0, n);
  }
}

/**
 * Gradients of the above from g = dy; with x̂ = (x - mean)·rstd and h = g·w:
 *
 *   dx = rstd·(h - mean(h) - x̂·mean(h·x̂)),  dw = Σ_rows g·x̂,  db = Σ_rows g
 *
 * @kernel
 */
export function layerNormGradRows<T>(
  rows: i32, n: i32, g: usize, x: usize, w: usize, stats: usize, dx: usize, dw: usize, db: usize,
): void {
  memory.fill(dw, 0, at<T>(0, n));
  memory.fill(db, 0, at<T>(0, n));
  for (let r = 0; r < rows; r++) {
    gradRow<T>(n, g, x, w, load<T>(at<T>(stats, 2 * r)), load<T>(at<T>(stats, 2 * r + 1)), dx, dw, db);
    g += at<T>(0, n);
    x += at<T>(0, n);
    dx += at<T>(0, n);
  }
}

// @ts-ignore: decorator
@inline
function gradRow<T>(n: i32, g: usize, x: usize, w: usize, mean: T, rstd: T, dx: usize, dw: usize, db: usize): void {
  const L = lanes<T>();
  const center = v128.splat<T>(mean);
  const scale = v128.splat<T>(rstd);
  let sumH = v128.splat<T>(<T>0);
  let sumHX = sumH;
  for (let i = 0; i < n; i += L) {
    const gi = loadLanes<T>(g, i, n, <T>0);
    const xh = v128.mul<T>(v128.sub<T>(loadLanes<T>(x, i, n, mean), center), scale);
    const h = v128.mul<T>(gi, weightsAt<T>(w, i, n));
    sumH = v128.add<T>(sumH, h);
    sumHX = madd<T>(h, xh, sumHX);
    storeLanes<T>(dw, i, n, madd<T>(gi, xh, loadLanes<T>(dw, i, n, <T>0)));
    storeLanes<T>(db, i, n, v128.add<T>(loadLanes<T>(db, i, n, <T>0), gi));
  }
  const meanH = v128.splat<T>(sumLanes<T>(sumH) / <T>n);
  const meanHX = v128.splat<T>(sumLanes<T>(sumHX) / <T>n);
  for (let i = 0; i < n; i += L) {
    const xh = v128.mul<T>(v128.sub<T>(loadLanes<T>(x, i, n, mean), center), scale);
    const h = v128.mul<T>(loadLanes<T>(g, i, n, <T>0), weightsAt<T>(w, i, n));
    const rest = v128.sub<T>(v128.sub<T>(h, meanH), v128.mul<T>(xh, meanHX));
    storeLanes<T>(dx, i, n, v128.mul<T>(rest, scale));
  }
}
