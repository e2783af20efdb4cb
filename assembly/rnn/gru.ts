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
import { at, lanes, madd } from "../lanes";
import { sigmoid, sigmoidSlope, tanh, tanhSlope } from "./gates";
import { meet, own } from "../threads";
import { addColumns, copyColumns, endColumn, firstColumn, firstRow, isPacked, multiply, packColumns, rowCount, workSize } from "./rows";

/**
 * h [B,H] goes in as the initial state and comes out as the last; ys [N,H]. `saved` may be null.
 * `work` has room for packed W_rz and W_n (of more than one step), and behind them for 4·H elements in each of B rows.
 * A null w says that W is there, packed, already. @kernel @shared workOfSteps(3 * N * H * H, steps)
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
    packColumns<T>(2 * H, H, w, 1, H, work);
    packColumns<T>(H, H, wn, 1, H, packedN);
    meet();
  }
  const qs = at<T>(saved, N * G);
  const hidden = at<T>(qs, N * H);
  const unit = firstColumn<T>(H);
  const units = endColumn<T>(H) - unit;
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
      meet();
      for (let r = 0; r < rows; r++) {
        const at3 = r * G + unit;
        reset<T>(units, at<T>(gates, at3), at<T>(q, r * H + unit), at<T>(sums, at3 + 2 * H), at<T>(candidate, at3));
      }
    } else {
      meet();
      for (let r = 0; r < rows; r++) {
        const at1 = r * H + unit;
        reset<T>(units, at<T>(gates, r * G + unit), at<T>(h, at1), 0, at<T>(q, at1));
      }
      meet();
      multiply<T>(packed, rows, H, H, q, H, wn, 1, H, packedN, at<T>(sums, 2 * H), G, candidate, G);
    }
    if (saved) copyColumns<T>(rows, H, at<T>(hidden, row * H), h);
    for (let r = 0; r < rows; r++) cell<T>(units, H, at<T>(gates, r * G + H + unit), at<T>(h, r * H + unit), saved != 0);
    copyColumns<T>(rows, H, at<T>(ys, row * H), h);
    meet();
  }
}

/** The end of a row, one vector for each array: 3 gates, q, h, hidden, dh, 3 of dgates, dq. */
const ENDS = own(memory.data(176, 16));

/** Some units of a row: the sum of r becomes its activation, and y = r∘x, plus `sums` where given. */
export function reset<T>(units: i32, gates: usize, x: usize, sums: usize, y: usize): void {
  const n = units % lanes<T>();
  const whole = units - n;
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

/** `units` of the H of a row: the sums of z and n become activations (stored when `keep`), h its successor. */
export function cell<T>(units: i32, H: i32, gates: usize, h: usize, keep: bool): void {
  const n = units % lanes<T>();
  const whole = units - n;
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
 * `work` has room for packed W_rz and W_n. @kernel @shared workOfSteps(3 * N * H * H, steps)
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
    packColumns<T>(H, 2 * H, w, H, 1, work);
    packColumns<T>(H, H, wn, H, 1, packedN);
    meet();
  }
  const qs = at<T>(saved, N * G);
  const hidden = at<T>(qs, N * H);
  const unit = firstColumn<T>(H);
  const units = endColumn<T>(H) - unit;
  for (let s = steps - 1; s >= 0; s--) {
    const row = firstRow(table, s);
    const rows = rowCount(table, s);
    const dg = at<T>(dgates, row * G);
    const dq = at<T>(dqs, row * H);
    if (dys) addColumns<T>(rows, H, dh, at<T>(dys, row * H));
    for (let r = 0; r < rows; r++) {
      const at3 = (row + r) * G + unit;
      const at1 = (row + r) * H + unit;
      const own1 = r * H + unit;
      cellBackward<T>(
        units, H, after, at<T>(saved, at3), at<T>(qs, at1), at<T>(hidden, at1),
        at<T>(dh, own1), at<T>(dgates, at3), at<T>(dqs, at1),
      );
    }
    meet();
    if (after) {
      multiply<T>(packed, rows, H, H, dq, H, wn, H, 1, packedN, dh, H, dh, H);
    } else {
      multiply<T>(packed, rows, H, H, at<T>(dg, 2 * H), G, wn, H, 1, packedN, 0, 0, dq, H);
      for (let r = 0; r < rows; r++) {
        const at3 = r * G + unit;
        const at1 = r * H + unit;
        const kept = (row + r) * H + unit;
        resetBeforeBackward<T>(
          units, at<T>(saved, row * G + at3), at<T>(hidden, kept), at<T>(dq, at1), at<T>(dh, at1), at<T>(dg, at3),
        );
      }
      meet();
    }
    multiply<T>(packed, rows, H, 2 * H, dg, G, w, H, 1, work, dh, H, dh, H);
  }
}

/** `units` of the H of a row: the gates' cotangents before activation (in the form before, without r) and the direct part of dh. */
function cellBackward<T>(
  units: i32, H: i32, after: i32, gates: usize, q: usize, hidden: usize, dh: usize, dgates: usize, dq: usize,
): void {
  const n = units % lanes<T>();
  const whole = units - n;
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

/** Some units of a row: the cotangent of r before activation and the part of dh through q = r∘h. */
function resetBeforeBackward<T>(units: i32, gates: usize, hidden: usize, dq: usize, dh: usize, dgates: usize): void {
  const n = units % lanes<T>();
  const whole = units - n;
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
