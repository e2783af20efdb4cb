// Gated recurrent units over packed rows, forward and backward, with the reset gate after or before the product.
//
//   r = σ(gx_r + W_r h)    z = σ(gx_z + W_z h)
//   after:  q = W_n h + b_n,  n = tanh(gx_n + r∘q)        before:  q = r∘h,  n = tanh(gx_n + W_n q)
//   h' = n + z∘(h - n)
//
// gx [N,3H] holds the inputs' part with the biases, W is [3H,H]; b_n [H] may be absent (null) and has no part in the form
// before. A gradient needs what the forward pass put into `saved`, in this order:
//
//   gates [N,3H] (r z n), q [N,H], h before the step [N,H]

import { loadEnds, storeEnds } from "../edges";
import { packB } from "../gemm/packed";
import { at, lanes, madd } from "../lanes";
import { sigmoid, sigmoidSlope, tanh, tanhSlope } from "./gates";
import { addElements, copyElements, firstRow, isPacked, multiply, rowCount, workSize } from "./rows";

/**
 * h [B,H] goes in as the initial state and comes out as the last; ys [N,H]. `saved` may be null.
 * `work` has room for packed W_rz and W_n (of more than one step), and behind them for 4·H elements in each of B rows.
 * A null w says that W is there, packed, already. @kernel
 */
export function gruForward<T>(
  steps: i32, table: usize, N: i32, B: i32, H: i32, after: i32, gx: usize, w: usize, bias: usize,
  h: usize, ys: usize, saved: usize, work: usize,
): void {
  const G = 3 * H;
  const packed = isPacked(steps, w);
  const packedN = work + workSize<T>(packed, 2 * H, H);
  const scratch = packedN + workSize<T>(packed, H, H);
  const wn = w ? at<T>(w, 2 * H * H) : 0;
  if (packed && w) {
    packB<T>(2 * H, H, w, 1, H, work);
    packB<T>(H, H, wn, 1, H, packedN);
  }
  const qs = at<T>(saved, N * G);
  const hidden = at<T>(qs, N * H);
  for (let s = 0; s < steps; s++) {
    const row = firstRow(table, s);
    const rows = rowCount(table, s);
    const gates = saved ? at<T>(saved, row * G) : scratch;
    const q = saved ? at<T>(qs, row * H) : at<T>(scratch, B * G);
    const sums = at<T>(gx, row * G);
    multiply<T>(packed, rows, 2 * H, H, h, H, w, 1, H, work, sums, G, gates, G);
    const candidate = at<T>(gates, 2 * H);
    if (after) {
      multiply<T>(packed, rows, H, H, h, H, wn, 1, H, packedN, bias, 0, q, H);
      for (let r = 0; r < rows; r++) reset<T>(H, at<T>(gates, r * G), at<T>(q, r * H), at<T>(sums, r * G + 2 * H), at<T>(candidate, r * G));
    } else {
      for (let r = 0; r < rows; r++) reset<T>(H, at<T>(gates, r * G), at<T>(h, r * H), 0, at<T>(q, r * H));
      multiply<T>(packed, rows, H, H, q, H, wn, 1, H, packedN, at<T>(sums, 2 * H), G, candidate, G);
    }
    if (saved) copyElements<T>(at<T>(hidden, row * H), h, rows * H);
    for (let r = 0; r < rows; r++) cell<T>(H, at<T>(gates, r * G + H), at<T>(h, r * H), saved != 0);
    copyElements<T>(at<T>(ys, row * H), h, rows * H);
  }
}

/** The end of a row, one vector for each array: 3 gates, q, h, hidden, dh, 3 of dgates, dq. */
const ENDS = memory.data(176, 16);

/** One row: the sum of r becomes its activation, and y = r∘x, plus `sums` where given. */
export function reset<T>(H: i32, gates: usize, x: usize, sums: usize, y: usize): void {
  const n = H % lanes<T>();
  const whole = H - n;
  resetVectors<T>(whole, gates, x, sums, y);
  if (n == 0) return;
  gates = at<T>(gates, whole);
  loadEnds<T>(n, 1, gates, 0, ENDS);
  loadEnds<T>(n, 1, at<T>(x, whole), 0, ENDS + 16);
  if (sums) loadEnds<T>(n, 1, at<T>(sums, whole), 0, ENDS + 32);
  resetVectors<T>(lanes<T>(), ENDS, ENDS + 16, sums ? ENDS + 32 : 0, ENDS + 48);
  storeEnds<T>(n, 1, ENDS, gates, 0);
  storeEnds<T>(n, 1, ENDS + 48, at<T>(y, whole), 0);
}

function resetVectors<T>(n: i32, gates: usize, x: usize, sums: usize, y: usize): void {
  for (const end = at<T>(gates, n); gates != end; gates += 16) {
    const r = sigmoid<T>(v128.load(gates));
    v128.store(gates, r);
    v128.store(y, sums ? madd<T>(r, v128.load(x), v128.load(sums)) : v128.mul<T>(r, v128.load(x)));
    x += 16;
    y += 16;
    if (sums) sums += 16;
  }
}

/** One row: the sums of z and n become activations (stored when `keep`), h its successor. */
export function cell<T>(H: i32, gates: usize, h: usize, keep: bool): void {
  const n = H % lanes<T>();
  const whole = H - n;
  cellVectors<T>(whole, H, gates, h, keep);
  if (n == 0) return;
  gates = at<T>(gates, whole);
  h = at<T>(h, whole);
  loadEnds<T>(n, 2, gates, H, ENDS);
  loadEnds<T>(n, 1, h, 0, ENDS + 32);
  cellVectors<T>(lanes<T>(), lanes<T>(), ENDS, ENDS + 32, keep);
  storeEnds<T>(n, 1, ENDS + 32, h, 0);
  if (keep) storeEnds<T>(n, 2, ENDS, gates, H);
}

/** The same for n elements, a multiple of the lanes; gates lie `stride` elements apart. */
function cellVectors<T>(n: i32, stride: i32, gates: usize, h: usize, keep: bool): void {
  const gate = at<T>(0, stride);
  for (const end = at<T>(h, n); h != end; h += 16) {
    const z = sigmoid<T>(v128.load(gates));
    const n1 = tanh<T>(v128.load(gates + gate));
    v128.store(h, madd<T>(z, v128.sub<T>(v128.load(h), n1), n1));
    if (keep) {
      v128.store(gates, z);
      v128.store(gates + gate, n1);
    }
    gates += 16;
  }
}

/**
 * dh [B,H] goes in as the cotangent of the last state and comes out as that of the initial one. dys [N,H] may be null.
 * Written: dgates [N,3H], the cotangent of gx; dqs [N,H], that of q.
 * `work` has room for packed W_rz and W_n. @kernel
 */
export function gruBackward<T>(
  steps: i32, table: usize, N: i32, H: i32, after: i32, w: usize, saved: usize,
  dys: usize, dh: usize, dgates: usize, dqs: usize, work: usize,
): void {
  const G = 3 * H;
  const packed = isPacked(steps, w);
  const packedN = work + workSize<T>(packed, H, 2 * H);
  const wn = w ? at<T>(w, 2 * H * H) : 0;
  if (packed && w) {
    packB<T>(H, 2 * H, w, H, 1, work);
    packB<T>(H, H, wn, H, 1, packedN);
  }
  const qs = at<T>(saved, N * G);
  const hidden = at<T>(qs, N * H);
  for (let s = steps - 1; s >= 0; s--) {
    const row = firstRow(table, s);
    const rows = rowCount(table, s);
    const dg = at<T>(dgates, row * G);
    const dq = at<T>(dqs, row * H);
    if (dys) addElements<T>(dh, at<T>(dys, row * H), rows * H);
    for (let r = 0; r < rows; r++) {
      const at1 = (row + r) * H;
      cellBackward<T>(
        H, after, at<T>(saved, (row + r) * G), at<T>(qs, at1), at<T>(hidden, at1), at<T>(dh, r * H), at<T>(dg, r * G), at<T>(dq, r * H),
      );
    }
    if (after) {
      multiply<T>(packed, rows, H, H, dq, H, wn, H, 1, packedN, dh, H, dh, H);
    } else {
      multiply<T>(packed, rows, H, H, at<T>(dg, 2 * H), G, wn, H, 1, packedN, 0, 0, dq, H);
      for (let r = 0; r < rows; r++) {
        const at1 = (row + r) * H;
        resetBeforeBackward<T>(H, at<T>(saved, (row + r) * G), at<T>(hidden, at1), at<T>(dq, r * H), at<T>(dh, r * H), at<T>(dg, r * G));
      }
    }
    multiply<T>(packed, rows, H, 2 * H, dg, G, w, H, 1, work, dh, H, dh, H);
  }
}

/** One row: the gates' cotangents before activation (in the form before, without r) and the direct part of dh. */
function cellBackward<T>(H: i32, after: i32, gates: usize, q: usize, hidden: usize, dh: usize, dgates: usize, dq: usize): void {
  const n = H % lanes<T>();
  const whole = H - n;
  cellVectorsBackward<T>(whole, H, after, gates, q, hidden, dh, dgates, dq);
  if (n == 0) return;
  dh = at<T>(dh, whole);
  loadEnds<T>(n, 3, at<T>(gates, whole), H, ENDS);
  loadEnds<T>(n, 1, at<T>(q, whole), 0, ENDS + 48);
  loadEnds<T>(n, 1, at<T>(hidden, whole), 0, ENDS + 80);
  loadEnds<T>(n, 1, dh, 0, ENDS + 96);
  cellVectorsBackward<T>(lanes<T>(), lanes<T>(), after, ENDS, ENDS + 48, ENDS + 80, ENDS + 96, ENDS + 112, ENDS + 160);
  storeEnds<T>(n, 1, ENDS + 96, dh, 0);
  storeEnds<T>(n, 3, ENDS + 112, at<T>(dgates, whole), H);
  storeEnds<T>(n, 1, ENDS + 160, at<T>(dq, whole), 0);
}

/** The same for n elements, a multiple of the lanes; gates lie `stride` elements apart. */
function cellVectorsBackward<T>(
  n: i32, stride: i32, after: i32, gates: usize, q: usize, hidden: usize, dh: usize, dgates: usize, dq: usize,
): void {
  const gate = at<T>(0, stride);
  for (const end = at<T>(dh, n); dh != end; dh += 16) {
    const z = v128.load(gates + gate);
    const n1 = v128.load(gates + 2 * gate);
    const d = v128.load(dh);
    const dz = v128.mul<T>(d, z);
    const dN = v128.mul<T>(v128.sub<T>(d, dz), tanhSlope<T>(n1));
    v128.store(dh, dz);
    v128.store(dgates + gate, v128.mul<T>(v128.mul<T>(d, v128.sub<T>(v128.load(hidden), n1)), sigmoidSlope<T>(z)));
    v128.store(dgates + 2 * gate, dN);
    if (after) {
      const r = v128.load(gates);
      v128.store(dq, v128.mul<T>(dN, r));
      v128.store(dgates, v128.mul<T>(v128.mul<T>(dN, v128.load(q)), sigmoidSlope<T>(r)));
      q += 16;
      dq += 16;
    }
    gates += 16;
    hidden += 16;
    dgates += 16;
  }
}

/** One row: the cotangent of r before activation and the part of dh through q = r∘h. */
function resetBeforeBackward<T>(H: i32, gates: usize, hidden: usize, dq: usize, dh: usize, dgates: usize): void {
  const n = H % lanes<T>();
  const whole = H - n;
  resetVectorsBackward<T>(whole, gates, hidden, dq, dh, dgates);
  if (n == 0) return;
  dh = at<T>(dh, whole);
  loadEnds<T>(n, 1, at<T>(gates, whole), 0, ENDS);
  loadEnds<T>(n, 1, at<T>(hidden, whole), 0, ENDS + 80);
  loadEnds<T>(n, 1, dh, 0, ENDS + 96);
  loadEnds<T>(n, 1, at<T>(dq, whole), 0, ENDS + 160);
  resetVectorsBackward<T>(lanes<T>(), ENDS, ENDS + 80, ENDS + 160, ENDS + 96, ENDS + 112);
  storeEnds<T>(n, 1, ENDS + 96, dh, 0);
  storeEnds<T>(n, 1, ENDS + 112, at<T>(dgates, whole), 0);
}

function resetVectorsBackward<T>(n: i32, gates: usize, hidden: usize, dq: usize, dh: usize, dgates: usize): void {
  for (const end = at<T>(dh, n); dh != end; dh += 16) {
    const r = v128.load(gates);
    const d = v128.load(dq);
    v128.store(dgates, v128.mul<T>(v128.mul<T>(d, v128.load(hidden)), sigmoidSlope<T>(r)));
    v128.store(dh, madd<T>(d, r, v128.load(dh)));
    gates += 16;
    hidden += 16;
    dq += 16;
    dgates += 16;
  }
}
