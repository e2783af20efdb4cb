/** Lengths are arrays of whole numbers; whatever else looks like a list is refused before anything is computed, and never misread. */

import { describe, expect, it } from "vitest";
import { ArgumentError, DTypeError, ShapeError } from "../../src/base/errors.ts";
import { Encoder } from "../../src/encoder-decoder/index.ts";
import { rtrl } from "../../src/learning/index.ts";
import { BidirectionalLanguageModel } from "../../src/models/elmo.ts";
import { SequenceBatchNorm } from "../../src/nn/batch-norm.ts";
import { ctcLoss } from "../../src/nn/ctc-loss.ts";
import { Embedding } from "../../src/nn/layers.ts";
import { diagonalSequence, gruSequence } from "../../src/ops/recurrent.ts";
import type { Recurrence, ScanOptions } from "../../src/recurrence/recurrence.ts";
import { scanSteps } from "../../src/recurrence/recurrence.ts";
import { GRU, LSTM } from "../../src/recurrence/rnn.ts";
import { GRUCell } from "../../src/recurrence/rnn-cells.ts";
import { Generator } from "../../src/tensor/random.ts";
import { scope, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { lastStep } from "../../src/wrappers/index.ts";
import { every } from "./every.ts";

const [T, B] = [4, 3];

/** Lists that have not an array's methods, or no lists at all; the fifth argument says what a message calls it. */
const MISREAD: readonly (readonly [name: string, value: unknown])[] = [
  ["an Int32Array", Int32Array.of(4, 1, 2)],
  ["a Uint8Array", Uint8Array.of(4, 1, 2)],
  ["a Float64Array", Float64Array.of(4, 1, 2)],
  ["a tensor", tensor([4, 1, 2], { dtype: "int32" })],
  ["a number", 3],
  ["a text", "412"],
  ["null", null],
  ["an object", { length: 3, 0: 4, 1: 1, 2: 2 }],
  ["a Set", new Set([4, 1, 2])],
];

const WRONG: readonly (readonly [name: string, value: number[], error: typeof ArgumentError | typeof ShapeError])[] = [
  ["half a step", [4, 1.5, 2], ArgumentError],
  ["NaN", [4, Number.NaN, 2], ArgumentError],
  ["a negative length", [4, -1, 2], ArgumentError],
  ["more than T", [4, 5, 2], ArgumentError],
  ["a hole", [4, undefined as never, 2], ArgumentError],
  ["texts", ["4", "1", "2"] as never, ArgumentError],
  ["one too few", [4, 1], ShapeError],
];

const noise = (...shape: number[]): Tensor => new Generator(2).uniform(shape, -1, 1);
const gru = () => new GRUCell({ inputSize: 2, hiddenSize: 3 });
const words = tensor(new Int32Array(T * B), { shape: [T, B] });

const takers: Readonly<Record<string, (lengths: never) => unknown>> = {
  "GRU.forward": (lengths) => new GRU({ inputSize: 2, hiddenSize: 3 }).forward(noise(T, B, 2), { lengths }),
  "LSTM.forward, indices": (lengths) => new LSTM({ inputSize: 2, hiddenSize: 3 }).forward(words, { lengths }),
  scanSteps: (lengths) => scanSteps(gru(), noise(T, B, 2), undefined, { lengths }),
  "rtrl.scan": (lengths) => rtrl().scan(gru(), noise(T, B, 2), undefined, { lengths }),
  lastStep: (lengths) => lastStep(noise(T, B, 2), lengths),
  "Encoder.encode": (lengths) => new Encoder(gru() as never).encode(noise(T, B, 2), lengths),
  SequenceBatchNorm: (lengths) => new SequenceBatchNorm(2).forward(noise(T, B, 2), { lengths: lengths ?? 0 }),
  diagonalSequence: (lengths) =>
    diagonalSequence(noise(T, B, 2), noise(2), noise(B, 2), { activation: "tanh", lengths: lengths ?? (0 as never) }),
  "BidirectionalLanguageModel.layers": (lengths) => {
    const encoder = Object.assign(new Embedding(5, 2), { outputSize: 2 });
    return new BidirectionalLanguageModel({ encoder, vocabSize: 5, hiddenSize: 3 }).layers(noise(T, B, 2), { lengths });
  },
};

describe("lengths", () => {
  it.each(Object.keys(every))("are arrays or refused: %s", (name) => {
    scope(() => {
      const cell = every[name]?.({ generator: new Generator(1) }) as Recurrence;
      const xs = noise(T, B, cell.inputSize);
      const run = (lengths: unknown) => () => cell.scan(xs, cell.initialState(B), { lengths } as ScanOptions);
      for (const [what, value] of MISREAD) expect(run(value), what).toThrow(DTypeError);
      for (const [what, value, error] of WRONG) expect(run(value), what).toThrow(error);
      expect(run([4, 1, 2])).not.toThrow();
    });
  });

  it.each(Object.entries(takers))("%s takes arrays of whole numbers", (_, take) => {
    scope(() => {
      for (const [what, value] of MISREAD) expect(() => take(value as never), what).toThrow(DTypeError);
      for (const [what, value, error] of WRONG) expect(() => take(value as never), what).toThrow(error);
      expect(() => take([4, 1, 2] as never)).not.toThrow();
    });
  });

  it("of packed rows are arrays as well", () => {
    const run = (batchSizes: unknown) => () => gruSequence(noise(4, 9), noise(9, 3), noise(2, 3), { batchSizes } as never);
    expect(run(Int32Array.of(2, 2))).toThrow(DTypeError);
    expect(run([2, 2])).not.toThrow();
  });

  it("of ctcLoss may be typed or tensors: they are read as the numbers they are", () => {
    const logProbs = noise(T, 2, 3);
    const targets = tensor(
      [
        [1, 2],
        [2, 1],
      ],
      { dtype: "int32" },
    );
    const expected = ctcLoss(logProbs, targets, [4, 3], [2, 1]).item();
    const lists = [Int32Array.of(4, 3), Uint8Array.of(4, 3), tensor([4, 3], { dtype: "int32" })];
    for (const list of lists) expect(ctcLoss(logProbs, targets, list as never, [2, 1]).item()).toBe(expected);
    expect(() => ctcLoss(logProbs, targets, BigInt64Array.of(4n, 3n) as never, [2, 1])).toThrow(ArgumentError);
  });
});
