import { describe, expect, it } from "vitest";
import { ArgumentError, DTypeError } from "../../src/base/errors.ts";
import { TokenVocabulary, tokenize } from "../../src/data/tokens.ts";

describe("tokenize", () => {
  it("cuts words, numbers and signs, in any script", () => {
    expect(tokenize("It's 5 o'clock, sir!")).toEqual(["It's", "5", "o'clock", ",", "sir", "!"]);
    expect(tokenize("  naïve Ω-Weg\n«ja» ")).toEqual(["naïve", "Ω", "-", "Weg", "«", "ja", "»"]);
    expect(tokenize("'tis")).toEqual(["'", "tis"]);
    expect(tokenize("")).toEqual([]);
    expect(() => tokenize(5 as never)).toThrow(DTypeError);
  });
});

describe("TokenVocabulary", () => {
  const texts = ["b a b", "c b a", "<pad> d"];

  it("numbers special tokens first, then the others by how often they occur", () => {
    const vocabulary = TokenVocabulary.fromTexts(texts, { start: "<s>", end: "</s>", tokenize: (text) => text.split(" ") });
    expect(vocabulary.tokens).toEqual(["<pad>", "<unk>", "<s>", "</s>", "b", "a", "c", "d"]);
    expect([vocabulary.paddingId, vocabulary.unknownId, vocabulary.startId, vocabulary.endId]).toEqual([0, 1, 2, 3]);
    expect([...vocabulary.encode("a z b")]).toEqual([2, 5, 1, 4, 3]);
    expect([...vocabulary.encode(["a"], { boundaries: false })]).toEqual([5]);
    expect(vocabulary.decode([2, 5, 1, 0, 4, 3, 4])).toEqual(["a", "<unk>", "b"]);
  });

  it("cuts by frequency and size", () => {
    expect(TokenVocabulary.fromTexts(texts, { minCount: 2 }).tokens.slice(2)).toEqual(["b", "a"]);
    expect(TokenVocabulary.fromTexts([["x", "y"], ["y"]], { maxSize: 1 }).tokens).toEqual(["<pad>", "<unk>", "y"]);
  });

  it("is made again from its own tokens", () => {
    const vocabulary = TokenVocabulary.fromTexts(texts, { padding: null, end: "." });
    const again = new TokenVocabulary(vocabulary.tokens.slice(2), { padding: null, end: "." });
    expect(again.tokens).toEqual(vocabulary.tokens);
    expect(again.encode("c d")).toEqual(vocabulary.encode("c d"));
  });

  it("takes an option of undefined as absent", () => {
    expect(new TokenVocabulary(["a"], { padding: undefined, unknown: undefined } as object).tokens).toEqual(["<pad>", "<unk>", "a"]);
  });

  it("refuses tokens twice, unknown ones where nothing stands for them, and what is no text", () => {
    expect(() => new TokenVocabulary(["a", "a"])).toThrow(ArgumentError);
    expect(() => new TokenVocabulary(["<pad>"])).toThrow("expected each token once");
    expect(() => new TokenVocabulary([], { padding: null, unknown: null })).toThrow("at least one token");
    expect(() => new TokenVocabulary("abc" as never)).toThrow(DTypeError);
    expect(() => new TokenVocabulary(["a"], { unknown: null }).encode("b")).toThrow('got "b"');
    expect(() => new TokenVocabulary(["a"]).tokenOf(9)).toThrow(ArgumentError);
    expect(() => new TokenVocabulary(["a"]).encode(5 as never)).toThrow(DTypeError);
    expect(() => TokenVocabulary.fromTexts([5] as never)).toThrow(DTypeError);
    expect(() => TokenVocabulary.fromTexts("abc" as never)).toThrow(DTypeError);
  });
});
