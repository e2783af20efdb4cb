import { describe, expect, it } from "vitest";
import { McCullochPittsNetwork, minimizeAutomaton, positionsOf, tomita } from "../../src/automata/index.ts";
import { Generator } from "../../src/tensor/random.ts";
import { tensor } from "../../src/tensor/tensor.ts";
import { thrown } from "../thrown.ts";
import { oneHot } from "./words.ts";

/** What a net says of all words of a length over {0, …, K−1}, the first symbol counting most. */
function answers(net: McCullochPittsNetwork, length: number): { words: number[][]; said: boolean[] } {
  const K = net.inputSize;
  const words = Array.from({ length: K ** length }, (_, n) => Array.from({ length }, (__, t) => Math.floor(n / K ** (length - 1 - t)) % K));
  // K is no symbol: the step after the last, without a pulse.
  const padded = oneHot(words.map((word) => [...word, K]), K + 1, "float32"); // biome-ignore format: short
  const xs = tensor((padded.toArray() as number[][][]).map((step) => step.map((row) => row.slice(0, K))));
  const [, last] = net.scan(xs);
  return { words, said: (last.toArray() as number[][]).map((row) => row[net.units.indexOf("answer")] === 1) };
}

describe("nets with circles", () => {
  it("a latch keeps what was set until it is reset, whatever comes", () => {
    const latch = new McCullochPittsNetwork({
      inputs: ["set", "reset"],
      units: { on: { excitatory: ["set", "on"], inhibitory: ["reset"] } },
    });
    const draws = new Generator(3).bernoulli([200, 1, 2], 0.3);
    const [ys] = latch.scan(draws);
    let on = false;
    for (const [t, row] of (draws.toArray() as number[][][]).entries()) {
      const [set, reset] = row[0] as [number, number];
      on = (set === 1 || on) && reset === 0;
      expect((ys.toArray() as number[][][])[t]).toEqual([[Number(on)]]);
    }
  });

  it("a ring of three has period 3, and a pulse in it lasts", () => {
    const units = { a: { excitatory: ["c"] }, b: { excitatory: ["a"] }, c: { excitatory: ["b"] } };
    const ring = new McCullochPittsNetwork({ inputs: ["x"], units, active: ["a"] });
    const [ys] = ring.scan(tensor(new Float32Array(7), { shape: [7, 1, 1] }));
    expect((ys.toArray() as number[][][]).map(([row]) => row?.indexOf(1))).toEqual([1, 2, 0, 1, 2, 0, 1]);
  });

  it("thresholds, synapses counted twice and inhibition, by hand", () => {
    const net = new McCullochPittsNetwork({
      inputs: ["p", "q", "r"],
      units: {
        and: { excitatory: ["p", "q"], threshold: 2 },
        or: { excitatory: ["p", "q"] },
        double: { excitatory: ["p", "p"], threshold: 2 },
        unless: { excitatory: ["p", "q"], inhibitory: ["r"] },
        late: { excitatory: ["and"], inhibitory: ["unless"] },
      },
    });
    const inputs = [[1, 1, 0], [1, 0, 1], [0, 1, 0], [0, 0, 0], [1, 1, 1], [0, 0, 0]]; // biome-ignore format: short
    const [ys] = net.scan(tensor(inputs.map((row) => [row])));
    expect((ys.toArray() as number[][][]).map(([row]) => row)).toEqual([
      [1, 1, 1, 1, 0],
      [0, 1, 1, 0, 0],
      [0, 1, 0, 1, 0],
      [0, 0, 0, 0, 0],
      [1, 1, 1, 0, 0],
      [0, 0, 0, 0, 1],
    ]);
    // Any number but 0 is a pulse, and a batch is its rows.
    expect(net.step(tensor([[-2, 0.5, 0], [0, 0, 0]]), net.initialState(2))[0].toArray()).toEqual([[1, 1, 1, 1, 0], [0, 0, 0, 0, 0]]); // biome-ignore format: short
  });

  it("left alone, a net of n units comes back to a state within 2^n steps", () => {
    const generator = new Generator(8);
    for (let k = 0; k < 20; k++) {
      const names = ["a", "b", "c", "d", "e"];
      const draws = generator.uniform([5, 5]).toArray() as number[][];
      const pick = (row: number[], low: number, high: number) => names.filter((_, j) => (row[j] as number) >= low && (row[j] as number) < high);
      const units = Object.fromEntries(names.map((name, i) => [name, { excitatory: pick(draws[i] as number[], 0, 0.5), inhibitory: pick(draws[i] as number[], 0.5, 0.7) }]));
      const net = new McCullochPittsNetwork({ inputs: ["x"], units, active: ["a", "c"] });
      const rows = (net.scan(tensor(new Float32Array(40), { shape: [40, 1, 1] }))[0].toArray() as number[][][]).map(String);
      expect(new Set(rows).size).toBeLessThanOrEqual(32);
      expect(rows.slice(0, 32)).toContain(rows[32]);
    }
  }); // biome-ignore format: long
});

describe("Kleene's theorem", () => {
  it.each([
    ["a"],
    ["(ab)*a"],
    ["(a|b)*abb"],
    ["a*b*"],
    ["(a|ba)*b?"],
    ["((aa)*|(aaa)*)b*"],
    ["(a*b)*"],
    ["a+(b|ab)+a?"],
    [""],
    ["(|a)b"],
    ["(a?b*)+a"],
    ["(b*ab*a)*b*"],
  ])("the net of %s is the expression, over all words up to length 8", (expression) => {
    const net = McCullochPittsNetwork.ofExpression(expression, "ab");
    const known = new RegExp(`^(?:${expression})$`);
    for (let length = 0; length <= 8; length++) {
      const { words, said } = answers(net, length);
      const expected = words.map((word) => known.test(word.map((a) => "ab"[a]).join("")));
      expect(said).toEqual(expected);
    }
  });

  it.each([1, 2, 3, 4, 5, 6, 7] as const)("the net of Tomita's language %i is its automaton, and is read out as it", (k) => {
    const automaton = tomita(k);
    const net = McCullochPittsNetwork.ofAutomaton(automaton);
    expect(minimizeAutomaton(net.toAutomaton())).toEqual(minimizeAutomaton(automaton));
    for (let length = 0; length <= 8; length++) {
      const { words, said } = answers(net, length);
      const expected = words.map((word) => automaton.accepting[word.reduce((q, a) => automaton.transitions[q]?.[a] as number, 0)]);
      expect(said).toEqual(expected);
    }
  });

  it("an expression and an automaton of one language give one automaton; accepts says the same", () => {
    const net = McCullochPittsNetwork.ofExpression("(1|01|001)*0?0?", "01");
    expect(minimizeAutomaton(net.toAutomaton())).toEqual(minimizeAutomaton(tomita(4)));
    expect(net.accepts([])).toBe(true);
    expect(net.accepts([0, 0, 1, 0])).toBe(true);
    expect(net.accepts([0, 0, 0, 1])).toBe(false);
  });

  it("counts the occurrences of letters, and one unit each", () => {
    expect(positionsOf("(a|b)*ab").positions.map(({ letter }) => letter)).toEqual(["a", "b", "a", "b"]);
    expect(positionsOf("(a|b)*ab").positions[2]?.after.slice().sort()).toEqual([-1, 0, 1]);
    expect(positionsOf("(a|b)*ab").ends).toEqual([3]);
    expect(McCullochPittsNetwork.ofExpression("(a|b)*ab", "ab").units.length).toBe(6);
  });
});

describe("bad input", () => {
  const any = (value: unknown): never => value as never;
  const ring = { a: { excitatory: ["a"] } };

  it.each<[string, () => unknown, string, string]>([
    ["no units", () => new McCullochPittsNetwork({ inputs: [], units: {} }), "ArgumentError", "McCullochPittsNetwork: expected at least one unit, got none"],
    ["units as a list", () => new McCullochPittsNetwork({ inputs: [], units: any([]) }), "DTypeError", "expected units by name, got []"],
    ["a name of two things", () => new McCullochPittsNetwork({ inputs: ["a"], units: ring }), "ArgumentError", 'expected different names, got "a" twice'],
    ["an unknown line", () => new McCullochPittsNetwork({ inputs: [], units: { a: { inhibitory: ["b"] } } }), "ArgumentError", 'expected inhibitory lines of a among a, got "b"'],
    ["a threshold of 0", () => new McCullochPittsNetwork({ inputs: [], units: { a: { threshold: 0 } } }), "ArgumentError", "expected the threshold of a to be a whole number of at least 1, got 0"],
    ["an unknown active unit", () => new McCullochPittsNetwork({ inputs: [], units: ring, active: ["b"] }), "ArgumentError", 'expected active units among a, got "b"'],
    ["no answer", () => new McCullochPittsNetwork({ inputs: ["x"], units: ring }).accepts([0]), "ArgumentError", 'accepts: expected a net with a unit "answer", got a'],
    ["an unknown symbol", () => McCullochPittsNetwork.ofExpression("a", "a").accepts([1]), "ArgumentError", "accepts: expected symbols to be a whole number in [0, 1), got 1"],
    ["a letter that is not of the alphabet", () => McCullochPittsNetwork.ofExpression("ab", "a"), "ArgumentError", 'among a, start, a·1, b·2, answer, got "b"'],
    ["a parenthesis too few", () => positionsOf("(ab"), "ArgumentError", 'positionsOf: expected a closing parenthesis at 3 of "(ab", got the end'],
    ["a parenthesis too many", () => positionsOf("ab)"), "ArgumentError", 'expected no more at 2 of "ab)", got ")"'],
    ["a star at the beginning", () => positionsOf("*a"), "ArgumentError", 'expected a letter or digit at 0 of "*a", got "*"'],
    ["endless nesting", () => positionsOf("(".repeat(100000)), "ArgumentError", "expected at most 500 parentheses within each other"],
    ["no automaton", () => McCullochPittsNetwork.ofAutomaton(any({ symbols: 1, transitions: [[3]], accepting: [true] })), "ArgumentError", "ofAutomaton: expected 1 transitions to states below 1"],
    ["too many states", () => McCullochPittsNetwork.ofExpression("(a|b)*abb", "ab").toAutomaton(2), "ArgumentError", "expected at most 2 states"],
  ])("refuses %s", (_, call, name, message) => {
    const error = thrown(call) as Error;
    expect(error).toMatchObject({ name });
    expect(error.message).toContain(message);
  }); // biome-ignore format: a table
});
