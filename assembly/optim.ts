// Optimiser updates: one pass over parameter, gradient and state, element by element, in place.
//
// In all of them d = sign·g + decay·p is the gradient (sign −1 to maximise, decay the L2 penalty);
// arrays do not overlap unless said so. Nothing is fused into one rounding, so both builds give the same bits.

import { at } from "./lanes";
import { isShared, own, partEnd, partStart } from "./threads";

/** The last elements of up to eight arrays, each made up to a vector, and where they belong. */
const ENDS = own(memory.data(128, 16));
const PLACES = own(memory.data(32, 4));
let ends: i32 = 0;

/**
 * A base from which offset i leads to a copy of the `bytes` there, followed by zeros; putBack writes the copies back.
 * So a loop goes over whole vectors only. An array that occurs twice is copied once; an absent one (0) stays absent.
 */
function end(base: usize, i: usize, bytes: usize): usize {
  if (base == 0) return 0;
  const k = endOf(base + i, 0);
  const copy = ENDS + 16 * k;
  if (k == ends) {
    ends++;
    store<usize>(PLACES + 4 * k, base + i);
    v128.store(copy, i64x2.splat(0));
    memory.copy(copy, base + i, bytes);
  }
  return copy - i;
}

// Recursive, as is putBack: the compiler would copy a loop into every kernel.
function endOf(place: usize, k: i32): i32 {
  return k == ends || load<usize>(PLACES + 4 * k) == place ? k : endOf(place, k + 1);
}

function putBack(bytes: usize): void {
  if (ends == 0) return;
  ends--;
  memory.copy(load<usize>(PLACES + 4 * ends), ENDS + 16 * ends, bytes);
  putBack(bytes);
}

/** Threads share elements: parts of an array are of whole vectors. */
const UNIT: i32 = 64;

/** Where this thread's part of an array begins; an absent one stays absent. */
// @ts-ignore: decorator
@inline
function partOf<T>(base: usize, first: i32): usize {
  return isShared() && base ? at<T>(base, first) : base;
}

// @ts-ignore: decorator
@inline
function splat<T>(x: f64): v128 {
  return v128.splat<T>(<T>x);
}

/** a·x + b·y. */
// @ts-ignore: decorator
@inline
function mix<T>(a: v128, x: v128, b: v128, y: v128): v128 {
  return v128.add<T>(v128.mul<T>(a, x), v128.mul<T>(b, y));
}

/**
 * m ← momentum·m + share·d; p ← p − lr·(now·d + ahead·m). Without m (address 0) it counts as d. @kernel @shared 10 * n
 */
export function sgd<T>(n: i32, lr: f64, sign: f64, decay: f64, momentum: f64, share: f64, now: f64, ahead: f64, p: usize, g: usize, m: usize): void {
  const first = partStart(n, UNIT);
  n = partEnd(n, UNIT) - first;
  p = partOf<T>(p, first);
  g = partOf<T>(g, first);
  m = partOf<T>(m, first);
  const rate = splat<T>(lr);
  const s = splat<T>(sign);
  const l2 = splat<T>(decay);
  const mu = splat<T>(momentum);
  const part = splat<T>(share);
  const ofGradient = splat<T>(now);
  const ofVelocity = splat<T>(ahead);
  const hasVelocity = m != 0;
  const size = <usize>n * sizeof<T>();
  for (let i: usize = 0; i < size; i += 16) {
    if (size - i < 16) {
      p = end(p, i, size - i);
      g = end(g, i, size - i);
      m = end(m, i, size - i);
    }
    const w = v128.load(p + i);
    const d = mix<T>(s, v128.load(g + i), l2, w);
    let velocity = d;
    if (hasVelocity) {
      velocity = mix<T>(mu, v128.load(m + i), part, d);
      v128.store(m + i, velocity);
    }
    const move = mix<T>(ofGradient, d, ofVelocity, velocity);
    v128.store(p + i, v128.sub<T>(w, v128.mul<T>(rate, move)));
  }
  putBack(size & 15);
}

/**
 * v ← keep·v + share·d², a ← keep·a + share·d; u = d/(√max(0, v − a²) + ε); m ← momentum·m + u; p ← p − lr·m.
 * Without a (address 0) it counts as zero; without m (address 0) p ← p − lr·u. RMSprop, and with keep = share = 1 Adagrad. @kernel @shared 10 * n
 */
export function rmsprop<T>(n: i32, lr: f64, sign: f64, decay: f64, keep: f64, share: f64, eps: f64, momentum: f64, p: usize, g: usize, v: usize, a: usize, m: usize): void {
  const first = partStart(n, UNIT);
  n = partEnd(n, UNIT) - first;
  p = partOf<T>(p, first);
  g = partOf<T>(g, first);
  v = partOf<T>(v, first);
  a = partOf<T>(a, first);
  m = partOf<T>(m, first);
  const rate = splat<T>(lr);
  const s = splat<T>(sign);
  const l2 = splat<T>(decay);
  const old = splat<T>(keep);
  const fresh = splat<T>(share);
  const e = splat<T>(eps);
  const mu = splat<T>(momentum);
  const hasMean = a != 0;
  const hasVelocity = m != 0;
  const size = <usize>n * sizeof<T>();
  for (let i: usize = 0; i < size; i += 16) {
    if (size - i < 16) {
      p = end(p, i, size - i);
      g = end(g, i, size - i);
      v = end(v, i, size - i);
      a = end(a, i, size - i);
      m = end(m, i, size - i);
    }
    const w = v128.load(p + i);
    const d = mix<T>(s, v128.load(g + i), l2, w);
    let variance = mix<T>(old, v128.load(v + i), fresh, v128.mul<T>(d, d));
    v128.store(v + i, variance);
    if (hasMean) {
      const mean = mix<T>(old, v128.load(a + i), fresh, d);
      v128.store(a + i, mean);
      // Rounding may take a variance of nothing below zero.
      variance = v128.max<T>(splat<T>(0), v128.sub<T>(variance, v128.mul<T>(mean, mean)));
    }
    let move = v128.div<T>(d, v128.add<T>(v128.sqrt<T>(variance), e));
    if (hasVelocity) {
      move = v128.add<T>(v128.mul<T>(mu, v128.load(m + i)), move);
      v128.store(m + i, move);
    }
    v128.store(p + i, v128.sub<T>(w, v128.mul<T>(rate, move)));
  }
  putBack(size & 15);
}

/** v ← ρ·v + (1 − ρ)·d²; u = d·√(x + ε)/√(v + ε); x ← ρ·x + (1 − ρ)·u²; p ← p − lr·u @kernel @shared 10 * n */
export function adadelta<T>(n: i32, lr: f64, sign: f64, decay: f64, rho: f64, eps: f64, p: usize, g: usize, v: usize, x: usize): void {
  const first = partStart(n, UNIT);
  n = partEnd(n, UNIT) - first;
  p = partOf<T>(p, first);
  g = partOf<T>(g, first);
  v = partOf<T>(v, first);
  x = partOf<T>(x, first);
  const rate = splat<T>(lr);
  const s = splat<T>(sign);
  const l2 = splat<T>(decay);
  const old = splat<T>(rho);
  const fresh = splat<T>(1 - rho);
  const e = splat<T>(eps);
  const size = <usize>n * sizeof<T>();
  for (let i: usize = 0; i < size; i += 16) {
    if (size - i < 16) {
      p = end(p, i, size - i);
      g = end(g, i, size - i);
      v = end(v, i, size - i);
      x = end(x, i, size - i);
    }
    const w = v128.load(p + i);
    const d = mix<T>(s, v128.load(g + i), l2, w);
    const variance = mix<T>(old, v128.load(v + i), fresh, v128.mul<T>(d, d));
    v128.store(v + i, variance);
    const moves = v128.load(x + i);
    const ratio = v128.div<T>(v128.sqrt<T>(v128.add<T>(moves, e)), v128.sqrt<T>(v128.add<T>(variance, e)));
    const move = v128.mul<T>(ratio, d);
    v128.store(x + i, mix<T>(old, moves, fresh, v128.mul<T>(move, move)));
    v128.store(p + i, v128.sub<T>(w, v128.mul<T>(rate, move)));
  }
  putBack(size & 15);
}

/**
 * m ← β₁·m + (1 − β₁)·d; v ← β₂·v + (1 − β₂)·d²; top ← max(top, v); p ← shrink·p − (cm·m + cg·d)/(scale·√top + ε).
 * d uses the shrunk p. `top` may be v itself. The coefficients make it Adam, AdamW, NAdam or RAdam.
 * The slots hold, for each of `count` parameters: n, p, g, m, v, top. @kernel @shared 10 * sizes(count, slots)
 */
export function adam<T>(count: i32, sign: f64, decay: f64, shrink: f64, beta1: f64, beta2: f64, cm: f64, cg: f64, scale: f64, eps: f64, slots: usize): void {
  const s = splat<T>(sign);
  const l2 = splat<T>(decay);
  const less = splat<T>(shrink);
  const old1 = splat<T>(beta1);
  const fresh1 = splat<T>(1 - beta1);
  const old2 = splat<T>(beta2);
  const fresh2 = splat<T>(1 - beta2);
  const ofMean = splat<T>(cm);
  const ofGradient = splat<T>(cg);
  const unit = splat<T>(scale);
  const e = splat<T>(eps);
  for (let k = 0; k < count; k++, slots += 48) {
    const n = <i32>load<f64>(slots);
    const first = partStart(n, UNIT);
    const size = <usize>(partEnd(n, UNIT) - first) * sizeof<T>();
    let p = partOf<T>(<usize>load<f64>(slots, 8), first);
    let g = partOf<T>(<usize>load<f64>(slots, 16), first);
    let m = partOf<T>(<usize>load<f64>(slots, 24), first);
    let v = partOf<T>(<usize>load<f64>(slots, 32), first);
    let top = partOf<T>(<usize>load<f64>(slots, 40), first);
    for (let i: usize = 0; i < size; i += 16) {
      if (size - i < 16) {
        p = end(p, i, size - i);
        g = end(g, i, size - i);
        m = end(m, i, size - i);
        v = end(v, i, size - i);
        top = end(top, i, size - i);
      }
      const w = v128.mul<T>(less, v128.load(p + i));
      const d = mix<T>(s, v128.load(g + i), l2, w);
      const mean = mix<T>(old1, v128.load(m + i), fresh1, d);
      v128.store(m + i, mean);
      const variance = mix<T>(old2, v128.load(v + i), fresh2, v128.mul<T>(d, d));
      v128.store(v + i, variance);
      const most = v128.max<T>(v128.load(top + i), variance);
      v128.store(top + i, most);
      const below = v128.add<T>(v128.mul<T>(unit, v128.sqrt<T>(most)), e);
      v128.store(p + i, v128.sub<T>(w, v128.div<T>(mix<T>(ofMean, mean, ofGradient, d), below)));
    }
    putBack(size & 15);
  }
}

/** m ← β₁·m + (1 − β₁)·d; u ← max(β₂·u, |d| + ε); p ← p − lr·m/u @kernel @shared 10 * n */
export function adamax<T>(n: i32, lr: f64, sign: f64, decay: f64, beta1: f64, beta2: f64, eps: f64, p: usize, g: usize, m: usize, u: usize): void {
  const first = partStart(n, UNIT);
  n = partEnd(n, UNIT) - first;
  p = partOf<T>(p, first);
  g = partOf<T>(g, first);
  m = partOf<T>(m, first);
  u = partOf<T>(u, first);
  const rate = splat<T>(lr);
  const s = splat<T>(sign);
  const l2 = splat<T>(decay);
  const old = splat<T>(beta1);
  const fresh = splat<T>(1 - beta1);
  const fade = splat<T>(beta2);
  const e = splat<T>(eps);
  const size = <usize>n * sizeof<T>();
  for (let i: usize = 0; i < size; i += 16) {
    if (size - i < 16) {
      p = end(p, i, size - i);
      g = end(g, i, size - i);
      m = end(m, i, size - i);
      u = end(u, i, size - i);
    }
    const w = v128.load(p + i);
    const d = mix<T>(s, v128.load(g + i), l2, w);
    const mean = mix<T>(old, v128.load(m + i), fresh, d);
    v128.store(m + i, mean);
    const most = v128.max<T>(v128.mul<T>(fade, v128.load(u + i)), v128.add<T>(v128.abs<T>(d), e));
    v128.store(u + i, most);
    v128.store(p + i, v128.sub<T>(w, v128.mul<T>(rate, v128.div<T>(mean, most))));
  }
  putBack(size & 15);
}

/**
 * Step sizes by the signs of successive gradients: s ← s·η⁺ where d·last > 0, s·η⁻ and d ← 0 where d·last < 0, kept
 * within [least, most]; p ← p − sign(d)·s; last ← d. @kernel @shared 10 * n
 */
export function rprop<T>(n: i32, sign: f64, down: f64, up: f64, least: f64, most: f64, p: usize, g: usize, last: usize, s: usize): void {
  const first = partStart(n, UNIT);
  n = partEnd(n, UNIT) - first;
  p = partOf<T>(p, first);
  g = partOf<T>(g, first);
  last = partOf<T>(last, first);
  s = partOf<T>(s, first);
  const signs = splat<T>(sign);
  const slower = splat<T>(down);
  const faster = splat<T>(up);
  const low = splat<T>(least);
  const high = splat<T>(most);
  const zero = splat<T>(0);
  const one = splat<T>(1);
  const size = <usize>n * sizeof<T>();
  for (let i: usize = 0; i < size; i += 16) {
    if (size - i < 16) {
      p = end(p, i, size - i);
      g = end(g, i, size - i);
      last = end(last, i, size - i);
      s = end(s, i, size - i);
    }
    let d = v128.mul<T>(signs, v128.load(g + i));
    const product = v128.mul<T>(d, v128.load(last + i));
    const turned = v128.lt<T>(product, zero);
    const factor = v128.bitselect(slower, v128.bitselect(faster, one, v128.gt<T>(product, zero)), turned);
    const size = v128.min<T>(high, v128.max<T>(low, v128.mul<T>(factor, v128.load(s + i))));
    v128.store(s + i, size);
    d = v128.andnot(d, turned);
    v128.store(last + i, d);
    const rising = v128.and(v128.gt<T>(d, zero), size);
    const falling = v128.and(v128.lt<T>(d, zero), size);
    v128.store(p + i, v128.add<T>(v128.sub<T>(v128.load(p + i), rising), falling));
  }
  putBack(size & 15);
}

/** y ← a·x + b·y; x and y may be the same. @kernel @shared 4 * n */
export function axpby<T>(n: i32, a: f64, x: usize, b: f64, y: usize): void {
  const first = partStart(n, UNIT);
  n = partEnd(n, UNIT) - first;
  x = partOf<T>(x, first);
  y = partOf<T>(y, first);
  const ofX = splat<T>(a);
  const ofY = splat<T>(b);
  const size = <usize>n * sizeof<T>();
  for (let i: usize = 0; i < size; i += 16) {
    if (size - i < 16) {
      x = end(x, i, size - i);
      y = end(y, i, size - i);
    }
    v128.store(y + i, mix<T>(ofX, v128.load(x + i), ofY, v128.load(y + i)));
  }
  putBack(size & 15);
}

/** x ← x kept within [−limit, limit]; NaN stays. @kernel @shared 4 * n */
export function clampMagnitude<T>(n: i32, limit: f64, x: usize): void {
  const first = partStart(n, UNIT);
  n = partEnd(n, UNIT) - first;
  x = partOf<T>(x, first);
  const high = splat<T>(limit);
  const low = splat<T>(-limit);
  const size = <usize>n * sizeof<T>();
  for (let i: usize = 0; i < size; i += 16) {
    if (size - i < 16) {
      x = end(x, i, size - i);
    }
    v128.store(x + i, v128.min<T>(high, v128.max<T>(low, v128.load(x + i))));
  }
  putBack(size & 15);
}

/** The f64 at out becomes Σ x[i]·y[i], summed in f64; x and y may be the same. @kernel */
export function dotProduct<T>(n: i32, x: usize, y: usize, out: usize): void {
  let even = f64x2.splat(0);
  let odd = f64x2.splat(0);
  const size = <usize>n * sizeof<T>();
  for (let i: usize = 0; i < size; i += 16) {
    if (size - i < 16) {
      x = end(x, i, size - i);
      y = end(y, i, size - i);
    }
    const a = v128.load(x + i);
    const b = v128.load(y + i);
    if (sizeof<T>() == 4) {
      even = f64x2.add(even, f64x2.mul(f64x2.promote_low_f32x4(a), f64x2.promote_low_f32x4(b)));
      odd = f64x2.add(odd, f64x2.mul(f64x2.promote_low_f32x4(upper(a)), f64x2.promote_low_f32x4(upper(b))));
    } else {
      even = f64x2.add(even, f64x2.mul(a, b));
    }
  }
  putBack(size & 15);
  const sum = f64x2.add(even, odd);
  store<f64>(out, f64x2.extract_lane(sum, 0) + f64x2.extract_lane(sum, 1));
}

/** The upper two f32 lanes moved to the lower places. */
// @ts-ignore: decorator
@inline
function upper(v: v128): v128 {
  return v128.shuffle<i64>(v, v, 1, 1);
}
