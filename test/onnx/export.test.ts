/**
 * Models written as ONNX files. What the files mean is told by `loadModel`, which is held to ONNX's own cases, and by ONNX Runtime where it is
 * installed (`npm ci` in bench/rivals).
 */

import { createRequire } from "node:module";
import { beforeAll, describe, expect, it } from "vitest";
import { ArgumentError, DTypeError, ShapeError } from "../../src/base/errors.ts";
import { Embedding, LayerNorm, Linear, Sequential } from "../../src/nn/layers.ts";
import { Module, Parameter } from "../../src/nn/module.ts";
import { type ExportOptions, exportModel, loadModel } from "../../src/onnx/index.ts";
import * as ops from "../../src/ops/index.ts";
import type { Recurrence } from "../../src/recurrence/recurrence.ts";
import { GRU, LSTM, RNN } from "../../src/recurrence/rnn.ts";
import { type State, stateTensors } from "../../src/recurrence/state.ts";
import { Generator } from "../../src/tensor/random.ts";
import { Tensor, tensor } from "../../src/tensor/tensor.ts";
import { Bidirectional, Reversed, StackedRNN } from "../../src/wrappers/index.ts";
import { every } from "../recurrence/every.ts";

type Forward = NonNullable<ExportOptions["forward"]>;
type Tensors = Readonly<Record<string, Tensor>>;
type Runtime = (bytes: Uint8Array, inputs: Tensors, wide: readonly string[]) => Promise<Record<string, ArrayLike<number>>>;

/** ONNX Runtime, where it is installed. */
let runtime: Runtime | null = null;

beforeAll(() => {
  const place = process.env.ONNXRUNTIME ?? new URL("../../bench/rivals/package.json", import.meta.url).pathname;
  try {
    const ort = createRequire(place)("onnxruntime-node");
    runtime = async (bytes, inputs, wide) => {
      const session = await ort.InferenceSession.create(bytes, { logSeverityLevel: 3 });
      const feeds = Object.entries(inputs).map(([name, t]) => {
        if (wide.includes(name)) return [name, new ort.Tensor("int64", BigInt64Array.from(t.data(), BigInt), t.shape)];
        return [name, new ort.Tensor(t.dtype, t.data().slice(), t.shape)];
      });
      const results = (await session.run(Object.fromEntries(feeds))) as Record<string, { data: ArrayLike<number | bigint> }>;
      return Object.fromEntries(Object.entries(results).map(([name, { data }]) => [name, Array.from(data, Number)]));
    };
  } catch {
    console.warn("onnxruntime-node is not installed in bench/rivals: exported files are run by loadModel alone");
  }
});

/** The largest difference, of numbers above 1 as a share of them. */
function difference(got: ArrayLike<number>, wanted: ArrayLike<number>): number {
  if (got.length !== wanted.length) return Number.POSITIVE_INFINITY;
  return Array.from(wanted).reduce((worst, value, i) => {
    const off = Math.abs((got[i] as number) - value) / Math.max(1, Math.abs(value));
    return Number.isNaN(off) ? Number.POSITIVE_INFINITY : Math.max(worst, off);
  }, 0);
}

/** Exports, and compares what the file gives with what the model does, on inputs of other sizes than those of the export. */
async function check(model: Module, options: ExportOptions, inputs: Tensors, lengths: readonly number[] = []): Promise<void> {
  const forward = options.forward as NonNullable<ExportOptions["forward"]>;
  const bytes = exportModel(model, options);
  model.eval();
  const wanted = Object.entries(flat(forward(inputs, lengths), ""));
  const name = options.lengths?.name;
  const given = name === undefined ? inputs : { ...inputs, [name]: tensor(Int32Array.from(lengths)) };
  const own = loadModel(bytes).run(given);
  expect(Object.keys(own)).toEqual(wanted.map(([output]) => output));
  for (const [output, t] of wanted) {
    expect(own[output]?.shape).toEqual(t.shape);
    expect(difference((own[output] as Tensor).data(), t.data())).toBeLessThan(1e-5);
  }
  const others = await runtime?.(bytes, given, name === undefined ? [] : [name]);
  for (const [output, t] of others === undefined ? [] : wanted) {
    expect(difference(others?.[output] ?? [], t.data())).toBeLessThan(1e-5);
  }
}

function flat(value: unknown, path: string): Tensors {
  if (value instanceof Tensor) return { [path === "" ? "output" : path]: value };
  return Object.assign({}, ...Object.entries(value as object).map(([name, part]) => flat(part, path === "" ? name : `${path}.${name}`)));
}

const [T, B] = [6, 3];
const lengths = [6, 2, 4];
const sequences = (size: number) => ({ x: { shape: ["time", "batch", size] } });
const normal = (...shape: number[]) => new Generator(7).normal(shape);
const ragged = { name: "lengths", time: "time", batch: "batch" };
const generator = () => new Generator(1);

/** A scan's outputs and last state. */
function scanned(recurrence: Recurrence, x: Tensor, steps: readonly number[], reverse = false): Tensors {
  const [y, last] = recurrence.scan(x, undefined, { reverse, ...(steps.length > 0 && { lengths: steps }) });
  return { y, ...Object.fromEntries(stateTensors(last as State).map((t, i) => [`state${i}`, t])) };
}

describe("layers become ONNX's own", () => {
  const sizes = { inputSize: 4, hiddenSize: 5 };
  const layers: Record<string, () => RNN | LSTM | GRU> = {
    RNN: () => new RNN({ ...sizes, generator: generator() }),
    "RNN, relu": () => new RNN({ ...sizes, nonlinearity: "relu", generator: generator() }),
    LSTM: () => new LSTM({ ...sizes, generator: generator() }),
    "LSTM, two layers in both directions": () =>
      new LSTM({ ...sizes, numLayers: 2, bidirectional: true, dropout: 0.5, generator: generator() }),
    "LSTM, peepholes, one bias": () => new LSTM({ ...sizes, peepholes: true, biases: 1, generator: generator() }),
    "LSTM, projection": () => new LSTM({ ...sizes, projSize: 3, generator: generator() }),
    GRU: () => new GRU({ ...sizes, generator: generator() }),
    "GRU, reset before": () => new GRU({ ...sizes, resetAfter: false, bias: false, generator: generator() }),
  };

  it.each(Object.entries(layers))("%s", async (_, make) => {
    const model = make() as unknown as Recurrence & Module;
    const forward: Forward = ({ x }, steps) => scanned(model, x as Tensor, steps);
    await check(model, { inputs: sequences(4), forward }, { x: normal(T, B, 4) });
    await check(model, { inputs: sequences(4), lengths: ragged, forward }, { x: normal(T, B, 4) }, lengths);
  });

  it("with a state that goes in and out, batch first, and backwards", async () => {
    const lstm = new LSTM({ ...sizes, numLayers: 2, batchFirst: true, generator: generator() });
    const inputs = { x: { shape: ["batch", "time", 4] }, h: { shape: [2, "batch", 5] }, c: { shape: [2, "batch", 5] } };
    const forward: Forward = ({ x, h, c }) => lstm.forward(x as Tensor, { state: { h: h as Tensor, c: c as Tensor } });
    await check(lstm, { inputs, forward }, { x: normal(B, T, 4), h: normal(2, B, 5), c: normal(2, B, 5) });
    const gru = new GRU({ ...sizes, generator: generator() });
    const back: Forward = ({ x }, steps) => scanned(gru as never, x as Tensor, steps, true);
    await check(gru, { inputs: sequences(4), lengths: ragged, forward: back }, { x: normal(T, B, 4) }, lengths);
  });

  it("with indices in the place of one-hot vectors", async () => {
    const rnn = new RNN({ ...sizes, generator: generator() });
    const inputs = { x: { shape: ["time", "batch"], dtype: "int32" as const } };
    const forward: Forward = ({ x }) => ({ y: rnn.forward(x as Tensor).output });
    await check(
      rnn,
      { inputs, forward },
      {
        x: tensor(
          [
            [0, 3, 1],
            [2, 2, 0],
          ],
          { dtype: "int32" },
        ),
      },
    );
  });
});

/** Chooses its steps by what it has computed. */
const ADAPTIVE = 'CTRNN, "bogacki-shampine"';

describe("every recurrence becomes a file that gives the same", () => {
  it.each(Object.entries(every).filter(([name]) => name !== ADAPTIVE))("%s", async (_, make) => {
    const model = make({ generator: generator() }) as Recurrence & Module;
    const size = model.inputSize;
    const forward: Forward = ({ x }, steps) => scanned(model, x as Tensor, steps);
    await check(model, { inputs: sequences(size), forward }, { x: normal(T, B, size) });
    await check(model, { inputs: sequences(size), lengths: ragged, forward }, { x: normal(T, B, size) }, lengths);
  });
});

it("refuses a solver that chooses its steps by what it has computed", () => {
  const model = (every[ADAPTIVE] as NonNullable<(typeof every)[string]>)({ generator: generator() }) as Recurrence & Module;
  const forward: Forward = ({ x }) => scanned(model, x as Tensor, []);
  expect(() => exportModel(model, { inputs: sequences(model.inputSize), forward })).toThrow("computed from values of the inputs");
});

/** A model of one function. */
class Model extends Module {
  readonly w = new Parameter(normal(4, 4));
  readonly v = new Parameter(normal(4));
}

describe("operations", () => {
  const functions: Record<string, (x: Tensor, m: Model) => Tensor> = {
    arithmetic: (x, { v }) => ops.div(ops.sub(ops.mul(ops.add(x, 1), v), ops.neg(x)), ops.add(ops.square(v), 0.5)),
    functions: (x) => ops.add(ops.add(ops.exp(x), ops.log(ops.add(ops.abs(x), 1))), ops.add(ops.sin(x), ops.mul(ops.cos(x), ops.erf(x)))),
    roots: (x) => ops.mul(ops.sqrt(ops.add(ops.square(x), 1)), ops.rsqrt(ops.add(ops.abs(x), 2))),
    small: (x) => ops.add(ops.expm1(x), ops.log1p(ops.square(x))),
    powers: (x) => ops.add(ops.pow(ops.add(ops.abs(x), 1), 1.5), ops.pow(2, x)),
    activations: (x) =>
      ops.cat([ops.relu(x), ops.leakyRelu(x, 0.2), ops.elu(x, 0.7), ops.silu(x), ops.gelu(x), ops.softplus(x), ops.hardTanh(x)], 2),
    limits: (x) => ops.add(ops.clamp(x, -0.5), ops.add(ops.maximum(x, 0.1), ops.minimum(x, ops.mul(x, 2)))),
    choices: (x) => ops.where(ops.logicalOr(ops.greater(x, 0.2), ops.notEqual(x, x)), x, ops.where(ops.lessEqual(x, -0.2), 0, 1)),
    softmax: (x) => ops.add(ops.softmax(x), ops.logSoftmax(x, 0)),
    reductions: (x) =>
      ops.add(ops.mean(x, { axis: [0, 2], keepDim: true }), ops.add(ops.amax(x, { axis: 2, keepDim: true }), ops.variance(x))),
    "products and sums": (x) => ops.add(ops.cumsum(x, { axis: 0 }), ops.unsqueeze(ops.logSumExp(x, { axis: -1 }), -1)),
    matrices: (x, { w, v }) => ops.add(ops.matmul(x, w), ops.linear(x, w, v)),
    "matrices of rows": (x, { w, v }) => ops.addmm(v, ops.select(x, 0, -1), w),
    "batches of matrices": (x) => ops.matmul(x, ops.transpose(x)),
    einsum: (x, { w }) => ops.einsum("tbi,io->bto", x, w),
    views: (x) => ops.flip(ops.transpose(ops.slice(x, 0, 1), 0, 1), 0),
    "the last step": (x) => ops.slice(x, 0, -2),
    "a shape that depends on lengths": (x) => ops.reshape(x, [x.dim(0) * x.dim(1), 2, 2]),
    parts: (x) => ops.cat(ops.split(x, [1, 3], 2).reverse(), 2),
    stacks: (x) => ops.stack(ops.unstack(x, 2).reverse(), 1),
    padding: (x) =>
      ops.pad(
        x,
        [
          [1, 0],
          [0, 0],
          [2, 1],
        ],
        0.5,
      ),
    roll: (x) => ops.roll(x, 1, 2),
    indices: (x, { w }) => ops.takeRows(w, ops.argmax(x, { axis: 2 })),
    "one-hot vectors": (x) => ops.oneHot(ops.argmin(x, { axis: -1 }), 4),
    convolutions: (x, { w }) => ops.conv1d(ops.permute(x, [1, 2, 0]), ops.reshape(w, [2, 4, 2]), null, { causal: true, dilation: 2 }),
    "convolutions in strides": (x, { w }) =>
      ops.conv1d(ops.permute(x, [1, 2, 0]), ops.reshape(w, [4, 1, 4]), null, { groups: 4, padding: 2, stride: 2 }),
    "what is detached": (x) => ops.add(x.detach(), ops.mul(x, 2).detach()),
  };

  it.each(Object.entries(functions))("%s", async (_, fn) => {
    const model = new Model();
    await check(model, { inputs: sequences(4), forward: ({ x }) => fn(x as Tensor, model) }, { x: normal(T, B, 4) });
  });

  it("of a whole tagger, from words to classes", async () => {
    class Tagger extends Module {
      readonly words = new Embedding(10, 4, { generator: generator() });
      readonly encoder = new LSTM({ inputSize: 4, hiddenSize: 3, bidirectional: true, generator: generator() });
      readonly head = new Sequential(new LayerNorm(6), new Linear(6, 5, { generator: generator() }));
      forward(ids: Tensor, options: { lengths?: readonly number[] } = {}): Tensor {
        return this.head.forward(this.encoder.forward(this.words.forward(ids), options).output);
      }
    }
    const tagger = new Tagger();
    const inputs = { ids: { shape: ["time", "batch"], dtype: "int32" as const } };
    const bytes = exportModel(tagger, { inputs, lengths: ragged });
    const ids = tensor(
      [
        [1, 9, 3],
        [4, 0, 2],
      ],
      { dtype: "int32" },
    );
    const wanted = tagger.forward(ids, { lengths: [2, 1, 2] }).data();
    const { output } = loadModel(bytes).run({ ids, lengths: tensor(Int32Array.of(2, 1, 2)) });
    expect(difference((output as Tensor).data(), wanted)).toBeLessThan(1e-5);
    expect(exportModel(tagger, { inputs, lengths: ragged })).toEqual(bytes);
  });

  it("of wrappers that scan from the end, or both ways", async () => {
    for (const model of [new Reversed(every.MGU!({ generator: generator() })), new StackedRNN([every.MGU!({ generator: generator() })])]) {
      const forward: Forward = ({ x }, steps) => scanned(model as never, x as Tensor, steps);
      await check(model as never, { inputs: sequences(3), lengths: ragged, forward }, { x: normal(T, B, 3) }, lengths);
    }
    const both = new Bidirectional(every.MGU!({ generator: generator() }), every.MGU!({ generator: generator() }));
    await check(both as never, { inputs: sequences(3), forward: ({ x }) => ({ y: both.scan(x as Tensor)[0] }) }, { x: normal(T, B, 3) });
  });
});

describe("exportModel", () => {
  const model = new Model();
  const inputs = sequences(4);

  it("leaves the model as it was, training or not", () => {
    const stack = new Sequential(new Linear(4, 4), new LayerNorm(4));
    stack.train();
    for (const [, part] of stack.namedModules()) if (part instanceof LayerNorm) part.eval();
    exportModel(stack, { inputs });
    expect(Array.from(stack.modules(), (m) => m.training)).toEqual([true, true, false]);
    expect(() =>
      exportModel(stack, {
        inputs,
        forward: () => {
          throw new Error("mine");
        },
      }),
    ).toThrow("mine");
    expect(Array.from(stack.modules(), (m) => m.training)).toEqual([true, true, false]);
  });

  it("refuses what a file cannot say", () => {
    const refused = (fn: (x: Tensor) => unknown) => () => exportModel(model, { inputs, forward: ({ x }) => fn(x as Tensor) as Tensor });
    expect(refused((x) => ops.add(x, x.data()[0] as number))).toThrow(ArgumentError);
    expect(refused((x) => ops.add(x, tensor(x.data().slice(), { shape: x.shape })))).toThrow("differ along an open length");
    expect(refused((x) => ops.add(ops.select(x, 0, 0), tensor([x.data()[0] as number])))).toThrow("computed on the host");
    expect(refused((x) => ops.unstack(x, 0).reduce((a, b) => ops.add(a, b)))).toThrow("scan sequences instead of walking over them");
    expect(
      refused((x) =>
        ops.scatterAdd(x, 0, tensor([[[0]]], { dtype: "int32" }), ops.slice(ops.slice(ops.slice(x, 0, 0, 1), 1, 0, 1), 2, 0, 1)),
      ),
    ).toThrow("the operation scatterAdd");
    expect(refused(() => 5)).toThrow(DTypeError);
    expect(refused(() => ({}))).toThrow(ArgumentError);
    expect(refused((x) => ({ x }))).toThrow('got "x" twice');
  });

  it("refuses inputs that are none", () => {
    const bad = (options: unknown) => () => exportModel(model, options as ExportOptions);
    const forward = ({ x }: Tensors) => x as Tensor;
    expect(bad({ inputs: {}, forward })).toThrow(ArgumentError);
    expect(bad({ inputs: { x: { shape: [0] } }, forward })).toThrow(ShapeError);
    expect(bad({ inputs: { x: { shape: "tb" } }, forward })).toThrow(DTypeError);
    expect(bad({ inputs: { x: { shape: [1], dtype: "int8" } }, forward })).toThrow(DTypeError);
    expect(bad({ inputs, forward, opset: 9 })).toThrow(ArgumentError);
    expect(bad({ inputs, forward: 5 })).toThrow(DTypeError);
    expect(bad({ inputs, forward, lengths: { ...ragged, time: "steps" } })).toThrow("lengths.time");
    expect(bad({ inputs })).toThrow("expected forward, since Model has none");
    expect(() => exportModel({} as never, { inputs })).toThrow(DTypeError);
  });
});
