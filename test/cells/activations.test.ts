import { describe, expect, it } from "vitest";
import { clippedActivation } from "../../src/cells/activations.ts";
import { SimpleRecurrentNetwork } from "../../src/cells/simple/elman.ts";
import { JordanNetwork } from "../../src/cells/simple/jordan.ts";
import { softsign } from "../../src/ops/math.ts";
import { Generator } from "../../src/tensor/random.ts";
import { accept, expectClose } from "../cells/acceptance.ts";
import { plus, rows, times } from "../oracle/numbers.ts";

const sizes = { inputSize: 3, hiddenSize: 4, dtype: "float64", generator: new Generator(41) } as const;

describe("activations", () => {
  it("may be functions of one's own", () => {
    accept(new SimpleRecurrentNetwork({ ...sizes, activation: softsign }));
    accept(new JordanNetwork({ ...sizes, outputSize: 2, hiddenActivation: softsign, outputActivation: clippedActivation("linear", 0.4) }), {
      seed: 3,
    });
  });

  it("limit their argument where asked for: f(clamp(W x + U h + b))", () => {
    const cell = new SimpleRecurrentNetwork({ ...sizes, restingContext: 0, activation: clippedActivation("tanh", 0.25) });
    const xs = new Generator(2).normal([5, 1, 3], 0, 2, "float64");
    const [w, u, b] = [rows(cell.weightIh), rows(cell.weightHh), Array.from(cell.bias.data())];
    const flat = Array.from(xs.data());
    let h = [0, 0, 0, 0];
    const expected = Array.from({ length: 5 }, (_, t) => {
      const sums = plus(times(w, flat.slice(3 * t, 3 * t + 3)), times(u, h), b);
      h = sums.map((a) => Math.tanh(Math.min(0.25, Math.max(-0.25, a))));
      return h;
    }).flat();
    expect(expected.some((v) => Math.abs(v) === Math.tanh(0.25))).toBe(true);
    expectClose(cell.scan(xs)[0], expected, 1e-12);
    expect(() => clippedActivation("tanh", -1)).toThrow("clippedActivation: expected a bound above 0, got -1");
  });
});
