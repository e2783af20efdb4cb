import { describe, expect, it } from "vitest";
import { backward } from "../../../src/autodiff/backward.ts";
import { noGrad } from "../../../src/autodiff/tape.ts";
import { type Automaton, acceptsWord, differingWord, minimizeAutomaton, runAutomaton, tomita } from "../../../src/automata/automaton.ts";
import { extractAutomaton, insertAutomaton, SecondOrderRNN } from "../../../src/cells/simple/second-order.ts";
import { mseLoss } from "../../../src/nn/losses.ts";
import { select } from "../../../src/ops/shape.ts";
import { Adam } from "../../../src/optim/adam.ts";
import { Generator } from "../../../src/tensor/random.ts";
import { scope, type Tensor, tensor } from "../../../src/tensor/tensor.ts";
import { accept, expectClose, fillGolden, GOLDEN_TOLERANCE, logistic, runGolden } from "../acceptance.ts";

const grammars = [1, 2, 3, 4, 5, 6, 7] as const;

describe("SecondOrderRNN", () => {
  it.each([true, false])("has the gradients of its equations, and steps that equal its scan, bias = %s", (bias) =>
    accept(new SecondOrderRNN({ inputSize: 3, hiddenSize: 4, bias, dtype: "float64", generator: new Generator(2) })),
  );

  it.each(["float32", "float64"] as const)("reaches the reference values, %s", (dtype) => {
    const cell = new SecondOrderRNN({ inputSize: 3, hiddenSize: 2, dtype });
    fillGolden(cell);
    expectClose(runGolden(cell, dtype).y, [0.552415, 0.475841], GOLDEN_TOLERANCE[dtype]);
  });

  it("is the paper's sum over units and symbols", () => {
    const cell = new SecondOrderRNN({ inputSize: 3, hiddenSize: 4, start: [0.1, 0.2, 0.3, 0.4], dtype: "float64" });
    const w = cell.weight.data();
    const word = [2, 0, 1, 1, 2];
    let s = [0.1, 0.2, 0.3, 0.4];
    for (const k of word) s = s.map((_, i) => logistic(s.reduce((total, sj, j) => total + (w[(i * 4 + j) * 3 + k] as number) * sj, 0)));
    expectClose(cell.scan(oneHot([word], 3, "float64"))[1], s, 1e-12);
  });

  it("refuses a start of another size", () => {
    expect(() => new SecondOrderRNN({ inputSize: 2, hiddenSize: 3, start: [1] })).toThrow("expected 3 numbers in start, got 1");
  });
});

/** Strings of one length to [T,B,K]. */
function oneHot(words: readonly (readonly number[])[], K: number, dtype: "float32" | "float64"): Tensor {
  const [B, T] = [words.length, words[0]?.length ?? 0];
  const values = new Float64Array(T * B * K);
  words.forEach((word, b) => {
    for (const [t, a] of word.entries()) values[(t * B + b) * K + a] = 1;
  });
  return tensor(values, { shape: [T, B, K], dtype });
}

function randomStrings(g: Generator, count: number, length: number): number[][] {
  const bits = scope(() => Array.from(g.uniform([count, length]).data(), (u) => Number(u < 0.5)));
  return Array.from({ length: count }, (_, i) => bits.slice(i * length, (i + 1) * length));
}

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

describe("learning", () => {
  it("finds the automaton of a language from its strings, and answers for longer ones", { timeout: 60_000 }, () => {
    const target = tomita(4);
    const cell = new SecondOrderRNN({ inputSize: 2, hiddenSize: 5, generator: new Generator(1) });
    const optimizer = new Adam(cell.parameters(), { lr: 2e-2 });
    const random = new Generator(3);
    const batch = (length: number) => {
      const words = randomStrings(random, 64, length);
      return { words, labels: words.map((w) => Number(acceptsWord(target, w))) };
    };
    for (let update = 0; update < 600; update++) {
      scope(() => {
        const { words, labels } = batch(1 + (update % 10));
        const answer = select(cell.scan(oneHot(words, 2, "float32"))[1], 1, 0);
        const loss = mseLoss(answer, tensor(labels, { dtype: "float32" }));
        optimizer.zeroGrad();
        backward(loss);
        optimizer.step();
      });
    }
    const examples = [4, 8]
      .flatMap((length) => randomStrings(random, 64, length))
      .map((word) => ({ word, accepted: acceptsWord(target, word) }));
    const found = extractAutomaton(cell, { examples });
    expect(differingWord(found, target)).toBeNull();
    expect(found.transitions.length).toBe(4);
    const { words } = batch(15);
    const answers = noGrad(() => select(cell.scan(oneHot(words, 2, "float32"))[1], 1, 0).data());
    expect(Array.from(answers, (a) => a > 0.5)).toEqual(words.map((w) => target.accepting[runAutomaton(target, w)]));
  });
});
