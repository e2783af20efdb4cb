import { describe, expect, it } from "vitest";
import { FormatError } from "../../src/base/errors.ts";
import { membersOf, parseJson } from "../../src/io/json.ts";
import { damage, disturb, INPUTS, pick, randomOf, textOf } from "../fuzz/fuzz.ts";

const read = (text: string): unknown => parseJson("test", "a text", text);

/** The members as `JSON.parse` gives them, if it takes the text. */
function membersByHost(text: string): [string, unknown][] | null {
  try {
    const value = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? Object.entries(value) : null;
  } catch {
    return null;
  }
}

function members(text: string): [string, unknown][] | null {
  try {
    return Array.from(membersOf("test", "a text", text), ([key, value]) => [key, read(value)]);
  } catch (error) {
    expect(error).toBeInstanceOf(FormatError);
    return null;
  }
}

const sorted = (entries: [string, unknown][] | null) => entries && [...entries].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));

describe("parseJson", () => {
  it.each(["", "{", "[1,]", '{"a":1,}', "nope", '"a', "\u0000", '{"a\u0000":1}', "[".repeat(1e6)])("refuses %.20s", (text) => {
    expect(() => read(text)).toThrow(FormatError);
  });

  it("refuses keys that occur twice, however they are written, at every depth", () => {
    for (const text of ['{"a":1,"a":1}', '{"a":1,"\\u0061":1}', '[{"b":{"a":{},"c":[],"a":1}}]']) {
      expect(() => read(text)).toThrow('expected unique names, got "a" twice');
    }
    expect(read('[{"a":"a"},{"a":["a","a:"]},"a"]')).toEqual([{ a: "a" }, { a: ["a", "a:"] }, "a"]);
  });

  it("takes 127 levels", () => {
    const nested = (depth: number) => "[".repeat(depth) + "]".repeat(depth);
    expect(JSON.stringify(read(nested(127)))).toBe(nested(127));
    expect(() => read(nested(128))).toThrow("nested at most 127 deep");
  });
});

describe("membersOf", () => {
  it("takes what JSON.parse takes as an object, member by member, and nothing else", () => {
    const texts = [
      '{"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},"__metadata__":{"x":"y\\"}"},"\\u00e9,:{":[[],{}," ] "]}',
      ' { "a" : null , "b":-1.5e3,\n"c":true ,"d":"", "e":[ ]\t} ',
      "{}",
      "{ }",
    ];
    const bytes = texts.map((text) => new TextEncoder().encode(text));
    const random = randomOf(1);
    let taken = 0;
    for (let i = 0; i < 10 * INPUTS; i++) {
      const text = new TextDecoder().decode(random(8) === 0 ? pick(random, bytes) : damage(random, pick(random, bytes), bytes));
      const expected = membersByHost(text);
      const got = members(text);
      if (expected !== null) taken++;
      // Of a key that occurs twice JSON.parse keeps the last value.
      if (got === null && expected !== null) expect(() => read(text), text).toThrow(/twice|deep/);
      else if (got === null || new Set(got.map(([key]) => key)).size === got.length) expect(sorted(got), text).toEqual(sorted(expected));
    }
    expect(taken).toBeGreaterThan(INPUTS);
  });

  it("takes any plain data", () => {
    const random = randomOf(2);
    for (let i = 0; i < INPUTS; i++) {
      const text = textOf(disturb(random, { a: { b: [1, "x", null] }, c: [[{ d: 2 }]], e: '\n\\"' }));
      const expected = membersByHost(text);
      const got = members(text);
      if (got !== null || expected === null) expect(sorted(got)).toEqual(sorted(expected));
      else expect(() => read(text)).toThrow("deep");
    }
  });
});
