// Random numbers: Philox4x32-10 words, turned in place into uniform, normal and Bernoulli values.
// Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", 2011.
// Nothing is fused into one rounding here, so both builds draw the same uniform and Bernoulli values.
import { loadLanes, storeLanes } from "./edges";
import { at, lanes } from "./lanes";
import { quantile } from "./math/quantile";
import { own } from "./threads";

const M0: i32 = 0xd2511f53;
const M1: i32 = 0xcd9e8d57;
const WEYL0: i32 = 0x9e3779b9;
const WEYL1: i32 = 0xbb67ae85;

/** Four blocks of four words. */
const BLOCKS = own(memory.data(64, 16));

/** The low words of the four 64-bit numbers in a and b. */
// @ts-ignore: decorator
@inline
function lowWords(a: v128, b: v128): v128 {
  return v128.shuffle<i32>(a, b, 0, 2, 4, 6);
}

/** Their high words. */
// @ts-ignore: decorator
@inline
function highWords(a: v128, b: v128): v128 {
  return v128.shuffle<i32>(a, b, 1, 3, 5, 7);
}

/** Writes 16 words to y: the blocks `block` to `block + 3`, each vector lane one of them until the end. */
function fourBlocks(block: u64, stream0: i32, stream1: i32, key0: i32, key1: i32, y: usize): void {
  const first = i64x2.add(i64x2.splat(block), i64x2(0, 1));
  const second = i64x2.add(i64x2.splat(block), i64x2(2, 3));
  let c0 = lowWords(first, second);
  let c1 = highWords(first, second);
  let c2 = i32x4.splat(stream0);
  let c3 = i32x4.splat(stream1);
  const m0 = i32x4.splat(M0);
  const m1 = i32x4.splat(M1);
  for (let round = 0; round < 10; round++) {
    const a = i64x2.extmul_low_i32x4_u(c0, m0);
    const b = i64x2.extmul_high_i32x4_u(c0, m0);
    const c = i64x2.extmul_low_i32x4_u(c2, m1);
    const d = i64x2.extmul_high_i32x4_u(c2, m1);
    c0 = v128.xor(v128.xor(highWords(c, d), c1), i32x4.splat(key0));
    c1 = lowWords(c, d);
    c2 = v128.xor(v128.xor(highWords(a, b), c3), i32x4.splat(key1));
    c3 = lowWords(a, b);
    key0 += WEYL0;
    key1 += WEYL1;
  }
  const low01 = v128.shuffle<i32>(c0, c1, 0, 4, 1, 5);
  const low23 = v128.shuffle<i32>(c2, c3, 0, 4, 1, 5);
  const high01 = v128.shuffle<i32>(c0, c1, 2, 6, 3, 7);
  const high23 = v128.shuffle<i32>(c2, c3, 2, 6, 3, 7);
  v128.store(y, v128.shuffle<i64>(low01, low23, 0, 2));
  v128.store(y, v128.shuffle<i64>(low01, low23, 1, 3), 16);
  v128.store(y, v128.shuffle<i64>(high01, high23, 0, 2), 32);
  v128.store(y, v128.shuffle<i64>(high01, high23, 1, 3), 48);
}

/**
 * Writes the first n words of the Philox4x32-10 blocks counter, counter + 1, …
 * The 64-bit key is (key0, key1), the 128-bit counter (counter, stream0, stream1), low words first. @kernel
 */
export function philox(n: i32, key0: i32, key1: i32, stream0: i32, stream1: i32, counter: f64, y: usize): void {
  let block = <u64>counter;
  let i = 0;
  for (; i <= n - 16; i += 16, block += 4) fourBlocks(block, stream0, stream1, key0, key1, at<i32>(y, i));
  if (i == n) return;
  fourBlocks(block, stream0, stream1, key0, key1, BLOCKS);
  memory.copy(at<i32>(y, i), BLOCKS, <usize>(n - i) * 4);
}

/** The whole numbers of the words' 24 high bits, the first two as f64. */
// @ts-ignore: decorator
@inline
function high24(w: v128): v128 {
  return f64x2.convert_low_i32x4_u(i32x4.shr_u(w, 8));
}

/** The whole numbers of the 53 high bits of two word pairs. */
// @ts-ignore: decorator
@inline
function high53(w: v128): v128 {
  const low = f64x2.convert_low_i32x4_u(i32x4.shr_u(lowWords(w, w), 11));
  const high = f64x2.convert_low_i32x4_u(highWords(w, w));
  return f64x2.add(f64x2.mul(high, f64x2.splat(2097152.0)), low);
}

/** max(first, min(last, low + width·u)) */
// @ts-ignore: decorator
@inline
function place(u: v128, low: v128, width: v128, first: v128, last: v128): v128 {
  return f64x2.max(first, f64x2.min(last, f64x2.add(low, f64x2.mul(width, u))));
}

/** y holds random words; becomes low + width·u for u in [0, 1) of 24 (f32) or 53 (f64) bits, kept within [first, last]. @kernel */
export function wordsToUniform<T>(n: i32, low: f64, width: f64, first: f64, last: f64, y: usize): void {
  const from = f64x2.splat(low);
  const unit = f64x2.splat(sizeof<T>() == 4 ? 1.0 / 16777216.0 : 1.0 / 9007199254740992.0);
  const wide = f64x2.splat(width);
  const least = f64x2.splat(first);
  const most = f64x2.splat(last);
  for (let i = 0; i < n; i += lanes<T>()) {
    const w = loadLanes<T>(y, i, n, 0);
    if (sizeof<T>() == 8) {
      storeLanes<T>(y, i, n, place(f64x2.mul(high53(w), unit), from, wide, least, most));
    } else {
      const front = f32x4.demote_f64x2_zero(place(f64x2.mul(high24(w), unit), from, wide, least, most));
      const upper = high24(v128.shuffle<i64>(w, w, 1, 1));
      const back = f32x4.demote_f64x2_zero(place(f64x2.mul(upper, unit), from, wide, least, most));
      storeLanes<T>(y, i, n, v128.shuffle<i64>(front, back, 0, 2));
    }
  }
}

/** The word (f32) or word pair's high 52 bits (f64) at p, as a whole number. */
// @ts-ignore: decorator
@inline
function wordAt<T>(p: usize): f64 {
  return sizeof<T>() == 4 ? <f64>load<u32>(p) : <f64>(load<u64>(p) >> 12);
}

/** y holds random words; becomes mean + std·z, z the normal quantile of (w + ½)/2^32 (f32) or /2^52 (f64). @kernel */
export function wordsToNormal<T>(n: i32, mean: f64, std: f64, y: usize): void {
  const unit: f64 = sizeof<T>() == 4 ? 1.0 / 4294967296.0 : 1.0 / 4503599627370496.0;
  for (let i = 0; i < n; i++) {
    const p = at<T>(y, i);
    store<T>(p, <T>(mean + std * quantile((wordAt<T>(p) + 0.5) * unit)));
  }
}

/** y holds random words; becomes value where a word (f64: the second of a pair) is at most limit, an unsigned word itself, else 0. @kernel */
export function wordsToBernoulli<T>(n: i32, limit: f64, value: f64, y: usize): void {
  const most = i32x4.splat(<u32>limit);
  const one = v128.splat<T>(<T>value);
  for (let i = 0; i < n; i += lanes<T>()) {
    let chosen = i32x4.le_u(loadLanes<T>(y, i, n, 0), most);
    if (sizeof<T>() == 8) chosen = v128.shuffle<i32>(chosen, chosen, 1, 1, 3, 3);
    storeLanes<T>(y, i, n, v128.and(chosen, one));
  }
}
