import { describe, expect, it } from "vitest";
import { ArgumentError, DTypeError, FormatError, ShapeError } from "../../src/base/errors.ts";
import { parse, serialize } from "../../src/io/safetensors.ts";
import { parseModel, registerModel, SequenceModel, sequence, serializeModel } from "../../src/models/index.ts";
import { Embedding, Linear } from "../../src/nn/layers.ts";
import { Module } from "../../src/nn/module.ts";
import { cat, select } from "../../src/ops/shape.ts";
import { LSTM } from "../../src/recurrence/rnn.ts";
import { Generator } from "../../src/tensor/random.ts";
import { tensor } from "../../src/tensor/tensor.ts";
import { memory } from "../../src/wasm/host.ts";

const generator = () => new Generator(1);
const xs = () => new Generator(7).normal([5, 3, 4]);
const lengths = [5, 2, 4];

describe("sequence", () => {
  it("is its layers, one on the other", () => {
    const model = sequence({
      inputSize: 9,
      layers: [{ embedding: 4 }, { lstm: 5, bidirectional: true, numLayers: 2 }, "last", { linear: 3 }],
      generator: generator(),
    });
    const g = generator();
    const [words, lstm] = [
      new Embedding(9, 4, { generator: g }),
      new LSTM({ inputSize: 4, hiddenSize: 5, bidirectional: true, numLayers: 2, generator: g }),
    ];
    const head = new Linear(10, 3, { generator: g });
    const ids = tensor(
      [
        [1, 8, 0],
        [2, 3, 3],
        [4, 4, 5],
        [6, 7, 0],
      ],
      { dtype: "int32" },
    );
    const { state } = lstm.forward(words.forward(ids), { lengths: [4, 1, 3] });
    const wanted = head.forward(cat([select(state.h, 0, 2), select(state.h, 0, 3)], 1));
    expect(model.forward(ids, { lengths: [4, 1, 3] }).data()).toEqual(wanted.data());
    expect([model.outputSize, [...model.stateDict().keys()][0]]).toEqual([3, "0.weight"]);
  });

  it("takes the last real step and the mean over real steps", () => {
    const x = xs();
    const [last, mean] = ["last", "mean"].map(
      (layer) =>
        sequence({ inputSize: 4, layers: [layer as "last"] })
          .forward(x, { lengths })
          .toArray() as number[][],
    );
    const rows = x.toArray() as number[][][];
    lengths.forEach((n, b) => {
      expect(last?.[b]).toEqual(rows[n - 1]?.[b]);
      const sums = [0, 1, 2, 3].map((k) => rows.slice(0, n).reduce((sum, step) => sum + (step[b]?.[k] as number), 0));
      mean?.[b]?.forEach((v, k) => expect(v).toBeCloseTo((sums[k] as number) / n, 6));
    });
    expect(
      sequence({ inputSize: 4, layers: ["last"] })
        .forward(x)
        .toArray(),
    ).toEqual(rows[4]);
  });

  it("never reads padding", () => {
    const model = sequence({
      inputSize: 4,
      layers: [{ gru: 3 }, "layerNorm", "gelu", "mean", { linear: 2 }, "softmax"],
      generator: generator(),
    });
    const clean = xs();
    const values = clean.data().slice();
    for (let t = 2; t < 5; t++) for (let k = 0; k < 4; k++) values[(t * 3 + 1) * 4 + k] = Number.NaN;
    const dirty = tensor(values, { shape: [5, 3, 4] });
    expect(model.forward(dirty, { lengths }).data()).toEqual(model.forward(clean, { lengths }).data());
  });

  it.each(["last", "mean"] as const)("refuses lengths that are not those of its sequences before %s", (layer) => {
    const model = sequence({ inputSize: 4, layers: [layer] });
    expect(() => model.forward(xs(), { lengths: [6, 2, 4] })).toThrow(ArgumentError);
    expect(() => model.forward(xs(), { lengths: [5] })).toThrow(ShapeError);
  });

  it("refuses layers that are none, before a weight is drawn", () => {
    const g = generator();
    const bad =
      (layers: unknown, inputSize: unknown = 4) =>
      () =>
        sequence({ inputSize, layers, generator: g } as never);
    expect(bad([])).toThrow(ArgumentError);
    expect(bad("lstm")).toThrow(DTypeError);
    expect(bad([{ linear: 3 }, "relo"])).toThrow('got "relo"');
    expect(bad([{ linear: 3 }, { embedding: 2 }])).toThrow("an embedding as the first layer");
    expect(bad(["last", { lstm: 2 }])).toThrow("lstm over a sequence");
    expect(bad(["mean", "last"])).toThrow(ArgumentError);
    expect(bad([{ lstm: 2, linear: 3 }])).toThrow(ArgumentError);
    expect(bad([{ linear: 2, dropout: 0.5 }])).toThrow("a layer of one kind");
    expect(bad([{ lstm: 0 }])).toThrow(ArgumentError);
    expect(bad([{ gru: 2, hidden: 3 }])).toThrow("hidden");
    expect(bad([{ linear: 2 }], 0)).toThrow(ArgumentError);
    expect(bad([null])).toThrow(ArgumentError);
    expect(bad([{ dropout: 1 }])).toThrow(ArgumentError);
    expect(g.state).toEqual(generator().state);
  });
});

class Tagger extends Module {
  readonly head: Linear;
  constructor({ classes }: { classes: number }) {
    super();
    this.head = new Linear(4, classes, { generator: generator() });
  }
}

registerModel("tests/tagger", (options: { classes: number }) => new Tagger(options));

describe("whole models", () => {
  const made = () =>
    sequence({
      inputSize: 4,
      layers: [{ lstm: 3, numLayers: 2, dropout: 0.1 }, "layerNorm", "last", { linear: 2 }],
      generator: generator(),
    });

  it("come back from their bytes, ready to use", () => {
    const model = made().eval();
    const again = parseModel(serializeModel(model)) as SequenceModel;
    expect(again).toBeInstanceOf(SequenceModel);
    expect(again.training).toBe(false);
    expect(again.forward(xs(), { lengths }).data()).toEqual(model.forward(xs(), { lengths }).data());
    expect(again.spec).toEqual(model.spec);
    expect(serializeModel(again)).toEqual(serializeModel(model));
    const wide = sequence({ inputSize: 2, layers: [{ rnn: 2 }], dtype: "float64" });
    expect((parseModel(serializeModel(wide)) as SequenceModel).dtype).toBe("float64");
    // Other readers find the weights.
    expect(parse(serializeModel(model)).tensors.get("3.weight")?.shape).toEqual([2, 3]);
  });

  it("of classes of one's own come back by the name that they are registered under", () => {
    const tagger = new Tagger({ classes: 7 });
    const bytes = serializeModel(tagger, { kind: "tests/tagger", options: { classes: 7 } });
    const again = parseModel(bytes) as Tagger;
    expect(again).toBeInstanceOf(Tagger);
    expect(again.head.weight.data()).toEqual(tagger.head.weight.data());
    expect(() => registerModel("tests/tagger", () => tagger)).toThrow("twice");
    expect(() => registerModel("sequence", () => tagger)).toThrow("twice");
    expect(() => serializeModel(tagger)).toThrow("see registerModel");
    expect(() => serializeModel(tagger, { kind: "tests/other", options: {} })).toThrow(ArgumentError);
    expect(() => serializeModel(tagger, { kind: "tests/tagger", options: { classes: 6 } })).toThrow("head.weight");
  });

  it("are refused where they are damaged, foreign, or larger than their file, with nothing left behind", () => {
    const bytes = serializeModel(made());
    const before = memory().liveBytes;
    for (let i = 0; i < bytes.length; i += 7) {
      const damaged = bytes.slice();
      damaged[i] = (damaged[i] as number) ^ 4;
      expect(() => parseModel(damaged)).toThrow(FormatError);
    }
    for (let n = 0; n < bytes.length; n += 11) expect(() => parseModel(bytes.subarray(0, n))).toThrow(FormatError);
    expect(() => parseModel(serialize(made().stateDict()))).toThrow("without a model");
    const told = (model: unknown) => serialize(new Map([["0.weight", tensor([[1]])]]), { model: JSON.stringify(model) });
    const huge = { version: 1, kind: "sequence", options: { inputSize: 2 ** 30, layers: [{ linear: 2 ** 20 }] } };
    for (const model of [
      huge,
      { ...huge, version: 2 },
      { ...huge, kind: "nobody" },
      { ...huge, options: null },
      [],
      { ...huge, options: { inputSize: 1, layers: ["last"] } },
    ]) {
      expect(() => parseModel(told(model))).toThrow(FormatError);
    }
    expect(memory().liveBytes - before).toBeLessThan(4096);
  });
});
