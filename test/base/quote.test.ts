import { describe, expect, it } from "vitest";
import { asBytes } from "../../src/base/bytes.ts";
import { DTypeError } from "../../src/base/errors.ts";
import { list, quote, shorten } from "../../src/base/quote.ts";

describe("quote", () => {
  class Thing {}
  it.each([
    ["text", '"text"'],
    ['a "b"\n', '"a \\"b\\"\\n"'],
    ["\ud800", '"\\ud800"'],
    [[-1, "1"], '[-1,"1"]'],
    [{ a: 1, b: [null] }, '{"a":1,"b":[null]}'],
    [undefined, "undefined"],
    [null, "null"],
    [Number.NaN, "NaN"],
    [3n, "3n"],
    [Symbol("s"), "Symbol(s)"],
    [() => 1, "a function"],
    [new Thing(), "a Thing"],
    [new Float32Array(3), "a Float32Array"],
    [[[[[1]]]], "[[[…]]]"],
    [Array.from({ length: 20 }, () => 0), "[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,…]"],
    [Object.create(null), "{}"],
  ])("writes %s", (value, text) => {
    expect(quote(value)).toBe(text);
  });

  it("is short and quick for whatever is enormous, circular or broken", () => {
    const circle: unknown[] = [];
    circle.push(circle);
    const broken = Object.defineProperty({}, "a", {
      enumerable: true,
      get() {
        throw new Error("no");
      },
    });
    let deep: unknown = [];
    for (let i = 0; i < 1e5; i++) deep = { deep };
    const began = process.cpuUsage().user;
    const keys = Object.fromEntries(Array.from({ length: 1e4 }, (_, i) => [`k${i}`, "v".repeat(1e4)]));
    for (const value of ["x".repeat(1e8), new Array(1e8), circle, broken, deep, keys, new Proxy({}, { getPrototypeOf: () => null })]) {
      expect(quote(value).length).toBeLessThanOrEqual(80);
    }
    expect(process.cpuUsage().user - began).toBeLessThan(2e6);
  });
});

describe("shorten and list", () => {
  it("cut, and keep to one line", () => {
    expect(shorten("a\nb\u001b[31m")).toBe("a\\u000ab\\u001b[31m");
    expect(shorten("n".repeat(1e6)).length).toBe(80);
    expect(list([])).toBe("none");
    expect(list(["a", "b"])).toBe("a, b");
    expect(list(Array.from({ length: 9 }, (_, i) => `${i}`))).toBe("0, 1, 2, 3, 4, 5, 6, 7, …");
  });
});

describe("asBytes", () => {
  it("takes buffers and views where they begin and end, without a copy", () => {
    const buffer = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8).buffer;
    expect([...asBytes("op", new DataView(buffer, 2, 3))]).toEqual([3, 4, 5]);
    expect([...asBytes("op", new Uint16Array(buffer, 4, 2))]).toEqual([5, 6, 7, 8]);
    expect(asBytes("op", buffer).buffer).toBe(buffer);
    for (const other of ["", [1], {}, null, undefined, 3]) expect(() => asBytes("op", other)).toThrow(DTypeError);
  });
});
