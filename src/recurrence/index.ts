/** The recurrence interface; RNN, LSTM and GRU; running recurrences over whole sequences, packed batches and streams. */

export type { ElmanNetOptions, GruNetOptions, LstmNetOptions, LstmState, RecurrentOptions } from "./kinds.ts";
export type { PlanOptions } from "./plan.ts";
export { Cell, type Recurrence, type ScanOptions, scanSteps } from "./recurrence.ts";
export {
  type ForwardOptions,
  type ForwardResult,
  GRU,
  type GRUFromOptions,
  type GRUOptions,
  type LayersFromOptions,
  LSTM,
  type LSTMOptions,
  RNN,
  type RNNFromOptions,
  type RNNOptions,
  type StackedOptions,
} from "./rnn.ts";
export {
  type CellFromOptions,
  GRUCell,
  type GRUCellOptions,
  LSTMCell,
  type LSTMCellOptions,
  RNNCell,
  type RNNCellOptions,
} from "./rnn-cells.ts";
export { detachState, mapState, type State, stateTensors } from "./state.ts";
export { stateFromBytes, stateToBytes } from "./state-bytes.ts";
export { Stream, type StreamOptions } from "./stream.ts";
