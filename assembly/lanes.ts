// The one vocabulary for vectors: every kernel is generic over T = f32 or f64 and uses these.

/** Lanes of T in a vector: 4 for f32, 2 for f64. */
// @ts-ignore: decorator
@inline
export function lanes<T>(): i32 {
  return <i32>(16 / sizeof<T>());
}

/** a·b + c: one rounding in the relaxed build, two in the deterministic one. */
// @ts-ignore: decorator
@inline
export function madd<T>(a: v128, b: v128, c: v128): v128 {
  if (isDefined(RELAXED)) return v128.relaxed_madd<T>(a, b, c);
  return v128.add<T>(c, v128.mul<T>(a, b));
}

/** Address of element i of an array of T. */
// @ts-ignore: decorator
@inline
export function at<T>(base: usize, i: i32): usize {
  return base + (<usize>i) * sizeof<T>();
}

/** Sum of the lanes, left to right: a fixed order, so the same bits everywhere. */
// @ts-ignore: decorator
@inline
export function sumLanes<T>(v: v128): T {
  let s = v128.extract_lane<T>(v, 0);
  s = <T>(s + v128.extract_lane<T>(v, 1));
  if (sizeof<T>() == 4) {
    s = <T>(s + v128.extract_lane<T>(v, 2));
    s = <T>(s + v128.extract_lane<T>(v, 3));
  }
  return s;
}
