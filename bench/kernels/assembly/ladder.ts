// The rungs below the shipped gemm, and the peak: f32, row-major n × n matrices, C += A·B. Only the benchmark compiles this.

// @ts-ignore: decorator
@inline
function madd(a: v128, b: v128, c: v128): v128 {
  if (isDefined(RELAXED)) return f32x4.relaxed_madd(a, b, c);
  return f32x4.add(c, f32x4.mul(a, b));
}

/**
 * As many operations as the core can do from registers: seven chains of multiplications and seven of additions, or
 * fourteen of fused ones. 14 vector operations a round. x and y are loaded, because V8 would make constants anew.
 */
export function peak(rounds: i32, out: usize): void {
  const x = v128.load(out);
  let a = v128.load(out, 16);
  let b = a, c = a, d = a, e = a, f = a, g = a, h = a, i = a, j = a, k = a, l = a, m = a, n = a;
  for (let r = 0; r < rounds; r++) {
    a = first(a, x); b = first(b, x); c = first(c, x); d = first(d, x); e = first(e, x); f = first(f, x); g = first(g, x);
    h = second(h, x); i = second(i, x); j = second(j, x); k = second(k, x); l = second(l, x); m = second(m, x); n = second(n, x);
  }
  const left = f32x4.add(f32x4.add(f32x4.add(a, b), f32x4.add(c, d)), f32x4.add(f32x4.add(e, f), g));
  const right = f32x4.add(f32x4.add(f32x4.add(h, i), f32x4.add(j, k)), f32x4.add(f32x4.add(l, m), n));
  v128.store(out, f32x4.add(left, right), 32);
}

// @ts-ignore: decorator
@inline
function first(s: v128, x: v128): v128 {
  return isDefined(RELAXED) ? f32x4.relaxed_madd(s, x, x) : f32x4.mul(s, x);
}

// @ts-ignore: decorator
@inline
function second(s: v128, x: v128): v128 {
  return isDefined(RELAXED) ? f32x4.relaxed_madd(s, x, x) : f32x4.add(s, x);
}

/** 1: one dot product an element. */
export function dots(n: i32, a: usize, b: usize, c: usize): void {
  const row = <usize>n * 4;
  for (let i: usize = 0; i < <usize>n; i++) {
    for (let j: usize = 0; j < <usize>n; j++) {
      let sum = load<f32>(c + i * row + 4 * j);
      for (let k: usize = 0; k < <usize>n; k++) sum += load<f32>(a + i * row + 4 * k) * load<f32>(b + k * row + 4 * j);
      store<f32>(c + i * row + 4 * j, sum);
    }
  }
}

/** 2: rows of B scaled and added to rows of C, so that memory is read in order. */
export function rows(n: i32, a: usize, b: usize, c: usize): void {
  const row = <usize>n * 4;
  for (let i: usize = 0; i < <usize>n; i++) {
    for (let k: usize = 0; k < <usize>n; k++) {
      const x = load<f32>(a + i * row + 4 * k);
      const from = b + k * row;
      const to = c + i * row;
      for (let j: usize = 0; j < row; j += 4) store<f32>(to + j, load<f32>(to + j) + x * load<f32>(from + j));
    }
  }
}

/** 3: the same, four elements at a time. */
export function vectors(n: i32, a: usize, b: usize, c: usize): void {
  const row = <usize>n * 4;
  for (let i: usize = 0; i < <usize>n; i++) {
    for (let k: usize = 0; k < <usize>n; k++) {
      const x = v128.load32_splat(a + i * row + 4 * k);
      const from = b + k * row;
      const to = c + i * row;
      for (let j: usize = 0; j < row; j += 16) v128.store(to + j, madd(x, v128.load(from + j), v128.load(to + j)));
    }
  }
}

/** 4: 4 × 8 elements of C stay in registers for all of k; A and B are read where they lie. */
export function tiles(n: i32, a: usize, b: usize, c: usize): void {
  const row = <usize>n * 4;
  for (let j: usize = 0; j < row; j += 32) {
    for (let i: usize = 0; i < <usize>n; i += 4) tile(n, a + i * row, row, b + j, c + i * row + j);
  }
}

function tile(k: i32, a0: usize, row: usize, b: usize, c0: usize): void {
  let a1 = a0 + row, a2 = a1 + row, a3 = a2 + row;
  const c1 = c0 + row, c2 = c1 + row, c3 = c2 + row;
  let s00 = v128.load(c0), s01 = v128.load(c0, 16), s10 = v128.load(c1), s11 = v128.load(c1, 16);
  let s20 = v128.load(c2), s21 = v128.load(c2, 16), s30 = v128.load(c3), s31 = v128.load(c3, 16);
  for (; k > 0; k--) {
    const b0 = v128.load(b), b1 = v128.load(b, 16);
    const x0 = v128.load32_splat(a0), x1 = v128.load32_splat(a1);
    s00 = madd(x0, b0, s00); s01 = madd(x0, b1, s01);
    s10 = madd(x1, b0, s10); s11 = madd(x1, b1, s11);
    const x2 = v128.load32_splat(a2), x3 = v128.load32_splat(a3);
    s20 = madd(x2, b0, s20); s21 = madd(x2, b1, s21);
    s30 = madd(x3, b0, s30); s31 = madd(x3, b1, s31);
    a0 += 4; a1 += 4; a2 += 4; a3 += 4;
    b += row;
  }
  v128.store(c0, s00); v128.store(c0, s01, 16); v128.store(c1, s10); v128.store(c1, s11, 16);
  v128.store(c2, s20); v128.store(c2, s21, 16); v128.store(c3, s30); v128.store(c3, s31, 16);
}
