import { at, transposeTile } from "./lanes";
import { isShared, partEnd, partStart } from "./threads";

/** Sets n elements of y to value. @kernel @shared n */
export function fill<T>(n: i32, value: f64, y: usize): void {
  const v = v128.splat<T>(<T>value);
  const L = <i32>(16 / sizeof<T>());
  let i = partStart(n, 64);
  n = partEnd(n, 64);
  for (; i <= n - L; i += L) v128.store(at<T>(y, i), v);
  for (; i < n; i++) store<T>(at<T>(y, i), <T>value);
}

/** Rows at least this long go through the host's bulk copy, whose call costs more than a few vectors. */
const BULK_BYTES = 256;

/** n neighbouring elements. */
export function copyRow<E>(n: i32, source: usize, target: usize): void {
  const bytes = n * <i32>sizeof<E>();
  if (bytes >= BULK_BYTES) {
    memory.copy(target, source, bytes);
    return;
  }
  let i = 0;
  for (; i <= bytes - 16; i += 16) v128.store(target + i, v128.load(source + i));
  for (; i < bytes; i += sizeof<E>()) store<E>(target + i, load<E>(source + i));
}

/** n elements, sourceStep and targetStep bytes apart. */
// @ts-ignore: decorator
@inline
function copyElements<E>(n: i32, source: usize, sourceStep: i32, target: usize, targetStep: i32): void {
  for (let i = 0; i < n; i++) {
    store<E>(target, load<E>(source));
    source += sourceStep;
    target += targetStep;
  }
}

/** Columns of the target written together, so that its lines stay in the first cache while the source is read along its rows. */
const BLOCK = 16;

/** target[i,j] = source[j,i] for rows × columns of the target; steps are those of the rows of each, in bytes. */
function transpose<E>(rows: i32, columns: i32, source: usize, sourceStep: i32, target: usize, targetStep: i32): void {
  const L = sizeof<E>() == 1 ? 1 : <i32>(16 / sizeof<E>());
  const wholeRows = sizeof<E>() == 1 ? 0 : rows & ~(L - 1);
  const wholeColumns = columns & ~(L - 1);
  for (let j0 = 0; j0 < wholeColumns; j0 += BLOCK) {
    const end = min(j0 + BLOCK, wholeColumns);
    for (let i = 0; i < wholeRows; i += L) {
      for (let j = j0; j < end; j += L) {
        transposeTile<E>(at<E>(source + j * sourceStep, i), sourceStep, at<E>(target + i * targetStep, j), targetStep);
      }
    }
  }
  for (let i = 0; i < wholeRows; i++) {
    const from = at<E>(source + wholeColumns * sourceStep, i);
    copyElements<E>(columns - wholeColumns, from, sourceStep, at<E>(target + i * targetStep, wholeColumns), sizeof<E>());
  }
  for (let i = wholeRows; i < rows; i++) copyElements<E>(columns, at<E>(source, i), sourceStep, target + i * targetStep, sizeof<E>());
}

/** The two inner axes; strides in elements. */
function copyPlane<E>(n0: i32, n1: i32, s0: i32, s1: i32, t0: i32, t1: i32, source: usize, target: usize): void {
  const size = <i32>sizeof<E>();
  if (s0 == 1 && t1 == 1) {
    transpose<E>(n0, n1, source, s1 * size, target, t0 * size);
    return;
  }
  for (let i = 0; i < n0; i++) {
    if (s1 == 1 && t1 == 1) copyRow<E>(n1, source, target);
    else copyElements<E>(n1, source, s1 * size, target, t1 * size);
    source += s0 * size;
    target += t0 * size;
  }
}

function copyAxes<E>(
  n0: i32, n1: i32, n2: i32, n3: i32,
  s0: i32, s1: i32, s2: i32, s3: i32,
  t0: i32, t1: i32, t2: i32, t3: i32,
  source: usize, target: usize,
): void {
  const size = <i32>sizeof<E>();
  for (let i = 0; i < n0; i++) {
    for (let j = 0; j < n1; j++) {
      copyPlane<E>(n2, n3, s2, s3, t2, t3, source + (i * s0 + j * s1) * size, target + (i * t0 + j * t1) * size);
    }
  }
}

/**
 * Copies elements of `width` bytes (1, 4 or 8) over four axes, n3 the innermost, from strides s to strides t
 * (counted in elements; zero repeats, negative walks back). Source and target do not overlap. Not a float kernel: call it with dtype int32.
 * @kernel @shared 2 * n0 * n1 * n2 * n3
 */
export function copyStrided(
  width: i32,
  n0: i32, n1: i32, n2: i32, n3: i32,
  s0: i32, s1: i32, s2: i32, s3: i32,
  t0: i32, t1: i32, t2: i32, t3: i32,
  source: usize, target: usize
): void {
  // Threads share the first axis that has more than one.
  if (isShared()) {
    const axis = n0 > 1 ? 0 : n1 > 1 ? 1 : n2 > 1 ? 2 : 3;
    const n = axis == 0 ? n0 : axis == 1 ? n1 : axis == 2 ? n2 : n3;
    const first = partStart(n, axis < 2 ? 1 : BLOCK);
    const count = partEnd(n, axis < 2 ? 1 : BLOCK) - first;
    source += first * width * (axis == 0 ? s0 : axis == 1 ? s1 : axis == 2 ? s2 : s3);
    target += first * width * (axis == 0 ? t0 : axis == 1 ? t1 : axis == 2 ? t2 : t3);
    if (axis == 0) n0 = count;
    else if (axis == 1) n1 = count;
    else if (axis == 2) n2 = count;
    else n3 = count;
  }
  if (width == 4) copyAxes<u32>(n0, n1, n2, n3, s0, s1, s2, s3, t0, t1, t2, t3, source, target);
  else if (width == 8) copyAxes<u64>(n0, n1, n2, n3, s0, s1, s2, s3, t0, t1, t2, t3, source, target);
  else copyAxes<u8>(n0, n1, n2, n3, s0, s1, s2, s3, t0, t1, t2, t3, source, target);
}
