/**
 * Runs recurrent layers and nothing else: a separate bundle with a small binary, for small downloads.
 *
 * It has only float32, no gradients, and a memory separate from that of the main entry, so import one of the two. A tensor of one is
 * refused by the other, with an error that names both.
 *
 * @example
 * import { LSTM, parseSafetensors, Stream } from "tapeloop/inference";
 * const lstm = new LSTM({ inputSize: 32, hiddenSize: 64 });
 * lstm.loadStateDict(parseSafetensors(bytes).tensors);
 * const y = new Stream(lstm).step(x);
 */

export { noGrad } from "./autodiff/tape.ts";
export { ArgumentError, DTypeError, FormatError, MemoryLimitError, ShapeError, StateError } from "./base/errors.ts";
export { parse as parseSafetensors, type Safetensors } from "./io/safetensors.ts";
export { Linear } from "./nn/layers.ts";
export { Module, Parameter } from "./nn/module.ts";
export type { LstmState } from "./recurrence/kinds.ts";
export { GRU, LSTM, RNN } from "./recurrence/rnn.ts";
export { stateFromBytes, stateToBytes } from "./recurrence/state-bytes.ts";
export { Stream, type StreamOptions } from "./recurrence/stream.ts";
export { type HoldsTensors, heldTensors } from "./tensor/parts.ts";
export { assign, keep, scope, type Tensor, tensor } from "./tensor/tensor.ts";
export { init, type MemoryInfo, memory, ready, setMemoryLimit } from "./wasm/host.ts";
