// Optimiser updates: one pass over parameter, gradient and state, element by element, in place.
//
// In all of them d = sign·g + decay·p is the gradient (sign −1 to maximise, decay the L2 penalty);
// arrays do not overlap unless said so. Nothing is fused into one rounding, so both builds give the same bits.
import { lanes, loadLanes, storeLanes } from "./lanes";

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

/** p ← p − lr·d @kernel */
export function sgd<T>(n: i32, lr: f64, sign: f64, decay: f64, p: usize, g: usize): void {
  const rate = splat<T>(lr);
  const s = splat<T>(sign);
  const l2 = splat<T>(decay);
  for (let i = 0; i < n; i += lanes<T>()) {
    const w = loadLanes<T>(p, i, n, 0);
    const d = mix<T>(s, loadLanes<T>(g, i, n, 0), l2, w);
    storeLanes<T>(p, i, n, v128.sub<T>(w, v128.mul<T>(rate, d)));
  }
}

/** m ← momentum·m + share·d; p ← p − lr·m, or with nesterov ≠ 0 p − lr·(d + momentum·m) @kernel */
export function sgdMomentum<T>(n: i32, lr: f64, sign: f64, decay: f64, momentum: f64, share: f64, lookahead: f64, p: usize, g: usize, m: usize): void {
  const rate = splat<T>(lr);
  const s = splat<T>(sign);
  const l2 = splat<T>(decay);
  const mu = splat<T>(momentum);
  const part = splat<T>(share);
  const ahead = splat<T>(lookahead);
  for (let i = 0; i < n; i += lanes<T>()) {
    const w = loadLanes<T>(p, i, n, 0);
    const d = mix<T>(s, loadLanes<T>(g, i, n, 0), l2, w);
    const velocity = mix<T>(mu, loadLanes<T>(m, i, n, 0), part, d);
    storeLanes<T>(m, i, n, velocity);
    const move = lookahead != 0 ? v128.add<T>(d, v128.mul<T>(ahead, velocity)) : velocity;
    storeLanes<T>(p, i, n, v128.sub<T>(w, v128.mul<T>(rate, move)));
  }
}

/**
 * v ← α·v + (1 − α)·d², a ← α·a + (1 − α)·d; u = d/(√max(0, v − a²) + ε); m ← momentum·m + u; p ← p − lr·m.
 * Without a (address 0) it counts as zero; without m (address 0) p ← p − lr·u. @kernel
 */
export function rmsprop<T>(n: i32, lr: f64, sign: f64, decay: f64, alpha: f64, eps: f64, momentum: f64, p: usize, g: usize, v: usize, a: usize, m: usize): void {
  const rate = splat<T>(lr);
  const s = splat<T>(sign);
  const l2 = splat<T>(decay);
  const old = splat<T>(alpha);
  const fresh = splat<T>(1 - alpha);
  const e = splat<T>(eps);
  const mu = splat<T>(momentum);
  for (let i = 0; i < n; i += lanes<T>()) {
    const w = loadLanes<T>(p, i, n, 0);
    const d = mix<T>(s, loadLanes<T>(g, i, n, 0), l2, w);
    let variance = mix<T>(old, loadLanes<T>(v, i, n, 0), fresh, v128.mul<T>(d, d));
    storeLanes<T>(v, i, n, variance);
    if (a != 0) {
      const mean = mix<T>(old, loadLanes<T>(a, i, n, 0), fresh, d);
      storeLanes<T>(a, i, n, mean);
      // Rounding may take a variance of nothing below zero.
      variance = v128.max<T>(splat<T>(0), v128.sub<T>(variance, v128.mul<T>(mean, mean)));
    }
    let move = v128.div<T>(d, v128.add<T>(v128.sqrt<T>(variance), e));
    if (m != 0) {
      move = v128.add<T>(v128.mul<T>(mu, loadLanes<T>(m, i, n, 0)), move);
      storeLanes<T>(m, i, n, move);
    }
    storeLanes<T>(p, i, n, v128.sub<T>(w, v128.mul<T>(rate, move)));
  }
}

/** s ← s + d²; p ← p − lr·d/(√s + ε) @kernel */
export function adagrad<T>(n: i32, lr: f64, sign: f64, decay: f64, eps: f64, p: usize, g: usize, s: usize): void {
  const rate = splat<T>(lr);
  const signs = splat<T>(sign);
  const l2 = splat<T>(decay);
  const e = splat<T>(eps);
  for (let i = 0; i < n; i += lanes<T>()) {
    const w = loadLanes<T>(p, i, n, 0);
    const d = mix<T>(signs, loadLanes<T>(g, i, n, 0), l2, w);
    const sum = v128.add<T>(loadLanes<T>(s, i, n, 0), v128.mul<T>(d, d));
    storeLanes<T>(s, i, n, sum);
    const move = v128.div<T>(d, v128.add<T>(v128.sqrt<T>(sum), e));
    storeLanes<T>(p, i, n, v128.sub<T>(w, v128.mul<T>(rate, move)));
  }
}

/** v ← ρ·v + (1 − ρ)·d²; u = d·√(x + ε)/√(v + ε); x ← ρ·x + (1 − ρ)·u²; p ← p − lr·u @kernel */
export function adadelta<T>(n: i32, lr: f64, sign: f64, decay: f64, rho: f64, eps: f64, p: usize, g: usize, v: usize, x: usize): void {
  const rate = splat<T>(lr);
  const s = splat<T>(sign);
  const l2 = splat<T>(decay);
  const old = splat<T>(rho);
  const fresh = splat<T>(1 - rho);
  const e = splat<T>(eps);
  for (let i = 0; i < n; i += lanes<T>()) {
    const w = loadLanes<T>(p, i, n, 0);
    const d = mix<T>(s, loadLanes<T>(g, i, n, 0), l2, w);
    const variance = mix<T>(old, loadLanes<T>(v, i, n, 0), fresh, v128.mul<T>(d, d));
    storeLanes<T>(v, i, n, variance);
    const moves = loadLanes<T>(x, i, n, 0);
    const ratio = v128.div<T>(v128.sqrt<T>(v128.add<T>(moves, e)), v128.sqrt<T>(v128.add<T>(variance, e)));
    const move = v128.mul<T>(ratio, d);
    storeLanes<T>(x, i, n, mix<T>(old, moves, fresh, v128.mul<T>(move, move)));
    storeLanes<T>(p, i, n, v128.sub<T>(w, v128.mul<T>(rate, move)));
  }
}

/**
 * m ← β₁·m + (1 − β₁)·d; v ← β₂·v + (1 − β₂)·d²; top ← max(top, v); p ← shrink·p − (cm·m + cg·d)/(scale·√top + ε).
 * d uses the shrunk p. `top` may be v itself. The coefficients make it Adam, AdamW, NAdam or RAdam. @kernel
 */
export function adam<T>(n: i32, sign: f64, decay: f64, shrink: f64, beta1: f64, beta2: f64, cm: f64, cg: f64, scale: f64, eps: f64, p: usize, g: usize, m: usize, v: usize, top: usize): void {
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
  for (let i = 0; i < n; i += lanes<T>()) {
    const w = v128.mul<T>(less, loadLanes<T>(p, i, n, 0));
    const d = mix<T>(s, loadLanes<T>(g, i, n, 0), l2, w);
    const mean = mix<T>(old1, loadLanes<T>(m, i, n, 0), fresh1, d);
    storeLanes<T>(m, i, n, mean);
    const variance = mix<T>(old2, loadLanes<T>(v, i, n, 0), fresh2, v128.mul<T>(d, d));
    storeLanes<T>(v, i, n, variance);
    const most = v128.max<T>(loadLanes<T>(top, i, n, 0), variance);
    storeLanes<T>(top, i, n, most);
    const below = v128.add<T>(v128.mul<T>(unit, v128.sqrt<T>(most)), e);
    storeLanes<T>(p, i, n, v128.sub<T>(w, v128.div<T>(mix<T>(ofMean, mean, ofGradient, d), below)));
  }
}

/** m ← β₁·m + (1 − β₁)·d; u ← max(β₂·u, |d| + ε); p ← p − lr·m/u @kernel */
export function adamax<T>(n: i32, lr: f64, sign: f64, decay: f64, beta1: f64, beta2: f64, eps: f64, p: usize, g: usize, m: usize, u: usize): void {
  const rate = splat<T>(lr);
  const s = splat<T>(sign);
  const l2 = splat<T>(decay);
  const old = splat<T>(beta1);
  const fresh = splat<T>(1 - beta1);
  const fade = splat<T>(beta2);
  const e = splat<T>(eps);
  for (let i = 0; i < n; i += lanes<T>()) {
    const w = loadLanes<T>(p, i, n, 0);
    const d = mix<T>(s, loadLanes<T>(g, i, n, 0), l2, w);
    const mean = mix<T>(old, loadLanes<T>(m, i, n, 0), fresh, d);
    storeLanes<T>(m, i, n, mean);
    const most = v128.max<T>(v128.mul<T>(fade, loadLanes<T>(u, i, n, 0)), v128.add<T>(v128.abs<T>(d), e));
    storeLanes<T>(u, i, n, most);
    storeLanes<T>(p, i, n, v128.sub<T>(w, v128.mul<T>(rate, v128.div<T>(mean, most))));
  }
}

/**
 * Step sizes by the signs of successive gradients: s ← s·η⁺ where d·last > 0, s·η⁻ and d ← 0 where d·last < 0, kept
 * within [least, most]; p ← p − sign(d)·s; last ← d. @kernel
 */
export function rprop<T>(n: i32, sign: f64, down: f64, up: f64, least: f64, most: f64, p: usize, g: usize, last: usize, s: usize): void {
  const signs = splat<T>(sign);
  const slower = splat<T>(down);
  const faster = splat<T>(up);
  const low = splat<T>(least);
  const high = splat<T>(most);
  const zero = splat<T>(0);
  const one = splat<T>(1);
  for (let i = 0; i < n; i += lanes<T>()) {
    let d = v128.mul<T>(signs, loadLanes<T>(g, i, n, 0));
    const product = v128.mul<T>(d, loadLanes<T>(last, i, n, 0));
    const turned = v128.lt<T>(product, zero);
    const factor = v128.bitselect(slower, v128.bitselect(faster, one, v128.gt<T>(product, zero)), turned);
    const size = v128.min<T>(high, v128.max<T>(low, v128.mul<T>(factor, loadLanes<T>(s, i, n, 0))));
    storeLanes<T>(s, i, n, size);
    d = v128.andnot(d, turned);
    storeLanes<T>(last, i, n, d);
    const rising = v128.and(v128.gt<T>(d, zero), size);
    const falling = v128.and(v128.lt<T>(d, zero), size);
    storeLanes<T>(p, i, n, v128.add<T>(v128.sub<T>(loadLanes<T>(p, i, n, 0), rising), falling));
  }
}

/** y ← a·x + b·y; x and y may be the same. @kernel */
export function axpby<T>(n: i32, a: f64, x: usize, b: f64, y: usize): void {
  const ofX = splat<T>(a);
  const ofY = splat<T>(b);
  for (let i = 0; i < n; i += lanes<T>()) {
    storeLanes<T>(y, i, n, mix<T>(ofX, loadLanes<T>(x, i, n, 0), ofY, loadLanes<T>(y, i, n, 0)));
  }
}

/** x ← x kept within [−limit, limit]; NaN stays. @kernel */
export function limitTo<T>(n: i32, limit: f64, x: usize): void {
  const high = splat<T>(limit);
  const low = splat<T>(-limit);
  for (let i = 0; i < n; i += lanes<T>()) {
    storeLanes<T>(x, i, n, v128.min<T>(high, v128.max<T>(low, loadLanes<T>(x, i, n, 0))));
  }
}

/** The f64 at out becomes Σ x[i]·y[i], summed in f64; x and y may be the same. @kernel */
export function dotTo<T>(n: i32, x: usize, y: usize, out: usize): void {
  let even = f64x2.splat(0);
  let odd = f64x2.splat(0);
  for (let i = 0; i < n; i += lanes<T>()) {
    const a = loadLanes<T>(x, i, n, 0);
    const b = loadLanes<T>(y, i, n, 0);
    if (sizeof<T>() == 4) {
      even = f64x2.add(even, f64x2.mul(f64x2.promote_low_f32x4(a), f64x2.promote_low_f32x4(b)));
      odd = f64x2.add(odd, f64x2.mul(f64x2.promote_low_f32x4(upper(a)), f64x2.promote_low_f32x4(upper(b))));
    } else {
      even = f64x2.add(even, f64x2.mul(a, b));
    }
  }
  const sum = f64x2.add(even, odd);
  store<f64>(out, f64x2.extract_lane(sum, 0) + f64x2.extract_lane(sum, 1));
}

/** The upper two f32 lanes moved to the lower places. */
// @ts-ignore: decorator
@inline
function upper(v: v128): v128 {
  return v128.shuffle<i64>(v, v, 1, 1);
}
