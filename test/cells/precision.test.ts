/** Every cell in float32 stays within 1e-5 of itself in float64 over fifty steps. */

import { describe, expect, it } from "vitest";
import { noGrad } from "../../src/autodiff/tape.ts";
import * as cells from "../../src/cells/index.ts";
import type { LayerOptions } from "../../src/nn/layers.ts";
import { cast } from "../../src/ops/cast.ts";
import type { Recurrence } from "../../src/recurrence/recurrence.ts";
import { GRUCell, LSTMCell, RNNCell } from "../../src/recurrence/rnn-cells.ts";
import { Generator } from "../../src/tensor/random.ts";
import { assign } from "../../src/tensor/tensor.ts";

const [T, B] = [50, 2];
const sizes = { inputSize: 3, hiddenSize: 4 };
type Maker = (options: LayerOptions) => Recurrence;

const makers: Readonly<Record<string, Maker>> = {
  RNNCell: (o) => new RNNCell({ ...sizes, ...o }),
  LSTMCell: (o) => new LSTMCell({ ...sizes, peepholes: true, ...o }) as unknown as Recurrence,
  "LSTMCell, projected": (o) => new LSTMCell({ ...sizes, projSize: 2, ...o }) as unknown as Recurrence,
  GRUCell: (o) => new GRUCell({ ...sizes, ...o }),
  "GRUCell, reset before": (o) => new GRUCell({ ...sizes, resetAfter: false, ...o }),
  LSTM1997: (o) => new cells.LSTM1997({ inputSize: 3, blocks: 4, ...o }),
  ...Object.fromEntries(
    Object.entries(cells.odysseyVariants).map(([name, parts]): [string, Maker] => [
      `OdysseyLSTM ${name}`,
      (o) => new cells.OdysseyLSTM({ ...sizes, ...parts, ...o }),
    ]),
  ),
  SimpleRecurrentNetwork: (o) => new cells.SimpleRecurrentNetwork({ ...sizes, ...o }),
  JordanNetwork: (o) => new cells.JordanNetwork({ ...sizes, outputSize: 2, ...o }),
  JordanSequentialNetwork: (o) => new cells.JordanSequentialNetwork({ ...sizes, outputSize: 2, ...o }),
  JordanStateNetwork: (o) => new cells.JordanStateNetwork({ ...sizes, outputSize: 2, ...o }),
  FullyRecurrentNetwork: (o) => new cells.FullyRecurrentNetwork({ inputSize: 3, units: 4, ...o }),
  SecondOrderRNN: (o) => new cells.SecondOrderRNN({ ...sizes, ...o }),
  RMLP: (o) => new cells.RMLP({ layout: "3-4R-3R-2", ...o }),
  MGU: (o) => new cells.MGU({ ...sizes, ...o }),
  MUT1: (o) => new cells.MUT1({ ...sizes, ...o }),
  MUT2: (o) => new cells.MUT2({ ...sizes, ...o }),
  MUT3: (o) => new cells.MUT3({ ...sizes, ...o }),
  GRU1: (o) => new cells.GRU1({ ...sizes, ...o }),
  GRU2: (o) => new cells.GRU2({ ...sizes, ...o }),
  GRU3: (o) => new cells.GRU3({ ...sizes, ...o }),
  IndRNN: (o) => new cells.IndRNN({ ...sizes, weightStd: 0.5, ...o }),
  DeepIndRNN: (o) => new cells.DeepIndRNN({ ...sizes, layers: 2, weightStd: 0.5, ...o }),
  ResidualIndRNN: (o) => new cells.ResidualIndRNN({ ...sizes, blocks: 1, weightStd: 0.5, ...o }),
  ClockworkRNN: (o) => new cells.ClockworkRNN({ ...sizes, periods: [1, 2], ...o }),
  HierarchicalRNN: (o) =>
    new cells.HierarchicalRNN({
      inputSize: 3,
      levels: [
        { size: 4, period: 1 },
        { size: 2, period: 5 },
      ],
      ...o,
    }),
  CTRNN: (o) => new cells.CTRNN({ ...sizes, method: "rk4", ...o }),
  MTRNN: (o) => new cells.MTRNN({ maps: [3], fastSize: 4, slowSize: 2, ...o }),
  LiquidTimeConstant: (o) => new cells.LiquidTimeConstant({ ...sizes, ...o }),
  ClosedFormContinuousTime: (o) => new cells.ClosedFormContinuousTime({ ...sizes, ...o }),
  NARX: (o) => new cells.NARX({ inputSize: 3, outputSize: 2, inputDelays: 1, outputDelays: 2, ...o }),
  HiddenDelayNetwork: (o) => new cells.HiddenDelayNetwork({ ...sizes, hiddenDelays: 3, ...o }),
  ...Object.fromEntries(
    (["synapse", "activation", "output"] as const).map((feedback): [string, Maker] => [
      `LocalFeedbackLayer, ${feedback}`,
      (o) => new cells.LocalFeedbackLayer({ inputSize: 3, outputSize: 2, inputDelays: 2, feedbackDelays: 2, feedback, ...o }),
    ]),
  ),
  GatedStore: (o) => new cells.GatedStore({ ...sizes, ...o }),
  "GatedStore over a filter": (o) =>
    new cells.GatedStore({ ...sizes, store: new cells.FilterStore({ size: 4, delays: 2, feedbackDelays: 1, ...o }), ...o }),
  GatedFeedbackRNN: (o) => new cells.GatedFeedbackRNN({ inputSize: 3, hiddenSizes: [3, 2], ...o }),
  GatedFeedbackLSTM: (o) => new cells.GatedFeedbackLSTM({ inputSize: 3, hiddenSizes: [3, 2], ...o }),
  GatedFeedbackGRU: (o) => new cells.GatedFeedbackGRU({ inputSize: 3, hiddenSizes: [3, 2], ...o }),
  MinGRU: (o) => new cells.MinGRU({ ...sizes, ...o }),
  MinLSTM: (o) => new cells.MinLSTM({ ...sizes, ...o }),
  SRU: (o) => new cells.SRU({ ...sizes, ...o }),
  QRNN: (o) => new cells.QRNN({ ...sizes, ...o }),
  LRU: (o) => new cells.LRU({ ...sizes, ...o }),
  SelectiveScan: (o) => new cells.SelectiveScan({ inputSize: 3, ...o }),
  Mamba: (o) => new cells.Mamba({ inputSize: 3, ...o }),
  SLSTM: (o) => new cells.SLSTM({ ...sizes, ...o }),
  MLSTM: (o) => new cells.MLSTM({ ...sizes, ...o }),
  RWKVTimeMix: (o) => new cells.RWKVTimeMix({ inputSize: 3, ...o }),
  RWKVChannelMix: (o) => new cells.RWKVChannelMix({ inputSize: 3, ...o }),
  ConvLSTM: (o) => new cells.ConvLSTM({ height: 3, width: 2, inputChannels: 1, hiddenChannels: 2, ...o }),
};

/** Largest difference between the outputs of a cell in float32 and of one with the same parameters in float64. */
function largestDifference(make: Maker): number {
  const precise = make({ dtype: "float64", generator: new Generator(3) });
  const single = make({ dtype: "float32", generator: new Generator(3) });
  const from = single.stateDict();
  for (const [name, p] of precise.stateDict()) assign(p, Float64Array.from(from.get(name)?.data() as ArrayLike<number>));
  const xs = new Generator(4).uniform([T, B, single.inputSize], -1, 1);
  const [ys] = noGrad(() => single.scan(xs));
  const expected = noGrad(() => precise.scan(cast(xs, "float64")))[0].data();
  return Math.max(...Array.from(ys.data(), (y, i) => Math.abs(y - (expected[i] as number))));
}

describe("float32 against float64 over fifty steps", () => {
  it.each(Object.entries(makers))("%s", (_, make) => {
    const difference = largestDifference(make);
    expect(difference).toBeLessThanOrEqual(1e-5);
    expect(difference).toBeGreaterThan(0);
  });
});
