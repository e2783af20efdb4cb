// The same numbers for every peer: drawn by hashing their index, so that other languages draw them too.

/** 32 well mixed bits of an index. The last rounds are those of MurmurHash3 (Appleby 2011). */
function mixed(index, seed) {
  let x = Math.imul(index + 1, 0x9e3779b1) ^ Math.imul(seed, 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return (x ^ (x >>> 16)) >>> 0;
}

/** n float32 values, uniform in ±bound. */
export function uniform(n, seed, bound = 1) {
  return Float32Array.from({ length: n }, (_, i) => ((mixed(i, seed) + 0.5) / 2 ** 31 - 1) * bound);
}

/** n whole numbers in [0, below). */
export function whole(n, seed, below) {
  return Int32Array.from({ length: n }, (_, i) => mixed(i, seed) % below);
}

/** A layer's weights in PyTorch's layout: [gates·H, I], [gates·H, H], [gates·H]; one bias, on the input's side. */
export function recurrentWeights(gates, I, H) {
  const bound = 1 / Math.sqrt(H);
  return {
    weightIh: uniform(gates * H * I, 1, bound),
    weightHh: uniform(gates * H * H, 2, bound),
    bias: uniform(gates * H, 3, bound),
  };
}

/** An output layer's weights: [O, H] and [O]. */
export function headWeights(H, O) {
  const bound = 1 / Math.sqrt(H);
  return { weight: uniform(O * H, 4, bound), bias: uniform(O, 5, bound) };
}

/** `weights` and on: the parameters of a memory machine, one after the other. */
export const SEEDS = { x: 6, a: 7, b: 8, targets: 9, ids: 10, weights: 20 };
