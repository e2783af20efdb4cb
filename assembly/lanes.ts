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

/** A square of lanes × lanes from rows `fromRow` bytes apart, written as columns, `toRow` bytes apart. */
// @ts-ignore: decorator
@inline
export function transposeTile<T>(from: usize, fromRow: usize, to: usize, toRow: usize): void {
  const r0 = v128.load(from);
  const r1 = v128.load(from + fromRow);
  if (sizeof<T>() == 8) {
    v128.store(to, v128.shuffle<f64>(r0, r1, 0, 2));
    v128.store(to + toRow, v128.shuffle<f64>(r0, r1, 1, 3));
    return;
  }
  const r2 = v128.load(from + 2 * fromRow);
  const r3 = v128.load(from + 3 * fromRow);
  const low01 = v128.shuffle<f32>(r0, r1, 0, 4, 1, 5);
  const high01 = v128.shuffle<f32>(r0, r1, 2, 6, 3, 7);
  const low23 = v128.shuffle<f32>(r2, r3, 0, 4, 1, 5);
  const high23 = v128.shuffle<f32>(r2, r3, 2, 6, 3, 7);
  v128.store(to, v128.shuffle<f64>(low01, low23, 0, 2));
  v128.store(to + toRow, v128.shuffle<f64>(low01, low23, 1, 3));
  v128.store(to + 2 * toRow, v128.shuffle<f64>(high01, high23, 0, 2));
  v128.store(to + 3 * toRow, v128.shuffle<f64>(high01, high23, 1, 3));
}
