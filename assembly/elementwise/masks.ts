// Masks (one byte, 0 or 1) and conversion between element types. Not float kernels: call them with dtype int32.

/** y = a AND b (code 0), a OR b (1), a XOR b (2) for n masks. @kernel */
export function maskLogic(code: i32, n: i32, a: usize, b: usize, y: usize): void {
  let i = 0;
  for (; i <= n - 16; i += 16) v128.store(y + i, logic(code, v128.load(a + i), v128.load(b + i)));
  for (; i < n; i++) {
    store<u8>(y + i, i8x16.extract_lane_u(logic(code, v128.load8_splat(a + i), v128.load8_splat(b + i)), 0));
  }
}

// @ts-ignore: decorator
@inline
function logic(code: i32, a: v128, b: v128): v128 {
  if (code == 0) return v128.and(a, b);
  if (code == 1) return v128.or(a, b);
  return v128.xor(a, b);
}

/**
 * y = x for n elements, converted. Types: 0 float32, 1 float64, 2 int32 (towards zero, saturating; 0 for NaN),
 * 3 bool (x ≠ 0). @kernel
 */
export function convert(from: i32, to: i32, n: i32, x: usize, y: usize): void {
  for (let i = 0; i < n; i++) {
    const value = read(from, x);
    if (to == 0) store<f32>(y, <f32>value);
    else if (to == 1) store<f64>(y, value);
    else if (to == 2) store<i32>(y, <i32>value);
    else store<u8>(y, <u8>(value != 0));
    x += width(from);
    y += width(to);
  }
}

// @ts-ignore: decorator
@inline
function read(type: i32, x: usize): f64 {
  if (type == 0) return <f64>load<f32>(x);
  if (type == 1) return load<f64>(x);
  if (type == 2) return <f64>load<i32>(x);
  return <f64>load<u8>(x);
}

// @ts-ignore: decorator
@inline
function width(type: i32): usize {
  if (type == 1) return 8;
  return type == 3 ? 1 : 4;
}
