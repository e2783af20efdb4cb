// Recurrences in which every unit sees of the past only its own state, forward and backward.
//
//   a = φ(g + u∘h)    h' = a, or z + a∘(h − z) where there is a z
//
// All arrays hold rows of [batch, H]; u is a row too, hs are the states [steps + 1, batch, H] with the first one given.
// `lengths` (i32 a sequence, or null) says how many steps each sequence has: its state stays after them.

import { at } from "../lanes";
import { partEnd, partStart } from "../threads";
import { each } from "../reduce/prefix-scan";
import * as op from "../codes.gen";

/** Threads share units, each with all its steps: parts of whole vectors. */
const UNIT: i32 = 16;

/** What can be done at once: the whole batch, or a sequence where each has its own length. */
// @ts-ignore: decorator
@inline
function groups(batch: i32, lengths: usize): i32 {
  return lengths ? batch : 1;
}

// @ts-ignore: decorator
@inline
function isOver(lengths: usize, b: i32, s: i32): bool {
  return lengths != 0 && s >= load<i32>(lengths + ((<usize>b) << 2));
}

/**
 * Fills hs from its row 0. `activation` is the code of φ, 0 for the identity. Where z is given, the values a [steps, batch, H]
 * are kept in `gates`. @kernel @shared 12 * steps * batch * H
 */
export function diagonalForward<T>(
  steps: i32, batch: i32, H: i32, activation: i32, lengths: usize, g: usize, u: usize, z: usize, hs: usize, gates: usize,
): void {
  const parts = groups(batch, lengths);
  const width = (batch * H) / max(parts, 1);
  const first = partStart(width, UNIT);
  const n = partEnd(width, UNIT) - first;
  for (let s = 0; s < steps; s++) {
    for (let b = 0; b < parts; b++) {
      const here = (s * parts + b) * width + first;
      const h = at<T>(hs, here);
      const next = at<T>(h, parts * width);
      if (isOver(lengths, b, s)) {
        memory.copy(next, h, at<T>(0, n));
        continue;
      }
      const a = z ? at<T>(gates, here) : next;
      each<T>(op.MUL, n, h, at<T>(u, b * width + first), a);
      each<T>(op.ADD, n, a, at<T>(g, here), a);
      if (activation) each<T>(activation, n, a, a, a);
      if (!z) continue;
      each<T>(op.SUB, n, h, at<T>(z, here), next);
      each<T>(op.MUL, n, next, a, next);
      each<T>(op.ADD, n, next, at<T>(z, here), next);
    }
  }
}

/**
 * dhs [steps + 1, batch, H] are the cotangents of the states; dh (a row) goes in as zeros and comes out as that of row 0.
 * Written: dg, and dz where there is one. `slope` is the code that takes a cotangent and a value a to φ's cotangent, 0 for the identity.
 * `work` has room for a row. @kernel @shared 20 * steps * batch * H
 */
export function diagonalBackward<T>(
  steps: i32, batch: i32, H: i32, slope: i32, lengths: usize, u: usize, z: usize, hs: usize, gates: usize,
  dhs: usize, dh: usize, dg: usize, dz: usize, work: usize,
): void {
  const parts = groups(batch, lengths);
  const width = (batch * H) / max(parts, 1);
  const first = partStart(width, UNIT);
  const n = partEnd(width, UNIT) - first;
  work = at<T>(work, first);
  for (let s = steps; s >= 0; s--) {
    for (let b = 0; b < parts; b++) {
      const here = ((s - 1) * parts + b) * width + first;
      const l = at<T>(dh, b * width + first);
      each<T>(op.ADD, n, l, at<T>(dhs, here + parts * width), l);
      if (s == 0) continue;
      const d = at<T>(dg, here);
      if (isOver(lengths, b, s - 1)) {
        memory.fill(d, 0, at<T>(0, n));
        if (z) memory.fill(at<T>(dz, here), 0, at<T>(0, n));
        continue;
      }
      const a = z ? at<T>(gates, here) : at<T>(hs, here + parts * width);
      memory.copy(d, l, at<T>(0, n));
      if (z) {
        each<T>(op.SUB, n, at<T>(hs, here), at<T>(z, here), d);
        each<T>(op.MUL, n, d, l, d);
        each<T>(op.MUL, n, l, a, work);
        each<T>(op.SUB, n, l, work, at<T>(dz, here));
      }
      if (slope) each<T>(slope, n, d, a, d);
      each<T>(op.MUL, n, d, at<T>(u, b * width + first), l);
      if (z) each<T>(op.ADD, n, l, work, l);
    }
  }
}
