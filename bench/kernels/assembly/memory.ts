// How fast a core can read memory, 128 bits at a time. Only the benchmark compiles this.

/** Reads `bytes` (a multiple of 128) from `ptr`, `rounds` times over. Eight loads and four sums fit the registers. */
export function read(bytes: usize, ptr: usize, rounds: i32, out: usize): void {
  let a = v128.load(out), b = a, c = a, d = a;
  for (let r = 0; r < rounds; r++) {
    const end = ptr + bytes;
    for (let p = ptr; p < end; p += 128) {
      a = i32x4.add(a, v128.load(p)); b = i32x4.add(b, v128.load(p, 16));
      c = i32x4.add(c, v128.load(p, 32)); d = i32x4.add(d, v128.load(p, 48));
      a = i32x4.add(a, v128.load(p, 64)); b = i32x4.add(b, v128.load(p, 80));
      c = i32x4.add(c, v128.load(p, 96)); d = i32x4.add(d, v128.load(p, 112));
    }
  }
  v128.store(out, i32x4.add(i32x4.add(a, b), i32x4.add(c, d)));
}
