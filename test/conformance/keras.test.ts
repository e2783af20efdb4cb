/** Values of Keras: every case of keras/cases.json in the conformance folder, through kerasModel, as it is described there. */

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { backward } from "../../src/autodiff/backward.ts";
import { noGrad } from "../../src/autodiff/tape.ts";
import { KerasCell } from "../../src/interop/keras-cells.ts";
import {
  KerasBidirectional,
  KerasDense,
  KerasEmbedding,
  type KerasLayer,
  type KerasModel,
  type KerasRecurrent,
  KerasSequence,
} from "../../src/interop/keras-layers.ts";
import { kerasModel } from "../../src/interop/keras-model.ts";
import { exportWeights, type RecurrentModule } from "../../src/interop/layouts.ts";
import { mseLoss } from "../../src/nn/losses.ts";
import { slice, transpose } from "../../src/ops/shape.ts";
import { SGD } from "../../src/optim/sgd.ts";
import { Generator } from "../../src/tensor/random.ts";
import { type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { conformanceFolder } from "./runner.ts";

type Nested = number | readonly Nested[];

interface Described {
  readonly layer: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly weights?: Readonly<Record<string, Nested>>;
}

interface Call {
  readonly input: Nested;
  readonly outputs: readonly Nested[];
  readonly reset_states?: boolean;
  readonly initial_state?: readonly Nested[];
}

interface KerasCase extends Partial<Call> {
  readonly name: string;
  readonly layers: readonly Described[];
  readonly tolerance: number;
  readonly calls?: readonly Call[];
  readonly train?: { readonly lr: number; readonly epochs: number; readonly batch_size: number; readonly x: Nested; readonly y: Nested };
  readonly losses?: readonly (number | null)[];
  /** Of each layer its arrays, in Keras's order. */
  readonly weights_after?: readonly (readonly Nested[])[];
}

const root = fileURLToPath(new URL("../..", import.meta.url));
const folder = conformanceFolder(root);
const file = folder === null ? "" : join(folder, "keras/cases.json");
const cases = existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as KerasCase[]) : [];
if (cases.length === 0) console.log("Keras: skipped, there is no keras/cases.json in CONFORMANCE_DIR or ../shared/conformance");

const f64 = (values: Nested): Tensor => tensor(values as number[], { dtype: "float64" });

function modelOf({ layers }: KerasCase): KerasModel {
  return kerasModel(
    layers.map(({ layer, config, weights = {} }) => ({
      class_name: layer,
      config,
      weights: Object.fromEntries(Object.entries(weights).map(([name, values]) => [name, f64(values)])),
    })),
  );
}

/** What an input is to the first layer: indices or numbers. */
function inputOf(model: KerasModel, values: Nested): Tensor {
  const [first] = model.layers.values();
  return first instanceof KerasEmbedding ? tensor(values as number[], { dtype: "int32" }) : f64(values);
}

/** Outputs of the model; after those of the last recurrent layer its states, if that is what its settings ask for. */
function outputsOf(model: KerasModel, { layers }: KerasCase, { input, initial_state: initial }: Call): Tensor[] {
  let x = inputOf(model, input);
  let mask: Tensor | null = null;
  let states: readonly Tensor[] = [];
  for (const [i, layer] of [...model.layers.values()].entries()) {
    const after: Tensor | null = layer.maskAfter(x, mask);
    if (layer instanceof KerasSequence) {
      const { output, state } = layer.run(x, { mask, ...(initial && { state: initial.map(f64) }) });
      if (layers[i]?.config.return_state === true) states = state;
      x = output;
    } else x = layer.forward(x, mask);
    mask = after;
  }
  return [x, ...states];
}

function problem(actual: Tensor, expected: Nested, tolerance: number): string | null {
  const e = f64(expected);
  const [a, b] = [actual.data(), e.data()];
  if (a.length !== b.length) return `shape ${actual.shape} for ${e.shape}`;
  const scale = Math.max(1, ...b.map(Math.abs));
  const worst = Math.max(...Array.from(a, (v, i) => Math.abs(v - (b[i] as number)))) / scale;
  return !(worst <= tolerance) ? `error ${worst}` : null;
}

/** Plain gradient descent, batches in order. @returns the mean loss of each epoch */
function train(model: KerasModel, { lr, epochs, batch_size: size, x, y }: NonNullable<KerasCase["train"]>): number[] {
  const optimizer = new SGD(model.parameters(), { lr });
  const [inputs, targets] = [inputOf(model, x), f64(y)];
  const batches = Math.ceil(inputs.dim(0) / size);
  return Array.from({ length: epochs }, () => {
    let total = 0;
    for (let i = 0; i < batches; i++) {
      const part = (t: Tensor): Tensor => slice(t, 0, i * size, Math.min(t.dim(0), (i + 1) * size));
      const loss = mseLoss(model.forward(part(inputs)), part(targets));
      backward(loss);
      optimizer.step();
      model.zeroGrad();
      total += loss.item();
    }
    return total / batches;
  });
}

/** A layer's weights in Keras's layout. */
function weightsOf(layer: KerasLayer): ReadonlyMap<string, Tensor> {
  if (layer instanceof KerasDense) return new Map([["kernel", transpose(layer.linear.weight)]]);
  const { cell } = layer as KerasRecurrent;
  if (!(cell instanceof KerasCell)) return exportWeights(cell as unknown as RecurrentModule, "keras");
  return new Map([
    ["kernel", cell.kernel],
    ["recurrent_kernel", cell.recurrentKernel],
  ]);
}

describe.skipIf(cases.length === 0)("values of Keras", () => {
  test.each(cases.filter((c) => c.outputs !== undefined))("$name", (c) => {
    noGrad(() => {
      const found = outputsOf(modelOf(c), c, c as Call);
      expect(found.length).toBe(c.outputs?.length);
      for (const [i, e] of (c.outputs as Nested[]).entries()) expect(problem(found[i] as Tensor, e, c.tolerance), `output ${i}`).toBe(null);
    });
  });

  test.each(cases.filter((c) => c.calls !== undefined))("$name, call after call", (c) => {
    noGrad(() => {
      const model = modelOf(c);
      for (const [n, call] of (c.calls as Call[]).entries()) {
        if (call.reset_states) model.resetStates();
        const found = outputsOf(model, c, call);
        for (const [i, e] of call.outputs.entries())
          expect(problem(found[i] as Tensor, e, c.tolerance), `call ${n}, output ${i}`).toBe(null);
      }
    });
  });

  test.each(cases.filter((c) => c.train !== undefined))("$name", (c) => {
    const model = modelOf(c);
    const losses = train(model, c.train as NonNullable<KerasCase["train"]>);
    for (const [i, e] of (c.losses ?? []).entries())
      if (e !== null) expect(problem(tensor([losses[i] as number], { dtype: "float64" }), [e], c.tolerance), `epoch ${i}`).toBe(null);
    for (const [i, weights] of (c.weights_after ?? []).entries()) {
      const own = [...weightsOf([...model.layers.values()][i] as KerasLayer).values()];
      for (const [k, e] of weights.entries()) expect(problem(own[k] as Tensor, e, c.tolerance), `layer ${i}, array ${k}`).toBe(null);
    }
  });

  test("all cases are of these kinds", () => {
    for (const c of cases)
      expect(
        [c.outputs, c.calls, c.train].some((kind) => kind !== undefined),
        c.name,
      ).toBe(true);
  });
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
