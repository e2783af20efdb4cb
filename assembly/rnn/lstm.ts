// Long short-term memory over packed rows, forward and backward.
//
//   i = σ(gx_i + W_i h + p_i∘c)    f = σ(gx_f + W_f h + p_f∘c)    g = tanh(gx_g + W_g h)
//   c' = f∘c + i∘g                 o = σ(gx_o + W_o h + p_o∘c')   m = o∘tanh(c')   h' = m, or R m
//
// gx [N,4H] holds the inputs' part with the biases. W is [4H,P]; the projection R [P,H] and the peepholes [3,H] may be
// absent (null; then P = H). A gradient needs what the forward pass put into `saved`, in this order:
//
//   gates [N,4H] (i f g o), c before the step [N,H], tanh(c') [N,H], h before the step [N,P], with a projection m [N,H]

import { loadEnds, storeEnds } from "../edges";
import { at, lanes, madd } from "../lanes";
import { sigmoid, sigmoidSlope, tanh, tanhSlope } from "./gates";
import { meet, own } from "../threads";
import { addColumns, copyColumns, endColumn, firstColumn, firstRow, isPacked, multiply, packColumns, rowCount, workSize } from "./rows";

/**
 * h [B,P] and c [B,H] go in as the initial state and come out as the last; ys [N,P]. `saved` may be null.
 * `work` has room for packed W and R where there is more than one step, and behind them for 5·H elements in each of B rows.
 * A null w says that W and R are there, packed, already. @kernel @shared workOfSteps(4 * N * H * P, steps)
 */
export function lstmForward<T>(
  steps: i32, table: usize, N: i32, B: i32, H: i32, P: i32, gx: usize, w: usize, projection: usize, peepholes: usize,
  h: usize, c: usize, ys: usize, saved: usize, work: usize,
): void {
  const G = 4 * H;
  const packed = isPacked(steps, w);
  const packedR = work + workSize<T>(packed, G, P);
  const scratch = projection ? packedR + workSize<T>(packed, P, H) : packedR;
  if (packed && w) {
    packColumns<T>(G, P, w, 1, P, work);
    if (projection) packColumns<T>(P, H, projection, 1, H, packedR);
    meet();
  }
  const before = at<T>(saved, N * G);
  const tanhs = at<T>(before, N * H);
  const hidden = at<T>(tanhs, N * H);
  const unprojected = at<T>(hidden, N * P);
  const unit = firstColumn<T>(H);
  const units = endColumn<T>(H) - unit;
  const weights = peepholes ? at<T>(peepholes, unit) : 0;
  for (let s = 0; s < steps; s++) {
    const row = firstRow(table, s);
    const rows = rowCount(table, s);
    const gates = saved ? at<T>(saved, row * G) : scratch;
    multiply<T>(packed, rows, G, P, h, P, w, 1, P, work, at<T>(gx, row * G), G, gates, G);
    if (saved) copyColumns<T>(rows, P, at<T>(hidden, row * P), h);
    meet();
    const y = at<T>(ys, row * P);
    let m = y;
    if (projection) m = saved ? at<T>(unprojected, row * H) : at<T>(scratch, B * G);
    for (let r = 0; r < rows; r++) {
      const at1 = (row + r) * H + unit;
      const own1 = r * H + unit;
      const kept = saved ? at<T>(before, at1) : 0;
      cell<T>(units, H, at<T>(gates, r * G + unit), at<T>(c, own1), weights, at<T>(m, own1), kept, at<T>(tanhs, at1));
    }
    if (projection) {
      meet();
      multiply<T>(packed, rows, P, H, m, H, projection, 1, H, packedR, 0, 0, y, P);
    }
    copyColumns<T>(rows, P, h, y);
    meet();
  }
}

/** The end of a row, one vector for each array: 4 gates, c, 3 peepholes, m, before, tanhs; backward 4 + 4 + 3 + 4 + 3. */
const ENDS = own(memory.data(288, 16));

/**
 * `units` of the H of a row: sums in `gates` become activations (stored when `before` is given), c its successor, m the output.
 */
export function cell<T>(
  units: i32, H: i32, gates: usize, c: usize, peepholes: usize, m: usize, before: usize, tanhs: usize,
): void {
  const n = units % lanes<T>();
  const whole = units - n;
  cellVectors<T>(whole, H, gates, c, peepholes, m, before, tanhs);
  if (n == 0) return;
  gates = at<T>(gates, whole);
  c = at<T>(c, whole);
  loadEnds<T>(n, 4, gates, H, ENDS);
  loadEnds<T>(n, 1, c, 0, ENDS + 64);
  if (peepholes) loadEnds<T>(n, 3, at<T>(peepholes, whole), H, ENDS + 80);
  cellVectors<T>(lanes<T>(), lanes<T>(), ENDS, ENDS + 64, peepholes ? ENDS + 80 : 0, ENDS + 128, before ? ENDS + 144 : 0, ENDS + 160);
  storeEnds<T>(n, 1, ENDS + 64, c, 0);
  storeEnds<T>(n, 1, ENDS + 128, at<T>(m, whole), 0);
  if (before == 0) return;
  storeEnds<T>(n, 4, ENDS, gates, H);
  storeEnds<T>(n, 1, ENDS + 144, at<T>(before, whole), 0);
  storeEnds<T>(n, 1, ENDS + 160, at<T>(tanhs, whole), 0);
}

/** The same for n elements, a multiple of the lanes; gates lie `stride` elements apart. */
function cellVectors<T>(n: i32, stride: i32, gates: usize, c: usize, peepholes: usize, m: usize, before: usize, tanhs: usize): void {
  const gate = at<T>(0, stride);
  // In two loops: one chain from i to tanh(c') would be too long for a core to work on the next vector meanwhile.
  nextCells<T>(at<T>(c, n), gate, gates, c, peepholes, before);
  outputs<T>(at<T>(c, n), gates + 3 * gate, c, peepholes == 0 ? 0 : peepholes + 2 * gate, m, before == 0 ? 0 : tanhs);
}

/** Gates i, f, g and the next cell. */
function nextCells<T>(end: usize, gate: usize, gates: usize, c: usize, peepholes: usize, before: usize): void {
  for (; c != end; c += 16) {
    const c0 = v128.load(c);
    const pf = gates + gate;
    const pg = pf + gate;
    let i = v128.load(gates);
    let f = v128.load(pf);
    if (peepholes) {
      i = madd<T>(v128.load(peepholes), c0, i);
      f = madd<T>(v128.load(peepholes + gate), c0, f);
      peepholes += 16;
    }
    i = sigmoid<T>(i);
    f = sigmoid<T>(f);
    const g = tanh<T>(v128.load(pg));
    v128.store(c, madd<T>(f, c0, v128.mul<T>(i, g)));
    if (before) {
      v128.store(gates, i);
      v128.store(pf, f);
      v128.store(pg, g);
      v128.store(before, c0);
      before += 16;
    }
    gates += 16;
  }
}

/** Gate o and the output. */
function outputs<T>(end: usize, gate: usize, c: usize, peephole: usize, m: usize, tanhs: usize): void {
  for (; c != end; c += 16) {
    const c1 = v128.load(c);
    let o = v128.load(gate);
    if (peephole) {
      o = madd<T>(v128.load(peephole), c1, o);
      peephole += 16;
    }
    o = sigmoid<T>(o);
    const t = tanh<T>(c1);
    v128.store(m, v128.mul<T>(o, t));
    if (tanhs) {
      v128.store(gate, o);
      v128.store(tanhs, t);
      tanhs += 16;
    }
    gate += 16;
    m += 16;
  }
}

/**
 * dh [B,P] and dc [B,H] go in as the cotangents of the last state and come out as those of the initial one.
 * dys [N,P] may be null. Written: dgates [N,4H], the cotangent of gx; with a projection dhs [N,P], that of every h'.
 * Added to: dpeepholes [3,H]. `work` has room for packed W and R where there is more than one step and, with a projection,
 * for B·H elements. @kernel @shared workOfSteps(4 * N * H * P, steps)
 */
export function lstmBackward<T>(
  steps: i32, table: usize, N: i32, H: i32, P: i32, w: usize, projection: usize, peepholes: usize, saved: usize,
  dys: usize, dh: usize, dc: usize, dgates: usize, dhs: usize, dpeepholes: usize, work: usize,
): void {
  const G = 4 * H;
  const packed = isPacked(steps, w);
  const packedR = work + workSize<T>(packed, P, G);
  const unprojected = projection ? packedR + workSize<T>(packed, H, P) : 0;
  if (packed && w) {
    packColumns<T>(P, G, w, P, 1, work);
    if (projection) packColumns<T>(H, P, projection, H, 1, packedR);
    meet();
  }
  const before = at<T>(saved, N * G);
  const tanhs = at<T>(before, N * H);
  const unit = firstColumn<T>(H);
  const units = endColumn<T>(H) - unit;
  const weights = peepholes ? at<T>(peepholes, unit) : 0;
  for (let s = steps - 1; s >= 0; s--) {
    const row = firstRow(table, s);
    const rows = rowCount(table, s);
    if (dys) addColumns<T>(rows, P, dh, at<T>(dys, row * P));
    let dm = dh;
    if (projection) {
      copyColumns<T>(rows, P, at<T>(dhs, row * P), dh);
      meet();
      multiply<T>(packed, rows, H, P, dh, P, projection, H, 1, packedR, 0, 0, unprojected, H);
      dm = unprojected;
    }
    for (let r = 0; r < rows; r++) {
      const at4 = (row + r) * G + unit;
      const at1 = (row + r) * H + unit;
      const own1 = r * H + unit;
      cellBackward<T>(
        units, H, at<T>(saved, at4), at<T>(before, at1), at<T>(tanhs, at1), weights,
        at<T>(dm, own1), at<T>(dc, own1), at<T>(dgates, at4), at<T>(dpeepholes, unit),
      );
    }
    meet();
    multiply<T>(packed, rows, P, G, at<T>(dgates, row * G), G, w, P, 1, work, 0, 0, dh, P);
  }
}

/** `units` of the H of a row: from dm and dc to the gates' cotangents before activation, and dc of the step before. */
function cellBackward<T>(
  units: i32, H: i32, gates: usize, before: usize, tanhs: usize, peepholes: usize,
  dm: usize, dc: usize, dgates: usize, dpeepholes: usize,
): void {
  const n = units % lanes<T>();
  const whole = units - n;
  cellVectorsBackward<T>(whole, H, gates, before, tanhs, peepholes, dm, dc, dgates, dpeepholes);
  if (n == 0) return;
  dc = at<T>(dc, whole);
  dpeepholes = at<T>(dpeepholes, whole);
  loadEnds<T>(n, 4, at<T>(gates, whole), H, ENDS);
  loadEnds<T>(n, 1, at<T>(before, whole), 0, ENDS + 64);
  loadEnds<T>(n, 1, at<T>(tanhs, whole), 0, ENDS + 80);
  loadEnds<T>(n, 1, at<T>(dm, whole), 0, ENDS + 96);
  loadEnds<T>(n, 1, dc, 0, ENDS + 112);
  if (peepholes) {
    loadEnds<T>(n, 3, at<T>(peepholes, whole), H, ENDS + 128);
    loadEnds<T>(n, 3, dpeepholes, H, ENDS + 176);
  }
  const L = lanes<T>();
  cellVectorsBackward<T>(
    L, L, ENDS, ENDS + 64, ENDS + 80, peepholes ? ENDS + 128 : 0, ENDS + 96, ENDS + 112, ENDS + 224, ENDS + 176,
  );
  storeEnds<T>(n, 4, ENDS + 224, at<T>(dgates, whole), H);
  storeEnds<T>(n, 1, ENDS + 112, dc, 0);
  if (peepholes) storeEnds<T>(n, 3, ENDS + 176, dpeepholes, H);
}

/** The same for n elements, a multiple of the lanes; gates and peepholes lie `stride` elements apart. */
function cellVectorsBackward<T>(
  n: i32, stride: i32, gates: usize, before: usize, tanhs: usize, peepholes: usize,
  dm: usize, dc: usize, dgates: usize, dpeepholes: usize,
): void {
  const gate = at<T>(0, stride);
  for (const end = at<T>(dc, n); dc != end; dc += 16) {
    const i = v128.load(gates);
    const f = v128.load(gates + gate);
    const g = v128.load(gates + 2 * gate);
    const o = v128.load(gates + 3 * gate);
    const c0 = v128.load(before);
    const t = v128.load(tanhs);
    const d = v128.load(dm);
    const dO = v128.mul<T>(v128.mul<T>(d, t), sigmoidSlope<T>(o));
    let dC = madd<T>(v128.mul<T>(d, o), tanhSlope<T>(t), v128.load(dc));
    if (peepholes) dC = madd<T>(dO, v128.load(peepholes + 2 * gate), dC);
    const dI = v128.mul<T>(v128.mul<T>(dC, g), sigmoidSlope<T>(i));
    const dF = v128.mul<T>(v128.mul<T>(dC, c0), sigmoidSlope<T>(f));
    const dG = v128.mul<T>(v128.mul<T>(dC, i), tanhSlope<T>(g));
    dC = v128.mul<T>(dC, f);
    if (peepholes) {
      dC = madd<T>(dI, v128.load(peepholes), dC);
      dC = madd<T>(dF, v128.load(peepholes + gate), dC);
      accumulate<T>(dpeepholes, dI, c0);
      accumulate<T>(dpeepholes + gate, dF, c0);
      accumulate<T>(dpeepholes + 2 * gate, dO, madd<T>(f, c0, v128.mul<T>(i, g)));
      peepholes += 16;
      dpeepholes += 16;
    }
    v128.store(dc, dC);
    v128.store(dgates, dI);
    v128.store(dgates + gate, dF);
    v128.store(dgates + 2 * gate, dG);
    v128.store(dgates + 3 * gate, dO);
    gates += 16;
    before += 16;
    tanhs += 16;
    dm += 16;
    dgates += 16;
  }
}

/** total += a·b, one vector. */
// @ts-ignore: decorator
@inline
function accumulate<T>(total: usize, a: v128, b: v128): void {
  v128.store(total, madd<T>(a, b, v128.load(total)));
}
