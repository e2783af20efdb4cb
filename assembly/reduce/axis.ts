// Reductions of a tensor seen as [outer, axis, inner] to [outer, inner].
//
// The order is fixed, and the same for an output whatever surrounds it:
// - inner = 1: a row longer than RUN is cut in two at a multiple of RUN and the halves are joined (pairwise, so the error
//   grows with log n). A run goes through four vectors of partial results, joined as (0·1)·(2·3), then the lanes from left
//   to right, then the elements that fill no vector.
// - inner > 1: every column goes down the axis in runs of RUN rows, which are joined in order.

import { at, lanes } from "../lanes";

export class Add {}
class Mul {}
export class Max {}
class Min {}

const RUN: i32 = 256;

// @ts-ignore: decorator
@inline
function join<T, Op>(a: v128, b: v128): v128 {
  if (idof<Op>() == idof<Add>()) return v128.add<T>(a, b);
  if (idof<Op>() == idof<Mul>()) return v128.mul<T>(a, b);
  if (idof<Op>() == idof<Max>()) return v128.max<T>(a, b);
  return v128.min<T>(a, b);
}

// @ts-ignore: decorator
@inline
function joinOne<T, Op>(a: T, b: T): T {
  if (idof<Op>() == idof<Add>()) return <T>(a + b);
  if (idof<Op>() == idof<Mul>()) return <T>(a * b);
  if (idof<Op>() == idof<Max>()) return max<T>(a, b);
  return min<T>(a, b);
}

/** What joining leaves unchanged. */
// @ts-ignore: decorator
@inline
function neutral<T, Op>(): T {
  if (idof<Op>() == idof<Add>()) return <T>0;
  if (idof<Op>() == idof<Mul>()) return <T>1;
  if (idof<Op>() == idof<Max>()) return <T>-Infinity;
  return <T>Infinity;
}

// @ts-ignore: decorator
@inline
function joinLanes<T, Op>(v: v128): T {
  let s = joinOne<T, Op>(v128.extract_lane<T>(v, 0), v128.extract_lane<T>(v, 1));
  if (sizeof<T>() == 4) {
    s = joinOne<T, Op>(s, v128.extract_lane<T>(v, 2));
    s = joinOne<T, Op>(s, v128.extract_lane<T>(v, 3));
  }
  return s;
}

/** A row of n elements reduced to one. */
export function reduceRow<T, Op>(n: i32, x: usize): T {
  if (n > RUN) {
    const half = ((n >> 1) + RUN - 1) & -RUN;
    return joinOne<T, Op>(reduceRow<T, Op>(half, x), reduceRow<T, Op>(n - half, at<T>(x, half)));
  }
  const L = lanes<T>();
  let a = v128.splat<T>(neutral<T, Op>());
  let b = a;
  let c = a;
  let d = a;
  let i = 0;
  for (; i <= n - 4 * L; i += 4 * L) {
    const p = at<T>(x, i);
    a = join<T, Op>(a, v128.load(p));
    b = join<T, Op>(b, v128.load(p, 16));
    c = join<T, Op>(c, v128.load(p, 32));
    d = join<T, Op>(d, v128.load(p, 48));
  }
  for (; i <= n - L; i += L) a = join<T, Op>(a, v128.load(at<T>(x, i)));
  let s = joinLanes<T, Op>(join<T, Op>(join<T, Op>(a, b), join<T, Op>(c, d)));
  for (; i < n; i++) s = joinOne<T, Op>(s, load<T>(at<T>(x, i)));
  return s;
}

/** y[j] is joined with rows rows of x, width elements each and inner apart. */
function reduceColumns<T, Op>(rows: i32, inner: i32, x: usize, y: usize): void {
  const L = lanes<T>();
  const row = at<T>(0, inner);
  let j = 0;
  for (; j <= inner - L; j += L) {
    let p = at<T>(x, j);
    let s = v128.splat<T>(neutral<T, Op>());
    for (let k = 0; k < rows; k++, p += row) s = join<T, Op>(s, v128.load(p));
    v128.store(at<T>(y, j), join<T, Op>(v128.load(at<T>(y, j)), s));
  }
  for (; j < inner; j++) {
    let p = at<T>(x, j);
    let s = neutral<T, Op>();
    for (let k = 0; k < rows; k++, p += row) s = joinOne<T, Op>(s, load<T>(p));
    store<T>(at<T>(y, j), joinOne<T, Op>(load<T>(at<T>(y, j)), s));
  }
}

function reduceAxis<T, Op>(outer: i32, axis: i32, inner: i32, x: usize, y: usize): void {
  for (let o = 0; o < outer; o++) {
    if (inner == 1) {
      store<T>(at<T>(y, o), reduceRow<T, Op>(axis, at<T>(x, o * axis)));
      continue;
    }
    const out = at<T>(y, o * inner);
    for (let j = 0; j < inner; j++) store<T>(at<T>(out, j), neutral<T, Op>());
    for (let k = 0; k < axis; k += RUN) {
      reduceColumns<T, Op>(min(RUN, axis - k), inner, at<T>(x, (o * axis + k) * inner), out);
    }
  }
}

/** y[o,j] = Σk x[o,k,j]; zero for an empty axis. @kernel */
export function sumAxis<T>(outer: i32, axis: i32, inner: i32, x: usize, y: usize): void {
  reduceAxis<T, Add>(outer, axis, inner, x, y);
}

/** y[o,j] = Πk x[o,k,j]; one for an empty axis. @kernel */
export function prodAxis<T>(outer: i32, axis: i32, inner: i32, x: usize, y: usize): void {
  reduceAxis<T, Mul>(outer, axis, inner, x, y);
}

/** y[o,j] = the largest x[o,k,j]; NaN if there is one. @kernel */
export function maxAxis<T>(outer: i32, axis: i32, inner: i32, x: usize, y: usize): void {
  reduceAxis<T, Max>(outer, axis, inner, x, y);
}

/** y[o,j] = the smallest x[o,k,j]; NaN if there is one. @kernel */
export function minAxis<T>(outer: i32, axis: i32, inner: i32, x: usize, y: usize): void {
  reduceAxis<T, Min>(outer, axis, inner, x, y);
}
