import { describe, expect, it } from "vitest";
import { ArgumentError, DTypeError } from "../../src/base/errors.ts";
import { randomSplit, split } from "../../src/data/split.ts";
import { Vocabulary } from "../../src/data/text.ts";
import { Generator } from "../../src/tensor/random.ts";

describe("Vocabulary", () => {
  it("numbers characters in code point order and goes round", () => {
    const v = Vocabulary.fromText("hello, 😀 welt");
    expect(v.symbols.join("")).toBe(" ,ehlotw😀");
    expect(v.size).toBe(9);
    expect([...v.encode("ho😀")]).toEqual([3, 5, 8]);
    expect(v.decode(v.encode("w😀, hello"))).toBe("w😀, hello");
    expect(v.decode([])).toBe("");
  });

  it("does not depend on the order of the text", () => {
    expect(Vocabulary.fromText("abcab").symbols).toEqual(Vocabulary.fromText("cba").symbols);
  });

  it("makes a character outside it an error, or the unknown symbol", () => {
    const strict = Vocabulary.fromText("ab");
    expect(() => strict.encode("abc")).toThrow(ArgumentError);
    expect(() => strict.encode("abc")).toThrow('expected one of its 2 characters, got "c"');
    const lenient = Vocabulary.fromText("aab", { unknown: "\uFFFD", minCount: 2 });
    expect(lenient.symbols).toEqual(["\uFFFD", "a"]);
    expect([...lenient.encode("abac")]).toEqual([1, 0, 1, 0]);
    expect(lenient.decode([1, 0])).toBe("a\uFFFD");
  });

  it("is rebuilt from its symbols", () => {
    const v = Vocabulary.fromText("xyz\uFFFD", { unknown: "\uFFFD" });
    expect([...new Vocabulary(v.symbols, { unknown: v.unknown }).encode("zyq")]).toEqual([...v.encode("zyq")]);
  });

  it("rejects repeated symbols, no symbols, a stray unknown and ids outside", () => {
    expect(() => new Vocabulary(["a", "b", "a"])).toThrow('each symbol once, got "a" twice');
    expect(() => Vocabulary.fromText("")).toThrow(ArgumentError);
    expect(() => new Vocabulary(["a"], { unknown: "?" })).toThrow(ArgumentError);
    for (const id of [-1, 2, 0.5, Number.NaN]) expect(() => Vocabulary.fromText("ab").decode([id])).toThrow(ArgumentError);
  });
});

describe("Vocabulary of anything else", () => {
  const make = (symbols: unknown, unknown?: unknown) => () => new Vocabulary(symbols as string[], { unknown: unknown as string });

  it("than characters is a typed error", () => {
    for (const symbols of ["abc", null, undefined, 5, { 0: "a", length: 1 }, [5], [null], [undefined], ["a", ["b"]]]) {
      expect(make(symbols), String(symbols)).toThrow(DTypeError);
    }
    for (const symbols of [[], ["ab"], [""], ["a", "a"], ["😀😀"], ["e\u0301"]])
      expect(make(symbols), String(symbols)).toThrow(ArgumentError);
    for (const unknown of [5, {}, ["a"]]) expect(make(["a"], unknown)).toThrow(DTypeError);
    for (const unknown of ["", "aa", "b"]) expect(make(["a"], unknown)).toThrow(ArgumentError);
    expect(new Vocabulary(["a", "😀"], { unknown: undefined as unknown as null }).decode([1, 0])).toBe("😀a");
  });

  it("is a typed error for what is read and written too, in few words", () => {
    const v = Vocabulary.fromText("ab");
    for (const text of [5, null, undefined, ["a"]]) {
      expect(() => v.encode(text as unknown as string)).toThrow(DTypeError);
      expect(() => Vocabulary.fromText(text as unknown as string)).toThrow(DTypeError);
    }
    for (const id of ["0", "length", null, undefined, 1n]) expect(() => v.symbolOf(id as unknown as number)).toThrow(ArgumentError);
    expect(() => Vocabulary.fromText("ab", { minCount: Number.NaN })).toThrow(ArgumentError);
    let message = "";
    try {
      make(["x".repeat(1e6)])();
    } catch (error) {
      message = (error as Error).message;
    }
    expect(message).toMatch(/expected symbol 0 to be one character, got "xxx/);
    expect(message.length).toBeLessThan(200);
  });
});

describe("split", () => {
  it("cuts in order of time and loses nothing", () => {
    const { train, valid, test } = split(
      Int32Array.from({ length: 107 }, (_, i) => i),
      { valid: 0.1, test: 0.2 },
    );
    expect([train.length, valid.length, test.length]).toEqual([76, 10, 21]);
    expect([...train, ...valid, ...test]).toEqual(Array.from({ length: 107 }, (_, i) => i));
  });

  it("cuts strings and arrays, and may leave a part empty", () => {
    expect(split("abcdefghij", { valid: 0, test: 0.3 })).toEqual({ train: "abcdefg", valid: "", test: "hij" });
    // The products are 28.999999999999996 and 56.99999999999999 in binary.
    const hundred = Array.from({ length: 100 }, (_, k) => k);
    for (const [percent, name] of [29, 57, 58, 7, 14, 28, 55, 56].flatMap(
      (p) =>
        [
          [p, "test"],
          [p, "valid"],
        ] as const,
    )) {
      expect(split(hundred, { valid: 0, test: 0, [name]: percent / 100 })[name].length, `${percent}`).toBe(percent);
    }
    // What is no whole number is still rounded down.
    expect(split(hundred, { valid: 0, test: 0.2899 }).test.length).toBe(28);
    expect(split([1, 2, 3, 4], { valid: 0.25, test: 0.25 })).toEqual({ train: [1, 2], valid: [3], test: [4] });
  });

  it("rejects shares that make no sense", () => {
    for (const [valid, test] of [
      [-0.1, 0.1],
      [0.5, 0.5],
      [0.1, Number.NaN],
    ] as const) {
      expect(() => split("abc", { valid, test })).toThrow(ArgumentError);
    }
  });
});

describe("randomSplit", () => {
  const items = Array.from({ length: 100 }, (_, i) => ({ id: i, kind: i < 80 ? "a" : "b" }));
  const ids = (part: readonly { id: number }[]) => part.map(({ id }) => id);

  it("takes each item once, in another order for another seed", () => {
    const { train, valid, test } = randomSplit(items, { valid: 0.2, test: 0.3, generator: new Generator(1) });
    expect([train.length, valid.length, test.length]).toEqual([50, 20, 30]);
    expect(ids([...train, ...valid, ...test]).sort((a, b) => a - b)).toEqual(ids(items));
    expect(ids(train)).not.toEqual([...ids(train)].sort((a, b) => a - b));
    const again = (seed: number) => ids(randomSplit(items, { valid: 0.2, test: 0.3, generator: new Generator(seed) }).train);
    expect(again(1)).toEqual(ids(train));
    expect(again(2)).not.toEqual(ids(train));
  });

  it("keeps the shares of classes where asked, and mixes them", () => {
    const { train, valid, test } = randomSplit(items, { valid: 0.1, test: 0.25, stratify: (i) => i.kind, generator: new Generator(3) });
    const counts = (part: readonly { kind: string }[]) => [
      part.filter((i) => i.kind === "a").length,
      part.filter((i) => i.kind === "b").length,
    ];
    expect([train, valid, test].map(counts)).toEqual([
      [52, 13],
      [8, 2],
      [20, 5],
    ]);
    expect(train.findIndex((i) => i.kind === "b")).toBeLessThan(30);
  });

  it("refuses what is no list, shares that leave nothing, and unknown options", () => {
    expect(() => randomSplit("abc" as never)).toThrow(DTypeError);
    expect(() => randomSplit(items, { valid: 0.5, test: 0.5 })).toThrow(ArgumentError);
    expect(() => randomSplit(items, { seed: 1 } as never)).toThrow(ArgumentError);
    expect(() => randomSplit(items, { stratify: "kind" as never })).toThrow(DTypeError);
  });
});
