// Softmax of rows, and what is built on it. Every row goes through its maximum first, so that no exponential overflows.
// Sums of exponentials: one vector of partial sums, its lanes joined from left to right.

import { loadLanes, storeLanes } from "./edges";
import { at, lanes, sumLanes } from "./lanes";
import { vexp } from "./math/exp";
import { vlog } from "./math/log";
import { maxRow, sumRow } from "./reduce/axis";
import { partEnd, partStart } from "./threads";

/** y = exp(x - shift) (not stored where y = 0) and its sum. */
function expRow<T>(n: i32, shift: T, x: usize, y: usize): T {
  const shifts = v128.splat<T>(shift);
  let sum = v128.splat<T>(<T>0);
  for (let i = 0; i < n; i += lanes<T>()) {
    const e = vexp<T>(v128.sub<T>(loadLanes<T>(x, i, n, <T>-Infinity), shifts));
    if (y != 0) storeLanes<T>(y, i, n, e);
    sum = v128.add<T>(sum, e);
  }
  return sumLanes<T>(sum);
}

// @ts-ignore: decorator
@inline
function log<T>(x: T): T {
  return v128.extract_lane<T>(vlog<T>(v128.splat<T>(x)), 0);
}

/** Each row y = exp(x - max) / Σ exp(x - max). y may be x. @kernel @shared 20 * rows * n */
export function softmaxRows<T>(rows: i32, n: i32, x: usize, y: usize): void {
  const first = partStart(rows, 1);
  const end = partEnd(rows, 1);
  x = at<T>(x, first * n);
  y = at<T>(y, first * n);
  for (let r = first; r < end; r++) {
    const sum = v128.splat<T>(expRow<T>(n, maxRow<T>(n, x), x, y));
    for (let i = 0; i < n; i += lanes<T>()) storeLanes<T>(y, i, n, v128.div<T>(loadLanes<T>(y, i, n, <T>0), sum));
    x += at<T>(0, n);
    y += at<T>(0, n);
  }
}

/** Each row y = x - max - log Σ exp(x - max). y may be x. @kernel @shared 20 * rows * n */
export function logSoftmaxRows<T>(rows: i32, n: i32, x: usize, y: usize): void {
  const first = partStart(rows, 1);
  const end = partEnd(rows, 1);
  x = at<T>(x, first * n);
  y = at<T>(y, first * n);
  for (let r = first; r < end; r++) {
    const top = maxRow<T>(n, x);
    const shift = v128.splat<T>(top);
    const logSum = v128.splat<T>(log<T>(expRow<T>(n, top, x, 0)));
    for (let i = 0; i < n; i += lanes<T>()) {
      storeLanes<T>(y, i, n, v128.sub<T>(v128.sub<T>(loadLanes<T>(x, i, n, <T>0), shift), logSum));
    }
    x += at<T>(0, n);
    y += at<T>(0, n);
  }
}

/** y[r] = log Σ exp(x[r,…]); -∞ of nothing and of nothing but -∞. @kernel @shared 20 * rows * n */
export function logSumExpRows<T>(rows: i32, n: i32, x: usize, y: usize): void {
  const first = partStart(rows, 1);
  const end = partEnd(rows, 1);
  x = at<T>(x, first * n);
  for (let r = first; r < end; r++) {
    const top = maxRow<T>(n, x);
    const shift = isFinite<T>(top) ? top : <T>0;
    store<T>(at<T>(y, r), shift + log<T>(expRow<T>(n, shift, x, 0)));
    x += at<T>(0, n);
  }
}

/** The weight of class c; 1 where there are no weights. */
// @ts-ignore: decorator
@inline
function weightOf<T>(weights: usize, c: i32): T {
  return weights == 0 ? <T>1 : load<T>(at<T>(weights, c));
}

/**
 * Cross-entropy of each row of logits x [rows, n] with its class t, smoothed by ε = smoothing:
 *
 *   loss = Σ_c q_c·(log Σ exp x - x_c),  q_c = (1 - ε)·w_t·[c = t] + (ε / n)·w_c
 *
 * and 0 where t = ignore. stats [rows, 2] receives max and Σ exp(x - max). weights = 0: all are 1. @kernel @shared 20 * rows * n
 */
export function crossEntropyRows<T>(
  rows: i32, n: i32, x: usize, targets: usize, ignore: i32, smoothing: f64, weights: usize, loss: usize, stats: usize,
): void {
  const first = partStart(rows, 1);
  const end = partEnd(rows, 1);
  x = at<T>(x, first * n);
  for (let r = first; r < end; r++) {
    const t = load<i32>(at<i32>(targets, r));
    const top = maxRow<T>(n, x);
    const sum = expRow<T>(n, top, x, 0);
    store<T>(at<T>(stats, 2 * r), top);
    store<T>(at<T>(stats, 2 * r + 1), sum);
    store<T>(at<T>(loss, r), t == ignore ? <T>0 : rowLoss<T>(n, x, t, <T>smoothing, weights, top, log<T>(sum)));
    x += at<T>(0, n);
  }
}

// @ts-ignore: decorator
@inline
function rowLoss<T>(n: i32, x: usize, t: i32, smoothing: T, weights: usize, top: T, logSum: T): T {
  const loss = weightOf<T>(weights, t) * (logSum - (load<T>(at<T>(x, t)) - top));
  if (smoothing == <T>0) return loss;
  let spread = <T>0;
  for (let c = 0; c < n; c++) spread += weightOf<T>(weights, c) * (logSum - (load<T>(at<T>(x, c)) - top));
  return (<T>1 - smoothing) * loss + (smoothing / <T>n) * spread;
}

/**
 * dx = g[r]·(Σq·softmax(x) - q), the gradient of the above; rows of the ignored class are 0. dx may be x. @kernel @shared 20 * rows * n
 */
export function crossEntropyGradRows<T>(
  rows: i32, n: i32, x: usize, targets: usize, ignore: i32, smoothing: f64, weights: usize, stats: usize, g: usize, dx: usize,
): void {
  const share = <T>(smoothing / <f64>n);
  const whole = weights == 0 ? <T>n : sumRow<T>(n, weights);
  const first = partStart(rows, 1);
  const end = partEnd(rows, 1);
  x = at<T>(x, first * n);
  dx = at<T>(dx, first * n);
  for (let r = first; r < end; r++) {
    const t = load<i32>(at<i32>(targets, r));
    const gr = load<T>(at<T>(g, r));
    if (t == ignore) memory.fill(dx, 0, at<T>(0, n));
    else {
      const own = <T>(1 - smoothing) * weightOf<T>(weights, t);
      const scale = (gr * (own + share * whole)) / load<T>(at<T>(stats, 2 * r + 1));
      expRow<T>(n, load<T>(at<T>(stats, 2 * r)), x, dx);
      scaleRow<T>(n, scale, gr * share, weights, dx);
      store<T>(at<T>(dx, t), load<T>(at<T>(dx, t)) - gr * own);
    }
    x += at<T>(0, n);
    dx += at<T>(0, n);
  }
}

/** y = scale·y - share·w. */
function scaleRow<T>(n: i32, scale: T, share: T, weights: usize, y: usize): void {
  const scales = v128.splat<T>(scale);
  const shares = v128.splat<T>(share);
  for (let i = 0; i < n; i += lanes<T>()) {
    const own = weights == 0 ? shares : v128.mul<T>(shares, loadLanes<T>(weights, i, n, <T>0));
    storeLanes<T>(y, i, n, v128.sub<T>(v128.mul<T>(loadLanes<T>(y, i, n, <T>0), scales), own));
  }
}
