// Any elementwise operation over any strides: one walk over the outer axes, one loop along the innermost.

import * as op from "../codes.gen";
import { loadFirst, storeFirst } from "../edges";
import { at, lanes } from "../lanes";
import { volume } from "../work";
import { apply, applyHot } from "./apply";
import { isShared, own, partEnd, partStart } from "../threads";

/** Elements staged at a time where an operand's are not neighbours, and where masks meet lanes. */
const BLOCK: i32 = 128;
const STAGE_A = own(memory.data(1024, 64));
const STAGE_B = own(memory.data(1024, 64));
const STAGE_C = own(memory.data(1024, 64));
const STAGE_Y = own(memory.data(1024, 64));
const EDGE_A = own(memory.data(16, 16));
const EDGE_B = own(memory.data(16, 16));
const EDGE_C = own(memory.data(16, 16));
const EDGE_Y = own(memory.data(16, 16));

/** The numbers that stand for absent operands. */
const NUMBER_A = own(memory.data(8, 8));
const NUMBER_B = own(memory.data(8, 8));

/** n elements `stride` apart, side by side at `to`. */
// @ts-ignore: decorator
@inline
function collect<T>(n: i32, from: usize, stride: i32, to: usize): void {
  const step = (<isize>stride) * sizeof<T>();
  for (let i = 0; i < n; i++) {
    store<T>(at<T>(to, i), load<T>(from));
    from += step;
  }
}

/** The last elements in a vector of their own, so that nothing is read beyond them. */
function padded<T>(n: i32, from: usize, step: usize, to: usize): usize {
  if (step == 0) return from;
  v128.store(to, loadFirst<T>(from, n, <T>0));
  return to;
}

/** Whole vectors; an operand moves on by its step, 16 bytes, or 0 where one vector serves all. */
// @ts-ignore: decorator
@inline
function loop<T>(hot: bool, code: i32, vectors: i32, a: usize, aStep: usize, b: usize, bStep: usize, c: usize, cStep: usize, y: usize): void {
  for (; vectors > 0; vectors--) {
    if (hot) v128.store(y, applyHot<T>(code, v128.load(a), v128.load(b)));
    else v128.store(y, apply<T>(code, v128.load(a), v128.load(b), v128.load(c)));
    a += aStep;
    b += bStep;
    c += cStep;
    y += 16;
  }
}

/** All that the small binary computes: biases are added, what dropout keeps is scaled. */
function runSmall<T>(code: i32, n: i32, a: usize, aStep: usize, b: usize, bStep: usize, y: usize): void {
  if (code == op.ADD) loop<T>(true, op.ADD, n, a, aStep, b, bStep, 0, 0, y);
  else if (code == op.MUL) loop<T>(true, op.MUL, n, a, aStep, b, bStep, 0, 0, y);
  else unreachable();
}

/** What is called most has a loop of its own: a call and a branch for every vector take several times what an addition takes. */
function run<T>(code: i32, n: i32, a: usize, aStep: usize, b: usize, bStep: usize, c: usize, cStep: usize, y: usize): void {
  if (isDefined(SMALL)) return runSmall<T>(code, n, a, aStep, b, bStep, y);
  switch (code) {
    case op.ADD: loop<T>(true, op.ADD, n, a, aStep, b, bStep, c, 0, y); break;
    case op.SUB: loop<T>(true, op.SUB, n, a, aStep, b, bStep, c, 0, y); break;
    case op.MUL: loop<T>(true, op.MUL, n, a, aStep, b, bStep, c, 0, y); break;
    case op.DIV: loop<T>(true, op.DIV, n, a, aStep, b, bStep, c, 0, y); break;
    case op.NEG: loop<T>(true, op.NEG, n, a, aStep, b, bStep, c, 0, y); break;
    case op.SQUARE: loop<T>(true, op.SQUARE, n, a, aStep, b, bStep, c, 0, y); break;
    case op.MAXIMUM: loop<T>(true, op.MAXIMUM, n, a, aStep, b, bStep, c, 0, y); break;
    case op.MINIMUM: loop<T>(true, op.MINIMUM, n, a, aStep, b, bStep, c, 0, y); break;
    case op.GATE: loop<T>(true, op.GATE, n, a, aStep, b, bStep, c, 0, y); break;
    case op.RELU: loop<T>(true, op.RELU, n, a, aStep, b, bStep, c, 0, y); break;
    case op.EXP: loop<T>(true, op.EXP, n, a, aStep, b, bStep, c, 0, y); break;
    case op.TANH: loop<T>(true, op.TANH, n, a, aStep, b, bStep, c, 0, y); break;
    case op.SIGMOID: loop<T>(true, op.SIGMOID, n, a, aStep, b, bStep, c, 0, y); break;
    case op.TANH_GRAD: loop<T>(true, op.TANH_GRAD, n, a, aStep, b, bStep, c, 0, y); break;
    case op.SIGMOID_GRAD: loop<T>(true, op.SIGMOID_GRAD, n, a, aStep, b, bStep, c, 0, y); break;
    default: loop<T>(false, code, n, a, aStep, b, bStep, c, cStep, y);
  }
}

/**
 * y = code(a, b, c) for n neighbours; an operand of step 0 is one vector. y may be an operand.
 * What is left over goes through the same instructions, padded.
 */
export function span<T>(code: i32, n: i32, a: usize, aStep: usize, b: usize, bStep: usize, c: usize, cStep: usize, y: usize): void {
  const vectors = n / lanes<T>();
  const rest = n % lanes<T>();
  run<T>(code, vectors, a, aStep, b, bStep, c, cStep, y);
  if (rest == 0) return;
  a = padded<T>(rest, a + vectors * aStep, aStep, EDGE_A);
  b = padded<T>(rest, b + vectors * bStep, bStep, EDGE_B);
  c = padded<T>(rest, c + vectors * cStep, cStep, EDGE_C);
  run<T>(code, 1, a, 0, b, 0, c, 0, EDGE_Y);
  storeFirst<T>(y + (<usize>vectors << 4), rest, v128.load(EDGE_Y));
}

/** m elements of an operand as neighbours; one vector of copies where its stride is 0. */
function staged<T>(m: i32, from: usize, stride: i32, to: usize): usize {
  if (stride == 1) return from;
  if (stride == 0) v128.store(to, v128.splat<T>(load<T>(from)));
  else collect<T>(m, from, stride, to);
  return to;
}

/** m bytes of a mask as lanes of ones or zeros. */
function stagedMask<T>(m: i32, from: usize, stride: i32, to: usize): usize {
  for (let i = 0; i < m; i++) {
    const bits = -<i64>(load<u8>(from) != 0);
    if (sizeof<T>() == 4) store<i32>(at<T>(to, i), <i32>bits);
    else store<i64>(at<T>(to, i), bits);
    from += <isize>stride;
  }
  return to;
}

/** Lanes of ones or zeros as bytes of 1 or 0. */
function storeMask<T>(m: i32, from: usize, to: usize): void {
  for (let i = 0; i < m; i++) store<u8>(to + i, load<u8>(at<T>(from, i)) & 1);
}

// @ts-ignore: decorator
@inline
function stepOf(stride: i32): usize {
  return stride == 0 ? 0 : 16;
}

/** The innermost axis; strides in elements. */
function row<T>(code: i32, n: i32, a: usize, aStride: i32, b: usize, bStride: i32, c: usize, cStride: i32, y: usize): void {
  const isMask = code >= op.FIRST_MASK;
  const chooses = code == op.SELECT || code == op.INT_SELECT;
  const plain = (aStride | bStride) >>> 1 == 0 && !isMask && !chooses;
  const block = plain ? n : BLOCK;
  for (let i = 0; i < n; i += block) {
    const m = min(block, n - i);
    const pa = staged<T>(m, a, aStride, STAGE_A);
    const pb = staged<T>(m, b, bStride, STAGE_B);
    const pc = chooses ? stagedMask<T>(m, c, cStride, STAGE_C) : STAGE_C;
    span<T>(code, m, pa, stepOf(aStride), pb, stepOf(bStride), pc, chooses ? 16 : 0, isMask ? STAGE_Y : at<T>(y, i));
    if (isMask) storeMask<T>(m, STAGE_Y, y + i);
    a += <isize>aStride * m * sizeof<T>();
    b += <isize>bStride * m * sizeof<T>();
    c += <isize>cStride * m;
  }
}

// @ts-ignore: decorator
@inline
function slot(slots: usize, i: i32): i32 {
  return <i32>load<f64>(slots + (<usize>i << 3));
}

/** Bytes of an element of the result. */
// @ts-ignore: decorator
@inline
function sizeOf<T>(code: i32): usize {
  return code >= op.FIRST_MASK ? 1 : sizeof<T>();
}

/** The axes from `axis` on, of which it has n; returns where the result goes on. */
function axes<T>(code: i32, axis: i32, n: i32, rank: i32, slots: usize, a: usize, b: usize, c: usize, y: usize): usize {
  const aStride = slot(slots, rank + axis);
  const bStride = slot(slots, 2 * rank + axis);
  const cStride = slot(slots, 3 * rank + axis);
  if (axis == rank - 1) {
    row<T>(code, n, a, aStride, b, bStride, c, cStride, y);
    return y + <usize>n * sizeOf<T>(code);
  }
  const next = slot(slots, axis + 1);
  for (let i = 0; i < n; i++) {
    y = axes<T>(code, axis + 1, next, rank, slots, a, b, c, y);
    a += <isize>aStride * sizeof<T>();
    b += <isize>bStride * sizeof<T>();
    c += <isize>cStride;
  }
  return y;
}

/**
 * y = code(a, b, c) for every element; y contiguous, and possibly a or b itself where that is contiguous too.
 * c is a mask, used by SELECT and INT_SELECT alone. An operand whose address is 0 is the number numberA or numberB.
 * The slots hold, for `rank` axes each: dimensions, strides of a, of b, of c in elements (0 repeats). @kernel @shared 4 * volume(rank, slots)
 */
export function elementwise<T>(
  code: i32, a: usize, b: usize, c: usize, numberA: f64, numberB: f64, y: usize, rank: i32, slots: usize,
): void {
  const isInt = (code >= op.FIRST_INT && code < op.FIRST_MASK) || code >= op.FIRST_INT_MASK;
  if (isInt) {
    store<i32>(NUMBER_A, <i32>numberA);
    store<i32>(NUMBER_B, <i32>numberB);
  } else {
    store<T>(NUMBER_A, <T>numberA);
    store<T>(NUMBER_B, <T>numberB);
  }
  if (a == 0) a = NUMBER_A;
  if (b == 0) b = NUMBER_B;
  let n = slot(slots, 0);
  if (isShared()) {
    const first = partStart(n, rank == 1 ? BLOCK : 1);
    const end = partEnd(n, rank == 1 ? BLOCK : 1);
    a += <isize>slot(slots, rank) * first * sizeof<T>();
    b += <isize>slot(slots, 2 * rank) * first * sizeof<T>();
    c += <isize>slot(slots, 3 * rank) * first;
    y += <usize>first * sizeOf<T>(code) * <usize>volume(rank - 1, slots + 8);
    n = end - first;
  }
  axes<T>(code, 0, n, rank, slots, a, b, c, y);
}
