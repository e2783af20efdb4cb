// True values of elementary functions of doubles: fixed point in big integers, for measuring and nothing else.
//
// A number is { m, q }, worth m·2^-q. Inside, everything is an integer scaled by 2^P.

/** Bits beyond the leading one that are kept. */
const GUARD = 200;

const exponentOf = (x) => (x === 0 ? 0 : Math.floor(Math.log2(Math.abs(x))));

/** x·2^P, exactly where P is large enough. */
function fixed(x, P) {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, x);
  const bits = view.getBigUint64(0);
  const e = Number((bits >> 52n) & 0x7ffn);
  const m = (bits & 0xfffffffffffffn) | (e > 0 ? 1n << 52n : 0n);
  const shift = P + Math.max(e, 1) - 1075;
  const scaled = shift >= 0 ? m << BigInt(shift) : m >> BigInt(-shift);
  return x < 0 ? -scaled : scaled;
}

const cache = new Map();
function constant(name, P, make) {
  const key = `${name}${P}`;
  if (!cache.has(key)) cache.set(key, make(P + 64) >> 64n);
  return cache.get(key);
}

/** Σ ±z^(2k+1)/(2k+1): atan (sign -1) or atanh (sign 1) of z. */
function arc(z, P, sign) {
  const z2 = (z * z) >> BigInt(P);
  let sum = 0n;
  let power = z;
  for (let k = 1n; power !== 0n && power !== -1n; k += 2n) {
    sum += power / k;
    power = (sign * power * z2) >> BigInt(P);
  }
  return sum;
}

const ln2 = (P) => constant("ln2", P, (p) => 2n * arc((1n << BigInt(p)) / 3n, p, 1n));
// Machin's formula.
const pi = (P) => constant("pi", P, (p) => 4n * (4n * arc((1n << BigInt(p)) / 5n, p, -1n) - arc((1n << BigInt(p)) / 239n, p, -1n)));

/** e^X for any fixed X: mantissa in [½, 2) and a power of two. */
function expParts(X, P) {
  const L = ln2(P + 32);
  const n = (X << 32n) / L;
  let r = ((X << 32n) - n * L) >> 32n;
  const halvings = 12n;
  r >>= halvings;
  const one = 1n << BigInt(P);
  let sum = one;
  let term = one;
  for (let k = 1n; term !== 0n && term !== -1n; k++) {
    term = ((term * r) >> BigInt(P)) / k;
    sum += term;
  }
  for (let i = 0n; i < halvings; i++) sum = (sum * sum) >> BigInt(P);
  return { m: sum, n: Number(n) };
}

const shifted = (m, n) => (n >= 0 ? m << BigInt(n) : m >> BigInt(-n));

/** Enough bits for values as small as 2^-smallest. */
const bitsFor = (smallest) => GUARD + Math.max(0, smallest) + 64;

/** Beyond ±800, doubles are 0, 1 or infinite already. */
const limited = (x) => Math.max(-800, Math.min(800, x));

export function exp(x) {
  const P = bitsFor(-exponentOf(x));
  const { m, n } = expParts(fixed(limited(x), P), P);
  return { m, q: P - n };
}

function expm1Fixed(X, P) {
  const { m, n } = expParts(X, P);
  return shifted(m, n) - (1n << BigInt(P));
}

export function expm1(x) {
  const P = bitsFor(-exponentOf(x) + 16);
  return { m: expm1Fixed(fixed(limited(x), P), P), q: P };
}

/** log of a positive fixed number. */
function logFixed(X, P) {
  const k = X.toString(2).length - 1 - P;
  const m = shifted(X, -k);
  const one = 1n << BigInt(P);
  return BigInt(k) * ln2(P) + 2n * arc(((m - one) << BigInt(P)) / (m + one), P, 1n);
}

export function log(x) {
  const e = exponentOf(x);
  const P = GUARD + 1200;
  const scaled = fixed(x, P);
  // x near 1 keeps its relative accuracy: log is the series of x - 1 there, and k is 0 or -1.
  if (x > 0.5 && x < 1) {
    const one = 1n << BigInt(P);
    return { m: 2n * arc(((scaled - one) << BigInt(P)) / (scaled + one), P, 1n), q: P };
  }
  return { m: logFixed(e < -500 ? scaled << 600n : scaled, P) - (e < -500 ? 600n * ln2(P) : 0n), q: P };
}

export function log1p(x) {
  const P = bitsFor(2 * Math.max(0, -exponentOf(x)));
  const X = fixed(x, P);
  const one = 1n << BigInt(P);
  if (Math.abs(x) < 0.5) return { m: 2n * arc((X << BigInt(P)) / (2n * one + X), P, 1n), q: P };
  return { m: logFixed(one + X, P), q: P };
}

export function tanh(x) {
  const P = bitsFor(-exponentOf(x) + 16);
  const A = expm1Fixed(2n * fixed(limited(x), P), P);
  return { m: (A << BigInt(P)) / (A + (2n << BigInt(P))), q: P };
}

export function sigmoid(x) {
  const P = bitsFor(x < -30 ? 2200 : -exponentOf(x));
  const { m, n } = expParts(fixed(limited(x), P), P);
  const t = shifted(m, n);
  return { m: (t << BigInt(P)) / (t + (1n << BigInt(P))), q: P };
}

/** sin of x plus a number of quarter turns. */
function sine(x, quarters) {
  const P = bitsFor(Math.max(-exponentOf(x) + 16, 80));
  const wide = P + Math.max(0, exponentOf(x)) + 64;
  const half = pi(wide) / 2n;
  const X = fixed(x, wide);
  const n = (2n * X + half) / (2n * half) - (2n * X + half < 0n ? 1n : 0n);
  const r = (X - n * half) >> BigInt(wide - P);
  const turn = (((n + BigInt(quarters)) % 4n) + 4n) % 4n;
  const odd = turn % 2n === 1n;
  const r2 = (r * r) >> BigInt(P);
  let term = odd ? 1n << BigInt(P) : r;
  let sum = 0n;
  for (let k = odd ? 1n : 2n; term !== 0n && term !== -1n; k += 2n) {
    sum += term;
    term = -((term * r2) >> BigInt(P)) / (k * (k + 1n));
  }
  return { m: turn >= 2n ? -sum : sum, q: P };
}

export const sin = (x) => sine(x, 0);
export const cos = (x) => sine(x, 1);

export function erf(x) {
  if (Math.abs(x) > 8) return { m: BigInt(Math.sign(x)), q: 0 };
  const P = bitsFor(-exponentOf(x) + 16) + 128;
  const X = fixed(x, P);
  const x2 = (X * X) >> BigInt(P);
  let power = X;
  let sum = 0n;
  for (let k = 0n; power !== 0n && power !== -1n; k++) {
    sum += power / (2n * k + 1n);
    power = -((power * x2) >> BigInt(P)) / (k + 1n);
  }
  const rootPi = squareRoot(pi(P) << BigInt(P));
  return { m: ((2n * sum) << BigInt(P)) / rootPi, q: P };
}

function squareRoot(a) {
  let x = 1n << BigInt((a.toString(2).length >> 1) + 1);
  for (;;) {
    const next = (x + a / x) >> 1n;
    if (next >= x) return x;
    x = next;
  }
}

/** x^y of a positive x. */
export function pow(x, y) {
  const P = GUARD + 1400;
  const l = log(x);
  const L = l.q >= P ? l.m >> BigInt(l.q - P) : l.m << BigInt(P - l.q);
  const { m, n } = expParts((L * fixed(y, P)) >> BigInt(P), P);
  return { m, q: P - n };
}

/** erf in double, to some 50 bits: a series without cancellation. */
export function erfDouble(x) {
  const a = Math.abs(x);
  if (!(a < 6)) return Math.sign(x);
  let term = a;
  let sum = a;
  for (let k = 1; term > 1e-17 * sum; k++) {
    term *= (2 * a * a) / (2 * k + 1);
    sum += term;
  }
  return x === 0 ? x : Math.sign(x) * (2 / Math.sqrt(Math.PI)) * Math.exp(-a * a) * sum;
}

/** |got - true| in units of the last place of the true value, of a double. */
export function errorInUnits(got, { m, q }) {
  if (m === 0n) return got === 0 ? 0 : Infinity;
  const size = m < 0n ? -m : m;
  const e = Math.max(size.toString(2).length - 1 - q, -1022);
  // In units of 2^(e - 52), with 32 more bits.
  const unit = e - 52 - 32;
  const scale = Math.max(q, 1074) + 64;
  const difference = fixed(got, scale) - (m << BigInt(scale - q));
  const units = shifted(difference < 0n ? -difference : difference, -(scale + unit));
  return Number(units) / 2 ** 32;
}
