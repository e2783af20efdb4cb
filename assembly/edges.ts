// Where an array ends within a vector: the one vocabulary for it. The last elements go through the same vector instructions as the
// others; lanes beyond them hold a value that the caller names, and memory beyond them is neither read nor written.
//
//   loadFirst, storeFirst   `count` elements at an address, at most as many as there are lanes
//   loadLanes, storeLanes   the elements from index i on, of an array of n
//   loadEnds, storeEnds     the last elements of several rows, to and from one vector each

import { at, lanes } from "./lanes";

/** The first `count` ≤ lanes elements at p; the other lanes hold `rest`. */
// @ts-ignore: decorator
@inline
export function loadFirst<T>(p: usize, count: i32, rest: T): v128 {
  return count == lanes<T>() ? v128.load(p) : loadPart<T>(p, count, rest);
}

/** Stores the first `count` ≤ lanes elements of v at p. */
// @ts-ignore: decorator
@inline
export function storeFirst<T>(p: usize, count: i32, v: v128): void {
  if (count == lanes<T>()) v128.store(p, v);
  else storePart<T>(p, count, v);
}

/** Elements i, i + 1, … of an array of n; lanes beyond its end hold `rest`. */
// @ts-ignore: decorator
@inline
export function loadLanes<T>(base: usize, i: i32, n: i32, rest: T): v128 {
  return i <= n - lanes<T>() ? v128.load(at<T>(base, i)) : loadPart<T>(at<T>(base, i), n - i, rest);
}

/** Stores elements i, i + 1, … of an array of n; lanes beyond its end are dropped. */
// @ts-ignore: decorator
@inline
export function storeLanes<T>(base: usize, i: i32, n: i32, v: v128): void {
  if (i <= n - lanes<T>()) v128.store(at<T>(base, i), v);
  else storePart<T>(at<T>(base, i), n - i, v);
}

/** Fewer elements than there are lanes, and at least one. */
function loadPart<T>(p: usize, count: i32, rest: T): v128 {
  let v = v128.load_lane<T>(p, v128.splat<T>(rest), 0);
  if (sizeof<T>() == 8) return v;
  if (count > 1) v = v128.load_lane<f32>(p + 4, v, 1);
  if (count > 2) v = v128.load_lane<f32>(p + 8, v, 2);
  return v;
}

function storePart<T>(p: usize, count: i32, v: v128): void {
  v128.store_lane<T>(p, v, 0);
  if (sizeof<T>() == 8) return;
  if (count > 1) v128.store_lane<f32>(p + 4, v, 1);
  if (count > 2) v128.store_lane<f32>(p + 8, v, 2);
}

/**
 * The last `count` < lanes elements of each of some rows, `stride` elements apart: side by side at `to`, a vector a row, so that
 * loops over vectors need no other form for them.
 */
export function loadEnds<T>(count: i32, rows: i32, from: usize, stride: i32, to: usize): void {
  for (let r = 0; r < rows; r++) {
    v128.store(to, loadPart<T>(from, count, <T>0));
    from = at<T>(from, stride);
    to += 16;
  }
}

/** The way back. */
export function storeEnds<T>(count: i32, rows: i32, from: usize, to: usize, stride: i32): void {
  for (let r = 0; r < rows; r++) {
    storePart<T>(to, count, v128.load(from));
    from += 16;
    to = at<T>(to, stride);
  }
}
