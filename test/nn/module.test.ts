import { describe, expect, it } from "vitest";
import { backward } from "../../src/autodiff/backward.ts";
import { ArgumentError, DTypeError, FormatError, ShapeError, StateError } from "../../src/base/errors.ts";
import { parse, serialize } from "../../src/io/safetensors.ts";
import { Dropout } from "../../src/nn/dropout-layers.ts";
import { Embedding, Linear } from "../../src/nn/layers.ts";
import { Module, Parameter } from "../../src/nn/module.ts";
import { add, mul } from "../../src/ops/arithmetic.ts";
import { sum } from "../../src/ops/broadcast.ts";
import { linear } from "../../src/ops/linear.ts";
import { transpose } from "../../src/ops/shape.ts";
import { Cell, scanSteps } from "../../src/recurrence/recurrence.ts";
import { GRU, LSTM } from "../../src/recurrence/rnn.ts";
import { zeros } from "../../src/tensor/create.ts";
import { type Tensor, tensor } from "../../src/tensor/tensor.ts";

const names = (module: Module): string[] => [...module.stateDict().keys()];
const parameter = (...values: number[]): Parameter => new Parameter(tensor(values));
const valuesOf = (module: Module): unknown => Array.from(module.stateDict(), ([name, t]) => [name, t.toArray()]);

/** A module of any fields. */
class Bag extends Module {
  constructor(fields: Record<string, unknown> = {}) {
    super();
    Object.assign(this, fields);
  }

  add(name: string, part: Tensor | Module): void {
    this.register(name, part);
  }
}

describe("names", () => {
  it.each([
    ["weightIhL0", "weight_ih_l0"],
    ["weight_ih_l0", "weight_ih_l0"],
    ["weightIhL0Reverse", "weight_ih_l0_reverse"],
    ["myLSTM", "my_lstm"],
    ["LSTM2", "lstm2"],
    ["myLSTMCell", "my_lstm_cell"],
    ["LSTMCell", "lstm_cell"],
    ["GRU", "gru"],
    ["conv1d", "conv1d"],
    ["fc1", "fc1"],
    ["x2h", "x2h"],
    ["hiddenToOutput", "hidden_to_output"],
    ["weightHH", "weight_hh"],
    ["W", "w"],
    ["W_h", "W_h"],
    ["_hidden", "_hidden"],
    ["batchNorm2d", "batch_norm2d"],
  ])("a field %s is %s in the state dict", (field, name) => {
    expect(names(new Bag({ [field]: parameter(1) }))).toEqual([name]);
  });

  it("of two fields that become one are an error everywhere, before anything is changed", () => {
    const bag = new Bag({ myLSTM: new Linear(1, 1), myLstm: new Dropout(0.5) });
    for (const walk of [() => bag.stateDict(), () => bag.parameters(), () => bag.eval(), () => bag.loadStateDict(new Map())]) {
      expect(walk).toThrow(ArgumentError);
      expect(walk).toThrow("two that are both my_lstm");
    }
    expect(bag.training).toBe(true);
    const deeper = new Bag({ layer: new Bag({ weight: parameter(1) }) });
    deeper.add("layer.weight", parameter(2));
    expect(() => deeper.stateDict()).toThrow("two that are both layer.weight");
    const same = parameter(1);
    expect(names(new Bag({ myLSTM: same, myLstm: same }))).toEqual(["my_lstm"]);
  });
});

describe("what is found", () => {
  it("in arrays, Maps, Sets and plain objects of any depth, with their keys as they are", () => {
    const one = () => parameter(1);
    const key = {};
    const bag = new Bag({
      list: [one(), null, [one(), 3], new Linear(1, 1, { bias: false })],
      byName: new Map<unknown, unknown>([
        ["inputGate", one()],
        [7, new Map([["x", one()]])],
        [key, one()],
      ]),
      some: new Set([one(), "text", one()]),
      gates: { inputGate: new Linear(1, 1), none: undefined, deep: { a: [one()] } },
      bare: Object.assign(Object.create(null), { a: one() }),
    });
    expect(names(bag)).toEqual([
      ...["list.0", "list.2.0", "list.3.weight"],
      ...["by_name.inputGate", "by_name.7.x", "by_name.2"],
      ...["some.0", "some.2"],
      ...["gates.inputGate.weight", "gates.inputGate.bias", "gates.deep.a.0"],
      "bare.a",
    ]);
    expect(bag.parameters().length).toBe(12);
    bag.eval();
    expect([...bag.modules()].map((m) => m.training)).toEqual([false, false, false]);
  });

  it("buffers, but nothing of other classes, functions, getters and private fields", () => {
    class Hidden extends Module {
      readonly #inner = parameter(1);
      readonly buffer = tensor([2]);
      readonly other = new (class {
        readonly weight = parameter(3);
      })();
      get computed(): Tensor {
        return this.#inner;
      }
    }
    expect(names(new Hidden())).toEqual(["buffer"]);
    expect(new Hidden().parameters()).toEqual([]);
  });

  it("private fields that are registered", () => {
    class Registered extends Module {
      readonly #inner = this.register("inner", new Linear(1, 1));
      get weight(): Tensor {
        return this.#inner.weight;
      }
    }
    const module = new Registered();
    expect(names(module)).toEqual(["inner.weight", "inner.bias"]);
    expect(module.parameters()).toContain(module.weight);
    const bag = new Bag();
    bag.add("x", parameter(1));
    expect(() => bag.add("x", parameter(1))).toThrow(ArgumentError);
    expect(() => bag.add("y", 3 as unknown as Tensor)).toThrow(DTypeError);
  });

  it("fields as they are when they are asked for: replaced, set to null, in a list that grew", () => {
    const bag = new Bag({ layers: [new Linear(1, 1)], head: new Linear(1, 1, { bias: false }) }) as Bag & Record<string, unknown>;
    expect(names(bag)).toEqual(["layers.0.weight", "layers.0.bias", "head.weight"]);
    const replacement = new Linear(1, 2, { bias: false });
    bag.head = replacement;
    (bag.layers as Module[]).push(new Linear(1, 1, { bias: false }));
    expect(names(bag)).toEqual(["layers.0.weight", "layers.0.bias", "layers.1.weight", "head.weight"]);
    expect(bag.stateDict().get("head.weight")).toBe(replacement.weight);
    bag.head = null;
    expect(names(bag)).toEqual(["layers.0.weight", "layers.0.bias", "layers.1.weight"]);
    expect(names(bag)).toEqual(names(bag));
  });

  it("a parameter of its own once, and frozen ones too", () => {
    const p = parameter(1);
    const bag = new Bag({ a: p, b: p, c: [p], layer: new Linear(1, 1, { bias: false }) });
    p.requiresGrad = false;
    expect([...bag.namedParameters()].map(([name]) => name)).toEqual(["a", "layer.weight"]);
    expect(names(bag)).toEqual(["a", "b", "c.0", "layer.weight"]);
  });

  it("with modules and plain data in circles", () => {
    const a = new Bag({ weight: parameter(1) }) as Bag & Record<string, unknown>;
    const b = new Bag({ weight: parameter(2), a }) as Bag & Record<string, unknown>;
    Object.assign(a, { b, self: a, list: [a, b] });
    const knot: unknown[] = [parameter(3)];
    knot.push(knot, { knot });
    a.knot = knot;
    expect(names(a)).toEqual(["weight", "b.weight", "knot.0"]);
    expect(names(b)).toEqual(["weight", "a.weight", "a.knot.0"]);
    expect([...a.modules()]).toEqual([a, b]);
    a.eval();
    expect([a.training, b.training]).toEqual([false, false]);
    expect(a.train().parameters().length).toBe(3);
    a.loadStateDict(new Map(Array.from(a.stateDict(), ([name, t]) => [name, mul(t, 2)])));
    expect(valuesOf(a)).toEqual([
      ["weight", [2]],
      ["b.weight", [4]],
      ["knot.0", [6]],
    ]);
    // Each of twelve names all others: a name for every way through them would be a billion.
    const clique = Array.from({ length: 12 }, () => new Bag({ weight: parameter(1) }));
    for (const m of clique) Object.assign(m, { others: clique });
    expect(names(clique[0] as Bag).length).toBe(12);
    expect([...new Bag({ clique }).modules()].length).toBe(13);
  });

  it("in plain data nested deeper than the stack", () => {
    let nested: unknown = [parameter(1)];
    for (let i = 0; i < 20_000; i++) nested = [nested];
    expect(new Bag({ nested }).parameters().length).toBe(1);
  });
});

/** Reads and writes words with one matrix, as Press and Wolf do ("Using the output embedding to improve language models", 2017). */
class Tied extends Module {
  readonly encoder = new Embedding(5, 3);
  readonly decoder = new Linear(3, 5, { bias: false });

  constructor() {
    super();
    (this.decoder as { weight: Parameter }).weight = this.encoder.weight;
  }
}

describe("tied parameters", () => {
  const value = (first: number) =>
    tensor(
      Float32Array.from({ length: 15 }, (_, i) => first + i),
      { shape: [5, 3] },
    );
  const firstOf = (model: Tied) => model.decoder.weight.data()[0];

  it("have all their names, as in PyTorch, and are one parameter", () => {
    const model = new Tied();
    expect(names(model)).toEqual(["encoder.weight", "decoder.weight"]);
    expect(model.parameters()).toEqual([model.encoder.weight]);
    const saved = parse(serialize(model.stateDict())).tensors;
    expect([...saved.keys()]).toEqual(["encoder.weight", "decoder.weight"]);
    const other = new Tied();
    other.loadStateDict(saved);
    expect(other.encoder.weight.data()).toEqual(model.encoder.weight.data());
  });

  it("load from any of their names, or all", () => {
    const model = new Tied();
    model.loadStateDict(new Map([["encoder.weight", value(1)]]));
    expect(firstOf(model)).toBe(1);
    model.loadStateDict(new Map([["decoder.weight", value(2)]]));
    expect(firstOf(model)).toBe(2);
    model.loadStateDict(
      new Map([
        ["encoder.weight", value(3)],
        ["decoder.weight", value(3)],
      ]),
    );
    expect(firstOf(model)).toBe(3);
    expect(() => model.loadStateDict(new Map())).toThrow("missing: encoder.weight, decoder.weight; unknown: none");
  });

  it("do not load values that contradict each other; NaN does not contradict itself", () => {
    const model = new Tied();
    const before = valuesOf(model);
    const both = (a: Tensor, b: Tensor) =>
      new Map([
        ["encoder.weight", a],
        ["decoder.weight", b],
      ]);
    for (const strict of [true, false]) {
      expect(() => model.loadStateDict(both(value(1), value(2)), { strict })).toThrow(FormatError);
      expect(() => model.loadStateDict(both(value(1), value(2)), { strict })).toThrow("one value for encoder.weight and decoder.weight");
    }
    expect(valuesOf(model)).toEqual(before);
    model.loadStateDict(both(value(Number.NaN), value(Number.NaN)));
    expect(firstOf(model)).toBeNaN();
  });

  it("in a module that is listed twice, have the names of both places", () => {
    const shared = new Linear(1, 1);
    const bag = new Bag({ layers: [shared, shared] });
    expect(names(bag)).toEqual(["layers.0.weight", "layers.0.bias", "layers.1.weight", "layers.1.bias"]);
    expect([...bag.modules()]).toEqual([bag, shared]);
    bag.loadStateDict(
      new Map([
        ["layers.1.weight", tensor([[4]])],
        ["layers.0.bias", tensor([5])],
      ]),
    );
    expect([shared.weight.item(), shared.bias?.item()]).toEqual([4, 5]);
  });

  it("get their gradient once from a captured step", () => {
    class Twice extends Cell<Tensor> {
      readonly inputSize = 2;
      readonly outputSize = 2;
      readonly weight = new Parameter(
        tensor([
          [0.5, -0.2],
          [0.1, 0.3],
        ]),
      );
      readonly again = this.weight;
      initialState(batch: number): Tensor {
        return zeros([batch, 2]);
      }
      step(x: Tensor, h: Tensor): [y: Tensor, next: Tensor] {
        const next = add(linear(x, this.weight), linear(h, this.again));
        return [next, next];
      }
    }
    const xs = tensor(
      Float32Array.from({ length: 12 }, (_, i) => (i % 5) - 2),
      { shape: [3, 2, 2] },
    );
    const gradientOf = (run: (cell: Twice) => Tensor): unknown => {
      const cell = new Twice();
      backward(sum(run(cell)));
      return cell.weight.grad?.toArray();
    };
    expect(new Twice().whyEager(xs)).toBe(null);
    expect(gradientOf((cell) => cell.scan(xs)[0])).toEqual(gradientOf((cell) => scanSteps(cell, xs)[0]));
  });
});

describe("loadStateDict", () => {
  const make = () => new Bag({ a: parameter(1, 2), b: parameter(3, 4), count: tensor([5], { dtype: "int32" }) });
  const good = (): Map<string, Tensor> =>
    new Map([
      ["a", tensor([10, 20])],
      ["b", tensor([30, 40])],
      ["count", tensor([50], { dtype: "int32" })],
    ]);
  const released = tensor([1, 2]);
  released.dispose();

  const bad: [string, unknown, new (message: string) => Error, RegExp][] = [
    ["a released tensor", released, StateError, /expected a live tensor for b/],
    ["another shape", tensor([1]), ShapeError, /expected b of shape \[2\], got \[1\]/],
    ["numbers that are no tensor", new Float32Array(2), DTypeError, /expected a tensor for b, got a Float32Array/],
    ["null", null, DTypeError, /expected a tensor for b, got null/],
  ];
  it.each(bad)("changes nothing for %s", (_, value, type, message) => {
    const module = make();
    const before = valuesOf(module);
    for (const strict of [true, false]) {
      const load = () => module.loadStateDict(good().set("b", value as Tensor), { strict });
      expect(load).toThrow(type);
      expect(load).toThrow(message);
    }
    expect(valuesOf(module)).toEqual(before);
  });

  it("changes nothing for a tensor of the module that was released", () => {
    const module = make();
    module.stateDict().get("b")?.dispose();
    expect(() => module.loadStateDict(good())).toThrow(/expected b of the module to live/);
    expect(module.stateDict().get("a")?.toArray()).toEqual([1, 2]);
  });

  it("rounds floats and takes integers for floats, but no floats for integers", () => {
    const module = make();
    module.loadStateDict(
      good()
        .set("a", tensor([0.1, 1], { dtype: "float64" }))
        .set("b", tensor([7, 8], { dtype: "int32" })),
    );
    expect(valuesOf(module)).toEqual([
      ["a", [Math.fround(0.1), 1]],
      ["b", [7, 8]],
      ["count", [50]],
    ]);
    expect(() => module.loadStateDict(good().set("count", tensor([1.5])))).toThrow(DTypeError);
    expect(() => module.loadStateDict(good().set("count", tensor([1.5])))).toThrow("expected count of dtype int32, got float32");
    expect(module.stateDict().get("a")?.data()[1]).toBe(1);
  });

  it("reads its own tensors before it writes them", () => {
    const module = make();
    const own = module.stateDict();
    module.loadStateDict(own);
    expect(own.get("a")?.toArray()).toEqual([1, 2]);
    module.loadStateDict(new Map(own).set("a", own.get("b") as Tensor).set("b", own.get("a") as Tensor));
    expect([own.get("a")?.toArray(), own.get("b")?.toArray()]).toEqual([
      [3, 4],
      [1, 2],
    ]);
    const square = new Bag({ w: new Parameter(tensor([[1, 2], [3, 4]])) }); // biome-ignore format: a matrix
    square.loadStateDict(new Map([["w", transpose(square.parameters()[0] as Tensor)]]));
    expect(valuesOf(square)).toEqual([["w", [[1, 3], [2, 4]]]]); // biome-ignore format: a matrix
  });

  it("names what is missing and unknown, in few words, and with strict: false takes what there is", () => {
    const module = make();
    const given = good();
    given.delete("b");
    given.set("extra", tensor([1]));
    expect(() => module.loadStateDict(given)).toThrow("missing: b; unknown: extra");
    module.loadStateDict(given, { strict: false });
    expect(module.stateDict().get("a")?.toArray()).toEqual([10, 20]);
    const many = new Map(Array.from({ length: 50 }, (_, i) => ["n".repeat(1e5) + i, released]));
    const message = (() => {
      try {
        module.loadStateDict(many);
      } catch (error) {
        return (error as Error).message;
      }
      return "";
    })();
    expect(message).toMatch(/unknown: nnn/);
    expect(message.length).toBeLessThan(1500);
    expect(() => module.loadStateDict(given, { strict: undefined } as object)).toThrow(FormatError);
  });

  it("wants a Map of tensors", () => {
    const file = parse(serialize(good()));
    for (const state of [file, Object.fromEntries(good()), null, undefined, 5]) {
      expect(() => make().loadStateDict(state as unknown as Map<string, Tensor>)).toThrow(DTypeError);
    }
    make().loadStateDict(file.tensors);
  });

  it("says why a tensor of a file cannot be read, where the module needs it, and not else", () => {
    const header = { a: ["F32", 2, 8], b: ["F32", 2, 8], count: ["I64", 1, 8], unused: ["F4", 4, 2] } as const;
    let at = 0;
    const entries = Object.entries(header).map(([name, [dtype, size, bytes]]) => {
      at += bytes;
      return [name, { dtype, shape: [size], data_offsets: [at - bytes, at] }];
    });
    const json = new TextEncoder().encode(JSON.stringify(Object.fromEntries(entries)));
    const file = (count: bigint) => {
      const bytes = new Uint8Array(8 + json.length + at);
      const view = new DataView(bytes.buffer);
      view.setBigUint64(0, BigInt(json.length), true);
      bytes.set(json, 8);
      view.setBigInt64(8 + json.length + 16, count, true);
      return bytes;
    };
    const module = make();
    module.loadStateDict(parse(file(9n)).tensors);
    expect(module.stateDict().get("count")?.item()).toBe(9);
    const before = valuesOf(module);
    expect(() => module.loadStateDict(parse(file(2n ** 40n)).tensors)).toThrow("count cannot be read: expected values in");
    expect(valuesOf(module)).toEqual(before);
  });
});

describe("Parameter", () => {
  it("wants floats", () => {
    expect(() => new Parameter(tensor([1], { dtype: "int32" }))).toThrow(DTypeError);
  });
});

describe("the library's own layers", () => {
  it("keep PyTorch's names", () => {
    expect(names(new LSTM({ inputSize: 2, hiddenSize: 3, bidirectional: true }))).toEqual(
      ["", "_reverse"].flatMap((end) => ["weight_ih", "weight_hh", "bias_ih", "bias_hh"].map((name) => `${name}_l0${end}`)),
    );
    expect(names(new Bag({ rnn: new GRU({ inputSize: 2, hiddenSize: 3, bias: false }) }))).toEqual([
      "rnn.weight_ih_l0",
      "rnn.weight_hh_l0",
    ]);
  });
});
