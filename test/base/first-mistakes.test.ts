/** Natural first mistakes: each error says what to do. */

import { describe, expect, it } from "vitest";
import { MGU } from "../../src/cells/index.ts";
import * as t from "../../src/index.ts";
import { gateTrace, saturation } from "../../src/insight/index.ts";
import { EchoStateNetwork } from "../../src/reservoirs/index.ts";
import { Bidirectional, StackedRNN } from "../../src/wrappers/index.ts";

const sizes = { inputSize: 3, hiddenSize: 4 };
const rows = [[[1, 2, 3]], [[1, 2, 3]]] as never;
const linear = new t.Linear(3, 2);
const lstm = new t.LSTM(sizes);
const optimizer = () => new t.Adam(linear.parameters(), { lr: 0 });
const loss = () => t.sum(linear.weight);

describe("an option by another library's name, or half of its name", () => {
  it.each([
    ["inputSize", () => new t.GRU({ input_size: 3, hiddenSize: 4 } as never)],
    ["hiddenSize", () => new t.LSTM({ inputSize: 3, units: 4 } as never)],
    ["lr", () => new t.Adam(linear.parameters(), { learningRate: 1 } as never)],
    ["lr", () => new t.Adam(linear.parameters(), { learning_rate: 1 } as never)],
    ["batch", () => new t.Stream(lstm, { batchsize: 3 } as never)],
    ["labelSmoothing", () => t.crossEntropy(t.zeros([1, 2]), t.zeros([1, 2]), { label_smoothing: 0 } as never)],
    ["maxSteps", () => t.fit(linear, [], { optimizer: optimizer(), loss, max_step: 1 } as never)],
    ["axis", () => t.sum(t.ones([2]), { axes: 0 } as never)],
  ])("is told the right one: %s", (name, fn) => {
    expect(fn).toThrow(`did you mean ${name}?`);
  });

  it("is told nothing where nothing is near", () => {
    expect(() => new t.Linear(3, 2, { colour: 1 } as never)).toThrow(/got "colour"$/);
  });
});

describe("an array in place of a tensor", () => {
  it.each([
    ["LSTM", () => lstm.forward(rows)],
    ["Linear", () => linear.forward([1, 2, 3] as never)],
    ["a typed array", () => linear.forward(new Float32Array(3) as never)],
    ["matmul", () => t.matmul(t.ones([1, 1]), [[1]] as never)],
    ["mseLoss", () => t.mseLoss(t.zeros([2]), [0, 0] as never)],
    ["crossEntropy", () => t.crossEntropy(t.zeros([2, 3]), [0, 1] as never)],
    ["a cell", () => new MGU(sizes).scan(rows)],
    ["a stack", () => new StackedRNN([new t.GRUCell(sizes)]).scan(rows)],
    ["both directions", () => new Bidirectional(new t.GRUCell(sizes), new t.GRUCell(sizes)).scan(rows)],
    ["Scaler", () => t.Scaler.standard([[1], [2]] as never)],
    ["grad", () => t.grad((x) => t.sum(x))([1, 2] as never)],
    ["backward", () => t.backward([1] as never)],
    [
      "loadStateDict",
      () =>
        linear.loadStateDict(
          new Map([
            [
              "weight",
              [
                [1, 2, 3],
                [1, 2, 3],
              ],
            ],
            ["bias", [1, 2]],
          ]) as never,
        ),
    ],
  ])("is to be wrapped: %s", (_, fn) => {
    expect(fn).toThrow(/wrap it in tensor\(\)$/);
  });
});

describe("classes given as floats", () => {
  const floats = t.tensor([0, 1]);
  it.each([
    ["crossEntropy", () => t.crossEntropy(t.zeros([2, 3]), floats)],
    ["nllLoss", () => t.nllLoss(t.zeros([2, 3]), floats)],
    ["embedding", () => new t.Embedding(3, 2).forward(floats)],
    ["gather", () => t.gather(t.zeros([2, 3]), 1, t.zeros([2, 1]))],
    ["oneHot", () => t.oneHot(floats, 3)],
    ["LinearChainCRF", () => new t.LinearChainCRF({ numTags: 3 }).forward(t.zeros([2, 1, 3]), t.zeros([2, 1]))],
  ])("are to be int32: %s", (op, fn) => {
    expect(fn).toThrow(new RegExp(`^${op}: expected int32 .*got float32: make them by tensor\\(values, { dtype: "int32" }\\)$`));
  });
});

describe("a forgotten await", () => {
  it("of a training is told when its summary is read, or iterated without await", async () => {
    const training = t.fit(linear, [{ a: 1 }], { optimizer: optimizer(), loss });
    expect(() => (training as unknown as t.TrainingSummary).loss).toThrow("await fit(…)");
    expect(() => {
      const { steps } = training as unknown as t.TrainingSummary;
      return steps;
    }).toThrow(t.StateError);
    expect(() => [...(training as unknown as Iterable<unknown>)]).toThrow("for await");
    expect((await training).steps).toBe(1);
  });

  it("of what a function takes is told", () => {
    expect(() => linear.forward(Promise.resolve(t.ones([3])) as never)).toThrow(/await it first$/);
    expect(() => t.parseSafetensors(Promise.resolve(new Uint8Array()) as never)).toThrow(/await it first$/);
    expect(() => t.summary(Promise.resolve(linear) as never)).toThrow(/await it first$/);
    expect(() => t.fit(linear, Promise.resolve([]) as never, { optimizer: optimizer(), loss })).toThrow(/await it first$/);
    expect(() => new EchoStateNetwork(Promise.resolve(1) as never, {} as never)).toThrow(/await it first$/);
  });

  it("of a callback is told under the name of the function that was called", () => {
    const step = async () => lstm.forward(t.ones([2, 1, 3]));
    expect(() => gateTrace(lstm, step)).toThrow("gateTrace: expected a synchronous function, got a promise");
    expect(() => saturation(lstm, step)).toThrow("saturation: expected a synchronous function, got a promise");
    expect(() => t.grad((async (x: t.Tensor) => t.sum(x)) as never)(t.ones([2]))).toThrow(
      "grad: expected a synchronous function, got a promise",
    );
  });
});

describe("an asynchronous source where a synchronous one is needed", () => {
  async function* source() {
    yield { a: 1 };
  }
  it("is to be collected first", () => {
    expect(() => t.evaluate(linear, source() as never, () => 1)).toThrow("asynchronous source: collect it first");
    expect(() => t.predict(linear, source() as never, () => t.ones([1]))).toThrow("asynchronous source: collect it first");
    expect(() => t.TokenVocabulary.fromTexts(source() as never)).toThrow("asynchronous source: collect it first");
  });
});
