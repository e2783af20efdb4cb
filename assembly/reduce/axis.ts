// Reductions of a tensor seen as [outer, axis, inner] to [outer, inner].
//
// The order is fixed, and the same for an output whatever surrounds it:
// - inner = 1: a row longer than RUN is cut in two at a multiple of RUN and the halves are joined (pairwise, so the error
//   grows with log n). A run goes through four vectors of partial results, what is left at its end through the first of
//   them; they are joined as (0·1)·(2·3), then the lanes from left to right.
// - inner > 1: every column goes down the axis in runs of RUN rows, which are joined in order.

import { MAXIMUM, MUL } from "../codes.gen";
import { loadLanes, storeLanes } from "../edges";
import { at, lanes } from "../lanes";
import { isShared, own, partEnd, partStart } from "../threads";

/** How elements are joined: by addition or the maximum, compiled on their own, or as the code `op` says at run time. */
class Added {}
class Largest {}
class Chosen {}

const RUN: i32 = 256;

// @ts-ignore: decorator
@inline
function join<T, How>(op: i32, a: v128, b: v128): v128 {
  if (idof<How>() == idof<Added>()) return v128.add<T>(a, b);
  if (idof<How>() == idof<Largest>()) return v128.max<T>(a, b);
  if (op == MUL) return v128.mul<T>(a, b);
  return op == MAXIMUM ? v128.max<T>(a, b) : v128.min<T>(a, b);
}

// @ts-ignore: decorator
@inline
function joinOne<T, How>(op: i32, a: T, b: T): T {
  if (idof<How>() == idof<Added>()) return a + b;
  if (op == MUL) return a * b;
  return op == MAXIMUM ? max<T>(a, b) : min<T>(a, b);
}

/** What joining leaves unchanged. */
// @ts-ignore: decorator
@inline
function neutral<T, How>(op: i32): T {
  if (idof<How>() == idof<Added>()) return <T>0;
  if (op == MUL) return <T>1;
  return op == MAXIMUM ? <T>-Infinity : <T>Infinity;
}

// @ts-ignore: decorator
@inline
function joinLanes<T, How>(op: i32, v: v128): T {
  let s = joinOne<T, How>(op, v128.extract_lane<T>(v, 0), v128.extract_lane<T>(v, 1));
  if (sizeof<T>() == 4) {
    s = joinOne<T, How>(op, s, v128.extract_lane<T>(v, 2));
    s = joinOne<T, How>(op, s, v128.extract_lane<T>(v, 3));
  }
  return s;
}

function reduceRow<T, How>(op: i32, n: i32, x: usize): T {
  if (n > RUN) {
    const half = ((n >> 1) + RUN - 1) & -RUN;
    return joinOne<T, How>(op, reduceRow<T, How>(op, half, x), reduceRow<T, How>(op, n - half, at<T>(x, half)));
  }
  const L = lanes<T>();
  const rest = neutral<T, How>(op);
  let a = v128.splat<T>(rest);
  let b = a;
  let c = a;
  let d = a;
  let i = 0;
  for (; i <= n - 4 * L; i += 4 * L) {
    const p = at<T>(x, i);
    a = join<T, How>(op, a, v128.load(p));
    b = join<T, How>(op, b, v128.load(p, 16));
    c = join<T, How>(op, c, v128.load(p, 32));
    d = join<T, How>(op, d, v128.load(p, 48));
  }
  for (; i < n; i += L) a = join<T, How>(op, a, loadLanes<T>(x, i, n, rest));
  return joinLanes<T, How>(op, join<T, How>(op, join<T, How>(op, a, b), join<T, How>(op, c, d)));
}

/** The sum of a row of n elements. */
export function sumRow<T>(n: i32, x: usize): T {
  return reduceRow<T, Added>(0, n, x);
}

/** The largest of a row of n elements. */
export function maxRow<T>(n: i32, x: usize): T {
  return reduceRow<T, Largest>(MAXIMUM, n, x);
}

/** Results of the run in progress: up to STRIP bytes of columns at a time. */
const STRIP: i32 = 2048;
const PARTIAL = own(memory.data(2048, 64));

/** Columns side by side, row after row: x is `width` columns of [axis, …] with `row` bytes between rows, y their results. */
function reduceStrip<T, How>(op: i32, axis: i32, width: i32, row: usize, x: usize, y: usize): void {
  const none = v128.splat<T>(neutral<T, How>(op));
  for (let j = 0; j < width; j += lanes<T>()) storeLanes<T>(y, j, width, none);
  for (let k = 0; k < axis; k += RUN) {
    for (let j = 0; j < width; j += lanes<T>()) v128.store(at<T>(PARTIAL, j), none);
    for (let r = min(RUN, axis - k); r > 0; r--, x += row) {
      for (let j = 0; j < width; j += lanes<T>()) {
        const p = at<T>(PARTIAL, j);
        v128.store(p, join<T, How>(op, v128.load(p), loadLanes<T>(x, j, width, <T>0)));
      }
    }
    for (let j = 0; j < width; j += lanes<T>()) {
      storeLanes<T>(y, j, width, join<T, How>(op, loadLanes<T>(y, j, width, <T>0), v128.load(at<T>(PARTIAL, j))));
    }
  }
}

/** Columns `first` to `end` of an output row of x [axis, inner]. */
// @ts-ignore: decorator
@inline
function reduceColumns<T, How>(op: i32, axis: i32, inner: i32, first: i32, end: i32, x: usize, y: usize): void {
  const strip = STRIP / <i32>sizeof<T>();
  for (let j = first; j < end; j += strip) {
    reduceStrip<T, How>(op, axis, min(strip, end - j), at<T>(0, inner), at<T>(x, j), at<T>(y, j));
  }
}

/** From this many rows of outputs on, threads share them. Else parts of a row are of whole vectors. */
const MANY_ROWS: i32 = 8;
const COLUMNS: i32 = 16;

// @ts-ignore: decorator
@inline
function reduceAxis<T, How>(op: i32, outer: i32, axis: i32, inner: i32, x: usize, y: usize): void {
  // Threads share rows of outputs if there are some for each, else the columns of every row.
  const byRows = inner == 1 || outer >= MANY_ROWS;
  const o = byRows ? partStart(outer, 1) : 0;
  const column = byRows ? 0 : partStart(inner, COLUMNS);
  const end = byRows ? inner : partEnd(inner, COLUMNS);
  if (isShared()) {
    if (byRows) outer = partEnd(outer, 1) - o;
    x = at<T>(x, o * axis * inner);
    y = at<T>(y, o * inner);
  }
  for (; outer > 0; outer--) {
    if (inner == 1) store<T>(y, reduceRow<T, How>(op, axis, x));
    else reduceColumns<T, How>(op, axis, inner, column, end, x, y);
    x += at<T>(0, axis * inner);
    y += at<T>(0, inner);
  }
}

/** y[o,j] = Σk x[o,k,j]; zero for an empty axis. @kernel @shared 2 * outer * axis * inner */
export function sumAxis<T>(outer: i32, axis: i32, inner: i32, x: usize, y: usize): void {
  reduceAxis<T, Added>(0, outer, axis, inner, x, y);
}

/**
 * y[o,j] = x[o,·,j] joined by MUL, MAXIMUM or MINIMUM, NaN if there is one; 1, -∞ or ∞ for an empty axis. @kernel @shared 2 * outer * axis * inner
 */
export function joinAxis<T>(op: i32, outer: i32, axis: i32, inner: i32, x: usize, y: usize): void {
  reduceAxis<T, Chosen>(op, outer, axis, inner, x, y);
}
