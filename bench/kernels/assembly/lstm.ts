// The rungs below the shipped LSTM: T steps at batch 1, gx [T,4H] given, W [4H,H] row-major, states h and c, ys [T,H].
// Only the benchmark compiles this.

import { madd } from "../../../assembly/lanes";
import { vsigmoid } from "../../../assembly/math/sigmoid";
import { vtanh } from "../../../assembly/math/tanh";

/** Room for the sums of a step. */
const SUMS = memory.data(65536, 64);

/** 1: plain loops, the functions of the language's library. */
export function plain(T: i32, H: i32, gx: usize, w: usize, h: usize, c: usize, ys: usize): void {
  for (let t = 0; t < T; t++) {
    dots(H, gx, w, h);
    scalarGates(H, h, c);
    memory.copy(ys, h, <usize>H * 4);
    gx += <usize>H * 16;
    ys += <usize>H * 4;
  }
}

function dots(H: i32, gx: usize, w: usize, h: usize): void {
  for (let i: usize = 0; i < 4 * <usize>H; i++) {
    let sum = load<f32>(gx + 4 * i);
    for (let k: usize = 0; k < <usize>H; k++) sum += load<f32>(w + 4 * k) * load<f32>(h + 4 * k);
    store<f32>(SUMS + 4 * i, sum);
    w += <usize>H * 4;
  }
}

function sigmoid(x: f32): f32 {
  return 1 / (1 + Mathf.exp(-x));
}

function scalarGates(H: i32, h: usize, c: usize): void {
  const gate = <usize>H * 4;
  for (let j: usize = 0; j < gate; j += 4) {
    const cell = sigmoid(load<f32>(SUMS + gate + j)) * load<f32>(c + j) + sigmoid(load<f32>(SUMS + j)) * Mathf.tanh(load<f32>(SUMS + 2 * gate + j));
    store<f32>(c + j, cell);
    store<f32>(h + j, sigmoid(load<f32>(SUMS + 3 * gate + j)) * Mathf.tanh(cell));
  }
}

/** 2: the product four outputs at a time, from W transposed to [H,4H]. */
export function vectorProduct(T: i32, H: i32, gx: usize, wt: usize, h: usize, c: usize, ys: usize): void {
  for (let t = 0; t < T; t++) {
    product(H, gx, wt, h);
    scalarGates(H, h, c);
    memory.copy(ys, h, <usize>H * 4);
    gx += <usize>H * 16;
    ys += <usize>H * 4;
  }
}

function product(H: i32, gx: usize, wt: usize, h: usize): void {
  const row = <usize>H * 16;
  for (let i: usize = 0; i < row; i += 16) {
    let sum = v128.load(gx + i);
    let p = wt + i;
    for (let k: usize = 0; k < <usize>H; k++) {
      sum = madd<f32>(v128.load32_splat(h + 4 * k), v128.load(p), sum);
      p += row;
    }
    v128.store(SUMS + i, sum);
  }
}

/** 3: and the gates four at a time, in one loop. */
export function vectorGates(T: i32, H: i32, gx: usize, wt: usize, h: usize, c: usize, ys: usize): void {
  for (let t = 0; t < T; t++) {
    product(H, gx, wt, h);
    gates(H, h, c);
    memory.copy(ys, h, <usize>H * 4);
    gx += <usize>H * 16;
    ys += <usize>H * 4;
  }
}

/** The gates of one step alone. */
export function gates(H: i32, h: usize, c: usize): void {
  const gate = <usize>H * 4;
  for (let j: usize = 0; j < gate; j += 16) {
    const p = SUMS + j;
    const i = vsigmoid<f32>(v128.load(p));
    const f = vsigmoid<f32>(v128.load(p + gate));
    const g = vtanh<f32>(v128.load(p + 2 * gate));
    const o = vsigmoid<f32>(v128.load(p + 3 * gate));
    const cell = madd<f32>(f, v128.load(c + j), f32x4.mul(i, g));
    v128.store(c + j, cell);
    v128.store(h + j, f32x4.mul(o, vtanh<f32>(cell)));
  }
}
