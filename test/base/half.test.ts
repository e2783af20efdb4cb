import { describe, expect, it } from "vitest";
import { bfloatToBits, bfloatToNumber, e4m3ToBits, halfToBits, halfToNumber, numberToHalf } from "../../src/base/half.ts";

describe("binary16 to the bits of a float32, worked by hand", () => {
  const table: [string, number, number][] = [
    ["0", 0x0000, 0x00000000],
    ["-0", 0x8000, 0x80000000],
    ["1", 0x3c00, 0x3f800000],
    ["-2", 0xc000, 0xc0000000],
    ["65504, the largest", 0x7bff, 0x477fe000],
    ["2^-14, the least normal", 0x0400, 0x38800000],
    ["1023·2^-24, the largest subnormal", 0x03ff, 0x387fc000],
    ["2^-15, a subnormal", 0x0200, 0x38000000],
    ["3·2^-24", 0x0003, 0x34400000],
    ["2^-24, the least", 0x0001, 0x33800000],
    ["-2^-24", 0x8001, 0xb3800000],
    ["infinity", 0x7c00, 0x7f800000],
    ["-infinity", 0xfc00, 0xff800000],
    ["NaN", 0x7e00, 0x7fc00000],
    ["a signalling NaN with its payload", 0x7d55, 0x7faaa000],
    ["-NaN", 0xfe01, 0xffc02000],
  ];
  it.each(table)("%s", (_, half, bits) => expect(halfToBits(half)).toBe(bits));
});

it("bfloat16 is the upper half of a float32", () => {
  expect([0x0001, 0x3f80, 0x7f80, 0xff80, 0x7fc1, 0x8000].map(bfloatToBits)).toEqual([
    0x00010000, 0x3f800000, 0x7f800000, 0xff800000, 0x7fc10000, 0x80000000,
  ]);
  expect(bfloatToNumber(0xc049)).toBe(-3.140625);
});

it("e4m3: every number against its formula", () => {
  for (let bits = 0; bits < 256; bits++) {
    const [sign, exponent, fraction] = [bits & 0x80 ? -1 : 1, (bits >> 3) & 15, bits & 7];
    const value = exponent === 0 ? sign * fraction * 2 ** -9 : sign * (8 + fraction) * 2 ** (exponent - 10);
    const expected = exponent === 15 && fraction === 7 ? Number.NaN : value;
    expect(new Float32Array(Uint32Array.of(e4m3ToBits(bits)).buffer)[0]).toBe(expected);
  }
});

describe("numbers to binary16", () => {
  it("and back are the same for every one, NaN apart", () => {
    for (let half = 0; half < 65536; half++) {
      const x = halfToNumber(half);
      const [exponent, fraction] = [(half >> 10) & 31, half & 1023];
      const size =
        exponent === 0
          ? fraction * 2 ** -24
          : exponent === 31
            ? fraction
              ? Number.NaN
              : Infinity
            : (1024 + fraction) * 2 ** (exponent - 25);
      if (Math.abs(x) !== size && !(Number.isNaN(x) && Number.isNaN(size))) expect.fail(`${half}: ${x}`);
      if (!Number.isNaN(x) && numberToHalf(x) !== half) expect.fail(`${half}: ${numberToHalf(x)}`);
    }
    expect(numberToHalf(Number.NaN)).toBe(0x7e00);
  });

  it.each([
    ["half way up to an even one", 1 + 3 * 2 ** -11, 0x3c02],
    ["half way down to an even one", 1 + 2 ** -11, 0x3c00],
    ["a little more than half", 1 + 2 ** -11 + 2 ** -40, 0x3c01],
    ["a carry into the exponent", 2 - 2 ** -12, 0x4000],
    ["the last below infinity", 65519.999, 0x7bff],
    ["infinity from half way", 65520, 0x7c00],
    ["far beyond", -1e300, 0xfc00],
    ["half of the least, to zero", 2 ** -25, 0x0000],
    ["a little more than half of the least", -(2 ** -25 + 2 ** -60), 0x8001],
    ["a subnormal that becomes normal", 1023.5 * 2 ** -24, 0x0400],
    ["a number of float64 alone", 5e-324, 0x0000],
  ])("round %s", (_, x, half) => expect(numberToHalf(x)).toBe(half));
});
