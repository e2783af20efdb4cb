/** Every recurrence of the library, with what tells its kinds apart: what each of them has promised is tested on all of them. */

import { RecurrentDropoutLSTM } from "../../src/cells/gated/recurrent-dropout.ts";
import * as cells from "../../src/cells/index.ts";
import { BahdanauDecoder, ContextDecoder, Encoder, LuongDecoder, type LuongScore, StateDecoder } from "../../src/encoder-decoder/index.ts";
import { ChunkingSystem, Predictor } from "../../src/hierarchies/index.ts";
import * as memory from "../../src/memory/index.ts";
import { LayerNorm, type LayerOptions, Linear, Sequential } from "../../src/nn/layers.ts";
import type { Recurrence } from "../../src/recurrence/recurrence.ts";
import { GRU, LSTM, RNN } from "../../src/recurrence/rnn.ts";
import { GRUCell, LSTMCell, RNNCell } from "../../src/recurrence/rnn-cells.ts";
import { EchoStateNetwork, LiquidStateMachine, Reservoir, SilencingLayer } from "../../src/reservoirs/index.ts";
import { Generator } from "../../src/tensor/random.ts";
import * as wrappers from "../../src/wrappers/index.ts";
import { Zoneout } from "../../src/wrappers/zoneout.ts";

export type Make = (options: LayerOptions) => Recurrence;

const [I, H] = [3, 4];
const sizes = { inputSize: I, hiddenSize: H };

/** Recurrences are told by their state only where they are used. */
const any = <S>(recurrence: S) => recurrence as unknown as Recurrence;

const gru = (o: LayerOptions, inputSize = I, hiddenSize = H) => new GRUCell({ inputSize, hiddenSize, ...o });
const elman = (o: LayerOptions, inputSize = I, hiddenSize = H) => new cells.SimpleRecurrentNetwork({ inputSize, hiddenSize, ...o });

/** What is drawn from, for those that have no dtype of their own. */
const drawing = ({ generator }: LayerOptions) => ({ ...(generator && { generator }) });

/** One maker for each value of an option. */
function each<V>(name: string, values: readonly V[], make: (o: LayerOptions, value: V) => unknown): Record<string, Make> {
  return Object.fromEntries(values.map((value) => [`${name}, ${JSON.stringify(value)}`, (o: LayerOptions) => any(make(o, value))]));
}

const simple: Readonly<Record<string, Make>> = {
  ...each(
    "SimpleRecurrentNetwork",
    ["none", "elman1"] as const,
    (o, truncate) => new cells.SimpleRecurrentNetwork({ ...sizes, truncate, ...o }),
  ),
  JordanNetwork: (o) => any(new cells.JordanNetwork({ ...sizes, outputSize: 2, ...o })),
  JordanSequentialNetwork: (o) => any(new cells.JordanSequentialNetwork({ ...sizes, outputSize: 2, ...o })),
  JordanStateNetwork: (o) => any(new cells.JordanStateNetwork({ ...sizes, outputSize: 2, ...o })),
  TeacherForced: (o) => any(new cells.TeacherForced(new cells.JordanNetwork({ ...sizes, outputSize: 2, ...o }))),
  FullyRecurrentNetwork: (o) => new cells.FullyRecurrentNetwork({ inputSize: I, units: 4, outputSize: 2, ...o }),
  SecondOrderRNN: (o) => new cells.SecondOrderRNN({ ...sizes, ...o }),
  RMLP: (o) => any(new cells.RMLP({ layout: "3-4R-3R-2", ...o })),
};

const gated: Readonly<Record<string, Make>> = {
  ...each(
    "LSTM1997",
    ["none", "1997"] as const,
    (o, truncate) => new cells.LSTM1997({ inputSize: I, blocks: 2, cellsPerBlock: 2, truncate, ...o }),
  ),
  "LSTM1997, gates fed back": (o) => any(new cells.LSTM1997({ inputSize: I, blocks: 4, gateRecurrence: true, squashing: "tanh", ...o })),
  ...each("OdysseyLSTM", Object.keys(cells.odysseyVariants) as cells.OdysseyVariant[], (o, name) => {
    return new cells.OdysseyLSTM({ ...sizes, ...cells.odysseyVariants[name], ...o });
  }),
  MGU: (o) => new cells.MGU({ ...sizes, ...o }),
  MUT1: (o) => new cells.MUT1({ ...sizes, ...o }),
  MUT2: (o) => new cells.MUT2({ ...sizes, ...o }),
  MUT3: (o) => new cells.MUT3({ ...sizes, ...o }),
  GRU1: (o) => new cells.GRU1({ ...sizes, ...o }),
  GRU2: (o) => new cells.GRU2({ ...sizes, ...o }),
  GRU3: (o) => new cells.GRU3({ ...sizes, ...o }),
  ...each(
    "GatedFeedbackRNN",
    ["learned", "open", "own"] as const,
    (o, gates) => new cells.GatedFeedbackRNN({ inputSize: I, hiddenSizes: [3, 2], gates, ...o }),
  ),
  GatedFeedbackLSTM: (o) => any(new cells.GatedFeedbackLSTM({ inputSize: I, hiddenSizes: [3, 2], ...o })),
  GatedFeedbackGRU: (o) => any(new cells.GatedFeedbackGRU({ inputSize: I, hiddenSizes: [3, 2], ...o })),
  ...each("SLSTM", ["sigmoid", "exp"] as const, (o, forgetGate) => new cells.SLSTM({ ...sizes, heads: 2, forgetGate, ...o })),
  ...each("MLSTM", [2, 64], (o, chunk) => new cells.MLSTM({ ...sizes, heads: 2, chunk, ...o })),
  ConvLSTM: (o) => any(new cells.ConvLSTM({ height: 3, width: 2, inputChannels: 1, hiddenChannels: 2, ...o })),
};

const diagonal: Readonly<Record<string, Make>> = {
  ...each("IndRNN", ["relu", "tanh"] as const, (o, activation) => new cells.IndRNN({ ...sizes, weightStd: 0.5, activation, ...o })),
  ...each("DeepIndRNN", ["none", "layer", "sequence", "step"] as const, (o, norm) => {
    return new cells.DeepIndRNN({ ...sizes, layers: 2, weightStd: 0.5, norm, ...(norm === "step" && { normSteps: 3 }), ...o });
  }),
  "DeepIndRNN, norm before": (o) =>
    any(new cells.DeepIndRNN({ ...sizes, layers: 2, weightStd: 0.5, norm: "sequence", normAt: "before", ...o })),
  ...each(
    "ResidualIndRNN",
    ["layer", "sequence"] as const,
    (o, norm) => new cells.ResidualIndRNN({ ...sizes, blocks: 1, weightStd: 0.5, norm, ...o }),
  ),
  DenseIndRNN: (o) => any(new cells.DenseIndRNN({ ...sizes, blocks: [1, 1], growth: 2, bottleneck: 2, weightStd: 0.5, ...o })),
  MinGRU: (o) => new cells.MinGRU({ ...sizes, ...o }),
  "MinGRU, in chunks": (o) => new cells.MinGRU({ ...sizes, chunk: 2, ...o }),
  "MinGRU, logarithms": (o) => new cells.MinGRU({ ...sizes, logSpace: true, ...o }),
  MinLSTM: (o) => new cells.MinLSTM({ ...sizes, ...o }),
  "MinLSTM, logarithms": (o) => new cells.MinLSTM({ ...sizes, logSpace: true, ...o }),
  SRU: (o) => new cells.SRU({ ...sizes, ...o }),
  "SRU, of one size": (o) => new cells.SRU({ inputSize: I, hiddenSize: I, ...o }),
  ...each("QRNN", ["f", "fo", "ifo"] as const, (o, pooling) => new cells.QRNN({ ...sizes, width: 3, pooling, ...o })),
  "QRNN, in chunks": (o) => any(new cells.QRNN({ ...sizes, chunk: 2, ...o })),
  LRU: (o) => any(new cells.LRU({ ...sizes, ...o })),
  SelectiveScan: (o) => new cells.SelectiveScan({ inputSize: I, stateSize: 4, ...o }),
  "SelectiveScan, in chunks": (o) => new cells.SelectiveScan({ inputSize: I, stateSize: 4, chunk: 2, ...o }),
  Mamba: (o) => any(new cells.Mamba({ inputSize: I, stateSize: 4, ...o })),
  RWKVTimeMix: (o) => any(new cells.RWKVTimeMix({ inputSize: I, ...o })),
  RWKVChannelMix: (o) => new cells.RWKVChannelMix({ inputSize: I, ...o }),
};

const delays: Readonly<Record<string, Make>> = {
  ...each(
    "NARX",
    [0, 4],
    (o, hiddenSize) => new cells.NARX({ inputSize: I, hiddenSize, outputSize: 2, inputDelays: 1, outputDelays: 2, ...o }),
  ),
  "TeacherForced NARX": (o) =>
    any(new cells.TeacherForced(new cells.NARX({ inputSize: I, outputSize: 2, inputDelays: 1, outputDelays: 2, ...o }))),
  HiddenDelayNetwork: (o) => new cells.HiddenDelayNetwork({ ...sizes, hiddenDelays: 3, ...o }),
  ...each("LocalFeedbackLayer", ["synapse", "activation", "output"] as const, (o, feedback) => {
    return new cells.LocalFeedbackLayer({ inputSize: I, outputSize: 2, inputDelays: 2, feedbackDelays: 2, feedback, ...o });
  }),
  "LocalFeedbackNetwork, lattice": (o) =>
    any(new cells.LocalFeedbackNetwork({ sizes: [3, 4, 2], inputDelays: 1, feedbackDelays: 2, lattice: true, ...o })),
  GatedStore: (o) => any(new cells.GatedStore({ ...sizes, ...o })),
  "GatedStore over FilterStore": (o) =>
    any(new cells.GatedStore({ ...sizes, store: new cells.FilterStore({ size: H, delays: 2, feedbackDelays: 1, ...o }), ...o })),
  "GatedStore over DelayGraph": (o) =>
    any(new cells.GatedStore({ ...sizes, store: new cells.DelayGraph({ size: H, delays: [1, 3], ...o }), ...o })),
  IdentityStore: () => any(new cells.IdentityStore(I)),
  FilterStore: (o) => any(new cells.FilterStore({ size: I, delays: 2, feedbackDelays: 2, ...o })),
  DelayGraph: (o) => new cells.DelayGraph({ size: I, delays: [1, 3], ...o }),
};

const timescales: Readonly<Record<string, Make>> = {
  ClockworkRNN: (o) => any(new cells.ClockworkRNN({ ...sizes, periods: [1, 2], ...o })),
  ...each("HierarchicalRNN", ["last", "mean"] as const, (o, window) => {
    const levels = [
      { size: 4, period: 1 },
      { size: 2, period: 3 },
    ];
    return new cells.HierarchicalRNN({ inputSize: I, levels, window, ...o });
  }),
  LeakyRNN: (o) => new cells.LeakyRNN({ ...sizes, tau: 3, ...o }),
  ...each("CTRNN", ["rk4", "bogacki-shampine"] as const, (o, method) => new cells.CTRNN({ ...sizes, method, ...o })),
  "CTRNN, on a line": (o) => any(new cells.CTRNN({ ...sizes, method: "euler", interpolation: "linear", ...o })),
  PearlmutterNetwork: (o) => any(new cells.PearlmutterNetwork({ ...sizes, ...o })),
  "PearlmutterNetwork, delays": (o) => any(new cells.PearlmutterNetwork({ ...sizes, maxDelay: 0.35, ...o })),
  ...each("MTRNN", [0, 0.5], (o, ownInput) => new cells.MTRNN({ maps: [2, 1], fastSize: 4, slowSize: 2, ownInput, ...o })),
  ...each("LiquidTimeConstant", [false, true], (o, timed) => new cells.LiquidTimeConstant({ ...sizes, timed, ...o })),
  ...each("ClosedFormContinuousTime", [false, true], (o, timed) => new cells.ClosedFormContinuousTime({ ...sizes, timed, ...o })),
};

const workHorses: Readonly<Record<string, Make>> = {
  ...each("RNNCell", ["tanh", "relu"] as const, (o, nonlinearity) => new RNNCell({ ...sizes, nonlinearity, ...o })),
  LSTMCell: (o) => any(new LSTMCell({ ...sizes, peepholes: true, ...o })),
  "LSTMCell, projected": (o) => any(new LSTMCell({ ...sizes, projSize: 2, ...o })),
  ...each("GRUCell", [true, false], (o, resetAfter) => new GRUCell({ ...sizes, resetAfter, ...o })),
  RNN: (o) => new RNN({ ...sizes, numLayers: 2, ...o }),
  LSTM: (o) => any(new LSTM({ ...sizes, numLayers: 2, bidirectional: true, ...o })),
  GRU: (o) => new GRU({ ...sizes, numLayers: 2, bidirectional: true, dropout: 0.5, ...o }),
  RecurrentDropoutLSTM: (o) => any(new RecurrentDropoutLSTM(0.5, { ...sizes, ...o })),
  Zoneout: (o) => any(new Zoneout(new LSTMCell({ ...sizes, ...o }), [0.3, 0.5], drawing(o))),
};

const made: Readonly<Record<string, Make>> = {
  Bidirectional: (o) => any(new wrappers.Bidirectional(any(gru(o)), any(new cells.MinGRU({ ...sizes, ...o })))),
  MooreMachine: (o) => any(new wrappers.MooreMachine(gru(o), new Linear(H, 2, o))),
  "MooreMachine, normalised": (o) => any(new wrappers.MooreMachine(elman(o), new Sequential(new LayerNorm(H, o), new Linear(H, 2, o)))),
  MealyMachine: (o) => any(new wrappers.MealyMachine(gru(o), new Linear(I + H, 2, o))),
  StackedRNN: (o) => any(new wrappers.StackedRNN([gru(o), gru(o, H), elman(o, H)])),
  "StackedRNN, skip": (o) =>
    any(new wrappers.StackedRNN([gru(o), elman(o, I + H)], { skip: true, dropout: 0.5, variational: true, ...drawing(o) })),
  "StackedRNN, residual": (o) => any(new wrappers.StackedRNN([gru(o), elman(o, H)], { residual: true, dropout: 0.5, ...drawing(o) })),
  DetachEvery: (o) => any(new wrappers.DetachEvery(elman(o), 2)),
  LearnedInitialState: (o) => any(new wrappers.LearnedInitialState(elman(o))),
  Reversed: (o) => any(new wrappers.Reversed(elman(o))),
  StateClip: (o) => any(new wrappers.StateClip(gru(o), 0.3)),
  ...each("Predictor", [3, 5], (o, outputSize) => new Predictor(gru(o), { outputSize, ...o })),
  ChunkingSystem: (o) => any(new ChunkingSystem({ automatizer: gru(o), chunker: elman(o), targetSize: 2, confidence: 0.4, ...o })),
};

const words = { inputSize: I, outputSize: 2, hiddenSize: H };

const memories: Readonly<Record<string, Make>> = {
  ...each("NTM", ["lstm", "feedforward"] as const, (o, controller) => {
    return new memory.NTM({ ...words, memorySize: 4, wordSize: 2, controller, ...o });
  }),
  DNC: (o) => any(new memory.DNC({ ...words, memorySize: 4, wordSize: 2, readHeads: 2, ...o })),
  "DNC, with all fixes": (o) =>
    any(new memory.DNC({ ...words, memorySize: 4, wordSize: 2, maskedLookUp: true, clearFreed: true, sharpLinks: true, ...o })),
  NeuralStack: (o) => any(new memory.NeuralStack({ ...words, valueSize: 2, capacity: 3, ...o })),
  NeuralQueue: (o) => any(new memory.NeuralQueue({ ...words, valueSize: 2, capacity: 3, ...o })),
  NeuralDeque: (o) => any(new memory.NeuralDeque({ ...words, valueSize: 2, capacity: 3, ...o })),
  ...each(
    "PushdownAutomaton",
    [2, 3] as const,
    (o, order) => new memory.PushdownAutomaton({ inputSize: I, hiddenSize: 3, capacity: 3, order, ...o }),
  ),
  ...each("StackRNN", [false, true], (o, noop) => new memory.StackRNN({ ...sizes, stacks: 2, capacity: 3, noop, ...o })),
  FeedforwardController: (o) => any(new memory.FeedforwardController({ ...sizes, ...o })),
};

/** With all parameters let go, so that gradients go through them. */
function freed<M extends Recurrence>(reservoir: M): M {
  for (const p of reservoir.parameters()) p.requiresGrad = true;
  return reservoir;
}

/** From a generator of its own: what a network refuses has drawn nothing for that network. */
const pool = ({ dtype = "float32" }: LayerOptions, inputSize = I) => {
  return freed(new Reservoir({ inputSize, hiddenSize: H, connections: 2, leak: 0.5, dtype, generator: new Generator(7) }));
};

const reservoirs: Readonly<Record<string, Make>> = {
  ...each("Reservoir", ["tanh", "relu"] as const, (o, activation) => {
    return freed(new Reservoir({ ...sizes, connections: 2, biasScale: 0.5, activation, ...o }));
  }),
  "Reservoir, masking": (o) => any(freed(new Reservoir({ ...sizes, topology: "ring", missing: "mask", ...o }))),
  EchoStateNetwork: (o) => any(new EchoStateNetwork(pool(o), { outputSize: 2, ...o })),
  "EchoStateNetwork, feedback": (o) => any(new EchoStateNetwork(pool(o, I + 2), { outputSize: 2, feedback: true, ...o })),
  "EchoStateNetwork, deep": (o) =>
    any(new EchoStateNetwork(new wrappers.StackedRNN([pool(o), pool(o, I + H)], { skip: true }), { outputSize: 2, ...o })),
  ...each("LiquidStateMachine", [true, false], (o, dynamicSynapses) => {
    // Strongly driven, so that spikes arrive within a few steps.
    const driven = { inputProbability: 1, inputAmplitude: [200, 200], scale: 3 } as const;
    return freed(any(new LiquidStateMachine({ inputSize: I, grid: [2, 2, 2], ...driven, dynamicSynapses, ...o })));
  }),
  SilencingLayer: (o) => any(new SilencingLayer({ ...sizes, duration: 2, threshold: 0.1, ...o })),
};

const encoder = (o: LayerOptions) => new Encoder(gru(o, 2, 5));

const decoders: Readonly<Record<string, Make>> = {
  StateDecoder: (o) => any(new StateDecoder({ encoder: encoder(o), cell: gru(o), ...o })),
  ContextDecoder: (o) => any(new ContextDecoder({ encoder: encoder(o), contextSize: 2, cell: gru(o, I + 2), ...o })),
  BahdanauDecoder: (o) => any(new BahdanauDecoder({ encoder: encoder(o), attentionSize: 3, cell: gru(o, I + 5), ...o })),
  ...each("LuongDecoder", ["dot", "general", "concat"] as readonly LuongScore[], (o, score) => {
    return new LuongDecoder({ encoder: encoder(o), cell: gru(o, I + 5, 5), score, start: "linear", ...o });
  }),
  "LuongDecoder, local": (o) => any(new LuongDecoder({ encoder: encoder(o), cell: gru(o, I + 5, 5), window: 2, start: "linear", ...o })),
};

export const families = { simple, gated, diagonal, delays, timescales, workHorses, made, memories, reservoirs, decoders };

/** Whether outputs are spikes, which have no derivative: only some of the states have one. */
export const spikes = (name: string): boolean => name.startsWith("LiquidStateMachine");

/** All of them by name. */
export const every: Readonly<Record<string, Make>> = Object.assign({}, ...Object.values(families));
