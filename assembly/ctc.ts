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

/** log(e^a + e^b + e^c), -inf where all three are. */
// @ts-ignore: decorator
@inline
function logSum(a: v128, b: v128, c: v128): v128 {
  // The floor keeps -inf - (-inf) out.
  const m = f64x2.max(f64x2.max(f64x2.max(a, b), c), all<f64>(-1e300));
  const sum = f64x2.add(f64x2.add(vexp<f64>(f64x2.sub(a, m)), vexp<f64>(f64x2.sub(b, m))), vexp<f64>(f64x2.sub(c, m)));
  return f64x2.add(m, vlog<f64>(sum));
}

/** skip[s]: 0 where state s may follow state s-2 (two different labels around a blank), else -inf. */
function findSkips(labels: i32, targets: usize, skip: usize): void {
  for (let s = 3; s < 2 * labels; s += 2) {
    const same = labelOf(targets, s, 0) == labelOf(targets, s - 2, 0);
    store<f64>(at<f64>(skip + BORDER, s), same ? -Infinity : 0.0);
  }
}

/** emission[s]: the log-probability of the label of state s. */
function readEmissions<T>(labels: i32, blank: i32, logProbs: usize, targets: usize, emission: usize): void {
  for (let s = 0; s <= 2 * labels; s++) {
    store<f64>(at<f64>(emission + BORDER, s), <f64>load<T>(at<T>(logProbs, labelOf(targets, s, blank))));
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
 * logProbs [T,N,C]; targets int32 [N,S]; inputLengths, targetLengths int32 [N]; alpha f64 [N,T,2S+6], of which the
 * rows of real steps are written; losses [N]; work: 2 rows of f64. Lengths are within T and S, targets within C. @kernel
 */
export function ctcForward<T>(
  steps: i32, batch: i32, classes: i32, width: i32, blank: i32, logProbs: usize, targets: usize,
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
      readEmissions<T>(S_n, blank, at<T>(logProbs, (t * batch + n) * classes), labels, emission);
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
    store<T>(at<T>(losses, n), <T>(0.0 - likelihood));
  }
}

/**
 * occupancy[t,n,c] = probability that sequence n, given its labels, reads class c at step t: minus the derivative of
 * its loss by logProbs[t,n,c]. Zero after its last step, and throughout when no alignment exists.
 * alpha as ctcForward left it; work: 4 rows of f64. @kernel
 */
export function ctcOccupancy<T>(
  steps: i32, batch: i32, classes: i32, width: i32, blank: i32, logProbs: usize, targets: usize,
  inputLengths: usize, targetLengths: usize, alpha: usize, occupancy: usize, work: usize,
): void { // biome-ignore format: a kernel's parameters
  const size = rowSize(width);
  const skip = work;
  const emission = at<f64>(work, size);
  const beta = at<f64>(work, 2 * size);
  const later = at<f64>(work, 3 * size);
  memory.fill(occupancy, 0, at<T>(0, steps * batch * classes));
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
      const slice = (t * batch + n) * classes;
      addOccupancy<T>(S_n, blank, labels, at<f64>(alpha, (n * steps + t) * size), beta, likelihood, at<T>(occupancy, slice));
      readEmissions<T>(S_n, blank, at<T>(logProbs, slice), labels, emission);
      for (let s = 0; s <= 2 * S_n; s += 2) {
        const o = at<f64>(BORDER, s);
        v128.store(later + o, f64x2.add(v128.load(beta + o), v128.load(emission + o)));
      }
      retreat(S_n, later, skip, beta);
    }
  }
}

/** Adds e^(alpha[s] + beta[s] - likelihood) to the class of every state s. */
function addOccupancy<T>(labels: i32, blank: i32, targets: usize, alpha: usize, beta: usize, likelihood: f64, occupancy: usize): void {
  for (let s = 0; s <= 2 * labels; s += 2) {
    const o = at<f64>(BORDER, s);
    const joint = f64x2.add(v128.load(alpha + o), v128.load(beta + o));
    const p = vexp<f64>(f64x2.sub(joint, all<f64>(likelihood)));
    addTo<T>(at<T>(occupancy, blank), f64x2.extract_lane(p, 0));
    if (s < 2 * labels) addTo<T>(at<T>(occupancy, labelOf(targets, s + 1, blank)), f64x2.extract_lane(p, 1));
  }
}

// @ts-ignore: decorator
@inline
function addTo<T>(p: usize, value: f64): void {
  store<T>(p, <T>((<f64>load<T>(p)) + value));
}
