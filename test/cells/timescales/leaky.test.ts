import { describe, expect, it } from "vitest";
import { ArgumentError } from "../../../src/base/errors.ts";
import { SimpleRecurrentNetwork } from "../../../src/cells/simple/elman.ts";
import { LeakyRNN } from "../../../src/cells/timescales/leaky.ts";
import { Generator } from "../../../src/tensor/random.ts";
import { holdAgainst } from "../../oracle/equations.ts";
import { plus, times } from "../../oracle/numbers.ts";
import { accept, SIZES } from "../acceptance.ts";

const cell = (options = {}) => new LeakyRNN({ ...SIZES, dtype: "float64", generator: new Generator(2), ...options });

describe("LeakyRNN", () => {
  it("has the gradients of its equations, and steps that equal its scan", () => accept(cell({ tau: 3 })));

  it("moves a part 1/τ of the way to what it is driven to", () => {
    for (const tau of [1, 2.5, 10]) {
      holdAgainst(cell({ tau }), (p, x, [h = []]) => {
        const sums = plus(plus(times(p.matrix("weight_ih", x.length), x), times(p.matrix("weight_hh", h.length), h)), p.vector("bias"));
        const next = sums.map((s, i) => (h[i] as number) + (Math.tanh(s) - (h[i] as number)) / tau);
        return [next, [next]];
      });
    }
  });

  it("is the simple recurrent network of tanh units where nothing lasts", () => {
    const [leaky, simple] = [
      cell({ tau: 1 }),
      new SimpleRecurrentNetwork({ ...SIZES, activation: "tanh", restingContext: 0, dtype: "float64" }),
    ];
    simple.loadStateDict(leaky.stateDict());
    const xs = new Generator(3).uniform([5, 2, SIZES.inputSize], -1, 1, "float64");
    expect(Array.from(leaky.scan(xs)[0].data())).toEqual(Array.from(simple.scan(xs)[0].data()));
  });

  it("refuses a time constant below one step", () => {
    for (const tau of [0.5, 0, Number.NaN]) expect(() => cell({ tau })).toThrow(ArgumentError);
    expect(() => cell({ hiddenSize: 0 })).toThrow(ArgumentError);
  });
});
