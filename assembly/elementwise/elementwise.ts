import { at, lanes } from "../lanes";
import * as op from "../../src/ops/codes";
import { apply } from "./apply";

/** Elements staged at a time where an operand's elements are not neighbours. */
const BLOCK: i32 = 128;
const STAGE_A = memory.data(1024, 64);
const STAGE_B = memory.data(1024, 64);
const EDGE_A = memory.data(16, 16);
const EDGE_B = memory.data(16, 16);
const EDGE_Y = memory.data(16, 16);
const VALUE = memory.data(8, 8);

// @ts-ignore: decorator
@inline
function copyElements<T>(n: i32, from: usize, stride: i32, to: usize): void {
  const step = (<usize>stride) * sizeof<T>();
  for (let i = 0; i < n; i++) {
    store<T>(at<T>(to, i), load<T>(from));
    from += step;
  }
}

/** n elements; an operand is moved on by da or db bytes a vector (16, or 0 where one vector serves all). */
// @ts-ignore: decorator
@inline
function loop<T>(code: i32, n: i32, a: usize, da: usize, b: usize, db: usize, y: usize): void {
  const L = lanes<T>();
  let i = 0;
  for (; i <= n - L; i += L) {
    v128.store(y, apply<T>(code, v128.load(a), v128.load(b)));
    a += da;
    b += db;
    y += 16;
  }
  const rest = n - i;
  if (rest == 0) return;
  if (da != 0) a = padded<T>(rest, a, EDGE_A);
  if (db != 0) b = padded<T>(rest, b, EDGE_B);
  v128.store(EDGE_Y, apply<T>(code, v128.load(a), v128.load(b)));
  copyElements<T>(rest, EDGE_Y, 1, y);
}

/** The last elements in a vector of their own: nothing is read beyond them. */
function padded<T>(n: i32, from: usize, to: usize): usize {
  copyElements<T>(n, from, 1, to);
  return to;
}

/** Loops of their own for what is called most; the rest choose their operation at every vector. */
function span<T>(code: i32, n: i32, a: usize, da: usize, b: usize, db: usize, y: usize): void {
  if (code == op.ADD) loop<T>(op.ADD, n, a, da, b, db, y);
  else if (code == op.MUL) loop<T>(op.MUL, n, a, da, b, db, y);
  else loop<T>(code, n, a, da, b, db, y);
}

/** An operand of stride 0 as one vector. */
function spread<T>(from: usize, to: usize): usize {
  v128.store(to, v128.splat<T>(load<T>(from)));
  return to;
}

/** One row. Strides in elements. */
function row<T>(code: i32, n: i32, a: usize, aStride: i32, b: usize, bStride: i32, y: usize): void {
  if (aStride == 0) a = spread<T>(a, STAGE_A);
  if (bStride == 0) b = spread<T>(b, STAGE_B);
  const da: usize = aStride == 0 ? 0 : 16;
  const db: usize = bStride == 0 ? 0 : 16;
  if (aStride <= 1 && aStride >= 0 && bStride <= 1 && bStride >= 0) return span<T>(code, n, a, da, b, db, y);
  for (let i = 0; i < n; i += BLOCK) {
    const m = min(BLOCK, n - i);
    span<T>(code, m, staged<T>(m, a, aStride, STAGE_A), da, staged<T>(m, b, bStride, STAGE_B), db, y);
    a += <usize>BLOCK * <usize>aStride * sizeof<T>();
    b += <usize>BLOCK * <usize>bStride * sizeof<T>();
    y += <usize>BLOCK * sizeof<T>();
  }
}

/** m elements as neighbours. */
function staged<T>(m: i32, from: usize, stride: i32, to: usize): usize {
  if (stride == 0 || stride == 1) return from;
  copyElements<T>(m, from, stride, to);
  return to;
}

/**
 * y[i,j,k] = code(a[i,j,k], b[i,j,k]), y contiguous [d0, d1, d2], a and b with strides in elements (0 repeats).
 * An operand whose address is 0 is `value`. y may be a or b where that is contiguous. @kernel
 */
export function elementwise<T>(
  code: i32, d0: i32, d1: i32, d2: i32,
  a: usize, a0: i32, a1: i32, a2: i32,
  b: usize, b0: i32, b1: i32, b2: i32,
  value: f64, y: usize,
): void {
  store<T>(VALUE, <T>value);
  if (a == 0) a = VALUE;
  if (b == 0) b = VALUE;
  for (let i = 0; i < d0; i++) {
    for (let j = 0; j < d1; j++) {
      row<T>(code, d2, at<T>(a, i * a0 + j * a1), a2, at<T>(b, i * b0 + j * b1), b2, y);
      y += <usize>d2 * sizeof<T>();
    }
  }
}
