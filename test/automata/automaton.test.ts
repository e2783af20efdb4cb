import { describe, expect, it } from "vitest";
import { type Automaton, acceptsWord, differingWord, explore, minimizeAutomaton, tomita } from "../../src/automata/automaton.ts";

/** All strings over {0, 1} up to a length. */
function strings(length: number): string[] {
  const all = [""];
  for (const w of all) if (w.length < length) all.push(`${w}0`, `${w}1`);
  return all;
}

const count = (w: string, c: string) => w.split(c).length - 1;
/** No odd run of 1s with an odd run of 0s anywhere after it. */
const third = (w: string) => {
  const runs = w.match(/0+|1+/g) ?? [];
  const first = runs.findIndex((r) => r.startsWith("1") && r.length % 2 === 1);
  return first < 0 || !runs.slice(first).some((r) => r.startsWith("0") && r.length % 2 === 1);
};

const languages: ((w: string) => boolean)[] = [
  (w) => /^1*$/.test(w),
  (w) => /^(10)*$/.test(w),
  third,
  (w) => !w.includes("000"),
  (w) => count(w, "0") % 2 === 0 && count(w, "1") % 2 === 0,
  (w) => (count(w, "0") - count(w, "1")) % 3 === 0,
  (w) => /^0*1*0*1*$/.test(w),
];

const grammars = [1, 2, 3, 4, 5, 6, 7] as const;

describe("tomita", () => {
  const words = strings(10);

  it.each(grammars)("is language %i for all strings of up to ten symbols", (k) => {
    const wrong = words.filter((w) => acceptsWord(tomita(k), [...w].map(Number)) !== (languages[k - 1] as (w: string) => boolean)(w));
    expect(wrong).toEqual([]);
  });

  it("takes as many strings as known", () => {
    const taken = grammars.map((k) => words.filter((w) => acceptsWord(tomita(k), [...w].map(Number))).length);
    expect(words.length).toBe(2047);
    expect(taken).toEqual([11, 6, 652, 1103, 683, 683, 561]);
  });

  it("is minimal, with 2, 3, 5, 4, 4, 3 and 5 states", () => {
    expect(grammars.map((k) => minimizeAutomaton(tomita(k)).transitions.length)).toEqual([2, 3, 5, 4, 4, 3, 5]);
    expect(grammars.map((k) => tomita(k).transitions.length)).toEqual([2, 3, 5, 4, 4, 3, 5]);
  });

  it("refuses an eighth", () => expect(() => tomita(8 as 7)).toThrow("tomita: expected a grammar from 1 to 7, got 8"));
});

/** The same language with every state twice and one that is never reached. */
function doubled({ symbols, transitions, accepting }: Automaton): Automaton {
  const n = transitions.length;
  const twice = transitions.flatMap((row, q) => [row.map((s, a) => 2 * s + ((q + a) % 2)), row.map((s) => 2 * s + 1)]);
  return { symbols, transitions: [...twice, [2 * n, 0]], accepting: [...accepting.flatMap((a) => [a, a]), true] };
}

describe("minimizeAutomaton", () => {
  it.each(grammars)("finds the one smallest automaton of language %i", (k) => {
    expect(minimizeAutomaton(doubled(tomita(k)))).toEqual(minimizeAutomaton(tomita(k)));
  });

  it("leaves one state of a language of everything", () => {
    expect(minimizeAutomaton({ symbols: 1, transitions: [[1], [0]], accepting: [true, true] })).toEqual({
      symbols: 1,
      transitions: [[0]],
      accepting: [true],
    });
  });

  it("refuses unknown states", () => {
    expect(() => minimizeAutomaton({ symbols: 1, transitions: [[1]], accepting: [true] })).toThrow("states below 1 from state 0, got [1]");
    expect(() => minimizeAutomaton({ symbols: 1, transitions: [], accepting: [] })).toThrow("expected at least one state");
  });
});

describe("differingWord", () => {
  it("is null for the same language", () => {
    for (const k of grammars) expect(differingWord(tomita(k), doubled(tomita(k)))).toBeNull();
  });

  it("is a shortest string that only one takes", () => {
    const words = strings(5);
    for (const [a, b] of [
      [1, 2],
      [3, 7],
      [4, 5],
      [5, 6],
      [4, 7],
    ] as const) {
      const taken = (k: typeof a | typeof b, w: string) => (languages[k - 1] as (w: string) => boolean)(w);
      const shortest = words.find((w) => taken(a, w) !== taken(b, w)) as string;
      const found = differingWord(tomita(a), tomita(b)) as number[];
      expect(found.length).toBe(shortest.length);
      expect(taken(a, found.join(""))).not.toBe(taken(b, found.join("")));
    }
  });
});

describe("explore", () => {
  it("numbers states as it meets them", () => {
    const found = explore<number>(1, 2, (n, a) => (2 * n + a) % 5, String);
    expect(found).toEqual({
      states: [1, 2, 3, 4, 0],
      transitions: [
        [1, 2],
        [3, 4],
        [0, 1],
        [2, 3],
        [4, 0],
      ],
    });
  });

  it("stops at the limit", () => expect(() => explore<number>(0, 1, (n) => n + 1, String, 10)).toThrow("at most 10 states"));
});
