// Connectionist temporal classification (Graves et al. 2006): the forward-backward recursion over alignments.
//
// The labels of a sequence are interleaved with blanks: state s reads blank for even s and label (s-1)/2 for odd s.
// A row holds one value a state, in f64 for both types (a sequence adds up thousands of logarithms), with two
// more states of log-probability -inf on either side, so that every predecessor and successor can be read:
//
//   | -inf -inf | state 0 … state 2S | (-inf: room of the last vector) -inf -inf |
//
// Rows have 2S + 6 elements. Sequences shorter than S have -inf in the states they lack.

import { vexp } from "./math/exp";
import { vlog } from "./math/log";
import { at } from "./lanes";
import { all } from "./math/vector";

const BORDER: usize = 16;

// @ts-ignore: decorator
@inline
function rowSize(labels: i32): i32 {
  return 2 * labels + 6;
}

// @ts-ignore: decorator
@inline
function labelOf(targets: usize, s: i32, blank: i32): i32 {
  return s & 1 ? load<i32>(targets + ((<usize>(s >> 1)) << 2)) : blank;
}

function clear(row: usize, n: i32): void {
  const none = all<f64>(-Infinity);
  for (let i = 0; i < n; i += 2) v128.store(at<f64>(row, i), none);
}

// Calls instead of inlined copies: under 1 kB of code instead of 7, and no slower by more than a tenth.
function exp(x: v128): v128 {
  return vexp<f64>(x);
}

/** log(e^a + e^b + e^c), -inf where all three are. */
function logSum(a: v128, b: v128, c: v128): v128 {
  const high = f64x2.max(a, b);
  const m = f64x2.max(high, c);
  // The largest counts 1; the floor keeps -inf - (-inf) out of the others.
  const floor = f64x2.max(m, all<f64>(-1e300));
  const others = f64x2.add(exp(f64x2.sub(f64x2.min(a, b), floor)), exp(f64x2.sub(f64x2.min(high, c), floor)));
  return f64x2.add(m, vlog<f64>(f64x2.add(others, all<f64>(1.0))));
}

/** skip[s]: 0 where state s may follow state s-2 (two different labels around a blank), else -inf. */
function findSkips(labels: i32, targets: usize, skip: usize): void {
  for (let s = 3; s < 2 * labels; s += 2) {
    const same = labelOf(targets, s, 0) == labelOf(targets, s - 2, 0);
    store<f64>(at<f64>(skip + BORDER, s), same ? -Infinity : 0.0);
  }
}

/** Element i of an array of floats of 4 or 8 bytes. */
function read(base: usize, i: i32, bytes: i32): f64 {
  return bytes == 4 ? <f64>load<f32>(at<f32>(base, i)) : load<f64>(at<f64>(base, i));
}

function write(base: usize, i: i32, bytes: i32, value: f64): void {
  if (bytes == 4) store<f32>(at<f32>(base, i), <f32>value);
  else store<f64>(at<f64>(base, i), value);
}

/** emission[s]: the log-probability of the label of state s, of the classes from number `first` on. */
function readEmissions(labels: i32, blank: i32, bytes: i32, logProbs: usize, first: i32, targets: usize, emission: usize): void {
  for (let s = 0; s <= 2 * labels; s++) {
    store<f64>(at<f64>(emission + BORDER, s), read(logProbs, first + labelOf(targets, s, blank), bytes));
  }
}

/** One step on: next[s] = emission[s] + log(e^row[s] + e^row[s-1] + e^(row[s-2] + skip[s])). */
function advance(labels: i32, row: usize, emission: usize, skip: usize, next: usize): void {
  for (let s = 0; s <= 2 * labels; s += 2) {
    const p = at<f64>(row + BORDER, s);
    const o = at<f64>(BORDER, s);
    const jump = f64x2.add(v128.load(p - 16), v128.load(skip + o));
    v128.store(next + o, f64x2.add(logSum(v128.load(p), v128.load(p - 8), jump), v128.load(emission + o)));
  }
}

/** One step back: next[s] = log(e^row[s] + e^row[s+1] + e^(row[s+2] + skip[s+2])). */
function retreat(labels: i32, row: usize, skip: usize, next: usize): void {
  for (let s = 0; s <= 2 * labels; s += 2) {
    const p = at<f64>(row + BORDER, s);
    const o = at<f64>(BORDER, s);
    const jump = f64x2.add(v128.load(p + 16), v128.load(skip + o + 16));
    v128.store(next + o, logSum(v128.load(p), v128.load(p + 8), jump));
  }
}

/** Log-probability of all alignments from the last row of alpha: they end in the last label or the blank after it. */
function logLikelihood(labels: i32, alpha: usize): f64 {
  const p = at<f64>(alpha + BORDER, 2 * labels);
  const none = all<f64>(-Infinity);
  return f64x2.extract_lane(logSum(v128.load(p), v128.load(p - 8), none), 0);
}

/**
 * alpha[n,t,s] = log-probability of all ways to be in state s at step t, and losses[n] = -log-probability of the
 * labels of sequence n, +inf when no alignment fits in its steps.
 * logProbs [T,N,C] and losses are floats of `bytes` bytes; targets int32 [N,S]; inputLengths, targetLengths int32 [N]; alpha f64 [N,T,2S+6], of which the
 * rows of real steps are written; losses [N]; work: 2 rows of f64. Lengths are within T and S, targets within C. @kernel
 */
export function ctcForward(
  bytes: i32, steps: i32, batch: i32, classes: i32, width: i32, blank: i32, logProbs: usize, targets: usize,
  inputLengths: usize, targetLengths: usize, alpha: usize, losses: usize, work: usize,
): void { // biome-ignore format: a kernel's parameters
  const size = rowSize(width);
  const skip = work;
  const emission = at<f64>(work, size);
  for (let n = 0; n < batch; n++) {
    const T_n = load<i32>(inputLengths + ((<usize>n) << 2));
    const S_n = load<i32>(targetLengths + ((<usize>n) << 2));
    const labels = targets + ((<usize>(n * width)) << 2);
    clear(work, 2 * size);
    findSkips(S_n, labels, skip);
    let row = at<f64>(alpha, n * steps * size);
    for (let t = 0; t < T_n; t++) {
      const next = t == 0 ? row : at<f64>(row, size);
      readEmissions(S_n, blank, bytes, logProbs, (t * batch + n) * classes, labels, emission);
      clear(next, size);
      if (t == 0) {
        store<f64>(next + BORDER, load<f64>(emission + BORDER));
        store<f64>(next + BORDER, load<f64>(emission + BORDER, 8), 8);
      } else {
        advance(S_n, row, emission, skip, next);
      }
      row = next;
    }
    const likelihood = T_n == 0 ? (S_n == 0 ? 0.0 : -Infinity) : logLikelihood(S_n, row);
    write(losses, n, bytes, 0.0 - likelihood);
  }
}

/**
 * occupancy[t,n,c] = probability that sequence n, given its labels, reads class c at step t: minus the derivative of
 * its loss by logProbs[t,n,c]. Zero after its last step, and throughout when no alignment exists.
 * alpha as ctcForward left it; work: 4 rows of f64. @kernel
 */
export function ctcOccupancy(
  bytes: i32, steps: i32, batch: i32, classes: i32, width: i32, blank: i32, logProbs: usize, targets: usize,
  inputLengths: usize, targetLengths: usize, alpha: usize, occupancy: usize, work: usize,
): void { // biome-ignore format: a kernel's parameters
  const size = rowSize(width);
  const skip = work;
  const emission = at<f64>(work, size);
  const beta = at<f64>(work, 2 * size);
  const later = at<f64>(work, 3 * size);
  memory.fill(occupancy, 0, <usize>(steps * batch * classes) * bytes);
  for (let n = 0; n < batch; n++) {
    const T_n = load<i32>(inputLengths + ((<usize>n) << 2));
    const S_n = load<i32>(targetLengths + ((<usize>n) << 2));
    const labels = targets + ((<usize>(n * width)) << 2);
    if (T_n == 0) continue;
    const likelihood = logLikelihood(S_n, at<f64>(alpha, (n * steps + T_n - 1) * size));
    if (likelihood == -Infinity) continue;
    clear(work, 4 * size);
    findSkips(S_n, labels, skip);
    // After the last step only the last label and the blank after it are ends.
    store<f64>(at<f64>(beta + BORDER, 2 * S_n), 0.0);
    if (S_n > 0) store<f64>(at<f64>(beta + BORDER, 2 * S_n - 1), 0.0);
    for (let t = T_n - 1; t >= 0; t--) {
      const first = (t * batch + n) * classes;
      const row = at<f64>(alpha, (n * steps + t) * size);
      addOccupancy(S_n, blank, labels, row, beta, likelihood, bytes, occupancy, first);
      readEmissions(S_n, blank, bytes, logProbs, first, labels, emission);
      for (let s = 0; s <= 2 * S_n; s += 2) {
        const o = at<f64>(BORDER, s);
        v128.store(later + o, f64x2.add(v128.load(beta + o), v128.load(emission + o)));
      }
      retreat(S_n, later, skip, beta);
    }
  }
}

/** Adds e^(alpha[s] + beta[s] - likelihood) to the class of every state s, of the classes from number `first` on. */
function addOccupancy(
  labels: i32, blank: i32, targets: usize, alpha: usize, beta: usize, likelihood: f64, bytes: i32, occupancy: usize, first: i32,
): void { // biome-ignore format: a kernel's parameters
  for (let s = 0; s <= 2 * labels; s += 2) {
    const o = at<f64>(BORDER, s);
    const joint = f64x2.add(v128.load(alpha + o), v128.load(beta + o));
    const p = exp(f64x2.sub(joint, all<f64>(likelihood)));
    addTo(occupancy, first + blank, bytes, f64x2.extract_lane(p, 0));
    if (s < 2 * labels) addTo(occupancy, first + labelOf(targets, s + 1, blank), bytes, f64x2.extract_lane(p, 1));
  }
}

function addTo(base: usize, i: i32, bytes: i32, value: f64): void {
  write(base, i, bytes, read(base, i, bytes) + value);
}
