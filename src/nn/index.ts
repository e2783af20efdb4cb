/** Modules: layers, recurrences, losses. */

export { type NormalizedSequence, SequenceBatchNorm, type SequenceBatchNormOptions } from "./batch-norm.ts";
export { type CtcOptions, ctcLoss } from "./ctc.ts";
export {
  type DropoutOptions,
  dropout,
  type RecurrentDropoutOptions,
  recurrentDropout,
  type VariationalDropoutOptions,
  variationalDropout,
  zoneout,
} from "./dropout.ts";
export { Dropout, type DropoutLayerOptions, RecurrentDropoutLSTM, VariationalDropout, Zoneout } from "./dropout-layers.ts";
/** Ways to fill a tensor before training: `initializers.orthogonal(weight)`. */
export * as initializers from "./init.ts";
export {
  type BiasOptions,
  Bilinear,
  Embedding,
  type EmbeddingOptions,
  LayerNorm,
  type LayerNormOptions,
  type LayerOptions,
  Linear,
  Sequential,
} from "./layers.ts";
export { exportWeights, importWeights, type Layout, type RecurrentModule } from "./layouts.ts";
export {
  type BceOptions,
  type BceWithLogitsOptions,
  bceLoss,
  bceWithLogits,
  type ClassOptions,
  type CrossEntropyOptions,
  crossEntropy,
  type HuberOptions,
  huberLoss,
  type KlDivOptions,
  klDiv,
  type LossOptions,
  l1Loss,
  mseLoss,
  nllLoss,
  type Reduction,
  type SmoothL1Options,
  smoothL1Loss,
} from "./losses.ts";
export { type LoadOptions, Module, Parameter } from "./module.ts";
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
