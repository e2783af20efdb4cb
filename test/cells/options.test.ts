/** Options that are words: one that is none of them is refused when the cell is made, not taken for another. */

import { describe, expect, it } from "vitest";
import { ArgumentError } from "../../src/base/errors.ts";
import * as cells from "../../src/cells/index.ts";
import { fixedPoints } from "../../src/dynamics/index.ts";
import { MaskedConv2d } from "../../src/grids/index.ts";
import { LSTM, RNN, RNNCell } from "../../src/recurrence/index.ts";
import { tensor } from "../../src/tensor/tensor.ts";
import { jacobian } from "../../src/transforms/index.ts";

const sizes = { inputSize: 2, hiddenSize: 3 };

/** A word that is not one of the option's. */
const word = <T>(text: unknown): T => text as T;

describe("options that are words", () => {
  it.each<[string, () => unknown]>([
    ["nonlinearity", () => new RNN({ ...sizes, nonlinearity: word("ReLU") })],
    ["nonlinearity", () => new RNNCell({ ...sizes, nonlinearity: word("gelu") })],
    ["truncate", () => new cells.SimpleRecurrentNetwork({ ...sizes, truncate: word("elman") })],
    ["a name", () => new cells.SimpleRecurrentNetwork({ ...sizes, activation: word("tanhh") })],
    ["truncate", () => new cells.LSTM1997({ inputSize: 2, blocks: 2, truncate: word(1997) })],
    ["squashing", () => new cells.LSTM1997({ inputSize: 2, blocks: 2, squashing: word("Tanh") })],
    ["pooling", () => new cells.QRNN({ ...sizes, pooling: word("FO") })],
    ["forgetGate", () => new cells.SLSTM({ ...sizes, forgetGate: word("Exp") })],
    ["gates", () => new cells.GatedFeedbackRNN({ inputSize: 2, hiddenSizes: [2, 2], gates: word("Open") })],
    ["method", () => new cells.CTRNN({ ...sizes, method: word("rk5") })],
    ["interpolation", () => new cells.CTRNN({ ...sizes, interpolation: word("cubic") })],
    ["window", () => new cells.HierarchicalRNN({ inputSize: 2, levels: [{ size: 2, period: 1 }], window: word("max") })],
    ["norm", () => new cells.DeepIndRNN({ ...sizes, layers: 1, norm: word("batch") })],
    ["feedback", () => new cells.LocalFeedbackLayer({ inputSize: 2, outputSize: 2, feedback: word("synapses") })],
    ["mask", () => new MaskedConv2d({ inputChannels: 1, outputChannels: 1, kernelSize: [3, 3], mask: word("a") })],
    ["kind", () => fixedPoints((y) => y, { starts: [[0]], kind: word("Map") })],
    ["mode", () => jacobian((x) => x, tensor([1, 2]), { mode: word("fwd") })],
  ])("%s (%#)", (name, make) => {
    expect(make).toThrow(ArgumentError);
    expect(make).toThrow(new RegExp(`expected ${name} to be one of`));
  });

  it("are not asked for what sizes would have said", () => {
    expect(() => new LSTM({} as typeof sizes)).toThrow(/expected hiddenSize to be a whole number of at least 1, got undefined/);
    expect(() => new LSTM({ ...sizes, hiddenSize: 0 })).toThrow(/expected hiddenSize/);
  });
});
