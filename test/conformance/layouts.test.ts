/** Weights that came from ONNX and Keras, imported by layout: what the layers then compute is compared with what came with them. */

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { gradients } from "../../src/autodiff/sweep.ts";
import { exportWeights, importWeights } from "../../src/interop/layouts.ts";
import { type Node, parseModel } from "../../src/onnx/model.ts";
import { add, mul, square, sub } from "../../src/ops/arithmetic.ts";
import { clamp } from "../../src/ops/compare.ts";
import { linear } from "../../src/ops/linear.ts";
import { tanh } from "../../src/ops/math.ts";
import { mean } from "../../src/ops/reduce.ts";
import { chunk, select, stack, transpose } from "../../src/ops/shape.ts";
import type { LstmState } from "../../src/recurrence/kinds.ts";
import { GRU, LSTM, RNN } from "../../src/recurrence/rnn.ts";
import { scalar, zeros } from "../../src/tensor/create.ts";
import { assign, scope, Tensor, tensor } from "../../src/tensor/tensor.ts";
import { relativeError } from "./compare.ts";
import { storedTensors } from "./onnx-cases.ts";
import { conformanceFolder } from "./runner.ts";

const folder = conformanceFolder(fileURLToPath(new URL("../..", import.meta.url)));
const has = (path: string): boolean => existsSync(join(folder, path));
const at = (...path: string[]): string => join(folder, ...path);

// ---- ONNX ----

const RECURRENT = new Set(["RNN", "LSTM", "GRU"]);
/** Operations that only arrange what recurrent nodes read and write. */
const ARRANGING = new Set("Cast Concat Constant Expand Gather Reshape Shape Slice Squeeze Transpose Unsqueeze".split(" "));
const ONNX_LIMIT = 1e-4;

interface OnnxCase {
  readonly case: string;
  readonly ops: readonly string[];
}

/** Cases that are recurrent layers and nothing else. */
function onnxCases(manifest: string): string[] {
  const cases = JSON.parse(readFileSync(at("onnx", manifest), "utf8")) as OnnxCase[];
  return cases
    .filter(({ ops }) => ops.some((op) => RECURRENT.has(op)) && ops.every((op) => RECURRENT.has(op) || ARRANGING.has(op)))
    .map((c) => c.case);
}

const tensorsOf = (path: string, kind: "input" | "output"): Tensor[] => storedTensors(join(path, "test_data_set_0"), kind);

interface Graph {
  readonly nodes: readonly Node[];
  readonly constants: ReadonlyMap<string, unknown>;
}

/** The arrays of a node, under ONNX's names. */
function arraysOf(node: Node, constants: Graph["constants"], prefix: string): [string, Tensor][] {
  const names = ["", "W", "R", "B", "", "", "", "P"];
  return names.flatMap((name, i): [string, Tensor][] => {
    const input = node.inputs[i] ?? "";
    return name === "" || input === "" ? [] : [[prefix + name, constants.get(input) as Tensor]];
  });
}

function layerOf(nodes: readonly Node[], constants: Graph["constants"]): RNN | LSTM | GRU {
  const [first] = nodes as [Node];
  const arrays = nodes.map((node, i) => arraysOf(node, constants, nodes.length > 1 ? `layers.${i}.` : ""));
  const [[, W], [, R], bias] = arrays[0] as [[string, Tensor], [string, Tensor], [string, Tensor] | undefined];
  const options = {
    inputSize: W.dim(2),
    hiddenSize: R.dim(2),
    numLayers: nodes.length,
    bidirectional: W.dim(0) === 2,
    bias: bias !== undefined,
  };
  const layer = make(first, options);
  importWeights(layer, "onnx", new Map(arrays.flat()));
  return layer;
}

function make(node: Node, options: ConstructorParameters<typeof LSTM>[0]): RNN | LSTM | GRU {
  if (node.op === "LSTM") return new LSTM(options);
  if (node.op === "GRU") return new GRU({ ...options, resetAfter: node.attributes.flag("linear_before_reset") });
  const [activation = "Tanh"] = node.attributes.texts("activations") ?? [];
  return new RNN({ ...options, nonlinearity: activation === "Relu" ? "relu" : "tanh" });
}

/** Runs the layers of a model on its inputs: X, and lengths or the initial state; output, h and c in PyTorch's shapes. */
function runOnnx(graph: Graph, inputs: readonly Tensor[]): Tensor[] {
  const nodes = graph.nodes.filter((node) => RECURRENT.has(node.op));
  const layer = layerOf(nodes, graph.constants) as LSTM;
  const [x, ...rest] = inputs as [Tensor, ...Tensor[]];
  const batchFirst =
    graph.nodes.some((node) => node.op === "Transpose" && node.inputs[0] === "in0") || nodes[0]?.attributes.flag("layout") === true;
  const lengths = rest.find((t) => t.dtype === "int32");
  const [h, c] = rest.filter((t) => t.dtype !== "int32");
  const state = (h && c ? { h, c } : h) as LstmState | undefined;
  const [ys, last] = layer.scan(batchFirst ? transpose(x, 0, 1) : x, state, lengths && { lengths: [...lengths.data()] });
  const states = last instanceof Tensor ? [last] : [last.h, last.c];
  return [batchFirst ? transpose(ys, 0, 1) : ys, ...states];
}

/** Our tensor with the expected one's elements: ONNX's nodes give Y [T,D,B,H], or [B,T,D,H] and [B,D,H] with layout 1. */
function expectOnnx(actual: Tensor, expected: Tensor, swap = false): void {
  const values = (swap ? transpose(actual, 0, 1) : actual).data();
  expect(values.length).toBe(expected.size);
  expect(relativeError(values, expected.data())).toBeLessThanOrEqual(ONNX_LIMIT);
}

describe.skipIf(!has("onnx/exported"))("models that PyTorch wrote as ONNX", () => {
  test.each(has("onnx/exported") ? onnxCases("exported/cases.json") : [])("%s", (name) => {
    scope(() => {
      const path = at("onnx/exported", name);
      const outputs = runOnnx(parseModel(readFileSync(join(path, "model.onnx"))), tensorsOf(path, "input"));
      const expected = tensorsOf(path, "output");
      expect(outputs.map((t) => t.shape)).toEqual(expected.map((t) => t.shape));
      for (const [i, e] of expected.entries()) expectOnnx(outputs[i] as Tensor, e);
    });
  });
});

describe.skipIf(!has("onnx/node"))("ONNX's own tests of its operators", () => {
  test.each(has("onnx/node") ? onnxCases("node_cases.json") : [])("%s", (name) => {
    scope(() => {
      const path = at("onnx/node", name);
      const { nodes } = parseModel(readFileSync(join(path, "model.onnx")));
      const [node] = nodes as [Node];
      const given = node.inputs.filter((input) => input !== "");
      const tensors = new Map(tensorsOf(path, "input").map((t, i) => [given[i] as string, t]));
      const outputs = runOnnx({ nodes, constants: tensors }, [tensors.get(node.inputs[0] as string) as Tensor]);
      const expected = tensorsOf(path, "output");
      const wanted = node.outputs.flatMap((output, i) => (output === "" ? [] : [i]));
      expect(wanted.length).toBe(expected.length);
      for (const [j, i] of wanted.entries())
        expectOnnx(outputs[i] as Tensor, expected[j] as Tensor, i > 0 && node.attributes.flag("layout"));
    });
  });
});

// ---- Keras: its cells here have hard sigmoids, so they are composed of the imported layer's own parameters ----

type Nested = readonly (number | Nested)[];

interface KerasLayer {
  readonly layer: string;
  readonly config: { readonly units: number; readonly activation?: string; readonly use_bias: boolean };
  readonly weights: Readonly<Record<string, Nested>>;
}

interface KerasCase {
  readonly name: string;
  readonly layers: readonly KerasLayer[];
  readonly tolerance: number;
  readonly input?: Nested;
  readonly outputs?: readonly Nested[];
  readonly train?: { readonly x: Nested; readonly y: Nested; readonly lr: number; readonly epochs: number; readonly batch_size: number };
  readonly weights_after?: readonly (readonly Nested[])[];
}

const f64 = (values: Nested): Tensor => tensor(values as never, { dtype: "float64" });
const hardSigmoid = (x: Tensor): Tensor => clamp(add(mul(x, 0.2), 0.5), 0, 1);

function kerasLayer({ layer, config, weights }: KerasLayer): RNN | LSTM | GRU {
  const inputSize = (weights.kernel as Nested).length;
  const options = { inputSize, hiddenSize: config.units, bias: config.use_bias, biases: 1, dtype: "float64" } as const;
  const made = layer === "LSTM" ? new LSTM(options) : layer === "GRU" ? new GRU({ ...options, resetAfter: false }) : new RNN(options);
  importWeights(made, "keras", new Map(Object.entries(weights).map(([name, values]) => [name, f64(values)])));
  return made;
}

/** x [B,T,I] through a layer of our own block order with Keras's activations, to all outputs [B,T,H] and the state. */
function runKeras(layer: RNN | LSTM | GRU, activation: string | undefined, x: Tensor): { ys: Tensor; state: Tensor[] } {
  const own = layer.stateDict();
  const [w, r] = [own.get("weight_ih_l0") as Tensor, own.get("weight_hh_l0") as Tensor];
  const act = activation === "linear" ? (t: Tensor): Tensor => t : tanh;
  let h = zeros([x.dim(0), layer.hiddenSize], "float64");
  let c = h;
  const ys: Tensor[] = [];
  for (let t = 0; t < x.dim(1); t++) {
    const gx = linear(select(x, 1, t), w, own.get("bias_ih_l0"));
    if (layer instanceof LSTM) {
      const [i, f, g, o] = chunk(add(gx, linear(h, r)), 4, 1) as [Tensor, Tensor, Tensor, Tensor];
      c = add(mul(hardSigmoid(f), c), mul(hardSigmoid(i), act(g)));
      h = mul(hardSigmoid(o), act(c));
    } else if (layer instanceof GRU) {
      const [xr, xz, xn] = chunk(gx, 3, 1) as [Tensor, Tensor, Tensor];
      const [rr, rz, rn] = chunk(r, 3, 0) as [Tensor, Tensor, Tensor];
      const z = hardSigmoid(add(xz, linear(h, rz)));
      const n = act(add(xn, linear(mul(hardSigmoid(add(xr, linear(h, rr))), h), rn)));
      h = add(n, mul(z, sub(h, n)));
    } else h = act(add(gx, linear(h, r)));
    ys.push(h);
  }
  return { ys: stack(ys, 1), state: layer instanceof LSTM ? [h, c] : [h] };
}

function expectKeras(actual: Tensor, expected: Nested, tolerance: number): void {
  const e = f64(expected);
  expect(actual.size).toBe(e.size);
  const values = e.data();
  const scale = Math.max(1, ...values.map(Math.abs));
  const error = Math.max(...actual.data().map((a, i) => Math.abs(a - (values[i] as number))));
  expect(error / scale).toBeLessThanOrEqual(tolerance);
}

/** Gradient descent on the mean squared error of a recurrent layer under a dense one without bias. */
function trainKeras(layer: RNN | LSTM | GRU, activation: string | undefined, head: Tensor, train: NonNullable<KerasCase["train"]>): void {
  const [x, y] = [f64(train.x), f64(train.y)];
  expect(x.dim(0)).toBe(train.batch_size);
  const leaves = [...layer.parameters(), head];
  for (let epoch = 0; epoch < train.epochs; epoch++) {
    const { ys } = runKeras(layer, activation, x);
    const loss = mean(square(sub(linear(select(ys, 1, x.dim(1) - 1), transpose(head)), y)));
    const slopes = gradients([loss], leaves, [scalar(1, "float64")]);
    for (const [i, leaf] of leaves.entries()) assign(leaf, sub(leaf.detach(), mul(slopes[i] as Tensor, train.lr)));
  }
}

const kerasCases = (has("keras/cases.json") ? JSON.parse(readFileSync(at("keras/cases.json"), "utf8")) : []) as KerasCase[];
const KERAS = new Set(["SimpleRNN", "LSTM", "GRU"]);
const ofKind = ({ layers }: KerasCase): boolean => KERAS.has((layers[0] as KerasLayer).layer);

describe.skipIf(kerasCases.length === 0)("values of Keras", () => {
  test.each(kerasCases.filter((c) => ofKind(c) && c.layers.length === 1 && c.outputs !== undefined))("$name", (c) => {
    scope(() => {
      const [spec] = c.layers as [KerasLayer];
      const { ys, state } = runKeras(kerasLayer(spec), spec.config.activation, f64(c.input as Nested));
      const [last] = state as [Tensor];
      const expected = c.outputs as readonly Nested[];
      const found = [f64(expected[0] as Nested).rank === 3 ? ys : last, ...state];
      for (const [i, e] of expected.entries()) expectKeras(found[i] as Tensor, e, c.tolerance);
    });
  });

  test.each(kerasCases.filter((c) => ofKind(c) && c.weights_after !== undefined))("$name: weights exported after training", (c) => {
    scope(() => {
      const [spec, dense] = c.layers as [KerasLayer, KerasLayer];
      const layer = kerasLayer(spec);
      const head = tensor(f64(dense.weights.kernel as Nested).data(), { shape: [spec.config.units, 1], requiresGrad: true });
      trainKeras(layer, spec.config.activation, head, c.train as NonNullable<KerasCase["train"]>);
      const [recurrent, output] = c.weights_after as [readonly Nested[], readonly Nested[]];
      const arrays = [...exportWeights(layer, "keras").values()];
      expect(arrays.length).toBe(recurrent.length);
      for (const [i, e] of recurrent.entries()) expectKeras(arrays[i] as Tensor, e, c.tolerance);
      expectKeras(head, output[0] as Nested, c.tolerance);
    });
  });
});
