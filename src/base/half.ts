/** Floats of 8 and 16 bits, as files hold them: to the bits of a float32, NaN's payload among them, and back. */

const word = new DataView(new ArrayBuffer(8));

function numberOfBits(bits: number): number {
  word.setUint32(0, bits);
  return word.getFloat32(0);
}

/** Bits of a float with 5 bits of exponent and 10 of fraction (IEEE 754 binary16) to those of a float32. */
export function halfToBits(half: number): number {
  const sign = (half & 0x8000) << 16;
  const exponent = (half >> 10) & 31;
  const fraction = half & 1023;
  if (exponent === 31) return (sign | 0x7f800000 | (fraction << 13)) >>> 0;
  if (exponent > 0) return (sign | ((exponent + 112) << 23) | (fraction << 13)) >>> 0;
  if (fraction === 0) return sign >>> 0;
  // A subnormal one is a normal float32: its leading bit moves to where it is not written.
  const shift = Math.clz32(fraction) - 21;
  return (sign | ((113 - shift) << 23) | (((fraction << shift) & 1023) << 13)) >>> 0;
}

/** bfloat16 is the upper half of a float32. */
export function bfloatToBits(bfloat: number): number {
  return (bfloat << 16) >>> 0;
}

/** 4 bits of exponent, 3 of fraction and no infinities (Micikevicius et al., "FP8 formats for deep learning", 2022, table 1). */
export function e4m3ToBits(bits: number): number {
  const sign = (bits & 0x80) << 24;
  const exponent = (bits >> 3) & 15;
  const fraction = bits & 7;
  if (exponent === 15 && fraction === 7) return (sign | 0x7fc00000) >>> 0;
  if (exponent > 0) return (sign | ((exponent + 120) << 23) | (fraction << 20)) >>> 0;
  if (fraction === 0) return sign >>> 0;
  const shift = Math.clz32(fraction) - 28;
  return (sign | ((121 - shift) << 23) | (((fraction << shift) & 7) << 20)) >>> 0;
}

/** binary16 to a number. */
export function halfToNumber(half: number): number {
  return numberOfBits(halfToBits(half));
}

/** bfloat16 to a number. */
export function bfloatToNumber(bfloat: number): number {
  return numberOfBits(bfloatToBits(bfloat));
}

/** The nearest binary16, of two the even one; beyond 65,519.99… an infinity. */
export function numberToHalf(x: number): number {
  const sign = x < 0 || Object.is(x, -0) ? 0x8000 : 0;
  if (Number.isNaN(x)) return 0x7e00;
  const size = Math.abs(x);
  if (size >= 65520) return sign | 0x7c00;
  word.setFloat64(0, size);
  const exponent = Math.max(-14, (word.getUint32(0) >>> 20) - 1023);
  const scaled = size * 2 ** (10 - exponent);
  const below = Math.floor(scaled);
  const rest = scaled - below;
  const up = rest > 0.5 || (rest === 0.5 && below % 2 === 1);
  // A carry out of the fraction is the next exponent; without a leading bit the exponent is that of subnormals, 0.
  return sign | (((exponent + 14) << 10) + below + (up ? 1 : 0));
}
