/** What a recurrence is, the RNN, LSTM and GRU, and what runs a recurrence: whole sequences, packed batches, streams. */

export type { PlanOptions } from "./plan.ts";
export { Cell, detachState, mapState, type Recurrence, type ScanOptions, type State, scanSteps, stateTensors } from "./recurrence.ts";
export {
  type ForwardOptions,
  type ForwardResult,
  GRU,
  type GRUOptions,
  LSTM,
  type LSTMOptions,
  RNN,
  type RNNOptions,
  type StackedOptions,
} from "./rnn.ts";
export {
  type ElmanNetOptions,
  GRUCell,
  type GRUCellOptions,
  type GruNetOptions,
  LSTMCell,
  type LSTMCellOptions,
  type LstmNetOptions,
  type LstmState,
  type RecurrentOptions,
  RNNCell,
  type RNNCellOptions,
} from "./rnn-cells.ts";
export { stateFromBytes, stateToBytes } from "./state-bytes.ts";
export { Stream, type StreamOptions } from "./stream.ts";
