/** Algorithms that are exact give the gradients of backpropagation through time, over every recurrence. */

import { describe, expect, it } from "vitest";
import { gradients } from "../../src/autodiff/sweep.ts";
import { hybrid, rtrl, usingGradients } from "../../src/learning/index.ts";
import { add, mul } from "../../src/ops/arithmetic.ts";
import { sum } from "../../src/ops/reduce.ts";
import { GRUCell, LSTMCell } from "../../src/recurrence/rnn-cells.ts";
import { stateTensors } from "../../src/recurrence/state.ts";
import { Generator } from "../../src/tensor/random.ts";

const o = () => ({ inputSize: 3, hiddenSize: 4, dtype: "float64" as const, generator: new Generator(3) });
describe("x", () => {
  it.each([
    ["lstm", () => new LSTMCell({ ...o(), peepholes: true })],
    ["gru", () => new GRUCell(o())],
  ] as const)("%s", (_, make) => {
    const cell = make() as any;
    const xs = new Generator(4).uniform([7, 2, 3], -1, 1, "float64");
    const w = new Generator(5).uniform([7, 2, 4], -1, 1, "float64");
    for (const options of [{}, { lengths: [7, 4] }, { lengths: [0, 5], reverse: true }]) {
      const loss = () => {
        const [ys, last] = cell.scan(xs, undefined, options);
        return stateTensors(last).reduce((a, s) => add(a, sum(mul(s, s))), sum(mul(ys, w)));
      };
      const expected = (() => {
        const l = loss();
        return gradients(
          [l],
          cell.parameters(),
          [mul(l.detach(), 0)].map((z) => add(z, 1)),
        );
      })();
      for (const a of [rtrl(), hybrid(3), hybrid(7)]) {
        const l = usingGradients(a, cell, loss);
        const got = gradients([l], cell.parameters(), [add(mul(l.detach(), 0), 1)]);
        got.forEach((g, i) => {
          const e = expected[i]!.data();
          const d = Math.max(...Array.from(g!.data(), (v, k) => Math.abs(v - (e[k] as number))));
          expect(d).toBeLessThan(1e-12);
        });
      }
    }
  });
});
