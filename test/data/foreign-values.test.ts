/** What data may hold by accident: gaps, fractions, constants. It is refused, or handled, and never taken for something else. */

import { expect, it } from "vitest";
import { ArgumentError, FormatError } from "../../src/base/errors.ts";
import { Scaler } from "../../src/data/series.ts";
import { WindowBatches } from "../../src/data/windows.ts";
import { lyapunovExponents } from "../../src/dynamics/lyapunov.ts";
import { PixelRNN } from "../../src/grids/pixel-rnn.ts";
import { constant } from "../../src/nn/init.ts";
import { Embedding } from "../../src/nn/layers.ts";
import { EMA } from "../../src/optim/ema.ts";
import { RNNCell } from "../../src/recurrence/rnn-cells.ts";
import { full } from "../../src/tensor/create.ts";
import { assign, type Tensor, tensor } from "../../src/tensor/tensor.ts";

it.each([[Number.NaN], [1.7], [2 ** 32 + 5], [undefined], ["4"]])("windows refuse the id %s", (id) => {
  const ids = [3, 1, 2, id, 0, 1, 2, 3] as number[];
  expect(() => [...new WindowBatches(ids, { batch: 1, window: 7, epochs: 1 })]).toThrow(ArgumentError);
});

it("a constant feature is only shifted, whatever rounding its mean has", () => {
  const column = (value: number, n: number) =>
    tensor(
      Array.from({ length: n }, () => [value]),
      { dtype: "float64" },
    );
  for (const [value, n] of [
    [21.3, 1000],
    [0.1, 10],
    [1e-200, 3],
  ] as const) {
    expect(Scaler.standard(column(value, n)).toJSON()).toEqual({ shift: [value], scale: [1] });
  }
});

it("images have whole numbers below the number of levels, and networks of pixels a kind that there is", () => {
  const model = new PixelRNN({ kind: "diagonal", hiddenChannels: 4 });
  expect(() => model.nll(full([1, 1, 2, 2], 200))).toThrow(/0 to 1, got 200/);
  const levels = new PixelRNN({ kind: "row", hiddenChannels: 4, levels: 4 });
  for (const wrong of [2.9, -0.9, 4, Number.NaN]) expect(() => levels.nll(full([1, 1, 2, 2], wrong))).toThrow(ArgumentError);
  expect(() => new PixelRNN({ kind: "rows" as "row", hiddenChannels: 4 })).toThrow(/row/);
});

it("averages take every parameter once, and a count of updates from a file", () => {
  const shared = new Embedding(2, 1);
  expect(() => new EMA([...shared.parameters(), ...shared.parameters()])).toThrow(/once/);
  const p = tensor([1]);
  const ema = new EMA([p], { decay: 0.9, warmUp: true });
  for (const updates of [undefined, Number.NaN, "x", -5, 0.5] as number[]) {
    expect(() => ema.loadStateDict({ updates, averages: [tensor([7])] })).toThrow(FormatError);
  }
  assign(p, tensor([1]));
  expect(ema.withAverages(() => p.item())).toBe(1);
});

it("a direction that dies has the exponent −∞, and no other is spoilt", () => {
  const cell = new RNNCell({ inputSize: 1, hiddenSize: 3, nonlinearity: "relu", dtype: "float64" });
  for (const t of cell.parameters()) constant(t, 0);
  assign(
    cell.weightHh,
    tensor(
      [
        [0.5, 0, 0],
        [0, 0.5, 0],
        [0, 0, 0.5],
      ],
      { dtype: "float64" },
    ),
  );
  assign(cell.biasIh as Tensor, tensor([1, 1, -1], { dtype: "float64" }));
  const [a, b, c] = lyapunovExponents(cell, { steps: 50, transient: 5 });
  expect(a).toBeCloseTo(Math.log(0.5), 9);
  expect(b).toBeCloseTo(Math.log(0.5), 9);
  expect(c).toBe(Number.NEGATIVE_INFINITY);
});
