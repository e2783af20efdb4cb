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

import { packB } from "../gemm/packed";
import { at, lanes, madd } from "../lanes";
import { vsigmoid } from "../math/sigmoid";
import { vtanh } from "../math/tanh";
import {
  addElements, clearElements, copyElements, firstRow, isPacked, loadLanes, multiply, rowCount, sigmoidSlope, storeLanes,
  tanhSlope, workSize,
} from "./rows";

/**
 * h [B,H] goes in as the initial state and comes out as the last; ys [N,H]. `saved` may be null.
 * `work` has room for packed W_rz and W_n (of more than one step), and behind them for 4·H elements in each of B rows.
 * A null w says that W is there, packed, already. @kernel
 */
export function gru_forward<T>(
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
    copyElements<T>(gates, at<T>(gx, row * G), rows * G);
    multiply<T>(packed, rows, 2 * H, H, h, H, w, 1, H, work, gates, G);
    if (after) {
      repeatRow<T>(rows, H, bias, q);
      multiply<T>(packed, rows, H, H, h, H, wn, 1, H, packedN, q, H);
    } else {
      for (let r = 0; r < rows; r++) resetBefore<T>(H, at<T>(gates, r * G), at<T>(h, r * H), at<T>(q, r * H));
      multiply<T>(packed, rows, H, H, q, H, wn, 1, H, packedN, at<T>(gates, 2 * H), G);
    }
    if (saved) copyElements<T>(at<T>(hidden, row * H), h, rows * H);
    for (let r = 0; r < rows; r++) cell<T>(H, after, at<T>(gates, r * G), at<T>(q, r * H), at<T>(h, r * H), saved != 0);
    copyElements<T>(at<T>(ys, row * H), h, rows * H);
  }
}

/** The row [H], or zeros where it is null, in each of `rows` rows. */
function repeatRow<T>(rows: i32, H: i32, row: usize, to: usize): void {
  if (row == 0) return clearElements<T>(to, rows * H);
  for (let r = 0; r < rows; r++) copyElements<T>(at<T>(to, r * H), row, H);
}

/** One row: the sum of r becomes its activation, q = r∘h. */
function resetBefore<T>(H: i32, gates: usize, h: usize, q: usize): void {
  const L = lanes<T>();
  for (let j = 0; j < H; j += L) {
    const n = min(L, H - j);
    const r = vsigmoid<T>(loadLanes<T>(at<T>(gates, j), n));
    storeLanes<T>(at<T>(gates, j), r, n);
    storeLanes<T>(at<T>(q, j), v128.mul<T>(r, loadLanes<T>(at<T>(h, j), n)), n);
  }
}

/** One row: the remaining sums become activations (stored when `keep`), h its successor. */
function cell<T>(H: i32, after: i32, gates: usize, q: usize, h: usize, keep: bool): void {
  const L = lanes<T>();
  for (let j = 0; j < H; j += L) {
    const k = min(L, H - j);
    const pr = at<T>(gates, j);
    const pz = at<T>(pr, H);
    const pn = at<T>(pz, H);
    let r = loadLanes<T>(pr, k);
    let n = loadLanes<T>(pn, k);
    if (after) {
      r = vsigmoid<T>(r);
      n = madd<T>(r, loadLanes<T>(at<T>(q, j), k), n);
    }
    const z = vsigmoid<T>(loadLanes<T>(pz, k));
    n = vtanh<T>(n);
    const h0 = loadLanes<T>(at<T>(h, j), k);
    storeLanes<T>(at<T>(h, j), madd<T>(z, v128.sub<T>(h0, n), n), k);
    if (!keep) continue;
    storeLanes<T>(pr, r, k);
    storeLanes<T>(pz, z, k);
    storeLanes<T>(pn, n, k);
  }
}

/**
 * dh [B,H] goes in as the cotangent of the last state and comes out as that of the initial one. dys [N,H] may be null.
 * Written: dgates [N,3H], the cotangent of gx; dqs [N,H], that of q.
 * `work` has room for packed W_rz and W_n. @kernel
 */
export function gru_backward<T>(
  steps: i32, table: usize, N: i32, H: i32, after: i32, w: usize, saved: usize,
  dys: usize, dh: usize, dgates: usize, dqs: usize, work: usize,
): void {
  const G = 3 * H;
  const packed = isPacked(steps, w);
  const packedN = work + workSize<T>(packed, H, 2 * H);
  const wn = at<T>(w, 2 * H * H);
  if (packed) {
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
      multiply<T>(packed, rows, H, H, dq, H, wn, H, 1, packedN, dh, H);
    } else {
      clearElements<T>(dq, rows * H);
      multiply<T>(packed, rows, H, H, at<T>(dg, 2 * H), G, wn, H, 1, packedN, dq, H);
      for (let r = 0; r < rows; r++) {
        const at1 = (row + r) * H;
        resetBeforeBackward<T>(H, at<T>(saved, (row + r) * G), at<T>(hidden, at1), at<T>(dq, r * H), at<T>(dh, r * H), at<T>(dg, r * G));
      }
    }
    multiply<T>(packed, rows, H, 2 * H, dg, G, w, H, 1, work, dh, H);
  }
}

/** One row: the gates' cotangents before activation (in the form before, without r) and the direct part of dh. */
function cellBackward<T>(H: i32, after: i32, gates: usize, q: usize, hidden: usize, dh: usize, dgates: usize, dq: usize): void {
  const L = lanes<T>();
  for (let j = 0; j < H; j += L) {
    const k = min(L, H - j);
    const z = loadLanes<T>(at<T>(gates, H + j), k);
    const n = loadLanes<T>(at<T>(gates, 2 * H + j), k);
    const d = loadLanes<T>(at<T>(dh, j), k);
    const dz = v128.mul<T>(d, z);
    const dN = v128.mul<T>(v128.sub<T>(d, dz), tanhSlope<T>(n));
    const dZ = v128.mul<T>(v128.mul<T>(d, v128.sub<T>(loadLanes<T>(at<T>(hidden, j), k), n)), sigmoidSlope<T>(z));
    storeLanes<T>(at<T>(dh, j), dz, k);
    storeLanes<T>(at<T>(dgates, H + j), dZ, k);
    storeLanes<T>(at<T>(dgates, 2 * H + j), dN, k);
    if (!after) continue;
    const r = loadLanes<T>(at<T>(gates, j), k);
    storeLanes<T>(at<T>(dq, j), v128.mul<T>(dN, r), k);
    storeLanes<T>(at<T>(dgates, j), v128.mul<T>(v128.mul<T>(dN, loadLanes<T>(at<T>(q, j), k)), sigmoidSlope<T>(r)), k);
  }
}

/** One row: the cotangent of r before activation and the part of dh through q = r∘h. */
function resetBeforeBackward<T>(H: i32, gates: usize, hidden: usize, dq: usize, dh: usize, dgates: usize): void {
  const L = lanes<T>();
  for (let j = 0; j < H; j += L) {
    const k = min(L, H - j);
    const r = loadLanes<T>(at<T>(gates, j), k);
    const d = loadLanes<T>(at<T>(dq, j), k);
    storeLanes<T>(at<T>(dgates, j), v128.mul<T>(v128.mul<T>(d, loadLanes<T>(at<T>(hidden, j), k)), sigmoidSlope<T>(r)), k);
    storeLanes<T>(at<T>(dh, j), madd<T>(d, r, loadLanes<T>(at<T>(dh, j), k)), k);
  }
}
