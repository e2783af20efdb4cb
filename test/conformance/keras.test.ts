import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { KerasBidirectional, type KerasRecurrent } from "../../src/interop/keras-layers.ts";
import { kerasModel } from "../../src/interop/keras-model.ts";
import { Generator } from "../../src/tensor/random.ts";
import { type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { kerasChecks } from "./keras-cases.ts";
import { conformanceFolder } from "./runner.ts";

const folder = conformanceFolder(fileURLToPath(new URL("../..", import.meta.url)));

describe("values of Keras", () => {
  for (const check of kerasChecks(folder)) test(check.name, () => expect(check.run()).toEqual([]));
});

/** The definition of a GRU that resets after the product, in plain numbers: Keras, layers/rnn/gru.py, GRUCell.call. */
function gruAfter(x: number[][], K: number[][], R: number[][], b: number[][], H: number, phi = Math.tanh): number[] {
  const sigma = (v: number): number => 1 / (1 + Math.exp(-v));
  let h = new Array<number>(H).fill(0);
  for (const xt of x) {
    const product = (v: readonly number[], W: number[][], j: number): number =>
      v.reduce((sum, value, i) => sum + value * (W[i]?.[j] as number), 0);
    const inputs = Array.from({ length: 3 * H }, (_, j) => product(xt, K, j) + (b[0]?.[j] as number));
    const inner = Array.from({ length: 3 * H }, (_, j) => product(h, R, j) + (b[1]?.[j] as number));
    h = h.map((before, j) => {
      const z = sigma((inputs[j] as number) + (inner[j] as number));
      const r = sigma((inputs[H + j] as number) + (inner[H + j] as number));
      const candidate = phi((inputs[2 * H + j] as number) + r * (inner[2 * H + j] as number));
      return z * before + (1 - z) * candidate;
    });
  }
  return h;
}

describe("a GRU that resets after the product", () => {
  const g = new Generator(4);
  const [K, R, b, x] = [
    [2, 9],
    [3, 9],
    [2, 9],
    [4, 2],
  ].map((shape) => g.uniform(shape, -1, 1, "float64")) as [Tensor, Tensor, Tensor, Tensor];
  const rows = (t: Tensor) => t.toArray() as number[][];
  const H = 3;
  const expected = gruAfter(rows(x), rows(K), rows(R), rows(b), H);
  const weights = { kernel: K, recurrent_kernel: R, bias: b };
  const input = tensor([rows(x)], { dtype: "float64" });

  test.each([
    ["tanh", Math.tanh, "GRUCell"],
    ["softsign", (v: number) => v / (1 + Math.abs(v)), "KerasCell"],
  ] as const)("of %s", (activation, phi, cellName) => {
    const config = { units: H, reset_after: true, recurrent_activation: "sigmoid", activation };
    const model = kerasModel([{ class_name: "GRU", config, weights }]);
    const y = model.forward(input).data();
    for (const [i, e] of gruAfter(rows(x), rows(K), rows(R), rows(b), H, phi).entries()) expect(y[i]).toBeCloseTo(e, 12);
    expect(([...model.layers.values()][0] as KerasRecurrent).cell.constructor.name).toBe(cellName);
  });

  test("in both directions", () => {
    const config = { merge_mode: "concat", layer: { class_name: "GRU", config: { units: H, reset_after: true, name: "g" } } };
    const both = Object.fromEntries(
      ["forward_layer", "backward_layer"].flatMap((d) => Object.entries(weights).map(([n, t]) => [`${d}.${n}`, t])),
    );
    const model = kerasModel([{ class_name: "Bidirectional", config, weights: both }]);
    const y = [...model.forward(input).data()];
    const reversed = gruAfter(rows(x).reverse(), rows(K), rows(R), rows(b), H);
    for (const [i, e] of [...expected, ...reversed].entries()) expect(y[i]).toBeCloseTo(e, 12);
    expect([...model.layers.values()][0]).toBeInstanceOf(KerasBidirectional);
  });
});
