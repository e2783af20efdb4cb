// Windows of images as columns, and back: with matrix products these two make every convolution and its derivatives.
//
//   columns [planes, kh·kw, oh·ow]: columns[p, (i,j), (u,v)] = x[p, u·sh - top + i·dh, v·sw - left + j·dw]
//
// with x [planes, h, w], and 0 where the window lies outside.

import { loadLanes, storeLanes } from "./edges";
import { at, lanes } from "./lanes";
import { partEnd, partStart } from "./threads";

/** How many of the places first, first + step, … lie before `end`. */
// @ts-ignore: decorator
@inline
function placesBefore(end: i32, first: i32, step: i32): i32 {
  return first >= end ? 0 : (end - first + step - 1) / step;
}

/** Copies (or, with `add`, adds back) the elements that one position of the kernel meets along a row of windows. */
// @ts-ignore: decorator
@inline
function windowRow<T>(add: bool, w: i32, ow: i32, first: i32, step: i32, x: usize, columns: usize): void {
  const from = min(ow, placesBefore(0, first, step));
  const count = max(0, min(ow, placesBefore(w, first, step)) - from);
  x = at<T>(x, first + from * step);
  const inside = at<T>(columns, from);
  if (!add) {
    memory.fill(columns, 0, at<T>(0, from));
    memory.fill(at<T>(inside, count), 0, at<T>(0, ow - from - count));
  }
  if (step == 1) moveRow<T>(add, count, x, inside);
  else moveSteps<T>(add, count, step, x, inside);
}

// @ts-ignore: decorator
@inline
function moveRow<T>(add: bool, n: i32, x: usize, columns: usize): void {
  for (let i = 0; i < n; i += lanes<T>()) {
    if (add) storeLanes<T>(x, i, n, v128.add<T>(loadLanes<T>(x, i, n, <T>0), loadLanes<T>(columns, i, n, <T>0)));
    else storeLanes<T>(columns, i, n, loadLanes<T>(x, i, n, <T>0));
  }
}

// @ts-ignore: decorator
@inline
function moveSteps<T>(add: bool, n: i32, step: i32, x: usize, columns: usize): void {
  for (let i = 0; i < n; i++) {
    const p = at<T>(x, i * step);
    const q = at<T>(columns, i);
    if (add) store<T>(p, load<T>(p) + load<T>(q));
    else store<T>(q, load<T>(p));
  }
}

// @ts-ignore: decorator
@inline
function eachWindowRow<T>(
  add: bool, planes: i32, h: i32, w: i32, kh: i32, kw: i32, oh: i32, ow: i32,
  sh: i32, sw: i32, dh: i32, dw: i32, top: i32, left: i32, x: usize, columns: usize,
): void {
  for (let p = 0; p < planes; p++) {
    for (let i = 0; i < kh; i++) {
      for (let j = 0; j < kw; j++) {
        for (let u = 0; u < oh; u++) {
          const row = u * sh - top + i * dh;
          // Outside, the row of windows sees a row of no elements.
          const width = row >= 0 && row < h ? w : 0;
          windowRow<T>(add, width, ow, j * dw - left, sw, at<T>(x, row * w), columns);
          columns += at<T>(0, ow);
        }
      }
    }
    x += at<T>(0, h * w);
  }
}

/** Columns of x. @kernel @shared planes * kh * kw * oh * ow */
export function unfoldPlanes<T>(
  planes: i32, h: i32, w: i32, kh: i32, kw: i32, oh: i32, ow: i32,
  sh: i32, sw: i32, dh: i32, dw: i32, top: i32, left: i32, x: usize, columns: usize,
): void {
  const first = partStart(planes, 1);
  planes = partEnd(planes, 1) - first;
  x = at<T>(x, first * h * w);
  columns = at<T>(columns, first * kh * kw * oh * ow);
  eachWindowRow<T>(false, planes, h, w, kh, kw, oh, ow, sh, sw, dh, dw, top, left, x, columns);
}

/** The transpose: x[p,·,·] = the sum of the columns' elements that came from there, in the order of the kernel's positions. @kernel @shared planes * kh * kw * oh * ow */
export function foldPlanes<T>(
  planes: i32, h: i32, w: i32, kh: i32, kw: i32, oh: i32, ow: i32,
  sh: i32, sw: i32, dh: i32, dw: i32, top: i32, left: i32, columns: usize, x: usize,
): void {
  const first = partStart(planes, 1);
  planes = partEnd(planes, 1) - first;
  x = at<T>(x, first * h * w);
  columns = at<T>(columns, first * kh * kw * oh * ow);
  memory.fill(x, 0, at<T>(0, planes * h * w));
  eachWindowRow<T>(true, planes, h, w, kh, kw, oh, ow, sh, sw, dh, dw, top, left, x, columns);
}
