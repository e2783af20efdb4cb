import { describe, expect, it } from "vitest";
import { ArgumentError, DTypeError, ShapeError } from "../../src/base/errors.ts";
import { chrF } from "../../src/metrics/index.ts";

describe("chrF", () => {
  it("is what the paper's formula gives by hand", () => {
    // "abc" for "abd": of 1-grams 2 of 3 on both sides, of 2-grams 1 of 2, of 3-grams 0 of 1; longer ones there are none.
    const mean = (2 / 3 + 1 / 2 + 0) / 3;
    expect(Math.abs(chrF(["abc"], [["abd"]]) - mean)).toBeLessThanOrEqual(1e-12);
    // "ab" for "abcd": precisions 2/2 and 1/1, recalls 2/4 and 1/3; recall counts twice.
    const [p, r] = [1, (1 / 2 + 1 / 3) / 2];
    expect(Math.abs(chrF(["ab"], [["abcd"]]) - (5 * p * r) / (4 * p + r))).toBeLessThanOrEqual(1e-12);
    expect(Math.abs(chrF(["ab"], [["abcd"]], { beta: 1 }) - (2 * p * r) / (p + r))).toBeLessThanOrEqual(1e-12);
  });

  it("sums the counts of a corpus, and takes the best reference of each text", () => {
    // 1-grams: 1 of 1 and 0 of 3 are 1 of 4.
    expect(Math.abs(chrF(["a", "xyz"], [["a"], ["bcd"]], { maxOrder: 1 }) - 1 / 4)).toBeLessThanOrEqual(1e-12);
    expect(chrF(["le chat"], [["un chien", "le  chat"]])).toBe(1);
    expect(chrF(["aaa"], [["a"]], { maxOrder: 1, beta: 1 })).toBe(0.5);
  });

  it("is 0 for nothing in common and for nothing at all", () => {
    expect(chrF(["abc"], [["xyz"]])).toBe(0);
    expect(chrF([""], [["xyz"]])).toBe(0);
  });

  it("refuses what are no texts and no references", () => {
    expect(() => chrF(["a"], [])).toThrow(ShapeError);
    expect(() => chrF(["a"], [[]])).toThrow(ArgumentError);
    expect(() => chrF([1 as never], [["a"]])).toThrow(DTypeError);
    expect(() => chrF(["a"], [[2 as never]])).toThrow(DTypeError);
    expect(() => chrF(["a"], [["a"]], { beta: 0 })).toThrow(ArgumentError);
    expect(() => chrF(["a"], [["a"]], { maxOrder: 0.5 })).toThrow(ArgumentError);
  });
});
