// Random numbers: Philox4x32-10 words, turned in place into uniform, normal and Bernoulli values.
// Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", 2011.
import { at } from "./lanes";
import { quantile } from "./math/quantile";

const M0: u64 = 0xd2511f53;
const M1: u64 = 0xcd9e8d57;
const WEYL0: u32 = 0x9e3779b9;
const WEYL1: u32 = 0xbb67ae85;

/**
 * Writes the first n words of the Philox4x32-10 blocks counter, counter + 1, …
 * The 64-bit key is (key0, key1), the 128-bit counter (counter, stream0, stream1), low words first. @kernel
 */
export function philox(n: i32, key0: i32, key1: i32, stream0: i32, stream1: i32, counter: f64, y: usize): void {
  let block = <u64>counter;
  for (let i = 0; i < n; i += 4, block++) {
    let c0 = <u32>block;
    let c1 = <u32>(block >> 32);
    let c2 = <u32>stream0;
    let c3 = <u32>stream1;
    let k0 = <u32>key0;
    let k1 = <u32>key1;
    for (let round = 0; round < 10; round++) {
      const p0 = M0 * c0;
      const p1 = M1 * c2;
      c0 = <u32>(p1 >> 32) ^ c1 ^ k0;
      c1 = <u32>p1;
      c2 = <u32>(p0 >> 32) ^ c3 ^ k1;
      c3 = <u32>p0;
      k0 += WEYL0;
      k1 += WEYL1;
    }
    const p = at<u32>(y, i);
    store<u32>(p, c0);
    if (i + 1 < n) store<u32>(p, c1, 4);
    if (i + 2 < n) store<u32>(p, c2, 8);
    if (i + 3 < n) store<u32>(p, c3, 12);
  }
}

/** The high `bits` bits of the word (f32) or word pair (f64) at p, as a whole number. */
// @ts-ignore: decorator
@inline
function highBits<T>(p: usize, bits: i32): f64 {
  if (sizeof<T>() == 4) return <f64>(load<u32>(p) >> (32 - bits));
  return <f64>(load<u64>(p) >> (64 - bits));
}

/** y holds random words; becomes low + width·u for u in [0, 1) of 24 (f32) or 53 (f64) bits, kept within [first, last]. @kernel */
export function wordsToUniform<T>(n: i32, low: f64, width: f64, first: f64, last: f64, y: usize): void {
  const bits = sizeof<T>() == 4 ? 24 : 53;
  const unit: f64 = sizeof<T>() == 4 ? 1.0 / 16777216.0 : 1.0 / 9007199254740992.0;
  for (let i = 0; i < n; i++) {
    const p = at<T>(y, i);
    const v = low + width * (highBits<T>(p, bits) * unit);
    store<T>(p, <T>max(first, min(last, v)));
  }
}

/** y holds random words; becomes mean + std·z, z the normal quantile of (w + ½)/2^32 (f32) or /2^52 (f64). @kernel */
export function wordsToNormal<T>(n: i32, mean: f64, std: f64, y: usize): void {
  const bits = sizeof<T>() == 4 ? 32 : 52;
  const unit: f64 = sizeof<T>() == 4 ? 1.0 / 4294967296.0 : 1.0 / 4503599627370496.0;
  for (let i = 0; i < n; i++) {
    const p = at<T>(y, i);
    store<T>(p, <T>(mean + std * quantile((highBits<T>(p, bits) + 0.5) * unit)));
  }
}

/** y holds random words; becomes value where the word's high 32 bits are below limit, 0 elsewhere. @kernel */
export function wordsToBernoulli<T>(n: i32, limit: f64, value: f64, y: usize): void {
  for (let i = 0; i < n; i++) {
    const p = at<T>(y, i);
    store<T>(p, <T>(highBits<T>(p, 32) < limit ? value : 0.0));
  }
}
