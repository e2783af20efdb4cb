import { describe, expect, it } from "vitest";
import { backward } from "../../../src/autodiff/backward.ts";
import { noGrad } from "../../../src/autodiff/tape.ts";
import { acceptsWord, differingWord, runAutomaton, tomita } from "../../../src/automata/automaton.ts";
import { extractAutomaton } from "../../../src/automata/extraction.ts";
import { SecondOrderRNN } from "../../../src/cells/simple/second-order.ts";
import { mseLoss } from "../../../src/nn/losses.ts";
import { select } from "../../../src/ops/shape.ts";
import { Adam } from "../../../src/optim/adam.ts";
import { Generator } from "../../../src/tensor/random.ts";
import { scope, tensor } from "../../../src/tensor/tensor.ts";
import { oneHot, randomStrings } from "../../automata/words.ts";
import { holdAgainst } from "../../oracle/equations.ts";
import { logistic, logistic as sigma } from "../../oracle/numbers.ts";
import { accept, expectClose, fillGolden, GOLDEN_TOLERANCE, runGolden } from "../acceptance.ts";

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

  it.each([true, false])("is the paper's equations 1 and 2 for any symbols and states, values and derivatives; bias = %s", (bias) => {
    const [N, K] = [4, 3];
    holdAgainst(new SecondOrderRNN({ inputSize: K, hiddenSize: N, bias, dtype: "float64" }), (p, symbol, [s]) => {
      const [W, b] = [p.vector("weight"), bias ? p.vector("bias") : [0, 0, 0, 0]];
      const next = b.map((sum, i) => {
        let total = sum;
        for (let j = 0; j < N; j++)
          for (let k = 0; k < K; k++) total += (W[(i * N + j) * K + k] as number) * (s?.[j] as number) * (symbol[k] as number);
        return sigma(total);
      });
      return [next, [next]];
    });
  });

  it("refuses a start of another size", () => {
    expect(() => new SecondOrderRNN({ inputSize: 2, hiddenSize: 3, start: [1] })).toThrow("expected 3 numbers in start, got 1");
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
