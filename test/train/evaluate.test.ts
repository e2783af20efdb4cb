import { describe, expect, it } from "vitest";
import { ArgumentError, DTypeError, StateError } from "../../src/base/errors.ts";
import { SequenceBatches } from "../../src/data/sequence-batches.ts";
import { accuracy } from "../../src/metrics/index.ts";
import { Dropout } from "../../src/nn/dropout-layers.ts";
import { Embedding, Linear } from "../../src/nn/layers.ts";
import { crossEntropy, mseLoss } from "../../src/nn/losses.ts";
import { Module } from "../../src/nn/module.ts";
import { argmax } from "../../src/ops/reduce.ts";
import { permute } from "../../src/ops/shape.ts";
import { Adam, SGD } from "../../src/optim/index.ts";
import { Generator } from "../../src/tensor/random.ts";
import { type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { evaluate, findLearningRate, fit, predict } from "../../src/train/index.ts";
import { memory } from "../../src/wasm/host.ts";

class Tagger extends Module {
  readonly words = new Embedding(8, 4, { generator: new Generator(1) });
  readonly drop = new Dropout(0.5);
  readonly head = new Linear(4, 3, { generator: new Generator(2) });
  forward(ids: Tensor): Tensor {
    return this.head.forward(this.drop.forward(this.words.forward(ids)));
  }
}

const examples = Array.from({ length: 7 }, (_, i) => {
  const ids = Array.from({ length: 1 + (i % 4) }, (_, t) => (3 * i + t) % 8);
  return { xs: ids, ys: ids.map((id) => id % 3) };
});
const batches = (batchSize: number) => new SequenceBatches(examples, { batchSize, epochs: 1 });

describe("evaluate", () => {
  it("weighs batches by their real elements, so that the batch size does not matter", () => {
    const model = new Tagger();
    const measure = (m: Tagger, { xs, ys }: { xs: Tensor; ys: Tensor | null }) => {
      const logits = m.forward(xs);
      return { right: accuracy(logits, ys as Tensor), loss: crossEntropy(permute(logits, [0, 2, 1]), ys as Tensor) };
    };
    const [one, many] = [evaluate(model, batches(1), measure), evaluate(model, batches(7), measure)];
    expect(many.right).toBeCloseTo(one.right, 12);
    expect(many.loss).toBeCloseTo(one.loss, 5);
    // By hand: the mean over all elements.
    model.eval();
    let [right, all] = [0, 0];
    for (const { xs, ys } of examples) {
      const classes = argmax(model.forward(tensor(Int32Array.from(xs))), { axis: -1 }).data();
      right += ys.filter((y, t) => classes[t] === y).length;
      all += ys.length;
    }
    expect(one.right).toBeCloseTo(right / all, 12);
  });

  it("gives a number for a number, and means by a weight of one's own", () => {
    const model = new Tagger();
    const list = [{ v: 1 }, { v: 4 }];
    expect(evaluate(model, list, (_, { v }) => v)).toBe(2.5);
    expect(evaluate(model, list, (_, { v }) => tensor(v), { weight: ({ v }) => v })).toBe(17 / 5);
    expect(evaluate(model, [{ v: Number.NaN }, { v: 2 }], (_, { v }) => v, { weight: ({ v }) => (v === 2 ? 1 : 0) })).toBe(2);
  });

  it("has the model in evaluation mode and puts its modes back, whatever happens", () => {
    const model = new Tagger();
    model.head.eval();
    evaluate(model, [{}], (m) => (m.training || m.drop.training ? 1 : 0));
    expect([model.training, model.drop.training, model.head.training]).toEqual([true, true, false]);
    expect(() =>
      evaluate(model, [{}], () => {
        throw new Error("mine");
      }),
    ).toThrow("mine");
    expect([model.training, model.head.training]).toEqual([true, false]);
  });

  it("keeps no memory", () => {
    const model = new Tagger();
    const before = memory().liveBytes;
    for (let i = 0; i < 20; i++) evaluate(model, batches(2), (m, { xs }) => m.forward(xs).size);
    expect(memory().liveBytes).toBe(before);
  });

  it("refuses batches without end or elements, other metrics than before, and promises", () => {
    const model = new Tagger();
    expect(() => evaluate(model, new SequenceBatches(examples, { batchSize: 2 }), () => 1)).toThrow("epochs: 1");
    expect(() => evaluate(model, [], () => 1)).toThrow(ArgumentError);
    expect(() => evaluate(model, [{}], () => 1, { weight: () => 0 })).toThrow("something that counts");
    expect(() => evaluate(model, [{}], () => 1, { weight: () => Number.NaN })).toThrow(ArgumentError);
    expect(() => evaluate(model, [{ k: "a" }, { k: "b" }], (_, { k }) => ({ [k]: 1 }))).toThrow("expected metrics a, got b");
    expect(() => evaluate(model, [{}], () => "x" as never)).toThrow(ArgumentError);
    expect(() => evaluate(model, [{}], (async () => 1) as never)).toThrow(StateError);
    expect(() => evaluate(null as never, [{}], () => 1)).toThrow(DTypeError);
  });
});

describe("predict", () => {
  it("gives one result a batch, in order, and keeps its tensors alone", () => {
    const model = new Tagger();
    const before = memory().liveBytes;
    const outputs = predict(model, batches(3), (m, { xs }) => m.forward(xs));
    expect(outputs.map((t) => t.shape)).toEqual([
      [3, 3, 3],
      [4, 3, 3],
      [3, 1, 3],
    ]);
    expect(memory().liveBytes - before).toBeLessThanOrEqual(outputs.reduce((n, t) => n + t.storage.bytes, 0) + 512);
    expect(outputs[0]?.node).toBeNull();
    expect(predict(model, batches(3), (_, { lengths }) => lengths)).toEqual([[1, 2, 3], [4, 1, 2], [3]]);
    expect(() => predict(model, batches(3), async () => 1)).toThrow(StateError);
  });
});

describe("a source", () => {
  /** Batches from a generator that notes when it is closed. */
  class Source {
    closed = 0;
    *[Symbol.iterator]() {
      try {
        for (;;) yield { x: tensor([[1]]), y: tensor([[2]]) };
      } finally {
        this.closed++;
      }
    }
  }
  const fail = () => {
    throw new Error("mine");
  };
  const lossOf = (m: Linear, { x, y }: { x: Tensor; y: Tensor }) => mseLoss(m.forward(x), y);
  const optimizerOf = (m: Linear) => new SGD(m.parameters(), { lr: 0.1 });
  const explode = { from: 1, to: 1e6, steps: 90 };

  it.each<[string, (model: Linear, source: Source) => unknown]>([
    ["evaluate", (m, source) => evaluate(m, source, fail)],
    ["a weight of evaluate", (m, source) => evaluate(m, source, () => 1, { weight: fail })],
    ["a metric of evaluate", (m, source) => evaluate(m, source, () => "x" as never)],
    ["predict", (m, source) => predict(m, source, fail)],
    ["findLearningRate, by its loss", (m, source) => findLearningRate(m, source, { optimizer: optimizerOf(m), loss: fail })],
    ["findLearningRate, at its end", (m, source) => findLearningRate(m, source, { optimizer: optimizerOf(m), loss: lossOf, steps: 10 })],
    ["findLearningRate, early", (m, source) => findLearningRate(m, source, { optimizer: optimizerOf(m), loss: lossOf, ...explode })],
    ["fit, at its end", (m, source) => fit(m, source, { optimizer: optimizerOf(m), loss: lossOf, maxSteps: 3 })],
  ])("is closed by %s, once", async (_, use) => {
    const source = new Source();
    await Promise.resolve()
      .then(() => use(new Linear(1, 1, { generator: new Generator(1) }), source))
      .catch(() => null);
    expect(source.closed).toBe(1);
  });

  it("stays open in a training that can go on", async () => {
    const source = new Source();
    const model = new Linear(1, 1, { generator: new Generator(1) });
    let broken = true;
    const loss = (m: Linear, batch: { x: Tensor; y: Tensor }) => (broken ? fail() : lossOf(m, batch));
    const training = fit(model, source, { optimizer: optimizerOf(model), loss, maxSteps: 3 });
    await expect((async () => training)()).rejects.toThrow("mine");
    broken = false;
    for await (const { step } of training) if (step === 1) break;
    expect(source.closed).toBe(0);
    await training;
    expect(source.closed).toBe(1);
  });

  it("whose closing fails leaves the error that came first, and the modes", () => {
    const source = { [Symbol.iterator]: () => ({ next: () => ({ value: {}, done: false }), return: () => { throw new Error("closing"); } }) }; // biome-ignore format: one line
    const model = new Linear(1, 1).train();
    expect(() => evaluate(model, source, fail)).toThrow("mine");
    expect(() => predict(model, source, fail)).toThrow("mine");
    expect(model.training).toBe(true);
  });
});

describe("findLearningRate", () => {
  const loss = (m: Tagger, { xs, ys }: { xs: Tensor; ys: Tensor | null }) => crossEntropy(permute(m.forward(xs), [0, 2, 1]), ys as Tensor);
  const endless = () => new SequenceBatches(examples, { batchSize: 7 });

  it("goes through a range of rates and leaves the model as it was", async () => {
    const model = new Tagger();
    const before = Array.from(model.stateDict().values(), (t) => Array.from(t.data()));
    model.eval();
    const optimizer = new Adam(model.parameters());
    const { rates, losses, suggestion } = await findLearningRate(model, endless(), { optimizer, loss, from: 1e-5, to: 10, steps: 60 });
    expect(Array.from(model.stateDict().values(), (t) => Array.from(t.data()))).toEqual(before);
    expect(model.training).toBe(false);
    expect(rates[0]).toBeCloseTo(1e-5, 12);
    expect(rates.every((rate, i) => i === 0 || Math.abs(rate / (rates[i - 1] as number) - 10 ** (6 / 59)) < 1e-6)).toBe(true);
    expect(losses.length).toBe(rates.length);
    // Too small a rate does not move, too large a one blows up: what is good lies between.
    expect(suggestion).toBeGreaterThan(1e-3);
    expect(suggestion).toBeLessThan(3);
    expect(Math.min(...losses)).toBeLessThan(0.7 * (losses[0] as number));
    const trained = await fit(model, endless(), { optimizer: new Adam(model.parameters(), { lr: suggestion }), loss, maxSteps: 40 });
    expect(trained.loss as number).toBeLessThan(0.8);
  });

  it("stops where the loss blows up", async () => {
    const model = new Linear(1, 1, { generator: new Generator(1) });
    const step = (m: Linear, { x }: { x: number }) => mseLoss(m.forward(tensor([[x]])), tensor([[1]]));
    const many = Array.from({ length: 200 }, (_, i) => ({ x: 1 + (i % 3) }));
    const { rates } = await findLearningRate(model, many, {
      optimizer: new SGD(model.parameters()),
      loss: step,
      from: 1e-4,
      to: 1e6,
      steps: 100,
    });
    expect(rates.length).toBeLessThan(90);
    expect(model.weight.data().every(Number.isFinite)).toBe(true);
  });

  it("refuses too few batches and ranges that are none", async () => {
    const model = new Tagger();
    const optimizer = new Adam(model.parameters());
    await expect(findLearningRate(model, batches(7), { optimizer, loss })).rejects.toThrow("at least 10 steps, got 1");
    await expect(findLearningRate(model, endless(), { optimizer, loss, from: 1, to: 0.1 })).rejects.toThrow(ArgumentError);
    await expect(findLearningRate(model, endless(), { optimizer, loss, steps: 3 })).rejects.toThrow(ArgumentError);
    await expect(findLearningRate(model, endless(), { optimizer, loss, epochs: 3 } as never)).rejects.toThrow(ArgumentError);
  });
});
