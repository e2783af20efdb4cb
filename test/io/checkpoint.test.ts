import { describe, expect, it } from "vitest";
import { ArgumentError, FormatError } from "../../src/base/errors.ts";
import { type Checkpoint, decodeCheckpoint, encodeCheckpoint, type Json } from "../../src/io/checkpoint.ts";
import { parse, serialize } from "../../src/io/safetensors.ts";
import { Generator } from "../../src/tensor/random.ts";
import { Tensor, tensor } from "../../src/tensor/tensor.ts";
import { memory } from "../../src/wasm/host.ts";
import { unsealedParts } from "../unsealed.ts";

const generator = new Generator(7);
generator.uniform([5]);

const full: Checkpoint = {
  step: 12,
  model: new Map([
    [
      "rnn.weight_hh_l0",
      tensor([
        [1, 2],
        [3, 4],
      ]),
    ],
    ["head.bias", tensor([0.1], { dtype: "float64" })],
  ]),
  optimizer: {
    kind: "Adam",
    groups: [{ lr: 1e-3, betas: [0.9, 0.999] }],
    numbers: { "0.step": 12, "1.step": 12, tiny: 1 / 3 },
    tensors: {
      "0.expAvg": tensor([
        [5, 6],
        [7, 8],
      ]),
    },
  },
  best: new Map([["head.bias", tensor([9])]]),
  averages: { updates: 12, averages: [tensor([0.5]), tensor([[1, 2]])] },
  state: { h: tensor([1, 2]), deeper: [tensor([3]), { c: tensor([[4]]) }] },
  cursor: { epoch: 3, position: 17 },
  generators: [generator, new Generator(3)],
  progress: { best: 0.5, bestStep: 10, stale: 1 },
  extra: { note: 'any "text"', list: [1, null, true] },
};

/** Everything in it as plain data. */
function plain(value: unknown): unknown {
  if (value instanceof Tensor) return { dtype: value.dtype, shape: value.shape, data: [...value.data()] };
  if (value instanceof Generator) return [...value.toBytes()];
  if (value instanceof Map) return Object.fromEntries([...value].sort().map(([k, v]) => [k, plain(v)]));
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value === "object" && value !== null) return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, plain(v)]));
  return value;
}

const empty: Checkpoint = {
  step: 0,
  model: new Map(),
  optimizer: { kind: "SGD", groups: [], numbers: {}, tensors: {} },
  best: new Map(),
  averages: null,
  state: null,
  cursor: null,
  generators: [],
  progress: null,
  extra: null,
};

/** The file of `full` with one thing changed. */
function tampered(change: (run: Record<string, unknown>, tensors: Map<string, Tensor>) => void): Uint8Array {
  const { tensors, metadata } = unsealedParts(encodeCheckpoint(full));
  const run = JSON.parse(metadata.run as string);
  change(run, tensors);
  return serialize(tensors, { ...metadata, run: JSON.stringify(run) });
}

describe("checkpoint", () => {
  it.each([
    ["full", full],
    ["empty", empty],
    ["a state of one tensor", { ...empty, state: tensor([1, 2, 3]) }],
  ])("goes round: %s", (_, checkpoint) => {
    const bytes = encodeCheckpoint(checkpoint);
    expect(plain(decodeCheckpoint(bytes))).toEqual(plain(checkpoint));
    expect(encodeCheckpoint(decodeCheckpoint(bytes))).toEqual(bytes);
  });

  it("is read without a checksum, as older ones are", () => {
    const { tensors, metadata } = unsealedParts(encodeCheckpoint(full));
    expect(plain(decodeCheckpoint(serialize(tensors, metadata)))).toEqual(plain(full));
    expect(() => decodeCheckpoint(serialize(tensors, { ...metadata, chfcksum: "00000000" }))).toThrow(
      "checkpoint: expected the metadata format, run, extra, got chfcksum",
    );
  });

  it("holds the FNV-1a hash of its other bytes, worked out here by the definition over whole numbers", () => {
    const bytes = encodeCheckpoint(full);
    const { metadata } = parse(bytes);
    const place = new TextDecoder("latin1").decode(bytes).indexOf(metadata.checksum as string);
    let hash = 0x811c9dc5n;
    bytes.forEach((b, i) => {
      if (i < place || i >= place + 8) hash = ((hash ^ BigInt(b)) * 0x01000193n) & 0xffffffffn;
    });
    expect(BigInt(`0x${metadata.checksum}`)).toBe(hash);
  });

  it("is refused with any one bit changed, wherever that is", () => {
    const bytes = encodeCheckpoint(full);
    for (let i = 0; i < bytes.length; i++) {
      const changed = bytes.slice();
      changed[i] = (changed[i] as number) ^ (1 << (i % 8));
      expect(() => decodeCheckpoint(changed), `bit ${i % 8} of byte ${i} of ${bytes.length}`).toThrow(FormatError);
    }
    expect(plain(decodeCheckpoint(bytes))).toEqual(plain(full));
  });

  it("takes plain data along, and nothing else", () => {
    const round = (extra: unknown) => decodeCheckpoint(encodeCheckpoint({ ...empty, extra: extra as Json })).extra;
    expect(round({ name: "Infinity", list: [-0.5, null], gone: undefined, scaler: { toJSON: () => [1] } })).toEqual({
      name: "Infinity",
      list: [-0.5, null],
      scaler: [1],
    });
    expect(round(undefined)).toBe(null);
    expect(round("\ud800")).toBe("\ud800");
    const circle: unknown[] = [];
    circle.push(circle);
    const deep = JSON.parse(`${"[".repeat(200)}${"]".repeat(200)}`);
    for (const extra of [Number.NaN, [Number.POSITIVE_INFINITY], { a: 3n }, { f: () => 1 }, Symbol("s"), circle, deep]) {
      expect(() => encodeCheckpoint({ ...empty, extra: extra as Json })).toThrow(ArgumentError);
      expect(() => encodeCheckpoint({ ...empty, extra: extra as Json })).toThrow(
        /^checkpoint: expected plain data as extra, got .{0,300}$/,
      );
    }
  });

  it("restores the generator's place", () => {
    const again = decodeCheckpoint(encodeCheckpoint(full)).generators[0] as Generator;
    expect(again.uniform([4]).data()).toEqual(generator.clone().uniform([4]).data());
  });

  const bad: [string, Uint8Array, RegExp][] = [
    ["another safetensors file", serialize(new Map([["w", tensor(1)]])), /expected format "tapeloop checkpoint 2", got undefined/],
    ["a run that is no JSON", serialize(new Map(), { format: "tapeloop checkpoint 2", run: "{" }), /expected the run in JSON/],
    ["a run that is a list", serialize(new Map(), { format: "tapeloop checkpoint 2", run: "[]" }), /expected the run as an object/],
    [
      "a negative step",
      tampered((run) => {
        run.step = -1;
      }),
      /expected a whole step, got -1/,
    ],
    ["a tensor of no group", tampered((_, t) => t.set("other.x", tensor(1))), /got "other.x"/],
    ["a state without its tensor", tampered((_, t) => t.delete("state.1")), /expected tensor 1 of the state, got 1/],
    ...[0, {}, [0, 1], { h: 0, deeper: [2, { c: 1 }] }, { h: 0, deeper: [0, { c: 0 }] }, null].map(
      (state): [string, Uint8Array, RegExp] => [
        `a state of other tensors, ${JSON.stringify(state)}`,
        tampered((run) => {
          run.state = state;
        }),
        /expected (a state of all its 3 tensors|tensor \d of the state|no tensors of a state that is null)/,
      ],
    ),
    [
      "extra data that is no JSON",
      (() => {
        const { tensors, metadata } = unsealedParts(encodeCheckpoint(full));
        return serialize(tensors, { ...metadata, extra: "{" });
      })(),
      /expected extra in JSON/,
    ],
    [
      "a run nested thousands deep",
      (() => {
        const { tensors, metadata } = unsealedParts(encodeCheckpoint(full));
        return serialize(tensors, { ...metadata, run: `{"progress":${"[".repeat(9000)}${"]".repeat(9000)}}` });
      })(),
      /nested at most 127 deep/,
    ],
    [
      "a tensor with a long name",
      tampered((_, t) => t.set(`o${"x".repeat(1e5)}`, tensor(1))),
      /^checkpoint: expected tensors of .{0,200}$/,
    ],
    [
      "a state of text",
      tampered((run) => {
        run.state = "h";
      }),
      /expected the structure of a state/,
    ],
    [
      "a state nested too deep",
      tampered((run) => {
        run.state = JSON.parse("[".repeat(100) + "]".repeat(100));
      }),
      /expected a state nested at most 64 deep/,
    ],
    [
      "a cursor of text",
      tampered((run) => {
        run.cursor = { epoch: "3" };
      }),
      /expected a cursor of numbers/,
    ],
    [
      "a short generator",
      tampered((run) => {
        run.generators = [[1, 2]];
      }),
      /expected 24 bytes, got 2/,
    ],
    [
      "a generator of large numbers",
      tampered((run) => {
        run.generators = [[1000]];
      }),
      /expected the generator as bytes/,
    ],
    [
      "an optimiser without groups",
      tampered((run) => {
        run.optimizer = { kind: "Adam" };
      }),
      /expected kind, groups and numbers/,
    ],
    [
      "an optimiser of text numbers",
      tampered((run) => {
        (run.optimizer as { numbers: unknown }).numbers = { a: "b" };
      }),
      /expected an optimiser's numbers/,
    ],
    ["half a file", encodeCheckpoint(full).subarray(0, 700), /safetensors: expected/],
  ];
  it.each(bad)("rejects %s", (_, bytes, message) => {
    const before = memory().liveBytes;
    expect(() => decodeCheckpoint(bytes)).toThrow(FormatError);
    expect(() => decodeCheckpoint(bytes)).toThrow(message);
    expect(memory().liveBytes).toBe(before);
  });
});
