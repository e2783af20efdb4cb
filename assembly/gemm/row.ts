// One row of A against B (a step at batch 1): the same sums in the same order as the register tile.

import { at, lanes, madd } from "../lanes";
import { directTiles, NR } from "./tile";

/**
 * c (n) = s + a·B over panels; s may be c, null stands for zeros. Several panels stream by at once, so that their chains of
 * additions hide each other's latency: four where the multiply-add is fused, else three, for want of registers; two in f64.
 */
export function rowTimesPanels<T>(n: i32, k: i32, a: usize, b: usize, panel: usize, bStep: usize, s: usize, c: usize): void {
  if (s == 0) {
    memory.fill(c, 0, <usize>n * sizeof<T>());
    s = c;
  }
  while (n >= 2 * NR<T>()) {
    // Without a fourth, four panels left are taken as two and two, so that none is left alone.
    const left = n / NR<T>();
    const many = isDefined(RELAXED) ? left >= 4 : left == 3 || left > 4;
    let count = 2;
    if (sizeof<T>() == 4 && many) {
      manyPanels<T>(k, a, b, panel, bStep, s, c);
      count = MANY;
    } else {
      twoPanels<T>(k, a, b, panel, bStep, s, c);
    }
    n -= count * NR<T>();
    b += <usize>count * panel;
    s += <usize>count * 32;
    c += <usize>count * 32;
  }
  directTiles<T>(1, n, k, a, 0, b, panel, bStep, s, 0, c, 0);
}

/** Panels that stream by at once. */
const MANY: i32 = isDefined(RELAXED) ? 4 : 3;

function twoPanels<T>(k: i32, a: usize, b: usize, panel: usize, bStep: usize, s: usize, c: usize): void {
  panels<T>(2, k, a, b, panel, bStep, s, c);
}

function manyPanels<T>(k: i32, a: usize, b: usize, panel: usize, bStep: usize, s: usize, c: usize): void {
  panels<T>(MANY, k, a, b, panel, bStep, s, c);
}

// @ts-ignore: decorator
@inline
function panels<T>(count: i32, k: i32, a: usize, b: usize, panel: usize, bStep: usize, s: usize, c: usize): void {
  let p0 = b;
  let p1 = p0 + panel;
  let p2 = p1 + panel;
  let p3 = p2 + panel;
  let s0 = v128.load(s);
  let s1 = v128.load(s, 16);
  let s2 = v128.load(s, 32);
  let s3 = v128.load(s, 48);
  let s4 = count > 2 ? v128.load(s, 64) : s0;
  let s5 = count > 2 ? v128.load(s, 80) : s0;
  let s6 = count > 3 ? v128.load(s, 96) : s0;
  let s7 = count > 3 ? v128.load(s, 112) : s0;
  for (const end = p0 + <usize>k * bStep; p0 != end; p0 += bStep) {
    const x = v128.load_splat<T>(a);
    s0 = madd<T>(x, v128.load(p0), s0);
    s1 = madd<T>(x, v128.load(p0, 16), s1);
    s2 = madd<T>(x, v128.load(p1), s2);
    s3 = madd<T>(x, v128.load(p1, 16), s3);
    a += sizeof<T>();
    p1 += bStep;
    if (count > 2) {
      s4 = madd<T>(x, v128.load(p2), s4);
      s5 = madd<T>(x, v128.load(p2, 16), s5);
      p2 += bStep;
    }
    if (count > 3) {
      s6 = madd<T>(x, v128.load(p3), s6);
      s7 = madd<T>(x, v128.load(p3, 16), s7);
      p3 += bStep;
    }
  }
  storePanel(c, s0, s1);
  storePanel(c + 32, s2, s3);
  if (count > 2) storePanel(c + 64, s4, s5);
  if (count > 3) storePanel(c + 96, s6, s7);
}

// @ts-ignore: decorator
@inline
function storePanel(c: usize, left: v128, right: v128): void {
  v128.store(c, left);
  v128.store(c, right, 16);
}

/** c (n) += a·B for a row-major B with rows bRow bytes apart: four rows a pass over c. n is a multiple of the lanes. */
export function rowTimesRows<T>(n: i32, k: i32, a: usize, aStep: usize, b: usize, bRow: usize, c: usize): void {
  const end = at<T>(c, n);
  for (; k >= 4; k -= 4) {
    const x0 = v128.load_splat<T>(a);
    const x1 = v128.load_splat<T>(a + aStep);
    const x2 = v128.load_splat<T>(a + 2 * aStep);
    const x3 = v128.load_splat<T>(a + 3 * aStep);
    let b0 = b;
    let b1 = b0 + bRow;
    let b2 = b1 + bRow;
    let b3 = b2 + bRow;
    for (let y = c; y != end; y += 16) {
      let sum = madd<T>(x0, v128.load(b0), v128.load(y));
      sum = madd<T>(x1, v128.load(b1), sum);
      sum = madd<T>(x2, v128.load(b2), sum);
      v128.store(y, madd<T>(x3, v128.load(b3), sum));
      b0 += 16;
      b1 += 16;
      b2 += 16;
      b3 += 16;
    }
    a += 4 * aStep;
    b += 4 * bRow;
  }
  for (; k > 0; k--) {
    const x = v128.load_splat<T>(a);
    let p = b;
    for (let y = c; y != end; y += 16) {
      v128.store(y, madd<T>(x, v128.load(p), v128.load(y)));
      p += 16;
    }
    a += aStep;
    b += bRow;
  }
}

/**
 * c (n) += a·Wᵀ for a row-major W with rows wRow bytes apart: squares of W are turned over in registers.
 * n is a multiple of NR, k of the lanes.
 */
export function rowTimesTransposed<T>(n: i32, k: i32, a: usize, aStep: usize, w: usize, wRow: usize, c: usize): void {
  const half = <usize>lanes<T>() * wRow;
  for (; n > 0; n -= NR<T>()) {
    let s0 = v128.load(c);
    let s1 = v128.load(c, 16);
    let x = a;
    const end = at<T>(w, k);
    for (let p = w; p != end; p += 16) {
      s0 = addSquare<T>(x, aStep, p, wRow, s0);
      s1 = addSquare<T>(x, aStep, p + half, wRow, s1);
      x += <usize>lanes<T>() * aStep;
    }
    v128.store(c, s0);
    v128.store(c, s1, 16);
    w += 2 * half;
    c += 32;
  }
}

/** sum + x[0]·column 0 + x[1]·column 1 + … of a square of lanes × lanes elements. */
// @ts-ignore: decorator
@inline
function addSquare<T>(x: usize, step: usize, w: usize, row: usize, sum: v128): v128 {
  const r0 = v128.load(w);
  const r1 = v128.load(w + row);
  const x0 = v128.load_splat<T>(x);
  const x1 = v128.load_splat<T>(x + step);
  if (sizeof<T>() == 8) {
    sum = madd<T>(x0, v128.shuffle<f64>(r0, r1, 0, 2), sum);
    return madd<T>(x1, v128.shuffle<f64>(r0, r1, 1, 3), sum);
  }
  const r2 = v128.load(w + 2 * row);
  const r3 = v128.load(w + 3 * row);
  const low01 = v128.shuffle<f32>(r0, r1, 0, 4, 1, 5);
  const low23 = v128.shuffle<f32>(r2, r3, 0, 4, 1, 5);
  const high01 = v128.shuffle<f32>(r0, r1, 2, 6, 3, 7);
  const high23 = v128.shuffle<f32>(r2, r3, 2, 6, 3, 7);
  sum = madd<T>(x0, v128.shuffle<f64>(low01, low23, 0, 2), sum);
  sum = madd<T>(x1, v128.shuffle<f64>(low01, low23, 1, 3), sum);
  sum = madd<T>(v128.load_splat<T>(x + 2 * step), v128.shuffle<f64>(high01, high23, 0, 2), sum);
  return madd<T>(v128.load_splat<T>(x + 3 * step), v128.shuffle<f64>(high01, high23, 1, 3), sum);
}
