import { describe, expect, it } from "vitest";
import { ArgumentError, DTypeError, FormatError, ShapeError } from "../../src/base/errors.ts";
import { parse, serialize } from "../../src/io/safetensors.ts";
import { Embedding, LayerNorm, Linear } from "../../src/nn/layers.ts";
import type { Module } from "../../src/nn/module.ts";
import { GRU, LSTM, RNN } from "../../src/recurrence/rnn.ts";
import { GRUCell, LSTMCell, RNNCell } from "../../src/recurrence/rnn-cells.ts";
import { zeros } from "../../src/tensor/create.ts";
import { Generator } from "../../src/tensor/random.ts";
import { scope, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { memory } from "../../src/wasm/host.ts";
import { thrown } from "../thrown.ts";

type Named = Map<string, Tensor>;

const g = new Generator(3);

/** Tensors of PyTorch's names and shapes, with values of their own. */
function named(shapes: Record<string, readonly number[]>, dtype: "float32" | "float64" = "float32"): Named {
  return new Map(Object.entries(shapes).map(([name, shape]) => [name, g.uniform(shape, -1, 1, dtype)]));
}

function under(prefix: string, own: Named): Named {
  return new Map([["other.weight", zeros([2])], ...Array.from(own, ([name, t]): [string, Tensor] => [prefix + name, t])]);
}

/** Names, dtypes, shapes and bits, in the order of names. */
const bitsOf = (tensors: ReadonlyMap<string, Tensor>) =>
  Array.from(tensors, ([name, t]) => [name, t.dtype, t.shape, [...new Uint8Array(t.data().slice().buffer)]] as const).sort();

// Written out from PyTorch's documentation of each layer ("Variables").
const lstm2 = {
  weight_ih_l0: [12, 2],
  weight_hh_l0: [12, 3],
  bias_ih_l0: [12],
  bias_hh_l0: [12],
  weight_ih_l0_reverse: [12, 2],
  weight_hh_l0_reverse: [12, 3],
  bias_ih_l0_reverse: [12],
  bias_hh_l0_reverse: [12],
  weight_ih_l1: [12, 6],
  weight_hh_l1: [12, 3],
  bias_ih_l1: [12],
  bias_hh_l1: [12],
  weight_ih_l1_reverse: [12, 6],
  weight_hh_l1_reverse: [12, 3],
  bias_ih_l1_reverse: [12],
  bias_hh_l1_reverse: [12],
};
const projected = {
  weight_ih_l0: [20, 4],
  weight_hh_l0: [20, 2],
  weight_hr_l0: [2, 5],
  weight_ih_l1: [20, 2],
  weight_hh_l1: [20, 2],
  weight_hr_l1: [2, 5],
};
const cell = (rows: number) => ({ weight_ih: [rows, 4], weight_hh: [rows, 3], bias_ih: [rows], bias_hh: [rows] });

const cases: [string, Record<string, readonly number[]>, (s: Named, prefix: string) => Module, object][] = [
  [
    "LSTM, two layers, both ways",
    lstm2,
    (s, prefix) => LSTM.fromStateDict(s, { prefix, batchFirst: true }),
    { numLayers: 2, bidirectional: true, inputSize: 2, hiddenSize: 3, batchFirst: true },
  ],
  [
    "LSTM with projections, no bias",
    projected,
    (s, prefix) => LSTM.fromStateDict(s, { prefix }),
    { numLayers: 2, bidirectional: false, inputSize: 4, hiddenSize: 5, outputSize: 2 },
  ],
  [
    "RNN",
    { weight_ih_l0: [3, 2], weight_hh_l0: [3, 3], bias_ih_l0: [3], bias_hh_l0: [3] },
    (s, prefix) => RNN.fromStateDict(s, { prefix, nonlinearity: "relu" }),
    { inputSize: 2, hiddenSize: 3 },
  ],
  [
    "GRU without bias",
    { weight_ih_l0: [9, 2], weight_hh_l0: [9, 3] },
    (s, prefix) => GRU.fromStateDict(s, { prefix, dropout: 0.5 }),
    { inputSize: 2, hiddenSize: 3, dropout: 0.5, resetAfter: true },
  ],
  [
    "LSTM of one unit",
    { weight_ih_l0: [4, 1], weight_hh_l0: [4, 1], bias_ih_l0: [4], bias_hh_l0: [4] },
    (s, prefix) => LSTM.fromStateDict(s, { prefix }),
    { inputSize: 1, hiddenSize: 1 },
  ],
  ["RNNCell", cell(3), (s, prefix) => RNNCell.fromStateDict(s, { prefix }), { inputSize: 4, hiddenSize: 3 }],
  ["LSTMCell", cell(12), (s, prefix) => LSTMCell.fromStateDict(s, { prefix }), { inputSize: 4, hiddenSize: 3 }],
  [
    "GRUCell",
    cell(9),
    (s, prefix) => GRUCell.fromStateDict(s, { prefix, resetAfter: false }),
    { inputSize: 4, hiddenSize: 3, resetAfter: false },
  ],
  ["Linear", { weight: [2, 3], bias: [2] }, (s, prefix) => Linear.fromStateDict(s, { prefix }), { inFeatures: 3, outFeatures: 2 }],
  [
    "Linear without bias",
    { weight: [2, 3] },
    (s, prefix) => Linear.fromStateDict(s, { prefix }),
    { inFeatures: 3, outFeatures: 2, bias: null },
  ],
  [
    "Embedding",
    { weight: [5, 3] },
    (s, prefix) => Embedding.fromStateDict(s, { prefix, paddingIdx: 2 }),
    { numEmbeddings: 5, embeddingDim: 3, paddingIdx: 2 },
  ],
  [
    "LayerNorm",
    { weight: [2, 3], bias: [2, 3] },
    (s, prefix) => LayerNorm.fromStateDict(s, { prefix, eps: 0.5 }),
    { normalizedShape: [2, 3], eps: 0.5 },
  ],
];

describe.each(cases)("%s from its weights", (_, shapes, make, fields) => {
  it.each(["float32", "float64"] as const)("of %s has their sizes and, saved again, their names and bits", (dtype) => {
    const own = named(shapes, dtype);
    for (const prefix of ["", "model.rnn", "model.rnn."]) {
      const dotted = prefix === "" || prefix.endsWith(".") ? prefix : `${prefix}.`;
      const module = make(prefix === "" ? own : under(dotted, own), prefix);
      expect(module).toMatchObject(fields);
      expect(bitsOf(parse(serialize(module.stateDict())).tensors)).toEqual(bitsOf(own));
    }
  });

  it("names all that is missing, unknown and misshapen in one error, and leaves nothing behind", () => {
    const own = named({ ...shapes, surplus: [1] });
    const names = Object.keys(shapes);
    const wrong = names.length > 2 ? names[2] : undefined;
    if (wrong !== undefined) own.set(wrong, zeros([7]));
    const gone = names.length > 3 ? names.at(-1) : undefined;
    if (gone !== undefined) own.delete(gone);
    const before = memory();
    const error = thrown(() => make(own, ""));
    expect(error).toBeInstanceOf(FormatError);
    for (const name of ["surplus", wrong, gone]) if (name !== undefined) expect((error as Error).message).toContain(name);
    expect([memory().liveBytes, memory().blocks]).toEqual([before.liveBytes, before.blocks]);
  });
});

describe("fromStateDict", () => {
  it("computes what the layer computes from which the weights come", () => {
    const options = { inputSize: 2, hiddenSize: 3, numLayers: 2, bidirectional: true, generator: new Generator(1) };
    const lstm = new LSTM(options);
    const xs = new Generator(2).normal([4, 2, 2]);
    const file = parse(serialize(lstm.stateDict()));
    expect(LSTM.fromStateDict(file).forward(xs).output.data()).toEqual(lstm.forward(xs).output.data());
  });

  it("has one bias by option, and peepholes where the file has them", () => {
    const options = { inputSize: 2, hiddenSize: 3, biases: 1, peepholes: true } as const;
    const lstm = new LSTM(options);
    expect(() => LSTM.fromStateDict(lstm.stateDict())).toThrow(/missing: bias_hh_l0/);
    expect(bitsOf(LSTM.fromStateDict(lstm.stateDict(), { biases: 1 }).stateDict())).toEqual(bitsOf(lstm.stateDict()));
  });

  it("takes a tied tensor under each of its names, also where the file keeps one and names it in its metadata", () => {
    const bytes = serialize(new Map([["embedding.weight", tensor([[1, 2], [3, 4]])]]), { "head.weight": "embedding.weight", format: "pt" }); // biome-ignore format: a matrix
    for (const prefix of ["embedding", "head"]) {
      expect(Linear.fromStateDict(parse(bytes), { prefix }).weight.toArray()).toEqual([[1, 2], [3, 4]]); // biome-ignore format: a matrix
    }
  });

  it("widens float16 as the file's reader does, and takes another dtype by option", () => {
    const half = tensor([[0.1]], { dtype: "float64" });
    const linear = Linear.fromStateDict(new Map([["weight", half]]), { dtype: "float32" });
    expect([linear.weight.dtype, linear.weight.item()]).toEqual(["float32", Math.fround(0.1)]);
  });

  const ok = named({ weight_ih_l0: [4, 1], weight_hh_l0: [4, 1] });
  const bad: [string, () => unknown, new (message: string) => Error, RegExp][] = [
    [
      "no such prefix",
      () => LSTM.fromStateDict(ok, { prefix: "rnn" }),
      FormatError,
      /tensors under prefix "rnn\.", got names weight_ih_l0/,
    ],
    ["no such tensors", () => LSTM.fromStateDict(named({ w: [1] })), FormatError, /expected weight_ih_l0 \[4·H, I\], got names w/],
    [
      "an axis too many",
      () => Linear.fromStateDict(named({ weight: [1, 2, 3] })),
      FormatError,
      /expected weight \[outFeatures, inFeatures\], got \[1,2,3\]/,
    ],
    ["no elements", () => Linear.fromStateDict(named({ weight: [0, 3] })), FormatError, /got \[0,3\]/],
    [
      "a number of layers that the file has no room for",
      () => LSTM.fromStateDict(named({ weight_ih_l0: [4, 1], weight_hh_l0: [4, 1], weight_ih_l999999999: [4, 1] })),
      FormatError,
      /missing: .*weight_ih_l1/,
    ],
    [
      "a height for which a module would be huge",
      () => LSTM.fromStateDict(named({ weight_ih_l0: [400000, 1], weight_hh_l0: [400000, 1] })),
      FormatError,
      /expected 1 layers of weights \[400000,1\] and \[400000,100000\] with/,
    ],
    [
      "rows that are no four gates",
      () => LSTM.fromStateDict(named({ weight_ih_l0: [6, 1], weight_hh_l0: [6, 2] })),
      ShapeError,
      /weight_ih_l0 of shape \[8,1\], got \[6,1\]; weight_hh_l0 of shape \[8,2\], got \[6,2\]/,
    ],
    [
      "an LSTM's weights for a GRU",
      () => GRU.fromStateDict(named({ weight_ih_l0: [8, 1], weight_hh_l0: [8, 2] })),
      ShapeError,
      /weight_ih_l0 of shape \[9,1\]/,
    ],
    [
      "a projection without its weights",
      () => LSTM.fromStateDict(named({ weight_ih_l0: [8, 1], weight_hh_l0: [8, 1] })),
      ShapeError,
      /weight_hh_l0 of shape \[8,2\], got \[8,1\]/,
    ],
    ["an option that the weights decide", () => LSTM.fromStateDict(ok, { hiddenSize: 1 } as object), ArgumentError, /hiddenSize/],
    ["a prefix that is no text", () => LSTM.fromStateDict(ok, { prefix: 1 as unknown as string }), DTypeError, /prefix/],
    ["what is no state", () => LSTM.fromStateDict([] as unknown as Named), DTypeError, /expected the tensors to be a Map/],
    ["null", () => LSTM.fromStateDict(null as unknown as Named), DTypeError, /expected the tensors to be a Map/],
    ["no tensors", () => LSTM.fromStateDict(new Map([["weight_ih_l0", 3 as unknown as Tensor]])), FormatError, /got 3/],
  ];
  it.each(bad)("refuses %s", (_, load, type, message) => {
    const before = memory().liveBytes;
    // Tensors that the case itself makes go with the scope.
    const error = thrown(() => scope(() => void load()));
    expect(error).toBeInstanceOf(type);
    expect((error as Error).message).toMatch(message);
    expect(memory().liveBytes).toBe(before);
  });

  it("tells why a tensor of the file cannot be read", () => {
    const header = JSON.stringify({ weight: { dtype: "F4", shape: [1, 2], data_offsets: [0, 1] } });
    const bytes = new Uint8Array(8 + header.length + 1);
    new DataView(bytes.buffer).setBigUint64(0, BigInt(header.length), true);
    bytes.set(new TextEncoder().encode(header), 8);
    expect(() => Linear.fromStateDict(parse(bytes))).toThrow(
      /Linear.fromStateDict: weight cannot be read: expected one of dtype .* got "F4"/,
    );
  });
});

it("loadStateDict names misshapen tensors beside missing and unknown ones", () => {
  const linear = new Linear(2, 3);
  const state = new Map([
    ["weight", zeros([2, 3])],
    ["b", zeros([3])],
  ]);
  expect(() => linear.loadStateDict(state)).toThrow(FormatError);
  expect(() => linear.loadStateDict(state)).toThrow(/missing: bias; unknown: b; misshapen: weight \[2,3\] for \[3,2\]$/);
  expect(() => linear.loadStateDict(state, { strict: false })).toThrow(/expected weight of shape \[3,2\], got \[2,3\]$/);
});
