/** Layers read indices in place of one-hot vectors, whoever runs their steps. */

import { describe, expect, it } from "vitest";
import { ShapeError } from "../../src/base/errors.ts";
import { gateTrace } from "../../src/insight/gates.ts";
import type { Recurrence } from "../../src/recurrence/recurrence.ts";
import { scanSteps } from "../../src/recurrence/recurrence.ts";
import { GRU, LSTM, RNN } from "../../src/recurrence/rnn.ts";
import { LSTMCell } from "../../src/recurrence/rnn-cells.ts";
import { Generator } from "../../src/tensor/random.ts";
import { type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { thrown } from "../thrown.ts";

const [T, B, I] = [4, 2, 3];
const indices = [
  [2, 0],
  [1, 1],
  [0, 2],
  [2, 2],
];
const ids = tensor(indices.flat(), { shape: [T, B], dtype: "int32" });
const oneHots = tensor(
  indices.map((row) => row.map((id) => Array.from({ length: I }, (_, i) => (i === id ? 1 : 0)))),
  { dtype: "float64" },
);
const values = (t: Tensor): number[] => Array.from(t.data(), Number);

describe.each([
  ["RNN", RNN],
  ["LSTM", LSTM],
  ["GRU", GRU],
] as const)("%s", (_, Layer) => {
  const layer = new Layer({ inputSize: I, hiddenSize: 5, numLayers: 2, dtype: "float64", generator: new Generator(1) }) as Recurrence;

  it.each([[undefined], [[4, 2]]])("steps over indices give what steps over one-hot vectors give, lengths %o", (lengths) => {
    const options = lengths === undefined ? {} : { lengths };
    const [wanted] = layer.scan(oneHots, undefined, options);
    for (const [ys] of [layer.scan(ids, undefined, options), scanSteps(layer, ids, undefined, options)])
      expect(values(ys)).toEqual(values(wanted));
  });

  it("shows its gates over indices", () => {
    const [byIds, byVectors] = [ids, oneHots].map((xs) => gateTrace(layer, () => layer.scan(xs)));
    expect(byIds?.map(({ layer: name }) => name)).toEqual(["l0", "l1"]);
    byIds?.forEach(({ gates }, i) => {
      for (const [name, gate] of Object.entries(gates)) {
        const wanted = values(byVectors?.[i]?.gates[name] as Tensor);
        values(gate).forEach((v, k) => {
          expect(v).toBeCloseTo(wanted[k] as number, 12);
        });
      }
    });
  });

  it("refuses indices of another form", () => {
    const flat = tensor([1, 2, 0], { dtype: "int32" });
    for (const run of [() => layer.scan(flat), () => scanSteps(layer, flat, layer.initialState(1))])
      expect(thrown(run)).toMatchObject({ message: "scan: expected int32 xs [T,B], got [3]" });
  });
});

it("cells that read vectors alone refuse indices", () => {
  const cell = new LSTMCell({ inputSize: I, hiddenSize: 5 });
  expect(thrown(() => scanSteps(cell, ids))).toBeInstanceOf(ShapeError);
});
