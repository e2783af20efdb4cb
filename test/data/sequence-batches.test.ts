import { describe, expect, expectTypeOf, it } from "vitest";
import { ArgumentError, DTypeError, FormatError, ShapeError } from "../../src/base/errors.ts";
import { passOver } from "../../src/data/batches.ts";
import { type SequenceBatch, SequenceBatches, type SequenceExample } from "../../src/data/sequence-batches.ts";
import { padSequences, unpad } from "../../src/data/sequences.ts";
import { Generator } from "../../src/tensor/random.ts";
import { type Tensor, tensor } from "../../src/tensor/tensor.ts";

/** Example i has 1 + (7·i mod 5) steps, all of value i, and the target i. */
const examples = (n: number): SequenceExample[] =>
  Array.from({ length: n }, (_, i) => ({ xs: new Array<number>(1 + ((7 * i) % 5)).fill(i), ys: i }));

const read = (batches: Iterable<SequenceBatch>) =>
  Array.from(batches, ({ xs, ys, lengths }) => ({ xs: xs.toArray(), ys: ys?.toArray(), lengths }));
const idsOf = (batches: Iterable<SequenceBatch>) => Array.from(batches, ({ ys }) => [...(ys as NonNullable<typeof ys>).data()]);

describe("padSequences", () => {
  it("have targets exactly where the examples have them", () => {
    const targets = <E extends SequenceExample>(list: readonly E[]) =>
      Array.from(new SequenceBatches(list, { batchSize: 1, epochs: 1 }), ({ ys }) => ys);
    expectTypeOf(targets([{ xs: [1], ys: 2 }])).toEqualTypeOf<Tensor[]>();
    expectTypeOf(targets([{ xs: [1] }])).toEqualTypeOf<null[]>();
    expectTypeOf(targets(examples(1))).toEqualTypeOf<(Tensor | null)[]>();
    expect(targets([{ xs: [1], ys: 2 }]).map((ys) => ys.toArray())).toEqual([[2]]);
    expect(targets([{ xs: [1] }])).toEqual([null]);
  });

  it("fills up to the longest and gives the lengths", () => {
    const { padded, lengths } = padSequences([[5, 6, 7], [8], [9, 10]]);
    expect(padded.dtype).toBe("int32");
    expect(padded.toArray()).toEqual([
      [5, 8, 9],
      [6, 0, 10],
      [7, 0, 0],
    ]);
    expect(lengths).toEqual([3, 1, 2]);
  });

  it("keeps the shape of steps, and the dtype of typed arrays and tensors", () => {
    const { padded } = padSequences(
      [
        tensor([[1, 2]]),
        tensor([
          [3, 4],
          [5, 6],
        ]),
      ],
      { padding: -1 },
    );
    expect([padded.dtype, padded.shape]).toEqual(["float32", [2, 2, 2]]);
    expect(padded.toArray()).toEqual([
      [
        [1, 2],
        [3, 4],
      ],
      [
        [-1, -1],
        [5, 6],
      ],
    ]);
    expect(padSequences([Float64Array.of(0.1), Float64Array.of(0.2, 0.3)]).padded.data()).toEqual(Float64Array.of(0.1, 0.2, 0, 0.3));
    expect(padSequences([[[1], [2]]]).padded.dtype).toBe("float32");
    expect(padSequences([[1, 2.5]]).padded.dtype).toBe("float32");
    expect(padSequences([[1, 2]], { dtype: "float64" }).padded.dtype).toBe("float64");
    expect(padSequences([[[Float64Array.of(1)]]]).padded.dtype).toBe("float64");
  });

  it("undoes itself", () => {
    const rows = [
      [
        [1, 2],
        [3, 4],
        [5, 6],
      ],
      [[7, 8]],
    ];
    const { padded, lengths } = padSequences(rows);
    expect(unpad(padded, lengths).map((t) => t.toArray())).toEqual(rows);
  });

  it("refuses what is no list of sequences of like steps", () => {
    expect(() => padSequences([])).toThrow(ShapeError);
    expect(() => padSequences([[1], []])).toThrow("at least one step, got [0] at position 1");
    expect(() => padSequences([[1], [[1]]])).toThrow("expected steps of shape [], as at position 0, got [1] at position 1");
    expect(() => padSequences([[1], 2])).toThrow(ShapeError);
    expect(() => padSequences([Int32Array.of(1), Float32Array.of(1)])).toThrow(DTypeError);
    expect(() => padSequences(["ab"] as never)).toThrow(DTypeError);
    expect(() => padSequences([[1, 2]], { padding: 0.5 })).toThrow(ArgumentError);
    expect(() => padSequences(tensor([[1]]) as never)).toThrow(DTypeError);
    expect(() => unpad(tensor([[1, 2]]), [2, 1])).toThrow(ArgumentError);
    expect(() => unpad(tensor([1]), [1])).toThrow(ShapeError);
  });
});

describe("SequenceBatches", () => {
  it("gives every example once an epoch, in order unless told, padded to the longest of its batch", () => {
    const batches = new SequenceBatches(examples(5), { batchSize: 2, epochs: 1 });
    expect(batches.batchesPerEpoch).toBe(3);
    expect(read(batches)).toEqual([
      {
        xs: [
          [0, 1],
          [0, 1],
          [0, 1],
        ].map(([a, b], t) => [t < 1 ? a : 0, b]),
        ys: [0, 1],
        lengths: [1, 3],
      },
      { xs: [0, 1, 2, 3, 4].map((t) => [2, t < 2 ? 3 : 0]), ys: [2, 3], lengths: [5, 2] },
      { xs: [[4], [4], [4], [4]], ys: [4], lengths: [4] },
    ]);
  });

  it("is read as often as one likes, and leaves out a short batch where told", () => {
    const batches = new SequenceBatches(examples(5), {
      batchSize: 2,
      epochs: 2,
      dropLast: true,
      shuffle: true,
      generator: new Generator(3),
    });
    const once = idsOf(batches);
    expect(once.map((ids) => ids.length)).toEqual([2, 2, 2, 2]);
    expect(idsOf(batches)).toEqual(once);
  });

  it.each([false, true])("shuffles anew in each epoch, each example once, with lengths together: %s", (bucketByLength) => {
    const options = { batchSize: 4, epochs: 3, shuffle: true, bucketByLength };
    const all = idsOf(new SequenceBatches(examples(1023), { ...options, generator: new Generator(1) }));
    const perEpoch = Math.ceil(1023 / 4);
    const epochs = [0, 1, 2].map((e) => all.slice(e * perEpoch, (e + 1) * perEpoch).flat());
    for (const epoch of epochs) expect([...epoch].sort((a, b) => a - b)).toEqual([...Array(1023).keys()]);
    expect(epochs[0]).not.toEqual(epochs[1]);
    expect(epochs[1]).not.toEqual(epochs[2]);
    expect(idsOf(new SequenceBatches(examples(1023), { ...options, generator: new Generator(1) }))).toEqual(all);
    expect(idsOf(new SequenceBatches(examples(1023), { ...options, generator: new Generator(2) }))).not.toEqual(all);
    expect(all.every((ids, k) => ids.length === 4 || (k + 1) % perEpoch === 0)).toBe(true);
    const padding = (ids: number[]) =>
      Math.max(...ids.map((i) => 1 + ((7 * i) % 5))) * ids.length - ids.reduce((n, i) => n + 1 + ((7 * i) % 5), 0);
    const padded = all.reduce((n, ids) => n + padding(ids), 0) / (3 * 1023);
    if (bucketByLength) expect(padded).toBeLessThan(0.1);
    else expect(padded).toBeGreaterThan(1);
  });

  it("goes on from a stored cursor to the same batches, also in a source with another order", () => {
    const options = { batchSize: 3, epochs: 3, shuffle: true, bucketByLength: true };
    const pass = passOver(new SequenceBatches(examples(20), { ...options, generator: new Generator(1) }));
    for (let k = 0; k < 9; k++) pass.next();
    const cursor = JSON.parse(JSON.stringify(pass.cursor));
    const rest = idsOf(pass);
    expect(rest.length).toBe(12);
    expect(idsOf(new SequenceBatches(examples(20), { ...options, generator: new Generator(9) }).from(cursor))).toEqual(rest);
    const source = new SequenceBatches(examples(20), options);
    expect(() => source.from({ epoch: 0, position: 0 })).toThrow(FormatError);
    expect(() => source.from({ epoch: 0, position: 1, seed: 0 })).toThrow(FormatError);
  });

  it("pads targets that are sequences of their own, by what crossEntropy ignores, or stacks them", () => {
    const [batch] = new SequenceBatches(
      [
        { xs: [[1], [2]], ys: [7] },
        { xs: [[3]], ys: [8, 9] },
      ],
      { batchSize: 2, epochs: 1 },
    );
    expect(batch?.xs.dtype).toBe("float32");
    expect(batch?.ys?.toArray()).toEqual([
      [7, 8],
      [-100, 9],
    ]);
    expect([batch?.lengths, batch?.targetLengths]).toEqual([
      [2, 1],
      [1, 2],
    ]);
    const vectors = [
      { xs: [1], ys: [0.5, 1.5] },
      { xs: [2, 3], ys: [2.5, 3.5] },
    ];
    const [stacked] = new SequenceBatches(vectors, { batchSize: 2, epochs: 1, targets: "stacked" });
    expect(stacked?.ys?.toArray()).toEqual([
      [0.5, 1.5],
      [2.5, 3.5],
    ]);
    expect(stacked?.targetLengths).toBeNull();
    const [floats] = new SequenceBatches(examples(2), { batchSize: 2, dtype: "float64", targetDtype: "float32", epochs: 1 });
    expect([floats?.xs.dtype, floats?.ys?.dtype]).toEqual(["float64", "float32"]);
    const [bare] = new SequenceBatches([{ xs: [1] }], { batchSize: 2, epochs: 1 });
    expect(bare?.ys).toBeNull();
  });

  it("refuses examples that are none, and options out of their range", () => {
    const make = (list: unknown, options: object = {}) => new SequenceBatches(list as never, { batchSize: 2, ...options } as never);
    expect(() => make([])).toThrow(ArgumentError);
    expect(() => make(null)).toThrow(DTypeError);
    expect(() => make([[1, 2]])).toThrow("expected examples as { xs, ys }");
    expect(() => make([{ xs: [1], ys: 1 }, { xs: [2] }])).toThrow("expected ys in every example or in none, got none at position 1");
    expect(() =>
      make([
        { xs: [1], ys: 1 },
        { xs: [2], ys: [1] },
      ]),
    ).toThrow(ShapeError);
    expect(() => make(examples(1), { dropLast: true })).toThrow("at least 2 examples");
    expect(() => make(examples(4), { batchSize: 0 })).toThrow(ArgumentError);
    expect(() => make(examples(4), { batch: 2 })).toThrow("batch");
    expect(() => make(examples(4), { shuffle: 1 })).toThrow(ArgumentError);
    expect(() => make(examples(4), { targets: "none" })).toThrow(ArgumentError);
    expect(() => make(examples(4), { generator: 3 })).toThrow(DTypeError);
  });
});
