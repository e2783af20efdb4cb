// LSTM, GRU and simple networks over packed rows with recurrent weights of int8: forward only. Equations, packed rows and states are
// those of assembly/rnn; gx [N,G·H] holds the inputs' part with the biases. Weights are a pair: int8 in panels, and a scale a row.
//
// `work` begins with the sums of a step, and behind them is what `product` works in.

import { at } from "../lanes";
import { activate } from "../rnn/elman";
import { cell as gruCell, reset } from "../rnn/gru";
import { cell as lstmCell } from "../rnn/lstm";
import { copyElements, firstRow, rowCount } from "../rnn/rows";
import { product } from "./product";

/**
 * h [B,P] and c [B,H] go in as the initial state and come out as the last; ys [N,P]. The projection r [P,H] and the peepholes [3,H],
 * floats, may be null. `work` has room for 5·H sums in each of B rows. @kernel
 */
export function quantizedLstm(
  steps: i32, table: usize, B: i32, H: i32, P: i32, gx: usize, w: usize, scales: usize, r: usize, rScales: usize, peepholes: usize,
  h: usize, c: usize, ys: usize, work: usize,
): void {
  const G = 4 * H;
  const unprojected = at<f32>(work, B * G);
  const rest = at<f32>(unprojected, B * H);
  for (let s = 0; s < steps; s++) {
    const row = firstRow(table, s);
    const rows = rowCount(table, s);
    product(rows, G, P, h, P, w, scales, at<f32>(gx, row * G), G, work, G, rest);
    const y = at<f32>(ys, row * P);
    const m = r ? unprojected : y;
    for (let i = 0; i < rows; i++) lstmCell<f32>(H, H, at<f32>(work, i * G), at<f32>(c, i * H), peepholes, at<f32>(m, i * H), 0, 0);
    if (r) product(rows, P, H, m, H, r, rScales, 0, 0, y, P, rest);
    copyElements<f32>(h, y, rows * P);
  }
}

/**
 * h [B,H] goes in as the initial state and comes out as the last; ys [N,H]. `after` says that the reset gate is applied after the product,
 * which then starts at the bias [H] (may be null). W is in two parts, of r and z and of n. `work` has room for 4·H sums in each of B rows.
 * @kernel
 */
export function quantizedGru(
  steps: i32, table: usize, B: i32, H: i32, after: i32, gx: usize, w: usize, scales: usize, wn: usize, nScales: usize, bias: usize,
  h: usize, ys: usize, work: usize,
): void {
  const G = 3 * H;
  const qs = at<f32>(work, B * G);
  const rest = at<f32>(qs, B * H);
  for (let s = 0; s < steps; s++) {
    const row = firstRow(table, s);
    const rows = rowCount(table, s);
    const sums = at<f32>(gx, row * G);
    const candidate = at<f32>(work, 2 * H);
    product(rows, 2 * H, H, h, H, w, scales, sums, G, work, G, rest);
    if (after) product(rows, H, H, h, H, wn, nScales, bias, 0, qs, H, rest);
    for (let i = 0; i < rows; i++) {
      const q = at<f32>(qs, i * H);
      const gates = at<f32>(work, i * G);
      if (after) reset<f32>(H, gates, q, at<f32>(sums, i * G + 2 * H), at<f32>(candidate, i * G));
      else reset<f32>(H, gates, at<f32>(h, i * H), 0, q);
    }
    if (!after) product(rows, H, H, qs, H, wn, nScales, at<f32>(sums, 2 * H), G, candidate, G, rest);
    for (let i = 0; i < rows; i++) gruCell<f32>(H, H, at<f32>(work, i * G + H), at<f32>(h, i * H), false);
    copyElements<f32>(at<f32>(ys, row * H), h, rows * H);
  }
}

/** h [B,H] goes in as the initial state and comes out as the last; ys [N,H]. @kernel */
export function quantizedElman(
  steps: i32, table: usize, H: i32, relu: i32, gx: usize, w: usize, scales: usize, h: usize, ys: usize, work: usize,
): void {
  for (let s = 0; s < steps; s++) {
    const rows = rowCount(table, s);
    const first = firstRow(table, s) * H;
    const y = at<f32>(ys, first);
    product(rows, H, H, h, H, w, scales, at<f32>(gx, first), H, y, H, work);
    activate<f32>(rows * H, relu, y);
    copyElements<f32>(h, y, rows * H);
  }
}
