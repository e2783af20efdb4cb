/** Every reader of bytes or plain data against damaged and hostile input; see fuzz.ts. */

import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { Scaler } from "../../src/data/series.ts";
import { Vocabulary } from "../../src/data/text.ts";
import { WindowBatches } from "../../src/data/windows.ts";
import { importWeights } from "../../src/interop/layouts.ts";
import { loadTfjs } from "../../src/interop/tfjs.ts";
import { parseTorch } from "../../src/interop/torch.ts";
import { isZip, storedEntries } from "../../src/interop/zip.ts";
import { decodeCheckpoint, encodeCheckpoint } from "../../src/io/checkpoint.ts";
import { parse, serialize } from "../../src/io/safetensors.ts";
import { type Learner, rtrl } from "../../src/learning/index.ts";
import { CharModel, decodeModel, encodeModel } from "../../src/models/char-model.ts";
import { CharStream } from "../../src/models/char-stream.ts";
import { Module, Parameter } from "../../src/nn/module.ts";
import { sum } from "../../src/ops/broadcast.ts";
import { Adam } from "../../src/optim/adam.ts";
import type { Optimizer, OptimizerState } from "../../src/optim/optimizer.ts";
import { RAdam } from "../../src/optim/radam.ts";
import { RMSprop } from "../../src/optim/rmsprop.ts";
import { Rprop } from "../../src/optim/rprop.ts";
import { cosineAnnealingLR, ReduceLROnPlateau, Scheduler } from "../../src/optim/schedules.ts";
import { SGD } from "../../src/optim/sgd.ts";
import { LSTM } from "../../src/recurrence/rnn.ts";
import { GRUCell } from "../../src/recurrence/rnn-cells.ts";
import { stateTensors } from "../../src/recurrence/state.ts";
import { stateFromBytes, stateToBytes } from "../../src/recurrence/state-bytes.ts";
import { Generator } from "../../src/tensor/random.ts";
import { copyOf } from "../../src/tensor/strided.ts";
import { assign, scope, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { online } from "../../src/train/online.ts";
import { stored, zipOf } from "../interop/torch-bytes.ts";
import { thrown } from "../thrown.ts";
import { unsealed } from "../unsealed.ts";
import { damage, disturb, feed, INPUTS, pick, type Random, textOf } from "./fuzz.ts";

const utf8 = new TextEncoder();

/** A safetensors file of any header. */
function fileOf(header: string, data: Uint8Array): Uint8Array {
  const json = utf8.encode(header);
  const bytes = new Uint8Array(8 + json.length + data.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(json.length), true);
  bytes.set(json, 8);
  bytes.set(data, 8 + json.length);
  return bytes;
}

function partsOf(bytes: Uint8Array): { readonly header: unknown; readonly data: Uint8Array } {
  const end = 8 + Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  return { header: JSON.parse(new TextDecoder().decode(bytes.subarray(8, end))), data: bytes.slice(end) };
}

/** One of the files with its header disturbed, with its bytes damaged, or as it is. */
function variant(random: Random, files: readonly Uint8Array[]): Uint8Array {
  const bytes = pick(random, files);
  if (random(10) === 0) return bytes;
  if (random(2) === 0) return damage(random, bytes, files);
  const { header, data } = partsOf(bytes);
  return fileOf(textOf(disturb(random, header)), data);
}

/** One of the files with the plain data disturbed that it holds as text under a key of its metadata. */
function variantWithin(random: Random, files: readonly Uint8Array[], keys: readonly string[]): Uint8Array {
  const bytes = pick(random, files);
  return scope(() => {
    const { tensors, metadata } = parse(bytes);
    const key = pick(random, keys);
    return serialize(tensors, { ...metadata, [key]: textOf(disturb(random, JSON.parse(metadata[key] as string))) });
  });
}

const counted = (size: number, shape: number[]) =>
  tensor(
    Float32Array.from({ length: size }, (_, i) => i / 7 - 1),
    { shape },
  );

/** Uses what was read, so that what is unusable shows, and releases it. */
function useUp(tensors: Iterable<Tensor>): void {
  for (const t of tensors) {
    expect(t.data().length).toBe(t.size);
    t.dispose();
  }
}

describe("safetensors", () => {
  const tensors = new Map([
    ["w", counted(6, [2, 3])],
    ["a.b.c", tensor([1.5, 2], { dtype: "float64" })],
    ["ids", tensor([1, 2, 3], { dtype: "int32" })],
    ["mask", tensor([1, 0], { dtype: "bool" })],
    ["scalar", tensor(4)],
    ["none", counted(0, [0, 3])],
  ]);
  const entry = (dtype: string, at: number, bytes: number) => ({ dtype, shape: [2], data_offsets: [at, at + bytes] });
  const dtypes = {
    a: entry("F16", 0, 4),
    b: entry("BF16", 4, 4),
    c: entry("I64", 8, 16),
    d: entry("U32", 24, 8),
    e: entry("F8_E4M3", 32, 2),
  };
  const files: [Uint8Array, ...Uint8Array[]] = [
    serialize(tensors, { format: "pt", note: 'a "b" \\ \u00e4' }),
    fileOf(JSON.stringify(dtypes), new Uint8Array(34)),
    serialize(new Map()),
  ];

  it("is taken or refused", () => {
    const read = (bytes: Uint8Array): void => useUp(parse(bytes).tensors.values());
    const taken = feed(read, files[0], 1, (random) => variant(random, files));
    expect(taken).toBeGreaterThan(INPUTS / 20);
    expect(taken).toBeLessThan(INPUTS);
  });

  it("of a header damaged as text", () => {
    const read = (bytes: Uint8Array): void => useUp(parse(bytes).tensors.values());
    const headers = files.map((bytes) => partsOf(bytes)).map(({ header, data }) => ({ text: utf8.encode(JSON.stringify(header)), data }));
    const texts = headers.map(({ text }) => text);
    feed(read, files[0], 2, (random) => {
      const { text, data } = pick(random, headers);
      return fileOf(new TextDecoder().decode(random(10) === 0 ? text : damage(random, text, texts)), data);
    });
  });

  it("names a module needs, in a module", () => {
    const lstm = new LSTM({ inputSize: 2, hiddenSize: 2 });
    const good = serialize(lstm.stateDict());
    const load = (bytes: Uint8Array): void => scope(() => lstm.loadStateDict(parse(bytes).tensors));
    feed(load, good, 3, (random) => variant(random, [good]));
    const weights = Array.from(lstm.parameters(), (p) => p.data());
    expect(weights.map((w) => w.length)).toEqual([16, 16, 8, 8]);
  });
});

describe("weights", () => {
  it("of which a module is made, whatever its size", () => {
    const files = [
      serialize(new LSTM({ inputSize: 2, hiddenSize: 3, numLayers: 2, bidirectional: true, projSize: 2 }).stateDict()),
      serialize(new LSTM({ inputSize: 1, hiddenSize: 1, bias: false }).stateDict()),
    ];
    const make = (bytes: Uint8Array): void =>
      useUp(
        scope(() => LSTM.fromStateDict(parse(bytes)))
          .stateDict()
          .values(),
      );
    feed(make, files[0] as Uint8Array, 4, (random) => variant(random, files));
  });
});

describe("files of PyTorch", () => {
  const encoded = JSON.parse(readFileSync(new URL("../interop/fixtures/torch-files.json", import.meta.url), "utf8")) as Record<
    string,
    string
  >;
  const files = ["checkpoint", "state_dict_legacy", "views", "dtypes", "tied"].map((name) =>
    Uint8Array.from(Buffer.from(encoded[name] as string, "base64")),
  );
  const read = (bytes: Uint8Array): void => useUp(new Set(parseTorch(bytes).tensors.values()));

  it("are taken or refused", () => {
    const taken = feed(read, files[0] as Uint8Array, 5, (random) => damage(random, pick(random, files), files));
    expect(taken).toBeLessThan(INPUTS);
  });

  it("with damaged pickles in sound archives", () => {
    const pickles = files.filter(isZip).map((bytes) => storedEntries("test", bytes).get("archive/data.pkl") as Uint8Array);
    feed(read, files[0] as Uint8Array, 6, (random) => {
      const pickle = damage(random, pick(random, pickles), pickles);
      return zipOf([stored("m/data.pkl", pickle), stored("m/data/0", new Uint8Array(64)), stored("m/data/1", new Uint8Array(8))]);
    });
  });
});

describe("models of TensorFlow.js", () => {
  const models = Object.values(JSON.parse(readFileSync(new URL("../interop/fixtures/tfjs-models.json", import.meta.url), "utf8"))) as {
    modelTopology: object;
    weightSpecs: object[];
    weightData: string;
  }[];
  const files = models.map(({ modelTopology, weightSpecs, weightData }) => ({
    json: { modelTopology, weightsManifest: [{ paths: ["a"], weights: weightSpecs }] } as unknown,
    shard: Uint8Array.from(Buffer.from(weightData, "base64")) as Uint8Array,
  }));
  type File = (typeof files)[number];

  it("are taken or refused", () => {
    const read = ({ json, shard }: File): void => useUp(loadTfjs(textOf(json), shard).stateDict().values());
    feed(read, files[0] as File, 7, (random) => {
      const { json, shard } = pick(random, files);
      return random(8) === 0 ? { json, shard: damage(random, shard, [shard]) } : { json: disturb(random, json), shard };
    });
  });
});

describe("models", () => {
  const vocabulary = new Vocabulary(["?", ..."abc"], { unknown: "?" });
  const fileOfSize = (hidden: number): Uint8Array => encodeModel(new CharModel({ vocabSize: 4, hidden }), vocabulary);
  const files: [Uint8Array, Uint8Array] = [fileOfSize(1), fileOfSize(5)];
  const read = (bytes: Uint8Array): void => {
    const { model, vocabulary: symbols } = decodeModel(bytes);
    const stream = scope(() => {
      expect(symbols.size).toBe(model.inputSize);
      return new Vocabulary(symbols.symbols, { unknown: symbols.unknown });
    });
    expect(stream.decode([0, symbols.size - 1]).length).toBeGreaterThan(1);
    useUp(model.stateDict().values());
  };

  it("are taken or refused", () => {
    feed(read, files[0], 11, (random) => variant(random, files));
  });

  it("of other vocabularies", () => {
    feed(read, files[0], 12, (random) => variantWithin(random, files, ["vocabulary"]));
  });
});

describe("checkpoints", () => {
  const model = new LSTM({ inputSize: 2, hiddenSize: 2 });
  const optimizer = new Adam(model.parameters(), { lr: 0.1 });
  for (const p of model.parameters()) p.grad = counted(p.size, [...p.shape]);
  optimizer.step();
  model.zeroGrad();
  const sealed = encodeCheckpoint({
    step: 3,
    model: model.stateDict(),
    optimizer: optimizer.stateDict(),
    best: model.stateDict(),
    state: { h: counted(2, [1, 2]), layers: [counted(2, [2])] },
    cursor: { epoch: 1, position: 5 },
    generators: [new Generator(3)],
    progress: { best: 1, bestStep: 2, stale: 0 },
    extra: { note: ["text", 1, null] },
  });
  // Without the checksum, which would refuse all others before they are looked at.
  const files: [Uint8Array] = [unsealed(sealed)];
  const read = (bytes: Uint8Array): void => {
    const { model: weights, optimizer: held, best, state } = decodeCheckpoint(bytes);
    for (const group of [weights.values(), Object.values(held.tensors), best.values(), state === null ? [] : stateTensors(state)])
      useUp(group);
  };

  it("are taken or refused", () => {
    feed(read, files[0], 21, (random) => variant(random, files));
  });

  it("with a checksum are refused, or as they were", () => {
    const same = (bytes: Uint8Array) => {
      read(bytes);
      expect(bytes).toEqual(sealed);
    };
    feed(same, sealed, 24, (random) => damage(random, sealed, [sealed, files[0]]));
  });

  it("of another run, or of other data of the caller", () => {
    feed(read, files[0], 22, (random) => variantWithin(random, files, ["run", "extra"]));
  });

  it("nested too deep leave nothing behind", () => {
    const deep = `${"[".repeat(5500)}${"]".repeat(5500)}`;
    const { tensors, metadata } = parse(files[0] as Uint8Array);
    const texts = [deep, `{"step":0,"state":${deep}}`, (metadata.run as string).replace(/"progress":\{[^}]*\}/, `"progress":${deep}`)];
    const bytes = texts.map((run) => serialize(tensors, { ...metadata, run }));
    useUp(tensors.values());
    expect(feed(read, files[0], 23, (random) => pick(random, bytes))).toBe(0);
  });
});

describe("states", () => {
  const like = {
    h: counted(3, [1, 3]),
    rest: [tensor([1, 2], { dtype: "int32" }), tensor([1, 0], { dtype: "bool" }), tensor([0.5], { dtype: "float64" })],
  };
  const files: [Uint8Array, ...Uint8Array[]] = [stateToBytes(like), stateToBytes(counted(3, [1, 3])), stateToBytes([])];

  /** The last four bytes made to fit the others. */
  function sealed(bytes: Uint8Array): Uint8Array {
    const size = Math.max(0, bytes.length - 4);
    let hash = 0x811c9dc5;
    for (const b of bytes.subarray(0, size)) hash = Math.imul(hash ^ b, 0x01000193);
    const out = new Uint8Array(size + 4);
    out.set(bytes.subarray(0, size));
    new DataView(out.buffer).setUint32(size, hash >>> 0, true);
    return out;
  }

  it("are taken or refused, with a checksum that fits too", () => {
    const read = (bytes: Uint8Array): void => useUp(stateTensors(stateFromBytes(bytes, like)));
    const taken = feed(read, files[0], 31, (random) => {
      const bytes = damage(random, pick(random, files), files);
      return random(5) === 0 ? (files[0] as Uint8Array) : random(2) === 0 ? bytes : sealed(bytes);
    });
    expect(taken).toBeGreaterThan(INPUTS / 20);
  });

  it("of a text, whose stream goes on from where it was", () => {
    const vocabulary = new Vocabulary([..."abcd"]);
    const stream = new CharStream(new CharModel({ vocabSize: 4, hidden: 3 }), vocabulary);
    stream.start(1);
    stream.read("abca");
    const good = stream.toBytes();
    feed(
      (bytes: Uint8Array) => {
        stream.fromBytes(bytes);
        expect(stream.toBytes().length).toBe(good.length);
        if (scope(() => stream.write(2, 1)).length < 2) throw new Error("nothing written");
      },
      good,
      32,
      (random) => sealed(damage(random, good, [good])),
    );
  });

  it("of generators", () => {
    const good = new Generator(5).toBytes();
    feed(
      (bytes: Uint8Array) => void Generator.fromBytes(bytes).toBytes(),
      good,
      33,
      (random) => (random(4) === 0 ? good : damage(random, good, [good])),
    );
  });
});

describe("learning sample by sample", () => {
  class Follower extends Module {
    readonly rnn = new GRUCell({ inputSize: 1, hiddenSize: 2, generator: new Generator(1) });
  }
  const model = new Follower();
  const learning = online(model, {
    gradients: rtrl(),
    optimizer: new Adam(model.parameters(), { lr: 0.1 }),
    loss: (m: Follower, x: number) => sum(m.rnn.scan(tensor([[[x]]]))[0]),
  });
  learning.step(1);
  const good = unsealed(learning.toBytes());

  it("is as it was where a checkpoint is refused, and goes on where it is taken", () => {
    const read = (bytes: Uint8Array): void => {
      const before = learning.toBytes();
      const error = thrown(() => learning.fromBytes(bytes));
      if (error === null) return;
      expect(learning.toBytes()).toEqual(before);
      throw error;
    };
    feed(read, good, 34, (random) => (random(2) === 0 ? variant(random, [good]) : variantWithin(random, [good], ["run"])), true);
  });

  it("is as it was where a learner's bytes are refused", () => {
    const learner = rtrl().begin?.(model.rnn) as Learner<Tensor>;
    scope(() => void learner.step(tensor([[1]]), (y) => y));
    model.zeroGrad();
    const own = learner.toBytes();
    const read = (bytes: Uint8Array): void => {
      const before = learner.toBytes();
      const error = thrown(() => learner.fromBytes(bytes));
      if (error === null) return;
      expect(learner.toBytes()).toEqual(before);
      throw error;
    };
    feed(read, own, 35, (random) => damage(random, own, [own]));
  });
});

describe("vocabularies", () => {
  it("of anything", () => {
    const good = { symbols: ["a", "b", "\u{1f600}"], unknown: "b" };
    const read = ({ symbols, unknown }: typeof good): void => {
      const vocabulary = new Vocabulary(symbols, { unknown });
      expect(vocabulary.decode(symbols.map((_, id) => id))).toBe(symbols.join(""));
      for (const [id, symbol] of symbols.entries()) expect([...vocabulary.encode(symbol)]).toEqual([id]);
    };
    feed(read, good, 41, (random) => {
      const value = disturb(random, good);
      return (typeof value === "object" && value !== null ? value : { symbols: value }) as typeof good;
    });
  });
});

describe("weights", () => {
  const lstm = new LSTM({ inputSize: 2, hiddenSize: 3 });
  const good = new Map<string, Tensor>([
    ["W", counted(24, [1, 12, 2])],
    ["R", counted(36, [1, 12, 3])],
    ["B", counted(24, [1, 24])],
  ]);
  const gone = tensor([1]);
  gone.dispose();
  const odd: readonly unknown[] = [
    gone,
    counted(24, [24, 1]),
    counted(24, [1, 12, 2]),
    tensor(new Int32Array(24), { shape: [1, 24] }),
    counted(0, [0]),
    null,
    5,
    [1],
    new Float32Array(24),
    undefined,
  ];

  /** The map with some of its tensors exchanged, left out or named otherwise. */
  function variantOf(random: Random, arrays: ReadonlyMap<string, Tensor>): Map<string, Tensor> {
    const out = new Map(arrays);
    for (let n = random(3); n > 0; n--) {
      const name = pick(random, [...arrays.keys(), "P", "", "__proto__", "x".repeat(5000)]);
      if (random(3) === 0) out.delete(name);
      else out.set(name, pick(random, odd) as Tensor);
    }
    return out;
  }

  const bitsOf = () => lstm.parameters().map((p) => [...p.data()].join());

  it("are imported whole or not at all", () => {
    feed(
      (arrays: Map<string, Tensor>) => {
        const before = bitsOf();
        try {
          importWeights(lstm, "onnx", arrays);
        } catch (error) {
          expect(bitsOf()).toEqual(before);
          throw error;
        }
      },
      good,
      51,
      (random) => variantOf(random, good),
    );
  });

  it("are loaded whole or not at all", () => {
    const state = new Map(Array.from(lstm.stateDict(), ([name, t]) => [name, counted(t.size, [...t.shape])]));
    feed(
      (arrays: Map<string, Tensor>) => {
        const before = bitsOf();
        try {
          lstm.loadStateDict(arrays);
        } catch (error) {
          expect(bitsOf()).toEqual(before);
          throw error;
        }
      },
      state,
      52,
      (random) => variantOf(random, state),
    );
  });
});

describe("plain data", () => {
  const params = () => [new Parameter(counted(4, [2, 2])), new Parameter(counted(3, [3]))];
  const optimizers: [string, (params: Parameter[]) => Optimizer][] = [
    ["SGD", (p) => new SGD(p, { lr: 0.1, momentum: 0.9 })],
    ["Adam", (p) => new Adam(p, { lr: 0.1, amsgrad: true })],
    ["RMSprop", (p) => new RMSprop(p, { lr: 0.01, centered: true, momentum: 0.5 })],
    ["Rprop", (p) => new Rprop(p)],
    ["RAdam", (p) => new RAdam(p)],
  ];

  function step(optimizer: Optimizer): void {
    scope(() => {
      for (const p of optimizer.params) p.grad = counted(p.size, [...p.shape]);
      optimizer.step();
      for (const p of optimizer.params) p.grad = null;
    });
  }

  /** What the state says, and the bits of its tensors. */
  function told({ tensors, ...rest }: OptimizerState): string {
    return JSON.stringify([rest, Object.entries(tensors).map(([name, t]) => [name, [...t.data()]])]);
  }

  // A rate of 1e300 is one that constructors take too: where it leads is not the reader's affair.
  it.each(optimizers)("of %s is taken and trains on, or changes nothing", (_, make) => {
    const optimizer = make(params());
    for (let i = 0; i < 3; i++) step(optimizer);
    const weights = optimizer.params.map((p) => copyOf(p));
    const { tensors, ...rest } = optimizer.stateDict();
    const good: OptimizerState = { ...rest, tensors: Object.fromEntries(Object.entries(tensors).map(([name, t]) => [name, copyOf(t)])) };
    feed(
      (state: OptimizerState) => {
        const before = told(optimizer.stateDict());
        try {
          optimizer.loadStateDict(state);
        } catch (error) {
          expect(told(optimizer.stateDict())).toBe(before);
          throw error;
        }
        step(optimizer);
        optimizer.loadStateDict(good);
        optimizer.params.forEach((p, i) => assign(p, weights[i] as Tensor));
      },
      good,
      61,
      (random) => disturb(random, good) as OptimizerState,
      true,
    );
  });

  it("of schedules is taken and goes on, or changes nothing", () => {
    const optimizer = new SGD(params(), { lr: 0.1 });
    const makers = [
      () => new Scheduler(optimizer, cosineAnnealingLR({ tMax: 10 })),
      () => new ReduceLROnPlateau(optimizer, { patience: 1, cooldown: 1 }),
    ];
    for (const make of makers) {
      const schedule = make() as { stateDict(): object; loadStateDict(state: object): void; step(value?: number): void };
      for (let i = 0; i < 4; i++) schedule.step(1);
      const good = schedule.stateDict();
      feed(
        (state: object) => {
          const before = JSON.stringify(schedule.stateDict());
          try {
            schedule.loadStateDict(state);
          } catch (error) {
            expect(JSON.stringify(schedule.stateDict())).toBe(before);
            throw error;
          }
          schedule.step(1);
          expect(Number.isFinite(optimizer.lr)).toBe(true);
          schedule.loadStateDict(good);
        },
        good,
        62,
        (random) => disturb(random, good) as object,
      );
    }
  });

  it("of scalers, and places in batches", () => {
    const scaler = { shift: [1, 2], scale: [2, 0.5] };
    feed(
      (state: typeof scaler) =>
        scope(() => void new Scaler(state).transform(counted(2 * state.shift.length, [2, state.shift.length])).data()),
      scaler,
      63,
      (random) => disturb(random, scaler) as typeof scaler,
    );
    const batches = new WindowBatches(
      Int32Array.from({ length: 100 }, (_, i) => i % 7),
      { batch: 2, window: 5, epochs: 3 },
    );
    const pass = batches[Symbol.iterator]();
    scope(() => void pass.next());
    const place = { ...pass.cursor };
    feed(
      (cursor: typeof place) => {
        const next = batches.from(cursor)[Symbol.iterator]().next();
        if (!next.done) useUp([next.value.inputs, next.value.targets]);
      },
      place,
      64,
      (random) => disturb(random, place) as typeof place,
    );
  });
});
