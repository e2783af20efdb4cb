import { describe, expect, it } from "vitest";
import { noGrad } from "../../src/autodiff/tape.ts";
import { type Automaton, minimizeAutomaton, tomita } from "../../src/automata/automaton.ts";
import { extractAutomaton } from "../../src/automata/extraction.ts";
import { insertAutomaton } from "../../src/automata/insertion.ts";
import { select } from "../../src/ops/shape.ts";
import { Generator } from "../../src/tensor/random.ts";
import { scope } from "../../src/tensor/tensor.ts";
import { oneHot, randomStrings } from "./words.ts";

const grammars = [1, 2, 3, 4, 5, 6, 7] as const;

/** Of 200 random strings of 300 symbols, the percentage that the network answers rightly after every symbol. */
function rightStrings(automaton: Automaton, strength: number, seed: number): number {
  const words = randomStrings(new Generator(seed), 200, 300);
  const net = insertAutomaton(automaton, { strength, dtype: "float64" });
  const answers = scope(() => noGrad(() => select(net.scan(oneHot(words, 2, "float64"))[0], 2, 0).data()));
  const right = words.filter((word, b) => {
    let q = 0;
    return word.every((a, t) => {
      q = automaton.transitions[q]?.[a] as number;
      return (answers[t * words.length + b] as number) > 0.5 === automaton.accepting[q];
    });
  });
  return right.length / 2;
}

describe("insertAutomaton", () => {
  it.each([6, 8])("answers rightly for ever at strength %i", (strength) => {
    expect(grammars.map((k) => rightStrings(tomita(k), strength, k))).toEqual([100, 100, 100, 100, 100, 100, 100]);
  });

  it("at strength 5 runs the two simplest, about half of the strings of the fifth, none of the sixth", () => {
    const right = grammars.map((k) => rightStrings(tomita(k), 5, k)) as [number, number, number, number, number, number, number];
    expect([right[0], right[1], right[5]]).toEqual([100, 100, 0]);
    expect(Math.abs(right[4] - 50)).toBeLessThan(12);
  });

  it("forgets at strength 3", () => {
    const right = grammars.map((k) => rightStrings(tomita(k), 3, k));
    for (const percent of right.slice(2)) expect(percent).toBeLessThan(30);
  });

  it("answers for the empty string", () => {
    const no: Automaton = { symbols: 1, transitions: [[1], [0]], accepting: [false, true] };
    expect(Array.from(insertAutomaton(no).initialState(2).data())).toEqual([0, 1, 0, 0, 1, 0]);
    expect(Array.from(insertAutomaton(tomita(1)).initialState(1).data())).toEqual([1, 1, 0]);
  });
});

describe("extractAutomaton", () => {
  it.each(grammars)("reads out what was built in, language %i", (k) => {
    expect(extractAutomaton(insertAutomaton(tomita(k)))).toEqual(minimizeAutomaton(tomita(k)));
  });

  it("refuses examples that contradict each other", () => {
    const examples = [true, false].map((accepted) => ({ word: [0], accepted }));
    expect(() => extractAutomaton(insertAutomaton(tomita(1)), { examples, maxLevels: 3 })).toThrow(
      "expected the 2 examples to be explained",
    );
  });
});
