// Long short-term memory over packed rows, forward and backward.
//
//   i = σ(gx_i + W_i h + p_i∘c)    f = σ(gx_f + W_f h + p_f∘c)    g = tanh(gx_g + W_g h)
//   c' = f∘c + i∘g                 o = σ(gx_o + W_o h + p_o∘c')   m = o∘tanh(c')   h' = m, or R m
//
// gx [N,4H] holds the inputs' part with the biases. W is [4H,P]; the projection R [P,H] and the peepholes [3,H] may be
// absent (null; then P = H). A gradient needs what the forward pass put into `saved`, in this order:
//
//   gates [N,4H] (i f g o), c before the step [N,H], tanh(c') [N,H], h before the step [N,P], with a projection m [N,H]

import { packB } from "../gemm/packed";
import { at, lanes, madd } from "../lanes";
import { vsigmoid } from "../math/sigmoid";
import { vtanh } from "../math/tanh";
import {
  addElements, clearElements, copyElements, firstRow, isPacked, loadLanes, multiply, rowCount, sigmoidSlope, storeLanes,
  tanhSlope, workSize,
} from "./rows";

/**
 * h [B,P] and c [B,H] go in as the initial state and come out as the last; ys [N,P]. `saved` may be null.
 * `work` has room for packed W and R, and behind them for 5·H elements in each of B rows.
 * A null w says that W and R are there, packed, already. @kernel
 */
export function lstm_forward<T>(
  steps: i32, table: usize, N: i32, B: i32, H: i32, P: i32, gx: usize, w: usize, projection: usize, peepholes: usize,
  h: usize, c: usize, ys: usize, saved: usize, work: usize,
): void {
  const G = 4 * H;
  const packed = isPacked(steps, w);
  const packedR = work + workSize<T>(packed, G, P);
  const scratch = projection ? packedR + workSize<T>(packed, P, H) : packedR;
  if (packed && w) {
    packB<T>(G, P, w, 1, P, work);
    if (projection) packB<T>(P, H, projection, 1, H, packedR);
  }
  const before = at<T>(saved, N * G);
  const tanhs = at<T>(before, N * H);
  const hidden = at<T>(tanhs, N * H);
  const unprojected = at<T>(hidden, N * P);
  for (let s = 0; s < steps; s++) {
    const row = firstRow(table, s);
    const rows = rowCount(table, s);
    const gates = saved ? at<T>(saved, row * G) : scratch;
    copyElements<T>(gates, at<T>(gx, row * G), rows * G);
    multiply<T>(packed, rows, G, P, h, P, w, 1, P, work, gates, G);
    if (saved) copyElements<T>(at<T>(hidden, row * P), h, rows * P);
    const y = at<T>(ys, row * P);
    let m = y;
    if (projection) m = saved ? at<T>(unprojected, row * H) : at<T>(scratch, B * G);
    for (let r = 0; r < rows; r++) {
      const kept = saved ? at<T>(before, (row + r) * H) : 0;
      cell<T>(H, at<T>(gates, r * G), at<T>(c, r * H), peepholes, at<T>(m, r * H), kept, at<T>(tanhs, (row + r) * H));
    }
    if (projection) {
      clearElements<T>(y, rows * P);
      multiply<T>(packed, rows, P, H, m, H, projection, 1, H, packedR, y, P);
    }
    copyElements<T>(h, y, rows * P);
  }
}

/** One row: sums in `gates` become activations (stored when `before` is given), c its successor, m the output. */
function cell<T>(H: i32, gates: usize, c: usize, peepholes: usize, m: usize, before: usize, tanhs: usize): void {
  for (let j = 0; j < H; j += lanes<T>()) cellVector<T>(min(lanes<T>(), H - j), j, H, gates, c, peepholes, m, before, tanhs);
}

/** The n ≤ lanes elements of a row from j on. */
// @ts-ignore: decorator
@inline
function cellVector<T>(n: i32, j: i32, H: i32, gates: usize, c: usize, peepholes: usize, m: usize, before: usize, tanhs: usize): void {
  const pi = at<T>(gates, j);
  const pf = at<T>(pi, H);
  const pg = at<T>(pf, H);
  const po = at<T>(pg, H);
  const c0 = loadLanes<T>(at<T>(c, j), n);
  let i = loadLanes<T>(pi, n);
  let f = loadLanes<T>(pf, n);
  let o = loadLanes<T>(po, n);
  if (peepholes) {
    i = madd<T>(loadLanes<T>(at<T>(peepholes, j), n), c0, i);
    f = madd<T>(loadLanes<T>(at<T>(peepholes, H + j), n), c0, f);
  }
  i = vsigmoid<T>(i);
  f = vsigmoid<T>(f);
  const g = vtanh<T>(loadLanes<T>(pg, n));
  const c1 = madd<T>(f, c0, v128.mul<T>(i, g));
  if (peepholes) o = madd<T>(loadLanes<T>(at<T>(peepholes, 2 * H + j), n), c1, o);
  o = vsigmoid<T>(o);
  const t = vtanh<T>(c1);
  storeLanes<T>(at<T>(c, j), c1, n);
  storeLanes<T>(at<T>(m, j), v128.mul<T>(o, t), n);
  if (before == 0) return;
  storeLanes<T>(pi, i, n);
  storeLanes<T>(pf, f, n);
  storeLanes<T>(pg, g, n);
  storeLanes<T>(po, o, n);
  storeLanes<T>(at<T>(before, j), c0, n);
  storeLanes<T>(at<T>(tanhs, j), t, n);
}

/**
 * dh [B,P] and dc [B,H] go in as the cotangents of the last state and come out as those of the initial one.
 * dys [N,P] may be null. Written: dgates [N,4H], the cotangent of gx; with a projection dhs [N,P], that of every h'.
 * Added to: dpeepholes [3,H]. `work` has room for packed W and R and, with a projection, for B·H elements. @kernel
 */
export function lstm_backward<T>(
  steps: i32, table: usize, N: i32, H: i32, P: i32, w: usize, projection: usize, peepholes: usize, saved: usize,
  dys: usize, dh: usize, dc: usize, dgates: usize, dhs: usize, dpeepholes: usize, work: usize,
): void {
  const G = 4 * H;
  const packed = isPacked(steps, w);
  const packedR = work + workSize<T>(packed, P, G);
  const unprojected = projection ? packedR + workSize<T>(packed, H, P) : 0;
  if (packed) {
    packB<T>(P, G, w, P, 1, work);
    if (projection) packB<T>(H, P, projection, H, 1, packedR);
  }
  const before = at<T>(saved, N * G);
  const tanhs = at<T>(before, N * H);
  for (let s = steps - 1; s >= 0; s--) {
    const row = firstRow(table, s);
    const rows = rowCount(table, s);
    if (dys) addElements<T>(dh, at<T>(dys, row * P), rows * P);
    let dm = dh;
    if (projection) {
      copyElements<T>(at<T>(dhs, row * P), dh, rows * P);
      clearElements<T>(unprojected, rows * H);
      multiply<T>(packed, rows, H, P, dh, P, projection, H, 1, packedR, unprojected, H);
      dm = unprojected;
    }
    for (let r = 0; r < rows; r++) {
      const at4 = (row + r) * G;
      const at1 = (row + r) * H;
      cellBackward<T>(
        H, at<T>(saved, at4), at<T>(before, at1), at<T>(tanhs, at1), peepholes,
        at<T>(dm, r * H), at<T>(dc, r * H), at<T>(dgates, at4), dpeepholes,
      );
    }
    clearElements<T>(dh, rows * P);
    multiply<T>(packed, rows, P, G, at<T>(dgates, row * G), G, w, P, 1, work, dh, P);
  }
}

/** One row: from dm and dc to the gates' cotangents before activation, and dc of the step before. */
function cellBackward<T>(
  H: i32, gates: usize, before: usize, tanhs: usize, peepholes: usize, dm: usize, dc: usize, dgates: usize, dpeepholes: usize,
): void {
  for (let j = 0; j < H; j += lanes<T>()) {
    cellVectorBackward<T>(min(lanes<T>(), H - j), j, H, gates, before, tanhs, peepholes, dm, dc, dgates, dpeepholes);
  }
}

// @ts-ignore: decorator
@inline
function cellVectorBackward<T>(
  n: i32, j: i32, H: i32, gates: usize, before: usize, tanhs: usize, peepholes: usize,
  dm: usize, dc: usize, dgates: usize, dpeepholes: usize,
): void {
  const i = loadLanes<T>(at<T>(gates, j), n);
  const f = loadLanes<T>(at<T>(gates, H + j), n);
  const g = loadLanes<T>(at<T>(gates, 2 * H + j), n);
  const o = loadLanes<T>(at<T>(gates, 3 * H + j), n);
  const c0 = loadLanes<T>(at<T>(before, j), n);
  const t = loadLanes<T>(at<T>(tanhs, j), n);
  const d = loadLanes<T>(at<T>(dm, j), n);
  const dO = v128.mul<T>(v128.mul<T>(d, t), sigmoidSlope<T>(o));
  let dC = madd<T>(v128.mul<T>(d, o), tanhSlope<T>(t), loadLanes<T>(at<T>(dc, j), n));
  if (peepholes) dC = madd<T>(dO, loadLanes<T>(at<T>(peepholes, 2 * H + j), n), dC);
  const dI = v128.mul<T>(v128.mul<T>(dC, g), sigmoidSlope<T>(i));
  const dF = v128.mul<T>(v128.mul<T>(dC, c0), sigmoidSlope<T>(f));
  const dG = v128.mul<T>(v128.mul<T>(dC, i), tanhSlope<T>(g));
  dC = v128.mul<T>(dC, f);
  if (peepholes) {
    dC = madd<T>(dI, loadLanes<T>(at<T>(peepholes, j), n), dC);
    dC = madd<T>(dF, loadLanes<T>(at<T>(peepholes, H + j), n), dC);
    const c1 = madd<T>(f, c0, v128.mul<T>(i, g));
    accumulate<T>(at<T>(dpeepholes, j), dI, c0, n);
    accumulate<T>(at<T>(dpeepholes, H + j), dF, c0, n);
    accumulate<T>(at<T>(dpeepholes, 2 * H + j), dO, c1, n);
  }
  storeLanes<T>(at<T>(dc, j), dC, n);
  storeLanes<T>(at<T>(dgates, j), dI, n);
  storeLanes<T>(at<T>(dgates, H + j), dF, n);
  storeLanes<T>(at<T>(dgates, 2 * H + j), dG, n);
  storeLanes<T>(at<T>(dgates, 3 * H + j), dO, n);
}

/** total[0 … n) += a·b. */
function accumulate<T>(total: usize, a: v128, b: v128, n: i32): void {
  storeLanes<T>(total, madd<T>(a, b, loadLanes<T>(total, n)), n);
}
