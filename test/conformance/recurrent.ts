/** The groups `rnn` and `cells`: layers and cells made from a case's configuration, with its weights loaded by name. */

import type { FloatDType } from "../../src/base/dtype.ts";
import type { Module } from "../../src/nn/module.ts";
import type { LstmState } from "../../src/recurrence/kinds.ts";
import { GRU, LSTM, RNN } from "../../src/recurrence/rnn.ts";
import { GRUCell, LSTMCell, RNNCell } from "../../src/recurrence/rnn-cells.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import type { Case, Group, Named, Outcome } from "./runner.ts";

interface Config {
  readonly kind: string;
  readonly nonlinearity?: "tanh" | "relu";
  readonly input_size: number;
  readonly hidden_size: number;
  readonly num_layers: number;
  readonly bias: boolean;
  readonly batch_first: boolean;
  readonly bidirectional: boolean;
  readonly proj_size: number;
  readonly initial_state: boolean;
}

function configOf(spec: Case): Config {
  return spec.config as Config;
}

function dtypeOf(inputs: Named): FloatDType {
  return (inputs.input as Tensor).dtype as FloatDType;
}

function makeLayer(c: Config, dtype: FloatDType): RNN | LSTM | GRU {
  const options = {
    inputSize: c.input_size,
    hiddenSize: c.hidden_size,
    numLayers: c.num_layers,
    bias: c.bias,
    batchFirst: c.batch_first,
    bidirectional: c.bidirectional,
    dtype,
  };
  if (c.kind === "RNN") return new RNN({ ...options, nonlinearity: c.nonlinearity ?? "tanh" });
  if (c.kind === "LSTM") return new LSTM({ ...options, projSize: c.proj_size });
  if (c.kind === "GRU") return new GRU(options);
  throw new Error(`expected a layer of this library, got ${c.kind}`);
}

function makeCell(c: Config, dtype: FloatDType): RNNCell | LSTMCell | GRUCell {
  const options = { inputSize: c.input_size, hiddenSize: c.hidden_size, bias: c.bias, dtype };
  if (c.kind === "RNNCell") return new RNNCell({ ...options, nonlinearity: c.nonlinearity ?? "tanh" });
  if (c.kind === "LSTMCell") return new LSTMCell(options);
  if (c.kind === "GRUCell") return new GRUCell(options);
  throw new Error(`expected a cell of this library, got ${c.kind}`);
}

/** Loads the case's parameters; the module's own are what gradients are taken for. */
function loadWeights(module: Module, spec: Case, inputs: Named): Named {
  const names = spec.parameters as readonly string[];
  module.loadStateDict(new Map(names.map((name) => [name, inputs[name] as Tensor])));
  return Object.fromEntries(module.namedParameters());
}

/** The initial state of the case: a tensor, or a pair where the module has cells. */
function initialState(inputs: Named): Tensor | LstmState | undefined {
  const { h_0: h, c_0: c } = inputs;
  if (h === undefined) return undefined;
  return c === undefined ? h : { h, c };
}

function stateOutputs(state: Tensor | LstmState, suffix: string): Named {
  return state instanceof Tensor ? { [`h_${suffix}`]: state } : { [`h_${suffix}`]: state.h, [`c_${suffix}`]: state.c };
}

export const rnn: Group = (spec: Case, inputs: Named): Outcome => {
  const layer = makeLayer(configOf(spec), dtypeOf(inputs)) as LSTM;
  const leaves = loadWeights(layer, spec, inputs);
  const state = initialState(inputs) as LstmState | undefined;
  const lengths = inputs.lengths && [...inputs.lengths.data()];
  const result = layer.forward(inputs.input as Tensor, { ...(state && { state }), ...(lengths && { lengths }) });
  return { outputs: [{ output: result.output, ...stateOutputs(result.state, "n") }], leaves };
};

export const cells: Group = (spec: Case, inputs: Named): Outcome => {
  const cell = makeCell(configOf(spec), dtypeOf(inputs)) as LSTMCell;
  const leaves = loadWeights(cell, spec, inputs);
  const [, next] = cell.step(inputs.input as Tensor, initialState(inputs) as LstmState | undefined);
  return { outputs: [stateOutputs(next, "1")], leaves };
};
