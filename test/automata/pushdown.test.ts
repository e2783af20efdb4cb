import { describe, expect, it } from "vitest";
import { acceptsByStack, extractPushdown, type PushdownMachine } from "../../src/automata/pushdown.ts";
import { ArgumentError } from "../../src/base/errors.ts";
import { PushdownAutomaton } from "../../src/memory/pushdown-automaton.ts";
import { Generator } from "../../src/tensor/random.ts";
import { assign, tensor } from "../../src/tensor/tensor.ts";
import { balanced, bracketCounter } from "../memory/machines.ts";

/** One symbol, as a batch of one. */
const hot = (a: number) => tensor([[Number(a === 0), Number(a === 1)]], { dtype: "float64" });

/** All strings of 0 and 1 up to a length. */
function allWords(longest: number): number[][] {
  const words: number[][] = [[]];
  for (const word of words) if (word.length < longest) words.push([...word, 0], [...word, 1]);
  return words;
}

/** Balanced brackets as anybody would write the machine down: state 1 is for strings that closed what was not open. */
const BRACKETS: PushdownMachine = {
  symbols: 2,
  transitions: [
    [
      [{ state: 0, action: 1 }, null, { state: 0, action: 1 }],
      [{ state: 0, action: -1 }, null, { state: 1, action: 0 }],
    ],
    [
      [{ state: 1, action: 0 }, null, { state: 1, action: 0 }],
      [{ state: 1, action: 0 }, null, { state: 1, action: 0 }],
    ],
  ],
  accepting: [true, false],
};

describe("acceptsByStack", () => {
  it("accepts exactly the balanced strings of up to 13 brackets by the machine for them", () => {
    for (const word of allWords(13)) expect(acceptsByStack(BRACKETS, word), word.join("")).toBe(balanced(word));
  });

  it("refuses symbols that the machine does not have", () => {
    expect(() => acceptsByStack(BRACKETS, [0, 2])).toThrow("acceptsByStack: expected symbols of the machine, got 2");
  });
});

describe("extractPushdown", () => {
  it("finds the machine for brackets in a network that counts them, of two states, and its exact language", () => {
    // With weights of 4 state units are only about 0.02 or 0.98.
    for (const strength of [60, 4]) {
      const machine = extractPushdown(bracketCounter(strength));
      expect(machine).toEqual(BRACKETS);
      for (const word of allWords(13)) expect(acceptsByStack(machine, word), word.join("")).toBe(balanced(word));
    }
  });

  it("does on random networks what their units do when actions and stack are whole", () => {
    for (let seed = 1; seed <= 10; seed++) {
      const cell = new PushdownAutomaton({ inputSize: 2, hiddenSize: 2, capacity: 20, dtype: "float64", generator: new Generator(seed) });
      // So steep that units are 0, 1 or, after none is on, 0.5, and actions whole: a discrete machine already.
      assign(
        cell.weight,
        Array.from(cell.weight.data(), (w) => 1e6 * Number(w)),
      );
      const machine = extractPushdown(cell, { levels: 3 });
      for (const word of allWords(6).slice(1)) {
        let state = cell.initialState(1);
        for (const a of word) state = cell.step(hot(a), state)[1];
        const length = Array.from(state.stack.strengths.data(), Number).reduce((total, s) => total + s, 0);
        const accepted = Number(state.units.data()[0]) > 0.5 && length < 0.5;
        expect(acceptsByStack(machine, word), `${seed}: ${word.join("")}`).toBe(accepted);
      }
    }
  });

  it("takes more intervals until the examples are explained, and says so when they never are", () => {
    const examples = [{ word: [0, 1], accepted: true }, { word: [1, 0], accepted: false }]; // biome-ignore format: rows
    expect(extractPushdown(bracketCounter(), { examples })).toEqual(BRACKETS);
    const wrong = [{ word: [0, 1], accepted: false }];
    expect(() => extractPushdown(bracketCounter(), { examples: wrong, maxLevels: 3 })).toThrow(
      "extractPushdown: expected the 1 examples to be explained by at most 3 intervals, got errors",
    );
    expect(() => extractPushdown(bracketCounter(), { threshold: 1 })).toThrow(ArgumentError);
    expect(() => extractPushdown(bracketCounter(), { levels: 1 })).toThrow(
      "extractPushdown: expected levels to be a whole number of at least 2",
    );
    expect(() => extractPushdown(3 as never)).toThrow();
  });
});
