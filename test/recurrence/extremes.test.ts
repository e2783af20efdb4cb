/** Sizes where recurrent code tends to break: one unit, one sequence, thousands of steps, no steps at all. */

import { describe, expect, it } from "vitest";
import { gradients } from "../../src/autodiff/sweep.ts";
import { add } from "../../src/ops/arithmetic.ts";
import { sum } from "../../src/ops/broadcast.ts";
import { scanSteps } from "../../src/recurrence/recurrence.ts";
import { GRU, LSTM, RNN } from "../../src/recurrence/rnn.ts";
import { GRUCell, LSTMCell, RNNCell } from "../../src/recurrence/rnn-cells.ts";
import { ones, zeros } from "../../src/tensor/create.ts";
import { Generator } from "../../src/tensor/random.ts";
import { requireGrad, scope, type Tensor, tensor } from "../../src/tensor/tensor.ts";

const generator = new Generator(21);
const layers = { LSTM, GRU, RNN } as const;
const cells = { LSTM: LSTMCell, GRU: GRUCell, RNN: RNNCell } as const;
const make = (kind: keyof typeof layers, hiddenSize: number) => new layers[kind]({ inputSize: 1, hiddenSize, dtype: "float64", generator });

function lossGradients(layer: InstanceType<(typeof layers)[keyof typeof layers]>, xs: Tensor): number[] {
  const { output } = layer.forward(xs);
  const wanted = [xs, ...layer.parameters()];
  const found = gradients([sum(output)], wanted, [ones([], "float64")]);
  return found.flatMap((g) => Array.from((g as Tensor).data()));
}

describe.each(Object.keys(layers) as (keyof typeof layers)[])("%s", (kind) => {
  it.each([
    [1, 1, 1],
    [2, 1, 1],
    [5, 1, 3],
  ])("T=%i, B=%i, H=%i: gradients of a composed walk", (T, B, H) => {
    const layer = make(kind, H);
    const cell = new cells[kind]({ inputSize: 1, hiddenSize: H, dtype: "float64", generator });
    cell.loadStateDict(new Map([...layer.stateDict()].map(([name, t]) => [name.replace("_l0", ""), t])));
    const xs = requireGrad(generator.uniform([T, B, 1], -1, 1, "float64"));
    const [ys] = scanSteps(cell as never, xs) as [Tensor, unknown];
    const expected = gradients([sum(ys)], [xs, ...cell.parameters()], [ones([], "float64")]).flatMap((g) =>
      Array.from((g as Tensor).data()),
    );
    lossGradients(layer, xs).forEach((g, i) => expect(Math.abs(g - (expected[i] as number))).toBeLessThan(1e-12));
  });

  it("10,000 steps of one unit: the gradient is that of finite differences", () => {
    const layer = make(kind, 1);
    const T = 10_000;
    const xs = requireGrad(generator.uniform([T, 1, 1], -1, 1, "float64"));
    const found = scope(() => lossGradients(layer, xs));
    const loss = (): number => scope(() => sum(layer.forward(xs).output).item());
    const names = [...layer.namedParameters()];
    let at = T;
    for (const [name, p] of names) {
      const values = p.data();
      for (let k = 0; k < p.size; k++, at++) {
        const along = (h: number) => {
          const moved = Float64Array.from(values);
          moved[k] = (moved[k] as number) + h;
          layer.loadStateDict(new Map([...layer.stateDict()].map(([n, t]) => [n, n === name ? tensor(moved, { shape: p.shape }) : t])));
          return loss();
        };
        const numeric = (along(1e-5) - along(-1e-5)) / 2e-5;
        along(0);
        expect(Math.abs((found[at] as number) - numeric) / Math.max(1, Math.abs(numeric))).toBeLessThan(1e-5);
      }
    }
  });

  it("no steps: an error that names the argument", () => {
    expect(() => make(kind, 2).forward(zeros([0, 3, 1], "float64"))).toThrow(/at least one step, got \[0,3,1\]/);
  });

  it("no sequences: empty results and zero gradients", () => {
    const layer = make(kind, 2);
    const xs = zeros([4, 0, 1], "float64");
    const { output } = layer.forward(xs);
    expect(output.shape).toEqual([4, 0, 2]);
    const found = gradients([sum(output)], layer.parameters(), [ones([], "float64")]);
    for (const g of found) expect(g === null || g.data().every((v) => v === 0)).toBe(true);
  });

  it("a sequence of length zero in a batch: zeros, its initial state, and no gradient", () => {
    const layer = make(kind, 2);
    const xs = requireGrad(generator.uniform([3, 2, 1], -1, 1, "float64"));
    const { output, state } = layer.forward(xs, { lengths: [3, 0] });
    const rows = output.toArray() as number[][][];
    expect(rows.map((r) => r[1])).toEqual([
      [0, 0],
      [0, 0],
      [0, 0],
    ]);
    const h = (kind === "LSTM" ? (state as { h: Tensor }).h : (state as Tensor)).toArray() as number[][][];
    expect(h[0]?.[1]).toEqual([0, 0]);
    const [dx] = gradients([sum(output)], [xs], [ones([], "float64")]) as [Tensor];
    expect((dx.toArray() as number[][][]).map((r) => r[1])).toEqual([[0], [0], [0]]);
  });

  it("a weight used twice: two walks with one layer add up", () => {
    const layer = make(kind, 3);
    const [a, b] = [generator.uniform([4, 2, 1], -1, 1, "float64"), generator.uniform([4, 2, 1], -1, 1, "float64")];
    const g = (loss: Tensor) => gradients([loss], layer.parameters(), [ones([], "float64")]).map((t) => (t as Tensor).data());
    const run = (xs: Tensor) => sum(layer.forward(xs).output);
    const [both, first, second] = [g(add(run(a), run(b))), g(run(a)), g(run(b))];
    both.forEach((t, i) =>
      t.forEach((v, j) => expect(Math.abs(v - ((first[i]?.[j] as number) + (second[i]?.[j] as number)))).toBeLessThan(1e-12)),
    );
  });
});
